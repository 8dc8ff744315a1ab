"""`content-worker up | down | status | logs`: all programs of a checkout in one terminal."""

import json
import os
import shlex
import signal
import subprocess
import sys
import sysconfig
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from contentworker import config
from contentworker.cli import connection
from contentworker.config import ENVIRONMENT_PREFIX
from contentworker.runtime.development import up_files
from contentworker.runtime.development.supervisor import OWN_NAME, Program, Supervisor
from contentworker.runtime.environment import session

if TYPE_CHECKING:
    from contentworker.sections import ListeningSection

__all__ = ["down", "logs", "status", "up"]

COLOURS = (36, 32, 33, 35, 34, 96, 92, 93, 95, 94)
POLL_SECONDS = 0.05
NOTHING_RUNS = f"Nothing is running here. `{session('up')}` starts everything."
LOG_FORMAT = f"{ENVIRONMENT_PREFIX}LOGS__FORMAT"


@click.command("up")
@click.option(
    "--only", multiple=True, metavar="NAME", help="Only this one and what it needs; more with commas."
)
@click.option("--without", multiple=True, metavar="NAME", help="All but this one; more with commas.")
@click.option("--detach", is_flag=True, help="Run in the background; return when everything is ready.")
@click.option("--background", is_flag=True, hidden=True)
def up(only: tuple[str, ...], without: tuple[str, ...], detach: bool, background: bool) -> None:
    """Run the programs under [up] in worker.toml, and start again what dies. Ctrl-C stops everything.

    Exit code 0: stopped in good order. 1: it cannot start, or was ended by force.
    """
    if sys.platform == "win32":
        raise click.ClickException("`up` needs Linux or macOS. On Windows use WSL.")
    settings = config.load()
    names = _chosen(settings.up, only, without)
    if detach:
        _detach([*(f"--only={name}" for name in only), *(f"--without={name}" for name in without)])
        return
    os.chdir(config.ROOT)
    programs = [_program(name, settings) for name in names]

    def reread() -> list[Program]:
        new = config.load(environ=os.environ)
        return [_program(name, new) for name in names if name in new.up]

    coloured = _is_coloured()
    say = _printer([OWN_NAME, *names], coloured=coloured)
    if background:
        say = _let_go_of_terminal
    try:
        environ = _environment(settings, coloured=coloured)
        folder, file = connection.STATE_FOLDER, config.file()
        ends = f"`{session('down')}`" if background else "Ctrl-C"
        code = Supervisor(
            programs, folder, say, environ, settings_file=file, reread=reread, stopped_by=ends
        ).run()
    except up_files.AlreadyRunsError:
        found = up_files.state(connection.STATE_FOLDER)
        which = f"as process {found[0]}" if found else "and is ending"
        raise click.ClickException(
            f"`up` runs already in this checkout, {which}: see `{session('status')}`, "
            f"stop it with `{session('down')}`"
        ) from None
    except OSError as error:
        raise click.ClickException(
            f"`up` cannot write to {connection.STATE_FOLDER}: {error.strerror}. Make the folder writable."
        ) from None
    sys.exit(code)


@click.command("down")
@click.option("--now", is_flag=True, help="Do not wait for running tasks: they go back to their queues.")
def down(now: bool) -> None:
    """Stop what `up` runs in this checkout, and wait for running tasks. Nothing running is no error."""
    folder = connection.STATE_FOLDER
    if not up_files.is_running(folder):
        click.echo(NOTHING_RUNS)
        return
    say = _printer(_names(), coloured=_is_coloured())
    lines = _log_lines(folder, from_end=True)
    is_told = is_forced = False
    while up_files.is_running(folder):
        found = up_files.state(folder)
        if found and not is_told:  # not before: `up` may have begun just now
            is_told = True
            with suppress(ProcessLookupError):
                os.kill(found[0], signal.SIGTERM)
        for name, line in _available(lines):
            say(name, line)
        if now and found and not is_forced:
            is_forced = any(each.state in ("stopping", "ended") for each in found[1])
            if is_forced:
                with suppress(ProcessLookupError):
                    os.kill(found[0], signal.SIGQUIT)
        time.sleep(POLL_SECONDS)
    for name, line in _available(lines):
        say(name, line)


@click.command("status")
@connection.json_option
def status(as_json: bool) -> None:
    """Show each program of `up`: its state, process, and how long it has been so.

    Exit code 0: everything is ready. 1: something is not, or nothing runs.
    """
    found = up_files.state(connection.STATE_FOLDER)
    programs = found[1] if found else []
    if as_json:
        fields = ("name", "state", "detail", "pid", "since", "restarts")
        click.echo(json.dumps([{name: getattr(each, name) for name in fields} for each in programs]))
    elif not programs:
        click.echo(NOTHING_RUNS)
    else:
        width = max(len(each.name) for each in programs)
        for each in programs:
            age = _age(time.time() - each.since)
            process = f", process {each.pid}" if each.pid else ""
            again = f", restarted {each.restarts} times" if each.restarts > 1 else ""
            again = ", restarted once" if each.restarts == 1 else again
            detail = f" {each.detail}" if each.detail else ""
            click.echo(f"{each.name:<{width}}  {each.state}{detail} for {age}{process}{again}")
    sys.exit(0 if programs and all(each.state == "ready" for each in programs) else 1)


