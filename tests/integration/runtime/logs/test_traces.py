"""Traces of tasks that fail, of tasks that are tried again, and where the collector is away."""

from pathlib import Path

import pytest
from celery import Celery

from tests.collector import spans
from tests.receivers import receiver, silent
from tests.support import PATIENCE, PROBE_APP, SOON, StartWorker, free_port, wait_until

AT_ONCE = {"OTEL_BSP_SCHEDULE_DELAY": "100", "OTEL_EXPORTER_OTLP_TIMEOUT": "1"}


def test_failures_and_retries(worker: StartWorker, client: Celery, tmp_path: Path) -> None:
    """Attempts are one trace, a stranger's is gone on with, of an error it has the type; the end sends it."""
    stranger = "0af7651916cd43dd8448eb211c80319c"
    with receiver(200) as (collector, got):
        serving = worker(
            "--queues=celery",
            app=PROBE_APP,
            OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=collector,
            OTEL_BSP_SCHEDULE_DELAY="600000",  # so that only the end sends anything
            **SOON,
        )
        client.send_task("probe.base.fail_until", args=[str(tmp_path), 1]).get(timeout=PATIENCE)
        headers = {"traceparent": f"00-{stranger}-b7ad6b7169203331-01"}
        failed = client.send_task("probe.critical.fail", args=[str(tmp_path)], headers=headers)
        failed.get(timeout=PATIENCE, propagate=False)
        assert spans(got) == []
        serving.kill()
        assert serving.wait() == 0
        found = spans(got)
        raw = b"".join(body for _, body in got)
    attempts = sorted(
        (each for each in found if each.name == "process probe.base.fail_until"),
        key=lambda each: each.attributes["celery.attempt"],
    )
    assert [each.attributes["celery.state"] for each in attempts] == ["RETRY", "SUCCESS"]
    assert attempts[0].trace == attempts[1].trace
    (sending,) = [each for each in found if each.id == attempts[1].parent]
    assert (sending.name, sending.parent) == ("publish probe.base.fail_until", attempts[0].id)
    (failure,) = [each for each in found if each.attributes["messaging.message.id"] == failed.id]
    assert (failure.trace, failure.is_error) == (stranger, True)
    assert failure.attributes["error.type"] == "RuntimeError"
    assert b"on request" not in raw
    assert str(tmp_path).encode() not in raw


@pytest.mark.parametrize("kind", ["away", "hangs"])
def test_a_collector_that_does_not_take_them(
    worker: StartWorker, client: Celery, kind: str, tmp_path: Path
) -> None:
    """Tasks go on, in pool processes that are replaced as well; it says so once a process, and ends."""
    with silent() as port:
        endpoint = f"http://127.0.0.1:{port if kind == 'hangs' else free_port()}"
        serving = worker(
            *("--queues=celery", "--concurrency=1", "--max-tasks-per-child=10"),
            app=PROBE_APP,
            OTEL_EXPORTER_OTLP_ENDPOINT=endpoint,
            **AT_ONCE,
        )
        first = client.send_task("probe.base.hold", args=[str(tmp_path)])
        wait_until((tmp_path / "executions").exists, "its start")
        (tmp_path / "release").touch()
        first.get(timeout=PATIENCE)
        results = [client.send_task("probe.pid") for _ in range(15)]
        assert len({each.get(timeout=PATIENCE) for each in results}) == 2
        said = "Traces cannot be sent to the collector"
        wait_until(lambda: said in serving.log(), "a line that says so")
        serving.kill()
        assert serving.wait() == 0
        assert serving.log().count(said) <= 2
        assert "Traceback" not in serving.log()
