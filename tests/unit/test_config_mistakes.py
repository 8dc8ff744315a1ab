"""Mistakes in worker.toml and the environment, and the one line that each is answered with."""

import json
import re
from pathlib import Path

import pytest

from contentworker.config import load
from contentworker.errors import ConfigError

MISTAKES = re.findall(
    r"^=== (\S+)\n([\s\S]*?\n)((?:\$ .*\n)*)> (.*)$",
    "\n".join(file.read_text("utf-8") for file in Path(__file__).parent.rglob("config-mistakes.txt")),
    re.MULTILINE,
)
"""Name, text, variables and answer of each."""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A folder with what settings may refer to: locks, a devcontainer, the task `tasks.mine.fit`."""
    for name in (".devcontainer/Dockerfile", "locks/service.txt", "locks/embedded.txt", "tasks/mine.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("@shared_task\ndef fit(): ...\n" if name == "tasks/mine.py" else "")
    return tmp_path


def test_the_mistakes_are_read() -> None:
    assert len(MISTAKES) >= 60
    assert len({name for name, *_ in MISTAKES}) == len(MISTAKES)


@pytest.mark.parametrize(
    ("text", "variables", "answer"), [pytest.param(*rest, id=name) for name, *rest in MISTAKES]
)
def test_a_mistake_is_one_line(checkout: Path, text: str, variables: str, answer: str) -> None:
    """Place, key, what is allowed, what came instead, and what may have been meant."""
    file = checkout / "worker.toml"
    file.write_text(text, "utf-8")
    given = (line.removeprefix("$ ").split("=", 1) for line in variables.splitlines())
    with pytest.raises(ConfigError) as caught:
        load(file, {name: json.loads(value) for name, value in given})
    said = str(caught.value)
    assert said == answer or (answer.endswith("…") and said.startswith(answer[:-1]))
    assert said.isprintable()
    assert "hunter2" not in said, "no address with a password"
    assert caught.value.__suppress_context__ or not caught.value.__context__, "no foreign traceback"
