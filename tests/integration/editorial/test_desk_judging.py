"""Judging a text of the desk, through a real worker."""

from pathlib import Path
from typing import Any

from celery import Celery

from contentworker.articles.judging import ask_to_judge
from contentworker.editorial.aeo import AeoScore
from contentworker.editorial.detector import Detection
from contentworker.editorial.escalations.database import sha256
from contentworker.editorial.escalations.schema import open_engine
from contentworker.editorial.escalations.store import Store
from tests.support import ROOT, StartWorker, wait_until


def test_the_record_gets_both_results(worker: StartWorker, client: Celery, tmp_path: Path) -> None:
    """Whole, once, and nothing of them stays in Redis; for a forgotten article there is nothing to keep."""
    file = tmp_path / "records.sqlite3"
    worker("--queues=evaluation,escalation", WORKER__ESCALATIONS__SQLITE_PATH=str(file))
    engine = open_engine("", file)
    store = Store(engine)
    text = (ROOT / "examples" / "thoughts-on-tea.txt").read_text("utf-8")
    made = store.escalate("blog/tea", "ai_suspected", evidence={}, content=text)
    record = {"escalation_id": made.id, "article_id": "blog/tea", "text_sha256": sha256(text)}
    asked: dict[str, Any] = {
        "number": 1,
        "text": text,
        "media_type": "text",
        "questions": ["How hot should tea be?"],
    }
    gone = {**record, "escalation_id": "0" * 32}
    assert all(ask_to_judge(client, record=each, **asked) for each in (record, gone, record))
    wait_until(lambda: len(store.findings(made.id)) == 2, "both results")
    found = {each.kind: each for each in store.findings(made.id)}
    score = AeoScore.model_validate(found["score"].content)
    assert score.questions[0].question == "How hot should tea be?"
    assert Detection.model_validate(found["detection"].content).words_judged > 300
    assert {(each.number, each.text_sha256) for each in found.values()} == {(1, sha256(text))}
    redis = client.backend.client
    kept = [redis.get(key) for key in redis.scan_iter() if b"celery-task-meta" in key]
    assert not any(b"sentences" in each or b"criteria" in each for each in kept)
    engine.dispose()
