"""Money: one cap, one rate and one breaker for all workers; a paused queue."""

from contextlib import suppress

import pytest
import redis
from celery import Celery

from contentworker.errors import PermanentError
from contentworker.runtime.records.spending import KEPT_DAYS, PREFIX, NotAdmittedError, Spending
from contentworker.runtime.settings import SpendingSettings
from tests.support import PATIENCE, StartWorker, run_cli

pytestmark = pytest.mark.usefixtures("clean")


def spending(client: redis.Redis, **settings: float) -> Spending:
    return Spending(client, SpendingSettings.model_validate(settings))


def refusal(limited: Spending, estimated_cost: float = 0) -> NotAdmittedError:
    """Why a call is refused now."""
    with pytest.raises(NotAdmittedError) as refused, limited.call(estimated_cost):
        pass
    return refused.value


def test_over_the_cap_nothing_is_admitted(redis_client: redis.Redis) -> None:
    """What was spent, what is under way and the new estimate may reach the day's cap, but not exceed it."""
    limited = spending(redis_client, cap_per_day=1)
    before, _ = redis_client.time()
    with limited.call(0.6):
        assert refusal(limited, 0.400001).reason == "cap"
        with limited.call(0.4):
            refused = refusal(limited, 0.000001)
    after, _ = redis_client.time()
    assert refused.reason == "cap"
    assert any(
        refused.retry_after_seconds == pytest.approx(86_400 - seconds % 86_400, abs=1)
        for seconds in range(before, after + 1)
    )
    assert str(refused).startswith("no paid call now (cap: the budget of the day is spent); retry in ")
    assert limited.today() == 1


def test_a_day_begins_with_nothing_spent(redis_client: redis.Redis) -> None:
    """Yesterday's sum counts no more, and is forgotten after some days."""
    limited = spending(redis_client, cap_per_day=1)
    with limited.call(1):
        pass
    (today,) = redis_client.keys(f"{PREFIX}:day:*")
    day = int(today.decode().rpartition(":")[2])
    assert KEPT_DAYS * 86_400 - 60 < redis_client.ttl(today) <= 8 * 86_400
    redis_client.rename(today, f"{PREFIX}:day:{day - 1}")
    assert limited.today() == 0
    with limited.call(1):
        redis_client.persist(today)
    assert KEPT_DAYS * 86_400 - 60 < redis_client.ttl(today) <= 8 * 86_400, "the end of a call"


def test_the_cost_takes_the_place_of_the_estimate(redis_client: redis.Redis) -> None:
    """Rounded up to a millionth; where the cost is not known the estimate stays."""
    open_ended = spending(redis_client)
    with open_ended.call(0.5) as call:
        call.cost = 0.0000011
    assert open_ended.today() == 0.000002
    with pytest.raises(ConnectionError), open_ended.call(0.5):
        raise ConnectionError
    assert open_ended.today() == 0.500002


def test_a_process_that_dies_in_a_call_has_spent_its_estimate(redis_client: redis.Redis) -> None:
    """The admission itself counts: nothing has to be taken back or found out."""
    context = spending(redis_client, cap_per_day=1).call(0.75)
    context.__enter__()  # and never left
    assert spending(redis_client).today() == 0.75
    (today,) = redis_client.keys(f"{PREFIX}:day:*")
    assert KEPT_DAYS * 86_400 - 60 < redis_client.ttl(today) <= 8 * 86_400, "and is forgotten all the same"


def test_the_rate_holds_for_all_workers(redis_client: redis.Redis) -> None:
    """The third call of a minute is refused to every worker until the first is a minute old."""
    for _ in range(2):
        with spending(redis_client, requests_per_minute=2).call(0):
            pass
    limited, rate = spending(redis_client, requests_per_minute=2), f"{PREFIX}:calls"
    refused = refusal(limited)
    assert refused.reason == "rate"
    assert 30 < refused.retry_after_seconds <= 60
    assert 30 < redis_client.ttl(rate) <= 61
    seconds, _ = redis_client.time()
    redis_client.lset(rate, -1, str(seconds - 50))
    found = refusal(limited).retry_after_seconds
    assert 10 - (redis_client.time()[0] + 1 - seconds) <= found <= 11
    redis_client.lset(rate, -1, str(seconds - 61))
    with limited.call(0):
        assert refusal(limited).reason == "rate"
    assert redis_client.llen(rate) == 2


