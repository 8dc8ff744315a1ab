"""OpenTelemetry traces: from the sender of a task through every queue to the call of a model.

They are off, and nothing is loaded, unless OpenTelemetry's own variables name a collector.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec

from contentworker import addresses
from contentworker.errors import ConfigError
from contentworker.runtime.logs.context import Attributes, Say

__all__ = ["begin", "span"]

ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
PROTOCOL = "http/protobuf"
PACKAGES = ("opentelemetry.sdk.trace", "opentelemetry.exporter.otlp.proto.http")

_begun = False


def begin(environ: Mapping[str, str] = os.environ) -> None:
    """Trace what this process sends and runs from now on, if the environment names a collector.

    Raises:
        ConfigError: a variable is wrong, or the packages are not installed.
    """
    global _begun  # noqa: PLW0603 (once for each process)
    if _begun or not is_wanted(environ):
        return
    if not all(_is_installed(package) for package in PACKAGES):
        raise ConfigError(
            "OTEL_EXPORTER_OTLP_ENDPOINT: is set, but OpenTelemetry is not installed: add `traces` to "
            "services.locks, or on your own machine run `nox -s traces`"
        )
    from contentworker.runtime.logs import otel

    otel.connect()
    _begun = True


def is_wanted(environ: Mapping[str, str]) -> bool:
    """Whether the environment names a collector, by OpenTelemetry's rules.

    Raises:
        ConfigError: nothing can be sent to this collector.
    """
    endpoint = next((name for name in ENDPOINTS if environ.get(name)), "")
    is_off = environ.get("OTEL_SDK_DISABLED", "").lower() == "true"
    if not endpoint or is_off or environ.get("OTEL_TRACES_EXPORTER") == "none":
        return False
    parts = addresses.split(endpoint, environ[endpoint])
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigError(f"{endpoint}: must be http://host or https://host; a port and a path may follow")
    protocol = next((name for name in PROTOCOLS if environ.get(name)), "")
    if protocol and environ[protocol] != PROTOCOL:
        raise ConfigError(f"{protocol}: must be {PROTOCOL}, not {environ[protocol]!r}")
    return True


@contextmanager
def span(name: str, attributes: Attributes) -> Iterator[Say]:
    """Trace the block; call what it yields to add attributes. Never add text of an article."""
    if not _begun:
        yield lambda _: None
        return
    from contentworker.runtime.logs import otel

    with otel.span(name, attributes) as say:
        yield say


def _is_installed(package: str) -> bool:
    try:
        return find_spec(package) is not None
    except ModuleNotFoundError:  # not even the package it is in
        return False
