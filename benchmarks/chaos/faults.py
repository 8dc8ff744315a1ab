"""The faults, one function each. They say how many tasks at most each may cause to be run again."""

import random
import signal
import time
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from os import kill
from pathlib import Path

from benchmarks.chaos.brokers import Broker
from benchmarks.chaos.hosts import set_clock
from benchmarks.chaos.processes import Worker, Workers, wait_until
from benchmarks.chaos.records import Execution, Journal

__all__ = ["FAULTS", "Context", "Fault", "crash", "together"]

PAST_THE_LEASE_SECONDS = 16
SPARED_FOR_KILLS = 25
HOUR_SECONDS = 3600


@dataclass
class Context:
    """What a fault can get at."""

    workers: Workers
    broker: Broker
    journal: Journal
    random: random.Random
    count: int
    concurrency: int
    set_cable: Callable[[str], None] | None = None
    """Cuts the second host off, or lets it back."""
    clocks: tuple[Path, ...] = ()
    """libfaketime's files: of the broker, of the workers."""
    events: int = 0
    may_repeat: int = 0
    was_away: bool = False
    """Whether the broker was away for a time."""
    killed: set[int] = field(default_factory=set)
    """Pool processes that are dead, however lately they worked."""
    never: Collection[Worker] = ()
    """Workers that are no one's victim."""

    def happened(self, at_stake: int) -> None:
        """A fault was done, and this many late-acknowledged tasks may be run again for it."""
        self.events += 1
        self.may_repeat += at_stake

    def victim(self) -> tuple[Worker, Execution | None]:
        """A worker that serves, and a task that it runs.

        One is spared, in turn: were none alive for as long as a lease, none could notice a death.
        """
        targets = [each for each in self.workers.all if each not in self.never]
        spared = targets[self.events // SPARED_FOR_KILLS % len(targets)]
        others = [each for each in targets if each is not spared]

        def serving() -> list[tuple[Worker, Execution]]:
            running = self.journal.refresh().running()
            ready = {each.pid: each for each in others if each.is_ready}
            alive = (each for each in running if each.pid not in self.killed)
            return [(ready[each.parent], each) for each in alive if each.parent in ready]

        deadline = time.monotonic() + 10
        while not (found := serving()):
            if time.monotonic() > deadline:  # it is ready and does nothing, which is for the figures to show
                ready = wait_until(lambda: [each for each in others if each.is_ready], "a worker is ready")
                return self.random.choice(ready), None
            time.sleep(0.02)
        time.sleep(self.random.uniform(0, 0.02))
        return self.random.choice(found)

    def kill(self, worker: Worker, *, group: bool) -> None:
        """End a worker that serves, and return once it is dead."""
        pid = worker.pid
        worker.signal(signal.SIGKILL, group=group)
        wait_until(lambda: worker.pid != pid or not worker.is_alive, "it is dead")
        self.happened(self.concurrency)

    def wait_for_work(self) -> None:
        """Wait until tasks run again, if they do."""
        deadline = time.monotonic() + 20
        before = self.journal.refresh().done
        while self.journal.refresh().done < before + 10 and time.monotonic() < deadline:
            time.sleep(0.05)


@dataclass(frozen=True)
class Fault:
    """A fault, and what a run with it has to provide."""

    name: str
    title: str
    do: Callable[[Context], None]
    count: int
    """How often, unless told otherwise."""
    quick_count: int
    brokers: tuple[str, ...] = ("redis", "rabbitmq", "pgmq")
    fsync: str = "everysec"
    hosts: bool = False
    clocks: bool = False
    at_once_is_reported: bool = False
    worker_env: Mapping[str, str] = field(default_factory=dict)
    ours_only: bool = False


def _nothing(context: Context) -> None:
    context.wait_for_work()
    context.happened(0)


def _kill_child(context: Context) -> None:
    for _ in range(context.count):
        _, execution = context.victim()
        if execution:
            with suppress(ProcessLookupError):
                kill(execution.pid, signal.SIGKILL)
            context.killed.add(execution.pid)
        context.happened(1)


def _kill_main(context: Context) -> None:
    for _ in range(context.count):
        context.kill(context.victim()[0], group=False)


def _kill_group(context: Context) -> None:
    for _ in range(context.count):
        context.kill(context.victim()[0], group=True)


def _freeze(context: Context, *, group: bool) -> None:
    for _ in range(context.count):
        worker, _ = context.victim()
        worker.signal(signal.SIGSTOP, group=group)
        time.sleep(PAST_THE_LEASE_SECONDS)
        worker.signal(signal.SIGCONT, group=group)
        context.happened(context.concurrency)
        context.wait_for_work()


def _restart_broker(context: Context) -> None:
    for _ in range(context.count):
        context.broker.process.stop()
        context.broker.start()
        context.happened(0)
        context.wait_for_work()


def _broker_away(context: Context, *, seconds: float, silent: bool) -> None:
    for _ in range(context.count):
        if silent:
            context.broker.process.signal(signal.SIGSTOP, group=True)
            time.sleep(seconds)
            context.broker.process.signal(signal.SIGCONT, group=True)
        else:
            context.broker.process.stop()
            time.sleep(seconds)
            context.broker.start()
        context.was_away = True
        # After the lease a worker cannot know that it still holds what it runs.
        outlasts = seconds > PAST_THE_LEASE_SECONDS
        context.happened(context.concurrency * len(context.workers.all) if outlasts else 0)
        context.wait_for_work()


def _drop_clients(context: Context) -> None:
    for _ in range(context.count):
        time.sleep(context.random.uniform(0.1, 1))
        context.broker.drop_clients()
        context.happened(0)


def _shut_down(context: Context, signum: signal.Signals, *, cuts: bool) -> None:
    for _ in range(context.count):
        worker, _ = context.victim()
        pid, deadline = worker.pid, time.monotonic() + 20
        worker.signal(signum)
        while worker.pid == pid and time.monotonic() < deadline:  # a new one starts once it has gone
            time.sleep(0.02)
        context.happened(context.concurrency if cuts else 0)


def _full(context: Context) -> None:
    for _ in range(context.count):
        context.broker.fill()
        time.sleep(5)
        context.broker.release()
        context.happened(0)
        context.wait_for_work()


def _step_clock(context: Context) -> None:
    broker, workers = context.clocks
    plan = [
        *((each, step) for step in (HOUR_SECONDS, -HOUR_SECONDS, 0) for each in (broker, workers)),
        *((each, step) for each in (broker, workers) for step in (HOUR_SECONDS, 0, -HOUR_SECONDS, 0)),
    ]
    for _ in range(context.count):
        for file, step in plan:
            set_clock(file, step)
            context.happened(0)
            time.sleep(2)


def _cut_off(context: Context) -> None:
    assert context.set_cable
    for _ in range(context.count):
        wait_until(lambda: context.journal.refresh().running(), "tasks run")
        context.set_cable("down")
        time.sleep(20)
        context.set_cable("up")
        context.happened(context.concurrency * (len(context.workers.all) - 1))
        context.wait_for_work()


def crash(point: str) -> Fault:
    """One worker kills itself at a step of our protocol, each time it is started."""
    step = point.partition("-")[2]
    # A fetch is under way for an instant only.
    pause_seconds = 0.2 if step == "cancel_fetch" else 1

    def lead_there(context: Context, victim: Worker, other: Worker) -> None:
        """Cause the step at the victim, if it would not happen without help."""
        if step == "release":
            victim.signal(signal.SIGTERM)
        elif step == "cancel_fetch":
            context.broker.drop_clients()
        elif step in ("start", "reclaim", "dead_letter") and other.is_ready:
            other.signal(signal.SIGKILL, group=True)
            context.may_repeat += context.concurrency

    def do(context: Context) -> None:
        victim, other = context.workers.all[:2]
        victim.more_env = {"CONTENTWORKER_TRANSPORT_CRASH_AT": point}
        victim.signal(signal.SIGKILL, group=True)
        seen = {victim.pid}
        deadline = time.monotonic() + 120 * context.count  # each time it has to start again
        led_at = time.monotonic()
        while len(seen) <= context.count and time.monotonic() < deadline:
            seen.add(victim.pid)
            if victim.is_ready and time.monotonic() > led_at + pause_seconds:
                lead_there(context, victim, other)
                led_at = time.monotonic()
            time.sleep(0.02)
        context.events += len(seen) - 1
        context.may_repeat += context.concurrency * len(seen)
        victim.more_env = {}
        victim.signal(signal.SIGKILL, group=True)

    return Fault(f"crash-{point}", f"killed at: {point}", do, 10, 2, ("redis",), ours_only=True)


def together(*faults: Fault) -> Fault:
    """A few of each, one after the other in one run: most of a run's cost is that of its beginning."""

    def do(context: Context) -> None:
        for fault in faults:
            context.count = fault.quick_count
            fault.do(context)

    return replace(
        faults[0],
        name="+".join(fault.name for fault in faults),
        title="; ".join(fault.title for fault in faults),
        do=do,
        quick_count=sum(fault.quick_count for fault in faults),
    )


def _table(*faults: Fault) -> dict[str, Fault]:
    return {fault.name: fault for fault in faults}


def _away(seconds: int, *, silent: bool) -> Fault:
    how = "silent" if silent else "refusing"

    def do(context: Context) -> None:
        _broker_away(context, seconds=seconds, silent=silent)

    return Fault(f"away-{seconds}-{how}", f"broker away {seconds} s, {how}", do, 3, 1)


FAULTS = _table(
    Fault("none", "no fault", _nothing, 1, 1),
    Fault("kill-child", "kill -9 of a pool process", _kill_child, 300, 5),
    Fault("kill-main", "kill -9 of the main process", _kill_main, 300, 4),
    Fault("kill-group", "kill -9 of the whole worker", _kill_group, 300, 4),
    Fault(
        "kill-far",
        "the same, by its lease only",
        _kill_group,
        300,
        4,
        ("redis",),
        worker_env={"CHAOS_FAR_APART": "1"},
        ours_only=True,
    ),
    Fault(
        "freeze-main",
        "main process frozen 16 s",
        lambda context: _freeze(context, group=False),
        5,
        1,
        at_once_is_reported=True,
    ),
    Fault("freeze-group", "worker frozen 16 s", lambda context: _freeze(context, group=True), 5, 1),
    Fault("restart-always", "broker killed, AOF always", _restart_broker, 10, 2, ("redis",), "always"),
    Fault("restart-everysec", "broker killed, AOF everysec", _restart_broker, 10, 2),
    *(_away(seconds, silent=silent) for seconds in (8, 30) for silent in (False, True)),
    Fault("drop-clients", "every connection cut", _drop_clients, 50, 5),
    Fault(
        "warm",
        "warm shutdown (SIGTERM)",
        lambda context: _shut_down(context, signal.SIGTERM, cuts=False),
        20,
        2,
    ),
    Fault(
        "soft",
        "soft shutdown (SIGQUIT, time-out 0.5 s)",
        lambda context: _shut_down(context, signal.SIGQUIT, cuts=True),
        20,
        2,
        worker_env={"CHAOS_SOFT_SHUTDOWN_SECONDS": "0.5"},
    ),
    Fault(
        "cold",
        "cold shutdown (SIGQUIT)",
        lambda context: _shut_down(context, signal.SIGQUIT, cuts=True),
        20,
        2,
    ),
    Fault("full", "broker full", _full, 5, 1, ("redis", "rabbitmq")),
    Fault("clock", "wall clock stepped by ±1 h", _step_clock, 2, 1, ("redis",), clocks=True),
    Fault("cut-off", "a host cut off for 20 s (TLS)", _cut_off, 3, 1, ("redis",), hosts=True),
)
