"""The desk's JSON API, by a real server: who may do what, what comes back, and what is wrong with a call."""

import json
import re
import sqlite3
from collections.abc import Iterator
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
import redis
from celery import Celery
from fastapi.openapi.models import OpenAPI
from pydantic import BaseModel

from contentworker.articles.outcome import open_runs
from contentworker.desk.api.base import PREFIX
from contentworker.desk.api.routes import ROUTES, document
from contentworker.desk.people import ROLES
from contentworker.editorial.escalations.result import NewFinding
from contentworker.editorial.escalations.store import Store
from contentworker.editorial.rewriting.result import Change, Refusal, Rewrite
from contentworker.runtime.records import dead_letters
from contentworker.runtime.records.dead_letters import DeadLetter
from contentworker.runtime.records.runs import Runs
from contentworker.runtime.settings import DeadLetterSettings
from tests.integration.editorial.desk_server import Answer, ServedDesk, serve
from tests.support import wait_until

RUN = "6c1c5a3e-6a3f-5a0e-9a53-7f0f8f1b6d11"
TEXT = "Tea is old. There are two kinds."
PUBLIC = {"/openapi.json"}
"""Every other route has roles."""


@pytest.fixture
def desk(url: str, file: Path, redis_url: str, client: Celery) -> Iterator[ServedDesk]:
    """A desk with each database."""
    with serve(url, file, redis_url, client) as served:
        yield served


@pytest.fixture
def small(file: Path, redis_url: str, client: Celery) -> Iterator[ServedDesk]:
    """One with SQLite, for what no database changes."""
    with serve("", file, redis_url, client) as served:
        yield served


@pytest.fixture
def runs(redis_client: redis.Redis) -> Runs:
    """One run, which goes on."""
    redis_client.flushdb()
    made = open_runs(redis_client)
    made.create(RUN, "blog/tea", "evaluate:0", {"article": {"content": TEXT, "media_type": "markdown"}})
    return made


def waiting(desk: ServedDesk, article_id: str = "blog/tea") -> str:
    return waiting_in(desk.desk.store, article_id)


def waiting_in(store: Store, article_id: str = "blog/tea") -> str:
    """A record with a rewrite of two changes: one that passed the guard, one that it refused."""
    changes = []
    for before, after, rules in (
        ("Tea is old.", "Tea is ancient.", ()),
        ("There are two kinds.", "There are 3.", ("numbers",)),
    ):
        refusals = tuple(Refusal(rule=rule, detail="3 is new") for rule in rules)
        start, outcome = TEXT.index(before), "refused" if rules else "rewritten"
        end = start + len(before)
        change = {"original": before, "rewritten": after, "outcome": outcome, "start": start, "end": end}
        changes.append(Change.model_validate({**change, "refusals": refusals}))
    result = Rewrite(
        text="", changed=True, changes=tuple(changes), diff=(), left=(), mode="edit", model="m", provider="p",
        prompt_tokens=0, completion_tokens=0, cost=0, seconds=0,
    )  # fmt: skip
    found = [NewFinding("rewrite", 1, TEXT, result.model_dump(mode="json"))]
    reason = "rewrite_not_better"
    return store.escalate(
        article_id, reason, evidence={}, content=TEXT, media_type="markdown", run_id=RUN, findings=found
    ).id


def died(redis_client: redis.Redis, number: int, reason: Any = "failed") -> str:
    """A dead letter of a task."""
    message = {
        "body": json.dumps([[], {"content": f"secret {number}"}, {}]),
        "headers": {"task": "tasks.evaluation.detect_ai", "id": str(number)},
        "properties": {},
    }
    letter = DeadLetter(
        reason=reason, error="ValueError: no", exception="ValueError", queue="evaluation", worker="w",
        task="tasks.evaluation.detect_ai", task_id=str(number), message=json.dumps(message),
    )  # fmt: skip
    return str(dead_letters.add(redis_client, letter, DeadLetterSettings()))


