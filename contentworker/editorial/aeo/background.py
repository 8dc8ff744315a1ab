"""How rare a term is in English at large: inverse document frequency (IDF), rounded to halves.

The table is counted by research/aeo/background.py over 6,085 pieces of 100 words: the texts of MASC (American
National Corpus, any use allowed) and speeches of American presidents (public domain). It holds the stems that
stand in at least five pieces. Every other term is rare, and counts like one that stands in a single piece.
"""

from pathlib import Path

__all__ = ["ENGLISH_IDF", "RAREST_IDF"]

_TABLE = Path(__file__).with_name("english_idf.txt")


def _read(text: str) -> tuple[dict[str, float], float]:
    """The IDF of each term, and the largest: that of the terms that are not in the table."""
    table: dict[str, float] = {}
    idf = 0.0
    for line in text.splitlines():
        if line.startswith("= "):
            idf = float(line[2:])
        else:
            table.update(dict.fromkeys(line.split(), idf))
    return table, idf


ENGLISH_IDF, RAREST_IDF = _read(_TABLE.read_text("utf-8"))
