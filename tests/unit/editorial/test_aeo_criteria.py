"""Each criterion, penalty and cap against figures worked out by hand."""

import datetime
import math

import pytest

from contentworker.editorial import MediaType
from contentworker.editorial.aeo import AeoScore, Criterion
from contentworker.editorial.aeo.nearness import ArticleVectors
from contentworker.editorial.aeo.rubric import RUBRIC, ramp
from contentworker.editorial.aeo.scoring import score
from contentworker.editorial.aeo.terms import ENGLISH_IDF, RAREST_IDF, stemmer
from contentworker.editorial.document import parse
from contentworker.editorial.settings import ContentSettings

SETTINGS = ContentSettings()
TODAY = datetime.date(2026, 6, 1)
# A sentence of ten words without figures, sources or terms of the questions asked here.
FILLING = "Some old friends came along and sat down for lunch. "


def judge(
    source: str, *questions: str, media_type: MediaType = "markdown", url: str | None = None
) -> AeoScore:
    document = parse(source, media_type=media_type, settings=SETTINGS)
    return score(document, questions=questions, url=url, today=TODAY, settings=SETTINGS)


def criterion(
    source: str, name: str, *questions: str, media_type: MediaType = "markdown", url: str | None = None
) -> Criterion:
    result = judge(source, *questions, media_type=media_type, url=url)
    return next(found for found in result.criteria if found.name == name)


