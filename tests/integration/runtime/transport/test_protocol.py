"""The protocol's steps in any order, against a model of what Redis must hold after each.

Redis is real. One machine takes the steps themselves, one watches leases by clocks that the test moves.
"""

import itertools
import math
import os
import re
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from hashlib import sha1
from types import SimpleNamespace
from typing import Any, NoReturn

import pytest
import redis
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    precondition,
    rule,
    run_state_machine_as_test,
)

from contentworker.runtime.transport import holder as holder_module
from contentworker.runtime.transport import protocol as protocol_module
from contentworker.runtime.transport import validity
from contentworker.runtime.transport.holder import Holder
from contentworker.runtime.transport.keys import (
    DELAYED,
    LEASES,
    PARKED,
    PREFIX,
    RENEWED,
    RETURNED,
    held_key,
    started_field,
)
from contentworker.runtime.transport.lease import BEAT_SECONDS, FENCE_SECONDS, LEASE_SECONDS
from contentworker.runtime.transport.messages import Delivery
from contentworker.runtime.transport.protocol import (
    CALM_SECONDS,
    SILENT_SECONDS,
    Beat,
    HolderGoneError,
    Protocol,
)
from contentworker.runtime.transport.stored import record

BOUNDED = settings(
    max_examples=300 if os.environ.get("CI") else 60,  # 300 take two minutes
    stateful_step_count=50,
    deadline=None,
    database=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)

LISTS = ("celery", "celery\x06\x163", "celery\x06\x166", "rewrite", "rewrite\x06\x169")
WEEK_SECONDS = 7 * 86_400
NEVER = 10**11
"""Seconds since 1970 of a moment that does not come during a test; all below 10 are over."""

moments = st.integers(0, 9) | st.just(NEVER)

some_lists = st.lists(st.sampled_from(LISTS), min_size=1, unique=True)
bodies = st.one_of(
    st.just(b""),
    st.binary(max_size=12),
    st.sampled_from(
        [
            b"\xff\xfe{",
            b"1\nrewrite\nsomebody/1-0\n{}",
            b"\n\n",
            b"{",
            b"{}",
            b"[]",
            b'{"',
            b'{\n  "body": "\\u00e9\\n"\n}',
            b'{"deliveries":',
            b'{"deliveries":"many","body":1}',
            b'{"deliveries":9,"body":1}',
        ]
    ),
    st.builds(b'{"id":%d,"body":"\xc3\xa9"}'.__mod__, st.integers(0, 99)),
)


def deaths_after(raw: bytes, before: int | None, *, started: bool) -> int:
    """How many deaths are counted for a message whose worker died: one more, where that counts."""
    again = before or re.match(rb'{"deliveries":\d+,', raw)
    return (before or 0) + (1 if started or not again else 0)


@dataclass
class Message:
    """One message, wherever it is."""

    number: int
    key: str
    raw: bytes
    started: bool = False
    deaths: int | None = None
    """While it is in no list: how many workers died of it; None where no consumer has had it."""

    @property
    def mark(self) -> str:
        return "" if self.deaths is None else f"#{self.deaths}"


@dataclass
class HolderModel:
    """What the model knows of a holder; without a lease it holds nothing."""

    renewals: int | None = None
    fetches: int = 8  # so that numbers soon have two digits
    cancelled: int = 0
    held: dict[str, Message] = field(default_factory=dict)
    origin: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Fetch:
    """A fetch that was sent, with what it acknowledges; it may be executed late, or never."""

    holder: str
    number: int
    limit: int
    lists: tuple[str, ...]
    acknowledged: tuple[str, ...] = ()


