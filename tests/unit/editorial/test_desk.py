"""What the desk shows of an article, and who may sign in."""

import re
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from contentworker.desk import application, passwords, review
from contentworker.desk.application import origins
from contentworker.desk.marking import MOST_STEPS, Mark, Part, diff_steps, of_document, of_source, word_diff
from contentworker.desk.ways_in import ways_in
from contentworker.editorial.desk_settings import DeskSettings
from contentworker.editorial.document import parse
from contentworker.editorial.escalations import links
from contentworker.editorial.settings import ContentSettings
from contentworker.errors import ConfigError
from tests.support import ROOT

LINE = f"ana:editor,reader:{passwords.hashed('a long password')}"


@settings(deadline=None)
@given(st.text(max_size=30), st.lists(st.tuples(st.integers(-2, 32), st.integers(-2, 32)), max_size=8))
def test_marks_change_no_text(source: str, places: Sequence[tuple[int, int]]) -> None:
    """However they overlap, and wherever they lie: every character is there once, in its order."""
    parts = list(of_source(source, [Mark(start, end, "score", 1) for start, end in places]))
    assert "".join(part.text for part in parts) == source
    position = 0
    for part in parts:
        is_marked = any(start <= position < end for start, end in places if 0 <= start < end <= len(source))
        assert bool(part.kinds) == is_marked or not part.text
        position += len(part.text)


def test_overlapping_marks_are_cut_at_each_boundary() -> None:
    """Each part has the kinds of all marks on it, and each mark's number once."""
    marks = [Mark(0, 4, "score", 1), Mark(2, 6, "ai"), Mark(2, 3, "score", 2)]
    assert list(of_source("abcdefgh", marks)) == [
        Part("ab", ("score",), (1,), (1,)),
        Part("c", ("score", "ai"), (2,), (1, 2)),
        Part("d", ("score", "ai"), (), (1,)),
        Part("ef", ("ai",)),
        Part("gh"),
    ]


def test_what_is_chosen_stands_in_the_text() -> None:
    """Also where nothing is left of a sentence."""
    marks = [Mark(0, 3, "new", 1, "ONE"), Mark(4, 7, "new", 2, ""), Mark(8, 13, "kept", 3)]
    assert [part.text for part in of_source("one two three.", marks)] == ["ONE", " ", "", " ", "three", "."]


def test_a_page_is_shown_by_its_sentences() -> None:
    """Headings and passages in their order; a change of two sentences stands once."""
    source = "<h1>Tea</h1><p>It is old. It is hot. It is good.</p><h2>More</h2><p>There is more of it.</p>"
    document = parse(source, media_type="html", settings=ContentSettings())
    start, end = source.index("It is old"), source.index(" It is good")
    blocks = list(of_document(document, [Mark(start, end, "new", 1, "Both.")]))
    assert [(tag, "".join(part.text for part in parts).split()) for tag, parts in blocks] == [
        ("h3", ["Tea"]),
        ("p", ["Both.", "It", "is", "good."]),
        ("h3", ["More"]),
        ("p", ["There", "is", "more", "of", "it."]),
    ]


@settings(deadline=None)
@given(st.text(max_size=40), st.text(max_size=40))
def test_a_diff_has_both_texts(before: str, after: str) -> None:
    """What is the same and gone is the one, what is the same and new the other."""
    pieces = list(word_diff(before, after))
    assert "".join(text for what, text in pieces if what != "new") == before
    assert "".join(text for what, text in pieces if what != "gone") == after


def test_a_diff_of_long_texts_is_none() -> None:
    """5,000 words would take minutes, and 500 that repeat a quarter of one: an article could ask for many."""
    for before, after in (("one two " * 2_500, "two three " * 2_500), ("a " * 500, "a b " * 250)):
        assert list(word_diff(before, after)) == [("gone", before), ("new", after)]
        assert diff_steps(before, after) == 0
    assert 0 < diff_steps("a " * 120, "a b " * 60) <= MOST_STEPS


