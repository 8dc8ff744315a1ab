"""The variables of sd_notify, as systemd sets them and otherwise."""

import os

import pytest

from contentworker.runtime.health.systemd_notify import Notifier

SOCKET = {"NOTIFY_SOCKET": "@nobody-listens"}
PID = str(os.getpid())


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        pytest.param({**SOCKET, "WATCHDOG_USEC": "30000000"}, 30, id="without-pid"),
        pytest.param({**SOCKET, "WATCHDOG_USEC": "1500000", "WATCHDOG_PID": PID}, 1.5, id="ours"),
        pytest.param({**SOCKET, "WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}, None, id="of-another"),
        pytest.param(SOCKET, None, id="no-watchdog"),
        pytest.param({**SOCKET, "WATCHDOG_USEC": "0"}, None, id="zero"),
        pytest.param({**SOCKET, "WATCHDOG_USEC": "soon"}, None, id="no-number"),
        pytest.param({"WATCHDOG_USEC": "30000000"}, None, id="nobody-to-answer"),
        pytest.param({"NOTIFY_SOCKET": "vsock:2:1", "WATCHDOG_USEC": "1"}, None, id="not-ours-to-speak"),
    ],
)
def test_watchdog(variables: dict[str, str], expected: float | None) -> None:
    """The watchdog is this process's only where it is said to be, and there is somebody to answer to."""
    assert Notifier(variables).watchdog_seconds == expected


def test_nobody_listens(caplog: pytest.LogCaptureFixture) -> None:
    """It is said, and no error."""
    Notifier(SOCKET).tell("READY=1", "STATUS=x")
    assert caplog.messages == ["Cannot send READY=1 to systemd: [Errno 111] Connection refused"]


def test_no_socket(caplog: pytest.LogCaptureFixture) -> None:
    """Where systemd did not start this process nothing is sent, and nothing said."""
    Notifier({}).tell("READY=1")
    assert not caplog.messages
