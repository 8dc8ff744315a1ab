"""The operators' half of the desk, by a real server, a real Redis and real workers."""

import json
import re
import threading
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from typing import Any

import pytest
import redis
from celery import Celery

from contentworker import config
from contentworker.desk import batching, machinery
from contentworker.desk.batching import Action, Batch, Batches
from contentworker.runtime.records import dead_letters, pauses
from contentworker.runtime.records.dead_letters import DeadLetter
from contentworker.runtime.records.letter_parts import Letters
from contentworker.runtime.settings import DeadLetterSettings
from contentworker.runtime.worker.reloading import ScheduleFile
from tests.integration.editorial.test_desk import (
    NO_REDIS,
    Browser,
    Running,
    record,
    running,
    signed_in,
    waiting,
)
from tests.support import PATIENCE, StartWorker, wait_until

pytestmark = pytest.mark.usefixtures("clean")
APP = "dead_letters_worker.celery_app"
LIMITS = DeadLetterSettings(max_number=20_000)
SECRET = "the article's secret words"
HOSTILE = "<script>alert(1)</script>\u202egnp\x1b[31m{{ 1111 * 9 }}"


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first page has what was read and asked, however long that takes."""
    monkeypatch.setattr(machinery, "FIRST_SECONDS", PATIENCE)


@pytest.fixture
def desk(file: Path, redis_url: str) -> Iterator[Running]:
    """A desk with people of each role, beside a Redis."""
    yield from running("", file, redis_url)


@pytest.fixture
def oli(desk: Running) -> Browser:
    """An operator."""
    return signed_in(desk, "oli")


def letter(client: redis.Redis, number: int = 0, **changes: Any) -> str:
    """A letter of a task; returns its id."""
    body = json.dumps([[SECRET, number], {"language": "en"}, {}])
    headers = {"task": changes.get("task", "tasks.a.one"), "id": f"id-{number}"}
    message = json.dumps({"body": body, "headers": headers, "properties": {}})
    fields = {
        "reason": "failed",
        "error": "ValueError: no",
        "exception": "builtins.ValueError",
        "queue": "celery",
        "task": "tasks.a.one",
        "task_id": f"id-{number}",
        "worker": "w@h",
        "message": message,
    }
    return dead_letters.add(client, DeadLetter(**{**fields, **changes}), LIMITS)


def failed_tasks(client: Celery, server: redis.Redis, number: int, name: str, **kwargs: Any) -> list[str]:
    """Letters of tasks that can run again; returns the tasks' ids."""
    sent = [client.send_task(f"probe.{name}", kwargs=kwargs, queue="celery").id for _ in range(number)]
    for raw in reversed(server.lrange("celery", 0, -1)):
        headers = json.loads(raw)["headers"]
        fields = {"task": headers["task"], "task_id": headers["id"], "message": raw.decode()}
        dead_letters.add(
            server,
            DeadLetter(reason="time limit", error="late", queue="celery", worker="w", **fields),
            LIMITS,
        )
    server.delete("celery")
    return sent


def words(page: str) -> str:
    """What a person reads."""
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]*>", " ", page)))


def begin(browser: Browser, action: str = "replay", **more: str) -> str:
    """The address of a batch over everything, as it is ticked at first."""
    page = browser.get("/batches/new", action=action).text
    ticked = re.findall(r'name="(take/[^"]*)" checked', page)
    (until,) = re.findall(r'name="until" value="([^"]*)"', page)
    form = {unescape(name): "on" for name in ticked}
    return browser.post("/batches", action=action, until=until, **form, **more).location


def batch_at(desk: Running, location: str) -> Batch:
    assert desk.machinery
    found = desk.machinery.batches.find(location.rpartition("/")[2])
    assert found
    return found


def trail(desk: Running) -> list[Any]:
    """What was noted but for signing in, the oldest first."""
    assert desk.audit
    entries = [each for each in desk.audit.read() if not each.action.startswith("session.")]
    return [(each.action, each.by, each.signed_in, each.count, each.outcome) for each in reversed(entries)]


