"""What a task cannot do in the sandbox of an installed worker, tried by a task."""

import stat
from collections.abc import Iterator

import pytest
from celery import Celery

from tests.acceptance.systemd.machine import Machine
from tests.support import PATIENCE

pytestmark = [pytest.mark.once, pytest.mark.systemd, pytest.mark.usefixtures("can_boot")]

DROP_IN = """\
[Service]
ExecStart=
ExecStart=/opt/content-worker/queues/%i/environment/bin/python -m contentworker worker --queue %i --hostname=%i@%%h --include=sandbox_worker
Environment=PYTHONPATH=/srv/probe
"""
INSIDE = ("evaluation",)
OUTSIDE = ("rewrite",)
ANYWHERE = "reach another address"


@pytest.fixture(scope="module")
def machine(services: Machine) -> Iterator[Machine]:
    """The installed services; the workers of two queues know the tasks that try."""
    drop_ins = [
        services.path(f"/etc/systemd/system/celery-worker@{queue}.service.d/90-probe.conf")
        for queue in ("evaluation", "rewrite")
    ]
    units = ["celery-worker@evaluation", "celery-worker@rewrite"]
    for drop_in in drop_ins:
        drop_in.write_text(DROP_IN)
    services.systemctl("daemon-reload")
    services.systemctl("restart", *units)
    services.run("ip", "address", "replace", "192.0.2.1/32", "dev", "lo")
    services.path("/tmp/file").write_text("of others")
    yield services
    for drop_in in drop_ins:
        drop_in.unlink()
    services.systemctl("daemon-reload")
    services.systemctl("restart", *units)


ATTEMPTS = [
    "change the code",
    "change the system",
    "change the configuration",
    "write into /var",
    "write into /home",
    "look into /root",
    "read the secrets of others",
    "read the files of Redis",
    "read what others have in /tmp",
    "see other processes",
    "see the kernel's settings",
    "open a device",
    "open a raw socket",
    "open a packet socket",
    "open a netlink socket",
    "make a namespace",
    "mount",
    "change the hostname",
    "become root",
    "be more important",
    "make a program that runs as its owner",
    "run what it wrote into memory",
    ANYWHERE,
]


@pytest.mark.parametrize("queue", ["evaluation", "rewrite"])
@pytest.mark.parametrize("what", ATTEMPTS)
def test_refused(machine: Machine, client: Celery, queue: str, what: str) -> None:
    """Refused to every worker; the network only to those that have no use for it."""
    answer = client.send_task("probe.sandbox.attempt", args=[what], queue=queue).get(timeout=PATIENCE)
    if (queue, what) == ("rewrite", ANYWHERE):
        assert answer == "done"
    else:
        assert answer.startswith("refused: "), answer


def test_state_is_its_own(machine: Machine, client: Celery) -> None:
    """It can keep files in its state folder, and no other user can read them."""
    client.send_task("probe.sandbox.keep", args=["kept", "text"], queue="evaluation").get(timeout=PATIENCE)
    file = machine.path("/var/lib/content-worker/kept")
    assert file.read_text() == "text"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
