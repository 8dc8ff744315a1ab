"""How a route is served: every check before its answer, every error after it as a page."""

import asyncio
import logging
import re
import traceback
from collections.abc import Awaitable, Callable, Mapping, Sequence
from urllib.parse import parse_qs

from kombu.exceptions import OperationalError
from redis.exceptions import RedisError
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route as Served

from contentworker.desk.identifying import address_of, person_of
from contentworker.desk.people import Person
from contentworker.desk.web import Ask, Desk, Refused, Route, page, to
from contentworker.desk.words import field_in_words
from contentworker.editorial.escalations.database import DatabaseError
from contentworker.errors import ConflictError, ContentError

__all__ = ["check_host", "read_body", "routes_of", "serve_with"]

logger = logging.getLogger(__name__)

MOST_BYTES = 4_000_000
"""Longest form: a rewrite may have as many changes as an article has sentences."""
MOST_BYTES_OF_STRANGERS = 10_000
"""Longest form of a person who is not signed in: a name and a password."""
FORM_SECONDS = 60
"""Longest time for a form to arrive."""
MOST_FIELDS = 5_000
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    # Not `no-referrer`: with it, a browser sends its own forms with `Origin: null`.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}


def serve_with(
    desk: Desk, route: Route, pages: Sequence[Route] = ()
) -> Callable[[Request], Awaitable[Response]]:
    """The route as Starlette calls it. `pages` are those of the navigation."""

    async def endpoint(request: Request) -> Response:
        ask = Ask(desk, None, request.path_params, {}, {}, "", "", route.path)
        try:
            _check_sender(request, desk)
            ask = ask._replace(
                query=dict(request.query_params),
                address=address_of(request, desk),
                token=request.cookies.get(desk.cookie, ""),
                flow=request.cookies.get(desk.flow_cookie, ""),
            )
            person = await run_in_threadpool(_person, request, ask)
            menu = tuple((each.path, each.menu) for each in pages if _may(person, each))
            ask = ask._replace(person=person, menu=menu)
            if ask.person is None and route.roles is not None and route.method == "GET":
                response = to(f"/login?next={request.url.path}")
            else:
                _check_role(ask.person, route, request.path_params)
                # Only now: nobody else may fill the memory.
                body = await read_body(request, MOST_BYTES if ask.person else MOST_BYTES_OF_STRANGERS)
                response = await run_in_threadpool(_answer, ask, route, body)
        except Refused as refused:
            response = _message(ask, refused)
        except ClientDisconnect:
            response = Response(status_code=400)
        except Exception as error:  # noqa: BLE001 (whatever it is, the person gets a page)
            # The route, not the path: a path may one day hold a token. No message: it may quote the article.
            where = "".join(traceback.format_tb(error.__traceback__))
            kind = type(error).__name__
            logger.error("The desk could not answer %s %s: %s\n%s", route.method, route.path, kind, where)  # noqa: TRY400
            response = _message(ask, Refused(500, "Something went wrong here", "It is in the desk's log."))
        response.headers.update(HEADERS)
        if "{token}" in route.path:  # the address is a secret
            response.headers["Referrer-Policy"] = "no-referrer"
        if response.status_code in {408, 413}:  # do not wait for the rest of the form
            response.headers["Connection"] = "close"
        return response

    return endpoint


def _person(request: Request, ask: Ask) -> Person | None:
    """Who is signed in.

    Raises:
        Refused: the database cannot say, or a proxy names somebody who cannot be.
    """
    try:
        return person_of(request, ask.desk, ask.token)
    except DatabaseError as error:
        raise _not_now(error) from None


def _answer(ask: Ask, route: Route, body: bytes) -> Response:
    try:
        ask = ask._replace(form=_fields(body))
        return route.answer(ask)
    except Refused as refused:
        return _message(ask, refused)
    except ConflictError as error:
        return _conflict(ask, error)
    except ContentError as error:
        return _message(ask, _of_content(error))
    except DatabaseError as error:
        return _message(ask, _not_now(error))
    except (RedisError, OperationalError) as error:
        logger.warning("The desk cannot reach Redis: %s", type(error).__name__)
        return page(ask, "redis_away.html", 503)


def _not_now(error: DatabaseError) -> Refused:
    logger.warning("%s", error)
    what = "The database cannot be used now. Nothing was changed: go back, and try again in a moment."
    return Refused(503, "Not now", what)


