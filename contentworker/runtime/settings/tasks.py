"""Where and when tasks run: queues, retries and schedules."""

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, JsonValue, model_validator

from contentworker import crontab, time_zones
from contentworker.sections import (
    LONGEST_SECONDS,
    Address,
    Amount,
    Count,
    Seconds,
    Section,
    TaskPattern,
    shaped,
)

__all__ = ["LogLevel", "QueueSettings", "RetrySettings", "ScheduleSettings"]

LogLevel = Literal["debug", "info", "warning", "error", "critical"]
Pool = Literal["prefork", "solo", "threads"]
SecretName = Annotated[
    str, shaped(r"[A-Z][A-Z0-9_]*", "the name of a variable: capital letters, digits and underscores")
]


class QueueSettings(Section):
    """One queue, and the worker that serves only this queue."""

    description: str = Field(min_length=1, description="What the queue is for, in one line.")
    tasks: tuple[TaskPattern, ...] = Field(
        (),
        description="Names of the tasks that go to this queue; `*` matches any characters. The most specific "
        "pattern of all queues wins: `tasks.a.b`, then `tasks.a.*`, then `tasks.*`. A task that none matches "
        "goes to `default_queue`.",
    )
    workers: Annotated[int, Field(ge=1, le=64)] = Field(
        1,
        description="Workers that each machine runs for the queue as services: `celery-worker@QUEUE`, "
        "`celery-worker@QUEUE-2`, … The memory limit and the other settings are those of each. On "
        "Kubernetes, the pods of the queue.",
    )
    concurrency: Count = Field(2, description="Tasks that the worker runs at the same time.")
    pool: Pool = Field(
        "prefork",
        description="How the worker runs tasks: `prefork` (processes), `threads` or `solo`. "
        "Only `prefork` can kill a task at its time limit.",
    )
    prefetch_multiplier: Count = Field(
        1,
        description="Messages that the worker holds for each running task. With 1 no short task waits "
        "behind a long one.",
    )
    log_level: LogLevel = Field("warning", description="Log level of the worker.")
    memory_max_mebibytes: int = Field(
        2048,
        ge=64,
        description="Memory limit of the service; above it the kernel kills one of its processes.",
    )
    cpu_weight: int = Field(
        100, ge=1, le=10_000, description="Share of processor and disk when services compete for them."
    )
    allowed_addresses: tuple[Address, ...] = Field(
        (),
        description="What the service may reach in addition to `services.allowed_addresses`: `any`, an "
        "address, or a network such as `10.0.0.0/8`.",
    )
    secrets: tuple[SecretName, ...] = Field(
        (), description="Secrets that the service gets in addition to `REDIS_URL` (docs/operations.md)."
    )
    max_workers: Count = Field(
        4, description="Most workers that KEDA starts on Kubernetes; `workers` is the fewest."
    )


class RetrySettings(Section):
    """When a failed task runs again.

    Delay before retry n (from 0) = min(max_delay, initial_delay * multiplier ** n) + uniform(0, jitter).
    """

    initial_delay_seconds: Seconds = Field(60, description="Delay before the first retry.")
    multiplier: float = Field(
        2, ge=1, allow_inf_nan=False, description="Each delay is the one before it times this."
    )
    max_delay_seconds: Seconds = Field(600, description="Longest delay, before jitter is added.")
    jitter_seconds: Amount = Field(
        30,
        description="Up to this much is added to each delay at random, so that tasks that failed together do "
        "not all return together.",
    )
    base_max_retries: int = Field(3, ge=0, description="Retries of a `BaseTask`.")
    idempotent_max_retries: int = Field(5, ge=0, description="Retries of an `IdempotentTask`.")
    critical_max_retries: int = Field(
        0, ge=0, description="Retries of a `CriticalTask`, which has to call `self.retry()` itself."
    )

    @model_validator(mode="after")
    def _delays_are_ordered(self) -> Self:
        if self.initial_delay_seconds > self.max_delay_seconds:
            raise ValueError("initial_delay_seconds must not exceed max_delay_seconds")
        return self


def _check_crontab(value: str) -> str:
    if value:
        crontab.check(value)
    return value


def _check_time_zone(value: str) -> str:
    time_zones.time_zone(value)
    return value


class ScheduleSettings(Section):
    """A task that `celery beat` sends regularly (docs/schedules.md)."""

    task: str = Field(min_length=1, description="Name of a task in `tasks/`.")
    every_seconds: Amount = Field(0, description="Time between sends, at least 1. 0: `crontab` says when.")
    crontab: Annotated[str, AfterValidator(_check_crontab)] = Field(
        "",
        description="Minute, hour, day of the month, month, day of the week: `30 3 * * mon-fri`.",
    )
    timezone: Annotated[str, AfterValidator(_check_time_zone)] = Field(
        "UTC",
        description="Time zone of `crontab`, by its IANA name: `Europe/Berlin`. docs/schedules.md says what "
        "happens when clocks change.",
    )
    arguments: dict[str, JsonValue] = Field({}, description="Keyword arguments of the task.")
    enabled: bool = Field(True, description="With `false` the task is not sent.")

    def named_tasks(self) -> dict[str, str]:
        """The settings that name a task of this project, for the check of all settings."""
        return {"task": self.task}

    @model_validator(mode="after")
    def _one_rhythm(self) -> Self:
        if bool(self.every_seconds) == bool(self.crontab):
            raise ValueError("either every_seconds or crontab must be given")
        if 0 < self.every_seconds < 1:
            raise ValueError("every_seconds must be at least 1")
        if self.every_seconds > LONGEST_SECONDS:
            raise ValueError(f"every_seconds must be at most {LONGEST_SECONDS}")
        if self.every_seconds and self.timezone != "UTC":
            raise ValueError("timezone is for crontab: every_seconds is the same in every time zone")
        return self
