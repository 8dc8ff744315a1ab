"""The model that runs where no provider is configured: real, offline, one process for all who use it."""

import fcntl
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from celery import Celery

from contentworker.editorial.rewriting import Rewrite, embedded
from contentworker.editorial.rewriting.model import Model, ModelRefusesError
from contentworker.editorial.rewriting.prompts import messages
from contentworker.editorial.settings import LlmSettings
from tests.support import PATIENCE, ROOT, StartWorker, service_is_missing, wait_until

SETTINGS = LlmSettings(idle_seconds=600, timeout_seconds=PATIENCE)


@pytest.fixture(scope="session")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """locks/embedded.txt, installed in a folder."""
    folder = tmp_path_factory.mktemp("embedded")
    options = ["--quiet", "--no-deps", "--require-hashes", "--no-compile", "--only-binary", ":all:"]
    command = [
        sys.executable,
        "-m",
        "pip",
        "install",
        *options,
        "-r",
        "locks/embedded.txt",
        "--target",
        str(folder),
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        service_is_missing(f"the embedded model: {done.stderr[-500:]}")
    return folder


@pytest.fixture
def folder(packages: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A place of its own for the process, which is ended afterwards."""
    monkeypatch.syspath_prepend(packages)
    monkeypatch.setenv("PYTHONPATH", str(packages))
    yield tmp_path
    end(tmp_path)


def pid(folder: Path) -> int:
    """The process that serves the model: it holds the lock."""
    inode = (folder / "running").stat().st_ino
    found = {
        int(line.split()[4])
        for line in Path("/proc/locks").read_text().splitlines()
        if line.split()[1] == "FLOCK" and line.split()[5].rsplit(":", 1)[1] == str(inode)
    }
    (one,) = found
    return one


def runs(folder: Path) -> bool:
    """Whether the model's process holds its lock."""
    if not (folder / "running").exists():
        return False
    with (folder / "running").open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def end(folder: Path) -> None:
    """Kill it if it runs."""
    if runs(folder):
        os.kill(pid(folder), signal.SIGKILL)
    wait_until(lambda: not runs(folder), "the model's process to end")


def test_two_ask_at_once_and_one_serves(folder: Path) -> None:
    """The second finds the first's process, and it rewrites."""
    found: list[str] = []
    threads = [
        threading.Thread(target=lambda: found.append(embedded.base_url(SETTINGS, folder))) for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 2
    assert len(set(found)) == 1
    assert found[0].startswith("http://127.0.0.1:")
    text = "Due to the fact that it was raining, the match was moved to another day."
    answer = Model(SETTINGS, found[0]).complete(messages("edit", text, small=True), 60)
    assert "match" in answer.text
    assert answer.completion_tokens > 3
    assert text not in (folder / "log").read_text()


def test_a_killed_one_is_replaced(folder: Path) -> None:
    """The next request starts another."""
    embedded.base_url(SETTINGS, folder)
    first = pid(folder)
    os.kill(first, signal.SIGKILL)
    wait_until(lambda: not runs(folder), "its end")
    embedded.base_url(SETTINGS, folder)
    assert pid(folder) != first


def test_an_idle_one_ends(folder: Path) -> None:
    """It needs memory only while it is needed."""
    embedded.base_url(LlmSettings(idle_seconds=0.5), folder)
    wait_until(lambda: not runs(folder), "its end")


def test_a_damaged_file(
    folder: Path, packages: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One byte is enough: one clear error that says what to do."""
    copy = tmp_path / Path(embedded.FILE).name
    shutil.copy(packages / embedded.FILE, copy)
    with copy.open("r+b") as file:
        file.seek(50_000_000)
        file.write(b"?")
    with pytest.raises(ModelRefusesError, match=r"damaged .*nox -s embedded-model"):
        embedded.base_url(LlmSettings(local_model=str(copy)), folder)
    other = tmp_path / "other.gguf"
    other.write_bytes(b"no model")
    with pytest.raises(ModelRefusesError, match="does not start"):
        embedded.base_url(LlmSettings(local_model=str(other)), folder)


def test_a_rewrite_offline(worker: StartWorker, client: Celery, folder: Path, packages: Path) -> None:
    """With nothing configured, through a real worker: the example, sentence by sentence."""
    worker(
        "--queues=rewrite",
        STATE_DIRECTORY=str(folder),
        PYTHONPATH=f"{ROOT}{os.pathsep}{packages}",
        WORKER__LLM__MAX_SENTENCES="3",
    )
    content = (ROOT / "examples" / "thoughts-on-tea.txt").read_text("utf-8")
    found = Rewrite.model_validate(
        client.send_task("tasks.rewrite.generate_rewrite", kwargs={"content": content}).get(timeout=PATIENCE)
    )
    assert (found.provider, found.model, found.cost) == ("embedded", "SmolLM2-135M-Instruct", 0)
    assert len(found.changes) == 3
    assert found.completion_tokens > 0
    assert "budget" in {item.reason for item in found.left}
    end(folder / "embedded-model")
