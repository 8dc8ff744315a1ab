"""Looks at the checkout and the machine, and makes the plan. Changes nothing."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from contentworker import config
from contentworker.desk import passwords  # editorial
from contentworker.generate import units
from contentworker.installer import addresses, checks, credentials, machine, placing, release
from contentworker.installer import layout as places
from contentworker.installer.errors import InstallError
from contentworker.installer.layout import Layout
from contentworker.installer.manifest import Manifest
from contentworker.installer.operator_command import script
from contentworker.installer.plan import Plan
from contentworker.installer.systemd import Systemd

__all__ = ["Options", "Preparation", "installed", "patience_seconds", "prepare"]

ENVIRONMENT_BYTES = 430e6
"""About the size of an environment of all locks, for the plan before the first one is made."""

NOT_KEPT = {"WORKER__SERVICES__PREFIX", "WORKER__SERVICES__USER"}
"""Variables that the installation itself records."""

INSTALLED_ENVIRONMENT = f"""\
# The WORKER__… variables that were set when you typed install or upgrade. Upgrades keep them.
# {places.ENVIRONMENT} wins over this file. To drop a variable, delete its line, then upgrade.
"""

PATIENCE_SECONDS = 180
"""Time for a service to stop and start, besides the time for its running tasks."""


@dataclass(frozen=True)
class Options:
    """What the user asked for."""

    checkout: Path
    environ: Mapping[str, str]
    target: Path = Path("/")
    is_live: bool = True
    prefix: str | None = None
    user: str | None = None


@dataclass
class Preparation:
    """What is known before anything is done."""

    settings: config.Settings
    layout: Layout
    manifest: Manifest | None
    python: machine.SystemPython
    source: release.Source
    own_redis: bool
    files: dict[str, bytes]
    """The files outside the prefix, by path."""
    given: dict[str, str]
    """The `WORKER__…` variables of the environment in which the command was typed."""
    kept: dict[str, str]
    """Those that earlier installations kept."""
    systemd: int | None = None
    sudo: list[str] = field(default_factory=list)
    new_accounts: list[str] = field(default_factory=list)
    needed_bytes: int = 0
    free_bytes: int = 0
    warnings: list[str] = field(default_factory=list)
    has_desk: bool = False
    """Whether the desk is to run: it runs already, or somebody may sign in."""

    @property
    def is_done(self) -> bool:
        """Whether there is nothing to do."""
        manifest = self.manifest
        return (
            manifest is not None
            and manifest.is_complete
            and manifest.current == self.source.identity
            and all(self.layout.at(path).exists() for path in self.files)
        )

    def plan(self, options: Options, built: Path) -> Plan:
        """The plan to install what was built."""
        # An image gets no secret. REDIS_URL still says that it has no Redis of its own.
        names = places.credential_names(self.files) if options.is_live else []
        return Plan(
            action="install",
            target=str(self.layout.target),
            prefix=self.layout.prefix,
            user=self.settings.services.user,
            is_live=options.is_live,
            release=self.source.identity,
            source=str(built),
            own_redis=self.own_redis,
            secrets={name: options.environ[name] for name in names if options.environ.get(name)},
            patience_seconds=patience_seconds(self.settings),
            is_gapless=self.settings.services.gapless_upgrades,
        )


def patience_seconds(settings: config.Settings) -> float:
    """Longest time for a service to end its tasks, stop, and start again."""
    return settings.limits.hard_time_limit_seconds + PATIENCE_SECONDS


def installed(options: Options) -> tuple[config.Settings, Layout, Manifest | None]:
    """The settings, with the folder and account that are asked for or installed, and what is installed.

    Raises:
        ConfigError: worker.toml or an option is wrong.
        InstallError: another folder or account is installed.
    """
    layout = Layout(options.target, "/")
    existing = machine.installed_prefix(layout)
    environ = {**addresses.environment(layout.at(places.INSTALLED_ENVIRONMENT)), **options.environ}
    if prefix := options.prefix or existing:
        environ["WORKER__SERVICES__PREFIX"] = prefix.rstrip("/")
    settings = config.load(options.checkout / "worker.toml", environ)
    layout = Layout(options.target, settings.services.prefix)
    if existing and existing != layout.prefix:
        raise InstallError(f"it is installed in {existing}; to move it, uninstall it first")
    manifest = Manifest.load(layout.at(layout.manifest))
    if user := options.user or (manifest.user if manifest else None):
        environ["WORKER__SERVICES__USER"] = user
        settings = config.load(options.checkout / "worker.toml", environ)
    if manifest and manifest.user != settings.services.user:
        raise InstallError(f"its services run as {manifest.user}; for another account, uninstall it first")
    return settings, layout, manifest


def prepare(options: Options) -> Preparation:
    """Look at everything that an installation needs.

    Raises:
        ConfigError: worker.toml or an option is wrong.
        InstallError: something is in the way.
    """
    settings, layout, manifest = installed(options)
    python = machine.find_python(settings.python.versions, options.environ)
    given = _given(options.environ)
    kept = addresses.environment(layout.at(places.INSTALLED_ENVIRONMENT))
    rendered = units.render(settings, options.checkout / "systemd" / "templates")
    lines = [f"{name}={value}\n" for name, value in sorted({**kept, **given}.items())]
    rendered["environment.installed"] = INSTALLED_ENVIRONMENT + "".join(lines)
    source = release.read(options.checkout, rendered, _locks(options.checkout, settings), python)
    is_given = bool(options.environ.get(credentials.REDIS_URL))
    own_redis = credentials.needs_own_redis(layout, manifest, is_given=is_given)
    files = places.placed({path: text.encode() for path, text in rendered.items()}, own_redis=own_redis)
    files[places.COMMAND] = script(layout.prefix, settings.services.user)
    credentials.refuse_open_ones(layout)
    placing.refuse_strangers(layout, manifest, files)
    prepared = Preparation(settings, layout, manifest, python, source, own_redis, files, given, kept)
    prepared.needed_bytes = _needed_bytes(prepared, options)
    prepared.free_bytes = machine.require_space(layout.at(layout.prefix), prepared.needed_bytes)
    edited = placing.edited(layout, manifest) if manifest else []
    prepared.warnings += [
        f"{path} was edited by hand and is kept" for path in edited if path != places.ENVIRONMENT
    ]
    if unknown := release.unknown_to_git(options.checkout):
        prepared.warnings.append(f"not in git, so they are not installed: {', '.join(unknown)}")
    if options.is_live:
        _look_at_machine(prepared, options)
    elif secrets := [name for name in places.credential_names(files) if options.environ.get(name)]:
        text = f"{', '.join(secrets)}: no secret is staged; give them to each machine"
        prepared.warnings.append(f"{text}, as files in {places.CREDENTIALS}")
    return prepared


def _given(environ: Mapping[str, str]) -> dict[str, str]:
    given = {name: value for name, value in environ.items() if name.startswith(config.ENVIRONMENT_PREFIX)}
    for name, value in given.items():
        if not value.isprintable() or "\\" in value:
            raise InstallError(f"{name}: must have no line break and no backslash, as it is kept in a file")
    return {name: given[name] for name in sorted(given.keys() - NOT_KEPT)}


def _locks(checkout: Path, settings: config.Settings) -> list[Path]:
    locks = [checkout / "locks" / f"{name}.txt" for name in settings.services.locks]
    for lock in locks:
        if not lock.is_file():
            raise InstallError(f"services.locks: there is no locks/{lock.name}")
    return locks


def _look_at_machine(prepared: Preparation, options: Options) -> None:
    """Look at what matters only where the services will run."""
    settings, manifest, environ = prepared.settings, prepared.manifest, options.environ
    layout = prepared.layout
    prepared.systemd = machine.systemd_version(layout, environ)
    prepared.sudo = machine.sudo(environ)
    made = manifest.users if manifest else []
    user = settings.services.user
    names = [user, f"{user}-redis"] if prepared.own_redis else [user]
    prepared.new_accounts = machine.missing_accounts([name for name in names if name not in made])
    started = manifest.started if manifest else {}
    systemd = Systemd(layout, is_live=True, patience_seconds=PATIENCE_SECONDS)
    prepared.warnings += [
        f"{unit} is {state}" for unit in started if (state := systemd.state(unit)) != "active"
    ]
    if manifest and manifest.current and settings.services.gapless_upgrades:
        prepared.warnings += _short_of_memory([unit for unit in started if "@" in unit], systemd)
    # Also what an interrupted run started is ours.
    placed = manifest.units if manifest else []
    ours = {*started, *(unit for unit in placed if systemd.state(unit) in ("active", "activating"))}

    def refuse_taken_port(unit: str, what: str, key: str, host: str, port: int) -> None:
        if unit not in ours or addresses.of(layout, unit) != (host, port):
            checks.refuse_taken_port(what, key, host, port)

    if prepared.own_redis:
        refuse_taken_port(places.REDIS, "Redis", "broker.port", "127.0.0.1", settings.broker.port)
    elif environ.get(credentials.REDIS_URL):
        queue = checks.escalations_queue(settings)
        keeps_files = queue is not None and not places.is_masked(layout, queue)
        prepared.warnings += checks.examine_redis(settings, environ, keeps_files=keeps_files)
    if database := environ.get("DATABASE_URL"):
        checks.examine_database(settings, database)
    flower = settings.flower
    refuse_taken_port(places.FLOWER, "Flower", "flower.port", flower.address, flower.port)
    # >>> editorial
    given = environ.get(places.DESK_PASSWORDS, "")
    prepared.has_desk = places.DESK in ours or bool(given)
    if prepared.has_desk:
        if given:
            passwords.read(given)
        desk = settings.desk
        refuse_taken_port(places.DESK, "the desk", "desk.port", desk.address, desk.port)
    # <<< editorial


def _short_of_memory(workers: list[str], systemd: Systemd) -> list[str]:
    """A warning if the machine has no room for a second one of its largest worker."""
    used, unit = max([(systemd.memory_bytes(unit), unit) for unit in workers], default=(0, ""))
    available = machine.available_memory_bytes()
    if available is None or used <= available:
        return []
    text = f"{unit} uses {used / 1e6:,.0f} MB, and {available / 1e6:,.0f} MB are available"
    return [f"{text}: a second one may not fit. services.gapless_upgrades = false starts none"]


def _needed_bytes(prepared: Preparation, options: Options) -> int:
    if prepared.layout.at(prepared.layout.release(prepared.source.identity)).is_dir():
        return 0
    environment = release.environment_of(prepared.source, options.checkout / ".nox" / "install")
    sizes = [path.lstat().st_size for path in environment.rglob("*")]
    return prepared.source.size_bytes + (sum(sizes) or int(ENVIRONMENT_BYTES))
