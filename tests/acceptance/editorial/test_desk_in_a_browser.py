"""The desk as an editor sees it: with the keyboard, without scripts, and when things go wrong."""

import re
import sqlite3
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Dialog, expect

from contentworker.editorial.escalations.result import NewFinding
from tests.acceptance.editorial.desks import address, faults, press, see, sign_in, signed_in
from tests.integration.editorial.test_desk import (
    ARTICLE,
    HOSTILE,
    Running,
    record,
    rewrite,
    running,
    waiting,
)
from tests.support import PATIENCE

pytestmark = pytest.mark.browser


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Running]:
    """A desk that answers."""
    yield from running("", tmp_path / "records.sqlite3")


@pytest.mark.parametrize("runs_scripts", [False, True])
def test_three_articles_with_the_keyboard(desk: Running, browser: Browser, runs_scripts: bool) -> None:
    """Accept with two own sentences, send back with a note, undo and reject."""
    ids = [waiting(desk, f"blog/{number}") for number in range(3)]
    with browser.new_context(base_url=address(desk), java_script_enabled=runs_scripts) as context:
        context.set_default_timeout(1000 * PATIENCE)
        page = context.new_page()
        sign_in(page, "ana")
        see(page, "3 open")
        press(page, "Take the next one")
        see(page, "blog/0")
        for number in (1, 2):
            page.locator(f"input[name=choice{number}][value=own]").press("Space")
            page.locator(f"#own{number}").fill(f"Own words {number}.")
        press(page, "Accept")
        see(page, "Settled: Accept by ana")
        assert record(desk, ids[0]).texts[-1].text == "Own words 1. Own words 2. It is <b>hot</b>."

        page.get_by_role("link", name="All articles").press("Enter")
        see(page, "2 open")
        press(page, "Take the next one")
        see(page, "blog/1")
        page.get_by_label("Note").fill("Please shorten it.")
        press(page, "Send back")
        see(page, "“Please shorten it.”")

        page.get_by_role("link", name="All articles").press("Enter")
        see(page, "1 open")
        press(page, "Take the next one")
        see(page, "blog/2")
        press(page, "Accept")
        see(page, "Settled: Accept")
        press(page, "Undo")
        see(page, "open again")
        press(page, "Reject")
        see(page, "Settled: Reject by ana")
    assert [record(desk, each).decision for each in ids] == ["accept", "send_back", "reject"]


def test_two_people_decide_at_once(desk: Running, browser: Browser) -> None:
    """The second one keeps what was written, and reads who was faster; a comment comes through beside it."""
    found = waiting(desk)
    with signed_in(browser, desk, "ana") as ana, signed_in(browser, desk, "bob") as bob:
        for page in (ana, bob):
            page.goto(f"/review/{found}")
        bob.get_by_label("Note").fill("Bob's note, <i>all</i> of it.")
        bob.locator("input[name=choice1][value=own]").check()
        bob.locator("#own1").fill("Bob's own words.")
        press(ana, "Accept")
        see(ana, "Settled: Accept by ana")
        press(bob, "Reject")
        see(bob, "Somebody was faster")
        assert faults(bob) == []
        kept = bob.locator("textarea").evaluate_all("all => all.map(each => each.value)")
        assert "Bob's note, <i>all</i> of it." in kept
        assert "Bob's own words." in kept
        bob.get_by_role("link", name="Open the article as it is now").click()
        see(bob, "Settled: Accept by ana")
    assert record(desk, found).settled_by == "ana"


def test_the_platform_is_told_before_undo(desk: Running, browser: Browser) -> None:
    """The button is still on the page: the next page says so, and the decision stands."""
    found = waiting(desk)
    with signed_in(browser, desk) as page:
        page.goto(f"/review/{found}")
        press(page, "Accept")
        see(page, "Settled: Accept")
        now = desk.store.now
        desk.store.now = lambda: now() + timedelta(seconds=31)
        assert len(list(desk.store.pending_events())) == 1  # as `announce` does
        desk.store.now = now
        press(page, "Undo")
        see(page, "the platform is told of the decision")
    assert record(desk, found).state == "settled"


