"""supervisord.conf, run by a real supervisord: where there is no systemd."""

import getpass
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from urllib.request import urlopen

import pytest
from celery import Celery

from contentworker import config
from contentworker.generate import units
from tests.acceptance.conftest import make_checkout
from tests.support import (
    PATIENCE,
    Process,
    client_of,
    environment,
    free_port,
    wait_until,
)

QUEUES = ("evaluation", "celery")
"""Two are enough: with all of them the tests take twice as long and show nothing else."""
SERVICES = ("celery-beat", "celery-flower", "celery-health", "celery-metrics", "celery-redis")
OFF = (
    "celery-desk",  # editorial
)
"""What runs only once somebody may sign in."""
MOVED = ("/etc/content-worker", "/var/lib/content-worker", "/var/log/content-worker", "/run/content-worker")

SETTINGS = """\
[queues.evaluation]
description = "d"
tasks = ["tasks.evaluation.*"]
concurrency = 1
[queues.celery]
description = "d"
tasks = [
    "tasks.escalation.*", "tasks.rewrite.*", "tasks.pipeline.*", "tasks.maintenance.*", "tasks.health_check"
]
concurrency = 1
"""
TASK = """\
import time
from pathlib import Path

from celery import shared_task

from tasks.base import BaseTask


@shared_task(base=BaseTask, name="tasks.evaluation.hold")
def hold(folder: str) -> str:
    Path(folder, "started").touch()
    while not Path(folder, "release").exists():
        time.sleep(0.01)
    return "released"
"""

pytestmark = [
    pytest.mark.skipif(os.name == "nt", reason="Windows has no supervisord"),
]


class Supervisord(Process):
    """The generated files, with every path below one folder and every account ours, after their steps."""

    def __init__(self, root: Path) -> None:
        self.root, self.configuration = root, root / "etc/content-worker/supervisord.conf"
        self.health_port, redis_port, user = free_port(), free_port(), getpass.getuser()
        self.redis_url = f"redis://:secret@127.0.0.1:{redis_port}/0"
        checkout = make_checkout(root / "checkout")
        services = f'[services]\nprefix = "{root}/opt"\nuser = "{user}"\n'
        ports = {
            "broker": redis_port,
            "health": self.health_port,
            "metrics": free_port(),
            "flower": free_port(),
        }
        tables = [f"[{section}]\nport = {port}\n" for section, port in ports.items()]
        (checkout / "worker.toml").write_text("".join([SETTINGS, services, *tables]), "utf-8")
        (checkout / "tasks/probe.py").write_text(TASK, "utf-8")
        for name, text in {
            "REDIS_URL": f"{self.redis_url}\n",
            "FLOWER_BASIC_AUTH": "",
            "METRICS_BASIC_AUTH": "",
            "redis-password.conf": "requirepass secret\n",
        }.items():
            (checkout / name).write_text(text, "utf-8")
        (root / "run").mkdir()
        settings = config.load(checkout / "worker.toml", {})
        rendered = units.render(settings, checkout / "systemd/templates")
        self.steps = []
        for name in ("supervisord.conf", "supervisord-redis.conf", "redis.conf"):
            text = re.sub("|".join(MOVED), lambda path: f"{root}{path[0]}", rendered[name])
            text = text.replace(f"{user}-redis", user)
            (checkout / "systemd" / name).write_text(text, "utf-8")
            self.steps += re.findall(r"^#        (.*)$", text, re.MULTILINE)
        # No account is made, and nothing is downloaded: the packages are those of the tests.
        done = "\n".join(line for line in self.steps if not re.search("useradd|venv|pip install", line))
        subprocess.run(["sh", "-e", "-c", f"umask 022\n{done}"], cwd=checkout, check=True)
        (root / "opt/releases/1/environment").symlink_to(sys.prefix)
        command = [self._script("supervisord"), "-n", "-c", str(self.configuration)]
        super().__init__(command, root / "supervisord", environment(), cwd=root)

    @staticmethod
    def _script(name: str) -> str:
        return str(Path(sysconfig.get_path("scripts"), name))

    def control_command(self, *arguments: str) -> list[str]:
        return [self._script("supervisorctl"), "-c", str(self.configuration), *arguments]

    def control(self, *arguments: str) -> str:
        """What supervisorctl prints; its exit code says more of the programs than of itself."""
        command = self.control_command(*arguments)
        return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False).stdout

    def states(self) -> dict[str, str]:
        """Each program and its state."""
        lines = [line.split() for line in self.control("status").splitlines()]
        return {line[0]: line[1] for line in lines if len(line) > 1}

    def pid_of(self, queue: str) -> int:
        return int(self.control("pid", f"celery-worker:{queue}"))

    def alive(self, queue: str) -> str:
        """What the worker's alive file says."""
        file = self.root / "var/lib/content-worker/alive" / queue / "alive"
        return file.read_text("utf-8").strip() if file.exists() else ""

    def end(self) -> None:
        """Stop everything in good order; what has not stopped after a test's patience is killed."""
        pids = [int(pid) for pid in self.control("pid", "all").split() if pid.isdecimal() and pid != "0"]
        self.kill(signal.SIGTERM)
        try:
            self.wait()
        finally:
            for pid in pids:  # each is in a group of its own
                with suppress(ProcessLookupError):
                    os.killpg(pid, signal.SIGKILL)
            self.stop()


