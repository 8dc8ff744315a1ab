"""The desk as an application, and as a server."""

import asyncio
import re
import socket
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import uvicorn
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles
from uvicorn.protocols.http.h11_impl import H11Protocol

from contentworker.desk import (
    account,
    batches,
    dead_letters,
    deciding,
    operations,
    queue,
    review,
    runs,
    schedules,
    signing_in,
)
from contentworker.desk.api.serving import api_routes
from contentworker.desk.people import (
    EDITORS,
    EDITORS_OF_ONE,
    EVERYONE,
    LINK,
    OPERATIONS,
    OPERATORS,
    REVIEW,
    REVIEW_OF_ONE,
    RUNS,
)
from contentworker.desk.serving import routes_of
from contentworker.desk.web import Ask, Desk, Refused, Route, to
from contentworker.errors import ConfigError
from contentworker.sections import ListeningSection

__all__ = ["LIVE", "ROUTES", "Patient", "Server", "build", "listen", "origins", "serve"]

MOST_CONNECTIONS = 1_000
"""At once; a request beyond them is answered with 503."""
DRAIN_SECONDS = 10
"""Longest time after SIGTERM for pages that are on their way. The unit allows twice as long."""


def _home(ask: Ask) -> Response:
    """The first page that the person may open."""
    if ask.person is None:
        return to("/login")
    if ask.person.record_id:
        return to(f"/review/{ask.person.record_id}")
    if not ask.menu:
        raise Refused(403, "There is no page for you", "Ask whoever runs the desk for a role.")
    return to(ask.menu[0][0])


def _live(ask: Ask) -> Response:
    if ask.person is None:
        return to("/login")
    return ask.desk.live.answer(ask.person)


LIVE: Mapping[str, tuple[Callable[[Desk], Mapping[str, float]], frozenset[str]]] = {
    "review": (queue.numbers, REVIEW),
    "operations": (operations.numbers, OPERATIONS),
    "batches": (batches.numbers, OPERATIONS),
}
"""What the open pages are told, by the part of the desk, and who is: read in a thread every 2 s."""

