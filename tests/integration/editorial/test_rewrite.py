"""`tasks.rewrite.generate_rewrite` through a real queue, a real worker and a real endpoint."""

import os
import signal
from collections.abc import Iterator
from typing import Any

import pytest
from celery import Celery

from contentworker.editorial.rewriting import Rewrite
from contentworker.editorial.rewriting.model import ModelNotRunError, ModelRefusesError, ModelUncertainError
from contentworker.errors import ContentError
from contentworker.runtime.records.spending import OverBudgetError, Spending
from contentworker.runtime.settings import SpendingSettings
from tests.llm_server import KEY, LlmServer, llm_server
from tests.support import PATIENCE, StartWorker, wait_until, waiting_messages

pytestmark = pytest.mark.usefixtures("clean")
TASK = "tasks.rewrite.generate_rewrite"
ARTICLE = """\
# Why do bridges close?

The old bridge was closed in order to repair it in 2019. It is a very old bridge.
"""
WHOLE = {
    "criterion": "readability", "text": "Say it shorter.", "place": "whole article", "gain": 1.0,
    "evidence_grade": "weak",
}  # fmt: skip


@pytest.fixture
def model() -> Iterator[LlmServer]:
    """An endpoint."""
    with llm_server() as found:
        yield found


def serve(worker: StartWorker, model: LlmServer, name: str = "good", **more: str) -> Any:
    """A worker of the queue that asks the endpoint for this model."""
    settings = {
        "WORKER__LLM__BASE_URL": model.url,
        "WORKER__LLM__MODEL": name,
        "WORKER__LLM__CHECK": "false",
        "OPENAI_API_KEY": KEY,
        **more,
    }
    return worker("--queues=rewrite", "--concurrency=1", **settings)


def send(client: Celery, **more: Any) -> Any:
    """Send an article."""
    return client.send_task(TASK, kwargs={"content": ARTICLE, "recommendations": [WHOLE], **more})


def test_a_rewrite(worker: StartWorker, client: Celery, model: LlmServer) -> None:
    """Text, diff, model, tokens and cost; the article and the key are in no log."""
    serving = serve(worker, model, WORKER__LLM__OUTPUT_PRICE_PER_MILLION_TOKENS="5")
    found = Rewrite.model_validate(send(client).get(timeout=PATIENCE))
    assert "was closed to repair it in 2019. It is an old" not in found.text
    assert "was closed to repair it in 2019." in found.text
    assert (found.model, found.provider, found.completion_tokens, found.cost) == (
        "good",
        "127.0.0.1",
        40,
        0.0002,
    )
    assert found.seconds > 0
    assert len(model.requests) == 2
    scored = client.send_task(TASK, kwargs={"content": ARTICLE, "mode": "answer_first"}).get(timeout=PATIENCE)
    assert scored["mode"] == "answer_first"
    for secret in (KEY, "old bridge"):
        assert secret not in serving.log()


def test_busy_is_tried_again(worker: StartWorker, client: Celery, model: LlmServer) -> None:
    """429 certainly cost nothing: the task comes again when the endpoint says, and then succeeds."""
    serve(worker, model, "busy")
    model.busy = 2
    found = send(client)
    assert "was closed to repair" in found.get(timeout=PATIENCE)["text"]
    assert len(model.requests) == 4


@pytest.mark.parametrize(
    ("name", "error", "settings"),
    [
        ("busy", ModelNotRunError, {"WORKER__LLM__MAX_RETRIES": "1"}),
        ("hangs", ModelUncertainError, {"WORKER__LLM__TIMEOUT_SECONDS": "0.5"}),
        ("good", ModelRefusesError, {"OPENAI_API_KEY": "sk-wrong"}),
    ],
    ids=["busy-for-ever", "hangs", "wrong-key"],
)
def test_final_failures(
    worker: StartWorker,
    client: Celery,
    model: LlmServer,
    name: str,
    error: type[Exception],
    settings: dict[str, str],
) -> None:
    """Each is one clear error; only what did not run was asked for again."""
    serve(worker, model, name, **settings)
    model.busy = 1000
    with pytest.raises(error):
        send(client).get(timeout=PATIENCE)
    asked = 2 if name == "busy" else 1
    wait_until(lambda: len(model.requests) == asked, "the endpoint to read what it was asked")


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        ({"mode": "sing"}, "mode"),
        ({"content": 3}, "content"),
        ({"recommendations": [{"criterion": "x"}]}, "recommendations.0.text"),
    ],
)
def test_bad_arguments(
    worker: StartWorker, client: Celery, model: LlmServer, arguments: dict[str, Any], field: str
) -> None:
    """Refused by the field's name, before any model is asked."""
    serve(worker, model)
    with pytest.raises(ContentError) as caught:
        send(client, **arguments).get(timeout=PATIENCE)
    assert caught.value.field == field
    assert not model.requests


def test_a_killed_worker_is_a_failure_not_a_second_bill(
    worker: StartWorker, client: Celery, model: LlmServer
) -> None:
    """kill -9 while the model works: no other worker asks it again, and the task ends visibly."""
    first = serve(worker, model, "hangs")
    sent = send(client)
    wait_until(lambda: model.requests, "the model to be asked")
    os.killpg(first.pid, signal.SIGKILL)
    serve(worker, model)
    with pytest.raises(Exception, match="the worker that ran it died"):
        sent.get(timeout=PATIENCE)
    assert len(model.requests) == 1


