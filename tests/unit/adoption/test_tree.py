"""What goes from the files of an adopted project, and what goes from its locks."""

import ast
import re
import tomllib
from pathlib import Path

import pytest

from adoption import locks, tree
from tests.support import ROOT

OWN = ROOT / "adoption" / "files"


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("a\n# >>> editorial\nb\n# <<< editorial\nc\n", "a\nc\n"),
        ("a\n\n<!-- >>> editorial -->\nb\n\nc\n<!-- <<< editorial -->\n\nd\n", "a\n\nd\n"),
        ("    a\n    # >>> editorial\n    b\n    # <<< editorial\n", "    a\n"),
        ("a = 1  # editorial\nb\n", "b\n"),
        ("| a | b | <!-- editorial -->\n| c | d |\n", "| c | d |\n"),
        ('    "x | y", # editorial\n    # adopted: "y",\n', '    "y",\n'),
        (
            "the editorial desk  # says the editorial page\n",
            "the editorial desk  # says the editorial page\n",
        ),
    ],
)
def test_what_is_marked_goes(text: str, left: str) -> None:
    assert tree.unmarked(text) == left


GONE = re.compile(r"contentworker\.(?:editorial|articles|desk|renamed|cli\.(?:articles|desk|escalations))\b")


def sources() -> list[Path]:
    """The Python files that an adopted project gets as they are here, but for marks and names."""
    gone = {*tree.left_out(ROOT), *(ROOT / path.relative_to(OWN) for path in OWN.rglob("*.py"))}
    folders = [ROOT / name for name in ("contentworker", "tasks", "tests", "examples")]
    files = [path for folder in folders for path in folder.rglob("*.py")]
    return [path for path in files if not gone.intersection([path, *path.parents])]


def needed_of_what_goes(text: str) -> set[str]:
    """What remains of the editorial part in a file without what is marked. Unused imports do not count."""
    module = ast.parse(text)
    imported = {
        alias.asname or alias.name
        for node in ast.walk(module)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
        if GONE.match(f"{node.module}.{alias.name}")
    }
    used = {node.id for node in ast.walk(module) if isinstance(node, ast.Name)}
    commands = re.findall(r"\"(?:articles|escalations):\w+\"", text)
    return {*(imported & used), *commands, *re.findall(r"(?:>>>|<<<) editorial\b", text)}


def test_nothing_that_stays_needs_what_goes() -> None:
    """If this fails for your change: mark the lines, as docs/adopting.md says."""
    texts = {path.relative_to(ROOT): tree.unmarked(path.read_text("utf-8")) for path in sources()}
    assert len(texts) > 200
    assert {path: found for path, text in texts.items() if (found := needed_of_what_goes(text))} == {}


LOCK = """\
# head
celery==5.7.0 \\
    --hash=sha256:00
    # via content-worker (pyproject.toml:core)
kombu==5.7.0 \\
    --hash=sha256:00
    # via
    #   content-worker (pyproject.toml:core)
    #   celery
httpx==1.0 \\
    --hash=sha256:00
    # via openai
idna==3 ; python_version < '4' \\
    --hash=sha256:00
    # via
    #   -c locks/lint.txt
    #   celery
    #   httpx
openai==2.0 \\
    --hash=sha256:00
    # via
    #   -c locks/lint.txt
    #   content-worker (pyproject.toml:core)
"""


def test_packages_that_nothing_asks_for_go() -> None:
    """What only the removed package needed goes with it; what another one needs stays, for that reason."""
    text = locks.pruned(LOCK, {"celery", "kombu"})
    assert re.findall(r"^([\w-]+)==", text, re.MULTILINE) == ["celery", "kombu", "idna"]
    assert text.startswith("# head\ncelery==5.7.0 \\\n    --hash=sha256:00\n")
    assert text.endswith("    # via\n    #   -c locks/lint.txt\n    #   celery\n")


def test_a_lock_of_the_same_packages_stays_as_it_is() -> None:
    assert locks.pruned(LOCK, {"celery", "kombu", "openai"}) == LOCK


def test_an_adopted_project_has_the_same_programs() -> None:
    """`nox -s up` runs there what it runs here."""
    here, there = (tomllib.loads((folder / "worker.toml").read_text("utf-8")) for folder in (ROOT, OWN))
    assert there["up"] == {name: program for name, program in here["up"].items() if name != "desk"}
