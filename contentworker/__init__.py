"""Content Worker: Celery tasks on Redis that are never lost."""

from contentworker import renamed  # editorial

renamed.install()  # editorial