@pytest.fixture
def words_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Judge as in a language without word vectors, so that figures can be worked out by hand."""
    monkeypatch.setattr(ArticleVectors, "of", lambda _document: None)


def test_weights_add_up_to_one_hundred() -> None:
    """The rubric has ten rows whose weights make 100 points."""
    assert [row.weight for row in RUBRIC] == [40, 12, 16, 10, 7, 4, 4, 4, 3, 0]
    assert sum(row.weight for row in RUBRIC) == 100


@pytest.mark.parametrize(("value", "expected"), [(0, 0.0), (20, 0.0), (27.5, 0.5), (35, 1.0), (99, 1.0)])
def test_ramp_is_clipped_at_both_ends(value: float, expected: float) -> None:
    """ramp(x, 20, 35) is 0 up to 20, 1 from 35 and straight between."""
    assert ramp(value, 20, 35) == expected


@pytest.mark.usefixtures("words_alone")
def test_question_relevance_weighs_passage_and_sentence() -> None:
    """.5 x coverage by passage + .4 by sentence, both with headings, + .05 by a sentence + .05 by opening.

    All in IDF weights.
    """
    # Terms: gnome and kazoo (both rare). The heading holds one, one sentence the other, no sentence both.
    source = "# The gnome\n\nKazoo is an instrument. " + FILLING * 3
    assert not {"gnom", "kazoo"} & ENGLISH_IDF.keys()
    assert criterion(source, "question_relevance", "Why is the gnome kazoo?").score == pytest.approx(
        0.5 * 1 + 0.4 * 1 + 0.05 * 0.5 + 0.05 * 0.5
    )


@pytest.mark.usefixtures("words_alone")
def test_a_sentence_that_says_all_is_worth_more_than_two_that_share_it() -> None:
    """What one passage holds in two sentences counts half of what one sentence holds under no heading."""
    question = "Why is the gnome kazoo?"
    apart = "# T\n\nA gnome came. A kazoo fell. " + FILLING
    together = "# T\n\nA gnome came and a kazoo fell. " + FILLING
    assert criterion(apart, "question_relevance", question).score == pytest.approx(
        0.5 + 0.4 / 2 + 0.05 / 2 + 0.05 / 2
    )
    assert criterion(together, "question_relevance", question).score == 1


@pytest.mark.usefixtures("words_alone")
def test_the_opening_sentence_counts_by_itself() -> None:
    """A sentence is worth .05 more where the article opens with it; a question before it is no opening."""
    question = "Why is the gnome kazoo?"
    told = "A gnome came and a kazoo fell."
    first, later, asked = (
        criterion(f"# T\n\n{text} {FILLING}", "question_relevance", question).score
        for text in (told, f"It rained. {told}", f"{question} {told}")
    )
    assert [first, later, asked] == pytest.approx([1, 0.95, 1])


@pytest.mark.usefixtures("words_alone")
def test_long_words_weigh_more_where_no_table_says_how_rare_words_are() -> None:
    """In languages other than English a term weighs by its length, up to six letters."""
    source = (
        "---\nlang: de\n---\n# T\n\nDer Ofen steht da. " + "Einige Freunde kamen und setzten sich hin. " * 3
    )
    assert criterion(source, "question_relevance", "Was ist der Ofen der Windmühle?").score == pytest.approx(
        4 / (4 + 6), abs=1e-4
    )


@pytest.mark.parametrize(
    ("one", "other"),
    [("govern", "government"), ("governed", "governor"), ("direct", "directly"), ("director", "direction")],
)
def test_derived_words_meet_their_root(one: str, other: str) -> None:
    """What is made of a root of five letters or more counts as that root."""
    stem = stemmer("en")
    assert stem(one) == stem(other)


@pytest.mark.parametrize(("one", "other"), [("number", "numb"), ("mother", "moth"), ("station", "state")])
def test_short_words_keep_what_only_looks_like_an_ending(one: str, other: str) -> None:
    """Below five letters an ending is more often part of the word."""
    stem = stemmer("en")
    assert stem(one) != stem(other)


@pytest.mark.usefixtures("words_alone")
def test_common_terms_weigh_less_than_rare_ones() -> None:
    """A passage with the rare term of a question covers more of it than one with the common term."""
    common = ENGLISH_IDF["year"]
    source = "# T\n\nEvery year is new. " + FILLING
    expected = common / (common + RAREST_IDF)
    assert criterion(source, "question_relevance", "Which year was zirconium?").score == pytest.approx(
        expected, abs=1e-4
    )


def test_inflected_words_meet_their_question() -> None:
    """Plural, past tense and -ing forms count as the same term."""
    source = "# T\n\nLeaves are falling and were scattered by storms. " + FILLING
    found = criterion(source, "question_relevance", "Does a storm scatter falling leaf, leaves?")
    assert (found.score or 0) > 0.7


def test_heading_match_is_the_best_share_of_terms() -> None:
    """The title or heading with the largest share of the question's terms counts."""
    source = "---\ntitle: About kettles\n---\n# Green things\n\n## Green tea\n\n" + FILLING
    found = criterion(source, "heading_match", "How hot should green tea be?")
    assert found.score == pytest.approx(2 / 3, abs=1e-4)
    assert found.evidence[0].text == "Green tea"


def test_heading_match_knows_words_that_only_the_title_has() -> None:
    """A title counts even if the text never says its words."""
    source = f"<html><head><title>Green tea</title></head><body><h1>Notes</h1><p>{FILLING}</p></body></html>"
    assert criterion(
        source, "heading_match", "How hot is green tea?", media_type="html"
    ).score == pytest.approx(2 / 3, abs=1e-4)


def test_answer_at_the_top_is_fully_direct() -> None:
    """First sentence, 8-45 words, no filler, all terms: 1."""
    source = "# Notes\n\nThe sky is blue since air scatters short waves most. " + FILLING
    assert criterion(source, "answer_directness", "Why is the sky blue?").score == 1


def test_answer_directness_follows_its_formula() -> None:
    """[.45(1-ramp(650,100,1200)) + .3(1-ramp(55,20,90)) + .15 + 0 for filler] x coverage."""
    section = "## Part\n\n" + FILLING * 12 + "\n\n"
    answer = "Basically, the sky is blue since air scatters short waves most of all."
    # Six sections of 120 words, then fifty words of the passage before the answer: 770 words before it.
    source = "# Notes\n\n" + section * 6 + "## Part\n\n" + FILLING * 5 + answer
    expected = 0.45 * (1 - (770 - 100) / 1100) + 0.3 * (1 - (50 - 20) / 70) + 0.15
    assert criterion(source, "answer_directness", "Why is the sky blue?").score == pytest.approx(
        expected, abs=1e-4
    )


