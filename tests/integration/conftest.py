"""What the tests of workers share beside the fixtures of all."""

import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.notify_socket import Systemd


@pytest.fixture
def systemd() -> Iterator[Callable[[], Systemd]]:
    """Return a function that makes a socket, by turns one in the file system and an abstract one."""
    folder = Path(tempfile.mkdtemp())  # a socket's path must be short
    made: list[Systemd] = []

    def make() -> Systemd:
        number = len(made)
        name = f"@{folder.name}-{number}" if number % 2 else str(folder / str(number))
        made.append(Systemd(name))
        return made[-1]

    yield make
    for each in made:
        each.close()
    shutil.rmtree(folder)
