"""Removing, on a folder with stand-ins for systemd."""

import pytest

from contentworker.installer.errors import InstallError, ServiceError
from tests.integration.installer.machines import PREFIX, Machine

CREDENTIALS = "/etc/content-worker/credentials"


def test_nothing_is_left(machine: Machine) -> None:
    """With its data, what was installed is gone to the last folder."""
    before = machine.files()
    machine.install()
    machine.at("/var/lib/content-worker-redis").mkdir(parents=True)
    machine.uninstall(removes_data=True)
    machine.at("/var/lib").rmdir()
    machine.at("/var").rmdir()
    assert machine.files() == before
    assert not machine.active()
    assert not machine.enabled()


def test_workers_end_before_redis(machine: Machine) -> None:
    """What a worker still has to say goes to Redis, so that is stopped last."""
    machine.install()
    machine.calls()
    machine.uninstall()
    stops = [call for call in machine.calls() if call.startswith("systemctl stop")]
    *_, workers, redis, reports = stops
    assert "celery-worker@alpha.service" in workers
    assert redis == "systemctl stop celery-redis.service"
    assert reports == "systemctl stop celery-failed@*.service"


def test_data_is_kept_for_the_next_installation(machine: Machine) -> None:
    """Without being asked it keeps secrets and data, and an installation after that uses them again."""
    machine.install()
    url = machine.at(f"{CREDENTIALS}/REDIS_URL").read_text()
    machine.at("/var/lib/content-worker-redis").mkdir(parents=True)
    machine.uninstall()
    assert f"kept: {CREDENTIALS}/REDIS_URL" in machine.said
    assert not machine.at("/etc/systemd/system/celery-redis.service").exists()
    machine.install()
    assert machine.at(f"{CREDENTIALS}/REDIS_URL").read_text() == url
    assert "celery-redis.service" in machine.active()


def test_kept_data_survives_an_installation_that_fails(machine: Machine) -> None:
    """What was kept is not given up when the next installation is taken back."""
    machine.install()
    machine.uninstall()
    kept = machine.files()
    machine.fail("celery-worker@alpha.service")
    with pytest.raises(ServiceError):
        machine.install()
    assert machine.files() == kept
    machine.uninstall(removes_data=True)
    assert not machine.at(PREFIX).exists()
    assert not machine.at("/etc/content-worker").exists()


def test_what_others_made_is_kept(machine: Machine) -> None:
    """Files of others beside ours stay, with their folders, and each is named."""
    machine.install()
    drop_in = "/etc/systemd/system/celery-worker@alpha.service.d/90-mine.conf"
    secret = f"{CREDENTIALS}/OPENAI_API_KEY"
    for path in (drop_in, secret):
        machine.at(path).write_text("mine\n")
        machine.at(path).chmod(0o600)
    machine.uninstall(removes_data=True)
    assert machine.at(drop_in).read_text() == machine.at(secret).read_text() == "mine\n"
    assert {f"kept: {path}, which this installer did not make" for path in (drop_in, secret)} <= set(
        machine.said
    )


def test_a_worker_that_does_not_stop_is_waited_for_in_vain(machine: Machine) -> None:
    """Nothing is removed under a worker that still runs."""
    machine.install()
    before = machine.files()
    stop = 'stop) rm -f "$S/active/$unit" ;;'
    broken = machine.programs / "systemctl"
    broken.write_text(broken.read_text().replace(stop, "stop) echo timed out >&2; code=1 ;;"))
    with pytest.raises(ServiceError, match="did not stop: timed out"):
        machine.uninstall()
    assert machine.files() == before


def test_nothing_to_remove(machine: Machine) -> None:
    """Where nothing is installed, that is said."""
    with pytest.raises(InstallError, match="nothing is installed in /opt/content-worker"):
        machine.uninstall()
