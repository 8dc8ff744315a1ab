"""The machine: its platform, its file events, its disk."""

import ctypes
import errno
import os
import platform
import re
import shlex
import shutil
import sys
from pathlib import Path

from contentworker.doctor import ask
from contentworker.doctor.ask import Environ, Finding

__all__ = ["check_disk", "check_file_events", "check_platform", "file_system", "platform_finding"]

INOTIFY_MODIFY = 2  # <sys/inotify.h>
DISK_WRONG_BYTES = 200e6  # less has no room for more than .venv
DISK_NOTE_BYTES = 1e9  # less has no room for the environments of all sessions
REMOTE_FILE_SYSTEMS = {"nfs", "nfs4", "cifs", "smb3", "vboxsf", "virtiofs", "fuse.sshfs"}
WINDOWS_FILE_SYSTEMS = {"9p", "drvfs"}
"""What a Windows drive is in WSL 2 and in WSL 1."""


def check_platform(root: Path, environ: Environ) -> Finding:
    """Which platform this is, and whether saving a file here gives an event."""
    kernel = ask.text(Path("/proc/version"))
    mounts = ask.text(Path("/proc/mounts"))
    marks = {"docker": "/.dockerenv", "podman": "/run/.containerenv"}
    container = environ.get("container") or next((name for name in marks if Path(marks[name]).exists()), "")
    return platform_finding(sys.platform, kernel, file_system(root, mounts), container, root)


def platform_finding(system: str, kernel: str, file_system: str, container: str, root: Path) -> Finding:
    """What to say about a platform, by /proc/version, the checkout's file system and the container."""
    if system == "win32":
        return Finding("wrong", "Windows: workers and the local Redis need WSL", "wsl --install")
    if system == "darwin":
        return Finding("ok", f"macOS, {platform.machine()}")
    wsl = "microsoft" in kernel.lower()
    where = f"Linux{' in WSL' if wsl else ''}, {platform.machine()}"
    where += f", in a container ({container})" if container else ""
    if wsl and file_system in WINDOWS_FILE_SYSTEMS:
        clone = f"git clone {shlex.quote(str(root))} ~/content-worker"
        text = f"{where}; the checkout is on a Windows drive, where saving gives no events"
        return Finding("wrong", text, clone)
    if file_system in REMOTE_FILE_SYSTEMS:
        text = f"{where}; the checkout is on {file_system}: files saved on another machine give no events"
        return Finding("note", text, "save on this machine, or restart the worker after saving")
    return Finding("ok", where)


def file_system(path: Path, mounts: str) -> str:
    """The type of the file system that a path is on, by the text of /proc/mounts; empty if unknown."""
    best, kind = -1, ""
    for line in mounts.strip().splitlines():
        fields = [re.sub(r"\\(\d{3})", lambda octal: chr(int(octal[1], 8)), part) for part in line.split()]
        if path.is_relative_to(fields[1]) and len(fields[1]) >= best:
            best, kind = len(fields[1]), fields[2]
    return kind


def check_file_events(root: Path, _environ: Environ) -> Finding:
    """Whether a reloading worker notices saved files; tries to watch every folder, for a moment."""
    if sys.platform != "linux":
        return Finding("ok", "this system needs no watch for each folder")
    problem = _watch_problem(root)
    if problem is None:
        return Finding("ok", "saving a file is noticed")
    limits = {errno.ENOSPC: ("watches", 1_048_576), errno.EMFILE: ("instances", 1024)}
    if problem.errno not in limits:
        raise problem
    name, enough = limits[problem.errno]
    setting = f"fs.inotify.max_user_{name}"
    limit = ask.text(Path("/proc/sys", setting.replace(".", "/"))).strip()
    return Finding(
        "wrong",
        f"no inotify {name} are left, so saving a file is not noticed; {setting} is {limit} (containers have "
        "the limit of their host)",
        f"echo {setting}={enough} | sudo tee /etc/sysctl.d/60-inotify-{name}.conf && sudo sysctl --system",
    )


def _watch_problem(root: Path) -> OSError | None:
    """Why the reloader could not watch every folder. Without watchdog: it may be what is missing."""
    libc = ctypes.CDLL(None, use_errno=True)
    descriptor = libc.inotify_init()
    if descriptor < 0:
        return OSError(ctypes.get_errno(), "inotify_init")
    try:
        for folder, _, _ in os.walk(root):
            if libc.inotify_add_watch(descriptor, os.fsencode(folder), INOTIFY_MODIFY) < 0:
                if (number := ctypes.get_errno()) in (errno.ENOENT, errno.ENOTDIR, errno.EACCES):
                    continue  # just deleted, or not readable
                return OSError(number, f"inotify_add_watch {folder}")
    finally:
        os.close(descriptor)
    return None


def check_disk(root: Path, _environ: Environ) -> Finding:
    """Whether there is room for environments and Redis' append-only file."""
    free_bytes = shutil.disk_usage(root).free
    text = f"{free_bytes / 1e6:,.0f} MB free"
    if free_bytes >= DISK_NOTE_BYTES:
        return Finding("ok", text)
    caches = root / ".nox"
    fix = "delete what you do not need on this disk"
    if caches.exists():
        text += "; sessions rebuild .nox when they need it"
        fix = f"rm -r {shlex.quote(str(caches))}"
    return Finding("wrong" if free_bytes < DISK_WRONG_BYTES else "note", text, fix)
