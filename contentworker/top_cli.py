"""`python -m contentworker top`."""

import io
import logging
import os
import re
import select
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from contentworker import config
from contentworker.runtime import local_redis

if TYPE_CHECKING:
    from rich.console import Console

    from contentworker.runtime.observer import Observer

__all__ = ["top"]

TIMEOUT_SECONDS = 2.0
"""Longest wait for an answer of Redis, which counts as away then."""
FIRST_SECONDS = 5.0
"""Longest wait for the first page where only one is wanted."""
PIPED_WIDTH = 120
EXIT_NO_BROKER = 3


@click.command("top")
@click.option("--once", is_flag=True, help="Print one page, and end; exit code 3: Redis cannot be read.")
@click.option(
    "--svg", type=click.Path(path_type=Path, dir_okay=False), help="Write the last page as a picture."
)
@click.option(
    "--interval",
    "interval_seconds",
    type=click.FloatRange(0.2, 3600),
    default=1.0,
    show_default=True,
    help="Seconds between two pages.",
)
def top(once: bool, svg: Path | None, interval_seconds: float) -> None:
    """Show queues, workers, running tasks and dead letters, until q or Ctrl-C; as plain text where piped."""
    from rich.console import Console

    from contentworker.runtime import application, connections
    from contentworker.runtime.observer import Observer

    logging.getLogger().addHandler(logging.NullHandler())  # a warning of kombu's would be drawn into the page
    settings = config.load()
    redis_url = local_redis.url(local_redis.state_folder(config.ROOT), settings.broker.port)
    limits: dict[str, Any] = {"socket_timeout": TIMEOUT_SECONDS, "socket_connect_timeout": TIMEOUT_SECONDS}
    width = None if sys.stdout.isatty() or os.environ.get("COLUMNS") else PIPED_WIDTH
    console = Console(highlight=False, width=width)
    with Observer(
        application.build(settings, redis_url),
        lambda: connections.connect(redis_url, settings.broker, **limits),
        settings,
        interval_seconds=interval_seconds,
    ) as observer:
        if once:
            code = _print_once(console, observer)
        else:
            with suppress(KeyboardInterrupt, BrokenPipeError):
                if console.is_terminal and sys.stdin.isatty():
                    _show(console, observer, interval_seconds)
                else:
                    _print_on(console, observer, interval_seconds)
            code = 0
        if svg:
            _draw(svg, console, observer)
    sys.exit(code)


def _print_once(console: "Console", observer: "Observer") -> int:
    from contentworker.top_page import render

    observer.wait(FIRST_SECONDS)
    overview = observer.look()
    console.print(render(overview, console.width))
    return EXIT_NO_BROKER if overview.away else 0


def _print_on(console: "Console", observer: "Observer", interval_seconds: float) -> NoReturn:
    from contentworker.top_page import render

    observer.wait(FIRST_SECONDS)
    while True:
        console.print(render(observer.look(), console.width))
        console.print()
        console.file.flush()
        time.sleep(interval_seconds)


def _draw(svg: Path, console: "Console", observer: "Observer") -> None:
    from rich._export_format import CONSOLE_SVG_FORMAT
    from rich.console import Console

    from contentworker.top_page import render

    # Whoever opens it is not to ask a server for fonts.
    without_fonts = re.sub(r"@font-face \{\{.*?\}\}", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL)
    paper = Console(file=io.StringIO(), record=True, width=console.width, highlight=False)
    paper.print(render(observer.look(), paper.width))
    try:
        paper.save_svg(str(svg), title="python -m contentworker top", code_format=without_fonts)
    except OSError as error:
        raise click.ClickException(f"{svg}: {error.strerror}") from None


def _show(console: "Console", observer: "Observer", interval_seconds: float) -> None:
    from rich.live import Live

    from contentworker.top_page import render

    def page() -> Any:
        return render(observer.look(), console.width, console.height)

    with (
        _ending() as has_ended,
        _keys(),
        Live(page(), console=console, screen=True, auto_refresh=False) as live,
    ):
        while not has_ended(interval_seconds):
            live.update(page(), refresh=True)


@contextmanager
def _keys() -> Iterator[None]:
    """Keys come as they are pressed, unseen. Where there is no such terminal, Ctrl-C is left."""
    try:
        import termios
        import tty
    except ImportError:  # Windows
        yield
        return
    before = termios.tcgetattr(sys.stdin)
    try:
        tty.setcbreak(sys.stdin)
        yield
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)


@contextmanager
def _ending() -> Iterator[Callable[[float], bool]]:
    """Wait so long for a key or a signal; whether it is over.

    No signal interrupts the drawing, which would leave the terminal half way.
    """
    if sys.platform == "win32":

        def has_ended(seconds: float) -> bool:
            time.sleep(seconds)
            return False

    else:
        told, tell = os.pipe()
        for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(signum, lambda *_: os.write(tell, b"."))

        def has_ended(seconds: float) -> bool:
            ready, _, _ = select.select([sys.stdin, told], [], [], seconds)
            if sys.stdin not in ready:
                return bool(ready)
            keys = os.read(sys.stdin.fileno(), 1024)
            return not keys or b"q" in keys.lower()  # no keys: the terminal is gone

    yield has_ended
