"""The development loop: `nox -s worker` in a terminal, files that are saved, and what a person then sees."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis
from celery import Celery

from tests.acceptance.conftest import CopyProject, Terminal
from tests.support import PATIENCE, environment, free_port, service_is_missing, wait_until

pytestmark = pytest.mark.once

CTRL_C = "\x03"
SERVES = "the new code serves after"
GOES_ON = "cannot be loaded; the worker before goes on until the next save"

PROBE = '''
import time
from pathlib import Path

from celery import shared_task

from tasks.base import BaseTask

VERSION = "{version}"


@shared_task(base=BaseTask, name="tasks.pipeline.version")
def version() -> str:
    return VERSION


@shared_task(base=BaseTask, name="tasks.pipeline.hold")
def hold(folder: str) -> str:
    """Note that it runs, and run until it may end."""
    with (Path(folder) / "runs").open("a") as runs:
        runs.write("run\\n")
    while not (Path(folder) / "end").exists():
        time.sleep(0.01)
    return VERSION
'''


def processes_in(folder: Path) -> list[str]:
    """Command lines of the processes whose working directory this is."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if (process / "cwd").readlink() == folder:
                found.append((process / "cmdline").read_text().replace("\0", " "))
        except OSError:  # ended meanwhile, or somebody else's
            continue
    return found


def nobody_is_left_in(folder: Path) -> None:
    """Wait until no process is."""
    wait_until(lambda: not processes_in(folder), f"no process: {processes_in(folder)}")


class Session:
    """A checkout to edit, and the worker that reloads in it."""

    def __init__(self, checkout: Path, start: Callable[..., Terminal], client: Celery) -> None:
        self.checkout, self.client, self._start = checkout, client, start
        self.edit("1")

    def start(self, *options: str, before: tuple[str, ...] = (), **env: str) -> "Session":
        """Run the command and wait until it serves."""
        self.run(*options, before=before, **env)
        self.wait_for("reloads when one of these is saved: *.py, worker.toml")
        self.banner = self.wait_for(" ready.")
        return self

    @property
    def worker(self) -> int:
        """The process number of the first worker, which is in its name."""
        return worker_number(self.banner)

    def run(self, *options: str, before: tuple[str, ...] = (), **env: str) -> None:
        command = [*before, sys.executable, "-m", "contentworker", "worker", "--reload", *options]
        self.terminal = self._start(command, self.checkout, environment(**env))

    def wait_for(self, text: str) -> str:
        """Wait for a text on the terminal; return what came before it."""
        return self.terminal.wait_for(text)

    def write(self, name: str, text: str) -> None:
        (self.checkout / name).parent.mkdir(exist_ok=True)
        (self.checkout / name).write_text(text, "utf-8")

    def edit(self, version: str) -> None:
        self.write("tasks/probe.py", PROBE.replace("{version}", version))

    def ask(self) -> str:
        """The version of the code that serves."""
        answer: str = self.client.send_task("tasks.pipeline.version").get(timeout=PATIENCE)
        return answer

    def hold(self, folder: Path) -> "Held":
        """Have a task run until it is let go."""
        return Held(folder, self.client)

    def stop(self) -> int:
        """Press Ctrl-C; return the exit code."""
        self.terminal.type(CTRL_C)
        return self.terminal.wait()


class Held:
    """A task that runs until it is let go."""

    def __init__(self, folder: Path, client: Celery) -> None:
        folder.mkdir()
        self.folder = folder
        self.result = client.send_task("tasks.pipeline.hold", [str(folder)])
        wait_until(lambda: self.runs, "the task to run")
        inspect = client.control.inspect(timeout=0.5)  # its worker hears of that a moment later
        wait_until(lambda: self.result.id in str(inspect.active()), "its worker to know that it runs")

    @property
    def runs(self) -> int:
        file = self.folder / "runs"
        return len(file.read_text().splitlines()) if file.exists() else 0

    def let_go(self) -> str:
        """The version of the code that it ran with."""
        (self.folder / "end").touch()
        answer: str = self.result.get(timeout=PATIENCE)
        return answer


def worker_number(text: str) -> int:
    """The process number in the last name of a worker."""
    return int(re.findall(r"celery-(\d+)@", text)[-1])


@pytest.fixture
def checkout(copy_project: CopyProject) -> Path:
    """A checkout where paths go wrong easily."""
    return copy_project("Ein Ordner für Größeres")


