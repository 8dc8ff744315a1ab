"""docs/adding-tasks.md, followed word for word in a copy of the project."""

import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.acceptance.conftest import CopyProject, Terminal
from tests.support import ROOT

STEP_SECONDS = 1500
EXPECTED = '"width": 320'
MACHINERY = (
    "installer",
    "smoke",
    *(
        f"test_{name}.py"
        for name in ("broker_away", "claims", "delays", "local_redis_server", "systemd_notify")
    ),
    *(f"test_{name}.py" for name in ("transport", "transport_protocol", "watchdog")),
)
"""Tests of what knows nothing of tasks, in tests/integration."""


class Block(NamedTuple):
    """A piece of code, and the file that the text before it says it is."""

    language: str
    file: str
    code: str


def blocks() -> Iterator[Block]:
    page = (ROOT / "docs" / "adding-tasks.md").read_text("utf-8")
    before = ""
    for text, language, code in re.findall(r"(.*?)^```(\w+)\n(.*?)^```$", page, re.S | re.M):
        files = re.findall(r"`([\w/.]+\.(?:py|toml))`", before + text)
        yield Block(language, files[-1] if files else "", code)
        before = ""


@pytest.mark.once
def test_the_page_leads_to_a_green_project(
    copy_project: CopyProject,
    terminal: Callable[..., Terminal],
    bare_environment: dict[str, str],
) -> None:
    """Without the editorial part, with a queue and a task of one's own: lint, tests and worker are green."""
    checkout = copy_project("adopted")
    # The copy's own tests of a whole checkout are what runs right here, and of the machinery it has the same.
    left_out = " ".join(f"--ignore=tests/integration/{name}" for name in MACHINERY)
    environment = {**bare_environment, "PYTEST_ADDOPTS": f"-m 'not once' {left_out}"}
    *steps, worker, submit = commands(checkout, environment)
    for step in steps:
        # One Python shows as much as three.
        only = {"NOXPYTHON": "{}.{}".format(*sys.version_info[:2])} if step.endswith("tests") else {}
        finish(step, checkout, {**environment, **only})
    running = terminal(["bash", "-c", worker], checkout, environment)
    running.wait_for(" ready.")
    assert EXPECTED in finish(submit, checkout, environment)
    running.type("\x03")
    running.wait()


def commands(checkout: Path, environment: dict[str, str]) -> list[str]:
    """Make the page's edits in their order; return the commands that follow them."""
    left: list[str] = []
    for block in blocks():
        if block.language == "bash" and "noxfile" not in block.code:
            finish(block.code, checkout, environment)
        elif block.language == "bash":
            left += block.code.splitlines()
        elif block.language == "diff":
            apply = ["git", "apply", "-"]
            subprocess.run(apply, cwd=checkout, input=block.code, text=True, check=True)
        elif block.language == "toml":
            with (checkout / block.file).open("a", encoding="utf-8") as file:
                file.write("\n" + block.code)
        else:
            (checkout / block.file).write_text(block.code, "utf-8")
    return left


def finish(command: str, checkout: Path, environment: dict[str, str]) -> str:
    """Run a command to its end and return what it printed."""
    finished = subprocess.run(
        ["bash", "-ec", command],
        cwd=checkout,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=STEP_SECONDS,
        check=False,
    )
    assert finished.returncode == 0, f"{command}\n{finished.stdout[-20000:]}"
    return finished.stdout
