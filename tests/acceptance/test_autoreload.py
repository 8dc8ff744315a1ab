"""The development loop: `nox -s worker` in a terminal, files that are saved, and what you see then.

Most of the time goes to starting the command, so what leaves it running shares one: `TestOneSession`.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from celery import Celery

from contentworker import config
from tests.acceptance.conftest import Terminal, make_checkout
from tests.support import PATIENCE, WORKER_TOML, environment, free_port, service_is_missing, wait_until

CTRL_C = "\x03"
SERVES = "the new code serves after"
GOES_ON = "cannot be loaded; the previous worker goes on until the next save"

PROBE = '''
import os
import time
from pathlib import Path

from celery import shared_task

from tasks.base import BaseTask

VERSION = "{version}"


@shared_task(base=BaseTask, name="tasks.maintenance.version")
def version() -> str:
    return VERSION


@shared_task(base=BaseTask, name="tasks.maintenance.worker")
def worker() -> int:
    return os.getppid()


@shared_task(base=BaseTask, name="tasks.maintenance.hold")
def hold(folder: str) -> str:
    """Note that it runs, and run until it may end."""
    with (Path(folder) / "runs").open("a") as runs:
        runs.write("run\\n")
    while not (Path(folder) / "end").exists():
        time.sleep(0.01)
    return VERSION


@shared_task(base=BaseTask, name="tasks.maintenance.broken")
def broken(folder: str) -> str:
    """Fail until it may succeed."""
    assert (Path(folder) / "mended").exists(), folder
    return VERSION
'''


def processes_in(folder: Path) -> list[str]:
    """Command lines of the processes whose working directory this is."""
    commands = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if (process / "cwd").readlink() == folder:
                commands.append((process / "cmdline").read_text().replace("\0", " "))
        except OSError:  # ended meanwhile, or another user's
            continue
    return commands


def nobody_is_left_in(folder: Path) -> None:
    """Wait until no process is."""
    wait_until(lambda: not processes_in(folder), f"no process: {processes_in(folder)}")


class Session:
    """A checkout to edit, and the worker that reloads in it."""

    def __init__(self, checkout: Path, client: Celery, env: dict[str, str]) -> None:
        self.checkout, self.client = checkout, client
        self._env = {**env, config.FILE_VARIABLE: str(checkout / "worker.toml")}
        self.terminals: list[Terminal] = []
        self.version = 0
        self.edit()

    def start(self, *options: str, before: tuple[str, ...] = (), **env: str) -> "Session":
        """Run the command and wait until it serves."""
        self.run(*options, before=before, **env)
        self.wait_for("reloads when one of these is saved: *.py, *.lua, worker.toml")
        self.banner = self.wait_for(" ready.")
        return self

    @property
    def worker(self) -> int:
        """The process number of the worker that serves."""
        number: int = self.client.send_task("tasks.maintenance.worker").get(timeout=PATIENCE)
        return number

    def run(self, *options: str, before: tuple[str, ...] = (), **env: str) -> None:
        command = [*before, sys.executable, "-m", "contentworker", "worker", "--reload", *options]
        self.terminal = Terminal(command, self.checkout, environment(**{**self._env, **env}))
        self.terminals.append(self.terminal)

    def wait_for(self, text: str) -> str:
        """Wait for a text on the terminal; return what came before it."""
        return self.terminal.wait_for(text)

    def write(self, name: str, text: str) -> None:
        (self.checkout / name).parent.mkdir(exist_ok=True)
        (self.checkout / name).write_text(text, "utf-8")

    def edit(self) -> str:
        """Save the next version; return it."""
        self.version += 1
        self.write("tasks/probe.py", PROBE.replace("{version}", f"{self.version:03}"))
        return f"{self.version:03}"

    def ask(self) -> str:
        """The version of the code that serves."""
        answer: str = self.client.send_task("tasks.maintenance.version").get(timeout=PATIENCE)
        return answer

    def hold(self, folder: Path) -> "Held":
        """Have a task run until it is let go."""
        return Held(folder, self.client)

    def stop(self) -> int:
        """Press Ctrl-C; return the exit code."""
        self.terminal.type(CTRL_C)
        return self.terminal.wait()

    def close(self) -> None:
        """End what runs, and leave the checkout as it was, but for the bytecode of what did not change."""
        for terminal in self.terminals:
            terminal.close()
        nobody_is_left_in(self.checkout)
        for git in (["clean", "-fdq"], ["checkout", "-q", "."]):
            subprocess.run(["git", "-C", str(self.checkout), *git], check=True)
        for bytecode in self.checkout.glob("tasks/__pycache__/probe.*"):
            bytecode.unlink()


class Held:
    """A task that runs until it is let go."""

    def __init__(self, folder: Path, client: Celery) -> None:
        folder.mkdir()
        self.folder = folder
        self.result = client.send_task("tasks.maintenance.hold", [str(folder)])
        wait_until(lambda: self.runs, "the task to run")
        # Its worker hears of that a moment later. Without a limit, asking takes the whole time-out.
        inspect = client.control.inspect(timeout=1, limit=1)
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


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout where paths go wrong easily. The tests share it, one after the other."""
    return make_checkout(tmp_path_factory.mktemp("checkout") / "Ein Ordner für Größeres", WORKER_TOML)


