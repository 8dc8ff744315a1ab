"""`content-worker` as noxfile.py writes it into `.venv`, below a path with spaces: docs/commands.md."""

import json
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest

from locks import environments
from tests.acceptance.conftest import Terminal
from tests.acceptance.pages import commands_of
from tests.integration.cli.test_bad_input import command_at, commands
from tests.support import ROOT, StartWorker, environment, wait_until


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout of links, with an environment that has the packages of this one."""
    checkout = tmp_path_factory.mktemp("a checkout")
    for name in ("contentworker", "worker.toml", "celery_worker.py", "tasks"):
        (checkout / name).symlink_to(ROOT / name)
    programs = checkout / ".venv" / "bin"
    programs.mkdir(parents=True)
    python = programs / "python"
    python.write_text(
        f'#!/bin/sh\nPYTHONPATH="{sysconfig.get_path("purelib")}" exec "{sys.executable}" "$@"\n'
    )
    python.chmod(0o755)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(environments, "HERE", checkout)
        for _ in range(2):  # nox does so at each start
            environments.write_command(checkout / ".venv")
    return checkout


def run(folder: Path, command: str, shell: str = "sh", **more: str) -> subprocess.CompletedProcess[str]:
    """Type a command in a folder of the checkout that is not its top."""
    path = f"{folder / '.venv' / 'bin'}:/usr/bin:/bin"
    below = folder / "sub folder"
    below.mkdir(exist_ok=True)
    (below / "redis.py").write_text("raise SystemExit('a module of that folder was imported')")
    words = [shell, "-c", command]
    env = environment(PATH=path, **more)
    return subprocess.run(words, cwd=below, env=env, capture_output=True, text=True, check=False)


def test_the_documented_commands(folder: Path, worker: StartWorker, redis_url: str) -> None:
    """Each command of docs/commands.md, typed in a shell."""
    worker("--pool=solo")
    shown: dict[str, Any] = {}
    commands = commands_of("commands.md")
    for command in commands:
        if "completion" not in command:
            done = wait_until(lambda: in_time(folder, command, redis_url), command)  # noqa: B023 (called here)
            assert (done.returncode, done.stderr) == (0, ""), command
            shown[command] = done.stdout
    assert shown["content-worker --help"].startswith("Usage: content-worker [OPTIONS] COMMAND")
    assert shown["content-worker health"].count(" ok ") == 4
    assert shown["content-worker dead-letters list"] == "No dead letters.\n"
    assert len(json.loads(shown["content-worker top --once --json"])["workers"]) == 1


def in_time(folder: Path, command: str, redis_url: str) -> subprocess.CompletedProcess[str] | None:
    """None where a busy machine held up the worker: `health` and `top` wait some seconds for its answer."""
    done = run(folder, command, REDIS_URL=redis_url)
    is_late = command == "content-worker health" and done.returncode
    if command.endswith(" top --once --json"):
        is_late = not json.loads(done.stdout)["workers"]
    return None if is_late else done


EVERY = {
    "up --only nope": 2,
    "down": 0,
    "worker --queue nope": 2,
    "redis ping": 0,
    "with-redis true": 0,
    "submit tasks.health_check": 0,
    "status": 1,
    "logs": 0,
    "top --once": 0,
    "health --timeout 0.1": 4,
    "doctor --json": None,
    "spending": 0,
    # >>> editorial
    "runs list": 0,
    "runs show unknown-id": 1,
    "runs cancel unknown-id": 1,
    "runs forget unknown-id": 0,
    "escalations list": 0,
    "escalations show unknown-id": 1,
    "escalations settle unknown-id --decision accept --by ana": 1,
    "escalations changes unknown-id": 1,
    "escalations choose unknown-id --by ana --original 1": 1,
    "escalations comment unknown-id --by ana text": 1,
    "escalations take unknown-id --by ana": 1,
    "escalations withdraw unknown-id --by ana": 1,
    "desk serve --address nowhere": 1,
    "desk check": 1,
    "desk token cms --role nope": 1,
    "desk tokens": 0,
    "desk password ana --role nope": 2,
    # <<< editorial
    "dead-letters list": 0,
    "dead-letters show unknown-id": 1,
    "dead-letters replay unknown-id": 1,
    "dead-letters discard unknown-id": 1,
    "schedules list": 0,
    "schedules pause purge": 0,
    "schedules resume purge": 0,
    "schedules run nope": 2,
    "pause celery": 0,
    "resume celery": 0,
    "config show": 0,
    "config document --output 'an output'": 0,
    "metrics --once": 0,
    "health-server --port 0": 2,
    "backup 'a backup'": 0,
    "hand-back": 0,
    "completion bash": 0,
}
"""A line for each command, and its exit code; None: that of the machine."""


def test_no_command_is_left_out() -> None:
    leaves = {path for path in commands() if not isinstance(command_at(path), click.Group)}
    assert {leaf for leaf in leaves if any(line.split()[: len(leaf)] == [*leaf] for line in EVERY)} == leaves


@pytest.mark.parametrize("command", EVERY)
def test_in_a_small_terminal(
    folder: Path, redis_url: str, terminal: Callable[..., Terminal], command: str
) -> None:
    """79 columns, NO_COLOR, a path with spaces, a folder that keeps nothing: one line if it fails."""
    # No folder of this name can be made, also not by root.
    (folder / ".contentworker").touch()
    below = folder / "sub folder"
    below.mkdir(exist_ok=True)
    path = f"{folder / '.venv' / 'bin'}:/usr/bin:/bin"
    env = environment(PATH=path, REDIS_URL=redis_url, NO_COLOR="1", TERM="xterm-256color")
    env.pop("COLUMNS", None)
    shown = terminal(["sh", "-c", f"stty cols 79 && content-worker {command}"], below, env)
    code = shown.wait()
    (folder / ".contentworker").unlink()
    assert EVERY[command] in (code, None), shown.screen
    assert "Traceback" not in shown.screen
    assert "\x1b[" not in shown.screen
    if code in (1, 2) and EVERY[command]:
        *before, line = shown.screen.splitlines()
        assert line.startswith(("Error: ", "Nothing is running here.")), shown.screen
        assert before in ([], ["Replayed 0 dead letters."], ["Discarded 0 dead letters."])


@pytest.mark.parametrize("command", ["content-worker", "python -m contentworker"])
def test_ctrl_c_before_a_command_runs(command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """During an import, or while a shell asks for completions: 130, and nothing in the prompt."""
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    (tmp_path / ".venv" / "bin" / "python").symlink_to(sys.executable)
    monkeypatch.setattr(environments, "HERE", tmp_path)
    environments.write_command(tmp_path / ".venv")
    (tmp_path / "contentworker" / "cli").mkdir(parents=True)
    shutil.copy2(ROOT / "contentworker" / "__main__.py", tmp_path / "contentworker")
    interrupted = "import os, signal\nos.kill(os.getpid(), signal.SIGINT)\nprint('not interrupted')\n"
    (tmp_path / "contentworker" / "cli" / "main.py").write_text(interrupted)
    env = environment(PATH=f"{tmp_path / '.venv' / 'bin'}:/usr/bin:/bin")
    done = subprocess.run(command.split(), cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion(folder: Path, shell: str) -> None:
    """The script asks the command, which knows commands, options, queues and tasks."""
    (command,) = [each for each in commands_of("commands.md") if f"completion {shell}" in each]
    script = run(folder, f"content-worker completion {shell}")
    assert (script.returncode, script.stderr) == (0, "")
    assert f"_CONTENT_WORKER_COMPLETE={shell}_complete" in script.stdout
    assert "content-worker" in command

    def completes(words: str, last: str) -> set[str]:
        """The completions of a line as this shell's script asks for them."""
        place = last if shell == "fish" else str(len(words.split(" ")) - 1)
        asked = {"COMP_WORDS": words, "COMP_CWORD": place, "_CONTENT_WORKER_COMPLETE": f"{shell}_complete"}
        done = run(folder, "content-worker", **asked)
        assert (done.returncode, done.stderr) == (0, "")
        lines = done.stdout.splitlines()
        values = lines[1::3] if shell in {"zsh", "fish"} and "," not in lines[0] else lines
        return {value.removeprefix("plain,").split("\t")[0] for value in values}

    assert completes("content-worker he", "he") == {"health", "health-server"}
    assert completes("content-worker dead-letters sh", "sh") == {"show"}
    assert completes("content-worker top --int", "--int") == {"--interval"}
    assert completes("content-worker pause rew", "rew") == {"rewrite"}
    assert completes("content-worker submit tasks.hea", "tasks.hea") == {"tasks.health_check"}


def test_bash_takes_the_script(folder: Path) -> None:
    """As on Tab: the function that the script registers fills COMPREPLY."""
    tab = "COMP_WORDS=(content-worker dead); COMP_CWORD=1; _content_worker_completion content-worker; "
    done = run(folder, f'eval "$(content-worker completion bash)"; {tab} echo "${{COMPREPLY[@]}}"', "bash")
    assert (done.stdout, done.stderr) == ("dead-letters\n", "")
