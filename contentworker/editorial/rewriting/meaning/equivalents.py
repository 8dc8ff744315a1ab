"""What counts as the same in a language: the word lists of `languages/`, ready to be asked.

A language without a file has no equivalents: there every word has to stay as it is.
"""

import re
import tomllib
from collections.abc import Iterator, Sequence
from functools import cache
from itertools import combinations
from pathlib import Path
from typing import Any

from contentworker.editorial.rewriting.meaning.quantities import Item
from contentworker.editorial.rewriting.meaning.stems import EnglishStems

__all__ = ["SYNONYMS", "Equivalents", "Prepositions", "equivalents"]

_FOLDER = Path(__file__).with_name("languages")
SYNONYMS = _FOLDER / "en_synonyms.txt"
"""Lines of a word and those that may stand for it. research/guard/synonyms.py writes it."""
_OUR = re.compile(r"(?<=\w{2})our(?=(?:s|ed|ing|able|ful|ite|ites|less|hood|ly|er|ers|ist|ists)?$)")
_ISE = re.compile(r"(?<=\w{2})([iy])s(?=(?:e|es|ed|ing|er|ers|ation|ations|able)$)")
_NO_OUR = frozenset(
    {"your", "yours", "hour", "hours", "four", "tour", "tours", "pour", "flour", "sour", "our"}
)
_Expression = tuple[tuple[str, ...], str, str]
"""The words of an expression as they are looked for, the group that it belongs to, and as it is listed."""
Prepositions = tuple[str, str]
"""Of who gets something and of who gives it."""


def _texts(lists: dict[str, Any]) -> Iterator[str]:
    for value in lists.values():
        yield from _texts(value) if isinstance(value, dict) else [str(value)]


def _listed(text: str) -> list[str]:
    return [" ".join(each.split()) for each in text.split(",") if each.strip()]


def _name(word: str) -> str:
    return word if len(word) > 1 and word.isupper() else word.lower()


