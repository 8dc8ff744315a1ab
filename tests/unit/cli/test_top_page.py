"""The page of `top`, drawn from overviews that are made up."""

import io
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from rich.console import Console

from contentworker.cli.top_page import render
from contentworker.runtime.records.pauses import Pause
from contentworker.runtime.records.queue_state import LimitState, QueueState, State
from contentworker.runtime.watching.overview import Away, Failure, Overview, Rates, Running, WorkerState

NOW = datetime(2026, 11, 28, 12, 0, 0, tzinfo=UTC)
TASK_ID = "75bc3c99-7ffe-4a45-9358-1655256df43e"
EMPTY = Overview(
    at=NOW,
    transport="leased",
    is_measured=True,
    away=None,
    state=None,
    workers=(),
    running=None,
    asked_seconds=None,
    rates=None,
    failures=(),
    paused_schedules={},
    spent_today=0,
    cap_per_day=0,
)


def overview(number: int) -> Overview:
    """So many of each."""
    return replace(
        EMPTY,
        state=State(
            queues=tuple(
                QueueState(f"queue-{i}", 7 * i, 3, 2, 150.0 if i else None, i == 1) for i in range(number)
            ),
            leases=number,
            dead_letters=number,
            delayed_uncounted=0,
        ),
        workers=tuple(
            WorkerState(f"queue-{i}@host", (f"queue-{i}",), 1.0, 1 if i % 2 else None) for i in range(number)
        ),
        running=tuple(Running("tasks.rewrite.it", TASK_ID, "rewrite", "w", 45.0) for _ in range(number)),
        asked_seconds=2.0,
        rates=Rates(12.1, 0.3, 0, 30),
        failures=tuple(
            Failure(NOW - timedelta(hours=3), "tasks.evaluation.it", "evaluation", "time limit")
            for _ in range(min(number, 10))
        ),
    )


def lines_of(shown: Overview, width: int = 120, height: int | None = None, keys: str = "") -> list[str]:
    """The page as it is in a pipe."""
    file = io.StringIO()
    Console(file=file, width=width, highlight=False).print(render(shown, width, height, keys))
    return file.getvalue().splitlines()


def words_of(lines: list[str], beginning: str) -> list[str]:
    """The words of the line that begins so."""
    (found,) = [line for line in lines if line.startswith(beginning)]
    return found.split()


@pytest.mark.parametrize(
    ("number", "width", "height"),
    [
        (number, width, height)
        for width, height in ((80, 24), (60, 20), (200, 60), (40, 12))
        for number in (0, 3, 2000 if width == 80 else 200)
    ],
)
def test_it_fits(number: int, width: int, height: int) -> None:
    """Into every terminal, whatever there is to show; what has no place is counted."""
    away = Away(NOW - timedelta(seconds=80), "Error 111 connecting to 127.0.0.1:6379. Connection refused.")
    for shown in (overview(number), replace(overview(number), away=away)):
        lines = lines_of(shown, width, height)
        assert len(lines) <= height
        assert max(map(len, lines)) <= width
        if number == 2000:
            assert sum("and 199" in line for line in lines) == 3
            assert words_of(lines, "queue-1999")[1] == "13993"  # the fullest first


def test_nothing_busy_is_hidden_while_something_idle_is_shown() -> None:
    """The busiest come first; idle rows give way, in every table; keys have the last line."""
    queues = tuple(QueueState(f"idle-{i}", 0, 0, 0, None, is_paused=False) for i in range(8))
    busy = QueueState("busy", 0, 0, 9, None, is_paused=False)
    fuller = QueueState("fuller", 12, 0, 1, 3.0, is_paused=False)
    workers = tuple(WorkerState(f"a-idle-{i}@host", ("busy",), 1.0, 0) for i in range(8))
    shown = replace(
        overview(1),
        state=State((*queues, busy, fuller), leases=9, dead_letters=0, delayed_uncounted=0),
        workers=(*workers, WorkerState("z-busy@host", ("busy", *(each.queue for each in queues)), 1.0, 4)),
        running=tuple(Running("tasks.rewrite.it", TASK_ID, "busy", "w", 45.0) for _ in range(4)),
        failures=(),
    )
    assert [line.split()[0] for line in lines_of(shown)[5:8]] == ["fuller", "busy", "idle-0"]
    lines = lines_of(shown, 80, 24, "q quit")
    assert len(lines) == 24
    assert lines[-1] == "q quit"
    first = [line.split()[0] for line in lines if line]
    assert first.count("tasks.rewrite.it") == 4
    assert {"fuller", "busy", "z-busy@host"} <= set(first)
    assert len({"and 8 more", "and 7 more"} & set(lines)) > 0
    lines = lines_of(shown, 80, 9, "q quit")
    assert "tasks.rewrite.it" not in "".join(lines)
    assert lines[-1] == "q quit   no place for: running task, worker, dead letter"


def test_columns_are_as_wide_as_their_content() -> None:
    """At 200 columns nothing is stretched; at 80 an id is cut before a name is."""
    shown = replace(
        overview(2), running=(Running("tasks.rewrite." + "x" * 40, TASK_ID, "rewrite", "w", 4.0),)
    )
    assert max(map(len, lines_of(shown, 200))) < 120
    (line,) = [line for line in lines_of(shown, 80) if "tasks.rewrite.xx" in line]
    assert line.split() == ["tasks.rewrite." + "x" * 40, TASK_ID[:8], "rewrite", "4", "s"]
    (line,) = [line for line in lines_of(shown, 60) if "tasks.rewrite.xx" in line]
    assert line.split()[0].endswith("x…")
    assert line.split()[1:] == [TASK_ID[:8], "rewrite", "4", "s"]


