"""Flower as a person sees it: in a browser, behind its password.

With WRITE_PICTURES_TO=docs in the environment it writes the pictures of the documentation.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from celery import Celery
from playwright.sync_api import Browser, Error, HttpCredentials, Page

from contentworker import config
from tests.acceptance.browsers import WINDOW, take_picture
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
def flower(redis_url: str, tmp_path: Path) -> Iterator[str]:
    """The place of a Flower with a password, once it listens."""
    place = f"127.0.0.1:{free_port()}"
    command = [sys.executable, "-m", "celery", "-A", "celery_worker.celery_app", "flower"]
    env = environment(REDIS_URL=redis_url, FLOWER_BASIC_AUTH=LOGIN, STATE_DIRECTORY=str(tmp_path / "state"))
    process = Process([*command, f"--port={place.partition(':')[2]}"], tmp_path / "flower", env)
    process.wait_for_log("Visit me at")
    yield place
    process.stop()


@pytest.fixture
def page(browser: Browser, flower: str) -> Iterator[Page]:
    """A window of a person who knows the password."""
    user, _, password = LOGIN.partition(":")
    credentials: HttpCredentials = {"username": user, "password": password}
    with browser.new_context(
        base_url=f"http://{flower}", viewport=WINDOW, http_credentials=credentials
    ) as context:
        context.set_default_timeout(1000 * PATIENCE)
        yield context.new_page()


def cells_of(page: Page, table: str) -> list[list[str]]:
    """The text of a table's cells, row by row."""
    script = "rows => rows.map(row => [...row.cells].map(cell => cell.textContent.trim()))"
    return page.locator(f"#{table} tbody tr").evaluate_all(script)


def test_a_person_logs_in_and_sees_workers_and_a_task(
    browser: Browser, page: Page, flower: str, worker: StartWorker, client: Celery
) -> None:
    """Nothing without the password; with it the workers of all queues, and a task that has run."""
    with browser.new_context() as context, pytest.raises(Error, match="INVALID_AUTH_CREDENTIALS"):
        context.new_page().goto(f"http://{flower}/")

    nodes = [f"{queue}@worker-1" for queue in QUEUES]
    for queue, node in zip(QUEUES, nodes, strict=True):
        worker(f"--queues={queue}", f"--hostname={node}", "-E", "--pool=solo", ready=False)

    def listed() -> bool:
        page.goto("/")
        return set(nodes) <= {row[0] for row in cells_of(page, "workers-table")}

    wait_until(listed, "all workers on the page")
    ids = []
    for queue in QUEUES:
        sent = client.send_task("tasks.health_check", queue=queue)
        sent.get(timeout=PATIENCE)
        ids.append(sent.id)
    succeeded = f"http://{flower}/api/tasks?state=SUCCESS"
    wait_until(lambda: all(task_id in ask(succeeded, LOGIN)[1] for task_id in ids), "Flower to see the tasks")
    page.goto("/tasks")

    def shown() -> bool:
        rows = cells_of(page, "tasks-table")
        # The id is there twice, the second time in short for narrow windows.
        return set(ids) <= {row[1][: len(sent.id)] for row in rows if "SUCCESS" in row}

    wait_until(shown, "the tasks on the page")
    take_picture(page, "flower-tasks.png")
    page.goto("/")
    wait_until(lambda: set(nodes) <= {row[0] for row in cells_of(page, "workers-table")}, "the workers again")
    take_picture(page, "flower.png")
    page.goto(f"/task/{ids[-1]}")
    text = page.locator("body").inner_text()
    assert "tasks.health_check" in text
    assert "(not shown)" in text
    assert str(sent.result["time"]) not in text
