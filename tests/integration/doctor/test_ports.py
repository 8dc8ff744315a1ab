"""The doctor on ports that others have, and that what it suggests fixes that."""

import re
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from contentworker.doctor import listeners, ports
from contentworker.runtime.development import local_redis
from contentworker.runtime.environment import state_folder
from tests.integration.doctor.machines import ask, in_namespace
from tests.support import ROOT, Process, environment, free_port

LISTEN = """
import socket, sys, time
with socket.create_server(("127.0.0.1", int(sys.argv[1]))):
    print("listening", flush=True)
    time.sleep(3600)
"""


@pytest.fixture
def listen(tmp_path: Path) -> Iterator[Callable[..., tuple[int, Process]]]:
    """Start a program in a folder that listens on a port of its own."""
    started: list[Process] = []

    def start(folder: Path, *words: str) -> tuple[int, Process]:
        port = free_port()
        command = [sys.executable, "-c", LISTEN, str(port), *words]
        started.append(Process(command, tmp_path / f"listener{len(started)}", environment(), cwd=folder))
        started[-1].wait_for_log("listening")
        return port, started[-1]

    yield start
    for process in started:
        process.stop()


class TestPorts:
    """Who has them."""

    def test_free(self, checkout: Path) -> None:
        """Both."""
        port = free_port()
        redis, flower = (environment(**{f"WORKER__{name}__PORT": str(port)}) for name in ("BROKER", "FLOWER"))
        assert ports.check_redis_port(checkout, redis) == ("ok", f"{port} is free", "")
        assert ports.check_flower_port(checkout, flower) == ("ok", f"{port} is free", "")

    def test_none_is_needed_with_redis_url(self, checkout: Path) -> None:
        """REDIS_URL says where Redis is."""
        assert ports.check_redis_port(checkout, environment(REDIS_URL="redis://far/0")).level == "ok"

    def test_redis_port_is_our_own_redis(self, checkout: Path) -> None:
        """It runs: all is well."""
        port = free_port()
        with local_redis.session(state_folder(checkout), port, environment()):
            found = ports.check_redis_port(checkout, environment(WORKER__BROKER__PORT=str(port)))
        assert found.level == "ok"
        assert re.fullmatch(rf"{port} is taken by \S+ \(pid \d+\) of this checkout", found.text)

    def test_redis_port_is_another_checkouts(self, checkout: Path, tmp_path: Path) -> None:
        """Two checkouts at once: each has its Redis, and its place is named; a port of its own fixes it."""
        other, port = tmp_path / "other", free_port()
        other.mkdir()
        shutil.copy2(ROOT / "worker.toml", other)
        with local_redis.session(state_folder(other), port, environment()):
            found = ports.check_redis_port(checkout, environment(WORKER__BROKER__PORT=str(port)))
            assert found.level == "note"
            text = rf"{port} is taken by \S+ \(pid \d+\) of the checkout {other}; this checkout's Redis takes"
            assert re.match(text, found.text)
            line = re.fullmatch(r"to choose a port: (port = \d+) under \[broker\] in worker\.toml", found.fix)
            assert line
            with (checkout / "worker.toml").open("a") as file:
                file.write(f"\n[broker]\n{line[1]}\n")
            assert ports.check_redis_port(checkout, environment()).level == "ok"

    def test_redis_port_is_a_strangers(
        self, checkout: Path, tmp_path: Path, listen: Callable[..., tuple[int, Process]]
    ) -> None:
        """The process is named."""
        port, stranger = listen(tmp_path)
        found = ports.check_redis_port(checkout, environment(WORKER__BROKER__PORT=str(port)))
        assert found.level == "note"
        assert re.match(
            rf"{port} is taken by python\S* \(pid {stranger.pid}\), which is not ours; ", found.text
        )
        assert "under [broker] in worker.toml" in found.fix

    def test_flower_port_is_a_strangers(
        self, checkout: Path, tmp_path: Path, listen: Callable[..., tuple[int, Process]]
    ) -> None:
        """Flower could not start; the line to type gives it a port that is free."""
        port, stranger = listen(tmp_path)
        found = ports.check_flower_port(checkout, environment(WORKER__FLOWER__PORT=str(port)))
        assert found.level == "wrong"
        assert f"(pid {stranger.pid}), which is not ours" in found.text
        line = re.fullmatch(r"WORKER__FLOWER__PORT=(\d+) python3 noxfile\.py -s flower", found.fix)
        assert line
        assert ports.check_flower_port(checkout, environment(WORKER__FLOWER__PORT=line[1])).level == "ok"

    def test_flower_port_is_our_own_flowers(
        self, checkout: Path, listen: Callable[..., tuple[int, Process]]
    ) -> None:
        """This checkout's Flower has it: all is well. Another program of it there is wrong."""
        port, ours = listen(checkout, "flower")
        found = ports.check_flower_port(checkout, environment(WORKER__FLOWER__PORT=str(port)))
        assert found.level == "ok"
        assert f"(pid {ours.pid}) of this checkout" in found.text
        port, other = listen(checkout, "beat")
        found = ports.check_flower_port(checkout, environment(WORKER__FLOWER__PORT=str(port)))
        assert (found.level, f"(pid {other.pid}) of this checkout" in found.text) == ("wrong", True)

    def test_redis_port_is_another_program_of_ours(
        self, checkout: Path, listen: Callable[..., tuple[int, Process]]
    ) -> None:
        """As where Flower has the port of Redis: Redis takes another, and the doctor says so."""
        port, _ = listen(checkout, "flower")
        found = ports.check_redis_port(checkout, environment(WORKER__BROKER__PORT=str(port)))
        assert found.level == "note"
        assert "this checkout's Redis takes another port" in found.text

    def test_by_whom_cannot_be_known(
        self, tmp_path: Path, listen: Callable[..., tuple[int, Process]]
    ) -> None:
        """The process is one that this user may not look into."""
        port, _ = listen(tmp_path)
        said = in_namespace(f"export WORKER__FLOWER__PORT={port}", *ask("Flower's port"))
        level, text, fix = said.splitlines()
        assert level == "wrong"
        assert text == f"{port} is taken by a process of another user or container"
        assert fix.endswith(" python3 noxfile.py -s flower")

    @pytest.mark.skipif(not shutil.which("lsof"), reason="needs lsof")
    def test_lsof_says_the_same(self, tmp_path: Path, listen: Callable[..., tuple[int, Process]]) -> None:
        """It is asked where there is no /proc."""
        port, process = listen(tmp_path)
        found = listeners._from_lsof(port)
        assert found is not None
        assert (found.pid, found.folder) == (process.pid, tmp_path)
        assert found.name.startswith("python")
        assert listeners._from_lsof(free_port()) is None
