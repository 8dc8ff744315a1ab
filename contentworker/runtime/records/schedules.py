"""Schedules in Redis: how far each one is, when it was last sent, and who paused it.

`celery beat` sends what is due, the commands and the desk read, pause and resume. All times are Redis's.
"""

import json
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from contentworker.printable import decoded
from contentworker.runtime.records import pauses
from contentworker.runtime.records.pauses import Pause
from contentworker.runtime.transport.scripts import load

__all__ = [
    "HANDLED", "PAUSED", "SENT", "SINCE", "Schedules", "as_time", "note_sent", "pause", "read", "resume",
    "since_field",
]  # fmt: skip

HANDLED = "contentworker:schedules"
"""Hash: schedule → moments up to this time were sent, or skipped during a pause."""
SINCE = "contentworker:schedules:since"
"""Hash: schedule with its rhythm → when a beat first had it. Earlier moments do not count."""
SENT = "contentworker:schedules:sent"
"""Hash: schedule → when its task was last sent, by beat or by a person."""
PAUSED = "contentworker:schedules:paused"
"""Hash: schedule → who paused it, and when."""

_PAUSE = load(__file__, "pause")
_RESUME = load(__file__, "resume")


@dataclass(frozen=True)
class Schedules:
    """The hashes as they are, and Redis's clock: a value may be anything."""

    now: float
    handled: dict[str, str]
    since: dict[str, str]
    sent: dict[str, str]
    paused: dict[str, Pause | None]
    """None: it is not known who paused it."""

    @property
    def paused_now(self) -> dict[str, Pause | None]:
        """The pauses of schedules that a beat has: of those that are off or gone, a pause says nothing."""
        return {name: pause for name, pause in self.paused.items() if name in self.handled}

    @property
    def times_sent(self) -> dict[str, float]:
        """When each schedule that a beat has was last sent, where that is known."""
        times = {name: as_time(self.sent.get(name)) for name in self.handled}
        return {name: moment.timestamp() for name, moment in times.items() if moment}


def read(client: Any) -> Schedules:
    """Read everything in one round trip."""
    with client.pipeline(transaction=False) as all_at_once:
        for key in (HANDLED, SINCE, SENT, PAUSED):
            all_at_once.hgetall(key)
        *hashes, (seconds, microseconds) = all_at_once.time().execute()
    handled, since, sent, raw = (
        {decoded(field): decoded(value) for field, value in each.items()} for each in hashes
    )
    by = pauses.known(raw)
    now = seconds + microseconds / 1_000_000
    return Schedules(now, handled, since, sent, {name: by.get(name) for name in raw})


def since_field(name: str, rhythm: Any) -> str:
    """The field of `SINCE` for a schedule with its rhythm, which is one of Celery's schedules."""
    # An interval in numbers: Celery's text for it is rounded.
    return json.dumps([name, str(getattr(rhythm, "run_every", rhythm))])


def as_time(value: str | None) -> datetime | None:
    """The time in a field; None if there is none that can be read."""
    with suppress(ValueError, OverflowError, OSError):
        return datetime.fromtimestamp(float(value), UTC) if value is not None else None
    return None


def pause(client: Any, name: str, by: str) -> bool:
    """Skip the moments of a schedule until `resume`. Return False if it was paused before."""
    return bool(client.eval(_PAUSE, 1, PAUSED, name, json.dumps(by)))


def resume(client: Any, name: str) -> bool:
    """End a pause: what was missed stays unsent. Return False if there was none."""
    return bool(client.eval(_RESUME, 2, PAUSED, HANDLED, name))


def note_sent(client: Any, name: str) -> None:
    """Note that a person has sent the task of a schedule now."""
    seconds, microseconds = client.time()
    client.hset(SENT, name, seconds + microseconds / 1_000_000)
