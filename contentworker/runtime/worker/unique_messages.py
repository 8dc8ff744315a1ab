"""Handles messages of unique tasks in a worker: takes the lock, ends duplicates, releases the lock."""

from typing import Any

from celery.utils.log import get_logger
from celery.worker import state
from celery.worker.strategy import hybrid_to_proto2, proto1_to_proto2

from contentworker.runtime.metrics import count
from contentworker.runtime.metrics.definitions import DUPLICATES
from contentworker.runtime.transport import uniqueness
from contentworker.runtime.transport.uniqueness import Claim
from contentworker.runtime.worker.request import TaskRequest
from contentworker.runtime.worker.unique import HEADER, claim_in, values_of

__all__ = ["admit", "let_go"]

logger = get_logger(__name__)


def admit(consumer: Any, message: Any, task_id: str) -> bool:
    """Take the lock of a message that `admission` has checked. If it is a duplicate, end it and return False.

    Raises:
        ValueError: the key of the call, or the header, is not valid.
        redis.exceptions.RedisError: Redis is unreachable.
    """
    if (delivery := getattr(message, "delivery", None)) is None:  # a broadcast is for each worker
        return True
    headers = message.headers if "task" in message.headers else message.payload
    task = consumer.app.tasks.get(headers.get("task"))
    if task is None:
        return True
    message.claim = claim = _claim(task, message, headers, task_id)
    if claim is None or task_id in state.revoked or (claim.kept == "ttl" and claim.turn):
        return True
    is_again = delivery.redelivered or bool(headers.get("retries"))
    client = message.channel.holder.client
    answer, owner = uniqueness.take(client, claim, delivery.holder, delivery.tag, is_again=is_again)
    if answer == "own":
        return True
    message.claim = None
    count(DUPLICATES, task=task.name)
    if answer == "superseded":
        logger.info("%s[%s] was replaced before it started", task.name, task_id)
    else:
        logger.info("%s[%s] is a duplicate of %s, and not run", task.name, task_id, owner)
    if answer == "superseded" or owner == task_id:  # the result is that of the other message with this id
        message.ack_log_error(logger, consumer.connection_errors)
    else:
        _request(consumer, task, message).end_as_duplicate(owner)
    return False


def _claim(task: Any, message: Any, headers: Any, task_id: str) -> Claim | None:
    if (value := headers.get(HEADER)) is not None:
        return claim_in(value, task_id)
    if (unique := getattr(task, "unique", None)) is None:
        return None
    if headers is message.headers:
        args, kwargs, _ = message.payload
    else:
        args, kwargs = headers.get("args") or (), headers.get("kwargs") or {}
    claim: Claim = unique.claim(task.name, values_of(task, args, kwargs), task_id)
    return claim


def let_go(message: Any, *, is_dead_letter: bool = False) -> None:
    """Release the lock of a message that ends without running. Never raises.

    A dead letter keeps a lock of a fixed time until the time is over, as that of a task that ran and failed.
    """
    headers = message.headers if isinstance(message.headers, dict) else {}
    try:
        if getattr(message, "delivery", None) and (value := headers.get(HEADER)) is not None:
            claim = claim_in(value, headers["id"])
            if is_dead_letter and claim.kept == "ttl":
                return
            delivery = message.delivery
            holder = message.channel.holder
            holder.do(uniqueness.release, holder.client, claim, delivery.holder, delivery.tag)
    except Exception as error:  # noqa: BLE001 (the lock expires)
        logger.warning("The lock of a unique task is not released, and stays until it expires: %s", error)


def _request(consumer: Any, task: Any, message: Any) -> TaskRequest:
    """A request, made as Celery's strategy makes it."""
    if "task" in message.headers:
        body, headers, decoded, utc = message.body, message.headers, False, True
    elif message.headers:
        body, headers, decoded, utc = hybrid_to_proto2(message, message.payload)
    else:
        body, headers, decoded, utc = proto1_to_proto2(message, message.payload)
    return TaskRequest(
        message,
        on_ack=message.ack_log_error,
        on_reject=message.reject_log_error,
        app=consumer.app,
        hostname=consumer.hostname,
        eventer=consumer.event_dispatcher,
        task=task,
        connection_errors=consumer.connection_errors,
        body=body,
        headers=headers,
        decoded=decoded,
        utc=utc,
    )
