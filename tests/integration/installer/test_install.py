"""Installing, on a folder with stand-ins for systemd."""

import os
import stat
from pathlib import Path

import pytest

from contentworker.installer import machine as machine_module
from contentworker.installer.errors import InstallError, ServiceError
from tests.integration.installer.machines import PREFIX, QUEUES, Machine

CREDENTIALS = "/etc/content-worker/credentials"
UNITS = "/etc/systemd/system"
WORKERS = [f"celery-worker@{queue}.service" for queue in QUEUES]
ONCE = ["celery-worker.service", "celery-beat.service", "celery-flower.service", "celery-redis.service"]
SERVICES = [*WORKERS, *ONCE]


def test_all_queues_run_and_are_enabled(machine: Machine) -> None:
    """Installed on a clean machine, every service runs the release and starts again with the machine."""
    release = machine.install()
    assert machine.active() == dict.fromkeys(sorted(SERVICES), release)
    assert machine.enabled() == set(ONCE)
    assert {str(machine.at(f"{PREFIX}/queues/{queue}").readlink()) for queue in QUEUES} == {
        f"../releases/{release}"
    }


def test_files_are_in_place_before_anything_is_started(machine: Machine) -> None:
    """systemd is told in an order in which each thing that starts finds what it needs."""
    machine.install()
    verbs = [call.split()[0:2] for call in machine.calls()]
    assert [verb[0] for verb in verbs[:2]] == ["systemd-sysusers", "systemd-tmpfiles"]
    assert verbs[2] == ["systemctl", "daemon-reload"]


def test_modes_and_secrets(machine: Machine) -> None:
    """Secrets are root's alone, the services read the rest; Redis and its clients share a password."""
    before = os.umask(0o077)
    try:
        machine.install()
    finally:
        os.umask(before)
    modes = {
        path.relative_to(machine.target): stat.S_IMODE(path.lstat().st_mode)
        for top in ("opt", "etc", "usr")
        for path in (machine.target / top).rglob("*")
        if not path.is_symlink()
    }
    secret = {
        path: mode for path, mode in modes.items() if "credentials" in path.parts and path.parts[0] == "etc"
    }
    assert secret.pop(Path("etc/content-worker/credentials")) == 0o700
    assert set(secret.values()) == {0o600}
    assert set(modes.values()) - {0o700, 0o600} <= {0o755, 0o644}
    password = machine.at(f"{CREDENTIALS}/redis-password.conf").read_text().split()[1]
    url = f"redis://:{password}@127.0.0.1:{machine.redis_port}/0\n"
    assert machine.at(f"{CREDENTIALS}/REDIS_URL").read_text() == url
    assert len(password) >= 32


def test_secrets_of_the_environment_are_taken(machine: Machine) -> None:
    """What is in the environment becomes a credential; a secret that is not given is an empty file."""
    machine.write_checkout(
        "1", more='[queues.delta]\ndescription = "d"\nsecrets = ["OPENAI_API_KEY", "OTHER"]'
    )
    machine.install(OPENAI_API_KEY="sk-1", FLOWER_BASIC_AUTH="me:secret")
    given = {path.name: path.read_text() for path in machine.at(CREDENTIALS).iterdir()}
    assert given["OPENAI_API_KEY"] == "sk-1\n"
    assert given["FLOWER_BASIC_AUTH"] == "me:secret\n"
    assert given["OTHER"] == ""
    assert any("OTHER is empty" in line for line in machine.said)


def test_an_existing_address_of_redis_is_used(machine: Machine) -> None:
    """Where the credential says which Redis it is, none is installed, and the credential is left as it is."""
    folder = machine.at(CREDENTIALS)
    folder.mkdir(parents=True)
    folder.chmod(0o700)
    (folder / "REDIS_URL").write_text("redis://elsewhere/0")
    (folder / "REDIS_URL").chmod(0o600)
    machine.install()
    assert not machine.at(f"{UNITS}/celery-redis.service").exists()
    assert (folder / "REDIS_URL").read_text() == "redis://elsewhere/0"
    machine.uninstall(removes_data=True)
    assert (folder / "REDIS_URL").read_text() == "redis://elsewhere/0"


def test_a_second_run_changes_nothing(machine: Machine) -> None:
    """The same checkout gives the same release: all is there, and systemd is told nothing."""
    first = machine.install()
    before = machine.files()
    machine.calls()
    assert machine.install() == first
    assert machine.files() == before
    assert not [call for call in machine.calls() if "start" in call or "enable" in call]


@pytest.mark.parametrize(
    "unit", ["celery-redis.service", WORKERS[1], "celery-beat.service", "celery-flower.service"]
)
def test_a_service_that_does_not_start_takes_all_back(machine: Machine, unit: str) -> None:
    """Nothing is left of an installation whose service does not become ready, and what it logged is shown."""
    before = machine.files()
    machine.fail(unit)
    with pytest.raises(ServiceError, match=rf"{unit}: did not become ready \(it is failed\)"):
        machine.install()
    assert f"what {unit} logged" in "\n".join(machine.said)
    assert machine.files() == before
    assert not machine.active()
    assert not machine.enabled()
    machine.repair()
    machine.install()
    assert set(machine.active()) == set(SERVICES)


