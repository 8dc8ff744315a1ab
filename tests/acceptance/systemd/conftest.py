"""Machines that boot a real systemd; what their journal says stands beside a failure."""

from collections.abc import Iterator
from contextlib import suppress

import pytest

from tests.acceptance.systemd.machine import Machine, cannot_boot
from tests.support import service_is_missing


@pytest.fixture(scope="session")
def can_boot() -> None:
    """Skip, or fail in CI, where no such machine can be had."""
    if reason := cannot_boot():
        service_is_missing(reason)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """Show the end of the journal beside a failure."""
    report = yield
    if report.failed:
        for machine in [each for each in item.funcargs.values() if isinstance(each, Machine)]:
            with suppress(Exception):  # it may be what failed
                report.sections.append(("journal", machine.journal()))
    return report
