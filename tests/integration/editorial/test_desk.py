"""The desk, by a real server: who may do what, and what becomes of an article there."""

import http.client
import json
import re
import socket
import sqlite3
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from functools import partial
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from contentworker import config
from contentworker.articles.announcing import ask_to_announce
from contentworker.cli import connection
from contentworker.desk import application, deciding, passwords, serving
from contentworker.desk.live import Live
from contentworker.desk.machinery import Machinery
from contentworker.desk.passwords import Account
from contentworker.desk.people import EVERYONE, LINK
from contentworker.desk.serving import MOST_BYTES
from contentworker.desk.sessions import Sessions
from contentworker.desk.tokens import Tokens
from contentworker.desk.web import Desk
from contentworker.desk.words import VERDICTS
from contentworker.editorial.aeo import scoring
from contentworker.editorial.detector.judging import judge
from contentworker.editorial.detector.model import shipped
from contentworker.editorial.document import parse
from contentworker.editorial.escalations.audit import Audit
from contentworker.editorial.escalations.result import Escalation, NewFinding
from contentworker.editorial.escalations.schema import open_engine
from contentworker.editorial.escalations.store import Store
from contentworker.editorial.rewriting.result import Change, Refusal, Rewrite
from contentworker.runtime.records import connections
from contentworker.runtime.worker.application import build as build_celery
from tests.support import PATIENCE, ROOT, wait_until

PASSWORD = "correct horse battery"
HASHED = passwords.hashed(PASSWORD)
PEOPLE = {
    "ana": {"editor"},
    "bob": {"editor"},
    "rea": {"reader"},
    "oli": {"operator"},
    "olga": {"operator", "articles"},
    "art": {"articles"},
}
NO_REDIS = "redis://127.0.0.1:1/0"
ARTICLE = "Tea is old. There are two kinds. It is <b>hot</b>."


@dataclass
class Running:
    """A desk that answers."""

    port: int
    store: Store
    accounts: dict[str, Account]
    file: Path
    live: Live
    desk: Desk
    announced: list[float] = field(default_factory=list)
    redis_answers: bool = True
    machinery: Machinery | None = None
    audit: Audit | None = None

    def change(self, **changes: Any) -> None:
        """Change what the desk works with."""
        for name, value in changes.items():
            object.__setattr__(self.desk, name, value)
        vars(self.desk).pop("trusted_networks", None)  # is worked out once


@dataclass
class Answer:
    """What came back."""

    status: int
    headers: http.client.HTTPMessage
    text: str

    @property
    def location(self) -> str:
        return self.headers.get("location", "")

    @property
    def version(self) -> str:
        """The version in the form."""
        (version,) = re.findall(r'name="version" value="(\d+)"', self.text)
        return str(version)


class Browser:
    """Sends what a browser sends."""

    def __init__(self, desk: Running) -> None:
        self.desk = desk
        self.cookie = ""

    def ask(self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None) -> Answer:
        """One request; `headers` with an empty value are left out."""
        sent = {"Cookie": self.cookie, "Sec-Fetch-Site": "same-origin"}
        if isinstance(body, dict):
            body = urlencode(body)
            sent["Content-Type"] = "application/x-www-form-urlencoded"
        sent = {name: value for name, value in {**sent, **(headers or {})}.items() if value}
        connection = http.client.HTTPConnection("127.0.0.1", self.desk.port, timeout=PATIENCE)
        connection.request(method, path, body, sent)
        response = connection.getresponse()
        answer = Answer(response.status, response.headers, response.read().decode())
        connection.close()
        if cookie := response.headers.get("set-cookie"):
            self.cookie = cookie.partition(";")[0]
        return answer

    def get(self, path: str, **query: str) -> Answer:
        return self.ask("GET", f"{path}?{urlencode(query)}" if query else path)

    def post(self, path: str, /, **form: str) -> Answer:
        return self.ask("POST", path, form)

    def sign_in(self, name: str, password: str = PASSWORD, **more: str) -> Answer:
        return self.post("/login", name=name, password=password, **more)


@pytest.fixture
def desk(url: str, file: Path, redis_url: str) -> Iterator[Running]:
    """A desk with three people, in both databases."""
    yield from running(url, file, redis_url)


@pytest.fixture
def small(file: Path, redis_url: str) -> Iterator[Running]:
    """One with SQLite, for what no database changes."""
    yield from running("", file, redis_url)


