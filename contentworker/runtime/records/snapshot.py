"""Backup of all data of a Redis: the RDB file that the server sends to a new replica."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from redis.exceptions import ResponseError

__all__ = ["write"]

CHUNK_BYTES = 1 << 16
LONGEST_LINE = 1024


def write(client: Any, file: Path) -> int:
    """Write a snapshot of the server's data to a file, and return its size.

    Needs no access to the server's own files, so it works from another machine.

    Raises:
        ResponseError: this user may not use SYNC, or the server makes no snapshot.
        OSError: the connection broke, or the file cannot be written. There is no file then.
    """
    connection = client.connection_pool.get_connection()
    part = file.with_name(f".{file.name}.part")
    try:
        connection.send_command("SYNC")
        size = 0
        with part.open("xb") as copy, connection._sock.makefile("rb") as stream:  # noqa: SLF001 (redis-py cannot read a stream)
            for chunk in _payload(stream):
                copy.write(chunk)
                size += len(chunk)
            copy.flush()
            os.fsync(copy.fileno())
        part.replace(file)
        return size
    finally:
        part.unlink(missing_ok=True)
        connection.disconnect()  # otherwise the server goes on to send each change
        client.connection_pool.release(connection)


def _payload(stream: Any) -> Iterator[bytes]:
    size = stream.readline(LONGEST_LINE)
    while size == b"\n":  # empty lines come while the server writes the snapshot
        size = stream.readline(LONGEST_LINE)
    if not size.endswith(b"\n"):
        raise ConnectionResetError("the server sent no snapshot")
    if not size.startswith(b"$"):
        raise ResponseError(size.decode(errors="replace").strip().lstrip("-"))
    left = int(size[1:])
    while left:
        chunk = stream.read(min(left, CHUNK_BYTES))
        if not chunk:
            raise ConnectionResetError("the server closed the connection before the end of the snapshot")
        left -= len(chunk)
        yield chunk
