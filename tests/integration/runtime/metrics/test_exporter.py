"""`metrics`, asked as Prometheus asks it."""

import base64
import signal
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import redis
from celery import Celery
from prometheus_client.parser import text_string_to_metric_families

from contentworker import config
from contentworker.runtime.metrics.definitions import COUNTED, READ
from contentworker.runtime.transport.protocol import Protocol
from contentworker.version import VERSION
from tests.support import (
    PROBE_APP,
    RedisProcess,
    Server,
    StartWorker,
    run_cli,
    wait_until,
)

QUEUES = tuple(config.load(environ={}).queues)
UP = "contentworker_up"
VERSION_SHOWN = ("contentworker_build_info", (("version", VERSION),))
AWAY = {(UP, ()): 0, VERSION_SHOWN: 1}
"""All that is shown while Redis cannot be read."""
Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


class MetricsServer(Server):
    """The command, on a free port."""

    def __init__(self, redis_url: str, folder: Path, *options: str, **env: str) -> None:
        super().__init__("metrics", redis_url, folder, *options, **env)

    def ask(self, path: str = "/metrics", **headers: str) -> tuple[int, str]:
        """Status and text."""
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    def samples(self) -> Samples:
        """Every number that is shown."""
        status, text = self.ask()
        assert status == 200, text
        return parsed(text)


def parsed(text: str) -> Samples:
    """Name and labels → number."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def of(queue: str, name: str) -> tuple[str, tuple[tuple[str, str], ...]]:
    """A queue's number."""
    return f"contentworker_{name}", (("queue", queue),)


@pytest.fixture
def exporter(server: RedisProcess, tmp_path: Path) -> Iterator[MetricsServer]:
    """An exporter, which has printed no traceback in the end."""
    process = MetricsServer(server.url, tmp_path / "metrics")
    yield process
    process.stop()
    assert "Traceback" not in process.log(), process.log()


def test_what_an_operator_asks(
    worker: StartWorker, client: Celery, redis_url: str, redis_client: redis.Redis, tmp_path: Path
) -> None:
    """Is it up, how far behind, what failed: with a worker of one queue, and messages in another."""
    exporter = MetricsServer(redis_url, tmp_path / "metrics")
    try:
        worker("--queues=celery", app=PROBE_APP)
        client.send_task("probe.pid")
        client.send_task("probe.typed", ["a", "no number"])
        client.send_task("tasks.rewrite.generate_rewrite", ["text"])
        client.send_task("tasks.rewrite.generate_rewrite", ["text"], countdown=3600)
        Protocol(redis_client).pause("escalation")
        dead = ("contentworker_dead_letters_total", (("queue", "celery"), ("reason", "failed")))
        total = "contentworker_tasks_total"
        ended = (total, (("queue", "celery"), ("state", "success"), ("task", "probe.pid")))
        failed = (total, (("queue", "celery"), ("state", "failure"), ("task", "probe.typed")))
        expected = (dead, ended, failed, of("celery", "queue_workers"))

        def all_counted() -> Samples | None:
            samples = exporter.samples()
            return samples if all(samples.get(each) == 1 for each in expected) else None

        found = wait_until(all_counted, "all ends to be shown")
        assert (found[UP, ()], found[VERSION_SHOWN]) == (1, 1)
        assert [found[of(name, "queue_workers")] for name in ("celery", "rewrite")] == [1, 0]
        assert (
            found[of("rewrite", "queue_ready_messages")],
            found[of("rewrite", "queue_delayed_messages")],
        ) == (1, 1)
        assert of("rewrite", "queue_oldest_message_seconds") in found
        assert of("celery", "queue_oldest_message_seconds") not in found  # nothing waits, so there is no age
        assert [found[of(name, "queue_paused")] for name in ("escalation", "celery")] == [1, 0]
        assert (found["contentworker_leases", ()], found["contentworker_dead_letters_kept", ()]) == (1, 1)
        name = "contentworker_task_duration_seconds"
        buckets = [
            value
            for (sample, labels), value in found.items()
            if sample == f"{name}_bucket" and ("task", "probe.pid") in labels
        ]
        assert buckets == sorted(buckets)
        assert buckets[-1] == found[f"{name}_count", (("task", "probe.pid"),)] == 1
        printed = parsed(run_cli("metrics", "--once", redis_url=redis_url).stdout)
        wait_until(lambda: printed.keys() == exporter.samples().keys(), "the same to be shown")
    finally:
        exporter.stop()
        redis_client.flushall()


def test_redis_away_and_back(server: RedisProcess, exporter: MetricsServer) -> None:
    """Redis killed, or silent: only `contentworker_up` 0 and the version are shown; then all is back."""
    everything = wait_until(lambda: it if len(it := exporter.samples().keys()) > 20 else None, "all numbers")
    server.crash()
    wait_until(lambda: exporter.samples() == AWAY, "the last answer to be too old")
    server.start()
    wait_until(lambda: exporter.samples().keys() == everything, "Redis to be read again")
    server.kill(signal.SIGSTOP)
    wait_until(lambda: exporter.samples() == AWAY, "the last answer to be too old")
    server.kill(signal.SIGCONT)
    wait_until(lambda: exporter.samples().keys() == everything, "Redis to be read again")
    assert exporter.log().count("Redis cannot be read") >= 2


