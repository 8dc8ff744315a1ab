"""Which queue a task goes to."""

import pytest

from contentworker import config
from contentworker.errors import ConfigError
from contentworker.runtime.routing import (
    Router,
    check_every_task_has_one_queue,
    kombu_queues,
    queue_of,
)
from contentworker.runtime.settings import QueueSettings


def queue(*patterns: str) -> QueueSettings:
    return QueueSettings(description="for a test", tasks=patterns)


QUEUES = {"one": queue("a.*", "b.exact"), "two": queue("c.?", "d.[xy]", "*.night"), "empty": queue()}
OWN = config.load(environ={}).queues


@pytest.mark.parametrize(
    ("task", "expected"),
    [
        ("a.task", "one"),
        ("a.deep.task", "one"),
        ("a.", "one"),
        ("a", None),
        ("b.exact", "one"),
        ("b.exactly", None),
        ("B.exact", None),
        ("xb.exact", None),
        ("c.1", "two"),
        ("c.12", None),
        ("d.x", "two"),
        ("d.z", None),
        ("every.night", "two"),
        ("", None),
    ],
)
def test_pattern_matches_the_whole_name(task: str, expected: str | None) -> None:
    """`*`, `?` and `[…]` work as in file names, and case counts."""
    assert queue_of(task, QUEUES) == expected


@pytest.mark.parametrize(
    ("task", "expected"),
    [
        ("tasks.evaluation.score_aeo", "evaluation"),
        ("tasks.rewrite.rewrite_article", "rewrite"),
        ("tasks.escalation.notify", "escalation"),
        ("tasks.health_check", "celery"),
        ("tasks.pipeline.run", "celery"),
    ],
)
def test_documented_queues(task: str, expected: str) -> None:
    """Each task of the reference document has its queue."""
    assert queue_of(task, OWN) == expected


def test_two_queues_for_one_task_are_refused() -> None:
    """Patterns may overlap as long as no task matches two; then both queues are named."""
    with pytest.raises(ConfigError) as caught:
        queue_of("a.night", QUEUES)
    assert str(caught.value) == (
        "worker.toml: queues.two.tasks: task 'a.night' also matches a pattern of queue 'one'; "
        "a task belongs to exactly one queue"
    )


def test_task_without_a_queue_is_refused() -> None:
    """The error names the task and the patterns there are."""
    with pytest.raises(ConfigError) as caught:
        check_every_task_has_one_queue(["a.x", "other.x"], QUEUES)
    assert str(caught.value) == (
        "worker.toml: queues: no pattern matches the task 'other.x'; add it to the `tasks` of a queue "
        "(patterns now: a.*, b.exact, c.?, d.[xy], *.night)"
    )


def test_celerys_own_tasks_need_no_pattern() -> None:
    """celery.backend_cleanup and its like go to the default queue."""
    check_every_task_has_one_queue(["celery.backend_cleanup", "celery.chord", "a.x"], QUEUES)


def test_router_names_the_queue_or_leaves_it() -> None:
    """A task that no pattern matches is left to the default queue."""
    router = Router(QUEUES)
    assert router("a.x", (), {}, {}) == {"queue": "one"}
    assert router("other.x", (), {}, {}) is None


def test_queues_are_declared_as_celery_would() -> None:
    """Exchange, key and list have the queue's name, so that any client's message arrives."""
    (first, *_) = kombu_queues(QUEUES)
    assert (first.name, first.routing_key, first.exchange.type) == ("one", "one", "direct")