def call(desk: ServedDesk, role: str, method: str, path: str, body: Any = None, **headers: str) -> Answer:
    """One call with a token that has this role; `If_Match` is the header `If-Match`."""
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    if role:
        desk.tokens.setdefault(role, "")
        desk.tokens[role] = desk.tokens[role] or desk.desk.tokens.create(role, [role])
        sent["Authorization"] = f"Bearer {desk.tokens[role]}"
    if body is not None and not isinstance(body, bytes):
        body = json.dumps(body).encode()
    if body is not None:
        sent.setdefault("Content-Type", "application/json")
    answer = desk.ask(method, PREFIX + path, body, sent)
    kind = answer.headers.get("content-type", "")
    if answer.status >= 400:
        assert kind == "application/problem+json", answer
        assert answer.json()["status"] == answer.status
    elif answer.status != 304:
        assert kind == "application/json"
    return answer


def test_every_route_is_described() -> None:
    """By roles, models and a summary. What changes anything has a word for the trail, and no reader may."""
    assert len({(each.method, each.path) for each in ROUTES}) == len(ROUTES)
    for route in ROUTES:
        assert bool(route.roles) != (route.path in PUBLIC), f"{route.path} has no role"
        assert re.fullmatch(r"[A-Z][A-Za-z' ]{5,60}", route.summary), route.path
        assert issubclass(route.output, BaseModel), route.path
        assert (route.method == "GET") == (not route.action), route.path
        if route.method != "GET":
            assert not {"reader", "articles"}.intersection(route.roles or ()), route.path
        for model in (route.output, route.body, route.query):
            assert model is None or model.__doc__, model


def test_the_document() -> None:
    """It is OpenAPI 3.1 by the models of another project, each reference leads somewhere, each id is one."""
    made = document()
    OpenAPI.model_validate(made)
    text = json.dumps(made)
    for reference in set(re.findall(r'"#/([^"]+)"', text)):
        place: Any = made
        for part in reference.split("/"):
            place = place[part]
    operations = [each for path in made["paths"].values() for each in path.values()]  # type: ignore[attr-defined]
    assert len({each["operationId"] for each in operations}) == len(operations) == len(ROUTES)
    for path, methods in made["paths"].items():  # type: ignore[attr-defined]
        for each in methods.values():
            named = {one["name"] for one in each.get("parameters", ()) if one["in"] == "path"}
            assert named == set(re.findall(r"\{(\w+)\}", path))


@pytest.mark.parametrize("role", ["", *ROLES])
def test_each_route_under_each_role(small: ServedDesk, runs: Runs, role: str) -> None:
    """Without a token, or with another role, nothing is looked at; a person's cookie counts for nothing."""
    record = waiting(small)
    session = {"Cookie": small.cookie("editor")}
    for route in ROUTES:
        names = {"records": record, "runs": RUN, "queues": "rewrite", "schedules": "purge"}
        path = route.path.replace("{id}", names.get(route.path.split("/")[1], "none"))
        answer = call(
            small, role, route.method, path, b"{" if route.body else None, If_Match='"1"', **session
        )
        if not route.roles or role in route.roles:
            assert answer.status in ({400} if route.body else {200, 404}), route
        else:
            assert answer.status == (403 if role else 401), route
            assert bool(answer.headers.get("www-authenticate")) == (not role)
    (found,) = small.desk.store.read().lines
    assert found.state == "open"


