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
            "Of 1\u00a0000 men 2\u202f000 ran.", "Of 1000 men 2000 ran.", "en", id="spaces-in-numbers"
        ),
        pytest.param("It was 20 °C in here.", "It was 20 ° C in here.", "en", id="space-in-a-unit"),
        pytest.param("It was 1, 2. So 3.", "It was 1. So 2, 3.", "en", id="punctuation-after-numbers"),
        pytest.param(
            "Die alte Brücke am Fluss ist nicht wirklich schwer.",  # codespell:ignore
            "Die alte Brücke am Fluss ist nicht schwer.",  # codespell:ignore
            "de",
            id="german",
        ),
        pytest.param(
            "A régi malom lassan forog.", "A régi malom lassan forog", "hu", id="without-lists-of-words"
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
    assert is_unchanged("c" + "ab " * 100, "ab " * 100)
    assert is_unchanged("x" * 100, "x" * 95)  # alike by 2 * 95 / 195, which is 0.974
    assert not is_unchanged("x" * 100, "x" * 94)  # 0.969


def test_long_texts_are_compared_as_a_whole_only() -> None:
    """Above 3,000 characters a comparison by letter would take too long."""
    text = " ".join(map(str, range(1_000)))
    assert is_unchanged(text[:3_000], text[:2_999])
    assert not is_unchanged(text[:3_001], text[:3_000])
    assert is_unchanged(text[:3_001], text[:3_001])


def words(first: int, last: int) -> str:
    """A run of content words that stem to themselves and are in no list."""
    return " ".join(f"{chr(97 + number // 26)}{chr(97 + number % 26)}zoq" for number in range(first, last))


@pytest.mark.parametrize(
    ("original", "rewritten", "rule", "is_broken"),
    [
        pytest.param(words(0, 6), words(0, 12), "new words", False, id="half-of-it-is-new"),
        pytest.param(words(0, 6), words(0, 13), "new words", True, id="more-is-new"),
        pytest.param(words(0, 40), words(0, 30), "recall", False, id="three-quarters-are-left"),
        pytest.param(words(0, 40), words(0, 29), "recall", True, id="fewer-are-left"),
        pytest.param(
            words(0, 88), f"{words(0, 88)} {words(0, 15)}", "repetition", False, id="12-of-100-runs-again"
        ),
        pytest.param(
            words(0, 87), f"{words(0, 87)} {words(0, 16)}", "repetition", True, id="13-of-100-runs-again"
        ),
        pytest.param(
            f"{words(0, 21)} {words(0, 7)}",
            f"{words(0, 21)} {words(0, 7)}",
            "repetition",
            False,
            id="as-often-as-before",
        ),
        pytest.param("It has 5 or 5.", "It has 5 or so.", "numbers", True, id="the-same-number-once"),
        pytest.param("See https://a.org/b.", "See https://a.org/b now.", "links", False, id="end-of-a-link"),
        pytest.param("It ran. Then it fell.", "It ran, then it fell.", "names", False, id="next-sentence"),
        pytest.param("So Ada's dog ran.", "So the dog of Ada ran.", "names", False, id="genitive"),
        pytest.param("So Ada\u2019s dog ran.", "So the dog of Ada ran.", "names", False, id="its-other-mark"),
        pytest.param("As I say I'm, I've, I'll, I'd.", "As she says.", "names", False, id="i"),
        pytest.param(
            "As I\u2019m, I\u2019ve, I\u2019ll, I\u2019d.",
            "As she is.",
            "names",
            False,
            id="i-with-the-other-mark",
        ),
        pytest.param("As the Ii ran.", "As it ran.", "names", True, id="a-name-with-an-i"),
        pytest.param(
            "Two gnomes wanted old kettles.", "Gnome wants kettle, two old.", "recall", False, id="endings"
        ),
        pytest.param("Blue sky.", "Der Himmel ist blau in dem.", "language", True, id="too-short-to-tell"),
        pytest.param("x", "xx", "length", True, id="twice-a-letter"),
        pytest.param("", "x", "length", False, id="as-long-as-the-least"),
        pytest.param("x" * 100, "x" * 45, "length", False, id="0.45-times"),
        pytest.param("x" * 100, "x" * 44, "length", True, id="shorter"),
        pytest.param("x" * 100, "x" * 135, "length", False, id="1.35-times"),
        pytest.param("x" * 100, "x" * 136, "length", True, id="longer"),
        pytest.param("It ran.", "It ran. It fell.", "sentences", False, id="one-sentence-more"),
        pytest.param("It ran.", "It ran. It fell. It lay.", "sentences", True, id="two-more"),
        pytest.param(
            "The sky is blue in here.", "Der Himmel ist in dem.", "language", False, id="five-words"
        ),
        pytest.param(
            "The sky is blue in here.", "Der Himmel ist blau in dem.", "language", True, id="six-words"
        ),
    ],
)
def test_bounds(original: str, rewritten: str, rule: str, is_broken: bool) -> None:
    """Each threshold holds exactly where docs/rewriting.md says."""
    assert (rule in rules(original, rewritten)) == is_broken


@pytest.mark.parametrize(
    ("original", "is_broken"),
    [("The sky is blue in here.", True), ("Der Himmel ist blau in ihm.", False), ("Himmel!", False)],
    ids=["english", "german", "unknown"],
)
def test_language_of_an_article_that_names_none(original: str, is_broken: bool) -> None:
    """It is the one of the text, if that tells."""
    assert ("language" in rules(original, "Der Himmel ist blau in dem.", "und")) == is_broken


@pytest.mark.parametrize(
    ("length", "is_broken"), [(60, False), (59, True), (150, False), (151, True)], ids=str
)
def test_bounds_of_a_paragraph(length: int, is_broken: bool) -> None:
    """A paragraph may shrink to 0.6 and grow to 1.5 times, and have as many sentences as it likes."""
    assert ("length" in rules("x" * 100, "x" * length, is_paragraph=True)) == is_broken
    assert "sentences" not in rules("It ran.", "It ran. It fell. It lay.", is_paragraph=True)


def test_details_show_what_differs_and_nothing_else() -> None:
    """They go to logs and to people: none shows the text of the article."""
    answer = (
        "Here is it: In 2020 Irène Curie never paid 48 km less than “our enemies” for a **car** "
        "(see https://example.com/a)."
    )
    assert {each.rule: each.detail for each in refusals(ORIGINAL, answer, "en")} == {
        "numbers": "gone: 2019, 48%; new: 2020, 48km",
        "links": "gone: https://example.org/a; new: https://example.com/a",
        "quotations": "gone: our friends in Leeds; new: our enemies",
        "names": "gone: College, Leeds, Marie; new: Irène",
        "negations": "new: negation",
        "comparisons": "gone: more; new: less",
        "recall": "only 33% of the original's content words are left",
        "new words": "62% of its content words are new",
        "chatty": "it begins by talking to someone",
        "markup": "new: *",
    }
    details = {
        each.rule: each.detail
        for original, rewritten in (
            ("A tall tree stood there.", " "),
            ("A tall tree stood by the old stone bridge.", "A tree."),
            ("A tall tree stood there.", "A tall tree stood there. It fell. It rotted."),
            (words(0, 21), f"{words(0, 21)} {words(0, 7)}"),
            ("The sky is blue in here.", "Der Himmel ist blau in dem."),
        )
        for each in refusals(original, rewritten, "en")
        if each.rule in ("empty", "length", "sentences", "repetition", "language")
    }
    assert details == {
        "empty": "the model answered nothing",
        "length": "1.83 times the original; allowed: 0.45 to 1.35",
        "sentences": "3 sentences for 1",
        "repetition": "16% of its runs of 4 words are repeated",
        "language": "de, not en",
    }


def test_a_detail_names_three_of_what_differs() -> None:
    """However many facts are gone, the detail stays short."""
    gone, new = "It is 11 or 12 or 13 or 14 here.", "It is 21 or 22 or 23 or 24 here."
    assert [(each.rule, each.detail) for each in refusals(gone, new, "en")] == [
        ("numbers", "gone: 11, 12, 13; new: 21, 22, 23")
    ]


def test_damaged_and_harmless_rewrites() -> None:
    """At least 95 % of 500 damaged rewrites are refused, at most 10 % of 500 harmless ones."""
    articles = samples.articles()
    damaged = list(samples.damaged(articles, random.Random(2)))
    harmless = list(samples.harmless(articles, random.Random(2)))
    assert min(len(damaged), len(harmless)) >= 500
    assert samples.share(samples.measure(damaged)) >= 0.95
    assert samples.share(samples.measure(harmless)) <= 0.1
