"""An empty database for records of escalations, in SQLite and in PostgreSQL."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from contentworker.editorial.escalations.schema import open_engine
from contentworker.editorial.escalations.store import Store
from tests.postgres import Postgres, postgres
from tests.support import PATIENCE


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    """A PostgreSQL of this module's own."""
    with postgres(tmp_path_factory.mktemp("postgres") / "server") as found:
        yield found


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest) -> str:
    """The address of an empty database; for SQLite, nothing."""
    if request.param == "sqlite":
        return ""
    running: Postgres = request.getfixturevalue("server")
    engine = open_engine(running.url, Path())
    with engine.begin() as connection:
        connection.execute(text("DROP SCHEMA public CASCADE"))
        connection.execute(text("CREATE SCHEMA public"))
    engine.dispose()
    return running.url


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """The file of an SQLite database that does not exist yet."""
    return tmp_path / "records.sqlite3"


@pytest.fixture
def store(url: str, file: Path) -> Iterator[Store]:
    """The records in the empty database."""
    made = Store(open_engine(url, file, busy_seconds=PATIENCE))
    yield made
    made.close()
