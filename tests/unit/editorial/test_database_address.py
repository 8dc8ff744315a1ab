"""No server is asked that DATABASE_URL does not name, and no part of a password is shown."""

from pathlib import Path

from hypothesis import given, settings

from contentworker.editorial.escalations.schema import open_engine
from contentworker.errors import ConfigError
from tests.unit.runtime.records.test_connections import SECRETS, encoded, everything_said, passwords


@settings(deadline=None)
@given(passwords, passwords)
def test_the_database_that_is_named(password: str, user: str) -> None:
    """It is the one that SQLAlchemy asks, or the address is an error."""
    for name, word, is_encoded in ((user, password, False), (encoded(user), encoded(password), True)):
        said = ""
        try:
            url = open_engine(f"postgresql://{name}:{word}@db.example:5433/content", Path()).url
        except ConfigError as error:
            said = everything_said(error)
        else:
            assert (url.host, url.port, url.database) == ("db.example", 5433, "content")
        assert not set(SECRETS) & set(said)
        assert not (said and is_encoded)