def test_a_hostile_article_stays_text(desk: Running, browser: Browser) -> None:
    """In each format and layer no script runs, nothing is loaded, and no word around it is turned."""
    asked: list[str] = []

    def note(dialog: Dialog) -> None:
        asked.append(dialog.message)
        dialog.dismiss()

    with signed_in(browser, desk) as page:
        page.on("dialog", note)
        page.on("request", lambda request: asked.append(request.url.removeprefix(address(desk))))
        for media_type in ("markdown", "html"):
            found = waiting(desk, media_type, text=HOSTILE, media_type=media_type)
            desk.store.comment(found, "bob", HOSTILE)
            for layer in ("rewrite", "score", "who", "history"):
                page.goto(f"/review/{found}?layer={layer}")
                article = page.get_by_role("article")
                assert article.locator("script, img, style, b, a[href^=javascript]").count() == 0
                assert page.locator("main [onerror], main [onclick]").count() == 0
                # What turns text around ends with the block that it is in.
                blocks = article.locator("> *")
                style = "all => all.map(each => getComputedStyle(each).unicodeBidi)"
                assert set(blocks.evaluate_all(style)) == {"isolate"}
    assert all(re.match("/(review/.*|static/.*|live)$", each) for each in asked), asked


def test_an_article_of_two_megabytes(desk: Running, browser: Browser) -> None:
    """5,000 sentences are shown, and decided on."""
    text = "".join(f"Sentence {number:04} is here{', on and on' * 35}. " for number in range(5_000))
    assert 1_900_000 < len(text) < 2_100_000
    found = waiting(
        desk,
        text=text,
        findings=[NewFinding("rewrite", 1, text, {**rewrite(ARTICLE).content, "changes": []})],
    )
    with signed_in(browser, desk) as page:
        page.goto(f"/review/{found}")
        assert page.evaluate("document.body.textContent.includes('Sentence 4999 is here')")
        press(page, "Reject")
        see(page, "Settled: Reject by ana")


def test_a_form_on_another_site(desk: Running, browser: Browser, tmp_path: Path) -> None:
    """Whoever is signed in and presses a button there is told, and nothing is done."""
    found = waiting(desk)
    version = record(desk, found).version
    other = (
        f"<form method=post action='{address(desk)}/review/{found}/decision'>"
        f"<input name=version value={version}><input name=decision value=reject><button>Win</button></form>"
    )
    with signed_in(browser, desk) as page:
        page.route("http://other.test/", lambda route: route.fulfill(body=other, content_type="text/html"))
        page.goto("http://other.test/")
        page.get_by_role("button").click()
        page.wait_for_url(f"{address(desk)}/**")
        see(page, "another site")
    assert record(desk, found).state == "open"


def test_while_redis_is_away(desk: Running, browser: Browser) -> None:
    """The decision is recorded, and the page says that the platform is told later."""
    found = waiting(desk)
    desk.redis_answers = False
    with signed_in(browser, desk) as page:
        page.goto(f"/review/{found}")
        press(page, "Accept")
        see(page, "the platform is told later")
    assert record(desk, found).state == "settled"


@pytest.fixture
def impatient(tmp_path: Path) -> Iterator[Running]:
    """A desk that does not wait for a locked database."""
    yield from running("", tmp_path / "records.sqlite3", busy_seconds=0.2)


def test_while_the_database_is_locked(impatient: Running, browser: Browser) -> None:
    """The page says to go back; there, what was written still is, and works when it is sent again."""
    found = waiting(impatient)
    with signed_in(browser, impatient) as page:
        page.goto(f"/review/{found}")
        page.get_by_label("Note").fill("All that I wrote.")
        other = sqlite3.connect(impatient.file, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        press(page, "Reject")
        see(page, "Not now")
        other.execute("ROLLBACK")
        other.close()
        page.go_back()
        expect(page.get_by_label("Note")).to_have_value("All that I wrote.")
        press(page, "Reject")
        see(page, "“All that I wrote.”")


def test_signed_out_while_writing(desk: Running, browser: Browser) -> None:
    """Sign in in another tab, go back, and what was written can be sent."""
    found = waiting(desk)
    with signed_in(browser, desk) as page:
        page.goto(f"/review/{found}")
        page.get_by_label("Note").fill("All that I wrote.")
        page.context.clear_cookies()
        press(page, "Reject")
        see(page, "You are signed out")
        sign_in(page.context.new_page(), "ana")
        page.go_back()
        press(page, "Reject")
        see(page, "“All that I wrote.”")


def test_nobody_decides_by_accident(desk: Running, browser: Browser) -> None:
    """Enter in the note is a new line; every button and link can be reached with Tab, and shows that."""
    found = waiting(desk)
    with signed_in(browser, desk) as page:
        page.goto(f"/review/{found}")
        note = page.get_by_label("Note")
        note.press("Enter")
        expect(note).to_have_value("\n")
        reached = set[str]()
        for _ in range(40):
            page.keyboard.press("Tab")
            focus = page.locator(":focus")
            if focus.count():
                reached.add(focus.inner_text().partition("\n")[0] or focus.get_attribute("name") or "")
                assert focus.evaluate("each => getComputedStyle(each).outlineStyle") == "solid"
        assert {"Accept", "Send back", "Reject", "Sign out", "Score"} <= reached
    assert record(desk, found).state == "open"
