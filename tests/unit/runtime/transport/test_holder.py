"""What a process holds, and what it tells Redis of it: without a Redis and without threads."""

import threading
from collections.abc import Iterator
from typing import Any
from unittest.mock import MagicMock

import pytest
import redis

from contentworker.runtime.transport import holder as holder_module
from contentworker.runtime.transport.holder import Holder
from contentworker.runtime.transport.messages import Delivery
from contentworker.runtime.transport.protocol import Protocol

Calls = list[tuple[Any, ...]]


class Steps:
    """The protocol's steps: it notes each and does none. `error` is what they raise."""

    def __init__(self) -> None:
        self.taken: Calls = []
        self.error: Exception | None = None
        self.answers: dict[str, Any] = {"delay": True, "held": []}

    def __getattr__(self, name: str) -> Any:
        def step(*arguments: Any, **options: Any) -> Any:
            if self.error:
                raise self.error
            self.taken.append((name, *arguments[1:], *([options] if options else [])))
            # As many as there are tags, where it acknowledges.
            return self.answers.get(name, len(arguments) - 1)

        return step

    fetched = staticmethod(Protocol.fetched)


@pytest.fixture
def steps() -> Steps:
    return Steps()


@pytest.fixture
def holder(steps: Steps, monkeypatch: pytest.MonkeyPatch) -> Iterator[Holder]:
    """A holder with a lease, whose threads do not run."""
    monkeypatch.setattr(holder_module, "_holders", {})
    monkeypatch.setattr(holder_module, "_when_fenced", [])
    monkeypatch.setattr(holder_module, "STOP_SECONDS", 0)
    holder = Holder(MagicMock())
    holder.protocol = holder.lease._protocol = steps  # type: ignore[assignment]
    holder.lease._threads = [threading.current_thread()]
    holder.lease.start()
    steps.taken.clear()
    yield holder
    holder.stop()


def take(holder: Holder, *marked: str, acknowledged: int = 0) -> list[Delivery]:
    """Take messages with these tags, as Redis answers them."""
    answer: list[Any] = [acknowledged]
    for tag in marked:
        answer += [tag.encode(), b"celery", b"{}"]
    return [each for each, _ in holder.take(holder.next_fetch(), [*answer, b"", 0])]


def test_a_fetch_takes_along_what_is_acknowledged(holder: Holder, steps: Steps) -> None:
    """Once, and each fetch has a number of its own."""
    one, two = take(holder, "1-0", "1-1")
    assert holder.held == 2
    holder.acknowledge(one)
    holder.acknowledge(one)
    first, second = holder.next_fetch(), holder.next_fetch()
    assert (first.number + 1, first.acknowledged) == (second.number, ("1-0",))
    assert second.acknowledged == ()
    assert holder.held == 1
    holder.acknowledge(two)
    holder.flush()
    holder.flush()
    assert steps.taken == [("acknowledge", "1-1")]


def test_a_noted_start_is_deleted_with_its_message(holder: Holder, steps: Steps) -> None:
    """Otherwise a hash in Redis would keep it. Nothing of a message that goes back stays here."""
    one, two, back = take(holder, "1-0#1", "1-1", "1-2#1")
    holder.note_start(back)
    holder.give_back(back, front=True)
    assert not holder._noted
    steps.taken.clear()
    holder.note_start(one)
    holder.acknowledge(one)
    holder.acknowledge(two)
    holder.flush()
    assert steps.taken == [("start", "1-0"), ("acknowledge", "1-0", "started:1-0", "1-1")]


@pytest.mark.parametrize("begins", [False, True])
def test_a_message_that_has_ended_a_worker_is_noted_while_it_is_received(
    holder: Holder, steps: Steps, begins: bool
) -> None:
    """And no longer, unless its work has begun meanwhile, as in a pool of this process alone."""
    (delivery,) = take(holder, "1-0#1")
    with holder.receiving(delivery):
        assert steps.taken == [("start", "1-0")]
        if begins:
            holder.note_start(delivery)
    noted = [("start", "1-0")] if begins else [("acknowledge", "started:1-0")]
    assert steps.taken[1:] == noted
    steps.taken.clear()
    (harmless,) = take(holder, "2-0")
    with holder.receiving(harmless):
        pass
    assert steps.taken == []


def test_a_message_that_has_ended_while_it_was_received(holder: Holder, steps: Steps) -> None:
    """As with `--pool=solo`. Its start is deleted together with it: earlier, that would be an overlap."""
    (delivery,) = take(holder, "1-0#1")
    with holder.receiving(delivery):
        holder.note_start(delivery)
        holder.acknowledge(delivery)
    holder.flush()
    assert steps.taken == [("start", "1-0"), ("start", "1-0"), ("acknowledge", "1-0", "started:1-0")]


def test_a_start_that_cannot_be_noted_stops_no_work(
    holder: Holder, steps: Steps, caplog: pytest.LogCaptureFixture
) -> None:
    """It is not deleted later either."""
    (delivery,) = take(holder, "1-0#1")
    steps.error = redis.exceptions.ConnectionError("refused")
    holder.note_start(delivery)
    steps.error = None
    holder.acknowledge(delivery)
    holder.flush()
    assert steps.taken == [("acknowledge", "1-0")]
    assert "The start of message 1-0 could not be noted: refused" in caplog.text


@pytest.mark.parametrize(
    ("options", "deaths"), [({}, 0), ({"counted": True}, 1), ({"delivered": False}, None)], ids=str
)
def test_what_goes_back_is_marked(
    holder: Holder, steps: Steps, options: dict[str, bool], deaths: int | None
) -> None:
    """Once; with a death where it ended the worker, and not at all where no consumer saw it."""
    (delivery,) = take(holder, "1-0")
    for _ in range(2):
        holder.give_back(delivery, front=True, **options)
    assert steps.taken == [("give_back", "1-0", {"front": True, "deaths": deaths})]
    assert holder.held == 0


