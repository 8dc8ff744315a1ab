"""The protocol's steps with limits, in any order: never more places than allowed, and no message lost."""

import itertools
import json
from collections import Counter, defaultdict
from typing import Any

import pytest
import redis
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from contentworker.runtime.records import queue_state
from contentworker.runtime.transport import protocol as protocol_module
from contentworker.runtime.transport.keys import (
    DELAYED,
    LEASES,
    LIMITS,
    PARKED,
    PREFIX,
    held_key,
    place_field,
    started_field,
)
from contentworker.runtime.transport.limits import UNLIMITED, Limit, in_json, partition
from contentworker.runtime.transport.protocol import Protocol
from contentworker.runtime.transport.stored import message_in, record
from tests.integration.runtime.transport.test_protocol import BOUNDED

LISTS = ("celery", "celery\x06\x163", "rewrite")
ONE = Limit(1, 0, 0)
LIMIT = {"one": ONE, "two": Limit(2, 0, 0), "rate": Limit(0, 3, 9_999), "both": Limit(2, 4, 9_999)}
LIMITS_JSON = in_json(LIMIT)
KEYS = ("", "a", "b:c\n")
BY_KEY = {name: [name, '"key": '] for name in LIMIT}
OF_QUEUES = json.dumps({"celery": BY_KEY, "rewrite": {"one": BY_KEY["one"], "two": BY_KEY["two"]}})

partitions = st.sampled_from([UNLIMITED, *(partition(name, key) for name in LIMIT for key in KEYS)])
shown_as = st.sampled_from(["", "", partition("one", "a"), partition("both", "")])


class Worker:
    """A holder, by what Redis has told it."""

    def __init__(self, name: str) -> None:
        self.name, self.fetches = name, 0
        self.looked_at: dict[str, bytes] = {}
        """Taken, and not admitted so far: tag → message."""
        self.taken_for: dict[str, str] = {}
        """In which partition such a one has a place: it looks as if it were of that one."""
        self.running: dict[str, bytes] = {}


