"""Read by Flower where it is started in this folder: `celery -A celery_worker.celery_app flower`."""

import os

from contentworker import config
from contentworker.errors import ConfigError
from contentworker.runtime import logs

logs.set_up(config.load().logs)
_flower = config.load().flower

# Flower's own default is every interface of the machine, without a password.
address = _flower.address
port = _flower.port
if os.environ.get("FLOWER_BASIC_AUTH"):
    basic_auth = os.environ["FLOWER_BASIC_AUTH"].split(",")
elif not _flower.is_loopback:
    raise ConfigError(
        f"FLOWER_BASIC_AUTH: must be user:password, since Flower listens on {_flower.address}, "
        "which others can reach"
    )
