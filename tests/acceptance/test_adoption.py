"""docs/adopting.md and docs/adding-tasks.md, followed: what is made is green, grows, and takes updates."""

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.acceptance.conftest import Terminal, make_checkout
from tests.acceptance.pages import commands_of
from tests.support import PATIENCE, wait_until

STEP_SECONDS = 1500
WHAT_DIFFERS = (
    *("tests/unit", "tests/integration/cli", "tests/integration/doctor/test_project.py"),
    *("tests/integration/runtime/worker/test_workers.py", "tests/acceptance/test_kill_demo.py"),
    *("tests/acceptance/test_pages.py", "tests/acceptance/test_start_up.py"),
    "tests/acceptance/test_vscode.py",
    "tests/acceptance/test_news_desk_command.py::test_no_command_is_left_out",
    "tests/acceptance/test_news_desk_command.py::test_completion",
    "tests/acceptance/test_autoreload.py::TestOneSession::test_a_broken_edit_leaves_the_old_worker",
    "tests/acceptance/systemd/test_operations.py::test_exposure_is_that_of_the_docs",
)
"""Tests of an adopted project: all that start no process, and those of what adopting changes. The others test
layers of which only the name has changed, and run in the project itself; docs/adopting.md says so."""
GIT = ("git", "-c", "user.name=test", "-c", "user.email=test@localhost")
SOMEBODY = {
    f"GIT_{role}_{what}": "test@localhost" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")
}
PAGE = "adopting.md"


class Block(NamedTuple):
    """A piece of code, and the file that the text before it says it is."""

    language: str
    file: str
    code: str


class Adopted(NamedTuple):
    """A checkout of this project, and what was made from it."""

    checkout: Path
    folder: Path
    environment: dict[str, str]

    def commit(self, where: Path, message: str) -> None:
        for arguments in (["add", "-A"], ["commit", "-q", "--no-verify", "-m", message]):
            subprocess.run([*GIT, *arguments], cwd=where, check=True)

    def update(self) -> subprocess.CompletedProcess[str]:
        _, update = commands_of(PAGE)
        return run(typed(update, self.folder), self.checkout, self.environment)


def blocks(project: Path) -> Iterator[Block]:
    page = (project / "docs" / "adding-tasks.md").read_text("utf-8")
    before = ""
    for text, language, code in re.findall(r"(.*?)^```(\w+)\n(.*?)^```$", page, re.DOTALL | re.MULTILINE):
        files = re.findall(r"`([\w/.]+\.(?:py|toml))`", before + text)
        yield Block(language, files[-1] if files else "", code)
        before = ""


def typed(command: str, folder: Path) -> str:
    assert command.count("../news-desk") == 1
    return command.replace("../news-desk", f"'{folder}'")


def run(command: str, checkout: Path, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-ec", command],
        cwd=checkout,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=STEP_SECONDS,
        check=False,
    )


def finish(command: str, checkout: Path, environment: dict[str, str]) -> str:
    """Run a command to its end and return what it printed."""
    finished = run(command, checkout, environment)
    # The end says which tests failed; a record of CI has little room.
    assert finished.returncode == 0, f"{command}\n{finished.stdout[-4000:]}"
    return finished.stdout


@pytest.fixture(scope="module")
def adopted(tmp_path_factory: pytest.TempPathFactory, bare_environment: dict[str, str]) -> Adopted:
    """A project that the page's first command made."""
    folder = tmp_path_factory.mktemp("adoption")
    environment = {**bare_environment, **SOMEBODY}
    project = Adopted(make_checkout(folder / "source"), folder / "own project", environment)
    adopt, _ = commands_of(PAGE)
    assert "a repository with one commit" in finish(
        typed(adopt, project.folder), project.checkout, environment
    )
    return project


