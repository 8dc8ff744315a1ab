"""Batches: many dead letters are replayed or discarded one by one, so slowly that a person can stop it.

A batch is in Redis: what it is about, the ids that are still to do, and what became of the others. A thread
of the desk works on it. If the desk ends, the batch waits, and goes on when a desk runs again. Each step can
be repeated, since no letter is replayed twice.
"""

import hashlib
import json
import logging
import threading
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from redis.exceptions import RedisError

from contentworker.printable import decoded
from contentworker.runtime.records import dead_letters
from contentworker.runtime.records.dead_letters import UnknownVersionError
from contentworker.runtime.records.letter_parts import LetterParts, Letters
from contentworker.runtime.transport.scripts import load

__all__ = ["Action", "Batch", "Batches"]

logger = logging.getLogger(__name__)

Action = Literal["replay", "discard"]
PREFIX = "contentworker:batch:"
INDEX = "contentworker:batches"
"""Sorted set of the ids by when they were made."""
OPEN = "contentworker:batches-open"
"""Set of the ids that are worked on."""
KEPT_SECONDS = 30 * 86_400
RECENT = 20
AT_ONCE = 1000
CLAIM_SECONDS = 15
"""If a desk gives no sign for so long, another one goes on with its batch."""
IDLE_SECONDS = 5.0
"""Time between two looks for batches that another desk left."""
WAIT_SECONDS = 0.5
"""Time between two looks for what became of the first letter."""
CARE_SECONDS = 86_400
"""How long a batch that went wrong is something to look at."""

FAILED_AGAIN = "the first one failed again, so the others were left"
REVOKED = "the first one was revoked, so the others were left"

_HANDLED = load(__file__, "handled")
_MOVE = load(__file__, "move")


@dataclass(frozen=True)
class Batch:
    """A batch at the moment it was read."""

    id: str
    action: Action
    by: str
    signed_in: str
    """How that person had signed in."""
    chosen: dict[str, str]
    """The filter."""
    created: datetime
    total: int
    state: Literal["running", "waiting", "stopped", "failed", "done"]
    """`waiting`: for what becomes of the first one; `failed`: that failed again, so the others were left."""
    why: str
    """Why it is in this state, where that needs words."""
    one_first: bool
    first_id: str
    """The letter that was replayed first."""
    first_task: str
    done: int
    gone: int
    """Letters that somebody else replayed or discarded first."""
    refused: int

    @property
    def is_open(self) -> bool:
        """Whether it goes on."""
        return self.state in ("running", "waiting")

    @property
    def handled(self) -> int:
        """How many of its letters it is through with."""
        return self.done + self.gone + self.refused

    @property
    def needs_care(self) -> bool:
        """Whether it went wrong not long ago."""
        is_recent = (datetime.now(UTC) - self.created).total_seconds() < CARE_SECONDS
        return is_recent and (self.state == "failed" or self.refused > 0)

    @property
    def in_words(self) -> str:
        """What it did so far, in a sentence."""
        verb = "replayed" if self.action == "replay" else "discarded"
        return f"{self.done:,} of {self.total:,} letters {verb} by {self.by}{self.why and f': {self.why}'}"


