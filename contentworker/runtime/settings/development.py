"""Work on the project: Pythons, reloading, development mode, `nox -s up` and the devcontainer."""

import re
import shlex
from typing import Annotated, Self

from pydantic import AfterValidator, Field, field_validator, model_validator

from contentworker.runtime.settings.tasks import RetrySettings
from contentworker.sections import QueueName, Seconds, Section, shaped

__all__ = [
    "DevcontainerSettings",
    "DevelopmentSettings",
    "ProgramSettings",
    "PythonSettings",
    "ReloadSettings",
]

OLDEST_PYTHON_MINOR = 11
"""The oldest Python 3 that can run the project: `requires-python` in pyproject.toml."""


def _check_python(value: str) -> str:
    minor = re.fullmatch(r"3\.(\d+)", value, re.ASCII)
    if not minor or int(minor[1]) < OLDEST_PYTHON_MINOR:
        raise ValueError(f"must be a version such as 3.13; the oldest is 3.{OLDEST_PYTHON_MINOR}")
    return value


PythonVersion = Annotated[str, AfterValidator(_check_python)]


class PythonSettings(Section):
    """The Python versions that the project supports."""

    versions: tuple[PythonVersion, ...] = Field(
        ("3.11", "3.12", "3.13"),
        min_length=1,
        description="`nox -s tests` runs on each of these that is installed.",
    )


class ReloadSettings(Section):
    """When `nox -s worker` reloads (docs/development.md). It reads this when it starts."""

    patterns: tuple[str, ...] = Field(
        (),
        description="More files that trigger a reload, besides `*.py`, `*.lua` and `worker.toml`: "
        "`prompts/*.txt`, relative to this folder; `*` matches any characters. Hidden files never do.",
    )
    ignored_folders: tuple[str, ...] = Field(
        (), description="Folders not to watch, in the same form: large ones with data or media."
    )
    polling: bool = Field(
        False,
        description="Look for changed files twice a second. The worker does so on its own where it knows "
        "that the system reports no changes. Set it where changes in a shared or remote folder go unnoticed.",
    )


class DevelopmentSettings(Section):
    """Development mode: in workers that reload (`nox -s worker`, `nox -s up`), never in services.

    The first failure of a task is logged at once with its traceback, a success is one short line, and retries
    come within seconds (docs/development.md).
    """

    enabled: bool = Field(True, description="With `false` such a worker logs and retries as a service does.")
    retry_initial_delay_seconds: Seconds = Field(1, description="Delay before the first retry; no jitter.")
    retry_multiplier: float = Field(
        2, ge=1, allow_inf_nan=False, description="Each delay is the one before it times this."
    )
    retry_max_delay_seconds: Seconds = Field(4, description="Longest delay.")

    @property
    def retry_policy(self) -> RetrySettings:
        """The delays as a policy, for tasks of any class."""
        return RetrySettings(
            initial_delay_seconds=self.retry_initial_delay_seconds,
            multiplier=self.retry_multiplier,
            max_delay_seconds=self.retry_max_delay_seconds,
            jitter_seconds=0,
        )

    @model_validator(mode="after")
    def _delays_are_ordered(self) -> Self:
        if self.retry_initial_delay_seconds > self.retry_max_delay_seconds:
            raise ValueError("retry_initial_delay_seconds must not exceed retry_max_delay_seconds")
        return self


class ProgramSettings(Section):
    """A program that `nox -s up` runs (docs/up.md)."""

    command: str = Field(
        min_length=1,
        description="What to run, in words as a shell splits them; no shell runs it. `python` and `celery` "
        "are those of this environment.",
    )
    after: tuple[QueueName, ...] = Field(
        (), description="Programs that must be ready before this one starts. It ends before they do."
    )
    ready_text: str = Field(
        "",
        description="The program is ready when a line that it prints contains this. With neither this nor "
        "`ready_section` it is ready as soon as it runs.",
    )
    ready_section: str = Field(
        "",
        description="The program is ready when something answers at the `address` and `port` of this "
        "section, such as `flower`.",
    )
    reads_settings: bool = Field(
        default=False, description="The program is started again when `worker.toml` changes and is valid."
    )

    @field_validator("command")
    @classmethod
    def _is_complete(cls, value: str) -> str:
        try:
            shlex.split(value)
        except ValueError as error:
            raise ValueError(f"must be words as a shell splits them ({error})") from None
        return value


class DevcontainerSettings(Section):
    """The development container: `nox -s generate` writes `.devcontainer/`."""

    image: Annotated[
        str,
        shaped(
            r"[a-z0-9][a-z0-9._/:-]*(@sha256:[0-9a-f]{64})?",
            "the name of an image, such as debian:trixie-slim, which may end in @sha256: and 64 digits",
        ),
    ] = Field(
        "debian:trixie-slim",
        description="Base image: a Debian whose Python is one of `python.versions`. `@sha256:…` at its end "
        "pins one exact image (docs/environments.md).",
    )
