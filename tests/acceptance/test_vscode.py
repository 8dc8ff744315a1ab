"""What .vscode/ names is there, and what it starts runs."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from celery import Celery

from tests.support import PATIENCE, ROOT, Process, environment, json_with_comments

FILES = sorted((ROOT / ".vscode").glob("*.json"))


def read(name: str) -> Any:
    """What a file says."""
    return json_with_comments(ROOT / ".vscode" / name)


def configuration(name: str) -> dict[str, Any]:
    """A configuration of launch.json."""
    (found,) = [each for each in read("launch.json")["configurations"] if each["name"] == name]
    return found


def task(label: str) -> dict[str, Any]:
    """A task of tasks.json."""
    (found,) = [each for each in read("tasks.json")["tasks"] if each["label"] == label]
    return found


def problems(label: str, output: str) -> list[dict[str, str]]:
    """What the problem matchers of a task find in its output, line after line as VS Code does."""
    found = []
    matchers = task(label)["problemMatcher"]
    for matcher in matchers if isinstance(matchers, list) else [matchers]:
        patterns = matcher["pattern"] if isinstance(matcher["pattern"], list) else [matcher["pattern"]]
        lines = output.splitlines()
        for number in range(len(lines)):
            matches = [
                re.search(pattern["regexp"], line)
                for pattern, line in zip(patterns, lines[number:], strict=False)
            ]
            if len(matches) == len(patterns) and all(matches):
                found.append(
                    {
                        part: match[group]
                        for pattern, match in zip(patterns, matches, strict=True)
                        for part, group in pattern.items()
                        if match and part != "regexp"
                    }
                )
    return found


@pytest.mark.parametrize("name", [file.name for file in FILES])
def test_files_can_be_read(name: str) -> None:
    """Each file is JSON with comments, in two spaces, as .editorconfig says."""
    assert read(name)
    assert all(re.match(r"( {2})*\S", line) for line in (ROOT / ".vscode" / name).read_text().splitlines())


def test_each_extension_has_its_reason() -> None:
    """Above each recommended extension is a comment."""
    lines = (ROOT / ".vscode" / "extensions.json").read_text("utf-8").splitlines()
    for extension in read("extensions.json")["recommendations"]:
        (number,) = [number for number, line in enumerate(lines) if f'"{extension}"' in line]
        assert lines[number - 1].lstrip().startswith("// ")


def test_each_task_is_a_session() -> None:
    """There are the tasks that people want, and one for launch.json; nox knows the session of each."""
    tasks = read("tasks.json")["tasks"]
    labels = {each["label"] for each in tasks}
    assert labels == {"up", "worker", "tests", "lint", "flower", "demo", "environment"}
    sessions = re.findall(
        r"^def (\w+)\(session: nox\.Session\)", (ROOT / "noxfile.py").read_text(), re.MULTILINE
    )
    for each in tasks:
        assert each["command"] == "python3"
        script, option, session, *_ = each["args"]
        assert (script, option) == ("noxfile.py", "-s")
        assert session in sessions
    for each in read("launch.json")["configurations"]:
        assert task(each["preLaunchTask"])


def test_interpreter_is_of_the_environment_that_is_made() -> None:
    """The interpreter of settings.json is that of the session which the task `environment` makes."""
    assert task("environment")["args"][1:] == ["-s", "lint", "--install-only"]
    interpreter = read("settings.json")["python.defaultInterpreterPath"]
    assert interpreter == "${workspaceFolder}/.venv/bin/python"
    assert '    environments.make(".venv", "lint")\n' in (ROOT / "noxfile.py").read_text("utf-8")


@pytest.fixture
def debugged(redis_url: str, tmp_path: Path) -> Iterator[Process]:
    """What "worker: debug a task" starts."""
    launch = configuration("worker: debug a task")
    command = [sys.executable, "-m", launch["module"], *launch["args"]]
    process = Process(command, tmp_path / "worker", environment(REDIS_URL=redis_url))
    yield process
    process.kill()
    process.wait()
    process.stop()


def test_debugged_worker_runs_tasks_in_its_own_process(debugged: Process, client: Celery) -> None:
    """The command of launch.json starts a worker of all queues, without a pool of processes."""
    debugged.wait_for_log(" ready.")
    assert "(solo)" in debugged.log()
    assert client.send_task("tasks.health_check").get(timeout=PATIENCE)["status"] == "ok"


def test_debugged_test_runs(tmp_path: Path) -> None:
    """The command of launch.json runs the test file that is open; the matcher finds where one failed."""
    launch = configuration("tests: debug the current file")
    file = tmp_path / "test_example.py"
    file.write_text("def test_wrong() -> None:\n    assert 1 == 2\n", "utf-8")
    arguments = [argument.replace("${file}", str(file)) for argument in launch["args"]]
    finished = subprocess.run(
        [sys.executable, "-m", launch["module"], *arguments, "-p", "no:cacheprovider"],
        cwd=ROOT,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert "1 failed" in finished.stdout
    (problem,) = problems("tests", finished.stdout)
    assert (Path(ROOT, problem["file"]).resolve(), problem["line"]) == (file.resolve(), "2")
    assert problem["message"] == "AssertionError"


def test_matchers_read_what_lint_prints() -> None:
    """A complaint of mypy and one of ruff, as they print them, are found with file and line."""
    output = (
        'tasks/health.py:7: error: Incompatible return value type (got "int")  [return-value]\n'
        "F401 [*] `os` imported but unused\n"
        "  --> tasks/health.py:3:8\n"
    )
    mypy, ruff = problems("lint", output)
    assert (mypy["file"], mypy["line"], mypy["severity"]) == ("tasks/health.py", "7", "error")
    assert (ruff["file"], ruff["line"], ruff["column"], ruff["code"]) == ("tasks/health.py", "3", "8", "F401")
