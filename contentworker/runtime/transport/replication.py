"""Waits until replicas of Redis have what was written, so that a failover does not lose it."""

from typing import Any

from redis.exceptions import RedisError

from contentworker.runtime.transport.protocol import PREFIX

__all__ = ["CONFIRMED", "NotReplicatedError", "confirm"]

CONFIRMED = f"{PREFIX}:confirmed"
"""A key that is only written to, to wait for that: Redis waits for what the same connection wrote."""

SECONDS = 1.0
"""Longest wait. A healthy replica is behind by milliseconds."""


class NotReplicatedError(RedisError):
    """Redis did what it was asked to, and a failover may undo it: too few replicas have it."""


def confirm(client: Any, replicas: int) -> None:
    """Return once so many replicas have all that Redis wrote so far, for any client.

    Raises:
        NotReplicatedError: they had not after a second.
        RedisError: Redis is away, or this user may not use WAIT.
    """
    with client.pipeline(transaction=False) as pipe:
        pipe.set(CONFIRMED, 1)
        pipe.execute_command("WAIT", replicas, round(SECONDS * 1000))
        _, reached = pipe.execute()
    if reached < replicas:
        raise NotReplicatedError(
            f"Redis did it, and a failover may undo it: {reached} of {replicas} replicas had it after "
            f"{SECONDS:g} s (broker.wait_for_replicas)"
        )
