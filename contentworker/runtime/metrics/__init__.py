"""Metrics: workers count, Redis keeps the numbers, and `exporter` serves them to Prometheus.

    metrics.count(PICTURES, format="png")

To measure something, define a `Metric` and call one of these. They never wait for Redis and never raise;
outside of a worker they do nothing.
"""

from contentworker.runtime.metrics.definitions import Metric
from contentworker.runtime.metrics.recording import recorder

__all__ = ["Metric", "count", "observe", "set_gauge"]


def count(metric: Metric, amount: float = 1, **labels: str) -> None:
    """Add to a counter. A value of a label that its metric does not know counts as `other`."""
    recorder.count(metric, amount, labels)


def observe(metric: Metric, value: float, **labels: str) -> None:
    """Add a value to a histogram."""
    recorder.observe(metric, value, labels)


def set_gauge(metric: Metric, value: float, **labels: str) -> None:
    """Set a gauge, for all workers: the last value counts."""
    recorder.set_gauge(metric, value, labels)
