"""What is removed of an article from Redis, and what is not."""

import base64
import json
import re
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from celery import Celery

from contentworker import config
from contentworker.articles import escalating, forgetting, steps
from contentworker.articles.outcome import open_runs
from contentworker.editorial.escalations.schema import open_engine
from contentworker.editorial.escalations.store import Store
from contentworker.errors import ContentWorkerError
from contentworker.runtime.records import dead_letters, parked, queue_state
from contentworker.runtime.records.dead_letters import DeadLetter
from contentworker.runtime.settings import DeadLetterSettings
from contentworker.runtime.transport.keys import BLOCKED, DELAYED, LEASES, held_key, place_field
from contentworker.runtime.transport.limits import Limit, in_json, partition
from contentworker.runtime.transport.protocol import Protocol
from tests.servers import server
from tests.support import PATIENCE, ROOT, as_bytes, run_cli

RUN = "6c1c5a3e-6a3f-5a0e-9a53-7f0f8f1b6d12"
TASK = "tasks.evaluation.detect_ai"
SETTLE = "tasks.escalation.settle"


@pytest.fixture(autouse=True)
def clean(redis_client: redis.Redis) -> Iterator[None]:
    """No key before or after."""
    redis_client.flushdb()
    yield
    redis_client.flushdb()


def message(task: str = TASK, args: object = (), kwargs: object = None, **headers: str) -> bytes:
    body = json.dumps([args, kwargs or {}, {}])
    whole = {"body": body, "headers": {"task": task, **headers}, "properties": {}}
    return json.dumps(whole).encode()


@pytest.mark.parametrize(
    ("raw", "is_about"),
    [
        pytest.param(message(article_id="a"), True, id="header of the article"),
        pytest.param(message(run_id=RUN), True, id="header of the run"),
        pytest.param(message(kwargs={"article_id": "a"}), True, id="argument"),
        pytest.param(message(kwargs={"run_id": RUN}), True, id="argument of the run"),
        pytest.param(message(kwargs={"content": "a"}), False, id="another argument"),
        pytest.param(message(steps.PROCESS, ["a", "text"]), True, id="by position"),
        pytest.param(message(steps.PROCESS, ["text", "a"]), False, id="second position"),
        pytest.param(message(TASK, ["a"]), False, id="by position, of a task that takes a text"),
        pytest.param(message(SETTLE, kwargs={"escalation_id": "a"}), True, id="of a record"),
        pytest.param(message(SETTLE, ["a", "accept"]), True, id="of a record, by position"),
        pytest.param(message(article_id="b"), False, id="another article"),
        pytest.param(message(article_id=["a"]), False, id="a list"),  # type: ignore[arg-type]
        pytest.param(message(kwargs=["a"]), False, id="no arguments"),
        pytest.param(b"{}", False, id="no message"),
        pytest.param(b"a", False, id="no JSON"),
        pytest.param(b"[" * 100_000, False, id="deep"),
    ],
)
def test_which_messages_are_about_an_article(raw: bytes, is_about: bool) -> None:
    """By the ids that they name; a stranger's message is about nothing."""
    assert forgetting._is_about(raw, {"a", RUN}) is is_about


def test_a_body_in_base64() -> None:
    """As Celery sends it."""
    whole = json.loads(message(kwargs={"article_id": "a"}))
    whole["body"] = base64.b64encode(whole["body"].encode()).decode()
    whole["properties"]["body_encoding"] = "base64"
    assert forgetting._is_about(json.dumps(whole).encode(), {"a"})


def test_messages_of_every_queue_and_priority(client: Celery, redis_client: redis.Redis) -> None:
    """Also delayed ones; another article's stay."""
    for article_id in ("a", "b"):
        for options in ({}, {"priority": 6}, {"queue": "rewrite"}, {"countdown": 3600}):
            client.send_task(TASK, kwargs={"article_id": article_id}, **options)
    assert forgetting.forget(redis_client, "b").messages == 4
    waiting = [raw for key in ("evaluation", "rewrite") for raw in redis_client.lrange(key, 0, -1)]
    assert (len(waiting), redis_client.zcard(DELAYED)) == (2, 1)
    assert forgetting.forget(redis_client, "b").messages == 0
    assert forgetting.forget(redis_client, "a").messages == 4


def test_a_task_that_runs_is_waited_for(redis_client: redis.Redis) -> None:
    """What it leaves behind when it ends is removed, too."""
    redis_client.hset(held_key("w"), "1", b"1\n2\n3\n" + message(article_id="a"))

    def end() -> None:
        redis_client.lpush("rewrite", message(article_id="a"))
        redis_client.delete(held_key("w"))

    ending = threading.Timer(0.3, end)
    ending.start()
    assert forgetting.forget(redis_client, "a") == (0, 1, 0, 0, 0)
    ending.join()


