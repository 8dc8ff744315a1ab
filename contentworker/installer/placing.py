"""Places the files of a release, and keeps what a person edited."""

import os
import re
from collections.abc import Iterable
from pathlib import Path

from contentworker.installer import addresses, credentials, machine, stand_ins
from contentworker.installer import layout as places
from contentworker.installer.changes import Changes
from contentworker.installer.errors import InstallError
from contentworker.installer.layout import Layout
from contentworker.installer.manifest import OFFERED, Manifest, digest
from contentworker.installer.operator_command import script
from contentworker.installer.plan import Plan, Say

__all__ = [
    "edited",
    "place",
    "refuse_strangers",
    "remove_gone",
    "rewrite_manifest",
    "write_manifest",
]


def place(  # noqa: C901 (one kind of file a branch)
    plan: Plan, layout: Layout, manifest: Manifest, changes: Changes, source: Path, *, say: Say
) -> dict[str, bytes]:
    """Write the intent, then place every file; return the release's files by path. Nothing is started."""
    if not manifest.started and manifest.current is None:
        is_given = not plan.own_redis or credentials.REDIS_URL in plan.secrets
        manifest.own_redis = credentials.needs_own_redis(layout, manifest, is_given=is_given)
    files = places.unit_files(source, own_redis=manifest.own_redis)
    names = places.credential_names(files)
    files[places.COMMAND] = script(plan.prefix, plan.user)
    refuse_strangers(layout, manifest, files)
    writes = _writes(layout, manifest, files, say)
    secrets = _secrets(plan, layout, manifest, names, _redis_port(layout, writes))
    workers = places.workers_of(source)
    links = [layout.current, *map(layout.queue, workers)]
    if plan.is_live and plan.is_gapless:
        known = [name for name in workers if places.worker(name) in manifest.started]
        links += stand_ins.links(layout, known)
    if not plan.is_live:  # an image, from which many machines are made
        links.append(places.FIRST_BOOT)
    manifest.links = _joined(manifest.links, links)
    folders = _missing_folders(layout, [*files, *links])
    if not manifest.folders and layout.at(layout.prefix).is_dir():  # an empty folder, which becomes ours
        folders = _joined([layout.prefix], folders)
    _intend(plan, manifest, writes, secrets, folders)
    for folder in folders:
        changes.folder(folder, 0o700 if folder == places.CREDENTIALS else 0o755)
        if folder == plan.prefix:
            write_manifest(layout, manifest, changes)
    write_manifest(layout, manifest, changes)
    if not layout.at(layout.release(plan.release)).is_dir():
        changes.tree(source, layout.release(plan.release))
    if not plan.is_live:
        changes.link(places.FIRST_BOOT, f"{places.UNITS}/{places.SECRETS}")
        secrets = {}
    for name, value in secrets.items():
        changes.file(f"{places.CREDENTIALS}/{name}", value, 0o600)
        if not value:
            say(f"{places.CREDENTIALS}/{name} is empty, which means not set")
    for path, data in writes.items():
        changes.file(path, data, 0o755 if path == places.COMMAND else 0o644)
    return files


def refuse_strangers(layout: Layout, manifest: Manifest | None, files: dict[str, bytes]) -> None:
    """Raise an InstallError if another program has a file where one of ours goes."""
    known = manifest.files if manifest else {}
    for path, data in files.items():
        place = layout.at(path)
        if path in known or path == places.ENVIRONMENT or not os.path.lexists(place):
            continue
        if not place.is_file() or place.read_bytes() != data:
            raise InstallError(f"{path} is there and was not made by this installer; move it away")
    prefix = layout.at(layout.prefix)
    if manifest is None and os.path.lexists(prefix) and not _is_empty(prefix):
        raise InstallError(
            f"{layout.prefix} is there and was not made by this installer; move it away, or --prefix DIR"
        )


def edited(layout: Layout, manifest: Manifest) -> list[str]:
    """The files of ours that a person changed."""
    return [path for path in manifest.files if manifest.is_edited(layout, path)]


def write_manifest(layout: Layout, manifest: Manifest, changes: Changes) -> None:
    """Place the manifest as one of the changes, which undoing them takes back."""
    changes.file(layout.manifest, manifest.text())


