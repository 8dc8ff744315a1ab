"""Signing in to the desk at a provider, by a proxy's header, by the link in a mail; and who is kept out."""

import re
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from contentworker.desk import application, oidc
from contentworker.desk.people import LINK
from contentworker.editorial.desk_settings import DeskSettings
from contentworker.editorial.escalations import links
from tests.integration.editorial.test_desk import (
    ARTICLE,
    PASSWORD,
    Answer,
    Browser,
    Running,
    record,
    running,
    signed_in,
    waiting,
)
from tests.oidc_provider import CLIENT, SECRET, Provider, provider
from tests.support import PATIENCE

GROUPS = {"editors": ("editor",), "operators": ("operator", "articles")}
LINK_SECRET = "x" * 32
TOMORROW = timedelta(days=1)


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The provider may be as slow as this machine."""
    monkeypatch.setattr(oidc, "TIMEOUT_SECONDS", PATIENCE)


@pytest.fixture
def desk(file: Path) -> Iterator[Running]:
    """A desk with SQLite: nothing here depends on the database."""
    yield from running("", file)


@pytest.fixture
def at(desk: Running) -> Iterator[Provider]:
    """A provider that the desk knows."""
    with provider() as made:
        use(desk, made)
        yield made


def use(desk: Running, made: Provider) -> None:
    settings = settings_of(desk, oidc={"issuer": made.issuer, "client_id": CLIENT}, group_roles=GROUPS)
    desk.change(provider=oidc.Provider(settings, SECRET, f"http://127.0.0.1:{desk.port}"))
    desk.desk.sessions.provider_sha256 = oidc.fingerprint(settings)


def settings_of(desk: Running, **changes: Any) -> DeskSettings:
    """Have the desk work with these settings."""
    changed = DeskSettings.model_validate({**desk.desk.settings.desk.model_dump(), **changes})
    desk.change(settings=desk.desk.settings.model_copy(update={"desk": changed}))
    return changed


class AtProvider(Browser):
    """A browser that goes to the provider and comes back."""

    def __init__(self, desk: Running) -> None:
        super().__init__(desk)
        self.flow = ""

    def go(self, **query: str) -> str:
        """Go there; return the address."""
        answer = self.get("/login/oidc", **query)
        assert answer.status == 303, answer.text
        self.flow, self.cookie = self.cookie, ""
        return answer.location

    def come_back(self, query: str) -> Answer:
        """Come back with what the provider said."""
        return self.ask("GET", f"/login/oidc/callback?{query}", headers={"Cookie": self.flow})

    def sign_in_at(self, at: Provider) -> Answer:
        return self.come_back(at.authorize(self.go()))


def test_signing_in_at_a_provider(desk: Running, at: Provider) -> None:
    """Its groups are the roles; the person comes to the page that was wanted; the trail has it."""
    found = waiting(desk)
    ana = AtProvider(desk)
    assert "/login/oidc?next=" in ana.get("/login", next=f"/review/{found}").text
    back = ana.come_back(at.authorize(ana.go(next=f"/review/{found}")))
    assert (back.status, back.location) == (303, f"/review/{found}")
    page = ana.get(f"/review/{found}")
    assert "ana@site.test" in page.text
    assert ana.post(f"/review/{found}/decision", version=page.version, decision="reject").status == 303
    assert record(desk, found).settled_by == "ana@site.test"
    assert ana.get("/audit").status == 403
    entry = desk.desk.audit.read()[0]
    assert (entry.by, entry.signed_in, entry.action) == ("ana@site.test", "oidc", "session.begin")
    ana.post("/logout")
    assert ana.get("/review").location.startswith("/login")


def test_a_session_ends_with_the_settings_it_rests_on(desk: Running, at: Provider) -> None:
    """Who lost a role by a change of the settings, or is in the password file now, signs in again."""
    ana = AtProvider(desk)
    ana.sign_in_at(at)
    assert ana.get("/review").status == 200
    ana_in_file = desk.accounts["ana"]._replace(name="ana@site.test")
    desk.accounts["ana@site.test"] = ana_in_file
    assert ana.get("/review").status == 303
    del desk.accounts["ana@site.test"]
    assert ana.get("/review").status == 200
    desk.desk.sessions.provider_sha256 = "other settings"
    assert ana.get("/review").status == 303


def wrong(**changes: Any) -> dict[str, Any]:
    return {"claims": {"email": "ana@site.test", "groups": ["editors"], **changes}}


@pytest.mark.parametrize(
    "mistake",
    [
        pytest.param(wrong(nonce="another"), id="wrong nonce"),
        pytest.param({"left_out": {"nonce"}}, id="no nonce"),
        pytest.param(wrong(iss="https://evil.test"), id="wrong issuer"),
        pytest.param(wrong(aud="another program"), id="wrong audience"),
        pytest.param(wrong(aud=[CLIENT, "other"], azp="other"), id="made for another program"),
        pytest.param({"is_in_another_clock": -1000.0}, id="expired"),
        pytest.param({"is_in_another_clock": 1000.0}, id="of the future"),
        pytest.param({"left_out": {"exp"}}, id="for ever"),
        pytest.param({"algorithm": "none"}, id="alg: none"),
        pytest.param({"algorithm": "HS256"}, id="signed with a secret"),
        pytest.param(wrong(email_verified=False), id="an address that is not verified"),
        pytest.param(wrong(email="<script>"), id="no name"),
        pytest.param(wrong(email=["ana@site.test"]), id="names"),
        pytest.param({"left_out": {"email"}}, id="nameless"),
        pytest.param({"published": []}, id="a key that is not published"),
        pytest.param({"published": [{"kty": "RSA"}, "x", None]}, id="no keys"),
        pytest.param({"metadata": {"issuer": "https://evil.test"}}, id="another provider"),
        pytest.param({"metadata": {"token_endpoint": "http://evil.test/"}}, id="not encrypted"),
        pytest.param({"metadata": {"jwks_uri": "file:///etc/passwd"}}, id="a file"),
    ],
)
def test_a_token_that_cannot_be_believed(
    desk: Running, at: Provider, mistake: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    """Nobody is signed in; the page says what to do, and the log why, without a token."""
    for name, value in mistake.items():
        setattr(at, name, value)
    browser = AtProvider(desk)
    answer = browser.get("/login/oidc")
    if answer.status == 303:
        browser.flow, browser.cookie = browser.cookie, ""
        answer = browser.come_back(at.authorize(answer.location))
    assert (answer.status, "did not sign you in" in answer.text) == (503, True)
    assert "set-cookie" not in answer.headers
    assert "Nobody was signed in by OpenID Connect: the" in caplog.text
    assert "eyJ" not in caplog.text
    assert browser.sign_in("ana").location == "/"


def test_keys_are_changed(desk: Running, at: Provider) -> None:
    """A key that is new is asked for; one that is gone signs nobody in."""
    assert AtProvider(desk).sign_in_at(at).status == 303
    at.rotate()
    assert AtProvider(desk).sign_in_at(at).status == 303
    at.rotate(publish=False)
    assert AtProvider(desk).sign_in_at(at).status == 503


def test_an_answer_counts_once_and_in_one_browser(desk: Running, at: Provider) -> None:
    """Not the code again, not the state of another browser, not without one, not for another flow."""
    ana, eve = AtProvider(desk), AtProvider(desk)
    answer = at.authorize(ana.go())
    eve.go()
    assert eve.come_back(answer).status == 503
    assert eve.ask("GET", f"/login/oidc/callback?{answer}").status == 503
    assert ana.come_back(answer).status == 303
    assert ana.come_back(answer).status == 503
    # With a state that is eve's own, the code of ana's flow lacks its verifier.
    code = re.sub("&state=.*", "", at.authorize(ana.go()))
    state = re.findall("state=([^&]+)", eve.go())[0]
    assert eve.come_back(f"{code}&state={state}").status == 503
    assert (
        ana.come_back(f"error=access_denied&state={re.findall('state=([^&]+)', ana.go())[0]}").status == 503
    )


def test_roles_are_by_exact_values(desk: Running, at: Provider) -> None:
    """No part of a value, no other case, no other type counts; without a role nobody is signed in."""
    for groups in (
        ["Editors"],
        ["editors2"],
        ["*"],
        "editors,operators",
        {"editors": 1},
        None,
        [["editors"]],
    ):
        at.claims = {"email": "ana@site.test", "groups": groups}
        answer = AtProvider(desk).sign_in_at(at)
        assert (answer.status, "no role for you" in answer.text) == (403, True), groups
    at.claims = {"email": "ana@site.test", "groups": "operators"}
    oli = AtProvider(desk)
    assert oli.sign_in_at(at).status == 303
    assert (oli.get("/audit").status, oli.get("/review").status) == (200, 403)


def test_nobody_takes_a_name_of_the_password_file(desk: Running, at: Provider) -> None:
    """Who chooses names at the provider is not ana for it."""
    at.claims = {"email": "ana", "groups": ["editors"]}
    answer = AtProvider(desk).sign_in_at(at)
    assert (answer.status, "is in the password file" in answer.text) == (403, True)


def test_while_the_provider_is_away(desk: Running) -> None:
    """A page says so, and people with a password still sign in."""
    with provider() as made:
        use(desk, made)
        made.status = 500
        assert AtProvider(desk).get("/login/oidc").status == 503
    assert AtProvider(desk).get("/login/oidc").status == 503
    assert signed_in(desk, "ana").get("/review").status == 200


def test_a_desk_without_a_provider(desk: Running) -> None:
    """Has no such page."""
    assert "oidc" not in Browser(desk).get("/login").text
    assert [Browser(desk).get(f"/login/oidc{path}").status for path in ("", "/callback")] == [404, 404]


@pytest.mark.parametrize(
    "cookie", ["", "a:b:c", ":::", "a:b:c:d:e", "\xff" * 9, "a" * 40_000], ids=lambda cookie: cookie[:9]
)
def test_a_hostile_flow(desk: Running, at: Provider, cookie: str) -> None:
    """Nobody is signed in, and nothing breaks."""
    del at
    headers = {"Cookie": f"desk-flow={cookie}; desk={cookie}"}
    answer = Browser(desk).ask("GET", "/login/oidc/callback?code=a&state=b%ff", headers=headers)
    assert answer.status == 503


# The proxy.

USER, USER_GROUPS = "X-Forwarded-User", "X-Forwarded-Groups"


def behind_proxy(desk: Running, *proxies: str) -> None:
    settings_of(
        desk,
        trusted_proxies=proxies or ("127.0.0.1",),
        proxy_user_header=USER,
        proxy_groups_header=USER_GROUPS,
        group_roles=GROUPS,
    )


def by_proxy(
    desk: Running, path: str, user: str, groups: str = "", method: str = "GET", **more: str
) -> Answer:
    headers = {USER: user, USER_GROUPS: groups, **more}
    return Browser(desk).ask(method, path, {} if method == "POST" else None, headers)


def test_a_trusted_proxy_names_the_person(desk: Running) -> None:
    """With the roles of its groups; another site's form is still refused, and nobody can sign out here."""
    behind_proxy(desk)
    found = waiting(desk)
    page = by_proxy(desk, f"/review/{found}", "ana@site.test", "x, editors")
    assert (page.status, "Sign out" in page.text) == (200, False)
    taken = by_proxy(desk, f"/review/{found}/hold", "ana@site.test", "editors", "POST")
    assert (taken.status, record(desk, found).held_by) == (303, "ana@site.test")
    other = {"Sec-Fetch-Site": "cross-site"}
    assert by_proxy(desk, f"/review/{found}/hold", "eve@site.test", "editors", "POST", **other).status == 403
    assert by_proxy(desk, "/review", "oscar", "operators").status == 403
    assert by_proxy(desk, "/review", "rita", "Editors").status == 403
    assert "signs you in" in by_proxy(desk, "/me", "oscar", "operators").text


