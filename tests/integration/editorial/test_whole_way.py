"""Articles on their whole way through the project's own tasks, one worker and a model on loopback.

What leaves the machine, where secrets and texts are to be found, and what becomes of the model's failures.
"""

import json
import sqlite3
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple
from urllib.request import urlopen

import pytest
import redis
from celery import Celery

from contentworker.runtime.records.runs import Run, Runs
from contentworker.runtime.records.spending import Spending
from contentworker.runtime.settings import SpendingSettings
from tests import llm_server as llm
from tests.receivers import PATIENT, receiver
from tests.support import PATIENCE, StartWorker, Worker, as_bytes, everything, run_cli, wait_until

PASSWORD = "hush-hush-4711"
WORD = "zanzibarquokka"
"""Of every article, and nowhere else."""
CAP = 1000.0


def article(site: str) -> str:
    """One that is rewritten, full of what a browser or an unfurling library would load."""
    return f"""\
<!doctype html><html lang="en"><head><base href="{site}/"><link rel="stylesheet" href="{site}/style.css">
<link rel="canonical" href="{site}/canonical"><meta property="og:image" content="{site}/og.png">
<script src="{site}/script.js"></script><title>The {WORD}</title></head><body>
<h1>The {WORD}</h1><img src="{site}/a.png" srcset="{site}/b.png 2x"><iframe src="{site}/frame"></iframe>
<p>The {WORD} was <a href="{site}/seen">seen</a> by a very old man, who had gone there in order to look
for it, and who was really glad.</p>
<p>Some people went to the old bridge in order to see more of it, and in the end there was little to say.</p>
<video src="{site}/film.mp4" poster="{site}/poster.png"></video><object data="{site}/object"></object>
<p>It is <a href="/relative">said</a> that it went on like that for a while in order to end at some time.</p>
<img src="//{site.partition("//")[2]}/c.png"></body></html>
"""


class Place(NamedTuple):
    """What all tests share."""

    worker: Worker
    model: llm.LlmServer
    records: Path
    told: list[Any]
    """What NOTIFY_URLS got."""


