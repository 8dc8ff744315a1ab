"""The doctor on machines where things really are wrong, and that what it suggests mends them."""

import os
import re
import runpy
import shutil
import signal
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from contentworker import doctor, listeners
from contentworker.runtime import local_redis
from tests.servers import server
from tests.support import PATIENCE, ROOT, Process, environment, free_port, throwaway_redis, wait_until

LISTEN = """
import socket, sys, time
with socket.create_server(("127.0.0.1", int(sys.argv[1]))):
    print("listening", flush=True)
    time.sleep(3600)
"""
COPIED = ("contentworker", "docs", "locks", "noxfile.py", "pyproject.toml", "worker.toml")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of what the doctor looks at, in a repository of its own."""
    copy = tmp_path / "Ein Ordner für Größeres"
    copy.mkdir()
    for name in COPIED:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy2(ROOT / name, copy / name)
    subprocess.run(["git", "init", "-q", str(copy)], check=True)
    return copy


@pytest.fixture
def listen(tmp_path: Path) -> Iterator[Callable[[Path], tuple[int, Process]]]:
    """Start a program in a folder that listens on a port of its own."""
    started: list[Process] = []

    def start(folder: Path) -> tuple[int, Process]:
        port = free_port()
        command = [sys.executable, "-c", LISTEN, str(port)]
        started.append(Process(command, tmp_path / f"listener{len(started)}", environment(), cwd=folder))
        started[-1].wait_for_log("listening")
        return port, started[-1]

    yield start
    for process in started:
        process.stop()


def script(folder: Path, name: str, text: str) -> str:
    """A program on a PATH that this returns."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return str(folder)


