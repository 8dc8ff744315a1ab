"""Signing in and out."""

import re

from starlette.responses import Response

from contentworker.desk import passwords
from contentworker.desk.web import Ask, Refused, page, to

__all__ = ["login", "login_page", "logout"]

OWN_PAGE = re.compile(r"(/[A-Za-z0-9_.@-]+)+")
"""Where signing in may lead: an address in a link must not choose another site, such as `//other.example`."""


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
    seconds = ask.desk.settings.desk.session_hours * 3600
    response = to(_next(ask.form.get("next", "")))
    response.set_cookie(
        ask.desk.cookie,
        ask.desk.sessions.begin(account, seconds),
        max_age=int(seconds),
        path="/",
        secure=ask.desk.is_secure,
        httponly=True,
        samesite="lax",
    )
    return response


def logout(ask: Ask) -> Response:
    """End the session."""
    ask.desk.sessions.end(ask.token)
    response = to("/login")
    response.delete_cookie(ask.desk.cookie, path="/", secure=ask.desk.is_secure, httponly=True)
    return response


def _next(asked: str) -> str:
    return asked if OWN_PAGE.fullmatch(asked) else "/"
