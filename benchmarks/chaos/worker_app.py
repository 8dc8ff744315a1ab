"""The tasks of a run, and the Celery application they belong to: `-A benchmarks.chaos.worker_app:app`.

With `CHAOS_CONFIG` (JSON) it is plain Celery with that configuration; without, it is this project's own.
Imports nothing of the project in the first case, since a peer may run on another interpreter.
"""

import importlib
import json
import os
from typing import Any

from celery import Celery, Task

from benchmarks.chaos import crash_points
from benchmarks.chaos.records import perform

__all__ = ["app"]


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
    return celery_app, {kind: {"base": base} for kind, base in kinds.items()}


_given = os.environ.get("CHAOS_CONFIG")
app, _kinds = _plain(json.loads(_given)) if _given else _ours()
if _seconds := os.environ.get("CHAOS_SOFT_SHUTDOWN_SECONDS"):
    app.conf.worker_soft_shutdown_timeout = float(_seconds)


def _work(self: Task, seconds: float, *, fail: bool) -> None:
    fails_now = fail and self.request.retries == 0
    perform(os.environ["CHAOS_JOURNAL"], self.request.id, seconds, fail=fails_now)


for _kind, _options in _kinds.items():
    app.task(bind=True, name=f"chaos.{_kind}", **_options)(_work)
