"""Looks at checkout and machine, and makes of it what is to be done. Changes nothing."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from contentworker import config
from contentworker.installer import accounts, credentials, look, placing, pythons, redis_look, release
from contentworker.installer import layout as places
from contentworker.installer.errors import InstallError
from contentworker.installer.layout import Layout
from contentworker.installer.manifest import Manifest
from contentworker.installer.operator_command import script
from contentworker.installer.plan import Plan
from contentworker.installer.systemd import Systemd
from contentworker.runtime import units

__all__ = ["Options", "Preparation", "installed", "prepare"]

ENVIRONMENT_BYTES = 430e6
"""About what the environment of all locks takes, before it is made for the first time."""

PATIENCE_SECONDS = 180
"""For a service to stop and to start, beside the time that its running tasks may take."""


@dataclass(frozen=True)
class Options:
    """What was asked for, and where."""

    checkout: Path
    environ: Mapping[str, str]
    target: Path = Path("/")
    is_live: bool = True
    prefix: str | None = None
    user: str | None = None
    lock: Path | None = None
    """The packages; those of `services.locks` by default."""


@dataclass
class Preparation:
    """What is known before anything is done."""

    settings: config.Settings
    layout: Layout
    manifest: Manifest | None
    python: pythons.SystemPython
    source: release.Source
    own_redis: bool
    files: dict[str, bytes]
    """What is placed outside the prefix, by path."""
    systemd: int | None = None
    sudo: list[str] = field(default_factory=list)
    new_accounts: list[str] = field(default_factory=list)
    needed_bytes: int = 0
    free_bytes: int = 0
    warnings: list[str] = field(default_factory=list)

    @property
    def identity(self) -> str:
        return self.source.identity

    @property
    def is_done(self) -> bool:
        """Whether all is as it is to be."""
        manifest = self.manifest
        return (
            manifest is not None
            and manifest.is_complete
            and manifest.current == self.identity
            and all(self.layout.at(path).exists() for path in self.files)
        )

    def plan(self, options: Options, built: Path) -> Plan:
        names = places.credential_names(self.files)
        return Plan(
            action="install",
            target=str(self.layout.target),
            prefix=self.layout.prefix,
            user=self.settings.services.user,
            is_live=options.is_live,
            release=self.identity,
            source=str(built),
            redis_port=self.settings.broker.port,
            flower_address=(self.settings.flower.address, self.settings.flower.port),
            secrets={name: options.environ[name] for name in names if options.environ.get(name)},
            patience_seconds=patience_seconds(self.settings),
        )


def patience_seconds(settings: config.Settings) -> float:
    """How long a service may take to end what it is at, and to start anew."""
    return settings.limits.hard_time_limit_seconds + PATIENCE_SECONDS


def installed(options: Options) -> tuple[config.Settings, Layout, Manifest | None]:
    """The settings, with folder and account as asked for or as installed, and what is installed.

    Raises:
        ConfigError: worker.toml, or an option.
        InstallError: what is asked for is not what is installed.
    """
    layout = Layout(options.target, "/")
    found = look.installed_prefix(layout)
    prefix = options.prefix or found
    environ = dict(options.environ)
    if prefix:
        environ["WORKER__SERVICES__PREFIX"] = prefix.rstrip("/")
    settings = config.load(options.checkout / "worker.toml", environ)
    layout = Layout(options.target, settings.services.prefix)
    if found and found != layout.prefix:
        raise InstallError(f"it is installed in {found}; to move it, uninstall it first")
    manifest = Manifest.load(layout.at(layout.manifest))
    user = options.user or (manifest.user if manifest else None)
    if user:
        environ["WORKER__SERVICES__USER"] = user
        settings = config.load(options.checkout / "worker.toml", environ)
    if manifest and manifest.user != settings.services.user:
        raise InstallError(f"its services run as {manifest.user}; for another account, uninstall it first")
    return settings, layout, manifest


def prepare(options: Options) -> Preparation:
    """Look at everything that an installation needs.

    Raises:
        ConfigError: worker.toml, or an option.
        InstallError: it cannot be done.
    """
    settings, layout, manifest = installed(options)
    python = pythons.find(settings.python.versions, options.environ)
    locks = [options.lock] if options.lock else _locks(options.checkout, settings)
    rendered = units.render(settings, options.checkout / "systemd" / "templates")
    source = release.read(options.checkout, rendered, locks, python)
    own_redis = redis_look.needs_own(layout, manifest, options.environ)
    files = places.placed({path: text.encode() for path, text in rendered.items()}, own_redis=own_redis)
    files[places.COMMAND] = script(layout.prefix)
    credentials.refuse_open_ones(layout)
    placing.refuse_strangers(layout, manifest, files)
    found = Preparation(settings, layout, manifest, python, source, own_redis, files)
    found.needed_bytes = _needed_bytes(found, options)
    found.free_bytes = look.free_bytes(layout.at(layout.prefix), found.needed_bytes)
    found.warnings += _kept(found)
    if unknown := release.unknown_to_git(options.checkout):
        found.warnings.append(f"git does not know these, so they are not installed: {', '.join(unknown)}")
    if options.is_live:
        _look_at_machine(found, options)
    return found


def _locks(checkout: Path, settings: config.Settings) -> list[Path]:
    locks = [checkout / "locks" / f"{name}.txt" for name in settings.services.locks]
    for lock in locks:
        if not lock.is_file():
            raise InstallError(f"services.locks: there is no locks/{lock.name}")
    return locks


def _look_at_machine(found: Preparation, options: Options) -> None:
    """What only matters where it is to run."""
    settings, manifest, environ = found.settings, found.manifest, options.environ
    found.systemd = look.systemd_version(found.layout, environ)
    found.sudo = look.sudo(environ, has_terminal=os.isatty(0))
    made = manifest.users if manifest else []
    user = settings.services.user
    names = [user, f"{user}-redis"] if found.own_redis else [user]
    found.new_accounts = accounts.missing([name for name in names if name not in made])
    started = manifest.started if manifest else {}
    asked = Systemd(is_live=True, patience_seconds=PATIENCE_SECONDS, addresses={})
    found.warnings += [f"{unit} is {state}" for unit in started if (state := asked.state(unit)) != "active"]
    # Also what an interrupted run began is ours.
    placed = manifest.units(found.layout) if manifest else []
    ours = [unit for unit in placed if asked.state(unit) in ("active", "activating")]
    if found.own_redis:
        if places.REDIS not in [*started, *ours]:
            redis_look.refuse_taken("Redis", "broker.port", "127.0.0.1", settings.broker.port)
    elif environ.get("REDIS_URL"):
        found.warnings += redis_look.look(settings, environ)
    if places.FLOWER not in [*started, *ours]:
        flower = settings.flower
        redis_look.refuse_taken("Flower", "flower.port", flower.address, flower.port)


def _needed_bytes(found: Preparation, options: Options) -> int:
    if found.layout.at(found.layout.release(found.identity)).is_dir():
        return 0
    environment = release.environment_of(found.source, options.checkout / ".nox" / "install")
    sizes = [path.lstat().st_size for path in environment.rglob("*")]
    return found.source.size_bytes + (sum(sizes) or int(ENVIRONMENT_BYTES))


def _kept(found: Preparation) -> list[str]:
    if found.manifest is None:
        return []
    kept = placing.edited(found.layout, found.manifest)
    return [f"{path} was edited by hand and is kept" for path in kept if path != places.ENVIRONMENT]