def rewrite_manifest(layout: Layout, manifest: Manifest) -> None:
    """Write the manifest outside of a run that can be undone."""
    changes = Changes(layout)
    changes.prepare(layout.manifest, manifest.text())
    changes.commit(layout.manifest)


def remove_gone(manifest: Manifest, changes: Changes, files: dict[str, bytes], say: Say) -> list[str]:
    """Remove the files that an earlier release had and this one has not; return their paths."""
    offered = {path + OFFERED for path in edited(changes.layout, manifest)}
    gone = [path for path in manifest.files if path not in files and path not in offered]
    for path in gone:
        if manifest.is_edited(changes.layout, path):
            say(f"{path} was edited by hand: kept, although nothing uses it now")
        else:
            changes.remove(path)
    return gone


def _secrets(plan: Plan, layout: Layout, manifest: Manifest, names: list[str], port: int) -> dict[str, bytes]:
    """The credentials to write: those that are missing, and REDIS_URL if our Redis gets another address."""
    made = credentials.values(names, layout, plan.secrets, own_redis=manifest.own_redis, redis_port=port)
    if manifest.own_redis and (address := credentials.own_address(layout, port)):
        made[credentials.REDIS_URL] = address
    return made


def _redis_port(layout: Layout, writes: dict[str, bytes]) -> int:
    """The port of our Redis in the configuration that will be in place; 0 if there is none."""
    new, place = writes.get(places.REDIS_CONFIGURATION), layout.at(places.REDIS_CONFIGURATION)
    if new is None and place.exists():
        new = place.read_bytes()
    return addresses.redis_port((new or b"").decode()) or 0


def _writes(layout: Layout, manifest: Manifest, files: dict[str, bytes], say: Say) -> dict[str, bytes]:
    """The files to write. Beside a file that a person edited, the new text is written under another name."""
    writes = {}
    for path, data in files.items():
        place, known = layout.at(path), manifest.files.get(path)
        if path == places.ENVIRONMENT and place.exists():
            continue
        if place.is_file() and not place.is_symlink() and place.read_bytes() == data:
            if known:
                manifest.files[path] = [digest(data)]
        elif known and manifest.is_edited(layout, path):
            offered = "" if digest(data) in known else f"; this release's is {path}{OFFERED}"
            say(f"{path} was edited by hand: kept{offered}")
            if offered:
                writes[path + OFFERED] = data
        else:
            writes[path] = data
    return writes


def _missing_folders(layout: Layout, paths: list[str]) -> list[str]:
    """The folders to make: the manifest's first, and outer ones before inner ones."""
    wanted = [layout.manifest, layout.release("0"), f"{places.CREDENTIALS}/0", *paths]
    folders = [str(parent) for path in wanted for parent in reversed(Path(path).parents)]
    return [path for path in dict.fromkeys(folders) if not layout.at(path).is_dir()]


def _intend(
    plan: Plan,
    manifest: Manifest,
    writes: dict[str, bytes],
    secrets: dict[str, bytes],
    folders: list[str],
) -> None:
    """Record in the manifest all that is about to be made."""
    manifest.pending = plan.release
    manifest.releases = _joined(manifest.releases, [plan.release])
    manifest.credentials = _joined(manifest.credentials, secrets)
    for path, data in writes.items():
        manifest.files[path] = _joined(manifest.files.get(path, [])[-1:], [digest(data)])
    # The other folders of a staged tree belong to its machine: /etc, /usr/local/bin.
    ours = [folder for folder in folders if plan.is_live or places.is_ours(folder, plan.prefix)]
    manifest.folders = _joined(manifest.folders, ours)
    if plan.is_live:
        text = writes.get("/etc/sysusers.d/content-worker.conf", b"").decode()
        users = [
            user for user in re.findall(r"^u (\S+)", text, re.MULTILINE) if not machine.account_exists(user)
        ]
        manifest.users = _joined(manifest.users, users)


def _is_empty(folder: Path) -> bool:
    """Whether a folder has nothing in it but, perhaps, what a run left that was killed at once."""
    return folder.is_dir() and all(path.name.startswith(".manifest.json.") for path in folder.iterdir())


def _joined(known: list[str], new: Iterable[str]) -> list[str]:
    return list(dict.fromkeys([*known, *new]))
