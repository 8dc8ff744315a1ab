"""The load of a run: what it is told, and tasks sent at a bounded rate."""

import json
import random
import subprocess
import tempfile
import threading
import time
import uuid
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.chaos.processes import ROOT, ChaosError
from benchmarks.chaos.records import Journal

__all__ = ["Options", "Publisher"]

BACKLOG_SECONDS = 20
PROMISED = ("once", "alone", "revoked", "limited")
"""Kinds of tasks beside the plain ones: unique for the whole run, one at a time, revoked, of a limit."""


@dataclass(frozen=True)
class Options:
    """What a run can be told."""

    count: int
    tasks: int = 200
    """At least so many, faults or not."""
    workers: int = 3
    concurrency: int = 2
    rate: float = 25
    """Tasks a second, as long as no more than `backlog` of the last 20 seconds are unfinished."""
    backlog: int = 40
    seed: int = 1
    python_for_peers: str | None = None
    keep: Path | None = None
    """Where to keep logs and records."""
    promises: bool = False
    """Whether some tasks are unique or are revoked: `promises.py` counts what became of them."""


class Publisher:
    """Has tasks sent at a bounded rate by a process of its own until told to stop."""

    def __init__(self, command: list[str], env: dict[str, str], journal: Journal, options: Options) -> None:
        self.sent: dict[str, dict[str, Any]] = {}
        self.errors: dict[str, int] = {}
        self.has_died = False
        self._journal, self._options = journal, options
        self._random = random.Random(options.seed)
        self._recent: list[tuple[float, str]] = []
        self._unique_sends = 0
        self._stopping = threading.Event()
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 -- closed by stop()
        self._process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=env,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            start_new_session=True,  # as a client elsewhere: Linux shares a busy CPU by session
        )
        self._thread = threading.Thread(target=self._publish, daemon=True)
        self._thread.start()

    @property
    def confirmed(self) -> int:
        return sum(task["confirmed"] for task in list(self.sent.values()))

    def check(self) -> None:
        """Raise where it can send no more, as the figures would say nothing."""
        if self.has_died:
            self._log.seek(0)
            raise ChaosError(f"the publisher died: {self._log.read().decode()}")

    def stop(self) -> None:
        """Send no more; the last answer is waited for."""
        self._stopping.set()
        self._thread.join()
        if self._log.closed:
            return
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout, self._log):
            if stream:
                stream.close()

    def _publish(self) -> None:
        assert self._process.stdin
        assert self._process.stdout
        due_at = time.monotonic()
        while not self._stopping.wait(due_at - time.monotonic()):
            # What the last one took is made up for, but never the time of an outage.
            due_at = max(due_at, time.monotonic() - 1) + 1 / self._options.rate
            if self._unfinished() >= self._options.backlog:
                continue
            task = self._task()
            self._begun(task)
            answer = ""
            with suppress(BrokenPipeError):  # it died since its last answer
                self._process.stdin.write(json.dumps(task) + "\n")
                self._process.stdin.flush()
                answer = self._process.stdout.readline()
            if not answer:
                self.has_died = True
                return
            _, outcome, task["revoked_at"] = json.loads(answer)
            task["confirmed"] = outcome == "confirmed"
            self._answered(task, is_duplicate=outcome == "duplicate")
            if outcome == "duplicate":
                continue
            if not task["confirmed"]:
                name = outcome.partition(":")[0]
                self.errors[name] = self.errors.get(name, 0) + 1
                self._stopping.wait(0.2)

    def _begun(self, task: dict[str, Any]) -> None:
        """Note a task that is about to be sent."""
        self.sent[task["id"]] = task

    def _answered(self, task: dict[str, Any], *, is_duplicate: bool) -> None:
        """Note what became of it."""
        if is_duplicate:
            del self.sent[task["id"]]
        elif not task["may_be_dropped"]:
            self._recent.append((time.monotonic(), task["id"]))

    def _unfinished(self) -> int:
        finished, since = self._journal.refresh().finished, time.monotonic() - BACKLOG_SECONDS
        self._recent = [(at, task) for at, task in self._recent if at > since and task not in finished]
        return len(self._recent)

    def _task(self) -> dict[str, Any]:
        draw = self._random
        kinds = ("base", "idempotent", "critical", *(PROMISED if self._options.promises else ()))
        kind = draw.choices(kinds, (2, 1, 1, 0.5, 0.5, 0.5, 0.5)[: len(kinds)])[0]
        task = self._plain_task("base" if kind == "revoked" else kind)
        if kind == "revoked":
            task |= {"countdown": round(draw.uniform(2, 6), 2), "revoke": True, "may_be_dropped": True}
        elif kind == "limited":
            customer = draw.choice(("large", "large", "large", "small"))
            task |= {"key": customer, "customer": customer, "seconds": round(draw.uniform(0.2, 1), 3)}
        elif kind in PROMISED:
            # Of `once` each key comes three times and never again. `alone` has one key for the whole run, and
            # takes so long that the next one often comes meanwhile.
            self._unique_sends += kind == "once"
            number = self._unique_sends // 3 if kind == "once" else 0
            task["seconds"] = task["seconds"] if kind == "once" else round(draw.uniform(0.3, 1), 3)
            is_foreign = draw.random() < 0.5
            task |= {"key": f"{kind}-{number}", "foreign": is_foreign, "may_be_dropped": is_foreign}
        return task

    def _plain_task(self, kind: str) -> dict[str, Any]:
        draw = self._random
        return {
            "id": f"chaos-{uuid.UUID(int=draw.getrandbits(128), version=4)}",
            "kind": kind,
            "seconds": round(0.005 * 200 ** draw.random(), 3),  # 5 ms to 1 s, as many of each size
            "countdown": round(draw.uniform(1, 5), 2) if draw.random() < 0.1 else None,
            "fail": kind != "critical" and draw.random() < 0.05,
            "confirmed": False,
            "may_be_dropped": False,
        }