def test_a_header_from_elsewhere_is_nothing(desk: Running) -> None:
    """Also one that says that it comes from the proxy; and one of another name."""
    behind_proxy(desk, "10.0.0.1")
    claims = (
        ("", ""),
        ("X-Forwarded-For", "10.0.0.1"),
        ("X-Real-IP", "10.0.0.1"),
        ("Forwarded", "for=10.0.0.1"),
    )
    for name, value in claims:
        answer = by_proxy(desk, "/review", "ana@site.test", "editors", **({name: value} if name else {}))
        assert answer.location == "/login?next=/review", answer.text
    behind_proxy(desk)
    named = Browser(desk).ask("GET", "/review", headers={"Remote-User": "ana", USER_GROUPS: "editors"})
    assert named.location == "/login?next=/review"


@pytest.mark.parametrize("user", ["a b", "ana,bob", "\xe4", "<b>", "a" * 200])
def test_a_name_that_no_proxy_gives(desk: Running, user: str) -> None:
    """It is refused, and nobody is somebody else."""
    behind_proxy(desk)
    assert by_proxy(desk, "/review", user, "editors").status == 400


def test_a_proxy_cannot_name_who_has_a_password(desk: Running) -> None:
    """So that one name is one person."""
    behind_proxy(desk)
    assert by_proxy(desk, "/review", "ana", "editors").status == 403


