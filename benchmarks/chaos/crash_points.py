"""SIGKILL at a step of our protocol: before it, or after it and before anything that follows."""

import functools
import os
import signal
from collections.abc import Callable
from typing import Any

__all__ = ["POINTS", "arm"]

CALLS_SPARED = 2
"""So that the worker also has finished something when it dies."""

_OFTEN = ("acknowledge", "beat", "claim")
_RARE = ("retry", "register", "cancel_fetch", "start", "reclaim", "release", "dead_letter")
_STEPS = (*_OFTEN, *_RARE)
POINTS = (
    *(f"{when}-{step}" for step in _STEPS for when in ("before", "after")),
    *("before-fetch", "fetch-sent", "fetch-answered"),
)


def arm(point: str) -> None:
    """Have this worker kill itself, with all its processes, when it is at this point."""
    from contentworker.runtime.records import dead_letters
    from contentworker.runtime.transport.holder import Holder
    from contentworker.runtime.transport.leased import Channel
    from contentworker.runtime.transport.protocol import Protocol
    from contentworker.runtime.worker.claims import ClaimingTask
    from contentworker.runtime.worker.retry import RetryingTask

    places: dict[str, tuple[Any, str]] = {
        **{step: (Protocol, step) for step in _STEPS if hasattr(Protocol, step)},
        "claim": (ClaimingTask, "before_start"),
        "retry": (RetryingTask, "retry"),
        "dead_letter": (dead_letters, "add"),
    }
    when, _, step = point.partition("-")
    if point == "before-fetch":
        _wrap(Protocol, "fetch_command", before=True)
    elif point == "fetch-answered":
        _wrap(Holder, "take", before=True)
    elif point == "fetch-sent":
        fetches = lambda channel, *_: channel._fetch is not None  # noqa: E731, SLF001 (the step to crash at)
        _wrap(Channel, "_brpop_start", before=False, only=fetches)
    else:
        spared = CALLS_SPARED if step in _OFTEN else 0
        _wrap(*places[step], before=when == "before", spared=spared)


def _wrap(
    owner: Any,
    name: str,
    *,
    before: bool,
    spared: int = CALLS_SPARED,
    only: Callable[..., bool] = lambda *_, **__: True,
) -> None:
    step = getattr(owner, name)
    left = [spared]

    def die_if_due(*arguments: Any) -> None:
        if only(*arguments):
            left[0] -= 1
            if left[0] < 0:
                os.killpg(os.getpgrp(), signal.SIGKILL)

    @functools.wraps(step)
    def wrapped(*arguments: Any, **options: Any) -> Any:
        if before:
            die_if_due(*arguments)
        try:
            return step(*arguments, **options)
        finally:
            if not before:
                die_if_due(*arguments)

    setattr(owner, name, wrapped)