@pytest.mark.parametrize(("words", "expected"), [(7, 0.85), (8, 1), (45, 1), (46, 0.85)], ids=str)
def test_an_answer_of_8_to_45_words_is_worth_more(words: int, expected: float) -> None:
    """By .15, which the shares of place and filler make 1."""
    answer = "The sky is blue " + "so " * (words - 5) + "now."
    source = f"# Notes\n\n{answer} {FILLING * 3}"
    assert criterion(source, "answer_directness", "Why is the sky blue?").score == pytest.approx(expected)


def test_the_sentence_that_says_the_terms_most_often_answers() -> None:
    """It breaks the tie between two sentences under a heading that asks the whole question."""
    told = "A leap year is a year that is a leap year by rule."
    source = f"# What is a leap year?\n\nThere is a leap year in it somewhere. {told} {FILLING}"
    found = criterion(source, "answer_directness", "What is a leap year?")
    assert found.evidence[0].text == told


@pytest.mark.usefixtures("words_alone")
def test_a_passage_has_at_most_120_words() -> None:
    """Two terms further apart than that are in no passage together, wherever the article is cut."""
    for before in (0, 7):
        for fillings, expected in ((11, 1), (12, 0.5)):
            told = "A gnome came out there. " + FILLING * fillings + "A kazoo was played there."
            found = criterion(f"# T\n\n{FILLING * before}{told}", "question_relevance", HALVES)
            assert found.evidence[0].note.startswith(f"passage holds {expected:.0%}")


ASKED = "Why is the sky blue?"
ANSWER = "The sky is blue since air scatters short waves most."
HALVES = "Why is the gnome kazoo?"


@pytest.mark.parametrize(
    ("source", "question", "name", "text", "place"),
    [
        pytest.param(
            f"A gnome came out there. {FILLING}",
            "Why is the gnome zirconium kazoo?",
            "question_relevance",
            "State what the question asks about (kazoo, zirconium) in this passage.",
            "A gnome came out there.",
            id="passage-lacks-terms",
        ),
        pytest.param(
            f"A gnome came out there. A kazoo was played there. {FILLING}",
            HALVES,
            "question_relevance",
            "Answer in one sentence that also says: kazoo.",
            "A gnome came out there.",
            id="sentence-lacks-terms",
        ),
        pytest.param(
            FILLING + ANSWER, ASKED, "question_relevance", "Open with this sentence.", ANSWER, id="opening"
        ),
        pytest.param(ANSWER, ASKED, "question_relevance", None, None, id="relevant"),
        pytest.param(
            ANSWER,
            ASKED,
            "heading_match",
            f"Put a heading that asks “{ASKED}” above the answer.",
            ANSWER,
            id="no-heading",
        ),
        pytest.param(
            f"# The blue one\n\n{ANSWER}",
            ASKED,
            "heading_match",
            f"Rename “The blue one” to ask “{ASKED}”.",
            "The blue one",
            id="half-a-heading",
        ),
        pytest.param(f"# Blue sky\n\n{ANSWER}", ASKED, "heading_match", None, None, id="heading"),
        pytest.param(
            ASKED,
            ASKED,
            "answer_directness",
            "Answer the question in a sentence of 30-50 words near the top.",
            None,
            id="no-answer",
        ),
        pytest.param(
            f"{FILLING}The air scatters blue light most in the morning hours here.",
            ASKED,
            "answer_directness",
            f"No sentence answers “{ASKED}” outright: say it in 30-50 words here.",
            "The air scatters blue light most in the morning hours here.",
            id="half-an-answer",
        ),
        pytest.param(FILLING * 2 + ANSWER, ASKED, "answer_directness", None, None, id="after-20-words"),
        pytest.param(
            f"{FILLING}Then some old friends came along and sat down for lunch. {ANSWER}",
            ASKED,
            "answer_directness",
            f"Move “{ANSWER}” up, before other matter; answer in 30-50 words.",
            ANSWER,
            id="after-21-words",
        ),
        pytest.param(
            f"{FILLING * 10}So it is. \n\n## B\n\n{ANSWER}",
            ASKED,
            "answer_directness",
            f"Move “{ANSWER}” up, before other matter; answer in 30-50 words.",
            ANSWER,
            id="after-103-words-in-another-passage",
        ),
        pytest.param(
            "Basically, the sky is blue since air scatters waves.",
            ASKED,
            "answer_directness",
            "Cut the opening of “Basically, the sky is blue since air scatters waves.” "
            "and begin with the answer.",
            "Basically, the sky is blue since air scatters waves.",
            id="filler",
        ),
        pytest.param(
            f"The sky is blue. {FILLING}",
            ASKED,
            "answer_directness",
            "Answer in 30-50 words instead of 4: “The sky is blue.”",
            "The sky is blue.",
            id="too-short",
        ),
    ],
)
def test_advice_about_a_question(
    source: str, question: str, name: str, text: str | None, place: str | None
) -> None:
    """What would win most, and where; none where nothing is lost."""
    settings = ContentSettings(max_recommendations=20)
    document = parse(source, media_type="markdown", settings=settings)
    found = score(document, questions=[question], today=TODAY, settings=settings).recommendations
    advice = {item.criterion: item for item in found}.get(name)
    assert (advice and advice.text) == text
    if advice and advice.start is not None:
        assert source[advice.start : advice.end] == place
    else:
        assert place is None


