"""Connections to Redis: reads `REDIS_URL` once, for Celery's broker and results and for our own commands.

kombu, Celery and redis-py each read an address differently. They disagree about the query, about which of
several Sentinel addresses has the password, and about whether to check a certificate. So it is read here, and
all three get settings that mean the same.
"""

import itertools
import os
import re
import ssl
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import SplitResult, parse_qsl, quote, unquote

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from redis.sentinel import Sentinel

from contentworker.addresses import ENCODE, split
from contentworker.errors import ConfigError
from contentworker.runtime.records import dead_letters
from contentworker.runtime.settings import BrokerSettings
from contentworker.runtime.transport import keys, server, stored

__all__ = ["SENTINEL_PASSWORD", "celery_configuration", "check_server", "connect", "hosts", "sanitized"]

SENTINEL_PASSWORD = "REDIS_SENTINEL_PASSWORD"  # noqa: S105 (the name of the variable)
"""Variable with the password of the Sentinels. The password of Redis is in `REDIS_URL`."""

SCHEMES = ("redis", "rediss", "redis+socket", "sentinel")
ALLOWED = (
    "redis://host:6379/0, rediss://host:6379/0 (TLS), redis+socket:///path/to/socket or "
    "sentinel://host:26379;sentinel://other:26379"
)
PORTS = {"sentinel": 26379}
DATABASE = re.compile(r"[0-9]{1,9}")
NOT_SHOWN = "the address in REDIS_URL (not valid, so not shown)"
CERTIFICATE_FILES = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")
CERTIFICATE_CHECKS = {"required": ssl.CERT_REQUIRED, "optional": ssl.CERT_OPTIONAL, "none": ssl.CERT_NONE}


@dataclass(frozen=True)
class _Address:
    scheme: str
    hosts: tuple[tuple[str, int], ...] = ()
    path: str = ""
    """Path of the Unix socket."""
    database: int = 0
    username: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)
    query: Mapping[str, str] = field(default_factory=dict, repr=False)
    tls: Mapping[str, Any] = field(default_factory=dict)
    """Options about certificates for redis-py, and so for Celery; empty without TLS."""

    def url(self) -> str:
        """The address for kombu and Celery, with credentials and database in each of its parts."""
        user = ""
        if self.password:
            user = f"{quote(self.username or '', safe='')}:{quote(self.password, safe='')}@"
        if self.path:
            return f"{self.scheme}://{user}{quote(self.path)}?virtual_host={self.database}"
        return ";".join(f"{self.scheme}://{user}{place}/{self.database}" for place in self.places())

    def places(self) -> Iterator[str]:
        """Each `host:port`."""
        for host, port in self.hosts:
            yield f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def celery_configuration(
    redis_url: str, broker: BrokerSettings, environ: Mapping[str, str] = os.environ
) -> dict[str, Any]:
    """Celery's configuration keys for this address. Merge `broker_transport_options` with your own.

    Raises:
        ConfigError: the address is not valid, or a setting that it needs is missing.
    """
    address = _parse(redis_url)
    configuration: dict[str, Any] = {
        "broker_url": address.url(),
        "result_backend": address.url(),
        "broker_transport_options": {},
        # Celery would pass it on to the connection of a Unix socket, which has no such option.
        "redis_socket_keepalive": address.scheme != "redis+socket",
    }
    if address.tls:
        configuration["broker_use_ssl"] = dict(address.tls)
        configuration["redis_backend_use_ssl"] = dict(address.tls)
    if address.scheme == "sentinel":
        options = {
            "master_name": _master_name(broker),
            "sentinel_kwargs": _sentinel_options(address, broker, environ),
        }
        configuration["broker_transport_options"] = options
        configuration["result_backend_transport_options"] = options
        # redis-py itself asks every Sentinel. If kombu went on to the next one too, the broker's address, by
        # which a worker knows its deliveries, would change with each lost connection.
        configuration["broker_failover_strategy"] = _always_the_first
    return configuration


