"""The settings of a limit of many tasks together (docs/limits.md)."""

import re
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from contentworker.runtime.sections import QueueName, Section, TaskPattern

__all__ = ["TaskLimit"]

UNIT_SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
MOST = 100_000
"""Largest rate: Redis keeps that many moments for each key."""


class TaskLimit(Section):
    """How many tasks of one kind all workers together run, at once or per minute (docs/limits.md)."""

    tasks: tuple[TaskPattern, ...] = Field(
        (), description="Names of the tasks that it applies to; `*` matches any characters."
    )
    queues: tuple[QueueName, ...] = Field(
        (), description="Instead of `tasks`: the queues to all of whose tasks it applies."
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
