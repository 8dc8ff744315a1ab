"""docs/troubleshooting.md: each of its troubles is caused by a test, for real."""

import re
import signal
from pathlib import Path

import pytest
import redis
from celery import Celery

from tests.support import (
    PATIENCE,
    PROBE_APP,
    ROOT,
    StartWorker,
    executions,
    take_from_the_dead,
    unsettled,
    wait_until,
    waiting_messages,
)

WRONG = "tests/acceptance/systemd/test_something_is_wrong.py"
CAUSED_BY = {
    "Ask the doctor first": (
        "tests/acceptance/test_doctor.py::test_doctor_finds_what_is_wrong_and_what_it_says_fixes_it"
    ),
    "A worker does not pick up tasks": f"{WRONG}::_not_picked_up",
    "A task stays PENDING": f"{WRONG}::_pending",
    "A task fails with ContentError": (
        "tests/integration/editorial/test_escalation_faults.py::test_bad_arguments_are_named"
    ),
    "A task ran twice": f"{WRONG}::_twice",
    "A worker that was killed: where are its tasks?": (
        "tests/integration/runtime/worker/test_workers.py::test_killed_worker"
    ),
    '"Lease lost"': "tests/integration/test_troubleshooting.py::test_a_lease_that_is_lost",
    '"Redis cannot be reached"': (
        "tests/integration/runtime/worker/test_broker_away.py::test_an_outage_is_two_lines"
    ),
    '"percent-encode the user and the password"': (
        "tests/integration/runtime/records/test_connections.py::test_password_that_is_not_encoded"
    ),
    "A task waits although a worker is idle": (
        "tests/integration/test_troubleshooting.py::test_a_rate_limit_holds_up_others"
    ),
    '"cannot be used" at the start, exit code 78': (
        "tests/integration/runtime/transport/test_server.py::test_worker_ends_with_the_reason"
    ),
    "Memory grows": "tests/integration/runtime/worker/test_limits.py::test_processes_are_recycled_exactly",
    '"Configuration error" at the start': (
        "tests/integration/runtime/worker/test_workers.py"
        "::test_wrong_configuration_stops_the_worker_before_anything_starts"
    ),
    "The local Redis does not start": (
        "tests/integration/runtime/development/test_local_redis.py::test_broken_data_is_a_clear_error"
    ),
    '"This Python has no venv"': (
        "tests/acceptance/test_newcomer.py::test_a_python_without_venv_is_told_what_to_install"
    ),
}
"""The test that causes the trouble, by the page's heading."""


def headings() -> list[str]:
    text = (ROOT / "docs" / "troubleshooting.md").read_text("utf-8")
    return re.findall(r"^## (.*)$", text, re.MULTILINE)


@pytest.mark.parametrize("heading", headings())
def test_every_trouble_is_caused(heading: str) -> None:
    """A new heading has no test so far: write it. The words that a heading quotes are in its test."""
    path, _, name = CAUSED_BY[heading].partition("::")
    _, _, rest = (ROOT / path).read_text("utf-8").partition(f"\ndef {name}(")
    body = re.split(r"\n(?=def |@)", rest)[0]
    assert body, f"{path} has no {name}"
    for quoted in re.findall('"(.*?)[".]', heading):
        assert quoted in body


def test_no_test_without_its_trouble() -> None:
    """What was renamed or removed on the page is here, too."""
    assert list(CAUSED_BY) == headings()


def test_a_lease_that_is_lost(
    worker: StartWorker, client: Celery, redis_client: redis.Redis, tmp_path: Path
) -> None:
    """A frozen worker finds "Lease lost" and "Overlap", runs the task again, and takes new ones."""
    serving = worker("--queues=celery", app=PROBE_APP)
    sent = client.send_task("probe.base.hold", kwargs={"folder": str(tmp_path)})
    wait_until(lambda: executions(tmp_path), "the task to start")
    serving.kill(signal.SIGSTOP)
    take_from_the_dead(redis_client)
    serving.kill(signal.SIGCONT)
    serving.wait_for_log("Lease lost")
    serving.wait_for_log("Overlap")
    wait_until(lambda: len(executions(tmp_path)) == 2, "the task to be run again")
    (tmp_path / "release").touch()
    assert sent.get(timeout=PATIENCE) == "released"
    wait_until(lambda: not unsettled(redis_client), "its acknowledgement")
    assert serving.is_alive


def test_a_rate_limit_holds_up_others(
    worker: StartWorker, client: Celery, redis_client: redis.Redis, tmp_path: Path
) -> None:
    """A worker that holds as many limited tasks as it may hold messages takes no other, and runs nothing."""
    worker("--queues=celery", app=PROBE_APP)
    wait_until(  # for a moment, a worker that is ready does not hear yet
        lambda: client.control.rate_limit("probe.counted", "1/h", reply=True, limit=1, timeout=1),
        "the worker to be told",
    )
    limited = [client.send_task("probe.counted", kwargs={"folder": str(tmp_path)}) for _ in range(4)]
    limited[0].get(timeout=PATIENCE)
    other = client.send_task("tasks.health_check")
    places = (2, 2)  # held and waiting: two of the limited, the last of them and the other
    wait_until(
        lambda: (len(waiting_messages(redis_client)), redis_client.llen("celery")) == places,
        "it to hold as many as it may",
    )
    (running,) = client.control.inspect(timeout=PATIENCE, limit=1).active().values()
    assert (running, other.ready()) == ([], False)
