"""Machines that boot a real systemd. A failure is reported with the end of their journal."""

import shutil
import tempfile
from collections.abc import Generator, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.acceptance import packages
from tests.acceptance.systemd import installation
from tests.acceptance.systemd.machine import Machine, cannot_boot
from tests.support import PROBE_FOLDER, ROOT, service_is_missing


@pytest.fixture(scope="session")
def can_boot() -> None:
    """Skip, or fail in CI, where no such machine can be had."""
    if reason := cannot_boot():
        service_is_missing(reason)


@pytest.fixture(scope="package")
def checkout_files(can_boot: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """What each machine has before something is installed: a checkout, and an operator's right to sudo."""
    files = tmp_path_factory.mktemp("files")
    installation.prepare(files)
    yield files
    shutil.rmtree(files)


@pytest.fixture(scope="package")
def installed(checkout_files: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """A machine after `nox -s install`. One for all modules."""
    # ROOT: where the Python of the tests may be.
    binds = {PROBE_FOLDER: installation.PROBE, ROOT: str(ROOT), packages.fetch(): installation.WHEELS}
    with Machine(tmp_path_factory.mktemp("machine"), files=checkout_files, binds=binds) as machine:
        installation.add_operator(machine)
        done = installation.command(machine, "install")
        assert done.returncode == 0, done.stdout + done.stderr + machine.journal()
        yield machine


@pytest.fixture(scope="module")
def services(installed: Machine) -> Machine:
    """The same, with all services running."""
    installed.systemctl("start", *installation.UNITS)
    return installed


@pytest.fixture(scope="module")
def redis_url(services: Machine) -> Iterator[str]:
    """Where its Redis can be reached from this machine, until it is booted again."""
    with services.forwarded(installation.SETTINGS.broker.port) as port:
        known = installation.secret(services, "REDIS_URL")
        yield known.replace(f":{installation.SETTINGS.broker.port}/", f":{port}/")


@pytest.fixture
def folder(services: Machine) -> Iterator[Path]:
    """A folder of the workers': a task notes there that it runs, and is told there to end."""
    state = services.path(installation.STATE)
    folder = Path(tempfile.mkdtemp(dir=state))
    shutil.chown(folder, state.stat().st_uid, state.stat().st_gid)
    yield folder
    (folder / "release").touch()  # after a failure the task may still wait for it


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show the end of the journal beside a failure."""
    report = yield
    if report.failed:
        for machine in {each for each in getattr(item, "funcargs", {}).values() if isinstance(each, Machine)}:
            with suppress(Exception):  # it may be what failed
                report.sections.append(("journal", machine.journal()))
    return report
