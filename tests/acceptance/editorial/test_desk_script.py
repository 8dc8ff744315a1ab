"""What desk.js adds: keys, words that are kept, news, and a warning before anything is lost."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Dialog, Page, Route, expect

from contentworker.desk import deciding, live
from tests.acceptance.editorial.desks import press, see, signed_in
from tests.integration.editorial.test_desk import Running, record, running, waiting
from tests.support import wait_until

pytestmark = pytest.mark.browser


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Running]:
    """A desk that looks for news all the time."""
    monkeypatch.setattr(live, "PERIOD_SECONDS", 0.1)
    yield from running("", tmp_path / "records.sqlite3")


@pytest.fixture
def page(browser: Browser, desk: Running) -> Iterator[Page]:
    """Ana's window."""
    with signed_in(browser, desk) as opened:
        yield opened


def test_keys_alone(desk: Running, page: Page) -> None:
    """Two own sentences and accept, undo at the next article, reject; in fields they are letters."""
    first, second = waiting(desk), waiting(desk, "blog/coffee")
    page.goto("/review")
    page.keyboard.press("t")
    see(page, "It is yours until")
    for words in ("Ja! 1 2 3?", "Tea & time."):
        page.keyboard.press("j")
        page.keyboard.press("3")  # selects the sentence, so that what is typed replaces it
        page.keyboard.type(words)
        page.keyboard.press("Escape")
    expect(page.locator("#sum")).to_have_text("Your text: 2 in own words, the rest as written.")
    expect(page.get_by_role("article")).to_contain_text("Ja! 1 2 3?")
    page.keyboard.press("b")  # it needs a note; then another decision that needs none
    expect(page.locator("#note")).to_be_focused()
    page.keyboard.press("Escape")
    page.keyboard.press("a")
    see(page, "Settled: Accept by ana")
    assert record(desk, first).texts[-1].text == "Ja! 1 2 3? Tea & time. It is <b>hot</b>."
    page.keyboard.press("t")
    see(page, "blog/coffee")
    page.keyboard.press("z")
    see(page, "Undone")
    assert record(desk, first).state == "open"
    page.goto(f"/review/{second}")
    page.keyboard.press("b")  # it needs a note, which has the focus now
    page.keyboard.type("Shorter, please.")
    page.keyboard.press("Escape")
    page.keyboard.press("b")
    see(page, "“Shorter, please.”")
    assert record(desk, second).decision == "send_back"


def test_keys_can_be_switched_off(desk: Running, page: Page) -> None:
    """For those whose voice or hand would press them by mistake; the browser remembers it."""
    found = waiting(desk)
    page.goto(f"/review/{found}")
    page.keyboard.press("?")
    page.get_by_label("Single keys work").uncheck()
    page.keyboard.press("x")  # also not in the dialog
    page.get_by_role("button", name="Close").click()
    page.reload()
    page.keyboard.press("x")
    page.keyboard.press("s")
    expect(page.locator("kbd").first).to_be_hidden()
    assert record(desk, found).state == "open"
    assert page.url.endswith(found)


def test_what_is_typed_is_kept(desk: Running, page: Page) -> None:
    """By another layer, by a reload, and when the decision overtakes it."""
    found = waiting(desk)
    page.goto(f"/review/{found}?layer=score")
    page.get_by_label("Note").fill("A note.")
    page.get_by_role("link", name="Rewrite").click()  # comes later than the page
    page.locator("input[name=choice2][value=own]").check()
    page.locator("#own2").fill("Mine.")
    page.get_by_role("link", name="History").click()
    see(page, "Comments")
    wait_until(lambda: record(desk, found).choices, "the words to be kept")
    expect(page.get_by_label("Note")).to_have_value("A note.")
    page.get_by_label("Note").fill("")
    page.goto(f"/review/{found}")
    expect(page.locator("#own2")).to_have_value("Mine.")

    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)

    page.route("**/keep", hold)
    page.locator("#own2").fill("Mine, at last.")
    wait_until(lambda: page.wait_for_timeout(20) or held, "the words to be on their way")
    press(page, "Accept")
    held[0].continue_()
    see(page, "Settled: Accept by ana")
    assert record(desk, found).texts[-1].text == "Tea is ancient. Mine, at last. It is <b>hot</b>."


def test_it_asks_before_words_are_lost(desk: Running, page: Page) -> None:
    """A note is on the page alone."""
    asked: list[str] = []

    def stay(dialog: Dialog) -> None:
        asked.append(dialog.type)
        dialog.dismiss()

    page.on("dialog", stay)
    page.goto(f"/review/{waiting(desk)}")
    page.get_by_label("Note").press_sequentially("A note.")
    page.get_by_role("link", name="All articles").click()
    wait_until(lambda: page.wait_for_timeout(20) or asked, "the question")
    expect(page.get_by_label("Note")).to_have_value("A note.")
    assert asked == ["beforeunload"]
    page.get_by_label("Note").fill("")


def test_news_wait_to_be_shown(desk: Running, page: Page) -> None:
    """The list says that there is more, and changes when one asks for it; a hold appears by itself."""
    first = waiting(desk)
    page.goto("/review")
    expect(page.locator("#live")).to_have_text("Live")
    desk.store.hold(first, "bob", 900)
    see(page, "bob")
    for number in range(3):
        waiting(desk, f"blog/new-{number}")
    expect(page.get_by_role("button", name="3 new: show")).to_be_visible()
    expect(page.locator("tbody tr")).to_have_count(1)
    expect(page.locator("[data-number]").first).to_have_text("4")
    page.get_by_role("button", name="3 new: show").click()
    expect(page.locator("tbody tr")).to_have_count(4)


def test_somebody_decides_meanwhile(desk: Running, page: Page) -> None:
    """The page says so at once, and keeps what was written."""
    found = waiting(desk)
    page.goto(f"/review/{found}")
    page.get_by_label("Note").fill("A note.")
    desk.store.settle(found, "reject", "bob")
    expect(page.get_by_role("alert")).to_contain_text("Somebody changed or settled the article")
    see(page, "Settled: Reject by bob")
    expect(page.get_by_label("Note")).to_have_value("A note.")
    page.get_by_label("Note").fill("")


def test_judging_shows_its_result(desk: Running, page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once the workers have answered, and until the text is another one."""
    found = waiting(desk)
    asked: list[dict[str, Any]] = []

    def judge(_app: Any, **more: Any) -> bool:
        asked.append(more)
        return True

    monkeypatch.setattr(deciding, "ask_to_judge", judge)
    page.goto(f"/review/{found}")
    page.keyboard.press("e")
    result = page.get_by_role("status").and_(page.locator(".judged"))
    expect(result).to_have_text("Being judged …")
    wait_until(lambda: page.wait_for_timeout(20) or asked, "the question to the workers")
    where: dict[str, Any] = {"run_id": "desk/x", "number": asked[0]["number"]}
    where["text_sha256"] = asked[0]["record"]["text_sha256"]
    desk.store.add_finding(found, "score", {"score": 71.23}, **where)
    desk.store.add_finding(found, "detection", {"verdict": "no_sign"}, **where)
    expect(result).to_have_text("This text: 71.2 points, no sign of a model")
    page.locator("input[name=choice2][value=rewrite]").check()
    expect(result).to_have_text("")