def test_a_service_that_does_not_listen_counts_as_failed(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Flower says by listening that it is ready; one that never does is a failure."""
    monkeypatch.setattr("contentworker.installer.systemd.LISTEN_SECONDS", 0.2)
    plan = machine.plan()
    machine.flower_port = 0  # it listens elsewhere, on whatever port is free
    with pytest.raises(ServiceError, match="does not listen"):
        machine.apply(plan)
    assert not machine.active()


@pytest.mark.parametrize("path", [f"{UNITS}/celery-worker.service", "/usr/local/bin/content-worker"])
def test_files_of_others_are_refused(machine: Machine, path: str) -> None:
    """A file of another program where one of ours goes is named, and nothing is changed."""
    machine.at(path).parent.mkdir(parents=True, exist_ok=True)
    machine.at(path).write_text("[Service]\nExecStart=/usr/bin/celery\n")
    before = machine.files()
    with pytest.raises(InstallError, match=f"{path} is there and was not made"):
        machine.install()
    assert machine.files() == before


def test_a_folder_of_others_is_refused(machine: Machine) -> None:
    """A prefix that something else is in is not ours to fill."""
    machine.at(f"{PREFIX}/something").mkdir(parents=True)
    with pytest.raises(InstallError, match=f"{PREFIX} is there and was not made"):
        machine.install()


def test_an_edited_unit_is_kept(machine: Machine) -> None:
    """A unit that was edited by hand is kept and named; an upgrade puts its own text beside it."""
    machine.install()
    unit = f"{UNITS}/celery-flower.service"
    edited = machine.at(unit).read_text().replace("MemoryMax=512M", "MemoryMax=1G")
    machine.at(unit).write_text(edited)
    template = machine.checkout / "systemd/templates/celery-flower.service.in"
    template.write_text(template.read_text().replace("RestartSec=5", "RestartSec=6"))
    machine.install()
    assert machine.at(unit).read_text() == edited
    assert "RestartSec=6" in machine.at(f"{unit}.new").read_text()
    assert f"{unit} was edited by hand: kept; this release's is {unit}.new" in machine.said
    machine.uninstall()
    assert machine.at(unit).read_text() == edited
    assert not machine.at(f"{unit}.new").exists()
    assert f"kept: {unit}, which was edited by hand" in machine.said


def test_a_unit_taken_over_by_hand_is_ours_again(machine: Machine) -> None:
    """Once the person put the new text in the place of the old, it is replaced again as any other."""
    machine.install()
    unit, template = (
        f"{UNITS}/celery-flower.service",
        machine.checkout / "systemd/templates/celery-flower.service.in",
    )
    machine.at(unit).write_text("# mine\n")
    for seconds in (6, 7):
        text = template.read_text()
        template.write_text(text.replace(f"RestartSec={seconds - 1}", f"RestartSec={seconds}"))
        machine.install()
        if seconds == 6:
            machine.at(f"{unit}.new").rename(machine.at(unit))
    assert "RestartSec=7" in machine.at(unit).read_text()
    assert not machine.at(f"{unit}.new").exists()


def test_the_environment_file_is_never_overwritten(machine: Machine) -> None:
    """Overrides of this machine survive every upgrade; there is nothing to merge."""
    machine.install()
    path = machine.at("/etc/content-worker/environment")
    path.write_text("WORKER__LIMITS__MAX_DELIVERIES=3\n")
    machine.write_checkout("2")
    machine.install()
    assert path.read_text() == "WORKER__LIMITS__MAX_DELIVERIES=3\n"
    assert not path.with_name("environment.new").exists()


def test_an_account_that_exists_is_never_removed(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only accounts that were not there before are noted, and removed with the data."""
    known = {"content-worker"}
    monkeypatch.setattr(machine_module, "account_exists", lambda name: name in known)
    monkeypatch.setattr(
        machine_module, "missing_accounts", lambda names: [name for name in names if name not in known]
    )
    machine.install()
    known.add("content-worker-redis")
    machine.calls()
    machine.uninstall(removes_data=True)
    assert [call for call in machine.calls() if "userdel" in call] == ["userdel content-worker-redis"]


def test_a_person_is_no_account_for_services(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """An account that a person logs in with is refused, with what to type instead."""
    import pwd

    person = pwd.struct_passwd(("content-worker", "x", 1001, 1001, "", "/home/cw", "/bin/bash"))
    monkeypatch.setattr(pwd, "getpwnam", lambda name: person)
    with pytest.raises(InstallError, match=r"is a person's .* --user NAME"):
        machine.install()
