"""Which Redis the services will use, and whether they can."""

import errno
import ipaddress
import os
import socket
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from contentworker.doctor import listeners
from contentworker.installer.credentials import REDIS_URL
from contentworker.installer.errors import InstallError
from contentworker.installer.layout import CREDENTIALS, Layout
from contentworker.installer.manifest import Manifest

if TYPE_CHECKING:
    from contentworker.config import Settings

__all__ = ["is_allowed", "look", "needs_own", "refuse_taken"]

NETWORKS = {
    "any": ("0.0.0.0/0", "::/0"),
    "localhost": ("127.0.0.0/8", "::1/128"),
    "link-local": ("169.254.0.0/16", "fe80::/64"),
    "multicast": ("224.0.0.0/4", "ff00::/8"),
}
"""What systemd means by these names in IPAddressAllow=."""

SECONDS = 3.0


def needs_own(layout: Layout, manifest: Manifest | None, environ: Mapping[str, str]) -> bool:
    """Whether a Redis of our own is part of it, as far as this user may know; root's word is the last."""
    if manifest and REDIS_URL in manifest.credentials:
        return manifest.own_redis
    given = os.path.lexists(layout.at(f"{CREDENTIALS}/{REDIS_URL}"))
    return not given and not environ.get(REDIS_URL)


def look(settings: "Settings", environ: Mapping[str, str]) -> list[str]:
    """Check the Redis of REDIS_URL, and that the services may reach it; return warnings. Nothing is written.

    Raises:
        InstallError: it cannot be used.
        ConfigError: the address is none.
    """
    import redis

    from contentworker.runtime import connections
    from contentworker.runtime.transport.server import UnsuitableServerError

    address = environ[REDIS_URL]
    for host, port in connections.hosts(address):
        _refuse_forbidden(host, port, settings.services.allowed_addresses)
    where = connections.sanitized(address)
    waits = {"socket_timeout": SECONDS, "socket_connect_timeout": SECONDS}
    try:
        with connections.connect(address, settings.broker, environ, **waits) as client:
            warnings = connections.check_server(client, settings.queues)
    except UnsuitableServerError as error:
        raise InstallError(f"REDIS_URL: {where}: {error}") from None
    except redis.exceptions.RedisError as error:
        raise InstallError(f"REDIS_URL: {where} cannot be used: {error}; start it, or name another") from None
    return [f"{where}: {warning}" for warning in warnings]


def refuse_taken(what: str, key: str, host: str, port: int) -> None:
    """Check that a service could listen.

    Raises:
        InstallError: another program does, and which if this user may know.
    """
    problem = listeners.bind_problem(host, port)
    if problem is None:
        return
    if problem.errno != errno.EADDRINUSE:
        raise InstallError(f"{what} cannot listen on {host}:{port}: {problem.strerror}; {key} names another")
    who = listeners.find(port) or "a program of another user"
    raise InstallError(f"port {port} of {what} is taken by {who}; stop that, or choose another: {key}")


def is_allowed(address: str, allowed: Iterable[str]) -> bool:
    """Whether systemd lets a service reach an address, by what IPAddressAllow= says."""
    networks = [
        ipaddress.ip_network(text, strict=False) for name in allowed for text in NETWORKS.get(name, (name,))
    ]
    return any(ipaddress.ip_address(address.partition("%")[0]) in network for network in networks)


def _refuse_forbidden(host: str, port: int, allowed: Iterable[str]) -> None:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise InstallError(f"REDIS_URL: {host} has no address: {error.strerror}") from None
    for address in sorted({str(item[4][0]) for item in found}):
        if not is_allowed(address, allowed):
            raise InstallError(
                f"REDIS_URL: the services may not reach {host} ({address}); "
                "add it to services.allowed_addresses in worker.toml"
            )
