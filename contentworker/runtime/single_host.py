"""Only one host may serve a queue whose data is in a file of that host."""

import socket
from pathlib import Path
from typing import Any

from contentworker.errors import ConfigError

__all__ = ["LEASE_SECONDS", "host_id", "register"]

LEASE_SECONDS = 60
REGISTER = """
local now = tonumber(redis.call('TIME')[1])
for _, other in ipairs(redis.call('HKEYS', KEYS[1])) do
    local expires = tonumber(redis.call('HGET', KEYS[1], other)) or 0
    if expires <= now then redis.call('HDEL', KEYS[1], other)
    elseif other ~= ARGV[1] then return other end
end
redis.call('HSET', KEYS[1], ARGV[1], now + tonumber(ARGV[2]))
redis.call('EXPIRE', KEYS[1], tonumber(ARGV[2]) * 2)
return false
"""


def host_id() -> str:
    """Name of this host and, where it has one, the machine's id: two containers may share a name."""
    try:
        machine = Path("/etc/machine-id").read_text("ascii").strip()[:12]
    except (OSError, ValueError):
        machine = ""
    return f"{socket.gethostname()} {machine}".strip()


def register(client: Any, queue: str, host: str) -> None:
    """Take, or keep, the queue for this host, for LEASE_SECONDS.

    Raises:
        ConfigError: another host has it.
    """
    other = client.eval(REGISTER, 1, f"contentworker:only-host:{queue}", host, LEASE_SECONDS)
    if other:
        name = other.decode("utf-8", "replace") if isinstance(other, bytes) else str(other)
        raise ConfigError(
            f"The host {name.split()[0]} serves the queue {queue} with an SQLite file, which other hosts "
            "cannot share: set DATABASE_URL to a PostgreSQL on all of them. "
            f"(If that host is gone: start again in {LEASE_SECONDS} s.)"
        )
