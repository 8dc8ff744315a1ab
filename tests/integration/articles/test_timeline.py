"""The timeline of a run: its steps with their times, attempts and cost, without the article."""

import json

import pytest
import redis

from contentworker.articles.outcome import listed, open_runs, timeline
from contentworker.articles.steps import task_ids_of

RUN = "6c1c5a3e-6a3f-5a0e-9a53-7f0f8f1b6d12"


@pytest.fixture(autouse=True)
def clean(redis_client: redis.Redis) -> None:
    """No key before."""
    redis_client.flushdb()


def test_what_a_run_has_passed(redis_client: redis.Redis) -> None:
    """The most attempts of a step's tasks; where no result is kept any more, nothing is said."""
    runs = open_runs(redis_client)
    runs.create(RUN, "a", "evaluate:0", {"article": {"content": "Tea."}})
    runs.move(RUN, "evaluate:0", "rewrite:1")
    rewrite = {"prompt_tokens": 300, "completion_tokens": 40, "cost": 0.01}
    runs.move(RUN, "rewrite:1", "evaluate:1", {"rewrite:1/result": rewrite})
    for task_id, attempt in zip(task_ids_of(RUN, "evaluate:0"), (1, 3), strict=True):
        said = f'"attempt": 9, "task_id": "{task_id}"}}'  # in an article
        meta = {"status": "SUCCESS", "result": said, "attempt": attempt, "task_id": task_id}
        redis_client.set(f"celery-task-meta-{task_id}", json.dumps(meta))
    run = runs.find(RUN)
    assert run is not None
    steps = timeline(redis_client, run)
    assert [(each.step, each.attempts, each.cost, each.tokens) for each in steps] == [
        ("evaluate:0", 3, None, None),
        ("rewrite:1", None, 0.01, 340),
        ("evaluate:1", None, None, None),
    ]
    assert [each.seconds is None for each in steps] == [False, False, True]
    assert steps[0].reached + (steps[0].seconds or 0) == pytest.approx(steps[1].reached)


def test_runs_of_an_article(redis_client: redis.Redis) -> None:
    """By state and step; an article that is unknown has none."""
    runs = open_runs(redis_client)
    for number, article_id in enumerate(("a", "a", "b")):
        runs.create(f"r-{number}", article_id, "evaluate:0", {})
    runs.move("r-0", "evaluate:0", "passed")

    def found(**wanted: str) -> list[str]:
        return [line.id for line in listed(redis_client, **wanted).lines]  # type: ignore[arg-type]

    assert found(article_id="a") == ["r-0", "r-1"]
    assert found(article_id="a", state="open") == found(article_id="a", step="evaluate:0") == ["r-1"]
    assert found(state="ended") == ["r-0"]
    assert found(article_id="none") == []