@pytest.mark.parametrize("delayed", [True, False])
def test_a_delayed_message_is_not_held(holder: Holder, steps: Steps, delayed: bool) -> None:
    """One that is due already stays."""
    (delivery,) = take(holder, "1-0")
    steps.answers["delay"] = delayed
    assert holder.delay(delivery, 5) is delayed
    assert holder.held == (0 if delayed else 1)


def test_a_cancelled_fetch_acknowledges_what_it_took_along(holder: Holder, steps: Steps) -> None:
    """First, as what it took may go back together with it."""
    (delivery,) = take(holder, "1-0")
    holder.acknowledge(delivery)
    fetch = holder.next_fetch()
    holder.cancel_fetch(fetch)
    assert steps.taken == [("acknowledge", "1-0"), ("cancel_fetch", fetch.number)]


@pytest.mark.parametrize(("counted", "reported"), [(1, True), (2, False)])
def test_an_acknowledgement_that_comes_too_late_is_reported(
    holder: Holder, steps: Steps, caplog: pytest.LogCaptureFixture, counted: int, reported: bool
) -> None:
    """By a fetch and by a flush: another worker had the message by then."""
    for tags in (("1-0", "1-1"), ("2-0", "2-1")):
        for delivery in take(holder, *tags):
            holder.acknowledge(delivery)
        if tags[0] == "1-0":
            holder.take(holder.next_fetch(), [counted, 0])
        else:
            steps.answers["acknowledge"] = counted
            holder.flush()
        assert (f"Overlap: message {tags[0]} of" in caplog.text) is reported


def test_only_messages_that_stay_unknown_are_put_back(holder: Holder, steps: Steps) -> None:
    """Not at first sight, and never one that is held, or that a fetch under way brings or acknowledges."""
    kept, done = take(holder, "1-0", "1-1")
    holder.acknowledge(done)
    coming = f"{holder.next_fetch().number}-0"
    holder.acknowledge(take(holder, "3-0")[0])
    steps.answers["held"] = ["1-0", "1-1", "0-7", coming, "3-0"]
    holder.reconcile()
    steps.answers["held"] = ["1-0", "1-1", "0-7", coming, "3-0", "0-8"]
    holder.reconcile()
    assert steps.taken == [("held",), ("held",), ("give_back", "0-7", {"front": True})]
    steps.error = redis.exceptions.ConnectionError("refused")
    holder.give_back(kept, front=True)
    steps.error = None
    steps.taken.clear()
    holder.reconcile()  # a step still waits
    assert steps.taken == []


def test_a_lost_lease_ends_all_work(holder: Holder, steps: Steps, caplog: pytest.LogCaptureFixture) -> None:
    """What was acknowledged and not sent is sent under the old name, then the rest is released."""
    ended: list[int] = []
    holder_module.when_fenced(lambda: ended.append(holder.held))
    running, done = take(holder, "1-0", "1-1")
    holder.acknowledge(done)
    epoch = holder.lease.validity.epoch
    holder.fence("it was cut off", overlaps=True)
    assert (ended, holder.held, holder.lease.name) == ([0], 0, "")
    assert holder.lease.validity.epoch == epoch + 1
    assert not holder.lease.validity.covers(running.epoch)
    assert "Lease lost (it was cut off): the work on 1 message is stopped" in caplog.text
    assert [tag in caplog.text for tag in ("message 1-0", "message 1-1")] == [True, True]
    holder.lease.outbox.send()
    assert steps.taken == [("acknowledge", "1-1"), ("release",)]
    holder.fence("once more", overlaps=True)
    assert len(ended) == 1


def test_a_lease_without_work_is_lost_silently(holder: Holder, caplog: pytest.LogCaptureFixture) -> None:
    """There is nothing to stop."""
    ended: list[None] = []
    holder_module.when_fenced(lambda: ended.append(None))
    holder.fence("it was cut off", overlaps=False)
    assert (ended, caplog.text) == ([], "")


def test_the_answer_to_a_fetch_of_a_lost_lease_is_dropped(holder: Holder) -> None:
    """Its messages go back with the rest of that name."""
    fetch = holder.next_fetch()
    holder.fence("it was cut off", overlaps=False)
    assert holder.take(fetch, [0, b"1-0", b"celery", b"{}", 0]) == []
    assert holder.held == 0


def test_a_fetch_without_a_lease_ends_all_work(holder: Holder) -> None:
    """Redis says so; about an earlier lease it is no news."""
    old = holder.next_fetch()
    holder.take(holder.next_fetch(), [-1, b"", 0])
    assert holder.lease.name == ""
    holder.lease.start()
    name = holder.lease.name
    assert holder.take(old, [-1, b"", 0]) == []
    assert holder.lease.name == name != ""


def test_an_orderly_end_gives_everything_back(
    holder: Holder, steps: Steps, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Acknowledgements first. Without Redis it says what will happen."""
    _, done = take(holder, "1-0", "1-1")
    holder.acknowledge(done)
    monkeypatch.setattr(holder_module, "STOP_SECONDS", 3)
    holder.stop()
    assert steps.taken == [("acknowledge", "1-1"), ("release",)]
    assert (holder.held, holder.lease.name, caplog.text) == (0, "", "")
    assert holder_module._holders == {}


def test_an_end_without_redis_says_what_follows(
    holder: Holder, steps: Steps, caplog: pytest.LogCaptureFixture
) -> None:
    """The messages are delivered again."""
    steps.error = redis.exceptions.ConnectionError("refused")
    holder.stop()
    assert "Redis is unreachable: unacknowledged messages will be delivered again" in caplog.text
