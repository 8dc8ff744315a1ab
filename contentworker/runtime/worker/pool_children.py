"""Pool processes: they end when the lease is lost, never outlive their worker, and are cheap to replace."""

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
"""Thresholds of the garbage collector. With Python's own, (700, 10, 10), tasks that do nothing took 6 % more
CPU. It looks at old objects about as often: after 60,000 new ones instead of 70,000."""
_STALE_SECONDS = 0.001
"""How long to wait for a process to end. One that ends has closed its files already, so this is enough. One
that goes on only has the file number of a process that ended in the same turn of the event loop."""


def die_with_parent(signum: signal.Signals = signal.SIGKILL) -> None:
    """Make sure that this process gets a signal as soon as its parent dies, for whatever reason.

    Otherwise a pool process would go on with its task while another worker runs the task again.
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
    """The processes of a Celery pool, as billiard lists them; None if the pool has threads."""
    return getattr(getattr(pool, "_pool", None), "_pool", None)


def end_all_work(pool: Any) -> None:
    """Kill every process of the pool at once; with threads, end the worker. Any thread may call it."""
    processes = processes_of(pool)
    if processes is None:
        logger.critical("Threads cannot be stopped, so this worker ends")
        os._exit(os.EX_TEMPFAIL)
    for process in list(processes):
        with suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGKILL)


@worker_init.connect
def _refuse_greenlets(sender: Any = None, **_: Any) -> None:
    """End a worker with a gevent or eventlet pool, and print which pools to use.

    The thread that renews the lease would be a greenlet. A task that computes for 12 s would block it, and
    run a second time elsewhere.
    """
    module = sender.pool_cls if isinstance(sender.pool_cls, str) else sender.pool_cls.__module__
    settings = getattr(sender.app, "runtime_settings", None)
    green = next((name for name in ("gevent", "eventlet") if name in module), None)
    if green and settings and settings.broker.transport == "leased":
        print(  # noqa: T201 (to the terminal: the worker ends before its log begins)
            f"{green}: this pool cannot renew the lease of its messages while a task computes, and would run "
            "tasks twice; use --pool=prefork, --pool=threads or --pool=solo",
            file=sys.stderr,
        )
        raise SystemExit(os.EX_CONFIG)


@worker_init.connect
def _freeze(sender: Any = None, **_: Any) -> None:
    """Make the result backend, and let the garbage collector skip everything that is loaded by now.

    Otherwise each pool process would make its own backend, and look through all installed packages for its
    class. With this one, it only makes its own connections.

    Celery runs the garbage collector before it starts a process. To look at every object stops the whole
    worker, and writes to memory that the processes share, so that each gets a copy.

    Only if the worker has a process of its own: tests start several in one program, and objects that earlier
    ones left behind, such as sockets, would never be collected.
    """
    from celery.apps.worker import Worker

    if isinstance(sender, Worker):
        _ = sender.app.backend
        gc.collect()
        gc.freeze()
        gc.set_threshold(*_COLLECT_AFTER)


@worker_ready.connect
def _freeze_again(sender: Any = None, **_: Any) -> None:
    """Also skip what was loaded since then: the consumer and its connections."""
    _freeze(sender.controller)


@worker_init.connect
def _load_no_parser(**_: Any) -> None:
    """Let new processes call prctl(2) through ctypes, as `die_with_parent` does.

    Celery uses cffi, if it is installed, which loads a C parser into each process: half of what it costs to
    start one.
    """
    if sys.platform == "linux":
        platforms.set_pdeathsig = lambda _: die_with_parent()


@worker_init.connect
def _replace_at_once(**_: Any) -> None:
    """Let Celery wait for a pool process that is about to end, which takes milliseconds.

    Celery notices when the process closes its files. If the process cannot be reaped yet at that moment,
    Celery looks again after five seconds. Until then the worker has one process less, or none.
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
