"""Shows what Redis knows to Prometheus, over HTTP.

However many ask, Redis is read by one at a time, and not again for a moment. Where Redis does not answer in
time, `contentworker_up` is 0 and the rest is absent: what is not known is not shown as nothing.
"""

import base64
import hmac
import itertools
import logging
import math
import socket
from collections.abc import Callable, Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
)
from prometheus_client.core import (
    Metric as Family,
)
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector, CollectorRegistry

from contentworker.runtime.metrics.definitions import READ, UP, Metric
from contentworker.runtime.metrics.reading import Snapshot
from contentworker.runtime.metrics.recording import MILLION
from contentworker.runtime.shared_answer import SharedAnswer

__all__ = ["SnapshotCollector", "registry", "serve"]

logger = logging.getLogger(__name__)

KEEP_SECONDS = 2.0
PATIENCE_SECONDS = 5.0
"""Longest wait for Redis: Prometheus waits ten by itself."""
SIGN_OF_LIFE_SECONDS = 15.0
"""A worker whose last sign is older does not count as serving its queues: it gives one every five."""
MOST_ZEROS = 500
"""Counters are shown as 0 before they count, lest Prometheus misses their first step, where no more series
than this can come of it."""
CLIENT_SECONDS = 15.0

Rows = Iterator[tuple[list[str], float]]


class SnapshotCollector(Collector):
    """Makes families of a snapshot, which `read` takes.

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
    ) -> None:
        self._shared = SharedAnswer(read, KEEP_SECONDS)
        self._counted = counted
        self._queues = queues
        self._has_leases = has_leases
        self._is_measured = is_measured
        self._trouble = ""

    def describe(self) -> list[Family]:
        """Nothing: else Redis would be asked at the start."""
        return []

    def collect(self) -> Iterator[Family]:
        """Every metric that is known now."""
        try:
            snapshot = self._shared.get(PATIENCE_SECONDS)
        except Exception as error:  # whatever it is, whoever asks is to be told that it is so
            trouble = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
            if trouble != self._trouble:
                logger.warning("Redis cannot be read: %s", trouble)
            self._trouble = trouble
            yield _family(UP, iter([([], 0.0)]))
            return
        self._trouble = ""
        found = self._read(snapshot)
        for metric in READ:
            yield _family(metric, found[metric.name])
        for metric in self._counted if self._is_measured else ():
            yield self._counted_family(metric, snapshot.counted[metric.name])

    def _read(self, snapshot: Snapshot) -> dict[str, Rows]:
        state, signs = snapshot.state, snapshot.signs
        signing = self._queues if self._is_measured else ()
        alive = [sign for sign in signs if sign.age_seconds <= SIGN_OF_LIFE_SECONDS]

        def of_queues(value: Callable[[Any], float | None]) -> Rows:
            rows = (([queue.queue], value(queue)) for queue in state.queues)
            return ((labels, number) for labels, number in rows if number is not None)

        # Plain workers have no leases, and what they hold lies elsewhere.
        def if_leased(rows: Rows) -> Rows:
            return rows if self._has_leases else iter(())

        def single(value: float) -> Rows:
            return iter([([], value)])

        return {
            "contentworker_up": single(1.0),
            "contentworker_read_seconds": single(snapshot.seconds),
            "contentworker_queue_workers": (
                ([name], sum(name in sign.queues for sign in alive)) for name in signing
            ),
            "contentworker_worker_last_sign_timestamp_seconds": (
                ([sign.worker], sign.timestamp_seconds) for sign in signs
            ),
            "contentworker_leases": if_leased(single(state.leases)),
            "contentworker_queue_ready_messages": of_queues(lambda each: each.ready),
            "contentworker_queue_oldest_message_seconds": of_queues(lambda each: each.oldest_message_seconds),
            "contentworker_queue_delayed_messages": of_queues(lambda each: each.delayed),
            "contentworker_queue_held_messages": if_leased(of_queues(lambda each: each.held)),
            "contentworker_queue_paused": of_queues(lambda each: each.is_paused),
            "contentworker_delayed_messages_uncounted": single(state.delayed_uncounted),
            "contentworker_dead_letters_kept": single(state.dead_letters),
        }

    def _counted_family(self, metric: Metric, numbers: dict[tuple[str, ...], int]) -> Family:
        if metric.kind == "histogram":
            return _histogram(metric, numbers)
        rows = {**self._zeros(metric), **_fitting(numbers, len(metric.labels))}
        return _family(metric, (([*values], number / MILLION) for values, number in rows.items()))

    def _zeros(self, metric: Metric) -> dict[tuple[str, ...], int]:
        known = [self._queues if name == "queue" else values or () for name, values in metric.labels.items()]
        if metric.kind != "counter" or math.prod(map(len, known)) > MOST_ZEROS:
            return {}
        return dict.fromkeys(itertools.product(*known), 0)


def _fitting(numbers: dict[tuple[str, ...], int], length: int) -> dict[tuple[str, ...], int]:
    """Without what another release counted, whose labels were others."""
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
    """One with nothing else in it: not this process's own memory, nor its Python."""
    made = CollectorRegistry()
    made.register(collector)
    return made


def serve(address: tuple[str, int], shown: CollectorRegistry, user_and_password: str = "") -> None:
    """Answer `/metrics` until the process is ended; with `user:password`, only to who knows it.

    Raises:
        OSError: the address cannot be listened on.
    """
    expected = f"Basic {base64.b64encode(user_and_password.encode()).decode()}"

    class Handler(BaseHTTPRequestHandler):
        server_version, sys_version = "content-worker", ""
        timeout = CLIENT_SECONDS  # of a client that does not go on

        def do_GET(self) -> None:
            given = self.headers.get("Authorization", "")
            if user_and_password and not hmac.compare_digest(given.encode(), expected.encode()):
                self._answer(401, "text/plain", b"user and password, please\n")
            elif self.path.partition("?")[0] != "/metrics":
                self._answer(404, "text/plain", b"there is /metrics\n")
            else:
                encode, content_type = choose_encoder(self.headers.get("Accept", ""))
                self._answer(200, content_type, encode(shown))

        do_HEAD = do_GET  # noqa: N815 -- the name is http.server's

        def _answer(self, status: int, content_type: str, body: bytes) -> None:
            self.send_response(status)
            if status == 401:
                self.send_header("WWW-Authenticate", 'Basic realm="metrics", charset="UTF-8"')
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Scrapes come every few seconds."""

    class Server(ThreadingHTTPServer):
        address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        request_queue_size = 128
        daemon_threads = True

    with Server(address, Handler) as server:
        server.serve_forever()
