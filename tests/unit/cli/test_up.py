"""Which programs `up` runs, and what worker.toml may say of them."""

import shutil
import subprocess
import sys
import threading
from pathlib import Path

import click
import pytest

from contentworker import config
from contentworker.cli import connection, up
from contentworker.errors import ConfigError
from contentworker.runtime.development import up_files
from tests.support import PATIENCE, ROOT

QUEUE = '[queues.celery]\ndescription = "x"\n'


def load(folder: Path, text: str) -> config.Settings:
    (folder / "worker.toml").write_text(QUEUE + text)
    return config.load(folder / "worker.toml", environ={})


@pytest.mark.parametrize(
    ("only", "without", "chosen"),
    [
        ((), (), ["a", "b", "c", "d"]),
        (("c",), (), ["a", "b", "c"]),
        (("c",), ("a",), ["b", "c"]),
        (("a,d",), (), ["a", "d"]),
        ((), ("a", "b,c"), ["d"]),
    ],
)
def test_chosen(tmp_path: Path, only: tuple[str, ...], without: tuple[str, ...], chosen: list[str]) -> None:
    """In the order of the file; `--only` brings what is needed, also indirectly; `--without` wins."""
    text = "".join(
        f'[up.{name}]\ncommand = "true"\nafter = {after}\n'
        for name, after in (("a", "[]"), ("b", '["a"]'), ("c", '["b"]'), ("d", "[]"))
    )
    assert up._chosen(load(tmp_path, text).up, only, without) == chosen


def test_an_empty_table(tmp_path: Path) -> None:
    with pytest.raises(click.ClickException, match=r"\[up\] names no program"):
        up._chosen(load(tmp_path, "").up, (), ())


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('command = "a \'b"', "up.a.command: must be words as a shell splits them (No closing quotation)"),
        (
            'command = "a"\nafter = ["b"]',
            "worker.toml:8: up.a.after: there is no program 'b' in [up]; allowed: c",
        ),
        ('command = "a"\nafter = ["c"]', "up.c.after: waits for itself: c after a after c"),
        (
            'command = "a"\nready_section = "python"',
            "up.a.ready_section: must be one of: flower, health, metrics",
        ),
    ],
    ids=["words", "unknown", "cycle", "section"],
)
def test_wrong_tables(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, f'[up.c]\ncommand = "c"\nafter = ["a"]\n[up.a]\n{text}\n')
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_log_whose_folder_is_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The log cannot begin a new file; the programs run on."""
    monkeypatch.setattr(up_files, "LARGEST_LOG_BYTES", 10)
    folder = tmp_path / "state"
    folder.mkdir()
    log = up_files.Log(folder)
    shutil.rmtree(folder)
    for _ in range(2):
        log.write("worker", "a line that is too long")
    folder.mkdir()
    log.write("worker", "a line that is too long")
    log.write("worker", "kept")
    log.close()
    assert (folder / f"{up_files.LOG}.old").read_text() == "worker | kept\n"


SUPERVISOR = """
import signal, sys
from pathlib import Path
from contentworker.runtime.development import up_files
folder = Path(sys.argv[1])
with up_files.taken(folder):
    up_files.write_states(folder, [])
    print("runs", flush=True)
    signal.sigwait({signal.SIGTERM})
"""


def test_down_right_after_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`up` has the lock, and has not written its process id yet: it is told as soon as it has."""
    states = [None]
    found = up_files.state
    monkeypatch.setattr(up_files, "state", lambda folder: states.pop() if states else found(folder))
    monkeypatch.setattr(connection, "STATE_FOLDER", tmp_path)
    command = [sys.executable, "-c", SUPERVISOR, str(tmp_path)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as supervisor:
        try:
            assert supervisor.stdout is not None
            assert supervisor.stdout.readline() == b"runs\n"
            ending = threading.Thread(target=up.down.callback, kwargs={"now": False}, daemon=True)
            ending.start()
            ending.join(PATIENCE)
            assert not ending.is_alive()
        finally:
            supervisor.kill()
