"""The probe's application, and a task that tries what a sandbox refuses: `-A sandbox_worker.celery_app`."""

import mmap
import os
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

from celery import shared_task
from probe_worker import celery_app

from tasks.base import BaseTask

__all__ = ["celery_app"]

OUTSIDE = ("192.0.2.1", 9)


def _send_outside() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.sendto(b"", OUTSIDE)


def _set_user_bit() -> None:
    path = Path(os.environ["STATE_DIRECTORY"], "program")
    path.touch()
    path.chmod(0o4755)


def _writable_code() -> None:
    mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC).close()


ATTEMPTS: dict[str, Callable[[], Any]] = {
    "change the code": lambda: Path("worker.toml").touch(),
    "change the system": lambda: Path("/usr/local/bin/program").touch(),
    "change the configuration": lambda: Path("/etc/content-worker/environment").touch(),
    "write into /var": lambda: Path("/var/lib/file").touch(),
    "write into /home": lambda: Path("/home/file").touch(),
    "look into /root": lambda: os.listdir("/root"),
    "read the secrets of others": lambda: os.listdir("/etc/content-worker/credentials"),
    "read the files of Redis": lambda: os.listdir("/var/lib/content-worker-redis"),
    "read what others have in /tmp": lambda: Path("/tmp/file").read_text(),
    "see other processes": lambda: Path("/proc/1/status").read_text(),
    "see the kernel's settings": lambda: Path("/proc/sys/kernel/hostname").read_text(),
    "open a device": lambda: os.open("/dev/kmsg", os.O_RDONLY),
    "open a raw socket": lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP),
    "open a packet socket": lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW),
    "open a netlink socket": lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW),
    "make a namespace": lambda: subprocess.run(
        ["unshare", "--user", "true"], check=True, capture_output=True
    ),
    "mount": lambda: subprocess.run(["mount", "-t", "tmpfs", "x", "/mnt"], check=True, capture_output=True),
    "change the hostname": lambda: socket.sethostname("other"),
    "become root": lambda: os.setuid(0),
    "be more important": lambda: os.setpriority(os.PRIO_PROCESS, 0, -5),
    "make a program that runs as its owner": _set_user_bit,
    "run what it wrote into memory": _writable_code,
    "reach another address": _send_outside,
}


def _outcome(attempt: Callable[[], Any]) -> str:
    try:
        attempt()
    except (OSError, subprocess.CalledProcessError) as error:
        return f"refused: {error}"
    return "done"


@shared_task(base=BaseTask, name="probe.sandbox.attempt")
def attempt() -> dict[str, str]:
    return {what: _outcome(attempt) for what, attempt in ATTEMPTS.items()}


@shared_task(base=BaseTask, name="probe.sandbox.keep")
def keep(name: str, text: str) -> None:
    Path(os.environ["STATE_DIRECTORY"], name).write_text(text, "utf-8")
