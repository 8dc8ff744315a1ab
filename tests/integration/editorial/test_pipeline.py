"""An article's whole way, with real workers: what becomes of it, once, whatever dies on the way.

The tests share one worker; a test that kills it starts the next one, which the tests after it share.
"""

import json
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import redis
from celery import Celery

from contentworker.articles.outcome import timeline
from contentworker.editorial.escalations.result import EscalationLine
from contentworker.editorial.escalations.schema import open_engine
from contentworker.editorial.escalations.store import Store
from contentworker.runtime.records import dead_letters
from contentworker.runtime.records.dead_letters import DeadLetter
from contentworker.runtime.records.runs import FINAL, Run, Runs, step_id
from contentworker.runtime.transport.protocol import Protocol
from tests.support import (
    PATIENCE,
    ROOT,
    RedisProcess,
    StartWorker,
    Worker,
    client_of,
    everything,
    run_cli,
    wait_until,
)

APP = "pipeline_worker.celery_app"
WORD = "zanzibarquokka"
"""A word that is in the articles and nowhere else."""
PLAIN = (
    "Gestern haben wir etwas gesehen. " * 3
    + (
        f"The {WORD} was a thing that some people liked and others did not, and it went on like that "
        "for a while. Things happened, and then more things happened, and there was not much to say. "
    )
    * 3
)
"""An article with a score of 23, which is taken to be written by a person."""
GOOD = (ROOT / "examples" / "why-is-the-sky-blue.md").read_text("utf-8")
SHORT = "Word " * 20
"""Too short to be judged: `abstained`."""


class Place(NamedTuple):
    """What the tests share."""

    start: StartWorker
    notes: Path
    settings: dict[str, str]
    workers: list[Worker]
    """The last one is the one that runs, unless it was killed."""

    def worker(self) -> Worker:
        """A worker that runs."""
        (self.notes / "crash").unlink(missing_ok=True)  # of a test that failed
        if not (self.workers and self.workers[-1].is_alive):
            self.workers.append(self.start("--loglevel=debug", "-E", app=APP, **self.settings))
        return self.workers[-1]

    def kill(self) -> None:
        worker = self.worker()  # once: asked again, it starts another as soon as this one is dead
        worker.kill(signal.SIGKILL, group=True)
        worker.wait()

    def rewrites(self, name: str) -> int:
        """Paid calls for this article."""
        file = self.notes / "rewrites"
        return file.read_text("utf-8").splitlines().count(name) if file.exists() else 0

    @contextmanager
    def store(self) -> Iterator[Store]:
        store = Store(open_engine("", Path(self.settings["WORKER__ESCALATIONS__SQLITE_PATH"])))
        try:
            yield store
        finally:
            store.close()

    def records(self, article_id: str) -> list[EscalationLine]:
        with self.store() as store:
            return [each for each in store.read().lines if each.article_id == article_id]


@pytest.fixture(scope="module")
def place(module_worker: StartWorker, tmp_path_factory: pytest.TempPathFactory) -> Place:
    """No worker so far."""
    notes = tmp_path_factory.mktemp("notes")
    settings = {
        "NOTES": str(notes),
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(Path(__file__).parent)]),
        "WORKER__ESCALATIONS__SQLITE_PATH": str(notes / "records.sqlite3"),
        "WORKER__RETRIES__INITIAL_DELAY_SECONDS": "0.2",
        "WORKER__RETRIES__MAX_DELAY_SECONDS": "0.3",
        "WORKER__RETRIES__JITTER_SECONDS": "0",
        "WORKER__PIPELINE__MIN_AEO_SCORE": "90",
        "WORKER__PIPELINE__MAX_REWRITES": "2",
        "WORKER__PIPELINE__MAX_DETECTOR_RISE": "1",
        "WORKER__PIPELINE__ESCALATED_VERDICTS": '["abstained"]',
    }
    return Place(module_worker, notes, settings, [])


@pytest.fixture
def runs(redis_client: redis.Redis) -> Runs:
    return Runs(redis_client, 3600)


@pytest.fixture
def paused(redis_client: redis.Redis) -> Iterator[Callable[[], None]]:
    """Rewrites wait until the test calls this."""
    protocol = Protocol(redis_client)
    protocol.pause("rewrite")
    yield lambda: protocol.resume("rewrite")
    for queue in ("rewrite", "escalation"):
        protocol.resume(queue)


