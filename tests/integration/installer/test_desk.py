"""The desk's service: it is installed everywhere, and runs where somebody may sign in."""

import pytest

from contentworker.desk import passwords
from contentworker.errors import ConfigError
from tests.integration.installer.machines import DESK, Machine
from tests.integration.installer.test_command import Typed
from tests.support import free_port

ANA = passwords.account_line("ana", ("editor",), "a long password")
CREDENTIALS = "/etc/content-worker/credentials"


def with_a_desk(machine: Machine) -> None:
    """Make the checkout one whose desk has a port of its own."""
    machine.desk_port = free_port()
    machine.write_checkout("1", more=f"[desk]\nport = {machine.desk_port}")


def test_it_runs_where_somebody_may_sign_in(machine: Machine) -> None:
    """It is started, restarted by an upgrade, and stopped at the end; the plan and the report name it."""
    with_a_desk(machine)
    first = Typed(machine, "install", "--yes", DESK_PASSWORDS=ANA)
    assert "Flower; the desk" in first.text
    assert f"desk        http://127.0.0.1:{machine.desk_port}, systemctl status celery-desk" in first.text
    assert DESK in machine.active()
    assert DESK in machine.enabled()
    assert machine.at(f"{CREDENTIALS}/DESK_PASSWORDS").read_text() == f"{ANA}\n"
    assert len(machine.at(f"{CREDENTIALS}/DESK_SECRET").read_text()) > 40
    release = machine.active()[DESK]
    machine.write_checkout("2", more=f"[desk]\nport = {machine.desk_port}")
    assert Typed(machine, "upgrade", "--yes").code == 0
    assert machine.active()[DESK] != release
    Typed(machine, "uninstall", "--yes")
    assert DESK not in machine.active()


def test_it_is_there_and_off_where_nobody_may(machine: Machine) -> None:
    """A person's line in the file, and the next upgrade starts it."""
    with_a_desk(machine)
    assert "the desk" not in Typed(machine, "install", "--yes").text
    assert DESK not in machine.active()
    assert machine.at(f"/etc/systemd/system/{DESK}").exists()
    machine.at(f"{CREDENTIALS}/DESK_PASSWORDS").write_text(f"{ANA}\n")
    machine.write_checkout("2", more=f"[desk]\nport = {machine.desk_port}")
    assert Typed(machine, "upgrade", "--yes").code == 0
    assert DESK in machine.active()


def test_a_wrong_line_is_found_before_anything_is_done(machine: Machine) -> None:
    """Not by a service that does not start."""
    with pytest.raises(ConfigError, match="DESK_PASSWORDS: line 1: must end in what"):
        machine.plan(DESK_PASSWORDS="ana:editor:secret")
    assert not machine.calls()
