"""Scores and verdicts on a terminal. No other module imports Rich."""

from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from contentworker.editorial.aeo import AeoScore
from contentworker.editorial.detector import Detection
from contentworker.editorial.document import Document
from contentworker.printable import one_line

__all__ = ["render", "render_detection", "render_excluded"]

# The lowest score of each verdict. The word tells it without colour as well.
_VERDICTS = (
    (80, "ready", "green"),
    (60, "nearly ready", "yellow"),
    (40, "needs work", "dark_orange"),
    (0, "not ready", "red"),
)
_BAR_CELLS = 12
_SCORE_BAR_CELLS = 40
_MOST_RECOMMENDATIONS = 5


def render(score: AeoScore, *, name: str, source: str, console: Console) -> None:
    """Print a score.

    Args:
        score: What to print.
        name: The name of the article.
        source: The text that the article was parsed from: the score's offsets become its line numbers.
        console: Where to print.
    """
    below: list[RenderableType] = [_criteria(score)]
    if score.penalties or score.caps:
        below.append(_deductions(score))
    if score.recommendations:
        below.append(_recommendations(score, _line_starts(source)))
    if score.warnings:
        below.append(_warnings(score.warnings))
    parts = [_headline(score, name), *(Padding(part, (1, 0, 0, 0)) for part in below)]
    _print(console, parts, "AEO readiness", "readiness, not a probability of being cited")


def _print(console: Console, parts: Sequence[RenderableType], title: str, note: str) -> None:
    heading, below = Text(f" {title} ", style="bold"), Text(f" {note} ", style="dim")
    console.print(Panel(Group(*parts), title=heading, subtitle=below, padding=(1, 2), border_style="dim"))


def _warnings(warnings: Sequence[str]) -> Group:
    return Group(*(Text(f"! {warning}", style="yellow") for warning in warnings))


def _table(first: str, second: str) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim")
    table.add_column(first, no_wrap=True)
    table.add_column(second, ratio=1)
    return table


_COLOURS = {"no_sign": "default", "abstained": "default", "ai": "dark_orange"}
_WORDS = {"no_sign": "NO SIGN", "abstained": "ABSTAINED", "ai": "AI"}
_ABSTAINED = {
    "too_short": "it is too short to be judged",
    "language": "it is in a language that the detector does not know",
    "quotation": "most of it is quoted",
    "code": "most of it is code",
    "no_article": "the page seems to hold no article",
}
_MOST_SENTENCES = 3
_LONGEST_EXCLUDED = 200


def render_detection(
    detection: Detection, *, name: str, source: str, console: Console, author: str = ""
) -> None:
    """Print whether an article reads like a model's, what that means, and the sentences that drove it.

    `author` is who wrote it, where that is known: then the reader sees whether the verdict is right.
    """
    lines = _line_starts(source)
    about = Text.assemble((name, "bold"), (f"   {detection.words_judged:,} words judged", "dim"))
    if author:
        about.append(f"\nIn fact: {author}", "dim")
    verdict = Text(_WORDS[detection.verdict], style=f"bold {_COLOURS[detection.verdict]}")
    parts: list[RenderableType] = [about, Text(), verdict]
    if detection.probability is None:
        verdict.append(f"   {_ABSTAINED[detection.abstained or 'too_short']}", "dim")
    else:
        verdict.append(
            f"   {detection.probability:.0%} like a model's; ai from {detection.ai_from:.0%} on", "dim"
        )
        table = _table("for", "what drove it")
        for sentence in detection.sentences[:_MOST_SENTENCES]:
            side = "ai" if sentence.share > 0 else "against"
            where = Text(f"line {bisect_right(lines, sentence.start)}, {sentence.share:+.2f}", style="dim")
            table.add_row(
                Text(side, style="dark_orange" if side == "ai" else ""), Group(_text(sentence.text), where)
            )
        parts.append(Padding(table, (1, 0, 0, 0)))
    if detection.passages:
        places = (
            f"{bisect_right(lines, each.start)}-{bisect_right(lines, each.end)}"
            for each in detection.passages
        )
        parts.append(Text(f"like a model's, unlike the rest: lines {', '.join(places)}", style="dark_orange"))
    parts.insert(3, Text(detection.meaning))
    parts.append(_warnings(detection.warnings))
    _print(console, parts, "Signs of a model", "a hint, never proof: `ai` alone rejects nothing")


