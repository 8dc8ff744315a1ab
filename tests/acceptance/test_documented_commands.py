"""Every command in docs/running.md, word for word, on a real Redis with real workers."""

import json
import os
import re
import socket
import subprocess
import sysconfig
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis
from celery import Celery

from contentworker import config
from tests.acceptance.pages import ask, commands_of
from tests.support import PATIENCE, ROOT, Process, environment, free_port, wait_until

CELERY = "celery -A celery_worker.celery_app"
HOST = socket.gethostname()
Serve = Callable[..., Process]


def shell_environment(redis_url: str, **more: str) -> dict[str, str]:
    """What `nox -s shell` gives: the tools on the PATH, and REDIS_URL."""
    path = os.pathsep.join([sysconfig.get_path("scripts"), os.environ["PATH"]])
    return environment(REDIS_URL=redis_url, PATH=path, **more)


@pytest.fixture
def serve(redis_url: str, tmp_path: Path) -> Iterator[Serve]:
    """Start a command as it stands in the documentation; it is killed with the test."""
    started: list[Process] = []

    def start(command: str, cwd: Path = ROOT, **more: str) -> Process:
        folder = tmp_path / f"command{len(started)}"
        env = shell_environment(redis_url, **more)
        started.append(Process(["bash", "-c", command], folder, env, cwd=cwd))
        return started[-1]

    yield start
    for process in started:
        process.kill()  # watchmedo's worker is in a session of its own: watchmedo has to end it
        process.wait()
        process.stop()


@pytest.fixture
def run(redis_url: str) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run a command as it stands in the documentation to its end."""

    def run(command: str, answer: str = "", **more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["bash", "-c", command],
            cwd=ROOT,
            env=shell_environment(redis_url, **more),
            input=answer,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )

    return run


def ask_health(client: Celery, queue: str) -> dict[str, object]:
    """The answer of whichever worker serves the queue."""
    answer: dict[str, object] = client.send_task("tasks.health_check", queue=queue).get(timeout=PATIENCE)
    return answer


WORKER = f"{CELERY} worker --loglevel=info"
RELOADING = f"watchmedo auto-restart --directory=. --pattern='**/*.py' --recursive -- {WORKER}"
QUEUE_WORKERS = {
    queue: f"{CELERY} worker --loglevel=warning --concurrency={concurrency} --queue={queue} "
    f"--hostname={node}@%h"
    for queue, concurrency, node in [
        ("evaluation", 4, "evaluation"),
        ("rewrite", 2, "rewrite"),
        ("escalation", 2, "escalation"),
        ("celery", 4, "default"),
    ]
}
FLOWER = f"{CELERY} flower"
INSPECTIONS = {
    f"{CELERY} inspect active": "- empty -",
    f"{CELERY} inspect registered": "tasks.health_check",
    f"{CELERY} inspect stats": "max-concurrency",
    f"{CELERY} inspect active_queues": "evaluation",
}
PURGE = f"{CELERY} purge"
CALL = f"{CELERY} call tasks.health_check"
BEAT = f"{CELERY} beat --loglevel=info"
HEALTH = "content-worker health"


def test_each_documented_command_is_tested() -> None:
    """docs/running.md holds the commands that are run below, and no other."""
    tested = {WORKER, RELOADING, *QUEUE_WORKERS.values(), FLOWER, *INSPECTIONS, PURGE, CALL, HEALTH}
    assert set(commands_of("running.md")) == tested


def test_one_worker_serves_all_queues(serve: Serve, client: Celery) -> None:
    """The plain command answers on every queue."""
    serve(WORKER).wait_for_log(" ready.")
    for queue in QUEUE_WORKERS:
        assert ask_health(client, queue)["status"] == "ok"


def test_one_worker_per_queue(serve: Serve, client: Celery) -> None:
    """The four production commands start, `--queue` included, and each serves its own queue only."""
    for command in QUEUE_WORKERS.values():
        serve(command)
    for queue in QUEUE_WORKERS:
        assert ask_health(client, queue)["status"] == "ok"
    served = client.control.inspect(limit=len(QUEUE_WORKERS), timeout=PATIENCE).active_queues()
    assert {node: [queue["name"] for queue in queues] for node, queues in served.items()} == {
        f"{'default' if queue == 'celery' else queue}@{HOST}": [queue] for queue in QUEUE_WORKERS
    }


def test_help_names_the_queue_option(run: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    """`celery worker --help` shows `--queue` beside Celery's own names for it."""
    assert re.search(r"-Q, --queues, --queue\b", run(f"{CELERY} worker --help").stdout)


def test_watchmedo_reloads(serve: Serve, client: Celery, copy_project: Callable[[str], Path]) -> None:
    """The documented pattern reloads a worker when a file in a sub-folder is saved."""
    checkout = copy_project("edited")
    process = serve(RELOADING, cwd=checkout)
    process.wait_for_log(" ready.")
    health = checkout / "tasks" / "health.py"
    health.write_text(health.read_text("utf-8").replace("socket.gethostname()", "'edited'"), "utf-8")
    wait_until(lambda: process.log().count(" ready.") >= 2, "a second worker")
    assert ask_health(client, "celery")["host"] == "edited"