def test_a_program_decides(desk: ServedDesk) -> None:
    """It lists, reads, chooses, settles, and takes it back; the platform gets what was chosen."""
    first, second = waiting(desk), waiting(desk, "blog/coffee")
    page = call(desk, "editor", "GET", "/records?state=open&limit=1").json()
    assert [each["id"] for each in page["items"]] == [first]
    page = call(desk, "editor", "GET", f"/records?state=open&limit=1&after={page['next']}").json()
    assert ([each["id"] for each in page["items"]], page["next"]) == ([second], None)
    read = call(desk, "editor", "GET", f"/records/{first}")
    tag = read.headers["etag"]
    assert [(each["number"], each["choice"]) for each in read.json()["changes"]] == [
        (1, "rewrite"),
        (2, "original"),
    ]
    assert call(desk, "editor", "GET", f"/records/{first}", If_None_Match=f'W/"x", {tag}').status == 304
    kinds = [
        each["kind"] for each in call(desk, "reader", "GET", f"/records/{first}/findings").json()["items"]
    ]
    assert kinds == ["rewrite"]

    commented = call(desk, "editor", "POST", f"/records/{first}/comments", {"text": "Hm.", "by": "ana"})
    assert (commented.status, commented.json()["items"][0]["by"]) == (201, "ana via editor")
    choices = [{"change": 1, "choice": "own", "text": "Tea & time."}, {"change": 2, "choice": "rewrite"}]
    chosen = call(desk, "editor", "POST", f"/records/{first}/choices", {"choices": choices}, If_Match=tag)
    assert (chosen.status, chosen.json()["version"]) == (200, 3)
    settle = f"/records/{first}/settle"
    accept = {"decision": "accept", "by": "ana", "undo_seconds": 600}
    stale = call(desk, "editor", "POST", settle, accept, If_Match=tag)
    assert (stale.status, stale.json()["detail"]) == (412, "The record has changed: it has version 3.")
    settled = call(desk, "editor", "POST", settle, accept, If_Match='"3"').json()
    assert (settled["by"], settled["changed"]) == ("ana via editor", True)
    again = call(desk, "editor", "POST", settle, accept, If_Match='"3"')
    assert (again.status, again.json()["changed"], again.json()["event_id"]) == (
        200,
        False,
        settled["event_id"],
    )
    other = call(desk, "editor", "POST", settle, {"decision": "reject"}, If_Match="*")
    assert (other.status, "settled as 'accept'" in other.json()["detail"]) == (409, True)
    record = call(desk, "editor", "GET", f"/records/{first}").json()
    assert record["texts"][-1]["text"] == "Tea & time. There are 3."
    assert desk.announced == [600, 600]
    assert call(desk, "editor", "POST", f"/records/{first}/withdraw", {}).json()["state"] == "open"
    assert call(desk, "editor", "POST", f"/records/{first}/withdraw", {}).status == 409
    event = call(desk, "editor", "POST", settle, {"decision": "reject"}, If_Match="*").json()["event_id"]
    other_event = {"event_id": "0" * 32}
    assert call(desk, "editor", "POST", f"/records/{first}/reopen", other_event).status == 409
    reopened = call(desk, "editor", "POST", f"/records/{first}/reopen", {"event_id": event})
    assert (reopened.json()["state"], desk.announced[2:]) == ("open", [0, 0])
    trail = [(each.action, each.by, each.signed_in, each.subject) for each in desk.desk.audit.read()]
    assert trail == [
        (f"record.{word}", "editor", "token", first)
        for word in ("reopen", "settle", "withdraw", "settle", "settle", "choose", "comment")
    ]


def test_a_program_acts_on_runs(small: ServedDesk, runs: Runs, redis_client: redis.Redis) -> None:
    """It lists them, reads a timeline, cancels, asks a person instead, and forgets an article."""
    record = waiting(small)
    other = RUN[::-1]
    runs.create(other, "blog/coffee", "evaluate:0", {"article": {}})
    runs.move(other, "evaluate:0", "passed")
    runs.create("no-uuid", "blog/none", "evaluate:0", {"article": {}})
    assert call(small, "reader", "GET", "/runs/no-uuid").status == 404
    runs.delete("no-uuid", "blog/none")

    def listed(query: str = "") -> list[str]:
        return [each["id"] for each in call(small, "reader", "GET", f"/runs{query}").json()["items"]]

    assert listed() == [other, RUN]
    assert listed("?state=open") == listed("?step=evaluate:0") == listed("?article_id=blog/tea") == [RUN]
    read = call(small, "operator", "GET", f"/runs/{RUN}")
    assert [each["step"] for each in read.json()["steps"]] == ["evaluate:0"]
    assert "Tea" not in read.text
    cancelled = call(small, "operator", "POST", f"/runs/{RUN}/cancel", {"escalate": True}).json()
    assert (cancelled["step"], redis_client.llen("escalation")) == ("cancelled", 1)
    assert call(small, "operator", "POST", f"/runs/{other}/cancel", {}).status == 409
    assert call(small, "operator", "POST", "/runs/none/cancel", {}).status == 404
    removed = call(small, "operator", "POST", "/articles/forget", {"article_id": "blog/tea"}).json()
    assert (removed["runs"], removed["messages"], removed["records"]["escalations"]) == (1, 1, 1)
    assert call(small, "reader", "GET", f"/runs/{RUN}").status == 404
    assert call(small, "reader", "GET", f"/records/{record}").status == 404
    (forget, cancel) = small.desk.audit.read()
    assert (forget.action, forget.subject[:7], cancel.action) == ("article.forget", "sha256:", "run.cancel")


