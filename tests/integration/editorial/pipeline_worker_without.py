"""The same application without the task that `WITHOUT` names."""

import os

from pipeline_worker import celery_app

__all__ = ["celery_app"]

celery_app.tasks.pop(os.environ["WITHOUT"])