def test_tries_are_counted_by_the_address_before_the_proxy(desk: Running) -> None:
    """One person's mistakes lock out nobody else behind it; nor can a client choose its address."""
    settings_of(desk, trusted_proxies=["127.0.0.1", "10.0.0.0/8"])
    desk.desk.tries._now = lambda: 0.0  # all within one minute, on any machine

    def tried(name: str, address: str) -> int:
        headers = {"X-Forwarded-For": address}
        return Browser(desk).ask("POST", "/login", {"name": name, "password": "wrong"}, headers).status

    own = "203.0.113.9"
    assert [tried(f"n{number}", f"192.0.2.{number}, {own}, 10.1.1.1") for number in range(6)] == [401] * 5 + [
        429
    ]
    assert tried("other", "203.0.113.10") == 401
    assert [tried(f"i{number}", f"2001:db8::{number}") for number in range(6)] == [401] * 5 + [429]
    assert tried("other", "2001:db8:0:1::1") == 401
    assert tried("other", "::ffff:203.0.113.9") == 429
    assert [tried(f"m{number}", "no address") for number in range(6)] == [401] * 5 + [429]


# The link in the mail.


def link_to(desk: Running, escalation_id: str, round_number: int = 1, after: timedelta = TOMORROW) -> str:
    """The path of a link, for a desk that takes them."""
    desk.change(link_secret=LINK_SECRET)
    link = links.Link(escalation_id, round_number, datetime.now(UTC) + after)
    return f"/l/{links.made(LINK_SECRET, link)}"


