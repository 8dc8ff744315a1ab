"""Dead letters: kept whole, read in order."""

from typing import Any

import pytest
from pydantic import ValidationError

from contentworker.runtime import dead_letters
from contentworker.runtime.dead_letters import DeadLetter


class Stream:
    """As much of a Redis stream as is needed."""

    def __init__(self, as_text: bool) -> None:
        self.entries: list[tuple[Any, dict[Any, Any]]] = []
        self.as_text = as_text
        self.asked: list[str] = []

    def _own(self, text: str) -> str | bytes:
        return text if self.as_text else text.encode()

    def xadd(self, name: str, fields: dict[str, str]) -> str | bytes:
        assert name == dead_letters.STREAM
        entry_id = self._own(f"{1_000_000_000_000 + len(self.entries)}-0")
        self.entries.append((entry_id, {self._own(key): self._own(value) for key, value in fields.items()}))
        return entry_id

    def xrange(self, name: str, min: str, count: int) -> list[tuple[Any, dict[Any, Any]]]:
        self.asked.append(min)
        ids = [entry_id if self.as_text else entry_id.decode() for entry_id, _ in self.entries]
        first = 0 if min == "-" else ids.index(min.removeprefix("(")) + 1
        return self.entries[first : first + count]


def letter(number: int = 0) -> DeadLetter:
    return DeadLetter(
        reason="invalid",
        error="é",
        queue="celery",
        task="t",
        task_id=str(number),
        worker="w",
        message='{"a": "ü"}',
    )


@pytest.mark.parametrize("as_text", [True, False], ids=["text", "bytes"])
def test_letters_come_back_as_they_were(as_text: bool) -> None:
    """Whether the Redis client decodes or not."""
    stream = Stream(as_text)
    entry_id = dead_letters.add(stream, letter())
    ((found_id, arrived, found),) = dead_letters.read(stream)
    assert entry_id == found_id == "1000000000000-0"
    assert arrived.isoformat() == "2001-09-09T01:46:40+00:00"
    assert found == letter()


def test_letters_are_read_in_pages() -> None:
    """Thousands of letters are neither skipped nor loaded at once."""
    stream = Stream(as_text=True)
    for number in range(250):
        dead_letters.add(stream, letter(number))
    assert [found.task_id for _, _, found in dead_letters.read(stream)] == [
        str(number) for number in range(250)
    ]
    assert len(stream.asked) == 4


def test_letters_are_frozen() -> None:
    """What was kept is what there was."""
    with pytest.raises(ValidationError, match="frozen"):
        letter().error = "x"  # type: ignore[misc]
