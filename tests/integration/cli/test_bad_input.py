"""Every command with input that cannot work: one line that helps, and the exit code of docs/commands.md."""

import re
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from contentworker import config
from contentworker.cli import connection
from contentworker.cli.exit_codes import ExitCode
from contentworker.cli.main import LISTED, main
from contentworker.printable import one_line
from contentworker.runtime.development import local_redis
from contentworker.runtime.environment import session, state_folder
from tests.support import ROOT, environment, free_port, run_cli

PASS_ON = {"worker", "redis", "with-redis"}
"""Commands that hand options which they do not know to another program."""
NOWHERE = "/dev/null/nowhere"
"""Nobody can write there, root neither."""
MISSING = "unknown-id"


def known(rows: Iterable[Any]) -> list[Any]:
    """The rows whose command this project has: one that was made from it may have fewer."""
    return [row for row in rows if (row if isinstance(row, str) else row[0]).split()[0] in LISTED]


def commands(group: click.Group = main, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Each command, with its groups."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))
        yield (*path, name)


def command_at(path: tuple[str, ...]) -> click.Command:
    """The command of these names."""
    command: click.Command = main
    for name in path:
        assert isinstance(command, click.Group)
        found = command.get_command(click.Context(command), name)
        assert found
        command = found
    return command


def typed(*words: str) -> Result:
    """Run a command in this process, in a terminal of 79 columns: click leaves two of them free."""
    return CliRunner().invoke(main, words, prog_name="content-worker", terminal_width=79 - 2)


@pytest.mark.parametrize("command", [*commands(), ()], ids=" ".join)
def test_help_and_a_wrong_option(command: tuple[str, ...]) -> None:
    """Help has whole sentences in 79 columns; an option that is not there is one line and exit code 2."""
    shown = typed(*command, "--help")
    assert shown.exit_code == 0
    assert max(map(len, shown.output.splitlines())) <= 79
    assert not re.search(r"[a-z]\.\.\.$", shown.output, re.MULTILINE)  # a sentence that was cut
    if set(command) & PASS_ON:
        return
    refused = typed(*command, "--xyzzy")
    assert refused.exit_code == ExitCode.USAGE
    (line,) = refused.stderr.splitlines()
    name = " ".join(["content-worker", *command])
    assert line == f"Error: No such option '--xyzzy'. For help: {name} --help"


@pytest.mark.parametrize(
    ("words", "says"),
    [
        pytest.param("helth", "No such command 'helth'. Did you mean 'health'?", id="command"),
        pytest.param(
            "dead-letters lst", "No such command 'lst'. Did you mean 'list'?", id="command of a group"
        ),
        pytest.param(
            "top --intrval 1", "No such option '--intrval'. Did you mean '--interval'?", id="option"
        ),
        pytest.param("submit", "Missing argument 'TASK'.", id="argument"),
        pytest.param("submit tasks.health_check a", "'a' is not NAME=VALUE", id="form of an argument"),
        pytest.param("submit nobody.takes_it", "there is no task 'nobody.takes_it' in tasks/", id="task"),
        pytest.param("pause nope", "no queue 'nope'; allowed: ", id="queue"),
        pytest.param("worker --queue nope", "no queue 'nope'; allowed: ", id="queues"),
        pytest.param("health --timeout x", "'x' is not a valid float", id="number"),
        pytest.param("health --timeout nan", "'nan' is not a number", id="not a number"),
        pytest.param("health --timeout inf", "inf is not in the range 0<=x<=86400", id="infinity"),
        pytest.param(
            "submit tasks.health_check --wait -1", "-1.0 is not in the range 0<=x<=86400", id="past"
        ),
        pytest.param("top --interval nan", "'nan' is not a number", id="no interval"),
        pytest.param("metrics --port 0", "0 is not in the range 1<=x<=65535", id="range"),
        pytest.param("completion tcsh", "'tcsh' is not one of 'bash', 'zsh', 'fish'", id="choice"),
        pytest.param("dead-letters list --older-than 1y", "'1y' is not an age such as", id="age"),
        pytest.param("dead-letters replay", "say which: IDs, a filter", id="no choice"),
        pytest.param("with-redis", "Missing argument 'COMMAND...'", id="no command"),
    ],
)
def test_wrong_usage(words: str, says: str) -> None:
    """Nothing is done; the line names what is wrong, what is allowed and where help is."""
    done = typed(*words.split())
    assert done.exit_code == ExitCode.USAGE
    (line,) = done.stderr.splitlines()
    assert says in line
    assert " For help: content-worker" in line


@pytest.mark.parametrize(
    "words",
    known(
        [
            *("health", "spending", "pause celery", "hand-back", "redis ping", "metrics --once"),
            *("runs list", f"runs show {MISSING}", f"runs cancel {MISSING}", f"runs forget {MISSING}"),
            *("dead-letters list", "dead-letters show 1795-0", "dead-letters discard --all --yes"),
            *("submit tasks.health_check", "submit tasks.health_check --wait 1"),
        ]
    ),
)
def test_no_redis(words: str) -> None:
    """Exit code 3; the line names the server without its password, and what to do."""
    done = run_cli(*words.split(), redis_url=f"redis://:secret@127.0.0.1:{free_port()}/0")
    assert done.returncode == ExitCode.NO_REDIS
    line = done.stderr.splitlines()[-1]
    assert re.match(r"Error: Redis at redis://:\*\*@127\.0\.0\.1:\d+/0 cannot be used: ", line)
    assert line.endswith(f"Start one with `{session('redis')}`, or set REDIS_URL.")
    assert len(done.stderr.splitlines()) == 1 + (words == "metrics --once")  # which has logged it, too


@pytest.mark.parametrize("owner", ["another checkout", "nobody"])
def test_a_redis_that_is_not_ours(owner: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without REDIS_URL, another checkout's Redis is refused; one that belongs to no checkout is used."""
    port = free_port()
    monkeypatch.delenv("REDIS_URL", raising=False)
    monkeypatch.setenv("WORKER__BROKER__PORT", str(port))
    monkeypatch.setattr("contentworker.config._load_own", cache(config._load_own.__wrapped__))
    monkeypatch.setattr(connection, "STATE_FOLDER", tmp_path / "ours")  # where none runs
    if owner == "another checkout":
        (tmp_path / "worker.toml").touch()
    with local_redis.session(state_folder(tmp_path), port, environment()):
        done = typed("dead-letters", "list")
    if owner == "nobody":
        assert (done.exit_code, done.output) == (ExitCode.DONE, "No dead letters.\n")
    else:
        says = f"Error: port {port} belongs to the checkout {tmp_path}; your Redis is not running: "
        assert done.exit_code == ExitCode.NO_REDIS
        assert done.stderr == f"{says}start it with `{session('redis')}`, or set REDIS_URL\n"


@pytest.mark.parametrize(
    ("words", "says"),
    known(
        [
            *((f"runs {action} {MISSING}", f"{MISSING}: ") for action in ("show", "cancel")),
            *(
                (f"dead-letters {action} {MISSING}", f"Error: {MISSING}: there is no such dead letter")
                for action in ("show", "replay", "discard")
            ),
            (f"escalations show {MISSING}", f"{MISSING}: there is no such record"),
            (f"escalations settle {MISSING} --decision accept --by ana", "there is no such record"),
            (f"submit tasks.health_check a@{MISSING}", f"a: {MISSING} cannot be read: No such file"),
            (f"top --once --svg {NOWHERE}/top.svg", f"{NOWHERE}/top.svg: Not a directory"),
            (f"config document --output {NOWHERE}", f"{NOWHERE}"),
            (f"backup {NOWHERE}", f"{NOWHERE}: Not a directory"),
            ("redis nope", "unknown command"),
        ]
    ),
)
def test_unknown_ids_and_places_that_cannot_be_written(
    words: str, says: str, redis_url: str, tmp_path: Path
) -> None:
    """Exit code 1 and a line."""
    done = run_cli(*words.split(), redis_url=redis_url, STATE_DIRECTORY=str(tmp_path))
    assert done.returncode == ExitCode.FAILED
    (line,) = done.stderr.splitlines()
    assert says in line


@pytest.mark.parametrize(
    ("words", "empty"),
    known(
        [
            ("runs list", "No runs.\n"),
            ("dead-letters list", "No dead letters.\n"),
            ("escalations list", "No escalations.\n"),
        ]
    ),
)
def test_an_empty_list_is_no_error(words: str, empty: str, redis_url: str, tmp_path: Path) -> None:
    """Exit code 0; as JSON nothing at all."""
    for options, expected in (([], empty), (["--json"], "")):
        done = run_cli(*words.split(), *options, redis_url=redis_url, STATE_DIRECTORY=str(tmp_path))
        assert (done.returncode, done.stdout, done.stderr) == (ExitCode.DONE, expected, "")


def test_no_worker(redis_url: str) -> None:
    """All queues are down: what to type is in a line, and stdout has the table only."""
    done = run_cli("health", "--timeout=0.1", redis_url=redis_url)
    assert done.returncode == ExitCode.DOWN
    assert done.stderr == f"No worker answers. Start one with `{session('worker')}`.\n"
    assert len(done.stdout.splitlines()) == len(config.load().queues)


def test_a_mistyped_address_of_redis(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is named where this checkout's Redis is used in its place."""
    monkeypatch.delenv("REDIS_URL", raising=False)
    done = run_cli("dead-letters", "list", REDIS_ULR=redis_url, WORKER__BROKER__PORT=str(free_port()))
    assert done.returncode == ExitCode.NO_REDIS
    (line,) = done.stderr.splitlines()
    assert line.endswith(". REDIS_ULR is set, and REDIS_URL is not; did you mean REDIS_URL?")


def test_a_state_folder_that_cannot_be_written(monkeypatch: pytest.MonkeyPatch) -> None:
    """A command that starts a Redis says so in a line."""
    monkeypatch.delenv("REDIS_URL", raising=False)
    monkeypatch.setattr("contentworker.cli.connection.STATE_FOLDER", Path(NOWHERE))
    done = typed("with-redis", "true")
    assert done.exit_code == ExitCode.FAILED
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"Error: The local Redis cannot start in {NOWHERE}: ")


def test_the_table_of_exit_codes() -> None:
    """docs/commands.md has a row for each, and no other."""
    page = (ROOT / "docs" / "commands.md").read_text("utf-8")
    assert [int(code) for code in re.findall(r"^\| (\d+) \|", page, re.MULTILINE)] == [*ExitCode]


def test_reading_commands_print_json() -> None:
    """Each command that shows or lists something has `--json`."""
    reading = {"list", "show", "health", "doctor", "spending", "top"}
    for path in commands():
        if path[-1] in reading:
            assert any("--json" in parameter.opts for parameter in command_at(path).params), one_line(path)
    assert all(entry.summary.endswith(".") for entry in LISTED.values())