def test_a_pipe_gets_all_of_it() -> None:
    """Rows and ids, with the counts and ages."""
    lines = lines_of(overview(20))
    assert "and" not in {line.split()[0] for line in lines if line.split()}
    assert words_of(lines, "queue-2 ") == ["queue-2", "14", "3", "2", "2", "min", "1", "served"]
    assert words_of(lines, "queue-1 ")[-1] == "paused"
    assert "no answer" in " ".join(words_of(lines, "queue-0@host"))
    assert any(TASK_ID in line and line.rstrip().endswith("45 s") for line in lines)
    assert "tasks a second: 12.1 done  0.3 failed  0.0 to be retried  (of 30 s)" in lines
    assert "1330 ready  20 running  20 leases  20 dead letters" in lines
    assert lines[-1].split() == ["tasks.evaluation.it", "evaluation", "time", "limit", "3", "h", "ago"]


def test_nothing_is_known() -> None:
    """Before the first look, and where Redis has never answered: it says so."""
    assert "nothing is known yet" in lines_of(EMPTY)
    lines = lines_of(replace(EMPTY, away=Away(NOW - timedelta(seconds=62), "Connection refused")))
    assert "Redis cannot be read since 11:58:58 UTC, 62 s" in lines
    assert "Connection refused" in lines


def test_redis_is_away() -> None:
    """What was known stays on the page, as such; so does what was asked long ago."""
    shown = replace(overview(2), away=Away(NOW - timedelta(seconds=180), "gone"), asked_seconds=183.0)
    lines = lines_of(shown)
    assert "Redis cannot be read since 11:57:00 UTC, 3 min; what follows is older" in lines
    assert words_of(lines, "RUNNING")[:4] == ["RUNNING", "3", "MIN", "AGO"]


def test_a_queue_without_a_worker() -> None:
    """Is said; a silent worker is none."""
    shown = overview(2)
    silent = WorkerState("queue-1@host", ("queue-1",), 40.0, None)
    lines = lines_of(replace(shown, workers=(silent, shown.workers[0])))
    assert words_of(lines, "queue-1 ")[-3:] == ["0", "no", "worker"]
    assert words_of(lines, "queue-0 ")[-2:] == ["1", "served"]


def test_workers_that_give_no_signs() -> None:
    """Of them it is not known which queues they serve: no queue is said to have no worker."""
    shown = replace(overview(1), workers=(WorkerState("a@host", None, None, 3),), rates=None)
    lines = lines_of(shown)
    assert any(
        line.startswith("workers without signs of life, as [metrics] is off there: 1;") for line in lines
    )
    assert words_of(lines, "queue-0 ")[-4:] == ["0", "or", "more", "?"]
    assert words_of(lines, "a@host") == ["a@host", "?", "3", "none"]
    assert "tasks a second: not known yet" in lines
    assert "tasks a second: not known, as [metrics] is off" in lines_of(replace(shown, is_measured=False))


def test_plain_transport() -> None:
    """What lies in its workers' memory is not known."""
    lines = lines_of(replace(overview(1), transport="plain"))
    assert words_of(lines, "queue-0 ")[:4] == ["queue-0", "0", "?", "?"]
    assert any("workers of the plain transport keep them in memory" in line for line in lines)


def test_money() -> None:
    """Is shown where some is spent, or a cap is set."""
    assert not any("spent" in line for line in lines_of(overview(1)))
    assert any(
        "1.23 of 5 spent today" in line
        for line in lines_of(replace(overview(1), spent_today=1.23, cap_per_day=5))
    )


def test_names_cannot_steer_the_terminal() -> None:
    """Nor is anything in them taken for a colour."""
    name = "tasks.[red]evil\x1b[2J\r\n" + "x" * 500
    shown = replace(overview(1), running=(Running(name, "\x07id", "q\x1b", "w", 1.0),))
    text = "\n".join(lines_of(shown, 300))
    assert r"tasks.[red]evil\x1b[2J\r\nxxx" in text
    assert not {"\x1b", "\x07", "\r"} & set(text)


def test_paused_schedules_are_named() -> None:
    """Who paused each, and when; no line if there is none."""
    since = Pause("ana", NOW - timedelta(hours=1))
    shown = lines_of(replace(overview(1), paused_schedules={"purge": since, "weekly": None}))
    assert "schedules: purge paused by ana, 28 Nov 11:00; weekly paused" in "\n".join(shown)
    assert "schedules" not in "\n".join(lines_of(overview(1)))


def test_limits_in_use_have_a_table() -> None:
    """Places taken and messages waiting; without a limit in use there is no table."""
    state = overview(1).state
    assert state
    limited = replace(overview(1), state=replace(state, limits=(LimitState("customer", 2, 7),)))
    assert words_of(lines_of(limited), "customer") == ["customer", "2", "7"]
    assert not any("LIMIT" in line for line in lines_of(overview(1)))
