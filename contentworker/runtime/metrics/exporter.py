"""Serves Prometheus what Redis knows, over HTTP.

All scrapes share one reading of Redis, which is kept for a moment. If Redis does not answer in time,
`contentworker_up` is 0 and all that would come from Redis is absent: unknown is not shown as 0.
"""

import base64
import hmac
import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.core import Metric as Family
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector, CollectorRegistry

from contentworker.runtime import answering
from contentworker.runtime.answering import SharedAnswer
from contentworker.runtime.metrics.definitions import BUILD_INFO, READ, UP, Metric
from contentworker.runtime.metrics.reading import Snapshot
from contentworker.runtime.metrics.recording import MILLION
from contentworker.version import VERSION

__all__ = ["SnapshotCollector", "registry", "serve"]

KEEP_SECONDS = 2.0
PATIENCE_SECONDS = 5.0
"""Longest wait for Redis: Prometheus gives up after ten seconds."""
SIGN_OF_LIFE_SECONDS = 15.0
"""A worker gives a sign every five seconds; after three missed ones it does not count any more."""
MOST_ZEROS = 500
"""Most series of a counter to show as 0 before they count. Without the 0 Prometheus misses the first step."""

Rows = Iterable[tuple[list[str], float]]
NO_LABELS: list[str] = []


class SnapshotCollector(Collector):
    """Makes families of metrics from a snapshot, which `read` takes.

    `counted` are the metrics that workers count. Without `is_measured` they count nothing and give no signs.
    """

    def __init__(
        self,
        read: Callable[[], Snapshot],
        counted: Sequence[Metric],
        queues: Sequence[str],
        *,
        has_leases: bool,
        is_measured: bool,
        limits: Sequence[str] = (),
    ) -> None:
        waiting = {"keep_seconds": KEEP_SECONDS, "patience_seconds": PATIENCE_SECONDS}
        self._shared = SharedAnswer(read, "Redis cannot be read", **waiting)
        self._limits = limits
        self._counted = counted if is_measured else ()
        self._signing_queues = queues if is_measured else ()
        self._queues = queues
        self._has_leases = has_leases

    def describe(self) -> list[Family]:
        """Nothing: the registry would otherwise collect, and so ask Redis, at the start."""
        return []

    def collect(self) -> Iterator[Family]:
        """Every metric that is known now."""
        yield _family(BUILD_INFO, [([VERSION], 1.0)])
        try:
            snapshot = self._shared.get()
        except Exception:  # noqa: BLE001 (logged already; Prometheus gets an answer whatever goes wrong)
            yield _family(UP, [(NO_LABELS, 0.0)])
            return
        rows = self._rows(snapshot)
        for metric in READ:
            if metric is not BUILD_INFO:
                yield _family(metric, rows[metric.name.removeprefix("contentworker_")])
        for metric in self._counted:
            yield self._counted_family(metric, snapshot.counted[metric.name])

    def _rows(self, snapshot: Snapshot) -> dict[str, Rows]:
        state, signs = snapshot.state, snapshot.signs
        alive = [sign for sign in signs if sign.age_seconds <= SIGN_OF_LIFE_SECONDS]

        limits = {limit.limit: limit for limit in state.limits}
        names = list(dict.fromkeys([*self._limits, *limits]))

        def of_queues(attribute: str) -> Rows:
            values = ((queue.queue, getattr(queue, attribute)) for queue in state.queues)
            return [([name], value) for name, value in values if value is not None]

        def of_workers(attribute: str) -> Rows:
            return [
                ([name], sum(getattr(sign, attribute) for sign in alive if name in sign.queues))
                for name in self._signing_queues
            ]

        return {
            "up": [(NO_LABELS, 1.0)],
            "read_seconds": [(NO_LABELS, snapshot.seconds)],
            "queue_workers": [
                ([name], sum(name in sign.queues for sign in alive)) for name in self._signing_queues
            ],
            "queue_slots": of_workers("slots"),
            "queue_busy_slots": of_workers("busy_slots"),
            "worker_last_sign_timestamp_seconds": [([sign.worker], sign.timestamp_seconds) for sign in signs],
            # Plain workers have no leases, and keep what they hold elsewhere.
            "leases": [(NO_LABELS, state.leases)] if self._has_leases else (),
            "queue_ready_messages": of_queues("ready"),
            "queue_oldest_message_seconds": of_queues("oldest_message_seconds"),
            "queue_delayed_messages": of_queues("delayed"),
            "queue_held_messages": of_queues("held") if self._has_leases else (),
            "queue_limited_messages": of_queues("parked") if self._has_leases else (),
            "limit_places_taken": [([name], limits[name].taken if name in limits else 0) for name in names],
            "limit_waiting_messages": [
                ([name], limits[name].waiting if name in limits else 0) for name in names
            ],
            "queue_paused": of_queues("is_paused"),
            "delayed_messages_uncounted": [(NO_LABELS, state.delayed_uncounted)],
            "schedule_last_sent_timestamp_seconds": [
                ([name], moment) for name, moment in snapshot.schedules.times_sent.items()
            ],
            "schedule_paused": [
                ([name], name in snapshot.schedules.paused) for name in snapshot.schedules.handled
            ],
            "dead_letters_kept": [(NO_LABELS, state.dead_letters)],
            "revocations": [(NO_LABELS, state.revocations)],
        }

    def _counted_family(self, metric: Metric, numbers: dict[tuple[str, ...], int]) -> Family:
        if metric.kind == "histogram":
            return _histogram(metric, numbers)
        rows = {**self._zeros(metric), **_fitting(numbers, len(metric.labels))}
        return _family(metric, [([*values], number / MILLION) for values, number in rows.items()])

    def _zeros(self, metric: Metric) -> dict[tuple[str, ...], int]:
        known = [self._queues if name == "queue" else values or () for name, values in metric.labels.items()]
        if metric.kind != "counter" or math.prod(map(len, known)) > MOST_ZEROS:
            return {}
        return dict.fromkeys(itertools.product(*known), 0)


