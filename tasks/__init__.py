"""The tasks of the queues. `celery_worker` loads each module here, so a new one needs no registration."""

import importlib
import pkgutil

__all__ = ["load_all"]


def load_all() -> None:
    """Import every module of this package, so that its tasks are registered."""
    for module in pkgutil.iter_modules(__path__, prefix=f"{__name__}."):
        importlib.import_module(module.name)