def test_a_page_of_long_diffs() -> None:
    """The first changes are compared; the others stand as a whole, so that the page comes."""
    before, after = "a " * 120, "a b " * 60
    changes: Any = [
        SimpleNamespace(number=number, change=SimpleNamespace(original=before, rewritten=after))
        for number in range(1_000)
    ]
    compared = [number for number, diff in review._diffs(changes) if len(diff) > 2]
    assert compared == [*range(len(compared))]
    assert 0 < len(compared) < 20


def test_a_password_file() -> None:
    """Comments and empty lines are left out; a password is found again, another is not."""
    accounts = passwords.read(f"# people\n\n{LINE}\n")
    assert accounts["ana"].roles == {"editor", "reader"}
    assert passwords.check(accounts["ana"], "a long password")
    assert not passwords.check(accounts["ana"], "another password")
    assert not passwords.check(None, "a long password")
    assert passwords.hashed("a") != passwords.hashed("a")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "must hold a line for each person"),
        ("a b:editor:x", "line 1: the name"),
        (f"{LINE}\nbob:admin:hush", "line 2: the roles"),
        ("ana:editor:hush", "line 1: must end in what"),
        (f"{LINE}\n{LINE}", "line 2: there is a line"),
    ],
)
def test_a_password_file_with_a_bad_line(text: str, says: str) -> None:
    """By its number: it may hold a password."""
    with pytest.raises(ConfigError, match=f"^DESK_PASSWORDS: {says}") as caught:
        passwords.read(text)
    assert "hush" not in str(caught.value)


SECRET = "s" * 32
LINK = links.Link("a" * 32, 3, datetime(2026, 12, 4, 8, tzinfo=UTC))


def test_a_link_says_what_it_is_for() -> None:
    """Until it is too old, and with its secret alone."""
    token = links.made(SECRET, LINK)
    before = LINK.expires_at - timedelta(seconds=1)
    assert links.read(SECRET, token, before) == LINK
    assert links.read(SECRET, token, LINK.expires_at) is None
    assert links.read("t" * 32, token, before) is None


@settings(deadline=None)
@given(st.text(max_size=150), st.integers(0, 200), st.characters())
def test_no_other_text_is_a_link(text: str, place: int, character: str) -> None:
    """Nor is a link with another character at any place."""
    token = links.made(SECRET, LINK)
    before = LINK.expires_at - timedelta(seconds=1)
    place %= len(token)
    changed = token[:place] + character + token[place + 1 :]
    assert links.read(SECRET, text, before) is None
    assert links.read(SECRET, changed, before) == (LINK if changed == token else None)


@pytest.mark.parametrize("secret", ["", "short", "x" * 31])
def test_a_secret_that_could_be_guessed(secret: str) -> None:
    """It is refused, and not shown."""
    with pytest.raises(ConfigError, match=r"^DESK_SECRET: must have at least 32 characters") as caught:
        links.secret_of({"DESK_SECRET": secret})
    assert "short" not in str(caught.value)


PROXY = {"trusted_proxies": ["127.0.0.1"], "proxy_user_header": "X-User", "group_roles": {"a": ["editor"]}}
OIDC = {"oidc": {"issuer": "https://id.site.test", "client_id": "desk"}, "group_roles": {"a": ["editor"]}}


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({**PROXY, "trusted_proxies": []}, "proxy_user_header: needs trusted_proxies"),
        ({**PROXY, "address": "0.0.0.0"}, "proxy_user_header: needs a loopback address"),
        ({**PROXY, "trusted_proxies": ["proxy.site.test"]}, "must be addresses or networks"),
        ({**PROXY, "group_roles": {}}, "group_roles: is empty"),
        ({**PROXY, "group_roles": {"a": ["admin"]}}, "'editor', 'operator', 'reader' or 'articles'"),
        ({**PROXY, "proxy_user_header": "X User"}, "should match pattern"),
        ({**OIDC, "oidc": {"issuer": "https://id.site.test"}}, "client_id: is needed with issuer"),
        ({**OIDC, "oidc": {"issuer": "http://id.site.test", "client_id": "x"}}, "should match pattern"),
        ({**OIDC, "oidc": {"client_id": "x", "scopes": ["email"]}}, "scopes: must have openid"),
        ({"mail_link": "open"}, "mail_link: needs public_url"),
        ({"due_hours": {"failed": 4}}, "must have a number for `other`"),
    ],
)
def test_settings_that_let_in_whom_they_should_not(given: dict[str, Any], says: str) -> None:
    """Or nobody: they say which, and what is needed."""
    with pytest.raises(ValidationError, match=re.escape(says)):
        DeskSettings.model_validate(given)


