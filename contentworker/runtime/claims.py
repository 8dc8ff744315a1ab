"""At most once: a task that must not run twice claims its message before it starts.

A claim is one key per run of a task. It names the delivery that runs, so that whoever meets a second one can
tell whether that still runs, has ended, or was cut off.
"""

from typing import Any, NoReturn

from celery.exceptions import Ignore, Reject, Retry
from celery.states import FAILURE, READY_STATES
from celery.utils.log import get_logger
from redis.exceptions import RedisError

from contentworker.errors import PermanentError
from contentworker.runtime.retry import RetryingRequest, RetryingTask
from contentworker.runtime.transport.protocol import LEASES, held_key

__all__ = ["ClaimingRequest", "ClaimingTask", "InterruptedTaskError"]

logger = get_logger(__name__)

EXPIRES_SECONDS = 7 * 86_400
"""No second delivery comes later than this: whatever holds a message renews its lease in seconds."""

DONE = "1\ndone\n"

# Claims for the delivery ARGV[1]/ARGV[2] unless there is a claim, and says what became of that one.
_CLAIM = """
local own = '1\\n' .. ARGV[1] .. '\\n' .. ARGV[2]
redis.call('HDEL', KEYS[2], '')
if redis.call('HEXISTS', KEYS[3], ARGV[2]) == 0 then return 'not held' end
local claim = redis.call('GET', KEYS[1])
if not claim or claim == own then
    redis.call('SET', KEYS[1], own, 'EX', ARGV[3])
    return 'claimed'
end
if claim == ARGV[4] then return 'done' end
local holder, tag = string.match(claim, '^1\\n([^\\n]*)\\n(.*)$')
if not holder then return 'unknown' end
if redis.call('HEXISTS', KEYS[2], holder) == 1
    and redis.call('HEXISTS', ARGV[5] .. holder, tag) == 1 then return 'running' end
return 'interrupted'
"""

_FINISH = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('DEL', KEYS[1])  -- a full server refuses a script that begins with a write that may grow
redis.call('SET', KEYS[1], ARGV[2], 'EX', ARGV[3])
return 1
"""


_UNDO = """
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0
"""


class InterruptedTaskError(PermanentError):
    """The worker that ran the task died; whether its effect took place is not known. It is not repeated."""

    dead_letter_reason = "interrupted"


class ClaimingRequest(RetryingRequest):
    """Marks the claim of a run that has ended, whatever its outcome."""

    def let_go(self) -> None:
        """Mark first: a message that is delivered again in between is known to be done with."""
        delivery = getattr(self._message, "delivery", None)
        if delivery is not None and not self.acknowledged:
            holder = self._message.channel.holder
            own = f"1\n{delivery.holder}\n{delivery.tag}"
            holder.do(holder.client.eval, _FINISH, 1, _key(self._context), own, DONE, EXPIRES_SECONDS)
        super().let_go()


class ClaimingTask(RetryingTask):
    """A task that runs at most once per retry and replay, and whose interruption is a visible failure.

    Under a transport without leases nothing is claimed: there such a task has to acknowledge early.
    """

    abstract = True
    Request = ClaimingRequest
    claimed = True

    def before_start(self, task_id: str, args: Any, kwargs: Any) -> None:
        """Claim the run.

        Raises:
            Ignore: it has ended or is running; this delivery is one too many.
            InterruptedTaskError: it was begun, by a worker that died.
            Reject: Redis is away; the message goes back to its queue.
        """
        super().before_start(task_id, args, kwargs)
        if not (held := (self.request.properties or {}).get("held")):
            return
        _, _, holder, tag = held
        try:
            found = self.app.backend.client.eval(
                _CLAIM,
                *(3, _key(self.request), LEASES, held_key(holder)),
                *(holder, tag, EXPIRES_SECONDS, DONE, held_key("")),
            ).decode()
        except RedisError as error:
            raise Reject(f"not claimed, so not run: {error}", requeue=True) from error
        if found == "claimed":
            return
        if found in ("interrupted", "unknown") and not self._has_ended_well(task_id):
            raise InterruptedTaskError("the worker that ran it died; whether it had its effect is not known")
        logger.warning("%s[%s] is delivered once more, and not run: %s", self.name, task_id, found)
        raise Ignore

    def postpone(self, seconds: float) -> NoReturn:
        """Give up the claim and run later instead, as if this had been no try. Nothing may be done yet.

        The message goes back to Redis in one step, due in so many seconds.
        """
        if held := (self.request.properties or {}).get("held"):
            own = f"1\n{held[2]}\n{held[3]}"
            self.app.backend.client.eval(_UNDO, 1, _key(self.request), own)
        again = self.signature_from_request(countdown=seconds, retries=self.request.retries or 0)
        again.apply_async()
        raise Retry("postponed", when=seconds, sig=again)

    def _has_ended_well(self, task_id: str) -> bool:
        # Not FAILURE: its worker may have died before the dead letter was written.
        return self.backend.get_state(task_id) in READY_STATES - {FAILURE}


def _key(request: Any) -> str:
    """Key of a run's claim: a retry and a replay are runs of their own."""
    return f"contentworker:claim:{request.id}:{request.retries or 0}:{getattr(request, 'replays', 0)}"
