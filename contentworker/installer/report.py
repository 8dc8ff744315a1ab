"""What a person is told: the plan before, and what runs after."""

from collections.abc import Iterator
from pathlib import Path

from contentworker.installer import layout as places
from contentworker.installer.layout import Layout
from contentworker.installer.manifest import Manifest
from contentworker.installer.prepare import Preparation
from contentworker.installer.release import package_count

__all__ = ["after", "before", "before_removal"]

WIDTH = 12


def before(found: Preparation, redis_url: str | None) -> Iterator[str]:
    """The plan of an installation or upgrade."""
    manifest, layout = found.manifest, found.layout
    old = manifest.current if manifest else None
    if old:
        yield f"From release {old} to {found.identity}, in {layout.prefix}:"
    else:
        yield f"Content Worker, release {found.identity} of this checkout:"
    if manifest and manifest.pending:
        yield _line("goes on", f"an earlier run, to release {manifest.pending}, was interrupted")
    packages = package_count(found.source.lock)
    yield _line(
        "code",
        f"{layout.prefix}, {found.source.size_bytes / 1e6:.1f} MB, with {packages} packages for "
        f"{found.python.path} ({found.python.version})",
    )
    yield _line("disk", f"about {found.needed_bytes / 1e6:,.0f} MB of {found.free_bytes / 1e6:,.0f} MB free")
    yield from _services(found, manifest)
    yield _line("settings", f"{places.ENVIRONMENT} (yours; never overwritten)")
    yield _line("secrets", f"{places.CREDENTIALS}/ (root's alone; what is there is kept)")
    yield _line("Redis", _redis(found, redis_url))
    if found.systemd:
        new = f"new, without login: {', '.join(found.new_accounts)}" if found.new_accounts else "are there"
        yield _line("accounts", new)
    for warning in found.warnings:
        yield _line("note", warning)


def _services(found: Preparation, manifest: Manifest | None) -> Iterator[str]:
    queues = sorted(found.settings.queues)  # the order in which they are switched
    started = manifest.started if manifest else {}
    known = [queue for queue in queues if places.worker(queue) in started]
    gone = [unit for unit in started if "@" in unit and unit not in map(places.worker, queues)]
    if not known:
        yield _line("services", f"{places.UNITS}: a worker for each of {', '.join(queues)}; Flower")
        return
    yield _line("workers", f"restarted one after another, each when its tasks have ended: {', '.join(known)}")
    if new := [queue for queue in queues if queue not in known]:
        yield _line("new", ", ".join(new))
    if gone:
        yield _line("removed", f"when their tasks have ended: {', '.join(gone)}")


def _redis(found: Preparation, redis_url: str | None) -> str:
    manifest = found.manifest
    if not found.own_redis:
        if manifest or not redis_url:
            return f"that of {places.CREDENTIALS}/REDIS_URL"
        from contentworker.runtime import connections

        return f"{connections.sanitized(redis_url)}, of REDIS_URL"
    where = f"one of our own on 127.0.0.1:{found.settings.broker.port}, {places.REDIS_DATA}"
    if manifest is None:
        return f"{where}, with a new password"
    if places.REDIS not in manifest.started:
        return f"{where}, with the password that it had"
    if manifest.started[places.REDIS] == places.redis_version(found.files):
        return f"{where}, which is not restarted"
    return f"{where}, restarted, as its unit or its configuration changed"


def after(found: Preparation) -> Iterator[str]:
    """What runs now, and how to look at it."""
    flower, secrets = found.settings.flower, places.CREDENTIALS
    yield f"Release {found.identity} runs: {', '.join(found.settings.queues)}."
    yield _line("services", "systemctl status celery-worker 'celery-worker@*' celery-beat celery-flower")
    yield _line("logs", "journalctl --follow --unit 'celery-worker@*'")
    yield _line("queues", "sudo content-worker health")
    yield _line("Flower", f"http://{flower.address}:{flower.port}, sudo cat {secrets}/FLOWER_BASIC_AUTH")
    if found.own_redis:
        yield _line("Redis", f"for the programs that send tasks: sudo cat {secrets}/REDIS_URL")


def before_removal(manifest: Manifest, *, removes_data: bool) -> Iterator[str]:
    """The plan of a removal."""
    yield f"What was installed in {manifest.prefix} is removed:"
    units = manifest.units(Layout(Path("/"), manifest.prefix))
    if units:
        yield _line("services", f"stopped when their tasks have ended: {', '.join(units)}")
    yield _line("files", f"{len(manifest.files)}, and {len(manifest.releases)} releases")
    data = "secrets, Redis' data, accounts" if manifest.own_redis else "secrets, accounts"
    yield _line("data", f"{data}: {'removed as well' if removes_data else 'kept'}")


def _line(name: str, text: str) -> str:
    return f"  {name:<{WIDTH}}{text}"
