"""Celery's worker, changed so that no task is lost."""
