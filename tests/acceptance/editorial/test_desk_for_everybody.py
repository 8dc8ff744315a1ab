"""Every page of the desk: what axe-core says of it, at a desk and on the narrowest phone, light and dark.

With WRITE_PICTURES_TO=docs in the environment it writes the picture of the documentation.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, NamedTuple

import pytest
import redis
from playwright.sync_api import Browser

from contentworker.desk import application
from contentworker.editorial.escalations import links
from contentworker.runtime.records import pauses
from tests.acceptance.browsers import WINDOW, take_picture
from tests.acceptance.editorial.desks import PHONE, faults, judged, see, signed_in
from tests.integration.editorial.test_desk import ARTICLE, Running, running, waiting
from tests.integration.editorial.test_desk_operations import letter
from tests.integration.editorial.test_desk_runs import RUN, make_runs

pytestmark = pytest.mark.browser

LOOKS: dict[str, Any] = {
    "wide and light": {"viewport": WINDOW, "color_scheme": "light"},
    "narrow and dark": {"viewport": PHONE, "color_scheme": "dark", "is_mobile": True, "has_touch": True},
}


class Made(NamedTuple):
    """A desk, and the articles in it."""

    desk: Running
    open: str
    settled: str
    strange: str
    link: str
    run: str
    letter: str
    batch: str


PAGES: dict[str, tuple[str, ...]] = {
    "/": (),  # leads to /review
    "/login": ("/login",),
    "/live": (),  # no page
    "/login/oidc": ("/login/oidc",),  # there is no provider
    "/login/oidc/callback": ("/login/oidc/callback",),
    "/l/{token}": ("{link}", "/l/no-such-link"),
    "/audit": ("/audit",),
    "/me": ("/me",),
    "/review": ("/review", "/review?state=all", "/review?text=none-such"),
    "/review/{id}": (
        *(f"/review/{{open}}?layer={layer}" for layer in ("rewrite", "score", "who", "history")),
        "/review/{settled}",
        "/review/{strange}",
        "/review/no-such-record",
    ),
    "/operations": ("/operations",),
    "/dead-letters": ("/dead-letters", "/dead-letters?reason=poison"),
    "/dead-letters/{id}": ("/dead-letters/{letter}", "/dead-letters/no-such-letter"),
    "/dead-letters/{id}/discard": ("/dead-letters/{letter}/discard",),
    "/batches/new": ("/batches/new?action=replay", "/batches/new?action=discard", "/batches/new"),
    "/batches/{id}": ("/batches/{batch}", "/batches/no-such-batch"),
    "/runs": ("/runs", "/runs?step=none"),
    "/runs/{id}": (*(f"/runs/{{run}}{number}" for number in range(3)), "/runs/none"),
    "/runs/{id}/forget": ("/runs/{run}1/forget", "/runs/no-such-run/forget"),
}
"""What is looked at for each route that shows a page: its states, and the errors that it leads to."""
PERSON = {"/audit": "olga", "/l/{token}": "rea"} | dict.fromkeys(
    (
        "/operations", "/dead-letters", "/dead-letters/{id}", "/dead-letters/{id}/discard", "/batches/new",
        "/batches/{id}", "/runs/{id}/forget",
    ),
    "olga",
)  # fmt: skip
"""Who looks, if not ana, who is an editor."""


@pytest.fixture(scope="module")
def made(
    tmp_path_factory: pytest.TempPathFactory, redis_url: str, redis_client: redis.Redis
) -> Iterator[Made]:
    """A desk with articles and runs in every state."""
    make_runs(redis_client)
    for desk in running("", tmp_path_factory.mktemp("desk") / "records.sqlite3", redis_url):
        found, settled = judged(desk), waiting(desk, "blog/settled")
        strange = waiting(desk, "a/" + "long" * 40, text=f"{'word' * 60} שלום \u202e txt <b> {ARTICLE}")
        desk.store.comment(found, "bob", "The second change is wrong: look at the temperature.")
        desk.store.settle(settled, "reject", by="bob", note="Not now.")
        desk.store.hold(strange, "bob", 900)
        desk.change(link_secret="s" * 32)
        link = links.made("s" * 32, links.Link(found, 1, datetime.now(UTC) + links.VALID))
        desk.desk.audit.write("letters.replay", "oli", "oidc", filter={"task": "long." * 30}, count=131)
        ids = [letter(redis_client, number, task=f"tasks.{'long' * 20}.{number % 2}") for number in range(60)]
        letter(redis_client, 60, critical=True, reason="interrupted", error="<b>never</b> " * 30)
        pauses.pause(redis_client, "escalation", "oli")
        assert desk.machinery
        batch = desk.machinery.batches.create("replay", ids[:3], "oli", chosen={"task": "tasks.*"})
        yield Made(desk, found, settled, strange, f"/l/{link}", RUN, ids[5], batch)


def test_every_route_that_shows_a_page_is_looked_at() -> None:
    """A new one needs its row in PAGES."""
    assert {route.path for route in application.ROUTES if route.method == "GET"} == PAGES.keys()


@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.parametrize("route", PAGES)
def test_nothing_is_wrong(made: Made, browser: Browser, route: str, look: str) -> None:
    """axe-core finds nothing, and there is nothing to scroll sideways."""
    with signed_in(browser, made.desk, PERSON.get(route, "ana"), **LOOKS[look]) as page:
        for path in PAGES[route]:
            page.goto(path.format(**made._asdict()))
            assert faults(page) == [], path


def test_what_is_wrong_is_found(browser: Browser) -> None:
    """A picture without words, pale letters, and a table that is too wide."""
    page = browser.new_page(viewport=PHONE)
    page.set_content("<img src='data:,'><p style='color: #ccc'>Pale</p><p style='width: 500px'>Wide</p>")
    found = "\n".join(faults(page))
    page.close()
    assert "image-alt" in found
    assert "color-contrast" in found
    assert "500 px wide" in found or "508 px wide" in found


def test_dark_is_dark(made: Made, browser: Browser) -> None:
    """The page follows the system, and the bar with the decisions stays in sight."""
    with signed_in(browser, made.desk, **LOOKS["narrow and dark"]) as page:
        page.goto(f"/review/{made.open}")
        colour = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert max(int(each) for each in colour[4:-1].split(",")) < 60
        bar = page.locator("#decide")
        assert bar.evaluate("each => getComputedStyle(each).position") == "sticky"


def test_the_picture_of_the_documentation(made: Made, browser: Browser) -> None:
    """An article with its rewrite, as docs/desk.md shows it; the styles are the desk's own."""
    with signed_in(browser, made.desk, viewport=WINDOW) as page:
        page.goto(f"/review/{judged(made.desk, 'guides/thoughts-on-tea')}")
        see(page, "It is yours until")
        styles = page.evaluate("[...document.styleSheets].map(each => each.cssRules.length > 0)")
        assert styles
        assert all(styles)
        take_picture(page, "desk-review.png")
