"""A worker's signs of life: to systemd, as its `Type=notify` unit expects, and in an alive file.

Each beat comes from a timer of the event loop that consumes messages, so that a loop that hangs falls silent
however well the rest of the process does. A thread would go on for ever.

- `starting`: until the queues are consumed; only then is systemd told READY=1. Where Redis is not there,
  `systemctl start` waits for `TimeoutStartSec=` and then fails, saying why in the status; with
  `Restart=always` systemd goes on trying. That time is not extended: an operator is to know of it.
- `ready`: beats, every third of `WatchdogSec=` and every ten seconds at least.
- `waiting for Redis`: no loop runs, or the lease's keeper finds that Redis does not answer, and then the loop
  may stand still in a call to it. The watchdog is extended. Each attempt to connect is a beat.
- `stopping`: the watchdog is extended; `TimeoutStopSec=` says how long running tasks may take.

Where there is no systemd, WORKER_WATCHDOG_SECONDS in the environment has the process end itself in the same
cases, having written where it hung; whatever started it starts it again. A process that is stopped as a whole
(SIGSTOP) is the one hang that only another can end.

With the `solo` pool the loop stands still while a task runs: for that time the watchdog is extended to the
task's hard time limit, which nobody else enforces there.
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

from contentworker.runtime.systemd_notify import VARIABLES, Notifier
from contentworker.runtime.transport import holder

__all__ = ["ALIVE_FILE", "begin"]

logger = get_logger(__name__)

ALIVE_FILE = "WORKER_ALIVE_FILE"
"""Variable with the name of a file whose age and content say how a worker is (`liveness.py`)."""

WATCHDOG = "WORKER_WATCHDOG_SECONDS"
"""Variable with how long a silence is a hang, where systemd does not say so by `WatchdogSec=`."""

STARTING, READY, WAITING, STOPPING = "starting", "ready", "waiting for Redis", "stopping"

BEAT_SECONDS = 10.0
PATIENCE_SECONDS = 3600.0
"""How long a worker that does not consume may be silent: something else limits each of these states."""
STANDARD_ERROR = 2
"""Celery puts its log in the place of `sys.stderr`."""
LINE_BYTES = 64
"""Of the alive file, always: a line is then replaced in one step, without a moment of an empty file."""


class Pulse:
    """What a worker says of itself. Told of events by its methods, from whichever thread."""

    def __init__(self, app: Any, variables: Mapping[str, str]) -> None:
        self._app = app
        self._notifier = Notifier(variables)
        self._alive_file = variables.get(ALIVE_FILE, "")
        # A limit for systemd to keep, or else for this process itself.
        self._ends_itself = not self._notifier.watchdog_seconds
        self._watchdog_seconds = self._notifier.watchdog_seconds or _seconds(variables)
        # Neither may a stop be cut short whose last task is a long one.
        hard_limit_seconds = app.runtime_settings.limits.hard_time_limit_seconds
        self._long_seconds = max(PATIENCE_SECONDS, 2 * hard_limit_seconds)
        self._state_without_loop = STARTING
        self._loop_runs = False
        self._redis_answers = True
        self._is_stopping = False
        self._solo_patience_seconds: float | None = None

    @property
    def interval_seconds(self) -> float:
        """Between two beats."""
        return min(BEAT_SECONDS, (self._watchdog_seconds or PATIENCE_SECONDS) / 3)

    @property
    def state(self) -> str:
        """As the alive file has it."""
        if self._is_stopping:
            return STOPPING
        if self._loop_runs:
            return READY if self._redis_answers else WAITING
        return self._state_without_loop

    @property
    def patience_seconds(self) -> float | None:
        """How long the worker may be silent now; None: any silence that is longer than usual is a hang."""
        return self._solo_patience_seconds if self.state == READY else self._long_seconds

    @property
    def status(self) -> str:
        """What `systemctl status` shows."""
        if self.state == STARTING:  # its queues are not chosen yet
            return STARTING
        running = len(work.active_requests)
        text = self.state
        if self.state == READY:
            text = f"{running} running, {work.all_total_count[0] - running:,} processed"
        elif self.state == STOPPING and running:
            text = f"finishing {running} task{'s' if running > 1 else ''}"
        return f"{', '.join(tuple(self._app.amqp.queues.consume_from))}: {text}"

    def beat(self, *also: str) -> None:
        """Give a sign of life, and all that is to be known beside it."""
        seconds = max(self._watchdog_seconds, self.patience_seconds or 0)
        if self._watchdog_seconds and self._ends_itself:
            faulthandler.dump_traceback_later(seconds, exit=True, file=STANDARD_ERROR)
        elif self._watchdog_seconds:
            also = (*also, "WATCHDOG=1", f"WATCHDOG_USEC={int(seconds * 1e6)}")
        self._notifier.tell(*also, f"STATUS={self.status}")
        self._touch()

    def loop_begins(self) -> None:
        """Messages are consumed from now on."""
        self._loop_runs = True
        self.beat()

    def waits(self) -> None:
        """No loop runs, as Redis is away; or it is away still."""
        self._loop_runs = False
        self._state_without_loop = WAITING
        self.beat()

    def redis_answers(self, answers: bool) -> None:
        """What the lease's keeper finds: where Redis does not answer the loop may be waiting for it."""
        self._redis_answers = answers
        self.beat()

    def stops(self, *also: str) -> None:
        """The worker takes nothing any more, and finishes what runs."""
        self._is_stopping = True
        self.beat(*also)

    def solo_task(self, patience_seconds: float | None) -> None:
        """The loop itself runs a task, which may take this long; None: it is over."""
        self._solo_patience_seconds = patience_seconds
        self.beat()

    def end(self) -> None:
        """Leave no file that could be taken for a worker's, and nothing that would end the process."""
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
                # In one call to the system: a signal's handler may come in between, and has its own say.
                os.pwrite(descriptor, f"{line:<{LINE_BYTES - 1}}\n".encode(), 0)
            finally:
                os.close(descriptor)
        except OSError as error:
            logger.warning("%s: %s", ALIVE_FILE, error)


