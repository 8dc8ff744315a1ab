"""What a worker tells systemd, and writes into its alive file; the tests are the systemd."""

import itertools
import os
import shutil
import signal
import socket
import sysconfig
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from celery import Celery

from contentworker.runtime.systemd_notify import VARIABLES
from tests.support import (
    PATIENCE,
    PROBE_APP,
    RedisProcess,
    StartWorker,
    Worker,
    executions,
    wait_until,
)

WATCHDOG = "WATCHDOG_USEC=600000"
EXTENDED = "WATCHDOG_USEC=3600000000"
SERVING = ["READY=1", WATCHDOG]

pools = pytest.mark.parametrize("pool", ["prefork", "threads", "solo"])


class Systemd:
    """The other end of NOTIFY_SOCKET. `sent` has each message in turn, as a list of its lines."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.sent: list[list[str]] = []
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(address.replace("@", "\0", 1))
        self._socket.setblocking(False)

    @property
    def variables(self) -> dict[str, str]:
        return {"NOTIFY_SOCKET": self.address, "WATCHDOG_USEC": "600000"}

    def receive(self) -> list[list[str]]:
        """Return what has come since it was last asked."""
        before = len(self.sent)
        while True:
            try:
                self.sent.append(self._socket.recv(4096).decode().splitlines())
            except BlockingIOError:
                return self.sent[before:]

    def wait_for(self, *lines: str) -> None:
        """Wait for a message with these lines, after those that were waited for before."""

        def come() -> bool:
            found = (number for number, message in enumerate(self._new()) if {*lines} <= {*message})
            number = next(found, None)
            if number is not None:
                self._seen += number + 1
            return number is not None

        wait_until(come, f"{lines} from the worker")

    def _new(self) -> list[list[str]]:
        self.receive()
        return self.sent[self._seen :]

    _seen = 0

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def systemd() -> Iterator[Callable[[], Systemd]]:
    """Return a function that makes a socket, by turns one in the file system and an abstract one."""
    folder = Path(tempfile.mkdtemp())  # a socket's path must be short
    made: list[Systemd] = []

    def make() -> Systemd:
        number = len(made)
        name = f"@{folder.name}-{number}" if number % 2 else str(folder / str(number))
        made.append(Systemd(name))
        return made[-1]

    yield make
    for each in made:
        each.close()
    shutil.rmtree(folder)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisProcess]:
    """A Redis to be killed."""
    process = RedisProcess(tmp_path / "redis")
    yield process.ready()
    process.stop()


def alive(file: Path) -> str:
    """The line of an alive file, which is always of the same length."""
    data = file.read_bytes()
    assert (len(data), data[-1:]) == (64, b"\n")
    return data.decode().rstrip()


@pools
def test_start_work_and_drain(
    worker: StartWorker, client: Celery, systemd: Callable[[], Systemd], tmp_path: Path, pool: str
) -> None:
    """Ready once it serves; running and processed; while it drains nothing can take it for hung."""
    listening, file = systemd(), tmp_path / "alive"
    serving = worker(
        *("--queues=escalation", f"--pool={pool}", "--concurrency=1"),
        app=PROBE_APP,
        ready=False,
        WORKER_ALIVE_FILE=str(file),
        **listening.variables,
    )
    listening.wait_for("STATUS=starting")
    listening.wait_for(*SERVING, "STATUS=escalation: 0 running, 0 processed")
    assert alive(file) == "ready"
    sent = client.send_task("probe.base.hold", kwargs={"folder": str(tmp_path)}, queue="escalation")
    if pool == "solo":  # its loop runs the task, and cannot beat meanwhile: 300 s and the third of 0.6 s
        listening.wait_for("WATCHDOG_USEC=300200000", "STATUS=escalation: 1 running, 0 processed")
        wait_until(lambda: executions(tmp_path), "the task to start")
        assert alive(file) == "ready, silent for up to 300 s"
    else:
        listening.wait_for("STATUS=escalation: 1 running, 0 processed", "WATCHDOG=1")
        assert alive(file) == "ready"
    serving.kill(signal.SIGTERM)
    listening.wait_for("STOPPING=1", EXTENDED, "STATUS=escalation: finishing 1 task")
    assert alive(file) == "stopping, silent for up to 3600 s"
    (tmp_path / "release").touch()
    assert serving.wait() == 0
    assert sent.get(timeout=PATIENCE) == "released"
    listening.receive()
    assert sum("READY=1" in message for message in listening.sent) == 1
    last = max(number for number, message in enumerate(listening.sent) if "STOPPING=1" in message)
    assert WATCHDOG not in itertools.chain(*listening.sent[last:])
    assert not file.exists()


@pools
def test_processed(worker: StartWorker, client: Celery, systemd: Callable[[], Systemd], pool: str) -> None:
    """What has run is counted, and the usual watchdog is back."""
    listening = systemd()
    worker("--queues=escalation", f"--pool={pool}", app=PROBE_APP, **listening.variables)
    for _ in range(3):
        client.send_task("probe.pid", queue="escalation").get(timeout=PATIENCE)
    listening.wait_for("STATUS=escalation: 0 running, 3 processed", "WATCHDOG=1")
    assert [line for message in listening.sent for line in message if "_USEC" in line][-1] == WATCHDOG


@pools
def test_tasks_do_not_inherit(
    worker: StartWorker, client: Celery, systemd: Callable[[], Systemd], tmp_path: Path, pool: str
) -> None:
    """No task could speak to systemd in the worker's name."""
    file = str(tmp_path / "alive")
    worker(
        *("--queues=escalation", f"--pool={pool}"),
        app=PROBE_APP,
        WORKER_ALIVE_FILE=file,
        WATCHDOG_PID="1",
        **systemd().variables,
    )
    found = client.send_task("probe.variables", queue="escalation").get(timeout=PATIENCE)
    assert "PATH" in found
    assert not {*VARIABLES, "WORKER_ALIVE_FILE"} & {*found}


