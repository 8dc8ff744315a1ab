"""Messages as a worker holds them: kombu's message with its delivery, and when it is due."""

import re
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

from kombu.transport import virtual
from kombu.utils.json import dumps

from contentworker.runtime.transport.protocol import Fetched

if TYPE_CHECKING:
    from contentworker.runtime.transport.limits import Refusal
    from contentworker.runtime.transport.uniqueness import Claim

__all__ = ["Delivery", "DueHeaders", "LeasedMessage", "delivery_of", "due_milliseconds"]


class Delivery(NamedTuple):
    """A message that this process holds."""

    holder: str
    epoch: int
    tag: str
    list_key: str
    deliveries: int = 0
    """How many workers died while they had it."""
    redelivered: bool = False
    """Whether a consumer has had it before."""
    partition: str = ""
    """What its limit counts it with, if it has a place there."""


_DELIVERIES = re.compile(rb'{"deliveries":(\d{1,9}),')
"""Where the previous release wrote the count of deaths: into the message. It is added to the new count."""


def delivery_of(taken: Fetched, holder: str, epoch: int) -> Delivery:
    """Make a delivery of a fetched message. `epoch`: how many leases this process has lost so far."""
    before = _DELIVERIES.match(taken.raw)
    counted = (taken.deaths or 0) + (int(before[1]) if before else 0)
    redelivered = bool(before) or taken.deaths is not None
    return Delivery(holder, epoch, taken.tag, taken.list_key, counted, redelivered, taken.partition)


class DueHeaders(dict[str, Any]):
    """Headers of a message that has waited in Redis until it was due.

    Celery's `Request` reads the ETA with `get`, and would wait for it again, by its own clock. The task gets
    the items, and so sees the ETA that was sent.
    """

    def get(self, key: str, default: Any = None) -> Any:
        """The value of a header; none for `eta`."""
        return None if key == "eta" else super().get(key, default)

    def copy(self) -> "DueHeaders":
        """A copy that hides `eta` too."""
        return DueHeaders(self)

    def __reduce__(self) -> Any:
        return dict, (dict(self),)


class LeasedMessage(virtual.Message):
    """A message with its delivery: which holder has it, and under which tag."""

    properties: dict[str, Any]
    headers: Any
    delivery_info: dict[str, Any] | None

    def __init__(self, payload: Any, channel: Any = None, **options: Any) -> None:
        super().__init__(payload, channel=channel, **options)
        self.delivery: Delivery | None = None
        """None if it came without a lease: it was broadcast, or needs no acknowledgement."""
        self.deliveries: int = 0
        """How many workers died while they had it."""
        self.claim: Claim | None = None
        """The claim of a unique message to its lock, as long as it may have the lock."""
        self.refusal: Refusal | None = None
        """Why it must not run; None if it may."""

    @cached_property
    def raw(self) -> bytes:
        """The bytes as they were in Redis; encoded again if the message came without a lease."""
        return str(dumps(self._raw)).encode()

    def deliver_as(self, delivery: Delivery, uid: str, raw: bytes) -> None:
        """Set the delivery. `uid` is its holder's. `_raw` stays as it was in Redis."""
        self.delivery, self.raw, self.deliveries = delivery, raw, delivery.deliveries
        self.delivery_tag = delivery.tag
        held = [uid, delivery.epoch, delivery.holder, delivery.tag]
        self.properties = {**self.properties, "held": held}
        self.delivery_info = {**(self.delivery_info or {})}
        if delivery.redelivered:  # set it in both places where kombu has it
            self.delivery_info["redelivered"] = True
            if isinstance(self.headers, dict):
                self.headers = self.headers.copy()
                self.headers["redelivered"] = True


def due_milliseconds(headers: Any) -> int | None:
    """When a task message is due, in milliseconds since 1970; None if it has no readable ETA."""
    if not isinstance(headers, dict) or not isinstance(eta := headers.get("eta"), str):
        return None
    try:
        moment = datetime.fromisoformat(eta)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        return int(moment.timestamp() * 1000)
    except (ValueError, OverflowError):
        return None
