"""Where Redis is: `REDIS_URL` read once, for Celery's broker and results and for our own commands.

kombu, Celery and redis-py read an address each in their own way. They disagree on what a query means, on
which of several Sentinels' addresses holds the password, and on whether a certificate is checked. Here it is
read, and what each is given says the same.
"""

import itertools
import os
import ssl
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import SplitResult, parse_qsl, quote, unquote, urlsplit

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from redis.sentinel import Sentinel

from contentworker.errors import ConfigError
from contentworker.runtime import dead_letters
from contentworker.runtime.settings import BrokerSettings
from contentworker.runtime.transport import protocol, server

__all__ = ["SENTINEL_PASSWORD", "celery_configuration", "check_server", "connect", "hosts", "sanitized"]

SENTINEL_PASSWORD = "REDIS_SENTINEL_PASSWORD"
"""Variable with the password of the Sentinels themselves; that of Redis is in `REDIS_URL`."""

SCHEMES = ("redis", "rediss", "redis+socket", "sentinel")
ALLOWED = (
    "redis://host:6379/0, rediss://host:6379/0 (TLS), redis+socket:///path/to/socket or "
    "sentinel://host:26379;sentinel://other:26379"
)
PORTS = {"sentinel": 26379}
CERTIFICATE_FILES = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")
CERTIFICATE_CHECKS = {
    **dict.fromkeys(("required", "CERT_REQUIRED"), ssl.CERT_REQUIRED),
    **dict.fromkeys(("optional", "CERT_OPTIONAL"), ssl.CERT_OPTIONAL),
    **dict.fromkeys(("none", "CERT_NONE"), ssl.CERT_NONE),
}


@dataclass(frozen=True)
class _Address:
    scheme: str
    hosts: tuple[tuple[str, int], ...] = ()
    path: str = ""
    """Of the socket."""
    database: int = 0
    username: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)
    tls: Mapping[str, Any] = field(default_factory=dict)
    """What redis-py, and so Celery, is to know about certificates; empty without TLS."""

    def url(self) -> str:
        """The address as kombu and Celery understand it: the same credentials and database in each part."""
        user = ""
        if self.password:
            user = f"{quote(self.username or '', safe='')}:{quote(self.password, safe='')}@"
        if self.path:
            return f"{self.scheme}://{user}{quote(self.path)}?virtual_host={self.database}"
        names = ((f"[{host}]" if ":" in host else host, port) for host, port in self.hosts)
        return ";".join(f"{self.scheme}://{user}{name}:{port}/{self.database}" for name, port in names)


