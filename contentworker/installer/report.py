"""What the commands print: the plan before, and what runs after."""

import difflib
from collections.abc import Iterator

from contentworker.installer import layout as places
from contentworker.installer.manifest import Manifest
from contentworker.installer.prepare import Preparation
from contentworker.installer.release import package_count
from contentworker.printable import counted

__all__ = ["after", "before", "before_removal", "preflight"]

WIDTH = 12
"""Columns of the first word of a line."""
MOST_LINES = 40
"""Lines of the differences in units; more would hide the plan."""


def before(prepared: Preparation, redis_url: str | None) -> Iterator[str]:
    """The plan of an installation or upgrade."""
    manifest, layout, source = prepared.manifest, prepared.layout, prepared.source
    old = manifest.current if manifest else None
    if old:
        yield f"From release {old} to {prepared.source.identity}, in {layout.prefix}:"
    else:
        yield f"Content Worker, release {prepared.source.identity} of this checkout:"
    if manifest and manifest.pending:
        yield _line("continues", f"an earlier run, to release {manifest.pending}, was interrupted")
    size = f"{source.size_bytes / 1e6:.1f} MB, with {package_count(source.lock)} packages"
    yield _line("code", f"{layout.prefix}, {size} for {prepared.python.path} ({prepared.python.version})")
    yield _line(
        "disk", f"about {prepared.needed_bytes / 1e6:,.0f} MB of {prepared.free_bytes / 1e6:,.0f} MB free"
    )
    yield from _services(prepared, manifest)
    if masked := [name for name in sorted(prepared.settings.workers) if places.is_masked(layout, name)]:
        yield _line("left out", f"masked on this machine: {', '.join(masked)}")
    yield _line("settings", f"{places.ENVIRONMENT} (yours; never overwritten)")
    for name, value in sorted({**prepared.kept, **prepared.given}.items()):
        origin = "kept in " + places.INSTALLED_ENVIRONMENT
        if name in prepared.given:
            origin = "of this environment"
        was = prepared.kept.get(name, value)
        yield _line("", f"{name}={value} ({origin}{f'; before: {was}' if was != value else ''})")
    yield _line("secrets", f"{places.CREDENTIALS}/ (readable by root alone; existing ones are kept)")
    yield _line("Redis", _redis(prepared, redis_url))
    if prepared.systemd:
        new = f"new, without login: {', '.join(prepared.new_accounts)}"
        yield _line("accounts", new if prepared.new_accounts else "exist already")
    yield from _notes(prepared)
    for number, line in enumerate(_differences(prepared) if old else []):
        yield _line("" if number else "changes", line)


def _differences(prepared: Preparation) -> list[str]:
    """The lines that change in units and configuration, without those around them."""
    lines: list[str] = []
    for path, data in sorted(prepared.files.items()):
        place = prepared.layout.at(path)
        if path in (places.COMMAND, places.ENVIRONMENT, places.INSTALLED_ENVIRONMENT):
            continue
        old = place.read_text("utf-8") if place.is_file() else ""
        compared = difflib.unified_diff(old.splitlines(), data.decode().splitlines(), n=0, lineterm="")
        changed = [line for line in compared if not line.startswith(("---", "+++", "@@"))]
        if changed and old:
            lines += [path, *(f"  {line}" for line in changed)]
        elif changed:
            lines.append(f"{path}: new")
    if len(lines) > MOST_LINES:
        lines[MOST_LINES:] = [f"and {counted(len(lines) - MOST_LINES, 'more line')}"]
    return lines


def _services(prepared: Preparation, manifest: Manifest | None) -> Iterator[str]:
    names = sorted(prepared.settings.workers)  # the order in which they are switched
    started = manifest.started if manifest else {}
    known = [name for name in names if places.worker(name) in started]
    if not known:
        workers = f"the workers {', '.join(names)}"
        others = "beat, which sends the schedules; Flower"
        others += "; the desk" if prepared.has_desk else ""  # editorial
        yield _line("services", f"{places.UNITS}: {workers}; {others}")
        return
    yield _line("workers", f"restarted one after another, each when its tasks have ended: {', '.join(known)}")
    if prepared.settings.services.gapless_upgrades:
        yield _line("", "meanwhile a second worker, celery-worker@NAME-next, serves the queue")
    else:
        yield _line("", "meanwhile its queue waits (services.gapless_upgrades = false)")
    if new := [name for name in names if name not in known]:
        yield _line("new", ", ".join(new))
    if gone := [unit for unit in started if "@" in unit and unit not in map(places.worker, names)]:
        yield _line("removed", f"when their tasks have ended: {', '.join(gone)}")


