"""Messages that are no task, pushed straight into Redis: each is kept whole, and the worker goes on."""

import base64
import json
import pickle
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from celery import Celery
from celery.exceptions import NotRegistered
from kombu.exceptions import EncodeError

from contentworker.errors import ContentError
from contentworker.runtime.records import dead_letters
from contentworker.runtime.records.dead_letters import DeadLetter
from contentworker.runtime.worker.consumer import InvalidMessageError
from tests.support import PATIENCE, PROBE_APP, StartWorker, Worker, run_cli, unsettled, wait_until

TASK = "tasks.health_check"


@pytest.fixture(scope="module", autouse=True)
def serving(module_worker: StartWorker) -> Worker:
    """One worker for all of this."""
    return module_worker("--queues=celery", app=PROBE_APP)


@pytest.fixture(autouse=True)
def goes_on(serving: Worker, client: Celery, redis_client: redis.Redis) -> Iterator[None]:
    """After each test the same worker process answers, and holds nothing back."""
    pid = serving.pid
    yield
    assert client.send_task(TASK, queue="celery").get(timeout=PATIENCE)["status"] == "ok"
    assert serving.is_alive
    assert serving.pid == pid
    assert " ready." in serving.log()
    assert serving.log().count("Connected to redis://") == 1
    wait_until(lambda: not unsettled(redis_client), "every message to be settled")


def text(value: Any) -> str:
    return base64.b64encode(value if isinstance(value, bytes) else json.dumps(value).encode()).decode()


def message(body: Any = None, *, without: str = "", properties: Any = None, **changes: Any) -> dict[str, Any]:
    """A good message of `tasks.health_check`, changed."""
    task_id = str(uuid.uuid4())
    headers = {
        "lang": "py",
        "task": TASK,
        "id": task_id,
        "root_id": task_id,
        "parent_id": None,
        "group": None,
    }
    whole = {
        "body": text([[], {}, {"callbacks": None, "errbacks": None, "chain": None, "chord": None}])
        if body is None
        else body,
        "content-encoding": "utf-8",
        "content-type": "application/json",
        "headers": headers,
        "properties": {
            "correlation_id": task_id,
            "reply_to": str(uuid.uuid4()),
            "delivery_mode": 2,
            "delivery_info": {"exchange": "", "routing_key": "celery"},
            "priority": 0,
            "body_encoding": "base64",
            "delivery_tag": str(uuid.uuid4()),
        },
    }
    if properties is not None:
        whole["properties"] = properties
    for key, value in changes.items():
        place = headers if key in {"task", "id", "retries", "eta", "expires", "timelimit", "lang"} else whole
        place[key.replace("_", "-") if place is whole else key] = value
    whole.pop(without, None)
    headers.pop(without, None)
    return whole


def letter_of(redis_client: redis.Redis, raw: str | bytes) -> DeadLetter:
    """Push a message and return the dead letter that the worker makes of it."""
    before = redis_client.xlen(dead_letters.STREAM)
    redis_client.lpush("celery", raw)
    wait_until(lambda: redis_client.xlen(dead_letters.STREAM) > before, "the dead letter")
    assert redis_client.xlen(dead_letters.STREAM) == before + 1
    *_, (_, _, letter) = dead_letters.read(redis_client)
    assert isinstance(letter, DeadLetter)
    return letter


def test_changed_message_is_good_to_begin_with(client: Celery, redis_client: redis.Redis) -> None:
    """Unchanged, it is a task: what follows is about the changes."""
    good = message()
    redis_client.lpush("celery", json.dumps(good))
    assert client.AsyncResult(good["headers"]["id"]).get(timeout=PATIENCE)["status"] == "ok"


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(b"no JSON at all", id="text"),
        pytest.param(b"", id="nothing"),
        pytest.param(b" ", id="white-space"),
        pytest.param(b'{"body": "', id="cut-off"),
        pytest.param(b"null", id="null"),
        pytest.param(b"3", id="number"),
        pytest.param(b'"text"', id="string"),
        pytest.param(b"[]", id="array"),
        pytest.param(b"{}", id="empty-object"),
        pytest.param(b"NaN", id="nan"),
        pytest.param(b"[" * 200_000 + b"]" * 200_000, id="deep-nesting"),
        pytest.param(b'{"a":' * 200_000 + b"1" + b"}" * 200_000, id="deep-objects"),
        pytest.param("caf\u00e9 \u5929".encode(), id="utf-8"),
        pytest.param(
            b'{"task": "tasks.health_check", "id": "1", "args": [], "kwargs": {}}', id="protocol-1-bare"
        ),
        pytest.param(json.dumps(message(without="properties")).encode(), id="no-properties"),
        pytest.param(json.dumps(message(properties={})).encode(), id="empty-properties"),
        pytest.param(json.dumps(message(properties=[1])).encode(), id="properties-of-wrong-type"),
        pytest.param(json.dumps(message("abc")).encode(), id="base64-cut-off"),
        pytest.param(json.dumps(message(headers=[1, 2])).encode(), id="headers-list"),
        pytest.param(json.dumps(message(headers="text")).encode(), id="headers-text"),
        pytest.param(json.dumps(message(3)).encode(), id="body-is-a-number"),
    ],
)
def test_what_is_no_message_is_kept_byte_for_byte(redis_client: redis.Redis, raw: bytes) -> None:
    """What kombu cannot read is `unreadable`, and comes out of Redis as it went in."""
    letter = letter_of(redis_client, raw)
    assert (letter.reason, letter.queue, letter.task_id) == ("unreadable", "celery", "")
    assert letter.message.encode() == raw


