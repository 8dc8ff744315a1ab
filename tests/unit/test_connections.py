"""`REDIS_URL` means the same to Celery's broker, to its results and to our own commands."""

import ssl
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from kombu.utils.url import parse_url
from redis.connection import SSLConnection, UnixDomainSocketConnection
from redis.sentinel import SentinelManagedConnection, SentinelManagedSSLConnection

from contentworker.errors import ConfigError
from contentworker.runtime.connections import celery_configuration, connect, sanitized
from contentworker.runtime.settings import BrokerSettings

BROKER = BrokerSettings(sentinel_master="themaster")
SENTINELS = "sentinel://:p%40%3B@h1:1/2;sentinel://h2:3;sentinel://h3"


def arguments(url: str, **options: Any) -> dict[str, Any]:
    """What redis-py would connect with."""
    with connect(url, BROKER, environ={}, **options) as client:
        pool = client.connection_pool
        return {**pool.connection_kwargs, "class": pool.connection_class}


def configuration(url: str, **environ: str) -> dict[str, Any]:
    return celery_configuration(url, BROKER, environ)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("redis://h", "redis://h:6379/0"),
        ("redis://h:1/2", "redis://h:1/2"),
        ("redis://", "redis://127.0.0.1:6379/0"),
        ("redis://:p%40@h/2", "redis://:p%40@h:6379/2"),
        ("redis://user:p@[::1]:1", "redis://user:p@[::1]:1/0"),
        ("rediss://h/1", "rediss://h:6379/1"),
        ("redis+socket:///run/a%20b.sock?virtual_host=3", "redis+socket:///run/a%20b.sock?virtual_host=3"),
        ("redis+socket://:p@/run/s", "redis+socket://:p@/run/s?virtual_host=0"),
        (SENTINELS, "sentinel://:p%40%3B@h1:1/2;sentinel://:p%40%3B@h2:3/2;sentinel://:p%40%3B@h3:26379/2"),
        ("sentinel://h1;sentinel://u:p@h2/1", "sentinel://u:p@h1:26379/1;sentinel://u:p@h2:26379/1"),
    ],
)
def test_celery_gets_one_spelling(url: str, expected: str) -> None:
    """With credentials and database in each part, whichever kombu looks at."""
    found = configuration(url)
    assert found["broker_url"] == found["result_backend"] == expected


@pytest.mark.parametrize("url", ["redis://user:p%2F%40@h:1/2", "rediss://user:p%2F%40@h:1/2"])
def test_commands_connect_like_celery(url: str) -> None:
    """Host, port, database, user and password are what kombu makes of its address."""
    theirs, ours = parse_url(configuration(url)["broker_url"]), arguments(url)
    assert (ours["host"], ours["port"], ours["db"]) == (theirs["hostname"], theirs["port"], 2)
    assert (ours["username"], ours["password"]) == (theirs["userid"], theirs["password"]) == ("user", "p/@")


def test_time_outs_and_options_reach_the_client() -> None:
    """Those of worker.toml, and what the caller asks for; no command is repeated unasked."""
    found = arguments("redis://h", decode_responses=True)
    assert found["socket_timeout"] == BROKER.socket_timeout_seconds
    assert found["socket_connect_timeout"] == BROKER.connect_timeout_seconds
    assert found["health_check_interval"] == BROKER.health_check_interval_seconds
    assert found["decode_responses"] is True
    assert found["retry"].get_retries() == 0


def test_socket() -> None:
    """Path and database of a Unix socket."""
    found = arguments("redis+socket:///run/s?virtual_host=3")
    assert (found["class"], found["path"], found["db"]) == (UnixDomainSocketConnection, "/run/s", 3)


def test_certificates_are_checked_unless_said_otherwise(tmp_path: Path) -> None:
    """And the files of the address are those of all three."""
    file = tmp_path / "a ca"
    file.touch()
    files = {"ssl_ca_certs": str(file)}
    for query, expected in [
        ("", {"ssl_cert_reqs": ssl.CERT_REQUIRED}),
        (f"?ssl_ca_certs={str(file).replace(' ', '%20')}", {"ssl_cert_reqs": ssl.CERT_REQUIRED, **files}),
        ("?ssl_cert_reqs=CERT_REQUIRED", {"ssl_cert_reqs": ssl.CERT_REQUIRED}),
        ("?ssl_cert_reqs=none", {"ssl_cert_reqs": ssl.CERT_NONE}),
    ]:
        for scheme, kind in [("rediss", SSLConnection), ("sentinel", SentinelManagedSSLConnection)]:
            if scheme == "sentinel" and not query:
                continue  # that is one without TLS
            found = configuration(f"{scheme}://h{query}")
            assert found["broker_use_ssl"] == found["redis_backend_use_ssl"] == expected
            assert "?" not in found["broker_url"]
            ours = arguments(f"{scheme}://h{query}")
            assert ours["class"] is kind
            assert {name: ours[name] for name in expected} == expected


