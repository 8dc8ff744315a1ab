"""What the environment says of traces and errors: off, on, or one clear error."""

import sys
import time
from collections import deque
from contextlib import nullcontext
from types import SimpleNamespace

import pytest

from contentworker.errors import ConfigError, ContentError
from contentworker.runtime.logs import error_reports, traces

COLLECTOR = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"}


@pytest.mark.parametrize(
    ("environ", "wanted"),
    [
        pytest.param({}, False, id="not-set"),
        pytest.param({"OTEL_SERVICE_NAME": "a-name"}, False, id="no-collector"),
        pytest.param(COLLECTOR, True, id="collector"),
        pytest.param(
            {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "https://a.test/v1/traces"}, True, id="of-traces"
        ),
        pytest.param({**COLLECTOR, "OTEL_SDK_DISABLED": "true"}, False, id="disabled"),
        pytest.param({**COLLECTOR, "OTEL_TRACES_EXPORTER": "none"}, False, id="no-traces"),
        pytest.param({**COLLECTOR, "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"}, True, id="protocol"),
    ],
)
def test_traces_are_wanted(environ: dict[str, str], wanted: bool) -> None:
    assert traces.is_wanted(environ) is wanted


@pytest.mark.parametrize(
    ("environ", "message"),
    [
        pytest.param(
            {"OTEL_EXPORTER_OTLP_ENDPOINT": "collector:4318"},
            "OTEL_EXPORTER_OTLP_ENDPOINT: must be http://host or https://host; a port and a path may follow",
            id="no-address",
        ),
        pytest.param(
            {**COLLECTOR, "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"},
            "OTEL_EXPORTER_OTLP_PROTOCOL: must be http/protobuf, not 'grpc'",
            id="another-protocol",
        ),
    ],
)
def test_wrong_is_one_error(environ: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigError) as error:
        traces.begin(environ)
    assert str(error.value) == message


def test_configured_without_the_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    """It says what to type, for each of both."""
    monkeypatch.setattr(traces, "PACKAGES", ("no_such_package.at.all",))
    with pytest.raises(ConfigError, match="OpenTelemetry is not installed"):
        traces.begin(COLLECTOR)
    monkeypatch.setenv("SENTRY_DSN", "https://key@sentry.test/1")
    monkeypatch.setitem(sys.modules, "sentry_sdk", None)
    with pytest.raises(SystemExit, match="sentry-sdk is not installed"):
        error_reports._begin()


def test_a_wrong_dsn_is_not_quoted(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is a secret, or nearly."""
    monkeypatch.setenv("SENTRY_DSN", "sentry.test/hush")
    with pytest.raises(SystemExit) as error:
        error_reports._begin()
    assert "SENTRY_DSN: must be https://KEY@HOST/PROJECT" in str(error.value)
    assert "hush" not in str(error.value)


def test_an_event_says_no_more_than_it_may() -> None:
    """Texts of errors of others may quote an article; ours do not."""
    error = ContentError("content", "must not be empty")
    error.__cause__ = ValueError("a whole article")
    values = [{"value": str(each), "stacktrace": {"frames": [{"vars": {"content": "a text"}}]}} for each in
              (error.__cause__, error)]  # fmt: skip
    event = {"event_id": "1", "extra": {"a": 1}, "request": {}, "exception": {"values": values}}
    found = error_reports.redacted(event, {"exc_info": (type(error), error, None)})
    assert found == {
        "event_id": "1",
        "exception": {
            "values": [
                {"value": "(not shown)", "stacktrace": {"frames": [{}]}},
                {"value": str(error), "stacktrace": {"frames": [{}]}},
            ]
        },
    }


def test_a_failure_is_reported_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Celery may signal one failure twice; a minute later, or of another task, it is another one."""
    reported: list[object] = []
    now = 1_000.0
    scope = SimpleNamespace(
        set_transaction_name=lambda name: None, set_tag=lambda *_: None, capture_exception=reported.append
    )
    monkeypatch.setitem(sys.modules, "sentry_sdk", SimpleNamespace(new_scope=lambda: nullcontext(scope)))
    monkeypatch.setattr(time, "monotonic", lambda: now)
    monkeypatch.setattr(error_reports, "_reported", deque(maxlen=100))
    task = SimpleNamespace(name="a.task", throws=(ContentError,))

    def report(task_id: str, error: Exception) -> int:
        error_reports._report(sender=task, task_id=task_id, exception=error)
        return len(reported)

    assert report("1", ContentError("content", "expected by the task")) == 0
    assert [report("1", ValueError()), report("1", ValueError())] == [1, 1]
    assert report("2", ValueError()) == 2
    now += error_reports.ONCE_SECONDS - 1
    assert report("1", ValueError()) == 2
    now += 2
    assert report("1", ValueError()) == 3
