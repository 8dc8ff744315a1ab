"""Old dotted names work for one release, and a warning names the new one."""

import importlib
import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

from contentworker.config import ROOT
from contentworker.renamed import RENAMED

CONTENT = ("editorial", "articles", "cli.articles", "cli.escalations")
"""Rooms that a project which was made of this one may have deleted."""
HAS_CONTENT = (ROOT / "contentworker" / "editorial").exists()
HERE = {old: new for old, new in RENAMED.items() if HAS_CONTENT or not new.startswith(CONTENT)}


@pytest.mark.parametrize(("old", "new"), HERE.items(), ids=HERE)
def test_every_new_name_is_a_module_and_no_old_one_is(old: str, new: str) -> None:
    """An entry that leads nowhere, or that hides a module which is there, is of no use."""
    spec = importlib.util.find_spec(f"contentworker.{new}")
    assert spec is not None
    assert spec.origin is not None
    path = ROOT.joinpath("contentworker", *old.split("."))
    assert not path.with_suffix(".py").exists()
    assert not path.is_dir()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("contentworker.runtime.spending", "contentworker.runtime.records.spending"),
        ("contentworker.runtime.credentials", "contentworker.runtime.environment"),
        ("contentworker.runtime.metrics.requests", "contentworker.runtime.worker.request"),
    ],
    ids=["moved", "joined", "out-of-a-package"],
)
def test_an_old_name_is_the_very_same_module(monkeypatch: pytest.MonkeyPatch, old: str, new: str) -> None:
    """Not a copy with a state of its own; the warning names the new module and the line that imports."""
    monkeypatch.delitem(sys.modules, old, raising=False)
    with pytest.warns(FutureWarning) as caught:
        module = importlib.import_module(old)
    assert module is importlib.import_module(new)
    assert module.__name__ == new
    assert [str(each.message) for each in caught] == [
        f"{old} is now {new}; the old name works until the next release"
    ]


def test_a_module_that_was_never_there_is_still_an_error() -> None:
    with pytest.raises(ModuleNotFoundError, match=r"'contentworker\.runtime\.nothing'"):
        importlib.import_module("contentworker.runtime.nothing")


@pytest.mark.parametrize(
    ("package", "module", "name"),
    [
        ("contentworker.runtime.health", "queues", "check_queues"),
        ("contentworker.runtime.logs", "lines", "set_up"),
    ],
)
def test_names_of_a_module_that_is_a_package_now(package: str, module: str, name: str) -> None:
    """`from contentworker.runtime.health import check_queues` works, and only for names that there are."""
    found = importlib.import_module(package)
    warning = f"{package}.{name} is now {package}.{module}.{name}; the old name works until the next release"
    with pytest.warns(FutureWarning) as caught:
        value = getattr(found, name)
    assert [str(each.message) for each in caught] == [warning]
    assert caught[0].filename == __file__
    assert value is getattr(importlib.import_module(f"{package}.{module}"), name)
    with pytest.raises(AttributeError, match=f"module '{package}' has no attribute 'nothing'"):
        _ = found.nothing
    for foreign in ("_private", "__path_hook__", "Any"):
        assert not hasattr(found, foreign)


def test_a_module_in_such_a_package_is_no_old_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """`from contentworker.runtime.logs import lines` is the module, and not a function of that name in it."""
    package = importlib.import_module("contentworker.runtime.logs")
    monkeypatch.delattr(package, "lines", raising=False)
    from contentworker.runtime.logs import lines  # without a warning, which would be an error here

    assert lines is sys.modules["contentworker.runtime.logs.lines"]


def test_an_old_name_can_be_run(tmp_path: Path) -> None:
    """`python -m contentworker.runtime.liveness FILE`, as in containers: same exit code, and a warning."""
    command = [sys.executable, "-m", "contentworker.runtime.liveness", str(tmp_path / "none")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    new = [*command[:2], "contentworker.runtime.health.liveness", command[3]]
    expected = subprocess.run(new, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == expected.returncode == 1
    assert done.stdout == expected.stdout == f"no sign of life: there is no file {tmp_path / 'none'}\n"
    assert expected.stderr == ""
    assert "FutureWarning: contentworker.runtime.liveness is now contentworker.runtime.health.liveness" in (
        done.stderr
    )
