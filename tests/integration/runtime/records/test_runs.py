"""Runs: each step happens once, even if it is repeated, and Redis keeps a run for its lifetime."""

import uuid
from typing import Any

import pytest
import redis

from contentworker.errors import ContentError
from contentworker.runtime.records.runs import INDEX, LISTS, PREFIX, Run, Runs, step_id

LIFETIME_SECONDS = 1000
RUN = "0b0e7c5c-35a0-4ff0-9dcb-0f3c6a2d8f11"


@pytest.fixture
def runs(redis_client: redis.Redis) -> Runs:
    redis_client.flushdb()
    return Runs(redis_client, LIFETIME_SECONDS)


def found(runs: Runs) -> Run:
    run = runs.find(RUN)
    assert run is not None
    return run


def test_a_run_is_begun_once(runs: Runs, redis_client: redis.Redis) -> None:
    """A second one of the same id changes nothing; other runs of the subject stand beside it."""
    assert runs.create(RUN, "a-1", "score", {"content": "text"})
    assert not runs.create(RUN, "a-2", "rewrite", {"content": "other"})
    run = found(runs)
    assert (run.id, run.subject, run.step, run.came_from) == (RUN, "a-1", "score", "")
    assert run.data == {"content": "text"}
    assert list(run.times) == ["score"]
    assert run.times["score"] == pytest.approx(redis_client.time()[0], abs=60)
    other = str(uuid.uuid4())
    assert runs.create(other, "a-1", "score", {})
    assert runs.of("a-1") == sorted([RUN, other])
    assert runs.of("a-2") == []


def test_a_step_ends_once(runs: Runs) -> None:
    """A move from the current step works once; a move from any other step changes nothing."""
    runs.create(RUN, "a-1", "score", {})
    assert not runs.move(RUN, "rewrite", "passed", {"score": 1})
    assert runs.move(RUN, "score", "rewrite", {"score": 2})
    assert not runs.move(RUN, "score", "rewrite", {"score": 3})
    run = found(runs)
    assert (run.step, run.came_from, run.data, run.is_final) == ("rewrite", "score", {"score": 2}, False)
    assert runs.move(RUN, "rewrite", "passed")
    assert found(runs).progress() == ["score", "rewrite", "passed"]
    assert found(runs).is_final
    assert not runs.move("none", "score", "rewrite")


def test_a_value_is_kept_once(runs: Runs) -> None:
    """The first stays; a run that is gone does not come back by it."""
    runs.note(RUN, "score:1/points", 70)
    assert runs.find(RUN) is None
    runs.create(RUN, "a-1", "score", {})
    for number in (10, 2, 1):
        runs.note(RUN, f"score:{number}/points", number)
    runs.note(RUN, "score:2/points", 99)
    runs.note(RUN, "score:x/points", 99)
    assert list(found(runs).parts("score", "points").items()) == [(1, 1), (2, 2), (10, 10)]


def test_a_run_is_forgotten_after_its_last_step(runs: Runs, redis_client: redis.Redis) -> None:
    """Each step begins its time again, and that of the index by which `forget` finds it."""

    def left(*keys: str) -> list[bool]:
        return [LIFETIME_SECONDS - 100 < redis_client.ttl(key) <= LIFETIME_SECONDS for key in keys]

    runs.create(RUN, "a-1", "score", {})
    assert left(PREFIX + RUN, INDEX + "a-1") == [True, True]
    redis_client.expire(PREFIX + RUN, 10)
    redis_client.expire(INDEX + "a-1", 10)
    runs.move(RUN, "score", "rewrite")
    assert left(PREFIX + RUN, INDEX + "a-1") == [True, True]
    redis_client.delete(INDEX + "a-1")  # as an earlier version left it: expired before the run
    runs.move(RUN, "rewrite", "passed")
    assert (runs.of("a-1"), left(INDEX + "a-1")) == ([RUN], [True])
    runs.delete(RUN, "a-1")
    assert redis_client.keys("contentworker:run*") == []


