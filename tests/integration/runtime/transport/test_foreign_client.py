"""A program that has none of this code, and only Celery."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support import PATIENCE, PROBE_APP, StartWorker, environment

CLIENT = """
import json, os, sys
from celery import Celery
task, kwargs, options = json.loads(sys.argv[1])
app = Celery(broker=os.environ["REDIS_URL"], backend=os.environ["REDIS_URL"])
result = app.send_task(task, kwargs=kwargs, **options)
print(json.dumps(result.get(timeout=%d)))
assert not [name for name in sys.modules if name.split(".")[0] in ("contentworker", "tasks", "celery_worker")]
"""


@pytest.fixture(scope="module", autouse=True)
def serving(module_worker: StartWorker) -> None:
    """A worker of all queues."""
    module_worker(app=PROBE_APP)


@pytest.mark.parametrize(
    ("task", "kwargs", "options", "expected"),
    [
        pytest.param("probe.queue", {}, {}, "celery", id="default-queue"),
        pytest.param("probe.queue", {}, {"queue": "evaluation"}, "evaluation", id="queue"),
        pytest.param("probe.queue", {}, {"priority": 6}, "celery", id="priority"),
        pytest.param("probe.queue", {}, {"queue": "rewrite", "priority": 9}, "rewrite", id="lowest"),
        pytest.param("probe.queue", {}, {"countdown": 0.1}, "celery", id="countdown"),
        pytest.param(
            "probe.typed", {"text": "\u5929", "count": 2}, {}, ["\u5929", 2, "NoneType", None], id="unicode"
        ),
    ],
)
def test_task_is_called_by_name(
    tmp_path: Path, redis_url: str, task: str, kwargs: dict[str, Any], options: dict[str, Any], expected: Any
) -> None:
    """send_task by name with plain JSON, and the result read back."""
    done = subprocess.run(
        [sys.executable, "-P", "-c", CLIENT % PATIENCE, json.dumps([task, kwargs, options])],
        cwd=tmp_path,
        env=environment(REDIS_URL=redis_url, PYTHONPATH=""),
        capture_output=True,
        text=True,
        timeout=PATIENCE * 2,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == expected
