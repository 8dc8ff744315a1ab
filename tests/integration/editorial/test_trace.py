"""One trace from whoever sends an article, through every queue, to the call of the model."""

import json
from pathlib import Path

from tests.collector import Span, spans
from tests.llm_server import KEY, llm_server
from tests.receivers import receiver
from tests.support import StartWorker, run_cli, wait_until

WORD = "zanzibarquokka"
ARTICLE = f"""\
# The {WORD}

The {WORD} was seen by a very old man, who had gone there in order to look for it, and who was really glad.

Some people went to the old bridge in order to see more of it, and in the end there was little to say.
"""


def test_one_trace(worker: StartWorker, redis_url: str, tmp_path: Path) -> None:
    """With the queues, the article's id, the model and its tokens; without a word of the article."""
    with llm_server() as model, receiver(200) as (collector, got):
        telemetry = {
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": collector,
            "OTEL_BSP_SCHEDULE_DELAY": "100",
        }
        worker(
            "--loglevel=debug",
            WORKER__LLM__BASE_URL=model.url,
            WORKER__LLM__MODEL="good",
            WORKER__PIPELINE__MIN_AEO_SCORE="90",
            WORKER__PIPELINE__ESCALATED_VERDICTS="[]",
            WORKER__ESCALATIONS__SQLITE_PATH=str(tmp_path / "records.sqlite3"),
            OPENAI_API_KEY=KEY,
            **telemetry,
        )
        sent = run_cli(
            *("submit", "tasks.pipeline.process_content", "article_id=a-7", f"content={ARTICLE}"),
            redis_url=redis_url,
            OTEL_SERVICE_NAME="newsroom",
            **telemetry,
        )
        assert sent.returncode == 0, sent.stderr

        def found() -> dict[str, Span]:
            by_name = {each.name: each for each in spans(got)}
            is_there = {"chat good", "process tasks.rewrite.generate_rewrite"} <= by_name.keys()
            return by_name if is_there else {}

        by_name = wait_until(found, "the model's call")
        raw = b"".join(body for _, body in got)
    chain = ["chat good"]
    while parent := [name for name, span in by_name.items() if span.id == by_name[chain[0]].parent]:
        chain.insert(0, parent[0])
    half = "score_aeo" if "process tasks.evaluation.score_aeo" in chain else "detect_ai"
    assert chain == [
        "publish tasks.pipeline.process_content",
        "process tasks.pipeline.process_content",
        f"publish tasks.evaluation.{half}",
        f"process tasks.evaluation.{half}",
        "publish tasks.pipeline.take_evaluation",
        "process tasks.pipeline.take_evaluation",
        "publish tasks.rewrite.generate_rewrite",
        "process tasks.rewrite.generate_rewrite",
        "chat good",
    ]
    assert len({by_name[name].trace for name in chain}) == 1
    assert [by_name[name].service for name in chain] == ["newsroom", *["content-worker"] * 8]
    queues = [by_name[name].attributes.get("messaging.destination.name") for name in chain[1:8:2]]
    assert queues == ["celery", "evaluation", "celery", "rewrite"]
    articles = {by_name[name].attributes["contentworker.article_id"] for name in chain[1:8:2]}
    assert articles == {"a-7"}
    call = by_name["chat good"].attributes
    assert (call["gen_ai.request.model"], call["gen_ai.usage.output_tokens"]) == ("good", 20)
    assert WORD.encode() not in raw
    assert KEY.encode() not in raw
    assert WORD in json.dumps(model.requests), "the model was not asked"