def test_what_needs_an_operator(desk: Running, oli: Browser, redis_client: redis.Redis) -> None:
    """Causes, pauses with who and when, queues without workers; the pause ends with a button."""
    for number in range(3):
        letter(redis_client, number)
    letter(redis_client, 9, task=HOSTILE, reason="unknown task")
    pauses.pause(redis_client, "escalation", "ben")
    redis_client.lpush("rewrite", "{}")
    page = oli.get(oli.get("/").location).text
    said = words(page)
    assert "3 of tasks.a.one, failed" in said
    assert re.search(r"escalation: paused by ben, \d\d \w\w\w \d\d:\d\d; nothing waits", said)
    assert "rewrite: no worker serves it; 1 wait" in said
    assert "9999" not in page
    assert "<script>" not in page
    assert oli.post("/operations/queues/escalation/resume").status == 303
    assert oli.post("/operations/queues/celery/pause").status == 303
    assert {name: found and found.by for name, found in pauses.read(redis_client).items()} == {
        "celery": "oli"
    }
    assert "paused by oli" in oli.get("/operations").text
    assert oli.post("/operations/queues/nosuch/pause").status == 404
    actions = ["queue.resume", "queue.pause"]
    assert trail(desk) == [(each, "oli", "password", None, "done") for each in actions]


def test_schedules_are_held_and_run(desk: Running, oli: Browser, redis_client: redis.Redis) -> None:
    """The page says who paused one, and its buttons pause, resume and run it; a reader has no buttons."""
    pauses.pause(redis_client, "celery", "oli")
    assert oli.post("/operations/schedules/purge/pause").status == 303
    page = oli.get("/operations").text
    assert re.search(r"purge: paused by oli, \d\d \w\w\w \d\d:\d\d; its moments are skipped", words(page))
    assert page.count('action="/operations/schedules/purge/resume"') == 2
    assert oli.post("/operations/schedules/purge/resume").status == 303
    assert oli.post("/operations/schedules/purge/resume").status == 303
    assert 'action="/operations/schedules/purge/pause"' in oli.get("/operations").text
    assert oli.post("/operations/schedules/purge/run").status == 303
    (raw,) = redis_client.lrange("celery", 0, -1)
    task_id = json.loads(raw)["headers"]["id"]
    assert oli.post("/operations/schedules/nosuch/run").status == 404
    assert [(each[0], each[-1]) for each in trail(desk)] == [
        *(("schedule.pause", "done"), ("schedule.resume", "done"), ("schedule.resume", "was not paused")),
        ("schedule.run", f"task {task_id}"),
    ]
    assert 'action="/operations/schedules' not in signed_in(desk, "rea").get("/operations").text


def test_a_schedule_that_is_new_in_the_file(desk: Running, oli: Browser, tmp_path: Path) -> None:
    """The page has it without a restart; a file that is wrong changes nothing."""
    assert desk.machinery
    toml = tmp_path / "worker.toml"
    desk.machinery.app.schedule_file = ScheduleFile(toml, lambda: config.load(toml, {}))
    head = '[queues.celery]\ndescription = "all"\n'
    toml.write_text(f'{head}[schedules.weekly]\ntask = "tasks.maintenance.purge"\ncrontab = "0 9 * * mon"\n')
    assert "weekly tasks.maintenance.purge, 0 9 * * mon UTC" in words(oli.get("/operations").text)
    toml.write_text(head + "[schedules.weekly")
    assert oli.post("/operations/schedules/weekly/pause").status == 303
    assert oli.post("/operations/schedules/purge/pause").status == 404


def test_running_tasks_and_workers(oli: Browser, worker: StartWorker, client: Celery, tmp_path: Path) -> None:
    """What runs, and who runs it, as the workers say."""
    worker("--queues=celery", app=APP)
    sent = client.send_task("probe.letters.hold_and_fail", kwargs={"folder": str(tmp_path)}, queue="celery")

    def shown() -> str:  # Redis and the worker are asked in turn, and a busy worker answers too late
        page = oli.get("/operations").text
        return page if sent.id in page and "celery 0 0 1" in words(page) else ""

    said = words(wait_until(shown, "the running task, and its queue"))
    assert "probe.letters.hold_and_fail" in said
    (tmp_path / "release").touch()


