"""docs/testing.md: its examples pass in a project that has followed docs/adding-tasks.md."""

import re
import subprocess
import sys

from tests.acceptance.conftest import CopyProject
from tests.acceptance.pages import commands_of
from tests.support import PATIENCE, ROOT, environment


def blocks(page: str, language: str) -> list[str]:
    text = (ROOT / "docs" / page).read_text("utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


def test_the_examples_pass(copy_project: CopyProject) -> None:
    """All of them in one file, side by side as well."""
    project = copy_project("project")
    with (project / "worker.toml").open("a", encoding="utf-8") as file:
        file.write("\n" + blocks("adding-tasks.md", "toml")[0])
    (project / "tasks" / "invoices.py").write_text(blocks("adding-tasks.md", "python")[0], "utf-8")
    (project / "tests" / "tasks").mkdir(exist_ok=True)
    examples = blocks("testing.md", "python")
    (project / "tests" / "tasks" / "test_page.py").write_text("\n\n".join(examples), "utf-8")
    (command,) = commands_of("testing.md")
    assert command == "nox -s tests -- tests/tasks"
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-n", "2", "--dist=load", *command.split()[4:]],
        cwd=project,
        env=environment(PYTHONPATH=""),
        capture_output=True,
        text=True,
        timeout=PATIENCE * 2,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert f"{len(re.findall('^def test_', ''.join(examples), re.MULTILINE))} passed" in done.stdout