EVERYTHING = """---
title: Old kettles
date: 2027-01-01
robots: noindex
---
# How hot is a kettle?

Basically, a kettle is a revolutionary, world-class kettle of an old kettle. It boils when a gnome asks.

## Zirconium

A kettle was so hot that the kettle of the gnome fell!! The kettle came back.
"""


@pytest.mark.usefixtures("words_alone")
def test_everything_that_a_score_says() -> None:
    """Of a short page with a cap, both penalties and three questions, one of them in another language."""
    settings = ContentSettings(max_evidence_per_criterion=1, max_recommendations=4)
    document = parse(EVERYTHING, media_type="markdown", settings=settings)
    first, second, foreign = (
        "How hot is a kettle?", "Who discovered zirconium and when?", "Warum ist der Ofen denn so heiß?"
    )  # fmt: skip
    result = score(document, questions=[first, second, foreign], today=TODAY, settings=settings)

    def at(text: str) -> dict[str, int]:
        return {"start": EVERYTHING.index(text), "end": EVERYTHING.index(text) + len(text)}

    kettle = "Basically, a kettle is a revolutionary, world-class kettle of an old kettle."
    fell = "A kettle was so hot that the kettle of the gnome fell!!"
    shown = result.model_dump(exclude_none=True)
    rows = shown.pop("criteria")
    assert [
        (row["name"], row["title"], row["weight"], row["evidence_grade"], row["source"]) for row in rows
    ] == [(row.name, row.title, row.weight, row.evidence_grade, row.source) for row in RUBRIC]
    assert [row["score"] for row in rows] == [0.756, 0.75, 0.7963, 0.6, 0.6, 0, 0, 1, 0, 0]
    assert [row["evidence"] for row in rows[:3]] == [
        ({"text": fell, "note": "passage holds 59% of the question, lacks: discovered", **at(fell)},),
        ({"text": "Zirconium", "note": "closest holds 50% of the terms", **at("Zirconium")},),
        ({"text": fell, "note": "after 19 words (0 in its passage), 12 long", **at(fell)},),
    ]
    assert shown == {
        "score": 15.0,
        "questions": (
            {
                "question": first,
                "question_relevance": 0.9786,
                "heading_match": 1.0,
                "answer_directness": 1.0,
            },
            {
                "question": second,
                "question_relevance": 0.5333,
                "heading_match": 0.5,
                "answer_directness": 0.5926,
            },
            {"question": foreign},
        ),
        "question_inferred": False,
        "compared_by": "words",
        "weakest_question": second,
        "found": "article",
        "language": "en",
        "words": 35,
        "confidence": "low",
        "penalties": (
            {
                "name": "stuffing",
                "points": 12.0,
                "limit": 12.0,
                "evidence": ({"text": kettle, "note": "“kettle”: 17.1% of all words", **at(kettle)},),
            },
            {
                "name": "promotional",
                "points": 0.0,
                "limit": 0.0,
                "evidence": ({"text": kettle, "note": "revolutionary", **at(kettle)},),
            },
        ),
        "caps": (
            {
                "name": "noindex",
                "limit": 15.0,
                "reason": "The page asks engines to leave it out of their index.",
            },
        ),
        "not_scored": (
            {
                "name": "llms.txt",
                "weight": 0,
                "note": "Not looked for: scoring uses no network. It would not count: "
                "Google's AI features need none.",
            },
        ),
        "warnings": (
            f"The question “{foreign}” is not in the article's language (en): criteria 1-3 cannot judge it.",
            "Only 35 words: less certain below 150.",
            "There are no word vectors for “en”: questions are compared by words alone.",
            "A date of the article lies in the future and was not counted.",
        ),
        "recommendations": (
            {
                "criterion": "noindex",
                "text": "Remove noindex: a page that is not indexed is never shown.",
                "place": "whole article",
                "gain": 39.2,
                "evidence_grade": "official",
            },
            {
                "criterion": "stuffing",
                "text": "Say “kettle” less often (6 in 35 words), here first.",
                "place": "How hot is a kettle?",
                "gain": 12.0,
                "evidence_grade": "medium",
                **at(kettle),
            },
            {
                "criterion": "question_relevance",
                "text": "State what the question asks about (discovered) in this passage.",
                "place": "How hot is a kettle? > Zirconium",
                "gain": 9.8,
                "evidence_grade": "strong",
                **at(fell),
            },
            {
                "criterion": "structure",
                "text": "Merge short sections: 1 headings for 35 words, 200-600 each is best.",
                "place": "whole article",
                "gain": 4.0,
                "evidence_grade": "official",
            },
        ),
        "rubric_version": "4",
    }


