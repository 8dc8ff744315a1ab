"""Where the installed services listen, by the files that are in place."""

from pathlib import Path

import pytest

from contentworker.installer import addresses
from contentworker.installer.layout import Layout

REDIS, FLOWER = "celery-redis.service", "celery-flower.service"


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    """A machine with a folder for configuration, and with a release."""
    (tmp_path / "etc/content-worker").mkdir(parents=True)
    (tmp_path / "opt/x/current").mkdir(parents=True)
    return Layout(tmp_path, "/opt/x")


def write(layout: Layout, path: str, text: str) -> None:
    layout.at(path).write_text(text)


def test_the_environment_as_systemd_reads_it(layout: Layout) -> None:
    """Quotes around a value do not belong to it; comments and other variables are no settings."""
    file = layout.at("/etc/content-worker/environment")
    file.write_text('# WORKER__A=0\nWORKER__A=1\nWORKER__B="two words"\nPATH=/x\nWORKER__C=["x", "y"]\n')
    assert addresses.environment(file) == {
        "WORKER__A": "1",
        "WORKER__B": "two words",
        "WORKER__C": '["x", "y"]',
    }
    assert addresses.environment(layout.at("/none")) == {}


def test_flowers_address_is_the_one_of_the_installed_release(layout: Layout) -> None:
    """The default, then worker.toml of the current release, then the two files, as for Flower itself."""
    assert addresses.of(layout, FLOWER) == ("127.0.0.1", 5555)
    write(layout, "/opt/x/current/worker.toml", '[flower]\nport = 5600\naddress = "127.0.0.2"\n')
    assert addresses.of(layout, FLOWER) == ("127.0.0.2", 5600)
    for number, name in enumerate(("environment.installed", "environment"), 5601):
        write(layout, f"/etc/content-worker/{name}", f"WORKER__FLOWER__PORT={number}\n")
        assert addresses.of(layout, FLOWER) == ("127.0.0.2", number)


def test_a_worker_toml_that_was_broken_by_hand(layout: Layout) -> None:
    write(layout, "/opt/x/current/worker.toml", "[flower")
    assert addresses.of(layout, FLOWER) == ("127.0.0.1", 5555)


def test_the_port_of_redis(layout: Layout) -> None:
    """By redis.conf; without one, and for a service that says itself when it is ready, there is none."""
    assert addresses.of(layout, REDIS) is None
    write(layout, "/etc/content-worker/redis.conf", "bind 127.0.0.1\n# port 1\nport 6380\ntls-port 2\n")
    assert addresses.of(layout, REDIS) == ("127.0.0.1", 6380)
    assert addresses.of(layout, "celery-worker.service") is None


def test_redis_runs_on_the_old_port_until_it_is_restarted(layout: Layout) -> None:
    """While an upgrade replaces redis.conf, the old text stays beside it."""
    assert addresses.running_redis_port(layout) is None
    write(layout, "/etc/content-worker/redis.conf", "port 6400\n")
    assert addresses.running_redis_port(layout) == 6400
    write(layout, "/etc/content-worker/.redis.conf.content-worker-old", "port 6379\n")
    assert addresses.running_redis_port(layout) == 6379
