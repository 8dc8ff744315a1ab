"""Pauses of queues: no worker takes messages from a paused queue; who paused it, and when.

The transport has the set of paused queues, which its fetch script reads. Who and when is beside it: a worker
or a command of an older version, which knows only the set, pauses and resumes as before.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from contentworker.printable import decoded
from contentworker.runtime.transport.keys import PAUSED
from contentworker.runtime.transport.scripts import load

__all__ = ["PAUSED_BY", "Pause", "known", "pause", "read", "resume"]

PAUSED_BY = "contentworker:paused-by"
"""Hash: queue → who paused it, and when by Redis's clock."""

_PAUSE = load(__file__, "pause")


@dataclass(frozen=True)
class Pause:
    """Who paused a queue, and when."""

    by: str
    since: datetime


def pause(client: Any, queue: str, by: str) -> bool:
    """Let no worker take messages from a queue until `resume`. Return False if it was paused before."""
    return bool(client.eval(_PAUSE, 2, PAUSED, PAUSED_BY, queue, json.dumps(by)))


def resume(client: Any, queue: str) -> bool:
    """End a queue's pause. Return False if it had none."""
    with client.pipeline(transaction=True) as both:
        ended, _ = both.srem(PAUSED, queue).hdel(PAUSED_BY, queue).execute()
    return bool(ended)


def read(client: Any) -> dict[str, Pause | None]:
    """The queues that are paused; None where it is not known who did it."""
    with client.pipeline(transaction=True) as both:
        paused, raw = both.smembers(PAUSED).hgetall(PAUSED_BY).execute()
    by = known(raw)
    return {name: by.get(name) for name in map(decoded, paused)}


def known(raw: Mapping[Any, Any]) -> dict[str, Pause]:
    """The fields of `PAUSED_BY`, by queue; one that cannot be read is left out."""
    pauses = {}
    for name, value in raw.items():
        try:
            by, at = json.loads(value)
            pauses[decoded(name)] = Pause(str(by), datetime.fromtimestamp(float(at), UTC))
        except (ValueError, TypeError, OverflowError, OSError):
            continue
    return pauses