class ProtocolMachine(RuleBasedStateMachine):
    """Every step by every holder, alive or taken for dead. Lists are kept in the order of their fetching."""

    client: redis.Redis

    holders = Bundle("holders")
    sent = Bundle("sent")
    fetches = Bundle("fetches")

    def __init__(self) -> None:
        super().__init__()
        self.client.flushall()
        self.protocol = Protocol(self.client)
        self.lists: dict[str, list[Message]] = {key: [] for key in LISTS}
        self.marks: dict[str, dict[str, int]] = {key: {} for key in LISTS}
        self.delayed: dict[bytes, tuple[int, Message]] = {}
        self.known: dict[str, HolderModel] = {}
        self.numbers = itertools.count(1)
        self.taken: list[tuple[str, str]] = []
        self.published = 0
        self.finished: set[int] = set()

    def message(self, key: str, raw: bytes) -> Message:
        self.published += 1
        return Message(self.published, key, raw)

    def put_back(self, messages: list[Message]) -> None:
        for message in reversed(messages):
            self.lists[message.key].insert(0, self.let_go(message))

    def let_go(self, message: Message) -> Message:
        """It goes into its list, and its mark beside it."""
        if message.deaths is not None:
            marks, digest = self.marks[message.key], sha1(message.raw).hexdigest()
            marks[digest] = max(message.deaths, marks.get(digest, 0))
        message.started, message.deaths = False, None
        return message

    @initialize(target=holders)
    def first(self) -> Any:
        """Two workers, to begin with."""
        return multiple(self.register(), self.register())

    @rule(target=holders)
    def register_another(self) -> str:
        """A worker starts, or gets a new lease."""
        return self.register()

    def register(self) -> str:
        name = f"holder{len(self.known)}"
        self.protocol.register(name)
        self.known[name] = HolderModel(renewals=0)
        return name

    @rule(key=st.sampled_from(LISTS), raws=st.lists(bodies, min_size=1, max_size=4))
    def publish(self, key: str, raws: list[bytes]) -> None:
        """As any client does."""
        self.client.lpush(key, *raws)
        self.lists[key] += [self.message(key, raw) for raw in raws]

    @rule(key=st.sampled_from(LISTS), raw=bodies, due=moments)
    def publish_delayed(self, key: str, raw: bytes, due: int) -> None:
        """With an ETA."""
        due = self.unique(due)
        origin = f"sender-{self.published}"
        text = raw.decode("utf-8", "surrogateescape")
        member = record(key, origin, text).encode("utf-8", "surrogateescape")
        self.client.zadd(DELAYED, {member: due})
        self.delayed[member] = (due, self.message(key, raw))

    def unique(self, due: int) -> int:
        """No two are due at the same moment: either could be first."""
        return due * 1000 + next(self.numbers)

    @rule(target=sent, data=st.data(), holder=holders, limit=st.integers(0, 4), lists=some_lists)
    def send_fetch(self, data: st.DataObject, holder: str, limit: int, lists: list[str]) -> Fetch:
        """A fetch gets its number; Redis will see it later, or not at all."""
        return self.new_fetch(data, holder, limit, lists)

    def new_fetch(self, data: st.DataObject, holder: str, limit: int, lists: Sequence[str]) -> Fetch:
        model = self.known[holder]
        model.fetches += 1
        ours = [tag for name, tag in self.taken if name == holder]
        acknowledged = data.draw(st.lists(st.sampled_from(ours), unique=True, max_size=2)) if ours else []
        return Fetch(holder, model.fetches, limit, tuple(lists), tuple(acknowledged))

    @rule(fetch=consumes(sent))
    def execute_fetch(self, fetch: Fetch) -> None:
        """Redis sees a fetch. It does not know whether the answer arrives."""
        self.execute(fetch)

    @rule(fetch=consumes(sent), back=st.just(0) | st.integers(0, 2))
    def execute_cancelled_fetch(self, fetch: Fetch, back: int) -> None:
        """A fetch that was given up arrives after all: it takes nothing."""
        self.cancel(fetch.holder, fetch.number + back)
        self.execute(fetch)

    @rule(data=st.data(), holder=holders, limit=st.integers(1, 2))
    def fetch(self, data: st.DataObject, holder: str, limit: int) -> None:
        """The two at once, from everywhere, as it mostly is."""
        self.execute(self.new_fetch(data, holder, limit, LISTS))

    def execute(self, fetch: Fetch) -> None:
        model = self.known[fetch.holder]
        fields = self.fields(fetch.holder, fetch.acknowledged)
        answer = self.protocol.fetch(fetch.holder, fetch.number, fetch.limit, fetch.lists, fields)
        done = self.finish(fetch.holder, fetch.acknowledged)
        if model.renewals is None:
            with pytest.raises(HolderGoneError):
                self.protocol.fetched(answer)
            return
        taken = [] if fetch.number <= model.cancelled else self.take(fetch)
        acknowledged, found = self.protocol.fetched(answer)
        assert acknowledged == done
        assert [each[1:4] for each in found] == [(each.key, each.raw, each.deaths) for each in taken]
        for each, message in zip(found, taken, strict=True):
            model.held[each.tag] = message
            model.origin[each.tag] = f"{fetch.holder}/{each.tag}{message.mark}"
            self.taken.append((fetch.holder, each.tag))

    def take(self, fetch: Fetch) -> list[Message]:
        taken: list[Message] = []
        for key in fetch.lists:
            marks, number = self.marks[key], len(taken)
            are_any = bool(marks)
            while self.lists[key] and len(taken) < fetch.limit:
                taken.append(self.lists[key].pop(0))
                taken[-1].deaths = marks.pop(sha1(taken[-1].raw).hexdigest(), None)
            if are_any and number < len(taken) < fetch.limit:  # there is no message left that they are of
                marks.clear()
        return taken

    def fields(self, holder: str, tags: Sequence[str]) -> list[str]:
        """What a worker deletes to acknowledge: also that it had noted the start."""
        held = self.known[holder].held
        return [*tags, *(started_field(tag) for tag in tags if tag in held and held[tag].started)]

    def finish(self, holder: str, tags: Sequence[str]) -> int:
        """Count what an acknowledgement deletes."""
        count = len(self.fields(holder, [tag for tag in tags if tag in self.known[holder].held]))
        for tag in tags:
            if message := self.known[holder].held.pop(tag, None):
                self.finished.add(message.number)
        return count

    def delivery(self, data: st.DataObject) -> tuple[str, str]:
        """One that is held, if there is any, or one that was taken and may be gone."""
        held = [(name, tag) for name, model in self.known.items() for tag in model.held]
        return data.draw(st.sampled_from(held or self.taken) | st.sampled_from(self.taken))

    @rule(holder=holders, back=st.integers(0, 3))
    def cancel_fetch(self, holder: str, back: int) -> None:
        """The answer of a fetch was lost: what it took goes back, also if Redis has not seen it yet."""
        self.cancel(holder, self.known[holder].fetches - back)

    def cancel(self, holder: str, number: int) -> None:
        model = self.known[holder]
        self.protocol.cancel_fetch(holder, number)
        if model.renewals is None:
            return
        model.cancelled = max(model.cancelled, number)
        tags = [tag for tag in model.held if tag.split("-")[0] == str(number)]
        tags.sort(key=lambda tag: int(tag.split("-")[1]))
        self.put_back([model.held.pop(tag) for tag in tags])

    @precondition(lambda self: self.taken)
    @rule(data=st.data())
    def acknowledge(self, data: st.DataObject) -> None:
        """Also twice, and by a holder that has lost the message: then it counts 0, and nothing goes."""
        holder, tag = self.delivery(data)
        count = self.protocol.acknowledge(holder, *self.fields(holder, [tag]))
        assert count == self.finish(holder, [tag])

    @precondition(lambda self: self.taken)
    @rule(data=st.data())
    def note_start(self, data: st.DataObject) -> None:
        """Work begins."""
        holder, tag = self.delivery(data)
        message = self.known[holder].held.get(tag)
        self.protocol.start(holder, tag)
        if message is not None:
            message.started = True

    @precondition(lambda self: self.taken)
    @rule(data=st.data(), front=st.booleans(), deaths=st.sampled_from([None, 0, 1]))
    def give_back(self, data: st.DataObject, front: bool, deaths: int | None) -> None:
        """To the front or to the back, and nothing if the holder has lost it."""
        holder, tag = self.delivery(data)
        message = self.known[holder].held.pop(tag, None)
        assert self.protocol.give_back(holder, tag, front=front, deaths=deaths) is (message is not None)
        if message is None:
            return
        if deaths is not None:
            message.deaths = (message.deaths or 0) + deaths
        if front:
            self.put_back([message])
        else:
            self.lists[message.key].append(self.let_go(message))

    @precondition(lambda self: self.taken)
    @rule(data=st.data(), due=moments)
    def delay(self, data: st.DataObject, due: int) -> None:
        """A message with an ETA is put off; one that is due already stays where it is."""
        holder, tag = self.delivery(data)
        due = self.unique(due)
        assert self.protocol.delay(holder, tag, due) is (due >= NEVER * 1000)
        model = self.known[holder]
        if due >= NEVER * 1000 and (message := model.held.pop(tag, None)):
            message.started = False
            member = f"1\n{message.key}\n{model.origin[tag]}\n".encode() + message.raw
            self.delayed[member] = (due, message)

    @precondition(lambda self: self.taken)
    @rule(data=st.data(), key=st.sampled_from(LISTS), raw=bodies, due=st.none() | moments)
    def replace(self, data: st.DataObject, key: str, raw: bytes, due: int | None) -> None:
        """A retry takes the place of the message that failed; of one that is another's by now it does not."""
        holder, tag = self.delivery(data)
        due = due if due is None else self.unique(due)
        text = raw.decode("utf-8", "surrogateescape")
        text = text if due is None else record(key, f"retry-{self.published}", text)
        member = text.encode("utf-8", "surrogateescape")
        held = self.known[holder].held.get(tag)
        replaced = self.protocol.replace(holder, tag, key, member, due)
        assert replaced is (held is not None)
        if held is None:
            return
        self.finish(holder, [tag])
        message = self.message(key, raw)
        if due is None:
            self.lists[key].append(message)
        else:
            self.delayed[member] = (due, message)

    @precondition(lambda self: self.delayed)
    @rule(data=st.data(), due=st.integers(0, 9))
    def time_passes(self, data: st.DataObject, due: int) -> None:
        """A delayed message becomes due."""
        member = data.draw(st.sampled_from(sorted(self.delayed)))
        due = self.unique(due)
        self.client.zadd(DELAYED, {member: due})
        self.delayed[member] = (due, self.delayed[member][1])

    @rule(holder=st.one_of(holders, st.just("")), promote=st.integers(1, 3))
    def beat(self, holder: str, promote: int) -> None:
        """Renew; what is due goes to the front. A holder without lease gets none by it."""
        beat = self.protocol.beat(holder, promote=promote, silent_seconds=-1)
        model = self.known.get(holder, HolderModel())
        assert beat.alive is (model.renewals is not None)
        if model.renewals is not None:
            model.renewals += 1
        due = sorted(
            (member for member in self.delayed if self.delayed[member][0] < NEVER * 1000),
            key=lambda member: self.delayed[member][0],
        )[:promote]
        assert beat.promoted == len(due)
        self.put_back([self.delayed.pop(member)[1] for member in due])
        assert beat.silent == self.leases()

    @rule(holder=holders, age=st.sampled_from([0, 0, 1]), started=st.integers(0, 2))
    def reclaim(self, holder: str, age: int, started: int) -> None:
        """A worker takes a holder for dead: right only if it has not renewed since it was looked at."""
        model = self.known[holder]
        for tag in list(model.held)[:started]:
            self.protocol.start(holder, tag)
            model.held[tag].started = True
        renewals = (model.renewals or 0) - age
        result = self.protocol.reclaim(holder, renewals)
        if model.renewals != renewals:
            assert result == (0, 0)
            return
        for message in model.held.values():
            message.deaths = deaths_after(message.raw, message.deaths, started=message.started)
        assert result == (len(model.held), 0)
        self.end_lease(model)

    @rule(holder=holders)
    def release(self, holder: str) -> None:
        """A holder ends in good order: nothing counts, and all of it comes back."""
        model = self.known[holder]
        assert self.protocol.release(holder) == len(model.held)
        for message in model.held.values():
            message.deaths = message.deaths or 0
        self.end_lease(model)

    def end_lease(self, model: HolderModel) -> None:
        tags = sorted(model.held, key=lambda tag: [int(part) for part in tag.split("-")])
        self.put_back([model.held.pop(tag) for tag in tags])
        model.renewals, model.cancelled = None, 0

    @rule(lists=some_lists)
    def purge(self, lists: list[str]) -> None:
        """Delayed messages of these lists go, and their marks, and no others."""
        gone = [member for member, (_, message) in self.delayed.items() if message.key in lists]
        assert self.protocol.purge(lists) == len(gone)
        for key in lists:
            self.marks[key].clear()
        self.finished.update(self.delayed.pop(member)[1].number for member in gone)

    def leases(self) -> dict[str, int]:
        return {name: model.renewals for name, model in self.known.items() if model.renewals is not None}

    @invariant()
    def model_is_consistent(self) -> None:
        """Every message that is not finished is in exactly one place."""
        places = [message.number for messages in self.lists.values() for message in messages]
        places += [message.number for _, message in self.delayed.values()]
        places += [message.number for model in self.known.values() for message in model.held.values()]
        assert sorted([*places, *self.finished]) == list(range(1, self.published + 1))

    @invariant()
    def redis_is_as_the_model(self) -> None:
        """The same bytes, in the same order, under the same keys, and nothing else."""
        names = list(self.known)
        with self.client.pipeline(transaction=True) as pipe:
            pipe.keys("*")
            pipe.hgetall(LEASES)
            pipe.zrange(DELAYED, 0, -1, withscores=True)
            pipe.zrange(RENEWED, 0, -1)
            for key in LISTS:
                pipe.lrange(key, 0, -1)
            for key in LISTS:
                pipe.hgetall(RETURNED + key)
            for name in names:
                pipe.hgetall(held_key(name))
            keys, leases, delayed, renewed, *found = pipe.execute()
        assert {name.decode(): int(renewals) for name, renewals in leases.items()} == self.leases()
        assert {name.decode() for name in renewed} == self.leases().keys()
        assert dict(delayed) == {member: due for member, (due, _) in self.delayed.items()}
        for key, messages in zip(LISTS, found, strict=False):
            assert messages[::-1] == [message.raw for message in self.lists[key]]
        for key, marks in zip(LISTS, found[len(LISTS) :], strict=False):
            assert {digest.decode(): int(deaths) for digest, deaths in marks.items()} == self.marks[key]
        for name, fields in zip(names, found[2 * len(LISTS) :], strict=True):
            model = self.known[name]
            expected = {
                tag.encode(): f"1\n{message.key}\n{name}/{tag}{message.mark}\n".encode() + message.raw
                for tag, message in model.held.items()
            }
            expected |= {
                started_field(tag).encode(): b"1" for tag, message in model.held.items() if message.started
            }
            if model.cancelled:
                expected[b"cancelled"] = str(model.cancelled).encode()
            assert fields == expected
            assert model.renewals is not None or not fields
        allowed = {PREFIX, LEASES, RENEWED, DELAYED, *LISTS, *map(held_key, names)}
        assert {key.decode() for key in keys} <= allowed.union(map(RETURNED.__add__, LISTS))


