"""What becomes a dead letter, and what becomes of it: real workers, a real Redis, the real command."""

import base64
import json
import os
import pty
import subprocess
import sys
import threading
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import redis
from celery import Celery

from contentworker.runtime.records import dead_letters
from contentworker.runtime.records.dead_letters import DeadLetter, UnknownLetter
from contentworker.runtime.settings import DeadLetterSettings
from tests.support import (
    PATIENCE,
    ROOT,
    SOON,
    RedisProcess,
    StartWorker,
    Worker,
    client_of,
    environment,
    executions,
    run_cli,
    throwaway_redis,
    wait_until,
    waiting_messages,
)

APP = "dead_letters_worker.celery_app"
LIMITS = DeadLetterSettings()
SHORT = {
    "WORKER__LIMITS__SOFT_TIME_LIMIT_SECONDS": "4",
    "WORKER__LIMITS__HARD_TIME_LIMIT_SECONDS": "6",
}
"""Long enough for a busy machine to begin the task, which notes that."""


@pytest.fixture(scope="module")
def serving(module_worker: StartWorker) -> Worker:
    """A worker whose retries come within hundredths of a second."""
    return module_worker("--queues=celery", app=APP, **SOON)


@pytest.fixture(scope="module")
def impatient(module_worker: StartWorker) -> Worker:
    """A worker with short time limits, on a queue of its own."""
    return module_worker("--queues=escalation", "--hostname=impatient@%h", app=APP, **SHORT)


@pytest.fixture(autouse=True)
def empty(redis_client: redis.Redis) -> None:
    """Each test begins without dead letters."""
    redis_client.delete(dead_letters.STREAM)


def letters(client: redis.Redis) -> list[DeadLetter]:
    return [letter for _, _, letter in dead_letters.read(client) if isinstance(letter, DeadLetter)]


def letter_of(client: redis.Redis, task_id: str) -> tuple[str, DeadLetter]:
    """The newest letter of a task, waited for until its message is let go of."""

    def find() -> list[tuple[str, DeadLetter]]:
        return [
            (key, item)
            for key, _, item in dead_letters.read(client)
            if isinstance(item, DeadLetter) and item.task_id == task_id
        ]

    found = wait_until(find, f"the dead letter of {task_id}")
    wait_until(lambda: not is_waiting(client, task_id), "the acknowledgement")
    assert len(find()) == 1
    return found[-1]


def is_waiting(client: redis.Redis, task_id: str) -> bool:
    return task_id in [message["headers"]["id"] for message in waiting_messages(client)]


