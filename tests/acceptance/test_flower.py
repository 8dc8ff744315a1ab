"""Flower is never open to others, however it is started, and remembers what it has seen."""

import json
import shlex
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis
from celery import Celery

from tests.acceptance.pages import ask
from tests.support import PATIENCE, ROOT, Process, StartWorker, environment, free_port, wait_until

FLOWER = [sys.executable, "-m", "celery", "-A", "celery_worker.celery_app", "flower"]
EVERYWHERE = "--address=0.0.0.0"
LOGIN = "anna:secret"

Serve = Callable[..., Process]


def command_of_the_unit() -> list[str]:
    """What celery-flower.service runs, with the Python of these tests."""
    lines = (ROOT / "systemd" / "celery-flower.service").read_text("utf-8").splitlines()
    (found,) = [line.removeprefix("ExecStart=") for line in lines if line.startswith("ExecStart=")]
    return [sys.executable, *shlex.split(found)[1:]]


def command_of_nox() -> list[str]:
    """What `nox -s flower` hands over to."""
    return [sys.executable, "-m", "contentworker", "with-redis", *FLOWER]


@pytest.fixture
def serve(redis_url: str, tmp_path: Path) -> Iterator[Serve]:
    """Start Flower with its state in this test's folder; it is killed with the test."""
    started: list[Process] = []

    def start(*options: str, command: list[str] = FLOWER, **more: str) -> Process:
        env = environment(**{"REDIS_URL": redis_url, "STATE_DIRECTORY": str(tmp_path / "state"), **more})
        folder = tmp_path / f"flower{len(started)}"
        started.append(Process([*command, f"--port={free_port()}", *options], folder, env))
        return started[-1]

    yield start
    for process in started:
        process.stop()


def page_of(flower: Process) -> str:
    """Its address, once it listens."""
    flower.wait_for_log("Visit me at")
    (port,) = [word.partition("=")[2] for word in flower.command if word.startswith("--port=")]
    return f"http://127.0.0.1:{port}"


@pytest.mark.parametrize(
    ("command", "options", "more"),
    [
        pytest.param(FLOWER, [EVERYWHERE], {}, id="celery-flower"),
        pytest.param([sys.executable, "-m", "flower", *FLOWER[3:]], [EVERYWHERE], {}, id="python-m-flower"),
        pytest.param(command_of_nox(), [EVERYWHERE], {}, id="nox"),
        pytest.param(command_of_the_unit(), [EVERYWHERE], {}, id="unit"),
        pytest.param(FLOWER, [], {"FLOWER_ADDRESS": "0.0.0.0"}, id="environment-of-flower"),
    ],
)
def test_refused_without_a_password(
    serve: Serve, command: list[str], options: list[str], more: dict[str, str]
) -> None:
    """Where others could reach it, by whatever way it is told to listen there: it ends with a sentence."""
    flower = serve(*options, command=command, **more)
    assert flower.wait() == 1
    (line,) = [line for line in flower.log().splitlines() if line.startswith("Flower does not start: ")]
    assert "Set FLOWER_BASIC_AUTH=user:password" in line
    assert "Traceback" not in flower.log()


def test_refused_by_a_file_of_flowers_own(serve: Serve, tmp_path: Path) -> None:
    """`--conf` names a file that opens it; a password on the command line is one."""
    file = tmp_path / "other.py"
    file.write_text("address = '0.0.0.0'\n")
    refused = serve(f"--conf={file}")
    assert refused.wait() == 1
    assert "others can reach the address that it would listen on (0.0.0.0)" in refused.log()
    page = page_of(serve(f"--conf={file}", f"--basic-auth={LOGIN}"))
    assert (ask(page)[0], ask(page, LOGIN)[0]) == (401, 200)


def test_the_password_of_a_credential(serve: Serve, tmp_path: Path) -> None:
    """As the unit has it. On every address all is behind it but the health check and the style sheets."""
    (tmp_path / "credentials").mkdir()
    (tmp_path / "credentials" / "FLOWER_BASIC_AUTH").write_text(LOGIN)
    folder = str(tmp_path / "credentials")
    page = page_of(serve(EVERYWHERE, command=command_of_the_unit(), CREDENTIALS_DIRECTORY=folder))
    for path in ("/", "/workers", "/tasks", "/broker", "/metrics", "/api/tasks", "/api/workers"):
        assert ask(page + path)[0] == 401, path
        assert ask(page + path, "anna:wrong")[0] == 401, path
        assert ask(page + path, LOGIN)[0] == 200, path
    assert ask(f"{page}/healthcheck") == (200, "OK")


def test_what_it_has_seen_outlasts_it(
    serve: Serve, worker: StartWorker, client: Celery, redis_client: redis.Redis
) -> None:
    """A task, without its arguments and result, is known to the next Flower; its result to none."""
    worker("--queues=celery", "-E", "--hostname=one@test")
    first = serve(FLOWER_BASIC_AUTH=LOGIN)
    page = page_of(first)
    wait_until(lambda: "one@test" in ask(f"{page}/workers?json=1", LOGIN)[1], "Flower to hear of the worker")
    sent = client.send_task("tasks.health_check", queue="celery")
    sent.get(timeout=PATIENCE)

    def seen(address: str) -> dict[str, object]:
        status, text = ask(f"{address}/api/task/info/{sent.id}", LOGIN)
        found: dict[str, object] = json.loads(text) if status == 200 else {}
        return found if found.get("state") == "SUCCESS" else {}

    wait_until(lambda: seen(page), "Flower to see the task")
    host = str(sent.result["host"])
    assert ask(f"{page}/api/task/result/{sent.id}", LOGIN)[0] == 404
    first.kill()
    assert first.wait() == 0
    told = seen(page_of(again := serve(FLOWER_BASIC_AUTH=LOGIN)))
    assert told["name"] == "tasks.health_check"
    assert "not shown" in str(told["kwargs"])
    assert host not in str(told["result"])
    again.kill()
    assert again.wait() == 0
    assert (Path(again.env["STATE_DIRECTORY"]).stat().st_mode & 0o777) == 0o700


def test_the_session_of_nox_is_what_is_tested() -> None:
    """`nox -s flower` runs the command above."""
    text = (ROOT / "noxfile.py").read_text("utf-8")
    command = '"with-redis", "celery", "-A", "celery_worker.celery_app", "flower", *session.posargs'
    assert f"_contentworker({command})" in text
