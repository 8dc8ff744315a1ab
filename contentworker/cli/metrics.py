"""`content-worker metrics`."""

import os

import click
from prometheus_client import generate_latest

from contentworker import config
from contentworker.cli import connection
from contentworker.counted import ALL_COUNTED
from contentworker.errors import ConfigError
from contentworker.runtime.logs import lines as logs
from contentworker.runtime.metrics import exporter, reading
from contentworker.runtime.metrics.definitions import UP

__all__ = ["metrics"]

PASSWORD = "METRICS_BASIC_AUTH"  # noqa: S105 (the name of the variable)


@click.command("metrics")
@connection.listen_options
@click.option("--once", is_flag=True, help="Print the metrics and end.")
def metrics(address: str | None, port: int | None, once: bool) -> None:
    """Serve Prometheus what the workers count, and how the queues are, at /metrics."""
    settings = config.load()
    client = connection.impatient_client()
    queues = [*settings.queues]
    collector = exporter.SnapshotCollector(
        lambda: reading.read(client, queues, ALL_COUNTED),
        ALL_COUNTED,
        queues,
        has_leases=settings.broker.transport == "leased",
        is_measured=settings.metrics.enabled,
        limits=[*settings.limits.named],
    )
    shown = exporter.registry(collector)
    if once:
        text = generate_latest(shown).decode()
        click.echo(text, nl=False)
        if f"\n{UP.name} 0.0" in text:
            connection.exit_no_broker("it did not answer in time")
        return
    password = os.environ.get(PASSWORD, "")
    if password and not all(password.partition(":")):
        raise ConfigError(f"{PASSWORD}: must be user:password")
    with connection.listening(settings.metrics, address, port) as listening:
        if not password and not listening.is_loopback:
            raise ConfigError(
                f"{PASSWORD}: must be user:password, since the metrics are shown on {listening.address}, "
                "which others can reach"
            )
        logs.set_up(settings.logs)
        exporter.serve((listening.address, listening.port), shown, password)
