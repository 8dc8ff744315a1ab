"""A PostgreSQL of the test's own, on a port of loopback."""

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support import Process, free_port, service_is_missing, wait_until

DEBIAN = "/usr/lib/postgresql"


class Postgres(Process):
    """A server that can be stopped and started again."""

    def __init__(self, folder: Path) -> None:
        binaries = _binaries()
        self.port = free_port()
        self._is_ready = str(binaries / "pg_isready")
        # As root it refuses to work.
        self._as = []
        if os.geteuid() == 0:
            try:
                pwd.getpwnam("postgres")
            except KeyError:
                service_is_missing("the user postgres")
            self._as = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]
        # Not below pytest's folder, which is its user's alone.
        self.data = data = Path(tempfile.mkdtemp(prefix="contentworker-postgres-"))
        if self._as:
            shutil.chown(data, "postgres", "postgres")
        initdb = [*self._as, str(binaries / "initdb"), "-D", str(data), "-U", "postgres"]
        initdb += ["-A", "trust", "--no-sync"]
        done = subprocess.run(initdb, capture_output=True, text=True, check=False, cwd="/")
        if done.returncode:
            shutil.rmtree(data)
            pytest.fail(done.stderr)
        options = ["-c", "fsync=off", "-c", "unix_socket_directories=", "-h", "127.0.0.1"]
        command = [*self._as, str(binaries / "postgres"), "-D", str(data), "-p", str(self.port), *options]
        super().__init__(command, folder, os.environ, cwd=Path("/"))

    @property
    def url(self) -> str:
        return f"postgres://postgres@127.0.0.1:{self.port}/postgres"

    def ready(self) -> "Postgres":
        probe = [self._is_ready, "-q", "-h", "127.0.0.1", "-p", str(self.port)]
        wait_until(lambda: subprocess.run(probe, check=False).returncode == 0, f"PostgreSQL: {self.log_file}")
        return self


def _binaries() -> Path:
    if found := shutil.which("initdb"):
        return Path(found).resolve().parent
    versions = sorted(Path(DEBIAN).glob("*/bin/initdb"))
    if not versions:
        service_is_missing("PostgreSQL")
    return versions[-1].parent


@contextmanager
def postgres(folder: Path) -> Iterator[Postgres]:
    """One that answers, and is gone in the end."""
    server = Postgres(folder)
    try:
        yield server.ready()
    finally:
        server.stop()
        shutil.rmtree(server.data)