def test_lists_by_step(runs: Runs, redis_client: redis.Redis) -> None:
    """A run is in the lists of its step and its state alone, the latest step first, page by page."""
    ids = [str(uuid.UUID(int=number)) for number in range(5)]
    for number, run_id in enumerate(ids):
        runs.create(run_id, f"a-{number}", "score", {"content": "text"})
    runs.move(ids[1], "score", "rewrite")
    runs.move(ids[0], "score", "rewrite")
    runs.move(ids[0], "rewrite", "passed")

    def listed(**wanted: Any) -> list[str]:
        pages, after = [], None
        while True:
            page = runs.page(**wanted, after=after, limit=2)
            pages += [line.id for line in page.lines]
            if (after := page.after) is None:
                assert pages == [line.id for line in runs.every(**wanted)]
                return pages

    assert listed() == [ids[0], ids[1], ids[4], ids[3], ids[2]]
    assert listed(state="open") == [ids[1], ids[4], ids[3], ids[2]]
    assert listed(state="ended") == listed(step="passed") == [ids[0]]
    assert listed(step="score") == [ids[4], ids[3], ids[2]]
    assert listed(step="rewrite") == [ids[1]]
    assert listed(step="rewrite", state="ended") == listed(step="none") == []
    # The lists themselves: `page` would hide what stays in a wrong one.
    assert redis_client.zscore(f"{LISTS}open", ids[0]) is None
    assert redis_client.zscore(f"{LISTS}step:rewrite", ids[0]) is None
    run, (line,) = runs.find(ids[0]), runs.lines([ids[0]])
    assert run is not None
    assert (line.began, line.reached) == (run.times["score"], run.times["passed"])
    assert line.began < line.reached
    redis_client.delete(PREFIX + ids[4])  # as if it had expired
    runs.delete(ids[3], "a-3")
    assert listed(step="score") == [ids[2]]


def test_no_list_keeps_what_has_expired(redis_client: redis.Redis) -> None:
    """Whatever joins a list takes out of it what is older than the lifetime; an unused one expires."""
    redis_client.flushdb()
    runs = Runs(redis_client, LIFETIME_SECONDS)
    now = redis_client.time()[0]
    for name, age in (("old", LIFETIME_SECONDS + 1), ("young", LIFETIME_SECONDS - 60)):
        redis_client.zadd(f"{LISTS}all", {name: now - age})
    runs.create(RUN, "a-1", "score", {})
    assert redis_client.zrange(f"{LISTS}all", 0, -1) == [b"young", RUN.encode()]
    for name in ("all", "open", "step:score"):
        assert 0 < redis_client.ttl(LISTS + name) <= LIFETIME_SECONDS


@pytest.mark.parametrize("after", ["", "x", "1e9", "nan", "-1", "1.5\n", "٣", "9" * 40])
def test_a_cursor_that_is_none(runs: Runs, after: str) -> None:
    """It is refused before Redis is asked."""
    with pytest.raises(ContentError, match=r"^after: must be the cursor of an earlier page"):
        runs.page(after=after)


def test_a_page_has_a_size(runs: Runs) -> None:
    """From 1 to 200 runs: both bounds are allowed, and nothing outside."""
    for limit in (1, 200):
        assert runs.page(limit=limit).lines == []
    for limit in (0, 201):
        with pytest.raises(ContentError, match=f"^limit: 1 to 200, not {limit}$"):
            runs.page(limit=limit)


def test_the_task_of_a_step_has_one_id() -> None:
    """Each step of each run has its own id, and always this one."""
    ids: list[Any] = [step_id(RUN, "score"), step_id(RUN, "rewrite"), step_id(str(uuid.uuid4()), "score")]
    assert len(set(ids)) == 3
    assert step_id(RUN, "score") == ids[0]
    assert uuid.UUID(ids[0]).version == 5


def test_a_client_that_decodes(runs: Runs, redis_url: str) -> None:
    """Reads the same."""
    runs.create(RUN, "a-1", "score", {"ä": "ö"})
    with redis.Redis.from_url(redis_url, decode_responses=True) as decoding:
        same = Runs(decoding, LIFETIME_SECONDS)
        assert same.find(RUN) == runs.find(RUN)
        assert same.of("a-1") == [RUN]
