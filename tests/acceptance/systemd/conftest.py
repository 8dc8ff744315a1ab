"""Machines that boot a real systemd; what their journal says stands beside a failure."""

import shutil
from collections.abc import Iterator
from contextlib import suppress

import pytest

from tests.acceptance.systemd.machine import Machine, cannot_boot
from tests.acceptance.systemd.placement import REDIS_PASSWORD, place
from tests.support import PROBE_FOLDER, service_is_missing

REDIS_PORT = 6379


@pytest.fixture(scope="session")
def can_boot() -> None:
    """Skip, or fail in CI, where no such machine can be had."""
    if reason := cannot_boot():
        service_is_missing(reason)


@pytest.fixture(scope="package")
def installed(can_boot: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """A machine with our services installed, of which none was ever started. One for all modules."""
    files = tmp_path_factory.mktemp("installation")
    place(files)
    binds = {PROBE_FOLDER: "/srv/probe"}
    with Machine(tmp_path_factory.mktemp("machine"), files=files, binds=binds) as machine:
        shutil.rmtree(files)
        yield machine


@pytest.fixture(scope="module")
def services(installed: Machine) -> Machine:
    """The same with all services running."""
    installed.systemctl("start", "celery-redis", "celery-flower", "celery-worker")
    return installed


@pytest.fixture(scope="module")
def redis_url(services: Machine) -> Iterator[str]:
    """Where its Redis can be reached from this machine, until it is booted again."""
    with services.forwarded(REDIS_PORT) as port:
        yield f"redis://:{REDIS_PASSWORD}@127.0.0.1:{port}/0"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """Show the end of the journal beside a failure."""
    report = yield
    if report.failed:
        for machine in {each for each in item.funcargs.values() if isinstance(each, Machine)}:
            with suppress(Exception):  # it may be what failed
                report.sections.append(("journal", machine.journal()))
    return report
