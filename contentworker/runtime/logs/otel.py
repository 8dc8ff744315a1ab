"""Spans of tasks for OpenTelemetry. `traces.py` loads this module only if traces are wanted.

It replaces opentelemetry-instrumentation-celery, which never ends the span of a message that is sent by its
task's name, as producers send them, and which writes the texts of exceptions, that may quote an article.
"""

import atexit
import logging
import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from celery.signals import (
    before_task_publish,
    task_postrun,
    task_prerun,
    worker_process_init,
    worker_process_shutdown,
)
from opentelemetry import context, trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from contentworker.runtime.logs import context as log_context
from contentworker.runtime.logs.context import Attributes, Say

__all__ = ["connect", "span"]

logger = logging.getLogger(__name__)

SERVICE = "content-worker"
FLUSH_SECONDS = 2.0
"""Longest time that a process which ends waits for the collector. So long its pool has one process less."""

NAMES = {
    "task": "celery.task_name",
    "task_id": "messaging.message.id",
    "queue": "messaging.destination.name",
    "attempt": "celery.attempt",
    "article_id": "contentworker.article_id",
    "run_id": "contentworker.run_id",
}
"""Span attributes by field of a log line; names of OpenTelemetry's conventions where they exist."""

_propagator = TraceContextTextMapPropagator()
_own: TracerProvider | None = None
_making = threading.Lock()


class CountingExporter(SpanExporter):
    """Logs once that the collector is away, and once, when it is back, how many spans were dropped."""

    def __init__(self, exporter: SpanExporter) -> None:
        self._exporter = exporter
        self._lost = 0

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        result = self._exporter.export(spans)
        if result is not SpanExportResult.SUCCESS:
            if not self._lost:
                logger.warning("Traces cannot be sent to the collector; they are dropped until it answers")
            self._lost += len(spans)
        elif self._lost:
            logger.warning("Traces are sent again; spans that were dropped: %d", self._lost)
            self._lost = 0
        return result

    def shutdown(self) -> None:
        self._exporter.shutdown()


def connect() -> None:
    """Trace every task that this process sends or runs."""
    # Each failed export would log an error with a traceback.
    logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)
    before_task_publish.connect(_sent)
    task_prerun.connect(_begins)
    task_postrun.connect(_ended)
    worker_process_init.connect(_in_pool_process)
    worker_process_shutdown.connect(_flush)
    atexit.register(_flush)
    os.register_at_fork(after_in_child=_forget)


@contextmanager
def span(name: str, attributes: Attributes) -> Iterator[Say]:
    """Trace the block. Of an exception the span has the type, never the text."""
    with _tracer().start_as_current_span(
        name,
        kind=trace.SpanKind.CLIENT,
        attributes=dict(attributes),
        record_exception=False,
        set_status_on_exception=False,
    ) as current:
        try:
            yield lambda more: current.set_attributes(dict(more))
        except BaseException as error:
            _note_failure(current, error)
            raise


def _tracer() -> trace.Tracer:
    """A tracer of the application's own provider, or of ours if it has none.

    Each process makes its own provider, because the thread that sends spans does not survive a fork.
    """
    global _own  # noqa: PLW0603 (one for each process)
    set_by_application = trace.get_tracer_provider()
    if isinstance(set_by_application, TracerProvider):
        return set_by_application.get_tracer(SERVICE)
    with _making:
        if _own is None:
            named = {} if os.environ.get("OTEL_SERVICE_NAME") else {SERVICE_NAME: SERVICE}
            _own = TracerProvider(resource=Resource.create(named), shutdown_on_exit=False)
            _own.add_span_processor(BatchSpanProcessor(CountingExporter(OTLPSpanExporter())))
        return _own.get_tracer(SERVICE)


def _forget() -> None:
    """Begin again in a forked process. Another thread may have held the lock during the fork."""
    global _own, _making
    _own, _making = None, threading.Lock()


def _sent(
    sender: Any = None, headers: dict[str, Any] | None = None, routing_key: Any = None, **_: Any
) -> None:
    """Make a span for the sending of a message, and name it in the headers as the parent of what follows."""
    if headers is None:
        return
    fields = {"task": str(sender), "task_id": headers.get("id"), "queue": routing_key}
    current = _tracer().start_span(
        f"publish {sender}", kind=trace.SpanKind.PRODUCER, attributes=_attributes(fields, "publish")
    )
    _propagator.inject(headers, trace.set_span_in_context(current))
    current.end()


def _begins(task: Any = None, **_: Any) -> None:
    request = vars(task.request)
    carried = {name: value for name, value in request.items() if isinstance(value, str)}
    current = _tracer().start_span(
        f"process {task.name}",
        context=_propagator.extract(carried, context.Context()),
        kind=trace.SpanKind.CONSUMER,
        attributes=_attributes({"task": task.name}, "process"),
    )
    task.request.trace = current, context.attach(trace.set_span_in_context(current))


def _ended(task: Any = None, state: str | None = None, retval: Any = None, **_: Any) -> None:
    current, token = getattr(task.request, "trace", (None, None))
    if current is None or token is None:
        return
    context.detach(token)
    # Only now all fields are known that the task has bound.
    current.set_attributes(_attributes(log_context.fields(), "process"))
    if state:
        current.set_attribute("celery.state", state)
    if state == "FAILURE" and isinstance(retval, BaseException):
        _note_failure(current, retval)
    current.end()


def _attributes(fields: Attributes | dict[str, Any], operation: str) -> dict[str, Any]:
    known = {NAMES[name]: value for name, value in fields.items() if name in NAMES and value is not None}
    return {"messaging.system": "celery", "messaging.operation.type": operation, **known}


def _note_failure(current: trace.Span, error: BaseException) -> None:
    current.set_attribute("error.type", type(error).__qualname__)
    current.set_status(trace.StatusCode.ERROR)


def _in_pool_process(**_: Any) -> None:
    _tracer()


def _flush(**_: Any) -> None:
    """Send the last spans, unless the collector takes too long."""
    if _own is not None:
        sending = threading.Thread(target=_own.shutdown, daemon=True)
        try:
            sending.start()
        except RuntimeError:  # Python 3.12.0 and 3.12.1 start no thread while the process ends
            _own.shutdown()
        else:
            sending.join(FLUSH_SECONDS)