def running(
    url: str, file: Path, redis_url: str = NO_REDIS, busy_seconds: float = PATIENCE
) -> Iterator[Running]:
    engine = open_engine(url, file, busy_seconds=busy_seconds)
    store = Store(engine)
    accounts = {name: Account(name, frozenset(roles), HASHED) for name, roles in PEOPLE.items()}
    databases = Sessions(engine), Tokens(engine), Audit(engine)
    live = Live()

    def announce(seconds: float) -> bool:
        served.announced.append(seconds)
        return served.redis_answers

    settings = config.load(environ={})
    app = build_celery(settings, redis_url)
    connect = partial(connections.connect, redis_url, settings.broker, socket_timeout=PATIENCE)
    machinery = Machinery(app, connect, settings, 1000, databases[2])
    made = Desk(
        store,
        *databases,
        accounts,
        settings,
        machinery,
        announce,
        ("http://127.0.0.1:0",),
        live=live,
    )
    served = Running(0, store, accounts, file, live, made, machinery=machinery, audit=databases[2])
    server = application.Server(made)
    thread = threading.Thread(target=server.run)
    thread.start()
    if redis_url != NO_REDIS:
        machinery.batches.start()
    wait_until(lambda: server.started, "the desk")
    served.port = server.servers[0].sockets[0].getsockname()[1]
    # The origin is known only now.
    served.change(origins=(f"http://127.0.0.1:{served.port}",))
    try:
        yield served
    finally:
        server.should_exit = True
        thread.join()
        machinery.close()
        app.close()
        engine.dispose()


@pytest.fixture
def ana(desk: Running) -> Browser:
    return signed_in(desk, "ana")


def signed_in(desk: Running, name: str) -> Browser:
    browser = Browser(desk)
    assert browser.sign_in(name).location == "/"
    return browser


def rewrite(text: str) -> NewFinding:
    """Two changes: one that passed the guard, one that it refused."""
    sentences = [
        ("Tea is old.", "Tea is ancient.", ()),
        ("There are two kinds.", "There are 3.", ("numbers",)),
    ]
    changes = tuple(
        Change(
            original=before,
            rewritten=after,
            outcome="refused" if rules else "rewritten",
            refusals=tuple(Refusal(rule=rule, detail="3 is new") for rule in rules),
            start=text.index(before),
            end=text.index(before) + len(before),
        )
        for before, after, rules in sentences
    )
    result = Rewrite(
        text="", changed=True, changes=changes, diff=(), left=(), mode="edit", model="m", provider="p",
        prompt_tokens=0, completion_tokens=0, cost=0, seconds=0,
    )  # fmt: skip
    return NewFinding("rewrite", 1, text, result.model_dump(mode="json"))


def waiting(desk: Running, article_id: str = "blog/tea", text: str = ARTICLE, **more: Any) -> str:
    """An article that waits for a person."""
    found = more.pop("findings", None) or [rewrite(text)]
    given = {"media_type": "markdown", "run_id": "r", "findings": found, **more}
    return desk.store.escalate(article_id, "rewrite_not_better", evidence={}, content=text, **given).id


def stop_the_clock(desk: Running) -> None:
    """From now on no time to undo goes by."""
    now = desk.store.now()
    desk.store.now = lambda: now


def record(desk: Running, escalation_id: str) -> Escalation:
    found = desk.store.find(escalation_id)
    assert found is not None
    return found


def test_an_editor_s_whole_way(desk: Running, ana: Browser) -> None:
    """The list, the next article, two sentences, accept, undo, reject: what the platform gets is the last."""
    first, second = waiting(desk), waiting(desk, "blog/coffee")
    listed = ana.get("/review").text
    assert listed.index("blog/tea") < listed.index("blog/coffee")
    assert ana.post("/review/next").location == f"/review/{first}"
    assert record(desk, first).held_by == "ana"
    page = ana.get(f"/review/{first}")
    assert "added: </span>ancient</ins>." in page.text
    assert "A number differs: 3 is new" in page.text

    form = {"choice1": "own", "own1": "Tea & time.", "choice2": "rewrite", "own2": "ignored"}
    kept = ana.post(f"/review/{first}/choices", version=page.version, **form)
    assert kept.location == f"/review/{first}?saved=choices"
    page = ana.get(f"/review/{first}")
    form |= {"version": page.version, "decision": "accept", "note": "Thank you."}
    stop_the_clock(desk)
    shown = ana.post(f"/review/{first}/decision", **form)
    assert shown.location == f"/review/{first}?saved=settled"
    settled = record(desk, first)
    assert (settled.decision, settled.settled_by) == ("accept", "ana")
    assert settled.texts[-1].text == "Tea & time. There are 3. It is <b>hot</b>."
    assert desk.announced == [30]
    assert list(desk.store.pending_events()) == []

    assert "Undo" in ana.get(f"/review/{first}").text
    undo = {"event": record(desk, first).event_id}
    assert ana.post(f"/review/{first}/undo", event="0" * 32).status == 409
    assert ana.post(f"/review/{first}/undo", **undo).location == f"/review/{first}?saved=withdrawn"
    page = ana.get(f"/review/{first}", saved="withdrawn")
    assert 'value="own" checked' in page.text
    assert ">\nThank you.</textarea>" in page.text
    ana.post(f"/review/{first}/decision", version=page.version, decision="reject", note="No.")
    again = record(desk, first)
    assert (again.decision, again.note) == ("reject", "No.")
    assert ana.post("/review/next").location == f"/review/{second}"
    assert "blog/tea" in ana.get("/review", state="settled").text
    assert "blog/tea" not in ana.get("/review").text


