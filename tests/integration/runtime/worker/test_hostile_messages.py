"""Messages that anybody may publish: one worker lives through all of them, and keeps one letter of each."""

import base64
import bz2
import gzip
import hashlib
import json
import lzma
import uuid
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from celery import Celery
from celery.exceptions import NotRegistered
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contentworker.runtime.records import dead_letters
from contentworker.runtime.records.dead_letters import DeadLetter
from contentworker.runtime.transport.keys import RETURNED, held_key
from contentworker.runtime.worker.consumer import PoisonMessageError
from tests.support import (
    PATIENCE,
    SOON,
    StartWorker,
    Worker,
    as_bytes,
    executions,
    held_records,
    run_cli,
    unsettled,
    wait_until,
    waiting_messages,
)

FAILS = "probe.base.raise_permanent"
SUCCEEDS = "probe.letters.succeed"
MOST = 1024 * 1024
EMBED = {"callbacks": None, "errbacks": None, "chain": None, "chord": None}


@pytest.fixture(scope="module", autouse=True)
def serving(module_worker: StartWorker) -> Worker:
    """One worker of two processes for all of this."""
    return module_worker(
        "--queues=celery",
        app="dead_letters_worker.celery_app",
        WORKER__LIMITS__MAX_MESSAGE_BYTES=str(MOST),
        WORKER__LIMITS__MAX_DELIVERIES="3",
        **SOON,
    )


@pytest.fixture(autouse=True)
def goes_on(serving: Worker, client: Celery, redis_client: redis.Redis, tmp_path: Path) -> Iterator[None]:
    """After each test the same worker runs as many tasks as it has slots, at once, and holds nothing back."""
    pid = serving.pid
    redis_client.delete(dead_letters.STREAM)
    yield
    sent = []
    for number in range(2):
        folder = tmp_path / f"after{number}"
        folder.mkdir()
        sent.append((folder, client.send_task("probe.base.hold", kwargs={"folder": str(folder)})))
    for folder, _ in sent:
        wait_until(lambda: executions(folder), "a free slot")  # noqa: B023 (called here)
    for folder, result in sent:
        (folder / "release").touch()
        assert result.get(timeout=PATIENCE) == "released"
    wait_until(lambda: not unsettled(redis_client), "every message to be settled")
    assert (serving.is_alive, serving.pid) == (True, pid)


def encoded(body: Any) -> str:
    return base64.b64encode(body if isinstance(body, bytes) else json.dumps(body).encode()).decode()


def message(
    task: Any = FAILS,
    body: Any = None,
    *,
    headers: dict[str, Any] | None = None,
    embed: dict[str, Any] | None = None,
    properties: dict[str, Any] | None = None,
    **more: Any,
) -> bytes:
    """A good message of a task that fails for good, changed."""
    task_id = str(uuid.uuid4())
    call = [[], {"folder": "/tmp", "kind": "PermanentError"}, {**EMBED, **(embed or {})}]
    whole = {
        "body": encoded(call if body is None else body),
        "content-encoding": "utf-8",
        "content-type": "application/json",
        "headers": {"lang": "py", "task": task, "id": task_id, "retries": 0, **(headers or {})},
        "properties": {
            "correlation_id": task_id,
            "delivery_info": {"exchange": "", "routing_key": "celery"},
            "priority": 0,
            "body_encoding": "base64",
            "delivery_tag": task_id,
            **(properties or {}),
        },
        **{key.replace("_", "-"): value for key, value in more.items()},
    }
    return json.dumps(whole).encode()


def letters(client: redis.Redis) -> list[DeadLetter]:
    return [letter for _, _, letter in dead_letters.read(client) if isinstance(letter, DeadLetter)]


def letter_of(client: redis.Redis, raw: bytes) -> DeadLetter:
    """Push a message, and return the one dead letter of it, whose bytes are the message's."""
    client.lpush("celery", raw)
    wait_until(lambda: letters(client), "the dead letter")
    wait_until(lambda: not held_records(client), "the acknowledgement")
    (letter,) = letters(client)
    assert dead_letters.raw_message(letter) == raw
    return letter


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = {"a": value}
    return value