ROUTES = (
    Route("GET", "/", None, _home, "Go to the list"),
    Route("GET", "/login", None, signing_in.login_page, "The form to sign in"),
    Route("POST", "/login", None, signing_in.login, "Sign in"),
    Route("GET", "/login/oidc", None, signing_in.provider, "Go to the provider to sign in"),
    Route("GET", "/login/oidc/callback", None, signing_in.returned, "Come back from the provider"),
    Route("GET", "/l/{token}", None, signing_in.link_page, "What a link in a mail is for"),
    Route("POST", "/l/{token}", None, signing_in.link, "Sign in by the link in a mail"),
    Route("POST", "/logout", EVERYONE | LINK, signing_in.logout, "Sign out"),
    Route("GET", "/live", EVERYONE, _live, "Names and numbers, as they change"),
    Route("GET", "/review", REVIEW, queue.queue, "The list of articles", menu="Review"),
    Route("POST", "/review/next", EDITORS, queue.take_next, "Take the next article"),
    Route("GET", "/review/{id}", REVIEW_OF_ONE, review.review, "An article"),
    Route("POST", "/review/{id}/choices", EDITORS_OF_ONE, deciding.choose, "Keep choices"),
    Route("POST", "/review/{id}/keep", EDITORS_OF_ONE, deciding.keep, "Keep what is being typed"),
    Route("POST", "/review/{id}/decision", EDITORS_OF_ONE, deciding.decide, "Decide"),
    Route("POST", "/review/{id}/undo", EDITORS_OF_ONE, deciding.withdraw, "Take a decision back"),
    Route("POST", "/review/{id}/reopen", EDITORS, deciding.reopen, "Open a settled article again"),
    Route("POST", "/review/{id}/judge", EDITORS_OF_ONE, deciding.judge, "Have the text judged as chosen"),
    Route("POST", "/review/{id}/later", EDITORS, deciding.put_back, "Leave an article for later"),
    Route("POST", "/review/{id}/comments", EDITORS_OF_ONE, deciding.comment, "Comment"),
    Route("POST", "/review/{id}/hold", EDITORS_OF_ONE, deciding.take, "Take an article, or take it over"),
    Route("POST", "/review/{id}/keep-hold", EDITORS_OF_ONE, deciding.keep_hold, "Go on holding an article"),
    Route("GET", "/operations", OPERATIONS, operations.operations, "What needs an operator", "Operations"),
    Route("POST", "/operations/queues/{queue}/pause", OPERATORS, operations.pause, "Pause a queue"),
    Route("POST", "/operations/queues/{queue}/resume", OPERATORS, operations.resume, "Resume a queue"),
    Route("POST", "/operations/schedules/{schedule}/pause", OPERATORS, schedules.pause, "Pause a schedule"),
    Route(
        "POST", "/operations/schedules/{schedule}/resume", OPERATORS, schedules.resume, "Resume a schedule"
    ),
    Route("POST", "/operations/schedules/{schedule}/run", OPERATORS, schedules.run, "Run a schedule now"),
    Route("GET", "/dead-letters", OPERATIONS, dead_letters.letters, "The dead letters", "Dead letters"),
    Route("GET", "/dead-letters/{id}", OPERATIONS, dead_letters.letter, "A dead letter"),
    Route("POST", "/dead-letters/{id}/arguments", OPERATORS, dead_letters.open_arguments, "Open arguments"),
    Route("POST", "/dead-letters/{id}/replay", OPERATORS, dead_letters.replay, "Run a task again"),
    Route("GET", "/dead-letters/{id}/discard", OPERATORS, dead_letters.discard_page, "Ask before discarding"),
    Route("POST", "/dead-letters/{id}/discard", OPERATORS, dead_letters.discard, "Discard a letter"),
    Route("GET", "/batches/new", OPERATORS, batches.new, "Preview of a batch of letters"),
    Route("POST", "/batches", OPERATORS, batches.create, "Begin a batch"),
    Route("GET", "/batches/{id}", OPERATIONS, batches.batch, "How far a batch is"),
    Route("POST", "/batches/{id}/stop", OPERATORS, batches.stop, "Stop a batch"),
    Route("POST", "/batches/{id}/go-on", OPERATORS, batches.go_on, "Go on with a batch"),
    Route("GET", "/runs", RUNS, runs.runs, "The list of runs", menu="Runs"),
    Route("GET", "/runs/{id}", RUNS, runs.run, "A run"),
    Route(
        "POST", "/runs/{id}/cancel", EDITORS | OPERATORS, runs.cancel, "Cancel a run, or have a person asked"
    ),
    Route(
        "GET", "/runs/{id}/forget", OPERATORS, runs.forget_page, "The question before forgetting an article"
    ),
    Route("POST", "/runs/{id}/forget", OPERATORS, runs.forget, "Forget an article"),
    Route("GET", "/audit", OPERATORS, account.trail, "Who did what", menu="Audit"),
    Route("GET", "/me", EVERYONE, account.me, "Who you are here"),
    Route("POST", "/me/sessions/end", EVERYONE, account.end_others, "Sign out everywhere else"),
)
"""Every page and action, and who may."""


def _nothing(_ask: Ask) -> Response:
    raise Refused(404, "There is no such page", "Go back to the list.")


NOTHING = Route("GET", "/{rest:path}", None, _nothing, "Any other address")


def build(desk: Desk) -> Starlette:
    """The application."""
    for name, (read, roles) in LIVE.items():
        desk.live.add(name, partial(read, desk), roles)
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


class Server(uvicorn.Server):
    """The desk's server, which ends the open streams when it shuts down: uvicorn waits for them."""

    def __init__(self, desk: Desk, port: int = 0) -> None:
        settings = uvicorn.Config(
            build(desk),
            port=port,
            http=Patient,
            log_config=None,
            log_level="warning",
            access_log=False,
            server_header=False,
            # The desk knows whom it believes: uvicorn would believe every program on this machine.
            proxy_headers=False,
            limit_concurrency=MOST_CONNECTIONS,
            timeout_graceful_shutdown=DRAIN_SECONDS,
        )
        super().__init__(settings)
        self.live = desk.live

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Answer what has been asked, and end."""
        self.live.close()
        await super().shutdown(sockets)


def serve(desk: Desk, listener: socket.socket) -> None:
    """Answer until SIGTERM or Ctrl-C."""
    Server(desk).run(sockets=[listener])
