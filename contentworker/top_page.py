"""The page of `python -m contentworker top`: an overview, drawn for a terminal of any size, or a pipe."""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from contentworker.runtime.overview import Overview, WorkerState

__all__ = ["render"]

LINES_OF_A_TABLE = 2
"""Beside its rows: a blank line and its head."""
LONGEST_TEXT = 200
MANY_QUEUES = 12
"""More than so many come with the fullest first, else as worker.toml has them."""
NAME_WIDTH = 10
"""Columns that a name has in any case."""
NARROW = 100
"""Columns of a terminal below which a task's id has no place for all of itself."""
ID_SHOWN = 8
OLD_SECONDS = 10
"""An answer of the workers that is older than this is said to be."""

BAD, CAREFUL, QUIET = "bold red", "yellow", "dim"


class _Column(NamedTuple):
    title: str
    ratio: int = 0
    """Share of what is left; 0: as wide as its content."""
    is_number: bool = False


class _Section(NamedTuple):
    columns: Sequence[_Column]
    rows: Sequence[Sequence[Text]]
    if_empty: str


def render(overview: Overview, width: int, height: int | None = None) -> Group:
    """The page; in no more lines than `height`, and with "and N more" for what has no place."""
    head = [*_head(overview)]
    sections = [_queues(overview), _running(overview, width), _workers(overview), _failures(overview)]
    wanted = [max(1, len(section.rows)) for section in sections]
    given = wanted
    if height is not None:
        given = _share(height - len(head) - LINES_OF_A_TABLE * len(sections), wanted)
    parts: list[RenderableType] = [*head]
    for section, number in zip(sections, given, strict=True):
        if number > 0:
            parts += [Text(), _table(section, number)]
    return Group(*parts)


def _share(lines: int, wanted: Sequence[int]) -> list[int]:
    """Give out lines one by one, in turn, to whoever wants more."""
    given = [0] * len(wanted)
    while lines > 0 and given != list(wanted):
        for place, number in enumerate(wanted):
            if given[place] < number and lines > 0:
                given[place] += 1
                lines -= 1
    return given


