"""`REDIS_URL` means the same to Celery's broker, to its results and to our own commands."""

import re
import ssl
from itertools import islice
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kombu.utils.url import parse_url
from redis.connection import SSLConnection, UnixDomainSocketConnection
from redis.sentinel import SentinelManagedConnection, SentinelManagedSSLConnection

from contentworker.errors import ConfigError
from contentworker.runtime.records.connections import celery_configuration, connect, hosts, sanitized
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
        ("redis://:p%40@h/2", "redis://:p%40@h:6379/2"),
        ("redis://user:p@[::1]:1", "redis://user:p@[::1]:1/0"),
        ("rediss://h/1", "rediss://h:6379/1"),
        ("redis+socket:///run/a%20b.sock?virtual_host=3", "redis+socket:///run/a%20b.sock?virtual_host=3"),
        ("redis+socket://:p@/run/s", "redis+socket://:p@/run/s?virtual_host=0"),
        (SENTINELS, "sentinel://:p%40%3B@h1:1/2;sentinel://:p%40%3B@h2:3/2;sentinel://:p%40%3B@h3:26379/2"),
        ("sentinel://u:p@h1;sentinel://h2/1", "sentinel://u:p@h1:26379/1;sentinel://u:p@h2:26379/1"),
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
    cases: list[tuple[str, dict[str, Any]]] = [
        ("", {"ssl_cert_reqs": ssl.CERT_REQUIRED}),
        (f"?ssl_ca_certs={str(file).replace(' ', '%20')}", {"ssl_cert_reqs": ssl.CERT_REQUIRED, **files}),
        ("?ssl_cert_reqs=CERT_REQUIRED", {"ssl_cert_reqs": ssl.CERT_REQUIRED}),
        ("?ssl_cert_reqs=none", {"ssl_cert_reqs": ssl.CERT_NONE}),
    ]
    for query, expected in cases:
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


ENCODE = "percent-encode the user and the password"


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("redis+cluster://:secret@h", "; Redis Cluster is not supported"),
        ("redis-cluster://:secret@h", "; Redis Cluster is not supported"),
        ("amqp://:secret@h", "REDIS_URL: must be redis://host:6379/0, rediss://"),
        ("unix:///run/secret", "redis+socket:///path/to/socket"),
        ("secret:6379", "REDIS_URL: must be"),
        ("", "REDIS_URL: must be"),
        ("redis://", "must name a host"),
        ("redis://:57", ENCODE),
        ("redis://:secret@/0", "must name a host"),
        ("redis://h:1/0;sentinel://h", "REDIS_URL: must be redis://"),
        ("redis://:secret@h;redis://h2", "only sentinel:// may name several"),
        ("redis://:57#secret@h:6379/0", ENCODE),
        ("redis://:57/secret@h/0", ENCODE),
        ("redis://:57?secret@h/0", ENCODE),
        ("redis://:57@secret@h/0", ENCODE),
        ("redis://:sec ret@h/0", ENCODE),
        ("redis://:secret\n@h/0", ENCODE),
        ("redis://:secret%@h/0", ENCODE),
        ("redis://:secr\u00e9t@h/0", ENCODE),
        ("redis://h/0#secret", ENCODE),
        ("redis://h/secret@h2", ENCODE),
        ("sentinel://:57;secret@h1;sentinel://h2", ENCODE),
        ("sentinel://other:57;sentinel://secret@h1", ENCODE),
        ("redis://secret@h", "must have a password before the @"),
        ("redis://:secret@h:port", "host:port"),
        ("redis://:secret@h:65536", "host:port"),
        ("redis://:secret@h:0", "host:port"),
        ("redis://:secret@h:", "host:port"),
        ("redis://:secret@[h", "[IPv6]:port"),
        ("redis://:secret@[h]", "[IPv6]:port"),
        ("redis://:secret@h!", "host:port"),
        ("redis://:secret@h/name", "the database must be a number"),
        ("redis://:secret@h/1/2", "the database must be a number"),
        ("sentinel://h1/1;sentinel://h2/2", "the same in each address"),
        ("redis://:secret@h?db=1", "unknown parameter after the ?; allowed: nothing, with this scheme"),
        ("redis://:secret@h?ssl_ca_certs=/x", "unknown parameter after the ?"),
        ("rediss://:secret@h?ssl_ca=/x", "unknown parameter after the ?; allowed: ssl_ca_certs, "),
        ("rediss://:secret@h?ssl_ca_certs=/no/such", "ssl_ca_certs: that file cannot be read"),
        ("rediss://:secret@h?ssl_cert_reqs=no", "must be required, optional or none"),
        ("redis+socket://run/s", "needs an absolute path"),
        ("redis+socket://:57/run/s", ENCODE),
    ],
)
def test_bad_addresses(url: str, message: str) -> None:
    """One line that names the variable and what is allowed, and shows nothing of the address."""
    for read in (configuration, lambda address: connect(address, BROKER)):
        with pytest.raises(ConfigError, match=re.escape(message)) as refused:
            read(url)
        assert str(refused.value).startswith("REDIS_URL: ")
        assert "\n" not in str(refused.value)
        assert "secret" not in everything_said(refused.value)


