"""Redis is away, when the worker starts or later: the worker waits for it and goes on."""

import json
import re
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from contentworker.runtime.records import dead_letters
from tests.support import (
    PATIENCE,
    PROBE_APP,
    RedisProcess,
    StartWorker,
    Worker,
    client_of,
    executions,
    wait_until,
    waiting_messages,
)

AWAY, BACK = "Redis cannot be reached", "Redis answers again"
CONNECTED = "Connected to redis://"


def serves(redis_url: str) -> bool:
    with client_of(redis_url) as app:
        return bool(app.send_task("tasks.health_check").get(timeout=PATIENCE)["status"] == "ok")


def reconnected(worker: Worker, before: int = 1) -> bool:
    """Whether it has connected more often than before; a busy machine may need another attempt."""
    assert worker.is_alive, worker.log()
    return worker.log().count(CONNECTED) > before


def test_worker_waits_for_a_redis_that_starts_later(
    worker: StartWorker, server: RedisProcess, tmp_path: Path
) -> None:
    """Started first, a worker says that it cannot connect, and serves as soon as it can."""
    server.crash()
    waiting = worker("--queues=celery", redis_url=server.url, ready=False)
    waiting.wait_for_log(AWAY)
    server.start()
    waiting.ready()
    assert serves(server.url)


def test_idle_worker_survives_restarts(worker: StartWorker, server: RedisProcess) -> None:
    """Redis killed and started again, twice: the same worker process serves."""
    serving = worker("--queues=celery,escalation", redis_url=server.url)
    for _ in range(2):
        before = serving.log().count(CONNECTED)
        server.crash()
        server.start()
        server.ready()
        wait_until(lambda: reconnected(serving, before), "the reconnection")  # noqa: B023 (called here)
        assert serves(server.url)
    assert serving.is_alive


@pytest.mark.parametrize("away", ["briefly", "for-a-while"])
@pytest.mark.parametrize("unacknowledged", [1, 2])
def test_busy_worker_survives_a_restart(
    worker: StartWorker, server: RedisProcess, tmp_path: Path, unacknowledged: int, away: str
) -> None:
    """Redis dies while tasks run: the worker neither crashes nor loses a task, and goes on serving.

    With a slot free, a BRPOP is under way when the connection is lost: kombu then closed its
    channel twice, which ended the worker with an AttributeError.
    """
    busy = worker("--queues=celery", "--loglevel=debug", redis_url=server.url, app=PROBE_APP)
    folders = [tmp_path / f"task{number}" for number in range(unacknowledged)]
    with client_of(server.url) as client, server.client() as plain:
        sent = []
        for folder in folders:
            folder.mkdir()
            sent.append(client.send_task("probe.base.hold", kwargs={"folder": str(folder)}).id)
        wait_until(lambda: len(waiting_messages(plain)) == unacknowledged, "the messages to be fetched")
        wait_until(lambda: all(executions(folder) for folder in folders), "the tasks to start")
    server.crash()
    if away == "for-a-while":
        busy.wait_for_log("Trying again in 1")
    server.start()
    server.ready()
    wait_until(lambda: reconnected(busy), "the reconnection")
    for folder in folders:
        (folder / "release").touch()
    with client_of(server.url) as client:
        for task_id in sent:
            assert client.AsyncResult(task_id).get(timeout=PATIENCE) == "released"
    assert serves(server.url)
    assert busy.is_alive
    assert "Unrecoverable" not in busy.log()


def test_result_waits_for_redis(worker: StartWorker, server: RedisProcess, tmp_path: Path) -> None:
    """A task that ends while Redis is away has ended well: it is not run again, and its result is there."""
    busy = worker("--queues=celery", "--loglevel=debug", redis_url=server.url, app=PROBE_APP)
    with client_of(server.url) as client:
        sent = client.send_task("probe.base.hold", kwargs={"folder": str(tmp_path)}).id
    wait_until(lambda: executions(tmp_path), "the task to start")
    server.crash()
    (tmp_path / "release").touch()
    busy.wait_for_log("Failed operation _store_result")
    server.start()
    server.ready()
    with client_of(server.url) as client:
        assert client.AsyncResult(sent).get(timeout=PATIENCE) == "released"
    assert serves(server.url)
    assert len(executions(tmp_path)) == 1
    with server.client() as plain:
        assert not list(dead_letters.read(plain))
    assert "in _store_result" not in busy.log(), "no traceback"


