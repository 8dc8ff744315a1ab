"""What a task cannot do in the sandbox of an installed worker, tried by a task."""

import stat
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from celery import Celery

from tests.acceptance.systemd.installation import OTHER, QUEUES, SETTINGS, STATE
from tests.acceptance.systemd.machine import Machine
from tests.acceptance.systemd.probing import probed
from tests.support import PATIENCE

pytestmark = [pytest.mark.systemd, pytest.mark.usefixtures("can_boot")]

ELSEWHERE = "reach another address"


@pytest.fixture(scope="module")
def machine(services: Machine) -> Iterator[Machine]:
    """The installed services; their workers know the task that tries."""
    services.run("ip", "address", "replace", "192.0.2.1/32", "dev", "lo")
    services.path("/tmp/file").write_text("of others")
    with ExitStack() as stack:
        for queue in QUEUES:
            stack.enter_context(probed(services, queue, "sandbox_worker"))
        yield services


@pytest.mark.parametrize("queue", QUEUES)
def test_refused(machine: Machine, client: Celery, queue: str) -> None:
    """Refused to every worker; the network only to one that has no use for it."""
    allowed = {ELSEWHERE} if "any" in SETTINGS.queues[queue].allowed_addresses else set()
    answers = client.send_task("probe.sandbox.attempt", queue=queue).get(timeout=PATIENCE)
    assert ELSEWHERE in answers
    assert {what for what, answer in answers.items() if answer == "done"} == allowed, answers


def test_state_is_its_own(machine: Machine, client: Celery) -> None:
    """It can keep files in its state folder, and no other user can read them."""
    client.send_task("probe.sandbox.keep", args=["kept", "text"], queue=OTHER).get(timeout=PATIENCE)
    file = machine.path(f"{STATE}/kept")
    assert file.read_text() == "text"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    file.unlink()
