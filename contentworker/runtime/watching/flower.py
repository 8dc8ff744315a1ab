"""Flower with our settings: every way to start it with our application runs `guard`.

Celery loads the application before Flower reads its options, from the environment (`FLOWER_ADDRESS`), a
`flowerconfig.py` and the command line, in this order. So `guard` sets ours first. It checks the result where
Flower makes its server, before the server listens.
"""

import asyncio
import dbm
import glob
import ipaddress
import logging
import re
import signal
import sys
from pathlib import Path
from typing import Any

from contentworker.runtime.logs import lines as logs
from contentworker.runtime.settings import FlowerSettings, LogSettings
from contentworker.sections import LOOPBACK_ADDRESSES

__all__ = ["guard"]

logger = logging.getLogger(__name__)

MAX_TASKS = 10_000
"""Tasks to keep in memory and on disk. Flower's default is ten times this: too much for its service."""
SAVE_MILLISECONDS = 60_000
"""Time between two writes to disk."""
STOPPING = (signal.SIGINT, signal.SIGTERM)
RESULTS = ("TaskApply", "TaskResult")
"""Handlers of Flower's API that show a task's result, which may be an article."""


def guard(settings: FlowerSettings, log_settings: LogSettings, folder: Path) -> None:
    """If this process is Flower, give it our settings, and refuse to open it to others without a password.

    Flower keeps its state in this folder.
    """
    command: Any = sys.modules.get("flower.command")
    if command is None:
        return
    options, unguarded = command.options, command.Flower
    options.address, options.port = settings.address, settings.port
    options.db, options.persistent = str(folder / "flower-state"), True
    options.max_tasks, options.state_save_interval = MAX_TASKS, SAVE_MILLISECONDS

    def guarded(*arguments: Any, **more: Any) -> Any:
        logs.set_up(log_settings, logging.getLogger().level)
        options.basic_auth = [login for login in options.basic_auth or () if login]
        if refusal := _refusal(options):
            raise SystemExit(f"Flower does not start: {refusal}")
        if options.persistent:
            _make_folder(Path(options.db).parent)
            _save_whole_states_only()
        _close_pages()
        flower = unguarded(*arguments, **more)
        if sys.platform != "win32":
            _end_between_callbacks(command, flower.io_loop.asyncio_loop)
        return flower

    command.Flower = guarded


def _end_between_callbacks(command: Any, loop: asyncio.AbstractEventLoop) -> None:
    """Let a first SIGINT or SIGTERM end the loop, and a second one the process.

    Python and Flower raise an exception wherever the process is. Where that is the start of a thread of the
    pool, `concurrent.futures` does not know the thread yet, and waits for it for ever at exit.
    """

    def stop() -> None:
        for signum in STOPPING:
            loop.remove_signal_handler(signum)
        loop.stop()

    for signum in STOPPING:
        loop.add_signal_handler(signum, stop)
    command.sigterm_handler = lambda *_: (
        None
    )  # which Flower sets for SIGTERM next; the loop hears of it all the same


def _refusal(options: Any) -> str:
    """Reason why Flower may not listen with these options; empty if it may."""
    for login in options.basic_auth:
        if not re.fullmatch(r"[^:]+:.+", login):
            # Do not show it: it is, or is a part of, a password.
            return "FLOWER_BASIC_AUTH must be user:password, several with commas between; no comma in any"
    if options.basic_auth or options.auth:
        return ""
    if options.unix_socket:
        return (
            f"all users of this machine can open the socket {options.unix_socket}. "
            "Set FLOWER_BASIC_AUTH=user:password"
        )
    if not _is_loopback(options.address):
        return (
            f"others can reach the address that it would listen on ({options.address or 'all addresses'}). "
            "Set FLOWER_BASIC_AUTH=user:password, or the address 127.0.0.1"
        )
    return ""


def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return address in LOOPBACK_ADDRESSES


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise SystemExit(
            f"Flower does not start: its state folder {folder}: {error.strerror}. "
            "Choose another file with --db, or --persistent=false"
        ) from None


def _save_whole_states_only() -> None:
    """On a full disk, keep the last good state, and log a warning.

    Python's `dbm.ndbm` does not report a failed write: Flower would replace a good state by an empty one.
    """
    from flower.events import Events

    save = Events.save_state

    def save_state(events: Any) -> None:
        kept, events.db = events.db, f"{events.db}.new"
        try:
            save(events)
            with dbm.open(events.db, "r") as written:
                if written["events"][-1:] != b".":  # the end of a pickle
                    raise EOFError("it was cut off")  # noqa: TRY301 (another sign of the same error)
            new = Path(events.db)
            for file in new.parent.glob(f"{glob.escape(new.name)}*"):
                file.replace(kept + file.name.removeprefix(new.name))
        except (OSError, KeyError, EOFError, *dbm.error) as error:
            logger.warning("Flower cannot save its state to %s; is the disk full? %s", kept, error)
        finally:
            events.db = kept

    Events.save_state = save_state


def _close_pages() -> None:
    """Put `/metrics` behind Flower's password, and remove tasks' results from its API."""
    from flower import urls
    from flower.api import tasks
    from flower.views.monitor import Metrics
    from tornado.web import authenticated

    Metrics.get = authenticated(Metrics.get)
    without = {getattr(tasks, name) for name in RESULTS}
    # In place: Flower uses this very list. Its pages are URLSpecs, its API is tuples.
    urls.handlers[:] = [
        each for each in urls.handlers if getattr(each, "handler_class", None) or each[1] not in without
    ]
