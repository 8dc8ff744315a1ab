"""Copies of the project to edit, and a terminal to type in."""

import os
import pty
import select
import shutil
import signal
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from contentworker import config
from tests.acceptance.browsers import chromium
from tests.support import ROOT, environment, wait_until

if TYPE_CHECKING:
    from playwright.sync_api import Browser

CopyProject = Callable[[str], Path]


def project_files() -> list[str]:
    """What is, or is about to be, in the repository."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
        text=True,
    )
    return [name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]


def make_checkout(checkout: Path, worker_toml: Path = ROOT / "worker.toml") -> Path:
    """Make a checkout of the project as it is now."""
    for name in project_files():
        (checkout / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, checkout / name)
    shutil.copy2(worker_toml, checkout / "worker.toml")
    git = ["git", "-c", "user.name=test", "-c", "user.email=test@localhost", "-C", str(checkout)]
    for arguments in (["init", "-q"], ["add", "-A"], ["commit", "-q", "--no-verify", "-m", "copy"]):
        subprocess.run([*git, *arguments], check=True)
    return checkout


@pytest.fixture
def copy_project(tmp_path: Path) -> CopyProject:
    """Return a function that makes a checkout of the project as it is now, in a folder of this name."""
    return lambda folder: make_checkout(tmp_path / folder)


@pytest.fixture(scope="session")
def bare_environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What a person has: no virtual environment, and a PATH without our tools, but with uv.

    uv makes an environment in a second, pip in a minute. `newcomers_environment` is without.
    """
    here = Path(sysconfig.get_path("scripts"))
    tools = tmp_path_factory.mktemp("uv")
    (tools / "uv").symlink_to(here / "uv")
    path = [folder for folder in os.environ["PATH"].split(os.pathsep) if folder != str(here)]
    bare = environment(PATH=os.pathsep.join([str(tools), *path]))
    ours = ("PYTHONPATH", "PYTEST_CURRENT_TEST", "NOX_CURRENT_SESSION", config.FILE_VARIABLE)
    for name in ("VIRTUAL_ENV", "CI", *ours):
        bare.pop(name, None)
    return bare


@pytest.fixture(scope="session")
def newcomers_environment(bare_environment: dict[str, str]) -> dict[str, str]:
    """What a newcomer has: no uv either, so that pip installs."""
    _, _, path = bare_environment["PATH"].partition(os.pathsep)
    return {**bare_environment, "PATH": path}


@pytest.fixture
def bare_python() -> str:
    """The interpreter that the environment of these tests was made from."""
    return os.path.realpath(sys.executable)


@pytest.fixture(scope="module")
def browser() -> Iterator["Browser"]:
    """A browser for the tests of one module; each opens a context of its own."""
    with chromium() as opened:
        yield opened


class Terminal:
    """A command in a terminal of its own, as a person runs it."""

    def __init__(self, command: Sequence[str], cwd: Path, env: dict[str, str]) -> None:
        self.screen = ""
        self.exit_code: int | None = None
        self.pid, self._fd = pty.fork()
        if self.pid == 0:  # the child
            os.chdir(cwd)
            os.execvpe(command[0], list(command), env)

    def type(self, text: str) -> None:
        os.write(self._fd, text.encode())

    def wait_for(self, text: str) -> str:
        """Wait until the text appears below what was waited for before; return what is between the two."""
        try:
            wait_until(lambda: text in self._read() or self.has_ended, f"{text!r} on the terminal")
        except AssertionError as error:
            raise AssertionError(f"{error}:\n{self.screen}") from None
        before, found, after = self._read().partition(text)  # what it wrote right before its end, too
        assert found, f"ended with {self.exit_code} without {text!r}:\n{before}"
        self.screen = after
        return before

    @property
    def has_ended(self) -> bool:
        self._read()
        if self.exit_code is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.exit_code = os.waitstatus_to_exitcode(status)
        return self.exit_code is not None

    def wait(self) -> int:
        try:
            wait_until(lambda: self.has_ended, "the end of the command")
        except AssertionError as error:
            raise AssertionError(f"{error}:\n{self.screen}") from None
        assert self.exit_code is not None
        return self.exit_code

    def end(self) -> None:
        """Have it end as if the terminal were closed, and wait for that."""
        if not self.has_ended:
            with suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGTERM)
            self.wait()

    def close(self) -> None:
        self.end()
        os.close(self._fd)

    def _read(self) -> str:
        while select.select([self._fd], [], [], 0)[0]:
            try:
                data = os.read(self._fd, 65536)
            except OSError:  # the other side is gone
                break
            if not data:
                break
            self.screen += data.decode("utf-8", "replace")
        return self.screen


@pytest.fixture
def terminal() -> Iterator[Callable[..., Terminal]]:
    """Start a command in a terminal; it is ended with the test."""
    opened: list[Terminal] = []

    def start(command: Sequence[str], cwd: Path, env: dict[str, str]) -> Terminal:
        opened.append(Terminal(command, cwd, env))
        return opened[-1]

    yield start
    for each in opened:
        each.close()
