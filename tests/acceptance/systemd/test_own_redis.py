"""The Redis that the installation brings, where there is none."""

import re

import pytest
import redis

from tests.acceptance.systemd.installation import REDIS, SETTINGS
from tests.acceptance.systemd.machine import Machine
from tests.support import wait_until

pytestmark = [pytest.mark.systemd, pytest.mark.usefixtures("can_boot")]


def test_settings(redis_client: redis.Redis) -> None:
    """What it is told is kept in a file, and nothing is thrown away when memory is short."""
    settings = redis_client.config_get("appendonly", "appendfsync", "maxmemory-policy")
    assert settings == {"appendonly": "yes", "appendfsync": "everysec", "maxmemory-policy": "noeviction"}


def test_password(redis_url: str) -> None:
    """Redis serves no client without it."""
    stranger = redis.Redis.from_url(re.sub("//.*@", "//", redis_url))
    with stranger, pytest.raises(redis.AuthenticationError):
        stranger.ping()


def test_listens_on_loopback_only(services: Machine) -> None:
    """Other machines cannot even connect."""
    port = SETTINGS.broker.port
    lines = services.output("ss", "-Hltn", f"sport = :{port}").splitlines()
    assert (
        {f"127.0.0.1:{port}"} <= {line.split()[3] for line in lines} <= {f"127.0.0.1:{port}", f"[::1]:{port}"}
    )


@pytest.mark.parametrize("end", ["restart", "kill"])
def test_data_survives(services: Machine, redis_client: redis.Redis, end: str) -> None:
    """What was written is there after a restart of the service, and after `kill -9` of it."""
    redis_client.set("kept", end)
    before = services.main_pid(REDIS)
    if end == "restart":
        services.systemctl("restart", REDIS)
    else:
        services.run("kill", "-KILL", str(before))
    wait_until(lambda: services.main_pid(REDIS) not in (0, before), "another process")

    def kept() -> object:
        try:
            return redis_client.get("kept")
        except redis.ConnectionError:  # not yet
            return None

    assert wait_until(kept, "an answer") == end.encode()
    redis_client.delete("kept")