@pytest.mark.parametrize(
    "question", [ASKED, "Why is the sky blue.", "So is the sky blue since air scatters it?"]
)
def test_a_question_is_no_answer(question: str) -> None:
    """A sentence that repeats the question, with its mark or without, or that asks another."""
    found = criterion(f"# Notes\n\n{question} {FILLING}{ANSWER}", "answer_directness", ASKED)
    assert found.evidence[0].text == ANSWER


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        pytest.param("# A\n\n" + FILLING * 30 + "\n\n- one\n- two", 1.0, id="all"),
        pytest.param("# A\n\n" + FILLING * 30, 0.8, id="no-list"),
        pytest.param("# A\n\n" + FILLING * 30 + "\n\n# B\n\n- one\n- two", 0.8, id="two-h1"),
        pytest.param("# A\n\n### B\n\n" + FILLING * 30 + "\n\n- one\n- two", 0.8, id="skipped-level"),
        pytest.param(
            "# A\n\n" + FILLING * 89 + "\n\n" + "Ten words are here " * 2 + "two.\n\n- b",
            0.4 * (1 - 300 / 600) + 0.6,
            id="900-words",
        ),
        pytest.param(
            "# A\n\n" + ("## B\n\n" + FILLING * 12 + "\n\n") * 4 + "- one\n- two",
            0.4 * (0.5 + 0.5 * (482 / 4 - 50) / 150) + 0.6,
            id="close-headings",
        ),
        pytest.param("Plain.\n\n- one\n- two", 0.2, id="no-headings"),
    ],
)
def test_structure_adds_up_its_parts(source: str, expected: float) -> None:
    """.4 heading density + .2 one h1 + .2 no skipped level + .2 a list or table."""
    assert criterion(source, "structure").score == pytest.approx(expected, abs=1e-4)


