"""The Redis that the installation brings, where there is none."""

import pytest
import redis

from tests.acceptance.systemd.machine import Machine
from tests.support import wait_until

pytestmark = [pytest.mark.once, pytest.mark.systemd, pytest.mark.usefixtures("can_boot")]

UNIT = "celery-redis.service"


def test_settings(redis_client: redis.Redis) -> None:
    """What it is told is kept: an append-only file, and nothing is thrown away when memory is short."""
    settings = redis_client.config_get("appendonly", "maxmemory-policy")
    assert settings == {"appendonly": "yes", "maxmemory-policy": "noeviction"}


def test_password(redis_url: str) -> None:
    """Nobody is served without it, and it is not in the file that everybody may read."""
    with redis.Redis.from_url(redis_url.replace(":of-redis@", "")) as client:
        with pytest.raises(redis.AuthenticationError):
            client.ping()


def test_listens_on_loopback_only(services: Machine) -> None:
    """Other machines cannot even connect."""
    port = services.output("ss", "--no-header", "--listening", "--tcp", "--numeric", "sport = :6379")
    assert {line.split()[3] for line in port.splitlines()} <= {"127.0.0.1:6379", "[::1]:6379"}
    assert port


@pytest.mark.parametrize("end", ["restart", "kill"])
def test_data_survives(services: Machine, redis_client: redis.Redis, end: str) -> None:
    """What was written is there after a restart of the service, and after `kill -9` of it."""
    redis_client.set("kept", end)
    before = services.main_pid(UNIT)
    if end == "restart":
        services.systemctl("restart", UNIT)
    else:
        services.run("kill", "-KILL", str(before))
    wait_until(lambda: services.main_pid(UNIT) not in (0, before), "another process")

    def answered() -> bytes | None:
        try:
            return redis_client.get("kept")
        except redis.ConnectionError:
            return None

    assert wait_until(answered, "an answer") == end.encode()