@pytest.fixture
def sessions(
    terminal: Callable[..., Terminal], client: Celery, redis_url: str, redis_client: redis.Redis
) -> Iterator[Callable[[Path], Session]]:
    """Make a session in a checkout. In the end no process of it is left."""
    checkouts: list[Path] = []
    opened: list[Terminal] = []

    def start(command: list[str], cwd: Path, env: dict[str, str]) -> Terminal:
        if "WORKER__BROKER__PORT" not in env:
            env = {**env, "REDIS_URL": redis_url}
        opened.append(terminal(command, cwd, env))
        return opened[-1]

    def make(checkout: Path) -> Session:
        checkouts.append(checkout)
        return Session(checkout, start, client)

    yield make
    for each in opened:
        each.end()
    for checkout in checkouts:
        nobody_is_left_in(checkout)
    redis_client.flushall()


@pytest.fixture
def session(sessions: Callable[[Path], Session], checkout: Path) -> Session:
    """One session."""
    return sessions(checkout)


def test_an_edit_is_served_before_the_old_worker_goes(session: Session) -> None:
    """A saved file is said and served by a new worker; Ctrl-C then ends everything with exit code 0."""
    session.start()
    assert session.ask() == "1"
    session.edit("2")
    until_ready = session.wait_for(f"[reload] tasks/probe.py: {SERVES}")
    assert "cannot" not in until_ready
    session.wait_for("0 tasks still run in the old worker")
    assert session.ask() == "2"
    assert session.stop() == 0


def test_a_quick_second_save_is_served(session: Session) -> None:
    """Of the same size and the same time, it is not taken for the one before, whose bytecode is kept."""
    session.start(PYTHONDONTWRITEBYTECODE="")
    session.edit("2")
    session.wait_for(SERVES)
    file = session.checkout / "tasks" / "probe.py"
    saved = file.stat()
    session.edit("3")
    os.utime(file, ns=(saved.st_atime_ns, saved.st_mtime_ns))
    session.wait_for(SERVES)
    assert session.ask() == "3"


@pytest.mark.parametrize(
    ("name", "broken", "said"),
    [
        ("tasks/probe.py", "def version(:\n", "SyntaxError"),
        (
            "tasks/probe.py",
            "import no_such_module\n",
            "ModuleNotFoundError: No module named 'no_such_module'",
        ),
        ("tasks/probe.py", "\0", "SyntaxError"),
        ("loaded_in_a_task.py", "def (\n", "SyntaxError"),
        ("worker.toml", "[retries]\nbase_max_retries = 'many'\n", "worker.toml: retries.base_max_retries:"),
        ("worker.toml", "[queues\n", "worker.toml: is not valid TOML"),
    ],
    ids=["syntax", "import", "null byte", "loaded later", "setting", "TOML"],
)
def test_a_broken_edit_leaves_the_old_worker(session: Session, name: str, broken: str, said: str) -> None:
    """The error is printed once, the worker goes on, and the next save is tried again."""
    session.start()
    file = session.checkout / name
    good = file.read_text("utf-8") if file.exists() else ""
    session.write(name, broken)
    shown = session.wait_for(f"[reload] {name}: {GOES_ON}")
    assert shown.count(said) == 1, shown
    assert ("Traceback" in shown) == ("no_such" in broken), "a traceback where it helps"
    assert "<frozen importlib" not in shown
    assert session.ask() == "1"
    session.write(name, good.replace('"1"', '"2"'))
    session.wait_for(f"[reload] {name}: {SERVES}")
    assert session.ask() == ("2" if '"1"' in good else "1")


def test_a_broken_start_waits_for_the_next_save(session: Session) -> None:
    """Where there is no worker to go on, that is said, and a save starts one."""
    session.write("tasks/probe.py", "def version(:\n")
    session.run()
    session.wait_for("celery_worker.celery_app: cannot be loaded; no worker runs until the next save")
    session.edit("2")
    session.wait_for("[reload] tasks/probe.py: a worker serves after")
    assert session.ask() == "2"


def test_a_running_task_is_not_cut(session: Session, tmp_path: Path) -> None:
    """It ends in the old worker and runs once; what is queued meanwhile is served by the new one."""
    session.start("--concurrency", "1")
    held = session.hold(tmp_path / "held")
    session.edit("2")
    session.wait_for(SERVES)
    session.wait_for("; 1 task still runs in the old worker")
    assert session.ask() == "2"
    assert held.let_go() == "1"
    session.wait_for("[reload] the old worker has finished")
    assert held.runs == 1