def send(client: Celery, name: str, content: str = PLAIN, **options: Any) -> Any:
    """Send an article whose id is `name`, and whose rewrite is of the kind with which the name begins."""
    arguments = {"article_id": name, "content": f"{content}\n\nThis is {name}.\n", "media_type": "markdown"}
    return client.send_task("tasks.pipeline.process_content", kwargs=arguments, **options)


def found(runs: Runs, article_id: str) -> Run | None:
    """The article's one run."""
    known = [run for run_id in runs.of(article_id) if (run := runs.find(run_id))]
    assert len(known) < 2
    return known[0] if known else None


def ended(runs: Runs, article_id: str) -> Run:
    """The article's one run, when it has ended."""

    def final() -> Run | None:
        run = found(runs, article_id)
        return run if run and run.is_final else None

    return wait_until(final, f"the run of {article_id} to end")


@pytest.mark.parametrize(
    ("name", "content", "outcome", "reasons", "calls"),
    [
        pytest.param("better-1", PLAIN, "accepted", ["better"], 1, id="better-is-accepted"),
        pytest.param("worse-1", PLAIN, "escalated", ["rewrite_not_better"], 2, id="again-and-no-more"),
        pytest.param("refused-1", PLAIN, "escalated", ["rewrite_refused"], 2, id="refused-goes-to-a-person"),
        pytest.param("fails-1", PLAIN, "escalated", ["failed"], 1, id="failed-goes-to-a-person"),
        pytest.param("better-2", GOOD, "passed", ["reached_threshold"], 0, id="good-passes"),
        pytest.param("better-3", SHORT, "escalated", ["ai_suspected"], 0, id="suspicion-goes-to-a-person"),
    ],
)
def test_how_an_article_ends(
    place: Place,
    runs: Runs,
    client: Celery,
    redis_client: redis.Redis,
    name: str,
    content: str,
    outcome: str,
    reasons: list[str],
    calls: int,
) -> None:
    """By the thresholds, the rewrite's second scores and the guard, with so many paid calls and records."""
    place.worker()
    send(client, name, content)
    run = ended(runs, name)
    assert (run.step, run.data["reasons"], place.rewrites(name)) == (outcome, reasons, calls)
    assert timeline(redis_client, run)[0].attempts == 1
    records = place.records(name)
    assert [each.reason for each in records] == (reasons if outcome == "escalated" else [])
    assert run.data.get("escalation_id") == (records[0].id if records else None)


def test_what_a_person_is_shown(place: Place, runs: Runs, client: Celery) -> None:
    """The evidence has scores, verdicts and refusals of every step, and no text of the article.

    The findings have every result whole, each with the text that its offsets are in.
    """
    place.worker()
    send(client, "refused-evidence")
    run = ended(runs, "refused-evidence")
    (line,) = place.records("refused-evidence")
    with place.store() as store:
        record, findings = store.find(line.id), store.findings(line.id)
    assert record is not None
    assert (line.score, line.verdict) == (run.data["evaluate:0/score"]["score"], "no_sign")
    steps = {"score": "evaluate:0/score", "detection": "evaluate:0/detection"}
    for found_out in findings:
        step = steps.get(found_out.kind, f"rewrite:{found_out.number}/result")
        assert (found_out.content, found_out.run_id) == (run.data[step], run.id)
        assert found_out.text_sha256 == record.texts[0].sha256
    assert [(each.kind, each.number) for each in findings] == [
        *(("score", 0), ("detection", 0), ("rewrite", 1), ("rewrite", 2))
    ]
    assert record.evidence.keys() == {
        *("reasons", "failure", "rewrites"),
        *("evaluate:0/detection", "evaluate:0/score"),
    }
    assert record.evidence["evaluate:0/detection"]["verdict"] == "no_sign"
    assert record.evidence["evaluate:0/score"]["score"] == pytest.approx(23, abs=5)
    assert [each["refusals"][0]["rule"] for each in record.evidence["rewrites"]] == ["numbers", "numbers"]
    assert WORD not in json.dumps(record.evidence["rewrites"])


