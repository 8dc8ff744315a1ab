"""A worker for as long as a demonstration needs it."""

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

from contentworker import config

__all__ = ["run_worker"]


@contextmanager
def run_worker(app: str, *options: str, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run `celery -A APP worker OPTIONS`; print its log to stderr if it failed."""
    command = [sys.executable, "-m", "celery", "-A", app, "worker", "--without-mingle", "--without-gossip"]
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            [*command, *options],
            cwd=config.ROOT,
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,  # Ctrl-C reaches the demonstration alone, and that stops the worker
        )
        try:
            yield process
        finally:
            process.terminate()
            if process.wait() not in (0, -signal.SIGKILL):  # kill.py kills on purpose
                log.seek(0)
                sys.stderr.write(log.read().decode(errors="replace"))
