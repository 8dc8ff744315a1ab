"""Stops a run, and removes an article: waiting messages, dead letters, results, records of escalations."""

import json
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from kombu.transport.redis import PRIORITY_STEPS, Channel

from contentworker import config
from contentworker.articles import steps
from contentworker.articles.outcome import find_run, open_runs
from contentworker.editorial.escalations.result import Forgotten
from contentworker.errors import ContentWorkerError
from contentworker.printable import decoded
from contentworker.runtime import environment
from contentworker.runtime.records import dead_letters, parked
from contentworker.runtime.records.runs import Run
from contentworker.runtime.transport.keys import DELAYED, LEASES, held_key
from contentworker.runtime.transport.stored import call_in, message_in

if TYPE_CHECKING:
    from contentworker.editorial.escalations.store import Store

__all__ = [
    "CANCELLED",
    "EndedError",
    "NoRunError",
    "Removed",
    "cancel",
    "escalate_instead",
    "forget",
    "forget_records",
    "record_ids",
]

FORGET_SECONDS = 30.0
"""Longest wait for tasks that run: when they end they write about the article again."""
CANCEL_SECONDS = 2.0
"""Longest wait for tasks that may just be sending a run's next step; they take milliseconds."""
POLL_SECONDS = 0.1
MOVING = "tasks.pipeline."
"""Beginning of the names of the tasks that move runs on and send their steps; the steps send nothing."""
ESCALATE = "tasks.escalation.escalate_to_human"
FIRST_ARGUMENT = (steps.PROCESS, ESCALATE, "tasks.escalation.settle")
"""Tasks whose first positional argument is the id of the article or of its record."""
ABOUT = ("run_id", "article_id", "escalation_id")
"""Headers and arguments that say which article a message is about."""
RESULTS = "celery-task-meta-"
CANCELLED = "cancelled"
"""Last step of a run that was stopped, and the reason of the escalation for it."""


class NoRunError(ContentWorkerError):
    """There is no such run (any more)."""


class EndedError(ContentWorkerError):
    """The run has ended otherwise."""


class Removed(NamedTuple):
    """How much was removed."""

    runs: int
    messages: int
    dead_letters: int
    results: int
    still_running: int
    """Tasks that ran on when the time was over: what they write stays."""


def forget(
    client: Any, article_id: str, wait_seconds: float | None = None, record_ids: Iterable[str] = ()
) -> Removed:
    """Remove an article's runs, messages, dead letters and results; wait for its tasks that run.

    `record_ids` are those of its escalations: a message that settles one may hold the text without the
    article's id.
    """
    runs, run_ids, names = open_runs(client), set[str](), {article_id, *record_ids}

    def remove_runs_and_waiting() -> int:
        # The runs first, so that a task that ends now moves nothing on.
        for run_id in runs.of(article_id):
            runs.delete(run_id, article_id)
            run_ids.add(run_id)
        names.update(run_ids)
        return _remove_waiting(client, lambda raw: _is_about(raw, names))

    messages = remove_runs_and_waiting()
    deadline = time.monotonic() + (FORGET_SECONDS if wait_seconds is None else wait_seconds)
    while (running := sum(1 for _ in _held(client, names))) and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)
        messages += remove_runs_and_waiting()
    # Right before it ends, a task may send a message, and `process_content` begin a run.
    messages += remove_runs_and_waiting()
    letters = _discard_letters(client, names)
    results = _delete_results(client, names, run_ids)
    return Removed(len(run_ids), messages, letters, results, running)


def record_ids(article_id: str) -> list[str]:
    """Ids of an article's records of escalations, for `forget`."""
    with _store() as store:
        return store.ids_of(article_id) if store else []


def forget_records(article_id: str) -> Forgotten:
    """Remove an article's records of escalations, after `forget`: a task that ran may have made one."""
    with _store() as store:
        return store.forget(article_id) if store else Forgotten()


@contextmanager
def _store() -> "Iterator[Store | None]":
    """The records; None if there are none yet."""
    # Here, because `forgetting` is imported where no database is needed.
    from contentworker.editorial.escalations.opening import missing_file, open_store

    place = config.load().escalations, environment.folder(config.ROOT)
    if missing_file(*place):
        yield None
        return
    store = open_store(*place)
    try:
        yield store
    finally:
        store.close()


