"""Judge the text that a person made of an article: the workers evaluate it, its record keeps the results."""

from typing import Any

from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

__all__ = ["ask_to_judge"]

KEEP = "tasks.escalation.keep_finding"
SCORE = "tasks.evaluation.score_aeo"
DETECT = "tasks.evaluation.detect_ai"


def ask_to_judge(
    app: Any, *, record: dict[str, Any], number: int, text: str, media_type: str, questions: list[str]
) -> bool:
    """Send both evaluations, each with the task that keeps its result.

    Args:
        app: A Celery application.
        record: `escalation_id`, `article_id` and `text_sha256`, which say where the results belong.
        number: The number that both findings get: more than any other of the record.
        text: The text.
        media_type: Its format.
        questions: What it should answer; none: inferred, as for the article.

    Returns False if Redis cannot be reached: nothing was sent.
    """
    article = {"content": text, "media_type": media_type}
    headers = {"article_id": record["article_id"]}
    kept = {name: record[name] for name in ("escalation_id", "text_sha256")} | {"number": number}
    try:
        with app.connection_for_write() as broker:
            broker.ensure_connection(max_retries=1)
        for task, kind, more in (
            (DETECT, "detection", {}),
            (SCORE, "score", {"questions": questions or None}),
        ):
            keep = app.signature(KEEP, kwargs={"kind": kind, **kept}).set(headers=headers)
            # No result in Redis: it would hold parts of the article, which `forget` could not find.
            app.send_task(
                task, kwargs={**article, **more}, link=keep, headers=headers, retry=False, ignore_result=True
            )
    except (OperationalError, RedisError):
        return False
    return True
