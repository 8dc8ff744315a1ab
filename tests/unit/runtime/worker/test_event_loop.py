"""The worker's event loop: what it leaves out, and that it still watches what it must."""

import os
from collections.abc import Iterator
from typing import Any

import pytest
from kombu.utils.eventio import ERR, READ, WRITE

from contentworker.runtime.worker.event_loop import Hub


@pytest.fixture
def hub() -> Iterator[Hub]:
    loop = Hub()
    yield loop
    loop.close()


@pytest.fixture
def pipe() -> Iterator[list[int]]:
    ends = [*os.pipe()]
    yield ends
    for end in ends:
        os.close(end)


def test_what_is_watched_already_costs_no_system_call(
    hub: Hub, pipe: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[tuple[int, int]] = []
    register = hub.poller.register

    def counting(fd: int, events: int) -> Any:
        calls.append((fd, events))
        return register(fd, events)

    monkeypatch.setattr(hub.poller, "register", counting)
    monkeypatch.setattr(hub.poller, "unregister", lambda fd: pytest.fail(f"{fd} is watched by nobody"))
    reader, writer = pipe
    for _ in range(3):
        hub.add_reader(reader, print, reader)
        hub.remove_writer(writer)
    assert calls == [(reader, READ | ERR)]


def test_a_file_is_watched_with_its_newest_callback_and_again_after_its_removal(
    hub: Hub, pipe: list[int]
) -> None:
    reader, writer = pipe
    seen: list[str] = []

    def see(what: str) -> None:
        seen.append(os.read(reader, 1).decode() + what)

    for name in ("first", "second"):
        hub.add_reader(reader, see, name)
        os.write(writer, b"x")
        hub.run_once()
    hub.remove(reader)
    hub.add_reader(reader, see, "second")
    hub.add_writer(writer, print)
    hub.remove_writer(writer)
    os.write(writer, b"x")
    hub.run_once()
    assert seen == ["xfirst", "xsecond", "xsecond"]


def test_an_idle_pool_process_is_offered_a_task_at_once(hub: Hub, pipe: list[int]) -> None:
    offered: list[list[int]] = []
    hub.consolidate_callback = offered.append
    hub.add(pipe[1], None, WRITE | ERR, consolidate=True)
    assert offered == [[pipe[1]]]
    assert pipe[1] not in hub.writers
