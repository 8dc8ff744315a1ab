"""Which revocations a worker reads, and how often."""

from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import pytest
from celery.worker import state

from contentworker.runtime.records import revocations
from contentworker.runtime.worker.revoking import Revocations


class Server:
    """The scores in Redis, in their order, and after which ones the worker has asked for the rest."""

    def __init__(self, **scores: float) -> None:
        self.scores = scores
        self.asked: list[float] = []

    def since(self, _: Any, score: float) -> list[tuple[str, float]]:
        self.asked.append(score)
        return [(each, its) for each, its in self.scores.items() if its > score]

    def is_revoked(self, _: Any, task_id: str, __: float) -> bool:
        return task_id in self.scores


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Server:
    made = Server(first=1.0)
    monkeypatch.setattr(revocations, "since", made.since)
    monkeypatch.setattr(revocations, "is_revoked", made.is_revoked)
    monkeypatch.setattr(state, "revoked", set())
    return made


def look_up(known: Revocations, newest: float, *task_ids: str) -> None:
    """Look up the messages of one fetch."""
    channel = SimpleNamespace(holder=SimpleNamespace(client=None), newest_revocation=newest)
    for task_id in task_ids:
        known.look_up(SimpleNamespace(delivery="a delivery", channel=channel), task_id)


def test_one_that_comes_after_a_fetch_is_read_once(server: Server) -> None:
    """While the messages of that fetch are received. All would be read again for each of them."""
    known = Revocations(Mock())
    server.scores["later"] = 2.0
    look_up(known, 1.0, "a", "later", "b")
    assert server.asked == [0.0]
    assert state.revoked == {"later"}
    look_up(known, 2.0, "c")
    assert server.asked == [0.0]


def test_all_are_read_again_until_the_newest_is_among_them(server: Server) -> None:
    """In a failover, the old master has a later one that is lost, and lacks one that the new one has."""
    known = Revocations(Mock())
    server.scores["lost"] = 3.0
    look_up(known, 3.0, "a")
    look_up(known, 2.0, "b")
    server.scores = {"first": 1.0, "new": 2.0}
    look_up(known, 2.0, "c", "new")
    assert server.asked == [0.0, 0.0, 0.0]
    assert state.revoked == {"new"}
