"""The page of `python -m contentworker top`, drawn for a terminal of any size, or a pipe."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from rich.cells import cell_len
from rich.console import Group, JustifyMethod, RenderableType
from rich.table import Table
from rich.text import Text

from contentworker.printable import counted, one_line
from contentworker.runtime.records.queue_state import LimitState
from contentworker.runtime.watching.overview import (
    Overview,
    QueueLine,
    WorkerState,
    age_text,
    pause_text,
    queue_lines,
)

__all__ = ["render"]

LINES_OF_A_TABLE = 2
"""Lines of a table beside its rows: a blank line and the head."""
LONGEST_TEXT = 200
NAME_WIDTH = 10
"""Columns that a name has at least."""
GAP = 2
"""Blanks between two columns."""
ID_SHOWN = 8
"""Characters of a task's id where the whole one has no place; the commands take so many, too."""
OLD_SECONDS = 10
"""Age of the workers' answer above which the page shows the age."""

BAD, CAREFUL, QUIET = "bold red", "yellow", "dim"


class _Column(NamedTuple):
    title: str
    is_name: bool = False
    """It may become narrower than its content, down to `NAME_WIDTH`."""
    is_number: bool = False


class _Section(NamedTuple):
    columns: Sequence[_Column]
    rows: Sequence[Sequence[Text]]
    if_empty: str
    busy: int
    """So many of the rows, which come first, are not idle."""

    @property
    def lines(self) -> int:
        """Lines for all rows."""
        return max(1, len(self.rows))

    @property
    def busy_lines(self) -> int:
        """Lines for the busy rows, and for "and N more" if there are others."""
        return min(len(self.rows), self.busy + 1) if self.busy else 0

    def widths(self) -> list[int]:
        """Width of each column's content."""
        cells = [
            [column.title for column in self.columns],
            *([cell.plain for cell in row] for row in self.rows),
        ]
        return [max(map(cell_len, column)) for column in zip(*cells, strict=True)]


def render(overview: Overview, width: int, height: int | None = None, keys: str = "") -> Group:
    """The page in at most `height` lines, the last of them `keys`.

    Rows that have no place are counted, idle ones before busy ones.
    """
    parts: list[RenderableType] = [*_head(overview)]
    running = _running(overview)
    if _total(running.widths()) > width:
        running = _running(overview, ID_SHOWN)
    sections = [_queues(overview), running, _workers(overview), _failures(overview)]
    if overview.state and overview.state.limits:
        sections.insert(1, _limits(overview.state.limits))
    if height is None:
        shown, given = sections, [section.lines for section in sections]
    else:
        lines = height - len(parts) - bool(keys)
        shown = _fitting(lines, sections)
        lines -= LINES_OF_A_TABLE * len(shown)
        given = _share(lines, [section.busy_lines for section in shown])
        rest = [section.lines - number for section, number in zip(shown, given, strict=True)]
        more = _share(lines - sum(given), rest)
        given = [sum(both) for both in zip(given, more, strict=True)]
    for section, number in zip(shown, given, strict=True):
        if number > 0:
            parts += [Text(), *_table(section, number, width)]
    if keys:
        left = ", ".join(section.columns[0].title.lower() for section in sections if section not in shown)
        parts.append(_line(f"{keys}   no place for: {left}" if left else keys, QUIET))
    return Group(*parts)


def _fitting(lines: int, sections: Sequence[_Section]) -> list[_Section]:
    """The sections that have place for a row; the last ones, and idle ones before busy ones, are left out."""
    shown = [*sections]
    while shown and lines < (LINES_OF_A_TABLE + 1) * len(shown):
        idle = [section for section in shown if not section.busy]
        shown.remove((idle or shown)[-1])
    return shown


def _share(lines: int, wanted: Sequence[int]) -> list[int]:
    """Give out lines one by one, in turn, to the tables that want more."""
    given = [0] * len(wanted)
    while lines > 0 and given != list(wanted):
        for place, number in enumerate(wanted):
            if given[place] < number and lines > 0:
                given[place] += 1
                lines -= 1
    return given