def test_two_editors_at_one_article(desk: Running, ana: Browser) -> None:
    """The second decision is refused, with what was written; so is one on a text that has changed."""
    found = waiting(desk)
    bob = signed_in(desk, "bob")
    page = bob.get(f"/review/{found}")
    ana.post(f"/review/{found}/decision", version=page.version, decision="accept", note="mine")
    late = bob.post(
        f"/review/{found}/decision", version=page.version, decision="accept", note="<i>his</i>",
        choice1="own", own1="words", choice2="original", own2="not touched",
    )  # fmt: skip
    assert late.status == 409
    assert "settled as &#39;accept&#39; by ana" in late.text
    assert "&lt;i&gt;his&lt;/i&gt;" in late.text
    assert ">words</textarea>" in late.text
    assert "not touched" not in late.text
    assert (record(desk, found).settled_by, record(desk, found).note) == ("ana", "mine")

    other = waiting(desk, "blog/other")
    page = bob.get(f"/review/{other}")
    ana.post(f"/review/{other}/choices", version=page.version, choice2="rewrite")
    for path in ("choices", "decision"):
        stale = bob.post(
            f"/review/{other}/{path}", version=page.version, decision="accept", choice1="original"
        )
        assert (stale.status, "The record has changed" in stale.text) == (409, True)
    assert record(desk, other).state == "open"


def test_holds_and_comments(desk: Running, ana: Browser) -> None:
    """Who has it is shown and can be taken over; the next one is one that nobody has."""
    first, second = waiting(desk), waiting(desk, "blog/coffee")
    ana.post("/review/next")
    bob = signed_in(desk, "bob")
    assert "is at work on it" in bob.get(f"/review/{first}").text
    assert bob.post("/review/next").location == f"/review/{second}"
    bob.post(f"/review/{first}/hold")
    assert record(desk, first).held_by == "bob"
    assert "Nothing waits" in ana.post("/review/next").text
    for _ in range(2):  # a double click
        bob.post(f"/review/{first}/comments", text="Look\r\nhere")
    assert [each.text for each in record(desk, first).comments] == ["Look\nhere"]
    assert "Look\nhere" in ana.get(f"/review/{first}", layer="history").text
    assert "blog/tea" in bob.get("/review", **{"with": "me"}).text
    assert "blog/tea" not in ana.get("/review", **{"with": "me"}).text
    assert "blog/tea" in ana.get("/review", **{"with": "@bob"}).text
    assert "blog/tea" not in ana.get("/review", **{"with": "nobody"}).text


def test_what_was_found_is_shown(small: Running) -> None:
    """A real score and a real detection, each in its layer, with marks."""
    settings = config.load(environ={}).content
    source = (ROOT / "examples" / "thoughts-on-tea.txt").read_text("utf-8")
    document = parse(source, settings=settings)
    score = scoring.score(document, questions=(), url=None, today=date(2026, 12, 1), settings=settings)
    detection = judge(document, model=shipped(), settings=settings)
    found = waiting(
        small,
        text=source,
        findings=[
            NewFinding("score", 0, source, score.model_dump(mode="json")),
            NewFinding("detection", 0, source, detection.model_dump(mode="json")),
        ],
    )
    ana = signed_in(small, "ana")
    by_score = ana.get(f"/review/{found}", layer="score").text
    assert score.recommendations[0].text in unescape(by_score)
    assert 'class="mark score"' in by_score
    who = unescape(ana.get(f"/review/{found}", layer="who").text)
    assert VERDICTS[detection.verdict] in who
    assert detection.meaning in who
    assert re.search(r'class="mark (ai|person)"', who)
    assert "Nothing of this text was rewritten" in ana.get(f"/review/{found}").text
    assert VERDICTS[detection.verdict] in ana.get("/review").text


