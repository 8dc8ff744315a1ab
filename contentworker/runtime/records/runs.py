"""Runs: work of several steps whose state is in Redis, so that any step may die and run again.

A run is one hash. A step ends by moving the run to the next step, atomically and once: if a step runs twice,
the second time it finds that the run has moved. The message for a step may be sent twice as well, because its
id follows from the run's (`step_id`).
"""

import json
import re
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from contentworker.errors import ContentError
from contentworker.printable import decoded
from contentworker.runtime.transport.scripts import load

__all__ = ["FINAL", "Run", "RunLine", "RunPage", "Runs", "State", "step_id"]

State = Literal["open", "ended"]

PREFIX = "contentworker:run:"
INDEX = "contentworker:runs-of:"
LISTS = "contentworker:runs-in:"
"""Beginning of the keys of lists: `all`, a state, or `step:` and a step.

Each has ids by the time of the latest step, so that a page looks at no other run. A run that began in an
earlier version is in none before its next step.
"""
FINAL = ("passed", "accepted", "escalated", "cancelled", "failed")
"""The steps at which a run ends."""

MOST_AT_ONCE = 200
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
    def state(self) -> State:
        """Whether the run has ended."""
        return _state(self.step)


class RunPage(NamedTuple):
    """A part of a list of runs."""

    lines: list[RunLine]
    after: str | None
    """Cursor of the next page; None at the end."""


class Runs:
    """The runs in Redis. `client` is a redis-py client."""

    def __init__(self, client: Any, lifetime_seconds: float) -> None:
        self._client = client
        self._lifetime_seconds = int(lifetime_seconds)

    def create(self, run_id: str, subject: str, step: str, data: dict[str, Any]) -> bool:
        """Start a run at `step`. Return False, and change nothing, if there is a run of this id."""
        keys = (PREFIX + run_id, INDEX + subject, *_lists(step))
        fields = ["subject", subject, *_fields(data)]
        arguments = (run_id, self._lifetime_seconds, step, *fields)
        return bool(self._client.eval(_CREATE, len(keys), *keys, *arguments))

    def move(self, run_id: str, come_from: str, to: str, data: dict[str, Any] | None = None) -> bool:
        """Move a run from one step to another. Return False if it is not at the first one."""
        _, *left = _lists(come_from)
        keys = (PREFIX + run_id, INDEX, *left, *_lists(to))
        arguments = (run_id, self._lifetime_seconds, come_from, to, *_fields(data or {}))
        return bool(self._client.eval(_MOVE, len(keys), *keys, *arguments))

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

    def page(
        self, state: State | None = None, step: str | None = None, after: str | None = None, limit: int = 100
    ) -> RunPage:
        """A page of the list of runs, the latest step first: at most `limit`, after an earlier page's cursor.

        Raises:
            ContentError: `after` is no cursor, or `limit` is not 1 to 200.
        """
        if not 1 <= limit <= MOST_AT_ONCE:
            raise ContentError("limit", f"1 to {MOST_AT_ONCE}, not {limit}")
        key = LISTS + (f"step:{step}" if step else state or "all")
        # Each script that adds an id has a time of its own, so no two runs of a list have the same.
        place = "+inf" if after is None else f"({_time(after)!r}"
        found = self._client.zrevrangebyscore(key, place, "-inf", start=0, num=limit + 1, withscores=True)
        more, found = len(found) > limit, found[:limit]
        lines = self.lines(decoded(run_id) for run_id, _ in found)
        wanted = [line for line in lines if state in {None, line.state} and step in {None, line.step}]
        return RunPage(wanted, repr(found[-1][1]) if more else None)

    def every(self, state: State | None = None, step: str | None = None) -> Iterator[RunLine]:
        """All runs of a list, read in pages."""
        after = None
        while True:
            page = self.page(state, step, after, MOST_AT_ONCE)
            yield from page.lines
            if (after := page.after) is None:
                return

    def lines(self, run_ids: Iterable[str]) -> list[RunLine]:
        """Where these runs stand, but for those that are gone."""
        ids, found = list(run_ids), []
        for start in range(0, len(ids), MOST_AT_ONCE):
            some = ids[start : start + MOST_AT_ONCE]
            answer = self._client.eval(_LIST, len(some), *(PREFIX + run_id for run_id in some))
            for run_id, fields in zip(some, answer, strict=True):
                if fields:
                    subject, step, reached, began = map(decoded, fields)
                    found.append(RunLine(run_id, subject, step, float(reached), float(began)))
        return found

    def delete(self, run_id: str, subject: str) -> None:
        """Delete a run."""
        step = decoded(self._client.hget(PREFIX + run_id, "step") or b"")
        with self._client.pipeline() as pipeline:
            pipeline.delete(PREFIX + run_id)
            pipeline.srem(INDEX + subject, run_id)
            for each in _lists(step):  # an id that stays in another one is of no run, and shown in no list
                pipeline.zrem(each, run_id)
            pipeline.execute()


def step_id(run_id: str, step: str) -> str:
    """The id of the task for a step of a run. It is the same each time, so that repeats are recognized."""
    return str(uuid.uuid5(uuid.UUID(run_id), step))


def _state(step: str) -> State:
    return "ended" if step in FINAL else "open"


def _lists(step: str) -> tuple[str, str, str]:
    """Keys of the lists in which a run at this step is."""
    return f"{LISTS}all", LISTS + _state(step), f"{LISTS}step:{step}"


def _time(cursor: str) -> float:
    if not re.fullmatch(r"\d{1,12}(\.\d{1,9})?", cursor, re.ASCII):
        raise ContentError("after", "must be the cursor of an earlier page")
    return float(cursor)


def _fields(data: dict[str, Any]) -> list[str]:
    return [part for key, value in data.items() for part in (f"data:{key}", json.dumps(value))]
