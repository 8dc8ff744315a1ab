"""What tells pages that ChatGPT search cited from the other pages that it was given.

    python -m research.aeo.citations --data DIR

The set has 205 runs, in each of which Bing gave pages and ChatGPT cited some of them, with features of the
pages but not their text: our score cannot be run on it, and it sets no bar. For each feature is printed how
often a cited page has more of it than one of the same run that was not cited (AUC; .5 is chance), with a 95 %
interval from resampled runs.
"""

import argparse
import csv
import gzip
import io
import random
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

PAIRS = "chatgpt_bing_pairs.csv.gz"
FEATURES = {
    "title_q": "2 heading match: title and question",
    "snip_q": "1 relevance: snippet and question",
    "has_sources_or_citations": "7 sources",
    "readability_score": "8 readability",
    "has_date": "9 date",
    "freshness_cue_strength": "9 cues of freshness",
    "has_clear_authorship": "9 author",
    "has_schema_markup": "10 structured data",
    "promotional_intensity_score": "penalty: promotional",
    "rank": "not of the page: Bing's rank",
}
DRAWS = 1_000
# Of one run: pairs in which the cited page has more (ties by half), and all pairs.
Won = tuple[float, int]


def read(path: Path) -> list[dict[str, str]]:
    """The pages that are cited in the answer or nowhere: those named beside it only are neither."""
    with gzip.open(path, "rb") as file:
        rows = list(csv.DictReader(io.TextIOWrapper(file, "utf-8")))
    return [row for row in rows if row["cited_inline"] == row["in_any_panel"]]


def won_by_run(rows: Sequence[dict[str, str]], feature: str) -> list[Won]:
    """Pages without a value are left out."""
    runs: dict[str, tuple[list[float], list[float]]] = defaultdict(lambda: ([], []))
    for row in rows:
        if row[feature]:
            runs[row["run"]][row["cited_inline"] == "1"].append(float(row[feature]))
    return [
        (sum((a > b) + (a == b) / 2 for a in cited for b in others), len(cited) * len(others))
        for others, cited in runs.values()
        if cited and others
    ]


def auc(runs: Sequence[Won]) -> float:
    return sum(won for won, _ in runs) / sum(pairs for _, pairs in runs)


def interval(runs: Sequence[Won]) -> tuple[float, float]:
    chance = random.Random(0)
    drawn = sorted(auc(chance.choices(runs, k=len(runs))) for _ in range(DRAWS))
    return drawn[round(0.025 * DRAWS)], drawn[round(0.975 * DRAWS) - 1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help=f"the folder with {PAIRS}")
    rows = read(parser.parse_args().data / PAIRS)
    cited = sum(row["cited_inline"] == "1" for row in rows)
    print(
        f"{cited} of {len(rows)} pages were cited.\n\n"
        "| criterion | runs | AUC | 95 % interval |\n|---|---|---|---|"
    )
    for feature, name in FEATURES.items():
        runs = won_by_run(rows, feature)
        low, high = interval(runs)
        print(f"| {name} | {len(runs)} | {auc(runs):.3f} | {low:.3f} to {high:.3f} |")


if __name__ == "__main__":
    main()
