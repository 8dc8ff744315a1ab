"""`celery_app`: the Celery application of this project, for `celery -A celery_worker.celery_app …`."""

import os
import sys
from pathlib import Path

# Before our own imports: the celery command removes the working directory from sys.path once this module is
# loaded, and an import inside a task would then fail.
sys.path.insert(0, str(Path(__file__).resolve().parent))

from celery import Celery

import tasks
from contentworker import config
from contentworker.errors import ConfigError
from contentworker.runtime import environment
from contentworker.runtime.development import local_redis
from contentworker.runtime.watching import flower as flower_page
from contentworker.runtime.worker import application, command_line
from contentworker.runtime.worker.reloading import ScheduleFile

__all__ = ["celery_app"]


def _build() -> Celery:
    environment.adopt_credentials()
    # Before the settings are read, so that no change is missed.
    schedule_file = ScheduleFile(config.file(), lambda: config.load(environ=os.environ))
    settings = config.load()
    # Not `connection.redis_url`: who loads an application may never ask Redis.
    redis_url = local_redis.url(environment.state_folder(config.ROOT), settings.broker.port)
    app = application.build(settings, redis_url)
    app.schedule_file = schedule_file
    tasks.load_all()
    app.finalize()
    config.check_tasks(app.tasks)
    command_line.accept_queue_option()
    flower_page.guard(settings.flower, settings.logs, environment.folder(config.ROOT))
    return app


try:
    celery_app = _build()
except ConfigError as error:
    command_line.refuse(error)
