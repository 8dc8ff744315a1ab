"""Runs: work of several steps whose state is in Redis, so that any step may die and run again.

A run is one hash. A step ends by moving the run to the next step, atomically and once: if a step runs twice,
the second time it finds that the run has moved. The message for a step may be sent twice as well, because its
id follows from the run's (`step_id`).
"""

import json
import re
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, NamedTuple

from contentworker.printable import decoded
from contentworker.runtime.transport.scripts import load

__all__ = ["FINAL", "Run", "RunLine", "Runs", "step_id"]

PREFIX = "contentworker:run:"
INDEX = "contentworker:runs-of:"
FINAL = ("passed", "accepted", "escalated", "cancelled", "failed")
"""The steps at which a run ends."""

AT_ONCE = 200
"""Runs that one call of Redis looks at: other clients wait meanwhile."""

_CREATE = load(__file__, "create")
_LIST = load(__file__, "list")
_MOVE = load(__file__, "move")
_NOTE = load(__file__, "note")


@dataclass(frozen=True)
class Run:
    """A run at the moment it was read."""

    id: str
    subject: str
    """The sender's id of what the run is about, such as an article."""
    step: str
    came_from: str
    """The previous step; empty at the first one."""
    times: dict[str, float] = field(default_factory=dict)
    """When the run reached each step: seconds since 1970 by Redis's clock."""
    data: dict[str, Any] = field(default_factory=dict)

    @property
    def is_final(self) -> bool:
        """Whether the run has ended."""
        return self.step in FINAL

    def progress(self) -> list[str]:
        """The steps, in the order in which the run reached them."""
        return sorted(self.times, key=lambda step: self.times[step])

    def parts(self, kind: str, part: str) -> dict[int, Any]:
        """What the steps `kind:1`, `kind:2` and so on have kept as `part`, by number, in order."""
        numbers = sorted(
            int(match[1]) for key in self.data if (match := re.fullmatch(rf"{kind}:(\d+)/{part}", key))
        )
        return {number: self.data[f"{kind}:{number}/{part}"] for number in numbers}


class RunLine(NamedTuple):
    """Where a run stood when it was listed; times are seconds since 1970 by Redis's clock."""

    id: str
    subject: str
    step: str
    reached: float
    """When it reached that step."""
    began: float

    @property
    def is_final(self) -> bool:
        """Whether the run has ended."""
        return self.step in FINAL


class Runs:
    """The runs in Redis. `client` is a redis-py client."""

    def __init__(self, client: Any, lifetime_seconds: float) -> None:
        self._client = client
        self._lifetime_seconds = int(lifetime_seconds)

    def create(self, run_id: str, subject: str, step: str, data: dict[str, Any]) -> bool:
        """Start a run at `step`. Return False, and change nothing, if there is a run of this id."""
        fields = ["subject", subject, *_fields(data)]
        keys = (PREFIX + run_id, INDEX + subject)
        return bool(self._client.eval(_CREATE, 2, *keys, self._lifetime_seconds, step, *fields))

    def move(self, run_id: str, come_from: str, to: str, data: dict[str, Any] | None = None) -> bool:
        """Move a run from one step to another. Return False if it is not at the first one."""
        arguments = [self._lifetime_seconds, come_from, to, *_fields(data or {})]
        return bool(self._client.eval(_MOVE, 1, PREFIX + run_id, *arguments))

    def note(self, run_id: str, name: str, value: Any) -> None:
        """Keep a value of a step. If the step runs twice, the first value stays."""
        self._client.eval(_NOTE, 1, PREFIX + run_id, f"data:{name}", json.dumps(value))

    def find(self, run_id: str) -> Run | None:
        """The run of this id; None if it does not exist or has expired."""
        raw = {decoded(key): decoded(value) for key, value in self._client.hgetall(PREFIX + run_id).items()}
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
        """Ids of all runs about a subject."""
        return sorted(decoded(each) for each in self._client.smembers(INDEX + subject))

    def ids(self, beginning: str = "") -> Iterator[str]:
        """Ids of all runs that begin so, in no order. Goes through every key of the server."""
        pattern = re.sub(r"([*?\[\]\\])", r"\\\1", PREFIX + beginning) + "*"
        seen = set()
        for key in self._client.scan_iter(match=pattern, count=1000):
            run_id = decoded(key).removeprefix(PREFIX)
            if run_id not in seen:  # SCAN may return a key twice
                seen.add(run_id)
                yield run_id

    def read(self) -> list[RunLine]:
        """Where every run stands, the newest last."""
        ids, found = self.ids(), []
        while some := list(islice(ids, AT_ONCE)):
            answer = self._client.eval(_LIST, len(some), *(PREFIX + run_id for run_id in some))
            for run_id, fields in zip(some, answer, strict=True):
                if fields:  # it did not expire in between
                    subject, step, reached, began = map(decoded, fields)
                    found.append(RunLine(run_id, subject, step, float(reached), float(began)))
        return sorted(found, key=lambda run: (run.began, run.id))

    def delete(self, run_id: str, subject: str) -> None:
        """Delete a run."""
        self._client.delete(PREFIX + run_id)
        self._client.srem(INDEX + subject, run_id)


def step_id(run_id: str, step: str) -> str:
    """The id of the task for a step of a run. It is the same each time, so that repeats are recognized."""
    return str(uuid.uuid5(uuid.UUID(run_id), step))


def _fields(data: dict[str, Any]) -> list[str]:
    return [part for key, value in data.items() for part in (f"data:{key}", json.dumps(value))]
