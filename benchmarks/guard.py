"""How many damaged rewrites the guard refuses, and how many harmless ones, by kind of change.

    python benchmarks/guard.py [--pairs FILE] [--show] [--json]

A file of pairs has one JSON object a line: `original`, `rewritten`, `label` (`damaged` or `harmless`),
`kind`, and `language` (ISO 639; `en` if it is missing). The kinds that the guard gets wrong most
often come first. Without `--pairs` it reads those that the rules were developed on.
"""

import argparse
import json
import math
import sys
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from contentworker.editorial.rewriting.guard import refusals  # noqa: E402 -- needs the path above

DEVELOPED_ON = ROOT / "tests" / "data" / "guard" / "develop.jsonl"
LABELS = ("damaged", "harmless")
STANDARD_DEVIATIONS = 1.96
"""Half the width of a 95 % interval, in standard deviations."""


class Pair(NamedTuple):
    """A sentence, and what an editor or a mistake made of it."""

    original: str
    rewritten: str
    label: str
    kind: str
    language: str = "en"


class Share(NamedTuple):
    """How many of a kind were refused."""

    refused: int
    total: int

    @property
    def value(self) -> float:
        """From 0 to 1."""
        return self.refused / self.total

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson's interval, 95 %."""
        square = STANDARD_DEVIATIONS**2
        center = self.value + square / (2 * self.total)
        spread = STANDARD_DEVIATIONS * math.sqrt(
            self.value * (1 - self.value) / self.total + square / (4 * self.total**2)
        )
        scale = 1 + square / self.total
        return max(0.0, (center - spread) / scale), (center + spread) / scale


def read_pairs(path: Path) -> list[Pair]:
    """The pairs of a file.

    Raises:
        ValueError: a line is no pair; the message names it.
    """
    pairs = []
    for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
        if not line.strip():
            continue
        try:
            pair = Pair(**json.loads(line))
        except (ValueError, TypeError) as error:
            raise ValueError(f"line {number}: {error}") from None
        if pair.label not in LABELS:
            raise ValueError(f"line {number}: label must be damaged or harmless, not {pair.label!r}")
        pairs.append(pair)
    return pairs


def refused(pairs: Sequence[Pair]) -> dict[str, dict[str, Share]]:
    """How many pairs are refused, by label and kind."""
    counts: dict[str, dict[str, list[bool]]] = {label: defaultdict(list) for label in LABELS}
    for pair in pairs:
        counts[pair.label][pair.kind].append(bool(refusals(pair.original, pair.rewritten, pair.language)))
    return {
        label: {kind: Share(sum(found), len(found)) for kind, found in kinds.items()}
        for label, kinds in counts.items()
    }


def total(kinds: dict[str, Share]) -> Share:
    """All kinds together."""
    return Share(sum(share.refused for share in kinds.values()), sum(share.total for share in kinds.values()))


def main() -> None:
    """Read, measure, print."""
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--pairs", type=Path, default=DEVELOPED_ON, help="file of pairs")
    options.add_argument("--json", action="store_true", help="print JSON")
    options.add_argument(
        "--show", action="store_true", help="print the pairs that went wrong, with the rules"
    )
    given = options.parse_args()
    try:
        pairs = read_pairs(given.pairs)
    except (OSError, ValueError) as error:
        raise SystemExit(f"--pairs: {error}") from None
    found = refused(pairs)
    if given.json:
        print(
            json.dumps(
                {label: {"all": total(kinds), "kinds": kinds} for label, kinds in found.items() if kinds}
            )
        )
        return
    for label, kinds in found.items():
        if not kinds:
            continue
        low, high = total(kinds).interval
        print(f"{label}: {total(kinds).value:.1%} of {total(kinds).total} refused ({low:.1%} to {high:.1%})")
        worst = sorted(kinds.items(), key=lambda item: item[1].value, reverse=label == "harmless")
        for kind, share in worst:
            low, high = share.interval
            print(f"  {kind:<32} {share.refused:>4} of {share.total:<4} {low:4.0%} to {high:4.0%}")
    if given.show:
        for pair in pairs:
            broken = refusals(pair.original, pair.rewritten, pair.language)
            if bool(broken) != (pair.label == "damaged"):
                print(f"\n{pair.label}, {pair.kind}\n- {pair.original}\n+ {pair.rewritten}")
                print(*(f"  {rule.rule}: {rule.detail}" for rule in broken), sep="\n")


if __name__ == "__main__":
    main()