def came_by_link(desk: Running, escalation_id: str, name: str = "Ann Author") -> Browser:
    browser = Browser(desk)
    answer = browser.post(link_to(desk, escalation_id), name=name)
    assert answer.location == f"/review/{escalation_id}", answer.text
    return browser


def test_a_link_settles_one_article(desk: Running) -> None:
    """To open it changes nothing; the button begins a session, and the decision is by the typed name."""
    found, other = waiting(desk), waiting(desk, "blog/other")
    path = link_to(desk, found)
    scanner = Browser(desk)
    page = scanner.get(path)
    assert (page.status, "blog/tea" in page.text, "Tea is" in page.text) == (200, True, False)
    assert page.headers["referrer-policy"] == "no-referrer"
    assert "set-cookie" not in page.headers
    ann = came_by_link(desk, found, "Ann  Author (by link)")
    assert ann.get("/").location == f"/review/{found}"
    page = ann.get(f"/review/{found}")
    assert page.status == 200
    offered = set(re.findall(r'action="(/[^"?]+)"', page.text))
    routes = [each for each in application.ROUTES if each.roles and each.roles >= LINK]
    assert offered <= {each.path.replace("{id}", found) for each in routes}
    assert set(re.findall(r'<a [^>]*href="(/\w[^"]*)"', page.text)) <= {f"/review/{found}"}
    for path in (f"/review/{other}", "/review", "/audit", "/me"):
        assert ann.get(path).status == 403, path
    for what in ("choices", "decision", "undo", "comments", "hold"):
        assert ann.post(f"/review/{other}/{what}", version="1", decision="reject").status == 403
    assert ann.post("/review/next").status == 403
    assert ann.post(f"/review/{found}/decision", version=page.version, decision="reject").status == 303
    assert record(desk, found).settled_by == "Ann Author (by link)"
    event_id = record(desk, found).event_id
    assert ann.post(f"/review/{found}/undo", event=event_id).status == 303
    assert record(desk, other).state == "open"
    entry = desk.desk.audit.read()[0]
    assert (entry.by, entry.signed_in, entry.subject) == ("Ann Author (by link)", "link", found)


def test_a_link_dies_with_its_round(desk: Running) -> None:
    """And so do the sessions that began with it, but for the time to undo."""
    found = waiting(desk)
    ann, path = came_by_link(desk, found), link_to(desk, found)
    desk.store.settle(found, "accept", "bob")
    assert Browser(desk).get(path).status == 410
    assert Browser(desk).post(path, name="Ann").status == 410
    assert ann.get(f"/review/{found}").status == 200
    moment = datetime.now(UTC) + timedelta(minutes=11)
    desk.desk.sessions.now = lambda: moment
    assert ann.get(f"/review/{found}").status == 303
    desk.desk.sessions.now = lambda: datetime.now(UTC)
    waiting(desk, text=f"{ARTICLE} And more.")
    assert record(desk, found).round == 2
    assert (Browser(desk).get(path).status, ann.get(f"/review/{found}").status) == (410, 303)
    desk.store.forget("blog/tea")
    assert Browser(desk).get(path).status == 410


@pytest.mark.parametrize("secret", ["", "z" * 32])
def test_a_new_secret_ends_all_links(desk: Running, secret: str) -> None:
    """The sessions that began with them, too: perhaps the old secret is known."""
    found = waiting(desk)
    ann, path = came_by_link(desk, found), link_to(desk, found)
    assert ann.get(f"/review/{found}").status == 200
    desk.change(link_secret=secret)
    assert (ann.get(f"/review/{found}").status, Browser(desk).get(path).status) == (303, 410)


