"""Where a process of this project keeps what has to last."""

import os
from collections.abc import Mapping
from pathlib import Path

from contentworker.runtime import local_redis

__all__ = ["folder"]


def folder(checkout: Path, environ: Mapping[str, str] = os.environ) -> Path:
    """The service's own folder (systemd.exec(5), StateDirectory=); without one, that of the checkout."""
    service = environ.get("STATE_DIRECTORY", "").split(":")[0]
    return Path(service) if service else local_redis.state_folder(checkout)
