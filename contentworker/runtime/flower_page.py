"""Flower as this project runs it: `guard` is met by every way of starting it with our application.

Celery loads the application before Flower reads its options, each of which may then come from the
environment (`FLOWER_ADDRESS`), a `flowerconfig.py` and the command line, in this order. So ours are set
first, and what came of them all is checked where Flower makes its server of them, before it listens.
"""

import ipaddress
import logging
import re
import sys
from pathlib import Path
from typing import Any

from contentworker.runtime import logs
from contentworker.runtime.settings import LOOPBACK_ADDRESSES, FlowerSettings, LogSettings

__all__ = ["guard"]

MAX_TASKS = 10_000
"""Kept in memory and on disk. Flower's own number, ten times this, is more than its service's memory."""
SAVE_MILLISECONDS = 60_000
RESULTS = ("TaskApply", "TaskResult")
"""Handlers of Flower's API that answer with a task's result, which may be an article."""


def guard(settings: FlowerSettings, log_settings: LogSettings, folder: Path) -> None:
    """Give Flower our settings, and have it refuse to be open, wherever this process is a `celery` command.

    What Flower remembers is kept in this folder.
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
        _close_pages()
        return unguarded(*arguments, **more)

    command.Flower = guarded


def _refusal(options: Any) -> str:
    """Why Flower may not listen with these options; empty where it may."""
    for login in options.basic_auth:
        if not re.fullmatch(r"[^:]+:.+", login):
            # Not shown: it is, or is a part of, a password.
            return "FLOWER_BASIC_AUTH must be user:password, several with commas between; no comma in any"
    if options.basic_auth or options.auth:
        return ""
    if options.unix_socket:
        return (
            f"everybody on this machine can open the socket {options.unix_socket}. "
            "Set FLOWER_BASIC_AUTH=user:password"
        )
    if not _is_loopback(options.address):
        return (
            f"others can reach the address it is to listen on ({options.address or 'every one'}). "
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
            f"Flower does not start: {folder}, where it keeps what it has seen: {error.strerror}. "
            "Choose another file with --db, or --persistent=false"
        ) from None


def _close_pages() -> None:
    """Put `/metrics`, which Flower shows to everybody, behind its password; take tasks' results away."""
    from flower import urls
    from flower.api import tasks
    from flower.views.monitor import Metrics
    from tornado.web import authenticated

    Metrics.get = authenticated(Metrics.get)
    without = {getattr(tasks, name) for name in RESULTS}
    # In place: it is this list that Flower goes by. Its pages are URLSpecs, its API is tuples.
    urls.handlers[:] = [
        each for each in urls.handlers if getattr(each, "handler_class", None) or each[1] not in without
    ]
