"""From the settings and the environment to the records, and to what else escalations need."""

import os
from collections.abc import Mapping
from pathlib import Path

from contentworker.editorial.escalations.schema import open_engine
from contentworker.editorial.escalations.store import Store
from contentworker.editorial.settings import EscalationSettings

__all__ = ["open_store", "sqlite_file"]


def sqlite_file(
    settings: EscalationSettings, state_folder: Path, environ: Mapping[str, str] = os.environ
) -> Path:
    """The setting's file; else one in the service's folder (systemd's StateDirectory=) or the checkout's."""
    folder = environ.get("STATE_DIRECTORY", "").split(":")[0]
    return Path(settings.sqlite_path or Path(folder or state_folder) / "escalations.sqlite3")


def open_store(
    settings: EscalationSettings, state_folder: Path, environ: Mapping[str, str] = os.environ
) -> Store:
    """The records in PostgreSQL at DATABASE_URL, or in the SQLite file where that is not set."""
    return Store(open_engine(environ.get("DATABASE_URL", ""), sqlite_file(settings, state_folder, environ)))
