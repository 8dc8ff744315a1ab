"""docs/desk.md: what is typed there, until a person has signed in."""

import re
import shlex
import subprocess
import sys
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from contentworker.desk.tokens import Tokens
from contentworker.editorial.escalations.audit import Audit
from contentworker.editorial.escalations.schema import open_engine
from tests.acceptance.pages import commands_of
from tests.support import ROOT, Process, environment, free_port, run_cli

NOX, PASSWORD, SERVE, CREATE, LIST, REVOKE = [
    each for each in commands_of("desk.md") if not each.startswith("sudo ")
]
CLI = [sys.executable, "-m", "contentworker"]


@contextmanager
def served(tmp_path: Path, *options: str, **env: str) -> Iterator[tuple[str, str]]:
    """The desk's address, and all that it printed."""
    port = free_port()
    command = [*CLI, *shlex.split(SERVE)[1:], f"--port={port}", *options]
    variables = environment(WORKER__ESCALATIONS__SQLITE_PATH=str(tmp_path / "records.sqlite3"), **env)
    desk = Process(command, tmp_path, variables, cwd=ROOT)
    try:
        desk.wait_for_log(f"The desk: http://127.0.0.1:{port}")
        yield f"http://127.0.0.1:{port}", desk.log()
    finally:
        desk.stop()


def status(address: str, name: str, password: str) -> int:
    """Of the page after signing in; waits for the server."""
    form = urllib.parse.urlencode({"name": name, "password": password}).encode()
    request = urllib.request.Request(f"{address}/login", form, {"Origin": address})
    opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
    try:
        with opener.open(request, timeout=30) as response:
            assert response.url == f"{address}/review"
            return int(response.status)
    except urllib.error.HTTPError as error:
        return error.code


def test_a_person_signs_in(tmp_path: Path, redis_url: str) -> None:
    """With the line that the command printed for the typed password."""
    typed = "a long password\n" * 2
    command = [*CLI, *shlex.split(PASSWORD)[1:]]
    done = subprocess.run(
        command, input=typed, capture_output=True, text=True, check=True, cwd=ROOT, start_new_session=True,
        env=environment(),
    )  # fmt: skip
    assert re.fullmatch(r"ana:editor:scrypt\$\S+\n", done.stdout)
    with served(tmp_path, REDIS_URL=redis_url, DESK_PASSWORDS=done.stdout) as (address, _):
        assert status(address, "ana", "a long password") == 200
        assert status(address, "ana", "another password") == 401


def test_the_demo_has_a_password_of_its_own(tmp_path: Path, redis_url: str) -> None:
    """As `nox -s desk` starts it."""
    session = (
        (ROOT / "noxfile.py")
        .read_text("utf-8")
        .partition(f"def {NOX.split()[-1]}(")[2]
        .partition("\n\n\n")[0]
    )
    assert '"desk", "serve", "--demo"' in session
    with served(tmp_path, "--demo", REDIS_URL=redis_url) as (address, printed):
        (password,) = re.findall(r"user: demo  password: (\S+)", printed)
        assert "To make one: " in printed
        assert status(address, "demo", password) == 200


def test_nobody_is_let_in_by_mistake(redis_url: str) -> None:
    """Without passwords, with a bad one, or for others without https, it does not start, and says why."""
    for arguments, env, says in (
        ((), {}, "DESK_PASSWORDS: must hold a line for each person"),
        ((), {"DESK_PASSWORDS": "ana:editor:hush"}, "DESK_PASSWORDS: line 1: must end in what"),
        (("--demo", "--address=0.0.0.0"), {}, "desk.public_url: must be the https:// address of your proxy"),
    ):
        done = run_cli("desk", "serve", *arguments, redis_url=redis_url, **env)
        (line,) = done.stderr.splitlines()
        assert (done.returncode, says in line) == (1, True)
        assert "hush" not in line


def test_a_token_is_shown_once(tmp_path: Path) -> None:
    """It can be listed and revoked; the trail has both."""
    file = tmp_path / "records.sqlite3"
    env = {"WORKER__ESCALATIONS__SQLITE_PATH": str(file)}

    def run(command: str) -> subprocess.CompletedProcess[str]:
        return run_cli(*shlex.split(command)[1:], **env)

    missing = run(CREATE)
    assert (missing.returncode, "start the desk first" in missing.stderr) == (1, True)
    assert run(LIST).stdout == "No tokens.\n"
    engine = open_engine("", file)
    audit = Audit(engine)
    audit.read()
    token = run(CREATE).stdout.strip()
    assert re.fullmatch(r"cwd_[A-Za-z0-9_-]{43}", token)
    assert "there is a token cms already" in run(CREATE).stderr
    listed = run(LIST).stdout
    assert re.fullmatch(r"cms  editor  made .*  used never\n", listed)
    assert token not in listed
    program = Tokens(engine).find_token(token)
    assert program is not None
    assert run(REVOKE).stdout == "cms: revoked\n"
    assert Tokens(engine).find_token(token) is None
    assert [each.action for each in audit.read()] == ["token.revoke", "token.create"]
    engine.dispose()