@pytest.fixture(scope="module")
def supervisord() -> Iterator[Supervisord]:
    """All services, running. Their folder has a short name: the path of a socket is limited to 108 bytes."""
    root = Path(tempfile.mkdtemp())
    running = Supervisord(root)
    try:
        wait_until(lambda: all(running.alive(name) == "ready" for name in QUEUES), "every worker to be ready")
        yield running
    finally:
        running.end()
        shutil.rmtree(root)


@pytest.fixture(scope="module")
def client(supervisord: Supervisord) -> Iterator[Celery]:
    with client_of(supervisord.redis_url) as app:
        yield app


def is_served(running: Supervisord) -> bool:
    """Whether every worker consumes its queue, as the health service sees it."""
    try:
        with urlopen(f"http://127.0.0.1:{running.health_port}/ready") as answer:
            return bool(json.load(answer)["ok"])
    except OSError:  # it does not listen yet, or says 503
        return False


def test_the_steps_of_the_file_are_what_it_needs(supervisord: Supervisord) -> None:
    """The account can list and read its secrets, no other account can read them; pip installs by hash."""
    folder = supervisord.root / "etc/content-worker/credentials"
    assert folder.stat().st_mode & 0o777 == 0o755
    names = {path.name for path in folder.iterdir()}
    assert names == {"REDIS_URL", "FLOWER_BASIC_AUTH", "METRICS_BASIC_AUTH", "redis-password.conf"}
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o400}
    assert [line.split()[0] for line in supervisord.steps].count("useradd") == 2
    pip = next(line for line in supervisord.steps if line.endswith("locks/service.txt"))
    assert pip.startswith(f"{supervisord.root}/opt/releases/1/environment/bin/pip install --require-hashes")


def test_all_queues_are_served(supervisord: Supervisord, client: Celery) -> None:
    """One worker for each queue, under the name of its queue, and every other program runs."""

    def run() -> set[str]:
        return {name for name, state in supervisord.states().items() if state == "RUNNING"}

    wait_until(lambda: run() == supervisord.states().keys() - set(OFF), "every program to run")
    assert run() == {*(f"celery-worker:{name}" for name in QUEUES), *SERVICES}
    wait_until(lambda: is_served(supervisord), "every queue to be served")
    wait_until(
        lambda: {name.partition("@")[0] for name in client.control.inspect().ping() or {}} == {*QUEUES},
        "an answer of each worker, under its own name",
    )


def test_killed_worker_comes_back(supervisord: Supervisord) -> None:
    """`kill -9` of the main process: another one serves the queue."""
    before = supervisord.pid_of("celery")
    os.kill(before, signal.SIGKILL)
    wait_until(lambda: supervisord.pid_of("celery") not in (0, before), "another worker")
    wait_until(lambda: is_served(supervisord), "every queue to be served")


def test_stop_lets_the_task_finish(supervisord: Supervisord, client: Celery, tmp_path: Path) -> None:
    """A stop waits for the task that runs."""
    running = client.send_task("tasks.evaluation.hold", kwargs={"folder": str(tmp_path)}, queue="evaluation")
    wait_until((tmp_path / "started").exists, "the task to start")
    stop = subprocess.Popen(supervisord.control_command("stop", "celery-worker:evaluation"))
    wait_until(lambda: supervisord.alive("evaluation").startswith("stopping"), "the worker to stop")
    assert stop.poll() is None
    (tmp_path / "release").touch()
    assert stop.wait(PATIENCE) == 0
    assert running.get(timeout=PATIENCE) == "released"
    assert supervisord.states()["celery-worker:evaluation"] == "STOPPED"
