"""What is in Redis when it is backed up: lost afterwards, and there again once it is restored."""

from typing import Any

import redis
from celery import Celery

from contentworker.runtime.records.dead_letters import STREAM
from contentworker.runtime.transport.keys import DELAYED, PAUSED
from tests.acceptance.systemd.installation import DEFAULT, OTHER
from tests.acceptance.systemd.machine import Machine
from tests.support import PATIENCE, wait_until


class BackedUp:
    """A task that waits, one for later, one that failed for good, and a result."""

    def __init__(self, machine: Machine, client: Celery, plain: redis.Redis) -> None:
        self._machine, self._client, self._redis = machine, client, plain

    def make(self) -> None:
        """Have all of them, before the backup."""
        self._machine.run("content-worker", "pause", OTHER)
        self._waiting = self._client.send_task("tasks.health_check", queue=OTHER)
        self._client.send_task("tasks.health_check", countdown=1000).forget()
        self._client.send_task("tasks.misspelt", queue=DEFAULT).forget()
        done = self._client.send_task("tasks.health_check")
        done.get(timeout=PATIENCE)
        self._result = done.backend.get_key_for_task(done.id)
        wait_until(lambda: self._redis.xlen(STREAM), "the dead letter")
        self._then = self._now()
        assert all(self._then)

    def lose(self) -> None:
        """Have none of them, and what was not there, before it is restored."""
        self._redis.delete(OTHER, DELAYED, STREAM, PAUSED, self._result)
        self._redis.set("since", "the backup")

    def check(self) -> None:
        """They are there again, whole, and what waited is run."""
        wait_until(self._answers, "Redis to answer")
        assert self._now() == self._then
        assert self._redis.get("since") is None
        self._machine.run("content-worker", "resume", OTHER)
        assert self._waiting.get(timeout=PATIENCE)["status"] == "ok"
        self._redis.delete(DELAYED, STREAM)

    def _now(self) -> tuple[Any, ...]:
        return (
            self._redis.lrange(OTHER, 0, -1),
            self._redis.zrange(DELAYED, 0, -1, withscores=True),
            self._redis.xrange(STREAM),
            self._redis.smembers(PAUSED),
            self._redis.get(self._result),
        )

    def _answers(self) -> bool:
        try:
            return bool(self._redis.ping())
        except redis.ConnectionError:
            return False
