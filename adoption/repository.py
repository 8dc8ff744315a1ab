"""What adopting and updating do with git: a first commit, then a merge of the next.

Each state of the machinery under the project's name is a commit with the one before as its parent. They are
ancestors of the project's own commits, so git merges a later one as it merges any branch.
"""

import os
import shutil
import subprocess
import tempfile
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from adoption import tree
from adoption.errors import AdoptionError
from adoption.names import Name, check

__all__ = ["adopt", "update"]

MARK = "Adopted-From: "
"""In the message of each commit that is machinery only: the commit of the source that it was made from."""


class _Source(NamedTuple):
    """The checkout that is adopted, at its commit."""

    root: Path
    commit: str


def adopt(root: Path, wanted: str, folder: Path) -> None:
    """Make a repository with one commit in `folder`, which must be empty or not exist.

    Raises:
        AdoptionError: name or folder cannot be used, the checkout has changes, or there is no git, or it
            knows no name for commits.
    """
    name = check(wanted, root)
    source = _source(root)
    folder = folder.resolve()
    if folder.is_relative_to(root):
        raise AdoptionError(f"FOLDER: {folder} is inside this checkout; choose one outside")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise AdoptionError(f"FOLDER: {folder} must be an empty folder, or not exist")
    if not folder.parent.is_dir():
        raise AdoptionError(f"FOLDER: {folder.parent}: must be a folder")
    try:
        # Beside FOLDER, to become it at once when all is done.
        with _temporary(folder.parent, f".{folder.name}.") as made:
            _git(made, "init", "--quiet", "--initial-branch=main")
            _refuse_nameless(made)  # here, as git can have another name for each folder
            commit = _commit(made, source, name, None)
            _git(made, "reset", "--quiet", "--hard", commit)
            made.chmod(0o777 & ~_umask())
            made.replace(folder)
    except OSError as error:
        raise AdoptionError(f"FOLDER: {folder} cannot be made: {error.strerror}") from None
    print(f"{folder}: {name.title}, a repository with one commit. Next:")
    print(f"  cd {folder}\n  python3 noxfile.py -s demo")


def update(root: Path, folder: Path) -> int:
    """Merge this checkout's commit into the adopted repository in `folder`; return 1 if there are conflicts.

    Raises:
        AdoptionError: the folder is no adopted repository without changes, or the checkout has changes.
    """
    source = _source(root)
    note = folder / tree.ADOPTED
    if not note.is_file():
        raise AdoptionError(f"FOLDER: {folder} was not adopted: it has no {tree.ADOPTED}")
    try:
        said = tomllib.loads(note.read_text("utf-8"))
        name, before = Name(str(said["name"])), str(said["commit"])
    except (ValueError, KeyError) as error:
        raise AdoptionError(f"{note}: must be as `nox -s adopt` wrote it: {error}") from None
    _refuse_changes(folder, "FOLDER")
    last = _git(folder, "log", "--topo-order", "--format=%H", "-1", f"--grep=^{MARK}", "HEAD")
    if not last:
        raise AdoptionError(f"FOLDER: no commit of {folder} has {MARK.strip()!r}; is its history complete?")
    if f"{MARK}{before}" not in _git(folder, "show", "--no-patch", "--format=%B", last):
        print(f"The update to {before[:9]} was not merged but squashed, so its conflicts come again.")
    if before == source.commit:
        print(f"{folder}: is up to date with {source.commit[:9]}")
        return 0
    if _knows(root, before) and not _is_ancestor(root, before, source.commit):
        raise AdoptionError(
            f"this checkout ({source.commit[:9]}) is not later than what was adopted ({before[:9]})"
        )
    _refuse_nameless(folder)
    commit = _commit(folder, source, name, last)
    message = f"Update from {_title(source)}"
    merged = subprocess.run(["git", "merge", "--no-ff", "-m", message, commit], cwd=folder, check=False)
    if merged.returncode:
        print("Resolve the conflicts, then `git add` the files and `git commit`; or `git merge --abort`.")
        return 1
    print(f"{folder}: updated from {before[:9]} to {source.commit[:9]}. Now run its tests.")
    return 0


def _source(root: Path) -> _Source:
    if not shutil.which("git"):
        raise AdoptionError("git: is needed, and is not on the PATH")
    _refuse_changes(root, "this checkout")
    return _Source(root, _git(root, "rev-parse", "HEAD"))


def _refuse_changes(root: Path, what: str) -> None:
    try:
        changed = _git(root, "status", "--porcelain")
        top = Path(_git(root, "rev-parse", "--show-toplevel"))
    except AdoptionError as error:
        raise AdoptionError(f"{what}: {root} must be a git repository; {error}") from None
    if top.resolve() != root.resolve():
        raise AdoptionError(f"{what}: {root} must be a git repository, not a folder in {top}")
    if changed:
        first = changed.splitlines()[0].split(maxsplit=1)[-1]
        raise AdoptionError(f"{what}: {root} has uncommitted changes ({first}); commit or stash them")


def _refuse_nameless(repository: Path) -> None:
    """Ask as a commit does: git can take the name from its settings, the environment or the account."""
    if not all(_succeeds(repository, "var", f"GIT_{role}_IDENT") for role in ("AUTHOR", "COMMITTER")):
        raise AdoptionError(
            "git: knows no name for your commits; type: git config --global user.name 'YOUR NAME'"
            " && git config --global user.email YOU@EXAMPLE.COM"
        )


def _commit(repository: Path, source: _Source, name: Name, parent: str | None) -> str:
    """Commit the project's files, and nothing else, to the repository; return the commit. No branch moves."""
    git_folder = _git(repository, "rev-parse", "--absolute-git-dir")
    with _temporary(None, "adopt.") as folder:
        built, index = folder / "files", str(folder / "index")
        built.mkdir()
        tree.make(source.root, source.commit, name, built)
        where = ("--git-dir", git_folder, "--work-tree", str(built))
        _git(built, *where, "-c", "core.autocrlf=false", "add", "--all", "--force", ".", GIT_INDEX_FILE=index)
        written = _git(built, *where, "write-tree", GIT_INDEX_FILE=index)
    message = f"{'Take over' if parent else 'Adopt'} {_title(source)}\n\n{MARK}{source.commit}"
    parents = ("-p", parent) if parent else ()
    return _git(repository, "commit-tree", written, *parents, "-m", message)


def _title(source: _Source) -> str:
    return f"Content Worker at {source.commit[:9]}"


def _knows(root: Path, commit: str) -> bool:
    return _succeeds(root, "cat-file", "-e", f"{commit}^{{commit}}")


def _is_ancestor(root: Path, older: str, newer: str) -> bool:
    return _succeeds(root, "merge-base", "--is-ancestor", older, newer)


def _succeeds(root: Path, *arguments: str) -> bool:
    return (
        subprocess.run(["git", "-C", str(root), *arguments], capture_output=True, check=False).returncode == 0
    )


def _git(root: Path, *arguments: str, **environment: str) -> str:
    """What a git command prints.

    Raises:
        AdoptionError: it failed; the error is git's last line.
    """
    done = subprocess.run(
        ["git", "-C", str(root), *arguments],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.strip()]
        raise AdoptionError(f"git {arguments[0]}: {lines[-1] if lines else 'failed'}")
    return done.stdout.strip()


@contextmanager
def _temporary(parent: Path | None, prefix: str) -> Iterator[Path]:
    """A new folder; what is left of it in the end is deleted."""
    folder = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
