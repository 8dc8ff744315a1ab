"""Run tasks where the test runs, with neither Redis nor a worker: the fixture `inline`.

Unlike Celery's `task_always_eager`, each send is a real message: routed, written as JSON, checked and read
back as a worker does, and run by the worker's own request class. Only the ends differ: messages wait in a
list instead of Redis, results in a dictionary, and dead letters in a list.
"""

import importlib
import os
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any, NoReturn

import pytest
from celery import Celery
from celery.app import app_or_default
from celery.backends.base import KeyValueStoreBackend
from celery.exceptions import TaskRevokedError
from celery.result import denied_join_result
from celery.states import READY_STATES
from celery.worker.request import create_request_cls
from kombu.transport import virtual
from kombu.utils.json import dumps, loads

from contentworker import config
from contentworker.errors import did_you_mean
from contentworker.runtime.records.dead_letters import DeadLetter, parts_of
from contentworker.runtime.transport.messages import LeasedMessage
from contentworker.runtime.transport.stored import call_in
from contentworker.runtime.worker import admission, application
from contentworker.runtime.worker.request import TaskRequest

__all__ = ["Inline", "Sent", "entered"]

MOST_MESSAGES = 1000
"""Most messages that one send may lead to. More is a task that sends itself without end."""
WORKER_NAME = "inline@test"
NO_REDIS = (
    "the fixture `inline` has no Redis: {what} needs one. Use the fixture `worker` in this test, or replace "
    "what asks Redis (docs/testing.md)"
)


@dataclass(frozen=True, slots=True)
class Sent:
    """A message that was sent: by the test, by a task, or as a retry."""

    task: str
    queue: str
    args: list[Any]
    """Positional arguments as the worker gets them: after JSON."""
    kwargs: dict[str, Any]
    id: str
    retries: int
    """0 for a first try; 1 for the first retry."""
    delay_seconds: float | None
    """How long it would have waited in Redis; None if it was to run at once."""


class Inline:
    """What was sent, and what became of it.

    A task that is sent runs before the send returns; what it sends itself runs after it, in order. Delays and
    retries do not wait. Results are read as always: `result.get()`.
    """

    def __init__(self, app: Celery) -> None:
        self.app = app
        """For code that sends by an application of its own: give it this one."""
        self.sent: list[Sent] = []
        """All messages, in the order in which they were sent."""
        self.dead_letters: list[DeadLetter] = []
        """What failed for good: `dead_letters[0].reason`."""
        self._waiting: deque[tuple[str, str]] = deque()
        self._is_held = self._is_running = False
        self._delay: float | None = None

    def hold(self) -> None:
        """From now on, what is sent waits for `drain()`: to see what is sent without running it."""
        self._is_held = True

    def drain(self) -> None:
        """Run what waits, and what that sends, until nothing waits."""
        if self._is_running:  # a task sends: after it
            return
        self._is_running = True
        try:
            for _ in range(MOST_MESSAGES):
                if not self._waiting:
                    return
                self._run(*self._waiting.popleft())
            last = self.sent[-1].task
            _misuse(f"still not done after {MOST_MESSAGES} messages; the last was for {last}")
        finally:
            self._is_running = False

    def send(self, name: str, *args: Any, countdown: float | None = None, **options: Any) -> Any:
        """Send as the application does, then run; a name that no task has fails the test."""
        if name not in self.app.tasks:
            _misuse(f"there is no task {name!r}{did_you_mean(name, self.app.tasks)}")
        outer, self._delay = self._delay, countdown
        options["unique"] = False  # its locks are in Redis
        try:
            result = type(self.app).send_task(self.app, name, *args, countdown=countdown, **options)
        finally:
            self._delay = outer
        if not self._is_held:
            self.drain()
        return result

    def accept(self, queue: str, message: Any) -> None:
        """Take a message from the channel. It is JSON from here on, as in Redis."""
        text = dumps(message)
        self._waiting.append((queue, text))
        call = call_in(text.encode())
        headers = message.get("headers") or {}
        self.sent.append(
            Sent(
                task=str(headers.get("task")),
                queue=queue,
                args=call.args if call else [],
                kwargs=call.kwargs if call else {},
                id=str(headers.get("id")),
                retries=headers.get("retries") or 0,
                delay_seconds=_seconds_until(headers.get("eta")) if self._delay is None else self._delay,
            )
        )

    def _run(self, queue: str, text: str) -> None:
        """What a worker does with a message."""
        with self.app.connection_for_write() as connection, connection.channel() as channel:
            message = LeasedMessage(loads(text), channel=channel)
            message.accept = {admission.CONTENT_TYPE}
            try:
                _check_size(text, self.app.runtime_settings.limits.max_message_bytes)
                admission.check(message, self.app.tasks)
            except Exception as error:  # noqa: BLE001 (decoding may raise anything)
                self._refuse(message, error)
                return
            task = self.app.tasks[message.headers["task"]]
            kind = create_request_cls(_Request, task, self, WORKER_NAME, None, app=self.app)
            request = kind(
                message,
                app=self.app,
                hostname=WORKER_NAME,
                task=task,
                on_reject=partial(self._rejected, queue, text),
            )
            request.dead_letters = self.dead_letters
            with suppress(TaskRevokedError):  # it has expired, which is stored as its result
                request.execute_using_pool(self)

    def _rejected(self, queue: str, text: str, _logger: Any, _errors: Any, requeue: Any) -> None:
        if requeue:
            self._waiting.append((queue, text))

    def apply_async(
        self,
        run: Callable[..., Any],
        args: Any,
        accept_callback: Callable[..., Any],
        callback: Callable[..., Any],
        **_: Any,
    ) -> None:
        """Be the pool, as Celery calls it: run a request at once."""
        accept_callback(os.getpid(), time.monotonic())
        with denied_join_result():  # as in a worker: a task may not wait for another
            outcome = run(*args)
        callback(outcome)

    def _refuse(self, message: Any, error: Exception) -> None:
        headers = message.headers
        letter = DeadLetter(
            reason="invalid",
            error=f"{type(error).__name__}: {error}",
            task=str(headers.get("task", "")),
            task_id=str(headers.get("id", "")),
            worker=WORKER_NAME,
            **parts_of(message),
        )
        self.dead_letters.append(letter)
        self.app.backend.mark_as_failure(letter.task_id, error)