def _total(widths: Sequence[int]) -> int:
    return sum(widths) + GAP * (len(widths) - 1)


def _narrowed(section: _Section, width: int) -> list[int]:
    """Widths of the columns: as their content is; if that is too wide, the widest names are cut."""
    widths = section.widths()
    while _total(widths) > width:
        names = [place for place, column in enumerate(section.columns) if column.is_name]
        widest = max(names, key=lambda place: widths[place])
        if widths[widest] <= NAME_WIDTH:
            break  # the terminal is very narrow: rich cuts every column
        widths[widest] -= 1
    return widths


def _table(section: _Section, number: int, width: int) -> Iterator[RenderableType]:
    """The head and up to that many rows; the last one may be a count of the rows that do not fit."""
    table = Table(box=None, pad_edge=False, padding=(0, GAP, 0, 0), header_style="bold")
    for column, wide in zip(section.columns, _narrowed(section, width), strict=True):
        justify: JustifyMethod = "right" if column.is_number else "left"
        table.add_column(column.title, justify=justify, width=wide, no_wrap=True, overflow="ellipsis")
    rows = section.rows if len(section.rows) <= number else section.rows[: number - 1]
    for row in rows:
        table.add_row(*row)
    yield table
    if not section.rows:
        yield _line(section.if_empty, QUIET)
    elif left := len(section.rows) - len(rows):
        yield _line(f"and {left} more", QUIET)


def _head(overview: Overview) -> Iterator[Text]:
    yield _line(f"Content Worker  {overview.at:%H:%M:%S} UTC", "bold")
    away, state = overview.away, overview.state
    if away is not None:
        then = "; what follows is older" if state else ""
        seconds = (overview.at - away.since).total_seconds()
        yield _line(f"Redis cannot be read since {away.since:%H:%M:%S} UTC, {age_text(seconds)}{then}", BAD)
        yield _line(_clean(away.reason), BAD)
    if state is None:
        yield _line("nothing is known yet", QUIET)
        return
    line = _line(f"{sum(queue.ready for queue in state.queues)} ready  {_running_number(overview)} running  ")
    if overview.transport == "leased":
        line.append(f"{counted(state.leases, 'lease')}  ")
    line.append(counted(state.dead_letters, "dead letter"), BAD if state.dead_letters else "")
    if state.revocations:
        line.append(f"  {state.revocations} revoked")
    if overview.cap_per_day or overview.spent_today:
        cap = f" of {overview.cap_per_day:g}" if overview.cap_per_day else ""
        line.append(f"  {overview.spent_today:.2f}{cap} spent today")
    yield line
    yield _rates(overview)
    if overview.paused_schedules:
        paused = (f"{name} {pause_text(pause)}" for name, pause in overview.paused_schedules.items())
        yield _line(f"schedules: {_clean('; '.join(paused))}", CAREFUL)
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
    if rates.duplicates:
        line.append(f"  {rates.duplicates:.1f} duplicates")
    line.append(f"  (of {rates.seconds:.0f} s)", QUIET)
    return line


def _unknown(overview: Overview) -> Iterator[str]:
    """What the page cannot say."""
    quiet = sum(worker.queues is None for worker in overview.workers)
    if quiet:
        yield f"workers without signs of life, as [metrics] is off there: {quiet}; their queues are not known"
    if overview.state and overview.state.delayed_uncounted:
        yield f"delayed messages whose queues are not counted: {overview.state.delayed_uncounted}"
    if overview.transport == "plain":
        yield "delayed and held are not known: workers of the plain transport keep them in memory"


