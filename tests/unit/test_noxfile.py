"""What noxfile.py and locks/ decide, without an environment."""

import ast
import importlib.util
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from nox.command import CommandFailed

from contentworker.doctor import project
from locks import environments
from tests.support import ROOT


def load_noxfile() -> Any:
    """The module, loaded without a trace: nox warns when another test loads it a second time."""
    spec = importlib.util.spec_from_file_location("noxfile", ROOT / "noxfile.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("nox.registry._REGISTRY", {})
        spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def noxfile() -> Any:
    return load_noxfile()


def test_one_dependency_is_updated_in_every_lock(noxfile: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """`--upgrade-package` goes to each group, the one whose versions the others take being first."""
    monkeypatch.setattr(noxfile, "_install", lambda session, group: None)
    ran: list[tuple[str, ...]] = []
    asked = ["--upgrade-package", "redis==8.1.1"]
    session = SimpleNamespace(env={}, posargs=asked, run=lambda *command: ran.append(command))
    noxfile.lock.func(session)
    *compiled, stamped = ran
    assert stamped == ("python", "locks/stale.py", "--stamp")
    written = [command[command.index("--output-file") + 1] for command in compiled]
    assert sorted(written) == sorted(f"locks/{path.name}" for path in (ROOT / "locks").glob("*.txt"))
    for command in compiled:
        place = command.index("--upgrade-package")
        assert command[place : place + 2] == tuple(asked)
    assert written[0] == "locks/lint.txt"  # has most of the packages
    assert "--constraint" not in compiled[0]
    assert all(command[command.index("--constraint") + 1] == written[0] for command in compiled[1:])


@pytest.mark.parametrize(
    ("failed", "in_ci", "again"),
    [
        (["a.py::b"], True, ["pytest", "a.py::b"]),
        (["a.py::b"], False, None),
        (list("abcd"), True, None),
        ([], True, None),
    ],
)
def test_few_failures_have_a_second_chance_in_ci(
    noxfile: Any,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    failed: list[str],
    in_ci: bool,
    again: list[str] | None,
) -> None:
    """Alone, and at most three; a crash that notes no failed test has none."""
    results = tmp_path / ".pytest_cache" / "v" / "cache" / "lastfailed"
    results.parent.mkdir(parents=True)
    results.write_text(json.dumps(dict.fromkeys(failed, True)))
    monkeypatch.setattr(noxfile, "HERE", tmp_path)
    monkeypatch.setattr(noxfile, "_install", lambda session, group: None)
    monkeypatch.setattr(noxfile, "tested_versions", [])
    monkeypatch.setenv("CI", "true") if in_ci else monkeypatch.delenv("CI", raising=False)
    ran: list[list[str]] = []
    warned: list[str] = []

    def run(*command: str) -> None:
        ran.append(list(command))
        if len(ran) == 1:
            raise CommandFailed("exit code 1")

    def error(message: str) -> None:
        raise CommandFailed(message)

    session = SimpleNamespace(env={}, posargs=[], python="9.9", run=run, error=error, warn=warned.append)
    if again:
        noxfile.tests.func(session)
        assert ran[1:] == [again]
        assert "a.py::b" in warned[0]
    else:
        with pytest.raises(CommandFailed):
            noxfile.tests.func(session)
        assert len(ran) == 1


@pytest.mark.parametrize("has_uv", [True, False])
@pytest.mark.parametrize("uv_succeeds", [True, False])
def test_the_uv_of_the_tests_installs_for_the_other_pythons(
    noxfile: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, has_uv: bool, uv_succeeds: bool
) -> None:
    """Where there is one, and it knows the packages; else pip does."""
    monkeypatch.setattr(noxfile, "HERE", tmp_path)
    uv = tmp_path / ".venv" / "bin" / "uv"
    if has_uv:
        uv.parent.mkdir(parents=True)
        uv.touch()
    ran: list[str] = []

    def run_install(*command: str, external: bool) -> None:
        assert external
        assert command[-3:] == ("--require-hashes", "-r", str(ROOT / "locks" / "tests.txt"))
        assert command[command.index("--python") + 1] == str(tmp_path / "bin" / "python")
        ran.append(command[0])
        if not uv_succeeds:
            raise CommandFailed("exit code 1")

    session = SimpleNamespace(
        virtualenv=SimpleNamespace(location=tmp_path),
        run_install=run_install,
        install=lambda *_: ran.append("pip"),
    )
    noxfile._install(session, "tests")
    assert ran == [str(uv)] * has_uv + ["pip"] * (not (has_uv and uv_succeeds))
    assert (tmp_path / "made-of").read_text() == environments.fingerprint(ROOT / "locks" / "tests.txt")


def test_environment_is_rebuilt_for_another_lock_python_or_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """What `made-of` says is compared with all three, and its Python must run."""
    lock, python = tmp_path / "lock.txt", tmp_path / "bin" / "python"
    python.parent.mkdir()
    python.symlink_to(sys.executable)
    lock.write_text("a==1\n")
    assert not environments.is_up_to_date(tmp_path, lock)
    environments.note(tmp_path, environments.fingerprint(lock))
    assert environments.is_up_to_date(tmp_path, lock)
    with monkeypatch.context() as patch:
        patch.setattr(environments, "HERE", tmp_path / "moved")
        assert not environments.is_up_to_date(tmp_path, lock)
    with monkeypatch.context() as patch:
        patch.setattr(sys, "version", "3.14.0")
        assert not environments.is_up_to_date(tmp_path, lock)
    assert environments.is_up_to_date(tmp_path, lock)
    python.unlink()
    python.symlink_to(tmp_path / "removed")
    assert not environments.is_up_to_date(tmp_path, lock)
    python.unlink()
    python.symlink_to(sys.executable)
    assert environments.is_up_to_date(tmp_path, lock)
    lock.write_text("a==2\n")
    assert not environments.is_up_to_date(tmp_path, lock)


@pytest.mark.parametrize(
    ("typed", "passed_on"),
    [
        (["-s", "install", "--", "--root", "/x"], ["install", "--root", "/x"]),
        (["--session", "upgrade"], ["upgrade"]),
        (["-s", "worker", "install"], None),
        (["-l", "install"], None),
        (["-l"], None),
        ([], None),
    ],
    ids=["install", "upgrade", "worker", "other option", "menu", "nothing"],
)
def test_installer_needs_no_nox(
    noxfile: Any,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    typed: list[str],
    passed_on: list[str] | None,
) -> None:
    """Its sessions start at once in the small environment; the others go to nox with the same words."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["noxfile.py", *typed])
    monkeypatch.setattr(environments, "make", lambda name, group: tmp_path / name)

    def become(program: str, command: list[str]) -> None:
        raise SystemExit(program, command)

    monkeypatch.setattr(noxfile.os, "execv", become)
    with pytest.raises(SystemExit) as ended:
        noxfile._main()
    program, command = ended.value.args
    if passed_on:
        assert program == str(tmp_path / ".nox" / "_install" / "bin" / "python")
        assert command[1:] == ["-m", "contentworker.installer", *passed_on]
    else:
        assert program == str(tmp_path / ".nox" / "_nox" / "bin" / "python")
        assert command[1:] == ["-m", "nox", "-f", str(ROOT / "noxfile.py"), *typed]


def test_format_fixes_in_the_environment_of_lint(noxfile: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """`nox -s format` queues lint, which then fixes and does not check."""
    queued: list[tuple[str, list[str]]] = []
    noxfile.format_.func(SimpleNamespace(notify=lambda *session: queued.append(session)))
    assert queued == [("lint", ["--fix"])]
    ran: list[tuple[str, ...]] = []
    monkeypatch.setattr(environments, "make", lambda name, group: ROOT / name)
    monkeypatch.setattr(noxfile, "_run", lambda session, group, *command: ran.append(command))
    noxfile.lint.func(SimpleNamespace(posargs=["--fix"]))
    assert ran == [
        ("ruff", "check", "--fix-only", "--quiet"),
        ("ruff", "format"),
        ("python", "-m", "contentworker", "config", "document"),
    ]


def test_lint_names_the_files_that_it_skips(
    noxfile: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Pre-commit looks at what git knows; a new file would seem to have passed. An error hides no line."""
    monkeypatch.setattr(environments, "make", lambda name, group: ROOT / name)

    def fail(*_: object) -> None:
        raise RuntimeError("a hook has failed")

    def run(*command: str, **_: object) -> str:
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True).stdout

    monkeypatch.setattr(noxfile, "_run", fail)
    run("git", "init", "--quiet")
    for new, line in (
        ("", ""),
        ("invoices.py", "1 new file is not checked; git add invoices.py\n"),
        ("my notes.py", "2 new files are not checked; git add invoices.py 'my notes.py'\n"),
    ):
        if new:
            (tmp_path / new).touch()
        with pytest.raises(RuntimeError):
            noxfile.lint.func(SimpleNamespace(posargs=[], run=run))
        assert capsys.readouterr().out == line


def test_environment_grows(noxfile: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What lint needs has what a worker needs, so a worker takes it; the other way round it is added to."""
    monkeypatch.setattr(environments, "LOCKS", tmp_path)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python").symlink_to(sys.executable)
    pinned = {}
    for group in environments.GROWING:
        text = (ROOT / "locks" / f"{group}.txt").read_text("utf-8")
        (tmp_path / f"{group}.txt").write_text(text, "utf-8")
        pinned[group] = set(re.findall(r"^\S+==\S+", text, re.MULTILINE))
    local, tests, lint = (pinned[group] for group in environments.GROWING)
    assert local < tests < lint
    environments.note(tmp_path, environments.fingerprint(tmp_path / "tests.txt"))
    assert [environments.has(tmp_path, group) for group in environments.GROWING] == [True, True, False]
    assert environments.GROWING == project.GROWING
    assert noxfile.HOOK_MARK == project.HOOK_MARK


@pytest.mark.parametrize("name", ["noxfile.py", "locks/environments.py"])
def test_old_pythons_can_read_it(name: str) -> None:
    """Its syntax is that of Python 3.7, so that an old Python can say that it is too old."""
    ast.parse((ROOT / name).read_text("utf-8"), feature_version=(3, 7))


def test_menu_ends_quietly_where_nobody_reads_on() -> None:
    """`nox -l | head` prints no BrokenPipeError."""
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "nox", "-f", str(ROOT / "noxfile.py"), "-l"]
    done = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writer)
    assert (done.returncode, done.stderr) == (-signal.SIGPIPE, "")


def test_menu_has_a_sentence_for_each_session(noxfile: Any) -> None:
    """`nox -l` shows the first line: it is whole, and fits beside the name."""
    sessions = {name: each for name, each in vars(noxfile).items() if hasattr(each, "func")}
    assert {"worker", "tests", "lint", "format_", "lock"} <= sessions.keys()
    groups = re.findall(r"^  [a-z ]{13}  (.*)$", noxfile.__doc__, re.MULTILINE)
    listed = ", ".join(groups).split(", ")
    assert listed == [each.name or name for name, each in sessions.items()]  # the order of `nox -l`
    for name, each in sessions.items():
        line, *more = each.func.__doc__.splitlines()
        assert not more, name
        assert len(line) <= 100, name


def test_lock_is_stale_when_a_dependency_changes(tmp_path: Path) -> None:
    """The stamp is a hash of the groups: a comment changes nothing. `--stamp` replaces the old stamp only."""
    (tmp_path / "locks").mkdir()
    shutil.copy(ROOT / "locks" / "stale.py", tmp_path / "locks")
    project, locks = tmp_path / "pyproject.toml", [tmp_path / "locks" / name for name in ("a.txt", "b.txt")]

    def stale(*options: str) -> tuple[int, str]:
        script = [sys.executable, str(tmp_path / "locks" / "stale.py"), *options]
        done = subprocess.run(script, capture_output=True, text=True, check=False)
        return done.returncode, done.stderr

    project.write_text('[dependency-groups]\ncore = ["click"]\n')
    for lock in locks:
        lock.write_text("click==8\n")
    assert stale() == (1, "Out of date, run `nox -s lock`: a.txt, b.txt\n")
    assert stale("--stamp") == (0, "")
    assert stale() == (0, "")
    stamp = locks[0].read_text().splitlines()[0]
    project.write_text('[dependency-groups]\ncore = ["click"] # small\n')
    assert stale() == (0, "")
    project.write_text('[dependency-groups]\ncore = ["click>8"]\n')
    assert stale()[0] == 1
    assert stale("--stamp") == (0, "")
    first, rest = locks[0].read_text().split("\n", 1)
    assert first != stamp
    assert rest == "click==8\n"