def test_a_program_replays_letters(small: ServedDesk, redis_client: redis.Redis) -> None:
    """One, or all that match as they were seen; arguments are folded, and risky ones stay."""
    redis_client.flushdb()
    ids = [died(redis_client, number, "interrupted" if number == 3 else "failed") for number in range(4)]
    page = call(small, "reader", "GET", "/dead-letters?task=*.detect_ai&limit=3").json()
    assert ([each["id"] for each in page["items"]], page["total"]) == (ids[:0:-1], 4)
    page = call(small, "reader", "GET", f"/dead-letters?after={page['next']}").json()
    assert ([each["id"] for each in page["items"]], page["next"]) == (ids[:1], None)
    shown = call(small, "operator", "GET", f"/dead-letters/{ids[0]}")
    assert shown.json()["arguments"] == [{"name": "content", "what": "text, 8 characters"}]
    assert "secret" not in shown.text
    assert call(small, "operator", "POST", f"/dead-letters/{ids[0]}/discard").status == 200
    assert call(small, "operator", "POST", f"/dead-letters/{ids[0]}/replay").status == 404
    body = {"action": "replay", "filter": {"reason": "failed"}, "expected": 3, "one_first": False}
    assert call(small, "operator", "POST", "/batches", body).status == 409
    made = call(small, "operator", "POST", "/batches", {**body, "expected": 2})
    assert (made.status, made.json()["by"], made.json()["filter"]) == (201, "operator", {"reason": "failed"})
    path = f"/batches/{made.json()['id']}"
    wait_until(lambda: call(small, "reader", "GET", path).json()["state"] == "done", "the batch")
    assert redis_client.llen("evaluation") == 2
    assert call(small, "operator", "POST", f"{path}/stop").status == 409
    assert call(small, "operator", "POST", f"{path}/go-on").status == 409
    assert call(small, "operator", "GET", "/batches/none").status == 404
    assert [each["id"] for each in call(small, "reader", "GET", "/batches").json()["items"]] == [path[9:]]
    risky = {"action": "replay", "expected": 1}
    assert call(small, "operator", "POST", "/batches", risky).status == 409
    risky["include_risky"] = True
    assert call(small, "operator", "POST", "/batches", risky).status == 201
    begun = [each for each in small.desk.audit.read() if each.action == "batch.begin"]
    assert [(each.subject, each.count) for each in begun][1:] == [(path[9:], 2)]


def test_a_program_pauses_a_queue(small: ServedDesk) -> None:
    """And resumes it; the list says so."""
    assert call(small, "operator", "POST", "/queues/rewrite/pause").json()["paused_by"] == "operator"
    queues = call(small, "reader", "GET", "/queues").json()["items"]
    assert [each["name"] for each in queues if each["is_paused"]] == ["rewrite"]
    assert not call(small, "operator", "POST", "/queues/rewrite/resume").json()["is_paused"]
    unknown = call(small, "operator", "POST", "/queues/nope/pause")
    assert (unknown.status, "rewrite" in unknown.json()["detail"]) == (404, True)


def test_a_program_holds_and_runs_a_schedule(small: ServedDesk, redis_client: redis.Redis) -> None:
    """Pause, resume, run now, with the trail; the list says who; an unknown one is told the names."""
    redis_client.flushdb()
    assert call(small, "operator", "POST", "/schedules/purge/pause").json()["paused_by"] == "operator"
    (found,) = call(small, "reader", "GET", "/schedules").json()["items"]
    assert (found["name"], found["is_paused"], found["next"]) == ("purge", True, None)
    run = call(small, "operator", "POST", "/schedules/purge/run").json()
    (raw,) = small.desk.machinery.client().lrange("celery", 0, -1)
    assert json.loads(raw)["headers"]["id"] == run["task_id"]
    resumed = call(small, "operator", "POST", "/schedules/purge/resume").json()
    assert not resumed["is_paused"]
    assert resumed["last_sent"]
    unknown = call(small, "operator", "POST", "/schedules/nope/run")
    assert (unknown.status, "purge" in unknown.json()["detail"]) == (404, True)
    noted = [each.action for each in small.desk.audit.read() if each.action.startswith("schedule.")]
    assert noted == ["schedule.resume", "schedule.run", "schedule.pause"]