def test_every_step_in_any_order(redis_client: redis.Redis) -> None:
    """After each step of any history Redis holds what the model says: nothing lost, twice or changed."""
    ProtocolMachine.client = redis_client
    run_state_machine_as_test(ProtocolMachine, settings=BOUNDED)


@pytest.mark.parametrize(
    ("raw", "started", "counted"),
    [
        (b'{"body":1}', False, [1, 1]),
        (b'{"body":1}', True, [1, 2]),
        (b' {"body":1,"deliveries":0}', True, [1, 2]),
        (b"\xff\xfe", True, [1, 2]),
        (b"", True, [1, 2]),
        # By a worker of the release before, which counted in the message.
        (b'{"deliveries":2,"body":1}', False, [2, 2]),
        (b'{"deliveries":2,"body":1}', True, [3, 4]),
        (b'{"deliveries":%s,"body":1}' % (b"9" * 5000), True, [1, 2]),
    ],
)
def test_count_of_deaths(
    redis_client: redis.Redis, redis_url: str, raw: bytes, started: bool, counted: list[int]
) -> None:
    """The first counts for all that the dead worker had, each later one for what it had started.

    It is counted beside the message, whose bytes are its sender's: nothing in them changes the count.
    """
    redis_client.flushall()
    redis_client.lpush("celery", raw)
    protocol = Protocol(redis_client)
    for deaths in counted:
        protocol.register("dead")
        _, (message,) = protocol.fetched(protocol.fetch("dead", deaths, 1, ["celery"]))
        if started:
            protocol.start("dead", message.tag)
        assert protocol.reclaim("dead", 0) == (1, 0)
        assert redis_client.lrange("celery", 0, -1) == [raw]
        delivery, again = take_one(redis_url)
        assert (delivery.deliveries, delivery.redelivered, again) == (deaths, True, raw)


