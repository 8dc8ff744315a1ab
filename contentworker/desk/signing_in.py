"""Signing in with a password, at a provider, or by the link in a mail; and signing out."""

import logging
import re

from starlette.responses import Response

from contentworker.desk import passwords
from contentworker.desk.people import LINK, Person
from contentworker.desk.web import Ask, Refused, page, to
from contentworker.editorial.escalations import links
from contentworker.editorial.escalations.teamwork import check_name

__all__ = ["link", "link_page", "login", "login_page", "logout", "provider", "returned"]

logger = logging.getLogger(__name__)

OWN_PAGE = re.compile(r"(/[A-Za-z0-9_.@-]+)+")
"""Where signing in may lead: an address in a link must not choose another site, such as `//other.example`."""
MOST_TYPED_CHARACTERS = 100
BY_LINK = " (by link)"
"""Stands behind a name that whoever has a link typed: nobody can be taken for somebody who signed in."""
FLOW_SECONDS = 600
"""How long a person may take at the provider."""


def login_page(ask: Ask) -> Response:
    """The form."""
    return page(ask, "login.html", next=_next(ask.query.get("next", "")), failed=False)


def login(ask: Ask) -> Response:
    """Begin a session."""
    name, password = ask.form.get("name", "").strip(), ask.form.get("password", "")
    counted = name[
        : passwords.MOST_NAME_CHARACTERS + 1
    ]  # a longer one is nobody's, and would fill the memory
    if not ask.desk.tries.may_try(f"address {ask.address}", f"name {counted}"):
        raise Refused(429, "Too many tries", "Wait for a minute, then try again.")
    account = ask.desk.accounts.get(name)
    if not passwords.check(account, password) or account is None:
        return page(ask, "login.html", 401, next=_next(ask.form.get("next", "")), failed=True)
    token = ask.desk.sessions.begin(account, _seconds(ask))
    person = Person(account.name, account.roles)
    return _begun(ask, person, token, _next(ask.form.get("next", "")))


def logout(ask: Ask) -> Response:
    """End the session."""
    ask.desk.sessions.end(ask.token)
    response = to("/login")
    response.delete_cookie(ask.desk.cookie, path="/", secure=ask.desk.is_secure, httponly=True)
    return response


def provider(ask: Ask) -> Response:
    """Go to the provider to sign in."""
    if ask.desk.provider is None:
        raise Refused(404, "There is no such page", "Sign in with your password.")
    from contentworker.desk import oidc

    flow = oidc.Flow.begin(_next(ask.query.get("next", "")))
    try:
        response = to(ask.desk.provider.address(flow))
    except oidc.ProviderError as error:
        raise _provider_failed(error) from None
    _set_cookie(ask, response, ask.desk.flow_cookie, str(flow), FLOW_SECONDS)
    return response


def returned(ask: Ask) -> Response:
    """Begin the session of a person who comes back from the provider."""
    if ask.desk.provider is None:
        raise Refused(404, "There is no such page", "Sign in with your password.")
    from contentworker.desk import oidc

    flow = oidc.Flow.read(ask.flow)
    try:
        person = ask.desk.provider.person(ask.query, flow)
    except oidc.ProviderError as error:
        raise _provider_failed(error) from None
    if person.name in ask.desk.accounts:
        raise Refused(403, "You cannot sign in so", f"{person.name} is in the password file: sign in there.")
    if not person.roles:
        what = f"You are {person.name}, but in no group of `desk.group_roles`. Ask whoever runs the desk."
        raise Refused(403, "There is no role for you", what)
    token = ask.desk.sessions.begin_of_provider(person, _seconds(ask))
    response = _begun(ask, person, token, _next(flow.next if flow else ""))
    response.delete_cookie(ask.desk.flow_cookie, path="/", secure=ask.desk.is_secure, httponly=True)
    return response


def _provider_failed(error: Exception) -> Refused:
    logger.warning("Nobody was signed in by OpenID Connect: %s", error)
    what = "Go back to the desk and try again. The desk's log says why. If you have a password, use it."
    return Refused(503, "Your provider did not sign you in", what)


def link_page(ask: Ask) -> Response:
    """What a link is for, and a button: programs that look at mails follow links, but press nothing."""
    link, article_id = _link(ask)
    if ask.may("editor"):
        return to(f"/review/{link.record_id}")
    return page(ask, "link.html", article_id=article_id)


def link(ask: Ask) -> Response:
    """Begin a session for one record, under the name that was typed."""
    if not ask.desk.tries.may_try(f"address {ask.address}"):
        raise Refused(429, "Too many tries", "Wait for a minute, then try again.")
    link, _ = _link(ask)
    name = " ".join(ask.form.get("name", "").replace(BY_LINK, "").split())[:MOST_TYPED_CHARACTERS]
    check_name(name)
    person = Person(f"{name}{BY_LINK}", LINK, "link", link.record_id)
    token = ask.desk.sessions.begin_by_link(person.name, link, ask.desk.link_secret, _seconds(ask))
    return _begun(ask, person, token, f"/review/{link.record_id}")


def _link(ask: Ask) -> tuple[links.Link, str]:
    """A good link, and the id of its article.

    Raises:
        Refused: it is none (any more).
    """
    secret = ask.desk.link_secret
    link = links.read(secret, ask.path["token"], ask.desk.store.now()) if secret else None
    record = ask.desk.store.find(link.record_id) if link else None
    if link is None or record is None or record.round != link.round or record.state != "open":
        what = "It is too old, or the article is decided. Who can sign in still finds the article there."
        raise Refused(410, "This link is no longer good", what)
    return link, record.article_id


def _begun(ask: Ask, person: Person, token: str, next_page: str) -> Response:
    subject = person.record_id or ""
    ask.desk.audit.write("session.begin", person.name, person.signed_in, subject=subject)
    response = to(next_page)
    _set_cookie(ask, response, ask.desk.cookie, token, _seconds(ask))
    return response


def _set_cookie(ask: Ask, response: Response, name: str, value: str, seconds: float) -> None:
    response.set_cookie(
        name,
        value,
        max_age=int(seconds),
        path="/",
        secure=ask.desk.is_secure,
        httponly=True,
        samesite="lax",
    )


def _seconds(ask: Ask) -> float:
    return float(ask.desk.settings.desk.session_hours * 3600)


def _next(asked: str) -> str:
    return asked if OWN_PAGE.fullmatch(asked) else "/"
