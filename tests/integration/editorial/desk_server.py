"""A desk that answers, and what a browser and a program send to it."""

import http.client
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import redis

from contentworker import config
from contentworker.desk import application
from contentworker.desk.machinery import Machinery
from contentworker.desk.passwords import Account
from contentworker.desk.sessions import Sessions
from contentworker.desk.tokens import Tokens
from contentworker.desk.web import Desk
from contentworker.editorial.escalations.audit import Audit
from contentworker.editorial.escalations.schema import open_engine
from contentworker.editorial.escalations.store import Store
from tests.support import PATIENCE, wait_until

__all__ = ["Answer", "ServedDesk", "serve"]


@dataclass
class Answer:
    """What came back."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()

    @property
    def location(self) -> str:
        return self.headers.get("location", "")

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class ServedDesk:
    """A desk with nobody signed in."""

    desk: Desk
    port: int
    announced: list[float]
    tokens: dict[str, str] = field(default_factory=dict)
    """Of programs, by name."""

    def ask(self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None) -> Answer:
        """One request."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        connection.request(method, path, body, headers or {})
        response = connection.getresponse()
        answer = Answer(response.status, response.headers, response.read())
        connection.close()
        return answer

    def cookie(self, name: str) -> str:
        """The cookie of a person whose one role is `name`."""
        self.desk.accounts.setdefault(name, Account(name, frozenset({name}), ""))  # type: ignore[attr-defined]
        return f"{self.desk.cookie}={self.desk.sessions.begin(self.desk.accounts[name], 3600)}"

    def page(self, name: str, path: str, form: dict[str, str] | None = None, **query: str) -> Answer:
        """A page or, with a form, an action of a person whose one role is `name`."""
        headers = {"Sec-Fetch-Site": "same-origin"}
        if name:
            headers["Cookie"] = self.cookie(name)
        path = f"{path}?{urlencode(query)}" if query else path
        if form is None:
            return self.ask("GET", path, None, headers)
        headers["Content-Type"] = "application/x-www-form-urlencoded"
        return self.ask("POST", path, urlencode(form), headers)


@contextmanager
def serve(
    url: str, file: Path, redis_url: str, app: Any = None, busy_seconds: float = PATIENCE
) -> Iterator[ServedDesk]:
    """A desk at a free port; `app` sends tasks."""
    engine = open_engine(url, file, busy_seconds=busy_seconds)
    announced: list[float] = []

    def announce(seconds: float) -> bool:
        announced.append(seconds)
        return True

    settings, audit = config.load(environ={}), Audit(engine)
    connect = partial(redis.Redis.from_url, redis_url, socket_timeout=PATIENCE)
    machinery = Machinery(app, connect, settings, 1000, audit)
    desk = Desk(
        Store(engine), Sessions(engine), Tokens(engine), audit, {}, settings, machinery, announce,
        ("http://127.0.0.1:0",),
    )  # fmt: skip
    server = application.Server(desk)
    thread = threading.Thread(target=server.run)
    thread.start()
    wait_until(lambda: server.started, "the desk")
    port = server.servers[0].sockets[0].getsockname()[1]
    object.__setattr__(desk, "origins", (f"http://127.0.0.1:{port}",))  # the port is known only now
    try:
        with machinery:
            yield ServedDesk(desk, port, announced)
    finally:
        server.should_exit = True
        thread.join()
        engine.dispose()