@pytest.fixture
def session(checkout: Path, client: Celery, redis_url: str, redis_client: redis.Redis) -> Iterator[Session]:
    """A session that is not started."""
    session = Session(checkout, client, {"REDIS_URL": redis_url})
    yield session
    session.close()
    redis_client.flushall()


@pytest.fixture(scope="class")
def started(checkout: Path, client: Celery, redis_url: str, redis_client: redis.Redis) -> Iterator[Session]:
    """A session with a worker of one process. It ends in good order."""
    reload = {"WORKER__RELOAD__PATTERNS": '["prompts/*.txt"]', "PYTHONDONTWRITEBYTECODE": ""}
    session = Session(checkout, client, {"REDIS_URL": redis_url, **reload})
    yield session.start("--concurrency", "1")
    code = session.stop()
    session.close()
    redis_client.flushall()
    assert code == 0


class TestOneSession:
    """What leaves the command running."""

    @pytest.fixture
    def serving(self, request: pytest.FixtureRequest, started: Session) -> Iterator[Session]:
        """The session; a new one of the command if a test has failed, and left it in whatever state."""
        failed = request.session.testsfailed
        yield started
        if request.session.testsfailed > failed:
            started.close()
            started.edit()
            started.start("--concurrency", "1")

    def test_an_edit_is_served_before_the_old_worker_goes(self, serving: Session) -> None:
        """A saved file is served by a new worker, which the command says, before the old one ends."""
        old = serving.ask()
        new = serving.edit()
        until_ready = serving.wait_for(f"[reload] tasks/probe.py: {SERVES}")
        assert "cannot" not in until_ready
        serving.wait_for("0 tasks still run in the old worker")
        assert serving.ask() == new > old

    def test_a_quick_second_save_is_served(self, serving: Session) -> None:
        """With the size and the time of the save before, whose bytecode is kept, it is still served."""
        serving.edit()
        serving.wait_for(SERVES)
        file = serving.checkout / "tasks" / "probe.py"
        saved = file.stat()
        second = serving.edit()
        os.utime(file, ns=(saved.st_atime_ns, saved.st_mtime_ns))
        serving.wait_for(SERVES)
        assert serving.ask() == second

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
            (
                "worker.toml",
                "[retries]\nbase_max_retries = 'many'\n",
                "worker.toml:2: retries.base_max_retries:",
            ),
            ("worker.toml", "[queues\n", "worker.toml:1: is not valid TOML"),
        ],
        ids=["syntax", "import", "null byte", "loaded later", "setting", "TOML"],
    )
    def test_a_broken_edit_leaves_the_old_worker(
        self, serving: Session, name: str, broken: str, said: str
    ) -> None:
        """The error is printed once, the worker goes on, and the next save is tried again."""
        version = serving.ask()
        file = serving.checkout / name
        good = file.read_text("utf-8") if file.exists() else ""
        serving.write(name, broken)
        shown = serving.wait_for(f"[reload] {name}: {GOES_ON}")
        assert shown.count(said) == 1, shown
        assert ("Traceback" in shown) == ("no_such" in broken), "a traceback where it helps"
        assert "<frozen importlib" not in shown
        assert serving.ask() == version
        serving.write(name, good)
        serving.wait_for(f"[reload] {name}: {SERVES}")
        assert serving.ask() == version

    def test_the_broken_file_is_named(self, serving: Session, tmp_path: Path) -> None:
        """Not the one that was saved first, nor the one that was saved last; a link is followed."""
        shared = tmp_path / "shared.py"
        shared.write_text("VALUE = 1\n")
        (serving.checkout / "tasks" / "linked.py").symlink_to(shared)
        serving.wait_for(f"[reload] tasks/linked.py: {SERVES}")
        shared.write_text("import no_such_module\n")
        serving.wait_for(f"[reload] tasks/linked.py: {GOES_ON}")
        serving.edit()  # which is good
        serving.wait_for(f"[reload] tasks/linked.py: {GOES_ON}")
        shared.write_text("VALUE = 2\n")
        serving.wait_for(f"[reload] tasks/linked.py: {SERVES}")
        serving.write("tasks/first.py", "def (")
        serving.wait_for(f"[reload] tasks/first.py: {GOES_ON}")
        (serving.checkout / "tasks" / "first.py").unlink()
        serving.wait_for(f"[reload] tasks/first.py: {SERVES}")

    def test_a_failure_is_shown_at_once(self, serving: Session, tmp_path: Path) -> None:
        """With its traceback from the task's own frame on, before a retry within seconds; then one line."""
        result = serving.client.send_task("tasks.maintenance.broken", [str(tmp_path)])
        serving.wait_for(
            f"broken[{result.id[:4]}] failed (attempt 1 of 4), next attempt in 1 s: AssertionError("
        )
        serving.wait_for("Traceback (most recent call last):\r\n    File ")
        own = serving.wait_for("AssertionError: ")
        assert own.startswith(f'"{serving.checkout}/tasks/probe.py"')
        until_next = serving.wait_for(
            f"broken[{result.id[:4]}] failed (attempt 2 of 4), next attempt in 2 s: "
        )
        assert f"{result.id}] " not in until_next, "no line of Celery's own"
        (tmp_path / "mended").touch()
        assert result.get(timeout=PATIENCE) == f"{serving.version:03}"
        between = serving.wait_for(f"broken[{result.id[:4]}] ok in ")
        assert "Traceback" not in between
        assert re.match(r"[\d.]+ m?s\s", serving.wait_for("\n") + "\n")

    def test_a_running_task_is_not_cut(self, serving: Session, tmp_path: Path) -> None:
        """It ends in the old worker and runs once; the new worker serves what is queued meanwhile."""
        old = serving.ask()
        held = serving.hold(tmp_path / "held")
        new = serving.edit()
        serving.wait_for(SERVES)
        serving.wait_for("; 1 task still runs in the old worker")
        assert serving.ask() == new
        assert held.let_go() == old
        serving.wait_for("[reload] the old worker has finished")
        assert held.runs == 1

    def test_many_saves_are_one_reload(self, serving: Session, tmp_path: Path) -> None:
        """Twenty files that are saved at once are one reload."""
        for number in range(20):
            (tmp_path / f"many{number}.py").write_text(f"NUMBER = {number}\n")
        for number in range(20):  # renamed, which also a busy machine does at once
            (tmp_path / f"many{number}.py").rename(serving.checkout / f"tasks/many{number}.py")
        serving.wait_for(f"[reload] tasks/many0.py and 19 more: {SERVES}")
        version = serving.edit()
        between = serving.wait_for(f"[reload] tasks/probe.py: {SERVES}")
        assert SERVES not in between
        assert serving.ask() == version

    def test_only_sources_reload(self, serving: Session) -> None:
        """Editors' files, caches, data and media do not; what worker.toml lists does."""
        serving.edit()
        serving.wait_for(SERVES)
        serving.wait_for("in the old worker")
        for name in (
            "tasks/.#probe.py",
            "tasks/probe.py~",
            "tasks/.probe.py.swp",
            "__pycache__/x.py",
            "a.jpg",
        ):
            serving.write(name, "def (")
        serving.write("prompts/rewrite.txt", "Rewrite this.")
        before = serving.wait_for(f"[reload] prompts/rewrite.txt: {SERVES}")
        assert "[reload]" not in before

    def test_a_worker_that_dies_is_replaced(self, serving: Session) -> None:
        """Killed from outside, it is started again, the second time later; that is said."""
        serving.edit()  # or an earlier death would count
        serving.wait_for(SERVES)
        for delay in ("0.5", "1"):
            os.kill(serving.worker, signal.SIGKILL)
            serving.wait_for(
                f"[reload] the worker ended unexpectedly (killed by SIGKILL); another is started in {delay} s"
            )
            serving.wait_for(" ready.")

    def test_a_task_of_a_killed_worker_runs_again(self, serving: Session, tmp_path: Path) -> None:
        """If a worker is killed while it finishes a task, the new worker runs the task."""
        worker = serving.worker
        held = serving.hold(tmp_path / "held")
        version = serving.edit()
        serving.wait_for("; 1 task still runs in the old worker")
        os.kill(worker, signal.SIGKILL)
        serving.wait_for("[reload] the old worker has ended: killed by SIGKILL")
        assert held.let_go() == version
        assert held.runs == 2


