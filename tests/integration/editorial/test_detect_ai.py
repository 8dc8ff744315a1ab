"""`tasks.evaluation.detect_ai` through a real queue, and the files that its workers need."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from celery import Celery

from contentworker.editorial.detector import Detection
from contentworker.errors import ContentError
from tests.support import PATIENCE, ROOT, StartWorker, Worker, environment

pytestmark = pytest.mark.every_python

SAMPLE = json.loads((ROOT / "tests" / "data" / "detector.json").read_text("utf-8"))
TASK = "tasks.evaluation.detect_ai"


@pytest.fixture(scope="module", autouse=True)
def serving(module_worker: StartWorker) -> Worker:
    """One worker of the queue of `detect_ai`."""
    return module_worker("--queues=evaluation")


def test_verdicts_travel_through_the_queue(client: Celery) -> None:
    """A Celery client gets the verdict, its probability and the sentences behind it as JSON."""
    for row in SAMPLE[:4]:
        answer = client.send_task(TASK, kwargs={"content": row["text"], "media_type": "text"}).get(
            timeout=PATIENCE
        )
        found = Detection.model_validate(answer)
        assert found.probability == pytest.approx(row["probability"], abs=1e-6)
        assert found.sentences


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="reads /proc")
def test_the_model_is_loaded_before_the_pool_forks(serving: Worker) -> None:
    """The worker's main process has numpy, and so its children share the model."""
    assert "numpy" in Path(f"/proc/{serving.pid}/maps").read_text("utf-8")


@pytest.mark.parametrize(
    ("kwargs", "field"),
    [
        pytest.param({"content": 3}, "content", id="number"),
        pytest.param({"content": "ab\0\1cd"}, "content", id="binary"),
        pytest.param({"content": "a " * 1_000_001}, "content", id="over-2-mb"),
        pytest.param({"content": "A text.", "media_type": "pdf"}, "media_type", id="media-type"),
        pytest.param({"content": "A text.", "scope": "page"}, "scope", id="scope"),
        pytest.param({}, "content", id="nothing"),
    ],
)
def test_bad_input_is_one_content_error(
    client: Celery, serving: Worker, kwargs: dict[str, Any], field: str
) -> None:
    """What cannot be worked on fails at once, by the name of the argument."""
    sent = client.send_task(TASK, kwargs=kwargs)
    with pytest.raises(ContentError) as caught:
        sent.get(timeout=PATIENCE)
    assert caught.value.field == field
    assert serving.is_alive


DAMAGED = {
    "detector/model.npz": "model.npz: the detector's model is damaged",
    "aeo/vectors.npz": "vectors.npz: the table of word vectors is damaged",
}


@pytest.fixture(scope="module", params=DAMAGED)
def damaged(request: pytest.FixtureRequest) -> str:
    """The file of which there is the beginning only."""
    return str(request.param)


@pytest.fixture(scope="module")
def damaged_checkout(tmp_path_factory: pytest.TempPathFactory, damaged: str) -> Path:
    """The code of a worker, with a damaged file."""
    folder = tmp_path_factory.mktemp("checkout")
    for name in ("contentworker", "tasks"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("celery_worker.py", "worker.toml"):
        shutil.copy(ROOT / name, folder)
    file = folder / "contentworker" / "editorial" / damaged
    file.write_bytes(file.read_bytes()[:1_000])
    return folder


def test_a_damaged_file_is_one_error_at_the_start(
    damaged_checkout: Path, damaged: str, redis_url: str
) -> None:
    """A worker of the queue says what is wrong, and does not start."""
    command = [
        sys.executable,
        "-m",
        "celery",
        "-A",
        "celery_worker.celery_app",
        "worker",
        "--queues=evaluation",
    ]
    done = subprocess.run(
        command,
        cwd=damaged_checkout,
        check=False,
        env=environment(REDIS_URL=redis_url),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert done.returncode != 0
    assert f"Configuration error\n{DAMAGED[damaged]}" in done.stderr
    assert "Traceback" not in done.stderr


def test_other_queues_need_neither(damaged_checkout: Path, redis_url: str) -> None:
    """A worker of another queue starts without model and table, and loads no numpy."""
    script = (
        "import sys, celery_worker\n"
        "from celery.signals import worker_init\n"
        "class Sender: app, pool_cls = celery_worker.celery_app, 'prefork'\n"
        "Sender.app.amqp.queues.select(['rewrite'])\n"
        "worker_init.send(Sender)\n"
        "print('numpy' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=damaged_checkout,
        check=False,
        env=environment(REDIS_URL=redis_url),
        capture_output=True,
        text=True,
    )
    assert done.stdout == "False\n", done.stderr