def test_many_saves_are_one_reload(session: Session, tmp_path: Path) -> None:
    """Twenty files that are saved at once are one reload."""
    session.start()
    for number in range(20):
        (tmp_path / f"many{number}.py").write_text(f"NUMBER = {number}\n")
    for number in range(20):  # renamed, which also a busy machine does at once
        (tmp_path / f"many{number}.py").rename(session.checkout / f"tasks/many{number}.py")
    session.wait_for(f"[reload] tasks/many0.py and 19 more: {SERVES}")
    session.edit("2")
    between = session.wait_for(f"[reload] tasks/probe.py: {SERVES}")
    assert SERVES not in between
    assert session.ask() == "2"


def test_only_sources_reload(session: Session) -> None:
    """Editors' files, caches, data and media do not; what worker.toml lists does."""
    session.start(WORKER__RELOAD__PATTERNS='["prompts/*.txt"]')
    for name in ("tasks/.#probe.py", "tasks/probe.py~", "tasks/.probe.py.swp", "__pycache__/x.py", "a.jpg"):
        session.write(name, "def (")
    session.write("prompts/rewrite.txt", "Rewrite this.")
    before = session.wait_for(f"[reload] prompts/rewrite.txt: {SERVES}")
    assert "[reload]" not in before


def test_ctrl_c_waits_for_tasks(session: Session, tmp_path: Path) -> None:
    """The first Ctrl-C says what still runs, in both workers, and cuts nothing."""
    session.start("--concurrency", "1")
    old = session.hold(tmp_path / "old")
    session.edit("2")
    session.wait_for("; 1 task still runs in the old worker")
    new = session.hold(tmp_path / "new")
    session.terminal.type(CTRL_C)
    for _ in range(2):
        session.wait_for("[reload] stopping: 1 task still runs; Ctrl-C again ends it")
    assert (old.let_go(), new.let_go()) == ("1", "2")
    assert session.terminal.wait() == 0
    assert (old.runs, new.runs) == (1, 1)


def test_ctrl_c_twice_forces(session: Session, tmp_path: Path) -> None:
    """The second one ends what runs, and the next worker runs it again."""
    session.start("--concurrency", "1")
    held = session.hold(tmp_path / "held")
    session.terminal.type(CTRL_C)
    session.wait_for("[reload] stopping: 1 task still runs; Ctrl-C again ends it")
    session.terminal.type(CTRL_C)
    assert session.terminal.wait() == 1
    assert held.runs == 1
    session.start("--concurrency", "1")
    held.let_go()
    assert held.runs == 2


def test_a_worker_that_dies_is_replaced(session: Session) -> None:
    """Killed from outside, it is started again, the second time later; that is said."""
    session.start()
    worker = session.worker
    for delay in ("0.5", "1"):
        os.kill(worker, signal.SIGKILL)
        session.wait_for(
            f"[reload] the worker ended by itself (killed by SIGKILL); another is started in {delay} s"
        )
        worker = worker_number(session.wait_for(" ready."))
        assert session.ask() == "1"


def test_a_task_of_a_killed_worker_runs_again(session: Session, tmp_path: Path) -> None:
    """A worker that is killed while it drains is missed by nobody: the new one runs its task."""
    session.start("--concurrency", "1")
    held = session.hold(tmp_path / "held")
    session.edit("2")
    session.wait_for("; 1 task still runs in the old worker")
    os.kill(session.worker, signal.SIGKILL)
    session.wait_for("[reload] the old worker has ended: killed by SIGKILL")
    assert held.let_go() == "2"
    assert held.runs == 2


@pytest.mark.skipif(sys.platform != "linux", reason="looks for the reloader in /proc")
def test_nothing_outlives_a_killed_reloader(session: Session) -> None:
    """A reloader that is killed takes its workers along, which end in good order."""
    session.start()
    children = Path(f"/proc/{session.terminal.pid}/task/{session.terminal.pid}/children").read_text().split()
    (reloader,) = [
        int(child) for child in children if b"autoreload" in Path(f"/proc/{child}/cmdline").read_bytes()
    ]
    os.kill(reloader, signal.SIGKILL)
    session.wait_for("worker: Warm shutdown")
    assert session.terminal.wait() == 128 + signal.SIGKILL


