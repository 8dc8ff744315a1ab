"""Removes what an installation made and you have not edited; says what is left."""

import hashlib
import shutil
from contextlib import suppress

from contentworker.installer import layout as places
from contentworker.installer import machine
from contentworker.installer.changes import sweep
from contentworker.installer.errors import InstallError
from contentworker.installer.layout import Layout
from contentworker.installer.manifest import Manifest
from contentworker.installer.placing import rewrite_manifest
from contentworker.installer.plan import Plan, Say
from contentworker.installer.release import SUMS, checksums
from contentworker.installer.stand_ins import StandIns
from contentworker.installer.systemd import Systemd

__all__ = ["clear", "prune", "stop_all", "uninstall"]


def uninstall(plan: Plan, layout: Layout, systemd: Systemd, say: Say) -> None:
    """Let running tasks end, stop everything, and remove it. A second run continues an interrupted one.

    A service that does not stop raises a ServiceError; what is not removed yet is still there.
    """
    manifest = Manifest.load(layout.at(layout.manifest))
    if manifest is None:
        raise InstallError(f"nothing is installed in {plan.prefix}")
    units = stop_all(layout, manifest, systemd, say)
    StandIns(layout, systemd, say, manifest.links).forget()
    kept = machine.remove_accounts(manifest.users) if plan.removes_data else []
    kept += clear(layout, manifest, removes_data=plan.removes_data)
    systemd.reload()
    systemd.forget_failures(units)
    for line in kept:
        say(f"kept: {line}")


def stop_all(layout: Layout, manifest: Manifest, systemd: Systemd, say: Say) -> list[str]:
    """Stop and disable every unit; return them. Workers end before Redis, where they store their results."""
    units = manifest.units
    workers = [unit for unit in units if "@" in unit]
    if workers:
        say(f"stopping {', '.join(workers)}: running tasks end first")
    others = [
        places.BEAT,
        places.DESK,  # editorial
        places.FLOWER,
        places.HEALTH,
        places.METRICS,
        places.BACKUP_TIMER,
        places.BACKUP,
    ]
    for group in ([places.UMBRELLA, *others], workers, [places.REDIS]):
        if known := [unit for unit in group if unit in units]:
            systemd.stop(*known)
    systemd.stop(places.REPORTS)
    for unit in units:
        # An interrupted removal may have removed the file already.
        if layout.at(f"{places.UNITS}/{places.template(unit)}").exists():
            systemd.disable(unit)
    return units


def clear(layout: Layout, manifest: Manifest, *, removes_data: bool = False) -> list[str]:
    """Remove what the manifest names and is unchanged; return what is kept, and why.

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
    """Remove all releases but the current and the previous one, and the units' folders that are empty now."""
    for identity in [each for each in manifest.releases if each not in (manifest.current, manifest.previous)]:
        for line in _remove_release(layout, layout.release(identity)):
            say(f"kept: {line}")
        if not layout.at(layout.release(identity)).exists():
            manifest.releases.remove(identity)
    for folder in [each for each in manifest.folders if each.startswith(f"{places.UNITS}/")]:
        with suppress(OSError):  # it is not empty
            layout.at(folder).rmdir()
            manifest.folders.remove(folder)
    rewrite_manifest(layout, manifest)


def _data(layout: Layout, manifest: Manifest, *, removes_data: bool) -> list[str]:
    """Remove secrets and data; or keep them, and with them the manifest, which says that they are ours."""
    folders = [places.REDIS_DATA, places.STATE] if manifest.own_redis else [places.STATE]
    secrets = [f"{places.CREDENTIALS}/{name}" for name in manifest.credentials]
    if removes_data:
        for path in secrets:
            layout.at(path).unlink(missing_ok=True)
        for folder in folders:
            if layout.at(folder).exists():
                shutil.rmtree(layout.at(folder))
        return []
    kept = [path for path in [*secrets, *folders] if layout.at(path).exists()]
    if kept:
        manifest.current = manifest.previous = manifest.pending = None
        manifest.files, manifest.links, manifest.releases, manifest.started = {}, [], [], {}
        rewrite_manifest(layout, manifest)
    return kept


def _remove_release(layout: Layout, path: str) -> list[str]:
    """Remove the unchanged files of a release; return the others."""
    folder = layout.at(path)
    if not folder.is_dir():
        return []
    for name, digest in checksums(folder).items():
        file = folder / name
        if file.is_file() and hashlib.sha256(file.read_bytes()).hexdigest() == digest:
            file.unlink()
    left = []
    for place in sorted(folder.rglob("*"), reverse=True):
        if place.is_symlink():  # to the system's Python
            place.unlink()
        elif place.is_dir():
            with suppress(OSError):  # it is not empty
                place.rmdir()
        elif place.name != SUMS or place.parent != folder:
            left.append(f"{path}/{place.relative_to(folder)}, which was added or edited by hand")
    if not left:
        (folder / SUMS).unlink(missing_ok=True)
        folder.rmdir()
    return left


def _remove_folders(layout: Layout, manifest: Manifest, *, keeps_manifest: bool) -> list[str]:
    """Remove the folders that we made, inner ones first, and the manifest when it is all that is left.

    Returns the files of others that are in them.
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
    return [f"{path}, which this installer did not make" for path in sorted(kept) if path not in known]
