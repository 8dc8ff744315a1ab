"""The errors that the project's own code raises on purpose."""

__all__ = ["ConfigError", "ContentError", "ContentWorkerError", "PermanentError"]


class ContentWorkerError(Exception):
    """Base of every error raised on purpose by this project."""


class PermanentError(ContentWorkerError):
    """Trying again cannot help: the task fails at once and is never retried."""


class ConfigError(ContentWorkerError):
    """`worker.toml` or the environment is wrong; the message names file, key and what is allowed."""


class ContentError(PermanentError, ValueError):
    """What a task was given cannot be worked on.

    `field` is the argument's name, `expected` says what was expected of it and what came instead.
    Both travel as plain strings, so that a JSON result backend can rebuild the error.
    """

    def __init__(self, field: str, expected: str) -> None:
        super().__init__(field, expected)
        self.field = field
        self.expected = expected

    def __str__(self) -> str:
        return f"{self.field}: {self.expected}"
