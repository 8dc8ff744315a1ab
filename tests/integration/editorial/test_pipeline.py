"""An article's whole way, with real workers: what becomes of it, once, whatever dies on the way."""

import json
import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import redis
from celery import Celery

from contentworker.runtime import dead_letters
from contentworker.runtime.runs import FINAL, Run, Runs, step_id
from tests.support import ROOT, RedisProcess, StartWorker, Worker, client_of, everything, run_cli, wait_until

APP = "pipeline_worker.celery_app"
PLAIN = (
    "Gestern haben wir etwas gesehen. "
    * 3
    + "The zanzibarquokka was a thing that some people liked and others did not, and it went on like that "
    "for a while. Things happened, and then more things happened, and in the end there was not much to say. "
    * 3
)
"""Far below the threshold, with a word that is nowhere else."""
WORD = "zanzibarquokka"
Start = Callable[..., Worker]


@pytest.fixture(autouse=True)
def clean(request: pytest.FixtureRequest) -> None:
    if "redis_client" in request.fixturenames:
        request.getfixturevalue("redis_client").flushdb()


@pytest.fixture
def settings(tmp_path: Path) -> dict[str, str]:
    return {
        "NOTES": str(tmp_path),
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(Path(__file__).parent)]),
        "WORKER__ESCALATIONS__SQLITE_PATH": str(tmp_path / "records.sqlite3"),
        "WORKER__RETRIES__INITIAL_DELAY_SECONDS": "0.2",
        "WORKER__RETRIES__MAX_DELAY_SECONDS": "0.3",
        "WORKER__RETRIES__JITTER_SECONDS": "0",
        "WORKER__PIPELINE__MIN_AEO_SCORE": "90",
        "WORKER__PIPELINE__MAX_DETECTOR_RISE": "1",
        "WORKER__PIPELINE__ESCALATED_VERDICTS": "[]",
    }


@pytest.fixture
def start(worker: StartWorker, settings: dict[str, str]) -> Start:
    def one(*options: str, **more: str) -> Worker:
        return worker(*options, app=APP, **{**settings, **more})

    return one


@pytest.fixture
def runs(redis_client: redis.Redis) -> Runs:
    return Runs(redis_client, 3600)


def send(client: Celery, article_id: str = "article-77", content: str = PLAIN, **more: Any) -> Any:
    arguments = {"article_id": article_id, "content": content, "media_type": "markdown", **more}
    return client.send_task("tasks.pipeline.process_content", kwargs=arguments)


def ended(runs: Runs, article_id: str = "article-77") -> Run:
    """The article's one run, when it has ended."""

    def final() -> Run | None:
        found = [run for run_id in runs.of(article_id) if (run := runs.find(run_id))]
        assert len(found) < 2
        return found[0] if found and found[0].is_final else None

    return wait_until(final, f"the run of {article_id} to end")


def rewrites(folder: Path) -> list[str]:
    file = folder / "rewrites"
    return file.read_text().splitlines() if file.exists() else []


def records(settings: dict[str, str]) -> list[Any]:
    path = {"WORKER__ESCALATIONS__SQLITE_PATH": settings["WORKER__ESCALATIONS__SQLITE_PATH"]}
    if not Path(*path.values()).exists():  # no worker has had one to write
        return []
    listed = run_cli("escalations", "list", "--json", **path)
    assert listed.returncode == 0, listed.stderr
    return [json.loads(line) for line in listed.stdout.splitlines()]


@pytest.mark.parametrize(
    ("kind", "more", "outcome", "reason", "calls"),
    [
        pytest.param("better", {}, "accepted", "better", 1, id="better-is-accepted"),
        pytest.param("worse", {}, "escalated", "rewrite_not_better", 1, id="no-better-goes-to-a-person"),
        pytest.param(
            "worse",
            {"WORKER__PIPELINE__MAX_REWRITES": "2"},
            *("escalated", "rewrite_not_better", 2),
            id="again-and-no-more",
        ),
        pytest.param("refused", {}, "escalated", "rewrite_refused", 1, id="refused-goes-to-a-person"),
        pytest.param("fails", {}, "escalated", "failed", 1, id="failed-goes-to-a-person"),
        pytest.param(
            "better",
            {"WORKER__PIPELINE__MIN_AEO_SCORE": "0"},
            "passed",
            "reached_threshold",
            0,
            id="good-passes",
        ),
        pytest.param(
            "better",
            {"WORKER__PIPELINE__ESCALATED_VERDICTS": '["human", "uncertain", "ai"]'},
            *("escalated", "ai_suspected", 0),
            id="suspicion-goes-to-a-person",
        ),
    ],
)
def test_how_an_article_ends(
    start: Start,
    runs: Runs,
    client: Celery,
    tmp_path: Path,
    kind: str,
    more: dict[str, str],
    outcome: str,
    reason: str,
    calls: int,
) -> None:
    """By the thresholds, the rewrite's second scores and the guard, with so many paid calls."""
    start(REWRITE=kind, **more)
    send(client)
    run = ended(runs)
    assert (run.step, run.data["reasons"][0], len(rewrites(tmp_path))) == (outcome, reason, calls)