@pytest.mark.parametrize(
    ("given", "environ", "shown"),
    [
        ({}, {"DESK_PASSWORDS": LINE}, "1 person with a password"),
        (OIDC, {}, "0 people with a password, OpenID Connect"),
        (PROXY, {"DESK_PASSWORDS": LINE}, "1 person with a password"),
        (
            {**OIDC, "mail_link": "open", "public_url": "https://desk.site.test"},
            {"DESK_SECRET": SECRET},
            "0 people with a password, OpenID Connect, links in mails",
        ),
    ],
)
def test_the_ways_into_a_desk(given: dict[str, Any], environ: dict[str, str], shown: str) -> None:
    """Without passwords if people sign in elsewhere."""
    settings = DeskSettings.model_validate(given)
    assert str(ways_in(settings, settings, environ, "https://desk.site.test")) == shown


def test_an_address_of_the_command_lets_nobody_write_the_proxy_s_header() -> None:
    """`--address` wins over the setting, and so does its danger."""
    settings = DeskSettings.model_validate(PROXY)
    others = settings.model_copy(update={"address": "0.0.0.0"})
    with pytest.raises(ConfigError, match=r"^desk\.proxy_user_header: needs a loopback address"):
        ways_in(settings, others, {"DESK_PASSWORDS": LINE}, "https://desk.site.test")


def test_no_library_of_tokens_without_a_provider() -> None:
    """It is loaded only by a desk that needs it."""
    code = "import sys, contentworker.desk.application; sys.exit('jwt' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


def test_five_tries_a_minute() -> None:
    """For each name and each address; afterwards again."""
    now = 0.0
    tries = passwords.Tries(lambda: now)
    assert [tries.may_try("one", "ana") for _ in range(6)] == [True] * 5 + [False]
    assert tries.may_try("other", "bob")
    assert not tries.may_try("one", "bob")
    assert not tries.may_try("other", "ana")
    now = 61.0
    assert tries.may_try("one", "ana")


def test_an_address_without_tries_uses_up_nothing() -> None:
    """It locks no more names out, and fills no memory with names that nobody has."""
    tries = passwords.Tries(lambda: 0.0)
    for number in range(50):
        tries.may_try("one", f"{number}")
    remembered = len(tries._tries)
    for _ in range(5):
        tries.may_try("one", "ana")
    assert (remembered, tries.may_try("other", "ana")) == (6, True)


def test_where_the_desk_answers() -> None:
    """On this machine, or behind a proxy with https; nothing else."""
    here = DeskSettings()
    assert origins("", here)[0] == "http://127.0.0.1:5558"
    assert origins("https://desk.site.test", here) == ("https://desk.site.test",)
    for public_url in ("", "http://desk.site.test"):
        with pytest.raises(ConfigError, match=r"^desk\.public_url: must be the https:// address"):
            origins(public_url, DeskSettings(address="0.0.0.0"))


@pytest.mark.parametrize(
    ("public_url", "port", "first"),
    [
        ("https://Desk.site.test:443", 5558, "https://desk.site.test"),
        ("https://desk.site.test:8443", 5558, "https://desk.site.test:8443"),
        ("https://desk.site.test:80", 5558, "https://desk.site.test:80"),
        ("", 80, "http://127.0.0.1"),
        ("", 443, "http://127.0.0.1:443"),
    ],
)
def test_addresses_are_as_browsers_say_them(public_url: str, port: int, first: str) -> None:
    """In small letters, without the scheme's own port: with it, no request would be for this desk."""
    assert origins(public_url, DeskSettings(port=port))[0] == first


def test_the_script_and_the_styles_stay_small() -> None:
    """No build step, so what is written is what every browser loads."""
    static = Path(application.__file__).parent / "static"
    assert len((static / "desk.js").read_text("utf-8").splitlines()) <= 300
    assert sum(each.stat().st_size for each in static.iterdir()) <= 60_000
