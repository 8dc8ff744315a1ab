"""The leased transport as kombu and Celery use it: real workers, real Redis, other tools beside them."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from queue import Empty
from typing import Any

import pytest
import redis
from celery import Celery
from kombu import Connection

from contentworker.runtime import transport
from contentworker.runtime.records import dead_letters
from contentworker.runtime.transport import holder
from contentworker.runtime.transport.keys import (
    DELAYED,
    LEASES,
    PREFIX,
    RENEWED,
    RETURNED,
    held_key,
    started_field,
)
from contentworker.runtime.transport.protocol import Protocol, Replaced
from tests.support import (
    PATIENCE,
    PROBE_APP,
    ROOT,
    StartWorker,
    as_bytes,
    environment,
    executions,
    held_records,
    take_from_the_dead,
    wait_until,
)

pytestmark = [pytest.mark.every_python, pytest.mark.usefixtures("clean")]

PLAIN = {"WORKER__BROKER__TRANSPORT": "plain", "app": PROBE_APP}
SOON_RESTORED = {"WORKER__BROKER__RESTORE_INTERVAL_SECONDS": "0.5"}
ONE_AT_A_TIME = ("--queues=celery", "--concurrency=1", "--prefetch-multiplier=4")


def held(client: redis.Redis) -> list[str]:
    """Ids of the tasks that workers hold, or that are delayed."""
    records: list[Any] = [*client.zrange(DELAYED, 0, -1), *held_records(client)]
    return sorted(json.loads(record.split(b"\n", 3)[3])["headers"]["id"] for record in records)


def started(client: redis.Redis) -> int:
    """How many held messages are noted as started."""
    fields: list[Any] = [tag for key in client.scan_iter(match=held_key("*")) for tag in client.hkeys(key)]
    return sum(tag.startswith(started_field("").encode()) for tag in fields)


def left_behind(client: redis.Redis) -> set[str]:
    """Keys of holders."""
    return {key.decode() for key in client.keys(f"{PREFIX}:*")} - {
        key.decode() for key in client.keys(f"{RETURNED}*")
    }


def new_folder(folder: Path, name: str) -> Path:
    path = folder / name
    path.mkdir()
    return path


def send(client: Celery, folder: Path, task: str = "probe.base.hold", **options: Any) -> Any:
    """Send a probe task with a folder of its own."""
    return client.send_task(task, kwargs={"folder": str(folder)}, **options)


def send_quick(client: Celery, folder: Path, **options: Any) -> Any:
    """Send a task that only notes its execution."""
    return client.send_task("probe.base.fail_until", kwargs={"folder": str(folder), "times": 0}, **options)


def celery_command(redis_url: str, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "celery", "-A", "celery_worker.celery_app", *arguments],
        cwd=ROOT,
        env=environment(REDIS_URL=redis_url),
        capture_output=True,
        text=True,
        timeout=PATIENCE * 2,
        check=True,
    )
    return done.stdout + done.stderr


class TestStates:
    """Where a message is."""

    def test_queue_lists_only_what_waits(
        self, worker: StartWorker, client: Celery, redis_client: redis.Redis, tmp_path: Path
    ) -> None:
        """LLEN counts neither what a worker holds nor what is delayed; inspect and control know the rest."""
        worker("--queues=celery", "--concurrency=1", "--prefetch-multiplier=2", app=PROBE_APP)
        running = send(client, tmp_path)
        wait_until(lambda: executions(tmp_path), "the task to start")
        reserved = client.send_task("probe.queue")
        wait_until(lambda: held(redis_client) == sorted([running.id, reserved.id]), "the prefetch")
        delayed = client.send_task("probe.queue", countdown=1000)
        waiting = client.send_task("probe.queue")
        assert redis_client.llen("celery") == 1
        assert waiting.id.encode() in as_bytes(redis_client.lindex("celery", 0))
        assert held(redis_client) == sorted([running.id, reserved.id, delayed.id])

        inspect = client.control.inspect(limit=1, timeout=PATIENCE)
        (active,) = inspect.active().values()
        assert [task["id"] for task in active] == [running.id]
        (found,) = inspect.reserved().values()
        assert [task["id"] for task in found] == [reserved.id]
        (stats,) = inspect.stats().values()
        assert stats["prefetch_count"] == 2

        client.control.revoke(reserved.id, reply=True, limit=1, timeout=PATIENCE)
        client.control.cancel_consumer("celery", reply=True, limit=1, timeout=PATIENCE)
        (tmp_path / "release").touch()
        assert running.get(timeout=PATIENCE) == "released"
        wait_until(lambda: held(redis_client) == [delayed.id], "all acknowledgements")
        assert client.AsyncResult(reserved.id).state == "REVOKED"
        assert redis_client.llen("celery") == 1
        client.control.add_consumer("celery", reply=True, limit=1, timeout=PATIENCE)
        assert waiting.get(timeout=PATIENCE) == "celery"

    def test_purge_counts_delayed_messages(
        self, worker: StartWorker, client: Celery, redis_client: redis.Redis, redis_url: str, tmp_path: Path
    ) -> None:
        """`celery purge -f` deletes and counts them, and leaves alone what a worker holds."""
        worker("--queues=celery", "--concurrency=1", app=PROBE_APP)
        running = send(client, tmp_path)
        wait_until(lambda: executions(tmp_path), "the task to start")
        for options in ({}, {"countdown": 1000}, {"countdown": 1000, "priority": 9}, {"priority": 6}):
            client.send_task("probe.queue", **options)
        client.send_task("probe.queue", countdown=1000, queue="rewrite")
        assert "4 messages" in celery_command(redis_url, "purge", "-f", "-Q", "celery")
        (left,) = redis_client.zrange(DELAYED, 0, -1)
        assert as_bytes(left).startswith(b"1\nrewrite\n")
        (tmp_path / "release").touch()
        assert running.get(timeout=PATIENCE) == "released"

    @pytest.mark.parametrize("pool", ["prefork", "threads", "solo"])
    def test_held_task_of_a_killed_worker_runs_again(
        self, worker: StartWorker, client: Celery, redis_client: redis.Redis, tmp_path: Path, pool: str
    ) -> None:
        """A busy worker renews its lease; killed, its messages are where the next one finds them."""
        options = ("--queues=celery", f"--pool={pool}", "--concurrency=1", "--prefetch-multiplier=2")
        killed = worker(*options, app=PROBE_APP)
        sent = send(client, tmp_path)
        wait_until(lambda: executions(tmp_path), "the task to start")
        (name,) = redis_client.hkeys(LEASES)
        before = int(as_bytes(redis_client.hget(LEASES, name)))
        wait_until(
            lambda: int(as_bytes(redis_client.hget(LEASES, name))) >= before + 3,
            "the renewals of a busy worker",
        )
        killed.kill(signal.SIGKILL, group=True)
        killed.wait()
        assert held(redis_client) == [sent.id]
        take_from_the_dead(redis_client)
        (tmp_path / "release").touch()
        worker(*options, app=PROBE_APP)
        assert sent.get(timeout=PATIENCE) == "released"
        assert [line["redelivered"] for line in executions(tmp_path)] == [False, True]
        wait_until(lambda: not held(redis_client), "the acknowledgement")
        assert redis_client.llen("celery") == 0

    @pytest.mark.parametrize("pool", ["prefork", "solo"])  # threads run what was prefetched
    def test_warm_shutdown_returns_what_is_prefetched(
        self, worker: StartWorker, client: Celery, redis_client: redis.Redis, tmp_path: Path, pool: str
    ) -> None:
        """SIGTERM: the running task ends, the others are back in their order before the worker is gone."""
        options = ("--queues=celery", f"--pool={pool}", "--concurrency=1", "--prefetch-multiplier=3")
        ending = worker(*options, app=PROBE_APP)
        running = send(client, tmp_path)
        wait_until(lambda: executions(tmp_path), "the task to start")
        others = [client.send_task("probe.queue").id for _ in range(4)]
        if pool != "solo":  # it fetches nothing while it works
            wait_until(lambda: len(held(redis_client)) == 3, "the prefetch")
        ending.kill()
        ending.wait_for_log("Warm shutdown")
        (tmp_path / "release").touch()
        assert ending.wait() == 0
        found = [raw.decode() for raw in redis_client.lrange("celery", 0, -1)]
        assert [task_id in raw for task_id, raw in zip(others, reversed(found), strict=True)] == [True] * 4
        assert running.get(timeout=PATIENCE) == "released"
        # What its consumer had is marked, and nothing else is left.
        assert not left_behind(redis_client)
        assert redis_client.hvals(f"{RETURNED}celery") == [b"0"] * (0 if pool == "solo" else 2)


class TestReplacing:
    """A retry and the message that failed: one of them, at every instant."""

    @pytest.fixture
    def delivery(self, client: Celery, redis_client: redis.Redis) -> tuple[str, str]:
        """Holder and tag of a message that is in work."""
        protocol = Protocol(redis_client)
        protocol.register("holder")
        client.send_task("probe.queue")
        _, [(tag, *_)] = protocol.fetched(protocol.fetch("holder", 1, 1, ["celery"]))
        return "holder", tag

    @pytest.mark.parametrize("options", [{}, {"countdown": 1000}, {"priority": 6}], ids=str)
    def test_takes_the_place(
        self, client: Celery, redis_client: redis.Redis, delivery: tuple[str, str], options: dict[str, int]
    ) -> None:
        """Sent once more, as after a lost answer, it is there once; who sent it is in no message."""
        for _ in range(2):
            client.send_task("probe.queue", task_id="retry", replaces=Replaced(*delivery), **options)
        priority = options.get("priority", 0)
        found = redis_client.lrange(f"celery\x06\x16{priority}" if priority else "celery", 0, -1)
        assert held(redis_client) == (["retry"] if "countdown" in options else [])
        assert [json.loads(raw)["headers"]["id"] for raw in found] == (
            [] if "countdown" in options else ["retry"]
        )
        assert not any(b"replaces" in raw for raw in (*found, *redis_client.zrange(DELAYED, 0, -1)))

    def test_is_there_once_when_the_answer_was_lost(
        self,
        client: Celery,
        redis_client: redis.Redis,
        delivery: tuple[str, str],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """Kombu sends it again by itself."""
        replace, lost = Protocol.replace, [redis.ConnectionError("the answer is lost")]

        def replace_and_lose(protocol: Protocol, *arguments: Any) -> bool:
            is_replaced = replace(protocol, *arguments)
            if lost:
                raise lost.pop()
            return is_replaced

        monkeypatch.setattr(Protocol, "replace", replace_and_lose)
        client.send_task("probe.queue", task_id="retry", replaces=Replaced(*delivery), countdown=1000)
        assert not lost
        assert redis_client.zcard(DELAYED) == 1

    def test_comes_too_late(
        self, client: Celery, redis_client: redis.Redis, delivery: tuple[str, str]
    ) -> None:
        """Another worker has the message by now, and will see to it: there is no second one."""
        take_from_the_dead(redis_client)
        for options in ({}, {"countdown": 1000}):
            client.send_task("probe.queue", task_id="retry", replaces=Replaced(*delivery), **options)
        assert held(redis_client) == []
        (left,) = redis_client.lrange("celery", 0, -1)
        assert json.loads(left)["headers"]["id"] != "retry"


class TestFaults:
    """Workers, connections and pool processes that break."""

    @pytest.mark.parametrize(
        "error", [KeyboardInterrupt(), redis.exceptions.ConnectionError("cut")], ids=repr
    )
    def test_a_program_whose_fetch_was_cut(
        self,
        client: Celery,
        redis_client: redis.Redis,
        monkeypatch: pytest.MonkeyPatch,
        error: BaseException,
    ) -> None:
        """Redis has given it a message, and it gets no answer: the message is back in the queue."""
        client.send_task("probe.queue")
        fetch = Protocol.fetch

        def cut(*arguments: Any, **options: Any) -> None:
            fetch(*arguments, **options)
            raise error

        with client.connection_for_read() as connection:
            channel: Any = connection.channel()
            with monkeypatch.context() as patch:
                patch.setattr(Protocol, "fetch", cut)
                with pytest.raises(type(error)):
                    channel.basic_get("celery")
            assert redis_client.llen("celery") == 1
            holder.stop_all()

    def test_task_that_kills_its_worker_becomes_a_dead_letter(
        self, worker: StartWorker, client: Celery, redis_client: redis.Redis, tmp_path: Path
    ) -> None:
        """After `max_deliveries` deaths of its workers; a task that only stood behind it is run."""
        poison = send(client, tmp_path)
        innocent = send_quick(client, new_folder(tmp_path, "innocent"))
        limits = {"WORKER__LIMITS__MAX_DELIVERIES": "2", "app": PROBE_APP}
        for deaths in (1, 2):
            killed = worker(*ONE_AT_A_TIME, **limits)
            wait_until(lambda: len(executions(tmp_path)) == deaths, "the task to start")  # noqa: B023 (called here)
            killed.wait_for_log(f"{innocent.id}] received")
            # While it is received again, a death counts against it.
            wait_until(lambda: started(redis_client) == deaths - 1, "the innocent one to wait")  # noqa: B023
            assert held(redis_client) == sorted([poison.id, innocent.id])
            killed.kill(signal.SIGKILL, group=True)
            killed.wait()
            take_from_the_dead(redis_client)
        worker(*ONE_AT_A_TIME, **limits)
        assert innocent.get(timeout=PATIENCE) == 1
        assert len(executions(tmp_path)) == 2
        ((_, _, letter),) = dead_letters.read(redis_client)
        assert (letter.reason, letter.task_id) == ("poison", poison.id)
        wait_until(lambda: poison.state == "FAILURE", "its outcome")
        wait_until(lambda: not held(redis_client), "the acknowledgements")

    def test_frozen_worker_loses_its_lease_and_serves_again(
        self, worker: StartWorker, client: Celery, redis_client: redis.Redis, tmp_path: Path
    ) -> None:
        """SIGSTOP past the lease: another runs the task; awake, it reports that and acknowledges nothing."""
        frozen = worker("--queues=celery", "--concurrency=1", app=PROBE_APP)
        sent = send(client, tmp_path)
        wait_until(lambda: executions(tmp_path), "the task to start")
        other = worker("--queues=celery", "--concurrency=1", app=PROBE_APP)
        frozen.kill(signal.SIGSTOP)
        wait_until(lambda: len(executions(tmp_path)) == 2, "another worker to run the task")
        assert held(redis_client) == [sent.id]
        other.wait_for_log("is gone; 1 message that it held is back in its queue")
        (tmp_path / "release").touch()
        assert sent.get(timeout=PATIENCE) == "released"
        wait_until(lambda: not held(redis_client), "the acknowledgement")
        frozen.kill(signal.SIGCONT)
        frozen.wait_for_log("Overlap: ")
        other.kill()
        assert other.wait() == 0
        again = new_folder(tmp_path, "again")
        assert send_quick(client, again).get(timeout=PATIENCE) == 1
        assert frozen.is_alive
        assert len(executions(tmp_path)) == 2
        wait_until(lambda: not held(redis_client), "the acknowledgement")
        assert len(redis_client.hkeys(LEASES)) == 1

    def test_lost_connections_cost_no_second_run(
        self, worker: StartWorker, client: Celery, redis_client: redis.Redis, tmp_path: Path
    ) -> None:
        """CLIENT KILL of all, again and again while tasks run and wait: each runs once, with its result."""
        busy = worker(*ONE_AT_A_TIME, app=PROBE_APP)
        folders = [new_folder(tmp_path, str(number)) for number in range(6)]
        for folder in folders[1:]:
            (folder / "release").touch()
        sent = [send(client, folder) for folder in folders]
        wait_until(lambda: executions(folders[0]), "the task to start")

        def kill_them_all() -> bool:
            for kind in ("normal", "pubsub"):
                redis_client.client_kill_filter(_type=kind, skipme=True)
            return busy.log().count("Connected to redis://") > 3

        wait_until(kill_them_all, "three reconnections")
        (folders[0] / "release").touch()
        kill_them_all()
        for each in sent:
            result = client.AsyncResult(each.id)
            wait_until(lambda: result.state == "SUCCESS", "the result")  # noqa: B023 (called here)
        assert [len(executions(folder)) for folder in folders] == [1] * 6
        wait_until(lambda: not held(redis_client), "the acknowledgements")
        assert redis_client.llen("celery") == 0


class TestBesidePlainWorkers:
    """`transport = "plain"`: together, before and after."""

    def test_both_serve_one_queue(
        self, worker: StartWorker, client: Celery, redis_client: redis.Redis, tmp_path: Path
    ) -> None:
        """Each takes a part of it, and each task is run once."""
        one_each = ("--queues=celery", "--concurrency=1")
        workers = [worker(*one_each, app=PROBE_APP), worker(*one_each, **PLAIN)]
        folders = [new_folder(tmp_path, str(number)) for number in range(30)]
        sent = [send(client, folder) for folder in folders[:2]]
        # One task each is all that they run at the same time.
        wait_until(lambda: all(executions(folder) for folder in folders[:2]), "both to run one")
        for folder in folders:
            (folder / "release").touch()
        sent += [send(client, folder) for folder in folders[2:]]
        assert [each.get(timeout=PATIENCE) for each in sent] == ["released"] * len(sent)
        assert [len(executions(folder)) for folder in folders] == [1] * len(folders)
        wait_until(lambda: not held(redis_client), "the acknowledgements")
        assert redis_client.llen("celery") == 0
        assert all(each.is_alive for each in workers)

    def test_plain_worker_takes_over_what_a_killed_leased_one_had(
        self, worker: StartWorker, client: Celery, redis_client: redis.Redis, tmp_path: Path
    ) -> None:
        """Held and delayed messages run under a plain worker: it brings them back when the lease is over."""
        killed = worker(*ONE_AT_A_TIME, app=PROBE_APP)
        folders = [new_folder(tmp_path, name) for name in ("running", "prefetched", "delayed", "due")]
        for folder in folders[1:]:
            (folder / "release").touch()
        delays: list[dict[str, Any]] = [{}, {}, {"countdown": 1000}, {"countdown": 2}]
        sent = [send(client, folder, **options) for folder, options in zip(folders, delays, strict=True)]
        wait_until(lambda: executions(folders[0]), "the task to start")
        wait_until(lambda: len(held(redis_client)) == 4, "the prefetch")
        killed.kill(signal.SIGKILL, group=True)
        killed.wait()
        (folders[0] / "release").touch()
        worker("--queues=celery", "--concurrency=1", **PLAIN)
        assert sent[3].get(timeout=PATIENCE) == "released"
        assert [each.get(timeout=PATIENCE) for each in sent[:2]] == ["released"] * 2
        assert [len(executions(folder)) for folder in folders] == [2, 1, 0, 1]
        wait_until(lambda: held(redis_client) == [sent[2].id], "the acknowledgements")
        assert redis_client.hgetall(LEASES) == {}

    def test_leased_worker_takes_over_what_a_killed_plain_one_had(
        self, worker: StartWorker, client: Celery, redis_client: redis.Redis, tmp_path: Path
    ) -> None:
        """What it left unacknowledged comes back after the visibility timeout, as it always did."""
        killed = worker(*ONE_AT_A_TIME, **PLAIN)
        folders = [new_folder(tmp_path, name) for name in ("running", "prefetched", "too")]
        sent = [send(client, folder) for folder in folders]
        wait_until(lambda: executions(folders[0]), "the task to start")
        wait_until(lambda: redis_client.hlen("unacked") == 3, "the prefetch")
        killed.kill(signal.SIGKILL, group=True)
        killed.wait()
        for folder in folders:
            (folder / "release").touch()
        tags: Any = redis_client.zrange("unacked_index", 0, -1)
        redis_client.zadd("unacked_index", dict.fromkeys(tags, 1.0))  # so that it need not wait for an hour
        worker("--queues=celery", app=PROBE_APP, **SOON_RESTORED)
        assert [each.get(timeout=PATIENCE) for each in sent] == ["released"] * 3
        assert [len(executions(folder)) for folder in folders] == [2, 1, 1]
        wait_until(lambda: not held(redis_client), "the acknowledgements")
        assert not redis_client.exists("unacked", "unacked_index", "celery")


class TestSimpleQueue:
    """kombu's own simple interface, in any program."""

    @pytest.fixture
    def connection(self, redis_url: str) -> Iterator[Connection]:
        """A connection by the leased transport."""
        transport.register("leased")
        with Connection(redis_url) as connection:
            yield connection

    @pytest.fixture
    def bodies(self, redis_client: redis.Redis, connection: Connection) -> list[bytes]:
        """Three messages, as they lie in Redis."""
        with connection.SimpleQueue("simple") as queue:
            for number in range(3):
                queue.put({"number": number})
        return [as_bytes(raw) for raw in redis_client.lrange("simple", 0, -1)]

    @pytest.mark.parametrize("block", [False, True])
    def test_get_and_acknowledge(
        self, redis_client: redis.Redis, connection: Connection, bodies: list[bytes], block: bool
    ) -> None:
        """One after the other, then there is none; nothing is left behind."""
        with connection.SimpleQueue("simple") as queue:
            for number in range(3):
                message = queue.get(block=block, timeout=PATIENCE)
                assert message.payload == {"number": number}
                message.ack()
            with pytest.raises(Empty):
                queue.get_nowait()
        connection.release()
        assert redis_client.llen("simple") == 0
        assert not left_behind(redis_client)

    @pytest.mark.parametrize("block", [False, True])
    def test_closed_without_acknowledging(
        self, redis_client: redis.Redis, connection: Connection, bodies: list[bytes], block: bool
    ) -> None:
        """What was taken is back as it was, in its order."""
        queue = connection.SimpleQueue("simple")
        assert queue.get(block=block, timeout=PATIENCE).payload == {"number": 0}
        assert queue.get(block=block, timeout=PATIENCE).payload == {"number": 1}
        assert redis_client.lrange("simple", 0, -1) != bodies
        connection.release()
        assert redis_client.lrange("simple", 0, -1) == bodies
        assert not left_behind(redis_client)

    def test_reject_and_requeue(
        self, redis_client: redis.Redis, connection: Connection, bodies: list[bytes]
    ) -> None:
        """Rejected it is gone, requeued it stands at the back."""
        queue = connection.SimpleQueue("simple")
        queue.get_nowait().reject()
        queue.get_nowait().requeue()
        assert queue.get_nowait().payload == {"number": 2}
        connection.release()
        assert redis_client.lrange("simple", 0, -1) == [bodies[1], bodies[0]]

    def test_taken_messages_stay_taken(
        self, redis_client: redis.Redis, connection: Connection, bodies: list[bytes]
    ) -> None:
        """A program that holds a message is no dead one: its lease is renewed, until it closes."""
        connection.SimpleQueue("simple").get_nowait()
        (name,) = redis_client.hkeys(LEASES)
        wait_until(lambda: int(as_bytes(redis_client.hget(LEASES, name))) >= 2, "renewals")
        assert left_behind(redis_client) == {LEASES, RENEWED, held_key(name.decode())}
        connection.release()
        assert not left_behind(redis_client)