@pools
def test_redis_away_and_back(
    worker: StartWorker, systemd: Callable[[], Systemd], server: RedisProcess, tmp_path: Path, pool: str
) -> None:
    """While Redis is away the watchdog is extended, each attempt is a beat, and the end is said."""
    listening, file = systemd(), tmp_path / "alive"
    serving = worker(
        *("--queues=escalation", f"--pool={pool}"),
        redis_url=server.url,
        WORKER_ALIVE_FILE=str(file),
        **listening.variables,
    )
    listening.wait_for(*SERVING)
    server.crash()
    for _ in range(3):
        listening.wait_for(EXTENDED, "WATCHDOG=1", "STATUS=escalation: waiting for Redis")
    assert alive(file) == "waiting for Redis, silent for up to 3600 s"
    server.start()
    listening.wait_for(WATCHDOG, "STATUS=escalation: 0 running, 0 processed")
    listening.wait_for("WATCHDOG=1", "STATUS=escalation: 0 running, 0 processed")
    assert alive(file) == "ready"
    assert serving.is_alive


def test_redis_does_not_answer(
    worker: StartWorker, systemd: Callable[[], Systemd], server: RedisProcess, tmp_path: Path
) -> None:
    """A Redis that hangs can have the loop hang in a call to it, which is no reason to kill the worker."""
    listening, file = systemd(), tmp_path / "alive"
    serving = worker(
        "--queues=escalation", redis_url=server.url, WORKER_ALIVE_FILE=str(file), **listening.variables
    )
    listening.wait_for(*SERVING)
    server.kill(signal.SIGSTOP)
    serving.wait_for_log("The lease cannot be renewed")
    listening.wait_for(EXTENDED, "WATCHDOG=1", "STATUS=escalation: waiting for Redis")
    assert alive(file) == "waiting for Redis, silent for up to 3600 s"
    assert WATCHDOG not in itertools.chain(*listening.receive())
    server.kill(signal.SIGCONT)
    serving.wait_for_log("The lease is renewed again")
    for _ in range(2):
        listening.wait_for(WATCHDOG, "WATCHDOG=1", "STATUS=escalation: 0 running, 0 processed")
    assert serving.is_alive


