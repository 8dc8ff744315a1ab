"""How the API is served: every check before an answer, every error after it as a problem."""

import hashlib
import json
import logging
import re
import traceback
from collections.abc import Mapping
from typing import Any

from kombu.exceptions import OperationalError
from pydantic import BaseModel, ValidationError
from redis.exceptions import RedisError
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route as Served
from starlette.types import Receive, Scope, Send

from contentworker.desk.api.base import PREFIX, ApiRoute, Call, ProblemError
from contentworker.desk.api.models import Problem, Wrong
from contentworker.desk.api.routes import ROUTES
from contentworker.desk.identifying import address_of
from contentworker.desk.people import Person
from contentworker.desk.serving import check_host, read_body
from contentworker.desk.web import Ask, Desk, Refused
from contentworker.editorial.escalations.database import DatabaseError
from contentworker.editorial.escalations.result import Escalation
from contentworker.errors import ConflictError, ContentError

__all__ = ["api_routes"]

logger = logging.getLogger(__name__)

MOST_BYTES = 4_000_000
MOST_ERRORS = 20
"""Most wrong fields that one problem names."""
MOST_COUNTED = 10_000
"""With more, it names none: 4 MB can hold so many that their list takes seconds, and 500 MB."""
BEARER = re.compile(r"bearer +([A-Za-z0-9._~+/-]+=*)", re.IGNORECASE)
VERSION = re.compile(r'\*|"([0-9]{1,9})(?:\.[0-9a-f]+)?"')
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "private, no-cache",
}
FIELDS = {"chosen": "choices", "finding_id": "choices"}
"""Names of our functions' arguments, as the API has them."""


