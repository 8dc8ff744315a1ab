"""Which queue a task goes to."""

import pytest

from contentworker import config
from contentworker.errors import ConfigError
from contentworker.runtime.settings import QueueSettings, RuntimeSettings
from contentworker.runtime.worker.routing import kombu_queues, queue_of, router


def settings(default: str, **queues: tuple[str, ...]) -> RuntimeSettings:
    tables = {name: QueueSettings(description="for a test", tasks=tasks) for name, tasks in queues.items()}
    return RuntimeSettings(queues=tables, default_queue=default)


PATTERNS = settings("rest", one=("a.*", "b.exact"), two=("c.?", "d.[xy]", "*.night"), rest=())
RANKS = settings(
    "rest",
    all=("*", "tasks.z.same*", "other.*"),
    some=("tasks.*", "tasks.z.*same"),
    area=("tasks.evaluation.*",),
    task=("tasks.evaluation.score_aeo",),
    nearly=("tasks.evaluation.score_ae?", "tasks.evaluation.score_ae[no]"),
    rest=("*.left",),
)
OWN = config.load(environ={})


@pytest.mark.parametrize(
    ("task", "expected"),
    [
        ("a.task", "one"),
        ("a.deep.task", "one"),
        ("a.", "one"),
        ("a", "rest"),
        ("b.exact", "one"),
        ("b.exactly", "rest"),
        ("B.exact", "rest"),
        ("xb.exact", "rest"),
        ("c.1", "two"),
        ("c.12", "rest"),
        ("d.x", "two"),
        ("d.z", "rest"),
        ("every.night", "two"),
        ("", "rest"),
    ],
)
def test_pattern_matches_the_whole_name(task: str, expected: str) -> None:
    """`*`, `?` and `[…]` work as in file names, and case counts."""
    assert queue_of(task, PATTERNS) == expected


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


@pytest.mark.parametrize(
    ("task", "expected"),
    [
        ("tasks.evaluation.score_aeo", "task"),
        ("tasks.evaluation.score_aen", "nearly"),
        ("tasks.evaluation.other", "area"),
        ("tasks.other", "some"),
        ("nothing", "all"),
        ("some.left", "rest"),
    ],
)
def test_the_most_specific_pattern_wins(task: str, expected: str) -> None:
    """A whole name, then the pattern with more characters; the order in the file does not matter."""
    assert queue_of(task, RANKS) == expected


def test_equally_specific_patterns_of_two_queues_are_refused() -> None:
    """Both are named. Of one queue they are no problem."""
    with pytest.raises(ConfigError) as caught:
        queue_of("tasks.z.same", RANKS)
    assert str(caught.value) == (
        "task 'tasks.z.same' matches equally specific patterns: "
        "tasks.z.same* (queue all) and tasks.z.*same (queue some)"
    )
    assert queue_of("a.x", settings("one", one=("a.*", "*.x"))) == "one"


def test_a_new_task_needs_no_pattern() -> None:
    """The default queue takes what nothing else does, Celery's own tasks among it."""
    for name in ("tasks.new.thing", "celery.backend_cleanup", "another.application"):
        assert queue_of(name, OWN) == "celery"


def test_router_names_the_queue() -> None:
    """Clients and workers route alike."""
    route = router(PATTERNS)
    assert route("a.x", (), {}, {}) == {"queue": "one"}
    assert route("other.x", (), {}, {}) == {"queue": "rest"}


def test_queues_are_declared_as_celery_would() -> None:
    """Exchange, key and list have the queue's name, so that any client's message arrives."""
    (first, *_) = kombu_queues(PATTERNS.queues)
    assert (first.name, first.routing_key, first.exchange.type) == ("one", "one", "direct")