CAP = {"WORKER__SPENDING__CAP_PER_DAY": "0.000001", "WORKER__LLM__OUTPUT_PRICE_PER_MILLION_TOKENS": "1000"}


def test_over_the_cap_it_waits(
    worker: StartWorker, client: Celery, redis_client: Any, model: LlmServer
) -> None:
    """The model is not asked; the article comes again, as if this had been no try, when there is money."""
    serve(worker, model, **CAP)
    sent = send(client)

    def postponed() -> bool:
        return [
            each["headers"]["id"] for each in waiting_messages(redis_client) if each["headers"]["eta"]
        ] == [sent.id]

    wait_until(postponed, "the article to wait for the next day")
    assert not model.requests


def test_over_the_cap_it_fails_where_it_is_not_to_wait(
    worker: StartWorker, client: Celery, model: LlmServer
) -> None:
    """`pipeline.over_cap`: a final failure, which the pipeline turns into an escalation."""
    serve(worker, model, WORKER__PIPELINE__OVER_CAP="escalate", **CAP)
    with pytest.raises(OverBudgetError, match="the budget of the day is spent"):
        send(client).get(timeout=PATIENCE)
    assert not model.requests


def test_what_is_spent_is_counted(
    worker: StartWorker, client: Celery, redis_client: Any, model: LlmServer
) -> None:
    """The real cost, not the estimate, is the day's sum."""
    serve(worker, model, WORKER__LLM__OUTPUT_PRICE_PER_MILLION_TOKENS="1000")
    spending = Spending(redis_client, SpendingSettings())
    before = spending.today()
    cost = send(client).get(timeout=PATIENCE)["cost"]
    assert cost == pytest.approx(0.04)
    assert spending.today() - before == pytest.approx(cost)


def test_a_rate_is_waited_for_and_counts_as_no_try(
    worker: StartWorker, client: Celery, redis_client: Any, model: LlmServer
) -> None:
    """The second article of the minute waits in Redis, and is rewritten once the minute's calls are over."""
    serve(worker, model, WORKER__SPENDING__REQUESTS_PER_MINUTE="2", WORKER__LLM__MAX_RETRIES="0")
    redis_client.delete("contentworker:spending:calls")
    assert send(client).get(timeout=PATIENCE)["changed"]
    second = send(client)
    wait_until(lambda: [m for m in waiting_messages(redis_client) if m["headers"]["eta"]], "it to wait")
    assert len(model.requests) == 2
    redis_client.delete("contentworker:spending:calls")
    assert second.get(timeout=PATIENCE)["changed"]
    assert len(model.requests) == 4


CHECKED = {"WORKER__LLM__CHECK": "true"}


def test_a_second_opinion(worker: StartWorker, client: Celery, model: LlmServer) -> None:
    """One more call for each accepted sentence, with a schema, paid as the others."""
    serve(worker, model, WORKER__LLM__OUTPUT_PRICE_PER_MILLION_TOKENS="5", **CHECKED)
    found = send(client).get(timeout=PATIENCE)
    assert "was closed to repair it" in found["text"]
    assert [("response_format" in request) for request in model.requests] == [False, True, False, True]
    assert found["cost"] == pytest.approx(80 * 5 / 1e6)
    model.opinion = '{"same_meaning": false, "differs": ["dropped"]}'
    assert not send(client).get(timeout=PATIENCE)["changed"]


@pytest.mark.parametrize(("name", "asked"), [("bad-checker", 2), ("no-schemas", 4)])
def test_a_check_that_fails_refuses(
    worker: StartWorker, client: Celery, model: LlmServer, name: str, asked: int
) -> None:
    """What could not be checked stays as it was; after a server error the rest is left."""
    serve(worker, model, name, **CHECKED)
    found = send(client).get(timeout=PATIENCE)
    assert not found["changed"]
    assert {rule["rule"] for change in found["changes"] for rule in change["refusals"]} == {"unchecked"}
    assert len(model.requests) == asked


def test_a_model_that_lies_about_its_own_answer(
    worker: StartWorker, client: Celery, model: LlmServer
) -> None:
    """It adds a sentence and finds it the same: the rules refuse it, and it is not asked."""
    serve(worker, model, "reckless", **CHECKED)
    assert not send(client).get(timeout=PATIENCE)["changed"]
    assert len(model.requests) == 2


def test_the_fallback_writes_what_the_guard_refused(
    worker: StartWorker, client: Celery, model: LlmServer
) -> None:
    """The second model is asked about it, at its own price."""
    serve(
        worker,
        model,
        "reckless",
        WORKER__LLM__FALLBACK="good",
        WORKER__LLM__FALLBACK_OUTPUT_PRICE_PER_MILLION_TOKENS="5",
    )
    found = send(client).get(timeout=PATIENCE)
    assert "was closed to repair it" in found["text"]
    assert [request["model"] for request in model.requests] == ["reckless", "good"] * 2
    assert {change["model"] for change in found["changes"]} == {"good"}
    assert found["cost"] == pytest.approx(40 * 5 / 1e6)


def test_the_fallback_answers_over_the_cap(worker: StartWorker, client: Celery, model: LlmServer) -> None:
    """What the first model costs no longer fits; the second one has no price, and fits."""
    serve(worker, model, WORKER__LLM__FALLBACK="cheap", **CAP)
    found = send(client).get(timeout=PATIENCE)
    assert "was closed to repair it" in found["text"]
    assert {request["model"] for request in model.requests} == {"cheap"}
    assert found["cost"] == 0