def in_namespace(prepare: str, *command: str, cwd: Path = ROOT) -> str:
    """Run a command as the only user of a machine whose limits can be set; skip where that cannot be."""
    unshare = ["unshare", "--user", "--map-root-user", "--mount"]
    if sys.platform != "linux" or subprocess.call([*unshare, "true"], stderr=subprocess.DEVNULL):
        pytest.skip("needs user namespaces (unshare)")
    full = [*unshare, "sh", "-ec", f'{prepare}\nexec "$@"', "sh", *command]
    done = subprocess.run(
        full, cwd=cwd, env=environment(), capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def ask(check: str, root: str = str(ROOT)) -> list[str]:
    """The command that prints what one check finds: its level, its text, how to mend it."""
    code = (
        "import os, sys; from pathlib import Path; from contentworker import doctor\n"
        "print(*doctor.CHECKS[sys.argv[1]](Path(sys.argv[2]), os.environ), sep='\\n')"
    )
    return [sys.executable, "-c", code, check, root]


def follow(mend: str, redis_url: str) -> str:
    """Do what the doctor says to do with Redis; the session itself is the same command in `.venv`."""
    session = "python3 noxfile.py -s redis -- "
    assert mend.startswith(session)
    command = [sys.executable, "-m", "contentworker", "redis", *mend.removeprefix(session).split()]
    done = subprocess.run(
        command,
        cwd=ROOT,
        env=environment(REDIS_URL=redis_url),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


class TestPythons:
    """Which of worker.toml's versions run."""

    VERSIONS = "WORKER__PYTHON__VERSIONS"

    def ask(self, path: str, *versions: str) -> doctor.Finding:
        wanted = ", ".join(f'"{version}"' for version in versions)
        return doctor.check_pythons(ROOT, environment(**{"PATH": path, self.VERSIONS: f"[{wanted}]"}))

    def test_all_there(self, tmp_path: Path) -> None:
        """Nothing to mend."""
        path = script(tmp_path, "python3.97", "exit 0")
        found = self.ask(path, "3.97")
        assert found == ("ok", "3.97: all of worker.toml's are installed", "")

    @pytest.mark.parametrize(
        ("tool", "mend"),
        [
            pytest.param("uv", "uv python install 3.98 3.99", id="uv"),
            pytest.param("brew", "brew install python@3.98 python@3.99", id="brew"),
            pytest.param(
                "other",
                "install Python 3.98 and 3.99 with your system's packages, or from python.org",
                id="neither",
            ),
        ],
    )
    def test_some_missing(self, tmp_path: Path, tool: str, mend: str) -> None:
        """The tests leave them out; the tool that is there can fetch them."""
        script(tmp_path, tool, "exit 0")
        path = script(tmp_path, "python3.97", "exit 0")
        found = self.ask(path, "3.97", "3.98", "3.99")
        assert found.level == "note"
        assert found.text == "installed: 3.97; missing, so not tested on: 3.98, 3.99"
        assert found.mend == mend

    def test_pyenv_has_it_and_it_is_not_chosen(self, tmp_path: Path) -> None:
        """pyenv's stand-in fails; none left is wrong."""
        path = script(tmp_path / "shims", "python3.98", "exit 127")
        found = self.ask(path, "3.98")
        assert found.level == "wrong"
        assert "none of worker.toml's is installed" in found.text
        assert found.mend == "pyenv local system 3.98"


class TestNox:
    """A nox on the PATH."""

    def test_none_is_fine(self, tmp_path: Path) -> None:
        """The bootstrap has its own."""
        found = doctor.check_nox(ROOT, environment(PATH=str(tmp_path)))
        assert found == ("ok", "not on the PATH; python3 noxfile.py -s … brings its own", "")

    def test_new_enough(self) -> None:
        """That of these tests is."""
        found = doctor.check_nox(ROOT, environment(PATH=sysconfig.get_path("scripts")))
        assert found.level == "ok"
        assert re.match(r"20\d\d\.\d+", found.text)

    def test_old(self, tmp_path: Path) -> None:
        """nox itself refuses, naming the version it needs; the doctor names the way without it."""
        metadata = tmp_path / "old" / "nox-2024.3.2.dist-info" / "METADATA"
        metadata.parent.mkdir(parents=True)
        metadata.write_text("Metadata-Version: 2.1\nName: nox\nVersion: 2024.3.2\n")
        old = f'PYTHONPATH="{tmp_path}/old" exec "{sys.executable}" -m nox "$@"'
        environ = environment(PATH=script(tmp_path / "bin", "nox", old))
        found = doctor.check_nox(ROOT, environ)
        nox = tmp_path / "bin" / "nox"
        assert found.level == "wrong"
        assert found.text.startswith(f"{nox} is 2024.3.2, and 2026.10 or newer is needed")
        assert found.mend == "python3 noxfile.py -s doctor"
        done = subprocess.run(
            [nox, "-s", "doctor"],
            cwd=ROOT,
            env=environ,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        assert done.returncode != 0
        assert "requires Nox >=2026.10, you have 2024.3.2" in done.stderr
        assert "Traceback" not in done.stderr

    def test_its_python_is_gone(self, tmp_path: Path) -> None:
        """As after an update of the system."""
        Path(script(tmp_path, "nox", ""), "nox").write_text(f"#!{tmp_path}/gone\n")
        found = doctor.check_nox(ROOT, environment(PATH=str(tmp_path)))
        assert found.level == "wrong"
        assert found.mend == "python3 noxfile.py -s doctor"

    @pytest.mark.parametrize("text", ["echo 'nox: a tool for NixOS'", "exit 3"], ids=["another", "broken"])
    def test_another_program(self, tmp_path: Path, text: str) -> None:
        """Its answer is no version."""
        found = doctor.check_nox(ROOT, environment(PATH=script(tmp_path, "nox", text)))
        assert found.level == "wrong"
        assert f"{tmp_path}/nox does not work, or is another program" in found.text
        assert found.mend == "python3 noxfile.py -s doctor"


@pytest.fixture(scope="module")
def noxfile() -> dict[str, Any]:
    """What noxfile.py defines; nox warns when it is loaded twice."""
    return runpy.run_path(str(ROOT / "noxfile.py"))


class TestEnvironment:
    """`.venv`, without the packages in it."""

    MEND = "python3 noxfile.py -s shell -- python --version"

    @pytest.fixture
    def made(self, checkout: Path, noxfile: dict[str, Any]) -> Path:
        """An environment as noxfile.py notes it."""
        environment_folder = checkout / ".venv"
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment_folder], check=True)
        noxfile["_note"](environment_folder, noxfile["_fingerprint"](checkout / "locks" / "local.txt"))
        return environment_folder

    def test_not_there(self, checkout: Path) -> None:
        """Every session makes it."""
        found = doctor.check_environment(checkout, environment())
        assert found == ("note", "not made yet; the first session makes it", "")

    def test_not_there_and_cannot_be_made(self, checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Debian's Python without its venv package."""
        monkeypatch.setitem(sys.modules, "ensurepip", None)
        found = doctor.check_environment(checkout, environment())
        version = "{}.{}".format(*sys.version_info)
        assert found.level == "wrong"
        assert found.mend == f"sudo apt install python{version}-venv"

    def test_up_to_date(self, checkout: Path, made: Path) -> None:
        """What noxfile.py notes is what is looked for."""
        found = doctor.check_environment(checkout, environment())
        assert found.level == "ok"
        assert found.text.startswith("what locks/local.txt says, with Python 3.")

    def test_lock_has_changed(self, checkout: Path, made: Path) -> None:
        """As after a pull."""
        with (checkout / "locks" / "local.txt").open("a") as file:
            file.write("# newer\n")
        found = doctor.check_environment(checkout, environment())
        assert found == ("wrong", ".venv is not what locks/local.txt says", self.MEND)

    def test_not_made_to_its_end(self, checkout: Path, made: Path) -> None:
        """The note comes last."""
        (made / "made-of").unlink()
        assert doctor.check_environment(checkout, environment()).mend == self.MEND

    def test_its_python_is_gone(self, checkout: Path, made: Path) -> None:
        """As after an update of the system."""
        python = made / "bin" / "python"
        python.unlink()
        python.symlink_to(checkout / "gone")
        found = doctor.check_environment(checkout, environment())
        assert found.level == "wrong"
        assert f"{python} does not run" in found.text
        assert found.mend == self.MEND


def test_generated_file_out_of_date(checkout: Path) -> None:
    """The page is named, and the session that writes it."""
    assert doctor.check_generated_files(checkout, environment()) == ("ok", "up to date", "")
    (checkout / "docs" / "configuration.md").write_text("older\n")
    found = doctor.check_generated_files(checkout, environment())
    assert found.level == "wrong"
    assert found.text == "docs/configuration.md is out of date"
    assert found.mend == "python3 noxfile.py -s generate"


def test_generated_files_that_cannot_be_checked(checkout: Path) -> None:
    """Code that cannot be imported is no verdict on the files."""
    (checkout / "contentworker" / "config_page.py").write_text("def render(:\n")
    with pytest.raises(doctor._NotCheckedError, match="SyntaxError"):
        doctor.check_generated_files(checkout, environment())


def test_stale_locks(checkout: Path) -> None:
    """A dependency was added, the locks were not written anew."""
    assert doctor.check_locks(checkout, environment()) == ("ok", "up to date", "")
    project = checkout / "pyproject.toml"
    project.write_text(project.read_text("utf-8").replace('"click>=8.1",', '"click>=8.2",'), "utf-8")
    found = doctor.check_locks(checkout, environment())
    assert found.level == "wrong"
    assert found.text.startswith("Out of date: bench.txt, core.txt, ")
    assert found.mend == "python3 noxfile.py -s lock"


class TestGitHook:
    """The hook that `nox -s lint -- --hook` writes."""

    MEND = "python3 noxfile.py -s lint -- --hook"

    def hook(self, checkout: Path, text: str, mode: int = 0o755) -> Path:
        path = checkout / ".git" / "hooks" / "pre-commit"
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(mode)
        return path

    def test_missing(self, checkout: Path) -> None:
        """Worth a note: not everybody commits here."""
        found = doctor.check_git_hook(checkout, environment())
        assert found == ("note", "not installed: nothing is checked when you commit", self.MEND)

    def test_installed(self, checkout: Path, tmp_path: Path) -> None:
        """With tools that are there."""
        tools = script(tmp_path / "bin", "pre-commit", "exit 0")
        self.hook(checkout, f'PATH="{tools}:$PATH" exec pre-commit run')
        assert doctor.check_git_hook(checkout, environment()) == ("ok", "installed", "")

    def test_tools_are_gone(self, checkout: Path, tmp_path: Path) -> None:
        """As when the environment, or the worktree it was in, was deleted: every commit would fail."""
        hook = self.hook(checkout, f'PATH="{tmp_path}/gone:$PATH" exec pre-commit run')
        found = doctor.check_git_hook(checkout, environment())
        assert found == (
            "wrong",
            f"{hook} calls tools of {tmp_path}/gone, where they are no longer",
            self.MEND,
        )

    def test_not_executable(self, checkout: Path) -> None:
        """git leaves it out."""
        hook = self.hook(checkout, "exit 0", 0o644)
        found = doctor.check_git_hook(checkout, environment())
        assert found == ("wrong", f"{hook} is not executable, so git leaves it out", self.MEND)

    def test_somebodys_own(self, checkout: Path) -> None:
        """It is let be."""
        hook = self.hook(checkout, "exec make check")
        assert doctor.check_git_hook(checkout, environment()) == ("ok", f"{hook} is your own", "")

    def test_no_repository(self, tmp_path: Path) -> None:
        """An unpacked archive has no commits."""
        found = doctor.check_git_hook(tmp_path, environment(GIT_CEILING_DIRECTORIES=str(tmp_path.parent)))
        assert found == ("ok", "none needed: this is no git checkout", "")

    def test_git_does_not_work(self, checkout: Path, tmp_path: Path) -> None:
        """git's own reason is the reason."""
        path = script(tmp_path / "bin", "git", "echo fatal: dubious ownership >&2; exit 128")
        with pytest.raises(doctor._NotCheckedError, match="git: fatal: dubious ownership"):
            doctor.check_git_hook(checkout, environment(PATH=path))


class TestRedis:
    """Which, where, whose, and whether it is fit."""

    def test_none_runs_and_one_can_be_started(self, checkout: Path) -> None:
        """Which one, and its version."""
        found = doctor.check_redis(checkout, environment())
        assert found.level == "ok"
        assert re.match(
            r"does not run; the next session starts (Redis|Valkey) \d+\.\d+.* \((the embedded one|/.*)\)",
            found.text,
        )

    def test_none_can_be_started(
        self, checkout: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        """No server, no package with one."""
        monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
        found = doctor.check_redis(checkout, environment(PATH=str(tmp_path)))
        assert found.level == "wrong"
        assert found.text.startswith("There is no Redis here: redis-server and valkey-server are not on PATH")
        assert found.mend.startswith("install one (Debian: apt install redis-server, ")

    def test_too_old_a_server_on_the_path(self, checkout: Path, tmp_path: Path) -> None:
        """It would be started, and refused."""
        said = "echo Redis server v=5.0.14 sha=00000000:0 malloc=jemalloc-5.1.0 bits=64 build=5627b8177c9289c"
        path = script(tmp_path / "bin", "redis-server", said)
        found = doctor.check_redis(checkout, environment(PATH=path))
        assert found.level == "wrong"
        assert found.text == (
            f"Redis 5.0.14 ({path}/redis-server) is too old; 6.2 or newer, or Valkey, is needed"
        )
        assert found.mend == f"install a newer one, or take its folder off the PATH: {path}"

    @pytest.mark.parametrize(
        "text", ["exec /gone", "echo No such library >&2; exit 127"], ids=["gone", "broken"]
    )
    def test_server_on_the_path_does_not_run(self, checkout: Path, tmp_path: Path, text: str) -> None:
        """It would be started, in vain."""
        path = script(tmp_path / "bin", "redis-server", text)
        found = doctor.check_redis(checkout, environment(PATH=path))
        assert found.level == "wrong"
        assert f"{path}/redis-server does not run: " in found.text
        assert "No such" in found.text or "not found" in found.text
        assert found.mend == f"install a newer one, or take its folder off the PATH: {path}"

    def test_own_server_runs(self, checkout: Path) -> None:
        """Version and settings are those it has."""
        state = local_redis.state_folder(checkout)
        with local_redis.session(state, free_port(), environment()) as address:
            found = doctor.check_redis(checkout, environment())
            pid = getattr(local_redis.find(state), "pid", None)
        assert found.level == "ok"
        expected = (
            rf"{address}, this checkout's \(pid {pid}\), answers: (Redis|Valkey) \d+\.\d+\.\d+, "
            r"maxmemory-policy noeviction, append-only file on"
        )
        assert re.fullmatch(expected, found.text)

    def test_own_server_hangs(self, checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """It is there and silent; the line to type ends it, and the next session has one that answers."""
        state = local_redis.state_folder(checkout)
        with local_redis.session(state, free_port(), environment()) as address:
            pid = getattr(local_redis.find(state), "pid", 0)
            os.kill(pid, signal.SIGSTOP)
            with monkeypatch.context() as patience:
                patience.setattr(doctor, "REDIS_SECONDS", 0.3)
                found = doctor.check_redis(checkout, environment())
            assert found.level == "wrong"
            assert f"{address}, this checkout's (pid {pid}), cannot be used: Timeout" in found.text
            assert found.mend == f"kill -9 {pid}"
            subprocess.run(["sh", "-c", found.mend], check=True)
            wait_until(lambda: local_redis.find(state) is None, "the end of the server")
            with local_redis.session(state, free_port(), environment()):
                assert doctor.check_redis(checkout, environment()).level == "ok"

    def test_another_checkouts_server(self, checkout: Path, tmp_path: Path) -> None:
        """REDIS_URL leads to it: it answers, and it is said whose it is."""
        other = tmp_path / "other"
        other.mkdir()
        shutil.copy2(ROOT / "worker.toml", other)
        with local_redis.session(local_redis.state_folder(other), free_port(), environment()) as address:
            found = doctor.check_redis(checkout, environment(REDIS_URL=address))
        assert found.level == "ok"
        assert re.match(
            rf"{address}, of REDIS_URL, \S+ \(pid \d+\) of the checkout {other}, answers", found.text
        )

    @pytest.mark.parametrize(
        ("address", "text"),
        [
            pytest.param("redis://:secret@127.0.0.1:{port}/0", "cannot be used: ", id="nobody listens"),
            pytest.param(
                "http://127.0.0.1:{port}", "REDIS_URL: must be redis://", id="no address of a Redis"
            ),
            pytest.param("redis://127.0.0.1:port", "REDIS_URL: ", id="no port"),
        ],
    )
    def test_redis_url_leads_nowhere(self, checkout: Path, address: str, text: str) -> None:
        """What is wrong with it, without its password."""
        found = doctor.check_redis(checkout, environment(REDIS_URL=address.format(port=free_port())))
        assert found.level == "wrong"
        assert text in found.text
        assert "secret" not in found.text
        assert found.mend.endswith(": unset REDIS_URL")
        assert doctor.check_redis(checkout, environment()).level == "ok"

    def test_password_is_needed(self, checkout: Path, tmp_path: Path) -> None:
        """The server's own reason."""
        with server(tmp_path / "redis", password="secret") as process:
            found = doctor.check_redis(checkout, environment(REDIS_URL=f"redis://127.0.0.1:{process.port}/0"))
        assert found.level == "wrong"
        assert "Authentication required" in found.text
        assert found.mend == "start that server, or for a Redis of this checkout's own: unset REDIS_URL"

    def test_server_that_evicts(self, checkout: Path, tmp_path: Path) -> None:
        """It would drop messages; the line to type stops that."""
        lines = ("maxmemory 100mb", "maxmemory-policy allkeys-lru", "appendonly yes")
        with server(tmp_path / "redis", *lines) as process:
            address = f"redis://127.0.0.1:{process.port}/0"
            found = doctor.check_redis(checkout, environment(REDIS_URL=address))
            assert found.level == "wrong"
            assert "is not fit: when its memory is full this server drops messages" in found.text
            assert follow(found.mend, address) == "OK\n"
            found = doctor.check_redis(checkout, environment(REDIS_URL=address))
        assert found.level == "ok"

    def test_server_that_is_a_replica(self, checkout: Path, tmp_path: Path) -> None:
        """No setting of this one mends that."""
        with server(tmp_path / "redis", f"replicaof 127.0.0.1 {free_port()}") as process:
            found = doctor.check_redis(checkout, environment(REDIS_URL=f"redis://127.0.0.1:{process.port}/0"))
        assert found.level == "wrong"
        assert "is not fit: this is a replica" in found.text
        assert found.mend == "set REDIS_URL to another server; docs/redis.md says which"

    def test_server_without_append_only_file(self, checkout: Path, tmp_path: Path) -> None:
        """A note, and the line to type switches it on."""
        with throwaway_redis(tmp_path / "redis") as address:
            found = doctor.check_redis(checkout, environment(REDIS_URL=address))
            assert found.level == "note"
            assert "append-only file off\nthe append-only file is off: when this server dies" in found.text
            assert follow(found.mend, address) == "OK\n"
            with redis.Redis.from_url(address) as client:
                assert client.config_get("appendonly") == {"appendonly": "yes"}
            assert doctor.check_redis(checkout, environment(REDIS_URL=address)).level == "ok"


class TestPorts:
    """Who has them."""

    def test_free(self, checkout: Path) -> None:
        """Both."""
        port = free_port()
        environ = environment(WORKER__BROKER__PORT=str(port), WORKER__FLOWER__PORT=str(port))
        assert doctor.check_redis_port(checkout, environ) == ("ok", f"{port} is free", "")
        assert doctor.check_flower_port(checkout, environ) == ("ok", f"{port} is free", "")

    def test_none_is_needed_with_redis_url(self, checkout: Path) -> None:
        """REDIS_URL says where Redis is."""
        assert doctor.check_redis_port(checkout, environment(REDIS_URL="redis://far/0")).level == "ok"

    def test_redis_port_is_our_own_redis(self, checkout: Path) -> None:
        """It runs: all is well."""
        port = free_port()
        with local_redis.session(local_redis.state_folder(checkout), port, environment()):
            found = doctor.check_redis_port(checkout, environment(WORKER__BROKER__PORT=str(port)))
        assert found.level == "ok"
        assert re.fullmatch(rf"{port} is taken by \S+ \(pid \d+\) of this checkout", found.text)

    def test_redis_port_is_another_checkouts(self, checkout: Path, tmp_path: Path) -> None:
        """Two checkouts at once: each has its Redis, and its place is named; a port of its own mends it."""
        other, port = tmp_path / "other", free_port()
        other.mkdir()
        shutil.copy2(ROOT / "worker.toml", other)
        with local_redis.session(local_redis.state_folder(other), port, environment()):
            found = doctor.check_redis_port(checkout, environment(WORKER__BROKER__PORT=str(port)))
            assert found.level == "note"
            text = rf"{port} is taken by \S+ \(pid \d+\) of the checkout {other}; this checkout's Redis takes"
            assert re.match(text, found.text)
            line = re.fullmatch(
                r"to give it one of its own: (port = \d+) under \[broker\] in worker\.toml", found.mend
            )
            assert line
            with (checkout / "worker.toml").open("a") as file:
                file.write(f"\n[broker]\n{line[1]}\n")
            assert doctor.check_redis_port(checkout, environment()).level == "ok"

    def test_redis_port_is_a_strangers(
        self, checkout: Path, tmp_path: Path, listen: Callable[[Path], tuple[int, Process]]
    ) -> None:
        """The process is named."""
        port, stranger = listen(tmp_path)
        found = doctor.check_redis_port(checkout, environment(WORKER__BROKER__PORT=str(port)))
        assert found.level == "note"
        assert re.match(
            rf"{port} is taken by python\S* \(pid {stranger.pid}\), which is not ours; ", found.text
        )
        assert "under [broker] in worker.toml" in found.mend

    def test_flower_port_is_a_strangers(
        self, checkout: Path, tmp_path: Path, listen: Callable[[Path], tuple[int, Process]]
    ) -> None:
        """Flower could not start; the line to type gives it a port that is free."""
        port, stranger = listen(tmp_path)
        found = doctor.check_flower_port(checkout, environment(WORKER__FLOWER__PORT=str(port)))
        assert found.level == "wrong"
        assert f"(pid {stranger.pid}), which is not ours" in found.text
        line = re.fullmatch(r"WORKER__FLOWER__PORT=(\d+) python3 noxfile\.py -s flower", found.mend)
        assert line
        assert doctor.check_flower_port(checkout, environment(WORKER__FLOWER__PORT=line[1])).level == "ok"

    def test_flower_port_is_our_own_flowers(
        self, checkout: Path, listen: Callable[[Path], tuple[int, Process]]
    ) -> None:
        """A program of this checkout has it: all is well."""
        port, ours = listen(checkout)
        found = doctor.check_flower_port(checkout, environment(WORKER__FLOWER__PORT=str(port)))
        assert found.level == "ok"
        assert f"(pid {ours.pid}) of this checkout" in found.text

    def test_by_whom_cannot_be_known(
        self, tmp_path: Path, listen: Callable[[Path], tuple[int, Process]]
    ) -> None:
        """The process is one that this user may not look into."""
        port, _ = listen(tmp_path)
        said = in_namespace(f"export WORKER__FLOWER__PORT={port}", *ask("Flower's port"))
        level, text, mend = said.splitlines()
        assert level == "wrong"
        assert text == f"{port} is taken, by whom cannot be known: by another user or container"
        assert mend.endswith(" python3 noxfile.py -s flower")

    @pytest.mark.skipif(not shutil.which("lsof"), reason="needs lsof")
    def test_lsof_says_the_same(self, tmp_path: Path, listen: Callable[[Path], tuple[int, Process]]) -> None:
        """It is asked where there is no /proc."""
        port, process = listen(tmp_path)
        found = listeners._from_lsof(port)
        assert found is not None
        assert (found.pid, found.folder) == (process.pid, tmp_path)
        assert found.name.startswith("python")
        assert listeners._from_lsof(free_port()) is None


@pytest.mark.parametrize(
    ("limit", "name"),
    [
        pytest.param("max_inotify_watches", "watches", id="watches"),
        pytest.param("max_inotify_instances", "instances", id="instances"),
    ],
)
def test_no_inotify_left(limit: str, name: str) -> None:
    """A user who may watch nothing: which limit, and the line that raises it."""
    said = in_namespace(f"echo 0 > /proc/sys/user/{limit}", *ask("file events"))
    level, text, mend = said.splitlines()
    assert level == "wrong"
    assert text.startswith(
        f"no inotify {name} are left, so saving a file is not noticed; fs.inotify.max_user_{name}"
    )
    assert mend.startswith(f"echo fs.inotify.max_user_{name}=")
    assert mend.endswith(f" | sudo tee /etc/sysctl.d/60-inotify-{name}.conf && sudo sysctl --system")


def test_folders_are_watched_and_let_go(checkout: Path) -> None:
    """Enough is left on this machine, and no file stays open."""
    before = os.listdir("/dev/fd")
    assert doctor.check_file_events(checkout, environment()).level == "ok"
    assert os.listdir("/dev/fd") == before


@pytest.mark.parametrize(
    ("size", "level"), [pytest.param("1m", "wrong", id="full"), pytest.param("500m", "note", id="nearly")]
)
def test_disk_is_full(tmp_path: Path, size: str, level: str) -> None:
    """What can be deleted is named, if it is there."""
    mount = f'mount -t tmpfs -o size={size} none "{tmp_path}"'
    said = in_namespace(mount, *ask("disk", str(tmp_path))).splitlines()
    assert said[0] == level
    assert re.fullmatch(r"\d+ MB free", said[1])
    assert said[2] == "delete what you do not need on this disk"
    said = in_namespace(f'{mount}; mkdir "{tmp_path}/.nox"', *ask("disk", str(tmp_path))).splitlines()
    assert said[0] == level
    assert said[2] == f"rm -r {tmp_path}/.nox"


def test_machine_without_a_single_package(checkout: Path, tmp_path: Path) -> None:
    """No package, no program on the PATH: every check says something, and nothing is a traceback."""
    done = subprocess.run(
        [sys.executable, "-S", "-m", "contentworker.doctor"],
        cwd=checkout,
        env=environment(PATH=str(tmp_path / "empty"), PYTHONIOENCODING="ascii"),
        capture_output=True,
        text=True,
        timeout=PATIENCE * 2,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    assert done.stderr == ""
    for name in doctor.CHECKS:
        assert re.search(rf"^(ok   |note |wrong)  {name} ", done.stdout, re.M), name
    assert (
        "worker.toml      could not be checked: ModuleNotFoundError: No module named 'pydantic'"
        in done.stdout
    )
    assert "git hook         could not be checked: FileNotFoundError" in done.stdout
    assert "wrong  Redis            There is no Redis here" in done.stdout


def test_command_is_the_same() -> None:
    """`python -m contentworker doctor` prints what the module prints, for programs, too."""
    environ = environment(WORKER__FLOWER__PORT="none")
    for command in (["-m", "contentworker", "doctor"], ["-m", "contentworker.doctor"]):
        done = subprocess.run(
            [sys.executable, *command, "--json"],
            cwd=ROOT,
            env=environ,
            capture_output=True,
            text=True,
            timeout=PATIENCE * 2,
            check=False,
        )
        assert done.returncode == 1, done.stderr
        assert '"mend": "unset WORKER__FLOWER__PORT"' in done.stdout
        assert "Traceback" not in done.stderr
