"""Places the files of a release, and keeps what a person changed."""

import os
import re
from collections.abc import Callable, Iterable
from pathlib import Path

from contentworker.installer import accounts, credentials
from contentworker.installer import layout as places
from contentworker.installer.changes import Changes
from contentworker.installer.errors import InstallError
from contentworker.installer.layout import Layout
from contentworker.installer.manifest import OFFERED, Manifest, digest
from contentworker.installer.operator_command import script
from contentworker.installer.plan import Plan

__all__ = [
    "edited",
    "place",
    "refuse_strangers",
    "remove_gone",
    "rewrite_manifest",
    "write_manifest",
]

Say = Callable[[str], None]


def place(
    plan: Plan, layout: Layout, manifest: Manifest, changes: Changes, source: Path, say: Say
) -> dict[str, bytes]:
    """Write the intent, then place everything; return what the release has by path. Nothing is started."""
    if not manifest.started and manifest.current is None:
        manifest.own_redis = _needs_redis(plan, layout, manifest)
    files = places.unit_files(source, own_redis=manifest.own_redis)
    names = places.credential_names(files)
    files[places.COMMAND] = script(plan.prefix)
    refuse_strangers(layout, manifest, files)
    writes = _writes(layout, manifest, files, say)
    secrets = credentials.values(
        names, layout, plan.secrets, own_redis=manifest.own_redis, redis_port=plan.redis_port
    )
    links = [layout.current, *(layout.queue(name) for name in places.queues_of(source))]
    manifest.links = _joined(manifest.links, links)
    folders = _missing_folders(layout, [*files, *links])
    if not manifest.folders:  # the prefix: if it is there, then empty
        folders = _joined([layout.prefix], folders) if layout.at(layout.prefix).is_dir() else folders
    _intend(plan, manifest, writes, secrets, folders)
    for folder in folders:
        changes.folder(folder, 0o700 if folder == places.CREDENTIALS else 0o755)
        if folder == plan.prefix:
            write_manifest(layout, manifest, changes)
    write_manifest(layout, manifest, changes)
    if not layout.at(layout.release(plan.release)).is_dir():
        changes.tree(source, layout.release(plan.release))
    for name, value in secrets.items():
        changes.file(f"{places.CREDENTIALS}/{name}", value, 0o600)
        if not value:
            say(f"{places.CREDENTIALS}/{name} is empty, which means not set")
    for path, data in writes.items():
        changes.file(path, data, 0o755 if path == places.COMMAND else 0o644)
    return files


def refuse_strangers(layout: Layout, manifest: Manifest | None, files: dict[str, bytes]) -> None:
    """Check that nobody else's files are where ours are to be.

    Raises:
        InstallError: naming the first that is; nothing was changed.
    """
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
    changes.file(layout.manifest, manifest.text())


def rewrite_manifest(layout: Layout, manifest: Manifest) -> None:
    """Write it outside of a run whose changes can be taken back."""
    changes = Changes(layout)
    changes.prepare(layout.manifest, manifest.text())
    changes.commit(layout.manifest)


def remove_gone(manifest: Manifest, changes: Changes, files: dict[str, bytes], say: Say) -> list[str]:
    """Remove what an earlier release had and this one has not; return what nobody needs any more."""
    offered = {path + OFFERED for path in edited(changes.layout, manifest)}
    gone = [path for path in manifest.files if path not in files and path not in offered]
    for path in gone:
        if manifest.is_edited(changes.layout, path):
            say(f"{path} was edited by hand: kept, though nothing needs it any more")
        else:
            changes.remove(path)
    return gone


def _needs_redis(plan: Plan, layout: Layout, manifest: Manifest) -> bool:
    """Whether there is no address of a Redis but the one that an interrupted run made up."""
    if credentials.REDIS_URL in manifest.credentials:
        return manifest.own_redis
    given = os.path.lexists(layout.at(f"{places.CREDENTIALS}/{credentials.REDIS_URL}"))
    return not given and credentials.REDIS_URL not in plan.secrets


def _writes(layout: Layout, manifest: Manifest, files: dict[str, bytes], say: Say) -> dict[str, bytes]:
    """What is to be written: nothing that is there, and beside a file that a person changed."""
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
    """The folders to be made: that of the manifest first, and outer ones before inner ones."""
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
    """Note all that is about to be made."""
    manifest.pending = plan.release
    manifest.releases = _joined(manifest.releases, [plan.release])
    manifest.credentials = _joined(manifest.credentials, secrets)
    for path, data in writes.items():
        manifest.files[path] = _joined(manifest.files.get(path, [])[-1:], [digest(data)])
    # A staged tree's other folders are the machine's own: /etc, /usr/local/bin.
    ours = [folder for folder in folders if plan.is_live or places.is_ours(folder, plan.prefix)]
    manifest.folders = _joined(manifest.folders, ours)
    if plan.is_live:
        text = writes.get("/etc/sysusers.d/content-worker.conf", b"").decode()
        users = [user for user in re.findall(r"^u (\S+)", text, re.M) if not accounts.exists(user)]
        manifest.users = _joined(manifest.users, users)


def _is_empty(folder: Path) -> bool:
    """Whether nothing is in it but, perhaps, what a run left that was killed at once."""
    return folder.is_dir() and all(path.name.startswith(".manifest.json.") for path in folder.iterdir())


def _joined(known: list[str], new: Iterable[str]) -> list[str]:
    return list(dict.fromkeys([*known, *new]))
