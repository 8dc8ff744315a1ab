"""A long run: a fleet under load, faults at random for as long as wanted, and every task accounted for.

All of it is in a folder, so that a run that was ended, or died, can be resumed.
"""

import fcntl
import json
import os
import random
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import redis

from benchmarks.chaos import memory, soak_figures
from benchmarks.chaos.faults import FAULTS, Context
from benchmarks.chaos.ledger import KINDS, Ledger, LiveJournal, number_of, task_id
from benchmarks.chaos.load import Options, Publisher
from benchmarks.chaos.processes import ChaosError, Workers, wait_until
from benchmarks.chaos.run import (
    WARM_UP_TASKS,
    Setting,
    drain,
    environment_of,
    find_python,
    made_with,
    make_workers,
    publisher_environment,
    set_up,
)
from benchmarks.chaos.systems import System

__all__ = ["BACKLOG_SECONDS", "MIX", "Plan", "soak"]

MIX = {
    "kill-group": 40,
    "kill-main": 30,
    "kill-child": 15,
    "drop-clients": 6,
    "restart-everysec": 4,
    "freeze-group": 3,
    "freeze-main": 2,
}
"""How often each fault is drawn. The first faults of a session are one of each."""
MARK = "SOAK_FOLDER"
"""In the environment of every process of a run: what a dead session left is found by it."""
RESULT_SECONDS = 300
CLAIM_SECONDS = 600
"""Results and claims are kept that long, instead of a day and a week: memory is level after ten minutes."""
PUBLISHERS = 12
SKIPPED = 1000
"""Numbers that a new session leaves out: the last one may have sent some that it could not write down."""
UNTOUCHED = 4
"""The first of sixteen workers, a quarter, are never killed: how their memory grows is seen over the run."""
GIVEN_UP_SECONDS = 300
"""A task that has not ended by then is taken for a dead letter, and holds up no other."""
BACKLOG_SECONDS = 3
"""So many seconds' worth of tasks may wait: a fleet that is too slow gets fewer, not ever older ones."""
MOST = 0.75
"""Of the workers are ready whenever a fault is done."""
WRITE_SECONDS, MEMORY_SECONDS, REPORT_SECONDS = 0.5, 10, 60
START_SECONDS = 600


@dataclass(frozen=True)
class Plan:
    """What a long run is told beside its `Options`."""

    folder: Path
    seconds: float
    """Of running, those of earlier sessions included."""
    pause_seconds: float
    """Between two faults, on average."""
    faults: tuple[str, ...] = tuple(MIX)


class StoppedError(Exception):
    """It was asked to stop."""


def soak(system: System, plan: Plan, options: Options) -> dict[str, Any]:
    """Run a session, up to the end that was planned; return the result.

    Raises:
        StoppedError: SIGTERM or SIGINT came. The run can be resumed.
        ChaosError: it cannot be done here, or the harness itself failed. The same.
    """
    system = _kept_for_minutes(system)
    python = find_python(system, options)
    with ExitStack() as stack:
        stack.enter_context(_alone_in(plan.folder))
        stack.enter_context(_stopping_on_signals())
        ledger = Ledger(plan.folder / "ledger.sqlite")
        stack.callback(ledger.close)
        ledger.forget_times()
        journal = LiveJournal(plan.folder / "executions", ledger.note("position", 0))
        setting = stack.enter_context(set_up(system, FAULTS["none"], plan.folder))
        env = environment_of(setting.broker.url, setting.results.url, system, journal) | {"CHAOS_QUIET": "1"}
        workers = make_workers(python, env, FAULTS["none"], setting, folder=plan.folder, options=options)
        stack.callback(workers.stop)
        session = Session(plan, options, ledger=ledger, journal=journal, setting=setting, workers=workers)
        session.start(python, env | publisher_environment(system))
        stack.callback(session.stop)
        session.do_faults()
        session.stop()
        drain(session.unfinished, journal, system, setting.broker)
        version = setting.broker.version()
        workers.stop()
        session.write()
        figures = ledger.count(journal.path, setting.broker.remaining(), setting.results.failures())
        result = {
            "system": system.name,
            "rate": options.rate,
            **soak_figures.result(ledger, figures, untouched=[each.name for each in session.untouched]),
            "overlaps_reported": workers.log_lines("overlap"),
            **made_with(python, version, options),
        }
        (plan.folder / "result.json").write_text(json.dumps(result, indent=1) + "\n", "utf-8")
        return result


