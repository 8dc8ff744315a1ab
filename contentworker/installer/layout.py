"""Where everything of an installation is."""

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

__all__ = [
    "BEAT",
    "COMMAND",
    "CONFIGURATION",
    "CREDENTIALS",
    "ENVIRONMENT",
    "FLOWER",
    "HEALTH",
    "METRICS",
    "REDIS",
    "REDIS_CONFIGURATION",
    "REDIS_DATA",
    "RUNTIME",
    "STATE",
    "UMBRELLA",
    "UNITS",
    "Layout",
    "credential_names",
    "is_ours",
    "placed",
    "queues_of",
    "redis_version",
    "template",
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

RUNTIME = "/run/content-worker"

UMBRELLA = "celery-worker.service"
BEAT = "celery-beat.service"
FLOWER = "celery-flower.service"
HEALTH = "celery-health.service"
METRICS = "celery-metrics.service"
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


def is_ours(path: str, prefix: str) -> bool:
    """Whether nobody else has a reason to put files there."""
    return path == prefix or path.startswith((f"{prefix}/", CONFIGURATION, f"{UNITS}/celery-"))


def template(unit: str) -> str:
    """The name of a unit's file: that of one instance is that of all."""
    return re.sub("@.+(?=[.])", "@", unit)


def unit_files(release: Path, *, own_redis: bool) -> dict[str, bytes]:
    """What a release has systemd run, and what belongs to that: text by the path that it is installed at."""
    folder = release / "systemd"
    names = [path.relative_to(folder).as_posix() for path in sorted(folder.rglob("*")) if path.is_file()]
    return placed({name: (folder / name).read_bytes() for name in names}, own_redis=own_redis)


def placed(rendered: dict[str, bytes], *, own_redis: bool) -> dict[str, bytes]:
    """The files of `systemd/` by the path that each is installed at; without those that are not."""
    files = {place: data for name, data in rendered.items() if (place := _place(name))}
    if not own_redis:
        for path in (REDIS_CONFIGURATION, f"{UNITS}/{REDIS}"):
            files.pop(path, None)
    return files


def _place(name: str) -> str | None:
    if name.startswith(("sysusers.d/", "tmpfiles.d/")):
        return f"/etc/{name}"
    if name.endswith((".service", ".service.d/50-worker-toml.conf")):
        return f"{UNITS}/{name}"
    return PLACES.get(name)


def redis_version(files: dict[str, bytes]) -> str:
    """What our own Redis runs: it is restarted when this changes."""
    return hashlib.sha256(files[f"{UNITS}/{REDIS}"] + files[REDIS_CONFIGURATION]).hexdigest()


def credential_names(files: dict[str, bytes]) -> list[str]:
    """The credentials that units ask for: systemd starts none whose credential is no file."""
    pattern = re.compile(rf"^LoadCredential=\S+:{re.escape(CREDENTIALS)}/(\S+)$", re.M)
    return sorted({name for text in files.values() for name in pattern.findall(text.decode())})
