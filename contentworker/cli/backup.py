"""`content-worker backup`: what `celery-backup.timer` runs."""

import os
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import click
from redis.exceptions import ResponseError

from contentworker import config
from contentworker.cli.connection import Connect
from contentworker.editorial.escalations.opening import sqlite_file
from contentworker.runtime import environment
from contentworker.runtime.records import snapshot

__all__ = ["backup"]


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@click.option("--keep", type=click.IntRange(min=1), default=7, show_default=True, help="Backups to keep.")
@click.pass_obj
def backup(connected: Connect, folder: Path, keep: int) -> None:
    """Copy Redis's data, and databases that are files, into FOLDER; delete older copies.

    Services keep running meanwhile. docs/operations.md says how to restore a copy.
    """
    os.umask(0o077)
    folder.mkdir(parents=True, exist_ok=True)
    for unfinished in (*folder.glob(".redis-*.part"), *folder.glob(".escalations-*.part")):
        unfinished.unlink()
    now = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    _copy_records(folder / f"escalations-{now}.sqlite3")  # editorial
    _copy_redis(connected, folder / f"redis-{now}.rdb")
    for pattern in (
        "redis-*.rdb",
        "escalations-*.sqlite3",  # editorial
    ):
        for old in sorted(folder.glob(pattern))[:-keep]:
            old.unlink()


def _copy_redis(connected: Connect, file: Path) -> None:
    with connected() as client:
        try:
            size = snapshot.write(client, file)
        except ResponseError as error:
            raise click.ClickException(f"Redis refuses this user a snapshot (SYNC): {error}") from None
        except OSError as error:
            raise click.ClickException(f"{file}: {error.strerror or error}") from None
    click.echo(f"{file}: {size} bytes")


# >>> editorial
def _copy_records(file: Path) -> None:
    records = sqlite_file(config.load().escalations, environment.folder(config.ROOT))
    if not records.exists():
        click.echo(f"no records to copy: {records} does not exist")
        return
    part = file.with_name(f".{file.name}.part")
    try:
        with closing(sqlite3.connect(records)) as source, closing(sqlite3.connect(part)) as copy:
            source.backup(copy)
        part.replace(file)
    except (OSError, sqlite3.Error) as error:
        part.unlink(missing_ok=True)
        raise click.ClickException(f"{records} cannot be copied: {error}") from None
    click.echo(f"{file}: {file.stat().st_size} bytes")


# <<< editorial
