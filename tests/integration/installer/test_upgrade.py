"""Upgrading and going back, on a folder with stand-ins for systemd."""

import shutil
from dataclasses import replace

import pytest

from contentworker.installer import prepare
from contentworker.installer.errors import ServiceError
from tests.integration.installer.machines import PREFIX, QUEUES, Machine

WORKERS = [f"celery-worker@{queue}.service" for queue in QUEUES]
STAND_INS = [f"celery-worker@{queue}-next.service" for queue in QUEUES]
FLOWER, REDIS, UMBRELLA = "celery-flower.service", "celery-redis.service", "celery-worker.service"
BEAT = "celery-beat.service"
LAST = (BEAT, FLOWER)


@pytest.fixture
def first(machine: Machine) -> str:
    """The release that is installed when the test begins."""
    release = machine.install()
    machine.calls()
    return release


def restarts(machine: Machine) -> list[str]:
    """What was started or restarted, in order."""
    calls = [call.split()[1:] for call in machine.calls()]
    started = [" ".join(units) for verb, *units in calls if verb in ("start", "restart")]
    return [units for units in started if "preflight" not in units and "-next" not in units]


def no_stand_ins(machine: Machine) -> None:
    """None runs, and nothing on the disk is left of one."""
    assert not [unit for unit in machine.active() if "-next" in unit]
    assert not [path for path in machine.files() if "-next" in path]
    assert machine.manifest
    assert not [path for path in machine.manifest.links if "-next" in path]


def releases(machine: Machine) -> set[str]:
    return {path.name for path in machine.at(f"{PREFIX}/releases").iterdir()}


def test_queue_by_queue(machine: Machine, first: str) -> None:
    """One worker after another is restarted on the new release, beat and Flower last, Redis not at all.

    Before it, another one serves its queue with the new release; after it, that one stops.
    """
    machine.write_checkout("2")
    second = machine.install()
    calls = [call.split()[1:] for call in machine.calls()]
    assert [(verb, *units) for verb, *units in calls if units and units[0] in {*WORKERS, *STAND_INS}] == [
        each
        for worker, stand_in in zip(WORKERS, STAND_INS, strict=True)
        for each in (
            ("restart", stand_in),
            ("restart", worker),
            ("stop", stand_in),
            ("reset-failed", stand_in),
        )
    ]
    assert {(machine.state / "runs" / unit).read_text().strip() for unit in STAND_INS} == {second}
    assert [units for verb, *units in calls if verb in ("start", "restart")][-2:] == [[unit] for unit in LAST]
    assert not machine.gaps()
    no_stand_ins(machine)
    assert {unit: machine.active()[unit] for unit in (*WORKERS, *LAST)} == dict.fromkeys(
        (*WORKERS, *LAST), second
    )
    assert releases(machine) == {first, second}


def test_the_release_before_the_last_is_removed(machine: Machine, first: str) -> None:
    """One old release is kept to go back to."""
    machine.write_checkout("2")
    second = machine.install()
    machine.write_checkout("3")
    third = machine.install()
    assert releases(machine) == {second, third}


@pytest.mark.parametrize("unit", [*WORKERS, *LAST])
def test_a_release_that_does_not_become_ready_is_taken_back(machine: Machine, first: str, unit: str) -> None:
    """Whichever service fails on the new release, all run the old one again, and the new one is gone."""
    machine.write_checkout("2")
    plan, before = machine.plan(), machine.files()
    machine.fail(unit, plan.release)
    with pytest.raises(
        ServiceError, match=rf"^{unit}: did not become ready \(it is failed\): Job for {unit} failed\.$"
    ):
        machine.apply(plan)
    assert machine.active() == dict.fromkeys(sorted([*WORKERS, UMBRELLA, *LAST, REDIS]), first)
    assert machine.files() == before
    assert not machine.gaps()
    assert f"what {unit} logged --after-cursor=s=now" in "\n".join(machine.said)


@pytest.mark.parametrize("number", [0, 2], ids=["the first queue", "the last queue"])
def test_a_stand_in_that_does_not_become_ready(machine: Machine, first: str, number: int) -> None:
    """Its queue's worker goes on untouched; those that were switched already go back, without a gap."""
    machine.write_checkout("2")
    plan, before = machine.plan(), machine.files()
    machine.fail(STAND_INS[number], plan.release)
    with pytest.raises(ServiceError, match=f"^{STAND_INS[number]}: did not become ready"):
        machine.apply(plan)
    assert machine.active() == dict.fromkeys(sorted([*WORKERS, UMBRELLA, *LAST, REDIS]), first)
    assert machine.files() == before
    assert restarts(machine) == [*WORKERS[:number], *WORKERS[:number]]
    assert not machine.gaps()