def cancel(client: Any, run_id: str) -> tuple[Run, int]:
    """Stop a run, also one that was cancelled before; return it, and how many messages were removed.

    A step that runs goes on to its end, which moves nothing any more.

    Raises:
        NoRunError: there is no such run.
        EndedError: it has ended otherwise.
    """
    runs = open_runs(client)
    run = find_run(client, run_id)
    if run is None:
        raise NoRunError(f"{run_id}: there is no such run (any more)")
    while run and not run.is_final:
        runs.move(run_id, run.step, CANCELLED)  # fails if a task moves the run at this moment
        run = runs.find(run_id)
    if run is None or run.step != CANCELLED:
        raise EndedError(f"{run_id}: has already ended: {run.step if run else 'forgotten'}")
    removed = _remove_steps(client, run_id)
    # A task may have moved the run right before, and sends the step's message only now.
    deadline = time.monotonic() + CANCEL_SECONDS
    names = {run_id, run.subject}
    holders = [held_key(decoded(name)) for name in client.hkeys(LEASES)]
    while any(_is_moving(raw) for raw in _held(client, names, holders)) and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)
    return run, removed + _remove_steps(client, run_id)


def escalate_instead(app: Any, run: Run) -> None:
    """Have a person asked about the article of a run that was cancelled. Sent again, it asks once."""
    arguments = {name: run.data["article"][name] for name in ("content", "media_type")}
    arguments |= {"article_id": run.subject, "reason": CANCELLED, "run_id": run.id}
    app.send_task(ESCALATE, kwargs=arguments)


def _remove_steps(client: Any, run_id: str) -> int:
    """Remove a run's waiting messages, but not the escalation that an earlier cancellation asked for."""

    def is_removed(raw: bytes) -> bool:
        call = call_in(raw) if _is_about(raw, {run_id}) else None
        return call is not None and call.kwargs.get("reason") != CANCELLED

    return _remove_waiting(client, is_removed)


def _is_moving(record: bytes) -> bool:
    call = call_in(message_in(record))
    return call is not None and str(call.headers.get("task")).startswith(MOVING)


def _remove_waiting(client: Any, is_removed: Callable[[bytes], bool]) -> int:
    """Remove those of the messages that no worker has taken; return their number."""
    removed = 0
    for queue in config.load().queues:
        for step in PRIORITY_STEPS:
            key = f"{queue}{Channel.sep}{step}" if step else queue
            for raw in client.lrange(key, 0, -1):
                if is_removed(raw):
                    removed += client.lrem(key, 1, raw)
    for record in client.zrange(DELAYED, 0, -1):
        if is_removed(message_in(record)):
            removed += client.zrem(DELAYED, record)
    return removed + parked.remove(client, is_removed)


def _held(client: Any, names: set[str], keys: Iterable[str] | None = None) -> Iterator[bytes]:
    """Messages about them that workers have taken: all workers, also dead ones, or those of these keys."""
    for key in client.scan_iter(match=held_key("*")) if keys is None else keys:
        for tag, record in client.hgetall(key).items():
            if tag[:1].isdigit() and _is_about(message_in(record), names):
                yield record


def _discard_letters(client: Any, names: set[str]) -> int:
    count = 0
    for letter_id, _, letter in list(dead_letters.read(client)):
        if isinstance(letter, dead_letters.DeadLetter) and _is_about(dead_letters.raw_message(letter), names):
            count += dead_letters.discard(client, letter_id)
    return count


def _delete_results(client: Any, names: set[str], run_ids: set[str]) -> int:
    """Delete the results of the runs' steps, by their ids, and every other result with one of the names."""
    keys = {f"{RESULTS}{task_id}".encode() for run_id in run_ids for task_id in steps.task_ids(run_id)}
    words = [json.dumps(name).encode() for name in names]
    for key in client.scan_iter(match=f"{RESULTS}*", count=1000):
        if client.type(key) == b"string" and any(word in (client.get(key) or b"") for word in words):
            keys.add(key)
    return sum(client.delete(key) for key in keys)


def _is_about(raw: bytes, names: set[str]) -> bool:
    """Whether a message has one of these ids of runs, articles and records in its headers or arguments."""
    call = call_in(raw)
    if call is None:  # a stranger's message
        return False
    named = [source.get(name) for source in (call.headers, call.kwargs) for name in ABOUT]
    named += call.args[:1] if call.headers.get("task") in FIRST_ARGUMENT else []
    return any(isinstance(each, str) and each in names for each in named)