def test_sentinels() -> None:
    """The name of the master, all Sentinels, their own password, and time-outs for them, too."""
    found = configuration(SENTINELS, REDIS_SENTINEL_PASSWORD="secret")
    options = found["broker_transport_options"]
    assert options == found["result_backend_transport_options"]
    assert options["master_name"] == "themaster"
    assert options["sentinel_kwargs"] == {
        "socket_timeout": BROKER.connect_timeout_seconds,
        "socket_connect_timeout": BROKER.connect_timeout_seconds,
        "password": "secret",
    }
    assert list(islice(found["broker_failover_strategy"](["a", "b"]), 3)) == ["a", "a", "a"]
    with connect(SENTINELS, BROKER, environ={"REDIS_SENTINEL_PASSWORD": "secret"}) as client:
        pool = client.connection_pool
        asked = [each.connection_pool.connection_kwargs for each in pool.sentinel_manager.sentinels]
        assert [(each["host"], each["port"]) for each in asked] == [("h1", 1), ("h2", 3), ("h3", 26379)]
        assert {each["password"] for each in asked} == {"secret"}
        assert pool.connection_class is SentinelManagedConnection
        assert (pool.service_name, pool.connection_kwargs["password"]) == ("themaster", "p@;")
        assert pool.connection_kwargs["db"] == 2


def test_one_server_has_no_transport_options() -> None:
    """Nothing of the Sentinels' leaks into the rest."""
    found = configuration("redis://h")
    assert found["broker_transport_options"] == {}
    assert not [name for name in found if "ssl" in name or "failover" in name or "result_backend_" in name]


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("redis+cluster://:secret@h", "not redis+cluster://; Redis Cluster is not supported"),
        ("redis-cluster://:secret@h", "not redis-cluster://; Redis Cluster is not supported"),
        ("amqp://:secret@h", "REDIS_URL: must be redis://host:6379/0, rediss://.*, not amqp://"),
        ("unix:///run/s", "redis.socket:///path/to/socket .*, not unix://"),
        ("h:6379", "REDIS_URL: must be"),
        ("", "REDIS_URL: must be"),
        ("redis://:secret@h;sentinel://h", "not redis:// and sentinel://"),
        ("redis://:secret@h;redis://h2", "only sentinel:// may name several servers"),
        ("redis://:secret@h:port", "redis://:..@h:port is no address"),
        ("redis://:secret@[h", r"redis://:..@\[h is no address"),
        ("redis://:secret@h/name", "the database must be a number, not 'name'"),
        ("redis://:secret@h?db=1", r"\?db= is unknown; allowed: nothing, with this scheme"),
        ("redis://:secret@h?ssl_ca_certs=/x", r"\?ssl_ca_certs= is unknown"),
        ("rediss://:secret@h?ssl_ca=/x", r"\?ssl_ca= is unknown; allowed: ssl_ca_certs, "),
        ("rediss://:secret@h?ssl_ca_certs=/no/such", "ssl_ca_certs: /no/such cannot be read"),
        ("rediss://:secret@h?ssl_cert_reqs=no", "must be required, optional or none, not 'no'"),
        ("redis+socket://run/s", "needs an absolute path"),
    ],
)
def test_bad_addresses(url: str, message: str) -> None:
    """One line that names the variable and what is allowed, and shows no password."""
    for read in (configuration, lambda address: connect(address, BROKER)):
        with pytest.raises(ConfigError, match=message.replace("+", r"\+")) as refused:
            read(url)
        assert str(refused.value).startswith("REDIS_URL: ")
        assert "\n" not in str(refused.value)
        assert "secret" not in str(refused.value)


def test_sentinels_need_the_name_of_a_master() -> None:
    """The error names the key."""
    for read in (
        lambda: celery_configuration(SENTINELS, BrokerSettings()),
        lambda: connect(SENTINELS, BrokerSettings()),
    ):
        with pytest.raises(ConfigError, match=r"worker\.toml: broker\.sentinel_master: is required"):
            read()


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://h:1/2", "redis://h:1/2"),
        ("redis://user:p@ss@h/2", "redis://user:**@h/2"),
        ("rediss://:p@h?ssl_ca_certs=/x", "rediss://:**@h"),
        ("sentinel://:p@h1;sentinel://:q@h2", "sentinel://:**@h1;sentinel://:**@h2"),
        ("no address", "no address"),
    ],
)
def test_what_people_are_shown(url: str, shown: str) -> None:
    """No password, whatever the address."""
    assert sanitized(url) == shown
