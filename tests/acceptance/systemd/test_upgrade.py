"""The installed services brought to another version, back, and away: the last tests of this machine."""

import itertools
import json
import re
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

import pytest
from celery import Celery

from tests.acceptance.systemd import installation
from tests.acceptance.systemd.installation import (
    AS_OPERATOR,
    CHECKOUT,
    PREFIX,
    QUEUES,
    STATE,
    UNITS,
)
from tests.acceptance.systemd.machine import Machine
from tests.acceptance.systemd.probing import Background, hold, probed, release
from tests.support import PATIENCE, executions, wait_until

pytestmark = [pytest.mark.systemd, pytest.mark.usefixtures("can_boot")]

CHANGED = f"{CHECKOUT}/tasks/health.py"
FIRST = min(QUEUES)
"""The queue that is switched before the others."""
STAND_IN = f"celery-worker@{FIRST}-next.service"
WHILE_IT_DRAINS = 400
"""Short tasks that have to run while the old worker finishes its long one: at 20 a second, 20 s."""


def releases(machine: Machine) -> dict[str, str]:
    """The release that each queue's worker runs, by its main process."""
    return {queue: release_of(machine, f"celery-worker@{queue}.service") for queue in QUEUES}


def release_of(machine: Machine, unit: str) -> str:
    """The release that the main process of a unit runs."""
    return Path(machine.output("readlink", f"/proc/{machine.main_pid(unit)}/cwd").strip()).name


def no_stand_ins(machine: Machine) -> None:
    """None runs or is left in a folder."""
    assert "-next" not in machine.output("systemctl", "list-units", "--all", "--plain", "celery-worker@*")
    places = ("/etc/systemd/system", f"{PREFIX}/queues", "/run/content-worker")
    assert not machine.output("find", *places, "-name", "*-next*")


def answers(machine: Machine) -> dict[str, str]:
    asked = ("content-worker", "health", "--json", f"--timeout={PATIENCE}")
    found = json.loads(machine.run(*asked, check=False).stdout)
    return {item["queue"]: item["status"] for item in found}


def edit(machine: Machine, text: str) -> None:
    """Change the checkout, and commit that."""
    with machine.path(CHANGED).open("a", encoding="utf-8") as file:
        file.write(text)
    name = ("-c", "user.name=test", "-c", "user.email=test@localhost")
    machine.run(*AS_OPERATOR, "git", "-C", CHECKOUT, *name, "commit", "--quiet", "--all", "--message=change")


@contextmanager
def edited(machine: Machine, text: str) -> Iterator[None]:
    """Change the checkout in this block, and take the change back at its end: no later test may get it."""
    edit(machine, text)
    try:
        yield
    finally:
        machine.run(*AS_OPERATOR, "git", "-C", CHECKOUT, "reset", "--quiet", "--hard", "HEAD~")


