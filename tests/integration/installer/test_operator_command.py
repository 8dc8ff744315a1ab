"""`content-worker`, run as root: it reads the secrets, and the command runs as the services' user."""

import fcntl
import json
import os
import pickle
import pwd
import shutil
import signal
import sqlite3
import subprocess
import tempfile
import termios
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from contentworker.installer import layout
from contentworker.installer.operator_command import script
from tests.support import PATIENCE, Process, service_is_missing

USER = "nobody"
"""Stands for the account of the services: every system has it."""

MODULE = """\
import json, os, pickle, sqlite3, sys, time
state = os.environ["STATE_DIRECTORY"]
def ask(what):
    try:
        return what()
    except Exception as error:
        return type(error).__name__
if sys.argv[1:] == ["hang"]:
    print("hanging", flush=True)
    time.sleep(1000)
print(json.dumps({
    "arguments": sys.argv, "uids": os.getresuid(), "gids": os.getresgid(), "groups": os.getgroups(),
    "umask": os.umask(0), "environ": dict(os.environ), "folder": os.getcwd(), "path": sys.path,
    "terminal": ask(lambda: os.open("/dev/tty", os.O_RDWR)),
    "pickle": ask(lambda: pickle.load(open(state + "/flower-state", "rb"))),
    "database": ask(lambda: sqlite3.connect(state + "/escalations.sqlite3").execute("create table t (c)")),
}, default=str))
sys.exit(3 if sys.argv[1:] == ["fail"] else 0)
"""


class Planted:
    """A pickle that tells as whom it was loaded."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.getuid, ()


class Command:
    """The command, with every path below one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.state = self.at(layout.STATE)
        self.current = self.at("/opt/content-worker/current")
        for name in ("contentworker", "celery"):
            (self.current / name).mkdir(parents=True)
            (self.current / name / "__main__.py").write_text(MODULE)
        (self.current / "environment/bin").mkdir(parents=True)
        (self.current / "environment/bin/python").symlink_to("/usr/bin/python3")
        self.credentials = self.at(layout.CREDENTIALS)
        self.credentials.mkdir(parents=True, mode=0o700)
        self.credentials.chmod(0o700)
        self.state.mkdir(parents=True)
        shutil.chown(self.state, USER)
        text = script("/opt/content-worker", USER).decode()
        for path in ("/opt/content-worker", layout.CONFIGURATION, layout.STATE):
            text = text.replace(path, str(self.at(path)))
        self.file = folder / "content-worker"
        self.file.write_text(text)
        self.file.chmod(0o755)

    def at(self, path: str) -> Path:
        return self.folder / path.lstrip("/")

    def run(self, *arguments: str, code: int = 0, **options: Any) -> Any:
        """What the command's process is, as it says itself."""
        command = [str(self.file), *arguments]
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=PATIENCE, check=False, **options
        )
        assert done.returncode == code, done.stderr
        return json.loads(done.stdout)


@pytest.fixture(scope="module")
def command() -> Iterator[Command]:
    """In a folder that every user may enter."""
    if os.geteuid():
        service_is_missing("root: the command is root's")
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield Command(folder)
    shutil.rmtree(folder)


def test_runs_as_the_services_user(command: Command) -> None:
    """No right of root's is left, nor anything of root's environment; its files are its own."""
    account = pwd.getpwnam(USER)
    found = command.run("health", env={"PATH": "/bin", "TERM": "xterm", "LD_X": "1", "WORKER__A": "1"})
    assert found["uids"] == [account.pw_uid] * 3
    assert found["gids"] == [account.pw_gid] * 3
    assert found["groups"] == os.getgrouplist(USER, account.pw_gid)
    assert found["umask"] == 0o077
    assert (found["environ"]["HOME"], found["environ"]["USER"]) == (account.pw_dir, USER)
    assert found["environ"]["TERM"] == "xterm"
    assert {"LD_X", "WORKER__A", "CREDENTIALS_DIRECTORY"}.isdisjoint(found["environ"])


def test_passes_settings_and_secrets_on(command: Command) -> None:
    """The overrides of the installation and the machine, quoted or not, and each credential that is set."""
    command.at(layout.INSTALLED_ENVIRONMENT).write_text("WORKER__A=0\nWORKER__E=5\n")
    command.at(layout.ENVIRONMENT).write_text(
        'WORKER__A=1\n# WORKER__B=2\nWORKER__C="two words"\nPATH=/nowhere\nWORKER__D=$(id)\n'
    )
    for name, text in {"REDIS_URL": "redis://h\n", "OPENAI_API_KEY": "", "redis-password.conf": "x"}.items():
        (command.credentials / name).write_text(text)
    found = command.run("submit", "tasks.x", "a=b c")
    assert found["arguments"][1:] == ["submit", "tasks.x", "a=b c"]
    environ = found["environ"]
    assert {name: value for name, value in environ.items() if name.startswith("WORKER__")} == {
        "WORKER__A": "1",
        "WORKER__C": "two words",
        "WORKER__D": "$(id)",
        "WORKER__E": "5",
    }
    assert environ["REDIS_URL"] == "redis://h"
    assert "/nowhere" not in environ["PATH"]
    assert {"OPENAI_API_KEY", "redis-password.conf"}.isdisjoint(environ)


def test_what_a_service_left_is_not_root_s(command: Command) -> None:
    """A planted pickle runs as that user, and a link does not lead to a file of root's."""
    (command.state / "flower-state").write_bytes(pickle.dumps(Planted()))
    of_root = command.at("/root.sqlite3")
    planted = command.state / "escalations.sqlite3"
    planted.unlink(missing_ok=True)  # of another test
    planted.symlink_to(of_root)
    found = command.run("celery", "flower")
    assert found["pickle"] == pwd.getpwnam(USER).pw_uid
    assert found["database"] == sqlite3.OperationalError.__name__
    assert not of_root.exists()


def test_celery_imports_nothing_from_where_it_is_typed(command: Command, tmp_path: Path) -> None:
    """Celery looks for the application in its working directory first."""
    found = command.run("celery", "inspect", "active", cwd=tmp_path)
    assert found["arguments"][1:] == ["-A", "celery_worker.celery_app", "inspect", "active"]
    assert found["folder"] == str(command.current)
    assert command.run("health", cwd=tmp_path)["folder"] == str(tmp_path)
    assert str(tmp_path) not in found["path"]


def test_has_no_terminal_to_type_into(command: Command) -> None:
    """It can use the terminal that it was given, but not put commands into it for root's shell."""
    master, slave = os.openpty()
    with closing(os.fdopen(master, "rb")), closing(os.fdopen(slave, "rb")) as terminal:
        found = command.run(
            "top",
            stdin=terminal,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(slave, termios.TIOCSCTTY, 0),
        )
    assert found["terminal"] == "OSError"


def test_exit_code_and_signals(command: Command, tmp_path: Path) -> None:
    """The exit code is the command's, and signals reach it."""
    command.run("fail", code=3)
    process = Process([str(command.file), "hang"], tmp_path / "log", {"PATH": "/bin"})
    try:
        process.wait_for_log("hanging")
        process.kill(signal.SIGTERM)
        assert process.wait() == 128 + signal.SIGTERM
    finally:
        process.stop()


def test_only_for_root(command: Command) -> None:
    """Others are told what to type."""
    done = subprocess.run(
        [str(command.file), "health"], user=USER, group="nogroup", capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "Type: sudo content-worker health" in done.stderr
