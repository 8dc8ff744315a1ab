"""What the API's answers are made of: a row of its table of routes, a call, a problem."""

from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any, NamedTuple

from pydantic import BaseModel

from contentworker.desk.api.models import Body, Problem, Query, Wrong
from contentworker.desk.web import Ask, Desk

__all__ = ["PREFIX", "ApiRoute", "Call", "ProblemError"]

PREFIX = "/api/v1"


class Call(NamedTuple):
    """A call that may be answered: everything in it has been checked by the route's models."""

    ask: Ask
    query: Any = None
    """Of the route's model for it, as `body`."""
    body: Any = None
    version: int | None = None
    """The version that `If-Match` names; None: any."""

    @property
    def desk(self) -> Desk:
        """What the answers work with."""
        return self.ask.desk

    @property
    def id(self) -> str:
        """The id, or the name of a queue, in the path."""
        return self.ask.path.get("id", "")

    @property
    def by(self) -> str:
        """Who does it: the program, or the person that it acts for."""
        person = getattr(self.body, "by", "")
        return f"{person} via {self.ask.name}" if person else self.ask.name


class ApiRoute(NamedTuple):
    """One operation of the API."""

    method: str
    path: str
    """Below `/api/v1`."""
    roles: frozenset[str] | None
    """Tokens with one of these roles may; None: everybody, also without a token."""
    answer: Callable[[Call], BaseModel]
    summary: str
    output: type[BaseModel]
    query: type[Query] | None = None
    body: type[Body] | None = None
    needs_version: bool = False
    """Whether the call must say which version of the record it rests on."""
    action: str = ""
    """The word in the trail, for what changes anything."""
    subject: Callable[[Call], str] = lambda call: call.id
    """What it changes, for the trail."""
    status: int = 200

    @property
    def problems(self) -> list[int]:
        """Statuses of problems that a call may end with, besides 500."""
        by_part = {
            401: self.roles is not None,
            403: self.roles is not None,
            404: "{" in self.path,
            408: self.body is not None,
            409: self.method != "GET",
            412: self.needs_version,
            413: self.body is not None,
            415: self.body is not None,
            422: self.body is not None or self.query is not None,
            428: self.needs_version,
            429: self.roles is not None,
        }
        return [400, *(status for status, may_be in by_part.items() if may_be), 421, 503]


class ProblemError(Exception):
    """An answer of `application/problem+json` (RFC 9457)."""

    def __init__(
        self, status: int, detail: str, *errors: Wrong, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.headers = dict(headers or {})
        title = HTTPStatus(status).phrase
        self.problem = Problem(title=title, status=status, detail=detail, errors=errors)
