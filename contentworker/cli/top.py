"""`content-worker top`."""

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

import click
from pydantic import TypeAdapter
from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console, Group
from rich.live import Live

from contentworker import config
from contentworker.cli import connection
from contentworker.cli.exit_codes import ExitCode
from contentworker.cli.top_page import render
from contentworker.printable import json_text
from contentworker.runtime.watching.observer import Observer
from contentworker.runtime.watching.overview import Overview

__all__ = ["top"]

FIRST_SECONDS = 5.0
"""Longest wait for the first page of `--once` and of a pipe."""
PIPED_WIDTH = 120
KEYS = "q quit   space stop the page"
KEYS_STOPPED = "q quit   space go on: the page is stopped"


@click.command("top")
@click.option("--once", is_flag=True, help="Print one page and end; exit code 3: Redis cannot be read.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object per page.")
@click.option(
    "--svg", type=click.Path(path_type=Path, dir_okay=False), help="Write the last page as a picture."
)
@click.option(
    "--interval",
    "interval_seconds",
    type=connection.NumberRange(0.2, 3600),
    default=1.0,
    show_default=True,
    help="Seconds between two pages.",
)
def top(once: bool, as_json: bool, svg: Path | None, interval_seconds: float) -> None:
    """Show queues, workers, running tasks and dead letters, until q or Ctrl-C; as plain text in a pipe.

    The busiest come first. The space bar stops the page, so that you can copy from it, and goes on.
    """
    logging.getLogger().addHandler(logging.NullHandler())  # kombu's warnings would be drawn into the page
    width = None if sys.stdout.isatty() or os.environ.get("COLUMNS") else PIPED_WIDTH
    # With NO_COLOR rich alone still prints bold and dim.
    console = Console(
        highlight=False, width=width, color_system=None if os.environ.get("NO_COLOR") else "auto"
    )
    is_screen = console.is_terminal and sys.stdin.isatty() and os.name != "nt" and not once and not as_json
    code = ExitCode.DONE
    with Observer(
        connection.application(),
        connection.impatient_client,
        config.load(),
        interval_seconds=interval_seconds,
    ) as observer:

        def page(seen: Overview, height: int | None = None, keys: str = "") -> Group:
            return render(seen, console.width, height, keys)

        def show() -> None:
            seen = observer.look()
            if as_json:
                click.echo(json_text(TypeAdapter(Overview).dump_python(seen, mode="json")))
            else:
                console.print(page(seen))

        with suppress(KeyboardInterrupt, BrokenPipeError):
            if is_screen:
                _show(console, observer.look, page, interval_seconds)
            else:
                observer.wait(FIRST_SECONDS)
                _print(show, None if once else interval_seconds, "" if as_json else "\n")
        if once and observer.look().away:
            code = ExitCode.NO_REDIS
        if svg:
            _draw(svg, console.width, page(observer.look()))
    sys.exit(code)


def _print(show: Callable[[], None], interval_seconds: float | None, between: str) -> None:
    show()
    while interval_seconds is not None:
        click.echo(between, nl=False)
        sys.stdout.flush()
        time.sleep(interval_seconds)
        show()


def _draw(svg: Path, width: int, page: Group) -> None:
    # Without fonts: the picture must not load anything from a server.
    without_fonts = re.sub(r"@font-face \{\{.*?\}\}", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL)
    paper = Console(file=io.StringIO(), record=True, width=width, highlight=False)
    paper.print(page)
    try:
        paper.save_svg(str(svg), title="content-worker top", code_format=without_fonts)
    except OSError as error:
        raise click.ClickException(f"{svg}: {error.strerror}") from None


def _show(
    console: Console, look: Callable[[], Overview], page: Callable[..., Group], interval_seconds: float
) -> None:
    seen, is_stopped = look(), False
    first = page(seen, console.height, KEYS)
    with _keyboard() as typed, Live(first, console=console, screen=True, auto_refresh=False) as live:
        while (keys := typed(interval_seconds)) is not None:
            is_stopped ^= keys.count(b" ") % 2 == 1
            if not is_stopped:
                seen = look()
            live.update(page(seen, console.height, KEYS_STOPPED if is_stopped else KEYS), refresh=True)


@contextmanager
def _keyboard() -> Iterator[Callable[[float], bytes | None]]:
    """A function that waits so many seconds for keys, and returns them; None for `q` and for a signal.

    A signal does not interrupt the drawing, which would leave the terminal in a broken state.
    """
    import termios
    import tty

    signaled, write_end = os.pipe()
    for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(signum, lambda *_: os.write(write_end, b"."))

    def typed(seconds: float) -> bytes | None:
        ready, _, _ = select.select([sys.stdin, signaled], [], [], seconds)
        if sys.stdin not in ready:
            return None if ready else b""
        keys = os.read(sys.stdin.fileno(), 1024)
        return None if not keys or b"q" in keys.lower() else keys  # no keys: the terminal is gone

    before = termios.tcgetattr(sys.stdin)
    try:
        tty.setcbreak(sys.stdin)
        yield typed
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)
