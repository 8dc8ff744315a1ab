"""The desk as an editor sees it, in a browser that runs no script."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from selenium import webdriver
from selenium.common.exceptions import WebDriverException
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from tests.acceptance.browsers import chromium
from tests.integration.editorial.test_desk import PASSWORD, Running, record, running, waiting
from tests.support import wait_until

pytestmark = pytest.mark.browser


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Running]:
    """A desk that answers."""
    yield from running("", tmp_path / "records.sqlite3")


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[webdriver.Chrome]:
    """Chromium without a window and without scripts."""
    with chromium(tmp_path, runs_scripts=False) as opened:
        opened.implicitly_wait(10)
        yield opened


def see(browser: webdriver.Chrome, words: str) -> None:
    """Wait for a page with these words."""

    def is_there() -> bool:
        with suppress(WebDriverException):  # the page is about to be another
            return words in browser.find_element(By.TAG_NAME, "main").text
        return False

    wait_until(is_there, f"a page with {words!r}")


def press(browser: webdriver.Chrome, words: str) -> None:
    """A button, with the keyboard."""
    browser.find_element(By.XPATH, f"//button[normalize-space()='{words}']").send_keys(Keys.ENTER)


def test_three_articles_with_the_keyboard(desk: Running, browser: webdriver.Chrome) -> None:
    """Accept with two own sentences, send back with a note, undo and reject."""
    ids = [waiting(desk, f"blog/{number}") for number in range(3)]
    browser.get(f"http://127.0.0.1:{desk.port}/")
    browser.find_element(By.ID, "name").send_keys("ana", Keys.TAB, PASSWORD, Keys.ENTER)

    see(browser, "3 open")
    press(browser, "Take the next one")
    see(browser, "blog/0\n")
    for number in (1, 2):
        own = browser.find_element(By.CSS_SELECTOR, f"input[name=choice{number}][value=own]")
        own.send_keys(Keys.SPACE)
        words = browser.find_element(By.ID, f"own{number}")
        words.clear()
        words.send_keys(f"Own words {number}.")
    press(browser, "Accept")
    see(browser, "Settled: Accept by ana")
    assert record(desk, ids[0]).texts[-1].text == "Own words 1. Own words 2. It is <b>hot</b>."

    browser.find_element(By.LINK_TEXT, "To the list").send_keys(Keys.ENTER)
    see(browser, "2 open")
    press(browser, "Take the next one")
    see(browser, "blog/1\n")
    browser.find_element(By.ID, "note").send_keys("Please shorten it.")
    press(browser, "Send back")
    see(browser, "“Please shorten it.”")

    browser.find_element(By.LINK_TEXT, "To the list").send_keys(Keys.ENTER)
    see(browser, "1 open")
    press(browser, "Take the next one")
    see(browser, "blog/2\n")
    press(browser, "Accept")
    see(browser, "Settled: Accept")
    press(browser, "Undo")
    see(browser, "open again")
    press(browser, "Reject")
    see(browser, "Settled: Reject by ana")
    assert [record(desk, each).decision for each in ids] == ["accept", "send_back", "reject"]


def test_the_page_fits_a_phone(desk: Running, browser: webdriver.Chrome) -> None:
    """320 pixels wide there is nothing to scroll sideways, and the styles are the desk's."""
    found = waiting(desk, "a/" + "long" * 40)
    browser.get(f"http://127.0.0.1:{desk.port}/review/{found}")
    browser.find_element(By.ID, "name").send_keys("ana", Keys.TAB, PASSWORD, Keys.ENTER)
    browser.find_element(By.ID, "decide")
    metrics = {"width": 320, "height": 700, "deviceScaleFactor": 1, "mobile": True}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    page = browser.execute_cdp_cmd("Page.getLayoutMetrics", {})["cssContentSize"]
    assert page["width"] == 320
    bar = browser.find_element(By.ID, "decide")
    assert bar.value_of_css_property("position") == "sticky"