def test_an_adopted_project_is_green_and_grows(adopted: Adopted, terminal: Callable[..., Terminal]) -> None:
    """No old name is left; a task is added as the page says; lint, tests, demo and worker are green."""
    listed = subprocess.run(
        ["git", "ls-files"], cwd=adopted.folder, capture_output=True, text=True, check=True
    )
    names = listed.stdout.splitlines()
    assert {"README.md", ".adopted.toml", "tasks/thumbnails.py", "news_desk/config.py"} <= {*names}
    old = re.compile(r"content[-_ ]?worker|editorial", re.IGNORECASE)
    for name in {*names} - {"LICENSE", ".adopted.toml", "README.md"}:
        assert not old.search(name)
        assert not old.search((adopted.folder / name).read_text("utf-8", "replace")), name
    environment = {**adopted.environment, "TESTS_REDIS": "embedded"}
    assert "'width': 320" in finish("python3 noxfile.py -s demo", adopted.folder, environment)
    left: list[str] = []
    for block in blocks(adopted.folder):
        if block.language == "bash":
            left += block.code.splitlines()
        elif block.language == "toml":
            with (adopted.folder / block.file).open("a", encoding="utf-8") as file:
                file.write("\n" + block.code)
        else:
            (adopted.folder / block.file).write_text(block.code, "utf-8")
    *steps, tests, worker, submit = left
    subprocess.run(["git", "add", "-A"], cwd=adopted.folder, check=True)
    for step in steps:
        finish(step, adopted.folder, environment)
    assert tests.endswith(" -- tests/tasks")
    # One Python shows as much as three.
    one = {"NOXPYTHON": "{}.{}".format(*sys.version_info[:2])}
    side_by_side = "--numprocesses=3 --dist=loadfile --no-loadscope-reorder"
    finish(f"{tests} {side_by_side} {' '.join(WHAT_DIFFERS)}", adopted.folder, {**environment, **one})
    running = terminal(["bash", "-c", worker], adopted.folder, adopted.environment)
    running.wait_for(" ready.")
    assert '"gross": 2380' in finish(submit, adopted.folder, adopted.environment)
    (fit,) = re.findall(
        r"^news-desk submit .*", (adopted.folder / "README.md").read_text("utf-8"), re.MULTILINE
    )
    in_shell = f"python3 noxfile.py -s shell -- {fit}"
    assert '"width": 320' in finish(in_shell, adopted.folder, adopted.environment)
    running.type("\x03")
    running.wait()
    adopted.commit(adopted.folder, "Add invoices")


