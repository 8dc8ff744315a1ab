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


def way_to(name: str, found: list[Span]) -> list[Span]:
    """From the root of its trace to the span of this name; empty while some of it is on its way to us."""
    by_id = {span.id: span for span in found}
    way = [span for span in found if span.name == name][:1]
    while way and way[0].parent:
        if way[0].parent not in by_id:
            return []
        way.insert(0, by_id[way[0].parent])
    return way


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

        whole = wait_until(
            lambda: way_to("chat good", spans(got)), "all spans on the way to the model's call"
        )
        raw = b"".join(body for _, body in got)
    chain = [span.name for span in whole]
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
    assert len({span.trace for span in whole}) == 1
    assert [span.service for span in whole] == ["newsroom", *["content-worker"] * 8]
    steps = [span.attributes for span in whole[1:8:2]]
    assert [each["messaging.destination.name"] for each in steps] == [
        "celery",
        "evaluation",
        "celery",
        "rewrite",
    ]
    assert {each["contentworker.article_id"] for each in steps} == {"a-7"}
    call = whole[-1].attributes
    assert (call["gen_ai.request.model"], call["gen_ai.usage.output_tokens"]) == ("good", 20)
    assert WORD.encode() not in raw
    assert KEY.encode() not in raw
    assert WORD in json.dumps(model.requests), "the model was not asked"
