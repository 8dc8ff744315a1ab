"""Validate criteria 1 and 2 on the shared questions: `nox -s validate-aeo -- --data DIR`.

    python -m research.aeo.validate --data DIR [--output DIR] [--vectors FILE]

Prints Markdown tables; --output also writes validation.md and validation.json. Exits with 1 if a bar is
missed. The encoder reads 3,600 passages, some ten minutes; --vectors keeps what it made.

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
from typing import Any

from contentworker.editorial.aeo.encoder import Encoder, fetched
from contentworker.editorial.aeo.rubric import RUBRIC_VERSION
from research.aeo.data import (
    NQ,
    ORACLE,
    XQUAD,
    Choice,
    KeptVectors,
    is_fitted,
    natural_questions,
    read,
    unseen,
    xquad,
)
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

NQ_BAR, NQ_ENCODER_BAR = 0.845, 0.88
# What rubric 3 reached, by words alone: word vectors must make no language worse.
XQUAD_BARS = {"en": 0.9542, "de": 0.9295, "es": 0.9604, "ru": 0.9396, "hi": 0.955, "zh": 0.9597}
# Where the encoder is judged, too: each language takes it a minute.
ENCODED_LANGUAGES = ("en", "de", "es")
LARGEST_P = 0.05
HELD_OUT, UNSEEN = "NQ, held-out half", "NQ, unseen"
RANKERS: dict[str, Ranker] = {
    "ours: criteria 1 and 2": relevance_and_heading,
    "ours: criterion 1 alone": relevance,
    "BM25": bm25,
    "BM25 with headings": bm25_with_headings,
    "BM25 with headings, our IDF": bm25_with_headings_and_background,
}
OURS, OURS_ALONE, *_ = RANKERS
ENCODED, ENCODED_ALONE = (f"{name}, with the encoder" for name in (OURS, OURS_ALONE))
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
    ours: str
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


def on_natural_questions(
    part: str, choices: Sequence[Choice], encoded: Sequence[Choice], *, has_bars: bool
) -> Iterator[Result | Comparison]:
    """Each ranker on the same questions; the encoded ones have the encoder's vectors."""
    hits = {name: hits_of(ranker, choices) for name, ranker in RANKERS.items()}
    hits[ENCODED] = hits_of(relevance_and_heading, encoded)
    bars = {OURS: NQ_BAR, ENCODED: NQ_ENCODER_BAR} if has_bars else {}
    for name, values in hits.items():
        yield result(part, name, values, bars.get(name))
    for ours in (OURS, ENCODED):
        for name in RIVALS if ours == OURS else (*RIVALS, OURS):
            plain = [[value == 1 for value in hits[each]] for each in (ours, name)]
            yield Comparison(part, ours, name, *mcnemar(*plain), is_bar=has_bars)


def on_xquad(data: dict[str, list[dict[str, object]]], encoder: Encoder) -> Iterator[Result]:
    """Criterion 1 in each language: the paragraphs of an article have the same heading."""
    for language, choices in xquad(data):
        part, bar = f"XQuAD {language}", XQUAD_BARS.get(language)
        yield result(part, OURS_ALONE, hits_of(relevance, choices), bar)
        if language in ENCODED_LANGUAGES:
            (_, encoded), *_ = xquad({language: data[language]}, encoder)
            yield result(part, ENCODED_ALONE, hits_of(relevance, encoded))
        yield result(part, "BM25", hits_of(bm25, choices))


def questions_of(folder: Path) -> dict[str, dict[str, Any]]:
    """The sets of Natural Questions in a folder. The bars are for the first one."""
    known, sets = read(folder / NQ), {}
    if (folder / ORACLE).exists():
        sets[UNSEEN] = unseen(folder / ORACLE, known)
    else:
        print(f"{ORACLE} is not there, see research/aeo/README.md: no unseen questions", file=sys.stderr)
    half = [each for each in known["questions"] if not is_fitted(each["q"])]
    return {**sets, HELD_OUT: {**known, "questions": half}}


def hits_of(ranker: Ranker, choices: Sequence[Choice]) -> list[float]:
    return [hit(ranker(choice), choice.right) for choice in choices]


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
    lines = [
        "| questions | first | second | only first right | only second right | p (McNemar, exact) | bar |"
    ]
    lines.append("|---|---|---|---|---|---|---|")
    for item in found:
        if isinstance(item, Comparison):
            bar = f"p < {LARGEST_P} {_verdict(item)}" if item.is_bar else ""
            cells = (
                item.questions,
                item.ours,
                item.ranker,
                item.only_ours,
                item.only_theirs,
                f"{item.p:.1e}",
                bar,
            )
            lines.append("| " + " | ".join(map(str, cells)) + " |")
    return lines


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    names = f"{NQ}, {XQUAD} and, for unseen questions, {ORACLE}"
    parser.add_argument("--data", type=Path, required=True, help=f"the folder with {names}")
    parser.add_argument("--output", type=Path, help="write validation.md and validation.json here")
    parser.add_argument("--vectors", type=Path, help="keep the encoder's vectors in this .npz file")
    options = parser.parse_args()
    asked, paragraphs = questions_of(options.data), read(options.data / XQUAD)
    encoder = fetched()
    if options.vectors:
        encoder = KeptVectors(encoder, options.vectors)
    found: list[Result | Comparison] = []
    for number, (part, questions) in enumerate(asked.items()):
        both = natural_questions(questions), natural_questions(questions, encoder)
        found += on_natural_questions(part, *both, has_bars=number == 0)
    found += on_xquad(paragraphs, encoder)
    if isinstance(encoder, KeptVectors):
        encoder.save()
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
