"""What is installed: written before anything is placed, so that all of it can be found again."""

import dataclasses
import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path

from contentworker.installer.errors import InstallError
from contentworker.installer.layout import CREDENTIALS, UNITS, Layout, worker

__all__ = ["FORMAT", "OFFERED", "Manifest", "digest"]

FORMAT = 1

OFFERED = ".new"
"""Ending of what is put beside a file that a person changed; systemd reads no file that ends so."""


@dataclass
class Manifest:
    """An installation. Paths are as its machine names them."""

    prefix: str
    user: str
    own_redis: bool = False
    current: str | None = None
    """The release that the installation is at; None until it was complete once."""
    previous: str | None = None
    """The one before, which a rollback goes to."""
    pending: str | None = None
    """The release that is being placed or switched to; None when all is done."""
    releases: list[str] = field(default_factory=list)
    """Those whose folder we made."""
    started: dict[str, str] = field(default_factory=dict)
    """By unit, what it was last started with: a release, and for Redis its configuration."""
    files: dict[str, list[str]] = field(default_factory=dict)
    """By path, the SHA-256 of what we put there; of the last two while one replaces the other."""
    links: list[str] = field(default_factory=list)
    folders: list[str] = field(default_factory=list)
    """Those that were not there before, outermost first."""
    credentials: list[str] = field(default_factory=list)
    """Names of those that we made. No digest: from that, a short password could be guessed."""
    users: list[str] = field(default_factory=list)
    """The accounts that were not there before."""
    format: int = FORMAT

    @classmethod
    def load(cls, path: Path) -> "Manifest | None":
        """Read it; None where nothing is installed.

        Raises:
            InstallError: it is not readable, or of another version of the installer.
        """
        try:
            values = json.loads(path.read_text("utf-8"))
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (OSError, ValueError) as error:
            raise InstallError(f"{path} cannot be read: {error}") from None
        if not isinstance(values, dict) or values.get("format") != FORMAT:
            raise InstallError(
                f"{path} is of another version of the installer; use the checkout that wrote it"
            )
        return cls(**values)

    def paths(self, layout: Layout) -> list[str]:
        """Every path that a run may have been at when it was killed."""
        secrets = [f"{CREDENTIALS}/{name}" for name in self.credentials]
        releases = [layout.release(identity) for identity in self.releases]
        return [layout.manifest, *self.files, *self.links, *secrets, *releases]

    def units(self, layout: Layout) -> list[str]:
        """Every unit that may run, whether or not it was noted that it was started."""
        own = [path.removeprefix(f"{UNITS}/") for path in self.files if path.startswith(f"{UNITS}/")]
        queues = [path.removeprefix(layout.queue("")) for path in self.links if path != layout.current]
        return [
            *(name for name in own if name.endswith(".service") and "@" not in name),
            *(worker(queue) for queue in queues),
        ]

    def text(self) -> bytes:
        return (json.dumps(dataclasses.asdict(self), indent=2) + "\n").encode()

    def is_edited(self, layout: Layout, path: str) -> bool:
        """Whether somebody changed what we put there. What is not there was not edited."""
        place = layout.at(path)
        if place.is_symlink():
            return True
        try:
            found = digest(place.read_bytes())
        except FileNotFoundError:
            return False
        return found not in [*self.files[path], *self.files.get(path + OFFERED, [])]

    @property
    def is_complete(self) -> bool:
        """Whether nothing was interrupted."""
        return self.current is not None and self.pending is None


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
