"""Content Worker: background work for a content platform, on Celery and Redis."""