def hang(server: RedisProcess) -> None:
    server.kill(signal.SIGSTOP)


def go_on(server: RedisProcess) -> None:
    server.kill(signal.SIGCONT)


@pytest.mark.parametrize(
    ("take_away", "give_back"),
    [
        pytest.param(RedisProcess.crash, RedisProcess.start, id="killed"),
        pytest.param(hang, go_on, id="does-not-answer"),
    ],
)
def test_an_outage_is_two_lines(
    worker: StartWorker,
    server: RedisProcess,
    tmp_path: Path,
    take_away: Callable[[RedisProcess], None],
    give_back: Callable[[RedisProcess], None],
) -> None:
    """One when it begins and one when it is over, whichever part notices it, longer than the lease as well.

    Beside a task whose work is stopped, one ends while Redis is away and waits with its result.
    """
    busy = worker("--queues=celery", "--loglevel=debug", redis_url=server.url, app=PROBE_APP)
    running, ending = tmp_path / "running", tmp_path / "ending"
    with client_of(server.url) as client:
        for folder in (running, ending):
            folder.mkdir()
            client.send_task("probe.base.hold", kwargs={"folder": str(folder)})
    wait_until(lambda: executions(running) and executions(ending), "the tasks to start")
    take_away(server)
    busy.wait_for_log("Redis cannot be reached")
    (ending / "release").touch()
    busy.wait_for_log("Lease lost")
    give_back(server)
    busy.wait_for_log(BACK)
    (running / "release").touch()
    events = [json.loads(line) for line in busy.log().splitlines() if line]
    places = [place for place, event in enumerate(events) if event["message"].startswith(AWAY)]
    said = [e["message"] for e in events[places[0] :] if e["level"] in ("warning", "error", "critical")]
    assert [message.partition(" (")[0] for message in said[:1]] == [AWAY]
    assert len(said) == 2, said
    assert said[1].startswith(BACK)
    assert re.search(r"(1 running task starts|[2-9] running tasks start) again$", said[1]), said[1]


def test_waiting_message_is_kept_through_a_restart(
    worker: StartWorker, server: RedisProcess, tmp_path: Path
) -> None:
    """A message that was fetched and not yet begun when Redis died stays in Redis, for its redelivery."""
    busy = worker("--queues=celery", redis_url=server.url, app=PROBE_APP)
    with client_of(server.url) as client, server.client() as plain:
        sent = client.send_task("probe.base.retry", kwargs={"folder": str(tmp_path)}).id
        wait_until(lambda: [m["headers"]["retries"] for m in waiting_messages(plain)] == [1], "the retry")
    server.crash()
    server.start()
    server.ready()
    wait_until(lambda: reconnected(busy), "the reconnection")
    with server.client() as plain:
        assert [message["headers"]["id"] for message in waiting_messages(plain)] == [sent]


def test_lost_connections_do_not_stop_a_busy_worker(
    worker: StartWorker, server: RedisProcess, tmp_path: Path
) -> None:
    """Redis closes every connection while a task runs: the task ends well, at least once."""
    busy = worker("--queues=celery", redis_url=server.url, app=PROBE_APP)
    with client_of(server.url) as client, server.client() as plain:
        sent = client.send_task("probe.base.hold", kwargs={"folder": str(tmp_path)})
        wait_until(lambda: executions(tmp_path), "the task to start")
        plain.client_kill_filter(_type="normal", skipme=True)
        wait_until(lambda: reconnected(busy), "the reconnection")
        (tmp_path / "release").touch()
        result = client.AsyncResult(sent.id)
        wait_until(lambda: result.state == "SUCCESS", "the result")
    assert serves(server.url)


def test_sigterm_ends_a_worker_that_waits_for_redis(worker: StartWorker, server: RedisProcess) -> None:
    """A worker that never got through to Redis can be stopped."""
    server.crash()
    waiting = worker("--queues=celery", redis_url=server.url, ready=False)
    waiting.wait_for_log(AWAY)
    waiting.kill()
    assert waiting.wait() == 0
