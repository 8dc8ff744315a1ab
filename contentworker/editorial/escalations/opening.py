"""From the settings and the environment to the records, and to what else escalations need."""

import os
from collections.abc import Mapping
from pathlib import Path

from contentworker.editorial.escalations.schema import open_engine
from contentworker.editorial.escalations.store import Store
from contentworker.editorial.settings import EscalationSettings

__all__ = ["missing_file", "open_store"]


def _sqlite_file(settings: EscalationSettings, folder: Path) -> Path:
    return Path(settings.sqlite_path or folder / "escalations.sqlite3")


def missing_file(
    settings: EscalationSettings, folder: Path, environ: Mapping[str, str] = os.environ
) -> Path | None:
    """The file of the records where none was made so far; None where they can be opened.

    A command must not make it: it would belong to whoever typed that, and not to the service.
    """
    file = _sqlite_file(settings, folder)
    return None if environ.get("DATABASE_URL") or file.exists() else file


def open_store(settings: EscalationSettings, folder: Path, environ: Mapping[str, str] = os.environ) -> Store:
    """The records in PostgreSQL at DATABASE_URL, or in the setting's SQLite file, else in one in `folder`."""
    return Store(open_engine(environ.get("DATABASE_URL", ""), _sqlite_file(settings, folder)))
