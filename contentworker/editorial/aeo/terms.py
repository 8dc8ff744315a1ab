"""Terms: a text without function words and endings, and how much each of its terms counts."""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from itertools import chain
from pathlib import Path

from contentworker.editorial.document import Document
from contentworker.editorial.parsing.language import STOP_WORDS, words
from contentworker.editorial.parsing.sentences import tokenize

__all__ = ["ENGLISH_IDF", "RAREST_IDF", "QuestionTerms", "Vocabulary", "question_tokens", "stemmer"]

# Characters that carry the meaning of most words in languages that inflect at the end.
_PREFIX_CHARACTERS = {"de": 6, "es": 5, "fr": 6, "it": 5, "pt": 5, "nl": 6, "ru": 5, "uk": 5, "hi": 4}

_QUESTION_FRAMES = words("question_frames")
# Endings that derive a word: govern, government. After a short root they are mostly part of the word.
_ENGLISH_DERIVATIONS = ("ation", "ment", "ness", "ion", "li", "al", "er", "or")  # codespell:ignore ment
_SHORTEST_ROOT = 5
_SHORTEST_STEM = 3
# Longer ones are not words, and the cache does not keep them.
_LONGEST_STEMMED = 40
_MOST_STEMS_KEPT = 20_000
_LONGEST_WEIGHED = 6
"""Letters up to which a term's weight rises without a table, chosen on English questions (research/aeo)."""
_NO_TERMS: frozenset[str] = frozenset()


def _read_idf(text: str) -> tuple[dict[str, float], float]:
    """The IDF of each term of the table, and the largest, for the terms that are not in it."""
    table: dict[str, float] = {}
    idf = 0.0
    for line in text.splitlines():
        if line.startswith("= "):
            idf = float(line[2:])
        else:
            table.update(dict.fromkeys(line.split(), idf))
    return table, idf


ENGLISH_IDF, RAREST_IDF = _read_idf(Path(__file__).with_name("english_idf.txt").read_text("utf-8"))
"""How rare a term is in English at large: inverse document frequency (IDF), rounded to halves.

research/aeo/background.py counts the table over 6,085 pieces of 100 words: texts of MASC (American National
Corpus, any use allowed) and speeches of American presidents (public domain). It holds the stems that stand in
at least five pieces. Every other term is rare, and counts like one that stands in a single piece.
"""


def stemmer(language: str) -> Callable[[str], str]:
    """The function from a word to the form its inflections share: a light English stem, else a prefix."""
    if language == "en":
        return _ENGLISH_STEMS.__getitem__
    length = _PREFIX_CHARACTERS.get(language)
    return lambda token: token[:length]


class _Stems(dict[str, str]):
    """A cache of English stems: an article has mostly the words of the one before it."""

    def __missing__(self, token: str) -> str:
        if len(token) > _LONGEST_STEMMED:
            return token
        if len(self) >= _MOST_STEMS_KEPT:
            self.clear()
        self[token] = stem = _stem_english(token)
        return stem


_ENGLISH_STEMS = _Stems()


def _stem_english(token: str) -> str:  # noqa: C901 (one rule of English a branch)
    token = token.removesuffix("'s")
    if len(token) <= _SHORTEST_STEM or not token[-1].isalpha():
        return token
    if token.endswith("ies"):
        token = token[:-3] + "y"
    elif token.endswith(("sses", "shes", "ches", "xes")):
        token = token[:-2]
    elif token[-1] == "s" and token[-2] not in "sui":
        token = token[:-1]
    for ending in ("ing", "ed"):
        if token.endswith(ending) and len(token) - len(ending) >= _SHORTEST_STEM:
            token = token[: -len(ending)]
            if token[-1] == token[-2] and token[-1] not in "ls":
                token = token[:-1]
            break
    if len(token) > _SHORTEST_STEM:
        token = token.removesuffix("e")
    if len(token) > _SHORTEST_STEM and token[-1] == "y":
        token = token[:-1] + "i"
    for ending in _ENGLISH_DERIVATIONS:
        if token.endswith(ending) and len(token) - len(ending) >= _SHORTEST_ROOT:
            return token[: -len(ending)]
    return token


def question_tokens(tokens: Iterable[str], language: str) -> list[str]:
    """The tokens of a question that say what it is about, in order; all of them if none is left."""
    tokens = list(tokens)
    put_with = STOP_WORDS.get(language, frozenset()) | _QUESTION_FRAMES.get(language, frozenset())
    return [token for token in tokens if token not in put_with] or tokens


class Vocabulary:
    """The distinct words of one article and its address: how often each stands in the text, and its stem."""

    def __init__(self, document: Document, address: Iterable[str] = ()) -> None:
        self.language = document.language
        self.counts = Counter(chain.from_iterable([sentence.tokens for sentence in document.sentences]))
        in_headings = chain.from_iterable(heading.tokens for heading in document.headings)
        in_title = tokenize(document.title.text) if document.title else []
        self.stem = stemmer(self.language)
        tokens = list(chain(self.counts, in_headings, in_title, address))
        self.stems = dict(zip(tokens, map(self.stem, tokens), strict=True))

    def idf(self, term: str) -> float:
        """Inverse document frequency in English at large; without such a table the length of the term.

        Long words are rarer than short ones in every language, up to six letters.
        """
        if self.language == "en":
            return ENGLISH_IDF.get(term, RAREST_IDF)
        return float(min(len(term), _LONGEST_WEIGHED))


class QuestionTerms:
    """The terms of one question, weighted, and where the words of the article meet them."""

    def __init__(self, question: str, vocabulary: Vocabulary) -> None:
        self.question = question
        self.tokens = tuple(tokenize(question))
        tokens = question_tokens(self.tokens, vocabulary.language)
        self.words = {vocabulary.stem(token): token for token in reversed(tokens)}
        self.weights = {term: vocabulary.idf(term) for term in sorted(self.words)}
        self.total = math.fsum(self.weights.values())
        self._coverages: dict[frozenset[str], float] = {}
        self._matching = {token: term for token, term in vocabulary.stems.items() if term in self.words}
        self._are_all_absent = self._matching.keys().isdisjoint

    def found_in(self, tokens: Sequence[str]) -> frozenset[str]:
        """The question's terms among the tokens of some part of the article."""
        # Most sentences hold none of the terms, which this check tells faster than a look at each word.
        if self._are_all_absent(tokens):
            return _NO_TERMS
        matching = self._matching
        return frozenset([matching[token] for token in tokens if token in matching])

    def count_in(self, tokens: Sequence[str]) -> int:
        """How many of the tokens are among the question's terms, repeats counted."""
        return sum(map(self._matching.__contains__, tokens))

    def coverage(self, terms: frozenset[str]) -> float:
        """Share of the question's IDF weight that the terms hold, 0 to 1."""
        known = self._coverages.get(terms)
        if known is None:
            known = math.fsum(self.weights[term] for term in terms) / self.total if self.total else 0.0
            self._coverages[terms] = known
        return known

    def missing(self, terms: frozenset[str]) -> list[str]:
        """The words of the question whose terms are not among these, rarest first."""
        absent = [term for term in self.weights if term not in terms]
        return [self.words[term] for term in sorted(absent, key=lambda term: (-self.weights[term], term))]
