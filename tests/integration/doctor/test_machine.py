"""The doctor on machines with a limit reached or a full disk."""

import os
import re
from pathlib import Path

import pytest

from contentworker.doctor import machine
from tests.integration.doctor.machines import ask, in_namespace
from tests.support import environment


@pytest.mark.parametrize(
    ("limit", "name"),
    [
        pytest.param("max_inotify_watches", "watches", id="watches"),
        pytest.param("max_inotify_instances", "instances", id="instances"),
    ],
)
def test_no_inotify_left(limit: str, name: str) -> None:
    """A user who may watch nothing: which limit, and the line that raises it."""
    said = in_namespace(f"echo 0 > /proc/sys/user/{limit}", *ask("file events"))
    level, text, fix = said.splitlines()
    assert level == "wrong"
    assert text.startswith(
        f"no inotify {name} are left, so saving a file is not noticed; fs.inotify.max_user_{name}"
    )
    assert fix.startswith(f"echo fs.inotify.max_user_{name}=")
    assert fix.endswith(f" | sudo tee /etc/sysctl.d/60-inotify-{name}.conf && sudo sysctl --system")


def test_folders_are_watched_and_let_go(checkout: Path) -> None:
    """Enough is left on this machine, and no file stays open."""
    before = os.listdir("/dev/fd")
    assert machine.check_file_events(checkout, environment()).level == "ok"
    assert os.listdir("/dev/fd") == before


@pytest.mark.parametrize(
    ("size", "level"), [pytest.param("1m", "wrong", id="full"), pytest.param("500m", "note", id="nearly")]
)
def test_disk_is_full(tmp_path: Path, size: str, level: str) -> None:
    """What can be deleted is named, if it is there."""
    mount = f'mount -t tmpfs -o size={size} none "{tmp_path}"'
    said = in_namespace(mount, *ask("disk", str(tmp_path))).splitlines()
    assert said[0] == level
    assert re.fullmatch(r"\d+ MB free", said[1])
    assert said[2] == "delete what you do not need on this disk"
    said = in_namespace(f'{mount}; mkdir "{tmp_path}/.nox"', *ask("disk", str(tmp_path))).splitlines()
    assert said[0] == level
    assert said[2] == f"rm -r {tmp_path}/.nox"
