"""Waits until replicas of Redis have the data that was written, so that a failover does not lose it."""

from typing import Any

from redis.exceptions import RedisError

from contentworker.runtime.transport.keys import PREFIX

__all__ = ["CONFIRMED", "NotReplicatedError", "confirm"]

CONFIRMED = f"{PREFIX}:confirmed"
"""A key that is only written to. `WAIT` waits for writes of its own connection, so there must be one."""

SECONDS = 1.0
"""Longest wait. A healthy replica is behind by milliseconds."""


class NotReplicatedError(RedisError):
    """Redis has the data, but a failover may lose it: too few replicas have it."""


def confirm(client: Any, replicas: int) -> None:
    """Return once this many replicas have everything that Redis has written so far, for any client.

    Raises:
        NotReplicatedError: after a second, fewer replicas had it.
        RedisError: Redis is unreachable, or this user may not use WAIT.
    """
    with client.pipeline(transaction=False) as pipe:
        pipe.set(CONFIRMED, 1)
        pipe.execute_command("WAIT", replicas, round(SECONDS * 1000))
        _, reached = pipe.execute()
    if reached < replicas:
        raise NotReplicatedError(
            f"Redis has the data, but a failover may lose it: {reached} of {replicas} replicas had it after "
            f"{SECONDS:g} s (broker.wait_for_replicas)"
        )
