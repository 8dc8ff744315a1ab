"""The errors that the project raises on purpose, and a word of help in them."""

import shutil
from collections.abc import Iterable
from difflib import get_close_matches

__all__ = [
    "ConfigError",
    "ConflictError",
    "ContentError",
    "ContentWorkerError",
    "PermanentError",
    "described",
    "did_you_mean",
]


class ContentWorkerError(Exception):
    """Base of every error raised on purpose by this project."""


class PermanentError(ContentWorkerError):
    """A retry cannot help: the task fails at once."""


class ConfigError(ContentWorkerError):
    """`worker.toml` or the environment is wrong; the message names file, key and what is allowed."""


class ContentError(PermanentError, ValueError):
    """A task cannot work on its arguments: `content: must not be empty`.

    `field` is the name of the argument, `expected` what is allowed and what came. Both are plain strings, so
    that a JSON result backend can rebuild the error.
    """

    def __init__(self, field: str, expected: str) -> None:
        super().__init__(field, expected)
        self.field = field
        self.expected = expected

    def __str__(self) -> str:
        return f"{self.field}: {self.expected}"


class ConflictError(ContentError):
    """Somebody else was faster: what the arguments rest on has changed. Nothing of them was recorded."""


def described(error: OSError) -> str:
    """What is wrong with which file, in a line."""
    if isinstance(error, shutil.Error):  # a list with each file that could not be copied
        place, _, reason = error.args[0][0]
        return f"{place}: {reason}"
    return f"{error.filename}: {error.strerror}" if error.filename else str(error.strerror or error)


def did_you_mean(given: object, allowed: Iterable[str]) -> str:
    """`; did you mean evaluation?` for the end of an error, or nothing if no word is close to it."""
    words = {word.lower(): word for word in allowed}
    name = str(given).lower()
    # `score_aeo` or `tasks.score_aeo`: the name of a task without its module.
    ends_so = [word for word in words if word.rpartition(".")[2] == name.rpartition(".")[2]]
    # 0.66: `retry` for `retries`.
    close = get_close_matches(name, words, 1, cutoff=0.66) or get_close_matches(name, ends_so, 1, cutoff=0)
    return f"; did you mean {words[close[0]]}?" if close else ""
