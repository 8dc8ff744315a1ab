"""Runs at the desk: the list, the timeline of one, and what people do with it."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from celery import Celery

from contentworker.articles.outcome import open_runs
from contentworker.editorial.escalations.store import DatabaseError, Store
from contentworker.runtime.records.runs import Runs
from tests.integration.editorial.desk_server import ServedDesk, serve
from tests.support import wait_until

RUN = "6c1c5a3e-6a3f-5a0e-9a53-7f0f8f1b6d1"
"""All but the last digit of the ids."""
ARTICLE = {"content": "<script>Tea</script> is secret.", "media_type": "markdown"}


@pytest.fixture
def desk(file: Path, redis_url: str, client: Celery) -> Iterator[ServedDesk]:
    with serve("", file, redis_url, client) as served:
        yield served


@pytest.fixture
def runs(redis_client: redis.Redis) -> Runs:
    """Three runs: one goes on, one has passed, one asks a person."""
    redis_client.flushdb()
    return make_runs(redis_client)


def make_runs(redis_client: redis.Redis) -> Runs:
    made = open_runs(redis_client)
    for number, article_id in enumerate(("blog/tea", "blog/<b>", "blog/coffee")):
        made.create(f"{RUN}{number}", article_id, "evaluate:0", {"article": ARTICLE})
    made.move(f"{RUN}1", "evaluate:0", "passed", {"reasons": ["reached_threshold"]})
    rewrite = {"prompt_tokens": 1200, "completion_tokens": 34, "cost": 0.0123, "text": "", "changed": False}
    failure = {"step": "rewrite:1", "error": "ModelError", "message": "<i>away</i>"}
    made.move(f"{RUN}2", "evaluate:0", "rewrite:1")
    data = {"reasons": ["failed"], "failure": failure, "rewrite:1/result": rewrite}
    made.move(f"{RUN}2", "rewrite:1", "escalate", data)
    return made


def test_the_list(desk: ServedDesk, runs: Runs) -> None:
    """By state, by step, by article, and by the id of a run; page by page."""
    for role in ("editor", "operator", "reader"):
        assert "blog/tea" in desk.page(role, "/runs").text
    page = desk.page("reader", "/runs").text
    assert page.index("blog/coffee") < page.index("blog/&lt;b&gt;") < page.index("blog/tea")
    queries: list[tuple[dict[str, str], list[int]]] = [
        ({"state": "ended"}, [1]),
        ({"state": "open"}, [0, 2]),
        ({"step": "escalate"}, [2]),
        ({"q": "blog/tea"}, [0]),
        ({"q": "blog/tea", "state": "ended"}, []),
        ({"step": "none"}, []),
    ]
    for query, found in queries:
        page = desk.page("reader", "/runs", None, **query).text
        assert [number for number in range(3) if f"{RUN}{number}" in page] == found, query
    assert "No run is like this" in page
    assert desk.page("reader", "/runs", q=f"{RUN}0").location == f"/runs/{RUN}0"
    assert desk.page("reader", "/runs", after="1e9").status == 400
    for number in range(50):
        runs.create(f"more-{number}", "more", "evaluate:0", {})
    page = desk.page("reader", "/runs", state="open").text
    (more,) = [line.split('"')[3] for line in page.splitlines() if ">More<" in line]
    assert RUN not in page
    assert f"{RUN}0" in desk.page("reader", more.replace("&amp;", "&")).text


def test_what_is_no_run_of_an_article(desk: ServedDesk, runs: Runs) -> None:
    """Something else in Redis may have an id of another form: there is no page of it."""
    runs.create("more", "blog/more", "evaluate:0", {})
    assert desk.page("editor", "/runs", q="more").status == 200
    assert desk.page("editor", "/runs/more").status == 404
    for action in ("cancel", "forget"):
        assert desk.page("operator", f"/runs/more/{action}", {"escalate": "yes"}).status == 404
    found = runs.find("more")
    assert found
    assert found.step == "evaluate:0"


def test_a_timeline(desk: ServedDesk, runs: Runs) -> None:
    """Steps, what they cost, and why it ended so; never the article, and nothing of it as markup."""
    page = desk.page("operator", f"/runs/{RUN}2").text
    for words in ("Judging the article", "Rewrite 1", "1,234", "0.012300", "A step failed", "ModelError"):
        assert words in page
    assert "&lt;i&gt;away" in page
    assert "secret" not in page
    assert "/cancel" in page
    reader = desk.page("reader", f"/runs/{RUN}0").text
    assert "/cancel" not in reader
    assert "/forget" not in reader


def test_from_a_record_to_its_run_and_back(desk: ServedDesk, runs: Runs) -> None:
    """An operator, who may not see records, gets no link to one."""
    made = desk.desk.store.escalate("blog/coffee", "failed", evidence={}, run_id=f"{RUN}2")
    runs.move(f"{RUN}2", "escalate", "escalated", {"escalation_id": made.id})
    assert f'href="/runs/{RUN}2"' in desk.page("editor", f"/review/{made.id}", layer="history").text
    assert f'href="/review/{made.id}"' in desk.page("editor", f"/runs/{RUN}2").text
    assert "/review/" not in desk.page("operator", f"/runs/{RUN}2").text


def test_cancelling(desk: ServedDesk, runs: Runs, redis_client: redis.Redis) -> None:
    """Its messages go; a person can be asked instead, then or later; what has ended stays as it is."""
    cancelled = desk.page("editor", f"/runs/{RUN}0/cancel", {})
    assert cancelled.location == f"/runs/{RUN}0?saved=cancelled"
    page = desk.page("editor", cancelled.location).text
    assert "no other step begins" in page
    assert "Ask a person" in page
    asked = desk.page("operator", f"/runs/{RUN}0/cancel", {"escalate": "yes"})
    assert asked.location == f"/runs/{RUN}0?saved=escalated"
    assert b"escalate_to_human" in wait_until(lambda: redis_client.lrange("escalation", 0, -1), "a task")[0]
    ended = desk.page("editor", f"/runs/{RUN}1/cancel", {})
    assert (ended.status, "has already ended: passed" in ended.text) == (409, True)
    assert [(each.action, each.by) for each in desk.desk.audit.read()] == [
        ("run.escalate", "operator"),
        ("run.cancel", "editor"),
    ]
    assert desk.page("reader", f"/runs/{RUN}2/cancel", {}).status == 403


def test_forgetting(desk: ServedDesk, runs: Runs, redis_client: redis.Redis) -> None:
    """It asks first. Then the run's page says that it is gone, and the trail has no id of the article."""
    desk.desk.store.escalate("blog/tea", "failed", evidence={}, run_id=f"{RUN}0")
    question = desk.page("operator", f"/runs/{RUN}0/forget").text
    assert "1 run of the article" in question
    assert runs.find(f"{RUN}0")
    assert desk.page("editor", f"/runs/{RUN}0/forget", {}).status == 403
    assert "Removed: 1 run" in desk.page("operator", f"/runs/{RUN}0/forget", {}).text
    gone = desk.page("reader", f"/runs/{RUN}0")
    assert (gone.status, "There is no such run (any more)" in gone.text) == (404, True)
    for path in ("cancel", "forget"):
        assert desk.page("operator", f"/runs/{RUN}0/{path}", {}).status == 404
    assert desk.desk.store.read().lines == []
    (entry,) = desk.desk.audit.read()
    assert (entry.action, entry.subject.partition(":")[0]) == ("article.forget", "sha256")
    left = [redis_client.hgetall(key) for key in redis_client.keys("contentworker:run:*")]
    assert "blog/tea" not in json.dumps([str(each) for each in left])


def test_forgetting_while_the_database_is_away(
    desk: ServedDesk, runs: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing was changed, as the page says: the run's page is still there to try it again."""
    desk.desk.store.escalate("blog/tea", "failed", evidence={}, run_id=f"{RUN}0")

    def away(*_: object) -> None:
        raise DatabaseError("away")

    with monkeypatch.context() as patch:
        patch.setattr(Store, "forget", away)
        page = desk.page("operator", f"/runs/{RUN}0/forget", {})
    assert (page.status, "Nothing was changed" in page.text) == (503, True)
    assert runs.find(f"{RUN}0")
    assert "Removed: 1 run" in desk.page("operator", f"/runs/{RUN}0/forget", {}).text
    assert desk.desk.store.read().lines == []


def test_while_redis_is_away(file: Path) -> None:
    """The page says so; decisions go on."""
    with serve("", file, "redis://127.0.0.1:1/0") as served:
        page = served.page("editor", "/runs")
        assert (page.status, "Redis does not answer" in page.text) == (503, True)
        assert served.page("editor", "/review").status == 200