def test_long_sections_are_named() -> None:
    """A section over 600 words is evidence, and the advice is to split it."""
    result = judge("# A\n\n## B\n\n" + FILLING * 90 + "\n\n- x")
    found = next(row for row in result.criteria if row.name == "structure")
    assert found.evidence[0].note == "section of 901 words"
    advice = next(item for item in result.recommendations if item.criterion == "structure")
    assert advice.text.startswith("Split “B” (901 words)")


def test_self_containment_counts_openings_and_lengths() -> None:
    """.6 x share not opening with a pronoun + .4 x share of 25-180 words."""
    # Two passages: one of thirty words opening with "This", one of ten words opening with a noun.
    source = (
        "# A\n\n## B\n\nThis friend came along and sat down for lunch there. "
        + FILLING * 2
        + "\n\n## C\n\n"
        + FILLING
    )
    found = criterion(source, "self_containment")
    assert found.score == pytest.approx(0.6 * 0.5 + 0.4 * 0.5)
    assert found.evidence[0].text.startswith("This friend")


@pytest.mark.parametrize(
    ("text", "figures"),
    [
        pytest.param("It weighs 5 kg now.", 1, id="unit"),
        pytest.param("It rose by 12.5% or 3 million people.", 2, id="percent-and-word"),
        pytest.param("It costs $1,200 or 900 euros.", 2, id="money"),
        pytest.param("It began in 1995 with rule 4.", 0, id="years-and-numbers"),
        pytest.param("The B12 m5 model.", 0, id="part-of-a-word"),
    ],
)
def test_statistics_are_numbers_with_units(text: str, figures: int) -> None:
    """Figures with units per 100 words, ramp 0-1.5; years and bare numbers are none."""
    source = "# A\n\n" + FILLING * 19 + text
    words = judge(source).words
    assert criterion(source, "statistics").score == pytest.approx(
        min(1, figures * 100 / words / 1.5), abs=1e-4
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("Nothing cited here.", 0.0, id="none"),
        pytest.param("See [a](https://a.org/1) and [b](https://a.org/2).", 0.25, id="one-domain-twice"),
        pytest.param(
            "See [a](https://own.org/1) and [b](https://sub.own.org/2) and [c](/3).", 0.0, id="own-domain"
        ),
        pytest.param("According to NASA it is so. It was known (Rayleigh, 1871).", 0.3, id="references"),
        pytest.param("Ada said: “The engine weaves algebraic patterns.”", 0.25, id="quotation"),
        pytest.param(
            "[a](https://a.org) [b](https://b.org) [c](https://c.org) [d](https://d.org) (Ada, 1871). So [1]",
            1.0,
            id="capped",
        ),
    ],
)
def test_sources_are_counted_and_capped(text: str, expected: float) -> None:
    """.25 per external domain (3) + .15 per reference (2) + .25 per attributed quotation (2), at most 1."""
    assert criterion(
        f"# A\n\n{FILLING}{text}", "sources", url="https://www.own.org/x"
    ).score == pytest.approx(expected)


def test_readability_follows_its_formula() -> None:
    """.7(1-ramp(mean words, 20, 35)) + .3(1-ramp(long words, .3, .5))."""
    short = "Some old friends came along and sat down for lunch and then they all went back " * 2
    source = f"# A\n\n{short.strip()}."
    mean = judge(source).words
    assert mean == 32
    found = criterion(source, "readability")
    assert found.score == pytest.approx(0.7 * (1 - 12 / 15) + 0.3, abs=1e-4)
    assert [evidence.note for evidence in found.evidence[1:]] == ["32 words"]
    # Fewer than four words are a caption or a label, and shorten no mean.
    with_labels = criterion(f"{source}\n\nJust a label.\n\nAnd another.", "readability")
    assert with_labels.score == pytest.approx(found.score, abs=1e-4)


