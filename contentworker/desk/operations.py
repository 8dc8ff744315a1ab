"""What operators see first: what needs them, queues, running tasks, workers, spending and schedules."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from urllib.parse import quote, urlencode

from redis.exceptions import RedisError
from starlette.responses import Response

from contentworker.desk.batching import Batch
from contentworker.desk.dead_letters import Cause, by_cause, noted
from contentworker.desk.machinery import Machinery
from contentworker.desk.web import Ask, Desk, Refused, page, to
from contentworker.desk.words import clock
from contentworker.printable import one_line
from contentworker.runtime.records import pauses
from contentworker.runtime.records.dead_letters import STREAM
from contentworker.runtime.records.spending import Spending
from contentworker.runtime.watching import schedules
from contentworker.runtime.watching.overview import (
    Away,
    Overview,
    QueueLine,
    age_text,
    pause_text,
    queue_lines,
)
from contentworker.runtime.watching.schedules import ScheduleLine

__all__ = ["Need", "State", "look", "numbers", "operations", "pause", "resume"]

BEHIND_SECONDS = 900.0
"""A queue whose next message waits longer is behind, as the alert ContentWorkerQueueBehind has it."""
LATE_SECONDS = 120.0
"""A schedule that is overdue for longer is late: beat looks once a minute at least."""
NEARLY = 0.95
"""This share of the day's cap counts as all of it: the next call may not fit."""
CAUSES_SHOWN = 5


@dataclass(frozen=True)
class Need:
    """Something that an operator should look at."""

    kind: str
    """A word or two."""
    text: str
    is_bad: bool = True
    """Whether work fails or stands still for it, though nobody wanted that."""
    link: str = ""
    """Where more of it is shown."""
    resume: str = ""
    """Where a pause can be ended: `queues/celery`."""
    name: str = ""
    """What would go on then."""


@dataclass(frozen=True)
class State:
    """Everything on the page."""

    overview: Overview
    queues: list[QueueLine]
    """The busiest first."""
    needs: list[Need]
    """The worst first."""
    schedules: list[ScheduleLine]
    breaker_open_seconds: float
    letters: int


def look(machinery: Machinery) -> State:
    """What is known now. If Redis is away, what was known before; `overview.away` says so."""
    overview = machinery.look()
    if overview.away is None and overview.state is not None:
        try:
            return _read(machinery, overview)
        except RedisError as error:  # since the overview was read
            overview = replace(overview, away=Away(datetime.now(UTC), str(error)))
    letters = overview.state.dead_letters if overview.state else 0
    return State(overview, queue_lines(overview), [], [], 0, letters)


def _read(machinery: Machinery, overview: Overview) -> State:
    client = machinery.client()
    machinery.schedules()
    overview = _with_pauses(overview, pauses.read(client))
    letters = machinery.letters.read(client)
    spending = Spending(client, machinery.settings.spending)
    state = State(
        overview=overview,
        queues=queue_lines(overview),
        needs=[],
        schedules=schedules.read(client, machinery.app, overview.at),
        breaker_open_seconds=spending.breaker_open_seconds(),
        letters=len(letters),
    )
    needs = [*_of_queues(state), *_of_letters(by_cause(letters), overview.at)]
    needs += [*_of_batches(machinery.batches.recent()), *_of_others(state)]
    return replace(state, needs=sorted(needs, key=lambda need: not need.is_bad))


def operations(ask: Ask) -> Response:
    """The page."""
    news = ask.desk.machinery.news()
    state = look(ask.desk.machinery)
    return page(
        ask, "operations.html", news=news, state=state, overview=state.overview, age=age_text, clock=clock,
        pause_text=pause_text, may_act=ask.may("operator"), in_memory=state.overview.transport == "plain",
    )  # fmt: skip


def numbers(desk: Desk) -> Mapping[str, float]:
    """How many letters there are, and when the overview last changed, while somebody looks at it."""
    return {
        "dead-letters.open": desk.machinery.client().xlen(STREAM),
        "operations.changed": desk.machinery.news(),
    }


def pause(ask: Ask) -> Response:
    """Pause a queue."""
    queue = _queue(ask)
    is_new = pauses.pause(ask.desk.machinery.client(), queue, ask.name)
    noted(ask, "queue.pause", queue, outcome="done" if is_new else "was paused already")
    return to("/operations")


