"""Write the small samples of the shared questions that the tests run on: tests/data/aeo/.

    python -m research.aeo.sample --data DIR

Which questions and articles are in them is decided by hash, among the questions that nothing was fitted to.
"""

import argparse
import hashlib
import json
from pathlib import Path
from typing import Any

from research.aeo.data import NQ, XQUAD, is_fitted, read

SAMPLES = Path(__file__).parents[2] / "tests" / "data" / "aeo"
QUESTIONS = 30
ARTICLES = 4


def drawn(items: list[Any], count: int, name: str) -> list[Any]:
    """As many of the items as asked for, in the order of the hashes of their names."""
    return sorted(items, key=lambda item: hashlib.sha256(item[name].encode()).hexdigest())[:count]


def natural_questions(data: dict[str, Any]) -> dict[str, Any]:
    questions = drawn([asked for asked in data["questions"] if not is_fitted(asked["q"])], QUESTIONS, "q")
    used = sorted({index for asked in questions for index in asked["cands"]})
    place = {index: position for position, index in enumerate(used)}
    passages = [{key: data["passages"][index][key] for key in ("title", "text")} for index in used]
    chosen = [
        {"q": asked["q"], "cands": [place[index] for index in asked["cands"]], "gold": asked["gold"]}
        for asked in questions
    ]
    return {"passages": passages, "questions": chosen}


def xquad(data: dict[str, Any]) -> dict[str, Any]:
    return {language: drawn(articles, ARTICLES, "title") for language, articles in data.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help=f"the folder with {NQ} and {XQUAD}")
    folder = parser.parse_args().data
    SAMPLES.mkdir(parents=True, exist_ok=True)
    for name, sample in (
        ("natural_questions.json", natural_questions(read(folder / NQ))),
        ("xquad.json", xquad(read(folder / XQUAD))),
    ):
        text = json.dumps(sample, indent=1, ensure_ascii=False) + "\n"
        (SAMPLES / name).write_text(text, "utf-8")
        print(f"{name}: {len(text.encode()):,} bytes")


if __name__ == "__main__":
    main()