def test_the_same_article_sent_twice_is_one_run(
    start: Start, runs: Runs, client: Celery, redis_url: str, tmp_path: Path
) -> None:
    """At once and later: the same run, one rewrite; the command shows the steps and prints the end."""
    both = [send(client), send(client)]
    start()
    first, second = (each.get(timeout=60) for each in both)
    assert first["run_id"] == second["run_id"]
    ended(runs)
    given = ("article_id=article-77", f"content={PLAIN}", "media_type=markdown", "--wait", "30")
    shown = run_cli("submit", "tasks.pipeline.process_content", *given, redis_url=redis_url)
    assert json.loads(shown.stdout)["outcome"] == "accepted"
    assert [line.split()[-1] for line in shown.stderr.splitlines()] == [
        *("evaluate:0", "rewrite:1", "evaluate:1", "accepted")
    ]
    assert rewrites(tmp_path) == ["called"]


@pytest.mark.parametrize(
    ("moment", "kind"),
    [
        ("after create evaluate:0", "better"),
        ("before note evaluate:0/score", "better"),
        ("after note evaluate:0/detection", "better"),
        ("after move rewrite:1", "better"),
        ("before move evaluate:1", "better"),
        ("after move evaluate:1", "better"),
        ("after move accepted", "better"),
        ("after move escalate", "worse"),
        ("before move escalated", "worse"),
        ("after move escalated", "worse"),
    ],
)
def test_a_worker_killed_between_two_steps(
    start: Start,
    runs: Runs,
    client: Celery,
    settings: dict[str, str],
    tmp_path: Path,
    moment: str,
    kind: str,
) -> None:
    """kill -9 right before or after a change of the run: another worker ends it once, with one paid call."""
    killed = start(REWRITE=kind, CRASH=moment)
    send(client)
    assert killed.wait() == -signal.SIGKILL
    start(REWRITE=kind)
    run = ended(runs)
    assert run.step == ("accepted" if kind == "better" else "escalated")
    assert len(records(settings)) == (kind == "worse")
    assert rewrites(tmp_path) == ["called"]
    assert sum(each in FINAL for each in run.times) == 1


def found(runs: Runs) -> list[Run]:
    return [run for run_id in runs.of("article-77") if (run := runs.find(run_id))]


def test_an_interrupted_rewrite_goes_to_a_person(
    start: Start, runs: Runs, client: Celery, tmp_path: Path, settings: dict[str, str]
) -> None:
    """Its worker is killed in the paid call: no second one, and a record that says so."""
    killed = start(REWRITE="hangs")
    send(client)
    wait_until(lambda: rewrites(tmp_path), "the paid call")
    killed.kill(signal.SIGKILL, group=True)
    start()
    run = ended(runs)
    assert (run.step, run.data["reasons"]) == ("escalated", ["interrupted"])
    assert rewrites(tmp_path) == ["called"]
    assert len(records(settings)) == 1


def test_a_revoked_step_goes_to_a_person(start: Start, runs: Runs, client: Celery, tmp_path: Path) -> None:
    """Whoever revokes a task of a run by hand leaves no silence behind, and nothing is paid."""
    start("--queues=celery,evaluation,escalation")
    send(client)
    wait_until(lambda: [run for run in found(runs) if run.step == "rewrite:1"], "the rewrite to wait")
    (run,) = found(runs)
    assert client.control.revoke(step_id(run.id, "rewrite:1/"), reply=True, timeout=30, limit=1)
    # Only now can the worker take what it knows to be revoked.
    assert client.control.add_consumer("rewrite", reply=True, timeout=30, limit=1)
    run = ended(runs)
    assert (run.step, run.data["reasons"]) == ("escalated", ["failed"])
    assert (run.data["failure"]["step"], run.data["failure"]["error"]) == ("rewrite:1", "TaskRevokedError")
    assert rewrites(tmp_path) == []