def test_the_same_article_sent_twice_is_one_run(
    place: Place, runs: Runs, client: Celery, redis_url: str
) -> None:
    """At once and later: the same run, one rewrite; the command shows the steps and prints the end."""
    place.worker()
    sent = [send(client, "better-4"), send(client, "better-4")]
    first, second = (each.get(timeout=PATIENCE) for each in sent)
    assert first["run_id"] == second["run_id"]
    ended(runs, "better-4")
    content = f"content={PLAIN}\n\nThis is better-4.\n"
    given = ("article_id=better-4", content, "media_type=markdown", f"--wait={PATIENCE}")
    shown = run_cli("submit", "tasks.pipeline.process_content", *given, redis_url=redis_url, **place.settings)
    printed = json.loads(shown.stdout)
    assert (printed["run_id"], printed["outcome"], printed["cost"]) == (first["run_id"], "accepted", 0.25)
    assert [line.split()[-1] for line in shown.stderr.splitlines()] == [
        *("evaluate:0", "rewrite:1", "evaluate:1", "accepted")
    ]
    assert place.rewrites("better-4") == 1


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
        ("after move escalate", "fails"),
        ("before move escalated", "fails"),
        ("after move escalated", "fails"),
    ],
)
def test_a_worker_killed_between_two_steps(
    place: Place, runs: Runs, client: Celery, moment: str, kind: str
) -> None:
    """kill -9 right before or after a change of the run: another worker ends it once, with one paid call."""
    killed = place.worker()
    name = f"{kind}-{moment.replace(' ', '-').replace(':', '-').replace('/', '-')}"
    (place.notes / "crash").write_text(moment, "utf-8")
    send(client, name)
    assert killed.wait() == -signal.SIGKILL
    place.worker()
    run = ended(runs, name)
    assert run.step == ("accepted" if kind == "better" else "escalated")
    assert len(place.records(name)) == (kind == "fails")
    assert place.rewrites(name) == 1
    assert sum(each in FINAL for each in run.times) == 1


def test_an_interrupted_rewrite_goes_to_a_person(place: Place, runs: Runs, client: Celery) -> None:
    """Its worker is killed in the paid call: no second one, and a record that says so."""
    place.worker()
    send(client, "hangs-1")
    wait_until(lambda: place.rewrites("hangs-1"), "the paid call")
    place.kill()
    place.worker()
    run = ended(runs, "hangs-1")
    assert (run.step, run.data["reasons"]) == ("escalated", ["interrupted"])
    assert (run.data["failure"]["step"], run.data["failure"]["error"]) == (
        "rewrite:1",
        "InterruptedTaskError",
    )
    assert place.rewrites("hangs-1") == 1
    assert [each.reason for each in place.records("hangs-1")] == ["interrupted"]


def test_a_revoked_step_goes_to_a_person(
    place: Place, runs: Runs, client: Celery, paused: Callable[[], None]
) -> None:
    """Revoking a task of a run by hand leaves no silence behind, and nothing is paid."""
    place.worker()
    send(client, "better-revoked")

    def waiting() -> Run | None:
        run = found(runs, "better-revoked")
        return run if run and run.step == "rewrite:1" else None

    run = wait_until(waiting, "the rewrite to wait")
    assert client.control.revoke(step_id(run.id, "rewrite:1/"), reply=True, timeout=PATIENCE, limit=1)
    paused()  # only now can the worker take what it knows to be revoked
    run = ended(runs, "better-revoked")
    assert (run.step, run.data["reasons"]) == ("escalated", ["failed"])
    assert (run.data["failure"]["step"], run.data["failure"]["error"]) == ("rewrite:1", "TaskRevokedError")
    assert place.rewrites("better-revoked") == 0


def test_a_cancelled_run_goes_no_further(
    place: Place,
    runs: Runs,
    client: Celery,
    redis_client: redis.Redis,
    redis_url: str,
    paused: Callable[[], None],
) -> None:
    """Its waiting message is removed, another article's is not; nothing is paid, and a person is asked."""
    protocol = Protocol(redis_client)
    protocol.pause("escalation")
    place.worker()
    send(client, "better-stays")
    send(client, "better-cancelled")
    wait_until(lambda: redis_client.llen("rewrite") == 2, "the rewrites to wait")
    (run_id,) = runs.of("better-cancelled")
    done = run_cli("runs", "cancel", run_id[:8], "--escalate", redis_url=redis_url, **place.settings)
    assert done.stdout == f"{run_id}: cancelled; messages removed: 1\n"
    assert redis_client.llen("rewrite") == 1
    again = run_cli("runs", "cancel", run_id, redis_url=redis_url, **place.settings)
    # It was cancelled already, which is what was asked for.
    assert again.stdout == f"{run_id}: cancelled; messages removed: 0\n", "the question to a person stays"
    protocol.resume("escalation")
    paused()
    assert ended(runs, "better-stays").step == "accepted"
    late = run_cli("runs", "cancel", *runs.of("better-stays"), redis_url=redis_url, **place.settings)
    assert (late.returncode, "has already ended: accepted" in late.stderr) == (1, True)
    assert ended(runs, "better-cancelled").step == "cancelled"
    assert place.rewrites("better-cancelled") == 0
    records = wait_until(lambda: place.records("better-cancelled"), "the record")
    assert [each.reason for each in records] == ["cancelled"]


