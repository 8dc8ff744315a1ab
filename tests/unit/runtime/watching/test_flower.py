"""Which options Flower is refused with."""

import asyncio
import logging
import os
import shelve
import signal
import sys
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from contentworker.runtime.logs import lines
from contentworker.runtime.settings import FlowerSettings, LogSettings
from contentworker.runtime.watching import flower as flower_page


@pytest.fixture
def start(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """Start a Flower that was given these options."""
    loop = SimpleNamespace(asyncio_loop=None)
    nothing = {"basic_auth": None, "auth": "", "unix_socket": "", "io_loop": loop}

    def start(folder: Path = tmp_path, settings: FlowerSettings | None = None, **given: Any) -> Any:
        command: SimpleNamespace = SimpleNamespace(
            options=SimpleNamespace(**nothing), Flower=lambda: command.options
        )
        monkeypatch.setitem(sys.modules, "flower.command", command)
        monkeypatch.setattr(flower_page, "_close_pages", lambda: None)
        monkeypatch.setattr(flower_page, "_end_between_callbacks", lambda command, loop: None)
        monkeypatch.setattr(flower_page, "_save_whole_states_only", lambda: None)
        monkeypatch.setattr(lines, "set_up", lambda settings, level: None)
        flower_page.guard(settings or FlowerSettings(), LogSettings(), folder)
        vars(command.options).update(given)
        return command.Flower()

    return start


@pytest.mark.parametrize("address", ["127.0.0.1", "127.0.0.2", "::1", "localhost"])
def test_this_machine_alone(start: Any, address: str) -> None:
    """Needs no password."""
    assert start(address=address).address == address


@pytest.mark.parametrize("address", ["", "0.0.0.0", "::", "::ffff:10.0.0.1", "10.0.0.1", "localhost.example"])
def test_others(start: Any, address: str) -> None:
    """Need one; an empty one is none."""
    with pytest.raises(SystemExit, match=r"Set FLOWER_BASIC_AUTH=user:password"):
        start(address=address, basic_auth=[""])
    assert start(address=address, basic_auth=["anna:secret", ""]).basic_auth == ["anna:secret"]
    start(address=address, auth=r".*@example\.org")


def test_others_by_our_settings(start: Any) -> None:
    """The same."""
    with pytest.raises(SystemExit, match=r"reach the address that it would listen on \(0\.0\.0\.0\)"):
        start(settings=FlowerSettings(address="0.0.0.0"))


def test_a_socket(start: Any) -> None:
    """Is anybody's on the machine."""
    with pytest.raises(SystemExit, match="all users of this machine can open the socket /run/flower"):
        start(unix_socket="/run/flower")


@pytest.mark.parametrize("login", ["anna", "anna:se,cret", ":secret", "anna:"])
def test_a_login_that_is_none(start: Any, login: str) -> None:
    """Is refused, and not shown. Flower parts it at commas: half of a password would do."""
    with pytest.raises(SystemExit, match="must be user:password") as refused:
        start(basic_auth=login.split(","))
    assert "cret" not in str(refused.value)


def test_what_it_is_told(start: Any, tmp_path: Path) -> None:
    """It listens where our settings say, and keeps what it sees in our folder, which is made."""
    options = start(tmp_path / "state")
    assert (options.address, options.port) == ("127.0.0.1", 5555)
    assert (options.persistent, options.db) == (True, str(tmp_path / "state" / "flower-state"))
    assert ((tmp_path / "state").stat().st_mode & 0o777) == 0o700


def test_a_folder_that_cannot_be_made(start: Any, tmp_path: Path) -> None:
    """Is named, with the ways out."""
    (tmp_path / "file").write_text("")
    with pytest.raises(
        SystemExit, match=r"Not a directory\. Choose another file with --db, or --persistent="
    ):
        start(tmp_path / "file" / "folder")
    start(tmp_path / "file" / "folder", persistent=False)


@pytest.mark.parametrize("written", [{}, {"counter": {}}], ids=["empty", "without its events"])
def test_a_state_that_was_not_written_replaces_none(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture, written: dict[str, Any]
) -> None:
    """As dbm.ndbm leaves it on a full disk, without an error: the one before stays, and a line says why."""

    class Events:
        db = str(tmp_path / "flower-state")
        state: dict[str, Any]

        def save_state(self) -> None:
            """As Flower's own does it."""
            with shelve.open(f"{self.db}.tmp", flag="n") as state:
                state.update(self.state)
            new = Path(f"{self.db}.tmp")
            for file in new.parent.glob(f"{new.name}*"):
                file.replace(self.db + file.name.removeprefix(new.name))

    monkeypatch.setitem(sys.modules, "flower.events", SimpleNamespace(Events=Events))
    flower_page._save_whole_states_only()
    events = Events()
    events.state = {"events": ["seen"], "counter": {}}
    events.save_state()
    events.state = written
    with caplog.at_level(logging.WARNING):
        events.save_state()
    (said,) = caplog.messages
    assert f"cannot save its state to {events.db}; is the disk full?" in said
    with shelve.open(events.db, flag="r") as kept:
        assert kept["events"] == ["seen"]


@pytest.mark.parametrize("signum", flower_page.STOPPING)
def test_a_signal_ends_it_between_callbacks(signum: signal.Signals) -> None:
    """It raises nothing where the process is, also before the loop runs; a second one ends the process."""
    before = [signal.getsignal(each) for each in flower_page.STOPPING]
    command = SimpleNamespace()
    with closing(asyncio.new_event_loop()) as loop:
        flower_page._end_between_callbacks(command, loop)
        signal.signal(signal.SIGTERM, command.sigterm_handler)
        os.kill(os.getpid(), signum)
        loop.run_forever()
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    for each, handler in zip(flower_page.STOPPING, before, strict=True):
        signal.signal(each, handler)
