"""Pool processes: cheap to replace, ended when the lease is lost, and never outliving their worker."""

import ctypes
import gc
import os
import signal
import sys
import threading
import time
from contextlib import suppress
from typing import Any

from celery import platforms
from celery.signals import worker_init, worker_process_init, worker_ready
from celery.utils.log import get_logger

__all__ = ["die_with_parent", "end_all_work", "processes_of"]

logger = get_logger(__name__)

_PR_SET_PDEATHSIG = 1  # prctl(2)
_POLL_SECONDS = 1.0
_COLLECT_AFTER = (10_000, 2, 3)
"""Thresholds of the garbage collector. With Python's own, (700, 10, 10), it took 6 % more of the CPU of tasks
that do nothing. It looks at old objects about as often: after 60,000 new ones, not 70,000."""
_STALE_SECONDS = 0.001
"""Wait for a process to close its files. One that ends has closed them already, and is waited for. One that
goes on has the file number of a process that ended in the same turn of the event loop."""


def die_with_parent(signum: signal.Signals = signal.SIGKILL) -> None:
    """Have this process sent a signal as soon as its parent dies, for whatever reason.

    Otherwise a pool process would go on with its task while another worker runs it again.
    """
    parent = os.getppid()
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signum)
        if os.getppid() != parent:
            os.kill(os.getpid(), signum)
    else:
        threading.Thread(target=_watch, args=(parent, signum), daemon=True).start()


def _watch(parent: int, signum: signal.Signals) -> None:
    while os.getppid() == parent:
        time.sleep(_POLL_SECONDS)
    os.kill(os.getpid(), signum)


def processes_of(pool: Any) -> Any:
    """The processes of a Celery pool, as billiard lists them; None if it has threads."""
    return getattr(getattr(pool, "_pool", None), "_pool", None)


def end_all_work(pool: Any) -> None:
    """Kill every process of the pool at once; with threads, end the worker. Called from any thread."""
    processes = processes_of(pool)
    if processes is None:
        logger.critical("Threads cannot be stopped: this worker ends")
        os._exit(os.EX_TEMPFAIL)
    for process in list(processes):
        with suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGKILL)


@worker_init.connect
def _refuse_greenlets(sender: Any = None, **_: Any) -> None:
    """End a worker with a gevent or eventlet pool, with a line that says what to use.

    The thread that renews the lease would be a greenlet. A task that computes for 12 s would hold it up, and
    run a second time elsewhere.
    """
    module = sender.pool_cls if isinstance(sender.pool_cls, str) else sender.pool_cls.__module__
    settings = getattr(sender.app, "runtime_settings", None)
    green = next((name for name in ("gevent", "eventlet") if name in module), None)
    if green and settings and settings.broker.transport == "leased":
        print(  # noqa: T201 (to the terminal: the worker ends before its log begins)
            f"{green}: this pool cannot keep the leases of its messages while a task computes, and would run "
            "tasks twice; use --pool=prefork, --pool=threads or --pool=solo",
            file=sys.stderr,
        )
        raise SystemExit(os.EX_CONFIG)


@worker_init.connect
def _freeze(sender: Any = None, **_: Any) -> None:
    """Make the result backend, and let the garbage collector skip everything that is loaded by now.

    Each pool process would make a backend of its own, and look through all installed packages for its class.
    It makes its own connections from this one.

    Celery collects before it starts a process. Looking at every object stops a whole worker, and writes to
    the memory that processes share, so that each gets a copy.

    Only for a worker that is a process of its own: tests start several in one program, and what the earlier
    ones left behind, sockets too, would never be collected.
    """
    from celery.apps.worker import Worker

    if isinstance(sender, Worker):
        _ = sender.app.backend
        gc.collect()
        gc.freeze()
        gc.set_threshold(*_COLLECT_AFTER)


@worker_ready.connect
def _freeze_again(sender: Any = None, **_: Any) -> None:
    """Skip what was loaded since, too: the consumer and its connections."""
    _freeze(sender.controller)


@worker_init.connect
def _load_no_parser(**_: Any) -> None:
    """Have a process that starts call prctl(2) by ctypes, as we do.

    Celery does it through cffi, if that is installed, and loads a parser for C into each process: half of
    what it costs to start one.
    """
    if sys.platform == "linux":
        platforms.set_pdeathsig = lambda _: die_with_parent()


@worker_init.connect
def _replace_at_once(**_: Any) -> None:
    """Have Celery wait for a pool process that is about to end, which takes milliseconds.

    Celery notices when the process closes its files. If the process cannot be reaped yet at that moment,
    Celery looks again after five seconds, and until then the worker has one process less, or none.
    """
    from celery.concurrency.asynpool import AsynPool

    handle = AsynPool._event_process_exit  # noqa: SLF001 (Celery has no public hook)

    def wait_and_handle(pool: Any, hub: Any, process: Any) -> None:
        process.join(_STALE_SECONDS)
        if not process.is_alive():
            handle(pool, hub, process)

    AsynPool._event_process_exit = wait_and_handle  # noqa: SLF001 (the same)


@worker_process_init.connect
def _in_pool_process(**_: Any) -> None:
    die_with_parent()