def test_an_old_release_without_stand_ins(machine: Machine, first: str) -> None:
    """A rollback to units that cannot tell a stand-in its queue restarts the workers, and says so."""
    old = machine.folder / "old"
    shutil.copytree(machine.at(f"{PREFIX}/releases/{first}"), old)
    unit = old / "systemd/celery-worker@.service"
    unit.write_text(unit.read_text().replace("${WORKER_QUEUE}", "%i"))
    machine.apply(replace(machine.plan(), release="old", source=str(old)))
    assert {machine.active()[unit] for unit in WORKERS} == {"old"}
    assert machine.gaps() == WORKERS
    assert [line for line in machine.said if "its queue waits meanwhile" in line]


def test_without_stand_ins_if_memory_is_short(machine: Machine, first: str) -> None:
    """`services.gapless_upgrades = false`: a worker is restarted when its tasks have ended."""
    machine.write_checkout("2", more="[services]\ngapless_upgrades = false\n")
    machine.install()
    assert restarts(machine) == [*WORKERS, *LAST]
    assert machine.gaps() == WORKERS
    no_stand_ins(machine)


def test_short_of_memory(machine: Machine, first: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What its largest worker uses now has to be available a second time; the plan says so."""
    monkeypatch.setattr("contentworker.installer.machine.available_memory_bytes", lambda: 300_000_000)
    for unit, text in zip(WORKERS, ("300000000", "300000001", "[not set]"), strict=True):
        (machine.state / "memory" / unit).write_text(text)
    machine.write_checkout("2")
    (warning,) = prepare.prepare(machine.options()).warnings
    assert warning.startswith(
        f"{WORKERS[1]} uses 300 MB, and 300 MB are available: a second one may not fit."
    )
    machine.write_checkout("2", more="[services]\ngapless_upgrades = false\n")
    assert not prepare.prepare(machine.options()).warnings


def test_two_workers_of_a_queue(machine: Machine, first: str) -> None:
    """The second one is started, has a stand-in of its own, and stops when the number goes down again."""
    second = "celery-worker@beta-2.service"
    machine.install(WORKER__QUEUES__BETA__WORKERS="2")
    assert second in machine.active()
    drop_in = machine.at(f"/etc/systemd/system/{second}.d/50-worker-toml.conf").read_text()
    assert "Environment=WORKER_QUEUE=beta\n" in drop_in
    machine.write_checkout("2")
    release = machine.install()
    assert "celery-worker@beta-2-next.service" in "\n".join(machine.calls())
    assert machine.active()[second] == release
    machine.install(WORKER__QUEUES__BETA__WORKERS="1")
    assert second not in machine.active()
    assert not machine.gaps()
    no_stand_ins(machine)


@pytest.mark.parametrize("verb", ["restart", "stop"])
def test_killed_while_a_stand_in_serves(machine: Machine, first: str, verb: str) -> None:
    """The stand-in goes on serving; the next run finishes the worker's restart, and stops it."""
    machine.write_checkout("2")
    plan = machine.plan()
    died = f"{verb} {WORKERS[1] if verb == 'restart' else STAND_INS[1]}"
    really = machine.programs / "systemctl"
    really.rename(machine.programs / "really")
    machine.program(
        "systemctl", f'#!/bin/sh\n[ "$*" = "{died}" ] && exit 64\n"{machine.programs}/really" "$@"\n'
    )
    with pytest.MonkeyPatch.context() as context:
        context.setattr("contentworker.installer.apply._Run._undo", lambda *_: None)  # as if killed
        with pytest.raises(ServiceError):
            machine.apply(plan)
    (machine.programs / "really").rename(really)
    assert machine.active()[STAND_INS[1]] == plan.release
    machine.apply(plan)
    assert {machine.active()[unit] for unit in WORKERS} == {plan.release}
    assert not machine.gaps()
    no_stand_ins(machine)


def test_a_queue_that_is_new_and_one_that_is_gone(machine: Machine, first: str) -> None:
    """The worker of a new queue is started, the worker of a removed one is stopped and its files are gone."""
    machine.write_checkout("2", ("alpha", "gamma", "celery"))
    machine.install()
    assert "celery-worker@gamma.service" in machine.active()
    assert "celery-worker@beta.service" not in machine.active()
    left = [path for path in machine.files() if "beta" in path and "releases" not in path]
    assert not left
    assert "systemctl stop celery-worker@beta.service" in machine.calls()


def test_queues_come_back_when_the_upgrade_is_taken_back(machine: Machine, first: str) -> None:
    """A queue that was removed is served again, and a new one is not, when the new release fails."""
    machine.write_checkout("2", ("alpha", "gamma", "celery"))
    plan, before = machine.plan(), machine.files()
    machine.fail(FLOWER, plan.release)
    with pytest.raises(ServiceError):
        machine.apply(plan)
    assert machine.files() == before
    assert set(machine.active()) == {*WORKERS, UMBRELLA, *LAST, REDIS}


def test_a_worker_that_was_stopped_stays_so(machine: Machine, first: str) -> None:
    """A person who stopped a queue meant it; started again, it runs the new release."""
    (machine.state / "active" / WORKERS[1]).unlink()
    machine.write_checkout("2")
    second = machine.install()
    assert WORKERS[1] not in machine.active()
    assert machine.at(f"{PREFIX}/queues/{QUEUES[1]}").resolve().name == second


def test_redis_is_restarted_only_for_its_own_sake(machine: Machine, first: str) -> None:
    """Its unit or its configuration changed: then it is restarted, before the workers."""
    template = machine.checkout / "systemd/templates/redis.conf.in"
    template.write_text(template.read_text().replace("tcp-keepalive 60", "tcp-keepalive 61"))
    machine.install()
    assert restarts(machine) == [REDIS, *WORKERS, *LAST]


def test_back_and_forth(machine: Machine, first: str) -> None:
    """A rollback is an upgrade to the release before, with the units of that; and so is its own rollback."""
    template = machine.checkout / "systemd/templates/celery-flower.service.in"
    old = template.read_text()
    template.write_text(old.replace("RestartSec=5", "RestartSec=6"))
    plan = machine.plan()
    machine.apply(plan)
    unit = machine.at(f"/etc/systemd/system/{FLOWER}")
    assert "RestartSec=6" in unit.read_text()
    for release, text in ((first, "RestartSec=5"), (plan.release, "RestartSec=6")):
        machine.apply(replace(plan, release=release, source=""))
        assert machine.active()[WORKERS[0]] == release
        assert text in unit.read_text()
        assert releases(machine) == {first, plan.release}


def test_back_to_a_release_without_a_service(machine: Machine, first: str) -> None:
    """A service that is newer than a release stops when going back to that, and starts again after it."""
    newer = machine.at(f"{PREFIX}/releases/{first}/systemd/{BEAT}")
    old = machine.folder / "old"
    shutil.copytree(newer.parent.parent, old)
    (old / "systemd" / BEAT).unlink()
    plan = replace(machine.plan(), release="old", source=str(old))
    machine.apply(plan)
    assert BEAT not in machine.active()
    assert BEAT not in machine.enabled()
    assert not machine.at(f"/etc/systemd/system/{BEAT}").exists()
    machine.apply(replace(plan, release=first, source=""))
    assert machine.active()[BEAT] == first


def test_an_upgrade_that_was_interrupted_is_taken_back_as_a_whole(
    machine: Machine, first: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When it is repeated and fails, also the queues that the first attempt had switched go back."""
    machine.write_checkout("2")
    plan = machine.plan()
    machine.fail(WORKERS[1], plan.release)
    with monkeypatch.context() as context:
        context.setattr("contentworker.installer.apply._Run._undo", lambda *_: None)  # as if killed
        with pytest.raises(ServiceError):
            machine.apply(plan)
    assert machine.active()[WORKERS[0]] == plan.release
    with pytest.raises(ServiceError):
        machine.apply(plan)
    assert machine.active() == dict.fromkeys(sorted([*WORKERS, UMBRELLA, *LAST, REDIS]), first)
    assert releases(machine) == {first}
    machine.repair()
    machine.apply(plan)
    assert {machine.active()[unit] for unit in WORKERS} == {plan.release}


def test_going_back_that_fails_as_well_is_said(machine: Machine, first: str) -> None:
    """If the old release does not start either, the message says so: a person must look."""
    machine.write_checkout("2")
    machine.fail(WORKERS[1])
    with pytest.raises(
        Exception, match=rf"\(it is failed\): .*; and undoing the changes failed: {WORKERS[1]}"
    ):
        machine.install()


def test_edits_in_an_old_release_are_kept(machine: Machine, first: str) -> None:
    """A file that a person changed or added in a release outlives it, and is named."""
    folder = machine.at(f"{PREFIX}/releases/{first}")
    (folder / "celery_worker.py").write_text("VERSION = 'patched'\n")
    (folder / "mine.py").write_text("")
    for version in ("2", "3"):
        machine.write_checkout(version)
        machine.install()
    assert sorted(path.name for path in folder.iterdir()) == ["SHA256SUMS", "celery_worker.py", "mine.py"]
    assert len([line for line in machine.said if "added or edited by hand" in line]) == 2


def address(machine: Machine) -> str:
    return machine.at("/etc/content-worker/credentials/REDIS_URL").read_text().strip()


def test_our_redis_gets_another_port(machine: Machine, first: str) -> None:
    """Workers end their tasks on the old port, the address follows the new one, and back with a rollback."""
    before, port = address(machine), machine.redis_port
    machine.move_redis()
    machine.write_checkout("2")
    plan = machine.plan()
    machine.apply(plan)
    assert address(machine) == before.replace(f":{port}/", f":{machine.redis_port}/") != before
    assert {machine.active()[unit] for unit in WORKERS} == {plan.release}
    calls = machine.calls()
    assert calls.index(f"systemctl stop {' '.join([*WORKERS, *LAST])}") < calls.index(
        f"systemctl restart {REDIS}"
    )
    machine.apply(replace(plan, release=first, source=""))
    assert address(machine) == before
    assert {machine.active()[unit] for unit in WORKERS} == {first}


def test_another_port_is_taken_back(machine: Machine, first: str) -> None:
    """When a worker does not start, all run on the old port; one that a person stopped stays stopped."""
    (machine.state / "active" / WORKERS[2]).unlink()
    before = machine.files()
    machine.move_redis()
    machine.write_checkout("2")
    plan = machine.plan()
    machine.fail(WORKERS[1], plan.release)
    with pytest.raises(ServiceError, match=r"failed\.$"):
        machine.apply(plan)
    assert machine.files() == before
    running = {WORKERS[0], WORKERS[1], UMBRELLA, *LAST, REDIS}
    assert machine.active() == dict.fromkeys(sorted(running), first)


def test_an_address_that_a_person_wrote_is_kept(machine: Machine, first: str) -> None:
    """REDIS_URL was pointed at another server by hand: a new port of ours does not change it."""
    (machine.state / "active" / REDIS).unlink()
    place = machine.at("/etc/content-worker/credentials/REDIS_URL")
    place.write_text("rediss://:secret@10.0.0.5:6380/0\n")
    machine.move_redis()
    machine.write_checkout("2")
    machine.install()
    assert address(machine) == "rediss://:secret@10.0.0.5:6380/0"


def test_a_broken_release_stops_nothing(machine: Machine, first: str) -> None:
    """It is loaded before anything is stopped: the error is shown, and no service was told a thing."""
    machine.write_checkout("2")
    (machine.checkout / "celery_worker.py").write_text("raise RuntimeError('a mistake')\n")
    plan, before = machine.plan(), machine.files()
    with pytest.raises(ServiceError, match="this release would not run here, so no service was stopped"):
        machine.apply(plan)
    assert "RuntimeError: a mistake" in "\n".join(machine.said)
    assert not restarts(machine)
    assert machine.files() == before


def test_a_masked_worker_is_left_out(machine: Machine, first: str) -> None:
    """It is not started, and the others are; unmasked, the next upgrade starts it."""
    machine.mask(WORKERS[1])
    (machine.state / "active" / WORKERS[1]).unlink()
    machine.write_checkout("2")
    second = machine.install()
    assert f"{WORKERS[1]} is masked, and left out" in machine.said
    assert WORKERS[1] not in machine.active()
    assert machine.active()[WORKERS[2]] == second
    (machine.state / "masked" / WORKERS[1]).unlink()
    machine.at(f"/etc/systemd/system/{WORKERS[1]}").unlink()
    machine.write_checkout("3")
    third = machine.install()
    assert machine.active()[WORKERS[1]] == third


def test_settings_of_the_environment_are_kept(machine: Machine, first: str) -> None:
    """What was set when it was typed holds at the next upgrade, until its line is deleted."""
    memory = machine.at("/etc/systemd/system/celery-worker@beta.service.d/50-worker-toml.conf")
    kept = machine.at("/etc/content-worker/environment.installed")
    machine.install(WORKER__QUEUES__BETA__MEMORY_MAX_MEBIBYTES="3000")
    assert "MemoryMax=3000M" in memory.read_text()
    machine.write_checkout("2")
    machine.install()
    assert "MemoryMax=3000M" in memory.read_text()
    machine.install(WORKER__QUEUES__BETA__MEMORY_MAX_MEBIBYTES="4000")
    assert "MemoryMax=4000M" in memory.read_text()
    kept.write_text("".join(line for line in kept.read_text().splitlines(True) if "BETA" not in line))
    machine.install()
    assert "MemoryMax=2048M" in memory.read_text()
    assert not [line for line in machine.said if "edited by hand" in line]
