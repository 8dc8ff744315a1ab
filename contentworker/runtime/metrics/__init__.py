"""Metrics: what a worker counts, kept in Redis, and `exporter`, which shows it to Prometheus.

To measure something, define a `Metric` and call one of these. Outside of a worker they do nothing; nowhere
do they wait or raise.
"""

from contentworker.runtime.metrics.definitions import Metric
from contentworker.runtime.metrics.recording import recorder

__all__ = ["Metric", "count", "observe", "set_gauge"]


def count(metric: Metric, amount: float = 1, **labels: str) -> None:
    """Add to a counter. A label's value that its metric does not know counts as `other`."""
    recorder.count(metric, amount, labels)


def observe(metric: Metric, value: float, **labels: str) -> None:
    """Add a value to a histogram."""
    recorder.observe(metric, value, labels)


def set_gauge(metric: Metric, value: float, **labels: str) -> None:
    """Set a gauge: the last process to set it is right for all."""
    recorder.set_gauge(metric, value, labels)
