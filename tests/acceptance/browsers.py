"""A browser for tests that look at pages as a person does."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from selenium import webdriver
from selenium.webdriver.chrome.service import Service

from tests.support import service_is_missing


@contextmanager
def chromium(folder: Path, *, runs_scripts: bool = True) -> Iterator[webdriver.Chrome]:
    """Chromium without a window."""
    # Debian's names, and those of others; nothing is downloaded where there is none.
    program = shutil.which("chromium") or shutil.which("google-chrome")
    driver = shutil.which("chromedriver")
    if not program or not driver:
        service_is_missing("chromium and chromedriver (Debian: chromium, chromium-driver)")
    options = webdriver.ChromeOptions()
    options.binary_location = program
    for option in ("headless=new", "window-size=1280,800", f"user-data-dir={folder / 'profile'}"):
        options.add_argument(f"--{option}")
    # Shared memory is small in containers; its sandbox does not start as root.
    options.add_argument("--disable-dev-shm-usage")
    if os.geteuid() == 0:
        options.add_argument("--no-sandbox")
    if not runs_scripts:
        options.add_experimental_option("prefs", {"profile.managed_default_content_settings.javascript": 2})
    opened = webdriver.Chrome(options=options, service=Service(driver))
    try:
        yield opened
    finally:
        opened.quit()