def test_a_task_that_no_worker_has_goes_to_a_person(
    worker: StartWorker, runs: Runs, client: Celery, settings: dict[str, str]
) -> None:
    """A message that becomes a dead letter without having been run calls its errbacks as well."""
    without = {**settings, "WITHOUT": "tasks.rewrite.generate_rewrite"}
    worker(app="pipeline_worker_without.celery_app", **without)
    send(client)
    run = ended(runs)
    assert (run.step, run.data["failure"]["error"]) == ("escalated", "NotRegistered")


def test_a_cancelled_run_goes_no_further(
    start: Start, runs: Runs, client: Celery, redis_client: redis.Redis, redis_url: str, tmp_path: Path
) -> None:
    """What waits is taken back, and nothing is paid."""
    start("--queues=celery,evaluation")
    send(client)
    wait_until(lambda: redis_client.llen("rewrite"), "the rewrite to wait")
    (run_id,) = runs.of("article-77")
    assert "messages removed: 1" in run_cli("cancel", run_id, redis_url=redis_url).stdout
    assert redis_client.llen("rewrite") == 0
    assert ended(runs).step == "cancelled"
    assert rewrites(tmp_path) == []


def test_forget_leaves_nothing(
    start: Start,
    runs: Runs,
    client: Celery,
    redis_client: redis.Redis,
    redis_url: str,
    settings: dict[str, str],
) -> None:
    """After it neither any key of Redis nor the database has the article's id or text."""
    start(REWRITE="fails")  # so that there is a dead letter, too
    send(client)
    ended(runs)
    wait_until(lambda: list(dead_letters.read(redis_client)), "the dead letter")
    assert WORD in everything(redis_client)
    path = {"WORKER__ESCALATIONS__SQLITE_PATH": settings["WORKER__ESCALATIONS__SQLITE_PATH"]}
    if not Path(*path.values()).exists():  # no worker has had one to write
        return []
    forgotten = run_cli("forget", "article-77", redis_url=redis_url, **path)
    assert forgotten.returncode == 0, forgotten.stderr
    left = everything(redis_client)
    assert WORD not in left
    assert "article-77" not in left
    assert records(settings) == []


def test_an_article_is_in_no_log_and_no_view(
    start: Start, runs: Runs, client: Celery, redis_url: str
) -> None:
    """Nor in events, `inspect active` or the list of dead letters; sent with a client's own `argsrepr`."""
    running = start("--loglevel=debug", "-E", REWRITE="hangs")
    arguments = {"article_id": "article-77", "content": PLAIN, "media_type": "markdown"}
    heard: list[Any] = []
    with client.connection_for_read() as connection:
        receiver = client.events.Receiver(connection, handlers={"*": heard.append})
        listening = threading.Thread(target=lambda: receiver.capture(limit=None, timeout=None))
        listening.start()
        client.send_task("tasks.pipeline.process_content", kwargs=arguments, kwargsrepr=repr(arguments))
        shown = wait_until(
            lambda: next(
                (
                    text
                    for text in [json.dumps(client.control.inspect(timeout=1).active())]
                    if "rewrite" in text
                ),
                "",
            ),
            "the rewrite to run",
        )
        wait_until(lambda: any("rewrite" in event.get("name", "") for event in heard), "its event")
        receiver.should_stop = True
        client.control.ping(timeout=0.1)
        listening.join(30)
    assert WORD not in shown
    assert WORD not in json.dumps(heard)
    assert WORD not in running.log()


def test_redis_restarted_on_the_way(worker: StartWorker, settings: dict[str, str], tmp_path: Path) -> None:
    """A Redis that keeps what it was given, killed and started again in the middle: the run ends once."""
    server = RedisProcess(tmp_path / "redis", durable=True).ready()
    try:
        worker(redis_url=server.url, app=APP, **settings)
        with client_of(server.url) as client, redis.Redis.from_url(server.url) as direct:
            send(client)
            known = Runs(direct, 3600)
            wait_until(lambda: found(known), "the run")
            server.crash()
            server.start()
            server.ready()
            assert ended(known).step in ("accepted", "escalated")
        assert len(rewrites(tmp_path)) <= 1
    finally:
        server.stop()