def _queues(overview: Overview) -> _Section:
    numbers = (_Column(title, is_number=True) for title in ("READY", "DELAYED", "HELD", "OLDEST", "WORKERS"))
    columns = [_Column("QUEUE", is_name=True), *numbers, _Column("STATE")]
    in_memory = overview.transport == "plain"
    lines = queue_lines(overview)
    rows = []
    for line in lines:
        queue = line.queue
        rows.append(
            [
                Text(_clean(queue.queue)),
                Text(str(queue.ready), BAD if queue.ready and line.is_unserved else ""),
                *(Text("?" if in_memory else str(number)) for number in (queue.delayed, queue.held)),
                Text(age_text(queue.oldest_message_seconds)),
                Text(str(line.workers) if line.all_known else f"{line.workers} or more"),
                _queue_state(line),
            ]
        )
    return _Section(columns, rows, "not read yet", sum(any(line.business) for line in lines))


def _limits(limits: Sequence[LimitState]) -> _Section:
    """The limits that are in use at the moment."""
    numbers = (_Column(title, is_number=True) for title in ("TAKEN", "WAITING"))
    columns = [_Column("LIMIT", is_name=True), *numbers]
    rows = [_texts(limit.limit, str(limit.taken), str(limit.waiting)) for limit in limits]
    return _Section(columns, rows, "none", len(rows))


def _queue_state(line: QueueLine) -> Text:
    if line.is_unserved:
        return Text("no worker", BAD)
    if line.queue.is_paused:
        return Text(pause_text(line.queue.pause), CAREFUL)
    return Text("served" if line.workers else "?")


def _workers(overview: Overview) -> _Section:
    numbers = (_Column(title, is_number=True) for title in ("RUNNING", "SIGN OF LIFE"))
    columns = [_Column("WORKER", is_name=True), _Column("QUEUES", is_name=True), *numbers]
    rows = []

    def business(worker: WorkerState) -> tuple[bool, bool, int]:
        return worker.is_silent, worker.running is None, worker.running or 0

    for worker in sorted(overview.workers, key=business, reverse=True):
        queues = "?" if worker.queues is None else _clean(", ".join(worker.queues))
        running = Text("?" if overview.running is None else "no answer", CAREFUL)
        if worker.running is not None:
            running = Text(f"{worker.running} of {worker.slots}" if worker.slots else str(worker.running))
        age = worker.sign_age_seconds
        sign = Text("none" if age is None else f"{age_text(age)} ago", BAD if worker.is_silent else "")
        rows.append([Text(_clean(worker.name)), Text(queues), running, sign])
    return _Section(columns, rows, "none known", sum(any(business(worker)) for worker in overview.workers))


def _running(overview: Overview, id_characters: int = LONGEST_TEXT) -> _Section:
    age = overview.asked_seconds
    is_old = age is not None and age > OLD_SECONDS
    title = f"RUNNING {age_text(age).upper()} AGO" if is_old else "RUNNING TASK"
    columns = [
        *(_Column(title, is_name=True), _Column("ID")),
        *(_Column("QUEUE", is_name=True), _Column("FOR", is_number=True)),
    ]
    rows = [
        _texts(running.task, running.task_id[:id_characters], running.queue, age_text(running.seconds))
        for running in overview.running or ()
    ]
    if_empty = "not known" if age is None else f"none, when asked {age_text(age)} ago"
    return _Section(columns, rows, if_empty, len(rows))


def _failures(overview: Overview) -> _Section:
    columns = [
        *(_Column("DEAD LETTER", is_name=True), _Column("QUEUE", is_name=True)),
        *(_Column("REASON"), _Column("WHEN", is_number=True)),
    ]
    rows = [
        _texts(
            *(failure.task or "?", failure.queue, failure.reason),
            f"{age_text((overview.at - failure.arrived).total_seconds())} ago",
        )
        for failure in overview.failures
    ]
    return _Section(columns, rows, "none" if overview.state else "not read yet", len(rows))


def _texts(*texts: str) -> list[Text]:
    return [Text(_clean(text)) for text in texts]


def _clean(text: str) -> str:
    return one_line(text[:LONGEST_TEXT])
