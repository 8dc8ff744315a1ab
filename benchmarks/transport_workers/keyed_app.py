"""`our_app`, whose limit counts for each value of an argument, which `worker.toml` cannot say here."""

from benchmarks.transport_workers.our_app import send
from celery_worker import celery_app as app

__all__ = ["app", "send"]

if limits := app.runtime_settings.limits.named:  # the publisher has none
    limits["one"] = limits["one"].model_copy(update={"key": "milliseconds"})
