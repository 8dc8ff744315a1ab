"""Money: one cap, one rate and one breaker for all workers; a paused queue."""

import pytest
import redis
from celery import Celery

from contentworker.errors import PermanentError
from contentworker.runtime.settings import SpendingSettings
from contentworker.runtime.spending import NotAdmittedError, Spending
from tests.support import StartWorker, run_cli, wait_until


@pytest.fixture(autouse=True)
def clean(redis_client: redis.Redis) -> None:
    redis_client.flushdb()


def spending(client: redis.Redis, **settings: float) -> Spending:
    return Spending(client, SpendingSettings.model_validate(settings))


def test_over_the_cap_nothing_is_admitted(redis_client: redis.Redis) -> None:
    """What was spent, what is under way and the new estimate together stay below the day's cap."""
    limited = spending(redis_client, cap_per_day=1)
    with limited.call(0.6), pytest.raises(NotAdmittedError) as refused, limited.call(0.6):
        pass
    assert refused.value.reason == "cap"
    assert 0 < refused.value.retry_after_seconds <= 86_400
    assert limited.today() == 0.6


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


def test_the_rate_holds_for_all_workers(redis_client: redis.Redis) -> None:
    """The third call of a minute is refused, whoever makes it, until the first is a minute old."""
    for _ in range(2):
        with spending(redis_client, requests_per_minute=2).call(0):
            pass
    with (
        pytest.raises(NotAdmittedError) as refused,
        spending(redis_client, requests_per_minute=2).call(0),
    ):
        pass
    assert refused.value.reason == "rate"
    assert 0 < refused.value.retry_after_seconds <= 60


def test_the_breaker_opens_and_one_probe_closes_it(redis_client: redis.Redis) -> None:
    """After two failures nothing is admitted; later one call is, and its success lets the others through."""
    fragile = spending(redis_client, breaker_failures=2, breaker_open_seconds=0.5)
    for _ in range(2):
        with pytest.raises(ConnectionError), fragile.call(0):
            raise ConnectionError
    with pytest.raises(NotAdmittedError, match="breaker"), fragile.call(0):
        pass

    def probe() -> bool:
        try:
            with fragile.call(0):
                with pytest.raises(NotAdmittedError), fragile.call(0):
                    pass
                return True
        except NotAdmittedError:
            return False

    wait_until(probe, "a probe to be let through")
    for _ in range(3):
        with fragile.call(0):
            pass


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
    """Also by a worker that starts later; `health` shows it; nothing is lost, and `resume` runs it."""
    assert run_cli("pause", "celery", redis_url=redis_url).stdout == "celery: paused\n"
    running = worker("--queues=celery,rewrite")
    waiting = client.send_task("tasks.health_check")
    assert client.send_task("tasks.health_check", queue="rewrite").get(timeout=30)["status"] == "ok"
    running.stop()
    worker("--queues=celery")
    shown = run_cli("health", "--queue=celery", "--timeout=1", redis_url=redis_url)
    assert "paused" in shown.stdout
    assert shown.returncode == 1
    assert redis_client.llen("celery") == 1
    run_cli("resume", "celery", redis_url=redis_url)
    assert waiting.get(timeout=30)["status"] == "ok"


def test_a_queue_that_is_not_there_cannot_be_paused(redis_url: str) -> None:
    """The error names the queues that are."""
    refused = run_cli("pause", "nosuch", redis_url=redis_url)
    assert refused.returncode == 2
    assert "evaluation" in refused.stderr
