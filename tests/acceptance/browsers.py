"""A browser for tests that look at pages as a person does: Playwright, with the Chromium of the system."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from tests.support import PATIENCE, service_is_missing

if TYPE_CHECKING:  # importing it takes a quarter of a second
    from playwright.sync_api import Browser, Page, ViewportSize

__all__ = ["WINDOW", "chromium", "take_picture"]

WINDOW: "ViewportSize" = {"width": 1280, "height": 657}
"""Of the pictures."""


@contextmanager
def chromium() -> Iterator["Browser"]:
    """Chromium without a window. Nothing is downloaded where there is none."""
    from playwright.sync_api import expect, sync_playwright

    # Debian's name, and that of others.
    program = shutil.which("chromium") or shutil.which("google-chrome")
    if not program:
        service_is_missing("chromium (Debian: chromium)")
    expect.set_options(timeout=1000 * PATIENCE)
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=program, timeout=1000 * PATIENCE)
        try:
            yield opened
        finally:
            opened.close()


def take_picture(page: "Page", name: str) -> None:
    """What the window shows, for the documentation, if WRITE_PICTURES_TO names a folder."""
    if folder := os.environ.get("WRITE_PICTURES_TO"):
        page.screenshot(path=Path(folder, name))
