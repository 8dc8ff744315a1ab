"""The desk as an application, and as a server."""

import socket
from pathlib import Path

from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles

from contentworker.desk import review, signing_in
from contentworker.desk.web import Ask, Desk, Refused, Route, routes_of, to
from contentworker.errors import ConfigError
from contentworker.runtime.settings import ListeningSection

__all__ = ["ROUTES", "build", "listen", "origins", "serve"]

EDITORS = frozenset({"editor"})
READERS = frozenset({"editor", "reader"})


def _home(_ask: Ask) -> Response:
    return to("/review")


ROUTES = (
    Route("GET", "/", None, _home, "Go to the list"),
    Route("GET", "/login", None, signing_in.login_page, "The form to sign in"),
    Route("POST", "/login", None, signing_in.login, "Sign in"),
    Route("POST", "/logout", READERS, signing_in.logout, "Sign out"),
    Route("GET", "/review", READERS, review.queue, "The list of articles"),
    Route("POST", "/review/next", EDITORS, review.take_next, "Take the next article"),
    Route("GET", "/review/{id}", READERS, review.review, "An article"),
    Route("POST", "/review/{id}/choices", EDITORS, review.choose, "Keep choices"),
    Route("POST", "/review/{id}/decision", EDITORS, review.decide, "Decide"),
    Route("POST", "/review/{id}/undo", EDITORS, review.withdraw, "Take a decision back"),
    Route("POST", "/review/{id}/comments", EDITORS, review.comment, "Comment"),
    Route("POST", "/review/{id}/hold", EDITORS, review.take, "Take an article, also from somebody"),
)
"""Every page and action, and who may."""


def _nothing(_ask: Ask) -> Response:
    raise Refused(404, "There is no such page", "Go back to the list.")


NOTHING = Route("GET", "/{rest:path}", None, _nothing, "Any other address")


def build(desk: Desk) -> Starlette:
    """The application."""
    static = StaticFiles(directory=Path(__file__).parent / "static")
    return Starlette(routes=[*routes_of(desk, ROUTES), Mount("/static", static), *routes_of(desk, [NOTHING])])


def origins(public_url: str, listening: ListeningSection) -> tuple[str, ...]:
    """The addresses under which the desk answers.

    Raises:
        ConfigError: others could reach it without https.
    """
    if public_url.startswith("https://"):
        return (public_url,)
    if not listening.is_loopback:
        raise ConfigError(
            "desk.public_url: must be the https:// address of your proxy: others can reach desk.address"
        )
    hosts = ("127.0.0.1", "localhost", "[::1]")
    return (*filter(None, [public_url]), *(f"http://{host}:{listening.port}" for host in hosts))


def listen(listening: ListeningSection) -> socket.socket:
    """The socket to serve on: browsers that come before `serve` wait.

    Raises:
        OSError: the address cannot be had.
    """
    family = socket.AF_INET6 if ":" in listening.address else socket.AF_INET
    return socket.create_server((listening.address, listening.port), family=family)


def serve(desk: Desk, listener: socket.socket) -> None:
    """Answer until SIGTERM or Ctrl-C."""
    import uvicorn

    settings = uvicorn.Config(
        build(desk),
        log_config=None,
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,
    )
    uvicorn.Server(settings).run(sockets=[listener])
