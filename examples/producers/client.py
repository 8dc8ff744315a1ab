"""What another service needs to send articles and to ask what became of them: copy this file into it.

It needs `pip install "celery[redis]"` and the variable REDIS_URL, and may be used by many threads.
"""

import os
import time
import uuid
from typing import Any

from celery import Celery
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

__all__ = ["UnavailableError", "state", "submit"]

SUBMISSIONS = uuid.UUID("5a0c3c5e-9d0b-4b57-8f0a-3b1f7a2a6d11")
"""Replace it by a UUID of your own: it keeps your submissions apart from those of other services."""
ANSWER_SECONDS = 5.0
POLL_SECONDS = 0.02

_url = os.environ["REDIS_URL"]
_seconds = {"socket_connect_timeout": 2, "socket_timeout": 5}
# Two applications: with a result backend, sending subscribes to results on a connection that threads must
# not share.
_sender = Celery(broker=_url, set_as_current=False)
_sender.conf.update(broker_transport_options=_seconds, broker_connection_timeout=2)
_reader = Celery(backend=_url, set_as_current=False)
_reader.conf.update(redis_socket_connect_timeout=2, redis_socket_timeout=5)


class UnavailableError(Exception):
    """Redis cannot be reached, or no worker answers: try again later."""


def submit(article_id: str, content: str, media_type: str | None = None) -> str:
    """Send an article; return an id for `state`. The same article has the same id and is judged once.

    Raises:
        UnavailableError: it may have been sent, or not; send it again.
    """
    submission = str(uuid.uuid5(SUBMISSIONS, f"{article_id}\n{content}"))
    article = {"article_id": article_id, "content": content, "media_type": media_type}
    _send("tasks.pipeline.process_content", article, submission)
    return submission


def state(submission: str) -> dict[str, Any]:
    """Where an article stands: `outcome` is `queued`, `running`, how it has ended, or `unknown`.

    `queued` is also what was never sent, or more than a day ago (`results.expires_seconds`): Celery cannot
    tell the difference.

    Raises:
        UnavailableError: Redis cannot be reached, or no worker answers in time.
    """
    begun = _result(submission)
    if begun["status"] == "FAILURE":  # refused: too large, or not a valid id
        return {"outcome": "failed", "error": str(begun["result"])}
    if begun["status"] != "SUCCESS":
        return {"outcome": "queued"}
    question = str(uuid.uuid4())
    _send("tasks.pipeline.describe", {"run_id": begun["result"]["run_id"]}, question, expires=ANSWER_SECONDS)
    deadline = time.monotonic() + ANSWER_SECONDS
    while time.monotonic() < deadline:
        answer = _result(question)
        if answer["status"] == "SUCCESS":
            _reader.AsyncResult(question).forget()  # it may hold the text
            outcome: dict[str, Any] = answer["result"]
            return outcome
        time.sleep(POLL_SECONDS)
    raise UnavailableError("no worker answers")


def _send(task: str, arguments: dict[str, Any], task_id: str, **options: Any) -> None:
    try:
        _sender.send_task(task, kwargs=arguments, task_id=task_id, queue="celery", retry=False, **options)
    except (OperationalError, RedisError, OSError) as error:
        raise UnavailableError("Redis cannot be reached") from error


def _result(task_id: str) -> dict[str, Any]:
    try:
        meta: dict[str, Any] = _reader.backend.get_task_meta(task_id, cache=False)
    except (RedisError, OSError) as error:
        raise UnavailableError("Redis cannot be reached") from error
    return meta
