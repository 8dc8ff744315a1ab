"""Celery's own smoke tests, on this project's worker and Redis."""

from pathlib import Path
from typing import Any

import pytest
from pytest_celery import CeleryTestSetup

from tests.support import PATIENCE, executions, wait_until

pytestmark = pytest.mark.every_python


def serves(setup: CeleryTestSetup) -> bool:
    found = setup.app.send_task("tasks.health_check").get(timeout=PATIENCE)
    return bool(found["status"] == "ok")


def test_ping(celery_setup: CeleryTestSetup) -> None:
    """Broker, backend and both workers are up, and each worker answers."""
    assert celery_setup.ready(ping=False, control=False, docker=False)

    def answered() -> bool:  # one that is busy may miss a second
        answers = celery_setup.app.control.ping(timeout=1)
        return {name.split("@")[0] for answer in answers for name in answer} == {"first", "second"}

    wait_until(answered, "the answers of both workers")
    assert serves(celery_setup)


def test_one_of_two_workers_is_killed(celery_setup: CeleryTestSetup) -> None:
    """The other one serves; started again, the first one serves as well."""
    first, second = celery_setup.worker_cluster
    first.kill()
    assert first.container.status == "exited"
    assert serves(celery_setup)
    first.restart()
    second.kill()
    assert serves(celery_setup)


def test_worker_restarts_warmly(celery_setup: CeleryTestSetup, tmp_path: Path) -> None:
    """SIGTERM and a new start: what was sent meanwhile is run."""
    first, second = celery_setup.worker_cluster
    second.kill("SIGTERM")
    first.kill("SIGTERM")
    sent = celery_setup.app.send_task("probe.base.fail_until", kwargs={"folder": str(tmp_path), "times": 0})
    first.restart()
    assert sent.get(timeout=PATIENCE) == 1
    assert len(executions(tmp_path)) == 1


def test_broker_restarts(celery_setup: CeleryTestSetup) -> None:
    """Redis is killed and started again; both workers come back by themselves."""

    def connections(worker: Any) -> int:
        return int(worker.logs().count("Connected to redis://"))

    before = [(worker, connections(worker)) for worker in celery_setup.worker_cluster]
    celery_setup.broker.kill()
    celery_setup.broker.restart()
    for worker, number in before:
        wait_until(lambda: connections(worker) > number, "the reconnection")  # noqa: B023 (called here)
        assert worker.container.status == "running"