def take_one(redis_url: str) -> tuple[Delivery, bytes]:
    """Look at what the next worker is given, and have it back as if it had not been seen."""
    holder = Holder(redis.Redis.from_url(redis_url))
    try:
        holder.lease._threads = [threading.current_thread()]
        holder.lease.start()
        fetch = holder.next_fetch()
        (taken,) = holder.take(fetch, holder.protocol.fetch(fetch.holder, fetch.number, 1, ["celery"]))
        holder.give_back(taken[0], front=True, delivered=False)
        return taken
    finally:
        holder.lease._stopping = threading.Event()
        holder.stop()


@pytest.mark.parametrize(
    ("way", "marked", "deaths"),
    [
        ("reject", True, 0),
        ("counted", True, 1),
        ("release", True, 0),
        ("reclaim", True, 1),
        ("cancel", False, 0),
        ("not delivered", False, 0),
    ],
)
def test_what_comes_back_is_marked(
    redis_client: redis.Redis, redis_url: str, way: str, marked: bool, deaths: int
) -> None:
    """All that a consumer has had, by each way back, and nothing else; the mark goes with the message."""
    redis_client.flushall()
    redis_client.lpush("celery", b'{"id":1}')
    protocol = Protocol(redis_client)
    protocol.register("holder")
    _, ((tag, *_),) = protocol.fetched(protocol.fetch("holder", 1, 1, ["celery"]))
    match way:
        case "reject":
            protocol.give_back("holder", tag, front=False)
        case "counted":
            protocol.give_back("holder", tag, front=True, deaths=1)
        case "release":
            protocol.release("holder")
        case "reclaim":
            protocol.reclaim("holder", 0)
        case "cancel":
            protocol.cancel_fetch("holder", 1)
        case _:
            protocol.give_back("holder", tag, front=True, deaths=None)
    delivery, raw = take_one(redis_url)
    assert (delivery.redelivered, delivery.deliveries, raw) == (marked, deaths, b'{"id":1}')
    # Delayed and due again it keeps its mark; acknowledged it leaves nothing.
    protocol.register("next")
    _, ((tag, *_),) = protocol.fetched(protocol.fetch("next", 1, 1, ["celery"]))
    assert protocol.delay("next", tag, NEVER * 1000)
    protocol.hand_back()
    _, ((tag, _, _, found, _),) = protocol.fetched(protocol.fetch("next", 2, 1, ["celery"]))
    assert found == (deaths if marked else None)
    protocol.acknowledge("next", tag)
    assert not redis_client.keys(f"{RETURNED}*")