def test_stock_client_with_an_unknown_task_and_a_typed_header(
    client: Celery, redis_client: redis.Redis, redis_url: str
) -> None:
    """It ended every worker of the queue. Its letter can be shown and replayed."""
    sent = client.send_task("tasks.misspelt", headers={"tenant": uuid.uuid4()})
    with pytest.raises(NotRegistered):
        sent.get(timeout=PATIENCE)
    ((letter_id, _, letter),) = dead_letters.read(redis_client)
    assert (letter.reason, letter.task, letter.task_id) == ("unknown task", "tasks.misspelt", sent.id)
    shown = run_cli("dead-letters", "show", letter_id, redis_url=redis_url)
    assert "no task named 'tasks.misspelt' is registered" in shown.stdout
    assert dead_letters.replay(redis_client, letter_id)
    (again,) = wait_until(lambda: letters(redis_client), "the letter of the replay")
    assert again.history[-1].id == letter_id
    before, after = json.loads(letter.message), json.loads(again.message)
    assert after["headers"]["tenant"] == before["headers"]["tenant"]
    assert after["body"] == before["body"]


@pytest.mark.parametrize(
    ("raw", "error"),
    [
        (message(headers={"x": nested(500)}), "headers: nested more than 100 deep"),
        (message(headers={"x": nested(101)}), "headers: nested more than 100 deep"),
        (message(properties={"x": nested(300)}), "properties: nested more than 100 deep"),
        (message(body=[[nested(400)], {}, {}]), "body: nested more than 100 deep"),
        (message(embed={"chain": [nested(400)]}), "body: nested more than 100 deep"),
        (message(headers={"stamped_headers": 5}), "header stamped_headers: must be a list"),
        (message(headers={"stamped_headers": [[1]]}), "header stamped_headers: must be a list of strings"),
        (message(headers={"stamped_headers": ["a"], "stamps": [3]}), "header stamps: must be an object"),
        (message(headers={"root_id": 3}), "header root_id: must be a string"),
        (message(headers={"group": {"a": 1}}), "header group: must be a string"),
        (message(headers={"headers": 5}), "header headers: must be an object"),
        (message(headers={"errbacks": 5}), "header errbacks: must be a list"),
        (message(headers={"ignore_result": "no"}), "header ignore_result: must be true or false"),
        (message(headers={"expires": 3}), "header expires: must be a string"),
        (message(headers={"retries": -5}), "header retries: must be an integer from 0"),
        (message(headers={"retries": 10**30}), "header retries: must be an integer from 0"),
        (message(headers={"timelimit": [float("nan"), None]}), "header timelimit: must be two numbers"),
        (message(headers={"timelimit": [None, -1]}), "header timelimit: must be two numbers"),
        (message(headers={"timelimit": [10**400, 1]}), "header timelimit: must be two numbers"),
        (
            message(headers={"timelimit": {"__type__": "decimal", "__value__": "1e999"}}),
            "header timelimit: must be two numbers",
        ),
        (
            message(headers={"id": {"__type__": "uuid", "__value__": {"hex": uuid.uuid4().hex}}}),
            "header id: must be a string",
        ),
        (message(properties={"reply_to": [1]}), "properties reply_to: must be a string"),
        (message(properties={"priority": "first"}), "properties priority: must be an integer"),
        (
            message(properties={"delivery_info": {"exchange": "", "routing_key": [1]}}),
            "delivery_info routing_key: must be a string",
        ),
        (message(embed={"errbacks": [5]}), "body: embed errbacks: must be a list of objects"),
        (message(embed={"chord": [5]}), "body: embed chord: must be an object"),
        (message(embed={"properties": {"held": []}}), "body: embed may have callbacks, errbacks"),
        (message(content_encoding="punycode"), "content-encoding: must be one of utf-8"),
        (
            message(content_type="application/data", content_encoding="punycode", body=b"a" * 300_000),
            "content-type: must be application/json",
        ),
        (
            message(body=bz2.compress(b"\0" * 20_000_000), headers={"compression": "bzip2"}),
            f"body: more than {MOST} bytes when decompressed",
        ),
        (
            message(body=zlib.compress(b"\0" * 20_000_000), headers={"compression": "gzip"}),
            f"body: more than {MOST} bytes when decompressed",
        ),
        (
            message(body=lzma.compress(b"\0" * 3_000_000), headers={"compression": "lzma"}),
            f"body: more than {MOST} bytes when decompressed",
        ),
        (
            message(body=zlib.compress(b"\0" * 100)[:9], headers={"compression": "gzip"}),
            "body: its compressed data is cut off",
        ),
        (b" " * (MOST + 1), f"message: must be at most {MOST} bytes (limits.max_message_bytes)"),
        (
            message(body=b"\0" * MOST),
            f"message: must be at most {MOST} bytes (limits.max_message_bytes)",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_invalid_message_says_what_it_must_be(redis_client: redis.Redis, raw: bytes, error: str) -> None:
    """Celery would pass each on to where it ends the worker, loses a slot, or takes minutes."""
    for _ in range(2):  # a slot each
        redis_client.delete(dead_letters.STREAM)
        letter = letter_of(redis_client, raw)
        assert letter.reason == "invalid"
        assert error in letter.error


@pytest.mark.parametrize(
    "headers",
    [
        {"tenant": {"__type__": "uuid", "__value__": {"hex": uuid.uuid4().hex}}},
        {"tenant": {"__type__": "base64", "__value__": "AP8="}},
        {"tenant": {"__type__": "decimal", "__value__": "1e999999"}},
        {"tenant": nested(99)},
    ],
    ids=["uuid", "bytes", "decimal", "nested"],
)
def test_task_that_fails_for_good_with_any_header(redis_client: redis.Redis, headers: dict[str, Any]) -> None:
    """What is no JSON once it is decoded kept its letter from being written: it was held for ever."""
    letter = letter_of(redis_client, message(headers=headers))
    assert (letter.reason, letter.error) == ("failed", "PermanentError: a reason")


def test_task_without_memory_fails_and_ends_nothing(client: Celery, redis_client: redis.Redis) -> None:
    """Celery raises it again in the worker's main process."""
    sent = client.send_task("probe.letters.out_of_memory")
    wait_until(lambda: letters(redis_client), "the dead letter")
    (letter,) = letters(redis_client)
    assert (letter.task_id, letter.error) == (sent.id, "MemoryError: more than there is")
    wait_until(lambda: sent.state == "FAILURE", "its result")


@pytest.mark.parametrize("compression", ["gzip", "bzip2", "lzma"])
def test_compressing_client_is_served(client: Celery, tmp_path: Path, compression: str) -> None:
    """What Celery's clients send compressed is run, up to the same size."""
    sent = client.send_task(SUCCEEDS, kwargs={"folder": str(tmp_path)}, compression=compression)
    assert sent.get(timeout=PATIENCE) == 1


def test_retry_that_can_never_be_sent_is_final(redis_client: redis.Redis, tmp_path: Path) -> None:
    """Stamps are options of a retry. It went back to its queue, to run again without an end."""
    body = [[], {"folder": str(tmp_path)}, EMBED]
    stamps = {"stamped_headers": ["producer"], "stamps": {"producer": "x"}}
    letter = letter_of(redis_client, message("probe.base.fail", body, headers=stamps))
    assert letter.reason == "failed"
    assert len(executions(tmp_path)) == 1


def test_lost_process_whose_retry_can_never_be_sent_is_poison(
    redis_client: redis.Redis, tmp_path: Path
) -> None:
    """It went back to its queue uncounted, and killed a process again and again."""
    stamps = {"stamped_headers": ["producer"], "stamps": {"producer": "x"}}
    body = [[], {"folder": str(tmp_path)}, EMBED]
    letter = letter_of(redis_client, message("probe.base.die", body, headers=stamps))
    assert (letter.reason, letter.deliveries) == ("poison", 3)
    assert len(executions(tmp_path)) == 3


@pytest.mark.parametrize("way", ["link", "stamp", "property", "embed"])
def test_no_message_deletes_another_that_is_held(
    client: Celery, redis_client: redis.Redis, tmp_path: Path, way: str
) -> None:
    """A retry takes the place of the message that failed, and a stranger's message that of none."""
    victim, attacker = tmp_path / "victim", tmp_path / "attacker"
    victim.mkdir()
    attacker.mkdir()
    sent = client.send_task("probe.base.hold", kwargs={"folder": str(victim)})
    wait_until(lambda: executions(victim), "the victim to run")
    (key,) = redis_client.scan_iter(match=held_key("*"))
    (tag,) = (field.decode() for field in redis_client.hkeys(key) if field[:1].isdigit())
    replaces = [key.decode().removeprefix(held_key("")), tag]
    kwargs = {"folder": str(attacker)}
    link = {"task": "tasks.nobody", "args": [], "kwargs": {}, "options": {"replaces": replaces}}
    raw = {
        "link": message(SUCCEEDS, [[], kwargs, {**EMBED, "callbacks": [link]}]),
        "stamp": message(
            "probe.base.retry",
            [[], kwargs, EMBED],
            headers={"stamped_headers": ["replaces"], "stamps": {"replaces": replaces}},
        ),
        "property": message("probe.base.retry", [[], kwargs, EMBED], properties={"replaces": replaces}),
        "embed": message(
            "probe.base.retry", [[], kwargs, {**EMBED, "properties": {"held": ["", 0, *replaces]}}]
        ),
    }[way]
    redis_client.lpush("celery", raw)
    wait_until(lambda: letters(redis_client), "its end")
    assert redis_client.hexists(key, tag)
    (victim / "release").touch()
    assert sent.get(timeout=PATIENCE) == "released"


def test_forged_id_does_not_drop_the_real_task(
    client: Celery, redis_client: redis.Redis, serving: Worker, tmp_path: Path
) -> None:
    """A critical task runs at most once; one with its id and other arguments is another task."""
    forged, real = tmp_path / "forged", tmp_path / "real"
    for folder in (forged, real):
        folder.mkdir()
        (folder / "release").touch()
    task_id = str(uuid.uuid4())
    for folder in (forged, real):
        client.send_task("probe.critical.hold", kwargs={"folder": str(folder)}, task_id=task_id)
        wait_until(lambda: executions(folder), "it to run")  # noqa: B023 (called here)
        wait_until(lambda: not waiting_messages(redis_client), "its acknowledgement")
    assert "though another task or other arguments had the same id" in serving.log()
    # A success under its id, of another task, does not make it one that has ended well.
    assert json.loads(as_bytes(redis_client.get(f"celery-task-meta-{task_id}")))["claimed"]
    for folder in (forged, real):  # delivered once more
        client.send_task("probe.critical.hold", kwargs={"folder": str(folder)}, task_id=task_id)
    wait_until(lambda: serving.log().count(f"[{task_id}] is delivered once more") == 2, "both to be dropped")
    assert [len(executions(folder)) for folder in (forged, real)] == [1, 1]


def test_claims_of_the_release_before_are_understood(
    client: Celery, redis_client: redis.Redis, serving: Worker, tmp_path: Path
) -> None:
    """They have no digest: whatever has the id is the same task."""
    for number, claim in enumerate(["1\ndone\n", "1\nnobody\n1-0"]):
        task_id = str(uuid.uuid4())
        redis_client.set(f"contentworker:claim:{task_id}:0:0", claim)
        client.send_task("probe.critical.hold", kwargs={"folder": str(tmp_path)}, task_id=task_id)
        if not number:
            wait_until(lambda: "and not run: done" in serving.log(), "it to be dropped")
    wait_until(lambda: letters(redis_client), "the interrupted one")
    assert [letter.reason for letter in letters(redis_client)] == ["interrupted"]
    assert not executions(tmp_path)


@pytest.mark.parametrize("body", [b"no JSON", gzip.compress(b"\0" * 100)], ids=["text", "compressed"])
def test_poison_is_kept_before_it_is_decoded(client: Celery, redis_client: redis.Redis, body: bytes) -> None:
    """The count lies beside the message; what enough workers have died of is not looked into first."""
    raw = message(body=body, headers={"compression": "zstd"})
    redis_client.hset(f"{RETURNED}celery", hashlib.sha1(raw).hexdigest(), 3)
    letter = letter_of(redis_client, raw)
    task_id = json.loads(raw)["headers"]["id"]
    assert (letter.reason, letter.task, letter.task_id, letter.deliveries) == ("poison", FAILS, task_id, 3)
    with pytest.raises(PoisonMessageError):
        client.AsyncResult(task_id).get(timeout=PATIENCE)


def test_message_that_has_ended_a_worker_is_noted_while_it_is_received(
    redis_client: redis.Redis, serving: Worker
) -> None:
    """One that stands in line is not counted, so the note is gone when it is settled or waits."""
    raw = message(headers={"x": 1})
    redis_client.hset(f"{RETURNED}celery", hashlib.sha1(raw).hexdigest(), 1)
    assert letter_of(redis_client, raw).deliveries == 1
    assert not [
        field for key in redis_client.scan_iter(match=held_key("*")) for field in redis_client.hkeys(key)
    ]


@pytest.mark.parametrize(
    "raw",
    [
        b"[" * 200_000,
        b"null",
        b"3",
        b"{}",
        b'{"body": "e30=", "properties": {"body_encoding": "x"}}',
        message(),
    ],
    ids=["nested", "null", "number", "empty", "encoding", "task"],
)
def test_broadcast_that_cannot_be_read_is_dropped(
    client: Celery, redis_client: redis.Redis, serving: Worker, raw: bytes
) -> None:
    """Every worker hears it, so it would end all of them."""
    assert wait_until(lambda: redis_client.publish("/0.celery.pidbox", raw), "the worker to listen") == 1
    # Celery may subscribe again, and not hear the first one.
    wait_until(lambda: client.control.ping(timeout=1, limit=1) or not serving.is_alive, "its answer")
    assert serving.is_alive


def test_queue_whose_name_has_a_line_break(client: Celery, serving: Worker) -> None:
    """Its messages would come back to the list that the first line names, cut off."""
    client.control.add_consumer("celery\nforged")
    serving.wait_for_log("is not added: its name must be one line")
    assert serving.is_alive


def test_what_ends_its_worker_while_it_is_received_becomes_a_dead_letter(
    worker: StartWorker, client: Celery, redis_client: redis.Redis, tmp_path: Path
) -> None:
    """It had not begun, so it was counted once; a blank before it or a count of its own hid even that.

    What stands behind it is run.
    """
    app, options = "dead_letters_worker.celery_app", ("--queues=rewrite", "--hostname=dies@%h")
    raw = b" " + message(headers={"ends_its_worker": 1}, deliveries=0)
    redis_client.lpush("rewrite", raw)
    good = client.send_task(SUCCEEDS, kwargs={"folder": str(tmp_path)}, queue="rewrite")
    for _ in range(2):
        worker(*options, app=app, ready=False, WORKER__LIMITS__MAX_DELIVERIES="2").wait()
        wait_until(lambda: redis_client.llen("rewrite") == 2, "both to be back")
    worker(*options, app=app, WORKER__LIMITS__MAX_DELIVERIES="2")
    assert good.get(timeout=PATIENCE) == 1
    wait_until(lambda: letters(redis_client), "the dead letter")
    assert [each.reason for each in letters(redis_client)] == ["poison"]
    assert [dead_letters.raw_message(each) for each in letters(redis_client)] == [raw]


LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(alphabet="ab\x1b\u202e\ud800é {[", max_size=9)
)
TYPED = st.fixed_dictionaries(
    {
        "__type__": st.sampled_from(
            ["uuid", "datetime", "date", "time", "decimal", "bytes", "base64", "odd"]
        ),
        "__value__": LEAVES | st.just({"hex": uuid.uuid4().hex}) | st.just("2026-01-01") | st.just("1e99"),
    }
)
JSON = st.recursive(
    LEAVES | TYPED,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)
NAMES = [
    "id",
    "task",
    "retries",
    "timelimit",
    "group",
    "root_id",
    "parent_id",
    "shadow",
    "stamped_headers",
    "stamps",
    "headers",
    "chord",
    "callbacks",
    "errbacks",
    "chain",
    "origin",
    "ignore_result",
    "replaced_task_nesting",
    "compression",
    "history",
    "replays",
    "sent_at",
    "article_id",
    "_log_fields",
    "properties",
    "delivery_info",
    "called_directly",
    "is_eager",
    "_children",
    "taskset",
    "utc",
    "hostname",
    "lang",
    "x",
]
PROPERTIES = [
    "reply_to",
    "correlation_id",
    "priority",
    "held",
    "replaces",
    "delivery_info",
    "body_encoding",
    "x",
]
PARTS = ["body", "headers", "properties", "content-type", "content-encoding", "deliveries", "x"]
HEADERS = st.dictionaries(st.sampled_from(NAMES), JSON, max_size=4)


@settings(
    max_examples=150,
    deadline=None,
    database=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    task=st.sampled_from([FAILS, "tasks.nobody"]),
    headers=HEADERS,
    properties=st.dictionaries(st.sampled_from(PROPERTIES), JSON, max_size=3),
    embed=st.dictionaries(st.sampled_from([*EMBED, "properties", "id", "x"]), JSON, max_size=2),
    parts=st.dictionaries(st.sampled_from(PARTS), JSON, max_size=1),
)
def test_whatever_is_published_is_one_letter(
    redis_client: redis.Redis,
    serving: Worker,
    task: str,
    headers: dict[str, Any],
    properties: dict[str, Any],
    embed: dict[str, Any],
    parts: dict[str, Any],
) -> None:
    """Arbitrary JSON and kombu's typed values in any part: the worker lives, and keeps one letter."""
    whole = json.loads(message(task, headers=headers, properties=properties, embed=embed))
    raw = json.dumps({**whole, **parts}).encode()
    before = redis_client.xlen(dead_letters.STREAM)
    redis_client.lpush("celery", raw)
    wait_until(
        lambda: redis_client.xlen(dead_letters.STREAM) > before or not serving.is_alive,
        f"the letter of {raw!r}",
    )
    assert serving.is_alive, raw
    *_, letter = letters(redis_client)
    assert dead_letters.raw_message(letter) == raw
    assert redis_client.xlen(dead_letters.STREAM) == before + 1