def test_the_breaker_opens_and_one_probe_closes_it(redis_client: redis.Redis) -> None:
    """After two failures nothing is admitted; later one call is, and its success lets the others through."""
    fragile, key = spending(redis_client, breaker_failures=2, breaker_open_seconds=60), f"{PREFIX}:breaker"

    def fail() -> None:
        with suppress(ConnectionError), fragile.call(0):
            raise ConnectionError

    fail()
    with fragile.call(0):  # one failure does not open it, and a success is a new beginning
        pass
    fail()
    fail()
    refused = refusal(fragile)
    assert refused.reason == "breaker"
    assert 30 < refused.retry_after_seconds <= 60
    assert "too many calls have failed" in str(refused)
    assert redis_client.ttl(key) > 86_400
    redis_client.hset(key, "open_until", redis_client.time()[0] - 1)
    with fragile.call(0):
        assert refusal(fragile).reason == "breaker", "others wait for the probe"
    for _ in range(3):
        with fragile.call(0):
            pass


def test_a_probe_that_fails_opens_the_breaker_again(redis_client: redis.Redis) -> None:
    """For as long as before."""
    fragile = spending(redis_client, breaker_failures=1, breaker_open_seconds=60)
    with suppress(ConnectionError), fragile.call(0):
        raise ConnectionError
    redis_client.hset(f"{PREFIX}:breaker", "open_until", redis_client.time()[0] - 1)
    with suppress(ConnectionError), fragile.call(0):
        raise ConnectionError
    assert 30 < refusal(fragile).retry_after_seconds <= 60


def test_without_limits_all_is_admitted(redis_client: redis.Redis) -> None:
    """0 means no cap, no rate, and a breaker that never opens."""
    free = spending(redis_client, breaker_failures=0)
    for _ in range(7):
        with suppress(ConnectionError), free.call(1_000):
            raise ConnectionError
    assert free.today() == 7_000
    assert [key.decode() for key in redis_client.keys(f"{PREFIX}:*") if b":day:" not in key] == []


def test_a_refusal_of_the_request_is_no_failure_of_the_service(redis_client: redis.Redis) -> None:
    """A `PermanentError` is an answer: the breaker stays closed."""
    fragile = spending(redis_client, breaker_failures=1)
    with pytest.raises(PermanentError), fragile.call(0):
        raise PermanentError
    with fragile.call(0):
        pass


def test_what_is_spent_is_printed(redis_client: redis.Redis, redis_url: str) -> None:
    """`spending` prints the day's sum and the cap."""
    with spending(redis_client).call(1.25):
        pass
    printed = run_cli("spending", redis_url=redis_url, WORKER__SPENDING__CAP_PER_DAY="2")
    assert printed.stdout.split() == ["1.250000", "of", "2.000000"]


def test_a_paused_queue_is_left_alone_until_it_is_resumed(
    redis_url: str, redis_client: redis.Redis, client: Celery, worker: StartWorker
) -> None:
    """A worker runs its other queue; `health` shows the pause; nothing is lost, and `resume` runs it."""
    assert run_cli("pause", "celery", redis_url=redis_url).stdout == "celery: paused\n"
    waiting = client.send_task("tasks.health_check")
    worker("--queues=celery,rewrite")
    assert client.send_task("tasks.health_check", queue="rewrite").get(timeout=PATIENCE)["status"] == "ok"
    shown = run_cli("health", "--queue=celery", "--timeout=1", redis_url=redis_url)
    assert "paused" in shown.stdout
    assert shown.returncode == 1
    assert redis_client.llen("celery") == 1
    run_cli("resume", "celery", redis_url=redis_url)
    assert waiting.get(timeout=PATIENCE)["status"] == "ok"


def test_a_queue_that_is_not_there_cannot_be_paused(redis_url: str) -> None:
    """The error names the queues that are."""
    refused = run_cli("pause", "nosuch", redis_url=redis_url)
    assert refused.returncode == 2
    assert "evaluation" in refused.stderr
