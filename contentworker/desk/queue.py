"""The list of articles: filters, taking the next one, and the numbers that open pages are told."""

import re
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode

from starlette.responses import Response

from contentworker.desk.web import Ask, Desk, Refused, page, to
from contentworker.desk.words import REASONS, SAID, VERDICTS, due_in_words, reason_in_words
from contentworker.editorial.escalations.reading import Filter, Order
from contentworker.errors import ConflictError, ContentError

__all__ = ["hold", "moment_number", "numbers", "queue", "take_next"]

AT_ONCE = 50
NEWS = 30
"""Latest changed articles of which open pages are told."""


def queue(ask: Ask) -> Response:
    """The list: what is due first, with filters."""
    state = ask.query.get("state", "open")
    asked = {name: ask.query.get(name, "") for name in ("reason", "language", "verdict", "text", "with")}
    held_by = {"": None, "nobody": "", "me": ask.name}.get(asked["with"], asked["with"].removeprefix("@"))
    wanted = Filter(
        state=None if state == "all" else state,
        held_by=held_by,
        **{name: asked[name] or None for name in ("reason", "language", "verdict", "text")},
    )
    order: Order = "changed" if state == "settled" else "due"
    news = numbers(ask.desk)  # first: what changes while the list is read is then news
    found = ask.desk.store.read(wanted, order=order, after=ask.query.get("after") or None, limit=AT_ONCE)
    more = urlencode({"state": state, **asked, "after": found.after}) if found.after else ""
    return page(
        ask, "queue.html", lines=found.lines, more=more, state=state, asked=asked, news=news,
        is_first="after" not in ask.query, is_filtered=any(asked.values()),
        said=SAID.get(ask.query.get("saved", "")),
        holders=[name for name in ask.desk.store.holders() if name != ask.name],
        due_in_words=due_in_words, now=ask.desk.store.now(), in_words=reason_in_words, reasons=REASONS,
        verdicts=VERDICTS,
    )  # fmt: skip


def take_next(ask: Ask) -> Response:
    """Take the article that is due first, of those that no one else has taken."""
    for line in ask.desk.store.every(Filter(state="open"), order="due"):
        with suppress(ConflictError, ContentError):  # settled or forgotten since it was listed
            if line.held_by in {None, ask.name} and hold(ask, line.id, take_over=False) == ask.name:
                before = ask.form.get("before", "")
                more = f"?before={before}" if re.fullmatch("[0-9a-f]{32}", before) else ""
                return to(f"/review/{line.id}{more}")
    raise Refused(200, "Nothing waits", "No article is open, or others have taken all of them.")


def hold(ask: Ask, escalation_id: str, *, take_over: bool) -> str:
    """Have the person hold an article; return who holds it now."""
    seconds = 60 * ask.desk.settings.desk.hold_minutes
    return ask.desk.store.hold(escalation_id, ask.name, seconds, take_over=take_over).by


def numbers(desk: Desk) -> Mapping[str, float]:
    """How many articles are open, and when the latest ones changed, by `review/ID`."""
    latest = desk.store.read(order="changed", limit=NEWS).lines
    changed = {f"review/{each.id}": moment_number(each.updated_at) for each in latest}
    return {
        "review.open": desk.store.open_count(),
        "review.changed": max(changed.values(), default=0),
        **changed,
    }


def moment_number(moment: datetime) -> int:
    """Microseconds since 1970, which a script's number holds exactly."""
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
