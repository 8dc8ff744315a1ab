"""Removes what an installation made, as far as nobody changed it, and says what it leaves."""

import hashlib
import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from contentworker.installer import accounts
from contentworker.installer import layout as places
from contentworker.installer.changes import sweep
from contentworker.installer.errors import InstallError
from contentworker.installer.layout import Layout
from contentworker.installer.manifest import Manifest
from contentworker.installer.placing import rewrite_manifest
from contentworker.installer.plan import Plan
from contentworker.installer.systemd import Systemd

__all__ = ["clear", "prune", "stop_all", "uninstall"]

Say = Callable[[str], None]

SUMS = "SHA256SUMS"


def uninstall(plan: Plan, layout: Layout, systemd: Systemd, say: Say) -> None:
    """Stop everything, when running tasks have ended, and remove it. Goes on where it was interrupted.

    Raises:
        InstallError: a service does not stop; what is not yet removed is still there.
    """
    manifest = Manifest.load(layout.at(layout.manifest))
    if manifest is None:
        raise InstallError(f"nothing is installed in {plan.prefix}")
    units = stop_all(layout, manifest, systemd, say)
    kept = accounts.remove(manifest.users) if plan.removes_data else []
    kept += clear(layout, manifest, removes_data=plan.removes_data)
    systemd.reload()
    systemd.forget_failures(units)
    for line in kept:
        say(f"kept: {line}")


def stop_all(layout: Layout, manifest: Manifest, systemd: Systemd, say: Say) -> list[str]:
    """Stop every unit, Redis last, and have none start with the machine; return them.

    Raises:
        ServiceError: one does not stop.
    """
    units = manifest.units(layout)
    workers = [unit for unit in units if "@" in unit]
    if workers:
        say(f"stopping {', '.join(workers)}: running tasks end first")
    others = [places.BEAT, places.FLOWER, places.HEALTH, places.METRICS]
    for group in ([places.UMBRELLA, *others], workers, [places.REDIS]):
        if known := [unit for unit in group if unit in units]:
            systemd.stop(*known)
    for unit in units:
        # In an interrupted removal, its file may be gone already.
        if layout.at(f"{places.UNITS}/{places.template(unit)}").exists():
            systemd.disable(unit)
    return units


def clear(layout: Layout, manifest: Manifest, *, removes_data: bool = False) -> list[str]:
    """Remove what the manifest names and nobody changed; return what is kept, and why.

    Credentials and data are kept unless `removes_data`.
    """
    kept: list[str] = []
    sweep(layout, manifest.paths(layout))
    for path in manifest.links:
        if layout.at(path).is_symlink():
            layout.at(path).unlink()
    for identity in manifest.releases:
        kept += _remove_release(layout, layout.release(identity))
    for path in manifest.files:
        if manifest.is_edited(layout, path):
            kept.append(f"{path}, which was edited by hand")
        else:
            layout.at(path).unlink(missing_ok=True)
    shutil.rmtree(layout.at(places.RUNTIME), ignore_errors=True)
    data = _data(layout, manifest, removes_data=removes_data)
    kept += data + _remove_folders(layout, manifest, keeps_manifest=bool(data))
    return kept


def prune(layout: Layout, manifest: Manifest, say: Say) -> None:
    """Remove the releases but the current and the previous one, and folders that nothing is in any more."""
    for identity in [each for each in manifest.releases if each not in (manifest.current, manifest.previous)]:
        for line in _remove_release(layout, layout.release(identity)):
            say(f"kept: {line}")
        if not layout.at(layout.release(identity)).exists():
            manifest.releases.remove(identity)
    for folder in [each for each in manifest.folders if each.startswith(f"{places.UNITS}/")]:
        with suppress(OSError):  # something is in it
            layout.at(folder).rmdir()
            manifest.folders.remove(folder)
    rewrite_manifest(layout, manifest)


def _data(layout: Layout, manifest: Manifest, *, removes_data: bool) -> list[str]:
    """Remove secrets and data, or keep them, and with them the manifest, which says that they are ours."""
    data = [places.REDIS_DATA, places.STATE] if manifest.own_redis else [places.STATE]
    if removes_data:
        for name in manifest.credentials:
            layout.at(f"{places.CREDENTIALS}/{name}").unlink(missing_ok=True)
        for folder in data:
            if layout.at(folder).exists():
                shutil.rmtree(layout.at(folder))
        return []
    secrets = [f"{places.CREDENTIALS}/{name}" for name in manifest.credentials]
    kept = [path for path in [*secrets, *data] if layout.at(path).exists()]
    if kept:
        manifest.current = manifest.previous = manifest.pending = None
        manifest.files, manifest.links, manifest.releases, manifest.started = {}, [], [], {}
        rewrite_manifest(layout, manifest)
    return kept


def _remove_release(layout: Layout, path: str) -> list[str]:
    """Remove what is in a release and unchanged; return what is not."""
    folder = layout.at(path)
    if not folder.is_dir():
        return []
    for name, digest in _sums(folder):
        file = folder / name
        if file.is_file() and hashlib.sha256(file.read_bytes()).hexdigest() == digest:
            file.unlink()
    left = []
    for place in sorted(folder.rglob("*"), reverse=True):
        if place.is_symlink():  # to the system's Python
            place.unlink()
        elif place.is_dir():
            with suppress(OSError):  # something is in it
                place.rmdir()
        elif place.name != SUMS or place.parent != folder:
            left.append(f"{path}/{place.relative_to(folder)}, which was added or edited by hand")
    if not left:
        (folder / SUMS).unlink(missing_ok=True)
        folder.rmdir()
    return left


def _sums(folder: Path) -> Iterator[tuple[str, str]]:
    with suppress(FileNotFoundError):
        for line in (folder / SUMS).read_text("utf-8").splitlines():
            digest, _, name = line.partition("  ")
            yield name, digest


def _remove_folders(layout: Layout, manifest: Manifest, *, keeps_manifest: bool) -> list[str]:
    """Remove the folders that we made, inner ones first, and the manifest when it is all that is left.

    Returns what a stranger has in them.
    """
    kept = []
    for path in reversed(manifest.folders):
        folder = layout.at(path)
        if path == layout.prefix and not keeps_manifest:
            layout.at(layout.manifest).unlink(missing_ok=True)
        if not folder.is_dir():
            continue
        try:
            folder.rmdir()
        except OSError:
            if places.is_ours(path, layout.prefix):
                kept += [f"{path}/{entry.name}" for entry in folder.iterdir()]
    known = [layout.manifest, *manifest.folders, *(f"{places.CREDENTIALS}/{n}" for n in manifest.credentials)]
    return [f"{path}, which we did not make" for path in sorted(kept) if path not in known]