def _kept_for_minutes(system: System) -> System:
    if system.configuration is None:
        kept = {
            "WORKER__RESULTS__EXPIRES_SECONDS": RESULT_SECONDS,
            "WORKER__RETENTION__CLAIMS_SECONDS": CLAIM_SECONDS,
        }
        return replace(system, env={**system.env, **{name: str(value) for name, value in kept.items()}})
    return replace(system, configuration={**system.configuration, "result_expires": RESULT_SECONDS})


@contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """Hold the folder, and end what a session left that could not end it."""
    folder.mkdir(parents=True, exist_ok=True)
    os.environ[MARK] = str(folder.resolve())
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise ChaosError(f"a run is going on in {folder}") from None
        mark = f"{MARK}={os.environ[MARK]}\0".encode()
        for environment in Path("/proc").glob("[0-9]*/environ"):
            with suppress(OSError):
                if mark in environment.read_bytes():
                    os.kill(int(environment.parent.name), signal.SIGKILL)
        with suppress(redis.RedisError):  # it writes its title over its environment
            redis.Redis(unix_socket_path=str(folder / "redis" / "s")).shutdown(nosave=True)
        yield


@contextmanager
def _stopping_on_signals() -> Iterator[None]:
    numbers = (signal.SIGTERM, signal.SIGINT)

    def stop(*_: object) -> None:
        for each in numbers:
            signal.signal(each, signal.SIG_IGN)  # a second one must not keep it from ending what it started
        raise StoppedError

    before = {each: signal.signal(each, stop) for each in numbers}
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