def _table(section: _Section, number: int) -> Table:
    table = Table(box=None, expand=True, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for column in section.columns:
        table.add_column(
            column.title,
            justify="right" if column.is_number else "left",
            ratio=column.ratio or None,
            min_width=NAME_WIDTH if column.ratio else None,
            no_wrap=True,
            overflow="ellipsis",
        )
    rows = section.rows if len(section.rows) <= number else section.rows[: number - 1]
    for row in rows:
        table.add_row(*row)
    if not section.rows:
        table.add_row(Text(section.if_empty, QUIET))
    elif left := len(section.rows) - len(rows):
        table.add_row(Text(f"and {left} more", QUIET))
    return table


def _head(overview: Overview) -> Iterator[Text]:
    yield _line(f"Content Worker  {overview.at:%H:%M:%S} UTC", "bold")
    away, state = overview.away, overview.state
    if away is not None:
        then = "; what follows is older" if state else ""
        seconds = (overview.at - away.since).total_seconds()
        yield _line(f"Redis cannot be read since {away.since:%H:%M:%S} UTC, {_age(seconds)}{then}", BAD)
        yield _line(_clean(away.reason), BAD)
    if state is None:
        yield _line("nothing is known yet", QUIET)
        return
    line = _line(f"{sum(queue.ready for queue in state.queues)} ready  {_running_number(overview)} running  ")
    if overview.transport == "leased":
        line.append(f"{state.leases} leases  ")
    line.append(f"{state.dead_letters} dead letters", BAD if state.dead_letters else "")
    if overview.cap_per_day or overview.spent_today:
        cap = f" of {overview.cap_per_day:g}" if overview.cap_per_day else ""
        line.append(f"  {overview.spent_today:.2f}{cap} spent today")
    yield line
    yield _rates(overview)
    for note in _unknown(overview):
        yield _line(note, CAREFUL)


def _line(text: str, style: str = "") -> Text:
    return Text(text, style, no_wrap=True, overflow="ellipsis")


def _running_number(overview: Overview) -> str:
    return "?" if overview.running is None else str(len(overview.running))


def _rates(overview: Overview) -> Text:
    rates = overview.rates
    if rates is None:
        why = "not known yet" if overview.is_measured else "not known, as [metrics] is off"
        return _line(f"tasks a second: {why}", QUIET)
    line = _line(f"tasks a second: {rates.done:.1f} done  ")
    line.append(f"{rates.failed:.1f} failed", BAD if rates.failed else "")
    line.append(f"  {rates.retried:.1f} to be retried")
    line.append(f"  (of {rates.seconds:.0f} s)", QUIET)
    return line


def _unknown(overview: Overview) -> Iterator[str]:
    """What the page cannot say."""
    quiet = sum(worker.queues is None for worker in overview.workers)
    if quiet:
        yield f"{quiet} workers give no signs, as [metrics] is off there: their queues are not known"
    if overview.state and overview.state.delayed_uncounted:
        yield f"{overview.state.delayed_uncounted} more delayed messages, of whichever queue"
    if overview.transport == "plain":
        yield "delayed and held are not known: workers of the plain transport keep them in their memory"


def _queues(overview: Overview) -> _Section:
    columns = [
        _Column("QUEUE", ratio=1),
        *(_Column(title, is_number=True) for title in ("READY", "DELAYED", "HELD", "OLDEST", "WORKERS")),
        _Column("STATE"),
    ]
    served = Counter(
        queue for worker in overview.workers if not worker.is_silent for queue in worker.queues or ()
    )
    all_known = overview.is_measured and all(worker.queues is not None for worker in overview.workers)
    in_memory = overview.transport == "plain"
    queues = overview.state.queues if overview.state else ()
    if len(queues) > MANY_QUEUES:
        queues = tuple(sorted(queues, key=lambda queue: -queue.ready))
    rows = []
    for queue in queues:
        workers = served[queue.queue]
        is_unserved = not workers and all_known
        rows.append(
            [
                Text(_clean(queue.queue)),
                Text(str(queue.ready), BAD if queue.ready and is_unserved else ""),
                Text("?" if in_memory else str(queue.delayed)),
                Text("?" if in_memory else str(queue.held)),
                Text(_age(queue.oldest_message_seconds)),
                Text(str(workers) if all_known else f"{workers} or more"),
                _queue_state(queue.is_paused, bool(workers), is_unserved),
            ]
        )
    return _Section(columns, rows, "not read yet")


def _queue_state(is_paused: bool, is_served: bool, is_unserved: bool) -> Text:
    if is_unserved:
        return Text("no worker", BAD)
    if is_paused:
        return Text("paused", CAREFUL)
    return Text("served" if is_served else "?")


def _workers(overview: Overview) -> _Section:
    columns = [
        _Column("WORKER", ratio=3),
        _Column("QUEUES", ratio=2),
        _Column("RUNNING", is_number=True),
        _Column("SIGN OF LIFE", is_number=True),
    ]
    rows = [
        [
            Text(_clean(worker.name)),
            Text("?" if worker.queues is None else _clean(", ".join(worker.queues))),
            _answer(worker, overview),
            Text(
                "none" if worker.sign_age_seconds is None else f"{_age(worker.sign_age_seconds)} ago",
                BAD if worker.is_silent else "",
            ),
        ]
        for worker in overview.workers
    ]
    return _Section(columns, rows, "none that is known")


def _answer(worker: WorkerState, overview: Overview) -> Text:
    if worker.running is not None:
        return Text(str(worker.running))
    return Text("?" if overview.running is None else "no answer", CAREFUL)


def _running(overview: Overview, width: int) -> _Section:
    age = overview.asked_seconds
    is_old = age is not None and age > OLD_SECONDS
    columns = [
        _Column(f"RUNNING {_age(age).upper()} AGO" if is_old else "RUNNING TASK", ratio=2),
        _Column("ID"),
        _Column("QUEUE", ratio=1),
        _Column("FOR", is_number=True),
    ]
    shown = ID_SHOWN if width < NARROW else LONGEST_TEXT
    rows = [
        [
            Text(_clean(running.task)),
            Text(_clean(running.task_id[:shown])),
            Text(_clean(running.queue)),
            Text(_age(running.seconds)),
        ]
        for running in overview.running or ()
    ]
    return _Section(columns, rows, "not known" if age is None else f"none, when asked {_age(age)} ago")


def _failures(overview: Overview) -> _Section:
    columns = [
        _Column("DEAD LETTER", ratio=2),
        _Column("QUEUE", ratio=1),
        _Column("REASON"),
        _Column("WHEN", is_number=True),
    ]
    rows = [
        [
            Text(_clean(failure.task) or "?"),
            Text(_clean(failure.queue)),
            Text(_clean(failure.reason)),
            Text(f"{_age((overview.at - failure.arrived).total_seconds())} ago"),
        ]
        for failure in overview.failures
    ]
    return _Section(columns, rows, "none" if overview.state else "not read yet")


def _age(seconds: float | None) -> str:
    if seconds is None:
        return ""
    for size, unit in ((86_400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{max(0.0, seconds):.0f} s"


def _clean(text: str) -> str:
    """Names come from whoever sends: nothing in them may steer the terminal."""
    return "".join(char if char.isprintable() else "?" for char in text[:LONGEST_TEXT])