SETTLE = "/records/{id}/settle"
WRONG = [
    pytest.param("GET", "/nope", None, {}, 404, [], id="no such address"),
    pytest.param("DELETE", "/records", None, {}, 405, [], id="no such method"),
    pytest.param("GET", "/records/none", None, {}, 404, [], id="no such record"),
    pytest.param("GET", "/records/%00", None, {}, 404, [], id="NUL in an id"),
    pytest.param("GET", "/records?text=%00", None, {}, 422, ["text"], id="NUL in a filter"),
    pytest.param("GET", "/records?limit=0", None, {}, 422, ["limit"], id="limit"),
    pytest.param("GET", "/records?limit=many", None, {}, 422, ["limit"], id="no number"),
    pytest.param("GET", "/records?after=x", None, {}, 422, ["after"], id="no cursor"),
    pytest.param("GET", "/runs?after=x", None, {}, 422, ["after"], id="no cursor of runs"),
    pytest.param("GET", "/records?limt=1", None, {}, 422, ["limt"], id="unknown parameter"),
    pytest.param("GET", "/records?limit=1&limit=2", None, {}, 422, [], id="twice"),
    pytest.param("GET", "/queues?a=1", None, {}, 400, [], id="no parameters"),
    pytest.param("POST", SETTLE, {"decision": "accept"}, {}, 428, [], id="no If-Match"),
    pytest.param("POST", SETTLE, {"decision": "accept"}, {"If_Match": "3"}, 412, ["If-Match"], id="no ETag"),
    pytest.param("POST", SETTLE, {"decision": "a"}, {"If_Match": "*"}, 422, ["decision"], id="no decision"),
    pytest.param("POST", SETTLE, {"decision": "send_back"}, {"If_Match": "*"}, 422, ["note"], id="no note"),
    pytest.param("POST", SETTLE, {}, {"If_Match": "*"}, 422, ["decision"], id="missing"),
    pytest.param("POST", SETTLE, b'{"decision":1,"x":2}', {"If_Match": "*"}, 422, ["decision", "x"], id="x"),
    pytest.param(
        "POST", SETTLE, b"{%s}" % b",".join(b'"%d":1' % number for number in range(300_000)),
        {"If_Match": "*"}, 422, [], id="300,000 names",
    ),
    pytest.param("POST", SETTLE, b"[1]", {"If_Match": "*"}, 422, [""], id="no object"),
    pytest.param("POST", SETTLE, b"{", {"If_Match": "*"}, 400, [], id="no JSON"),
    pytest.param("POST", SETTLE, b"\xff", {"If_Match": "*"}, 400, [], id="no UTF-8"),
    pytest.param("POST", SETTLE, b"[" * 100_000, {"If_Match": "*"}, 400, [], id="deep"),
    pytest.param(
        "POST", SETTLE, b'{"decision":"accept","undo_seconds":NaN}', {"If_Match": "*"}, 422, ["undo_seconds"],
        id="NaN",
    ),
    pytest.param("POST", SETTLE, b" " * 4_000_001, {"If_Match": "*"}, 413, [], id="too long"),
    pytest.param("POST", SETTLE, b"a" * 3_999_999, {"If_Match": "*"}, 400, [], id="long"),
    pytest.param("POST", SETTLE, b"{}", {"Content_Type": "text/plain"}, 415, [], id="a form"),
    pytest.param("POST", SETTLE, b"{}", {"Content_Encoding": "gzip"}, 415, [], id="compressed"),
    pytest.param(
        "POST", "/records/{id}/choices", {"choices": [{"change": 9, "choice": "own", "text": "a"}]},
        {"If_Match": "*"}, 422, ["choices"], id="no such change",
    ),
    pytest.param(
        "POST", "/records/{id}/choices", {"choices": [{"change": 1, "choice": "mine"}]},
        {"If_Match": "*"}, 422, ["choices.0.choice"], id="no such choice",
    ),
    pytest.param("POST", "/records/{id}/comments", {"text": " "}, {}, 422, ["text"], id="blank"),
    pytest.param("POST", "/records/{id}/comments", {"text": "a", "by": "a\nb"}, {}, 422, ["by"], id="a name"),
    pytest.param("POST", "/records/none/comments", {"text": "a"}, {}, 404, [], id="comment on nothing"),
]  # fmt: skip