class Stream(threading.Thread):
    """Short tasks, one every 50 ms, as long as the block runs; each notes when it runs."""

    def __init__(self, client: Celery, folder: Path) -> None:
        super().__init__(daemon=True)
        self.folder = folder / "stream"
        self.folder.mkdir()
        shutil.chown(self.folder, folder.stat().st_uid, folder.stat().st_gid)
        self._send = client.signature(
            "probe.counted", kwargs={"folder": f"{STATE}/{folder.name}/stream"}, queue=FIRST
        ).apply_async
        self.sent: list[str] = []
        self._stops = threading.Event()

    def run(self) -> None:
        while not self._stops.wait(0.05):
            self.sent.append(self._send().id)

    def __enter__(self) -> Self:
        self.start()
        wait_until(self.flows, "the stream to be served")
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Send no more."""
        self._stops.set()
        self.join()

    def flows(self) -> bool:
        return len(executions(self.folder)) > 0

    def wait_for(self, number: int) -> None:
        """Wait until so many more have run, that were sent from now on."""
        after = [*self.sent]
        wait_until(lambda: len(self.ran() - {*after}) >= number, f"{number} more short tasks to run")

    def ran(self) -> set[str]:
        return {each["id"] for each in executions(self.folder)}

    def longest_gap_seconds(self) -> float:
        """Longest time without a start. A task is sent every 50 ms, so one waits in any longer time."""
        times = [each["time"] for each in executions(self.folder)]
        return max(later - earlier for earlier, later in itertools.pairwise(times))

    def end(self) -> None:
        """Each that was sent ran once."""
        self.stop()
        wait_until(lambda: self.ran() >= {*self.sent}, "every short task to run")
        assert sorted(each["id"] for each in executions(self.folder)) == sorted(self.sent)


def test_upgrade_and_rollback_leave_no_queue_unserved(
    services: Machine, client: Celery, folder: Path, record_property: Callable[[str, object], None]
) -> None:
    """While the first worker ends its task, another serves its queue with the new version, or the old one.

    The other queues go on with the old version. No task is lost, and none runs twice.
    """
    (old,) = set(releases(services).values())
    with probed(services, FIRST, "probe_worker") as unit, Stream(client, folder) as stream:
        sent = hold(client, folder, FIRST)
        edit(services, "\n# Another version.\n")
        upgrade = Background(lambda: installation.command(services, "upgrade"))
        draining = f"{FIRST}: finishing 1 task"
        wait_until(lambda: upgrade.runs() and services.show(unit, "StatusText") == draining, "a drain")
        assert releases(services) == dict.fromkeys(QUEUES, old)
        stream.wait_for(WHILE_IT_DRAINS)
        assert services.show(unit, "StatusText") == draining
        assert release_of(services, STAND_IN) not in ("", old)
        release(sent, folder)
        upgrade.end()
        record_property("gap_of_the_upgrade_seconds", stream.longest_gap_seconds())
        assert len(executions(folder)) == 1
        (new,) = set(releases(services).values())
        assert new != old
        assert services.output("readlink", f"{PREFIX}/current").strip().endswith(new)
        done = installation.command(services, "upgrade", "--rollback")
        assert done.returncode == 0, done.stdout + done.stderr
        assert f"started {STAND_IN}" in done.stdout
        assert releases(services) == dict.fromkeys(QUEUES, old)
        stream.wait_for(1)
        stream.end()
        record_property("gap_seconds", stream.longest_gap_seconds())
        assert answers(services) == dict.fromkeys(QUEUES, "ok")
        no_stand_ins(services)


def test_every_process_of_an_upgrade_is_killed(services: Machine, client: Celery, folder: Path) -> None:
    """`kill -9` of stand-in, old worker and upgrade: the queue is served, and the next upgrade ends it."""
    with probed(services, FIRST, "probe_worker") as unit, Stream(client, folder) as stream:
        sent = hold(client, folder, FIRST)
        edit(services, "\n# A version whose upgrade is killed.\n")
        upgrade = Background(lambda: installation.command(services, "upgrade"))
        wait_until(lambda: upgrade.runs() and "finishing" in services.show(unit, "StatusText"), "a drain")
        services.run("kill", "-KILL", str(services.main_pid(STAND_IN)))
        services.run("pkill", "-KILL", "--full", "as_root.py")
        assert "type the same command again to continue" in upgrade.error()
        stream.wait_for(1)  # the stand-in is back, and the old worker still finishes its task
        assert "finishing" in services.show(unit, "StatusText")
        services.run("kill", "-KILL", str(services.main_pid(unit)))
        wait_until(lambda: len(executions(folder)) == 2, "the task to be delivered again")
        again = Background(lambda: installation.command(services, "upgrade"))
        stream.wait_for(1)
        release(sent, folder)
        again.end()
        assert len(set(releases(services).values())) == 1
        assert answers(services) == dict.fromkeys(QUEUES, "ok")
        stream.wait_for(1)
        no_stand_ins(services)
        stream.stop()
        wait_until(lambda: stream.ran() >= {*stream.sent}, "every short task to run")


def test_a_worker_that_does_not_become_ready_replaces_none(services: Machine) -> None:
    """The version can be loaded, but its workers end at once: the old ones go on, and were not restarted."""
    services.systemctl("start", *UNITS)
    before, pids = releases(services), {unit: services.main_pid(unit) for unit in UNITS}
    with edited(services, "\nimport sys\nif 'worker' in sys.argv:\n    raise RuntimeError('no worker')\n"):
        done = installation.command(services, "upgrade")
    assert done.returncode == 1
    assert f"{STAND_IN}: did not become ready" in done.stderr
    assert "RuntimeError: no worker" in done.stdout
    assert releases(services) == before
    assert {unit: services.main_pid(unit) for unit in UNITS} == pids
    no_stand_ins(services)


def test_a_version_that_cannot_be_loaded_touches_no_worker(services: Machine) -> None:
    """Its error ends the upgrade, before a service is told anything."""
    services.systemctl("start", *UNITS)
    before, pids = releases(services), {unit: services.main_pid(unit) for unit in UNITS}
    with edited(services, "\nraise RuntimeError('a mistake')\n"):
        done = installation.command(services, "upgrade")
    assert done.returncode == 1
    assert "RuntimeError: a mistake" in done.stdout
    assert "no service was stopped for it" in done.stderr
    assert releases(services) == before
    assert {unit: services.main_pid(unit) for unit in UNITS} == pids


def test_our_redis_moves_to_another_port_and_back(services: Machine) -> None:
    """Every queue answers after each, by the address that the services have then."""
    before = installation.secret(services, "REDIS_URL")
    with services.path(f"{CHECKOUT}/worker.toml").open("a", encoding="utf-8") as file:
        file.write("\n[broker]\nport = 6400\n")
    with edited(services, "\n# Another port.\n"):
        done = installation.command(services, "upgrade")
        assert done.returncode == 0, done.stdout + done.stderr
        assert installation.secret(services, "REDIS_URL") == before.replace(":6379/", ":6400/") != before
        assert answers(services) == dict.fromkeys(QUEUES, "ok")
        done = installation.command(services, "upgrade", "--rollback")
        assert done.returncode == 0, done.stdout + done.stderr
        assert installation.secret(services, "REDIS_URL") == before
        assert answers(services) == dict.fromkeys(QUEUES, "ok")


def test_the_machine_goes_down_in_the_middle(services: Machine) -> None:
    """Booted again, every queue is served by its own worker; the next upgrade brings all to one release.

    That one has a second worker of the first queue.
    """
    (old,) = set(releases(services).values())
    toml = services.path(f"{CHECKOUT}/worker.toml")
    table = f"[queues.{FIRST}]\n"
    toml.write_text(toml.read_text("utf-8").replace(table, f"{table}workers = 2\n"), "utf-8")
    edit(services, "\n# A version whose upgrade is cut off.\n")
    upgrade = Background(lambda: installation.command(services, "upgrade"))
    wait_until(lambda: upgrade.runs() and services.is_active(STAND_IN), "the stand-in to serve")
    services.run("pkill", "-KILL", "--full", "as_root.py")
    upgrade.error()
    services.reboot()
    assert answers(services) == dict.fromkeys(QUEUES, "ok")
    assert not services.is_active(STAND_IN)
    done = installation.command(services, "upgrade")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "was interrupted" in done.stdout
    (new,) = set(releases(services).values())
    assert new != old
    second = f"celery-worker@{FIRST}-2.service"
    assert release_of(services, second) == new
    assert services.show(second, "StatusText").startswith(f"{FIRST}: ")
    no_stand_ins(services)


def test_uninstall(services: Machine) -> None:
    """Nothing is left: no process, unit, file, account or data."""
    done = installation.command(services, "uninstall", "--data")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "kept:" not in done.stdout
    ours = ("-name", "content-worker*", "-o", "-name", "celery-worker*")
    left = services.output("find", "/etc", "/opt", "/var/lib", "/usr/local", "/run", *ours)
    assert [path for path in left.splitlines() if not re.search("/dpkg/|credentials", path)] == []
    assert services.run("pgrep", "--full", PREFIX, check=False).returncode == 1
    known = services.output("systemctl", "list-units", "--all", "--type=service")
    assert [unit for unit in UNITS if unit in known] == []
    assert services.run("id", "content-worker", check=False).returncode == 1
    assert not services.path(STATE).exists()