def celery_configuration(
    redis_url: str, broker: BrokerSettings, environ: Mapping[str, str] = os.environ
) -> dict[str, Any]:
    """Celery's configuration keys for this address. `broker_transport_options` is to be merged with others.

    Raises:
        ConfigError: the address is none, or a setting that it needs is missing.
    """
    address = _parse(redis_url)
    configuration: dict[str, Any] = {
        "broker_url": address.url(),
        "result_backend": address.url(),
        "broker_transport_options": {},
        # Celery passes it on to a Unix socket's connection, which does not know it.
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
        # redis-py asks every Sentinel by itself. Were kombu to go on to the next one as well, the broker's
        # address, by which a worker knows its deliveries, would change with each lost connection.
        configuration["broker_failover_strategy"] = _always_the_first
    return configuration


def connect(
    redis_url: str, broker: BrokerSettings, environ: Mapping[str, str] = os.environ, **options: Any
) -> redis.Redis:
    """A client of the Redis at this address; of its master where Sentinels watch it. It connects when used,
    and repeats nothing by itself.

    `options` are those of `redis.Redis`.

    Raises:
        ConfigError: the address is none, or a setting that it needs is missing.
    """
    address = _parse(redis_url)
    options = {
        "db": address.database,
        "username": address.username,
        "password": address.password,
        "socket_timeout": broker.socket_timeout_seconds,
        "socket_connect_timeout": broker.connect_timeout_seconds,
        "health_check_interval": broker.health_check_interval_seconds,
        # redis-py would repeat a command several times, which makes people wait for "wrong password".
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


def check_server(client: redis.Redis, queues: Iterable[str]) -> list[str]:
    """Refuse a Redis on which messages of these queues would not be safe; return warnings. Writes nothing.

    Raises:
        contentworker.runtime.transport.server.UnsuitableServerError: with the reason, in a line.
    """
    from kombu.transport.redis import PRIORITY_STEPS, Channel

    types = {
        protocol.LEASES: "hash",
        protocol.DELAYED: "zset",
        protocol.PAUSED: "set",
        dead_letters.STREAM: "stream",
        # kombu's own, which plain workers write and ours look into.
        Channel.unacked_key: "hash",
        Channel.unacked_index_key: "zset",
    }
    for queue in queues:
        lists = [f"{queue}{Channel.sep}{step}" if step else queue for step in PRIORITY_STEPS]
        types.update(dict.fromkeys(lists, "list"))
    return server.check(client, types, (protocol.PREFIX, protocol.VERSION))


def hosts(redis_url: str) -> tuple[tuple[str, int], ...]:
    """The servers that an address names, or their Sentinels; none where it is a socket's.

    Raises:
        ConfigError: the address is none.
    """
    return _parse(redis_url).hosts


def sanitized(redis_url: str) -> str:
    """The address for people to read: without its password, and without what surrounds it."""
    parts = []
    for part in redis_url.split(";"):
        scheme, mark, rest = part.partition("://")
        credentials, at, place = rest.rpartition("@")
        user = f"{credentials.split(':')[0]}:**@" if at else ""
        parts.append(f"{scheme}{mark}{user}{place.partition('?')[0]}")
    return ";".join(parts)


def _parse(redis_url: str) -> _Address:
    parts = [_split(part) for part in redis_url.split(";") if part]
    schemes = {part.scheme for part in parts}
    if len(schemes) != 1 or not schemes <= set(SCHEMES):
        cluster = "; Redis Cluster is not supported" if any("cluster" in name for name in schemes) else ""
        raise ConfigError(f"REDIS_URL: must be {ALLOWED}, not {_names(schemes)}{cluster}")
    (scheme,) = schemes
    if len(parts) > 1 and scheme != "sentinel":
        raise ConfigError(f"REDIS_URL: only sentinel:// may name several servers, not {scheme}://")
    # Anything but hosts is said once, in whichever part; the first that says it holds.
    query = dict(pair for part in reversed(parts) for pair in parse_qsl(part.query, keep_blank_values=True))
    credentials = next((part for part in parts if part.password), parts[0])
    return _Address(
        scheme=scheme,
        hosts=tuple(_host(part) for part in parts) if scheme != "redis+socket" else (),
        path=_socket_path(parts[0]) if scheme == "redis+socket" else "",
        database=_database(scheme, parts, query),
        username=unquote(credentials.username or "") or None,
        password=unquote(credentials.password or "") or None,
        tls=_tls(scheme, query),
    )


def _split(part: str) -> SplitResult:
    try:
        split = urlsplit(part)
        _ = split.port  # reading it checks it
    except ValueError:
        # Not chained: urlsplit quotes what it was given, password and all.
        raise ConfigError(f"REDIS_URL: {sanitized(part)} is no address; it must be {ALLOWED}") from None
    return split


def _names(schemes: Iterable[str]) -> str:
    return " and ".join(f"{name}://" if name else "without a scheme" for name in sorted(schemes))


def _host(part: SplitResult) -> tuple[str, int]:
    return part.hostname or "127.0.0.1", part.port or PORTS.get(part.scheme, 6379)


def _socket_path(part: SplitResult) -> str:
    if part.hostname or not part.path.strip("/"):
        raise ConfigError("REDIS_URL: redis+socket:// needs an absolute path: redis+socket:///path/to/socket")
    return unquote(part.path)


def _database(scheme: str, parts: list[SplitResult], query: dict[str, str]) -> int:
    if scheme == "redis+socket":
        text = query.pop("virtual_host", "")
    else:
        text = next((part.path.strip("/") for part in parts if part.path.strip("/")), "")
    if text and not text.isdecimal():
        raise ConfigError(f"REDIS_URL: the database must be a number, not {text!r}")
    return int(text or 0)


def _tls(scheme: str, query: Mapping[str, str]) -> dict[str, Any]:
    with_tls = scheme == "rediss" or (scheme == "sentinel" and any(name.startswith("ssl_") for name in query))
    allowed = (*CERTIFICATE_FILES, "ssl_cert_reqs") if scheme in ("rediss", "sentinel") else ()
    if unknown := [name for name in query if name not in allowed]:
        names = ", ".join(allowed) or "nothing, with this scheme"
        raise ConfigError(f"REDIS_URL: ?{unknown[0]}= is unknown; allowed: {names}")
    if not with_tls:
        return {}
    # Without this kombu would accept any certificate.
    wanted = query.get("ssl_cert_reqs", "required")
    if wanted not in CERTIFICATE_CHECKS:
        raise ConfigError(f"REDIS_URL: ssl_cert_reqs must be required, optional or none, not {wanted!r}")
    files = {name: query[name] for name in CERTIFICATE_FILES if name in query}
    for name, path in files.items():
        if not os.access(path, os.R_OK):
            raise ConfigError(f"REDIS_URL: {name}: {path} cannot be read")
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
        # Celery would wait for an unreachable Sentinel as long as the system does.
        "socket_timeout": broker.connect_timeout_seconds,
        "socket_connect_timeout": broker.connect_timeout_seconds,
        "password": environ.get(SENTINEL_PASSWORD),
        **({"ssl": True, **address.tls} if address.tls else {}),
    }


def _always_the_first(urls: list[str]) -> Iterator[str]:
    return itertools.repeat(urls[0])
