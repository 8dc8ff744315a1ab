"""`tasks.evaluation.score_aeo` through a real queue and a real worker."""

import json
from pathlib import Path
from typing import Any

import pytest
from celery import Celery

from contentworker.errors import ContentError
from tests.support import PATIENCE, StartWorker, Worker, run_cli

pytestmark = pytest.mark.every_python


@pytest.fixture(scope="module", autouse=True)
def serving(module_worker: StartWorker) -> Worker:
    """One worker of the queues of `score_aeo` and `health_check`."""
    return module_worker("--queues=celery,evaluation")


def test_article_from_the_command_line(redis_url: str, tmp_path: Path) -> None:
    """NAME=TEXT, NAME:=JSON and NAME@FILE reach the task; --wait prints its result."""
    article = tmp_path / "an=article@home.md"
    article.write_text("# Why is the sky blue?\n\nBecause air scatters blue light.\n", encoding="utf-8")
    arguments = [
        f"content@{article}",
        'questions:=["Why = so@blue?"]',
        "media_type=markdown",
        f"--wait={PATIENCE}",
    ]
    done = run_cli("submit", "tasks.evaluation.score_aeo", *arguments, redis_url=redis_url)
    assert done.returncode == 0, done.stderr
    score = json.loads(done.stdout)
    assert 0 <= score["score"] <= 100
    assert score["questions"][0]["question"] == "Why = so@blue?"


def test_refused_content_on_the_command_line(redis_url: str) -> None:
    """A ContentError is one line with the field."""
    arguments = ["content:=3", f"--wait={PATIENCE}"]
    done = run_cli("submit", "tasks.evaluation.score_aeo", *arguments, redis_url=redis_url)
    assert done.returncode == 1
    assert done.stderr == "Error: content: input should be a valid string, not int\n"


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(3, id="number"),
        pytest.param(None, id="null"),
        pytest.param(["a"], id="list"),
        pytest.param("ab\0\1cd", id="binary"),
        pytest.param("a " * 1_000_001, id="over-2-mb"),
        pytest.param("<b>" * 1_000_000, id="a-million-nested-tags"),
    ],
)
def test_bad_content_is_one_content_error(client: Celery, serving: Worker, content: Any) -> None:
    """The article cannot be worked on: it fails at once, by the name of the field."""
    sent = client.send_task("tasks.evaluation.score_aeo", kwargs={"content": content})
    with pytest.raises(ContentError) as caught:
        sent.get(timeout=PATIENCE)
    assert caught.value.field == "content"
    assert sent.state == "FAILURE"
    assert serving.is_alive


@pytest.mark.parametrize(
    ("kwargs", "field"),
    [
        pytest.param({"media_type": "pdf"}, "media_type", id="media-type"),
        pytest.param({"scope": "page"}, "scope", id="scope"),
        pytest.param({"questions": "why?"}, "questions", id="questions-no-list"),
        pytest.param({"questions": [""]}, "questions.0", id="empty-question"),
        pytest.param({"today": "yesterday"}, "today", id="no-date"),
    ],
)
def test_bad_options_are_one_content_error(
    client: Celery, serving: Worker, kwargs: dict[str, Any], field: str
) -> None:
    """Every other argument is checked as well."""
    with pytest.raises(ContentError) as caught:
        client.send_task("tasks.evaluation.score_aeo", kwargs={"content": "A text.", **kwargs}).get(
            timeout=PATIENCE
        )
    assert caught.value.field == field


@pytest.mark.parametrize(
    ("kwargs", "warning"),
    [
        pytest.param({"content": ""}, "The article has no text.", id="empty"),
        pytest.param({"content": " \n\t"}, "The article has no text.", id="white-space"),
        pytest.param(
            {"content": "<p>Text.</p>" + "<div>" * 300_000, "media_type": "html"},
            "Only 1 words",
            id="tags-never-closed",
        ),
        pytest.param(
            {"content": "<b>" * 280_000 + "The sky is blue." + "</b>" * 280_000, "media_type": "html"},
            "Only 4 words",
            id="tags-deeply-nested",
        ),
        pytest.param(
            {
                "content": "The sky is blue because air scatters light. " * 20,
                "questions": ["Warum ist das so?"],
            },
            "is not in the article's language (en)",
            id="two-languages",
        ),
    ],
)
def test_odd_content_is_scored_with_a_warning(
    client: Celery, serving: Worker, kwargs: dict[str, Any], warning: str
) -> None:
    """Odd but legal content gives a low score that says why; the worker goes on."""
    found = client.send_task("tasks.evaluation.score_aeo", kwargs=kwargs).get(timeout=PATIENCE)
    assert 0 <= found["score"] <= 25
    assert any(warning in said for said in found["warnings"])
    assert client.send_task("tasks.health_check").get(timeout=PATIENCE)["status"] == "ok"