def test_redis_comes_later(worker: StartWorker, systemd: Callable[[], Systemd], server: RedisProcess) -> None:
    """A worker is not ready before Redis is there, says what it waits for, and then is."""
    listening = systemd()
    server.crash()
    worker("--queues=escalation", redis_url=server.url, ready=False, **listening.variables)
    for _ in range(2):
        listening.wait_for("STATUS=escalation: waiting for Redis")
    assert "READY=1" not in itertools.chain(*listening.sent)
    server.start()
    listening.wait_for(*SERVING)


def test_stopped_while_redis_is_away(
    worker: StartWorker, systemd: Callable[[], Systemd], server: RedisProcess
) -> None:
    """A stop is said to be one, and not taken back by the next attempt to connect."""
    listening = systemd()
    leaving = worker("--queues=escalation", redis_url=server.url, **listening.variables)
    server.crash()
    listening.wait_for("STATUS=escalation: waiting for Redis")
    leaving.kill(signal.SIGTERM)
    assert leaving.wait() == 0
    listening.wait_for("STOPPING=1", EXTENDED)
    rest = listening.receive()
    assert "waiting" not in str(rest)


def test_remote_shutdown(worker: StartWorker, client: Celery, systemd: Callable[[], Systemd]) -> None:
    """Told to stop by a remote command a worker drains just so, and longer where tasks may take hours."""
    listening = systemd()
    leaving = worker(
        *("--queues=escalation", "--hostname=remote@here"),
        WORKER__LIMITS__HARD_TIME_LIMIT_SECONDS="7200",
        WORKER__BROKER__VISIBILITY_TIMEOUT_SECONDS="8000",
        **listening.variables,
    )
    wait_until(
        lambda: client.control.shutdown(destination=["remote@here"]) or not leaving.is_alive, "the end"
    )
    listening.wait_for("WATCHDOG_USEC=14400000000", "STATUS=escalation: stopping")
    assert leaving.wait() == 0


def test_sighup(worker: StartWorker, systemd: Callable[[], Systemd]) -> None:
    """On SIGHUP Celery executes itself anew, in the same process: that one is ready again.

    Only as `celery`: of `python -m celery` it would execute a file that cannot be run by itself.
    """
    listening = systemd()
    restarting = worker("--queues=escalation", ready=False, **listening.variables)
    restarting.stop()
    restarting.command[:3] = [str(Path(sysconfig.get_path("scripts"), "celery"))]
    restarting.start()
    listening.wait_for(*SERVING)
    restarting.kill(signal.SIGHUP)
    listening.wait_for("STATUS=starting")
    listening.wait_for(*SERVING)
    assert "STOPPING=1" not in itertools.chain(*listening.sent)


@pytest.mark.parametrize("how", ["frozen", "blocked"])
def test_hung_worker_falls_silent(
    worker: StartWorker, client: Celery, systemd: Callable[[], Systemd], tmp_path: Path, how: str
) -> None:
    """No beat comes from a process that is stopped, nor from a live one whose event loop hangs.

    Beats of another worker tell the time.
    """
    hung, clock = systemd(), systemd()
    hanging = worker(
        *("--queues=escalation", "--hostname=hanging@here"), app="blocked_worker.celery_app", **hung.variables
    )
    worker("--queues=rewrite", **clock.variables)
    hung.wait_for("WATCHDOG=1", "STATUS=escalation: 0 running, 0 processed")
    if how == "frozen":
        hanging.kill(signal.SIGSTOP)
        wait_until(lambda: state_of(hanging) == "T", "the worker to stop")
    else:
        hang(client, "hanging@here", tmp_path)
    hung.receive()
    clock.receive()
    for _ in range(10):
        clock.wait_for("WATCHDOG=1")
    assert hung.receive() == []
    if how == "frozen":
        hanging.kill(signal.SIGCONT)
    else:
        (tmp_path / "release").touch()
    hung.wait_for("WATCHDOG=1")