def test_marks_do_not_stay(redis_client: redis.Redis) -> None:
    """Those of messages that others took go with the list's last message, by a purge, or by time."""
    redis_client.flushall()
    protocol = Protocol(redis_client)
    protocol.register("holder")
    for number in range(1, 3):
        redis_client.lpush("celery", b"taken", b"left")
        protocol.fetch("holder", number, 2, ["celery"])
        protocol.release("holder")
        protocol.register("holder")
        assert WEEK_SECONDS - 60 < redis_client.ttl(f"{RETURNED}celery") <= WEEK_SECONDS
        assert redis_client.rpop("celery") == b"taken"
        if number == 1:
            protocol.fetch("holder", 9, 2, ["celery"])
            assert not redis_client.exists(f"{RETURNED}celery")
    protocol.purge(["celery"])
    assert not redis_client.exists(f"{RETURNED}celery")


def test_equal_messages_share_the_higher_count(redis_client: redis.Redis) -> None:
    """A second copy that comes back takes nothing away from what is counted for the first."""
    redis_client.flushall()
    redis_client.lpush("celery", b"{}", b"{}")
    protocol = Protocol(redis_client)
    protocol.register("holder")
    _, (one, two) = protocol.fetched(protocol.fetch("holder", 1, 2, ["celery"]))
    protocol.give_back("holder", one.tag, front=True, deaths=2)
    protocol.give_back("holder", two.tag, front=True, deaths=0)
    assert redis_client.hvals(f"{RETURNED}celery") == [b"2"]


