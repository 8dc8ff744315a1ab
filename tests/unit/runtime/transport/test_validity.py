"""Until when deliveries are a worker's own."""

from types import SimpleNamespace

import pytest

from contentworker.runtime.transport import validity
from contentworker.runtime.transport.validity import Validity, is_held


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """The clock of this machine; it stands at 100 s."""
    clock = SimpleNamespace(now=100.0)
    monkeypatch.setattr(validity, "time", SimpleNamespace(clock_gettime=lambda _: clock.now))
    return clock


def test_a_delivery_is_ours_for_so_long(clock: SimpleNamespace) -> None:
    """None at first; until that moment, and not at it."""
    ours = Validity()
    assert not ours.covers(0)
    ours.extend(110.5)
    clock.now = 110.4999
    assert ours.covers(0)
    clock.now = 110.5
    assert not ours.covers(0)


def test_a_lost_lease_voids_what_was_delivered(clock: SimpleNamespace) -> None:
    """For good: the next lease is for later deliveries."""
    ours = Validity()
    ours.extend(200.0)
    ours.end()
    assert (ours.epoch, ours.until, ours.covers(0), ours.covers(1)) == (1, 0.0, False, False)
    ours.extend(200.0)
    assert (ours.covers(0), ours.covers(1)) == (False, True)


def test_a_message_is_asked_by_its_properties(clock: SimpleNamespace) -> None:
    """One of a transport without leases is held; so is one of another process's lease, which is not known."""
    ours = Validity()
    ours.extend(200.0)
    assert is_held({"held": [ours.uid, 0, "me", "1-0"]})
    assert not is_held({"held": [ours.uid, 1, "me", "1-0"]})
    ours.end()
    assert not is_held({"held": [ours.uid, 0, "me", "1-0"]})
    assert is_held({})
    assert is_held({"held": None})
    assert is_held({"held": ["other", 0, "me", "1-0"]})


def test_a_forked_process_makes_its_own() -> None:
    """The one that is reserved belongs to the process that loaded the module."""
    reserved, validity._reserved[:] = [*validity._reserved], [mine := Validity()]
    try:
        assert Validity.reserved() is mine
        assert Validity.reserved() is not mine
    finally:
        validity._reserved[:] = reserved