def test_a_broken_start_waits_for_the_next_save(session: Session) -> None:
    """Where there is no worker to go on, that is said, and a save starts one."""
    session.write("tasks/probe.py", "def version(:\n")
    session.run()
    session.wait_for("tasks/probe.py: cannot be loaded; no worker runs until the next save")
    version = session.edit()
    session.wait_for("[reload] tasks/probe.py: a worker serves after")
    assert session.ask() == version


def test_ctrl_c_waits_for_tasks(session: Session, tmp_path: Path) -> None:
    """The first Ctrl-C says what still runs, in both workers, and cuts nothing."""
    session.start("--concurrency", "1")
    first = f"{session.version:03}"
    old = session.hold(tmp_path / "old")
    second = session.edit()
    session.wait_for("; 1 task still runs in the old worker")
    new = session.hold(tmp_path / "new")
    session.terminal.type(CTRL_C)
    for _ in range(2):
        session.wait_for("[reload] stopping: 1 task still runs; Ctrl-C again ends it")
    assert (old.let_go(), new.let_go()) == (first, second)
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
    """`--queue celery --concurrency 3 --pool solo` reach the worker."""
    session.start("--queue", "celery", "--concurrency", "3", "--pool", "solo")
    assert "concurrency: 3 (solo)" in session.banner
    _, _, queues = session.banner.partition("[queues]")
    assert re.findall(r"\.> (\w+)", queues) == ["celery"]


