"""A worker's signs of life: to systemd, for its `Type=notify` unit, and in an alive file.

Each beat comes from a timer of the event loop that consumes messages. So a loop that hangs falls silent,
while a thread would go on. What a worker says of itself:

- `starting`, until it consumes its queues; only then it sends READY=1. If Redis is unreachable,
  `systemctl start` waits for `TimeoutStartSec=` and fails with the reason in the status; with
  `Restart=always` systemd keeps trying. The worker does not extend that time: an operator should know.
- `ready`: it beats, at a third of `WatchdogSec=` and at least every ten seconds.
- `waiting for Redis`: no loop runs, or the lease's keeper finds that Redis does not answer, so the loop may
  stand still in a call to it. The watchdog is extended. Each attempt to connect is a beat.
- `stopping`: the watchdog is extended; `TimeoutStopSec=` limits how long running tasks may take.

Without systemd, WORKER_WATCHDOG_SECONDS in the environment has the process end itself in the same cases,
after it has printed where it hangs; the program that started it has to start it again. It cannot end itself
if the whole process is stopped (SIGSTOP).

With the `solo` pool the loop stands still while a task runs. The watchdog is then extended to the task's hard
time limit, which nothing else enforces there.
"""

import faulthandler
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from celery import bootsteps
from celery.concurrency.solo import TaskPool as SoloPool
from celery.signals import task_postrun, task_prerun, worker_ready, worker_shutdown, worker_shutting_down
from celery.utils.log import get_logger
from celery.worker import state as work

from contentworker.runtime.health.systemd_notify import VARIABLES, Notifier
from contentworker.runtime.transport import holder

__all__ = ["ALIVE_FILE", "begin"]

logger = get_logger(__name__)

ALIVE_FILE = "WORKER_ALIVE_FILE"
"""Variable with the name of the alive file, whose age and content tell a worker's health (`liveness.py`)."""

WATCHDOG = "WORKER_WATCHDOG_SECONDS"
"""Variable with the seconds of silence that are a hang, if there is no `WatchdogSec=`."""

STARTING, READY, WAITING, STOPPING = "starting", "ready", "waiting for Redis", "stopping"

BEAT_SECONDS = 10.0
"""Longest time between two beats."""
PATIENCE_SECONDS = 3600.0
"""Longest silence of a worker that starts, waits or stops: each of these states has a limit of its own."""
STANDARD_ERROR = 2
"""File descriptor; `sys.stderr` is not one, as Celery replaces it by its log."""
LINE_BYTES = 64
"""Size of the alive file. As it is fixed, one write replaces the line, and the file is never empty."""


