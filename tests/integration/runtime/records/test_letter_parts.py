"""Parts of dead letters, as Redis reads them out of letters that may hold anything."""

import json
from datetime import UTC, datetime

import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contentworker.runtime.records import dead_letters, letter_parts
from contentworker.runtime.records.dead_letters import REASONS, STREAM, DeadLetter, EarlierLetter
from contentworker.runtime.records.letter_parts import Letters
from contentworker.runtime.settings import DeadLetterSettings

pytestmark = pytest.mark.usefixtures("clean")
LIMITS = DeadLetterSettings()
foreign = st.text(max_size=20) | st.sampled_from(
    ['"', "\\", '","message":"', '\\","task":"x', '"critical":true,', "é" * 300]
)
NOW = datetime(2026, 12, 1, tzinfo=UTC)


@settings(deadline=None, max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(REASONS), st.lists(foreign, min_size=7, max_size=7), st.booleans(), st.booleans())
def test_they_are_the_letter_s(
    redis_client: redis.Redis, reason: dead_letters.Reason, texts: list[str], critical: bool, replayed: bool
) -> None:
    """Whatever is in its texts, its message and its history."""
    error, exception, queue, task, task_id, worker, message = texts
    history = (EarlierLetter(id="17-3", arrived=NOW, reason=task, error=error),) if replayed else ()
    kept = DeadLetter(
        reason=reason, error=error, exception=exception, traceback=error, queue=queue, task=task,
        task_id=task_id, worker=worker, message=message, critical=critical, history=history,
    )  # fmt: skip
    redis_client.delete(STREAM)
    letter_id = dead_letters.add(redis_client, kept, LIMITS)
    (found,) = letter_parts.read(redis_client)
    assert found == letter_parts.find(redis_client, letter_id)
    assert (found.id, found.is_known, found.reason) == (letter_id, True, reason)
    assert kept.error.startswith(found.error)
    assert (found.exception, found.queue, found.task, found.task_id) == (
        *(kept.exception, kept.queue, kept.task, kept.task_id),
    )
    assert (found.is_critical, found.earlier_id) == (critical, "17-3" if replayed else "")


@pytest.mark.parametrize("content", ['{"version":9}', "{", '{"version":2,"reason":"new"}', "", "[]"])
def test_what_is_no_letter_of_ours(redis_client: redis.Redis, content: str) -> None:
    """It is listed, and not known; a version 1 that somebody wrote with blanks is."""
    redis_client.xadd(STREAM, {"letter": content})
    redis_client.xadd(STREAM, {"other": content})
    old = {"version": 1, "reason": "failed", "error": "e", "queue": "q", "task": "t", "message": "m"}
    redis_client.xadd(STREAM, {"letter": json.dumps(old)})
    assert [(each.is_known, each.task) for each in letter_parts.read(redis_client)] == [
        *((False, ""), (False, ""), (True, "t")),
    ]


def test_what_is_kept_in_memory_is_what_is_there(redis_client: redis.Redis) -> None:
    """After letters came, went at either end or in between, and after all went."""
    kept, letter = Letters(), DeadLetter(reason="failed", error="e", queue="q", worker="w", message="m")

    def add(number: int) -> list[str]:
        return [dead_letters.add(redis_client, letter, LIMITS) for _ in range(number)]

    def check() -> None:
        assert kept.read(redis_client) == [*letter_parts.read(redis_client)]

    check()
    ids = add(250)
    check()
    dead_letters.discard(redis_client, ids[100])
    check()
    dead_letters.discard(redis_client, ids[0])
    add(1)
    check()
    kept.forget(ids[200])
    dead_letters.discard(redis_client, ids[200])
    check()
    redis_client.delete(STREAM)
    check()
    add(2)
    check()