class Batches:
    """The batches in Redis, and the thread that works on them: `with Batches(…)`."""

    def __init__(
        self,
        client: Callable[[], Any],
        letters: Letters,
        result_key: Callable[[str], Any],
        pace: float,
        note: Callable[["Batch", str], None],
    ) -> None:
        """`client` returns a redis-py client, `result_key` the key of a result; `pace`: letters a second.

        `note` is called before a batch ends by itself, with the batch and its outcome.
        """
        self._client, self._letters, self._result_key = client, letters, result_key
        self._pause_seconds = 1 / pace
        self._note = note
        self._name = uuid.uuid4().hex
        self._closing, self._woken = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._work, name="desk-batches", daemon=True)

    def start(self) -> None:
        """Begin to work on what there is."""
        self._thread.start()

    def close(self) -> None:
        """End after the letter at hand."""
        self._closing.set()
        self._woken.set()
        if self._thread.is_alive():
            self._thread.join(10)
            with suppress(RedisError):  # then its claims end by themselves
                self._let_go()

    def create(
        self,
        action: Action,
        ids: Sequence[str],
        by: str,
        *,
        signed_in: str = "",
        chosen: Mapping[str, str] | None = None,
        one_first: bool = False,
    ) -> str:
        """Begin a batch over these letters; return its id."""
        client, batch_id = self._client(), uuid.uuid4().hex
        key = PREFIX + batch_id
        seconds, microseconds = client.time()
        fields = {
            "action": action, "by": by, "signed_in": signed_in, "chosen": json.dumps(chosen or {}),
            "created": seconds + microseconds / 1e6,
            "total": len(ids), "state": "running", "one_first": int(one_first),
        }  # fmt: skip
        with client.pipeline(transaction=True) as all_of_it:
            for at in range(0, len(ids), AT_ONCE):
                all_of_it.rpush(f"{key}:todo", *ids[at : at + AT_ONCE])
            all_of_it.hset(key, mapping=fields)
            for each in (key, f"{key}:todo"):
                all_of_it.expire(each, KEPT_SECONDS)
            all_of_it.zadd(INDEX, {batch_id: seconds}).zremrangebyscore(INDEX, 0, seconds - KEPT_SECONDS)
            all_of_it.sadd(OPEN, batch_id)
            all_of_it.execute()
        self._woken.set()
        return batch_id

    def find(self, batch_id: str) -> Batch | None:
        """The batch of this id."""
        raw = self._client().hgetall(PREFIX + batch_id)
        return _batch(batch_id, raw) if raw else None

    def recent(self) -> list[Batch]:
        """The newest batches, the newest first."""
        client = self._client()
        ids = [decoded(each) for each in client.zrange(INDEX, 0, RECENT - 1, desc=True)]
        with client.pipeline(transaction=False) as asked:
            for each in ids:
                asked.hgetall(PREFIX + each)
            return [_batch(key, raw) for key, raw in zip(ids, asked.execute(), strict=True) if raw]

    def stop(self, batch_id: str, by: str) -> bool:
        """Stop a batch: what it has done stays done. Return False if it was not at work."""
        return self._move(batch_id, "running waiting", "stopped", why=f"stopped by {by}")

    def go_on(self, batch_id: str) -> bool:
        """Go on with a batch that waits, was stopped or has failed; False if it does not stand still."""
        moved = self._move(batch_id, "waiting stopped failed", "running", is_open=True, why="")
        self._woken.set()
        return moved

    def refusals(self, batch_id: str) -> dict[str, str]:
        """The letters that could not be replayed, and why."""
        raw = self._client().hgetall(f"{PREFIX}{batch_id}:refused")
        return {decoded(key): decoded(value) for key, value in raw.items()}

    def returned(self, batch: Batch) -> list[LetterParts]:
        """The letters of tasks that a batch replayed and that have failed again."""
        client = self._client()
        done = {decoded(each) for each in client.lrange(f"{PREFIX}{batch.id}:done", 0, -1)}
        return [each for each in self._letters.read(client) if each.earlier_id in done]

    def _move(self, batch_id: str, come_from: str, to: str, *, is_open: bool = False, **fields: str) -> bool:
        pairs = [part for pair in fields.items() for part in pair]
        keys = (PREFIX + batch_id, OPEN)
        arguments = (batch_id, f" {come_from} ", to, int(is_open), *pairs)
        return bool(self._client().eval(_MOVE, 2, *keys, *arguments))

    def _work(self) -> None:
        was_away, is_warm = False, False
        while not self._closing.is_set():
            self._woken.clear()
            seconds = IDLE_SECONDS
            try:
                for batch_id in map(decoded, self._client().smembers(OPEN)):
                    if self._is_claimed(batch_id):
                        seconds = min(seconds, self._step(batch_id))
                if not is_warm:  # the first page need not wait for all letters to be read
                    self._letters.read(self._client())
                was_away, is_warm = False, True
            except RedisError as error:  # the batch waits, too
                if not was_away:
                    logger.warning("Batches of dead letters wait for Redis: %s", error)
                was_away = True
            except Exception:
                logger.exception("A batch of dead letters cannot go on")
            # A new batch need not wait; the pace of one that is at work holds.
            (self._closing if seconds < WAIT_SECONDS else self._woken).wait(seconds)

    def _is_claimed(self, batch_id: str) -> bool:
        """Whether this desk works on the batch, from now on or already."""
        client, key = self._client(), f"{PREFIX}{batch_id}:worker"
        if client.set(key, self._name, nx=True, ex=CLAIM_SECONDS):
            return True
        return decoded(client.get(key) or b"") == self._name and bool(client.expire(key, CLAIM_SECONDS))

    def _let_go(self) -> None:
        """Leave the batches to another desk."""
        client = self._client()
        for batch_id in map(decoded, client.smembers(OPEN)):
            if decoded(client.get(f"{PREFIX}{batch_id}:worker") or b"") == self._name:
                client.delete(f"{PREFIX}{batch_id}:worker")

    def _step(self, batch_id: str) -> float:
        """Handle the next letter; return the seconds until the step after it."""
        batch, client, key = self.find(batch_id), self._client(), PREFIX + batch_id
        if batch is None or not batch.is_open:
            client.srem(OPEN, batch_id)
            return 0
        if batch.state == "waiting":
            return self._look_at_first(batch)
        letter_id = decoded(client.lindex(f"{key}:todo", 0) or b"")
        if not letter_id:
            self._end(batch, "running", "done")
            return 0
        # The same id: a desk ended between these steps.
        is_first = batch.one_first and batch.first_id in ("", letter_id)
        if is_first:
            self._note_first(batch, letter_id)
        outcome, why = self._handle(batch.action, letter_id)
        keys = (key, f"{key}:todo", f"{key}:done", f"{key}:refused")
        is_next = client.eval(_HANDLED, len(keys), *keys, letter_id, outcome, why, KEPT_SECONDS)
        if is_first and is_next:
            if outcome == "done":
                self._move(batch_id, "running", "waiting", is_open=True)
            else:  # the next one is the first
                client.hdel(key, "first_id")
        return self._pause_seconds

    def _end(self, batch: Batch, come_from: str, to: str, why: str = "") -> None:
        self._note(batch, to)
        self._move(batch.id, come_from, to, why=why)

    def _handle(self, action: Action, letter_id: str) -> tuple[str, str]:
        do = dead_letters.replay if action == "replay" else dead_letters.discard
        try:
            outcome = "done" if do(self._client(), letter_id) else "gone"
        except UnknownVersionError as error:
            return "refused", str(error)
        self._letters.forget(letter_id)
        return outcome, ""

    def _note_first(self, batch: Batch, letter_id: str) -> None:
        """Remember the first letter's task, and its result so far: a new one says what became of it."""
        client = self._client()
        letter = dead_letters.find(client, letter_id)
        if letter is None:  # another desk may have replayed it: keep what that one has noted
            return
        task_id = getattr(letter, "task_id", "")
        before = client.get(self._result_key(task_id)) if task_id else None
        fields = {"first_id": letter_id, "first_task": task_id, "first_result": _digest(before)}
        client.hset(PREFIX + batch.id, mapping=fields)

    def _look_at_first(self, batch: Batch) -> float:
        client = self._client()
        if any(each.earlier_id == batch.first_id for each in self._letters.read(client)):
            self._end(batch, "waiting", "failed", FAILED_AGAIN)
            return 0
        result = client.get(self._result_key(batch.first_task)) if batch.first_task else None
        if result and _digest(result) != decoded(client.hget(PREFIX + batch.id, "first_result") or b""):
            status = _status(result)
            if status == "SUCCESS":
                self._move(batch.id, "waiting", "running", is_open=True)
                return 0
            if status == "REVOKED":
                self._end(batch, "waiting", "failed", REVOKED)
        return WAIT_SECONDS


def _digest(result: bytes | None) -> str:
    """What a batch keeps of a result, which may quote an article: `forget` does not look in batches."""
    return hashlib.sha256(result or b"").hexdigest()


def _status(result: bytes) -> str:
    try:
        return str(json.loads(result)["status"])
    except (ValueError, LookupError, TypeError):
        return ""


def _batch(batch_id: str, raw: Mapping[Any, Any]) -> Batch:
    fields = {decoded(key): decoded(value) for key, value in raw.items()}
    return Batch(
        id=batch_id,
        action="discard" if fields["action"] == "discard" else "replay",
        by=fields["by"],
        signed_in=fields["signed_in"],
        chosen=json.loads(fields["chosen"]),
        created=datetime.fromtimestamp(float(fields["created"]), UTC),
        total=int(fields["total"]),
        state=fields["state"],  # type: ignore[arg-type]
        why=fields.get("why", ""),
        one_first=fields["one_first"] == "1",
        first_id=fields.get("first_id", ""),
        first_task=fields.get("first_task", ""),
        done=int(fields.get("done", 0)),
        gone=int(fields.get("gone", 0)),
        refused=int(fields.get("refused", 0)),
    )
