"""Redis: how programs talk to it, and how long it keeps what."""

from typing import Annotated, Literal

from pydantic import Field

from contentworker.sections import Count, Lifetime, Port, Seconds, Section

__all__ = ["BrokerSettings", "DeadLetterSettings", "ResultSettings", "RetentionSettings"]


class BrokerSettings(Section):
    """How workers and clients talk to Redis. `REDIS_URL` says where Redis is."""

    transport: Literal["leased", "plain"] = Field(
        "leased",
        description="`leased` loses no message when a worker is killed, and keeps delayed messages in Redis "
        "(docs/transport.md). `plain` is Celery's own transport.",
    )
    port: Port = Field(
        6379, description="Without `REDIS_URL`: port on 127.0.0.1 of the Redis to use or start."
    )
    sentinel_master: str = Field(
        "", description="The master's name in Sentinel, for `sentinel://…` in `REDIS_URL` (docs/redis.md)."
    )
    wait_for_replicas: int = Field(
        0,
        ge=0,
        le=10,
        description="How many replicas of Redis must have a task before its sender is told that it was sent, "
        "and the claim of a `CriticalTask` before it starts: then a failover loses neither (docs/redis.md).",
    )
    visibility_timeout_seconds: Seconds = Field(
        3600,
        description="`plain` workers only: a message that is not acknowledged within this time is delivered "
        "again. Must exceed the hard time limit and the longest retry delay; otherwise a task that still "
        "runs, or waits for its retry, runs twice.",
    )
    restore_interval_seconds: Seconds = Field(
        60, description="Time between two searches for messages past the visibility timeout."
    )
    connect_timeout_seconds: Seconds = Field(5, description="Longest wait for a connection to Redis.")
    socket_timeout_seconds: Seconds = Field(
        30, description="Longest wait for an answer from Redis before the connection counts as lost."
    )
    health_check_interval_seconds: Seconds = Field(
        25, description="A connection idle for longer than this is tested before it is used."
    )


class ResultSettings(Section):
    """Results of tasks."""

    expires_seconds: Lifetime = Field(86_400, description="A result is deleted after this time.")


class DeadLetterSettings(Section):
    """How many dead letters Redis keeps; the oldest are dropped first (docs/dead-letters.md)."""

    max_age_seconds: Seconds = Field(30 * 86_400, description="Older dead letters are dropped.")
    max_number: Count = Field(10_000, description="Most dead letters that are kept.")
    max_bytes: Count = Field(
        256 * 1024 * 1024, description="Most memory they use in Redis. The newest one always stays."
    )


class RetentionSettings(Section):
    """How long Redis keeps runs, revocations and claims. Results and dead letters have their own settings."""

    runs_seconds: Lifetime = Field(
        7 * 86_400, description="A run, and the article in it, is deleted this long after its last step."
    )
    revocations_seconds: Seconds = Field(
        30 * 86_400,
        description="A task that you revoke is not started for this long (docs/revoking.md). It should be "
        "longer than any task is delayed or waits in its queue.",
    )
    claims_seconds: Annotated[int, Field(ge=60)] = Field(
        7 * 86_400,
        description="For this long a `CriticalTask` that has started does not run again, even if its message "
        "comes again. It should be longer than any of them runs, and longer than Redis is ever away.",
    )
