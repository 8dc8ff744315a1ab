"""Where files are, which are ours, and what the manifest knows of them."""

import os
from pathlib import Path

import pytest

from contentworker import config
from contentworker.generate import units
from contentworker.installer import layout as places
from contentworker.installer.errors import InstallError
from contentworker.installer.layout import Layout
from contentworker.installer.manifest import Manifest, digest
from contentworker.installer.plan import Plan
from tests.support import ROOT


def test_every_credential_of_the_real_units_is_found() -> None:
    """systemd starts no unit if a credential's file is missing: each that a unit names is made."""
    settings = config.load(environ={"WORKER__QUEUES__REWRITE__SECRETS": '["OPENAI_API_KEY"]'})
    rendered = units.render(settings, ROOT / "systemd" / "templates")
    names = places.credential_names({path: text.encode() for path, text in rendered.items()})
    escalation = {"DATABASE_URL", "NOTIFY_URLS", "SETTLED_WEBHOOK_SECRET"}
    others = {"FLOWER_BASIC_AUTH", "METRICS_BASIC_AUTH", "OPENAI_API_KEY", "REDIS_URL", "redis-password.conf"}
    others |= {"DESK_OIDC_SECRET", "DESK_PASSWORDS", "DESK_SECRET"}  # editorial
    assert names == sorted(escalation | others)


def test_the_file_of_an_instance() -> None:
    """The unit of a queue whose name has dots is still an instance of the one template."""
    assert places.template("celery-worker@a.b-c.service") == "celery-worker@.service"
    assert places.template("celery-flower.service") == "celery-flower.service"
    assert places.preflight("abc") == "celery-preflight@abc.service"


@pytest.mark.parametrize("own_redis", [True, False])
def test_where_the_rendered_files_are_installed(own_redis: bool) -> None:
    """supervisord's files are not, and Redis' only if it is installed."""
    rendered = units.render(config.load(environ={}), ROOT / "systemd" / "templates")
    rendered["environment.installed"] = ""
    files = places.placed({name: text.encode() for name, text in rendered.items()}, own_redis=own_redis)
    redis = {"/etc/content-worker/redis.conf", "/etc/systemd/system/celery-redis.service"}
    assert files.keys() & redis == (redis if own_redis else set())
    assert files.keys() >= {
        "/etc/content-worker/environment",
        "/etc/content-worker/environment.installed",
        "/etc/sysusers.d/content-worker.conf",
        "/etc/tmpfiles.d/content-worker.conf",
        "/etc/systemd/system/celery-backup.timer",
        "/etc/systemd/system/celery-worker@rewrite.service.d/50-worker-toml.conf",
    }
    assert not [path for path in files if "supervisord" in path]


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/opt/x", True),
        ("/opt/x/releases", True),
        ("/opt/xy", False),
        ("/etc/content-worker/credentials", True),
        ("/etc/systemd/system/celery-worker@a.service.d", True),
        ("/etc/systemd/system", False),
    ],
)
def test_folders_that_are_ours(path: str, expected: bool) -> None:
    assert places.is_ours(path, "/opt/x") is expected


def test_a_masked_queue(tmp_path: Path) -> None:
    """`systemctl mask` makes the unit a link to /dev/null."""
    layout, folder = Layout(tmp_path, "/opt/x"), tmp_path / "etc/systemd/system"
    folder.mkdir(parents=True)
    assert not places.is_masked(layout, "a")
    (folder / "celery-worker@a.service").symlink_to(os.devnull)
    assert places.is_masked(layout, "a")
    assert not places.is_masked(layout, "b")


def test_a_foreign_manifest_is_refused(tmp_path: Path) -> None:
    """A manifest of another version of the installer, or a broken one, is no reason to guess."""
    for text in ('{"format": 2}', "{", "[]"):
        (tmp_path / "manifest.json").write_text(text)
        with pytest.raises(InstallError, match=r"manifest\.json "):
            Manifest.load(tmp_path / "manifest.json")
    assert Manifest.load(tmp_path / "none.json") is None


def test_a_manifest_and_a_plan_are_read_as_they_were_written(tmp_path: Path) -> None:
    """Nothing is lost on the way to root, or to the next run. Secrets are not shown."""
    manifest = Manifest("/opt/x", "x", files={"/a": ["1", "2"]}, started={"u": "r"})
    (tmp_path / "manifest.json").write_bytes(manifest.text())
    assert Manifest.load(tmp_path / "manifest.json") == manifest
    plan = Plan("install", "/", "/opt/x", "x", secrets={"REDIS_URL": "redis://"})
    assert Plan.of(plan.text()) == plan
    assert "redis://" not in repr(plan)


def test_units_that_may_run() -> None:
    """Services and timers that were placed, and the worker of each queue; no template, no other file."""
    folder = "/etc/systemd/system"
    names = ("celery-beat.service", "celery-backup.timer", "celery-worker@.service", "x.service.d/y.conf")
    links = ["/opt/x/current", "/opt/x/queues/a.b"]
    manifest = Manifest("/opt/x", "x", files={f"{folder}/{name}": [] for name in names}, links=links)
    assert manifest.units == ["celery-beat.service", "celery-backup.timer", "celery-worker@a.b.service"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("old", False, id="as it was"),
        pytest.param("new", False, id="as it will be"),
        pytest.param("offered", False, id="taken over from .new"),
        pytest.param("mine", True, id="edited"),
        pytest.param(None, False, id="missing"),
    ],
)
def test_edited_files(tmp_path: Path, text: str | None, expected: bool) -> None:
    """A file is edited if it is none of the texts that we wrote."""
    sums = {"/a": [digest(b"old"), digest(b"new")], "/a.new": [digest(b"offered")]}
    if text is not None:
        (tmp_path / "a").write_text(text)
    assert Manifest("/opt/x", "x", files=sums).is_edited(Layout(tmp_path, "/opt/x"), "/a") is expected


def test_a_link_in_the_place_of_a_file_is_an_edit(tmp_path: Path) -> None:
    (tmp_path / "other").write_text("old")
    (tmp_path / "a").symlink_to("other")
    manifest = Manifest("/opt/x", "x", files={"/a": [digest(b"old")]})
    assert manifest.is_edited(Layout(tmp_path, "/opt/x"), "/a")


@pytest.mark.parametrize(
    ("current", "pending", "expected"), [(None, None, False), ("a", None, True), ("a", "b", False)]
)
def test_complete(current: str | None, pending: str | None, expected: bool) -> None:
    assert Manifest("/opt/x", "x", current=current, pending=pending).is_complete is expected