def everything_said(error: BaseException | None) -> str:
    """The text of an error and of every error behind it, also of those that Python does not print."""
    return f"{error} {error!r} {everything_said(error.__context__ or error.__cause__)}" if error else ""


def encoded(text: str) -> str:
    return quote(text, safe="")


SECRETS = "ZQXJ"
"""Letters that occur in none of our messages, nor in a host below."""
# What a password generator, or an attacker who knows how addresses are read, may put there.
passwords = st.lists(
    st.sampled_from(
        [*SECRETS, *"57:/?#@;[]%&=+. \n\t\\", "%41", "://", ";sentinel://", "@evil.example:7", "/0", "é"]
    ),
    min_size=1,
    max_size=12,
).map("".join)
servers = st.sampled_from([("db.example", 6390), ("10.0.0.7", 6390), ("[2001:db8::7]", 6390)])


@settings(deadline=None)
@given(passwords, passwords, st.booleans(), st.sampled_from(["redis", "rediss", "sentinel"]), servers)
def test_no_server_is_asked_that_the_address_does_not_name(
    password: str, user: str, has_user: bool, scheme: str, server: tuple[str, int]
) -> None:
    """However a password is written: its address is an error, or names that server; it is not shown."""
    host, port = server
    named = {(host.strip("[]"), port)}
    place = f"{host}:{port}"
    user = user if has_user else ""
    for name, word, is_encoded in ((user, password, False), (encoded(user), encoded(password), True)):
        url = f"{scheme}://{name}:{word}@{place}/1"
        if scheme == "sentinel":
            url, named = f"{url};sentinel://other.example:26390", {*named, ("other.example", 26390)}
        said = sanitized(url)
        try:
            assert set(hosts(url)) == named
            theirs = configuration(url)["broker_url"].split(";")
            asked = [parse_url(each) for each in theirs]
            assert {(each["hostname"], each["port"]) for each in asked} == named
            assert not is_encoded or {each["password"] for each in asked} == {password}
        except ConfigError as error:
            said += everything_said(error)
            assert not is_encoded
        assert not set(SECRETS) & set(said)


@settings(deadline=None)
@given(st.text())
def test_any_text_can_be_sanitized(text: str) -> None:
    """What is no address is not shown at all; what is shown is one line."""
    for each in (text, f"redis://{text}", f"redis://:{text}@h/0", f"redis+socket://{text}"):
        assert sanitized(each).isprintable()


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
        ("redis://user:p%40ss@h/2", "redis://:**@h:6379/2"),
        ("rediss://:p@[::1]?ssl_ca_certs=/x", "rediss://:**@[::1]:6379/0"),
        ("sentinel://:p@h1;sentinel://h2", "sentinel://:**@h1:26379/0;sentinel://:**@h2:26379/0"),
        ("redis+socket://:p@/run/a%20b", "redis+socket://:**@/run/a%20b"),
        ("redis://user:p@ss@h/2", "the address in REDIS_URL (not valid, so not shown)"),
        ("no address", "the address in REDIS_URL (not valid, so not shown)"),
    ],
)
def test_what_people_are_shown(url: str, shown: str) -> None:
    """No user, no password, whatever the address."""
    assert sanitized(url) == shown
