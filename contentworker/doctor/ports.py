"""The ports of Redis and Flower: whether they are free, and who has them."""

import errno
import socket
from pathlib import Path

from contentworker.doctor import ask, listeners
from contentworker.doctor.finding import SESSION, Environ, Finding

__all__ = ["check_flower_port", "check_redis_port"]


def check_redis_port(root: Path, environ: Environ) -> Finding:
    """Whether the port of this checkout's Redis is free, or its own."""
    if environ.get("REDIS_URL"):
        return Finding("ok", "none needed: REDIS_URL says where Redis is")
    port = ask.settings(root, environ).broker.port
    free, text = _port_state(port, listeners.bind_problem("127.0.0.1", port), root)
    if free:
        return Finding("ok", text)
    return Finding(
        "note",
        f"{text}; this checkout's Redis takes another port",
        f"to give it one of its own: port = {_free_port()} under [broker] in worker.toml",
    )


def check_flower_port(root: Path, environ: Environ) -> Finding:
    """Whether Flower could listen, or does."""
    flower = ask.settings(root, environ).flower
    problem = listeners.bind_problem(flower.address, flower.port)
    free, text = _port_state(flower.port, problem, root)
    if free:
        return Finding("ok", text)
    other = f"PORT={_free_port()}"
    if problem and problem.errno not in (errno.EADDRINUSE, errno.EACCES):
        text, other = f"{text} (address {flower.address})", "ADDRESS=127.0.0.1"
    return Finding("wrong", text, f"WORKER__FLOWER__{other} {SESSION} flower")


def _port_state(port: int, problem: OSError | None, root: Path) -> tuple[bool, str]:
    """Whether a port is free or this checkout's own, and who has it."""
    if problem is None:
        return True, f"{port} is free"
    if problem.errno != errno.EADDRINUSE:
        return False, f"{port} cannot be used: {problem.strerror}"
    listener = listeners.find(port)
    if listener is None:
        return False, f"{port} is taken, by whom cannot be known: by another user or container"
    return listeners.checkout(listener) == root, f"{port} is taken by {listeners.owner(listener, root)}"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
