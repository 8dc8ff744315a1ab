"""Where everything of an installation is."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

__all__ = [
    "COMMAND",
    "CONFIGURATION",
    "CREDENTIALS",
    "ENVIRONMENT",
    "FLOWER",
    "REDIS",
    "REDIS_CONFIGURATION",
    "REDIS_DATA",
    "STATE",
    "UMBRELLA",
    "UNITS",
    "Layout",
    "credential_names",
    "queues_of",
    "unit_files",
    "worker",
]

CONFIGURATION = "/etc/content-worker"
CREDENTIALS = f"{CONFIGURATION}/credentials"
ENVIRONMENT = f"{CONFIGURATION}/environment"
REDIS_CONFIGURATION = f"{CONFIGURATION}/redis.conf"
UNITS = "/etc/systemd/system"
COMMAND = "/usr/local/bin/content-worker"
STATE = "/var/lib/content-worker"
REDIS_DATA = "/var/lib/content-worker-redis"

UMBRELLA = "celery-worker.service"
FLOWER = "celery-flower.service"
REDIS = "celery-redis.service"

PLACES = {"redis.conf": REDIS_CONFIGURATION, "environment.example": ENVIRONMENT}
DROP_IN = re.compile(r"celery-worker@(.+)\.service\.d")


@dataclass(frozen=True)
class Layout:
    """The paths of an installation: as they are named on its machine, and where they are from here."""

    target: Path
    """What is `/` to the installation: `/`, or the folder that it is staged in."""
    prefix: str

    def at(self, path: str) -> Path:
        """Where a path of the installation is from here."""
        return self.target / path.lstrip("/")

    @property
    def manifest(self) -> str:
        return f"{self.prefix}/manifest.json"

    @property
    def current(self) -> str:
        return f"{self.prefix}/current"

    def release(self, identity: str) -> str:
        return f"{self.prefix}/releases/{identity}"

    def queue(self, name: str) -> str:
        """The link that says which release a queue's worker runs."""
        return f"{self.prefix}/queues/{name}"


def worker(queue: str) -> str:
    """The unit of a queue's worker."""
    return f"celery-worker@{queue}.service"


def queues_of(release: Path) -> list[str]:
    """The queues that a release has workers for."""
    names = sorted(path.name for path in (release / "systemd").iterdir())
    return [match[1] for name in names if (match := DROP_IN.fullmatch(name))]


def unit_files(release: Path, *, own_redis: bool) -> dict[str, bytes]:
    """What a release has systemd run, and what belongs to that: text by the path that it is installed at."""
    return {place: path.read_bytes() for path, place in _placed(release / "systemd", own_redis=own_redis)}


def _placed(folder: Path, *, own_redis: bool) -> Iterator[tuple[Path, str]]:
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        place = PLACES.get(name)
        if name.startswith(("sysusers.d/", "tmpfiles.d/")):
            place = f"/etc/{name}"
        elif name.endswith(".service") or name.endswith(".service.d/50-worker-toml.conf"):
            place = f"{UNITS}/{name}"
        if place and path.is_file() and (own_redis or place not in (REDIS_CONFIGURATION, f"{UNITS}/{REDIS}")):
            yield path, place


def credential_names(files: dict[str, bytes]) -> list[str]:
    """The credentials that units ask for: systemd starts none whose credential is no file."""
    pattern = re.compile(rf"^LoadCredential=\S+:{re.escape(CREDENTIALS)}/(\S+)$", re.M)
    return sorted({name for text in files.values() for name in pattern.findall(text.decode())})