def test_letters_by_cause_and_by_filter(oli: Browser, redis_client: redis.Redis) -> None:
    """The causes' links find exactly their letters; so does each field; a cursor reaches all of them."""
    for number in range(60):
        letter(redis_client, number)
    one = letter(
        redis_client, 60, task="tasks.b[1]", reason="time limit", exception="TimeLimit", queue="rewrite"
    )
    letter(redis_client, 61, task="tasks.c", critical=True, reason="interrupted")
    page = oli.get("/dead-letters").text
    assert "62 letters match" in words(page)
    (link,) = re.findall(r'href="(/dead-letters\?task=tasks\.b[^"]*)"', page)
    assert f"/dead-letters/{one}" in oli.get(unescape(link)).text
    for query, number in (
        ({"task": "tasks.a.*"}, 60), ({"queue": "rewrite"}, 1), ({"critical": "yes"}, 1),
        ({"text": "id-61"}, 1), ({"reason": "time limit"}, 1), ({"text": one}, 1),
        ({"task": "tasks.a.*", "reason": "poison"}, 0),
    ):  # fmt: skip
        said = words(oli.get("/dead-letters", **query).text)
        assert (f"{number} letter" in said) if number else "No letter is like this" in said, query
    listed = re.findall(r'href="/dead-letters/(\d+-\d+)"', page)
    (older,) = re.findall(r'href="([^"]*)">Older ones', page)
    listed += re.findall(r'href="/dead-letters/(\d+-\d+)"', oli.get(unescape(older)).text)
    assert len(set(listed)) == 62


def test_what_no_letter_is_like(oli: Browser, redis_client: redis.Redis) -> None:
    """Hostile ids and filters: a page that says what to do."""
    found = letter(redis_client)
    for path, status in (
        ("/dead-letters/x", 404), ("/dead-letters/0-0", 404), (f"/dead-letters/{'9' * 30}-0", 404),
        ("/dead-letters/%3Cscript%3E", 404), ("/dead-letters/18446744073709551616-1", 404),
        ("/dead-letters?reason=nosuch", 400), ("/dead-letters?critical=perhaps", 400),
        (f"/dead-letters?task={'*a' * 200}", 400), ("/dead-letters?before=x", 400),
        ("/dead-letters?text=%00", 400),
        ("/dead-letters?task=%5B%21", 200), ("/batches/new?action=drop", 400), ("/batches/nosuch", 404),
        ("/batches/new?action=replay&task=no", 200), (f"/dead-letters/{'9' * 19}-{'9' * 19}", 404),
    ):  # fmt: skip
        answer = oli.get(path)
        assert (answer.status, "Traceback" in answer.text) == (status, False), path
    ticked = {"take/safe/tasks.a.one": ""}
    for form in (
        {"action": "replay", "until": found},
        {"action": "replay", "until": "x", **ticked},
        {"action": "x", "until": found, **ticked},
        {"action": "replay", "until": "0-1", **ticked},
        {"action": "replay", "until": found, "reason": "nosuch", **ticked},
    ):
        assert oli.post("/batches", **form).status == 400, form
    assert oli.post("/batches/nosuch/stop").status == 404
    assert redis_client.xlen(dead_letters.STREAM) == 1


def test_arguments_are_folded(desk: Running, oli: Browser, redis_client: redis.Redis) -> None:
    """Names and sizes, for all; in full only with the role, and only by a form."""
    found = letter(redis_client)
    rea, olga = signed_in(desk, "rea"), signed_in(desk, "olga")
    for browser in (rea, oli, olga):
        page = browser.get(f"/dead-letters/{found}").text
        assert f"text, {len(SECRET)} characters" in page
        assert "language" in page
        assert SECRET not in unescape(page)
    for path in ("/operations", "/dead-letters", f"/dead-letters/{found}"):
        main = rea.get(path).text.partition("<main")[2].partition("<dialog")[0]
        assert not re.search(r"method=.post|Discard|Replay all", main), path
    assert oli.post(f"/dead-letters/{found}/arguments").status == 403
    assert SECRET in unescape(olga.post(f"/dead-letters/{found}/arguments").text)
    assert trail(desk) == [("letters.arguments", "olga", "password", None, "done")]


def test_arguments_that_are_nested(desk: Running, redis_client: redis.Redis) -> None:
    """Each line has blanks before it: a megabyte would be 400, on a page that does not even show it."""
    olga = signed_in(desk, "olga")
    inner = ",".join("0" for _ in range(100_000))
    for depth, shown in ((400, "0,\n"), (900, "")):
        body = json.dumps([[json.loads(f"{'[' * depth}{inner}{']' * depth}")], {}, {}])
        message = json.dumps({"body": body, "headers": {}, "properties": {}})
        found = letter(redis_client, message=message)
        assert "list of 1" in olga.get(f"/dead-letters/{found}").text
        opened = olga.post(f"/dead-letters/{found}/arguments")
        assert (opened.status, shown in opened.text, len(opened.text) < 200_000) == (200, True, True)


