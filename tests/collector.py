"""What an OpenTelemetry collector and a Sentry were sent, by the bodies that a server on loopback took."""

import gzip
import json
from dataclasses import dataclass
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

__all__ = ["Span", "events", "spans"]


@dataclass(frozen=True)
class Span:
    """What the tests look at."""

    name: str
    trace: str
    id: str
    parent: str
    is_error: bool
    attributes: dict[str, Any]
    service: str


def spans(got: list[Any]) -> list[Span]:
    """Every span of OTLP over HTTP, in the order of their arrival."""
    found = []
    for _, body in got:
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            service = _attributes(resource.resource.attributes)["service.name"]
            for scope in resource.scope_spans:
                found += [_span(each, service) for each in scope.spans]
    return found


def _span(span: Any, service: str) -> Span:
    return Span(
        name=span.name,
        trace=span.trace_id.hex(),
        id=span.span_id.hex(),
        parent=span.parent_span_id.hex(),
        is_error=span.status.code == span.status.STATUS_CODE_ERROR,
        attributes=_attributes(span.attributes),
        service=service,
    )


def _attributes(attributes: Any) -> dict[str, Any]:
    return {each.key: getattr(each.value, each.value.WhichOneof("value")) for each in attributes}


def events(got: list[Any]) -> list[dict[str, Any]]:
    """Every event of Sentry's envelopes: lines of JSON, a header before each item."""
    found = []
    for headers, body in got:
        text = gzip.decompress(body) if headers.get("content-encoding") == "gzip" else body
        _, *lines = [json.loads(line) for line in text.splitlines() if line]
        found += [item for kind, item in zip(lines[::2], lines[1::2], strict=True) if kind["type"] == "event"]
    return found