def _seconds(variables: Mapping[str, str]) -> float:
    text = variables.get(WATCHDOG, "0")
    if not text.isdecimal():
        raise SystemExit(f"{WATCHDOG}: must be a whole number of seconds, not {text!r}")
    return int(text)


def begin(worker: Any) -> None:
    """Have this worker give signs of life, if its environment says to whom.

    The variables are taken out of it, lest a process that the worker starts speaks in its name. They are
    back when the worker ends: on SIGHUP Celery then executes itself anew.
    """
    names = (*VARIABLES, ALIVE_FILE, WATCHDOG)
    inherited = {name: os.environ.pop(name) for name in names if name in os.environ}
    if ALIVE_FILE in inherited:
        with suppress(OSError):  # said at the first beat
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
    """Beats as long as the event loop runs, which it does on every pool that `worker.toml` allows.

    Where Celery has none, as with gevent, there is no beat: such a unit must have no `WatchdogSec=`.
    """

    requires = ("celery.worker.consumer.tasks:Tasks",)

    def __init__(self, consumer: Any, **options: Any) -> None:
        super().__init__(consumer, **options)
        self._pulse: Pulse = consumer.app.pulse
        consumer.on_still_away = self._pulse.waits
        if isinstance(consumer.pool, SoloPool):
            task_prerun.connect(self._solo_task_starts, weak=False)
            task_postrun.connect(self._solo_task_ended, weak=False)

    def register_with_event_loop(self, consumer: Any, hub: Any) -> None:
        """The loop is about to run, for the first time or again. It takes the timer away where it fails."""
        hub.call_repeatedly(self._pulse.interval_seconds, self._pulse.beat)
        self._pulse.loop_begins()

    def stop(self, consumer: Any) -> None:
        """The loop has ended."""
        self._pulse.waits()

    def close(self, consumer: Any) -> None:
        """The worker stops, be it without a signal: by a remote command."""
        self._pulse.stops()

    def _solo_task_starts(self, task: Any = None, **_: Any) -> None:
        limit = (task.request.timelimit or (None,))[0] or task.time_limit or PATIENCE_SECONDS
        self._pulse.solo_task(limit + self._pulse.interval_seconds)

    def _solo_task_ended(self, **_: Any) -> None:
        self._pulse.solo_task(None)