def test_a_hostile_letter_stays_text(oli: Browser, redis_client: redis.Redis) -> None:
    """In the list, on its page, in the preview, with and without arguments; one of another version, too."""
    found = letter(
        redis_client, task=HOSTILE, error=HOSTILE, traceback=HOSTILE, queue=HOSTILE, exception=HOSTILE
    )
    odd = redis_client.xadd(dead_letters.STREAM, {"letter": '{"version":9}'}).decode()
    for path in (
        "/dead-letters",
        f"/dead-letters/{found}",
        f"/dead-letters/{odd}",
        "/batches/new?action=discard",
    ):
        page = oli.get(path)
        assert page.status == 200, path
        assert not re.search(r"<script>|9999|\x1b\[31m<", page.text)
    assert oli.post(f"/dead-letters/{odd}/replay").status == 400
    assert oli.post(f"/dead-letters/{odd}/discard").status == 303
    assert oli.get(f"/dead-letters/{odd}").status == 404


def test_one_is_replayed_at_once(
    oli: Browser, redis_client: redis.Redis, client: Celery, worker: StartWorker, tmp_path: Path
) -> None:
    """It runs; discarding another one asks first; a second time there is nothing."""
    sent = failed_tasks(client, redis_client, 2, "letters.succeed", folder=str(tmp_path))
    first, second = re.findall(r'href="/dead-letters/(\d+-\d+)"', oli.get("/dead-letters").text)
    worker("--queues=celery", app=APP)
    assert oli.post(f"/dead-letters/{first}/replay").location == "/dead-letters?saved=replay"
    assert client.AsyncResult(sent[1]).get(timeout=PATIENCE) == 1
    assert oli.post(f"/dead-letters/{first}/replay").status == 404
    assert "for good?" in oli.get(f"/dead-letters/{second}/discard").text
    assert redis_client.xlen(dead_letters.STREAM) == 1
    assert "Discarded" in oli.get(oli.post(f"/dead-letters/{second}/discard").location).text
    assert redis_client.xlen(dead_letters.STREAM) == 0


def held_after(number: int, monkeypatch: pytest.MonkeyPatch) -> tuple[threading.Event, threading.Event]:
    """Hold a batch after so many letters: events that say that it is held, and let it go on."""
    real, held, released, handled = dead_letters.replay, threading.Event(), threading.Event(), []

    def replay(client: Any, letter_id: str) -> bool:
        is_done = real(client, letter_id)
        handled.append(letter_id)
        if len(handled) == number:
            held.set()
            released.wait(PATIENCE)
        return is_done

    monkeypatch.setattr(dead_letters, "replay", replay)
    return held, released


