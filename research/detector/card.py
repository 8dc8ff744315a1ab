"""The tables about the detector, from results.json: all of them, and those of its model card.

python research/detector/card.py        # writes the tables of docs/detector.md
"""

import json
import re
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT))


__all__ = ["every_table", "tables"]

RESULTS = Path(__file__).with_name("results") / "results.json"
CARD = ROOT / "docs" / "detector.md"
BEGIN, END = "<!-- Written by research/detector/card.py from results.json. -->", "<!-- Until here. -->"
TITLES = {
    "texts": "texts",
    "human": "people's",
    "machine": "models'",
    "ai": "called `ai`",
    "auroc": "AUROC",
    "tpr_at_1_fpr": "found at 1 % false positives",
    "ece": "ECE",
    "people_ai": "people's called `ai`",
    "models_ai": "models' called `ai`",
    "not installed": "not installed",
}
WITHOUT_SHARES = ("auroc", "ece")
OFTEN_FOUND = 0.8
"""Generators of which more is found are in results.md alone."""


def every_table(results: dict[str, Any]) -> str:
    """All figures as Markdown, a table a section."""
    model = results["model"]
    lines = [f"Model {model['version']}: `ai` from {model['ai_from']} on. In brackets: 95 % intervals."]
    for section, rows in results.items():
        if section != "model" and rows:
            lines += ["", f"## {section}", "", *_table(rows)]
    return "\n".join(lines) + "\n"


def tables(results: dict[str, Any]) -> str:
    """The part of the model card that figures decide."""
    model = results["model"]
    people, known, unknown = (
        results[name] for name in ("people", "articles of known generators, unseen", "unknown generators")
    )
    year, month = model["knows_until"].split("-")
    months: dict[str, list[str]] = {}
    for generator, at in model["generators"].items():
        months.setdefault(at, []).append(generator)
    by_generator = _lowest_first(results["the same, by generator"])
    weak = {name: row for name, row in by_generator.items() if row["ai"][0] < OFTEN_FOUND}
    rows = {f"known: {name}": row for name, row in _lowest_first(known).items()}
    rows |= {f"unknown: {name}": row for name, row in _lowest_first(unknown).items()}
    lines = [
        f"Model {model['version']}; `ai` from {model['ai_from']} on. Worst first, with 95 % intervals.",
        "",
        "People's texts that are called `ai`, by who writes. Nothing was trained on these, or tuned to them:",
        "",
        *_table(people, first="people"),
        "",
        (
            "Models' articles, essays, debates and stories that are called `ai`. A known generator wrote "
            "others of the training, an unknown one none. AUROC is against all the people above:"
        ),
        "",
        *_table(rows, first="generators"),
        "",
        f"The unknown generators of which fewer than {OFTEN_FOUND:.0%} are found, of {len(by_generator)}:",
        "",
        *_table(weak, first="generator"),
        "",
        (
            f"**It knows generators until {model['knows_until']}.** If you read this after "
            f"{int(year) + 1}-{month}, it misses most of today's articles: [add the generators that you "
            "meet](#to-add-the-generators-that-you-meet). `nox -s doctor` warns of it, too. It learnt from:"
        ),
        "",
        "| until | generators |",
        "|---|---|",
        *(f"| {at} | {', '.join(sorted(names))} |" for at, names in sorted(months.items(), reverse=True)),
    ]
    return "\n".join(lines)


def _lowest_first(rows: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return dict(sorted(rows.items(), key=lambda item: (item[0] != "all", item[1]["ai"][0], item[0])))


def _table(rows: dict[str, dict[str, Any]], first: str = "") -> list[str]:
    columns = [name for name in TITLES if any(name in row for row in rows.values())]
    lines = [
        f"| {first} | {' | '.join(TITLES[name] for name in columns)} |",
        "|---" * (len(columns) + 1) + "|",
    ]
    return lines + [
        f"| {name} | {' | '.join(_cell(column, row.get(column)) for column in columns)} |"
        for name, row in rows.items()
    ]


def _cell(column: str, figure: Any) -> str:
    if not isinstance(figure, list):
        return "" if figure is None else str(figure)
    if column in WITHOUT_SHARES:
        return "{:.3f} ({:.3f}-{:.3f})".format(*figure)
    return "{:.1f} % ({:.1f}-{:.1f})".format(*(100 * value for value in figure))


def main() -> None:
    card = CARD.read_text("utf-8")
    written = f"{BEGIN}\n\n{tables(json.loads(RESULTS.read_text('utf-8')))}\n\n{END}"
    CARD.write_text(re.sub(f"(?s){BEGIN}.*?{END}", lambda _: written, card), "utf-8")


if __name__ == "__main__":
    main()
