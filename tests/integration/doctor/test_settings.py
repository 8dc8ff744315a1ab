"""worker.toml and `tasks/` in a checkout: every command says the same, and a new task needs no setting."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import PATIENCE, environment

CELERY = ("celery", "-A", "celery_worker.celery_app")
COMMANDS = [
    ("contentworker", "config", "show"),
    ("contentworker", "config", "document", "--check"),
    ("contentworker", "health"),
    ("contentworker", "worker"),
    ("contentworker.doctor",),
    ("contentworker.installer", "preflight"),
    (*CELERY, "worker"),
    (*CELERY, "beat"),
    (*CELERY, "flower"),
]
MISTAKES = {
    'task = "tasks.maintenance.purge"': (
        'task = "tasks.maintenance.purgee"',
        "schedules.purge.task: there is",
    ),
    "port = 5555": ("port = 6379", "flower.port: 6379 is the port of broker.port"),
}


def run(checkout: Path, *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *command],
        cwd=checkout,
        env=environment(REDIS_URL="redis://127.0.0.1:1/0"),
        capture_output=True,
        text=True,
        timeout=PATIENCE * 2,
        check=False,
    )


@pytest.fixture
def mistaken(checkout: Path) -> tuple[Path, list[str]]:
    """A checkout with mistakes in worker.toml, and how the line about each begins."""
    file = checkout / "worker.toml"
    text = file.read_text("utf-8")
    said = []
    for right, (wrong, about) in MISTAKES.items():
        assert text.count(right) == 1
        said.append(f"worker.toml:{text[: text.index(right)].count(chr(10)) + 1}: {about}")
        text = text.replace(right, wrong)
    file.write_text(text, "utf-8")
    return checkout, said


def test_every_command_says_the_same(mistaken: tuple[Path, list[str]]) -> None:
    """All mistakes at once, with their lines, and no traceback."""
    checkout, beginnings = mistaken
    for command in COMMANDS:
        done = run(checkout, "-m", *command)
        printed = done.stdout + done.stderr
        assert done.returncode == 1, (command, printed)
        assert "Traceback" not in printed
        for beginning in beginnings:
            assert beginning in printed, command


def test_a_new_task_needs_no_setting(checkout: Path) -> None:
    """A file in `tasks/` is enough: a worker has its task, and it goes to the default queue."""
    text = '"""New."""\nfrom celery import shared_task\n@shared_task\ndef fit() -> None: ...\n'
    (checkout / "tasks" / "newcomer.py").write_text(text, "utf-8")
    code = (
        "from celery_worker import celery_app as app; name = 'tasks.newcomer.fit'; "
        "print(name in app.tasks, app.amqp.router.route({}, name)['queue'].name)"
    )
    done = run(checkout, "-c", code)
    assert done.stdout == "True celery\n", done.stderr


def test_a_computed_name_is_known_to_the_worker(checkout: Path) -> None:
    """Where the source does not tell, the commands let it pass, and beat says the same line."""
    text = "from celery import shared_task\n@shared_task(name='x'.upper())\ndef fit() -> None: ...\n"
    (checkout / "tasks" / "computed.py").write_text(text, "utf-8")
    file = checkout / "worker.toml"
    before = file.read_text("utf-8").rstrip("\n")
    line = before.count("\n") + 3
    for name, code in (("X", 0), ("Y", 1)):
        file.write_text(f'{before}\n[schedules.x]\ntask = "{name}"\nevery_seconds = 60\n', "utf-8")
        assert run(checkout, "-m", "contentworker", "config", "show").returncode == 0
        done = run(checkout, "-m", *CELERY, "report")
        assert done.returncode == code, done.stderr
    assert f"worker.toml:{line}: schedules.x.task: there is no task 'Y' in tasks/" in done.stderr
