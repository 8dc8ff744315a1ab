"""Whatever is sent to the desk's API, what comes back is what its OpenAPI document says."""

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, urlencode

import pytest
import redis
from celery import Celery
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contentworker.articles.outcome import open_runs
from contentworker.desk.api.base import PREFIX, ApiRoute
from contentworker.desk.api.routes import ROUTES
from contentworker.desk.people import ROLES
from tests.integration.editorial.desk_server import ServedDesk, serve
from tests.integration.editorial.test_desk_api import RUN, died, waiting_in

WORDS = st.sampled_from(
    ["", "a", "*", "0", "-1", "accept", "reject", "send_back", "own", "rewrite", "original", "blog/tea",
     "open", "evaluate:0", "passed", "rewrite:1", "\0", "%", "🫖", "a" * 300,
     "\ud83d", "1-" + "0" * 32, "1.5"]
)  # fmt: skip
VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=30), WORDS,
    st.sampled_from([10**400, float("nan"), float("inf"), 1, 2, 30]),
)  # fmt: skip
ANY_JSON = st.recursive(
    VALUES, lambda some: st.lists(some, max_size=4) | st.dictionaries(st.text(max_size=9), some, max_size=4)
)


@pytest.fixture(scope="module")
def desk(
    tmp_path_factory: pytest.TempPathFactory, redis_url: str, client: Celery
) -> Iterator[tuple[ServedDesk, str]]:
    """A desk, and a token that may everything."""
    with serve("", tmp_path_factory.mktemp("desk") / "records.sqlite3", redis_url, client) as served:
        yield served, served.desk.tokens.create("all", ROLES)


def entries(served: ServedDesk) -> set[int]:
    """The newest of the trail, but for the ends of batches, which a thread notes."""
    return {each.id for each in served.desk.audit.read(limit=20) if each.action != "batch.end"}


@st.composite
def bodies(draw: st.DrawFn, route: ApiRoute) -> bytes:
    """Bytes, any JSON, or an object with the route's names."""
    names = list(route.body.model_fields) if route.body else ["a"]
    choice = st.fixed_dictionaries(
        {"change": VALUES, "choice": WORDS}, optional={"text": st.text(max_size=9), "x": VALUES}
    )
    which = st.fixed_dictionaries({}, optional={"task": WORDS, "critical": VALUES, "x": VALUES})
    more = {"filter": which, "action": st.sampled_from(["replay", "discard"]), "expected": st.integers(0, 3)}
    value = {**more, "choices": st.lists(choice, max_size=4), "decision": WORDS, "article_id": WORDS}
    named = st.fixed_dictionaries({}, optional={name: value.get(name, ANY_JSON) | ANY_JSON for name in names})
    whole = draw(st.one_of(named, named, ANY_JSON, st.binary(max_size=50)))
    return whole if isinstance(whole, bytes) else json.dumps(whole).encode()


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.path}")
def test_whatever_is_sent(
    desk: tuple[ServedDesk, str], redis_client: redis.Redis, route: ApiRoute, data: st.DataObject
) -> None:
    """A status of the document, with a body of its model; the trail has an entry for what was done only."""
    served, token = desk
    record = waiting_in(served.desk.store)
    open_runs(redis_client).create(
        RUN, "blog/tea", "evaluate:0", {"article": {"content": "", "media_type": None}}
    )
    letter = died(redis_client, 1)
    path = route.path
    if "{id}" in path:
        known = st.sampled_from([record, RUN, "rewrite", letter, record[:8], "0" * 32])
        path = path.replace("{id}", quote(data.draw(known | st.text(max_size=20), "id"), safe=""))
    if data.draw(st.booleans(), "has a query"):
        names = st.sampled_from([*(route.query.model_fields if route.query else ()), "x"])
        asked = data.draw(st.lists(st.tuples(names, WORDS | st.text(max_size=9)), max_size=3), "query")
        path += "?" + urlencode(asked, errors="replace")
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    tag = data.draw(
        st.sampled_from(["*", '"1"', '"2"', '"2.a"', 'W/"1"', '"1", "2"', "x", "", None]), "If-Match"
    )
    headers |= {"If-Match": tag} if tag is not None else {}
    body = data.draw(bodies(route), "body") if route.method == "POST" else None
    before = entries(served)
    answer = served.ask(route.method, PREFIX + path, body, headers)
    is_done = answer.status == route.status
    if path.partition("?")[0].count("/") == route.path.count("/"):
        assert is_done or answer.status in route.problems, answer
    if is_done:
        route.output.model_validate(answer.json())
    else:
        told: Any = answer.json()
        assert (told["status"], answer.headers["content-type"]) == (answer.status, "application/problem+json")
    assert len(entries(served) - before) == int(is_done and bool(route.action))
