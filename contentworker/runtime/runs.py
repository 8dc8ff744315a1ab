"""A run: work of several steps that no process holds, so that any step may die and be done again.

It is one hash in Redis. A step ends by moving the run to the next one, which is done whole or not at all,
and once: whoever does a step twice finds the run moved. What is to be sent for a step can be sent again by
whoever ended the step before, as every message of a step has an id that follows from the run's.
"""

import json
import re
import uuid
from dataclasses import dataclass, field
from typing import Any

__all__ = ["FINAL", "Run", "Runs", "step_id"]

PREFIX = "contentworker:run:"
INDEX = "contentworker:runs-of:"
FINAL = ("passed", "accepted", "escalated", "cancelled", "failed")
"""The steps after which nothing is sent any more."""

_CREATE = """
if redis.call('EXISTS', KEYS[1]) == 1 then return 0 end
local time = redis.call('TIME')
redis.call('HSET', KEYS[1], 'at:' .. ARGV[2], time[1] + time[2] / 1000000, 'step', ARGV[2], 'came_from', '',
    unpack(ARGV, 3))
redis.call('EXPIRE', KEYS[1], ARGV[1])
redis.call('SADD', KEYS[2], string.sub(KEYS[1], #'contentworker:run:' + 1))
redis.call('EXPIRE', KEYS[2], ARGV[1])
return 1
"""

# ARGV: lifetime, from, to, fields. Moves only what stands at `from`.
_MOVE = """
if redis.call('HGET', KEYS[1], 'step') ~= ARGV[2] then return 0 end
local time = redis.call('TIME')
redis.call('HSET', KEYS[1], 'step', ARGV[3], 'came_from', ARGV[2],
    'at:' .. ARGV[3], time[1] + time[2] / 1000000, unpack(ARGV, 4))
redis.call('EXPIRE', KEYS[1], ARGV[1])
return 1
"""

# Never makes a run anew that was forgotten, nor replaces what a first delivery has said.
_NOTE = """
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
return redis.call('HSETNX', KEYS[1], ARGV[1], ARGV[2])
"""


@dataclass(frozen=True)
class Run:
    """A run as it stood when it was read."""

    id: str
    subject: str
    """What it is about: an id of the sender's."""
    step: str
    came_from: str
    """The step before; empty at first."""
    times: dict[str, float] = field(default_factory=dict)
    """When each step was reached, in seconds since 1970 of Redis's clock."""
    data: dict[str, Any] = field(default_factory=dict)

    @property
    def is_final(self) -> bool:
        return self.step in FINAL

    def progress(self) -> list[str]:
        """Its steps in the order in which they were reached."""
        return sorted(self.times, key=lambda step: self.times[step])

    def parts(self, kind: str, part: str) -> dict[int, Any]:
        """What steps `kind:1`, `kind:2`, … have kept as `part`, by number in order."""
        numbers = sorted(
            int(match[1]) for key in self.data if (match := re.fullmatch(rf"{kind}:(\d+)/{part}", key))
        )
        return {number: self.data[f"{kind}:{number}/{part}"] for number in numbers}


class Runs:
    """The runs in Redis. `client` is a redis-py client."""

    def __init__(self, client: Any, lifetime_seconds: float) -> None:
        self._client = client
        self._lifetime_seconds = int(lifetime_seconds)

    def create(self, run_id: str, subject: str, step: str, data: dict[str, Any]) -> bool:
        """Begin a run at `step`; False if there is one of this id, which stays as it is."""
        fields = ["subject", subject, *_fields(data)]
        keys = (PREFIX + run_id, INDEX + subject)
        return bool(self._client.eval(_CREATE, 2, *keys, self._lifetime_seconds, step, *fields))

    def move(self, run_id: str, come_from: str, to: str, data: dict[str, Any] | None = None) -> bool:
        """Move a run from one step to another; False if it is not there."""
        arguments = [self._lifetime_seconds, come_from, to, *_fields(data or {})]
        return bool(self._client.eval(_MOVE, 1, PREFIX + run_id, *arguments))

    def note(self, run_id: str, name: str, value: Any) -> None:
        """Keep a part of a step's outcome; the first one stays."""
        self._client.eval(_NOTE, 1, PREFIX + run_id, f"data:{name}", json.dumps(value))

    def find(self, run_id: str) -> Run | None:
        """The run of this id, None if there is none, or not any more."""
        raw = {_text(key): _text(value) for key, value in self._client.hgetall(PREFIX + run_id).items()}
        if not raw:
            return None
        return Run(
            id=run_id,
            subject=raw["subject"],
            step=raw["step"],
            came_from=raw["came_from"],
            times={key[3:]: float(value) for key, value in raw.items() if key.startswith("at:")},
            data={key[5:]: json.loads(value) for key, value in raw.items() if key.startswith("data:")},
        )

    def of(self, subject: str) -> list[str]:
        """Ids of a subject's runs."""
        return sorted(_text(each) for each in self._client.smembers(INDEX + subject))

    def delete(self, run_id: str, subject: str) -> None:
        """Remove a run for good."""
        self._client.delete(PREFIX + run_id)
        self._client.srem(INDEX + subject, run_id)


def step_id(run_id: str, step: str) -> str:
    """The id of the task that does a step of a run: the same each time, so that a repeat is seen as one."""
    return str(uuid.uuid5(uuid.UUID(run_id), step))


def _fields(data: dict[str, Any]) -> list[str]:
    return [part for key, value in data.items() for part in (f"data:{key}", json.dumps(value))]


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value