@pytest.fixture(scope="module")
def place(module_worker: StartWorker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A worker of all queues, at the most talkative; who is to be told of an escalation refuses once."""
    records = tmp_path_factory.mktemp("records") / "records.sqlite3"
    with llm.llm_server() as model, receiver(500, 204) as (address, told):
        settings = {
            "OPENAI_API_KEY": llm.KEY,
            "NOTIFY_URLS": address.replace("http://", f"json://ana:{PASSWORD}@") + PATIENT,
            "WORKER__LLM__BASE_URL": model.url,
            "WORKER__LLM__MODEL": "good",
            "WORKER__LLM__MAX_SENTENCES": "2",
            "WORKER__LLM__OUTPUT_PRICE_PER_MILLION_TOKENS": "1000",
            "WORKER__SPENDING__CAP_PER_DAY": str(CAP),
            "WORKER__PIPELINE__OVER_CAP": "escalate",
            "WORKER__PIPELINE__MIN_AEO_SCORE": "100",
            "WORKER__PIPELINE__ESCALATED_VERDICTS": "[]",
            "WORKER__ESCALATIONS__SQLITE_PATH": str(records),
            "WORKER__RETRIES__INITIAL_DELAY_SECONDS": "0.2",
            "WORKER__RETRIES__JITTER_SECONDS": "0",
        }
        yield Place(module_worker("--loglevel=debug", "-E", **settings), model, records, told)


@pytest.fixture
def runs(redis_client: redis.Redis) -> Runs:
    return Runs(redis_client, 3600)


def send(client: Celery, article_id: str, site: str = "http://127.0.0.1:9", **more: Any) -> None:
    arguments = {"article_id": article_id, "content": article(site), "media_type": "html", **more}
    client.send_task("tasks.pipeline.process_content", kwargs=arguments).forget()


def ended(runs: Runs, article_id: str) -> Run:
    def final() -> Run | None:
        found = [run for run_id in runs.of(article_id) if (run := runs.find(run_id))]
        return found[0] if found and found[0].is_final else None

    return wait_until(final, f"the run of {article_id} to end")


def rows(records: Path) -> dict[str, list[dict[str, Any]]]:
    """All of the database, by table."""
    with sqlite3.connect(records) as connection:
        connection.row_factory = sqlite3.Row
        tables = [name for (name,) in connection.execute("select name from sqlite_master where type='table'")]
        found = {name: list(map(dict, connection.execute(f'select * from "{name}"'))) for name in tables}
    connection.close()
    return found


def test_nothing_that_an_article_names_is_loaded(place: Place, runs: Runs, client: Celery) -> None:
    """Links, images, frames, scripts and its own address: scored, judged and rewritten, none is asked for."""
    seen: list[str] = []

    class Site(BaseHTTPRequestHandler):
        def handle_one_request(self) -> None:
            seen.append("a connection")
            super().handle_one_request()

        def do_GET(self) -> None:
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Site) as server:
        serving = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        serving.start()
        try:
            site = f"http://127.0.0.1:{server.server_port}"
            send(client, "links", site, url=f"{site}/article")
            run = ended(runs, "links")
            assert {"rewrite:1", "evaluate:1"} <= run.times.keys()
            assert f'href="{site}/seen"' in run.data["rewrite:1/result"]["text"]
            assert seen == []
            urlopen(f"{site}/seen").close()
            assert seen, "the site counts nothing"
        finally:
            server.shutdown()
            serving.join()
    assert place.model.requests


def test_a_wrong_key_goes_to_a_person(
    place: Place, runs: Runs, client: Celery, redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Named by its error, which the endpoint quotes the key in; and no secret or text is anywhere else."""
    monkeypatch.setattr(llm, "KEY", "sk-another")
    send(client, "wrong-key")
    run = ended(runs, "wrong-key")
    assert (run.step, run.data["reasons"]) == ("escalated", ["failed"])
    assert run.data["failure"]["error"] == "ModelRefusesError"
    monkeypatch.undo()

    def notified() -> list[dict[str, Any]]:
        found = rows(place.records)["escalation_notifications"]
        return [row for row in found if row["state"] == "sent"]

    wait_until(notified, "a person to be told")
    database = rows(place.records)
    assert '"level": "debug"' in place.worker.log()
    for secret in (llm.KEY, PASSWORD):
        assert secret not in place.worker.log()
        assert secret not in everything(redis_client)
        assert secret not in json.dumps(database, default=str)
    # The text is where it is kept on purpose, and not beside that.
    assert WORD not in place.worker.log()
    assert WORD not in json.dumps(run.data["failure"])
    results = [
        json.loads(as_bytes(redis_client.get(key))) for key in redis_client.scan_iter("celery-task-meta-*")
    ]
    failed = [each for each in results if each["status"] == "FAILURE"]
    assert failed
    assert WORD not in json.dumps(failed)
    (record,) = [row for row in database["escalations"] if row["article_id"] == "wrong-key"]
    failure = json.loads(record["evidence"])["failure"]
    assert failure == run.data["failure"]
    assert WORD not in json.dumps(database["escalation_notifications"], default=str)
    assert place.told
    assert WORD.encode() not in b"".join(body for _, body in place.told)


def test_over_the_cap_a_person_is_asked(
    place: Place, runs: Runs, client: Celery, redis_client: redis.Redis
) -> None:
    """`pipeline.over_cap=escalate`: the model is not asked."""
    asked = len(place.model.requests)
    spent = Spending(redis_client, SpendingSettings())
    with spent.call(0) as call:
        call.cost = CAP
    try:
        send(client, "over-the-cap")
        run = ended(runs, "over-the-cap")
    finally:
        for key in redis_client.scan_iter("contentworker:spending:*"):
            redis_client.delete(key)
    assert (run.step, run.data["reasons"]) == ("escalated", ["over_budget"])
    assert run.data["failure"]["error"] == "OverBudgetError"
    assert len(place.model.requests) == asked


def test_forget_while_the_model_works(
    place: Place,
    runs: Runs,
    client: Celery,
    redis_client: redis.Redis,
    redis_url: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It waits for the rewrite; then no key of Redis and no row has the article's id or text."""
    redis_client.flushdb()  # of what other articles left
    released, asked = threading.Event(), threading.Event()

    def hang(text: str) -> str:
        asked.set()
        assert released.wait(PATIENCE)
        return llm.shortened(text)

    named = {"article_id": "gone-tomorrow", "reason": "ai_suspected"}
    kwargs = {**named, "content": WORD, "evidence": {"word": WORD}}
    other = {**named, "article_id": "of-another-one", "content": "Short."}
    for each in (kwargs, other):
        client.send_task("tasks.escalation.escalate_to_human", kwargs=each).get(timeout=PATIENCE)
    monkeypatch.setattr(place.model, "answer", hang)
    try:
        send(client, "gone-tomorrow")
        assert asked.wait(PATIENCE)
        assert "gone-tomorrow" in everything(redis_client)
        assert "gone-tomorrow" in json.dumps(rows(place.records), default=str)
        with ThreadPoolExecutor(1) as one:
            path = {"WORKER__ESCALATIONS__SQLITE_PATH": str(place.records)}
            forgetting = one.submit(run_cli, "runs", "forget", "gone-tomorrow", redis_url=redis_url, **path)
            wait_until(lambda: not runs.of("gone-tomorrow"), "the run to be forgotten")
            assert not forgetting.done()
            released.set()
            found = forgetting.result()
    finally:
        released.set()
    assert found.returncode == 0, found.stderr
    left = everything(redis_client)
    assert "gone-tomorrow" not in left
    assert WORD not in left
    database = rows(place.records)
    assert "gone-tomorrow" not in json.dumps(database, default=str)
    assert [row for row in database["escalations"] if row["article_id"] == "of-another-one"]
