"""The desk in a browser: articles that wait, people who are signed in, and what is wrong with a page."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from functools import cache
from typing import Any

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, ViewportSize, expect

from contentworker import config
from contentworker.desk.sessions import Sessions
from contentworker.editorial.aeo import scoring
from contentworker.editorial.detector.judging import judge
from contentworker.editorial.detector.model import shipped
from contentworker.editorial.document import parse
from contentworker.editorial.escalations.result import NewFinding
from contentworker.editorial.rewriting.result import Change, Refusal, Rewrite
from tests.integration.editorial.test_desk import PASSWORD, Running, waiting
from tests.support import PATIENCE, ROOT

__all__ = ["PHONE", "address", "faults", "judged", "press", "see", "sign_in", "signed_in"]

PHONE: ViewportSize = {"width": 320, "height": 700}
"""The narrowest window of WCAG 2.2's criterion 1.4.10."""


def address(desk: Running) -> str:
    """Of the desk."""
    return f"http://127.0.0.1:{desk.port}"


@contextmanager
def signed_in(browser: Browser, desk: Running, name: str = "ana", **options: Any) -> Iterator[Page]:
    """A window of a person, with nothing of another one's."""
    token = Sessions(desk.store._engine).begin(
        desk.accounts[name], 3600
    )  # a third of a second less each time
    with browser.new_context(base_url=address(desk), **options) as context:
        context.set_default_timeout(1000 * PATIENCE)
        context.add_cookies([{"name": "desk", "value": token, "url": address(desk)}])
        yield context.new_page()


def sign_in(page: Page, name: str) -> None:
    """Fill in the form, with the keyboard."""
    page.goto("/login")
    page.get_by_label("Name").fill(name)
    page.keyboard.press("Tab")
    page.keyboard.type(PASSWORD)
    page.keyboard.press("Enter")
    see(page, "Sign out", within="header")


def see(page: Page, words: str, *, within: str = "main") -> None:
    """Wait for a page with these words."""
    expect(page.locator(within).first).to_contain_text(words)
    page.wait_for_load_state()  # its script is there, too, which knows the keys


def press(page: Page, words: str) -> None:
    """A button, with the keyboard."""
    page.get_by_role("button", name=words, exact=True).press("Enter")


def judged(desk: Running, article_id: str = "blog/thoughts-on-tea") -> str:
    """An article with a real score, a real detection, and two changes as a model might make them."""
    source = (ROOT / "examples" / "thoughts-on-tea.txt").read_text("utf-8")
    return waiting(desk, article_id, text=source, findings=[*_findings(source)])


@cache
def _findings(source: str) -> tuple[NewFinding, ...]:
    settings = config.load(environ={}).content
    document = parse(source, settings=settings)
    score = scoring.score(document, questions=(), url=None, today=date(2026, 12, 1), settings=settings)
    detection = judge(document, model=shipped(), settings=settings)
    return (
        NewFinding("score", 0, source, score.model_dump(mode="json")),
        NewFinding("detection", 0, source, detection.model_dump(mode="json")),
        NewFinding("rewrite", 1, source, _rewrite(source).model_dump(mode="json")),
    )


CHANGES = {
    "It is an incredible thing when you think about it!": ("All of them are one plant.", ()),
    "With the green kind that tends to draw out bitterness, so it is a good idea to let the kettle stand for "
    "a while first, until it has come down to something like 75 degrees.": (
        "Green tea turns bitter in boiling water: let the kettle cool down to 70 degrees first.",
        (Refusal(rule="numbers", detail="70 is new"),),
    ),
}


def _rewrite(source: str) -> Rewrite:
    changes = tuple(
        Change(
            original=before, rewritten=after, outcome="refused" if refusals else "rewritten",
            refusals=refusals, start=source.index(before), end=source.index(before) + len(before),
        )
        for before, (after, refusals) in CHANGES.items()
    )  # fmt: skip
    return Rewrite(
        text="", changed=True, changes=changes, diff=(), left=(), mode="edit", model="example", provider="p",
        prompt_tokens=0, completion_tokens=0, cost=0, seconds=0,
    )  # fmt: skip


def faults(page: Page) -> list[str]:
    """What axe-core finds on a page, and whether it can be scrolled sideways."""
    options = {"resultTypes": ["violations"], "rules": {"target-size": {"enabled": True}}}
    found = Axe().run(page, options=options).response["violations"]
    said = [f"{each['id']}: {each['help']}: {node['html']}" for each in found for node in each["nodes"]]
    width, window = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
    return [*said, *([f"{width} px wide in a window of {window}"] if width > window else [])]
