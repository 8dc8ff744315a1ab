"""Celery's Redis result backend, but a result is stored in one step, and clients that wait miss none."""

import hashlib
from typing import Any

from celery.backends.redis import RedisBackend as CeleryRedisBackend
from celery.backends.redis import ResultConsumer as CeleryResultConsumer
from celery.backends.redis import SentinelBackend as CelerySentinelBackend
from celery.exceptions import BackendStoreError, TaskRevokedError
from celery.states import FAILURE
from redis.exceptions import OutOfMemoryError, ReadOnlyError, RedisError, ResponseError

from contentworker.runtime.transport.scripts import load

__all__ = ["Digest", "RedisBackend", "SentinelBackend"]

_STORE = load(__file__, "store")
_STORE_SHA1 = hashlib.sha1(_STORE.encode(), usedforsecurity=False).hexdigest()


class Digest(str):
    """The digest of a claimed task, stored with its result. A message's header cannot have this type."""

    __slots__ = ()


class ResultConsumer(CeleryResultConsumer):
    """Also finds results that were published while it reconnected.

    Celery looks for stored results, and then subscribes again. It misses what is published in between.
    """

    _looked_on: Any = None
    """The connection's socket at the last look."""

    def _drain_one(self, pubsub: Any, timeout: float | None) -> bool:
        before = _socket(pubsub)
        has_read = bool(super()._drain_one(pubsub, timeout))
        socket = _socket(self._pubsub)
        if has_read and socket is not self._looked_on:
            with self.reconnect_on_error():
                stored = self.backend.client.mget(self.subscribed_to) if self.subscribed_to else []
                # The first thing that is read confirms the subscriptions: what is published from now on, we
                # get. If it connected again meanwhile, that may be still to come.
                self._looked_on = socket if socket is before else None
                for each in filter(None, stored):
                    self.on_state_change(self._decode_result(each), None)
        return has_read


def _socket(pubsub: Any) -> Any:
    return getattr(pubsub.connection, "_sock", None)


class RedisBackend(CeleryRedisBackend):
    """Stores a result in one step, and never replaces the success of an earlier run.

    Celery reads the stored result and writes its own in a second step: two round trips and a transaction. It
    replaces a success that was stored in between by a failure.
    """

    ResultConsumer = ResultConsumer

    def _store_result(
        self, task_id: str, result: Any, state: str, traceback: Any = None, request: Any = None, **_: Any
    ) -> Any:
        meta = self._get_result_meta(result=result, state=state, traceback=traceback, request=request)
        if isinstance(digest := getattr(request, "claimed", None), Digest):
            meta["claimed"] = digest
        if request:
            meta["attempt"] = request.retries + 1  # for `submit --wait`, and the timeline of a run
        value = self.encode({**meta, "task_id": task_id})
        if len(value) > self._MAX_STR_VALUE_SIZE:
            raise BackendStoreError("result too large for Redis", state=state, task_id=task_id)
        expires = self.failure_expires if state == FAILURE else self.expires
        self._run_store(self.get_key_for_task(task_id), value, int(expires or 0))
        return result

    def _run_store(self, *arguments: Any) -> None:
        """Run the script directly on a connection of the pool; only if that fails, as redis-py runs scripts.

        redis-py takes three times as much CPU, which was a sixth of a pool process's work for a short task.
        """
        pool = self.client.connection_pool
        try:
            connection = pool.get_connection()
            try:
                connection.send_command("EVALSHA", _STORE_SHA1, 1, *arguments)
                connection.read_response()
            except ResponseError:
                raise
            except BaseException:  # a soft time limit, too: no later command may read this answer as its own
                connection.disconnect()
                raise
            finally:
                pool.release(connection)
        except RedisError:  # redis-py repeats, and loads the script; running it twice does no harm
            key, *values = arguments
            self.client.register_script(_STORE)(keys=[key], args=values)

    def exception_safe_to_retry(self, exc: BaseException) -> bool:
        """Also retry if the server is full, has a full disk, or is a replica during a failover.

        Otherwise a task that succeeded would fail, and become a dead letter.
        """
        refuses = isinstance(exc, ResponseError) and str(exc).startswith("MISCONF")
        is_passing = refuses or isinstance(exc, OutOfMemoryError | ReadOnlyError)
        return is_passing or bool(super().exception_safe_to_retry(exc))

    def mark_as_revoked(
        self, task_id: str, reason: str = "", request: Any = None, *args: Any, **options: Any
    ) -> None:
        """Also call the errbacks, as for any end without success: else a pipeline would wait for ever."""
        super().mark_as_revoked(task_id, reason, request, *args, **options)
        if request and request.errbacks:
            self._call_task_errbacks(request, TaskRevokedError(reason or "revoked"), None)


class SentinelBackend(RedisBackend, CelerySentinelBackend):
    """The result backend for `sentinel://` addresses."""