def test_131_letters_are_stopped_after_50(
    desk: Running,
    oli: Browser,
    redis_client: redis.Redis,
    client: Celery,
    worker: StartWorker,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Preview, one first, the rest as it succeeds, Stop; 50 have run, 81 are left, and can go on."""
    failed_tasks(client, redis_client, 131, "letters.succeed", folder=str(tmp_path))
    held, released = held_after(50, monkeypatch)
    worker("--queues=celery", app=APP)
    assert "Replay 131 letters?" in oli.get("/batches/new", action="replay").text
    location = begin(oli, one_first="on")
    letter(redis_client, 500)  # arrives meanwhile, and is left alone
    assert held.wait(PATIENCE)
    assert oli.post(f"{location}/stop").location == location
    released.set()
    wait_until(lambda: batch_at(desk, location).done == 50, "the fiftieth")
    said = words(oli.get(location).text)
    assert "50 of 131 letters replayed stopped" in said
    assert "Stopped by oli. The other 81 stay where they are." in said
    assert redis_client.xlen(dead_letters.STREAM) == 82
    assert "Go on with the 81 others" in said
    oli.post(f"{location}/go-on")
    wait_until(lambda: batch_at(desk, location).state == "done", "the others")
    assert batch_at(desk, location).done == 131
    executions = tmp_path / "executions"
    wait_until(lambda: len(executions.read_text("utf-8").splitlines()) == 131, "131 runs")
    assert redis_client.xlen(dead_letters.STREAM) == 1
    assert oli.post(f"{location}/stop").location == location
    assert batch_at(desk, location).state == "done"
    assert trail(desk) == [
        ("letters.replay", "oli", "password", 131, "begun"),
        ("batch.stop", "oli", "password", 49, "done"),
        ("batch.go_on", "oli", "password", 81, "done"),
        ("batch.end", "oli", "password", 131, "done"),
    ]


def test_the_first_one_fails_again(
    desk: Running,
    oli: Browser,
    redis_client: redis.Redis,
    client: Celery,
    worker: StartWorker,
    tmp_path: Path,
) -> None:
    """The others are left, operations say so, and what failed is listed."""
    failed_tasks(client, redis_client, 5, "base.raise_permanent", folder=str(tmp_path), kind="PermanentError")
    worker("--queues=celery", app=APP)
    location = begin(oli, one_first="on")
    wait_until(lambda: batch_at(desk, location).state == "failed", "its failure")
    said = words(oli.get(location).text)
    assert "1 of 5 letters replayed failed" in said
    assert "The first one failed again" in said
    assert "Failed again: 1" in said
    assert "1 of 5 letters replayed by oli: the first one failed again" in words(oli.get("/operations").text)
    assert redis_client.xlen(dead_letters.STREAM) == 5


def test_what_must_not_be_repeated_is_not_ticked(
    desk: Running, oli: Browser, redis_client: redis.Redis
) -> None:
    """Nor replayed, unless a person ticks it; a paused queue and earlier replays are said."""
    letter(redis_client, 1)
    letter(redis_client, 2, critical=True)
    letter(redis_client, 3, reason="interrupted")
    earlier = {"id": "1-1", "arrived": "2026-01-01T00:00:00Z", "reason": "failed", "error": "e"}
    letter(redis_client, 4, history=(earlier,))
    pauses.pause(redis_client, "celery", "ben")
    said = words(oli.get("/batches/new", action="replay").text)
    assert "Replay 2 letters?" in said
    assert "2 more are critical or interrupted, and not ticked" in said
    assert "celery is paused" in said
    assert "1 was replayed before" in said
    location = begin(oli)
    wait_until(lambda: batch_at(desk, location).state == "done", "the replay")
    assert redis_client.xlen(dead_letters.STREAM) == 2
    assert "2 of 2 letters replayed" in words(oli.get(location).text)
    assert "Discard 2 letters for good?" in oli.get("/batches/new", action="discard").text
    begin(oli, "discard")
    wait_until(lambda: redis_client.xlen(dead_letters.STREAM) == 0, "the discards")


def test_another_desk_goes_on(redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    """After one that has ended, and one that was killed: each letter once."""
    monkeypatch.setattr(batching, "CLAIM_SECONDS", 1)
    monkeypatch.setattr(batching, "IDLE_SECONDS", 0.05)
    ids = [letter(redis_client, number) for number in range(30)]
    held, released = held_after(10, monkeypatch)

    def desk() -> Batches:
        return Batches(lambda: redis_client, Letters(), lambda key: key, 1000, lambda *_: None)

    first = desk()
    first.start()
    batch_id = first.create("replay", ids, "oli")
    assert held.wait(PATIENCE)
    threading.Timer(0.05, released.set).start()
    first.close()
    killed = desk()
    assert killed._is_claimed(batch_id)
    assert killed._step(batch_id) > 0
    second = desk()
    second.start()

    def is_done() -> bool:
        found = second.find(batch_id)
        return bool(found and found.state == "done")

    wait_until(is_done, "the end")
    second.close()
    found = second.find(batch_id)
    assert found
    assert (found.done, found.gone, redis_client.llen("celery")) == (30, 0, 30)


def test_a_desk_that_stood_still_drops_no_letter(redis_client: redis.Redis) -> None:
    """Another one went on meanwhile, with the letter that the first one had at hand and the next."""
    ids = [letter(redis_client, number) for number in range(3)]
    slow, other = (Batches(lambda: redis_client, Letters(), str, 1000, lambda *_: None) for _ in range(2))
    batch_id = slow.create("replay", ids, "oli")
    handle = slow._handle

    def stand_still(action: Action, letter_id: str) -> tuple[str, str]:
        other._step(batch_id)
        return handle(action, letter_id)

    slow._handle = stand_still  # type: ignore[method-assign]
    slow._step(batch_id)
    for _ in range(3):
        other._step(batch_id)
    found = other.find(batch_id)
    assert found
    assert (found.state, found.done, found.gone) == ("done", 3, 0)
    assert redis_client.xlen(dead_letters.STREAM) == 0


def test_a_desk_that_stood_still_forgets_no_first_task(redis_client: redis.Redis) -> None:
    """Another one replayed the first letter meanwhile: the batch still waits for what becomes of its task."""
    slow, other = (Batches(lambda: redis_client, Letters(), str, 1000, lambda *_: None) for _ in range(2))
    ids = [letter(redis_client, number) for number in range(2)]
    batch_id = slow.create("replay", ids, "oli", one_first=True)
    note = slow._note_first

    def stand_still(batch: Batch, letter_id: str) -> None:
        other._step(batch_id)
        note(batch, letter_id)

    slow._note_first = stand_still  # type: ignore[method-assign]
    slow._step(batch_id)
    found = other.find(batch_id)
    assert found
    assert (found.state, found.first_task, found.done, found.gone) == ("waiting", "id-0", 1, 0)


def test_a_batch_keeps_no_result(redis_client: redis.Redis) -> None:
    """That of its first task may quote an article; a new one still lets the others go on."""
    redis_client.set("result", json.dumps({"status": "FAILURE", "result": "quoted"}))
    batches = Batches(lambda: redis_client, Letters(), lambda _: "result", 1000, lambda *_: None)
    ids = [letter(redis_client, number) for number in range(2)]
    batch_id = batches.create("replay", ids, "oli", one_first=True)
    for _ in range(2):
        batches._step(batch_id)
        assert redis_client.hget(batching.PREFIX + batch_id, "state") == b"waiting"
    assert "quoted" not in str(redis_client.hgetall(batching.PREFIX + batch_id))
    redis_client.set("result", json.dumps({"status": "SUCCESS"}))
    batches._step(batch_id)
    assert redis_client.hget(batching.PREFIX + batch_id, "state") == b"running"


def commands(client: redis.Redis) -> int:
    """Calls of XRANGE so far, in scripts too."""
    return int(client.info("commandstats")["cmdstat_xrange"]["calls"])


def test_ten_thousand_letters(desk: Running, oli: Browser, redis_client: redis.Redis) -> None:
    """They are read once; afterwards only what is new or gone."""
    content = dead_letters.read
    first = letter(redis_client)
    ((_, _, found),) = content(redis_client)
    assert isinstance(found, DeadLetter)
    text = found.model_dump_json()
    with redis_client.pipeline(transaction=False) as pipeline:
        for _ in range(9_999):
            pipeline.xadd(dead_letters.STREAM, {"letter": text})
        pipeline.execute()
    assert "10,000 letters match" in oli.get("/dead-letters").text
    assert "10,000 of tasks.a.one, failed" in words(oli.get("/operations").text)
    before = commands(redis_client)
    newest = letter(redis_client, 1)
    assert oli.post(f"/dead-letters/{first}/replay").status == 303
    page = oli.get("/dead-letters").text
    assert "10,000 letters match" in page
    assert newest in page
    assert commands(redis_client) - before < 15
    dead_letters.discard(
        redis_client, re.findall(r'href="/dead-letters/(\d+-\d+)"', page)[7]
    )  # not by this desk
    assert "9,999 letters match" in oli.get("/dead-letters").text


@pytest.fixture
def alone(file: Path) -> Iterator[Running]:
    """A desk without a Redis."""
    yield from running("", file, NO_REDIS)


def test_while_redis_is_away(alone: Running) -> None:
    """Operations say so, letters cannot be shown, and articles are still decided on."""
    oli, ana = signed_in(alone, "oli"), signed_in(alone, "ana")
    page = oli.get("/operations")
    assert (page.status, "Redis cannot be read since" in page.text) == (200, True)
    for answer in (
        oli.get("/dead-letters"),
        oli.get("/batches/x"),
        oli.post("/operations/queues/celery/pause"),
        oli.post("/operations/schedules/purge/run"),
    ):
        assert (answer.status, "Articles can still be decided on" in answer.text) == (503, True)
    found = waiting(alone)
    assert ana.post(f"/review/{found}/decision", version="1", decision="reject").status == 303
    assert record(alone, found).state == "settled"
