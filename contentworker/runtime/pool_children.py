"""Pool processes: cheap to replace, and never outliving the worker whose deliveries they work on."""

import ctypes
import gc
import os
import signal
import sys
import threading
import time
from typing import Any

from celery.signals import worker_init, worker_process_init

__all__ = ["die_with_parent"]

_PR_SET_PDEATHSIG = 1  # prctl(2)
_POLL_SECONDS = 1.0


def die_with_parent(signum: signal.Signals = signal.SIGKILL) -> None:
    """Have this process sent a signal as soon as its parent has died, however that came about.

    A pool process would otherwise go on with its task, which another worker is given meanwhile.
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


@worker_init.connect
def _freeze(**_: Any) -> None:
    """Have the collector pass over what was loaded until now.

    Celery has it look at everything before it starts a process, for which a whole worker stops; and to look
    is to write, so that each process would come to have a copy of its own.
    """
    gc.collect()
    gc.freeze()


@worker_init.connect
def _replace_at_once(**_: Any) -> None:
    """Have Celery wait for a pool process that is about to end, which takes milliseconds.

    It is told when the process closes its files. Where the process cannot be reaped yet at that moment, it
    looks again after five seconds, for which the worker has a process less, or none.
    """
    from celery.concurrency.asynpool import AsynPool

    handle = AsynPool._event_process_exit

    def wait_and_handle(pool: Any, hub: Any, process: Any) -> None:
        process.join()
        handle(pool, hub, process)

    AsynPool._event_process_exit = wait_and_handle


@worker_process_init.connect
def _in_pool_process(**_: Any) -> None:
    die_with_parent()
