"""The doctor on Redis: which, where, whose, and whether it is fit; and that what it suggests fixes it."""

import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import redis

from contentworker.doctor import redis_server
from contentworker.runtime.development import local_redis
from contentworker.runtime.environment import state_folder
from tests.integration.doctor.machines import script
from tests.servers import server
from tests.support import PATIENCE, ROOT, environment, free_port, throwaway_redis, wait_until


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine may hold up a healthy server."""
    monkeypatch.setattr(redis_server, "REDIS_SECONDS", float(PATIENCE))


def follow(fix: str, redis_url: str) -> str:
    """Do what the doctor says to do with Redis; the session itself is the same command in `.venv`."""
    session = "python3 noxfile.py -s redis -- "
    assert fix.startswith(session)
    command = [sys.executable, "-m", "contentworker", "redis", *fix.removeprefix(session).split()]
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


class TestRedis:
    """Which, where, whose, and whether it is fit."""

    def test_none_runs_and_one_can_be_started(self, checkout: Path) -> None:
        """Which one, and its version."""
        found = redis_server.check_redis(checkout, environment())
        assert found.level == "ok"
        assert re.match(
            r"is not running; the next session starts (Redis|Valkey) \d+\.\d+.* \((the embedded one|/.*)\)",
            found.text,
        )

    def test_none_can_be_started(
        self, checkout: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        """No server, no package with one."""
        monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
        found = redis_server.check_redis(checkout, environment(PATH=str(tmp_path)))
        assert found.level == "wrong"
        assert found.text.startswith("There is no Redis here: redis-server and valkey-server are not on PATH")
        assert found.fix.startswith("install one (Debian: apt install redis-server, ")

    def test_too_old_a_server_on_the_path(self, checkout: Path, tmp_path: Path) -> None:
        """It would be started, and refused."""
        said = "echo Redis server v=5.0.14 sha=00000000:0 malloc=jemalloc-5.1.0 bits=64 build=5627b8177c9289c"
        path = script(tmp_path / "bin", "redis-server", said)
        found = redis_server.check_redis(checkout, environment(PATH=path))
        assert found.level == "wrong"
        assert found.text == (
            f"Redis 5.0.14 ({path}/redis-server) is too old; 6.2 or newer, or Valkey, is needed"
        )
        assert found.fix == f"install a newer one, or take its folder off the PATH: {path}"

    @pytest.mark.parametrize(
        "text", ["exec /gone", "echo No such library >&2; exit 127"], ids=["gone", "broken"]
    )
    def test_server_on_the_path_does_not_run(self, checkout: Path, tmp_path: Path, text: str) -> None:
        """It would be started, in vain."""
        path = script(tmp_path / "bin", "redis-server", text)
        found = redis_server.check_redis(checkout, environment(PATH=path))
        assert found.level == "wrong"
        assert f"{path}/redis-server does not run: " in found.text
        assert "No such" in found.text or "not found" in found.text
        assert found.fix == f"install a newer one, or take its folder off the PATH: {path}"

    def test_own_server_runs(self, checkout: Path) -> None:
        """Version and settings are those it has."""
        state = state_folder(checkout)
        with local_redis.session(state, free_port(), environment()) as address:
            found = redis_server.check_redis(checkout, environment())
            pid = getattr(local_redis.find(state), "pid", None)
        assert found.level == "ok"
        expected = (
            rf"{address}, this checkout's \(pid {pid}\), answers: (Redis|Valkey) \d+\.\d+\.\d+, "
            r"maxmemory-policy noeviction, append-only file on"
        )
        assert re.fullmatch(expected, found.text)

    def test_own_server_hangs(self, checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """It is there and silent; the line to type ends it, and the next session has one that answers."""
        state = state_folder(checkout)
        with local_redis.session(state, free_port(), environment()) as address:
            pid = getattr(local_redis.find(state), "pid", 0)
            os.kill(pid, signal.SIGSTOP)
            with monkeypatch.context() as patience:
                patience.setattr(redis_server, "REDIS_SECONDS", 0.3)
                found = redis_server.check_redis(checkout, environment())
            assert found.level == "wrong"
            assert f"{address}, this checkout's (pid {pid}), cannot be used: Timeout" in found.text
            assert found.fix == f"kill -9 {pid}"
            subprocess.run(["sh", "-c", found.fix], check=True)
            wait_until(lambda: local_redis.find(state) is None, "the end of the server")
            with local_redis.session(state, free_port(), environment()):
                assert redis_server.check_redis(checkout, environment()).level == "ok"

    def test_another_checkouts_server(self, checkout: Path, tmp_path: Path) -> None:
        """REDIS_URL leads to it: it answers, and it is said whose it is."""
        other = tmp_path / "other"
        other.mkdir()
        shutil.copy2(ROOT / "worker.toml", other)
        with local_redis.session(state_folder(other), free_port(), environment()) as address:
            found = redis_server.check_redis(checkout, environment(REDIS_URL=address))
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
        found = redis_server.check_redis(checkout, environment(REDIS_URL=address.format(port=free_port())))
        assert found.level == "wrong"
        assert text in found.text
        assert "secret" not in found.text
        assert found.fix.endswith(": unset REDIS_URL")
        assert redis_server.check_redis(checkout, environment()).level == "ok"

    def test_password_is_needed(self, checkout: Path, tmp_path: Path) -> None:
        """The server's own reason."""
        with server(tmp_path / "redis", password="secret") as process:
            found = redis_server.check_redis(
                checkout, environment(REDIS_URL=f"redis://127.0.0.1:{process.port}/0")
            )
        assert found.level == "wrong"
        assert "Authentication required" in found.text
        assert found.fix == "start that server, or use this checkout's Redis: unset REDIS_URL"

    def test_server_that_evicts(self, checkout: Path, tmp_path: Path) -> None:
        """It would drop messages; the line to type stops that."""
        lines = ("maxmemory 100mb", "maxmemory-policy allkeys-lru", "appendonly yes")
        with server(tmp_path / "redis", *lines) as process:
            address = f"redis://127.0.0.1:{process.port}/0"
            found = redis_server.check_redis(checkout, environment(REDIS_URL=address))
            assert found.level == "wrong"
            assert "is not suitable: when its memory is full this server drops messages" in found.text
            assert follow(found.fix, address) == "OK\n"
            found = redis_server.check_redis(checkout, environment(REDIS_URL=address))
        assert found.level == "ok"

    def test_server_that_is_a_replica(self, checkout: Path, tmp_path: Path) -> None:
        """No setting of this one mends that."""
        with server(tmp_path / "redis", f"replicaof 127.0.0.1 {free_port()}") as process:
            found = redis_server.check_redis(
                checkout, environment(REDIS_URL=f"redis://127.0.0.1:{process.port}/0")
            )
        assert found.level == "wrong"
        assert "is not suitable: this is a replica" in found.text
        assert found.fix == "set REDIS_URL to another server; docs/redis.md says which"

    def test_server_without_append_only_file(self, checkout: Path, tmp_path: Path) -> None:
        """A note, and the line to type switches it on."""
        with throwaway_redis(tmp_path / "redis") as address:
            found = redis_server.check_redis(checkout, environment(REDIS_URL=address))
            assert found.level == "note"
            assert "append-only file off\nthe append-only file is off: when this server dies" in found.text
            assert follow(found.fix, address) == "OK\n"
            with redis.Redis.from_url(address) as client:
                assert client.config_get("appendonly") == {"appendonly": "yes"}
            assert redis_server.check_redis(checkout, environment(REDIS_URL=address)).level == "ok"
