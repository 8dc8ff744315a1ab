"""A PostgreSQL of a run's own with PGMQ's functions, for kombu's transport of that name.

`PGMQ_SQL` names the file pgmq.sql of github.com/pgmq/pgmq: it works without being installed as an extension.
"""

import os
import pwd
import shutil
import tempfile
import time
from pathlib import Path

import psycopg

from benchmarks.chaos.processes import ChaosError, Process, free_port, wait_until

__all__ = ["PGMQ"]

DEBIAN = "/usr/lib/postgresql"
MESSAGES = "SELECT message -> 'headers' ->> 'id', vt > clock_timestamp(), read_ct > 0 FROM pgmq.q_celery"


class PGMQ:
    """See `benchmarks.chaos.brokers.Broker`."""

    kind = "pgmq"

    def __init__(self, folder: Path) -> None:
        programs = sorted(Path(DEBIAN).glob("*/bin"))
        sql = os.environ.get("PGMQ_SQL")
        if not programs or not sql:
            raise ChaosError("needs PostgreSQL (Debian: postgresql), and in PGMQ_SQL the path of pgmq.sql")
        folder.mkdir(parents=True, exist_ok=True)
        self._sql, self._folder, self._binaries = Path(sql), folder, programs[-1]
        self.port = free_port()
        self._data = Path(tempfile.mkdtemp(prefix="chaos-pgmq-"))
        self._user: list[str] = []
        if os.geteuid() == 0:  # as root it refuses to work
            pwd.getpwnam("postgres")
            shutil.chown(self._data, "postgres", "postgres")
            self._user = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]
        options = ["-c", "unix_socket_directories=", "-h", "127.0.0.1", "-p", str(self.port)]
        command = [*self._user, str(self._binaries / "postgres"), "-D", str(self._data), *options]
        self.process = Process(command, folder / "log", os.environ, Path("/"))
        self._is_new = True

    @property
    def url(self) -> str:
        return f"pgmq://postgres:@127.0.0.1:{self.port}/postgres"

    def start(self) -> None:
        if self._is_new:
            arguments = ["-D", str(self._data), "-U", "postgres", "-A", "trust"]
            command = [*self._user, str(self._binaries / "initdb"), *arguments]
            made = Process(command, self._folder / "initdb.log", os.environ, Path("/"))
            made.start()
            wait_until(lambda: not made.is_alive, "initdb", 120)
        wait_until(self._serves, "PostgreSQL serves", 120)
        if self._is_new:
            with self._connect() as connection:
                connection.execute("CREATE SCHEMA IF NOT EXISTS pgmq")
                connection.execute(self._sql.read_bytes())
        self._is_new = False

    def stop(self) -> None:
        self.process.stop()
        time.sleep(0.2)  # its processes notice that it is gone
        shutil.rmtree(self._data, ignore_errors=True)

    def drop_clients(self) -> None:
        with self._connect() as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
            )

    def fill(self) -> None:
        raise ChaosError("a full disk is no fault that can be done here")

    def release(self) -> None:
        """Nothing was filled."""

    def remaining(self) -> dict[str, str]:
        with self._connect() as connection:
            rows = connection.execute(MESSAGES).fetchall()
        return {name: "held" if is_hidden and was_read else "queued" for name, is_hidden, was_read in rows}

    def version(self) -> str:
        with self._connect() as connection:
            row = connection.execute("SHOW server_version").fetchone()
        return f"PostgreSQL {row[0].split()[0] if row else ''}"

    def _serves(self) -> bool:
        """Start it if it does not run: after a kill the memory of the former one is in use for a moment."""
        if not self.process.is_alive:
            self.process.start()
            time.sleep(0.5)
        try:
            self._connect().close()
        except psycopg.OperationalError:
            return False
        return True

    def _connect(self) -> psycopg.Connection:
        return psycopg.connect(
            host="127.0.0.1", port=self.port, user="postgres", dbname="postgres", autocommit=True
        )
