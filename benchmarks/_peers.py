"""The peers of a benchmark: `nox -s bench` has them, another environment may not."""

from collections.abc import Callable, Mapping
from typing import TypeVar

Peer = TypeVar("Peer")


def importable(loaders: Mapping[str, Callable[[], Peer]]) -> tuple[dict[str, Peer], list[str]]:
    """The peers that can be imported, and the names of those that cannot."""
    found: dict[str, Peer] = {}
    missing = []
    for name, load in loaders.items():
        try:
            found[name] = load()
        except ImportError:
            missing.append(name)
    return found, missing
