"""Checks whether messages are safe on a Redis, before anything is written to it. The checks only read."""

import re
from collections.abc import Mapping
from typing import Any

from redis.exceptions import ResponseError

__all__ = ["OLDEST", "UnsuitableServerError", "check"]

OLDEST = (6, 2)
"""The oldest supported Redis. Valkey's `redis_version` is the Redis that it is compatible with."""

NO_EVICTION = "noeviction"


class UnsuitableServerError(Exception):
    """Messages would not be safe on this server. The error says in one line why, and what to do."""


def check(client: Any, types: Mapping[str, str], version: tuple[str, str], *, replicas: int = 0) -> list[str]:
    """Refuse a server that could lose messages or lacks commands; return warnings.

    `client` is a redis-py client. `types` has the Redis type that each key must have if it exists, `version`
    a key and the only value that it may have. There is a warning for information that the server hides, and
    if it has fewer than `replicas` replicas.

    Raises:
        UnsuitableServerError: use another server, or change this one as the error says.
        redis.exceptions.ConnectionError: the server is unreachable.
    """
    info = _info(client)
    _check_kind(info)
    _check_eviction(info)
    _check_keys(client, types, version)
    return _warnings(info, replicas)


def _info(client: Any) -> Mapping[str, Any]:
    try:
        info: Mapping[str, Any] = client.info()
    except ResponseError:  # this user may not run INFO
        return {}
    return info


def _check_kind(info: Mapping[str, Any]) -> None:
    version = str(info.get("redis_version", ""))
    if (numbers := re.match(r"(\d+)\.(\d+)", version)) and tuple(map(int, numbers.groups())) < OLDEST:
        oldest = ".".join(map(str, OLDEST))
        raise UnsuitableServerError(f"this is Redis {version}; {oldest} or newer, or Valkey, is needed")
    if _number(info, "cluster_enabled"):
        raise UnsuitableServerError(
            "this is a Redis Cluster, which cannot move a message between two keys in one step; use a single "
            "server, with Sentinel for its failover"
        )
    if info.get("role") in ("slave", "replica"):
        raise UnsuitableServerError(
            f"this is a replica of {info.get('master_host', 'another server')}; use the master's address"
        )


def _check_eviction(info: Mapping[str, Any]) -> None:
    """Refuse every policy that evicts keys, because every key matters.

    A volatile-* policy keeps messages, which have no expiry. It drops results, and the claims that keep a
    task from running twice.
    """
    policy = str(info.get("maxmemory_policy", NO_EVICTION))
    if _number(info, "maxmemory") and policy != NO_EVICTION:
        lost = "claims and results" if policy.startswith("volatile") else "messages"
        raise UnsuitableServerError(
            f"when its memory is full this server drops {lost} (maxmemory-policy {policy}); "
            f"set maxmemory-policy to {NO_EVICTION}"
        )


def _check_keys(client: Any, types: Mapping[str, str], version: tuple[str, str]) -> None:
    version_key, wanted = version
    for key, expected in {**types, version_key: "string"}.items():
        actual = _answer(client.type, key)
        if actual not in (None, "none", expected):
            raise UnsuitableServerError(
                f"the key {key!r} is a {actual} and must be a {expected}: another program uses this "
                "database; use one of your own"
            )
    written = _answer(client.get, version_key)
    if written not in (None, wanted):
        raise UnsuitableServerError(
            f"the key {version_key!r} says that the messages here are of version {written!r} of the "
            f"transport, and this is version {wanted!r}; finish them with workers of that version"
        )


def _warnings(info: Mapping[str, Any], replicas: int) -> list[str]:
    warnings = []
    asked = ("redis_version", "cluster_enabled", "role", "maxmemory", "maxmemory_policy", "aof_enabled")
    if unknown := [name for name in asked if name not in info]:
        warnings.append(f"the server does not tell {', '.join(unknown)}: these could not be checked")
    if "aof_enabled" in info and not _number(info, "aof_enabled"):
        warnings.append(
            "the append-only file is off: when this server dies, messages since its last snapshot are lost; "
            "set appendonly to yes"
        )
    if "connected_slaves" in info and (found := _number(info, "connected_slaves")) < replicas:
        warnings.append(
            f"{found} of {replicas} replicas are connected (broker.wait_for_replicas): until they are, "
            "senders get an error, and no CriticalTask starts"
        )
    return warnings


def _number(info: Mapping[str, Any], name: str) -> int:
    try:
        return int(info.get(name, 0))
    except (TypeError, ValueError):
        return 0


def _answer(command: Any, key: str) -> str | None:
    """Answer of a command as text; None if this user may not run it."""
    try:
        answer = command(key)
    except ResponseError:
        return None
    return answer.decode(errors="replace") if isinstance(answer, bytes) else answer