@pytest.mark.parametrize(
    ("options", "said", "code"),
    [
        (["--no-such-option"], "No such option '--no-such-option'", os.EX_USAGE),
        (["--queue", "nope"], "no queue 'nope'; allowed: evaluation, rewrite", 2),
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
    version = session.edit()
    session.wait_for(SERVES)
    assert session.ask() == version


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
    version = session.edit()
    session.wait_for(SERVES)
    assert session.ask() == version


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
    version = session.edit()
    session.wait_for(SERVES)
    assert session.ask() == version


def test_a_read_only_checkout_has_no_redis(session: Session) -> None:
    """Without `REDIS_URL` a read-only checkout says what to do."""
    session.run(before=read_only(session.checkout), REDIS_URL="", WORKER__BROKER__PORT=str(free_port()))
    session.wait_for("The local Redis cannot start in")
    session.wait_for("Make the folder usable, or set REDIS_URL.")
    assert session.terminal.wait() == 1


def test_two_checkouts_at_once(checkout: Path, tmp_path: Path, client: Celery) -> None:
    """Each has its own Redis and reloads for its own files."""
    other = shutil.copytree(checkout, tmp_path / "Größeres zwei")
    port = {"WORKER__BROKER__PORT": str(free_port())}
    both = [Session(folder, client, port) for folder in (checkout, other)]
    try:
        for each in both:
            each.start()
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
    finally:
        for each in both:
            each.close()