@pytest.mark.parametrize(("method", "path", "body", "headers", "status", "fields"), WRONG)
def test_a_wrong_call(
    small: ServedDesk,
    method: str,
    path: str,
    body: Any,
    headers: dict[str, str],
    status: int,
    fields: list[str],
) -> None:
    """It is told which field is wrong, and changes nothing."""
    record = waiting(small)
    role = "operator" if "queues" in path else "editor"
    answer = call(small, role, method, path.replace("{id}", record), body, **headers)
    problem = answer.json()
    assert (answer.status, [each["field"] for each in problem["errors"]]) == (status, fields), problem
    found = small.desk.store.find(record)
    assert (found.version, len(found.comments)) == (1, 0)
    assert small.desk.audit.read() == []
    if status == 405:
        assert answer.headers["allow"] == "GET, HEAD"


def test_wrong_tokens(small: ServedDesk) -> None:
    """Five a minute; right ones go on. A scheme without a token is a wrong one."""
    small.desk.tries._now = lambda: 0.0  # all within one minute, on any machine
    for number, given in enumerate(
        ("Bearer x", "Basic eDp5", "Bearer", "Bearer ü", "Bearer a b", "Bearer y")
    ):
        answer = small.ask("GET", f"{PREFIX}/queues", None, {"Authorization": given})
        assert answer.status == (429 if number == 5 else 401), given
    assert answer.headers["retry-after"] == "60"
    assert call(small, "operator", "GET", "/queues").status == 200
    small.desk.tokens.revoke("operator")
    assert call(small, "operator", "GET", "/queues").status == 429


def test_wrong_tokens_behind_a_proxy(small: ServedDesk) -> None:
    """Each program is counted under the address that the trusted proxy names."""
    small.desk.tries._now = lambda: 0.0  # all within one minute, on any machine
    object.__setattr__(small.desk, "trusted_networks", (ip_network("127.0.0.0/8"),))
    wrong = {"Authorization": "Bearer x"}
    for number in range(7):
        forwarded = {**wrong, "X-Forwarded-For": "192.0.2.7" if number < 6 else "192.0.2.8"}
        answer = small.ask("GET", f"{PREFIX}/queues", None, forwarded)
        assert answer.status == (429 if number == 5 else 401)


def test_only_under_its_own_address(small: ServedDesk) -> None:
    """No other site's name for it, and no page of another site that a browser would let read."""
    answer = call(small, "", "GET", "/openapi.json", Host="evil.test")
    assert answer.status == 421
    answer = call(small, "", "GET", "/openapi.json", Origin="https://evil.test")
    assert (answer.status, answer.headers.get("access-control-allow-origin")) == (200, None)
    assert answer.json()["openapi"] == "3.1.1"


def test_while_something_is_away(file: Path) -> None:
    """Without Redis records are settled; without the database a call says that nothing was changed."""
    with serve("", file, "redis://127.0.0.1:1/0", busy_seconds=0.2) as served:
        record = waiting(served)
        away = call(served, "reader", "GET", "/runs")
        assert (away.status, away.headers["retry-after"]) == (503, "5")
        settle = "POST", f"/records/{record}/settle", {"decision": "reject"}
        call(served, "editor", "GET", "/records")
        other = sqlite3.connect(file, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        locked = call(served, "editor", *settle, If_Match='"1"')
        assert (locked.status, "Nothing was changed" in locked.json()["detail"]) == (503, True)
        other.execute("ROLLBACK")
        other.close()
        assert call(served, "editor", *settle, If_Match='"1"').status == 200
