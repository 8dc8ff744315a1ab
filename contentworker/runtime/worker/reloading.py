"""Reads changes of `[schedules]` in `worker.toml`, for a running beat or desk."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from celery.utils.log import get_logger

from contentworker.errors import ConfigError
from contentworker.runtime.settings import RuntimeSettings, ScheduleSettings
from contentworker.runtime.worker.schedules import beat_schedule

__all__ = ["ScheduleFile", "take_changes"]

logger = get_logger(__name__)


class ScheduleFile:
    """Checks whether a settings file was changed. `load` reads it, and applies environment variables."""

    def __init__(self, file: Path, load: Callable[[], RuntimeSettings]) -> None:
        self._file = file
        self._load = load
        self._seen = self._state()

    def changed(self) -> Mapping[str, ScheduleSettings] | None:
        """The schedules, if the file was changed since the last call. A wrong file is logged once."""
        state = self._state()
        if state == self._seen:
            return None
        self._seen = state
        try:
            return self._load().schedules
        except ConfigError as error:
            logger.error("The schedules stay as they are until this is fixed: %s", error)  # noqa: TRY400
            return None

    def _state(self) -> tuple[int, int, int] | None:
        try:
            found = self._file.stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_size, found.st_ino


def take_changes(app: Any) -> bool:
    """Give an application the schedules of its `schedule_file`; return False if the file was not changed."""
    file: ScheduleFile | None = getattr(app, "schedule_file", None)
    settings = file.changed() if file else None
    if settings is None:
        return False
    before = app.runtime_settings
    others = {name: entry for name, entry in app.conf.beat_schedule.items() if name not in before.schedules}
    app.conf.beat_schedule = {**others, **beat_schedule(settings)}
    app.runtime_settings = before.model_copy(update={"schedules": dict(settings)})
    return True
