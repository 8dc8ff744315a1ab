"""The trail of what people did at the desk, and the tokens of programs, in both databases."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from contentworker.desk.passwords import Account
from contentworker.desk.sessions import Sessions, token_hash
from contentworker.desk.tokens import Tokens
from contentworker.editorial.escalations.audit import Audit
from contentworker.editorial.escalations.schema import open_engine
from contentworker.editorial.escalations.store import Store
from contentworker.editorial.escalations.tables import desk_sessions
from contentworker.errors import ConfigError, ConflictError

NOW = datetime(2026, 12, 1, 8, 30, tzinfo=UTC)


@pytest.fixture
def engine(url: str, file: Path) -> sa.Engine:
    return open_engine(url, file)


def test_the_trail_is_read_newest_first(engine: sa.Engine) -> None:
    """Page by page, with all that was written; what is longer than its column is cut."""
    audit = Audit(engine, lambda: NOW)
    for number in range(5):
        chosen = {"task": "a", "queue": ""}
        audit.write("letters.replay", "oli\0", "oidc", subject="x" * 300, filter=chosen, count=number)
    first, second = audit.read(limit=2)
    assert (first.count, second.count, first.at, first.by) == (4, 3, NOW, "oli\ufffd")
    assert (first.filter, first.subject, first.outcome) == ({"task": "a"}, "x" * 200, "done")
    assert [each.count for each in audit.read(before=second.id)] == [2, 1, 0]
    audit.close()


def test_a_forgotten_article_has_no_id_in_the_trail(engine: sa.Engine) -> None:
    """A hash of it stands there, wherever it stood; other articles keep theirs."""
    audit, store = Audit(engine), Store(engine)
    audit.write("runs.cancel", "oli", "password", subject="a/1")
    audit.write("letters.discard", "oli", "password", filter={"articles": ["a/1", "a/10"], "text": "a/1%"})
    audit.write("runs.cancel", "oli", "password", subject="a/10")
    store.forget("a/1")
    third, second, first = audit.read()
    assert first.subject.startswith("sha256:")
    assert second.filter == {"articles": [first.subject, "a/10"], "text": "a/1%"}
    assert third.subject == "a/10"
    audit.close()


def test_a_token_lets_a_program_in(engine: sa.Engine) -> None:
    """It is kept as a hash; the time of its use is noted once a minute; once revoked it is nobody's."""
    moment = [NOW]
    tokens = Tokens(engine, lambda: moment[0])
    token = tokens.create("cms", ["reader", "editor"])
    program = tokens.find_token(token)
    assert program is not None
    assert (program.name, sorted(program.roles), program.signed_in) == ("cms", ["editor", "reader"], "token")
    for seconds in (30, 61):
        moment[0] = NOW + timedelta(seconds=seconds)
        tokens.find_token(token)
        (listed,) = tokens.every()
        assert listed.used_at == (NOW if seconds == 30 else moment[0])
    with engine.begin() as connection:
        assert token not in str(connection.execute(sa.text("SELECT * FROM desk_tokens")).all())
    with pytest.raises(ConflictError, match="there is a token cms already"):
        tokens.create("cms", ["reader"])
    assert tokens.revoke("cms")
    assert not tokens.revoke("cms")
    assert tokens.find_token(token) is None
    tokens.close()


def test_a_session_that_a_desk_of_version_4_began(engine: sa.Engine) -> None:
    """It knew none of the newer columns: the person stays signed in, and can end it."""
    sessions, account = Sessions(engine, lambda: NOW), Account("ana", frozenset({"editor"}), "hash")
    sessions.find("", {})
    with engine.begin() as connection:
        row = {"token": token_hash("old"), "account": account.sha256, "until": NOW + timedelta(hours=1)}
        columns = "token_sha256, name, account_sha256, expires_at"
        statement = f"INSERT INTO desk_sessions ({columns}) VALUES (:token, 'ana', :account, :until)"
        connection.execute(
            sa.text(statement).bindparams(sa.bindparam("until", type_=desk_sessions.c.expires_at.type)), row
        )
    person = sessions.find("old", {"ana": account})
    assert person is not None
    assert (person.name, person.signed_in, sorted(person.roles)) == ("ana", "password", ["editor"])
    assert [each.began_at for each in sessions.of(person)] == [None]
    assert sessions.end_others(person, "new") == 1
    assert sessions.find("old", {"ana": account}) is None
    sessions.close()


@pytest.mark.parametrize("token", ["", "cwd_", "\0", "\ud800", "' OR 1=1 --", "x" * 1_000_000])
def test_what_is_no_token(engine: sa.Engine, token: str) -> None:
    """Nobody's, and no error."""
    tokens = Tokens(engine)
    assert tokens.find_token(token) is None
    tokens.close()


@pytest.mark.parametrize(("name", "roles"), [("a b", "reader"), ("", "reader"), ("a", ""), ("a", "admin")])
def test_a_token_that_cannot_be(tmp_path: Path, name: str, roles: str) -> None:
    """A line that says which part is wrong."""
    with pytest.raises(ConfigError, match=r"^(NAME|--role): must be"):
        Tokens(open_engine("", tmp_path / "file")).create(name, roles.split())
