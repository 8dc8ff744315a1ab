"""Traces by OpenTelemetry: from whoever sends a task through every queue to the call of a model.

Off, and nothing of it loaded, unless the environment names a collector by OpenTelemetry's own variables.
"""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec

from contentworker.errors import ConfigError

__all__ = ["Attributes", "begin", "span"]

Attributes = Mapping[str, str | int | float]
Say = Callable[[Attributes], None]

ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
PROTOCOL = "http/protobuf"
PACKAGES = ("opentelemetry.sdk.trace", "opentelemetry.exporter.otlp.proto.http")

_begun = False


def begin(environ: Mapping[str, str] = os.environ) -> None:
    """Trace what this process sends and runs from now on, if the environment says whom to tell.

    Raises:
        ConfigError: it says so wrongly, or the packages are not installed.
    """
    global _begun
    if _begun or not is_wanted(environ):
        return
    if not all(_is_installed(package) for package in PACKAGES):
        raise ConfigError(
            "OTEL_EXPORTER_OTLP_ENDPOINT: is set, but OpenTelemetry is not installed: add `traces` to "
            "services.locks, or on your own machine type `nox -s traces`"
        )
    from contentworker.runtime import otel

    otel.connect()
    _begun = True


def is_wanted(environ: Mapping[str, str]) -> bool:
    """Whether the environment names a collector, in the way that OpenTelemetry specifies.

    Raises:
        ConfigError: one that nothing could be sent to.
    """
    endpoint = next((name for name in ENDPOINTS if environ.get(name)), "")
    if (
        not endpoint
        or environ.get("OTEL_SDK_DISABLED", "").lower() == "true"
        or environ.get("OTEL_TRACES_EXPORTER") == "none"
    ):
        return False
    if not environ[endpoint].startswith(("http://", "https://")):
        raise ConfigError(f"{endpoint}: must be http://… or https://…, not {environ[endpoint]!r}")
    protocol = next((name for name in PROTOCOLS if environ.get(name)), "")
    if protocol and environ[protocol] != PROTOCOL:
        raise ConfigError(f"{protocol}: must be {PROTOCOL}, not {environ[protocol]!r}")
    return True


@contextmanager
def span(name: str, attributes: Attributes) -> Iterator[Say]:
    """Trace what is done meanwhile; what is yielded takes further attributes. Never a text of an article."""
    if not _begun:
        yield _say_nothing
        return
    from contentworker.runtime import otel

    with otel.span(name, attributes) as say:
        yield say


def _say_nothing(attributes: Attributes) -> None:
    """Nobody listens."""


def _is_installed(package: str) -> bool:
    try:
        return find_spec(package) is not None
    except ModuleNotFoundError:  # a part of its name
        return False