def resume(ask: Ask) -> Response:
    """Resume a queue."""
    queue = _queue(ask)
    is_new = pauses.resume(ask.desk.machinery.client(), queue)
    noted(ask, "queue.resume", queue, outcome="done" if is_new else "was not paused")
    return to("/operations")


def _queue(ask: Ask) -> str:
    queue = ask.path["queue"]
    settings = ask.desk.machinery.settings
    if queue not in settings.queues:
        raise Refused(404, "There is no such queue", "Go back to the list.")
    if settings.broker.transport == "plain":
        raise Refused(400, "This queue cannot be paused", "Workers of the plain transport cannot be paused.")
    return queue


def _with_pauses(overview: Overview, paused: dict[str, pauses.Pause | None]) -> Overview:
    """The overview with the pauses of this very moment: it is read once a second."""
    if overview.state is None:
        return overview
    queues = tuple(
        replace(queue, is_paused=queue.queue in paused, pause=paused.get(queue.queue))
        for queue in overview.state.queues
    )
    return replace(overview, state=replace(overview.state, queues=queues))


def _of_queues(state: State) -> Iterator[Need]:
    for line in state.queues:
        queue = line.queue
        waits = f"{queue.ready:,} wait" if queue.ready else "nothing waits"
        if line.is_unserved and queue.ready:
            yield Need("No worker", f"{queue.queue}: no worker serves it; {waits}")
        if queue.is_paused:
            text = f"{queue.queue}: {pause_text(queue.pause)}; {waits}"
            yield Need("Paused", text, is_bad=False, resume=f"queues/{queue.queue}", name=queue.queue)
        elif not line.is_unserved and (queue.oldest_message_seconds or 0) > BEHIND_SECONDS:
            text = f"{queue.queue}: {waits}, the next one for {age_text(queue.oldest_message_seconds)}"
            yield Need("Behind", text)
    if idle := [line.queue.queue for line in state.queues if line.is_unserved and not line.queue.ready]:
        yield Need("No worker", f"{', '.join(idle)}: no worker, and nothing waits", is_bad=False)


def _of_letters(causes: Sequence[Cause], now: datetime) -> Iterator[Need]:
    for cause in causes[:CAUSES_SHOWN]:
        last = age_text((now - cause.last).total_seconds())
        what = one_line(f"{cause.task or 'no task'}, {cause.reason}")
        text = f"{cause.number:,} of {what}, since {clock(cause.first, now)}, the last {last} ago"
        yield Need("Failed", text, link=f"/dead-letters?{urlencode(cause.query)}")
    if more := causes[CAUSES_SHOWN:]:
        text = f"{sum(each.number for each in more):,} more, of {len(more)} other causes"
        yield Need("Failed", text, link="/dead-letters")


def _of_batches(batches: Sequence[Batch]) -> Iterator[Need]:
    for batch in batches:
        if batch.needs_care:
            yield Need("Batch", batch.in_words, is_bad=False, link=f"/batches/{batch.id}")


def _of_others(state: State) -> Iterator[Need]:
    overview = state.overview
    for worker in overview.workers:
        if worker.is_silent:
            yield Need(
                "Silent", f"{one_line(worker.name)}: no sign of life for {age_text(worker.sign_age_seconds)}"
            )
    if overview.cap_per_day and overview.spent_today >= NEARLY * overview.cap_per_day:
        spent = f"{overview.spent_today:.2f} of {overview.cap_per_day:g}"
        yield Need("Spent", f"{spent} today: paid calls beyond the cap are refused until 00:00 UTC")
    if state.breaker_open_seconds:
        text = f"too many paid calls have failed: none for {age_text(state.breaker_open_seconds)} more"
        yield Need("Breaker", text)
    for schedule in state.schedules:
        if schedule.is_enabled and schedule.is_paused:
            text = f"{schedule.name}: {pause_text(schedule.pause)}; its moments are skipped"
            place = f"schedules/{quote(schedule.name, safe='')}"
            yield Need("Paused", text, is_bad=False, resume=place, name=schedule.name)
        if schedule.next and (late := (overview.at - schedule.next).total_seconds()) > LATE_SECONDS:
            yield Need("Late", f"{schedule.name} was due {age_text(late)} ago: no beat runs")