def _redis(prepared: Preparation, redis_url: str | None) -> str:
    manifest = prepared.manifest
    if not prepared.own_redis:
        if manifest or not redis_url:
            return f"the one of {places.CREDENTIALS}/REDIS_URL"
        from contentworker.runtime.records import connections

        return f"{connections.sanitized(redis_url)}, of REDIS_URL"
    where = f"one of its own on 127.0.0.1:{prepared.settings.broker.port}, {places.REDIS_DATA}"
    if manifest is None:
        return f"{where}, with a new password"
    if places.REDIS not in manifest.started:
        return f"{where}, with the password that it had"
    if manifest.started[places.REDIS] == places.redis_version(prepared.files):
        return f"{where}, which is not restarted"
    return f"{where}, restarted, as its unit or its configuration changed"


def after(prepared: Preparation) -> Iterator[str]:
    """What runs now, and how to look at it."""
    flower, secrets = prepared.settings.flower, places.CREDENTIALS
    yield f"Release {prepared.source.identity} runs: {', '.join(prepared.settings.queues)}."
    yield _line("services", "systemctl status celery-worker 'celery-worker@*' celery-beat celery-flower")
    yield _line("logs", "journalctl --follow --unit 'celery-worker@*'")
    yield _line("queues", "sudo content-worker health")
    yield _line("Flower", f"http://{flower.address}:{flower.port}, sudo cat {secrets}/FLOWER_BASIC_AUTH")
    # >>> editorial
    if prepared.has_desk:
        desk = prepared.settings.desk
        address = desk.public_url or f"http://{desk.address}:{desk.port}"
        yield _line("desk", f"{address}, systemctl status celery-desk")
    # <<< editorial
    if prepared.own_redis:
        yield _line("Redis", f"for the programs that send tasks: sudo cat {secrets}/REDIS_URL")


def before_removal(manifest: Manifest, *, removes_data: bool) -> Iterator[str]:
    """The plan of a removal."""
    yield f"What was installed in {manifest.prefix} is removed:"
    if units := manifest.units:
        yield _line("services", f"stopped when their tasks have ended: {', '.join(units)}")
    yield _line("files", f"{len(manifest.files)}, and {counted(len(manifest.releases), 'release')}")
    data = "secrets, Redis' data, accounts" if manifest.own_redis else "secrets, accounts"
    yield _line("data", f"{data}: {'removed as well' if removes_data else 'kept'}")


def preflight(prepared: Preparation) -> Iterator[str]:
    """What was checked, and is as it must be."""
    settings, own_redis = prepared.settings, prepared.own_redis
    free, needed = prepared.free_bytes / 1e6, prepared.needed_bytes / 1e6
    yield _line("systemd", f"{prepared.systemd}; {'sudo' if prepared.sudo else 'as root'}")
    yield _line("Python", f"{prepared.python.path} ({prepared.python.version})")
    yield _line("disk", f"{free:,.0f} MB free, {needed:,.0f} MB needed")
    ports = [settings.flower.port, *([settings.broker.port] if own_redis else [])]
    ports += [settings.desk.port] if prepared.has_desk else []  # editorial
    yield _line("ports", f"{', '.join(map(str, ports))}: free, or used by this installation")
    yield _line("Redis", "one of its own" if own_redis else "can be used, if REDIS_URL is set")
    yield from _notes(prepared)


def _notes(prepared: Preparation) -> Iterator[str]:
    return (_line("note", warning) for warning in prepared.warnings)


def _line(name: str, text: str) -> str:
    return f"  {name:<{WIDTH}}{text}"
