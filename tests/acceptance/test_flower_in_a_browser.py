"""Flower as a person sees it: in a browser, behind its password.

With WRITE_PICTURES_TO=docs in the environment it writes the pictures of the documentation.
"""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from celery import Celery
from selenium import webdriver
from selenium.common.exceptions import NoSuchElementException, StaleElementReferenceException
from selenium.webdriver.common.by import By

from contentworker import config
from tests.acceptance.browsers import chromium
from tests.acceptance.pages import ask
from tests.support import (
    PATIENCE,
    Process,
    StartWorker,
    environment,
    free_port,
    wait_until,
)

pytestmark = pytest.mark.browser

QUEUES = list(config.load(environ={}).queues)
LOGIN = "anna:secret"


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[webdriver.Chrome]:
    """Chromium without a window."""
    with chromium(tmp_path) as opened:
        yield opened


@pytest.fixture
def flower(redis_url: str, tmp_path: Path) -> Iterator[str]:
    """The place of a Flower with a password, once it listens."""
    place = f"127.0.0.1:{free_port()}"
    command = [sys.executable, "-m", "celery", "-A", "celery_worker.celery_app", "flower"]
    env = environment(REDIS_URL=redis_url, FLOWER_BASIC_AUTH=LOGIN, STATE_DIRECTORY=str(tmp_path / "state"))
    process = Process([*command, f"--port={place.partition(':')[2]}"], tmp_path / "flower", env)
    process.wait_for_log("Visit me at")
    yield place
    process.stop()


def cells_of(browser: webdriver.Chrome, table: str) -> list[list[str]]:
    """The text of a table's cells, row by row; nothing while the page is putting it together."""
    try:
        rows = browser.find_element(By.ID, table).find_elements(By.CSS_SELECTOR, "tbody tr")
        return [
            [cell.get_property("textContent").strip() for cell in row.find_elements(By.TAG_NAME, "td")]
            for row in rows
        ]
    except (NoSuchElementException, StaleElementReferenceException):
        return []


def test_a_person_logs_in_and_sees_workers_and_a_task(
    browser: webdriver.Chrome, flower: str, worker: StartWorker, client: Celery
) -> None:
    """Nothing without the password; with it the workers of all queues, and a task that has run."""
    nodes = [f"{queue}@worker-1" for queue in QUEUES]
    for queue, node in zip(QUEUES, nodes, strict=True):
        worker(f"--queues={queue}", f"--hostname={node}", "-E", "--pool=solo", ready=False)
    browser.get(f"http://{flower}/")
    assert not browser.find_elements(By.ID, "workers-table")

    browser.get(f"http://{LOGIN}@{flower}/")

    def listed() -> bool:
        browser.get(f"http://{flower}/")
        return set(nodes) <= {row[0] for row in cells_of(browser, "workers-table")}

    wait_until(listed, "all workers on the page")
    ids = []
    for queue in QUEUES:
        sent = client.send_task("tasks.health_check", queue=queue)
        sent.get(timeout=PATIENCE)
        ids.append(sent.id)
    succeeded = f"http://{flower}/api/tasks?state=SUCCESS"
    wait_until(lambda: all(task_id in ask(succeeded, LOGIN)[1] for task_id in ids), "Flower to see the tasks")
    browser.get(f"http://{flower}/tasks")

    def shown() -> bool:
        rows = cells_of(browser, "tasks-table")
        # The id is there twice, the second time in short for narrow windows.
        return set(ids) <= {row[1][: len(sent.id)] for row in rows if "SUCCESS" in row}

    wait_until(shown, "the tasks on the page")
    take_picture(browser, "flower-tasks.png")
    browser.get(f"http://{flower}/")
    take_picture(browser, "flower.png")
    browser.get(f"http://{flower}/task/{ids[-1]}")
    text = wait_until(lambda: browser.find_element(By.TAG_NAME, "body").text, "the page of the task")
    assert "tasks.health_check" in text
    assert "(not shown)" in text
    assert str(sent.result["time"]) not in text


def take_picture(browser: webdriver.Chrome, name: str) -> None:
    """What the window shows, for the documentation."""
    if folder := os.environ.get("WRITE_PICTURES_TO"):
        assert browser.save_screenshot(str(Path(folder, name)))
