"""The errors of the installer."""

from contentworker.errors import ContentWorkerError

__all__ = ["InstallError", "ServiceError"]


class InstallError(ContentWorkerError):
    """Nothing was changed, or all was taken back; the message says why, and what to do."""


class ServiceError(InstallError):
    """A service did not do what it was told."""

    def __init__(self, unit: str, reason: str, journal: str = "") -> None:
        super().__init__(f"{unit}: {reason}")
        self.journal = journal
        """The last lines that it logged."""
