"""How a consumer waits for messages without polling.

After a fetch that found nothing, the consumer looks at all its lists once. In the same step it asks Redis to
tell it when one of them changes (`CLIENT TRACKING`). Until then it sends nothing.
"""

import logging
import math
import time
from collections.abc import Sequence
from typing import Any, Literal

from redis.exceptions import ResponseError

__all__ = ["PAUSE_SECONDS", "TOLD", "Waiting"]

logger = logging.getLogger(__package__)

WAIT_SECONDS = 20.0
"""Longest wait for a change. Then the consumer looks again, to see whether the connection still works."""
SHARE = 0.8
"""Longest wait as a share of `health_check_interval`: kombu cuts a connection that is silent for longer."""
PAUSE_SECONDS = 0.1
"""Time until the next look, if Redis cannot tell of changes, or if there was repeatedly nothing to take,
because other workers are faster or the queue is paused."""
TOLD = object()
"""What a read returns if Redis sent a notice instead of an answer: one of the lists has changed, or a managed
server moves."""


class Waiting:
    """What one consumer is waiting for on its connection, and what comes next."""

    def __init__(self) -> None:
        self.step: Literal["fetch", "look", "wait", "pause"] = "fetch"
        self._ends = 0.0
        self._is_told = True
        """Whether Redis tells this consumer of changes."""
        self._is_promised = False
        """Whether there should be messages, as Redis or a look said so, and none has come yet."""
        self._in_vain_at = 0.0
        """When there last were none, although there should have been."""

    @property
    def is_over(self) -> bool:
        """Whether a wait has lasted long enough, so that a look comes next."""
        return self.step == "wait" and time.monotonic() >= self._ends

    def end_soon(self) -> None:
        """Look again in the next turn of the event loop, because there is one more list."""
        self._ends = 0.0

    def send_look(
        self, connection: Any, keys: Sequence[str], *, in_loop: bool, health_check_interval: float | None
    ) -> None:
        """Ask Redis whether any of these keys exists, and to tell when one of them changes.

        It is only asked to tell in an event loop (`in_loop`): elsewhere nothing would end a wait.
        """
        self.step = "look"
        # Not with the answer: a queue that is added before it comes (`end_soon`) must end the wait, too.
        self._ends = time.monotonic() + min(WAIT_SECONDS, SHARE * (health_check_interval or math.inf))
        self._is_told &= in_loop and str(connection.get_protocol()) == "3"
        commands: list[tuple[str, ...]] = [("EXISTS", *keys)]
        if self._is_told:
            # Only about the keys that this look reads (OPTIN): a busy worker is told nothing.
            commands[:0] = [("CLIENT", "TRACKING", "ON", "OPTIN"), ("CLIENT", "CACHING", "YES")]
        connection.send_packed_command(connection.pack_commands(commands))

    def read(self, connection: Any) -> Any:
        """Read the answer to the current command, or `TOLD`.

        After `TOLD` during a fetch or a pause, its own answer is still to come.
        """
        if self.step == "look":
            return self._read_look(connection)
        # Return if Redis sends a notice: to read on would block the event loop.
        answer = _receive(connection)
        # The command's answer may have come with it. Then it is in the parser, where no poll sees it.
        while answer is TOLD and self.step != "wait" and connection.can_read():
            answer = _receive(connection)
        return answer

    def hear(self, connection: Any) -> None:
        """Read a notice of Redis, and ignore it: nothing waits, and the next step looks anyway."""
        _receive(connection)

    def _read_look(self, connection: Any) -> Any:
        """Whether any of the keys exists; `TOLD` if one has changed meanwhile."""
        for _ in range(2 * self._is_told):
            try:
                connection.read_response()
            except ResponseError as error:  # from a proxy, or the user may not use it
                if self._is_told:
                    logger.warning("Redis cannot tell of new messages, so this worker polls: %s", error)
                self._is_told = False
        found = connection.read_response()
        # What came right after it is in the parser, where no poll sees it.
        return TOLD if not found and self._is_told and connection.can_read() else found

    def waits_after_look(self, is_found: bool) -> bool:
        """Choose the next step after a look; return whether it is to wait."""
        if is_found:
            self._is_promised = True
            self.step = "fetch"
        elif self._is_told and not self._is_often_in_vain():
            self.step = "wait"
        else:
            self.step = "pause"
        return self.step == "wait"

    def after_wait(self, is_told: bool) -> None:
        """Choose the next step after a wait or a pause, or after a look during which a list has changed."""
        self._is_promised = is_told
        self.step = "look"

    def after_fetch(self, is_found: bool) -> None:
        """Choose the next step after a fetch."""
        if is_found:
            self._is_promised = False
        else:
            self.step = "pause" if self._is_often_in_vain() else "look"

    def _is_often_in_vain(self) -> bool:
        """Note that there was no message. True if there should have been one, here and just before."""
        is_promised, self._is_promised = self._is_promised, False
        now, before = time.monotonic(), self._in_vain_at
        if is_promised:
            self._in_vain_at = now
        return is_promised and now - before < 2 * PAUSE_SECONDS


def _receive(connection: Any) -> Any:
    """Read the next answer, or `TOLD`."""
    parser = connection._parser  # noqa: SLF001 (redis-py has no other way to tell one from the other)
    parser.handle_push_response = lambda said: (type(parser).handle_push_response(parser, said), TOLD)[1]
    return connection.read_response(push_request=True)