@pytest.mark.parametrize("step", ["reclaim", "release"])
def test_messages_of_many_fetches_go_back_in_their_order(redis_client: redis.Redis, step: str) -> None:
    """By the numbers of the fetches, not by their spelling."""
    redis_client.flushall()
    raws = [b"%d" % number for number in range(30)]
    redis_client.rpush("celery", *raws)
    protocol = Protocol(redis_client)
    protocol.register("holder")
    for number in range(1, 13):
        protocol.fetch("holder", number, 2, ["celery"])
    assert redis_client.llen("celery") == 6
    protocol.reclaim("holder", 0) if step == "reclaim" else protocol.release("holder")
    assert redis_client.lrange("celery", 0, -1) == raws


class Clock:
    """The clocks of several machines, equally fast, at different times. None of them is the time of day."""

    def __init__(self) -> None:
        self.passed = 0.0
        self.offset = 0.0

    def clock_gettime(self, which: int) -> float:
        assert which != time.CLOCK_REALTIME
        return self.offset + self.passed


class OneTurn:
    """Lets a keeper's loop run once."""

    def __init__(self) -> None:
        self.answers = [False, True]

    def is_set(self) -> bool:
        return self.answers.pop(0)

    def set(self) -> None:
        """Nothing waits for it."""


class Machine:
    """A holder whose threads do not run: the test says when its keeper has a turn."""

    def __init__(self, redis_url: str, clock: Clock, offset: float) -> None:
        self.clock, self.offset = clock, offset
        self.holder = Holder(redis.Redis.from_url(redis_url))
        self.holder.lease._threads = [threading.current_thread()]
        # The clock of the server is real, and nobody is silent for long: see also those that renew rarely.
        self.beat = partial(self.holder.protocol.beat, silent_seconds=-CALM_SECONDS)
        self.start()

    def look_at_clock(self) -> None:
        self.clock.offset = self.offset

    def start(self) -> None:
        """Get a lease, and the next message."""
        self.look_at_clock()
        self.holder.lease.start()
        fetch = self.holder.next_fetch()
        answer = self.holder.protocol.fetch(fetch.holder, fetch.number, 1, ["celery"])
        self.deliveries = [delivery for delivery, _ in self.holder.take(fetch, answer)]

    def turn(self, *, redis_is_away: bool = False) -> None:
        """One turn of the keeper."""
        self.look_at_clock()
        self.holder.protocol.beat = away if redis_is_away else self.beat  # type: ignore[method-assign]
        self.holder.lease._stopping = OneTurn()  # type: ignore[assignment]
        self.holder.lease._wake.set()
        self.holder.lease._keep()

    def is_sure_of(self, delivery: Delivery) -> bool:
        self.look_at_clock()
        return self.holder.lease.validity.covers(delivery.epoch)

    def stop(self) -> None:
        self.look_at_clock()
        self.holder.lease._stopping = threading.Event()
        self.holder.stop()


def away(*_: Any, **__: Any) -> NoReturn:
    raise redis.exceptions.ConnectionError("Redis is away")


