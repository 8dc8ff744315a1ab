"""The probe application, whose pool processes once take their lease for over."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from probe_worker import celery_app

from contentworker.runtime.transport.validity import is_held
from contentworker.runtime.worker import retry

__all__ = ["celery_app"]

_main = os.getpid()


def _doubt(properties: Mapping[str, Any]) -> bool:
    doubted = Path(os.environ["DOUBTED"])
    if os.getpid() == _main or doubted.exists():
        return is_held(properties)
    doubted.touch()
    return False


retry.is_held = _doubt  # type: ignore[attr-defined] # the name that it imports