def test_only_the_latest_run_s_numbers_are_shown(small: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """The article came again with another text: its first score and questions are of the first one."""
    settings = config.load(environ={}).content
    points, sent = [], []
    for number, question in enumerate(("How old is tea?", "What is hot?")):
        text = f"# Tea {number}\n\n{ARTICLE}" + " Tea is hot." * number
        score = scoring.score(
            parse(text, settings=settings),
            questions=(question,), today=date(2026, 12, 1), settings=settings,
        ).model_copy(update={"score": 31.4 + number})  # fmt: skip
        result = score.model_dump(mode="json")
        rewritten = {**result, "score": 41.4 + number}
        finding = NewFinding("score", 0, text, result), NewFinding("score", 1, f"{text}!", rewritten)
        found = waiting(small, text=text, findings=finding[: 2 - number], run_id=f"r{number}")
        points.append(score.score)
    ana = signed_in(small, "ana")
    page = ana.get(f"/review/{found}").text
    assert ">32.4</span>" in page
    assert not re.search("31.4|41.4", page)
    monkeypatch.setattr(deciding, "ask_to_judge", lambda _app, **asked: sent.append(asked) or True)
    ana.post(f"/review/{found}/judge", version=ana.get(f"/review/{found}").version)
    assert sent[0]["questions"] == ["What is hot?"]


def test_all_of_a_fragment_is_shown(small: Running) -> None:
    """By `content.scope`, nothing of the article is a site's own text, though its tags look so."""
    page = (
        "<html><body><nav><p>One of us wrote this long sentence in a menu.</p></nav><p>Tea.</p></body></html>"
    )
    found = waiting(small, text=page, media_type="html", findings=[NewFinding("rewrite", 1, "other", {})])
    ana = signed_in(small, "ana")
    assert "in a menu" not in ana.get(f"/review/{found}").text
    content = small.desk.settings.content.model_copy(update={"scope": "fragment"})
    small.change(settings=small.desk.settings.model_copy(update={"content": content}))
    assert "in a menu" in ana.get(f"/review/{found}").text


OPEN_TO_STRANGERS = {"/", "/login", "/login/oidc", "/login/oidc/callback", "/l/{token}"}
"""Every other route has roles."""
CHANGES_NOTHING = {"/logout", "/me/sessions/end"}
"""Forms that a reader may send: they are about his or her own sessions."""


def test_every_route_has_its_roles() -> None:
    """Whatever changes anything is for editors or operators, but for signing in and out."""
    for route in application.ROUTES:
        if route.path in OPEN_TO_STRANGERS:
            assert route.roles is None
            continue
        assert route.roles, f"{route.path} has no role: put it into OPEN_TO_STRANGERS if that is meant"
        assert route.roles <= EVERYONE | LINK
        if route.roles & LINK:
            assert "{id}" in route.path or route.path == "/logout", "a link is for one record"
        if route.method == "POST" and route.path not in CHANGES_NOTHING:
            assert not route.roles & {"reader", "articles"}, route.path


@pytest.mark.parametrize("name", ["", *PEOPLE])
def test_each_route_under_each_role(small: Running, name: str) -> None:
    """Strangers and each role: what they may not is refused before anything is looked at."""
    found = waiting(small)
    browser = signed_in(small, name) if name else Browser(small)
    roles = PEOPLE.get(name, set())
    for route in application.ROUTES:
        if route.path in OPEN_TO_STRANGERS | {"/logout", "/live"}:  # the last one has no end
            continue
        path = re.sub(r"\{[a-z_:]+\}", found, route.path)
        answer = browser.ask(route.method, path, {} if route.method == "POST" else None)
        if route.path == "/dead-letters/{id}/arguments" and roles == {"operator"}:
            assert answer.status == 403  # it takes both roles
        elif route.roles and roles & route.roles:
            assert answer.status in {200, 303, 400, 404, 409, 503}, route  # 503: it needs Redis, away here
            assert "/login" not in answer.location
        elif route.method == "GET" and not name:
            assert answer.location == f"/login?next={path}", route
        else:
            assert answer.status == (403 if name else 401), route
    if "editor" not in roles:
        assert len(record(small, found).history) == 1
        assert record(small, found).held_by is None


@pytest.mark.parametrize("name", PEOPLE)
def test_the_navigation_is_by_role(small: Running, name: str) -> None:
    """It has the pages that the person may open, and no other; the first of them is the first page."""
    browser = signed_in(small, name)
    pages = {each.path: each.menu for each in application.ROUTES if each.menu and each.roles}
    home = browser.get("/")
    shown = re.findall(r'<a href="([^"]+)"[^>]*>([^<]+?) ?<', home.text or browser.get(home.location).text)
    allowed = [
        (each.path, each.menu)
        for each in application.ROUTES
        if each.menu and each.roles and each.roles & PEOPLE[name]
    ]
    assert [each for each in shown if each[0] in pages] == allowed
    assert home.location == (allowed[0][0] if allowed else "")


def test_a_reader_sees_no_button(small: Running) -> None:
    """But everything else."""
    found = waiting(small)
    page = signed_in(small, "rea").get(f"/review/{found}").text
    assert "added: </span>ancient</ins>." in page
    assert re.findall(r"<button[^>]*>([^<]*)", page) == ["Keys ", "Sign out", "Close"]


OTHERS = [
    pytest.param({"Sec-Fetch-Site": "cross-site"}, 403, id="another site"),
    pytest.param({"Sec-Fetch-Site": "same-site"}, 403, id="a neighbour"),
    pytest.param({"Sec-Fetch-Site": "none"}, 403, id="typed"),
    pytest.param({"Sec-Fetch-Site": ""}, 403, id="no header"),
    pytest.param({"Sec-Fetch-Site": "", "Origin": "https://evil.test"}, 403, id="its origin"),
    pytest.param({"Sec-Fetch-Site": "", "Origin": "null"}, 403, id="a sandbox"),
    pytest.param({"Host": "evil.test"}, 421, id="its name for this address"),
]


@pytest.mark.parametrize(("headers", "status"), OTHERS)
def test_a_form_from_another_site_changes_nothing(
    small: Running, headers: dict[str, str], status: int
) -> None:
    """Also of a person who is signed in here."""
    found = waiting(small)
    browser = signed_in(small, "ana")
    form = {"version": "1", "decision": "reject"}
    answer = browser.ask("POST", f"/review/{found}/decision", form, headers)
    assert (answer.status, record(small, found).state) == (status, "open")
    browser.ask("POST", "/logout", {}, headers)
    assert browser.get("/review").status == 200


def test_a_browser_without_fetch_metadata(small: Running) -> None:
    """Its Origin says that the form is ours."""
    found = waiting(small)
    headers = {"Sec-Fetch-Site": "", "Origin": f"http://127.0.0.1:{small.port}"}
    form = {"version": "1", "decision": "reject"}
    assert signed_in(small, "ana").ask("POST", f"/review/{found}/decision", form, headers).status == 303


def test_every_answer_has_the_headers(small: Running) -> None:
    """Pages, errors and redirections: nothing runs, nothing frames it, nothing is kept."""
    waiting(small)
    ana = signed_in(small, "ana")
    for answer in (
        ana.get("/review"),
        ana.get("/"),
        ana.get("/review/x"),
        Browser(small).post("/review/next"),
    ):
        policy = answer.headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'; ")
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["referrer-policy"] == "same-origin"
        scripts = answer.text.replace('<script src="/static/desk.js" defer></script>', "")
        assert not re.search(r"<script|\son\w+=|style=|javascript:", scripts)


def test_signing_in_and_out(desk: Running) -> None:
    """A wrong name looks as a wrong password; the cookie is hidden from scripts; a changed account is out."""
    browser = Browser(desk)
    wrong = [browser.sign_in("ana", "wrong"), browser.sign_in("nobody", PASSWORD)]
    assert [each.status for each in wrong] == [401, 401]
    assert wrong[0].text == wrong[1].text
    answer = browser.sign_in("ana", next="//evil.test")
    assert answer.location == "/"
    assert re.search(
        r"^desk=.*; HttpOnly; Max-Age=43200; Path=/; SameSite=lax$", answer.headers["set-cookie"]
    )
    token = browser.cookie
    browser.post("/logout")
    browser.cookie = token
    assert browser.get("/review").location == "/login?next=/review"
    browser.sign_in("ana", next="/review/" + "0" * 32)
    assert browser.get("/review").status == 200
    desk.accounts["ana"] = desk.accounts["ana"]._replace(roles=frozenset({"reader"}))
    assert browser.get("/review").location == "/login?next=/review"


def test_too_many_tries(small: Running) -> None:
    """The sixth in a minute is not looked at, though it is right."""
    small.desk.tries._now = lambda: 0.0  # all within one minute, on any machine
    browser = Browser(small)
    assert [browser.sign_in("ana", "wrong").status for _ in range(5)] == [401] * 5
    assert browser.sign_in("ana").status == 429


HOSTILE = (
    "<script>alert(1)</script><img src=x onerror=alert(2)><a href='javascript:alert(3)'>x</a>"
    "</textarea></div>\u202egnp.exe\u2066 {{ 1111 * 9 }} &amp; Tea is old. There are two kinds. "
    "<style>*{}</style>"
)


@pytest.mark.parametrize("media_type", ["text", "markdown", "html", None])
@pytest.mark.parametrize("layer", ["rewrite", "score", "who", "history"])
def test_a_hostile_article_stays_text(small: Running, media_type: str | None, layer: str) -> None:
    """In every layer and format, in own words, notes and comments."""
    found = waiting(small, text=HOSTILE, media_type=media_type)
    ana = signed_in(small, "ana")
    small.store.comment(found, "bob", HOSTILE)
    small.store.choose(found, "bob", small.store.findings(found)[0].id, {1: ("own", HOSTILE)})
    page = ana.get(f"/review/{found}", layer=layer).text.replace('<script src="/static/desk.js"', "")
    assert not re.search(r"<(script|img|style)|<a href='|<[^>]*\son\w+=|9999", page)
    assert page.count("</textarea>") == page.count("<textarea")
    if media_type == "text" or layer == "history":
        assert HOSTILE[:40] in unescape(page)


def test_a_large_article(small: Running) -> None:
    """2 MB and 5,000 sentences, with a thousand changes: a page comes, and the form goes."""
    text = "".join(f"Sentence {number:05} is here{', on and on' * 35}. " for number in range(5_000))
    assert len(text) > 1_800_000
    changes = [
        {
            "original": text[at : at + 22], "rewritten": "Short.", "outcome": "rewritten", "refusals": [],
            "start": at, "end": at + 22,
        }
        for at in (text.index(f"Sentence {number:05}") for number in range(0, 5_000, 5))
    ]  # fmt: skip
    result = {**rewrite(ARTICLE).content, "changes": changes}
    found = waiting(small, text=text, findings=[NewFinding("rewrite", 1, text, result)])
    ana = signed_in(small, "ana")
    page = ana.get(f"/review/{found}")
    assert page.text.count('class="mark new"') == 1_000
    form = {f"choice{number}": "original" for number in range(1, 1_001)}
    form |= {f"own{number}": "x" * 100 for number in range(1, 1_001)}
    answer = ana.post(f"/review/{found}/decision", version=page.version, decision="accept", **form)
    assert answer.status == 303
    assert record(small, found).texts[-1].text == text


def test_what_is_no_form_of_the_desk(small: Running) -> None:
    """Files, floods, forged decisions, unknown records: a page that says what to do."""
    found = waiting(small)
    ana = signed_in(small, "ana")
    path = f"/review/{found}/decision"
    upload = {"Content-Type": "multipart/form-data; boundary=x"}
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    many = "&".join(f"a{number}=1" for number in range(6_000))
    for answer, status in (
        (ana.ask("POST", path, b"--x\r\n", upload), 415),
        (ana.ask("POST", path, b"a" * (MOST_BYTES + 1), form), 413),
        (ana.ask("POST", path, many, form), 400),
        (ana.ask("POST", path, b"\xff", form), 400),
        (ana.post(path, version="1", decision="publish"), 400),
        (ana.post(path, version="1", decision="send_back"), 400),
        (ana.post(path, version="x", decision="accept"), 400),
        (ana.post(f"/review/{'0' * 32}/decision", version="1", decision="accept"), 404),
        (ana.post(f"/review/{found}/comments", text=" "), 400),
        (ana.get("/review/../../etc"), 404),
        (ana.get("/review", after="x"), 400),
    ):
        assert answer.status == status, answer.text
        assert "Traceback" not in answer.text
    assert "needs a note" in ana.post(path, version="1", decision="send_back").text
    assert record(small, found).state == "open"


def test_a_stranger_sends_little(small: Running) -> None:
    """Who is not signed in sends no 4 MB, and is refused before any of it is read."""
    stranger, form = Browser(small), {"Content-Type": "application/x-www-form-urlencoded"}
    answer = stranger.ask("POST", "/login", b"a" * 10_001, form)
    assert (answer.status, answer.headers["connection"]) == (413, "close")
    with socket.create_connection(("127.0.0.1", small.port), timeout=PATIENCE) as client:
        lines = [
            "POST /review/next HTTP/1.1",
            f"Host: 127.0.0.1:{small.port}",
            "Sec-Fetch-Site: same-origin",
            "Content-Type: application/x-www-form-urlencoded",
            "Content-Length: 3000000",
        ]
        client.sendall("\r\n".join([*lines, "", ""]).encode())
        assert client.recv(12) == b"HTTP/1.1 401"


def test_a_form_that_never_ends(small: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """It gets an answer, and the connection is closed."""
    monkeypatch.setattr(serving, "FORM_SECONDS", 0.1)
    with socket.create_connection(("127.0.0.1", small.port), timeout=PATIENCE) as client:
        lines = [
            "POST /login HTTP/1.1",
            f"Host: 127.0.0.1:{small.port}",
            "Sec-Fetch-Site: same-origin",
            "Content-Type: application/x-www-form-urlencoded",
            "Content-Length: 100",
        ]
        client.sendall("\r\n".join([*lines, "", "name="]).encode())
        answer = b"".join(iter(lambda: client.recv(65_536), b""))
    assert answer.startswith(b"HTTP/1.1 408")


@pytest.mark.parametrize("sent", [b"", b"GET /login HTTP/1.1\r\nX: "])
def test_a_connection_without_a_request(small: Running, monkeypatch: pytest.MonkeyPatch, sent: bytes) -> None:
    """It is closed, whether it says nothing or half of something."""
    monkeypatch.setattr(application.Patient, "seconds", 0.1)
    with socket.create_connection(("127.0.0.1", small.port), timeout=PATIENCE) as client:
        client.sendall(sent)
        assert client.recv(1) == b""


def test_nul_and_half_characters(desk: Running, ana: Browser) -> None:
    """No address with NUL is looked up, which PostgreSQL refuses; what a model wrote badly can be shown."""
    assert ana.get("/review/%00").status == 400
    assert ana.get("/review", text="\0").status == 400
    finding = rewrite(ARTICLE)
    finding.content["changes"][0]["rewritten"] = "Tea \ud83d"
    assert r"\ud83d</ins>" in ana.get(f"/review/{waiting(desk, findings=[finding])}").text


def test_no_log_quotes_an_article(small: Running, caplog: pytest.LogCaptureFixture) -> None:
    """Not by the message of an error either: a finding of another version is shown in none."""
    finding = rewrite(ARTICLE)
    finding.content["changes"][0]["start"] = "secret words"
    found = waiting(small, findings=[finding])
    answer = signed_in(small, "ana").get(f"/review/{found}")
    assert (answer.status, "Traceback" in answer.text) == (500, False)
    assert "could not answer GET /review/{id}: ValidationError" in caplog.text
    assert "secret" not in caplog.text
    assert "secret" not in answer.text


def test_a_decision_that_is_sent_twice_at_once(small: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second one finds its own decision: nobody was faster."""
    found = waiting(small)
    ana = signed_in(small, "ana")
    form = {"version": "1", "decision": "accept", "choice1": "original"}
    real, again = small.store.choose, []

    def choose(*values: Any, **more: Any) -> int:
        monkeypatch.undo()
        again.append(signed_in(small, "ana").post(f"/review/{found}/decision", **form))
        return real(*values, **more)

    monkeypatch.setattr(small.store, "choose", choose)
    first = ana.post(f"/review/{found}/decision", **form)
    assert [first.status, again[0].status] == [303, 303]
    assert [each.what for each in record(small, found).history] == ["created", "settled"]


@pytest.fixture
def impatient(file: Path) -> Iterator[Running]:
    """One that does not wait for a locked database."""
    yield from running("", file, busy_seconds=0.2)


def test_while_the_database_is_locked(impatient: Running) -> None:
    """Reading goes on; a decision says that nothing was changed, and works when it is sent again."""
    found = waiting(impatient)
    ana = signed_in(impatient, "ana")
    page = ana.get(f"/review/{found}")
    other = sqlite3.connect(impatient.file, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    assert ana.get(f"/review/{found}").status == 200
    decision = {"version": page.version, "decision": "reject"}
    locked = ana.post(f"/review/{found}/decision", **decision)
    assert (locked.status, "Nothing was changed" in locked.text) == (503, True)
    other.execute("ROLLBACK")
    other.close()
    assert ana.post(f"/review/{found}/decision", **decision).status == 303


def test_while_redis_is_away(small: Running) -> None:
    """The decision is recorded, and the page says that the platform is told later."""
    found = waiting(small)
    small.redis_answers = False
    ana = signed_in(small, "ana")
    shown = ana.post(f"/review/{found}/decision", version="1", decision="reject").location
    assert "told later" in ana.get(shown).text


def test_a_redis_that_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is away after seconds: after a minute, the time to undo would be over before the page is there."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("REDIS_URL", f"redis://127.0.0.1:{silent.getsockname()[1]}/0")
        app = connection.impatient_application()
        assert app.conf.broker_transport_options["socket_timeout"] == connection.TIMEOUT_SECONDS
        assert not ask_to_announce(app, 30)


def test_an_article_that_is_forgotten_while_it_is_open(small: Running) -> None:
    """The form leads to a page that says so."""
    found = waiting(small)
    ana = signed_in(small, "ana")
    page = ana.get(f"/review/{found}")
    small.store.forget("blog/tea")
    gone = ana.post(f"/review/{found}/decision", version=page.version, decision="accept")
    assert (gone.status, "no such article" in gone.text) == (404, True)


def test_typed_words_are_kept(desk: Running, ana: Browser) -> None:
    """As one types, without a page: blank words wait, and a stale form is told so."""
    found = waiting(desk)
    version = ana.get(f"/review/{found}").version
    kept = ana.post(
        f"/review/{found}/keep", version=version, choice1="own", own1="Mine.", choice2="own", own2=" "
    )
    assert (kept.status, json.loads(kept.text)) == (200, {"version": int(version) + 1})
    assert [(each.change, each.text) for each in record(desk, found).choices] == [(1, "Mine.")]
    assert ana.post(f"/review/{found}/keep", version=version, choice1="original").status == 409
    assert "1 in own words, the rest as written" in ana.get(f"/review/{found}").text


def test_a_hold_is_kept_by_looking(desk: Running, ana: Browser) -> None:
    """It takes what nobody has, and takes nothing over."""
    found = waiting(desk)
    bob = signed_in(desk, "bob")
    held = [json.loads(each.post(f"/review/{found}/keep-hold").text)["by"] for each in (ana, bob, ana)]
    assert held == ["ana", "ana", "ana"]


def test_the_text_as_it_is_chosen_is_judged(
    desk: Running, ana: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the article's questions; what the workers find is shown for as long as the text stays so."""
    sent: list[dict[str, Any]] = []

    def send(_app: Any, **asked: Any) -> bool:
        sent.append(asked)
        return desk.redis_answers

    monkeypatch.setattr(deciding, "ask_to_judge", send)
    found = waiting(desk)
    version = ana.get(f"/review/{found}").version
    asked = ana.post(f"/review/{found}/judge", version=version, choice1="own", own1="Mine.")
    assert asked.location == f"/review/{found}?saved=judging"
    (judged,) = sent
    assert judged["text"] == "Mine. There are two kinds. It is <b>hot</b>."
    assert (judged["number"], judged["media_type"], judged["questions"]) == (2, "markdown", [])
    where: dict[str, Any] = {"run_id": "desk/x", "number": 2, "text_sha256": judged["record"]["text_sha256"]}
    desk.store.add_finding(found, "score", {"score": 71.23}, **where)
    desk.store.add_finding(found, "detection", {"verdict": "no_sign"}, **where)
    desk.store.add_finding(found, "detection", {"verdict": "ai"}, **where)  # a task that runs again
    page = ana.get(f"/review/{found}")
    assert "This text: 71.2 points, no sign of a model" in page.text
    ana.post(f"/review/{found}/keep", version=page.version, choice2="rewrite")
    assert "This text:" not in ana.get(f"/review/{found}").text

    desk.redis_answers = False
    away = ana.post(f"/review/{found}/judge", version=ana.get(f"/review/{found}").version)
    assert (away.status, "Redis cannot be reached" in away.text) == (503, True)


def test_reopening_after_the_platform_was_told(desk: Running, ana: Browser) -> None:
    """What was decided meanwhile stays; the platform gets an event after that of the decision."""
    found = waiting(desk)
    desk.store.settle(found, "accept", "bob")
    event = record(desk, found).event_id
    assert ana.post(f"/review/{found}/reopen", event="0" * 32).status == 409
    assert "Reopen" in ana.get(f"/review/{found}").text
    assert ana.post(f"/review/{found}/reopen", event=event).location == f"/review/{found}?saved=reopened"
    assert record(desk, found).state == "open"
    settled, reopened = (each.payload for each in desk.store.pending_events())
    assert (settled["type"], reopened["type"]) == ("escalation.settled", "escalation.reopened")
    assert (reopened["by"], reopened["settled_event_id"]) == ("ana", event)
    assert desk.announced == [0]
    desk.store.settle(found, "reject", "bob", undo_seconds=30)
    held = record(desk, found).event_id
    assert ana.post(f"/review/{found}/reopen", event=held).status == 409


def test_the_decision_before_can_be_undone_at_the_next_article(desk: Running, ana: Browser) -> None:
    """For as long as the platform is not told, and only one's own."""
    first, second = waiting(desk), waiting(desk, "blog/coffee")
    stop_the_clock(desk)
    ana.post(f"/review/{first}/decision", version="1", decision="reject")
    following = ana.post("/review/next", before=first).location
    assert following == f"/review/{second}?before={first}"
    assert f'action="/review/{first}/undo"' in ana.get(f"/review/{second}", before=first).text
    bob = signed_in(desk, "bob")
    assert f'action="/review/{first}/undo"' not in bob.get(f"/review/{second}", before=first).text
    assert ana.post("/review/next", before="/evil").location == f"/review/{second}"


def test_what_is_due_comes_first(small: Running) -> None:
    """With its title, and how late it is."""
    waiting(small, "blog/tea", title="All about tea", due_hours=30)
    late = waiting(small, "blog/coffee", due_hours=-1)
    ana = signed_in(small, "ana")
    listed = ana.get("/review").text
    assert listed.index("blog/coffee") < listed.index("All about tea")
    assert re.findall(r'class="tag (\w*)">([^<]*)', listed) == [("bad", "60 min late"), ("", "in 30 h")]
    assert ana.post("/review/next").location == f"/review/{late}"


def test_an_article_that_is_left_for_later(desk: Running, ana: Browser) -> None:
    """Others can take it, after what is due before; what was chosen is kept."""
    first, second = waiting(desk, due_hours=1), waiting(desk, "blog/coffee", due_hours=2)
    assert ana.post("/review/next").location == f"/review/{first}"
    form = {"version": ana.get(f"/review/{first}").version, "choice1": "original"}
    assert ana.post(f"/review/{first}/later", hours="5000", **form).status == 400
    assert ana.post(f"/review/{first}/later", hours="4", **form).location == "/review?saved=put_back"
    left = record(desk, first)
    assert (left.held_by, [each.choice for each in left.choices]) == (None, ["original"])
    bob = signed_in(desk, "bob")
    assert [bob.post("/review/next").location for _ in range(2)] == [f"/review/{second}"] * 2
