"""The image, built with Podman on a base image of Debian's packages, and the compose file that runs it.

The layers stay in `FOLDER` for the next run. You can delete it.
"""

import hashlib
import json
import os
import re
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from contentworker import config
from contentworker.generate import units
from contentworker.installer import release
from contentworker.installer.machine import SystemPython
from contentworker.version import VERSION
from tests.acceptance.conftest import make_checkout
from tests.acceptance.pages import ask, commands_of
from tests.acceptance.podman import Podman, base_archive, locked, require
from tests.support import PATIENCE, ROOT, free_port, wait_until

FOLDER = ROOT / ".nox" / "_image"
IMAGE = "localhost/content-worker:latest"
SETTINGS = config.load(ROOT / "worker.toml", {})
LOCKS = ("service",)
"""Without the embedded model, which takes a minute to fetch."""
PAGE = commands_of("containers.md")
BUILD, UP = next((line for line in PAGE if "SERVICES__LOCKS" in line), PAGE[0]), PAGE[1]
PODMAN_ONLY = [line for line in commands_of("../README.md") if line.startswith("podman ")]
METRICS_LOGIN = "prometheus:a password"
SERVICE, OTHER = f"worker-{SETTINGS.default_queue}", "beat"
RUN = ("podman", "run", "--rm", "--network=none", "--read-only", "--cap-drop=all")
SLOW = """
import subprocess, time
from celery import shared_task

@shared_task
def slow(seconds):
    open("/tmp/started", "w").close()
    time.sleep(float(seconds))
    return "finished"

@shared_task
def leave_an_orphan():
    subprocess.Popen(["sh", "-c", "sleep 1 & exit"]).wait()
"""

pytestmark = [
    pytest.mark.environments,
    pytest.mark.skipif(sys.platform != "linux", reason="the base image is made on Linux only"),
]


