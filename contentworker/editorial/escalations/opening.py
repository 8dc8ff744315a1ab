"""Opens the records that the settings and the environment name."""

import os
from collections.abc import Mapping
from pathlib import Path

from sqlalchemy import Engine

from contentworker.editorial.escalations.schema import open_engine
from contentworker.editorial.escalations.store import Store
from contentworker.editorial.settings import EscalationSettings

__all__ = ["file_that_is_read_only", "missing_file", "open_engine_of", "open_store", "sqlite_file"]


FILE = "escalations.sqlite3"


def sqlite_file(settings: EscalationSettings, folder: Path) -> Path:
    """The file of the records, for where they are not in PostgreSQL."""
    if settings.sqlite_path:
        return Path(settings.sqlite_path)
    before = folder / FILE  # of 0.2: there it stays, until a person moves it
    # A folder of its own, as SQLite writes more files beside it, and the desk may write nothing else.
    return before if before.exists() else folder / "records" / FILE


def missing_file(
    settings: EscalationSettings, folder: Path, environ: Mapping[str, str] = os.environ
) -> Path | None:
    """The file of the records if it does not exist yet; None if the records can be opened.

    A command must not create it: the file would belong to the user of the command, not to the service.
    """
    file = sqlite_file(settings, folder)
    return None if environ.get("DATABASE_URL") or file.exists() else file


def file_that_is_read_only(
    settings: EscalationSettings, folder: Path, environ: Mapping[str, str] = os.environ
) -> Path | None:
    """The file of the records if this process may not write beside it, as SQLite must."""
    file = sqlite_file(settings, folder)
    is_used = not environ.get("DATABASE_URL") and file.exists()
    return file if is_used and not os.access(file.parent, os.W_OK) else None


def open_store(settings: EscalationSettings, folder: Path, environ: Mapping[str, str] = os.environ) -> Store:
    """The records in PostgreSQL at DATABASE_URL, or in the setting's SQLite file, else in one in `folder`."""
    return Store(open_engine_of(settings, folder, environ))


def open_engine_of(
    settings: EscalationSettings, folder: Path, environ: Mapping[str, str] = os.environ
) -> Engine:
    """The engine of the same records."""
    return open_engine(environ.get("DATABASE_URL", ""), sqlite_file(settings, folder))
