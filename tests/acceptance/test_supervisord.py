"""supervisord.conf, run by a real supervisord: where there is no systemd."""

import getpass
import json
import os
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
from tests.acceptance.conftest import make_checkout
from tests.support import (
    PATIENCE,
    Process,
    client_of,
    environment,
    free_port,
    run_cli,
    wait_until,
)

QUEUES = [*config.load(environ={}).queues]
MOVED = ("/etc/content-worker", "/var/lib/content-worker", "/var/log/content-worker", "/run/content-worker")

PROBE = """\
import time
from pathlib import Path

from celery import shared_task
from celery.worker.control import control_command

from tasks.base import BaseTask


@shared_task(base=BaseTask, name="tasks.evaluation.hold")
def hold(folder: str) -> str:
    Path(folder, "started").touch()
    while not Path(folder, "release").exists():
        time.sleep(0.01)
    return "released"


@control_command()
def hang(state: object) -> None:
    time.sleep(1000)
"""

pytestmark = [
    pytest.mark.once,
    pytest.mark.skipif(os.name == "nt", reason="Windows has no supervisord"),
]


class Supervisord(Process):
    """The generated files, every path moved into one folder, every account being ours; and what they need."""

    def __init__(self, root: Path) -> None:
        self.root, self.configuration = root, root / "etc/content-worker/supervisord.conf"
        self.health_port, redis_port, user = free_port(), free_port(), getpass.getuser()
        self.redis_url = f"redis://:secret@127.0.0.1:{redis_port}/0"
        overrides = {
            "WORKER__SERVICES__PREFIX": f"{root}/opt",
            "WORKER__SERVICES__USER": user,
            "WORKER__BROKER__PORT": str(redis_port),
            "WORKER__HEALTH__PORT": str(self.health_port),
            "WORKER__METRICS__PORT": str(free_port()),
            "WORKER__FLOWER__PORT": str(free_port()),
            "WORKER__SERVICES__WATCHDOG_SECONDS": "10",
        }
        rendered = run_cli("units", f"--output={root}/rendered", **overrides)
        assert rendered.returncode == 0, rendered.stderr
        credentials = root / "etc/content-worker/credentials"
        for folder in ("var/lib/content-worker", "var/lib/content-worker-redis", "var/log/content-worker"):
            (root / folder).mkdir(parents=True)
        credentials.mkdir(parents=True)
        (root / "run").mkdir()
        (credentials / "REDIS_URL").write_text(f"{self.redis_url}\n", "utf-8")
        (credentials / "redis-password.conf").write_text("requirepass secret\n", "utf-8")
        for name in ("supervisord.conf", "supervisord-redis.conf", "redis.conf"):
            text = (root / "rendered" / name).read_text("utf-8")
            for path in MOVED:
                text = text.replace(path, f"{root}{path}")
            text = text.replace(f"user={user}-redis", f"user={user}")
            (root / "etc/content-worker" / name).write_text(text, "utf-8")
        release = make_checkout(root / "opt/releases/1")
        (release / "tasks/probe.py").write_text(PROBE, "utf-8")
        (release / "environment").symlink_to(sys.prefix)
        (root / "opt/queues").mkdir()
        for link in ("current", *(f"queues/{name}" for name in QUEUES)):
            (root / "opt" / link).symlink_to(release)
        command = [self._script("supervisord"), "-n", "-c", str(self.configuration)]
        super().__init__(command, root / "supervisord", environment(**overrides), cwd=root)

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
    """All services, running; their folder has a short name, as a socket's must be."""
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


def all_are_well(running: Supervisord) -> bool:
    done = run_cli("health", "--json", redis_url=running.redis_url)
    return {item["queue"]: item["status"] for item in json.loads(done.stdout)} == dict.fromkeys(QUEUES, "ok")


def test_all_queues_are_served(supervisord: Supervisord, client: Celery) -> None:
    """Each by a worker of its own, which says its name; beside them Flower, health, metrics and Redis."""
    wait_until(lambda: set(supervisord.states().values()) == {"RUNNING"}, "every program to run")
    programs = [f"celery-worker:{name}" for name in QUEUES]
    others = ["celery-beat", "celery-flower", "celery-health", "celery-metrics", "celery-redis"]
    assert sorted(supervisord.states()) == sorted([*programs, *others])
    assert all_are_well(supervisord)
    with urlopen(f"http://127.0.0.1:{supervisord.health_port}/ready") as answer:
        assert json.load(answer)["ok"]
    names = client.control.inspect(timeout=2).ping()
    assert sorted(name.partition("@")[0] for name in names) == sorted(QUEUES)
    assert not any("%" in name for name in names)


def test_killed_worker_comes_back(supervisord: Supervisord) -> None:
    """kill -9 of the main process: another serves the queue."""
    before = supervisord.pid_of("rewrite")
    os.kill(before, signal.SIGKILL)
    wait_until(lambda: supervisord.pid_of("rewrite") not in (0, before), "another worker")
    wait_until(lambda: all_are_well(supervisord), "every queue to be served")


def test_stop_lets_the_task_finish(supervisord: Supervisord, client: Celery, tmp_path: Path) -> None:
    """A stop waits for the task that runs."""
    running = client.send_task("tasks.evaluation.hold", kwargs={"folder": str(tmp_path)})
    wait_until((tmp_path / "started").exists, "the task to start")
    stop = subprocess.Popen(supervisord.control_command("stop", "celery-worker:evaluation"))
    wait_until(lambda: supervisord.alive("evaluation").startswith("stopping"), "the worker to stop")
    assert stop.poll() is None
    (tmp_path / "release").touch()
    assert stop.wait(PATIENCE) == 0
    assert running.get(timeout=PATIENCE) == "released"
    assert supervisord.states()["celery-worker:evaluation"] == "STOPPED"
    supervisord.control("start", "celery-worker:evaluation")
    wait_until(lambda: supervisord.alive("evaluation") == "ready", "the queue to be served again")


def test_hung_worker_comes_back(supervisord: Supervisord, client: Celery) -> None:
    """A worker whose event loop hangs ends itself, and another serves the queue."""
    before = supervisord.pid_of("escalation")
    (name,) = [name for name in client.control.inspect(timeout=2).ping() if name.startswith("escalation@")]
    client.control.broadcast("hang", destination=[name])
    wait_until(lambda: supervisord.pid_of("escalation") not in (0, before), "another worker")
    wait_until(lambda: all_are_well(supervisord), "every queue to be served")
    log = supervisord.root / "var/log/content-worker/escalation.log"
    assert "in hang" in log.read_text("utf-8")