def _check_role(person: Person | None, route: Route, path: Mapping[str, str]) -> None:
    if route.roles is None:
        return
    if person is None:
        what = "Sign in in another tab, then come back here with Back: what you wrote is still there."
        raise Refused(401, "You are signed out", what)
    if not _may(person, route):
        needed = " or ".join(sorted(route.roles - {"link"}))
        raise Refused(403, "You may not do this", f"It takes the role {needed}.")
    if person.record_id not in {None, path.get("id", person.record_id)}:
        raise Refused(403, "You may not do this", "The link in your mail is for one article alone.")


def _may(person: Person | None, route: Route) -> bool:
    return route.roles is None or (person is not None and bool(person.roles & route.roles))


def _of_content(error: ContentError) -> Refused:
    if error.field == "escalation_id":
        return Refused(404, "There is no such article (any more)", "Go back to the list.")
    return Refused(400, "This cannot be done", str(error))


def _conflict(ask: Ask, error: ConflictError) -> Response:
    """Somebody was faster: what the person wrote is on the page, to be copied."""
    written = {
        field_in_words(name): text
        for name, text in ask.form.items()
        if text.strip()
        and name.startswith(("own", "note", "text"))
        # The field of own words is there, with the original, whatever was chosen.
        and ask.form.get(name.replace("own", "choice"), "own") in {"own", text}
    }
    return page(ask, "conflict.html", 409, said=error.expected, written=written, back=ask.path.get("id"))


def _message(ask: Ask, refused: Refused) -> Response:
    return page(ask, "message.html", refused.status, title=refused.title, what_to_do=refused.what_to_do)


def check_host(request: Request, desk: Desk) -> None:
    """Check that the request is for this desk.

    Raises:
        Refused: it is for another name of this address, which a stranger may have given it.
    """
    hosts = [origin.partition("://")[2] for origin in desk.origins]
    if request.headers.get("host") not in hosts:
        raise Refused(421, "Not under this address", f"The desk is at {desk.origins[0]}")


def _check_sender(request: Request, desk: Desk) -> None:
    """Check that the request is for this desk, and a form from one of its own pages.

    Raises:
        Refused: it came from elsewhere, or is no form.
    """
    check_host(request, desk)
    if any("\0" in each for each in (*request.path_params.values(), *request.query_params.values())):
        raise Refused(400, "There is no such address", "Go back to the list.")  # PostgreSQL takes none
    if request.method != "POST":
        return
    # https://developer.mozilla.org/docs/Web/HTTP/Headers/Sec-Fetch-Site; browsers without it send Origin.
    site = request.headers.get("sec-fetch-site")
    is_own = site == "same-origin" if site is not None else request.headers.get("origin") in desk.origins
    if not is_own:
        raise Refused(403, "This came from another site", "Open the desk itself, and do it there.")
    if (
        request.headers.get("content-type", "").partition(";")[0].strip()
        != "application/x-www-form-urlencoded"
    ):
        raise Refused(415, "This is no form of the desk", "It takes no files.")


async def read_body(request: Request, most_bytes: int) -> bytes:
    """The form, or what else was sent.

    Raises:
        Refused: it is too large, or takes too long.
    """
    body = bytearray()
    try:
        async with asyncio.timeout(FORM_SECONDS):
            async for chunk in request.stream():
                body += chunk
                if len(body) > most_bytes:
                    raise Refused(413, "This is too long", f"{most_bytes:,} bytes may be sent at once.")
    except TimeoutError:
        raise Refused(408, "This took too long", "Go back, and send it again.") from None
    return bytes(body)


def _fields(body: bytes) -> dict[str, str]:
    """The fields of a form.

    Raises:
        Refused: it is none.
    """
    try:
        fields = parse_qs(
            body.decode("ascii"), keep_blank_values=True, max_num_fields=MOST_FIELDS, errors="replace"
        )
    except ValueError:
        raise Refused(400, "This is no form of the desk", "Go back, and try it again.") from None
    # Browsers send line ends as CR LF.
    return {name: re.sub(r"\r\n?", "\n", values[-1]) for name, values in fields.items()}


def routes_of(desk: Desk, table: Sequence[Route]) -> list[Served]:
    """The table as Starlette's routes."""
    pages = [each for each in table if each.menu]
    return [Served(each.path, serve_with(desk, each, pages), methods=[each.method]) for each in table]
