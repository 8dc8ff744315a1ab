"""`content-worker health-server`."""

from pathlib import Path
from typing import Any

import click
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from contentworker import config
from contentworker.cli import connection
from contentworker.errors import ContentWorkerError
from contentworker.runtime.health import queues as health
from contentworker.runtime.health import server as health_server
from contentworker.runtime.logs import lines as logs
from contentworker.runtime.records import connections

__all__ = ["server"]


@click.command("health-server")
@connection.listen_options
@click.option(
    "--alive-folder",
    type=click.Path(path_type=Path, file_okay=False),
    default="/run/content-worker",
    show_default=True,
    help="Folder with each worker's WORKER_ALIVE_FILE as WORKER/alive.",
)
def server(address: str | None, port: int | None, alive_folder: Path) -> None:
    """Answer /live, /ready and /health over HTTP: 200 if all is well, 503 with the reason if not."""
    settings = config.load()
    logs.set_up(settings.logs)
    app = connection.application()

    def check() -> list[Any]:
        nonlocal app
        try:
            with connection.impatient_client() as client:
                client.ping()  # the check itself would wait longer for a Redis that does not answer
            try:
                return health.check_queues(app, settings.queues, connection.TIMEOUT_SECONDS)
            except (OperationalError, RedisError):
                # Redis answers, so the connections are of a server that was restarted.
                app = connection.application()
                return health.check_queues(app, settings.queues, connection.TIMEOUT_SECONDS)
        except (OperationalError, RedisError) as error:
            where = connections.sanitized(connection.redis_url())
            raise ContentWorkerError(f"Redis at {where} cannot be used: {error}") from None
        finally:
            # Unsubscribe: messages that no program reads would pile up in Redis.
            app.backend.result_consumer.stop()

    with connection.listening(settings.health, address, port) as listening:
        health_server.serve(
            (listening.address, listening.port),
            settings.workers,
            alive_folder,
            check,
            shows_reasons=listening.is_loopback,
        )
