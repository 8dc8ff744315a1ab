"""The adopted project as a function of a commit and a name: the same two give the same files.

That is why an update can be a merge: what differs between two trees is what changed in
the source.
"""

import io
import os
import re
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

from adoption import examples, locks
from adoption.errors import AdoptionError
from adoption.names import Name

__all__ = ["ADOPTED", "left_out", "make", "texts", "unmarked"]

ADOPTED = ".adopted.toml"
"""The file of an adopted project that says what it was made from."""
HERE = Path(__file__).resolve().parent
LEFT_OUT = "adoption/left-out.txt"
OWN = "adoption/files"
SOURCE = "Content Worker"
"""Stands where an own file says @SOURCE@: the one name that the project does not take over."""
AS_THEY_ARE = {"LICENSE"}
"""Files that keep the source's name: whose code it is does not change."""
_COMMENT = r"(?:#|//|<!--)"
_BLOCK = re.compile(
    rf"^[ \t]*{_COMMENT} >>> editorial\b[^\n]*\n.*?^[ \t]*{_COMMENT} <<< editorial\b[^\n]*\n",
    re.DOTALL | re.MULTILINE,
)
_LINE = re.compile(rf"^[^\n]*{_COMMENT} editorial(?: -->)?\n", re.MULTILINE)
_ADOPTED = re.compile(rf"{_COMMENT} adopted: ([^\n]*?)(?: -->)?$", re.MULTILINE)


def make(source: Path, commit: str, name: Name, root: Path) -> None:
    """Write the adopted project into the empty folder `root`.

    Raises:
        AdoptionError: the source is not as this module expects it.
    """
    _export(source, commit, root)
    version = _version(root)
    own = {path.relative_to(root / OWN): path for path in sorted((root / OWN).rglob("*")) if path.is_file()}
    own_files = {path: file.read_bytes() for path, file in own.items()}
    for path in list(left_out(root)):
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
    # The machinery's tests keep its queues, so that the project can change its own.
    (root / "worker.toml").rename(root / "tests" / "worker.toml")
    for file in texts(root):
        text = file.read_text("utf-8")
        in_docs = file.parent == root / "docs" and file.suffix == ".md"
        text = examples.without_articles(unmarked(text))
        file.write_text(examples.put_into(text) if in_docs else text, "utf-8")
    _shorten_menu(root / "noxfile.py")
    for path, content in own_files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(content)
    locks.prune(root)
    _rename(root, name)
    (root / ADOPTED).write_text(_note(name, commit, version), "utf-8")
    _finish(root, name)


def _export(source: Path, commit: str, root: Path) -> None:
    archive = subprocess.run(
        ["git", "-C", str(source), "archive", "--format=tar", commit], capture_output=True, check=True
    )
    with tarfile.open(fileobj=io.BytesIO(archive.stdout)) as tar:
        tar.extractall(root, filter="tar")


def _version(root: Path) -> str:
    found = re.search(
        r'^VERSION = "([^"]+)"', (root / "contentworker/version.py").read_text("utf-8"), re.MULTILINE
    )
    if not found:
        raise AdoptionError("contentworker/version.py: has no VERSION")
    return found[1]


def left_out(root: Path) -> Iterator[Path]:
    """Files and folders that an adopted project does not get."""
    for line in (root / LEFT_OUT).read_text("utf-8").splitlines():
        pattern = line.partition("#")[0].strip()
        matches = [*root.glob(pattern)] if pattern else []
        if pattern and not matches:
            raise AdoptionError(f"{LEFT_OUT}: {pattern} matches no file")
        yield from matches


def texts(root: Path) -> Iterator[Path]:
    """Every text file below a folder."""
    for file in sorted(root.rglob("*")):
        if file.is_file() and not file.is_symlink() and b"\0" not in file.read_bytes():
            yield file


def unmarked(text: str) -> str:
    """The text without what is marked as editorial; the blank lines around a block are one."""
    text = _ADOPTED.sub(r"\1", _LINE.sub("", text))
    parts = _BLOCK.split(text)
    joined = parts[0]
    for part in parts[1:]:
        both_blank = joined.endswith("\n\n") and part.startswith("\n")
        joined += part[1:] if both_blank else part
    return joined


def _shorten_menu(noxfile: Path) -> None:
    """Leave the sessions that are gone out of the docstring, in which nothing can be marked."""
    text = noxfile.read_text("utf-8")
    there = set(re.findall(r"^def (\w+)\(", text, re.MULTILINE))

    def shorten(line: re.Match[str]) -> str:
        kept = [name for name in line[2].split(", ") if {name.replace("-", "_"), f"{name}_"} & there]
        return f"{line[1]}{', '.join(kept)}\n" if kept else ""

    noxfile.write_text(re.sub(r"^(  [a-z ]{13}  )(.*)\n", shorten, text, flags=re.MULTILINE), "utf-8")


def _rename(root: Path, name: Name) -> None:
    for file in texts(root):
        if str(file.relative_to(root)) not in AS_THEY_ARE:
            file.write_text(name.put_into(file.read_text("utf-8")).replace("@SOURCE@", SOURCE), "utf-8")
    # The deepest first, so that a folder's new name does not change the paths that are still to come.
    for path in sorted(root.rglob("*"), key=lambda path: -len(path.parts)):
        renamed = path.with_name(name.put_into(path.name))
        if renamed != path:
            path.rename(renamed)


def _note(name: Name, commit: str, version: str) -> str:
    return (
        "# Written by `nox -s adopt`, which reads it to bring later versions here. Do not edit.\n"
        f'name = "{name.package}"\nsource = "{SOURCE} {version}"\ncommit = "{commit}"\n'
    )


def _finish(root: Path, name: Name) -> None:
    """Make what depends on the length and order of names: format, generated files, the locks' stamps."""
    project = root / "pyproject.toml"
    longer = '    "E501",    # the formatter wraps code; a comment may have become longer with the name\n'
    before, start, after = project.read_text("utf-8").partition("ignore = [\n")
    project.write_text(before + start + longer + after, "utf-8")
    for command in (
        ["-m", "ruff", "check", "--fix-only", "--quiet", "--no-cache"],
        ["-m", "ruff", "format", "--quiet", "--no-cache"],
        ["-m", name.package, "config", "document"],
        ["locks/stale.py", "--stamp"],
    ):
        _run(root, *command)


def _run(root: Path, *arguments: str) -> None:
    kept = {key: value for key, value in os.environ.items() if not key.startswith("WORKER_")}
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=root,
        env={**kept, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONPATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise AdoptionError(f"{' '.join(arguments)} failed in the new project:\n{done.stdout}{done.stderr}")