def test_what_prometheus_prefers(exporter: MetricsServer) -> None:
    """Asked for OpenMetrics, as Prometheus does, it answers in that."""
    wait_until(lambda: exporter.samples()[UP, ()], "Redis to be read")
    status, text = exporter.ask(Accept="application/openmetrics-text;version=1.0.0,text/plain;q=0.5")
    assert status == 200
    assert text.endswith("# EOF\n")
    assert f"{UP} 1.0\n" in text


def test_many_scrapes_are_one_reading(server: RedisProcess, exporter: MetricsServer) -> None:
    """Many who ask at once share what is read."""
    with server.client() as client, ThreadPoolExecutor(20) as many:
        client.config_resetstat()
        assert [*many.map(lambda _: exporter.ask()[0], range(40))] == [200] * 40
        read = client.info("commandstats")["cmdstat_zcard"]["calls"]
    assert read < 10


def test_thousands_of_queues_and_names(server: RedisProcess, tmp_path: Path) -> None:
    """Many queues and a flood of numbers in Redis are shown, and bounded."""
    queues = {f"WORKER__QUEUES__Q{number}__DESCRIPTION": "one" for number in range(1_000)}
    with server.client() as client:
        for start in range(0, 5_000, 1_000):
            fields = {f"task{number}\x1fq\x1fsuccess": 1 for number in range(start, start + 1_000)}
            client.hset("contentworker:metrics:contentworker_tasks_total", mapping=fields)
        client.hset("contentworker:metrics:contentworker_tasks_total", "of another release", 1)
        client.hset("contentworker:metrics:contentworker_task_duration_seconds", "task\x1f99", 1)
        client.zadd("contentworker:metrics:workers", {"same@host\x1fq1": 1, "same@host\x1fq2": 2})
    exporter = MetricsServer(server.url, tmp_path / "metrics", **queues)
    try:  # reading it all may take a busy machine longer than the first answer waits
        found = wait_until(lambda: it if (it := exporter.samples())[UP, ()] else None, "all of it")
    finally:
        exporter.stop()
    assert len([name for name, _ in found if name == "contentworker_queue_ready_messages"]) == 1_000 + len(
        QUEUES
    )
    assert len([name for name, _ in found if name == "contentworker_tasks_total"]) == 5_000
    signs = {labels: value for (name, labels), value in found.items() if "last_sign" in name}
    assert signs == {(("worker", "same@host"),): 2}


def test_password(server: RedisProcess, tmp_path: Path) -> None:
    """With METRICS_BASIC_AUTH only who knows it is answered."""
    exporter = MetricsServer(
        server.url, tmp_path / "metrics", "--address=0.0.0.0", METRICS_BASIC_AUTH="me:of us"
    )
    try:
        assert exporter.ask()[0] == 401
        assert exporter.ask(Authorization="Basic bm9ib2R5")[0] == 401
        login = base64.b64encode(b"me:of us").decode()
        assert exporter.ask(Authorization=f"Basic {login}")[0] == 200
        assert exporter.ask("/", Authorization=f"Basic {login}") == (404, "there is /metrics\n")
    finally:
        exporter.stop()


@pytest.mark.parametrize(
    ("options", "env", "said"),
    [
        pytest.param(
            ["--address=0.0.0.0"],
            {},
            "METRICS_BASIC_AUTH: must be user:password, since the metrics are shown on 0.0.0.0, "
            "which others can reach",
            id="open to others",
        ),
        pytest.param(
            [],
            {"WORKER__METRICS__ADDRESS": "192.0.2.1", "METRICS_BASIC_AUTH": "me:too"},
            "192.0.2.1, port 9808: Cannot assign requested address; choose another with --address and --port",
            id="no such address",
        ),
        pytest.param(
            [], {"METRICS_BASIC_AUTH": "secret"}, "METRICS_BASIC_AUTH: must be user:password", id="no user"
        ),
    ],
)
def test_refused(options: list[str], env: dict[str, str], said: str) -> None:
    """One line that says what is wrong, without the secret."""
    done = run_cli("metrics", *options, redis_url="redis://127.0.0.1:1/0", **env)
    assert done.returncode == 1
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert "secret" not in done.stderr


def test_every_metric_is_shown(server: RedisProcess) -> None:
    """Name, kind and help of each definition are in the text, also where there is no number yet."""
    text = run_cli("metrics", "--once", redis_url=server.url).stdout
    for metric in (*READ, *COUNTED):
        assert f"# TYPE {metric.name} {metric.kind}" in text
        assert f"# HELP {metric.name} " in text