def test_forget_leaves_nothing(
    place: Place, runs: Runs, client: Celery, redis_client: redis.Redis, redis_url: str
) -> None:
    """After it neither any key of Redis nor the database has the article's id or text; others' stay."""
    word, name = "hoatzinnumbat", "fails-forgotten"
    place.worker()
    send(client, name, PLAIN.replace(WORD, word))
    ended(runs, name)
    send(client, "better-remembered")
    ended(runs, "better-remembered")

    def letters() -> list[Any]:
        read = [letter for _, _, letter in dead_letters.read(redis_client) if isinstance(letter, DeadLetter)]
        return [letter for letter in read if name.encode() in dead_letters.raw_message(letter)]

    wait_until(letters, "the dead letter")
    assert word in everything(redis_client)
    (run_id,) = runs.of(name)
    forgotten = run_cli("runs", "forget", name, redis_url=redis_url, **place.settings)
    assert forgotten.returncode == 0, forgotten.stderr
    assert forgotten.stdout.startswith(f"{name}: runs 1, messages 0, dead letters 1, results ")
    left = everything(redis_client)
    for gone in (word, name, run_id):
        assert gone not in left
    assert place.records(name) == []
    assert found(runs, "better-remembered")


def test_an_article_is_in_no_log_and_no_view(place: Place, client: Celery) -> None:
    """Nor in events, `inspect active` or the list of dead letters; sent with a client's own `argsrepr`."""
    running = place.worker()
    heard: list[Any] = []
    with client.connection_for_read() as connection:
        receiver = client.events.Receiver(connection, handlers={"*": heard.append})
        listening = threading.Thread(target=lambda: receiver.capture(limit=None, timeout=None))
        listening.start()
        wait_until(lambda: heard, "a heartbeat")  # from now on no event is missed
        send(client, "hangs-2", kwargsrepr=repr(PLAIN))
        wait_until(lambda: place.rewrites("hangs-2"), "the rewrite to run")

        def active() -> str:
            text = json.dumps(client.control.inspect(timeout=PATIENCE, limit=1).active())
            return text if "rewrite" in text else ""

        shown = wait_until(active, "the rewrite to be shown")
        wait_until(lambda: any("rewrite" in event.get("name", "") for event in heard), "its event")
        receiver.should_stop = True
        listening.join()
    assert WORD not in shown
    assert WORD not in json.dumps(heard)
    for each in place.workers:
        assert WORD not in each.log_file.read_text("utf-8", "replace")
    assert '"level": "debug"' in running.log()
    place.kill()


def test_a_task_that_no_worker_has_goes_to_a_person(
    place: Place, worker: StartWorker, runs: Runs, client: Celery
) -> None:
    """A message that becomes a dead letter without having been run calls its errbacks as well."""
    place.kill()
    without = {**place.settings, "WITHOUT": "tasks.rewrite.generate_rewrite"}
    worker(app="pipeline_worker_without.celery_app", **without)
    send(client, "better-without")
    run = ended(runs, "better-without")
    assert (run.step, run.data["failure"]["error"]) == ("escalated", "NotRegistered")


def test_redis_restarted_on_the_way(worker: StartWorker, place: Place, tmp_path: Path) -> None:
    """A Redis that keeps what it was given, killed and started again in the middle: the run ends once."""
    server = RedisProcess(tmp_path / "redis", durable=True).ready()
    try:
        worker(redis_url=server.url, app=APP, **place.settings)
        with (
            client_of(server.url) as client,
            redis.Redis.from_url(server.url, socket_timeout=PATIENCE) as direct,
        ):
            send(client, "better-restart")
            known = Runs(direct, 3600)
            wait_until(lambda: found(known, "better-restart"), "the run")
            server.crash()
            server.start()
            server.ready()
            assert ended(known, "better-restart").step in ("accepted", "escalated")
        assert place.rewrites("better-restart") <= 1
    finally:
        server.stop()
