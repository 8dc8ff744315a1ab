"""A test run that is interrupted or killed leaves no process behind."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from contentworker.testing import preloaded
from contentworker.testing.leftovers import is_running, stat_of
from tests.support import PATIENCE, ROOT, environment, wait_until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")

RUN = """
import os, subprocess, sys, time
from pathlib import Path
from contentworker.runtime.development import local_redis
from contentworker.testing import leftovers
from tests.support import ROOT, Process, RedisProcess, environment

folder = Path(sys.argv[1])
leftovers.watch()
redis = RedisProcess(folder / "redis").ready()
server = local_redis.throwaway(folder / "throwaway")
server.__enter__()
throwaway = local_redis.find(folder / "throwaway")
forked = Process([sys.executable, "-m", "contentworker", "with-redis", "sleep", "1000"], folder / "forked",
                 environment(REDIS_URL=redis.url))
daemon = subprocess.Popen(["sh", "-c", "setsid sleep 1000 & echo $!"], stdout=subprocess.PIPE, text=True)
print(redis.pid, throwaway.pid, forked.pid, daemon.stdout.readline().strip(), flush=True)
time.sleep(1000)
"""
"""Stands for a run: it starts two servers, a forked command, and a daemon that leaves its session."""


@pytest.fixture
def run(tmp_path: Path) -> Iterator["subprocess.Popen[str]"]:
    command = [sys.executable, "-c", RUN, str(tmp_path)]
    with subprocess.Popen(command, cwd=ROOT, env=environment(), stdout=subprocess.PIPE, text=True) as process:
        yield process
        process.kill()


def pids_of(run: "subprocess.Popen[str]") -> list[int]:
    assert run.stdout
    return [int(pid) for pid in run.stdout.readline().split()]


def watcher_of(run: "subprocess.Popen[str]") -> int:
    """The process that waits for the end of the run."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes().split(b"\0")
        except OSError:  # it has ended
            continue
        if any(word.endswith(b"leftovers.py") for word in words) and f"{run.pid}-".encode() in words[3]:
            return int(folder.name)
    raise AssertionError("there is no watcher")


@pytest.mark.parametrize(
    "signum", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL], ids=lambda each: each.name
)
def test_what_a_run_has_started_ends_with_it(run: "subprocess.Popen[str]", signum: signal.Signals) -> None:
    """Whatever ends the run, also what has left its session."""
    pids = pids_of(run)
    assert len(pids) == 4
    assert all(map(is_running, pids))
    run.send_signal(signum)
    wait_until(lambda: not any(map(is_running, pids)), "the end of what the run has started")


TEST = """
import time
from pathlib import Path

def test_that_hangs(worker, redis_client):
    pids = worker("--queues=celery").pid, redis_client.info()["process_id"]
    Path("pids.new").write_text(" ".join(map(str, pids)))
    Path("pids.new").rename("pids")
    time.sleep(1000)
"""


def test_a_killed_pytest_leaves_nothing(tmp_path: Path) -> None:
    """The plugin's worker and its Redis end with the run that started them."""
    (tmp_path / "test_hanging.py").write_text(TEST, "utf-8")
    command = [sys.executable, "-m", "pytest", "-p", "contentworker.testing.plugin", "-p", "no:celery"]
    env = environment(PYTHONPATH=str(ROOT))
    with (tmp_path / "log").open("wb") as log:
        pytest_run = subprocess.Popen([*command, "-c", os.devnull], cwd=tmp_path, env=env, stdout=log)
    try:
        wait_until((tmp_path / "pids").exists, "the worker of the test")
        pids = [int(pid) for pid in (tmp_path / "pids").read_text().split()]
        assert all(map(is_running, pids))
    finally:
        pytest_run.kill()
        pytest_run.wait()
    wait_until(lambda: not any(map(is_running, pids)), "the end of the worker and its Redis")


def test_a_process_that_ends_when_the_tests_do(tmp_path: Path) -> None:
    """Nobody is left to be told of its end; the others are ended all the same."""
    client = preloaded._Client()
    with Path(os.devnull).open("r+b") as nothing:
        files = [nothing.fileno()] * 3
        one, other = (client.start(["sleep", "1000"], str(tmp_path), os.environ, files) for _ in range(2))
    client._process.send_signal(signal.SIGSTOP)
    wait_until(lambda: stat_of(client._process.pid)[0] == "T", "it to stand still")
    os.kill(one.pid, signal.SIGKILL)
    wait_until(lambda: not is_running(one.pid), "its end")
    client._socket.close()
    client._process.send_signal(signal.SIGCONT)
    assert client._process.wait(PATIENCE) == 0
    wait_until(lambda: not is_running(other.pid), "the end of the other")


def test_the_next_run_ends_what_is_left(run: "subprocess.Popen[str]") -> None:
    """The watcher was killed as well."""
    *_, daemon = pids_of(run)
    os.kill(watcher_of(run), signal.SIGKILL)
    run.kill()
    run.wait()
    assert is_running(daemon)
    code = "from contentworker.testing import leftovers; leftovers.watch()"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment(), check=True)
    assert not is_running(daemon)
