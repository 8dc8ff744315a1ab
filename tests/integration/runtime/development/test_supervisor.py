"""Programs that fail, wait for each other and refuse to end. Those of the project: acceptance/test_up.py."""

import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from contentworker.runtime.development import up_files
from tests.support import Process, environment, wait_until

DRIVER = """
import os, sys
from pathlib import Path
from contentworker.errors import ConfigError
from contentworker.runtime.development.supervisor import Program, Supervisor
folder = Path({!r})
def reread():
    if "wrong" in folder.with_name("set.toml").read_text():
        raise ConfigError("set.toml:1: is wrong")
    return programs
programs = [
    Program(name, ["bash", "-c", script], after, text, reads_settings=name == "reader")
    for name, script, after, text in {!r}
]
programs += [Program("absent", ["no-such-program"])]
say = lambda name, line: print(f"{{name}} | {{line}}", flush=True)
file = folder.with_name("set.toml")
sys.exit(Supervisor(programs, folder, say, os.environ, settings_file=file, reread=reread).run())
"""
WAIT = "trap 'echo asked; exit' INT; echo here; while :; do sleep 0.05; done"
STUBBORN = "trap 'echo asked' INT; echo here; while :; do sleep 0.05; done"

Supervise = Callable[..., Process]


@pytest.fixture
def supervise(tmp_path: Path) -> Iterator[Supervise]:
    """Run programs, given as name, script, names it needs, and text that it waits for."""
    started: list[Process] = []

    def start(*programs: tuple[str, str, tuple[str, ...], str]) -> Process:
        code = DRIVER.format(str(tmp_path / "state"), programs)
        started.append(Process([sys.executable, "-c", code], tmp_path / "log", environment()))
        return started[-1]

    yield start
    for each in started:
        each.stop()
    wait_until(lambda: not up_files.is_running(tmp_path / "state"), "the guard to end what is left")


def test_in_order(supervise: Supervise) -> None:
    """A program starts after what it needs, whatever the order of the table, and ends before that."""
    up = supervise(("second", WAIT, ("first",), "here"), ("first", f"sleep 0.2; {WAIT}", (), "here"))
    up.wait_for_log("second is ready")
    lines = up.log()
    assert lines.index("up | first is ready") < lines.index("second | here")
    up.kill(signal.SIGINT)
    assert up.wait() == 0
    lines = up.log()
    assert lines.index("up | second has ended") < lines.index("first | asked")


def test_dies_at_start_again_and_again(supervise: Supervise) -> None:
    """Each death is one line, with the reason and a longer delay; what needs it waits, and all can stop."""
    up = supervise(("broken", "echo why; exit 3", (), "here"), ("other", WAIT, ("broken",), "here"))
    up.wait_for_log("broken: ended before it was ready (exit code 3); next start in 0.5 s")
    up.wait_for_log("broken: ended before it was ready (exit code 3); next start in 1 s")
    up.wait_for_log("absent: no-such-program: No such file or directory; next start in 0.5 s")
    _, states = up_files.state(up.folder.parent / "state") or (0, [])
    assert {each.name: (each.state, each.detail) for each in states}["other"] == ("waiting", "for broken")
    up.kill(signal.SIGTERM)
    assert up.wait() == 0
    assert "other | " not in up.log()
    starts, deaths, ends = map(
        up.log().count, ("broken | why", "up | broken: ended before", "up | broken has ended")
    )
    assert deaths <= starts <= deaths + ends  # the stop may find it running, before or after its line


def test_new_settings_start_a_program_again(supervise: Supervise, tmp_path: Path) -> None:
    """Only what reads them, only if they are valid, and without a delay."""

    def save(text: str) -> None:
        """As an editor saves it: no program reads half of it."""
        new = tmp_path / "set.new"
        new.write_text(text)
        new.replace(tmp_path / "set.toml")

    save("a")
    up = supervise(("reader", WAIT, (), "here"), ("other", WAIT, (), "here"))
    up.wait_for_log("reader is ready")
    save("wrong")
    up.wait_for_log("up | set.toml:1: is wrong; until that is right, everything runs with the old settings")
    save("b")
    up.wait_for_log("up | set.toml changed: reader starts again")
    wait_until(lambda: up.log().count("up | reader is ready") == 2, "the reader to be ready again")
    assert up.log().count("reader | asked") == 1
    assert "other | asked" not in up.log()
    up.kill(signal.SIGINT)
    assert up.wait() == 0


def test_third_interrupt_kills(supervise: Supervise) -> None:
    """A program that ignores Ctrl-C is asked twice, and then killed; the exit code says so."""
    up = supervise(("stubborn", STUBBORN, (), "here"))
    up.wait_for_log("stubborn is ready")
    up.kill(signal.SIGINT)
    up.wait_for_log("stubborn | asked")
    up.kill(signal.SIGINT)
    wait_until(lambda: up.log().count("stubborn | asked") == 2, "it to be asked again")
    up.kill(signal.SIGINT)
    assert up.wait() == 1
    assert "up | stubborn has ended" in up.log()
