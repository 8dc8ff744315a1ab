"""Celery's Redis result backend, which stores a result in one step."""

from typing import Any

from celery.backends.redis import RedisBackend as CeleryRedisBackend
from celery.backends.redis import SentinelBackend as CelerySentinelBackend
from celery.exceptions import BackendStoreError, TaskRevokedError
from celery.states import FAILURE

__all__ = ["RedisBackend", "SentinelBackend"]

# A result begins with its status as Celery encodes it.
_STORE = """
local current = redis.call('GETRANGE', KEYS[1], 0, 40)
if string.find(current, '^{%s*"status"%s*:%s*"SUCCESS"') then return 0 end
if ARGV[2] == '0' then
    redis.call('SET', KEYS[1], ARGV[1])
else
    redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[2])
end
redis.call('PUBLISH', KEYS[1], ARGV[1])
return 1
"""


class RedisBackend(CeleryRedisBackend):
    """Where a success stands it stays, whatever another run of the task comes to.

    Celery reads the result that is there, and in a second step writes its own: it takes two round trips and a
    transaction, and a failure that comes in between replaces the success.
    """

    def _store_result(
        self, task_id: str, result: Any, state: str, traceback: Any = None, request: Any = None, **_: Any
    ) -> Any:
        meta = self._get_result_meta(result=result, state=state, traceback=traceback, request=request)
        value = self.encode({**meta, "task_id": task_id})
        if len(value) > self._MAX_STR_VALUE_SIZE:
            raise BackendStoreError("result too large for Redis", state=state, task_id=task_id)
        expires = self.failure_expires if state == FAILURE else self.expires
        store = self.client.register_script(_STORE)
        store(keys=[self.get_key_for_task(task_id)], args=[value, int(expires or 0)])
        return result

    def mark_as_revoked(self, task_id: str, *args: Any, request: Any = None, **options: Any) -> None:
        """Call the errbacks as well, as of any end that is no success: who waits would wait for ever."""
        super().mark_as_revoked(task_id, *args, request=request, **options)
        if request and request.errbacks:
            self._call_task_errbacks(request, TaskRevokedError("revoked or expired"), None)


class SentinelBackend(RedisBackend, CelerySentinelBackend):
    """The same by way of Redis Sentinel."""