def test_options_are_passed_on(session: Session) -> None:
    """`--queue rewrite --concurrency 3 --pool solo` reach the worker."""
    session.start("--queue", "rewrite", "--concurrency", "3", "--pool", "solo")
    assert "concurrency: 3 (solo)" in session.banner
    _, _, queues = session.banner.partition("[queues]")
    assert re.findall(r"\.> (\w+)", queues) == ["rewrite"]


@pytest.mark.parametrize(
    ("options", "said", "code"),
    [
        (["--no-such-option"], "No such option '--no-such-option'", os.EX_USAGE),
        (["--queue", "nope"], "queues: no queue 'nope'; allowed: evaluation, rewrite", 1),
    ],
    ids=["option", "queue"],
)
def test_a_wrong_option_ends_the_command(session: Session, options: list[str], said: str, code: int) -> None:
    """What no save can mend is said, and there is nothing to wait for."""
    session.run(*options)
    session.wait_for(said)
    assert session.terminal.wait() == code


def test_polling(session: Session) -> None:
    """With `polling` the files are looked at, and that is said."""
    session.run(WORKER__RELOAD__POLLING="true")
    session.wait_for("[reload] looking for changed files every 0.5 s, as worker.toml says")
    session.wait_for(" ready.")
    session.edit("2")
    session.wait_for(SERVES)
    assert session.ask() == "2"


def in_namespace(*options: str) -> tuple[str, ...]:
    """A command prefix that gives the command a user namespace of its own."""
    prefix = ("unshare", "-U", "-r", *options)
    if sys.platform != "linux":
        pytest.skip("only Linux has namespaces")
    if shutil.which("unshare") is None or subprocess.run([*prefix, "true"], check=False).returncode:
        service_is_missing("user namespaces (unshare)")
    return prefix


def test_no_watches_left(session: Session) -> None:
    """Where the system has no watches left for us, the files are looked at, and that is said."""
    limit = 'echo 3 > /proc/sys/user/max_inotify_watches && exec "$@"'
    session.run(before=(*in_namespace(), "sh", "-c", limit, "sh"))
    session.wait_for("[reload] looking for changed files every 0.5 s, as the system has no watches left")
    session.wait_for(" ready.")
    session.edit("2")
    session.wait_for(SERVES)
    assert session.ask() == "2"


def read_only(checkout: Path) -> tuple[str, ...]:
    """A command prefix for which the checkout is read-only."""
    mount = (
        'mount --bind "$0" "$0" && mount -o remount,bind,ro "$0" && cd "$0" && ! touch x 2> /dev/null '
        '&& exec "$@"'
    )
    return (*in_namespace("-m"), "sh", "-c", mount, str(checkout))


def test_a_read_only_checkout_reloads(session: Session) -> None:
    """Nothing is written to the checkout, and what is saved from elsewhere is served."""
    session.start(before=read_only(session.checkout))
    session.edit("2")
    session.wait_for(SERVES)
    assert session.ask() == "2"


def test_a_read_only_checkout_has_no_redis(session: Session) -> None:
    """Without `REDIS_URL` a read-only checkout says what to do."""
    session.run(before=read_only(session.checkout), WORKER__BROKER__PORT=str(free_port()))
    session.wait_for("The local Redis cannot start in")
    session.wait_for("Make the folder usable, or set REDIS_URL.")
    assert session.terminal.wait() == 1


def test_two_checkouts_at_once(sessions: Callable[[Path], Session], copy_project: CopyProject) -> None:
    """Each has its own Redis and reloads for its own files."""
    port = str(free_port())
    both = [sessions(copy_project(name)) for name in ("Größeres", "Größeres zwei")]
    for each in both:
        each.start(WORKER__BROKER__PORT=port)
    addresses = set()
    for each in both:
        (record,) = each.checkout.glob(".contentworker/*/redis.json")
        addresses.add(json.loads(record.read_text())["port"])
    assert len(addresses) == 2
    first, second = both
    first.write("tasks/of_the_first.py", "")
    first.wait_for(f"[reload] tasks/of_the_first.py: {SERVES}")
    second.write("tasks/of_the_second.py", "")
    assert "[reload]" not in second.wait_for(f"[reload] tasks/of_the_second.py: {SERVES}")
    assert [each.stop() for each in both] == [0, 0]