class Pulse:
    """What a worker says of itself. Any thread may call its methods."""

    def __init__(self, app: Any, variables: Mapping[str, str]) -> None:
        self._app = app
        self._notifier = Notifier(variables)
        self._alive_file = variables.get(ALIVE_FILE, "")
        self._said = ""
        # Systemd watches this limit; without systemd this process does.
        self._ends_itself = not self._notifier.watchdog_seconds
        self._watchdog_seconds = self._notifier.watchdog_seconds or _seconds(variables)
        # A stop may take as long as its last task.
        hard_limit_seconds = app.runtime_settings.limits.hard_time_limit_seconds
        self._long_seconds = max(PATIENCE_SECONDS, 2 * hard_limit_seconds)
        self._state_without_loop = STARTING
        self._loop_runs = False
        self._redis_answers = True
        self._is_stopping = False
        self._solo_patience_seconds: float | None = None

    @property
    def interval_seconds(self) -> float:
        """Time between two beats."""
        return min(BEAT_SECONDS, (self._watchdog_seconds or PATIENCE_SECONDS) / 3)

    @property
    def state(self) -> str:
        """State, as the alive file shows it."""
        if self._is_stopping:
            return STOPPING
        if self._loop_runs:
            return READY if self._redis_answers else WAITING
        return self._state_without_loop

    @property
    def patience_seconds(self) -> float | None:
        """How long the worker may be silent now; None: no longer than between two beats."""
        return self._solo_patience_seconds if self.state == READY else self._long_seconds

    @property
    def status(self) -> str:
        """Status line for `systemctl status`."""
        if self.state == STARTING:  # Celery has not chosen its queues yet
            return STARTING
        running = len(work.active_requests)
        text = self.state
        if self.state == READY:
            text = f"{running} running, {work.all_total_count[0] - running:,} processed"
        elif self.state == STOPPING and running:
            text = f"finishing {running} task{'s' if running > 1 else ''}"
        return f"{', '.join(tuple(self._app.amqp.queues.consume_from))}: {text}"

    def beat(self, *also: str) -> None:
        """Give a sign of life, with the state; `also` are more lines for systemd."""
        seconds = max(self._watchdog_seconds, self.patience_seconds or 0)
        if self._watchdog_seconds and self._ends_itself:
            faulthandler.dump_traceback_later(seconds, exit=True, file=STANDARD_ERROR)
        elif self._watchdog_seconds:
            also = (*also, "WATCHDOG=1", f"WATCHDOG_USEC={int(seconds * 1e6)}")
        self._notifier.tell(*also, f"STATUS={self.status}")
        self._touch()

    def loop_begins(self) -> None:
        """The worker consumes messages from now on."""
        self._loop_runs = True
        self.beat()

    def waits(self) -> None:
        """No loop runs, because Redis is unreachable, or still is."""
        self._loop_runs = False
        self._state_without_loop = WAITING
        self.beat()

    def redis_answers(self, answers: bool) -> None:  # noqa: FBT001 (a listener with one argument)
        """The lease's keeper has found whether Redis answers. If not, the loop may be waiting for it."""
        self._redis_answers = answers
        self.beat()

    def stops(self, *also: str) -> None:
        """The worker takes no more messages, and finishes what runs."""
        self._is_stopping = True
        self.beat(*also)

    def solo_task(self, patience_seconds: float | None) -> None:
        """The loop itself runs a task that may take this long; None: the task has ended."""
        self._solo_patience_seconds = patience_seconds
        self.beat()

    def end(self) -> None:
        """Remove the alive file, and switch off the watchdog of this process."""
        faulthandler.cancel_dump_traceback_later()
        if self._alive_file:
            Path(self._alive_file).unlink(missing_ok=True)

    def _touch(self) -> None:
        if not self._alive_file:
            return
        patience_seconds = self.patience_seconds
        line = self.state
        if patience_seconds is not None:
            line = f"{line}, silent for up to {patience_seconds:.0f} s"
        try:
            descriptor = os.open(self._alive_file, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
            try:
                # One system call: a signal handler may run between two, and write a line of its own.
                os.pwrite(descriptor, f"{line:<{LINE_BYTES - 1}}\n".encode(), 0)
            finally:
                os.close(descriptor)
        except OSError as error:
            if self._said != str(error):  # once, and not at each beat
                text = "%s: cannot write %s (%s); probes will report this worker as dead"
                logger.warning(text, ALIVE_FILE, self._alive_file, error.strerror)
            self._said = str(error)
        else:
            self._said = ""


def _seconds(variables: Mapping[str, str]) -> float:
    text = variables.get(WATCHDOG, "0")
    if not text.isdecimal():
        raise SystemExit(f"{WATCHDOG}: must be a whole number of seconds, not {text!r}")
    return int(text)


def begin(worker: Any) -> None:
    """Have this worker give signs of life, if its environment says where.

    Removes the variables from the environment, so that a process that the worker starts cannot speak in its
    name. They are back when the worker ends: on SIGHUP Celery then executes itself again.
    """
    names = (*VARIABLES, ALIVE_FILE, WATCHDOG)
    inherited = {name: os.environ.pop(name) for name in names if name in os.environ}
    if ALIVE_FILE in inherited:
        with suppress(OSError):  # the first beat logs it
            Path(inherited[ALIVE_FILE]).parent.mkdir(parents=True, exist_ok=True)
    pulse = worker.app.pulse = Pulse(worker.app, inherited)
    worker.app.steps["consumer"].add(PulseStep)

    def end(**_: Any) -> None:
        os.environ.update(inherited)
        pulse.end()

    worker_ready.connect(lambda **_: pulse.beat("READY=1"), weak=False)
    worker_shutting_down.connect(lambda **_: pulse.stops("STOPPING=1"), weak=False)
    worker_shutdown.connect(end, weak=False)
    holder.when_redis_answers(pulse.redis_answers)
    pulse.beat()


class PulseStep(bootsteps.StartStopStep):
    """Beats while the event loop runs. Every pool that `worker.toml` allows has an event loop.

    Others, such as gevent, have none and never beat: such a unit must have no `WatchdogSec=`.
    """

    requires = ("celery.worker.consumer.tasks:Tasks",)

    def __init__(self, consumer: Any, **options: Any) -> None:
        super().__init__(consumer, **options)
        self._pulse: Pulse = consumer.app.pulse
        consumer.when_still_away(self._pulse.waits)
        if isinstance(consumer.pool, SoloPool):
            task_prerun.connect(self._solo_task_starts, weak=False)
            task_postrun.connect(self._solo_task_ended, weak=False)

    def register_with_event_loop(self, consumer: Any, hub: Any) -> None:
        """Set the timer whenever the loop begins to run; Celery drops it when the loop fails."""
        hub.call_repeatedly(self._pulse.interval_seconds, self._pulse.beat)
        self._pulse.loop_begins()

    def stop(self, consumer: Any) -> None:
        """The loop has ended."""
        self._pulse.waits()

    def close(self, consumer: Any) -> None:
        """The worker stops, also without a signal: by a remote command."""
        self._pulse.stops()

    def _solo_task_starts(self, task: Any = None, **_: Any) -> None:
        limit = (task.request.timelimit or (None,))[0] or task.time_limit or PATIENCE_SECONDS
        self._pulse.solo_task(limit + self._pulse.interval_seconds)

    def _solo_task_ended(self, **_: Any) -> None:
        self._pulse.solo_task(None)
