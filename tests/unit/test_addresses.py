"""Addresses of servers: which parts they have, and what each error says and does not say."""

import pytest

from contentworker import addresses
from contentworker.errors import ConfigError

NO_PLACE = "must name its server as host, host:port or [IPv6]:port"
NOT_ALLOWED = "contains a character that is not allowed in an address"
NO_HASH = "must not have a #"
ONE_AT = "must have one @ at most"
AT_IN_PLACE = "must have its @ right before the host"


@pytest.mark.parametrize(
    ("address", "host", "port", "path"),
    [
        ("redis://h", "h", None, ""),
        ("redis://u:p%23%2f@H_1.ex-ample:65535/2", "h_1.ex-ample", 65535, "/2"),
        ("redis://[::A]:1/2", "::a", 1, "/2"),
        ("redis://:p@[::1]", "::1", None, ""),
        ("redis+socket:///run/s?virtual_host=3", None, None, "/run/s"),
        ("redis+socket://:p@/run/s", None, None, "/run/s"),
    ],
)
def test_parts(address: str, host: str | None, port: int | None, path: str) -> None:
    parts = addresses.split("REDIS_URL", address)
    assert (parts.hostname, parts.port, parts.path) == (host, port, path)


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("redis://a b", NOT_ALLOWED),
        ("redis://a\x7f", NOT_ALLOWED),
        ("redis://ä", NOT_ALLOWED),
        ("redis://p%2@h", NOT_ALLOWED),
        ("redis://p%g0@h", NOT_ALLOWED),
        ("redis://:57#x@h", NO_HASH),
        ("redis://:a@b@h", ONE_AT),
        ("redis://:57", NO_PLACE),
        ("redis://u@:57", NO_PLACE),
        ("redis://h:", NO_PLACE),
        ("redis://h:0", NO_PLACE),
        ("redis://h:01", NO_PLACE),
        ("redis://h:65536", NO_PLACE),
        ("redis://h:x", NO_PLACE),
        ("redis://-h", NO_PLACE),
        ("redis://h-", NO_PLACE),
        ("redis://h;i", NO_PLACE),
        ("redis://[::1", NO_PLACE),
        ("redis://[1.2.3.4]", NO_PLACE),
        ("redis://[::g]", NO_PLACE),
        ("redis://[fe80::1%25eth0]", NO_PLACE),
        ("redis://::1", NO_PLACE),
        ("redis://h/57@i", AT_IN_PLACE),
        ("redis://h?57@i", AT_IN_PLACE),
    ],
)
def test_refused(address: str, said: str) -> None:
    """The error names the variable and what is expected, and nowhere shows what may be a password."""
    with pytest.raises(ConfigError) as caught:
        addresses.split("REDIS_URL", address)
    assert str(caught.value) == f"REDIS_URL: {said}; {addresses.ENCODE}"
    assert caught.value.__context__ is None