def test_hung_worker_ends_itself(worker: StartWorker, client: Celery, tmp_path: Path) -> None:
    """Where there is no systemd a worker whose event loop hangs ends, having written where it hung."""
    hanging = worker(
        "--queues=escalation",
        "--hostname=hanging@here",
        app="blocked_worker.celery_app",
        WORKER_WATCHDOG_SECONDS="1",
    )
    hang(client, "hanging@here", tmp_path)
    assert hanging.wait() == 1
    assert 'blocked_worker.py", line' in hanging.log()
    assert "in block" in hanging.log()


@pools
def test_own_watchdog_lets_work_and_drain(
    worker: StartWorker, client: Celery, tmp_path: Path, pool: str
) -> None:
    """It ends no worker that does its work, or waits for a task before it stops, for however long.

    Beats of another worker tell the time.
    """
    options = (f"--pool={pool}", "--concurrency=1")
    leaving = worker("--queues=escalation", *options, app=PROBE_APP, WORKER_WATCHDOG_SECONDS="1")
    file = tmp_path / "alive"
    worker("--queues=rewrite", WORKER_ALIVE_FILE=str(file), WORKER_WATCHDOG_SECONDS="1")
    sent = client.send_task("probe.base.hold", kwargs={"folder": str(tmp_path)}, queue="escalation")
    wait_until(lambda: executions(tmp_path), "the task to start")
    for stop in (False, True):
        if stop:
            leaving.kill(signal.SIGTERM)
        for _ in range(4):
            before = file.stat().st_mtime_ns
            wait_until(lambda before=before: file.stat().st_mtime_ns > before, "a beat")
        assert leaving.is_alive, leaving.log()
    (tmp_path / "release").touch()
    assert leaving.wait() == 0
    assert sent.get(timeout=PATIENCE) == "released"


def test_malformed_watchdog(worker: StartWorker) -> None:
    """A watchdog that is no number is an error, in a line."""
    refused = worker("--queues=escalation", ready=False, WORKER_WATCHDOG_SECONDS="soon")
    assert refused.wait() == 1
    assert "WORKER_WATCHDOG_SECONDS: must be a whole number of seconds, not 'soon'" in refused.log()
    assert "Traceback" not in refused.log()


def hang(client: Celery, worker: str, folder: Path) -> None:
    """Have this worker's event loop hang; said again until it listens, which it does a moment after ready."""
    command = {"folder": str(folder)}
    wait_until(
        lambda: client.control.broadcast("block", command, destination=[worker]) or executions(folder),
        "the loop to hang",
    )


def state_of(process: Worker) -> str:
    """What the process does, in a letter."""
    return Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[0]


def test_without_watchdog(worker: StartWorker, systemd: Callable[[], Systemd]) -> None:
    """A unit without WatchdogSec=, or whose watchdog is another process's, is not given one."""
    listening = systemd()
    variables = {**listening.variables, "WATCHDOG_PID": str(os.getpid())}
    leaving = worker("--queues=escalation", **variables)
    listening.wait_for("READY=1")
    leaving.kill(signal.SIGTERM)
    assert leaving.wait() == 0
    listening.receive()
    assert "WATCHDOG_USEC" not in str(listening.sent)


def test_nobody_listens_any_more(
    worker: StartWorker, client: Celery, systemd: Callable[[], Systemd], tmp_path: Path
) -> None:
    """A socket or a folder that is gone is said in the log; the worker serves on."""
    listening, file = systemd(), tmp_path / "gone" / "alive"
    file.parent.mkdir()
    serving = worker("--queues=escalation", WORKER_ALIVE_FILE=str(file), **listening.variables)
    os.unlink(listening.address)
    shutil.rmtree(file.parent)
    serving.wait_for_log("systemd could not be told WATCHDOG=1")
    serving.wait_for_log("WORKER_ALIVE_FILE: ")
    result = client.send_task("tasks.health_check", queue="escalation")
    assert result.get(timeout=PATIENCE)["status"] == "ok"


def test_malformed_address(worker: StartWorker) -> None:
    """An address that is none is said, and the worker serves."""
    serving = worker("--queues=escalation", NOTIFY_SOCKET="nowhere")
    assert "NOTIFY_SOCKET: must be a path or start with @, not 'nowhere'" in serving.log()
