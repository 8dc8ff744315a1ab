"""The installed services brought to another version, back, and away: the last tests of this machine."""

import json
import re
from pathlib import Path

import pytest
from celery import Celery

from tests.acceptance.systemd import installation
from tests.acceptance.systemd.installation import (
    AS_OPERATOR,
    CHECKOUT,
    PREFIX,
    QUEUES,
    STATE,
    UMBRELLA,
    UNITS,
)
from tests.acceptance.systemd.machine import Machine
from tests.acceptance.systemd.probing import Background, hold, probed, release
from tests.support import executions, wait_until

pytestmark = [pytest.mark.systemd, pytest.mark.usefixtures("can_boot")]

CHANGED = f"{CHECKOUT}/tasks/health.py"
FIRST = min(QUEUES)
"""The queue that is switched before the others."""


def releases(machine: Machine) -> dict[str, str]:
    """The release that each queue's worker runs, by its main process."""
    pids = {queue: machine.main_pid(f"celery-worker@{queue}.service") for queue in QUEUES}
    return {
        queue: Path(machine.output("readlink", f"/proc/{pid}/cwd").strip()).name
        for queue, pid in pids.items()
    }


def answers(machine: Machine) -> dict[str, str]:
    found = json.loads(machine.run("content-worker", "health", "--json", check=False).stdout)
    return {item["queue"]: item["status"] for item in found}


def edit(machine: Machine, text: str) -> None:
    """Change the checkout, and commit that."""
    with machine.path(CHANGED).open("a", encoding="utf-8") as file:
        file.write(text)
    name = ("-c", "user.name=test", "-c", "user.email=test@localhost")
    machine.run(*AS_OPERATOR, "git", "-C", CHECKOUT, *name, "commit", "--quiet", "--all", "--message=change")


def test_upgrade_goes_queue_by_queue_and_loses_no_task(
    services: Machine, client: Celery, folder: Path
) -> None:
    """While the first worker ends its task the others run the old version; then all run the new one."""
    (old,) = set(releases(services).values())
    with probed(services, FIRST, "probe_worker") as unit:
        sent = hold(client, folder, FIRST)
        edit(services, "\n# Another version.\n")
        upgrade = Background(lambda: installation.command(services, "upgrade"))
        draining = f"{FIRST}: finishing 1 task"
        wait_until(lambda: services.show(unit, "StatusText") == draining, "the first worker to drain")
        assert releases(services) == dict.fromkeys(QUEUES, old)
        release(sent, folder)
        upgrade.end()
        assert len(executions(folder)) == 1
        (new,) = set(releases(services).values())
        assert new != old
        assert services.output("readlink", f"{PREFIX}/current").strip().endswith(new)
        assert answers(services) == dict.fromkeys(QUEUES, "ok")


def test_a_version_that_cannot_be_loaded_touches_no_worker(services: Machine) -> None:
    """Its error ends the upgrade, before a service is told anything."""
    services.systemctl("start", UMBRELLA)
    before = releases(services)
    pids = {unit: services.main_pid(unit) for unit in UNITS}
    edit(services, "\nraise RuntimeError('a mistake')\n")
    done = installation.command(services, "upgrade")
    assert done.returncode == 1
    assert "RuntimeError: a mistake" in done.stdout
    assert "no service was stopped for it" in done.stderr
    assert releases(services) == before
    assert {unit: services.main_pid(unit) for unit in UNITS} == pids
    services.run(*AS_OPERATOR, "git", "-C", CHECKOUT, "reset", "--quiet", "--hard", "HEAD~")


def test_our_redis_moves_to_another_port_and_back(services: Machine) -> None:
    """Every queue answers after each, by the address that the services have then."""
    before = installation.secret(services, "REDIS_URL")
    with services.path(f"{CHECKOUT}/worker.toml").open("a", encoding="utf-8") as file:
        file.write("\n[broker]\nport = 6400\n")
    edit(services, "\n# Another port.\n")
    done = installation.command(services, "upgrade")
    assert done.returncode == 0, done.stdout + done.stderr
    assert installation.secret(services, "REDIS_URL") == before.replace(":6379/", ":6400/") != before
    assert answers(services) == dict.fromkeys(QUEUES, "ok")
    done = installation.command(services, "upgrade", "--rollback")
    assert done.returncode == 0, done.stdout + done.stderr
    assert installation.secret(services, "REDIS_URL") == before
    assert answers(services) == dict.fromkeys(QUEUES, "ok")


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
