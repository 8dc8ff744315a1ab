"""pytest-celery on local processes: its nodes wrap a process where they expect a container, so no Docker."""

import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from celery import Celery
from pytest_celery import *  # noqa: F403 -- its fixtures; as a plugin it would slow down every test run
from pytest_celery import (
    CeleryBackendCluster,
    CeleryBrokerCluster,
    CeleryTestContainer,
    CeleryTestWorker,
    CeleryWorkerCluster,
    RedisTestBackend,
    RedisTestBroker,
)

from tests.support import PROBE_APP, Process, RedisProcess, Worker, client_of


class ProcessContainer(CeleryTestContainer):
    """As much of a Docker container as pytest-celery asks for."""

    def __init__(self, process: Process, ready_prompt: str) -> None:
        self.process = process
        self._ready_prompt = ready_prompt

    @property
    def name(self) -> str:
        return self.process.folder.name

    id = name

    @property
    def ready_prompt(self) -> str:
        return self._ready_prompt

    @property
    def status(self) -> str:
        return "running" if self.process.is_alive else "exited"

    @property
    def celeryconfig(self) -> dict[str, Any]:
        url = self.process.url if isinstance(self.process, RedisProcess) else ""
        return {"url": url, "host_url": url}

    def ready(self) -> bool:
        self.process.wait_for_log(self._ready_prompt)
        return True

    def logs(self) -> str:
        return self.process.log()

    def reload(self) -> None:
        """A process is as it is."""

    def kill(self, signal: str | int = signal.SIGKILL) -> None:
        self.process.kill(_signal(signal), group=_signal(signal) == _signal("SIGKILL"))
        self.process.wait()

    def restart(self, timeout: float | None = None) -> None:
        if self.process.is_alive:
            self.kill("SIGTERM")
        self.process.start()
        self.ready()

    def teardown(self) -> None:
        self.process.stop()


def _signal(value: str | int) -> signal.Signals:
    return signal.Signals[value] if isinstance(value, str) else signal.Signals(value)


@pytest.fixture
def redis_container(tmp_path: Path) -> Iterator[ProcessContainer]:
    """One Redis, for messages and results."""
    container = ProcessContainer(
        RedisProcess(tmp_path / "redis", durable=True), "Ready to accept connections"
    )
    container.ready()
    yield container
    container.teardown()


@pytest.fixture
def celery_broker_cluster(redis_container: ProcessContainer) -> CeleryBrokerCluster:
    """The fixture of pytest-celery."""
    return CeleryBrokerCluster(RedisTestBroker(redis_container))


@pytest.fixture
def celery_backend_cluster(redis_container: ProcessContainer) -> CeleryBackendCluster:
    """The fixture of pytest-celery."""
    return CeleryBackendCluster(RedisTestBackend(redis_container))


@pytest.fixture
def celery_setup_app(redis_container: ProcessContainer) -> Iterator[Celery]:
    """The client's side: our own application."""
    with client_of(redis_container.celeryconfig["url"]) as app:
        yield app


@pytest.fixture
def celery_worker_cluster(
    redis_container: ProcessContainer, celery_setup_app: Celery, tmp_path: Path
) -> Iterator[CeleryWorkerCluster]:
    """Two workers of the real command."""
    url = redis_container.celeryconfig["url"]
    nodes = []
    for name in ("first", "second"):
        process = Worker(url, tmp_path / name, "--queues=celery", f"--hostname={name}@%h", app=PROBE_APP)
        nodes.append(CeleryTestWorker(ProcessContainer(process, " ready."), celery_setup_app))
    for node in nodes:
        node.ready()
    yield CeleryWorkerCluster(*nodes)
    for node in nodes:
        node.teardown()