class Equivalents:
    """The lists of one language."""

    def __init__(self, lists: dict[str, Any]) -> None:
        self._lists = lists
        self.is_english = bool(lists.get("irregular"))
        (
            self.free,
            self.articles,
            self.definite,
            self.interjections,
            self.manners,
            self.places,
            self.neutral,
        ) = (
            frozenset(lists.get(name, "").split())
            for name in ("free", "articles", "definite", "interjections", "manners", "places", "neutral")
        )
        self.decimal_mark: str = lists.get("decimal_mark", ".")
        self.months, self.ordinals = (self._numbered(name) for name in ("months", "ordinals"))
        self.number_words = {
            word: int(value) for value, text in lists.get("numbers", {}).items() for word in text.split()
        }
        self.vocabulary = frozenset(re.findall(r"[^\W\d_]+", " ".join(_texts(lists)).lower()))
        """Every word of the lists."""
        self._spelling = dict(each.rsplit(" ", 1) for each in self._listed("spelling"))
        self._contractions = dict(each.split(" = ") for each in self._listed("contractions"))
        bound = ("whole", "free", "pronouns", "adjuncts", "modals", "negations", "concessive")
        whole = frozenset(word for name in bound for word in lists.get(name, "").split())
        verbs, plurals = ([each.split() for each in self._listed(name)] for name in ("irregular", "plurals"))
        self._stem = EnglishStems(verbs, plurals, whole) if self.is_english else None
        self.bare_participles = frozenset(base for base, _, participle in verbs if base == participle)
        """Participles that are the base as well: run, come."""
        self._groups: dict[str, list[_Expression]] = {}
        self._names: dict[str, list[_Expression]] = {}
        self._read_groups()
        # By their keys, which need the groups, and as they stand.
        self.say, self.give, self.movable, self.droppable, self.light = (
            self._keys(name) for name in ("say", "give", "movable", "droppable", "light_verbs")
        )
        (
            self.adjuncts,
            self.orders,
            self.fixed,
            self.modals,
            self.negations,
            self.pronouns,
            self.concessive,
            limiting,
            self.vague,
            self.times,
            self.findings,
            self.frequencies,
            self.which_time,
            self.spans,
            self.doers,
            self.plural,
            self.dimensions,
            self.scoped,
            self.seeing,
        ) = (
            self._keys(name) | frozenset(lists.get(name, "").split())
            for name in (
                *("adjuncts", "orders", "fixed", "modals", "negations", "pronouns", "concessive"),
                *(
                    "limiting",
                    "vague",
                    "times",
                    "findings",
                    "frequencies",
                    "which_time",
                    "spans",
                    "doers",
                    "plural",
                    "dimensions",
                    "scoped",
                    "seeing",
                ),
            )
        )
        self.limiting = (
            limiting | self.modals | self.negations | self.orders | self.concessive | self.say | self.findings
        )
        """Words without which a statement is another one."""
        self.endings = frozenset({"", *lists.get("endings", "").split()})
        """What forms of one word may differ in."""
        self.clause_words, self.persons = (
            [frozenset(map(self.key, entry.split())) for entry in self._listed(name)]
            for name in ("clause_words", "persons")
        )
        self.particles = {
            stem: frozenset(words)
            for verb, *words in (entry.split() for entry in self._listed("particles"))
            for stem in (verb, self.stem(verb)[0])
        }
        """From the stem of a verb to what may stand behind its object."""
        self.redundant = {
            frozenset((self.key(word), self.key(other)))
            for word, *others in (entry.split() for entry in self._listed("redundant"))
            for other in others
        }
        """Pairs of keys of which one may be left out beside the other one: "two twins", "repeat again"."""
        self.exchangeable = {
            frozenset((self.key(one), self.key(other)))
            for entry in self._listed("exchangeable")
            for one, other in combinations(entry.split(), 2)
        }
        self.synonyms: dict[str, frozenset[str]] = {}
        """From a key to those that may stand for it."""
        if self.is_english:
            self._read_synonyms()
        self.opposites = {
            self.key(one): self.key(other)
            for entry in self._listed("opposites")
            for one, other in (entry.split(), entry.split()[::-1])
        }
        """Two keys of which each is the other with "not"."""
        self.converses: dict[str, list[tuple[str, Prepositions | None]]] = {}
        """From a key to those that say it from the other side."""
        for entry in self._listed("converses"):
            one, other, *prepositions = entry.split()
            key, other = self.key(one), self.key(other)
            if prepositions:
                gets, gives = prepositions
                self.converses.setdefault(key, []).append((other, (gets, gives)))
            else:
                self.converses.setdefault(key, []).append((other, None))
                self.converses.setdefault(other, []).append((key, None))

    def _listed(self, name: str) -> list[str]:
        return _listed(self._lists.get(name, ""))

    def _numbered(self, name: str) -> dict[str, int]:
        entries = enumerate(self._listed(name), 1)
        return {word: number for number, words in entries for word in words.split()}

    def _keys(self, name: str) -> frozenset[str]:
        return frozenset(self.key(word) for word in self._lists.get(name, "").split())

    def _read_synonyms(self) -> None:
        keys: dict[str, str] = {}
        for line in SYNONYMS.read_text("utf-8").splitlines():
            words = line.split()
            for word in words:
                if word not in keys:
                    keys[word] = "_".join(map(self.key, word.split("_")))
            first, *others = (keys[word] for word in words)
            self.synonyms[first] = self.synonyms.get(first, frozenset()).union(others)

    def may_stand_for(self, one: str, other: str) -> bool:
        """Whether a key may stand in the place of another one, although elsewhere they say something else."""
        if other in self.synonyms.get(one, ()) or one in self.synonyms.get(other, ()):
            return True
        return frozenset((one, other)) in self.exchangeable

    def words(self, name: str) -> list[str]:
        """The words of a list as they are written."""
        return str(self._lists.get(name, "")).replace(",", " ").split()

    def _read_groups(self) -> None:
        for line in self._lists.get("equal", "").strip().splitlines():
            expressions = _listed(line)
            for each in expressions:
                self._add(each, expressions[0].replace(" ", "_"))
        for each in (*self._listed("fillers"), *self._listed("kinds_of_names")):
            self._add(each, "")
        for line in self._lists.get("names", "").strip().splitlines():
            names = line.split(" = ")
            for each in names:
                self._add(each, names[0].lower().replace(" ", "_"), is_name=True)
        for known in (*self._groups.values(), *self._names.values()):
            known.sort(key=lambda found: (-len(found[0]), not found[0][-1].endswith("_number")))

    def key(self, word: str) -> str:
        """The key that `normalising.read` gives to a word which stands alone, or the name of a group."""
        if "_" in word:
            return word
        for known in (word, self.stem(self.spelled(word))[0]):
            for pattern, key, _ in self._groups.get(known, ()):
                if len(pattern) == 1 and key and not pattern[0].endswith("_number"):
                    return key
        return self.stem(self.spelled(word))[0]

    def _add(self, expression: str, key: str, *, is_name: bool = False) -> None:
        words = re.findall(r"[\w']+", expression)
        pattern = tuple(map(_name if is_name else self._wanted, words))
        first = pattern[0].removesuffix("_number")
        groups = self._names if is_name else self._groups
        groups.setdefault(first, []).append((pattern, key, " ".join(words)))

    def _wanted(self, word: str) -> str:
        """A word of an expression by its stem; a participle as it stands: "regarding" is no "regard"."""
        stem, form = self.stem(self.spelled(word))
        return self.spelled(word) if form in ("ing", "ed", "en", "pa") else stem

    def longest(self, items: Sequence[Item], position: int) -> tuple[int, str, str]:
        """The longest listed expression at this place: how many items, its group, its first word.

        0 items if there is none. An article inside of an expression is not looked at.
        """
        item = items[position]
        if item.kind == "name":
            known = self._names.get(item.text, ())
        elif item.kind == "word":
            stem = self.stem(item.text)[0]
            known = [
                *self._groups.get(item.text, ()),
                *(self._groups.get(stem, ()) if item.text != stem else ()),
            ]
            known.sort(key=lambda found: -len(found[0]))
            if item.surface[:1].isupper():
                known += self._names.get(item.text, ())
        else:
            return 0, "", ""
        for pattern, key, words in known:
            size = self._matches(items, position, pattern)
            if size:
                return size, key, words
        return 0, "", ""

    def _matches(self, items: Sequence[Item], position: int, pattern: tuple[str, ...]) -> int:
        at = position
        for number, wanted in enumerate(pattern):
            word, numbered, _ = wanted.partition("_number")
            if (
                number
                and at < len(items)
                and items[at].text != word
                and self._may_stand_inside(items[at], number)
            ):
                at += 1
            if at >= len(items) or not self._is(items[at], word):
                return 0
            at += 1
            if numbered and (at >= len(items) or items[at].kind != "number"):
                return 0
        return at - position

    def _may_stand_inside(self, item: Item, number: int) -> bool:
        return item.text in self.articles or item.text == "," or (number == 1 and item.text == "not")

    def _is(self, item: Item, wanted: str) -> bool:
        if item.kind == "word":
            return wanted in (self.stem(item.text)[0], item.text)
        return item.kind in ("name", "number") and wanted in (item.text, item.surface)

    def spelled(self, word: str) -> str:
        """A word in lower case as it is spelled in the one variety that is compared."""
        if word in self._spelling:
            return self._spelling[word]
        if not self.is_english:
            return word
        if word not in _NO_OUR:
            word = _OUR.sub("or", word)
        return _ISE.sub(r"\1z", word)

    def parts(self, word: str) -> list[str]:
        """The words of a contraction; else the word alone."""
        lower = word.lower()
        if lower in self._contractions:
            expanded = self._contractions[lower].split()
            return [word[0] + expanded[0][1:] if word[0] == expanded[0][0] else expanded[0], *expanded[1:]]
        if "'" not in word:
            return [word]
        for ending in ("n't", "'re", "'ve", "'ll", "'m", "'s", "'d"):
            if lower.endswith(ending) and len(word) > len(ending):
                return [word[: -len(ending)], self._contractions.get(ending, ending)]
        return [word]

    def stem(self, word: str) -> tuple[str, str]:
        """What the forms of a word share, and which of its forms it is."""
        return self._stem(word) if self._stem else (word, "")


@cache
def equivalents(language: str) -> Equivalents:
    """The lists of a language (ISO 639); empty for one that has none."""
    path = _FOLDER / f"{language}.toml"
    return Equivalents(
        tomllib.loads(path.read_text("utf-8"))
        if re.fullmatch("[a-z]{2,3}", language) and path.is_file()
        else {}
    )
