"""Limits: of one task, of many tasks together (docs/limits.md), and of what paid calls cost."""

import re
from typing import Literal, Self

from pydantic import ConfigDict, Field, field_validator, model_validator

from contentworker.sections import Amount, Count, QueueName, Seconds, Section, TaskPattern

__all__ = ["LimitSettings", "SpendingSettings", "TaskLimit"]

UNIT_SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
MOST = 100_000
"""Largest rate: Redis keeps that many moments for each key."""


class TaskLimit(Section):
    """How many tasks of one kind all workers together run, at once or per minute (docs/limits.md)."""

    tasks: tuple[TaskPattern, ...] = Field(
        (), description="Names of the tasks that it applies to; `*` matches any characters."
    )
    queues: tuple[QueueName, ...] = Field(
        (), description="Instead of `tasks`: queues. It applies to all of their tasks."
    )
    key: str = Field(
        "", description="Argument of the task: each of its values has a limit of its own. Empty: one for all."
    )
    header: str = Field("", description="Instead of `key`: the message header whose values are limited.")
    concurrency: int = Field(0, description="Most of these tasks at the same time; 0: any number.")
    rate: str = Field(
        "",
        description="Most of these tasks in any second, minute, hour or day: `10/s`, `100/m`, `1000/h`, "
        "`5000/d`. Empty: any number.",
    )
    on_conflict: Literal["wait", "discard", "dead_letter"] = Field(
        "wait",
        description="What becomes of a task that may not start: it waits, its message is discarded and its "
        "result is `REVOKED`, or it becomes a dead letter.",
    )

    @field_validator("concurrency")
    @classmethod
    def _is_some(cls, value: int) -> int:  # the default is not checked
        if value < 1:
            raise ValueError("must be at least 1; leave it out for any number")
        return value

    @field_validator("rate")
    @classmethod
    def _is_a_rate(cls, value: str) -> str:
        shape = re.fullmatch(r"([1-9][0-9]*)/([smhd])", value, re.ASCII)
        if not shape or int(shape[1]) > MOST:
            raise ValueError(
                f"must be a number from 1 to {MOST}, a slash, and s, m, h or d (second, minute, hour, day), "
                "such as 100/m"
            )
        return value

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if bool(self.tasks) == bool(self.queues):
            raise ValueError("either tasks or queues must be given: what it applies to")
        if not (self.concurrency or self.rate):
            raise ValueError("either concurrency or rate must be given, or both")
        if self.key and self.header:
            raise ValueError("either key or header may be given, not both")
        return self

    @property
    def rate_number(self) -> int:
        """How many tasks may start in `rate_seconds`; 0: any number."""
        return int(self.rate.partition("/")[0] or 0)

    @property
    def rate_seconds(self) -> int:
        """The time of the rate; 0 if there is none."""
        return UNIT_SECONDS.get(self.rate[-1:], 0)


class LimitSettings(Section):
    """Limits of one task and of one pool process; `[limits.NAME]` limits tasks together (docs/limits.md)."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[QueueName, TaskLimit] = Field(init=False)

    @property
    def named(self) -> dict[str, TaskLimit]:
        """The limits of many tasks together, by name."""
        return self.__pydantic_extra__

    soft_time_limit_seconds: Seconds = Field(
        270, description="After this time `SoftTimeLimitExceeded` is raised inside the task."
    )
    hard_time_limit_seconds: Seconds = Field(
        300, description="After this time the process that runs the task is killed, and the task fails."
    )
    max_tasks_per_child: Count = Field(
        1000, description="A pool process is replaced after this many tasks, which bounds memory leaks."
    )
    max_deliveries: int = Field(
        5,
        ge=2,  # a worker's death also counts for the messages that it had fetched and not started
        description="A task becomes a dead letter when this many workers have died while they held it.",
    )
    max_message_bytes: int = Field(
        16 * 1024 * 1024,
        ge=64 * 1024,
        le=256 * 1024 * 1024,
        description="A larger message becomes a dead letter and is not decoded. The limit also holds for a "
        "compressed body after decompression. An article of 2 MB takes up to 8 MB.",
    )

    @model_validator(mode="after")
    def _soft_before_hard(self) -> Self:
        if self.soft_time_limit_seconds >= self.hard_time_limit_seconds:
            raise ValueError("soft_time_limit_seconds must be less than hard_time_limit_seconds")
        return self


class SpendingSettings(Section):
    """Limits on paid calls of all workers together, in the unit of the prices."""

    cap_per_day: Amount = Field(0, description="Budget of a day (UTC); 0: no cap.")
    requests_per_minute: int = Field(0, ge=0, description="Most calls in any 60 s; 0: no limit.")
    breaker_failures: int = Field(
        5, ge=0, description="This many failed calls in a row open the circuit breaker; 0: never."
    )
    breaker_open_seconds: Seconds = Field(
        60, description="An open breaker stops all calls for this time. Then one call tests the service."
    )