def test_import_inside_a_task(serve: Serve, client: Celery, copy_project: Callable[[str], Path]) -> None:
    """Under the plain command a task can import a module of the project inside its body."""
    checkout = copy_project("late")
    (checkout / "late_module.py").write_text('ANSWER = "found"\n')
    (checkout / "tasks" / "late.py").write_text(
        "from celery import shared_task\n"
        "from tasks.base import BaseTask\n"
        "@shared_task(base=BaseTask)\n"
        "def late() -> str:\n"
        "    from late_module import ANSWER\n"
        "    return ANSWER\n"
    )
    patterns = json.dumps([*config.load(environ={}).queues["celery"].tasks, "tasks.late.*"])
    serve(WORKER, cwd=checkout, WORKER__QUEUES__CELERY__TASKS=patterns).wait_for_log(" ready.")
    assert client.send_task("tasks.late.late", queue="celery").get(timeout=PATIENCE) == "found"


def test_inspect(serve: Serve, run: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    """Each `inspect` command shows the running worker; the exit code is 69 where there is none."""
    assert run(next(iter(INSPECTIONS))).returncode == 69
    serve(WORKER).wait_for_log(" ready.")
    for command, shown in INSPECTIONS.items():
        # 69 if a busy machine held up the answer: Celery waits for a second.
        finished = wait_until(lambda: done if (done := run(command)).returncode != 69 else None, command)  # noqa: B023 (called here)
        assert finished.returncode == 0, finished.stderr
        assert "1 node online" in finished.stdout
        assert shown in finished.stdout


def test_purge_asks_and_deletes(
    run: Callable[..., subprocess.CompletedProcess[str]], client: Celery, redis_client: redis.Redis
) -> None:
    """`purge` deletes nothing on "n" and everything on "y"."""
    for queue in ("rewrite", "celery"):
        client.send_task("tasks.health_check", queue=queue)
    assert "Aborted" in run(PURGE, answer="n\n").stderr
    assert [redis_client.llen(queue) for queue in ("rewrite", "celery")] == [1, 1]
    assert "2 messages" in run(PURGE, answer="y\n").stdout
    assert [redis_client.llen(queue) for queue in ("rewrite", "celery")] == [0, 0]


def test_call_prints_an_id(
    serve: Serve, run: Callable[..., subprocess.CompletedProcess[str]], client: Celery
) -> None:
    """`call tasks.health_check` prints the id of a task that then succeeds."""
    serve(WORKER).wait_for_log(" ready.")
    task_id = run(CALL).stdout.strip()
    assert client.AsyncResult(task_id).get(timeout=PATIENCE)["status"] == "ok"


def test_health(serve: Serve, run: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    """The real check: 4 if a queue has no worker, 0 if every queue answers."""
    assert run(f"{HEALTH} --timeout 0.5").returncode == 4
    serve(WORKER).wait_for_log(" ready.")
    # Not 0 if a busy machine held up an answer: the command waits for five seconds.
    finished = wait_until(lambda: None if (done := run(HEALTH)).returncode else done, "every answer")
    assert [line.split()[:2] for line in finished.stdout.splitlines()] == [
        [queue, "ok"] for queue in config.load(environ={}).queues
    ]


def test_beat(
    serve: Serve, run: Callable[..., subprocess.CompletedProcess[str]], redis_client: redis.Redis
) -> None:
    """The commands of docs/schedules.md: what is due is sent, and held; test_newcomer.py runs the first."""
    commands = commands_of("schedules.md")
    assert commands[:2] == ["python3 noxfile.py -s beat", BEAT]
    redis_client.hset("contentworker:schedules", "purge", 0)
    serve(BEAT).wait_for_log("Schedule purge: sent tasks.maintenance.purge")
    serve(WORKER).wait_for_log("Task tasks.maintenance.purge")
    for command in commands[2:]:
        done = run(command.replace("content-worker", "python -m contentworker"))
        assert (done.returncode, bool(done.stdout)) == (0, True), done


def test_revoke(serve: Serve, run: Callable[..., subprocess.CompletedProcess[str]], client: Celery) -> None:
    """The command of docs/revoking.md lasts, though no worker runs at the time."""
    (command,) = commands_of("revoking.md")
    sent = client.send_task("tasks.health_check", task_id=command.split()[-1])
    assert run(command).returncode == 69
    serve(WORKER).wait_for_log(f"Discarding revoked task: tasks.health_check[{sent.id}]")
    wait_until(lambda: sent.state == "REVOKED", "its result")


def test_flower_shows_the_queues_to_those_who_know_the_password(serve: Serve, tmp_path: Path) -> None:
    """The plain command listens on this machine only, on the port of worker.toml, behind the password."""
    port = free_port()
    flower = serve(
        FLOWER,
        WORKER__FLOWER__PORT=str(port),
        FLOWER_BASIC_AUTH="anna:secret",
        STATE_DIRECTORY=str(tmp_path),
    )
    flower.wait_for_log("Visit me at")
    page = f"http://127.0.0.1:{port}/broker"
    assert ask(page)[0] == 401
    assert ask(page, "anna:wrong")[0] == 401
    status, text = ask(page, "anna:secret")
    assert status == 200
    for queue in QUEUE_WORKERS:
        assert queue in text
    # Another address of this machine: who listens on all of them would answer there.
    with pytest.raises(OSError, match=r"refused|unreachable|assign|timed out"):
        socket.create_connection(("127.0.0.2", port), timeout=PATIENCE).close()
