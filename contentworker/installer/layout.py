"""Where each file of an installation is. Every name here without an underscore is for other modules."""

import hashlib
import os
import re
from dataclasses import dataclass
from pathlib import Path

CONFIGURATION = "/etc/content-worker"
CREDENTIALS = f"{CONFIGURATION}/credentials"
ENVIRONMENT = f"{CONFIGURATION}/environment"
INSTALLED_ENVIRONMENT = f"{CONFIGURATION}/environment.installed"
"""The WORKER__… variables that were set when you typed install. Services read it before ENVIRONMENT."""
REDIS_CONFIGURATION = f"{CONFIGURATION}/redis.conf"
UNITS = "/etc/systemd/system"
COMMAND = "/usr/local/bin/content-worker"
STATE = "/var/lib/content-worker"
REDIS_DATA = "/var/lib/content-worker-redis"
RUNTIME = "/run/content-worker"

UMBRELLA = "celery-worker.service"
BACKUP, BACKUP_TIMER = "celery-backup.service", "celery-backup.timer"
BEAT = "celery-beat.service"
DESK, DESK_PASSWORDS = "celery-desk.service", "DESK_PASSWORDS"  # editorial
FLOWER = "celery-flower.service"
HEALTH = "celery-health.service"
METRICS = "celery-metrics.service"
REDIS = "celery-redis.service"
SECRETS = "celery-secrets.service"
FIRST_BOOT = f"{UNITS}/multi-user.target.wants/{SECRETS}"
"""The link that enables SECRETS in a staged tree."""
PREFLIGHT = "celery-preflight@.service"
REPORTS = "celery-failed@*.service"
"""The reports of failures; each runs for a minute after a unit has failed."""

_PLACES = {
    "redis.conf": REDIS_CONFIGURATION,
    "environment.example": ENVIRONMENT,
    "environment.installed": INSTALLED_ENVIRONMENT,
}
_DROP_IN = re.compile(r"celery-worker@(.+)\.service\.d")


@dataclass(frozen=True)
class Layout:
    """The paths of an installation: as its machine names them, and where they are from here."""

    target: Path
    """The folder that is `/` for the installation: `/` itself, or the folder that it is staged in."""
    prefix: str

    def at(self, path: str) -> Path:
        """Where a path of the installation is from here."""
        return self.target / path.lstrip("/")

    @property
    def manifest(self) -> str:
        """Path of the file that says what is installed."""
        return f"{self.prefix}/manifest.json"

    @property
    def current(self) -> str:
        """Path of the link to the release that runs."""
        return f"{self.prefix}/current"

    def release(self, identity: str) -> str:
        """Path of the folder of a release."""
        return f"{self.prefix}/releases/{identity}"

    def queue(self, name: str) -> str:
        """The link to the release that a worker runs. The first worker of a queue has the queue's name."""
        return f"{self.prefix}/queues/{name}"


def worker(name: str) -> str:
    """The unit of a worker. The first worker of a queue has the queue's name."""
    return f"celery-worker@{name}.service"


def name_of(unit: str) -> str:
    """The name of the worker whose unit this is."""
    return unit.removeprefix("celery-worker@").removesuffix(".service")


def preflight(release: str) -> str:
    """The unit that checks a release before any service runs it."""
    return PREFLIGHT.replace("@", f"@{release}")


def workers_of(release: Path) -> list[str]:
    """The names of the workers that a release has: each queue, and `QUEUE-2` … if a queue has several."""
    names = sorted(path.name for path in (release / "systemd").iterdir())
    return [match[1] for name in names if (match := _DROP_IN.fullmatch(name))]


def is_masked(layout: Layout, queue: str) -> bool:
    """Whether a person took a queue off this machine with `systemctl mask`."""
    return os.path.realpath(layout.at(f"{UNITS}/{worker(queue)}")) == os.devnull


def is_ours(path: str, prefix: str) -> bool:
    """Whether only an installation has a reason to put files there."""
    return path == prefix or path.startswith((f"{prefix}/", CONFIGURATION, f"{UNITS}/celery-"))


def template(unit: str) -> str:
    """The name of a unit's file. All instances (`celery-worker@rewrite.service`) share one file."""
    return re.sub("@.+(?=[.])", "@", unit)


def unit_files(release: Path, *, own_redis: bool) -> dict[str, bytes]:
    """The units of a release and the files that belong to them, by the path where each is installed."""
    folder = release / "systemd"
    names = [path.relative_to(folder).as_posix() for path in sorted(folder.rglob("*")) if path.is_file()]
    return placed({name: (folder / name).read_bytes() for name in names}, own_redis=own_redis)


def placed(rendered: dict[str, bytes], *, own_redis: bool) -> dict[str, bytes]:
    """The files of `systemd/` by the path where each is installed, without those that are not."""
    files = {place: data for name, data in rendered.items() if (place := _place(name))}
    if not own_redis:
        for path in (REDIS_CONFIGURATION, f"{UNITS}/{REDIS}"):
            files.pop(path, None)
    return files


def _place(name: str) -> str | None:
    if name.startswith(("sysusers.d/", "tmpfiles.d/")):
        return f"/etc/{name}"
    if name.endswith((".service", ".timer", ".service.d/50-worker-toml.conf")):
        return f"{UNITS}/{name}"
    return _PLACES.get(name)


def redis_version(files: dict[str, bytes]) -> str:
    """A digest of what the installed Redis runs with; it is restarted when this changes."""
    return hashlib.sha256(files[f"{UNITS}/{REDIS}"] + files[REDIS_CONFIGURATION]).hexdigest()


def credential_names(files: dict[str, bytes]) -> list[str]:
    """The credentials that the units load. systemd does not start a unit if the file of one is missing."""
    pattern = re.compile(rf"^LoadCredential=\S+:{re.escape(CREDENTIALS)}/(\S+)$", re.MULTILINE)
    return sorted({name for text in files.values() for name in pattern.findall(text.decode())})
