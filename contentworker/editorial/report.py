"""The score on a terminal. The only module that knows rich."""

from bisect import bisect_right

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from contentworker.editorial.aeo import AeoScore, Recommendation
from contentworker.editorial.detector import Detection

__all__ = ["render", "render_detection"]

# From which score on; the word says it where there is no colour.
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
    """Print a score. `name` is what the article is called; `source`, its text, gives the line numbers.

    `source` has to be the text the article was parsed from: the score's offsets are offsets into it.
    """
    lines = _line_starts(source)
    parts: list[RenderableType] = [_headline(score, name), Padding(_criteria(score), (1, 0, 0, 0))]
    if score.penalties or score.caps:
        parts.append(Padding(_deductions(score), (1, 0, 0, 0)))
    if score.recommendations:
        parts.append(Padding(_recommendations(score, lines), (1, 0, 0, 0)))
    if score.warnings:
        parts.append(
            Padding(
                Group(*(Text(f"! {warning}", style="yellow") for warning in score.warnings)), (1, 0, 0, 0)
            )
        )
    title = Text(" AEO readiness ", style="bold")
    note = Text(" readiness, not a probability of being cited ", style="dim")
    console.print(Panel(Group(*parts), title=title, subtitle=note, padding=(1, 2), border_style="dim"))


_WHO = {"human": ("human", "green"), "uncertain": ("uncertain", "yellow"), "ai": ("ai", "dark_orange")}
_ABSTAINED = {
    "too_short": "it is too short to be judged",
    "language": "it is in a language that the detector does not know",
    "quotation": "most of it is quoted",
    "code": "most of it is code",
}
_MOST_SENTENCES = 3


def render_detection(found: Detection, *, name: str, source: str, console: Console) -> None:
    """Print who is taken to have written an article, and the sentences that drove it."""
    lines = _line_starts(source)
    word, colour = _WHO[found.verdict]
    about = Text.assemble((name, "bold"), (f"   {found.words_judged:,} words judged", "dim"))
    verdict = Text(word.upper(), style=f"bold {colour}")
    parts: list[RenderableType] = [about, Text(), verdict]
    if found.probability is None:
        verdict.append(f"   {_ABSTAINED[found.abstained or 'too_short']}", "dim")
    else:
        share = f"   {found.probability:.0%} probable that a model wrote it (from {found.ai_from:.0%} on: ai)"
        verdict.append(share, "dim")
        table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim")
        table.add_column("for", no_wrap=True)
        table.add_column("what drove it", ratio=1)
        for sentence in found.sentences[:_MOST_SENTENCES]:
            side, tint = ("ai", "dark_orange") if sentence.share > 0 else ("human", "green")
            where = Text(f"line {bisect_right(lines, sentence.start)}, {sentence.share:+.2f}", style="dim")
            table.add_row(Text(side, style=tint), Group(Text(sentence.text), where))
        parts.append(Padding(table, (1, 0, 0, 0)))
    parts += [Text(f"! {warning}", style="yellow") for warning in found.warnings]
    title = Text(" Who wrote it ", style="bold")
    note = Text(" a hint, never proof: `ai` alone rejects nothing ", style="dim")
    console.print(Panel(Group(*parts), title=title, subtitle=note, padding=(1, 2), border_style="dim"))


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
        asked.append(Text.assemble(("asked: ", "dim"), question.question, (mark, "dim")))
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
        why = next((found.note or found.text for found in criterion.evidence), "")
        if criterion.score is None:
            row = (
                Text(criterion.title, style="dim"),
                Text("not judged", style="dim"),
                Text("-", style="dim"),
            )
        else:
            colour = _verdict(100 * criterion.score)[1]
            row = (
                Text(criterion.title),
                _bar(criterion.score, _BAR_CELLS, colour),
                Text(f"{100 * criterion.score:.0f}", style=colour),
            )
        table.add_row(
            *row,
            f"{criterion.weight:.0f}",
            Text(criterion.evidence_grade, style="dim"),
            Text(why, style="dim"),
        )
    return table


def _deductions(score: AeoScore) -> RenderableType:
    rows = [
        Text.assemble(
            (f"-{found.points:.1f} ", "bold red"),
            f"{found.name}: ",
            (found.evidence[0].note if found.evidence else "", "dim"),
        )
        for found in score.penalties
    ]
    rows += [
        Text.assemble((f"at most {cap.limit:.0f} ", "bold red"), f"{cap.name}: ", (cap.reason, "dim"))
        for cap in score.caps
    ]
    return Group(*rows)


def _recommendations(score: AeoScore, lines: list[int]) -> RenderableType:
    shown = score.recommendations[:_MOST_RECOMMENDATIONS]
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim")
    table.add_column("gain", justify="right", no_wrap=True)
    table.add_column("what to do first", ratio=1)
    for advice in shown:
        where = Text(_place(advice, lines), style="dim")
        table.add_row(Text(f"+{advice.gain:.1f}", style="bold green"), Group(Text(advice.text), where))
    left = len(score.recommendations) - len(shown)
    return Group(table, Text(f"and {left} more", style="dim")) if left else table


def _place(advice: Recommendation, lines: list[int]) -> str:
    if advice.start is None:
        return advice.place
    return f"line {bisect_right(lines, advice.start)}, {advice.place}"


def _line_starts(source: str) -> list[int]:
    starts, position = [0], 0
    for line in source.split("\n")[:-1]:
        position += len(line) + 1
        starts.append(position)
    return starts
