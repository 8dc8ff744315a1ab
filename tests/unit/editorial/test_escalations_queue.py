"""The queue whose worker keeps the records of escalations, which the installer asks about."""

from contentworker import config
from contentworker.installer import checks


def test_it_is_the_one_that_gets_the_task() -> None:
    """By its pattern; if none matches, the default queue."""
    assert checks.escalations_queue(config.load(environ={})) == "escalation"
    without = config.load(environ={"WORKER__QUEUES__ESCALATION__TASKS": "[]"})
    assert checks.escalations_queue(without) == "celery"
