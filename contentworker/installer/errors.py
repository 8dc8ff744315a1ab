"""The errors of the installer."""

from contentworker.errors import ContentWorkerError

__all__ = ["InstallError", "ServiceError"]


class InstallError(ContentWorkerError):
    """Nothing was changed, or every change was undone. The message says why, and what to do."""


class ServiceError(InstallError):
    """A unit did not start or stop; `journal` is the end of what it logged."""

    def __init__(self, unit: str, reason: str, journal: str = "") -> None:
        super().__init__(f"{unit}: {reason}")
        self.unit, self.journal = unit, journal