def test_a_run_that_begins_meanwhile(redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker had taken `process_content`: its run holds the article, its steps' results name the run."""
    runs, result = open_runs(redis_client), f"celery-task-meta-{next(steps.task_ids(RUN))}"
    redis_client.hset(held_key("w"), "1", b"1\n2\n3\n" + message(steps.PROCESS, ["a", "text"]))

    def begin(_: float) -> None:
        runs.create(RUN, "a", "evaluate:0", {"article": {"content": "text"}})
        redis_client.lpush("evaluation", message(run_id=RUN))
        redis_client.set(result, "{}")
        redis_client.delete(held_key("w"))

    monkeypatch.setattr("contentworker.articles.forgetting.time.sleep", begin)
    assert forgetting.forget(redis_client, "a") == (1, 1, 0, 1, 0)
    assert (runs.find(RUN), runs.page().lines, redis_client.exists(result)) == (None, [], 0)


def test_messages_that_wait_for_a_limit(redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    """Outside of their queues' lists; those of others stay, are counted, and start in their order."""
    monkeypatch.setattr(parked, "AT_ONCE", 2)
    protocol, limits = Protocol(redis_client), in_json({"one": Limit(1, 0, 0)})
    protocol.register("holder")
    sent = [message(article_id=each) for each in ("first", "b", "a", "c", "a", "a", "other", "a")]
    redis_client.lpush("rewrite", *sent)
    _, taken = protocol.fetched(protocol.fetch("holder", 1, 8, ["rewrite"]))
    keys = "xxxxxxyy"  # behind `other`, the message of `a` is the only one of its key
    asked = [(each.tag, partition("one", key), True) for each, key in zip(taken, keys, strict=True)]
    assert protocol.admit("holder", 8, limits, asked) == [0, *[None] * 5, 0, None]
    assert forgetting.forget(redis_client, "a").messages == 4
    state = queue_state.read(redis_client, ["rewrite"])
    assert (state.queues[0].parked, [each.waiting for each in state.limits]) == (2, [2])
    assert redis_client.zrange(BLOCKED + "rewrite", 0, -1) == [b"one:x"]
    started: list[bytes] = []
    tag = taken[0].tag
    for number in (2, 3):
        protocol.acknowledge("holder", tag, place_field(tag))
        _, (one,) = protocol.fetched(protocol.fetch("holder", number, 8, ["rewrite"], limits=limits))
        started, tag = [*started, one.raw], one.tag
    assert started == [sent[1], sent[3]]


def test_the_platforms_task_that_waits(
    client: Celery, redis_client: redis.Redis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has the text that a person decided on; that of another article stays."""
    settings = config.load()
    more = {"settled_task": "tasks.health_check", "settled_queue": "celery"}
    escalations = settings.escalations.model_copy(update=more)
    monkeypatch.setattr(config, "load", lambda: settings.model_copy(update={"escalations": escalations}))
    monkeypatch.setattr(escalating, "current_app", client)
    store = Store(open_engine("", tmp_path / "records.sqlite3"))
    monkeypatch.setattr(escalating, "store", lambda: store)
    for article_id in ("a", "b"):
        store.settle(store.escalate(article_id, "failed", evidence={}).id, "accept", "ana", text="tea")
    assert len(escalating.announce().events) == redis_client.llen("celery") == 2
    store.close()
    assert forgetting.forget(redis_client, "a").messages == 1
    (left,) = redis_client.lrange("celery", 0, -1)
    assert forgetting._is_about(as_bytes(left), {"b"})


def test_a_cancelled_run_sends_nothing_more(
    redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where a task had moved it on and was about to send; twice is as good, a run that ended is not."""
    monkeypatch.setattr(forgetting, "CANCEL_SECONDS", PATIENCE)
    runs = open_runs(redis_client)
    runs.create(RUN, "a", "evaluate:0", {})
    record = b"1\n2\n3\n"
    redis_client.hset(LEASES, "w", "1")
    redis_client.hset(held_key("w"), "1", record + message("tasks.pipeline.take_evaluation", run_id=RUN))
    redis_client.hset(held_key("w"), "2", record + message("tasks.rewrite.generate_rewrite", run_id=RUN))

    def send() -> None:
        redis_client.lpush("rewrite", message("tasks.rewrite.generate_rewrite", run_id=RUN))
        redis_client.hdel(held_key("w"), "1")

    sending = threading.Timer(0.3, send)
    sending.start()
    run, removed = forgetting.cancel(redis_client, RUN)
    sending.join()
    assert (run.step, removed, redis_client.llen("rewrite")) == ("cancelled", 1, 0)
    assert not runs.move(RUN, "evaluate:0", "rewrite:1")  # what the step that runs will try
    assert forgetting.cancel(redis_client, RUN)[1] == 0
    ended = RUN[::-1]
    runs.create(ended, "a", "passed", {})
    for run_id, why in ((ended, "has already ended: passed"), ("none", "there is no such run")):
        with pytest.raises(ContentWorkerError, match=f"^{run_id}: {why}"):
            forgetting.cancel(redis_client, run_id)
    assert [line[:3] for line in runs.page().lines] == [(ended, "a", "passed"), (RUN, "a", "cancelled")]
    assert sorted(runs.ids("6c1c")) == [RUN]
    assert list(runs.ids("6*")) == []


def test_everything_of_an_article(redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its run, letter and results go, by id and by content; a task that runs is waited for, and counted."""
    monkeypatch.setattr(forgetting, "FORGET_SECONDS", 0.2)
    runs = open_runs(redis_client)
    runs.create(RUN, "a", "evaluate:0", {})
    runs.create(RUN[:-1] + "3", "b", "evaluate:0", {})
    kept, named, *others = steps.task_ids(RUN), "celery-task-meta-by-content", "celery-task-meta-other"
    for task_id in kept:
        redis_client.set(f"celery-task-meta-{task_id}", "{}")
    redis_client.set(named, json.dumps({"result": {"article_id": "a"}}))
    redis_client.set(others[0], json.dumps({"result": {"article_id": "ab"}}))
    for article_id in ("a", "b"):
        letter = DeadLetter(
            reason="failed",
            error="e",
            queue="q",
            worker="w",
            message=message(article_id=article_id).decode(),
        )
        dead_letters.add(redis_client, letter, DeadLetterSettings())
    redis_client.hset(held_key("w"), "1", b"1\n2\n3\n" + message(run_id=RUN))
    redis_client.hset(held_key("w"), "2", b"1\n2\n3\n" + message(run_id="another"))
    redis_client.hset(held_key("w"), "name", b"1\n2\n3\n" + message(run_id=RUN))  # no message's tag
    removed = forgetting.forget(redis_client, "a")
    assert removed == (1, 0, 1, 2 * 33 + 1, 1)
    assert (runs.of("a"), runs.find(RUN)) == ([], None)
    assert len(runs.of("b")) == len(list(dead_letters.read(redis_client))) == 1
    assert [key.decode() for key in redis_client.keys("celery-task-meta-*")] == others
    redis_client.delete(held_key("w"))
    assert forgetting.forget(redis_client, "a") == (0, 0, 0, 0, 0)


def test_a_decision_that_waits(redis_client: redis.Redis, redis_url: str, tmp_path: Path) -> None:
    """It has the text that a person made of the article, and names the record alone; so does its letter."""
    file = tmp_path / "records.sqlite3"
    store = Store(open_engine("", file))
    made = store.escalate("a", "failed", evidence={})
    store.close()
    settle = message(SETTLE, kwargs={"escalation_id": made.id, "text": "secret words"})
    redis_client.lpush("escalation", settle)
    letter = DeadLetter(reason="failed", error="e", queue="q", worker="w", message=settle.decode())
    dead_letters.add(redis_client, letter, DeadLetterSettings())
    done = run_cli("runs", "forget", "a", redis_url=redis_url, WORKER__ESCALATIONS__SQLITE_PATH=str(file))
    assert done.returncode == 0
    assert redis_client.llen("escalation") == 0
    assert list(dead_letters.read(redis_client)) == []


def test_as_the_user_with_few_rights(tmp_path: Path) -> None:
    """docs/redis.md's line lets it list runs, cancel one by the start of its id, forget an article."""
    page = (ROOT / "docs" / "redis.md").read_text("utf-8")
    (user,) = re.findall(r"^user content-worker .*$", page, re.MULTILINE)
    with server(tmp_path / "redis", user.replace("PASSWORD", "few")) as running, running.client() as admin:
        open_runs(admin).create(RUN, "a", "evaluate:0", {"article": {}})
        url = f"redis://content-worker:few@127.0.0.1:{running.port}/0"
        for words in (
            "runs list",
            "runs list --step evaluate:0 --state open",
            f"runs cancel {RUN[:8]}",
            "runs show a",
            "runs forget a",
        ):
            done = run_cli(*words.split(), redis_url=url, STATE_DIRECTORY=str(tmp_path))
            assert (done.returncode, done.stderr) == (0, ""), words
        assert not admin.exists(f"contentworker:run:{RUN}")
