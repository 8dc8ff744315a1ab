"""`nox -s up`: every program of worker.toml in one terminal, and the commands of docs/up.md."""

import json
import os
import shlex
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from contentworker import config
from contentworker.runtime.development import local_redis
from contentworker.runtime.environment import session, state_folder
from tests.acceptance.conftest import Terminal, make_checkout
from tests.acceptance.pages import ask, commands_of
from tests.acceptance.test_autoreload import CTRL_C, PROBE, nobody_is_left_in
from tests.support import PATIENCE, WORKER_TOML, client_of, environment, free_port, wait_until

PROGRAMS = {
    *("redis", "worker", "beat", "metrics", "flower"),
    "desk",  # editorial
}
SECTIONS = (
    *("FLOWER", "METRICS", "BROKER"),
    "DESK",  # editorial
)


class Checkout:
    """A checkout with ports of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = make_checkout(folder, WORKER_TOML)
        (self.folder / "tasks" / "probe.py").write_text(PROBE.replace("{version}", "1"), "utf-8")
        self.ports = {name: free_port() for name in SECTIONS}
        ports = {f"WORKER__{name}__PORT": str(port) for name, port in self.ports.items()}
        self.env = environment(**ports, **{config.FILE_VARIABLE: str(self.folder / "worker.toml")})

    def command(self, *words: str) -> list[str]:
        return [sys.executable, "-m", "contentworker", *words]

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*words),
            cwd=self.folder,
            env=self.env,
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE,
        )

    def programs(self) -> dict[str, Any]:
        """What `status --json` says, by name."""
        return {each["name"]: each for each in json.loads(self.run("status", "--json").stdout)}

    @property
    def redis_url(self) -> str:
        return local_redis.url(state_folder(self.folder), environ={})


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Checkout]:
    made = Checkout(tmp_path_factory.mktemp("up") / "a checkout")
    yield made
    made.run("down", "--now")
    nobody_is_left_in(made.folder)


def schedules_are_obeyed(checkout: Checkout, terminal: Terminal) -> None:
    """A schedule that is saved while `up` runs is sent."""
    settings = checkout.folder / "worker.toml"
    before = settings.read_text("utf-8")
    soon = '\n[schedules.soon]\ntask = "tasks.maintenance.purge"\nevery_seconds = 1\n'
    settings.write_text(before + soon, "utf-8")
    terminal.wait_for("worker.toml changed: beat, metrics, flower")
    terminal.wait_for("Schedule soon: sent tasks.maintenance.purge")
    settings.write_text(before, "utf-8")
    terminal.wait_for("worker.toml changed: beat, metrics, flower")
    wait_until(lambda: checkout.run("status").returncode == 0, "everything to be ready again")


def test_a_day(checkout: Checkout, tmp_path: Path) -> None:
    """Everything starts in order, dead programs come back, and Ctrl-C lets a running task finish."""
    terminal = Terminal(checkout.command("up"), checkout.folder, checkout.env)
    try:
        first = terminal.wait_for("redis is ready")
        assert "is ready" not in first
        started = terminal.wait_for("everything is ready; Ctrl-C stops it")
        assert f": http://127.0.0.1:{checkout.ports['FLOWER']}" in started
        assert "Inspect method" not in started, "Flower asks workers that answer"
        assert all(f"{name} is ready" in started for name in PROGRAMS - {"redis"})
        assert "\x1b[36mredis   |\x1b[0m" in first
        assert "\x1b[32mINFO   \x1b[0m" in started, "the programs' own colours"
        assert ask(f"http://127.0.0.1:{checkout.ports['FLOWER']}/")[0] == 200

        second = checkout.run("up")
        assert second.returncode == 1
        how = f"`{session('status')}`, stop it with `{session('down')}`"
        runs = f"`up` runs already in this checkout, as process {terminal.pid}"
        assert second.stderr == f"Error: {runs}: see {how}\n"

        schedules_are_obeyed(checkout, terminal)

        programs = checkout.programs()
        assert {name: each["state"] for name, each in programs.items()} == dict.fromkeys(PROGRAMS, "ready")
        os.kill(programs["beat"]["pid"], signal.SIGKILL)
        terminal.wait_for("beat: ended (killed by SIGKILL); next start in 0.5 s")
        terminal.wait_for("everything is ready")
        server = local_redis.find(state_folder(checkout.folder))
        assert server is not None
        os.kill(server.pid, signal.SIGKILL)
        terminal.wait_for("this checkout's Redis has ended unexpectedly")
        terminal.wait_for("everything is ready")
        assert checkout.redis_url == server.url
        assert {name for name, each in checkout.programs().items() if each["restarts"] > 2} == {"beat"}
        assert checkout.programs()["redis"]["restarts"] == 1

        with client_of(checkout.redis_url) as client:
            client.send_task("tasks.maintenance.hold", [str(tmp_path)])
            wait_until((tmp_path / "runs").exists, "the task to run")
            terminal.type(CTRL_C)
            terminal.wait_for("stopping, which waits for running tasks; Ctrl-C again ends them")
            end = terminal.wait_for("[reload] stopping: 1 task still runs; Ctrl-C again ends it")
            (tmp_path / "end").touch()
            end += terminal.wait_for("redis has ended")
        assert all(f"{name} has ended" in end for name in ("worker", "beat"))
        assert "hold[" in end, "its success"
        assert terminal.wait() == 0
    finally:
        terminal.close()
    nobody_is_left_in(checkout.folder)


def test_commands_of_the_page(checkout: Checkout) -> None:
    """docs/up.md, in its order: each command does what it says; none needs another to run."""
    only, without, detach, status, logs, down = (
        shlex.split(command.removeprefix("nox -s ").replace("-- ", "", 1)) for command in commands_of("up.md")
    )
    nothing = f"Nothing is running here. `{session('up')}` starts everything.\n"
    for words in (status, down):
        assert checkout.run(*words).stdout == nothing
    for words, expected in ((only, {"redis", "worker"}), (without, PROGRAMS - {"flower", "metrics"})):
        started = checkout.run(*words, "--detach")
        assert (started.returncode, started.stderr) == (0, "")
        assert "\x1b" not in started.stdout, "no terminal, no colours"
        assert checkout.programs().keys() == expected
        assert checkout.run("down").returncode == 0
    started = checkout.run(*detach)
    assert started.returncode == 0
    assert f"everything is ready; `{session('down')}` stops it\n" in started.stdout
    shown = checkout.run(*status)
    assert shown.returncode == 0
    assert shown.stdout.count(" ready for ") == len(PROGRAMS)
    assert {line.split()[0] for line in checkout.run(*logs).stdout.splitlines()} == {"worker"}
    stopped = checkout.run(*down)
    assert stopped.stdout.endswith("redis has ended\n")
    assert checkout.run(*status).returncode == 1
    nobody_is_left_in(checkout.folder)


def test_nothing_outlives_a_killed_up(checkout: Checkout, tmp_path: Path) -> None:
    """After `kill -9` the programs end, and the task that ran is not lost."""
    assert checkout.run("up", "--detach", "--only", "worker").returncode == 0
    (record,) = checkout.folder.glob(".contentworker/*/up.json")
    with client_of(checkout.redis_url) as client:
        client.send_task("tasks.maintenance.hold", [str(tmp_path)])
        wait_until((tmp_path / "runs").exists, "the task to run")
    os.kill(json.loads(record.read_text())["pid"], signal.SIGKILL)
    again = checkout.run("up")
    assert "`up` runs already in this checkout, and is ending" in again.stderr
    (tmp_path / "end").touch()
    nobody_is_left_in(checkout.folder)
    assert "Nothing is running" in checkout.run("down").stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ("up", "--only", "flowers"),
            "no program 'flowers' in [up] of worker.toml; there are: redis, worker",
        ),
        (("up", "--without", ",".join(PROGRAMS)), "nothing is left to run"),
        (("logs", "flowers"), "no program 'flowers' in [up] of worker.toml; there are: up, redis, worker"),
    ],
)
def test_wrong_names(checkout: Checkout, words: tuple[str, ...], said: str) -> None:
    done = checkout.run(*words)
    assert done.returncode == 2
    assert said in done.stderr


def test_a_folder_that_cannot_be_written(checkout: Checkout) -> None:
    """One line, in the foreground and in the background."""
    folder = checkout.folder / ".contentworker"
    kept = folder.rename(folder.with_name("kept")) if folder.exists() else None
    folder.touch()
    for options in ((), ("--detach",)):
        done = checkout.run("up", *options)
        assert done.returncode == 1
        assert done.stderr.count("\n") == 1
        assert done.stderr.startswith("Error: `up` cannot write to ")
    folder.unlink()
    if kept:
        kept.rename(folder)


def test_a_taken_port(checkout: Checkout) -> None:
    """It is said which setting it is, and tried again until it is free; NO_COLOR is obeyed."""
    with socket.create_server(("127.0.0.1", checkout.ports["METRICS"])):
        env = {**checkout.env, "NO_COLOR": "1"}
        terminal = Terminal(checkout.command("up", "--only", "metrics"), checkout.folder, env)
        try:
            taken = f"metrics: port {checkout.ports['METRICS']} is taken by another program (metrics.port in "
            shown = terminal.wait_for(f"{taken}worker.toml); next start in 0.5 s")
            shown += terminal.wait_for(f"{taken}worker.toml); next start in 1 s")
        except BaseException:
            terminal.close()
            raise
    shown += terminal.wait_for("everything is ready")
    terminal.type(CTRL_C)
    assert terminal.wait() == 0
    assert "\x1b" not in shown
    terminal.close()
