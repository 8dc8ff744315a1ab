"""Podman with storage of its own, and base images made of Debian's packages: no image registry is needed.

Podman keeps its images and layers in `folder` for the next run, and what runs in `RUNNING`.
"""

import fcntl
import os
import re
import shutil
import subprocess
import tempfile
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support import ROOT, service_is_missing

__all__ = [
    "AGE_SECONDS",
    "BASES",
    "MOST_SECONDS",
    "STORAGE_CONF",
    "Podman",
    "base_archive",
    "locked",
    "require",
    "unmount",
]

BASES = ROOT / ".nox" / "_base-images"
AGE_SECONDS = 7 * 86_400
"""Age at which a base image is made again, with Debian's security fixes."""
MOST_SECONDS = 900

CONTAINERS_CONF = """\
[containers]
default_ulimits = ["nofile=20000:20000", "nproc=20000:20000"]  # more than these cannot be had everywhere
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
lock_type = "file"
runtime = "runc"  # crun refuses a machine with control groups of both versions
static_dir = "{folder}/static"
tmp_dir = "{running}/tmp"
volume_path = "{folder}/volumes"
[network]
network_backend = "netavark"
network_config_dir = "{running}/networks"
"""
STORAGE_CONF = """\
[storage]
driver = "overlay"
graphroot = "{folder}/storage"
runroot = "{running}/run"
"""


def require(*programs: str) -> None:
    """Skip the test where a program is missing; in CI it fails."""
    for program in programs:
        places = (Path(folder, program) for folder in ("/usr/lib/podman", "/usr/libexec/podman"))
        if not (shutil.which(program) or any(place.exists() for place in places)):
            service_is_missing(program)
    if os.geteuid() != 0:
        service_is_missing("root, who may make a base image")


@contextmanager
def locked(file: Path) -> Iterator[None]:
    """Let no other process have this lock at the same time."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def base_archive(image: str) -> Path:
    """The archive of a base image such as `debian:trixie-slim`, as the published one has it."""
    suite = re.fullmatch(r"debian:(\w+)-slim", image)
    assert suite
    archive, new = BASES / f"{suite[1]}.tar", BASES / f"{suite[1]}.new.tar"
    with locked(BASES / "lock"):
        if archive.exists() and time.time() - archive.stat().st_mtime < AGE_SECONDS:
            return archive
        certificates = "/etc/ssl/certs/ca-certificates.crt"  # those of this machine may be more
        # No manuals, and no fsync for each file of a package.
        options = ("force-unsafe-io", "path-exclude=/usr/share/man/*", "path-exclude=/usr/share/locale/*")
        command = [
            *("mmdebstrap", "--quiet", "--variant=minbase", "--include=ca-certificates"),
            *(f"--dpkgopt={option}" for option in options),
            *(f"--customize-hook=upload {certificates} {certificates}", suite[1], str(new)),
        ]
        subprocess.run(command, check=True, capture_output=True, timeout=MOST_SECONDS)
        new.rename(archive)
    return archive


def unmount(*folders: Path) -> None:
    """Take away every mount below these folders."""
    mounts = [Path(line.split()[1]) for line in Path("/proc/self/mounts").read_text().splitlines()]
    for mount in reversed(mounts):
        is_ours = any(mount.is_relative_to(folder) for folder in folders)
        if is_ours and mount.is_mount():  # podman may take one away with the other
            subprocess.run(["umount", mount], check=True)


class Podman:
    """Podman, with its storage in `folder`. Nobody else may use that at the same time."""

    def __init__(self, folder: Path, work: Path) -> None:
        self.folder, self.work = folder, work
        # Podman takes at most 50 bytes, and the same path each time.
        self.running = Path(tempfile.gettempdir(), f"podman-{zlib.crc32(bytes(folder)):08x}")
        shutil.rmtree(self.running, ignore_errors=True)
        for name, text in (("containers.conf", CONTAINERS_CONF), ("storage.conf", STORAGE_CONF)):
            (work / name).write_text(text.format(folder=folder, running=self.running), "utf-8")
        self.env = {
            **os.environ,
            "CONTAINERS_CONF": str(work / "containers.conf"),
            "CONTAINERS_STORAGE_CONF": str(work / "storage.conf"),
            "TMPDIR": str(folder),  # where Podman keeps the caches of builds
        }

    def run(
        self, *command: str | Path, cwd: Path = ROOT, seconds: int = MOST_SECONDS
    ) -> subprocess.CompletedProcess[str]:
        """Run a command with this Podman."""
        return subprocess.run(
            command,
            cwd=cwd,
            env=self.env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )

    def output(self, *command: str | Path, cwd: Path = ROOT) -> str:
        """What a command prints, which must succeed."""
        done = self.run(*command, cwd=cwd)
        assert done.returncode == 0, f"{done.stdout[-5000:]}\n{done.stderr[-5000:]}"
        return done.stdout

    def remove_what_runs(self) -> None:
        """Leave no process, no network and no mount; images stay."""
        # The pods of podman-compose first: a container that others depend on is not removed alone.
        left = [
            self.run("podman", "pod", "rm", "--all", "--force", "--time", "0"),
            self.run("podman", "rm", "--all", "--force", "--time", "0", "--volumes", "--depend"),
            self.run("podman", "volume", "prune", "--force"),
            self.run("podman", "network", "prune", "--force"),
        ]
        unmount(self.folder, self.running)
        shutil.rmtree(self.running, ignore_errors=True)
        assert [each.stderr for each in left if each.returncode] == []