class LimitsMachine(RuleBasedStateMachine):
    """Workers that fetch, admit, finish, fail and die, in any order."""

    client: Any

    def __init__(self) -> None:
        super().__init__()
        self.client.flushall()
        self.protocol = Protocol(self.client)
        self.numbers = itertools.count(1)
        self.names = itertools.count(1)
        self.alive: set[int] = set()
        self.starts: Counter[str] = Counter()
        self.workers: list[Worker] = []

    @initialize()
    def two(self) -> None:
        """Two workers, to begin with."""
        self.join()
        self.join()

    @precondition(lambda self: len(self.workers) < 3)
    @rule()
    def join(self) -> None:
        """A worker starts."""
        worker = Worker(f"holder/{next(self.names)}")
        self.protocol.register(worker.name)
        self.workers.append(worker)

    def body(self, of: str, shown: str = "") -> bytes:
        number = next(self.numbers)
        self.alive.add(number)
        task, _, key = shown.partition(":")
        return json.dumps([number, of, {"headers": {"task": task, "eta": None, "key": key}}]).encode()

    def gone(self, raw: bytes) -> None:
        self.alive.remove(json.loads(raw)[0])

    @rule(key=st.sampled_from(LISTS), of=st.lists(partitions, min_size=1, max_size=6), shown=shown_as)
    def publish(self, key: str, of: list[str], shown: str) -> None:
        """As any client does, so that a fetch sees what they are, or takes them for something else."""
        self.client.lpush(key, *(self.body(each, shown or each) for each in of))

    @rule(data=st.data(), room=st.integers(1, 3), ahead=st.sampled_from([0, 5]))
    def fetch(self, data: st.DataObject, room: int, ahead: int) -> None:
        """What was parked starts at once, the rest is looked at."""
        worker = data.draw(st.sampled_from(self.workers))
        worker.fetches += 1
        answer = self.protocol.fetch(
            worker.name, worker.fetches, room, LISTS, limits=LIMITS_JSON, ahead=ahead, of_queues=OF_QUEUES
        )
        _, taken = self.protocol.fetched(answer)
        assert sum(bool(each.partition) for each in taken) <= room
        for each in taken:
            if each.partition == json.loads(each.raw)[1]:
                self.start(worker, each.tag, each.raw)
            else:
                worker.looked_at[each.tag] = each.raw
                worker.taken_for[each.tag] = each.partition

    def start(self, worker: Worker, tag: str, raw: bytes) -> None:
        worker.running[tag] = raw
        self.starts[json.loads(raw)[1]] += 1

    @rule(data=st.data(), room=st.integers(0, 3), waits=st.booleans(), repeats=st.booleans())
    def admit(self, data: st.DataObject, room: int, waits: bool, repeats: bool) -> None:
        """Those that may start do. The answer may be lost, and the step repeated."""
        worker = data.draw(st.sampled_from(self.workers))
        asked = [(tag, json.loads(raw)[1], waits) for tag, raw in worker.looked_at.items()]
        verdicts = self.protocol.admit(worker.name, room, LIMITS_JSON, asked)
        if repeats:
            again = self.protocol.admit(worker.name, room, LIMITS_JSON, asked)
            assert [each == 0 for each in again] == [each == 0 for each in verdicts]
        looked_at, worker.looked_at = worker.looked_at, {}
        for (tag, raw), verdict in zip(looked_at.items(), verdicts, strict=True):
            if verdict == 0:
                self.start(worker, tag, raw)
            elif verdict is not None:  # it must not wait: discarded
                assert not waits
                self.protocol.acknowledge(worker.name, tag)
                self.gone(raw)

    def some(self, data: st.DataObject, *, running: bool = True) -> tuple[Worker, dict[str, bytes], str]:
        all_of_them = [
            (worker, held, tag)
            for worker in self.workers
            for held in ([worker.running] if running else [worker.running, worker.looked_at])
            for tag in held
        ]
        return data.draw(st.sampled_from(all_of_them))

    @precondition(lambda self: any(worker.running for worker in self.workers))
    @rule(data=st.data(), way=st.sampled_from(["alone", "with a fetch", "replaced", "delayed retry"]))
    def finish(self, data: st.DataObject, way: str) -> None:
        """A task ends, or its retry takes its place."""
        worker, held, tag = self.some(data)
        raw = held.pop(tag)
        self.gone(raw)
        fields = [tag, started_field(tag), place_field(tag)]
        if way == "alone":
            self.protocol.acknowledge(worker.name, *fields)
        elif way == "with a fetch":
            worker.fetches += 1
            self.protocol.fetch(worker.name, worker.fetches, 0, LISTS, fields)
        elif way == "replaced":
            retry = self.body(json.loads(raw)[1])
            assert self.protocol.replace(worker.name, tag, "rewrite", retry, None)
        else:
            retry = self.body(json.loads(raw)[1])
            member = record("rewrite", "retry", retry.decode())
            assert self.protocol.replace(worker.name, tag, "rewrite", member, 1)

    @precondition(lambda self: any(worker.running or worker.looked_at for worker in self.workers))
    @rule(data=st.data(), front=st.booleans(), deaths=st.sampled_from([None, 0, 1]))
    def give_back(self, data: st.DataObject, front: bool, deaths: int | None) -> None:
        """Started or not."""
        worker, held, tag = self.some(data, running=False)
        held.pop(tag)
        assert self.protocol.give_back(worker.name, tag, front=front, deaths=deaths)

    @rule(data=st.data(), way=st.sampled_from(["reclaim", "release", "previous release"]))
    def die(self, data: st.DataObject, way: str) -> None:
        """Another worker puts back what it held; one of the previous release leaves its places taken."""
        worker = data.draw(st.sampled_from(self.workers))
        if way == "previous release":
            for raw in (*worker.looked_at.values(), *worker.running.values()):
                self.client.rpush("rewrite", raw)
            fields = [field for field in self.client.hkeys(held_key(worker.name)) if field[:1].isdigit()]
            if fields:
                self.client.hdel(held_key(worker.name), *fields)
            self.client.hdel(LEASES, worker.name)
        elif way == "reclaim":
            moved, _ = self.protocol.reclaim(worker.name, 0)
            assert moved == len(worker.looked_at) + len(worker.running)
        else:
            self.protocol.release(worker.name)
        self.workers.remove(worker)
        if len(self.workers) < 2:
            self.join()

    @rule(data=st.data())
    def lose_an_answer(self, data: st.DataObject) -> None:
        """The worker has its last fetch cancelled, whose messages it does not know of."""
        worker = data.draw(st.sampled_from(self.workers))
        self.protocol.cancel_fetch(worker.name, worker.fetches)
        for held in (worker.looked_at, worker.running):
            for tag in [tag for tag in held if tag.startswith(f"{worker.fetches}-")]:
                del held[tag]

    @rule()
    def beat(self) -> None:
        """What is due goes into its list."""
        assert self.protocol.beat("").parked == frozenset(map(bytes.decode, self.client.hkeys(PARKED)))

    @rule()
    def time_passes(self) -> None:
        """All partitions are to be looked at again, and the times of the rates are over."""
        for key in self.client.keys(f"{PREFIX}:blocked:*"):
            self.client.zadd(key, dict.fromkeys(self.client.zrange(key, 0, -1), 0))
        for key in self.client.keys(f"{PREFIX}:rate:*"):
            self.client.delete(key)
        self.starts.clear()

    @rule(key=st.sampled_from(LISTS))
    def purge(self, key: str) -> None:
        """As `celery purge` does it."""
        delayed = [
            message_in(each) for each in self.client.zrange(DELAYED, 0, -1)
        ]  # all of them for "rewrite"
        gone = [*self.parked_in(key), *(delayed if key == "rewrite" else [])]
        assert self.protocol.purge([key]) == len(gone)
        for raw in gone:
            self.gone(raw)

    @rule(limit=st.integers(1, 5))
    def hand_back(self, limit: int) -> None:
        """What is parked goes into its list."""
        self.protocol.hand_back(limit)

    def parked_in(self, key: str) -> list[bytes]:
        parked = self.client.keys(f"{PREFIX}:parked:{key}\n*")
        return [message_in(each) for name in parked for each in self.client.lrange(name, 0, -1)]

    @invariant()
    def none_is_lost_or_twice(self) -> None:
        """Each message that is not finished is in exactly one place."""
        found = [json.loads(raw)[0] for key in LISTS for raw in self.client.lrange(key, 0, -1)]
        found += [json.loads(raw)[0] for key in LISTS for raw in self.parked_in(key)]
        found += [json.loads(message_in(each))[0] for each in self.client.zrange(DELAYED, 0, -1)]
        for worker in self.workers:
            fields: dict[bytes, bytes] = self.client.hgetall(held_key(worker.name))
            held = {tag.decode(): message_in(each) for tag, each in fields.items() if tag[:1].isdigit()}
            assert held == {**worker.looked_at, **worker.running}
            found += [json.loads(raw)[0] for raw in held.values()]
        assert sorted(found) == sorted(self.alive)

    @invariant()
    def limits_hold(self) -> None:
        """No more run, or have started, than are allowed; nobody has a place for nothing, but for a while."""
        running: dict[str, set[str]] = defaultdict(set)
        for worker in self.workers:
            for tag, raw in worker.running.items():
                running[json.loads(raw)[1]].add(f"{worker.name}/{tag}")
            for tag in worker.looked_at:
                running[worker.taken_for[tag]].add(f"{worker.name}/{tag}")
        held = {worker.name for worker in self.workers}
        taken: Counter[str] = Counter()
        for each, limit in ((partition(name, key), LIMIT[name]) for name in LIMIT for key in KEYS):
            places = {place.decode() for place in self.client.zrange(f"{PREFIX}:places:{each}", 0, -1)}
            taken[each.partition(":")[0]] += len(places)
            if limit.concurrency:
                assert running[each] == {place for place in places if place.rpartition("/")[0] in held}
                assert len(places) <= limit.concurrency
            if limit.rate:
                assert self.starts[each] <= limit.rate
        counted = {name.decode(): int(number) for name, number in self.client.hgetall(LIMITS).items()}
        waiting: Counter[str] = Counter()
        for name in self.client.keys(f"{PREFIX}:parked:*\n*"):
            of = name.decode().removeprefix(f"{PREFIX}:parked:").partition("\n")[2]
            waiting[of.partition(":")[0]] += self.client.llen(name)
        expected = {f"taken:{name}": number for name, number in taken.items() if number}
        assert counted == expected | {f"waiting:{name}": number for name, number in waiting.items()}

    @invariant()
    def each_partition_has_its_turn(self) -> None:
        """A partition with parked messages is looked at by its turn, or at its moment, and no other."""
        for key in LISTS:
            turns = Counter(
                [
                    *self.client.lrange(f"{PREFIX}:ready:{key}", 0, -1),
                    *self.client.zrange(f"{PREFIX}:blocked:{key}", 0, -1),
                ]
            )
            prefix = f"{PREFIX}:parked:{key}\n"
            parked = {name.decode().removeprefix(prefix) for name in self.client.keys(f"{prefix}*")}
            assert {each.decode(): number for each, number in turns.items()} == dict.fromkeys(parked, 1)
            assert int(self.client.hget(PARKED, key) or 0) == len(self.parked_in(key))
            for each in parked:
                assert self.client.sismember(f"{PREFIX}:waits:{each}", key)


