"""The tasks of a run, and the Celery application they belong to: `-A benchmarks.chaos.worker_app:app`.

With `CHAOS_CONFIG` (JSON) it is plain Celery with that configuration; without, it is this project's own.
Imports nothing of the project in the first case, since a peer may run on another interpreter.
"""

import importlib
import json
import logging
import os
from datetime import datetime
from typing import Any

from celery import Celery, Task
from celery.schedules import schedule

from benchmarks.chaos import crash_points
from benchmarks.chaos.records import EVERY_SECONDS, MOMENT, perform

__all__ = ["LIMITED", "app"]

LIMITED = "tasks.maintenance.chaos"
SCHEDULED = "chaos.scheduled"


def _work(self: Task, seconds: float, *, fail: bool) -> None:
    fails_now = fail and self.request.retries == 0
    perform(os.environ["CHAOS_JOURNAL"], self.request.id, seconds, fail=fails_now)


def _work_for(self: Task, key: str, seconds: float, *, fail: bool) -> None:  # noqa: ARG001 (what it is unique by)
    _work(self, seconds, fail=fail)


def _note_moment(self: Task) -> None:
    """Record when the beat sent this, in the name of the execution."""
    sent_at = datetime.fromisoformat(self.request.sent_at).timestamp()
    perform(os.environ["CHAOS_JOURNAL"], f"{MOMENT}{sent_at:.3f}/{self.request.id}", 0.001, fail=False)


def _plain(configuration: dict[str, Any]) -> tuple[Celery, dict[str, dict[str, Any]]]:
    for module in configuration.pop("imports_first", ()):
        importlib.import_module(module)
    celery = Celery("peer")
    celery.conf.update(configuration)
    again = {"autoretry_for": (Exception,), "default_retry_delay": 1}
    # The nearest thing that Celery has to "at most once".
    once = {"acks_late": False, "reject_on_worker_lost": False, "max_retries": 0}
    return celery, {
        "base": {**again, "max_retries": 3},
        "idempotent": {**again, "max_retries": 5},
        "critical": once,
    }


def _ours() -> tuple[Celery, dict[str, dict[str, Any]]]:
    from celery_worker import celery_app
    from tasks.base import BaseTask, CriticalTask, IdempotentTask

    if point := os.environ.get("CONTENTWORKER_TRANSPORT_CRASH_AT"):
        crash_points.arm(point)
    if os.environ.get("CHAOS_FAR_APART"):
        from contentworker.runtime.transport import processes

        processes.has_ended = lambda name: False  # noqa: ARG005 (as the original)
    kinds = {"base": BaseTask, "idempotent": IdempotentTask, "critical": CriticalTask}
    once = {"key": ["key"], "while": "ttl", "seconds": 86_400}
    for kind, unique in (("once", once), ("alone", {"key": ["key"], "while": "running"})):
        celery_app.task(bind=True, name=f"chaos.{kind}", base=BaseTask, unique=unique)(_work_for)
    celery_app.task(bind=True, name=LIMITED, base=BaseTask)(_work_for)
    celery_app.task(bind=True, name=SCHEDULED, base=BaseTask)(_note_moment)
    celery_app.conf.beat_schedule["chaos"] = {"task": SCHEDULED, "schedule": schedule(EVERY_SECONDS)}
    return celery_app, {kind: {"base": base} for kind, base in kinds.items()}


_given = os.environ.get("CHAOS_CONFIG")
app, _kinds = _plain(json.loads(_given)) if _given else _ours()
if os.environ.get("CHAOS_QUIET"):  # as in services: no line for each task
    for _name in ("celery.app.trace", "celery.worker.strategy"):
        logging.getLogger(_name).setLevel(logging.WARNING)
if _seconds := os.environ.get("CHAOS_SOFT_SHUTDOWN_SECONDS"):
    app.conf.worker_soft_shutdown_timeout = float(_seconds)


for _kind, _options in _kinds.items():
    app.task(bind=True, name=f"chaos.{_kind}", **_options)(_work)
