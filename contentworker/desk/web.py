"""What pages and actions are made of: the desk, a request to it, a row of the table of routes, a page."""

import ipaddress
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import jinja2
from starlette.responses import HTMLResponse, RedirectResponse, Response

from contentworker.desk.live import Live
from contentworker.desk.machinery import Machinery
from contentworker.desk.passwords import Account, Tries
from contentworker.desk.people import REVIEW, Person
from contentworker.desk.sessions import Sessions
from contentworker.desk.tokens import Tokens
from contentworker.editorial.escalations.audit import Audit
from contentworker.editorial.escalations.store import Store
from contentworker.printable import encodable

if TYPE_CHECKING:
    from contentworker.desk.oidc import Provider

__all__ = ["Ask", "Desk", "Refused", "Route", "page", "to"]

HERE = Path(__file__).parent
ENVIRONMENT = jinja2.Environment(
    loader=jinja2.FileSystemLoader(HERE / "templates"),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


@dataclass(frozen=True)
class Desk:
    """What the pages work with."""

    store: Store
    sessions: Sessions
    tokens: Tokens
    audit: Audit
    accounts: Mapping[str, Account]
    settings: Any
    """All settings."""
    machinery: Machinery
    """Redis and the workers."""
    announce: Callable[[float], bool]
    """Has the platform told after so many seconds; False if that cannot be asked for now."""
    origins: tuple[str, ...]
    """Addresses of the desk, such as `https://desk.example.com`; the first one is shown."""
    tries: Tries = field(default_factory=Tries)
    live: Live = field(default_factory=Live)
    provider: "Provider | None" = None
    """Where people sign in by OpenID Connect."""
    link_secret: str = ""
    """What links in mails are signed with; empty: they let nobody in."""

    @cached_property
    def trusted_networks(self) -> tuple[Any, ...]:
        """The proxies whose headers are believed."""
        return tuple(ipaddress.ip_network(each) for each in self.settings.desk.trusted_proxies)

    @property
    def is_secure(self) -> bool:
        """Whether browsers reach it by https only."""
        return all(origin.startswith("https://") for origin in self.origins)

    @property
    def cookie(self) -> str:
        """The session's cookie. A browser takes the prefix `__Host-` over https only."""
        return "__Host-desk" if self.is_secure else "desk"

    @property
    def flow_cookie(self) -> str:
        """The cookie of somebody who is at the provider to sign in."""
        return f"{self.cookie}-flow"


class Ask(NamedTuple):
    """A request that may be answered."""

    desk: Desk
    person: Person | None
    path: Mapping[str, str]
    query: Mapping[str, str]
    form: Mapping[str, str]
    address: str
    token: str
    at: str = ""
    """The route's path, with names in braces."""
    menu: tuple[tuple[str, str], ...] = ()
    """Paths of the pages that the person may open, and their names."""
    flow: str = ""
    """What the browser keeps while its person is at the provider to sign in."""

    @property
    def name(self) -> str:
        """The name of the person who is signed in."""
        return self.person.name if self.person else ""

    @property
    def may_decide(self) -> bool:
        """Whether the person may decide on articles."""
        return self.may("editor") or self.may("link")

    @property
    def may_see_review(self) -> bool:
        """Whether the person may open articles that wait for a person."""
        return self.person is not None and bool(self.person.roles & REVIEW)

    def may(self, *roles: str) -> bool:
        """Whether the person has all of these roles: `may("operator", "articles")` to open arguments."""
        return self.person is not None and self.person.may(*roles)

    def is_at(self, path: str) -> bool:
        """Whether this page belongs to the part of the desk that begins there."""
        return self.at == path or self.at.startswith(f"{path}/")

    def audit(
        self,
        action: str,
        subject: str = "",
        *,
        filter: Mapping[str, Any] | None = None,  # noqa: A002 (the name in the trail)
        count: int | None = None,
        outcome: str = "done",
    ) -> None:
        """Add to the trail what this person does: `ask.audit("queue.pause", name)`."""
        if self.person is None:
            raise ValueError("nobody is signed in")
        self.desk.audit.write(
            action, self.name, self.person.signed_in,
            subject=subject, filter=filter, count=count, outcome=outcome,
        )  # fmt: skip


class Route(NamedTuple):
    """One page or action."""

    method: str
    path: str
    roles: frozenset[str] | None
    """Who may; None: everybody, also without signing in."""
    answer: Callable[[Ask], Response]
    summary: str
    menu: str = ""
    """Its name in the navigation, for a page that belongs there."""


class Refused(Exception):  # noqa: N818 (an answer, no error of the program)
    """A page instead of the one that was asked for."""

    def __init__(self, status: int, title: str, what_to_do: str) -> None:
        super().__init__(title)
        self.status, self.title, self.what_to_do = status, title, what_to_do


def page(ask: Ask, template: str, status: int = 200, **values: Any) -> Response:
    """A page for a person."""
    text = ENVIRONMENT.get_template(template).render(ask=ask, **values)
    return HTMLResponse(encodable(text), status)


def to(path: str) -> Response:
    """Go there, with GET: a page that is loaded again sends no form again."""
    return RedirectResponse(path, 303)