def test_limits_hold_in_any_order(redis_client: redis.Redis) -> None:
    """After each step of any history."""
    LimitsMachine.client = redis_client
    run_state_machine_as_test(LimitsMachine, settings=settings(BOUNDED, stateful_step_count=40))


def test_what_waits_is_counted_handed_back_in_order_and_purged(
    redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Messages that wait are messages of their queue; plain Celery gets them as they were sent."""
    monkeypatch.setattr(protocol_module, "PURGED_AT_A_TIME", 2)
    redis_client.flushall()
    protocol = Protocol(redis_client)
    protocol.register("holder")
    sent = [b'{"n": %d, "headers": {"sent_at": "2020-01-01T00:00:0%d"}}' % (n, n) for n in range(4)]
    redis_client.lpush("celery", *sent)
    _, taken = protocol.fetched(protocol.fetch("holder", 1, 4, ["celery"]))
    asked = [(each.tag, partition("one", "a"), True) for each in taken]
    assert protocol.admit("holder", 4, LIMITS_JSON, asked) == [0, None, None, None]
    state = queue_state.read(redis_client, ["celery"])
    (queue,) = state.queues
    assert (queue.ready, queue.parked, queue.held) == (3, 3, 1)
    assert (queue.oldest_message_seconds or 0) > 86_400
    assert state.limits == (queue_state.LimitState("one", taken=1, waiting=3),)
    while protocol.hand_back(2):
        pass
    assert redis_client.lrange("celery", 0, -1) == sent[:0:-1]
    _, taken = protocol.fetched(protocol.fetch("holder", 2, 3, ["celery"]))
    protocol.admit("holder", 3, LIMITS_JSON, [(each.tag, partition("one", "a"), True) for each in taken])
    assert protocol.purge(["celery"]) == 3
    assert queue_state.read(redis_client, ["celery"]).queues[0].ready == 0


def test_a_purge_looks_at_few_delayed_messages_at_a_time(
    redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Redis serves others in between. Those of other queues stay, wherever they are among them."""
    monkeypatch.setattr(protocol_module, "PURGED_AT_A_TIME", 2)
    redis_client.flushall()
    queues = ["celery", "rewrite", "celery", "rewrite", "rewrite", "celery", "celery"]
    redis_client.zadd(DELAYED, {record(queue, "x", f"{n}"): n for n, queue in enumerate(queues)})
    redis_client.config_resetstat()
    assert Protocol(redis_client).purge(["celery"]) == 4
    assert redis_client.info("commandstats")["cmdstat_evalsha"]["calls"] >= 4
    assert redis_client.zrange(DELAYED, 0, -1) == [record("rewrite", "x", f"{n}").encode() for n in (1, 3, 4)]
    assert Protocol(redis_client).purge(["rewrite"]) == 3


def test_few_bytes_are_looked_at(redis_client: redis.Redis) -> None:
    """A hundred large messages of different keys would stop Redis for seconds at each look."""
    redis_client.flushall()
    protocol = Protocol(redis_client)
    protocol.register("holder")
    sent_at = b'"sent_at": "2020-01-01T00:00:00"'
    redis_client.lpush("celery", sent_at, b"0" * 2_000_000)
    _, taken = protocol.fetched(protocol.fetch("holder", 1, 2, ["celery"]))
    asked = [(each.tag, partition("one", str(n)), True) for n, each in enumerate(taken)]
    protocol.admit("holder", 0, LIMITS_JSON, asked)
    assert queue_state.read(redis_client, ["celery"]).queues[0].oldest_message_seconds is None


def test_another_limit_is_looked_at_under_a_prefix(redis_client: redis.Redis) -> None:
    """What waits at a worker's start is woken."""
    redis_client.flushall()
    protocol = Protocol(redis_client, "ours:")
    protocol.register("holder")
    redis_client.lpush("ours:celery", b"0", b"1")
    _, taken = protocol.fetched(protocol.fetch("holder", 1, 2, ["ours:celery"]))
    asked = [(each.tag, partition("one", ""), True) for each in taken]
    assert protocol.admit("holder", 2, LIMITS_JSON, asked) == [0, None]
    protocol.look_again(["ours:celery"])
    more = in_json({"one": Limit(2, 0, 0)})
    answer = protocol.fetch("holder", 2, 2, ["ours:celery"], limits=more)
    assert [each.raw for each in protocol.fetched(answer)[1]] == [b"1"]


def test_keys_take_turns(redis_client: redis.Redis) -> None:
    """A key with many messages does not hold up one with a single one; each key's order is kept."""
    redis_client.flushall()
    protocol = Protocol(redis_client)
    protocol.register("holder")
    redis_client.lpush("celery", *(b"many-%d" % n for n in range(5)), b"single-0", b"other-0", b"other-1")
    _, taken = protocol.fetched(protocol.fetch("holder", 1, 8, ["celery"]))
    asked = [(each.tag, partition("two", each.raw.decode()[:-2]), True) for each in taken]
    protocol.admit("holder", 0, LIMITS_JSON, asked)
    order = []
    for number in range(2, 10):
        _, (one,) = protocol.fetched(protocol.fetch("holder", number, 1, ["celery"], limits=LIMITS_JSON))
        order.append(one.raw.decode())
        protocol.acknowledge("holder", one.tag, place_field(one.tag))
    assert order[:5] == ["many-0", "single-0", "other-0", "many-1", "other-1"]
    assert order[5:] == ["many-2", "many-3", "many-4"]


def test_a_message_with_an_eta_gets_no_place_from_a_fetch(redis_client: redis.Redis) -> None:
    """It may go to the delayed ones, and would count as started twice."""
    redis_client.flushall()
    protocol = Protocol(redis_client)
    protocol.register("holder")
    for eta in ("null", '"2999-01-01T00:00:00"'):
        redis_client.lpush("celery", f'{{"headers": {{"task": "two", "eta": {eta}, "key": "a"}}}}')
    answer = protocol.fetch("holder", 1, 2, ["celery"], limits=LIMITS_JSON, of_queues=OF_QUEUES)
    assert [each.partition for each in protocol.fetched(answer)[1]] == ["two:a", ""]
