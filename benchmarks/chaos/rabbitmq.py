"""A RabbitMQ of a run's own: Debian's server under a private node name, ports and folder."""

import os
import shutil
import subprocess
from pathlib import Path

from kombu import Connection

from benchmarks.chaos.processes import ChaosError, Process, free_port, wait_until

__all__ = ["RabbitMQ"]

# Debian's /usr/sbin/rabbitmq-server changes to another user, who may not write to our folder.
BINARIES = Path("/usr/lib/rabbitmq/bin")


class RabbitMQ:
    """See `benchmarks.chaos.brokers.Broker`."""

    kind = "rabbitmq"

    def __init__(self, folder: Path) -> None:
        if not (BINARIES / "rabbitmq-server").exists() or not shutil.which("epmd"):
            raise ChaosError("needs Debian's package rabbitmq-server")
        folder.mkdir(parents=True)
        self.port, epmd_port = free_port(), free_port()
        (folder / "plugins").write_text("[].")
        (folder / "conf").write_text("")
        env = {
            **os.environ,
            "HOME": str(folder),  # of the cookie
            "RABBITMQ_NODENAME": f"chaos{self.port}@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_DIST_PORT": str(free_port()),
            "RABBITMQ_MNESIA_BASE": str(folder / "data"),
            "RABBITMQ_LOG_BASE": str(folder),
            "RABBITMQ_PID_FILE": str(folder / "pid"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "plugins"),
            "RABBITMQ_CONFIG_FILE": str(folder / "conf"),
            "ERL_EPMD_PORT": str(epmd_port),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "LC_ALL": "C.UTF-8",
        }
        self._folder, self._env = folder, env
        # Started here: one that the server starts would stay behind.
        self._epmd = Process(["epmd", "-port", str(epmd_port)], folder / "epmd.log", env, folder)
        self.process = Process([str(BINARIES / "rabbitmq-server")], folder / "log", env, folder)

    @property
    def url(self) -> str:
        return f"amqp://guest:guest@127.0.0.1:{self.port}//"

    def start(self) -> None:
        if not self._epmd.is_alive:
            self._epmd.start()
        self.process.start()
        wait_until(lambda: self._serves() or not self.process.is_alive, "RabbitMQ serves", 90)
        if not self.process.is_alive:
            raise ChaosError(self.process.log_file.read_text())

    def stop(self) -> None:
        self.process.stop()
        self._epmd.stop()

    def drop_clients(self) -> None:
        self._control("close_all_connections", "chaos")

    def fill(self) -> None:
        # Its counterpart of a full Redis: publishers are blocked, consumers are not.
        self._control("set_vm_memory_high_watermark", "0.000001")

    def release(self) -> None:
        self._control("set_vm_memory_high_watermark", "0.4")

    def remaining(self) -> dict[str, str]:
        """Takes every message; only once no worker is left."""
        found: dict[str, str] = {}
        with Connection(self.url) as connection:
            for name in self._control("-q", "list_queues", "name").split():
                if name != "celery" and not name.startswith("celery_delayed_"):
                    continue
                channel = connection.channel()
                while message := channel.basic_get(name):
                    found[str(message.headers["id"])] = "queued" if name == "celery" else "delayed"
        return found

    def version(self) -> str:
        return "RabbitMQ " + self._control("-q", "version").strip()

    def _serves(self) -> bool:
        try:
            with Connection(self.url, connect_timeout=2) as connection:
                connection.connect()
                return True
        except (OSError, ConnectionError):
            return False

    def _control(self, *arguments: str) -> str:
        command = [str(BINARIES / "rabbitmqctl"), *arguments]
        return subprocess.run(
            command, env=self._env, capture_output=True, text=True, timeout=60, check=True
        ).stdout