def test_binary_is_kept_byte_for_byte(redis_client: redis.Redis) -> None:
    """Bytes that are no UTF-8 are kept in base64, and none is lost."""
    raw = bytes(range(256))
    letter = letter_of(redis_client, raw)
    assert (letter.reason, letter.encoding) == ("unreadable", "base64")
    assert base64.b64decode(letter.message) == raw


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        pytest.param(message(headers=None), "invalid", id="headers-null"),
        pytest.param(message(headers={}), "invalid", id="headers-empty"),
        pytest.param(message(without="headers"), "invalid", id="no-headers"),
        pytest.param(message(without="task"), "invalid", id="no-task"),
        pytest.param(message(without="id"), "invalid", id="no-id"),
        pytest.param(message(task=3), "unknown task", id="task-is-a-number"),
        pytest.param(message(task=None), "unknown task", id="task-is-null"),
        pytest.param(message(task=["a"]), "invalid", id="task-is-a-list"),
        pytest.param(message(task={"a": 1}), "invalid", id="task-is-an-object"),
        pytest.param(message(task=""), "unknown task", id="task-is-empty"),
        pytest.param(message(task="tasks.helth_check"), "unknown task", id="unknown-task"),
        pytest.param(message(eta="soon"), "invalid", id="eta-is-no-time"),
        pytest.param(message(eta=3), "invalid", id="eta-is-a-number"),
        pytest.param(message(expires="soon"), "invalid", id="expires-is-no-time"),
        pytest.param(message(content_type="application/x-yaml"), "invalid", id="yaml"),
        pytest.param(message(content_type="text/plain"), "invalid", id="plain-text"),
        pytest.param(message(content_type="no/such"), "invalid", id="unknown-content-type"),
        pytest.param(message(content_type=None), "invalid", id="content-type-null"),
        pytest.param(message(content_type=["a"]), "invalid", id="content-type-list"),
        pytest.param(message("***no base64***"), "invalid", id="bad-base64"),
        pytest.param(message(text(b"{broken")), "invalid", id="body-is-no-json"),
        pytest.param(message(text(b"\xff\xfe")), "invalid", id="body-is-no-utf8"),
        pytest.param(message(text(b"[" * 200_000 + b"]" * 200_000)), "invalid", id="body-is-deep"),
        pytest.param(message(text({"task": "x"}), headers={}), "unknown task", id="protocol-1-junk"),
        pytest.param(
            message(text({"task": TASK, "id": 3, "args": 4, "kwargs": 5}), headers={}),
            "invalid",
            id="protocol-1-wrong-types",
        ),
    ],
)
def test_message_that_is_no_task_is_kept(
    redis_client: redis.Redis, changed: dict[str, Any], reason: str
) -> None:
    """A message that Celery would drop is a dead letter with the same JSON value."""
    letter = letter_of(redis_client, json.dumps(changed))
    assert letter.reason == reason
    assert json.loads(letter.message) == changed
    assert letter.worker.startswith("celery@")


@pytest.mark.parametrize(
    "changed",
    [
        pytest.param(message(content_encoding="no-such"), id="unknown-encoding"),
        pytest.param(message(text([3, 4, 5])), id="body-of-numbers"),
        pytest.param(message(text([[], {}])), id="body-too-short"),
        pytest.param(message(text({"args": 1})), id="body-is-an-object"),
        pytest.param(message(text(3)), id="body-is-a-number"),
        pytest.param(message(text(None)), id="body-is-null"),
        pytest.param(message(text([])), id="body-is-empty"),
        pytest.param(message(text([[], [], {}])), id="keywords-are-a-list"),
        pytest.param(message(text([[], {}, 3])), id="embed-is-a-number"),
        pytest.param(message(retries="many"), id="retries-is-text"),
        pytest.param(message(timelimit="long"), id="timelimit-is-text"),
        pytest.param(message(timelimit=["a", "b"]), id="timelimit-of-texts"),
        pytest.param(message(id=3), id="id-is-a-number"),
        pytest.param(message(id=["a"]), id="id-is-a-list"),
        pytest.param(message(id=None), id="id-is-null"),
        pytest.param(message(expires=3), id="expires-is-a-number"),
    ],
)
def test_message_with_wrong_parts_does_no_harm(
    client: Celery, redis_client: redis.Redis, serving: Worker, changed: dict[str, Any]
) -> None:
    """Whatever the parts are: it is a dead letter, or a task that ended, and never a dead worker."""
    before = redis_client.xlen(dead_letters.STREAM)
    redis_client.lpush("celery", json.dumps(changed))
    task_id = changed["headers"]["id"]

    def settled() -> bool:
        assert serving.is_alive
        if redis_client.xlen(dead_letters.STREAM) > before:
            *_, (_, _, letter) = dead_letters.read(redis_client)
            assert json.loads(letter.message) == changed
            return True
        return isinstance(task_id, str) and client.AsyncResult(task_id).state in {"SUCCESS", "FAILURE"}

    wait_until(settled, "a dead letter or a result")


