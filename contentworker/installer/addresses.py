"""The addresses of the installed services, read from the files that are in place, also after a rollback."""

import re
import tomllib
from pathlib import Path
from typing import Any

from contentworker.installer import layout as places
from contentworker.installer.changes import beside
from contentworker.installer.layout import Layout

__all__ = ["environment", "of", "redis_port", "running_redis_port"]

LISTENING = {
    places.FLOWER: ("flower", "5555"),
    places.DESK: ("desk", "5558"),  # editorial
}
"""The section of a service that listens, and its default port. Root's part has no pydantic to ask."""


def of(layout: Layout, unit: str) -> tuple[str, int] | None:
    """Address and port where a service listens once it is ready.

    None for a service that tells systemd when it is ready.
    """
    if unit == places.REDIS:
        port = redis_port(_text(layout.at(places.REDIS_CONFIGURATION)))
        return ("127.0.0.1", port) if port else None
    if unit in LISTENING:
        values = _listening(layout, *LISTENING[unit])
        return values["ADDRESS"], int(values["PORT"])
    return None


def redis_port(configuration: str) -> int | None:
    """The port in a redis.conf."""
    match = re.search(r"^port (\d+)", configuration, re.MULTILINE)
    return int(match[1]) if match else None


def running_redis_port(layout: Layout) -> int | None:
    """The port of the Redis that runs now: while a run replaces its configuration, the old one."""
    place = layout.at(places.REDIS_CONFIGURATION)
    return redis_port(_text(beside(place, "old")) or _text(place))


def environment(path: Path) -> dict[str, str]:
    """The `WORKER__…` variables of a file for EnvironmentFile=; none if there is no file."""
    lines = re.findall(r"^(WORKER__\w+)=(.*)$", _text(path), re.MULTILINE)
    return {name: re.sub(r"""^(["'])(.*)\1$""", r"\2", value.strip()) for name, value in lines}


def _listening(layout: Layout, name: str, port: str) -> dict[str, str]:
    try:
        section: dict[str, Any] = tomllib.loads(_text(layout.at(f"{layout.current}/worker.toml")))
    except tomllib.TOMLDecodeError:  # a person edited the file of an installed release
        section = {}
    values = {"ADDRESS": "127.0.0.1", "PORT": port}
    values |= {key.upper(): str(value) for key, value in section.get(name, {}).items()}
    prefix = f"WORKER__{name.upper()}__"
    for path in (places.INSTALLED_ENVIRONMENT, places.ENVIRONMENT):  # the second wins
        for variable, value in environment(layout.at(path)).items():
            if variable.startswith(prefix):
                values[variable.removeprefix(prefix)] = value
    return values


def _text(path: Path) -> str:
    return path.read_text("utf-8") if path.exists() else ""
