"""How many messages a consumer may have, and where they go from it."""

from types import SimpleNamespace
from typing import Any

import pytest

from contentworker.runtime.transport.messages import Delivery
from contentworker.runtime.transport.qos import FETCHED_AT_A_TIME, QoS


class Holder:
    """Notes what becomes of deliveries."""

    def __init__(self) -> None:
        self.held = 0
        self.noted: list[tuple[Any, ...]] = []

    def acknowledge(self, delivery: Delivery) -> None:
        self.noted.append(("acknowledge", delivery.tag))

    def give_back(self, delivery: Delivery, *, front: bool) -> None:
        self.noted.append(("give back", delivery.tag, front))


class Channel:
    """Of a connection whose consumers may have so much."""

    do_restore = False
    hold_across_connections = False

    def __init__(self) -> None:
        self.holder = Holder()
        self.restored: list[tuple[Any, bool]] = []

    def restore_unheld(self, message: Any, *, front: bool) -> None:
        self.restored.append((message, front))


@pytest.fixture
def channel() -> Channel:
    return Channel()


@pytest.fixture
def qos(channel: Channel) -> QoS:
    return QoS(channel)


def message(tag: str) -> Any:
    return SimpleNamespace(delivery=Delivery("me", 0, tag, "celery"))


@pytest.mark.parametrize(
    ("prefetch", "held", "can", "estimate"),
    [
        (0, 5000, True, 100),
        (4, 0, True, 4),
        (4, 3, True, 1),
        (4, 4, False, 0),
        (4, 5, False, 0),
        (500, 0, True, 100),
    ],
)
def test_how_many_it_may_take(
    qos: QoS, channel: Channel, prefetch: int, held: int, can: bool, estimate: int
) -> None:
    """As many as the prefetch count leaves, a hundred at a time; what the process holds counts."""
    assert FETCHED_AT_A_TIME == 100
    qos.prefetch_count, channel.holder.held = prefetch, held
    assert (qos.can_consume(), qos.can_consume_max_estimate()) == (can, estimate)


def test_one_at_a_time_without_prefetch(qos: QoS) -> None:
    """`--disable-prefetch` has Celery set its own `can_consume`, which counts what was received."""
    qos.prefetch_count = 8
    qos.can_consume = lambda: True  # type: ignore[method-assign]
    assert qos.can_consume_max_estimate() == 1


def test_what_becomes_of_a_delivery(qos: QoS, channel: Channel) -> None:
    """Rejected to the back, else one that is always rejected would stop the queue; each once."""
    for tag in "abc":
        qos.append(message(tag), tag)
    for _ in range(2):
        qos.ack("a")
        qos.reject("b", requeue=True)
        qos.reject("c")
    assert channel.holder.noted == [("acknowledge", "a"), ("give back", "b", False), ("acknowledge", "c")]


def test_all_go_back_in_their_order(qos: QoS, channel: Channel) -> None:
    """To the front, the last one first."""
    for tag in "ab":
        qos.append(message(tag), tag)
    qos.restore_unacked()
    assert channel.holder.noted == [("give back", "b", True), ("give back", "a", True)]
    qos.restore_unacked()
    assert len(channel.holder.noted) == 2


@pytest.mark.parametrize(("held", "given_back"), [(True, 0), (False, 1)])
def test_a_closed_channel(qos: QoS, channel: Channel, held: bool, given_back: int) -> None:
    """Gives them back, unless the process goes on with them."""
    channel.hold_across_connections = held
    qos.append(message("a"), "a")
    qos.restore_unacked_once()
    assert len(channel.holder.noted) == given_back


def test_a_message_without_a_lease(qos: QoS, channel: Channel) -> None:
    """It was broadcast: the channel sends it again, and an acknowledgement goes nowhere."""
    unheld: Any = SimpleNamespace(delivery=None)
    for tag in "abc":
        qos.append(unheld, tag)
    qos.ack("a")
    qos.reject("b", requeue=True)
    qos.restore_unacked()
    assert channel.restored == [(unheld, False), (unheld, True)]
    assert channel.holder.noted == []
