"""Write the table of how rare a term is in English at large, contentworker/editorial/aeo/english_idf.txt.

    python -m research.aeo.background --texts FILE

FILE is human_formal.jsonl.gz of the detector's sets. Of it are counted the texts of MASC and the American
presidents' speeches, and no passage of Natural Questions: the table must know nothing of what the score is
validated on. Nothing is random, so the same file makes the same table.
"""

import argparse
import gzip
import json
import math
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from contentworker.editorial.aeo.terms import stemmer
from contentworker.editorial.parsing.language import STOP_WORDS
from contentworker.editorial.parsing.sentences import tokenize

TABLE = Path(__file__).parents[2] / "contentworker" / "editorial" / "aeo" / "english_idf.txt"
SOURCES = ("masc", "state_union", "inaugural")
# Texts are of all lengths; pieces of the length of a passage make them comparable.
PIECE_WORDS = 100
# A term of fewer pieces says more about these texts than about English.
FEWEST_PIECES = 5
LINE_CHARACTERS = 108


def pieces(path: Path) -> Iterator[str]:
    with gzip.open(path, "rt", encoding="utf-8") as file:
        for line in file:
            record = json.loads(line)
            if record["source"] in SOURCES:
                words = record["text"].split()
                for start in range(0, len(words), PIECE_WORDS):
                    yield " ".join(words[start : start + PIECE_WORDS])


def idf(pieces: int, holding: int) -> float:
    """ln(1 + pieces / (1 + pieces with the term)), rounded to halves."""
    return round(2 * math.log(1 + pieces / (1 + holding))) / 2


def classes(texts: Iterator[str]) -> dict[float, list[str]]:
    """The terms of each class; the last class, of what stands in one piece or none, holds none."""
    stem = stemmer("en")
    count = 0
    holding: Counter[str] = Counter()
    for text in texts:
        count += 1
        holding.update({stem(token) for token in tokenize(text) if token not in STOP_WORDS["en"]})
    found: dict[float, list[str]] = {}
    for term, number in sorted(holding.items()):
        if number >= FEWEST_PIECES:
            found.setdefault(idf(count, number), []).append(term)
    return {**dict(sorted(found.items())), idf(count, 1): []}


def written(classes: dict[float, list[str]]) -> str:
    """A line `= IDF` before the terms of each class, which are wrapped."""
    lines: list[str] = []
    for value, terms in classes.items():
        lines.append(f"= {value}")
        line = ""
        for term in terms:
            if line and len(line) + 1 + len(term) > LINE_CHARACTERS:
                lines.append(line)
                line = ""
            line = f"{line} {term}" if line else term
        lines += [line] if line else []
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--texts", type=Path, required=True, help="human_formal.jsonl.gz")
    found = classes(pieces(parser.parse_args().texts))
    TABLE.write_text(written(found), "utf-8")
    print(f"{sum(map(len, found.values()))} terms in {len(found)} classes, {TABLE.stat().st_size} bytes")


if __name__ == "__main__":
    main()