class Endpoint:
    """Answers at one path, by the method."""

    def __init__(self, desk: Desk, path: str, routes: Mapping[str, ApiRoute]) -> None:
        self._desk = desk
        self._path = path
        self._routes = dict(routes)
        if "GET" in routes:
            self._routes["HEAD"] = routes["GET"]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        request = Request(scope, receive)
        try:
            response = await self._answer(request)
        except ProblemError as error:
            response = _response(error.problem, error.status, error.headers)
        except Refused as refused:
            response = _response(ProblemError(refused.status, refused.what_to_do).problem, refused.status)
        except ClientDisconnect:
            response = Response(status_code=400)
        except Exception as error:  # noqa: BLE001 (whatever it is, the program gets a problem)
            where = "".join(traceback.format_tb(error.__traceback__))
            kind = type(error).__name__  # no message: it may quote an article
            logger.error("The API could not answer %s %s: %s\n%s", request.method, self._path, kind, where)  # noqa: TRY400
            response = _response(ProblemError(500, "It is in the desk's log.").problem, 500)
        response.headers.update(HEADERS)
        if response.status_code in {401, 403, 408, 413, 415}:  # do not wait for the rest of the body
            response.headers["Connection"] = "close"
        await response(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        check_host(request, self._desk)
        route = self._routes.get(request.method)
        if route is None:
            if not self._routes:
                raise ProblemError(404, f"There is nothing here. {PREFIX}/openapi.json says what there is.")
            allowed = ", ".join(sorted(self._routes))
            raise ProblemError(405, f"This address takes {allowed}.", headers={"Allow": allowed})
        address = address_of(request, self._desk)
        person = await run_in_threadpool(self._person, request.headers.get("authorization", ""), address)
        _check_role(person, route)
        if any("\0" in each for each in request.path_params.values()):  # PostgreSQL takes none
            raise ProblemError(404, "There is no such id.")
        _check_type(request, route)
        # Read only after the role is checked, so that a stranger cannot fill the memory.
        body = await read_body(request, MOST_BYTES) if route.body else b""
        ask = Ask(self._desk, person, request.path_params, {}, {}, address, "", route.path)
        return await run_in_threadpool(_do, route, ask, request, body)

    def _person(self, authorization: str, address: str) -> Person | None:
        """Whose token it is; None without one."""
        if not authorization:
            return None
        given = BEARER.fullmatch(authorization)
        try:
            person = self._desk.tokens.find_token(given[1]) if given else None
        except DatabaseError as error:
            raise _not_now(error) from None
        # Only wrong tokens count, so that a stranger does not lock out programs behind the same proxy. Nobody
        # guesses 256 bits: the limit is for programs that keep using a revoked token.
        if person is None and not self._desk.tries.may_try(f"token {address}"):
            raise ProblemError(
                429, "Too many wrong tokens: wait for a minute.", headers={"Retry-After": "60"}
            )
        if person is None:
            wrong = {"WWW-Authenticate": 'Bearer error="invalid_token"'}
            raise ProblemError(401, "There is no such token (any more).", headers=wrong)
        return person


def api_routes(desk: Desk) -> list[Served]:
    """The table as Starlette's routes, and problems for every other address below `/api`."""
    by_path: dict[str, dict[str, ApiRoute]] = {}
    for route in ROUTES:
        by_path.setdefault(route.path, {})[route.method] = route
    served = [Served(PREFIX + path, Endpoint(desk, path, each)) for path, each in by_path.items()]
    return [*served, Served("/api{rest:path}", Endpoint(desk, "any other path", {}))]


def _do(route: ApiRoute, ask: Ask, request: Request, body: bytes) -> Response:
    """Call the route's answer.

    Raises:
        ProblemError: it cannot be called so, or could not do it.
    """
    call = Call(ask, _query(route, request), _body(route, body), _version(route, request))
    try:
        result = route.answer(call)
    except ConflictError as error:
        status = 412 if error.field == "version" else 409
        raise ProblemError(status, f"{error.expected[:1].upper()}{error.expected[1:]}.") from None
    except ContentError as error:
        raise _of_content(error) from None
    except DatabaseError as error:
        raise _not_now(error) from None
    except (RedisError, OperationalError) as error:
        logger.warning("The API cannot reach Redis: %s", type(error).__name__)
        raise ProblemError(503, "Redis cannot be reached: try again.", headers={"Retry-After": "5"}) from None
    if route.action:
        _note(route, call, result)
    return _found(result, request) if route.method == "GET" else _response(result, route.status)


def _note(route: ApiRoute, call: Call, result: BaseModel) -> None:
    """Add what was done to the trail.

    Raises:
        ProblemError: the database cannot take it now.
    """
    subject = route.subject(call) or getattr(result, "id", "")
    try:
        call.ask.audit(route.action, subject, count=getattr(result, "total", None))
    except DatabaseError as error:
        logger.warning("%s by %s is not in the trail: %s", route.action, call.ask.name, error)
        raise ProblemError(503, "It is done, but the trail does not say so. Do not do it again.") from None


def _check_role(person: Person | None, route: ApiRoute) -> None:
    if route.roles is None:
        return
    if person is None:
        needed = {"WWW-Authenticate": "Bearer"}
        raise ProblemError(401, "Send a token: `Authorization: Bearer TOKEN`.", headers=needed)
    if not person.roles & route.roles:
        raise ProblemError(403, f"It takes a token with the role {' or '.join(sorted(route.roles))}.")


def _check_type(request: Request, route: ApiRoute) -> None:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if route.body and (kind != "application/json" or request.headers.get("content-encoding")):
        raise ProblemError(415, "Send JSON: `Content-Type: application/json`, without compression.")


def _query(route: ApiRoute, request: Request) -> Any:
    """The parameters in the address.

    Raises:
        ProblemError: one is unknown, wrong, or there twice.
    """
    given = request.query_params.multi_items()
    if route.query is None:
        if given:
            raise ProblemError(400, "This address takes no parameters.")
        return None
    fields = dict(given)
    if len(fields) < len(given):
        raise ProblemError(422, "Give each parameter once.")
    try:
        return route.query.model_validate(fields)
    except ValidationError as error:
        raise _invalid(error) from None


def _body(route: ApiRoute, body: bytes) -> Any:
    """What was sent.

    Raises:
        ProblemError: it is no JSON, or has other fields or values.
    """
    if route.body is None:
        return None
    try:
        return route.body.model_validate_json(body)
    except ValidationError as error:
        raise _invalid(error) from None


def _version(route: ApiRoute, request: Request) -> int | None:
    """The version in `If-Match`.

    Raises:
        ProblemError: there is none, or it is no version.
    """
    if not route.needs_version:
        return None
    given = request.headers.get("if-match")
    if given is None:
        raise ProblemError(428, "Read the record, and send its ETag as `If-Match`.")
    version = VERSION.fullmatch(given.strip())
    if version is None:
        wrong = Wrong(field="If-Match", message='must be one ETag of the record, such as "3", or *')
        raise ProblemError(412, "Read the record, and send its ETag as `If-Match`.", wrong)
    return int(version[1]) if version[1] else None


def _invalid(error: ValidationError) -> ProblemError:
    number = error.error_count()
    if number > MOST_COUNTED:
        return ProblemError(422, f"Wrong: {number} fields.")
    found = error.errors(include_url=False, include_input=False, include_context=False)
    if found[0]["type"] == "json_invalid":
        return ProblemError(400, f"{found[0]['msg']}.")
    wrong = [
        Wrong(field=".".join(map(str, each["loc"])), message=each["msg"]) for each in found[:MOST_ERRORS]
    ]
    return ProblemError(422, f"Wrong: {number} field{'s' if number > 1 else ''}.", *wrong)


def _of_content(error: ContentError) -> ProblemError:
    if error.field == "escalation_id":
        return ProblemError(404, "There is no such record (any more).")
    field = FIELDS.get(error.field, error.field)
    return ProblemError(422, "Wrong: 1 field.", Wrong(field=field, message=error.expected))


def _not_now(error: DatabaseError) -> ProblemError:
    logger.warning("%s", error)
    return ProblemError(
        503, "The database cannot be used now. Nothing was changed: try again.", headers={"Retry-After": "5"}
    )


def _found(result: BaseModel, request: Request) -> Response:
    """What was read, with its ETag; nothing if the program has it."""
    text = _json(result)
    tag = hashlib.sha256(text).hexdigest()[:16]
    if isinstance(result, Escalation):
        tag = f"{result.version}.{tag}"
    known = [each.strip().removeprefix("W/") for each in request.headers.get("if-none-match", "").split(",")]
    has_it = f'"{tag}"' in known or "*" in known
    headers = {"ETag": f'"{tag}"'}
    if has_it:
        return Response(status_code=304, headers=headers)
    return Response(text, media_type="application/json", headers=headers)


def _response(result: BaseModel, status: int, headers: Mapping[str, str] | None = None) -> Response:
    kind = "application/problem+json" if isinstance(result, Problem) else "application/json"
    return Response(_json(result), status, media_type=kind, headers=dict(headers or {}))


def _json(result: BaseModel) -> bytes:
    # ASCII: a model may have written half a character, which JSON can hold and UTF-8 cannot.
    return json.dumps(result.model_dump(mode="json")).encode()