@pytest.mark.usefixtures("serving", "impatient")
@pytest.mark.parametrize(
    ("task", "kwargs", "options", "reason", "error"),
    [
        ("base.fail", {}, {"retries": 3}, "retries exhausted", "RuntimeError: on request"),
        ("base.fail", {}, {}, "retries exhausted", "RuntimeError: on request"),
        ("base.retry", {}, {"retries": 3}, "retries exhausted", "MaxRetriesExceededError: Can't retry"),
        ("base.raise_permanent", {"kind": "PermanentError"}, {}, "failed", "PermanentError: a reason"),
        ("base.raise_permanent", {"kind": "ContentError"}, {}, "failed", "ContentError: content: a reason"),
        ("base.raise_permanent", {"kind": "ValidationError"}, {}, "failed", "ValidationError: "),
        ("base.raise_permanent", {"kind": "Reject"}, {"retries": 3}, "failed", "Reject: "),
        (
            "base.raise_permanent",
            {"kind": "SoftTimeLimitExceeded"},
            {},
            "time limit",
            "SoftTimeLimitExceeded",
        ),
        ("ignore_soft_limit", {}, {"queue": "escalation"}, "time limit", "TimeLimitExceeded: "),
        ("base.die", {}, {"retries": 3}, "lost process", "WorkerLostError: "),
        ("critical.die", {}, {}, "interrupted", "WorkerLostError: "),
        ("critical.fail", {}, {}, "failed", "RuntimeError: on request"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_final_failure_is_a_dead_letter(
    client: Celery,
    redis_client: redis.Redis,
    tmp_path: Path,
    task: str,
    kwargs: dict[str, Any],
    options: dict[str, Any],
    reason: str,
    error: str,
) -> None:
    """One letter, with the reason, the error, and all that is needed to run the task again."""
    folder = {"folder": str(tmp_path)}
    sent = client.send_task(f"probe.{task}", kwargs={**folder, **kwargs}, **options)
    _, letter = letter_of(redis_client, sent.id)
    assert (letter.reason, letter.task, letter.queue) == (
        reason,
        f"probe.{task}",
        options.get("queue", "celery"),
    )
    assert letter.error.startswith(error)
    assert letter.exception.endswith(error.partition(":")[0])
    assert letter.retries == executions(tmp_path)[-1].get("retries", 0)
    assert "@" in letter.worker
    assert dead_letters.arguments(letter) == ([], {**folder, **kwargs})
    assert letter.exception.rpartition(".")[2] in letter.traceback
    assert letter.history == ()


@pytest.mark.usefixtures("serving")
def test_what_is_not_final_is_no_dead_letter(
    client: Celery, redis_client: redis.Redis, tmp_path: Path
) -> None:
    """Success, a retry, `Ignore`, revoked, expired, back to the queue, a process lost after success."""
    folders = {
        name: tmp_path / name
        for name in ("retried", "died", "ignored", "back", "after", "revoked", "expired", "good")
    }
    for folder in folders.values():
        folder.mkdir()
    kwargs = {name: {"folder": str(folder)} for name, folder in folders.items()}
    retried = client.send_task("probe.base.fail_until", kwargs={**kwargs["retried"], "times": 2})
    after = client.send_task("probe.letters.die_after_success", kwargs=kwargs["after"])
    expired = client.send_task("probe.base.fail", kwargs=kwargs["expired"], expires=datetime.now(UTC))
    ignored = client.send_task("probe.letters.ignore", kwargs=kwargs["ignored"])
    back = client.send_task("probe.letters.go_back_once", kwargs=kwargs["back"])
    assert retried.get(timeout=PATIENCE) == 3
    assert after.get(timeout=PATIENCE) == "done"
    wait_until(lambda: expired.state == "REVOKED", "the expiry")
    assert letter_of(redis_client, back.id)[1].reason == "failed"
    assert len(executions(folders["back"])) == 2
    for sent in (retried, after, ignored, expired):
        wait_until(lambda: not is_waiting(redis_client, sent.id), "the acknowledgement")  # noqa: B023 (called here)
    assert len(executions(folders["ignored"])) == len(executions(folders["after"])) == 1
    assert [letter.task_id for letter in letters(redis_client)] == [back.id]


def test_lost_process_that_is_retried_is_no_dead_letter(
    client: Celery, redis_client: redis.Redis, serving: Worker, tmp_path: Path
) -> None:
    """Only the last of its runs is one."""
    sent = client.send_task("probe.base.die", kwargs={"folder": str(tmp_path)}, retries=1)
    _, letter = letter_of(redis_client, sent.id)
    assert [line["retries"] for line in executions(tmp_path)] == [1, 2, 3]
    assert (letter.reason, letter.retries) == ("lost process", 3)


def test_terminated_task_is_no_dead_letter(
    client: Celery, redis_client: redis.Redis, worker: StartWorker, tmp_path: Path
) -> None:
    """A person has ended it."""
    worker("--queues=rewrite", "--hostname=other@%h", app=APP)
    sent = client.send_task("probe.base.hold", kwargs={"folder": str(tmp_path)}, queue="rewrite")
    wait_until(lambda: executions(tmp_path), "the task to run")
    client.control.revoke(sent.id, terminate=True, signal="SIGKILL")
    wait_until(lambda: sent.state == "REVOKED", "the revocation")
    wait_until(lambda: not is_waiting(redis_client, sent.id), "the acknowledgement")
    assert letters(redis_client) == []


@pytest.mark.usefixtures("serving")
def test_odd_error_is_kept_readably(client: Celery, redis_client: redis.Redis, redis_url: str) -> None:
    """An error that cannot be pickled, of characters that are no text; no terminal obeys it."""
    sent = client.send_task("probe.letters.odd_error")
    letter_id, letter = letter_of(redis_client, sent.id)
    assert letter.exception.endswith("OddError")
    assert "second line" in letter.error
    for command in (["list"], ["show", letter_id]):
        shown = run_cli("dead-letters", *command, redis_url=redis_url)
        assert shown.returncode == 0, shown.stderr
        assert "\\x1b[31mred" in shown.stdout
        assert "\x1b" not in shown.stdout


@pytest.mark.usefixtures("serving")
def test_early_acknowledged_failure_is_kept_too(client: Celery, redis_client: redis.Redis) -> None:
    """Its message is gone from Redis when it fails, but not from the worker."""
    sent = client.send_task("probe.letters.early")
    _, letter = letter_of(redis_client, sent.id)
    assert (letter.reason, letter.error) == ("failed", "PermanentError: acknowledged before")


def test_final_failure_under_the_plain_transport(
    client: Celery, redis_client: redis.Redis, worker: StartWorker, tmp_path: Path
) -> None:
    """It is kept all the same, and a replay goes back into the list of its priority."""
    plain = worker("--queues=rewrite", app=APP, WORKER__BROKER__TRANSPORT="plain")
    sent = client.send_task("probe.letters.early", queue="rewrite", priority=6)
    letter_id, letter = letter_of(redis_client, sent.id)
    assert (letter.reason, letter.queue, letter.list_key) == ("failed", "rewrite", "rewrite\x06\x166")
    plain.kill()
    plain.wait()
    assert dead_letters.replay(redis_client, letter_id)
    assert redis_client.llen("rewrite\x06\x166") == 1
    redis_client.delete("rewrite\x06\x166")


@pytest.mark.usefixtures("serving")
def test_replay_runs_the_task_again_with_its_history(
    client: Celery, redis_client: redis.Redis, redis_url: str, tmp_path: Path
) -> None:
    """Same id and arguments, retries from 0, and a second failure shows what the first one was."""
    kwargs = {"folder": str(tmp_path), "times": 4}
    sent = client.send_task("probe.letters.fail_until", kwargs=kwargs)
    first_id, first = letter_of(redis_client, sent.id)
    assert (first.reason, first.error) == ("retries exhausted", "RuntimeError: failure 2")
    done = run_cli("dead-letters", "replay", first_id, redis_url=redis_url)
    assert (done.returncode, done.stdout) == (0, "Replayed 1 dead letter.\n")
    second_id, second = letter_of(redis_client, sent.id)
    assert second_id != first_id
    assert second.error == "RuntimeError: failure 4"
    assert [(item.id, item.reason, item.error) for item in second.history] == [
        (first_id, "retries exhausted", "RuntimeError: failure 2")
    ]
    shown = run_cli("dead-letters", "show", second_id, redis_url=redis_url).stdout
    assert f"history\n  {first_id}  " in shown
    assert "retries exhausted: RuntimeError: failure 2" in shown
    assert run_cli("dead-letters", "replay", "--task", "probe.letters.*", redis_url=redis_url).returncode == 0
    # Until then the result is the failure before.
    wait_until(lambda: client.AsyncResult(sent.id).state == "SUCCESS", "the replay")
    assert client.AsyncResult(sent.id).result == 5
    assert [(line["replays"], line["retries"]) for line in executions(tmp_path)] == [
        *((0, 0), (0, 1)),
        *((1, 0), (1, 1)),
        (2, 0),
    ]
    assert letters(redis_client) == []


@pytest.mark.usefixtures("serving")
def test_critical_task_can_be_replayed(client: Celery, redis_client: redis.Redis, tmp_path: Path) -> None:
    """A person's decision is a run of its own, which the claim of the first one does not stop."""
    kwargs = {"folder": str(tmp_path), "times": 1}
    sent = client.send_task("probe.critical.fail_until", kwargs=kwargs)
    letter_id, letter = letter_of(redis_client, sent.id)
    assert letter.reason == "failed"
    assert dead_letters.replay(redis_client, letter_id)
    # The failure of the first run is there until then.
    wait_until(lambda: client.AsyncResult(sent.id).state == "SUCCESS", "the second run's success")
    assert client.AsyncResult(sent.id).get(timeout=PATIENCE) == 2
    assert len(executions(tmp_path)) == 2


def letter(**fields: Any) -> DeadLetter:
    """A letter of no task."""
    return DeadLetter(
        **{"reason": "failed", "error": "", "queue": "evaluation", "worker": "w", "message": "x", **fields}
    )


def seed(client: redis.Redis, **changes: Any) -> str:
    """Add a letter of a task that no worker here gets to run."""
    task_id = str(uuid.uuid4())
    message = {
        "body": base64.b64encode(json.dumps([["é"], {"day": 3}, {}]).encode()).decode(),
        "content-encoding": "utf-8",
        "content-type": "application/json",
        "headers": {"task": "tasks.rewrite.x", "id": task_id, "retries": 3, "eta": "soon", "lang": "py"},
        "properties": {"body_encoding": "base64", "delivery_tag": task_id, "delivery_info": {}},
    }
    fields = {
        "reason": "failed",
        "error": "E: an error",
        "queue": "evaluation",
        "task": "tasks.rewrite.x",
        "task_id": task_id,
        "worker": "w@h",
        "message": json.dumps(message),
    }
    return dead_letters.add(client, DeadLetter(**{**fields, **changes}), LIMITS)


@pytest.fixture
def no_queue(redis_client: redis.Redis) -> None:
    """The queue of the seeded letters is empty, and no worker serves it."""
    redis_client.delete("evaluation")


@pytest.mark.usefixtures("no_queue")
def test_replay_at_the_same_time_is_one_message(redis_client: redis.Redis) -> None:
    """Twenty operators at once publish each of ten letters once."""
    ids = [seed(redis_client) for _ in range(10)]
    replayed: list[str] = []

    def operator() -> None:
        for letter_id in ids:
            if dead_letters.replay(redis_client, letter_id):
                replayed.append(letter_id)  # noqa: PERF401 (threads share the list: note each at once)

    threads = [threading.Thread(target=operator) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(replayed) == sorted(ids)
    assert redis_client.llen("evaluation") == 10
    assert letters(redis_client) == []


@pytest.mark.usefixtures("no_queue")
def test_repeated_replay_says_so(redis_client: redis.Redis, redis_url: str) -> None:
    """The second time is exit code 1 and changes nothing."""
    letter_id = seed(redis_client)
    assert run_cli("dead-letters", "replay", letter_id, redis_url=redis_url).returncode == 0
    again = run_cli("dead-letters", "replay", letter_id, redis_url=redis_url)
    assert (again.returncode, again.stdout) == (1, "Replayed 0 dead letters.\n")
    assert again.stderr == f"Error: {letter_id}: there is no such dead letter (any more)\n"
    assert redis_client.llen("evaluation") == 1


@pytest.mark.usefixtures("no_queue")
def test_replayed_message_begins_anew(redis_client: redis.Redis) -> None:
    """Retries, ETA, expiry and the count of deliveries are gone; everything else is as it was."""
    letter_id = seed(redis_client)
    _, _, letter = next(dead_letters.read(redis_client))
    before = json.loads(letter.message)
    redis_client.delete(dead_letters.STREAM)
    letter_id = seed(
        redis_client, message=json.dumps({"deliveries": 5, **before}), list_key="evaluation\x06\x163"
    )
    assert dead_letters.replay(redis_client, letter_id)
    (raw,) = redis_client.lrange("evaluation\x06\x163", 0, -1)
    redis_client.delete("evaluation\x06\x163")
    after = json.loads(raw)
    history = after["headers"].pop("history")
    assert [(item["id"], item["reason"]) for item in history] == [(letter_id, "failed")]
    expected = {**before["headers"], "retries": 0, "eta": None, "expires": None, "replays": 1}
    assert after == {**before, "headers": expected}


@pytest.mark.parametrize(
    ("fields", "raw"),
    [
        ({"reason": "unreadable", "message": "no JSON é"}, "no JSON é".encode()),
        ({"reason": "unreadable", "message": '{"headers": {"task": 1, "id": 2}}'}, None),
        ({"reason": "unreadable", "message": "AP//", "encoding": "base64"}, b"\x00\xff\xff"),
        ({"reason": "invalid", "message": '{"headers": {}, "body": "x"}'}, None),
        ({"reason": "invalid", "message": "[1, 2]"}, None),
    ],
)
@pytest.mark.usefixtures("no_queue")
def test_what_is_no_task_goes_back_byte_for_byte(
    redis_client: redis.Redis, fields: dict[str, Any], raw: bytes | None
) -> None:
    """Replayed, it lies in the queue as it did."""
    assert dead_letters.replay(redis_client, seed(redis_client, **fields))
    assert redis_client.lrange("evaluation", 0, -1) == [raw or fields["message"].encode()]


@pytest.mark.usefixtures("no_queue")
def test_replay_that_cannot_be_published_keeps_the_letter(redis_client: redis.Redis) -> None:
    """The key of the queue's list holds something else."""
    letter_id = seed(redis_client)
    redis_client.set("evaluation", "no list")
    with pytest.raises(redis.exceptions.ResponseError, match="WRONGTYPE"):
        dead_letters.replay(redis_client, letter_id)
    assert len(letters(redis_client)) == 1
    redis_client.delete("evaluation")


def test_limits_drop_the_oldest(redis_client: redis.Redis) -> None:
    """By number, by age and by size; the newest always stays."""
    ids = [seed(redis_client) for _ in range(20)]
    few = DeadLetterSettings(max_number=5)
    last = dead_letters.add(redis_client, letters(redis_client)[0], few)
    assert [key for key, _, _ in dead_letters.read(redis_client)] == [*ids[-4:], last]


@pytest.mark.parametrize(
    ("limits", "age_seconds"),
    [
        pytest.param(DeadLetterSettings(max_age_seconds=3600), 3600, id="an-hour"),
        pytest.param(DeadLetterSettings(), 30 * 86_400, id="thirty-days"),
    ],
)
def test_old_letters_are_dropped(
    redis_client: redis.Redis, limits: DeadLetterSettings, age_seconds: int
) -> None:
    """By Redis's clock, a minute before and after the limit; also where no new one comes."""
    seconds, _ = redis_client.time()

    def add(age: int) -> str:
        content: dict[Any, Any] = {"letter": letter().model_dump_json()}
        return redis_client.xadd(dead_letters.STREAM, content, id=f"{(seconds - age) * 1000}-0").decode()

    add(age_seconds + 120)
    add(age_seconds + 60)
    young = add(age_seconds - 60)
    assert dead_letters.drop_old(redis_client, limits) == 2
    assert [key for key, _, _ in dead_letters.read(redis_client)] == [young]
    redis_client.delete(dead_letters.STREAM)
    add(age_seconds + 60)
    young = add(age_seconds - 60)
    new = dead_letters.add(redis_client, letter(), limits)
    assert [key for key, _, _ in dead_letters.read(redis_client)] == [young, new]


@pytest.mark.parametrize("sizes", [[10_000] * 60, [200] * 300 + [50_000] * 10, [50_000] * 10 + [200] * 300])
def test_size_is_bounded(redis_client: redis.Redis, sizes: list[int]) -> None:
    """The memory of the stream stays below the limit for letters of all sizes; one letter stays."""
    limits = DeadLetterSettings(max_bytes=200_000)
    last = ""
    for size in sizes:
        last = dead_letters.add(redis_client, letter(message="x" * size), limits)
    assert 0 < (redis_client.memory_usage(dead_letters.STREAM, samples=0) or 0) <= limits.max_bytes
    kept = [key for key, _, _ in dead_letters.read(redis_client)]
    assert kept[-1] == last
    assert len(kept) > 2
    only = dead_letters.add(redis_client, letter(message="x" * 900_000), limits)
    assert [key for key, _, _ in dead_letters.read(redis_client)] == [only]


def test_dropped_letters_are_logged(
    client: Celery, redis_client: redis.Redis, worker: StartWorker, tmp_path: Path
) -> None:
    """The worker's limits are those of the settings, and it says how many letters it dropped."""
    own = worker(*("--queues=rewrite", "--hostname=other@%h"), app=APP, WORKER__DEAD_LETTERS__MAX_NUMBER="1")
    for _ in range(3):
        seed(redis_client)
    kwargs = {"folder": str(tmp_path), "kind": "PermanentError"}
    sent = client.send_task("probe.base.raise_permanent", kwargs=kwargs, queue="rewrite")
    letter_of(redis_client, sent.id)
    own.wait_for_log("Dead letters dropped, oldest first: 3;")
    assert [letter.task_id for letter in letters(redis_client)] == [sent.id]


def test_full_redis_keeps_the_message_until_there_is_room(module_worker: StartWorker, tmp_path: Path) -> None:
    """Under noeviction a letter can be refused: its message is not acknowledged before it is written."""
    with (
        throwaway_redis(tmp_path / "redis") as url,
        client_of(url) as client,
        redis.Redis.from_url(url, socket_timeout=PATIENCE) as full,
    ):
        own = module_worker("--queues=celery", app=APP, redis_url=url)
        sent = client.send_task(
            "probe.letters.hold_and_fail", kwargs={"folder": str(tmp_path)}, ignore_result=True
        )
        wait_until(lambda: executions(tmp_path), "the task to run")
        full.config_set("maxmemory-policy", "noeviction")
        full.config_set("maxmemory", 1)
        (tmp_path / "release").touch()
        own.wait_for_log("cannot be written, so its message stays held")
        assert letters(full) == []
        assert is_waiting(full, sent.id)
        full.config_set("maxmemory", 0)
        _, letter = letter_of(full, sent.id)
        assert (letter.reason, letter.error) == ("failed", "PermanentError: after all")
        assert client.send_task("tasks.health_check", queue="celery").get(timeout=PATIENCE)["status"] == "ok"
        assert len(executions(tmp_path)) == 1
        own.stop()


def test_replay_works_when_redis_is_full(tmp_path: Path) -> None:
    """What makes room may not need room."""
    with (
        throwaway_redis(tmp_path / "redis") as url,
        redis.Redis.from_url(url, socket_timeout=PATIENCE) as full,
    ):
        first, second = seed(full), seed(full)
        full.config_set("maxmemory", 1)
        assert dead_letters.replay(full, first)
        assert dead_letters.discard(full, second)
        with pytest.raises(redis.exceptions.OutOfMemoryError):
            seed(full)
        assert (full.llen("evaluation"), full.xlen(dead_letters.STREAM)) == (1, 0)


def test_failure_while_redis_is_away(module_worker: StartWorker, tmp_path: Path) -> None:
    """The letter is written, once, when Redis is back, and the message is let go of after that."""
    server = RedisProcess(tmp_path / "redis", durable=True).ready()
    with client_of(server.url) as client, server.client() as direct:
        own = module_worker("--queues=celery", app=APP, redis_url=server.url)
        sent = client.send_task(
            "probe.letters.hold_and_fail", kwargs={"folder": str(tmp_path)}, ignore_result=True
        )
        wait_until(lambda: executions(tmp_path), "the task to run")
        server.crash()
        (tmp_path / "release").touch()
        own.wait_for_log(f"[{sent.id}] raised expected")
        server.start()
        server.ready()
        assert letter_of(direct, sent.id)[1].error == "PermanentError: after all"
        assert len(executions(tmp_path)) == 1
        own.stop()
    server.stop()


class TestCommand:
    """`python -m contentworker dead-letters`, on letters of our own making."""

    def run(self, *arguments: str, redis_url: str, code: int = 0) -> str:
        done = run_cli("dead-letters", *arguments, redis_url=redis_url)
        assert done.returncode == code, done.stderr
        assert "Traceback" not in done.stderr
        return done.stdout if code == 0 else done.stderr

    def listed(self, *filters: str, redis_url: str) -> list[str]:
        lines = self.run("list", "--json", *filters, redis_url=redis_url).splitlines()
        return [json.loads(line)["id"] for line in lines]

    def test_filters(self, redis_client: redis.Redis, redis_url: str) -> None:
        """By task, reason, queue and age, and all of them together."""
        old = redis_client.xadd(
            dead_letters.STREAM, {"letter": letter(queue="a").model_dump_json()}, id="1500000000000-0"
        ).decode()
        plain, limit, other = (
            dead_letters.add(redis_client, letter(**fields), DeadLetterSettings(max_age_seconds=1e9))
            for fields in (
                {"task": "tasks.rewrite.x"},
                {"reason": "time limit", "task": "tasks.escalation.y"},
                {"queue": "celery", "task": "tasks.rewrite.x"},
            )
        )
        for filters, expected in [
            ([], [old, plain, limit, other]),
            (["--task=tasks.rewrite.*"], [plain, other]),
            (["--reason=time limit"], [limit]),
            (["--reason=time-limit"], [limit]),
            (["--queue=celery"], [other]),
            (["--older-than=2h"], [old]),
            (["--newer-than=7d"], [plain, limit, other]),
            (["--task=tasks.rewrite.*", "--queue=celery"], [other]),
            (["--task=nobody"], []),
        ]:
            assert self.listed(*filters, redis_url=redis_url) == expected, filters

    @pytest.mark.parametrize(
        ("arguments", "problem"),
        [
            (["replay"], "say which: IDs, a filter (--task, --reason, …), or --all"),
            (["discard"], "say which: IDs, a filter (--task, --reason, …), or --all"),
            (["replay", "1-0", "--all"], "IDs, a filter and --all exclude each other"),
            (["discard", "--all", "--queue=a"], "IDs, a filter and --all exclude each other"),
            (["show"], "Missing argument 'ID...'"),
            (["list", "--reason=nope"], "no reason 'nope'; allowed: failed, retries exhausted, "),
            (["list", "--older-than=1"], "'1' is not an age such as 90s, 10m, 2h or 7d"),
        ],
    )
    def test_wrong_usage(self, redis_url: str, arguments: list[str], problem: str) -> None:
        """One clear line, exit code 2, and nothing done."""
        assert problem in self.run(*arguments, redis_url=redis_url, code=2)

    @pytest.mark.parametrize("command", ["show", "replay", "discard"])
    @pytest.mark.parametrize("letter_id", ["1-0", "abc", "1-", "9" * 30 + "-0", "-", "\x1b[1m"])
    def test_unknown_id(self, redis_url: str, command: str, letter_id: str) -> None:
        """A line, and exit code 1."""
        error = self.run(command, "--", letter_id, redis_url=redis_url, code=1)
        assert error.endswith(": there is no such dead letter (any more)\n")
        assert "\x1b" not in error

    def test_show(self, redis_client: redis.Redis, redis_url: str) -> None:
        """Everything, arguments decoded; as JSON too."""
        letter_id = seed(redis_client, traceback="Traceback\n  File", retries=3, exception="m.E")
        shown = self.run("show", letter_id, redis_url=redis_url)
        for line in (
            f"id          {letter_id}",
            "reason      failed",
            "queue       evaluation",
            "task        tasks.rewrite.x",
            "retries     3",
            "exception   m.E",
            'error\n  E: an error\narguments\n  "é"\n  day = 3\ntraceback\n  Traceback\n    File',
        ):
            assert line in shown
        record = json.loads(self.run("show", letter_id, "--json", redis_url=redis_url))
        assert set(record) == {"id", "arrived", "args", "kwargs", *DeadLetter.model_fields}
        assert (record["args"], record["kwargs"]) == (["é"], {"day": 3})

    def test_show_without_readable_arguments(self, redis_client: redis.Redis, redis_url: str) -> None:
        """Then the message itself."""
        letter_id = seed(redis_client, reason="unreadable", message="what is\nthis?")
        shown = self.run("show", letter_id, redis_url=redis_url)
        assert shown.endswith("message\n  what is\n  this?\n")

    @pytest.mark.usefixtures("no_queue")
    def test_replay_by_filter(self, redis_client: redis.Redis, redis_url: str) -> None:
        """Only what matches; it says how many."""
        seed(redis_client), seed(redis_client)
        other = seed(redis_client, reason="poison")
        assert self.run("replay", "--reason=failed", redis_url=redis_url) == "Replayed 2 dead letters.\n"
        assert self.run("replay", "--reason=failed", redis_url=redis_url) == "Replayed 0 dead letters.\n"
        assert redis_client.llen("evaluation") == 2
        done = json.loads(self.run("replay", "--all", "--json", redis_url=redis_url))
        assert done == {"replayed": [other], "missing": [], "unknown": []}

    def test_discard(self, redis_client: redis.Redis, redis_url: str) -> None:
        """Several at once need --yes where nobody can be asked; by id, and a single one, do not."""
        first, second, third, *_ = [seed(redis_client) for _ in range(5)]
        assert self.run("discard", first, second, redis_url=redis_url) == "Discarded 2 dead letters.\n"
        refused = self.run("discard", "--all", redis_url=redis_url, code=1)
        assert refused == "Error: this would discard 3 dead letters; add --yes\n"
        assert len(letters(redis_client)) == 3
        seed(redis_client, queue="celery")
        assert self.run("discard", "--queue=celery", redis_url=redis_url) == "Discarded 1 dead letter.\n"
        done = json.loads(self.run("discard", "--all", "--yes", "--json", redis_url=redis_url))
        assert (len(done["discarded"]), done["missing"]) == (3, [])
        assert third in done["discarded"]
        assert letters(redis_client) == []

    @pytest.mark.parametrize(("answer", "left"), [(b"n\n", 2), (b"y\n", 0)])
    def test_discard_asks_at_a_terminal(
        self, redis_client: redis.Redis, redis_url: str, answer: bytes, left: int
    ) -> None:
        """And does what it is told."""
        seed(redis_client), seed(redis_client)
        ours, theirs = pty.openpty()
        os.write(ours, answer)
        done = subprocess.run(
            [sys.executable, "-m", "contentworker", "dead-letters", "discard", "--all"],
            cwd=ROOT,
            env=environment(REDIS_URL=redis_url),
            stdin=theirs,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        os.close(ours)
        os.close(theirs)
        assert done.stderr.startswith("Discard 2 dead letters for good? [y/N]")
        assert len(letters(redis_client)) == left

    @pytest.mark.usefixtures("no_queue")
    @pytest.mark.parametrize(
        ("fields", "version"),
        [({"letter": '{"version": 9, "new": 1}'}, "9"), ({"letter": "{"}, "?"), ({"other": "x"}, "?")],
    )
    def test_unknown_version_is_left_alone(
        self, redis_client: redis.Redis, redis_url: str, fields: dict[Any, Any], version: str
    ) -> None:
        """Listed as what it is; neither replayed nor discarded unless its id is named."""
        letter_id = redis_client.xadd(dead_letters.STREAM, fields).decode()
        known = seed(redis_client)
        ((_, _, found), _) = dead_letters.read(redis_client)
        assert isinstance(found, UnknownLetter)
        line = self.run("list", redis_url=redis_url).splitlines()[0]
        assert line.endswith(f"version {version}, which this program does not know")
        assert version in self.run("show", letter_id, redis_url=redis_url)
        assert "can only be discarded" in self.run("replay", letter_id, redis_url=redis_url, code=1)
        done = run_cli("dead-letters", "replay", "--all", redis_url=redis_url)
        assert (done.returncode, done.stdout) == (0, "Replayed 1 dead letter.\n")
        assert done.stderr.startswith(letter_id)
        self.run("discard", "--all", "--yes", redis_url=redis_url)
        assert [key for key, _, _ in dead_letters.read(redis_client)] == [letter_id]
        assert self.run("discard", letter_id, redis_url=redis_url) == "Discarded 1 dead letter.\n"
        assert known not in self.listed(redis_url=redis_url)

    def test_version_1_is_still_read(self, redis_client: redis.Redis, redis_url: str) -> None:
        """And can be replayed to the queue that it names."""
        redis_client.delete("evaluation")
        content = {
            "version": 1,
            "reason": "unknown task",
            "error": "e",
            "queue": "evaluation",
            "worker": "w",
            "message": "{}",
        }
        letter_id = redis_client.xadd(dead_letters.STREAM, {"letter": json.dumps(content)}).decode()
        assert "unknown task: e" in self.run("list", redis_url=redis_url)
        assert "message\n  {}" in self.run("show", letter_id, redis_url=redis_url)
        self.run("replay", letter_id, redis_url=redis_url)
        assert redis_client.lrange("evaluation", 0, -1) == [b"{}"]
