"""What a Redis must be: servers that cannot be had here are played by their answers."""

from typing import Any

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import NoPermissionError

from contentworker.runtime.transport.server import UnsuitableServerError, check

FIT = {
    "redis_version": "7.0.15",
    "cluster_enabled": 0,
    "role": "master",
    "maxmemory": 0,
    "maxmemory_policy": "noeviction",
    "aof_enabled": 1,
}
TYPES = {"celery": "list", "ours:leases": "hash"}
VERSION = ("ours", "1")


class Server:
    """A client whose server answers so; it has no command that writes."""

    def __init__(self, info: dict[str, Any], keys: dict[str, Any] | None = None) -> None:
        self._info, self._keys = info, keys or {}

    def info(self) -> dict[str, Any]:
        return self._info

    def type(self, key: str) -> bytes:
        kinds: dict[Any, bytes] = {str: b"string", list: b"list", dict: b"hash"}
        return kinds[type(self._keys[key])] if key in self._keys else b"none"

    def get(self, key: str) -> bytes | None:
        value = self._keys.get(key)
        return value.encode() if value is not None else None


class Reticent(Server):
    """One of a user that may ask nothing."""

    def info(self) -> dict[str, Any]:
        raise NoPermissionError("User worker has no permissions to run the 'info' command")

    def type(self, key: str) -> bytes:
        raise NoPermissionError("User worker has no permissions to run the 'type' command")


class Gone(Server):
    """One that cannot be reached."""

    def info(self) -> dict[str, Any]:
        raise RedisConnectionError("refused")


@pytest.mark.parametrize(
    "version",
    [
        {"redis_version": "6.2.0"},
        {"redis_version": "8.0.1"},
        {"redis_version": "10.0.0"},
        {"redis_version": "7.2.4", "valkey_version": "9.1.2"},
        {"redis_version": "255.255.255"},
    ],
)
def test_fit_servers_give_no_warning(version: dict[str, str]) -> None:
    """From 6.2 on, Valkey and builds without a release among them."""
    assert check(Server({**FIT, **version}), TYPES, VERSION) == []


@pytest.mark.parametrize(
    ("told", "message"),
    [
        ({"redis_version": "6.0.16"}, r"this is Redis 6\.0\.16; 6\.2 or newer, or Valkey, is needed"),
        ({"redis_version": "5.0.7"}, r"this is Redis 5\.0\.7"),
        ({"cluster_enabled": 1}, "this is a Redis Cluster"),
        ({"role": "slave", "master_host": "10.0.0.1"}, r"this is a replica of 10\.0\.0\.1"),
        ({"maxmemory": 10**6, "maxmemory_policy": "allkeys-lru"}, "drops messages .*allkeys-lru"),
        ({"maxmemory": 10**6, "maxmemory_policy": "volatile-lru"}, "drops claims and results .*volatile-lru"),
    ],
)
def test_unfit_servers_are_refused(told: dict[str, Any], message: str) -> None:
    """Each in a line that says why."""
    with pytest.raises(UnsuitableServerError, match=message) as refused:
        check(Server({**FIT, **told}), TYPES, VERSION)
    assert "\n" not in str(refused.value)


def test_without_a_limit_nothing_is_evicted() -> None:
    """A policy is only a threat where memory has an end."""
    assert check(Server({**FIT, "maxmemory_policy": "allkeys-lru"}), TYPES, VERSION) == []


def test_limit_without_eviction_is_fit() -> None:
    """A full server then refuses messages, which their senders hear of."""
    assert check(Server({**FIT, "maxmemory": 10**6}), TYPES, VERSION) == []


def test_no_append_only_file_is_a_warning() -> None:
    """You may decide so, and should know what it means."""
    (warning,) = check(Server({**FIT, "aof_enabled": 0}), TYPES, VERSION)
    assert "append-only file is off" in warning


def test_server_that_tells_a_part() -> None:
    """Managed ones leave out fields: the missing ones are named, the others are checked."""
    told = {name: value for name, value in FIT.items() if name not in ("aof_enabled", "maxmemory_policy")}
    (warning,) = check(Server(told), TYPES, VERSION)
    assert "does not tell maxmemory_policy, aof_enabled:" in warning
    with pytest.raises(UnsuitableServerError, match="Cluster"):
        check(Server({"cluster_enabled": 1}), TYPES, VERSION)


def test_server_that_tells_nothing() -> None:
    """No permission for INFO and TYPE is a warning; the version of the messages is still read."""
    (warning,) = check(Reticent({}), TYPES, VERSION)
    assert all(name in warning for name in FIT)
    with pytest.raises(UnsuitableServerError, match="version '2'"):
        check(Reticent({}, {"ours": "2"}), TYPES, VERSION)


def test_nonsense_is_no_crash() -> None:
    """Fields that are not what Redis writes count as nothing found."""
    assert check(Server(dict.fromkeys(FIT, "?")), TYPES, VERSION) != []


def test_unreachable_server_is_no_verdict() -> None:
    """The caller waits and asks again."""
    with pytest.raises(RedisConnectionError):
        check(Gone({}), TYPES, VERSION)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"celery": "a string"}, "the key 'celery' is a string and must be a list"),
        ({"ours:leases": ["a", "list"]}, "the key 'ours:leases' is a list and must be a hash"),
        ({"ours": ["a", "list"]}, "the key 'ours' is a list and must be a string"),
        ({"ours": "2"}, "the key 'ours' says .* version '2' .* this is version '1'"),
    ],
)
def test_foreign_keys_are_refused(keys: dict[str, Any], message: str) -> None:
    """The message names the key, what was found and what was expected."""
    with pytest.raises(UnsuitableServerError, match=message):
        check(Server(FIT, keys), TYPES, VERSION)


def test_own_keys_are_fine() -> None:
    """Ours, of this version."""
    assert check(Server(FIT, {"celery": ["m"], "ours:leases": {}, "ours": "1"}), TYPES, VERSION) == []