def _fitting(numbers: dict[tuple[str, ...], int], length: int) -> dict[tuple[str, ...], int]:
    """Numbers with this many labels: another release may have counted with others."""
    return {values: number for values, number in numbers.items() if len(values) == length}


def _family(metric: Metric, rows: Rows) -> Family:
    kind = CounterMetricFamily if metric.kind == "counter" else GaugeMetricFamily
    family: CounterMetricFamily | GaugeMetricFamily = kind(metric.name, metric.help, labels=[*metric.labels])
    for values, number in rows:
        family.add_metric(values, number)
    return family


def _histogram(metric: Metric, numbers: dict[tuple[str, ...], int]) -> Family:
    family = HistogramMetricFamily(metric.name, metric.help, labels=[*metric.labels])
    fitting = _fitting(numbers, len(metric.labels) + 1)
    for values in dict.fromkeys(key[:-1] for key in fitting):
        counts = [fitting.get((*values, bound), 0) / MILLION for bound in metric.bounds]
        total = fitting.get((*values, "sum"), 0) / MILLION
        family.add_metric(values, [*zip(metric.bounds, itertools.accumulate(counts), strict=True)], total)
    return family


def registry(collector: Collector) -> CollectorRegistry:
    """A registry with this collector only, without the memory and the Python of this process."""
    made = CollectorRegistry()
    made.register(collector)
    return made


def serve(address: tuple[str, int], shown: CollectorRegistry, user_and_password: str = "") -> None:
    """Answer `/metrics` until the process ends; with `user:password`, only to clients that send it.

    Raises:
        OSError: the server cannot listen on the address.
    """
    expected = f"Basic {base64.b64encode(user_and_password.encode()).decode()}"

    def page(path: str, headers: Any) -> answering.Reply:
        given = headers.get("Authorization", "")
        if user_and_password and not hmac.compare_digest(given.encode(), expected.encode()):
            challenge = ("WWW-Authenticate", 'Basic realm="metrics", charset="UTF-8"')
            return answering.Reply(401, "text/plain", b"authentication required\n", (challenge,))
        if path != "/metrics":
            return answering.Reply(404, "text/plain", b"there is /metrics\n")
        encode, content_type = choose_encoder(headers.get("Accept", ""))
        return answering.Reply(200, content_type, encode(shown))

    answering.serve(address, page)