class _Request(TaskRequest):
    """The worker's request, whose dead letter is kept in a list."""

    dead_letters: list[DeadLetter]

    def keep_letter(self, letter: DeadLetter) -> bool:
        self.dead_letters.append(letter)
        return True


class _Channel(virtual.Channel):
    """Hands each message to the `Inline` of its application."""

    def _put(self, queue: str, message: Any, **_: Any) -> None:
        self.connection.client.transport_options["inline"].accept(queue, message)

    def _size(self, queue: str) -> int:
        return 0

    def _q_for_pri(self, queue: str, _priority: int) -> str:
        return queue


class Transport(virtual.Transport):
    """A transport without a server."""

    Channel = _Channel
    driver_type = driver_name = "inline"


class Results(KeyValueStoreBackend):
    """Results in a dictionary, written as they are in Redis."""

    supports_native_join = False
    implements_incr = True

    def __init__(self, app: Celery, **options: Any) -> None:
        super().__init__(app=app, **options)
        self._values: dict[Any, Any] = {}
        self.get = self._values.get

    def set(self, key: Any, value: Any) -> None:
        """Store a value, as text."""
        self._values[key] = value

    def delete(self, key: Any) -> None:
        """Forget a value."""
        self._values.pop(key, None)

    def incr(self, key: Any) -> int:
        """Count, for a chord."""
        self._values[key] = int(self._values.get(key, 0)) + 1
        return int(self._values[key])

    def expire(self, key: Any, value: Any) -> None:
        """Keep it: the test is over soon."""

    def wait_for(self, task_id: str, **_: Any) -> Any:
        """The end of a task, which has come or never will."""
        meta = self.get_task_meta(task_id)
        if meta["status"] not in READY_STATES:
            _misuse(
                f"the result of {task_id} would never come: the task has not run; call inline.drain() first"
            )
        return meta

    @property
    def client(self) -> NoReturn:
        """What tasks use Redis by."""
        _misuse(NO_REDIS.format(what="`app.backend.client`"))


@contextmanager
def entered() -> Iterator[Inline]:
    """Make an application with all tasks the current one, whose messages run here."""
    # The file and the environment as they are now: `config.load()` remembers those of the first call.
    app = application.build(config.load(environ=os.environ), "redis://inline.invalid")
    inline = Inline(app)
    app.conf.update(
        broker_url="inline://",
        broker_transport=Transport,
        broker_transport_options={"inline": inline},
        result_backend=f"{__name__}:{Results.__name__}",
    )
    app.send_task = inline.send
    app.connect_redis = lambda *_, **__: _misuse(NO_REDIS.format(what="`app.connect_redis`"))
    # Only a worker loads tasks, and this stands for one: the product itself sends them by name.
    importlib.import_module("tasks").load_all()
    app.finalize()
    before = app_or_default()
    _make_current(app)
    try:
        yield inline
    finally:
        _make_current(before)
        app.close()


def _make_current(app: Celery) -> None:
    app.set_current()
    app.set_default()  # of other threads, in which a web framework may run what sends


def _check_size(text: str, most: int) -> None:
    if (size := len(text.encode())) > most:
        raise ValueError(f"message: must be at most {most} bytes (limits.max_message_bytes), not {size}")


def _seconds_until(eta: str | None) -> float | None:
    return (datetime.fromisoformat(eta) - datetime.now(UTC)).total_seconds() if eta else None


def _misuse(message: str) -> NoReturn:
    """Fail the test at once, even from inside a task, whose errors would be retried."""
    pytest.fail(f"inline: {message}", pytrace=False)
