"""What pool processes know of their worker's lease."""

import os
from pathlib import Path

from celery import Celery

from contentworker.runtime.transport.validity import Validity, now
from tests.support import PATIENCE, StartWorker, executions


def test_renewal_is_never_seen_half_done() -> None:
    """Another process sees a lease that stands at every instant, however often it is renewed meanwhile."""
    validity = Validity()
    validity.extend(now() + 1000)
    reader = os.fork()
    if not reader:
        os._exit(0 if all(validity.covers(0) for _ in range(100_000)) else 1)
    while not (ended := os.waitpid(reader, os.WNOHANG))[0]:
        validity.extend(now() + 1000)
    assert ended[1] == 0


def test_doubt_loses_no_task(worker: StartWorker, client: Celery, tmp_path: Path) -> None:
    """A pool process that takes the lease for over gives the message back; it is run after all."""
    doubted = tmp_path / "doubted"
    worker("--queues=celery", app="doubting_worker.celery_app", DOUBTED=str(doubted))
    sent = client.send_task("probe.base.fail_until", kwargs={"folder": str(tmp_path), "times": 0})
    assert sent.get(timeout=PATIENCE) == 1
    assert doubted.exists()
    assert len(executions(tmp_path)) == 1
