"""What work on content costs and what became of it, as the exporter shows it."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
import redis
from celery import Celery

from contentworker.articles import metrics as content_metrics
from contentworker.runtime.metrics.definitions import Metric
from contentworker.runtime.metrics.recording import MILLION, PREFIX, SEPARATOR
from tests.integration.editorial.test_rewrite import ARTICLE, TASK, WHOLE
from tests.llm_server import KEY, LlmServer, llm_server
from tests.support import PATIENCE, ROOT, StartWorker, run_cli, wait_until

ESCALATE = "tasks.escalation.escalate_to_human"


@pytest.fixture
def model() -> Iterator[LlmServer]:
    """An endpoint."""
    with llm_server() as found:
        yield found


def kept(client: redis.Redis, metric: Metric) -> dict[tuple[str, ...], float]:
    """The numbers of a metric by the values of its labels."""
    found = client.hgetall(f"{PREFIX}:{metric.name}")
    return {tuple(field.decode().split(SEPARATOR)): int(value) / MILLION for field, value in found.items()}


def test_what_a_rewrite_costs(
    worker: StartWorker, client: Celery, redis_client: Any, redis_url: str, model: LlmServer
) -> None:
    """Calls, tokens, money and seconds; then what the day's cap refuses."""
    settings = {
        "WORKER__LLM__BASE_URL": model.url,
        "WORKER__LLM__MODEL": "good",
        "WORKER__LLM__OUTPUT_PRICE_PER_MILLION_TOKENS": "5",
        "OPENAI_API_KEY": KEY,
    }
    serving = worker("--queues=rewrite", "--concurrency=1", **settings)
    kwargs = {"content": ARTICLE, "recommendations": [WHOLE]}
    found = client.send_task(TASK, kwargs=kwargs).get(timeout=PATIENCE)
    serving.kill()
    serving.wait()
    assert kept(redis_client, content_metrics.CALLS) == {("ok",): 4}  # two answers, each checked
    tokens = kept(redis_client, content_metrics.TOKENS)
    assert tokens == {("prompt",): found["prompt_tokens"], ("completion",): found["completion_tokens"]}
    assert kept(redis_client, content_metrics.COST) == {("",): found["cost"]}
    shown = run_cli("metrics", "--once", redis_url=redis_url).stdout
    assert f"contentworker_llm_cost_total {found['cost']}" in shown
    assert "contentworker_llm_call_seconds_count 4.0" in shown
    assert 'contentworker_rewrite_refusals_total{rule="numbers"} 0.0' in shown

    capped = {"WORKER__SPENDING__CAP_PER_DAY": "0.0001", "WORKER__PIPELINE__OVER_CAP": "escalate"}
    worker("--queues=rewrite", "--concurrency=1", **settings, **capped)
    client.send_task(TASK, kwargs=kwargs)
    expected = {("cap",): 1.0}
    wait_until(lambda: kept(redis_client, content_metrics.SPENDING_REFUSALS) == expected, "the refusal")


def test_escalations(worker: StartWorker, client: Celery, redis_client: Any, tmp_path: Any) -> None:
    """Each article that a person is asked about counts once, and the open ones are shown."""
    worker("--queues=escalation", STATE_DIRECTORY=str(tmp_path))
    for article, reason in (("a", "ai_suspected"), ("a", "ai_suspected"), ("b", "my_own")):
        arguments = {"article_id": article, "reason": reason}
        client.send_task(ESCALATE, kwargs=arguments).get(timeout=PATIENCE)
    expected = {("ai_suspected",): 1, ("other",): 1}
    wait_until(lambda: kept(redis_client, content_metrics.ESCALATIONS) == expected, "both to count")
    wait_until(lambda: kept(redis_client, content_metrics.OPEN_ESCALATIONS) == {("",): 2}, "the open ones")


def test_rules_are_the_guards() -> None:
    """Every rule that the guard knows has its number, and its row on the page."""
    page = (ROOT / "docs" / "rewriting.md").read_text("utf-8")
    table = page.partition("| rule | refused |")[2].partition("\n\n")[0]
    rows = [line.split("|")[1] for line in table.splitlines()[2:]]
    assert set(content_metrics.RULES) == {rule for row in rows for rule in re.findall("`([a-z ]+)`", row)}