@pytest.mark.parametrize(
    ("front", "expected"),
    [
        pytest.param("x: y", 0.0, id="nothing"),
        pytest.param("author: Ada", 0.4, id="author"),
        pytest.param("date: 2026-05-01", 0.6, id="fresh"),
        pytest.param("date: 2026-05-01\nauthor: Ada", 1.0, id="both"),
        pytest.param("date: 2025-06-01", 0.6, id="a-year"),
        pytest.param("date: 2025-05-22", 0.6 * (1 - 0.5 * 10 / 1096), id="a-year-and-ten-days"),
        pytest.param("date: 2020-05-01", 0.3, id="old"),
        pytest.param("date: 2020-05-01\nupdated: 2026-01-01", 0.6, id="updated"),
        pytest.param("date: 2027-05-01", 0.0, id="future"),
        pytest.param("date: 2026-13-45", 0.0, id="no-date"),
    ],
)
def test_freshness_is_date_and_author(front: str, expected: float) -> None:
    """.6 x date, falling to half from one to four years, + .4 x author."""
    assert criterion(f"---\n{front}\n---\n# A\n\n{FILLING}", "freshness").score == pytest.approx(
        expected, abs=1e-4
    )


def test_freshness_between_one_and_four_years() -> None:
    """Half way between 365 and 1461 days the date is worth three quarters."""
    day = TODAY - datetime.timedelta(days=(365 + 1461) // 2)
    source = f"---\ndate: {day.isoformat()}\n---\n# A\n\n{FILLING}"
    assert criterion(source, "freshness").score == pytest.approx(0.6 * 0.75, abs=1e-3)


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        pytest.param("", 0.0, id="nothing"),
        pytest.param('<script type="application/ld+json">{"@type": "Article"}</script>', 0.5, id="type"),
        pytest.param('<script type="application/ld+json">{"@type": "Article",}</script>', 0.0, id="broken"),
        pytest.param('<script type="application/ld+json">{"name": "x"}</script>', 0.0, id="no-type"),
        pytest.param(
            '<meta name="description" content="About."><link rel=canonical href="https://a.org/">',
            0.5,
            id="head",
        ),
        pytest.param(
            '<script type="application/ld+json">[{"@type": "Article"}]</script>'
            '<script type="application/ld+json">]</script>',
            0.25,
            id="one-broken",
        ),
    ],
)
def test_structured_data_has_four_quarters(head: str, expected: float) -> None:
    """A quarter each for a type, no errors, a description and a canonical URL."""
    source = f"<html><head>{head}</head><body><p>{FILLING}</p></body></html>"
    assert criterion(source, "structured_data", media_type="html").score == pytest.approx(expected)


def test_markdown_is_judged_on_what_front_matter_can_say() -> None:
    """Front matter gives description and canonical, half each; without front matter nothing is judged."""
    assert criterion(f"---\ndescription: About.\n---\n# A\n\n{FILLING}", "structured_data").score == 0.5
    assert criterion(f"# A\n\n{FILLING}", "structured_data").score is None


def test_weight_of_what_does_not_apply_is_shared_out() -> None:
    """The total is the weighted mean of the criteria that apply, less penalties."""
    result = judge(
        "The sky is blue since air scatters short waves most.\n\n" + FILLING * 20,
        "Why is the sky blue?",
        media_type="text",
    )
    applied = [row for row in result.criteria if row.score is not None]
    assert [row.name for row in result.criteria if row.score is None] == ["structured_data"]
    mean = (
        100
        * math.fsum(row.weight * (row.score or 0) for row in applied)
        / math.fsum(row.weight for row in applied)
    )
    lost = math.fsum(penalty.points for penalty in result.penalties)
    assert result.score == pytest.approx(mean - lost, abs=0.11)


def test_stuffing_takes_off_up_to_twelve_points() -> None:
    """12 x ramp(share of the commonest term, .05, .11), from six occurrences on."""
    # 8 of 100 words are "kettle"; the others are function words, or stand there once.
    others = [f"word{number}" for number in range(52)]
    source = "# A\n\n" + " ".join(["the", "kettle", "of", "the"] * 8 + ["and"] * 16 + others) + "."
    penalty = next(found for found in judge(source).penalties if found.name == "stuffing")
    assert penalty.points == pytest.approx(12 * (0.08 - 0.05) / 0.06)
    assert "kettle" in penalty.evidence[0].note