def connect(
    redis_url: str, broker: BrokerSettings, environ: Mapping[str, str] = os.environ, **options: Any
) -> redis.Redis:
    """A client of the Redis at this address, or of the master that Sentinels know. It connects when used.

    It never repeats a command. `options` are those of `redis.Redis`.

    Raises:
        ConfigError: the address is not valid, or a setting that it needs is missing.
    """
    address = _parse(redis_url)
    options = {
        "db": address.database,
        "username": address.username,
        "password": address.password,
        "socket_timeout": broker.socket_timeout_seconds,
        "socket_connect_timeout": broker.connect_timeout_seconds,
        "health_check_interval": broker.health_check_interval_seconds,
        # redis-py would repeat a command several times, and people would wait for "wrong password".
        "retry": Retry(NoBackoff(), 0),
        **({"ssl": True, **address.tls} if address.tls else {}),
        **options,
    }
    if address.scheme == "sentinel":
        asked = _sentinel_options(address, broker, environ)
        sentinels: Any = Sentinel(address.hosts, sentinel_kwargs=asked)  # type: ignore[no-untyped-call]
        client: redis.Redis = sentinels.master_for(_master_name(broker), **options)
        return client
    if address.path:
        return redis.Redis(unix_socket_path=address.path, **options)
    ((host, port),) = address.hosts
    return redis.Redis(host=host, port=port, **options)


def check_server(
    client: redis.Redis, queues: Iterable[str], broker: BrokerSettings | None = None
) -> list[str]:
    """Refuse a Redis that would lose messages of these queues; return warnings. Writes nothing.

    Raises:
        contentworker.runtime.transport.server.UnsuitableServerError: the reason, in one line.
    """
    from kombu.transport.redis import PRIORITY_STEPS, Channel

    types = {
        keys.LEASES: "hash",
        keys.DELAYED: "zset",
        keys.PAUSED: "set",
        keys.REVOKED: "zset",
        dead_letters.STREAM: "stream",
        # kombu's keys, which plain workers write and ours read.
        Channel.unacked_key: "hash",
        Channel.unacked_index_key: "zset",
    }
    for queue in queues:
        lists = [f"{queue}{Channel.sep}{step}" if step else queue for step in PRIORITY_STEPS]
        types.update(dict.fromkeys(lists, "list"))
    replicas = broker.wait_for_replicas if broker else 0
    return server.check(client, types, (keys.PREFIX, stored.VERSION), replicas=replicas)


def hosts(redis_url: str) -> tuple[tuple[str, int], ...]:
    """Host and port of the servers (or Sentinels) in an address; empty for a Unix socket.

    Raises:
        ConfigError: the address is not valid.
    """
    return _parse(redis_url).hosts


def sanitized(redis_url: str) -> str:
    """The address without user, password and parameters, to show to people. Takes any text."""
    try:
        address = _read(redis_url)
    except ConfigError:
        return NOT_SHOWN
    user = ":**@" if address.password else ""
    if address.path:
        return f"{address.scheme}://{user}{quote(address.path)}"
    return ";".join(f"{address.scheme}://{user}{place}/{address.database}" for place in address.places())


def _parse(redis_url: str) -> _Address:
    address = _read(redis_url)
    return replace(address, tls=_tls(address.scheme, address.query))


