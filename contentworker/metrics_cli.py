"""`python -m contentworker metrics`."""

import os
from pathlib import Path
from typing import Any

import click

from contentworker import config, content_metrics
from contentworker.errors import ConfigError
from contentworker.runtime import local_redis
from contentworker.runtime.metrics import pages
from contentworker.runtime.metrics.definitions import COUNTED, READ

__all__ = ["METRICS", "generated", "metrics"]

TIMEOUT_SECONDS = 2.0
PASSWORD = "METRICS_BASIC_AUTH"

METRICS = (*COUNTED, *content_metrics.METRICS)
"""All that workers count."""


def generated(root: Path) -> dict[Path, str]:
    """The files that are made from the list of metrics."""
    page = root / "docs" / "metrics.md"
    return {
        page: pages.between_marks(page.read_text("utf-8"), (*READ, *METRICS)),
        root / "monitoring" / "dashboard.json": pages.dashboard((*READ, *METRICS)),
    }


@click.command("metrics")
@click.option("--address", help="Address to listen on; by default that of [metrics] in worker.toml.")
@click.option("--port", type=click.IntRange(1, 65535), help="Port to listen on; the same.")
@click.option("--once", is_flag=True, help="Print them, and end.")
def metrics(address: str | None, port: int | None, once: bool) -> None:
    """Show Prometheus what the workers count, and how the queues are, at /metrics."""
    from contentworker.runtime import connections, logs
    from contentworker.runtime.metrics import exporter, reading

    settings = config.load()
    redis_url = local_redis.url(local_redis.state_folder(config.ROOT), settings.broker.port)
    limits: dict[str, Any] = {"socket_timeout": TIMEOUT_SECONDS, "socket_connect_timeout": TIMEOUT_SECONDS}
    client = connections.connect(redis_url, settings.broker, **limits)
    queues = [*settings.queues]
    shown = exporter.registry(
        exporter.SnapshotCollector(
            lambda: reading.read(client, queues, METRICS),
            METRICS,
            queues,
            has_leases=settings.broker.transport == "leased",
            is_measured=settings.metrics.enabled,
        )
    )
    if once:
        from prometheus_client import generate_latest

        click.echo(generate_latest(shown).decode(), nl=False)
        return
    listening = settings.metrics.model_copy(
        update={"address": address or settings.metrics.address, "port": port or settings.metrics.port}
    )
    password = os.environ.get(PASSWORD, "")
    if password and not (password.partition(":")[0] and password.partition(":")[2]):
        raise ConfigError(f"{PASSWORD}: must be user:password")
    if not password and not listening.is_loopback:
        raise ConfigError(
            f"{PASSWORD}: must be user:password, since the metrics are shown on {listening.address}, "
            "which others can reach"
        )
    logs.set_up(settings.logs)
    place = (listening.address, listening.port)
    try:
        exporter.serve(place, shown, password)
    except OSError as error:
        message = f"{place[0]}, port {place[1]}: {error.strerror or error}"
        raise click.ClickException(f"{message}; choose another with --address and --port") from None