def test_a_link_that_is_none(desk: Running, caplog: pytest.LogCaptureFixture) -> None:
    """Too old, of another record, round, time or secret, or hostile: one page, and no log has it."""
    found = waiting(desk)
    good = link_to(desk, found)
    old = link_to(desk, found, after=timedelta(seconds=-1))
    forged = f"/l/{links.made('y' * 32, links.Link(found, 1, datetime.now(UTC) + TOMORROW))}"
    head, _, signature = good.rpartition("-")
    longer = good.replace("-1-", "-1-1", 1)
    hostile = [
        "/l/x",
        "/l/" + "a" * 9_000,
        "/l/%ff",
        "/l/%22%3E%3Cscript%3E",
        f"{good}=",
        f"{head}-{signature[::-1]}",
    ]
    for path in (old, forged, longer, good.replace("-1-", "-2-", 1), good.replace(found, "0" * 32), *hostile):
        for answer in (Browser(desk).get(path), Browser(desk).post(path, name="Ann")):
            assert (answer.status, answer.headers["referrer-policy"]) in {
                (410, "no-referrer"),
                (429, "no-referrer"),
            }
            assert '"><script>' not in answer.text
    assert Browser(desk).get(good).status == 200
    desk.change(link_secret="")
    assert Browser(desk).get(good).status == 410
    assert signature not in caplog.text


@pytest.mark.parametrize("name", ["", " ", "\x00", "a\u202eb", "\x1b[31m"])
def test_a_name_that_cannot_be_recorded(desk: Running, name: str) -> None:
    """Nobody decides under nothing, nor under a name that reads otherwise than it is."""
    found = waiting(desk)
    assert Browser(desk).post(link_to(desk, found), name=name).status == 400


def test_a_link_from_another_site(desk: Running) -> None:
    """Nobody is signed in by a form that is not the desk's."""
    path = link_to(desk, waiting(desk))
    headers = {"Sec-Fetch-Site": "cross-site"}
    assert Browser(desk).ask("POST", path, {"name": "Ann"}, headers).status == 403


def test_an_editor_who_follows_a_link(desk: Running) -> None:
    """Stays who he or she is."""
    found = waiting(desk)
    assert signed_in(desk, "ana").get(link_to(desk, found)).location == f"/review/{found}"


# Sessions and the trail.


def test_a_person_s_own_page(desk: Running) -> None:
    """It ends the other sessions of this person, of nobody else."""
    one, two, bob = signed_in(desk, "ana"), signed_in(desk, "ana"), signed_in(desk, "bob")
    assert "Sign out everywhere else" in one.get("/me").text
    assert one.post("/me/sessions/end").location == "/me?ended=others"
    assert [each.get("/me").status for each in (one, two, bob)] == [200, 303, 200]
    assert "Sign out everywhere else" not in one.get("/me").text


def test_the_trail_is_for_operators(desk: Running) -> None:
    """It shows who did what, as text."""
    desk.desk.audit.write("queue.pause", "<b>eve</b>", "password", filter={"text": "<i>"}, count=3)
    oli = signed_in(desk, "oli")
    page = oli.get("/audit").text
    assert "&lt;b&gt;eve&lt;/b&gt;" in page
    assert "text: <bdi>&lt;i&gt;</bdi>" in page
    assert "session.begin" in page
    assert signed_in(desk, "rea").get("/audit").status == 403
    for _ in range(100):
        desk.desk.audit.write("queue.pause", "oli", "password")
    (older,) = re.findall(r'href="(/audit\?before=\d+)"', oli.get("/audit").text)
    assert "session.begin" in oli.get(older).text
    assert oli.get("/audit?before=x").status == 200


@pytest.mark.parametrize("cookie", ["desk=", "desk=;;=", "\xff=\xfe", "desk=" + "a" * 60_000])
def test_a_hostile_cookie(desk: Running, cookie: str) -> None:
    """It is nobody's, and no error."""
    assert Browser(desk).ask("GET", "/review", headers={"Cookie": cookie}).location == "/login?next=/review"


def test_a_megabyte_of_cookies(desk: Running) -> None:
    """The server refuses it, and answers the next request."""
    with suppress(ConnectionError):  # it closes the connection before all has come
        answer = Browser(desk).ask("GET", "/review", headers={"Cookie": "desk=" + "a" * 1_000_000})
        assert answer.status in {400, 431}
    assert Browser(desk).sign_in("ana", PASSWORD).location == "/"
