"""The examples of other services, as they are run: they send articles to a real worker, and ask for them."""

import json
import re
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import redis

from tests.acceptance.pages import commands_of
from tests.support import (
    PATIENCE,
    ROOT,
    Process,
    RedisProcess,
    StartWorker,
    environment,
    free_port,
    wait_until,
)

ARTICLE = {"article_id": "tea-1", "content": "# What is tea?\n\nTea is a drink made of leaves and water.\n"}
COMMANDS = {
    "fastapi": ["tests.asgi_server", "examples.producers.fastapi_app:app", "{port}"],
    "django": ["examples.producers.django_app", "runserver", "--noreload", "{port}"],
}


class Producer(Process):
    """The service, on a port of this machine."""

    def __init__(self, name: str, redis_url: str, folder: Path) -> None:
        self.port = free_port()
        command = [part.format(port=self.port) for part in COMMANDS[name]]
        super().__init__([sys.executable, "-m", *command], folder, environment(REDIS_URL=redis_url))

    def answer(self, path: str, body: Any = None) -> tuple[int, Any]:
        """The first answer that is not that Redis, which may be busy for seconds, cannot be reached."""
        return wait_until(lambda: None if (said := self.ask(path, body))[0] == 503 else said, path)

    def listens(self) -> bool:
        assert self.is_alive, self.log()
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def ask(self, path: str, body: Any = None) -> tuple[int, Any]:
        """Status and JSON of a GET, or with a body of a POST."""
        data = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", data, headers)
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                text = error.read().decode()
                return error.code, json.loads(text) if text.startswith("{") else text


@pytest.fixture(params=COMMANDS)
def start(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[str], Producer]]:
    """Start one of the services on a Redis."""
    started: list[Producer] = []

    def start(redis_url: str) -> Producer:
        started.append(Producer(request.param, redis_url, tmp_path / "producer"))
        wait_until(started[-1].listens, "the service to listen")
        return started[-1]

    yield start
    for each in started:
        each.stop()


@pytest.fixture(scope="module")
def serving(module_worker: StartWorker, tmp_path_factory: pytest.TempPathFactory) -> None:
    """A worker of all queues."""
    records = tmp_path_factory.mktemp("records") / "records.sqlite3"
    module_worker(WORKER__ESCALATIONS__SQLITE_PATH=str(records), WORKER__PIPELINE__MIN_AEO_SCORE="0")


@pytest.mark.usefixtures("serving")
def test_an_article_is_sent_and_asked_for(
    start: Callable[[str], Producer], redis_url: str, redis_client: redis.Redis
) -> None:
    """202 with an id at once, then its state; sent again it is the same, and has one run."""
    redis_client.flushdb()
    service = start(redis_url)
    status, sent = service.answer("/articles", ARTICLE)
    assert status == 202
    assert sent == {"id": str(UUID(sent["id"])), "state": f"/articles/{sent['id']}"}

    def ended() -> Any:
        status, found = service.answer(sent["state"])
        assert status == 200
        assert found["outcome"] in ("queued", "running", "passed")
        return found if found["outcome"] == "passed" else None

    found = wait_until(ended, "the end of its way")
    assert found["article_id"] == "tea-1"
    assert service.answer("/articles", ARTICLE) == (202, sent)
    assert service.answer("/articles", {**ARTICLE, "content": "Another text."})[1]["id"] != sent["id"]
    wait_until(lambda: redis_client.scard("contentworker:runs-of:tea-1") == 2, "one run for each text")


def test_what_is_no_article_is_not_sent(start: Callable[[str], Producer]) -> None:
    """422, and Redis, which is not there, was not asked."""
    service = start("redis://127.0.0.1:1/0")
    for body in (
        b"no JSON",
        ["no object"],
        {"article_id": "no-content"},
        {**ARTICLE, "content": 1},
        {**ARTICLE, "content": ""},
        {**ARTICLE, "article_id": "two words"},
        {**ARTICLE, "media_type": "pdf"},
    ):
        assert service.ask("/articles", body)[0] == 422, body
    assert service.ask("/articles/no-id")[0] in (404, 422)


def test_redis_away_is_503(start: Callable[[str], Producer], tmp_path: Path) -> None:
    """Sending and asking are answered at once where Redis is away, and work when it is back."""
    server = RedisProcess(tmp_path / "redis")
    server.ready()
    try:
        service = start(server.url)
        assert service.ask("/articles", ARTICLE)[0] == 202
        server.crash()
        away = (503, {"detail": "Redis cannot be reached"})
        assert service.ask("/articles", ARTICLE) == away
        assert service.ask(f"/articles/{UUID(int=1)}") == away
        server.start()
        server.ready()
        status, sent = service.ask("/articles", ARTICLE)
        assert status == 202
        assert service.ask(sent["state"]) == (200, {"outcome": "queued"})
    finally:
        server.stop()


@pytest.mark.usefixtures("serving")
def test_the_page(redis_url: str, redis_client: redis.Redis, tmp_path: Path) -> None:
    """docs/producers.md, as people copy from it: the script, and the two commands."""
    page = (ROOT / "docs" / "producers.md").read_text("utf-8")
    (script,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    run = [sys.executable, "-P", "-c", script.replace("redis://127.0.0.1:6379/0", redis_url)]
    printed = subprocess.run(run, cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    assert "'article_id': 'tea-1'" in printed
    serve, send = commands_of("producers.md")
    service = Producer("django", redis_url, tmp_path / "django")
    try:
        module = ["python", "-m", *COMMANDS["django"]]
        assert serve == " ".join(module).format(port=8000)
        wait_until(service.listens, "the service to listen")
        typed = ["bash", "-c", send.replace("8000", str(service.port))]
        sent = json.loads(subprocess.run(typed, capture_output=True, text=True, check=True).stdout)
        wait_until(lambda: service.answer(sent["state"])[1]["outcome"] == "passed", "the end of its way")
    finally:
        service.stop()