def render_excluded(document: Document, *, name: str, console: Console) -> None:
    """Print the text that was judged, and what was left out of it with the reasons."""
    lines = _line_starts(document.source)
    about = Text.assemble((name, "bold"), (f"   {document.words:,} words", "dim"), f"   {document.state}")
    kept = _table("line", "text of the article")
    parts = [(part.start, part.text, "") for part in document.sentences]
    parts += [(heading.start, heading.text, "bold") for heading in document.headings]
    for start, text, style in sorted(parts):
        kept.add_row(Text(str(bisect_right(lines, start)), style="dim"), _text(text, style))
    left = _table("reason", "left out")
    for part in document.excluded:
        if part.text:
            where = Text(f"line {bisect_right(lines, part.start)}", style="dim")
            shown = part.text if len(part.text) <= _LONGEST_EXCLUDED else part.text[:_LONGEST_EXCLUDED] + "…"
            left.add_row(Text(part.reason, style="yellow"), Group(_text(shown), where))
    _print(console, [about, Padding(kept, (1, 0)), left], "What was read", "nothing else was judged")


def _text(text: str, style: str = "") -> Text:
    """A text that may quote the article, which must not steer the terminal."""
    return Text(one_line(" ".join(text.split())), style)


def _verdict(points: float) -> tuple[str, str]:
    return next((word, colour) for limit, word, colour in _VERDICTS if points >= limit)


def _bar(share: float, cells: int, style: str) -> Text:
    """A bar of this many cells, drawn to an eighth of a cell."""
    eighths = round(share * cells * 8)
    full, rest = divmod(eighths, 8)
    filled = "█" * full + (" ▏▎▍▌▋▊▉"[rest] if rest else "")
    return Text.assemble((filled, style), ("·" * (cells - len(filled)), "dim"))


def _headline(score: AeoScore, name: str) -> RenderableType:
    word, colour = _verdict(score.score)
    top = Text.assemble(
        (f"{score.score:.1f}", f"bold {colour}"), ("/100  ", "dim"), (word.upper(), f"bold {colour}"), "  "
    )
    top.append_text(_bar(score.score / 100, _SCORE_BAR_CELLS, colour))
    about = Text.assemble((name, "bold"), (f"   {score.words:,} words, language {score.language}", "dim"))
    if score.confidence == "low":
        about.append("   low confidence", "yellow")
    asked: list[RenderableType] = []
    for question in score.questions:
        mark = " (inferred)" if score.question_inferred else ""
        mark += " (answered worst)" if question.question == score.weakest_question else ""
        asked.append(Text.assemble(("asked: ", "dim"), _text(question.question), (mark, "dim")))
    return Group(about, *asked, Text(), top)


def _criteria(score: AeoScore) -> RenderableType:
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False, header_style="dim", expand=True)
    table.add_column("criterion", width=24, no_wrap=True)
    table.add_column("", width=_BAR_CELLS, no_wrap=True)
    table.add_column("score", width=5, justify="right")
    table.add_column("weight", width=6, justify="right")
    table.add_column("evidence", width=8)
    table.add_column("what it rests on", ratio=1, no_wrap=True, overflow="ellipsis")
    for criterion in score.criteria:
        why = next((each.note or each.text for each in criterion.evidence), "")
        row = [Text(text, style="dim") for text in (criterion.title, "not judged", "-")]
        if criterion.score is not None:
            colour = _verdict(100 * criterion.score)[1]
            points = Text(f"{100 * criterion.score:.0f}", style=colour)
            row = [Text(criterion.title), _bar(criterion.score, _BAR_CELLS, colour), points]
        row += [
            Text(f"{criterion.weight:.0f}"),
            Text(criterion.evidence_grade, style="dim"),
            _text(why, "dim"),
        ]
        table.add_row(*row)
    return table


def _deductions(score: AeoScore) -> RenderableType:
    rows = [
        Text.assemble(
            (f"-{penalty.points:.1f} ", "bold red") if penalty.limit else ("no points off ", "dim"),
            f"{penalty.name}: ",
            (penalty.evidence[0].note if penalty.evidence else "", "dim"),
        )
        for penalty in score.penalties
    ]
    rows += [
        Text.assemble((f"at most {cap.limit:.0f} ", "bold red"), f"{cap.name}: ", (cap.reason, "dim"))
        for cap in score.caps
    ]
    return Group(*rows)


def _recommendations(score: AeoScore, lines: list[int]) -> RenderableType:
    shown = score.recommendations[:_MOST_RECOMMENDATIONS]
    table = _table("gain", "what to do first")
    table.columns[0].justify = "right"
    for advice in shown:
        line = "" if advice.start is None else f"line {bisect_right(lines, advice.start)}, "
        where = Text(line + advice.place, style="dim")
        table.add_row(Text(f"+{advice.gain:.1f}", style="bold green"), Group(_text(advice.text), where))
    left = len(score.recommendations) - len(shown)
    return Group(table, Text(f"and {left} more", style="dim")) if left else table


def _line_starts(source: str) -> list[int]:
    return [*accumulate((len(line) + 1 for line in source.split("\n")[:-1]), initial=0)]