class LeaseMachine(RuleBasedStateMachine):
    """Workers that renew, pause for any time, and lose Redis, as they are seen by each other."""

    client: redis.Redis
    redis_url: str
    clock: Clock

    def __init__(self) -> None:
        super().__init__()
        self.client.flushall()
        self.clock.passed = 0.0
        for number in range(3):
            self.client.lpush("celery", f'{{"id":{number}}}')
        self.machines = [Machine(self.redis_url, self.clock, 1e6 * (number + 1)) for number in range(3)]
        self.renewals = {machine.holder.lease.name: 0 for machine in self.machines}
        # What each has seen without a break: since when a holder's count is the same.
        self.seen: list[dict[str, tuple[int, float]]] = [{} for _ in self.machines]

    @rule(seconds=st.sampled_from([0.5, 1.0, 5.75, 6.0, FENCE_SECONDS - 0.01, LEASE_SECONDS - 0.01, 60.0]))
    def time_passes(self, seconds: float) -> None:
        """For everybody."""
        self.clock.passed += seconds

    @rule(number=st.integers(0, 2))
    def turn(self, number: int) -> None:
        """One renews, and takes only from those whose count stood still for a whole lease."""
        name, seen = self.machines[number].holder.lease.name, self.seen[number]
        now = self.clock.passed
        if name in self.renewals:
            self.renewals[name] += 1
        others = {other: count for other, count in self.renewals.items() if other != name}
        seen = {other: seen[other] for other in others if seen.get(other, (None,))[0] == others[other]}
        for other, count in others.items():
            _, since = seen.setdefault(other, (count, now))
            if now - since >= LEASE_SECONDS:
                del seen[other]
                del self.renewals[other]
        self.seen[number] = seen
        self.machines[number].turn()

    @rule(number=st.integers(0, 2))
    def turn_without_redis(self, number: int) -> None:
        """What was seen before an outage proves nothing: none could renew."""
        self.machines[number].turn(redis_is_away=True)
        self.seen[number] = {}

    @precondition(lambda self: not all(machine.holder.lease.name for machine in self.machines))
    @rule()
    def start_anew(self) -> None:
        """Those that lost their lease get another."""
        for machine in self.machines:
            if not machine.holder.lease.name:
                machine.start()
                self.renewals[machine.holder.lease.name] = 0

    @invariant()
    def leases_are_as_seen(self) -> None:
        """Exactly those are gone that must be."""
        found = {name.decode(): int(count) for name, count in self.client.hgetall(LEASES).items()}
        assert found == self.renewals

    @invariant()
    def nobody_is_sure_of_what_another_can_have(self) -> None:
        """Who takes his deliveries for his own has them."""
        for machine in self.machines:
            for delivery in machine.deliveries:
                if machine.is_sure_of(delivery):
                    assert self.client.hexists(held_key(delivery.holder), delivery.tag)

    def teardown(self) -> None:
        for machine in self.machines:
            machine.stop()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """All that the holders of this process know of time; to ask for anything else is an AttributeError."""
    clock = Clock()
    monkeypatch.setattr(holder_module, "time", SimpleNamespace(sleep=time.sleep))
    monkeypatch.setattr(validity, "time", SimpleNamespace(clock_gettime=clock.clock_gettime))
    return clock


def test_only_the_dead_are_taken_for_dead(redis_client: redis.Redis, redis_url: str, clock: Clock) -> None:
    """A lease is over after 12 s of an onlooker's own clock without renewal or outage, and not before."""
    LeaseMachine.client, LeaseMachine.redis_url, LeaseMachine.clock = redis_client, redis_url, clock
    run_state_machine_as_test(
        LeaseMachine, settings=settings(BOUNDED, max_examples=100 if os.environ.get("CI") else 30)
    )


