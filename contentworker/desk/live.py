"""One stream of names and numbers for each open page, which then fetches what has changed. Never a text."""

import asyncio
import json
import logging
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import suppress

from starlette.concurrency import run_in_threadpool
from starlette.responses import Response, StreamingResponse

from contentworker.desk.people import EVERYONE, Person

__all__ = ["Live", "Read"]

logger = logging.getLogger(__name__)

Read = Callable[[], Mapping[str, float]]
"""Returns the numbers of one part of the desk, by their names, such as `review.open`."""

PERIOD_SECONDS = 2.0
HEARTBEAT_SECONDS = 15.0
"""Longest silence: proxies close a connection on which nothing comes, often after 30 or 60 s."""
LONGEST_SECONDS = 600.0
"""A stream ends then, and the browser asks again: a person who is signed out by now gets no other."""
MOST_STREAMS = 200
MOST_STREAMS_OF_A_PERSON = 20


class Live:
    """What the open pages are told. It reads only while somebody looks, once for all of them."""

    def __init__(self) -> None:
        self._sources: dict[str, tuple[Read, frozenset[str]]] = {}
        self._away: set[str] = set()
        self._numbers: dict[str, Mapping[str, float]] = {}
        self._changed = asyncio.Event()
        self._streams: Counter[str] = Counter()
        self._watcher: asyncio.Task[None] | None = None
        self._is_closed = False

    def add(self, name: str, read: Read, roles: frozenset[str] = EVERYONE) -> None:
        """Have numbers of a part of the desk read in a thread every 2 s, for people with one of these roles.

        `NAME.open` is shown in the navigation beside the page `/NAME`. While the source raises, its numbers
        are gone, and `NAME.away` is 1.
        """
        self._sources[name] = read, roles

    def answer(self, person: Person) -> Response:
        """A stream of server-sent events for a person; 503 if there are too many."""
        is_full = (
            self._streams.total() >= MOST_STREAMS or self._streams[person.name] >= MOST_STREAMS_OF_A_PERSON
        )
        if is_full or self._is_closed:
            return Response(status_code=503, headers={"Retry-After": "60"})
        # nginx would keep the events until its buffer is full.
        unbuffered = {"X-Accel-Buffering": "no"}
        return StreamingResponse(self._events(person), media_type="text/event-stream", headers=unbuffered)

    def close(self) -> None:
        """End all streams: a server that shuts down waits for them."""
        self._is_closed = True
        self._wake()

    async def _events(self, person: Person) -> AsyncIterator[str]:
        self._streams[person.name] += 1
        if self._watcher is None:
            self._watcher = asyncio.create_task(self._watch())
        sent: dict[str, float] = {}
        try:
            yield "retry: 5000\n\n"
            until = asyncio.get_running_loop().time() + LONGEST_SECONDS
            while not self._is_closed and asyncio.get_running_loop().time() < until:
                changed, now = self._changed, self._numbers_for(person)
                news = {name: now.get(name) for name in {*now, *sent} if now.get(name) != sent.get(name)}
                yield f"data: {json.dumps(news)}\n\n" if news else ": still here\n\n"
                sent = now
                with suppress(TimeoutError):
                    await asyncio.wait_for(changed.wait(), HEARTBEAT_SECONDS)
        finally:
            self._streams[person.name] -= 1
            self._streams += Counter()  # forget those who have none
            if not self._streams and self._watcher:
                self._watcher.cancel()
                self._watcher = None

    def _numbers_for(self, person: Person) -> dict[str, float]:
        numbers: dict[str, float] = {}
        for name, its in self._numbers.items():
            if person.roles & self._sources[name][1]:
                numbers.update(its)
        return numbers

    async def _watch(self) -> None:
        while True:
            numbers = await run_in_threadpool(self._read)
            if numbers != self._numbers:
                self._numbers = numbers
                self._wake()
            await asyncio.sleep(PERIOD_SECONDS)

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    def _read(self) -> dict[str, Mapping[str, float]]:
        numbers: dict[str, Mapping[str, float]] = {}
        for name, (read, _) in self._sources.items():
            try:
                numbers[name] = read()
                self._away.discard(name)
            except Exception as error:  # noqa: BLE001 (whatever one part raises, the others go on)
                numbers[name] = {f"{name}.away": 1}
                if name not in self._away:
                    self._away.add(name)
                    logger.warning("The desk has no news of %s: %s", name, type(error).__name__)
        return numbers