def _read(redis_url: str) -> _Address:
    """The parts of the address. Files that it names are not checked here.

    No error shows any part of the address. Only its first part may have an `@`, so no piece of a user or a
    password can be taken for a host.
    """
    first, *others = [part for part in redis_url.split(";") if part] or [""]
    if any("@" in part for part in others):
        raise ConfigError(f"REDIS_URL: must have user and password in its first address only; {ENCODE}")
    parts = [split("REDIS_URL", part) for part in (first, *others)]
    schemes = {part.scheme for part in parts}
    if len(schemes) != 1 or not schemes <= set(SCHEMES):
        cluster = "; Redis Cluster is not supported" if any("cluster" in name for name in schemes) else ""
        raise ConfigError(f"REDIS_URL: must be {ALLOWED}{cluster}")
    (scheme,) = schemes
    if others and scheme != "sentinel":
        raise ConfigError(f"REDIS_URL: must name one server; only sentinel:// may name several. {ENCODE}")
    if parts[0].username and not parts[0].password:
        raise ConfigError("REDIS_URL: must have a password before the @: ://user:password@ or ://:password@")
    queries = [parse_qsl(part.query, keep_blank_values=True) for part in parts]
    # A parameter may stand in any part; the first part that has it wins.
    query = dict(pair for pairs in reversed(queries) for pair in pairs)
    return _Address(
        scheme=scheme,
        hosts=tuple(_host(part) for part in parts) if scheme != "redis+socket" else (),
        path=_socket_path(parts[0]) if scheme == "redis+socket" else "",
        database=_database(scheme, parts, query),
        username=unquote(parts[0].username or "") or None,
        password=unquote(parts[0].password or "") or None,
        query=query,
    )


def _host(part: SplitResult) -> tuple[str, int]:
    if not part.hostname:
        raise ConfigError(f"REDIS_URL: must name a host: {ALLOWED}; {ENCODE}")
    return part.hostname, part.port or PORTS.get(part.scheme, 6379)


def _socket_path(part: SplitResult) -> str:
    if part.hostname or not part.path.strip("/"):
        raise ConfigError("REDIS_URL: redis+socket:// needs an absolute path: redis+socket:///path/to/socket")
    return unquote(part.path)


def _database(scheme: str, parts: list[SplitResult], query: dict[str, str]) -> int:
    if scheme == "redis+socket":
        texts = {query.pop("virtual_host", "")}
    else:
        texts = {part.path.removeprefix("/") for part in parts}
    texts.discard("")
    if len(texts) > 1 or not all(DATABASE.fullmatch(text) for text in texts):
        raise ConfigError(f"REDIS_URL: the database must be a number, the same in each address; {ENCODE}")
    return int(min(texts, default="0"))


def _tls(scheme: str, query: Mapping[str, str]) -> dict[str, Any]:
    with_tls = scheme == "rediss" or (scheme == "sentinel" and any(name.startswith("ssl_") for name in query))
    allowed = (*CERTIFICATE_FILES, "ssl_cert_reqs") if scheme in ("rediss", "sentinel") else ()
    if not query.keys() <= set(allowed):
        names = ", ".join(allowed) or "nothing, with this scheme"
        raise ConfigError(f"REDIS_URL: unknown parameter after the ?; allowed: {names}")
    if not with_tls:
        return {}
    # The default matters: kombu would accept any certificate.
    wanted = query.get("ssl_cert_reqs", "required").removeprefix("CERT_").lower()
    if wanted not in CERTIFICATE_CHECKS:
        raise ConfigError("REDIS_URL: ssl_cert_reqs must be required, optional or none")
    files = {name: query[name] for name in CERTIFICATE_FILES if name in query}
    for name, path in files.items():
        if not os.access(path, os.R_OK):
            raise ConfigError(f"REDIS_URL: {name}: that file cannot be read")
    return {"ssl_cert_reqs": CERTIFICATE_CHECKS[wanted], **files}


def _master_name(broker: BrokerSettings) -> str:
    if not broker.sentinel_master:
        raise ConfigError(
            "worker.toml: broker.sentinel_master: is required where REDIS_URL is sentinel://: the name under "
            "which the Sentinels know the master"
        )
    return broker.sentinel_master


def _sentinel_options(
    address: _Address, broker: BrokerSettings, environ: Mapping[str, str]
) -> dict[str, Any]:
    return {
        # Without timeouts Celery would wait for an unreachable Sentinel until the system gives up.
        "socket_timeout": broker.connect_timeout_seconds,
        "socket_connect_timeout": broker.connect_timeout_seconds,
        "password": environ.get(SENTINEL_PASSWORD),
        **({"ssl": True, **address.tls} if address.tls else {}),
    }


def _always_the_first(urls: list[str]) -> Iterator[str]:
    return itertools.repeat(urls[0])