def test_a_few_repeats_in_a_short_text_are_no_stuffing() -> None:
    """Five occurrences are not held against a text, however short; six are."""
    others = " ".join(f"word{number}" for number in range(40))
    for times, expected in ((5, []), (6, ["stuffing"])):
        found = judge(f"---\nlang: en\n---\n# A\n\n{'kettle ' * times}{others}.").penalties
        assert [penalty.name for penalty in found] == expected


def test_all_terms_of_a_question_together_are_stuffing_from_a_larger_share_on() -> None:
    """12 x ramp(share of the terms of one question, .14, .24)."""
    # Each of four terms makes 4.9 % of the words, which alone is none; together they make 19.4 %.
    others = " ".join(f"word{number}" for number in range(83))
    source = f"---\nlang: en\n---\n# A\n\n{'gnome kazoo kettle zirconium ' * 5}{others}."
    assert judge(source, "Which instrument?").penalties == ()
    (penalty,) = judge(source, "Why gnome kazoo kettle zirconium?").penalties
    assert penalty.points == pytest.approx(12 * (20 / 103 - 0.14) / 0.1, abs=0.06)


def test_promotional_language_is_shown_and_takes_nothing_off() -> None:
    """The phrases are evidence; the penalty has no points, and no recommendation asks for its removal."""
    source = "# A\n\n" + FILLING * 19 + "It is a revolutionary, world-class thing, people said then."
    result = judge(source)
    penalty = next(found for found in result.penalties if found.name == "promotional")
    assert (penalty.points, penalty.limit) == (0, 0)
    assert "promotional" not in {item.criterion for item in result.recommendations}
    assert [found.note for found in penalty.evidence] == ["revolutionary", "world class"]


@pytest.mark.parametrize(
    ("robots", "name"),
    [
        pytest.param("noindex, follow", "noindex", id="noindex"),
        pytest.param("NONE", "noindex", id="none"),
        pytest.param("nosnippet", "nosnippet", id="nosnippet"),
        pytest.param("max-snippet: 0", "nosnippet", id="max-snippet"),
    ],
)
def test_pages_that_may_not_be_shown_are_capped_at_15(robots: str, name: str) -> None:
    """noindex and nosnippet cap the total, and removing them is the first recommendation."""
    head = f'<head><meta name="robots" content="{robots}"><title>Sky</title></head>'
    source = f"<html>{head}<body><h1>Sky</h1><p>{FILLING * 20}</p></body></html>"
    result = judge(source, "Why Sky?", media_type="html")
    assert result.score == 15
    assert [cap.name for cap in result.caps] == [name]
    assert result.recommendations[0].criterion == name
    assert result.recommendations[0].gain > 30


def test_what_caps_the_total_is_the_first_thing_to_do() -> None:
    """Even where the total is below the cap, so that lifting it alone wins nothing."""
    source = f"---\nrobots: noindex\n---\n{FILLING * 20}"
    first, second, *_ = judge(source, "Who discovered zirconium?").recommendations
    assert first.criterion == "noindex"
    assert first.gain == 0 < second.gain


def test_recommendations_are_ranked_by_gain_and_placed() -> None:
    """Each gain is weight x (1 - sub-score) with shared-out weights; each place names its headings."""
    result = judge("# Notes\n\n## Colours\n\n" + FILLING * 20, "Why is the sky blue?")
    gains = [item.gain for item in result.recommendations]
    assert gains == sorted(gains, reverse=True)
    rows = {row.name: row for row in result.criteria}
    weight = math.fsum(row.weight for row in result.criteria if row.score is not None)
    for item in result.recommendations:
        if item.criterion not in rows:
            continue
        row = rows[item.criterion]
        assert item.gain == pytest.approx(100 / weight * row.weight * (1 - (row.score or 0)), abs=0.06)
        assert item.evidence_grade == row.evidence_grade
    assert any(item.place == "Notes > Colours" for item in result.recommendations)