class Session:
    """What goes on between two pauses: publishing, faults, and writing all of it down."""

    def __init__(
        self,
        plan: Plan,
        options: Options,
        *,
        ledger: Ledger,
        journal: LiveJournal,
        setting: Setting,
        workers: Workers,
    ) -> None:
        self._plan, self._options, self._ledger, self._journal = plan, options, ledger, journal
        self._setting, self._workers = setting, workers
        self._before = float(ledger.note("elapsed", 0.0))
        self._deaths_before = int(ledger.note("deaths", 0))
        self._sessions = int(ledger.note("sessions", 0)) + 1
        self.clock_offset = 0.0
        self.untouched = workers.all[: len(workers.all) // UNTOUCHED]
        self._ended_at: float | None = None
        self._publishers: list[LongPublisher] = []
        self._failure: BaseException | None = None
        self._done = threading.Event()
        self._clerk = threading.Thread(target=self._keep_books, daemon=True)

    @property
    def elapsed(self) -> float:
        """Seconds of running, those of earlier sessions included."""
        return (self._ended_at or time.monotonic()) - self.clock_offset

    def start(self, python: str, env: dict[str, str]) -> None:
        """Start the workers, and then the load."""
        self._workers.start(START_SECONDS)
        self.clock_offset = time.monotonic() - self._before
        if self._sessions > 1:  # the end of the last one cut off what ran
            self._ledger.add(
                "fault", self._before, "pause", len(self._workers.all) * self._options.concurrency
            )
        self._clerk.start()
        command = [python, "-m", "benchmarks.chaos.publisher"]
        options = replace(self._options, rate=self._options.rate / PUBLISHERS)
        first = self._ledger.last_number() + (SKIPPED if self._before else 1)
        for number in range(first, first + PUBLISHERS):
            self._publishers.append(
                LongPublisher(
                    command, env, self._journal, options, ledger=self._ledger, session=self, first=number
                )
            )
        wait_until(lambda: self._journal.done >= WARM_UP_TASKS, "tasks are being done")

    def stop(self) -> None:
        """End the load."""
        for each in self._publishers:
            each.stop()
        self._ended_at = self._ended_at or time.monotonic()
        self._done.set()
        if self._clerk.is_alive():
            self._clerk.join()

    def do_faults(self) -> None:
        """Do one fault after the other until the planned end, each at least once."""
        draw = random.Random(f"{self._options.seed} {self._sessions}")
        context = Context(
            self._workers,
            self._setting.broker,
            self._journal,
            draw,
            count=1,
            concurrency=self._options.concurrency,
            never=self.untouched,
        )
        names = [name for name in self._plan.faults if self._setting.broker.kind in FAULTS[name].brokers]
        first = draw.sample(names, len(names))
        while self._goes_on_for(draw.expovariate(1 / self._plan.pause_seconds)) or first:
            wait_until(self._is_mostly_ready, "most workers are ready", START_SECONDS)
            name = first.pop() if first else draw.choices(names, [MIX[name] for name in names])[0]
            at, may_repeat = self.elapsed, context.may_repeat
            FAULTS[name].do(context)
            self._ledger.add("fault", at, name, context.may_repeat - may_repeat)

    def _is_mostly_ready(self) -> bool:
        """A busy machine takes long to start a worker: those that are left must still be a fleet."""
        return sum(each.is_ready for each in self._workers.all) >= MOST * len(self._workers.all)

    def unfinished(self) -> set[str]:
        """Confirmed tasks that have not ended."""
        self.write()
        return self._ledger.unfinished()

    def write(self) -> None:
        """Write down what happened."""
        self._journal.refresh()
        self._ledger.write(
            self._journal,
            self.clock_offset,
            elapsed=self.elapsed,
            deaths=self._deaths_before + self._workers.deaths,
            sessions=self._sessions,
        )

    def _goes_on_for(self, seconds: float) -> bool:
        """Wait; False if the end came first."""
        end = min(self.elapsed + seconds, self._plan.seconds)
        while (left := end - self.elapsed) > 0:
            time.sleep(min(left, 1))
            if self._failure:
                raise ChaosError(f"the accounting failed: {self._failure!r}")
            for each in self._publishers:
                each.check()
        return self.elapsed < self._plan.seconds

    def _keep_books(self) -> None:
        try:
            turns = 0
            while not self._done.wait(WRITE_SECONDS):
                turns += 1
                if turns % (MEMORY_SECONDS / WRITE_SECONDS) == 0:
                    for sample in memory.samples(self._workers, self._setting.results):
                        self._ledger.add("memory", self.elapsed, *sample)
                self.write()
                if turns % (REPORT_SECONDS / WRITE_SECONDS) == 0:
                    print(soak_figures.line(self._ledger, self.elapsed), flush=True)
        except BaseException as error:  # noqa: BLE001 (the main thread says it)
            self._failure = error


class LongPublisher(Publisher):
    """Sends mostly short tasks, some longer, delayed, or failing at first; the ledger has what was sent."""

    def __init__(
        self,
        command: list[str],
        env: dict[str, str],
        journal: LiveJournal,
        options: Options,
        *,
        ledger: Ledger,
        session: Session,
        first: int,
    ) -> None:
        self._ledger, self._live, self._session = ledger, journal, session
        self._next = first
        super().__init__(command, env, journal, options)

    def _task(self) -> dict[str, Any]:
        draw = self._random
        kind = draw.choices(KINDS, (80, 10, 10))[0]
        shortest, longest = draw.choices(((0.001, 0.02), (0.02, 0.2), (0.2, 3)), (90, 9, 1))[0]
        number, self._next = self._next, self._next + PUBLISHERS
        return {
            "id": task_id(number, kind),
            "kind": kind,
            "seconds": round(draw.uniform(shortest, longest), 4),
            "countdown": round(draw.uniform(1, 5), 2) if draw.random() < 0.02 else None,
            "fail": kind != "critical" and draw.random() < 0.01,
            "ignore_result": draw.random() < 0.5,
            "may_be_dropped": False,
        }

    def _begun(self, task: dict[str, Any]) -> None:
        task["due"] = self._session.elapsed + (task["countdown"] or 0)
        self._live.expect(task["id"])

    def _answered(self, task: dict[str, Any], *, is_duplicate: bool) -> None:
        self._ledger.add("sent", *number_of(task["id"]), task["due"], task["confirmed"] or is_duplicate)

    def _unfinished(self) -> int:
        return self._live.expected(time.monotonic() - GIVEN_UP_SECONDS)
