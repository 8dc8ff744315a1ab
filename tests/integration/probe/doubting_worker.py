"""The probe application, whose pool processes once take their lease for over."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from probe_worker import celery_app

from contentworker.runtime import leases

__all__ = ["celery_app"]

_main, _is_held = os.getpid(), leases.is_held


def _doubt(properties: Mapping[str, Any]) -> bool:
    doubted = Path(os.environ["DOUBTED"])
    if os.getpid() == _main or doubted.exists():
        return _is_held(properties)
    doubted.touch()
    return False


leases.is_held = _doubt
