"""Checks that need no server."""

import re
from pathlib import Path

import pytest

from contentworker import config
from contentworker.errors import ConfigError
from contentworker.installer import addresses, checks
from contentworker.installer.manifest import Manifest
from tests.support import ROOT


@pytest.mark.parametrize(
    ("address", "allowed", "expected"),
    [
        ("127.0.0.1", ("localhost",), True),
        ("127.255.255.255", ("localhost",), True),
        ("128.0.0.0", ("localhost",), False),
        ("::1", ("localhost",), True),
        ("::2", ("localhost",), False),
        ("10.0.0.5", ("localhost",), False),
        ("10.0.0.5", (), False),
        ("10.0.0.5", ("localhost", "10.0.0.0/8"), True),
        ("11.0.0.0", ("localhost", "10.0.0.0/8"), False),
        ("10.0.0.5", ("10.0.0.5",), True),
        ("10.0.0.6", ("10.0.0.5",), False),
        ("169.254.1.1", ("link-local",), True),
        ("fe80::1%eth0", ("link-local",), True),
        ("224.0.0.1", ("multicast",), True),
        ("240.0.0.1", ("multicast",), False),
        ("ff02::1", ("multicast",), True),
        ("2001:db8::1", ("any",), True),
        ("192.0.2.1", ("any",), True),
        ("2001:db8::1", ("0.0.0.0/0",), False),
    ],
)
def test_addresses_as_systemd_reads_them(address: str, allowed: tuple[str, ...], expected: bool) -> None:
    """IPAddressAllow= lets through an address, a network, or what a name of systemd stands for."""
    assert checks.is_allowed(address, allowed) is expected


def test_the_user_of_the_page_may_do_all_that_is_asked_of_it() -> None:
    """docs/redis.md allows every command that a preflight wants to be allowed."""
    page = (ROOT / "docs" / "redis.md").read_text("utf-8")
    allowed = re.findall(r"\+([a-z|]+)", re.findall(r"^user .*$", page, re.MULTILINE)[0])
    needed = {
        " ".join(use.split()[:2]) if use.startswith(("script", "client")) else use.split()[0]
        for use in checks.NEEDED
    }
    assert {name.replace(" ", "|") for name in needed} <= set(allowed)


# >>> editorial
@pytest.mark.parametrize("password", ["57#Zq9secret", "57/Zq9secret", "57?Zq9secret", "57@Zq9secret"])
def test_no_database_is_asked_that_the_address_does_not_name(
    password: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A password that is not percent-encoded is no host, and is not shown."""
    asked: list[object] = []
    monkeypatch.setattr("socket.getaddrinfo", lambda *place, **_: asked.append(place) or [])
    monkeypatch.setattr("socket.create_connection", lambda *place, **_: asked.append(place))
    url = f"postgresql://user:{password}@db.example/articles"
    with pytest.raises(ConfigError, match=r"DATABASE_URL: .*percent-encode") as refused:
        checks.examine_database(config.load(environ={}), url)
    assert "Zq9" not in str(refused.value)
    assert asked == []


# <<< editorial
def test_redis_is_asked_where_it_runs_while_it_moves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """REDIS_URL has the new port before Redis does; its data must fit into its new memory."""
    asked: list[str] = []
    (tmp_path / "manifest.json").write_bytes(Manifest("/opt/x", "x", own_redis=True).text())
    monkeypatch.setattr(checks, "PREFIX", tmp_path)
    monkeypatch.setattr(checks, "refuse_too_full", lambda _, url: asked.append(url))
    monkeypatch.setattr(addresses, "running_redis_port", lambda layout: 6379)
    settings = config.load(environ={"WORKER__BROKER__PORT": "6400"})
    monkeypatch.setattr(config, "load", lambda: settings)  # which keeps the settings of this process
    monkeypatch.setenv("REDIS_URL", "redis://:6400@127.0.0.1:6400/0")
    assert checks.check_redis() == "belongs to this installation"
    assert asked == ["redis://:6400@127.0.0.1:6379/0"]