class Project:
    """A checkout, its image, and the services of its compose file."""

    def __init__(self, podman: Podman, checkout: Path) -> None:
        self.podman, self.checkout = podman, checkout

    def build(self) -> None:
        """Build the image of the checkout as its Containerfile says, but for the digest of the base image."""
        file = self.checkout / "Containerfile"
        text = file.read_text("utf-8")
        name = re.search(r"^FROM (\S+)@sha256:[0-9a-f]{64} AS base$", text, re.MULTILINE)
        assert name
        archive = base_archive(name[1].removeprefix("docker.io/library/"))
        made = FOLDER / "base"
        if not made.exists() or made.read_text() != str(archive.stat().st_mtime):
            self.podman.output("podman", "import", "--quiet", archive, name[1])
            made.write_text(str(archive.stat().st_mtime))
        # One made here has another digest.
        file.write_text(re.sub(r"@sha256:[0-9a-f]{64} AS base", " AS base", text), "utf-8")
        self.type(BUILD)
        self.podman.run("podman", "image", "prune", "--force")

    def type(self, command: str) -> str:
        """What a command of a page prints, in the checkout."""
        return self.podman.output("bash", "-c", command, cwd=self.checkout)

    def container(self, service: str) -> str:
        """The name of a service's container."""
        return f"content-worker_{service}_1"

    def run_inside(self, service: str, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a command in the container of a service."""
        return self.podman.run("podman", "exec", self.container(service), *command)

    def inside(self, service: str, *command: str) -> str:
        """What a command prints there, which must succeed."""
        return self.podman.output("podman", "exec", self.container(service), *command)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """The image, and the services that need no password, up."""
    require("podman", "runc", "catatonit", "mmdebstrap", "netavark", "aardvark-dns", "iptables")
    work = tmp_path_factory.mktemp("image")
    with locked(FOLDER / "lock"):
        podman = Podman(FOLDER, work)
        podman.env["PATH"] = os.pathsep.join([sysconfig.get_path("scripts"), os.environ["PATH"]])
        podman.env.update(METRICS_BASIC_AUTH=METRICS_LOGIN, FLOWER_BASIC_AUTH=METRICS_LOGIN)
        checkout = make_checkout(work / "checkout")
        (checkout / "tasks" / "slow.py").write_text(SLOW)
        subprocess.run(["git", "-C", checkout, "add", "tasks"], check=True)
        project = Project(podman, checkout)
        try:
            project.build()
            project.type(UP)
            yield project
        finally:
            podman.remove_what_runs()


def test_it_is_the_tree_that_the_installer_builds(project: Project) -> None:
    """Every file of a release of this checkout, unchanged, and none besides."""
    listed = project.inside(OTHER, "cat", "SHA256SUMS").splitlines()
    sums = {path: digest for digest, _, path in (line.partition("  ") for line in listed)}
    rendered = units.render(SETTINGS, project.checkout / "systemd" / "templates")
    source = release.read(project.checkout, rendered, [], SystemPython("", "", ""))
    expected = {path: hashlib.sha256(data).hexdigest() for path, (data, _) in source.files.items()}
    code = {path: sums[path] for path in sums if not re.search("^environment/|__pycache__", path)}
    del code["systemd/environment.installed"]  # what was set when it was built
    assert code == expected
    checked = project.inside(OTHER, "sha256sum", "--quiet", "--check", "SHA256SUMS")
    assert not checked


def test_labels_and_bill_of_materials(project: Project) -> None:
    """The code's version, an account that is not root, and each package of the locks with its version."""
    found = json.loads(project.podman.output("podman", "image", "inspect", IMAGE))[0]
    assert found["Labels"]["org.opencontainers.image.version"] == VERSION
    assert found["User"] == "10001:10001"
    bill = json.loads(project.inside(OTHER, "cat", "/usr/share/sbom/content-worker.cdx.json"))
    locks = "".join((ROOT / "locks" / f"{name}.txt").read_text("utf-8") for name in LOCKS)
    pinned = re.findall(r"^(\S+)==(\S+)", locks, re.MULTILINE)
    assert {each["purl"] for each in bill["components"]} == {f"pkg:pypi/{name}@{ver}" for name, ver in pinned}
    assert project.inside(OTHER, "content-worker", "--version") == f"Content Worker {VERSION}\n"


def test_every_queue_is_served_without_rights(project: Project) -> None:
    """Read-only, without capabilities or root: each queue answers, and the probes say so."""
    wait_until(
        lambda: project.run_inside(SERVICE, "content-worker", "health", "--timeout=60").returncode == 0,
        "all queues to answer",
    )
    assert project.inside(SERVICE, "content-worker", "alive", "--ready").startswith("ready, ")
    status = project.inside(SERVICE, "cat", "/proc/1/status")
    assert re.search(r"^Uid:\t10001\t10001\t10001\t10001$", status, re.MULTILINE)
    assert {*re.findall(r"^Cap\w+:\t(\w+)$", status, re.MULTILINE)} == {"0" * 16}
    assert "NoNewPrivs:\t1" in status
    assert project.run_inside(SERVICE, "touch", "/opt/content-worker/current/x").returncode == 1
    for name in project.podman.output("podman", "ps", "--format={{.Names}}").split():
        if not name.endswith("_beat_1"):
            check = ("podman", "healthcheck", "run", name)
            wait_until(partial(healthy, project, check), " ".join(check))


def healthy(project: Project, check: tuple[str, ...]) -> bool:
    """Whether a container's check of its health passes."""
    return project.podman.run(*check).returncode == 0


def test_metrics_have_a_port_on_this_machine(project: Project) -> None:
    """The page's command starts what needs a password, with that of the environment."""
    port, settings = free_port(), SETTINGS.metrics
    file = project.checkout / "deploy" / "compose.yaml"
    text = file.read_text("utf-8").replace(f'"127.0.0.1:{settings.port}:', f'"127.0.0.1:{port}:')
    file.write_text(text.replace(f'"127.0.0.1:{SETTINGS.flower.port}:', f'"127.0.0.1:{free_port()}:'))
    (command,) = [line for line in PAGE if "--profile" in line and " up " in line]
    project.type(command)

    def answer() -> tuple[int, str]:
        try:
            return ask(f"http://127.0.0.1:{port}/metrics", METRICS_LOGIN)
        except OSError:  # not yet
            return 0, ""

    wait_until(lambda: "contentworker_queue_slots{" in answer()[1], "metrics")
    assert ask(f"http://127.0.0.1:{port}/metrics")[0] == 401


def test_a_secret_may_be_a_file(project: Project, tmp_path: Path) -> None:
    """A file in /run/secrets is read as systemd's credentials are."""
    (tmp_path / "REDIS_URL").write_text("not an address")
    tmp_path.chmod(0o755)
    done = project.podman.run(*RUN, f"--volume={tmp_path}:/run/secrets:ro", IMAGE, "health")
    assert done.returncode == 1
    assert "REDIS_URL: " in done.stderr


def test_orphans_of_tasks_are_reaped(project: Project) -> None:
    """The worker is the first process, and its tasks' programs become its children."""

    def zombies() -> str:
        states = project.run_inside(SERVICE, "sh", "-c", "cat /proc/[0-9]*/status").stdout
        return "".join(re.findall(r"^State:\tZ.*$", states, re.MULTILINE))

    project.inside(SERVICE, "content-worker", "submit", "tasks.slow.leave_an_orphan", "--wait", str(PATIENCE))
    wait_until(zombies, "the orphan to end")
    wait_until(lambda: not zombies(), "it to be reaped")


def test_stop_finishes_what_runs(project: Project) -> None:
    """SIGTERM, which `stop` sends: the running task ends and its result is stored, then the worker ends."""
    said = project.inside(SERVICE, "content-worker", "submit", "tasks.slow.slow", "seconds=5")
    wait_until(lambda: not project.run_inside(SERVICE, "test", "-e", "/tmp/started").returncode, "its start")
    name = project.container(SERVICE)
    project.podman.output("podman", "stop", "--time", "120", name)
    assert project.podman.output("podman", "inspect", "--format={{.State.ExitCode}}", name) == "0\n"
    assert "finished" in project.inside(OTHER, "content-worker", "celery", "result", said.split()[-1])


def test_the_readme_runs_it_with_podman_alone(project: Project) -> None:
    """Its three lines: here the image is there already."""
    _, *commands = PODMAN_ONLY
    for command in commands:
        project.type(command)
    health = ("podman", "run", "--rm", "--pod", "content-worker", IMAGE, "health")
    wait_until(lambda: project.podman.run(*health).returncode == 0, "all queues of the pod to answer")


def test_the_page_stops_everything(project: Project) -> None:
    """And holds the commands that were run above, and two that build more than this machine can or needs."""
    assert PAGE[2] == f"{UP.partition(' up')[0]} exec {SERVICE} content-worker health"
    assert len(PAGE) - (PAGE[0] != BUILD) == 6
    project.type(PAGE[-1])
    assert not project.podman.output("podman", "ps", "--quiet", "--filter=label=io.podman.compose.project")
