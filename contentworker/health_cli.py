"""`python -m contentworker health-server`."""

from pathlib import Path
from typing import Any

import click

from contentworker import config
from contentworker.errors import ContentWorkerError
from contentworker.runtime import local_redis

__all__ = ["server"]

TIMEOUT_SECONDS = 2.0
"""How long a check waits, for Redis and then for the queues: who asks over HTTP waits some five seconds."""


@click.command("health-server")
@click.option("--address", help="Address to listen on; by default that of [health] in worker.toml.")
@click.option("--port", type=click.IntRange(1, 65535), help="Port to listen on; the same.")
@click.option(
    "--alive-folder",
    type=click.Path(path_type=Path, file_okay=False),
    default="/run/content-worker",
    show_default=True,
    help="Folder with each worker's WORKER_ALIVE_FILE as QUEUE/alive.",
)
def server(address: str | None, port: int | None, alive_folder: Path) -> None:
    """Answer /live, /ready and /health over HTTP: 200 if all is well, 503 with the reason if not."""
    import kombu.exceptions
    import redis

    from contentworker.runtime import application, connections, health, health_server, logs

    settings = config.load()
    logs.set_up(settings.logs)
    redis_url = local_redis.url(local_redis.state_folder(config.ROOT), settings.broker.port)
    app = application.build(settings, redis_url)
    limits: dict[str, Any] = {"socket_timeout": TIMEOUT_SECONDS, "socket_connect_timeout": TIMEOUT_SECONDS}

    def check() -> list[Any]:
        try:
            with connections.connect(redis_url, settings.broker, **limits) as client:
                client.ping()  # what follows would wait longer for a Redis that is away
            return health.check_queues(app, settings.queues, TIMEOUT_SECONDS)
        except (kombu.exceptions.OperationalError, redis.exceptions.RedisError) as error:
            where = connections.sanitized(redis_url)
            raise ContentWorkerError(f"Redis at {where} cannot be used: {error}") from None
        finally:
            # Nobody reads what it subscribed to, which would pile up in Redis.
            app.backend.result_consumer.stop()

    place = (address or settings.health.address, port or settings.health.port)
    try:
        health_server.serve(place, settings.queues, alive_folder, check)
    except OSError as error:
        message = f"{place[0]}, port {place[1]}: {error.strerror or error}"
        raise click.ClickException(f"{message}; choose another with --address and --port") from None
