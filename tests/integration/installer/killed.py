"""Does a plan and is killed at the n-th change of the file system: `python killed.py N <plan`."""

import os
import shutil
import signal
import sys
from typing import Any

from contentworker.installer.apply import apply
from contentworker.installer.plan import Plan

CALLS = ("link", "mkdir", "rename", "replace", "rmdir", "symlink", "unlink")
"""Of `os`, what places or removes something; `open` is counted where it creates."""


def main() -> None:
    left = int(sys.argv[1])

    def counted(call: Any, counts: Any = lambda *_: True) -> Any:
        def wrapper(*arguments: Any, **options: Any) -> Any:
            nonlocal left
            if counts(*arguments):
                left -= 1
                if left < 0:
                    os.kill(os.getpid(), signal.SIGKILL)
            return call(*arguments, **options)

        return wrapper

    for name in CALLS:
        setattr(os, name, counted(getattr(os, name)))
    os.open = counted(os.open, lambda _, flags=0, *__: flags & os.O_CREAT)
    shutil.copyfile = counted(shutil.copyfile)
    os.sync = lambda: None
    os.fsync = lambda _: None
    apply(Plan.of(sys.stdin.read()), lambda _: None)


if __name__ == "__main__":
    main()
