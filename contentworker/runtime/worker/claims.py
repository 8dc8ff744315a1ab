"""At most once: a task that must not run twice claims its message before it starts.

A claim is one key in Redis for each run of a task. It names the delivery that runs, so a second delivery can
see whether the first one still runs, has ended, or was interrupted. It also has a digest of the task's name
and arguments, because a different task with the same id may run.
"""

import hashlib
import json
from typing import Any, NoReturn

from celery.exceptions import Ignore, Reject, Retry
from celery.states import FAILURE, READY_STATES, SUCCESS
from celery.utils.log import get_logger
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from contentworker.errors import PermanentError
from contentworker.runtime.transport import replication
from contentworker.runtime.transport.keys import LEASES, held_key
from contentworker.runtime.transport.scripts import load
from contentworker.runtime.worker.request import ReplacingRetry, is_replaced
from contentworker.runtime.worker.results import Digest
from contentworker.runtime.worker.retry import RetryingTask

__all__ = ["ClaimingTask", "InterruptedTaskError"]

logger = get_logger(__name__)

_CLAIM = load(__file__, "claim")
_FINISH = load(__file__, "finish")
_UNDO = load(__file__, "undo")


class InterruptedTaskError(PermanentError):
    """The worker died while it ran the task. The task may have had its effect, and is not run again."""

    dead_letter_reason = "interrupted"
    escalation_reason = "interrupted"


class ClaimingTask(RetryingTask):
    """A task that runs at most once for each retry and replay. If it is interrupted, it visibly fails.

    Without leases there are no claims: with the plain transport, such a task must acknowledge early.
    """

    abstract = True
    claimed = True

    def before_start(self, task_id: str, args: Any, kwargs: Any) -> None:
        """Claim the run.

        Raises:
            Ignore: the run has ended or is going on; this delivery is one too many.
            InterruptedTaskError: the worker that ran the task died.
            Reject: Redis is unreachable, or does not know this delivery. If the message is still this
                worker's, it goes back to its queue.
        """
        super().before_start(task_id, args, kwargs)
        if not (held := (self.request.properties or {}).get("held")):
            return
        _, _, holder, tag = held
        self.request.claimed = digest = _digest(self.name, args, kwargs)
        try:
            answer = self.app.backend.client.eval(
                _CLAIM,
                *(4, *_keys(self.request, digest), LEASES, held_key(holder)),
                *(holder, tag, self._lifetime_seconds, digest, held_key("")),
            ).decode()
            if answer.startswith("claimed") and (
                replicas := self.app.runtime_settings.broker.wait_for_replicas
            ):
                self._confirm(held, digest, replicas)
        except RedisError as error:
            raise Reject(f"not claimed, so not run: {error}", requeue=True) from error
        if answer == "not held":
            # Its lease has ended: then there is nothing to give back. Or, in a failover, this process and the
            # worker's main process have different masters: an acknowledgement would lose the message.
            raise Reject("not claimed, so not run: Redis does not know this delivery", requeue=True)
        if answer == "claimed beside another":
            logger.warning(
                "%s[%s] runs, though another task or other arguments had the same id", self.name, task_id
            )
        elif answer in ("interrupted", "unknown") and not self._has_ended_well(task_id, digest):
            raise InterruptedTaskError("the worker that ran it died; whether it had its effect is not known")
        elif answer != "claimed":
            logger.warning("%s[%s] is delivered once more, and not run: %s", self.name, task_id, answer)
            raise Ignore

    def postpone(self, seconds: float) -> NoReturn:
        """Give up the claim and run later instead. It does not count as a try. Call it before any effect.

        In one step, the message goes back to Redis, due in `seconds`.

        Raises:
            Retry: it runs later.
            Reject: Redis is unreachable, or too few replicas have the new message. If that has not replaced
                the current one, the current one goes back to its queue.
        """
        again = self.signature_from_request(countdown=seconds, retries=self.request.retries or 0)
        try:
            if held := (self.request.properties or {}).get("held"):
                self._undo_claim(held, _digest(self.name, self.request.args, self.request.kwargs))
            again.apply_async()
        except (OperationalError, RedisError, OSError) as error:
            raise Reject(f"not postponed: {error}", requeue=True) from error
        kind = ReplacingRetry if is_replaced(self.request) else Retry
        raise kind("postponed", when=seconds, sig=again)

    def end_claim(self, holder: Any, delivery: Any, request: Any) -> None:
        """Mark the claim of a run as done, whatever the outcome, before its message is acknowledged."""
        digest = _digest(self.name, request.args, request.kwargs)
        keys = _keys(request, digest)
        own, done = _claim(delivery.holder, delivery.tag, digest), _claim("done", "", digest)
        holder.do(holder.client.eval, _FINISH, len(keys), *keys, own, done, self._lifetime_seconds)

    def give_up_claim(self, holder: Any, delivery: Any, request: Any) -> None:
        """Give up the claim of a run whose message goes back to its queue, so that the task can run again.

        The pool process may have reported that the claim failed: Redis may have made it all the same, and
        only the answer was lost.
        """
        digest = _digest(self.name, request.args, request.kwargs)
        keys = _keys(request, digest)
        holder.do(holder.client.eval, _UNDO, len(keys), *keys, _claim(delivery.holder, delivery.tag, digest))

    @property
    def _lifetime_seconds(self) -> int:
        seconds: int = self.app.runtime_settings.retention.claims_seconds
        return seconds

    def _confirm(self, held: Any, digest: Digest, replicas: int) -> None:
        """If a failover could lose the claim, give it up and raise: the task could run twice."""
        try:
            replication.confirm(self.app.backend.client, replicas)
        except RedisError:
            self._undo_claim(held, digest)
            raise

    def _undo_claim(self, held: Any, digest: Digest) -> None:
        keys = _keys(self.request, digest)
        self.app.backend.client.eval(_UNDO, len(keys), *keys, _claim(held[2], held[3], digest))

    def _has_ended_well(self, task_id: str, digest: Digest) -> bool:
        # Not FAILURE: its worker may have died before it wrote the dead letter.
        meta = self.backend.get_task_meta(task_id)
        if meta["status"] == SUCCESS:  # of this task, not of another with its id
            return bool(meta.get("claimed") == digest)
        return meta["status"] in READY_STATES - {FAILURE}


def _keys(request: Any, digest: str) -> tuple[str, str]:
    """The two keys that a run's claim may have. Each retry and each replay is a separate run."""
    key = f"contentworker:claim:{request.id}:{request.retries or 0}:{getattr(request, 'replays', 0)}"
    return key, f"{key}:{digest}"


def _claim(holder: str, tag: str, digest: str) -> str:
    return f"1\n{holder}\n{tag}\n{digest}"


def _digest(name: str, args: Any, kwargs: Any) -> Digest:
    """A digest that tells this task from another with the same id."""
    text = json.dumps([name, args, kwargs], sort_keys=True, default=repr)
    return Digest(hashlib.sha256(text.encode()).hexdigest()[:32])
