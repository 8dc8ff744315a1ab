"""The names of tasks, from the source alone."""

from pathlib import Path

import celery_worker
from contentworker.config import ROOT
from contentworker.runtime.worker import task_names
from contentworker.runtime.worker.task_names import TaskNames


def write(folder: Path, **modules: str) -> Path:
    package = folder / "tasks"
    package.mkdir(exist_ok=True)
    for name, text in modules.items():
        (package / f"{name}.py").write_text(text, "utf-8")
    return package


def test_each_task_of_the_project_is_found() -> None:
    """Those that Celery knows once everything is imported."""
    found = task_names.read(ROOT / "tasks")
    real = {name for name in celery_worker.celery_app.tasks if name.startswith("tasks.")}
    assert found == TaskNames(frozenset(real), is_complete=True)


def test_every_way_to_name_a_task(tmp_path: Path) -> None:
    """A decorator, a call, `name=` in either, and a class; helpers without a decorator are none."""
    text = """
@shared_task
def plain(): ...
@app.task(bind=True)
async def bound(self): ...
@shared_task(name="other.name")
def named(): ...
made = shared_task(base=X, name=f"{__name__}.{function.__name__}")(function)
class Old(Task):
    name = "old.name"
def helper(): ...
"""
    found = task_names.read(write(tmp_path, mine=text, __init__="@shared_task\ndef at_the_top(): ..."))
    names = {"tasks.mine.plain", "tasks.mine.bound", "other.name", "tasks.mine.made", "old.name"}
    assert found == TaskNames(frozenset({*names, "tasks.at_the_top"}), is_complete=True)


def test_what_cannot_be_known_is_not_denied(tmp_path: Path) -> None:
    """A computed name, a module that does not parse, no folder: then only a worker can say it."""
    computed = write(tmp_path, computed="@shared_task(name=PREFIX + 'x')\ndef f(): ...")
    assert not task_names.read(computed).lacks("tasks.nope")
    (computed / "computed.py").write_text("def (\n")
    assert not task_names.read(computed).lacks("tasks.nope")
    assert not task_names.read(tmp_path / "no-folder").lacks("tasks.nope")
    (computed / "computed.py").write_text("")
    assert task_names.read(computed).lacks("tasks.nope")
    assert not task_names.read(computed).lacks("celery.backend_cleanup")
