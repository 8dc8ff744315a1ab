"""`celery_app`: the Celery application of this project, for `celery -A celery_worker.celery_app …`."""

import sys
from pathlib import Path

# First, before any import of ours: the celery command takes the working directory off sys.path once this
# module is loaded, and an import inside a task would then fail.
sys.path.insert(0, str(Path(__file__).resolve().parent))

from celery import Celery

import tasks
from contentworker import config
from contentworker.errors import ConfigError
from contentworker.runtime import (
    application,
    command_line,
    credentials,
    flower_page,
    local_redis,
    routing,
    schedules,
    state,
)

__all__ = ["celery_app"]


def _build() -> Celery:
    credentials.adopt()
    settings = config.load()
    redis_url = local_redis.url(local_redis.state_folder(config.ROOT), settings.broker.port)
    app = application.build(settings, redis_url)
    tasks.load_all()
    app.finalize()
    routing.check_every_task_has_one_queue(app.tasks, settings.queues)
    schedules.check_every_schedule_has_a_task(settings.schedules, app.tasks, settings.queues)
    command_line.accept_queue_option()
    flower_page.guard(settings.flower, settings.logs, state.folder(config.ROOT))
    return app


try:
    celery_app = _build()
except ConfigError as error:
    if not command_line.is_celery_command():
        raise
    # The celery command would bury the message under a traceback.
    raise SystemExit(f"Configuration error\n{error}") from None
