"""The desk as an application, and as a server."""

import asyncio
import re
import socket
from pathlib import Path

import uvicorn
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles
from uvicorn.protocols.http.h11_impl import H11Protocol

from contentworker.desk import review, runs, signing_in
from contentworker.desk.api.serving import api_routes
from contentworker.desk.people import EDITORS, EVERYONE, OPERATORS, REVIEW, RUNS
from contentworker.desk.serving import routes_of
from contentworker.desk.web import Ask, Desk, Refused, Route, to
from contentworker.errors import ConfigError
from contentworker.runtime.settings import ListeningSection

__all__ = ["ROUTES", "Patient", "build", "listen", "origins", "serve"]


def _home(ask: Ask) -> Response:
    """The first page that the person may open."""
    if ask.person is None:
        return to("/login")
    if not ask.menu:
        raise Refused(403, "There is no page for you", "Ask whoever runs the desk for a role.")
    return to(ask.menu[0][0])


ROUTES = (
    Route("GET", "/", None, _home, "Go to the list"),
    Route("GET", "/login", None, signing_in.login_page, "The form to sign in"),
    Route("POST", "/login", None, signing_in.login, "Sign in"),
    Route("POST", "/logout", EVERYONE, signing_in.logout, "Sign out"),
    Route("GET", "/review", REVIEW, review.queue, "The list of articles", menu="Review"),
    Route("POST", "/review/next", EDITORS, review.take_next, "Take the next article"),
    Route("GET", "/review/{id}", REVIEW, review.review, "An article"),
    Route("POST", "/review/{id}/choices", EDITORS, review.choose, "Keep choices"),
    Route("POST", "/review/{id}/decision", EDITORS, review.decide, "Decide"),
    Route("POST", "/review/{id}/undo", EDITORS, review.withdraw, "Take a decision back"),
    Route("POST", "/review/{id}/comments", EDITORS, review.comment, "Comment"),
    Route("POST", "/review/{id}/hold", EDITORS, review.take, "Take an article, or take it over"),
    Route("GET", "/runs", RUNS, runs.runs, "The list of runs", menu="Runs"),
    Route("GET", "/runs/{id}", RUNS, runs.run, "A run"),
    Route(
        "POST", "/runs/{id}/cancel", EDITORS | OPERATORS, runs.cancel, "Cancel a run, or have a person asked"
    ),
    Route(
        "GET", "/runs/{id}/forget", OPERATORS, runs.forget_page, "The question before forgetting an article"
    ),
    Route("POST", "/runs/{id}/forget", OPERATORS, runs.forget, "Forget an article"),
)
"""Every page and action, and who may."""


def _nothing(_ask: Ask) -> Response:
    raise Refused(404, "There is no such page", "Go back to the list.")


NOTHING = Route("GET", "/{rest:path}", None, _nothing, "Any other address")


def build(desk: Desk) -> Starlette:
    """The application."""
    static = StaticFiles(directory=Path(__file__).parent / "static")
    pages, others = routes_of(desk, ROUTES), routes_of(desk, [NOTHING])
    return Starlette(routes=[*pages, *api_routes(desk), Mount("/static", static), *others])


def origins(public_url: str, listening: ListeningSection) -> tuple[str, ...]:
    """The addresses under which the desk answers.

    Raises:
        ConfigError: others could reach it without https.
    """
    public_url = _as_browsers_say(public_url)
    if public_url.startswith("https://"):
        return (public_url,)
    if not listening.is_loopback:
        raise ConfigError(
            "desk.public_url: must be the https:// address of your proxy: others can reach desk.address"
        )
    hosts = ("127.0.0.1", "localhost", "[::1]")
    own = (_as_browsers_say(f"http://{host}:{listening.port}") for host in hosts)
    return (*filter(None, [public_url]), *own)


def _as_browsers_say(origin: str) -> str:
    """In small letters, and without the scheme's own port."""
    return re.sub(r"^(http(?=:.*:80$)|https(?=:.*:443$))(://.*):\d+$", r"\1\2", origin.lower())


def listen(listening: ListeningSection) -> socket.socket:
    """The socket to serve on: browsers that come before `serve` wait.

    Raises:
        OSError: the address cannot be had.
    """
    family = socket.AF_INET6 if ":" in listening.address else socket.AF_INET
    return socket.create_server((listening.address, listening.port), family=family)


class Patient(H11Protocol):
    """A connection that is closed if no request comes: uvicorn itself waits for ever for the first one."""

    seconds = 30.0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to look, every so many seconds, whether there was a request since the last look."""
        super().connection_made(transport)
        self._look(object())

    def _look(self, before: object) -> None:
        if self.transport.is_closing():
            return
        is_answered = self.cycle is None or self.cycle.response_complete
        if is_answered and self.cycle is before:
            self.transport.close()
        else:
            self.loop.call_later(self.seconds, self._look, self.cycle)


def serve(desk: Desk, listener: socket.socket) -> None:
    """Answer until SIGTERM or Ctrl-C."""
    settings = uvicorn.Config(
        build(desk),
        http=Patient,
        log_config=None,
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,
    )
    uvicorn.Server(settings).run(sockets=[listener])
