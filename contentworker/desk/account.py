"""A person's own page, and the trail of what everybody did."""

import re

from starlette.responses import Response

from contentworker.desk.sessions import token_hash
from contentworker.desk.web import Ask, page, to

__all__ = ["end_others", "me", "trail"]

AT_ONCE = 100


def me(ask: Ask) -> Response:
    """Who the person is here, and where else he or she is signed in."""
    sessions = ask.desk.sessions.of(ask.person) if ask.person else []
    return page(
        ask, "me.html", sessions=sessions, this=token_hash(ask.token), ended=ask.query.get("ended", "")
    )


def end_others(ask: Ask) -> Response:
    """Sign out everywhere else."""
    if ask.person:
        count = ask.desk.sessions.end_others(ask.person, ask.token)
        ask.audit("session.end_others", count=count)
    return to("/me?ended=others")


def trail(ask: Ask) -> Response:
    """What everybody did, the newest first."""
    asked = ask.query.get("before", "")
    before = int(asked) if re.fullmatch(r"[0-9]{1,9}", asked) else None
    entries = ask.desk.audit.read(before=before, limit=AT_ONCE)
    return page(ask, "audit.html", entries=entries, more=len(entries) == AT_ONCE)
