"""Applies a plan in a process that is killed at the n-th change of the file system."""

import os
import shutil
import signal
from typing import Any

from contentworker.installer.apply import apply
from contentworker.installer.plan import Plan

CALLS = ("link", "mkdir", "rename", "replace", "rmdir", "symlink", "unlink")
"""The functions of `os` that place or remove something; `open` is counted if it creates a file."""


def run(plan: str, step: int, path: str) -> None:
    """Apply a plan with the programs of a PATH; be killed at the change with this number."""
    left = step

    def counted(call: Any, counts: Any = lambda *_: True) -> Any:
        def wrapper(*arguments: Any, **options: Any) -> Any:
            nonlocal left
            if counts(*arguments):
                left -= 1
                if left < 0:
                    os.kill(os.getpid(), signal.SIGKILL)
            return call(*arguments, **options)

        return wrapper

    os.environ["PATH"] = path
    for name in CALLS:
        setattr(os, name, counted(getattr(os, name)))
    os.open = counted(os.open, lambda _, flags=0, *__: flags & os.O_CREAT)
    shutil.copyfile = counted(shutil.copyfile)
    os.sync = lambda: None
    os.fsync = lambda fd: None
    apply(Plan.of(plan), lambda _: None)