def test_nobody_is_left_unwatched_when_most_die_at_once(
    redis_client: redis.Redis, redis_url: str, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Forty of fifty, and an answer names ten: all are found between 12 and 15 s later, and nobody else."""
    redis_client.flushall()
    monkeypatch.setattr(protocol_module, "LOOKED_AT_A_TIME", 10)
    redis_client.lpush("celery", *(f'{{"id":{number}}}' for number in range(50)))
    machines = [Machine(redis_url, clock, 1e6 * number) for number in range(50)]
    living = machines[::5]
    ends = []
    while redis_client.hlen(LEASES) > len(living):
        clock.passed += BEAT_SECONDS
        for machine in living:
            machine.turn()
        ends.append((clock.passed, redis_client.llen("celery")))
        assert clock.passed < LEASE_SECONDS + 3
    assert {number for passed, number in ends if passed <= LEASE_SECONDS} == {0}
    assert ends[-1][1] == 40
    assert all(machine.is_sure_of(*machine.deliveries) for machine in living)
    for machine in machines:
        machine.stop()


def test_beside_workers_of_the_release_before(redis_client: redis.Redis) -> None:
    """They renew in the hash alone: each beat names them. What they took back is forgotten."""
    redis_client.flushall()
    protocol = Protocol(redis_client)
    protocol.register("new")
    for renewals in (1, 2):
        redis_client.hset(LEASES, "old", renewals)
        assert protocol.beat("new").silent == {"old": renewals}
    protocol.register("taken")
    redis_client.hdel(LEASES, "taken")
    assert "taken" not in protocol.beat("new", silent_seconds=-1).silent
    assert set(redis_client.zrange(RENEWED, 0, -1)) == {b"new", b"old"}


@pytest.mark.parametrize(("living", "named"), [(50, 500), (51, 50)])
def test_how_many_silent_leases_an_answer_names(redis_client: redis.Redis, living: int, named: int) -> None:
    """Few where many workers ask: if Redis is busy, all are silent, and answers must not make it busier."""
    redis_client.flushall()
    protocol = Protocol(redis_client)
    for number in range(living):
        protocol.register(f"living-{number}")
    names = [f"dead-{number:03}" for number in range(520)]
    redis_client.hset(LEASES, mapping=dict.fromkeys(names, 7))
    found: list[str] = []
    skip = 0
    while True:
        beat = protocol.beat("living-0", skip, silent_seconds=20)
        found += beat.silent
        if not (skip := beat.skip):
            break
        assert len(beat.silent) == named
    assert found == names


def test_a_clock_that_was_put_back_hides_nobody(redis_client: redis.Redis) -> None:
    """Who died before would look as if renewed a moment ago, until the clock is there again."""
    redis_client.flushall()
    protocol = Protocol(redis_client)
    for name in ("dead", "new"):
        protocol.register(name)
    redis_client.zadd(RENEWED, {"dead": NEVER * 1000})
    assert protocol.beat("new", silent_seconds=-1).silent.keys() == {"dead", "new"}


def test_who_renews_rarely_is_silent_later(redis_client: redis.Redis) -> None:
    """Those that ask when the next one is silent are told the same; the clock was not put back."""
    redis_client.flushall()
    protocol = Protocol(redis_client)
    assert protocol.next_moments() == (math.inf, math.inf)
    for name in ("calm", "other"):
        protocol.register(name)
    seconds = CALM_SECONDS - BEAT_SECONDS
    redis_client.zadd(DELAYED, {"a record": NEVER * 1000})
    beat = protocol.beat("calm", later_seconds=seconds)
    assert beat.due == NEVER
    later = beat.clock + seconds
    found = protocol.beat("other", silent_seconds=-1)
    assert found.silent.keys() == {"other"}
    assert redis_client.zscore(RENEWED, "calm") == pytest.approx(later * 1000, abs=1)
    silent = protocol.beat("other", silent_seconds=-CALM_SECONDS).silent
    assert silent.keys() == {"calm", "other"}
    redis_client.zrem(RENEWED, "other")
    assert protocol.next_moments() == pytest.approx((later + SILENT_SECONDS, NEVER), abs=0.001)


def test_what_a_beat_may_leave_out(redis_client: redis.Redis) -> None:
    """Workers of the release before, a clock that was put back, and lists that have parked messages."""
    redis_client.flushall()
    protocol = Protocol(redis_client)
    protocol.register("new")
    redis_client.hset(LEASES, "old", 1)
    redis_client.zadd(RENEWED, {"new": NEVER * 1000})
    redis_client.hset(PARKED, "celery", 1)
    found = protocol.beat("", looks_at_all=False)
    assert found == Beat(alive=False, promoted=0, silent={}, clock=found.clock)
    found = protocol.beat("", silent_seconds=-1)
    assert found.silent.keys() == {"old", "new"}
    assert found.parked == frozenset({"celery"})


@pytest.mark.parametrize("awake", ["knows", "does-not-know"])
def test_woken_holder_acknowledges_nothing(
    redis_client: redis.Redis, redis_url: str, clock: Clock, caplog: pytest.LogCaptureFixture, awake: str
) -> None:
    """Frozen for longer than its lease, it deletes nothing that another has by now, and reports it."""
    redis_client.flushall()
    redis_client.lpush("celery", '{"id":1}')
    frozen = Machine(redis_url, clock, 1e6)
    (delivery,) = frozen.deliveries
    other = Machine(redis_url, clock, 2e6)
    other.turn()
    clock.passed += LEASE_SECONDS
    other.turn()
    assert redis_client.lrange("celery", 0, -1) == [b'{"id":1}']
    assert redis_client.hvals(f"{RETURNED}celery") == [b"1"]
    assert not frozen.is_sure_of(delivery)
    if awake == "knows":
        frozen.turn()
    frozen.holder.acknowledge(delivery)
    frozen.turn()
    assert "Overlap" in caplog.text
    assert redis_client.lrange("celery", 0, -1) == [b'{"id":1}']
    assert redis_client.hvals(f"{RETURNED}celery") == [b"1"]
    for machine in (frozen, other):
        machine.stop()


def test_fencing_comes_before_anybody_may_take_over() -> None:
    """By more than the longest gap between two looks at the clock."""
    assert FENCE_SECONDS + 2 * BEAT_SECONDS < LEASE_SECONDS