def test_updates_are_merged(adopted: Adopted) -> None:
    """What changed here arrives under the other name, own changes stay, and conflicts are git's."""
    own = adopted.folder / "tasks" / "own.py"
    own.write_text('"""Tasks of ours."""\n', "utf-8")
    edited = adopted.folder / "tasks" / "health.py"
    edited.write_text(edited.read_text("utf-8").replace('"""', '"""Ours. ', 1), "utf-8")
    adopted.commit(adopted.folder, "Add own things")
    assert "is up to date with" in adopted.update().stdout

    module = adopted.checkout / "contentworker" / "printable.py"
    module.write_text(module.read_text("utf-8") + "\n\nNEWER = 'contentworker'\n", "utf-8")
    refused = adopted.update()
    assert refused.returncode == 1
    assert "has uncommitted changes (contentworker/printable.py); commit or stash them" in refused.stdout
    adopted.commit(adopted.checkout, "Change the machinery")
    merged = adopted.update()
    assert merged.returncode == 0, merged.stdout
    assert (
        (adopted.folder / "news_desk" / "printable.py").read_text("utf-8").endswith('NEWER = "news_desk"\n')
    )
    assert own.exists()
    assert '"""Ours. ' in edited.read_text("utf-8")
    assert "is up to date with" in adopted.update().stdout

    health = adopted.checkout / "tasks" / "health.py"
    health.write_text(health.read_text("utf-8").replace('"""', '"""Theirs. ', 1), "utf-8")
    adopted.commit(adopted.checkout, "Change the same line")
    conflict = adopted.update()
    assert conflict.returncode == 1
    assert "CONFLICT (content): Merge conflict in tasks/health.py" in conflict.stdout
    assert "Resolve the conflicts, then `git add` the files and `git commit`" in conflict.stdout
    assert "<<<<<<< HEAD" in edited.read_text("utf-8")
    again = adopted.update()
    assert "has uncommitted changes" in again.stdout
    subprocess.run(["git", "merge", "--abort"], cwd=adopted.folder, check=True)

    subprocess.run(["git", "checkout", "-q", "HEAD~2"], cwd=adopted.checkout, check=True)
    assert "is not later than what was adopted" in adopted.update().stdout


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout for refusals only."""
    return make_checkout(tmp_path_factory.mktemp("refusing") / "source")


def adopt(source: Path, *arguments: object, **env: str) -> tuple[int, str]:
    """Exit code and error of the command behind the session, which needs no package until it formats."""
    command = [sys.executable, "-m", "adoption", *map(str, arguments)]
    done = subprocess.run(
        command, cwd=source, env=env or None, capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    return done.returncode, done.stderr


def test_what_cannot_be_adopted_is_said_in_a_line(source: Path, tmp_path: Path) -> None:
    """A wrong NAME or FOLDER, no git, too few words: a line, and nothing is made."""
    full, file, other = tmp_path / "full", tmp_path / "file", tmp_path / "other"
    (full / "x").mkdir(parents=True)
    file.touch()
    subprocess.run(["git", "init", "-q", str(other)], check=True)
    for arguments, said in (
        (("Lambda", tmp_path / "new"), "NAME: must be a package name"),
        (("tasks", tmp_path / "new"), "NAME: tasks is a file, folder or dependency"),
        (("news_desk", full), "must be an empty folder, or not exist"),
        (("news_desk", file), "must be an empty folder, or not exist"),
        (("news_desk", file / "below"), "file: must be a folder"),
        (("news_desk", source / "inside"), "is inside this checkout"),
        (("--update", tmp_path / "nowhere"), "was not adopted: it has no .adopted.toml"),
        (("--update", other), "was not adopted: it has no .adopted.toml"),
    ):
        code, error = adopt(source, *arguments)
        assert (code, error.count("\n")) == (1, 1), error
        assert error.startswith("adopt: ")
        assert said in error
    assert adopt(source, "news_desk")[0] == 2
    code, error = adopt(source, "news_desk", tmp_path / "new", PATH=str(tmp_path))
    assert (code, error) == (1, "adopt: git: is needed, and is not on the PATH\n")
    (other / ".adopted.toml").write_text("name = 3", "utf-8")
    assert "must be as `nox -s adopt` wrote it" in adopt(source, "--update", other)[1]
    (other / ".adopted.toml").write_text('name = "x"\ncommit = "y"\n', "utf-8")
    assert "has uncommitted changes (.adopted.toml)" in adopt(source, "--update", other)[1]
    shutil.rmtree(other / ".git")
    assert "must be a git repository" in adopt(source, "--update", other)[1]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "full", "other"]


def test_git_without_a_name_is_said_in_a_line(source: Path, tmp_path: Path) -> None:
    """Before the files are made; the command to type is in it, and works."""
    nobody = {**os.environ, "GIT_CONFIG_GLOBAL": str(tmp_path / "gitconfig"), "GIT_CONFIG_SYSTEM": os.devnull}
    # Without this, git takes the name and the host of the account, where they look like an address.
    subprocess.run(["git", "config", "--global", "user.useConfigOnly", "true"], env=nobody, check=True)
    (tmp_path / "new").mkdir()
    code, error = adopt(source, "news_desk", tmp_path / "new" / "project", **nobody)
    assert (code, error.count("\n")) == (1, 1), error
    assert error.startswith("adopt: git: knows no name for your commits; type: git config --global user.name")
    assert not [*(tmp_path / "new").iterdir()]
    command = error.partition("type: ")[2]
    subprocess.run(["sh", "-ec", command], env=nobody, check=True)
    said = subprocess.run(["git", "var", "GIT_AUTHOR_IDENT"], env=nobody, capture_output=True, check=True)
    assert said.stdout.startswith(b"YOUR NAME <YOU@EXAMPLE.COM>")


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_adoption_leaves_nothing(source: Path, tmp_path: Path, signum: signal.Signals) -> None:
    command = [sys.executable, "-m", "adoption", "news_desk", str(tmp_path / "new")]
    env = {**os.environ, **SOMEBODY}
    with subprocess.Popen(command, cwd=source, env=env, stderr=subprocess.PIPE, text=True) as adopting:
        wait_until(lambda: any(tmp_path.glob(".new.*/.git/objects")), "the adoption to begin")
        adopting.send_signal(signum)
        assert adopting.wait(PATIENCE) == 128 + signum
        assert adopting.stderr
        assert "Traceback" not in adopting.stderr.read()
    assert not [*tmp_path.iterdir()]
