"""The guard: what it refuses by which rule, what it lets pass, and how often it is wrong."""

import random

import pytest

from benchmarks import guard as samples
from contentworker.editorial.rewriting.guard import is_unchanged, refusals

ORIGINAL = (
    'In 2019 Marie Curie College paid 48 % more than "our friends in Leeds" for the very long bridge '
    "(see https://example.org/a)."
)


def rules(original: str, rewritten: str, language: str = "en", **more: bool) -> set[str]:
    """The names of the rules that a rewrite breaks."""
    return {found.rule for found in refusals(original, rewritten, language, **more)}


@pytest.mark.parametrize(
    ("old", "new", "rule"),
    [
        pytest.param("48 %", "84 %", "numbers", id="number"),
        pytest.param("48 %", "48 km", "numbers", id="unit"),
        pytest.param("example.org/a", "example.com/a", "links", id="link"),
        pytest.param("friends in Leeds", "friends at Leeds", "quotations", id="quotation"),
        pytest.param("Marie Curie", "Irène Curie", "names", id="name"),
        pytest.param("paid", "never paid", "negations", id="negation"),
        pytest.param("more than", "less than", "comparisons", id="comparison"),
        pytest.param("bridge", "**bridge**", "markup", id="markup"),
        pytest.param("In 2019", "Here is the sentence: in 2019", "chatty", id="chatty"),
    ],
)
def test_one_fact_changed(old: str, new: str, rule: str) -> None:
    """A single fact that differs is refused, by the rule for it."""
    assert old in ORIGINAL
    assert rule in rules(ORIGINAL, ORIGINAL.replace(old, new))


@pytest.mark.parametrize(
    ("original", "rewritten", "rule"),
    [
        pytest.param("A tall tree stood there.", "  ", "empty", id="empty"),
        pytest.param("A tall tree stood by the old stone bridge.", "A tree.", "length", id="too-short"),
        pytest.param(
            "A tall tree stood there.",
            "A tall tree stood there. It fell. It rotted.",
            "sentences",
            id="more-sentences",
        ),
        pytest.param(
            "The old mill by the river turns slowly.",
            "The old mill by the the old mill by the river turns.",
            "repetition",
            id="loop",
        ),
        pytest.param(
            "The old mill turns slowly.", "A young horse eats quickly.", "recall", id="other-content"
        ),
        pytest.param(
            "The sky is blue because the air scatters light.",
            "Der Himmel ist blau, weil die Luft das Licht streut.",  # codespell:ignore
            "language",
            id="language",
        ),
    ],
)
def test_broken_answers(original: str, rewritten: str, rule: str) -> None:
    """What a model answers when it loses its way."""
    assert rule in rules(original, rewritten)


@pytest.mark.parametrize(
    ("original", "rewritten", "language"),
    [
        pytest.param("It is not very hard to do.", "It isn't hard to do.", "en", id="contraction"),
        pytest.param(
            "In 1905, Albert Einstein wrote it.", "Albert Einstein wrote it in 1905.", "en", id="order"
        ),
        pytest.param(
            "It rose by 48 percent in three years.",
            "In 3 years it rose by 48 %.",
            "en",
            id="spelling-of-units",
        ),
        pytest.param(
            "Die alte Brücke am Fluss ist nicht wirklich schwer.",  # codespell:ignore
            "Die alte Brücke am Fluss ist nicht schwer.",  # codespell:ignore
            "de",
            id="german",
        ),
        pytest.param(
            "El té no es muy caro en esta tienda.", "El té no es caro en esta tienda.", "es", id="spanish"
        ),
    ],
)
def test_the_same_said_better(original: str, rewritten: str, language: str) -> None:
    """A light edit passes."""
    assert rules(original, rewritten, language) == set()


def test_unchanged_is_told_apart() -> None:
    """What only moved a comma is no rewrite."""
    assert is_unchanged("The sky is blue, and the sea is too.", "The sky is blue and the sea is too.")
    assert not is_unchanged("The sky is blue, and the sea is too.", "Sky and sea are blue.")


def test_a_detail_quotes_single_words_only() -> None:
    """Its details go to logs and people: the article does not."""
    for found in refusals(ORIGINAL, "Something else entirely was written here by Somebody.", "en"):
        assert "bridge (see" not in found.detail


def test_damaged_and_harmless_rewrites() -> None:
    """At least 95 % of 500 damaged rewrites are refused, at most 10 % of 500 harmless ones."""
    articles = samples.articles()
    damaged = list(samples.damaged(articles, random.Random(2)))
    harmless = list(samples.harmless(articles, random.Random(2)))
    assert min(len(damaged), len(harmless)) >= 500
    assert samples.share(samples.measure(damaged)) >= 0.95
    assert samples.share(samples.measure(harmless)) <= 0.1
