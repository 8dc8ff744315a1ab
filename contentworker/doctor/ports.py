"""The ports of our servers: whether they are free, and which process uses them."""

import errno
import socket
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from contentworker.doctor import ask, listeners
from contentworker.doctor.ask import SESSION, Environ, Finding
from contentworker.doctor.listeners import Listener
from contentworker.runtime.development import local_redis
from contentworker.runtime.environment import state_folder

if TYPE_CHECKING:
    from contentworker.sections import ListeningSection

__all__ = [
    "check_desk_port",  # editorial
    "check_flower_port",
    "check_redis_port",
]


def check_redis_port(root: Path, environ: Environ) -> Finding:
    """Whether the port of this checkout's Redis is free or in use by it."""
    if environ.get("REDIS_URL"):
        return Finding("ok", "not needed: REDIS_URL names a Redis")
    port = ask.settings(root, environ).broker.port
    server = local_redis.find(state_folder(root))
    problem = listeners.bind_problem("127.0.0.1", port)
    fine, text = _port_state(port, problem, root, lambda each: server is not None and each.pid == server.pid)
    if fine:
        return Finding("ok", text)
    fix = f"to choose a port: port = {_free_port()} under [broker] in worker.toml"
    return Finding("note", f"{text}; this checkout's Redis takes another port", fix)


def check_flower_port(root: Path, environ: Environ) -> Finding:
    """Whether Flower could listen, or listens."""
    return _listening(root, "flower", ask.settings(root, environ).flower)


# >>> editorial
def check_desk_port(root: Path, environ: Environ) -> Finding:
    """Whether the desk could listen, or listens."""
    return _listening(root, "desk", ask.settings(root, environ).desk)


# <<< editorial
def _listening(root: Path, name: str, section: "ListeningSection") -> Finding:
    """Whether a service could listen, or listens; `name` is its section and session."""
    problem = listeners.bind_problem(section.address, section.port)
    fine, text = _port_state(
        section.port,
        problem,
        root,
        lambda each: listeners.checkout(each) == root and name in each.words,
    )
    if fine:
        return Finding("ok", text)
    other = f"PORT={_free_port()}"
    if problem and problem.errno not in (errno.EADDRINUSE, errno.EACCES):
        text, other = f"{text} (address {section.address})", "ADDRESS=127.0.0.1"
    return Finding("wrong", text, f"WORKER__{name.upper()}__{other} {SESSION} {name}")


def _port_state(
    port: int, problem: OSError | None, root: Path, is_meant: Callable[[Listener], bool]
) -> tuple[bool, str]:
    """Whether a port is free, or the process that is meant to have it has it; and who has it."""
    if problem is None:
        return True, f"{port} is free"
    if problem.errno != errno.EADDRINUSE:
        return False, f"{port} cannot be used: {problem.strerror}"
    listener = listeners.find(port)
    if listener is None:
        return False, f"{port} is taken by a process of another user or container"
    return is_meant(listener), f"{port} is taken by {listeners.owner(listener, root)}"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
