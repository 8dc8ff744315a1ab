"""What is installed. It is written before a file is placed, so that every file can be found again."""

import dataclasses
import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path

from contentworker.installer.errors import InstallError
from contentworker.installer.layout import CREDENTIALS, UNITS, Layout, worker

__all__ = ["FORMAT", "OFFERED", "Manifest", "digest"]

FORMAT = 1
"""Version of the manifest's format; a file with another version is refused."""
OFFERED = ".new"
"""Ending of the file that is put beside one that a person edited. systemd reads no file with this ending."""


@dataclass
class Manifest:
    """An installation. Paths are as its machine names them."""

    prefix: str
    user: str
    own_redis: bool = False
    current: str | None = None
    """The release that is installed; None until an installation was complete once."""
    previous: str | None = None
    """The release that a rollback goes to."""
    pending: str | None = None
    """The release that is being installed; None if nothing was interrupted."""
    releases: list[str] = field(default_factory=list)
    """The releases whose folder we made."""
    started: dict[str, str] = field(default_factory=dict)
    """By unit, what it was last started with: a release, or for Redis a digest of its configuration."""
    files: dict[str, list[str]] = field(default_factory=dict)
    """By path, the SHA-256 of what we wrote there; two, old and new, while one replaces the other."""
    links: list[str] = field(default_factory=list)
    folders: list[str] = field(default_factory=list)
    """The folders that we made, outermost first."""
    credentials: list[str] = field(default_factory=list)
    """Names of the credentials that we made. No digest: a short password could be guessed from it."""
    users: list[str] = field(default_factory=list)
    """The accounts that we made."""
    format: int = FORMAT

    @classmethod
    def load(cls, path: Path) -> "Manifest | None":
        """Read a manifest; None if nothing is installed.

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

    def text(self) -> bytes:
        """The manifest as its file has it."""
        return (json.dumps(dataclasses.asdict(self), indent=2) + "\n").encode()

    def paths(self, layout: Layout) -> list[str]:
        """Every path that a run may have been writing when it was killed."""
        secrets = [f"{CREDENTIALS}/{name}" for name in self.credentials]
        releases = [layout.release(identity) for identity in self.releases]
        return [layout.manifest, *self.files, *self.links, *secrets, *releases]

    @property
    def units(self) -> list[str]:
        """Every unit that may run, whether or not its start was recorded."""
        own = [path.removeprefix(f"{UNITS}/") for path in self.files if path.startswith(f"{UNITS}/")]
        once = [name for name in own if name.endswith((".service", ".timer")) and "@" not in name]
        queues = [path for path in self.links if path.startswith(f"{self.prefix}/queues/")]
        return once + [worker(Path(path).name) for path in queues]

    def is_edited(self, layout: Layout, path: str) -> bool:
        """Whether a person changed what we wrote there. A file that is missing was not edited."""
        place = layout.at(path)
        if place.is_symlink():
            return True
        if not place.exists():
            return False
        return digest(place.read_bytes()) not in [*self.files[path], *self.files.get(path + OFFERED, [])]

    @property
    def is_complete(self) -> bool:
        """Whether a release is installed, and no run was cut off."""
        return self.current is not None and self.pending is None


def digest(data: bytes) -> str:
    """The SHA-256 sum of data, in hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()