def test_unknown_task_fails_for_its_sender(client: Celery, redis_client: redis.Redis) -> None:
    """The sender gets a FAILURE at once, not silence."""
    sent = client.send_task("tasks.no_such_task", kwargs={"a": 1})
    with pytest.raises(NotRegistered):
        sent.get(timeout=PATIENCE)
    *_, (_, _, letter) = dead_letters.read(redis_client)
    assert (letter.reason, letter.task, letter.task_id) == ("unknown task", "tasks.no_such_task", sent.id)


def test_invalid_message_fails_for_its_sender(client: Celery, redis_client: redis.Redis) -> None:
    """Where an id can be read, its result is a FAILURE."""
    broken = message(text(b"{broken"))
    letter = letter_of(redis_client, json.dumps(broken))
    assert letter.task_id == broken["headers"]["id"]
    with pytest.raises(InvalidMessageError):
        client.AsyncResult(letter.task_id).get(timeout=PATIENCE)


def test_wrong_arguments_fail_for_their_sender(client: Celery, redis_client: redis.Redis) -> None:
    """A good message with bad arguments is a failed task, and its dead letter says so."""
    sent = client.send_task(TASK, kwargs={"surprise": 1})
    with pytest.raises(ContentError) as caught:
        sent.get(timeout=PATIENCE)
    assert caught.value.field == "surprise"
    letters = wait_until(
        lambda: [letter for *_, letter in dead_letters.read(redis_client) if letter.task_id == sent.id],
        "the dead letter",
    )
    assert [letter.reason for letter in letters] == ["failed"]


class Trap:
    """Makes a file when it is unpickled."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return open, (self.path, "w")


@pytest.mark.parametrize("content_type", ["application/x-python-serialize", "application/json"])
def test_pickle_is_never_unpickled(redis_client: redis.Redis, tmp_path: Path, content_type: str) -> None:
    """A pickled message is a dead letter, and what it would do is not done."""
    trap = tmp_path / "sprung"
    body = text(pickle.dumps([[], {"x": Trap(str(trap))}, {}]))
    letter = letter_of(
        redis_client, json.dumps(message(body, content_type=content_type, content_encoding="binary"))
    )
    assert letter.reason == "invalid"
    assert not trap.exists()


def test_what_json_cannot_say_cannot_be_sent(client: Celery, redis_client: redis.Redis) -> None:
    """The client refuses; nothing reaches Redis."""
    with pytest.raises(EncodeError):
        client.send_task(TASK, kwargs={"x": object()})
    assert redis_client.llen("celery") == 0


def test_protocol_1_is_still_understood(client: Celery, redis_client: redis.Redis) -> None:
    """An old client's message runs."""
    task_id = str(uuid.uuid4())
    body = {"task": TASK, "id": task_id, "args": [], "kwargs": {}, "retries": 0, "eta": None}
    redis_client.lpush("celery", json.dumps(message(text(body), headers={})))
    assert client.AsyncResult(task_id).get(timeout=PATIENCE)["status"] == "ok"


def test_many_bad_messages_among_good_ones(client: Celery, redis_client: redis.Redis) -> None:
    """The good ones all run."""
    before = redis_client.xlen(dead_letters.STREAM)
    sent = []
    for number in range(30):
        redis_client.lpush("celery", b"junk %d" % number)
        sent.append(client.send_task("probe.bound", args=[number]))
    assert [result.get(timeout=PATIENCE)[2] for result in sent] == [*range(30)]
    wait_until(lambda: redis_client.xlen(dead_letters.STREAM) == before + 30, "the dead letters")


def test_command_lists_dead_letters(redis_client: redis.Redis, redis_url: str) -> None:
    """`dead-letters list` has a line for each, `--json` the whole message."""
    letter_of(redis_client, "caf\u00e9".encode())
    lines = run_cli("dead-letters", "list", redis_url=redis_url)
    assert lines.returncode == 0
    assert len(lines.stdout.splitlines()) == redis_client.xlen(dead_letters.STREAM)
    assert "celery  unreadable: not a message" in lines.stdout.splitlines()[-1]
    records = run_cli("dead-letters", "list", "--json", redis_url=redis_url)
    last = json.loads(records.stdout.splitlines()[-1])
    assert last["message"] == "caf\u00e9"
    assert last["id"] == lines.stdout.splitlines()[-1].split()[0]
    assert set(last) == {"id", "arrived", *DeadLetter.model_fields}