@click.command("logs")
@click.option("--follow", "-f", is_flag=True, help="Go on until Ctrl-C, or until `up` has ended.")
@click.option("--lines", "-n", type=click.IntRange(0), help="Only the last ones.")
@click.argument("names", nargs=-1, metavar="[NAME]...")
def logs(follow: bool, lines: int | None, names: tuple[str, ...]) -> None:
    """Show what the programs of `up`, or those of these NAMEs, have printed since it was last started."""
    known = _names()
    if unknown := [name for name in names if name not in known]:
        raise click.BadParameter(
            f"no program {unknown[0]!r} in [up] of worker.toml; there are: {', '.join(known)}"
        )
    folder = connection.STATE_FOLDER
    say = _printer(known, coloured=_is_coloured())
    source = _log_lines(folder)
    shown = [each for each in _available(source) if not names or each[0] in names]
    if not shown and not (folder / up_files.LOG).exists():
        click.echo(NOTHING_RUNS)
        return
    with suppress(BrokenPipeError, KeyboardInterrupt):
        for name, line in shown if lines is None else shown[len(shown) - min(lines, len(shown)) :]:
            say(name, line)
        while follow:
            is_last = not up_files.is_running(folder)
            for name, line in _available(source):
                if not names or name in names:
                    say(name, line)
            if is_last:
                break
            time.sleep(POLL_SECONDS)


def _chosen(programs: Mapping[str, Any], only: Sequence[str], without: Sequence[str]) -> list[str]:
    if not programs:
        raise click.ClickException("worker.toml: [up] names no program, so there is nothing to run")
    wanted, unwanted = ({name for value in values for name in value.split(",")} for values in (only, without))
    for name in sorted(wanted | unwanted):
        if name not in programs:
            raise click.UsageError(
                f"no program {name!r} in [up] of worker.toml; there are: {', '.join(programs)}"
            )
    wanted = wanted or {*programs}
    while needed := {name for each in wanted for name in programs[each].after} - wanted:
        wanted |= needed
    chosen = [name for name in programs if name in wanted - unwanted]
    if not chosen:
        raise click.UsageError("nothing is left to run")
    return chosen


def _program(name: str, settings: Any) -> Program:
    own = settings.up[name]
    section: ListeningSection | None = getattr(settings, own.ready_section) if own.ready_section else None
    return Program(
        name=name,
        command=shlex.split(own.command),
        after=own.after,
        ready_text=own.ready_text,
        address=(section.address, section.port) if section else None,
        setting=f"{own.ready_section}.port in worker.toml",
        reads_settings=own.reads_settings,
    )


def _environment(settings: Any, *, coloured: bool) -> dict[str, str]:
    path = os.pathsep.join([sysconfig.get_path("scripts"), os.environ.get("PATH", os.defpath)])
    environ = {**os.environ, "PATH": path, "PYTHONUNBUFFERED": "1"}
    if settings.logs.format == "auto":  # a person reads it, though not each program has a terminal
        environ[LOG_FORMAT] = "text"
    if coloured:
        environ.setdefault("FORCE_COLOR", "1")
    return environ


def _is_coloured() -> bool:
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR")


def _names() -> list[str]:
    return [OWN_NAME, *config.load().up]


def _printer(names: Sequence[str], *, coloured: bool) -> Callable[[str, str], None]:
    width = max(map(len, names))
    colours = {name: f"\033[{COLOURS[number % len(COLOURS)]}m" for number, name in enumerate(names[1:])}

    def say(name: str, line: str) -> None:
        start = f"{name:<{width}} |"
        if coloured:
            start = f"{colours.get(name, chr(27) + '[1m')}{start}\033[0m"
        os.write(sys.stdout.fileno(), f"{start} {line}\n".encode("utf-8", "replace"))

    return say


def _let_go_of_terminal(_name: str, _line: str) -> None:
    """Called with each line. The first line comes once nothing can prevent the start."""
    os.dup2(sys.stdout.fileno(), sys.stderr.fileno())  # /dev/null; there is the log


def _detach(options: Sequence[str]) -> None:
    """Start `up` in a session of its own; show what it prints until all is ready, or something fails."""
    folder = connection.STATE_FOLDER
    command = [sys.executable, "-m", "contentworker", "up", "--background", *options]
    child = subprocess.Popen(
        command, cwd=config.ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, start_new_session=True
    )
    say = _printer(_names(), coloured=_is_coloured())
    lines: Iterator[tuple[str, str] | None] | None = None
    states: set[str] = set()
    while not states or not ("failed" in states or states == {"ready"}):
        if child.poll() is not None:
            sys.exit(child.returncode or 1)
        found = up_files.state(folder)
        if found and found[0] == child.pid:
            states = {each.state for each in found[1]}
            lines = lines or _log_lines(folder)
            for name, line in _available(lines):
                say(name, line)
        time.sleep(POLL_SECONDS)
    commands = ", ".join(f"`{session(name)}`" for name in ("status", "logs", "down"))
    click.echo(f"It runs in the background: {commands}.")
    if "failed" in states:
        sys.exit(1)


def _log_lines(folder: Path, *, from_end: bool = False) -> Iterator[tuple[str, str] | None]:
    """Lines of the log as name and text, also those to come; None where there is no further one yet."""
    path, file, number, unread = folder / up_files.LOG, None, 0, ""
    while True:
        with suppress(OSError):
            if file is None:
                file = path.open(encoding="utf-8", errors="replace")
                number = os.fstat(file.fileno()).st_ino
                if from_end:
                    file.seek(0, os.SEEK_END)
                from_end = False
            while chunk := file.readline():
                unread += chunk
                if unread.endswith("\n"):
                    name, _, text = unread.rstrip("\n").partition(" | ")
                    unread = ""
                    yield name, text
            if path.stat().st_ino != number:  # it was too large, and a new one begins
                file.close()
                file = None
                continue
        yield None


def _available(lines: Iterator[tuple[str, str] | None]) -> Iterator[tuple[str, str]]:
    while (line := next(lines)) is not None:
        yield line


def _age(seconds: float) -> str:
    for unit, size in (("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{seconds / size:.0f} {unit}"
    return f"{max(0.0, seconds):.0f} s"
