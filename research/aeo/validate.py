"""Validate criteria 1 and 2 on the shared questions: `nox -s validate-aeo -- --data DIR`.

    python -m research.aeo.validate --data DIR [--output DIR]

Prints Markdown tables; --output also writes validation.md and validation.json. Exits with 1 if a bar is
missed.

The question is: does the page that answers a question come first (hit@1)? A shared first place counts as its
share, which is what drawing lots would give. In the paired tests, which need a plain yes or no, it is a miss,
for us and for the other.
"""

import argparse
import json
import math
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from contentworker.editorial.aeo.rubric import RUBRIC_VERSION
from research.aeo.data import NQ, XQUAD, Choice, is_fitted, natural_questions, read, xquad
from research.aeo.intervals import mcnemar, wilson
from research.aeo.ranking import (
    Ranker,
    bm25,
    bm25_with_headings,
    bm25_with_headings_and_background,
    hit,
    relevance,
    relevance_and_heading,
)

NQ_BAR = 0.845
# What rubric 3 reached, by words alone: word vectors must make no language worse.
XQUAD_BARS = {"en": 0.9542, "de": 0.9295, "es": 0.9604, "ru": 0.9396, "hi": 0.955, "zh": 0.9597}
LARGEST_P = 0.05
HELD_OUT = "NQ, held-out half"
RANKERS: dict[str, Ranker] = {
    "ours: criteria 1 and 2": relevance_and_heading,
    "ours: criterion 1 alone": relevance,
    "BM25": bm25,
    "BM25 with headings": bm25_with_headings,
    "BM25 with headings, our IDF": bm25_with_headings_and_background,
}
OURS, OURS_ALONE, *_ = RANKERS
RIVALS = ("BM25 with headings", "BM25 with headings, our IDF")


@dataclass(frozen=True, slots=True)
class Result:
    """How often one ranker puts the right page first, on one set."""

    questions: str
    ranker: str
    count: int
    hit_at_1: float
    low: float
    high: float
    bar: float | None = None

    @property
    def is_missed(self) -> bool:
        return self.bar is not None and self.hit_at_1 < self.bar


@dataclass(frozen=True, slots=True)
class Comparison:
    """McNemar's exact test of ours against another ranker on the same questions."""

    questions: str
    ranker: str
    only_ours: int
    only_theirs: int
    p: float
    is_bar: bool

    @property
    def is_missed(self) -> bool:
        return self.is_bar and not (self.p < LARGEST_P and self.only_ours > self.only_theirs)


def result(questions: str, ranker: str, hits: Sequence[float], bar: float | None = None) -> Result:
    total = math.fsum(hits)
    low, high = wilson(total, len(hits))
    return Result(
        questions, ranker, len(hits), round(total / len(hits), 4), round(low, 4), round(high, 4), bar
    )


def on_natural_questions(choices: Sequence[Choice]) -> Iterator[Result | Comparison]:
    """Each ranker on the half that is only reported, which was never fitted to, and on all."""
    hits = {
        name: [hit(ranker(choice), choice.right) for choice in choices] for name, ranker in RANKERS.items()
    }
    held_out = [not is_fitted(choice.question) for choice in choices]
    for part, chosen in ((HELD_OUT, held_out), ("NQ, all", [True] * len(choices))):
        of_part = {
            name: [value for value, ok in zip(all_, chosen, strict=True) if ok] for name, all_ in hits.items()
        }
        for name, values in of_part.items():
            yield result(part, name, values, NQ_BAR if name == OURS and part == HELD_OUT else None)
        ours = [value == 1 for value in of_part[OURS]]
        for name in RIVALS:
            theirs = [value == 1 for value in of_part[name]]
            yield Comparison(part, name, *mcnemar(ours, theirs), is_bar=part == HELD_OUT)


def on_xquad(data: dict[str, list[dict[str, object]]]) -> Iterator[Result]:
    """Criterion 1 in each language: the paragraphs of an article have the same heading."""
    for language, choices in xquad(data):
        for name in (OURS_ALONE, "BM25"):
            hits = [hit(RANKERS[name](choice), choice.right) for choice in choices]
            bar = XQUAD_BARS.get(language) if name == OURS_ALONE else None
            yield result(f"XQuAD {language}", name, hits, bar)


def _verdict(item: Result | Comparison) -> str:
    return "missed" if item.is_missed else "reached"


def table(found: Sequence[Result | Comparison]) -> str:
    lines = ["| questions | ranked by | n | hit@1 | 95 % interval | bar |", "|---|---|---|---|---|---|"]
    for item in found:
        if isinstance(item, Result):
            bar = "" if item.bar is None else f"≥ {item.bar:.3f} {_verdict(item)}"
            interval = f"{item.low:.3f} to {item.high:.3f}"
            cells = (item.questions, item.ranker, item.count, f"{item.hit_at_1:.3f}", interval, bar)
            lines.append("| " + " | ".join(map(str, cells)) + " |")
    return "\n".join([*lines, "", *_comparisons(found)]) + "\n"


def _comparisons(found: Sequence[Result | Comparison]) -> list[str]:
    lines = ["| questions | ours against | only ours right | only theirs right | p (McNemar, exact) | bar |"]
    lines.append("|---|---|---|---|---|---|")
    for item in found:
        if isinstance(item, Comparison):
            bar = f"p < {LARGEST_P} {_verdict(item)}" if item.is_bar else ""
            cells = (item.questions, item.ranker, item.only_ours, item.only_theirs, f"{item.p:.1e}", bar)
            lines.append("| " + " | ".join(map(str, cells)) + " |")
    return lines


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help=f"the folder with {NQ} and {XQUAD}")
    parser.add_argument("--output", type=Path, help="write validation.md and validation.json here")
    options = parser.parse_args()
    found = [
        *on_natural_questions(natural_questions(read(options.data / NQ))),
        *on_xquad(read(options.data / XQUAD)),
    ]
    print(table(found))
    if options.output:
        options.output.mkdir(parents=True, exist_ok=True)
        (options.output / "validation.md").write_text(table(found), "utf-8")
        kinds = {"results": Result, "comparisons": Comparison}
        by_kind = {
            name: [asdict(item) for item in found if isinstance(item, kind)] for name, kind in kinds.items()
        }
        text = json.dumps({"rubric_version": RUBRIC_VERSION, **by_kind}, indent=2, ensure_ascii=False)
        (options.output / "validation.json").write_text(text + "\n", "utf-8")
    missed = [item for item in found if item.is_missed]
    for item in missed:
        print(f"Missed: {item.questions}, {item.ranker}", file=sys.stderr)
    return bool(missed)


if __name__ == "__main__":
    sys.exit(main())
