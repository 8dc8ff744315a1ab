"""What a score says about articles that are short, empty, foreign, hostile or asked several things."""

# ruff: noqa: RUF001 -- punctuation and letters of other scripts are what is tested

import datetime
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contentworker.editorial import MediaType
from contentworker.editorial.aeo import AeoScore
from contentworker.editorial.aeo.questions import check_questions, is_other_language
from contentworker.editorial.aeo.scoring import score
from contentworker.editorial.document import parse
from contentworker.editorial.settings import ContentSettings
from contentworker.errors import ContentError

ROOT = Path(__file__).parents[3]
SETTINGS = ContentSettings()
TODAY = datetime.date(2026, 6, 1)
RELEVANCE = ("question_relevance", "heading_match", "answer_directness")
GERMAN = (
    "Der Himmel ist blau, weil die Luft das kurzwellige Licht der Sonne stärker streut als das langwellige. "
)
CHINESE = "天空是蓝色的，因为空气散射短波长的阳光。"
ENGLISH = "The sky is blue because the air scatters the short waves of sunlight more than the long ones. "


def judge(
    source: str, *questions: str, media_type: MediaType | None = None, settings: ContentSettings = SETTINGS
) -> AeoScore:
    document = parse(source, media_type=media_type, settings=settings)
    return score(document, questions=questions, today=TODAY, settings=settings)


def sub_scores(result: AeoScore) -> dict[str, float | None]:
    return {row.name: row.score for row in result.criteria}


@pytest.mark.parametrize("source", ["", "   \n\t ", "<html><body></body></html>", "<script>1</script>"])
def test_nothing_scores_zero_and_says_so(source: str) -> None:
    """Empty and blank articles get 0 points, a warning and no sub-score of the text."""
    result = judge(source, "Why is the sky blue?")
    assert result.score == 0
    assert "The article has no text." in result.warnings
    assert set(sub_scores(result).values()) == {None}


def test_under_thirty_words_is_capped_at_25() -> None:
    """A stub cannot score above 25, whatever else it does right."""
    result = judge(f"# Why is the sky blue?\n\n{ENGLISH}", "Why is the sky blue?")
    assert result.words < 30
    assert result.score == 25
    assert [cap.name for cap in result.caps] == ["stub"]


def test_under_150_words_has_low_confidence() -> None:
    """Short articles are flagged; long ones are not."""
    assert judge("sky " * 149).confidence == "low"
    assert judge("sky " * 150).confidence == "normal"


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        pytest.param(
            f"# Notes\n\n## What makes the sky blue?\n\n{ENGLISH}",
            "What makes the sky blue?",
            id="heading-asks",
        ),
        pytest.param(
            f"# How the sky got its colour\n\n{ENGLISH}", "How the sky got its colour", id="title-asks"
        ),
        pytest.param(f"# The blue sky\n\n{ENGLISH}", "The blue sky", id="title"),
        pytest.param(f"# The sky\n\n## Who knows\n\n{ENGLISH}", "The sky", id="two-words"),
        pytest.param(f"# The sky\n\n## Who knows it\n\n{ENGLISH}", "Who knows it", id="three-words"),
        pytest.param(f"# The sky\n\n## The who knew it\n\n{ENGLISH}", "The sky", id="the-who"),
        pytest.param(f"# The sky\n\n## Blue\uff1f\n\n{ENGLISH}", "Blue\uff1f", id="full-width"),
        pytest.param(f"# The sky\n\n## Blue\u061f\n\n{ENGLISH}", "Blue\u061f", id="arabic"),
        pytest.param(f"# {'sky ' * 200}\n\n{ENGLISH}", "sky " * 125, id="500-characters"),
    ],
)
def test_a_question_is_inferred_and_marked(source: str, expected: str) -> None:
    """Without a question one is read off a heading that asks, else the title; the score says so."""
    result = judge(source)
    assert [question.question for question in result.questions] == [expected]
    assert result.question_inferred
    assert not judge(source, expected).question_inferred


def test_without_question_and_heading_relevance_is_left_out() -> None:
    """Plain prose without a heading is not judged on an invented question."""
    result = judge(ENGLISH * 5, media_type="text")
    assert [sub_scores(result)[name] for name in RELEVANCE] == [None, None, None]
    assert result.questions == ()
    assert not result.question_inferred
    assert any("No question was given" in warning for warning in result.warnings)


def test_several_questions_are_averaged_and_the_weakest_is_named() -> None:
    """Criteria 1-3 are means over the questions; evidence and advice are about the one answered worst."""
    source = f"# Why is the sky blue?\n\n{ENGLISH * 3}"
    good, bad = "Why is the sky blue?", "Who discovered zirconium?"
    both = judge(source, good, bad)
    for name in RELEVANCE:
        single = [sub_scores(judge(source, question))[name] or 0.0 for question in (good, bad)]
        assert sub_scores(both)[name] == pytest.approx(sum(single) / 2, abs=1e-3)
    assert both.weakest_question == bad
    assert any("zirconium" in item.text for item in both.recommendations)


def test_repeated_questions_count_once() -> None:
    """Whitespace makes no other question."""
    result = judge(ENGLISH * 3, "Why is it blue?", " Why  is it blue? ")
    assert len(result.questions) == 1


def test_question_in_another_language_is_not_judged() -> None:
    """Text and question in different languages: criteria 1-3 are None, with a warning."""
    result = judge(f"# Himmel\n\n{GERMAN * 3}", "Why is the sky blue and not red?")
    assert [sub_scores(result)[name] for name in RELEVANCE] == [None, None, None]
    assert any("is not in the article's language (de)" in warning for warning in result.warnings)
    assert result.questions[0].question_relevance is None


def test_one_borrowed_word_does_not_make_another_language() -> None:
    """A title that looks foreign by one word is still matched."""
    result = judge(f"# Die Hard\n\n{ENGLISH * 3}", "Die Hard release date?")
    assert result.questions[0].question_relevance is not None


def test_german_keeps_what_does_not_need_english() -> None:
    """Criteria 1-7 have what they need for German; readability has no ramp for it."""
    scores = sub_scores(judge(f"# Warum ist der Himmel blau?\n\n{GERMAN * 5}", "Warum ist der Himmel blau?"))
    assert (scores["question_relevance"] or 0) > 0.9
    assert scores["readability"] is None
    assert scores["statistics"] is not None


def test_chinese_is_matched_by_character_pairs() -> None:
    """Without spaces, terms are bigrams; criteria with word lists are left out."""
    result = judge(f"# 天空\n\n{CHINESE * 5}", "天空为什么是蓝色的？")
    scores = sub_scores(result)
    assert result.language == "zh"
    assert (scores["question_relevance"] or 0) > 0.5
    assert scores["structure"] is not None
    assert scores["self_containment"] is not None
    assert scores["statistics"] is None
    assert scores["readability"] is None


def test_plain_text_has_no_structured_data() -> None:
    """Criterion 10 does not apply to text, and its weight is shared out."""
    assert sub_scores(judge(ENGLISH * 5, media_type="text"))["structured_data"] is None


def test_llms_txt_is_reported_with_weight_zero() -> None:
    """llms.txt is named as not looked for and not a factor."""
    found = judge(ENGLISH).not_scored
    assert [(item.name, item.weight) for item in found] == [("llms.txt", 0)]


def test_future_dates_are_named() -> None:
    """A date after the day of judgement is no sign of freshness."""
    result = judge(f"---\ndate: 2030-01-01\n---\n# Sky\n\n{ENGLISH}")
    assert any("future" in warning for warning in result.warnings)


@pytest.mark.parametrize(
    ("questions", "message"),
    [
        pytest.param("Why?", "questions: expected a list of questions, got a single string", id="string"),
        pytest.param([""], "questions: expected text, got '' at position 0", id="empty"),
        pytest.param(["ok?", 3], "questions: expected text, got 3 at position 1", id="number"),
        pytest.param(
            [["x" * 50]], f"questions: expected text, got ['{'x' * 38} at position 0", id="long-list"
        ),
        pytest.param(
            ["\ud800"],
            "questions: expected Unicode text, got half a surrogate pair at position 0",
            id="half-a-character",
        ),
        pytest.param(
            ["x" * 501], "questions: expected at most 500 characters, got 501 at position 0", id="long"
        ),
        pytest.param(
            [f"q{number}" for number in range(21)], "questions: expected at most 20, got 21", id="many"
        ),
    ],
)
def test_questions_that_are_none_are_refused(questions: list[str], message: str) -> None:
    """What cannot be a question is a ContentError that names the field and the position."""
    with pytest.raises(ContentError) as caught:
        score(parse(ENGLISH, settings=SETTINGS), questions=questions, today=TODAY, settings=SETTINGS)
    assert str(caught.value) == message


def test_questions_up_to_the_bounds() -> None:
    """20 of 500 characters, each once."""
    asked = ["x" * 500, *(f"q{number}" for number in range(19))]
    assert check_questions([*asked, " q0 "], SETTINGS) == asked


@pytest.mark.parametrize(
    ("question", "language", "is_other"),
    [
        ("Das Boot von 1981", "en", True),
        ("Das Boot von 1981", "de", False),
        ("Das Boot von 1981", "und", False),
        ("Das Boot", "en", False),
        ("El cielo", "en", False),
        ("El cielo es azul", "en", True),
        ("Почему", "en", True),
        ("天空为什么是蓝色的？", "en", True),
    ],
)
def test_a_question_is_certainly_of_another_language(question: str, language: str, is_other: bool) -> None:
    """By two function words, or by letters that the article's language does not have."""
    assert is_other_language(question, language) is is_other


def test_result_round_trips_through_json() -> None:
    """What a result backend stores can be read back and is equal."""
    result = judge(
        (ROOT / "examples" / "how-leap-years-work.html").read_text(), "How are leap years calculated?", "Who?"
    )
    assert AeoScore.model_validate_json(result.model_dump_json()) == result


def test_result_is_of_bounded_size() -> None:
    """A large article with a very long sentence gives a small result."""
    source = "<h1>" + "sky " * 2_000 + "</h1>" + "<p>" + "It is 5 kg of blue sky !! " * 1_000 + "</p>"
    result = judge(source, *(f"Why is sky {number} blue?" for number in range(20)))
    assert len(result.model_dump_json()) < 40_000


@pytest.mark.parametrize("source", ["<div>" * 20_000 + "x", "<p>" * 20_000, "<h2>x" * 500 + "<li>y" * 2_000])
def test_hostile_html_is_scored(source: str) -> None:
    """Deep nesting and thousands of headings are scored like anything else."""
    assert 0 <= judge(source, "Why x?", media_type="html").score <= 100


def test_score_is_the_same_in_every_process() -> None:
    """Two processes with different hash seeds write the same JSON."""
    program = """
import datetime, pathlib, sys
from contentworker.editorial.aeo.scoring import score
from contentworker.editorial.document import parse
from contentworker.editorial.settings import ContentSettings
settings = ContentSettings()
for path in sorted(pathlib.Path("examples").glob("*.*")):
    if path.suffix in (".md", ".html", ".txt"):
        document = parse(path.read_bytes(), settings=settings)
        for questions in ([], ["Why is a leap year blue?", "How hot should the water be?"]):
            today = datetime.date(2026, 6, 1)
            print(score(document, questions=questions, today=today, settings=settings).model_dump_json())
"""
    outputs = {
        subprocess.run(
            [sys.executable, "-c", program],
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": seed},
            check=True,
            capture_output=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(outputs) == 1
    assert outputs.pop().count(b"rubric_version") >= 6


def test_editorial_code_loads_no_queue_and_no_terminal_library() -> None:
    """Importing the scorer brings in no Celery and no Redis, and rich and markdown-it only when needed."""
    program = "import sys, contentworker.editorial.aeo; print(*sorted(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, check=True, capture_output=True, text=True
    )
    loaded = {name.partition(".")[0] for name in done.stdout.split()}
    assert loaded.isdisjoint({"celery", "kombu", "redis", "tasks", "rich", "markdown_it"})


@settings(deadline=None)
@given(
    source=st.text(st.characters(exclude_categories=["Cs", "Cc"], include_characters="\n"), max_size=300),
    question=st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=60).filter(
        str.strip
    ),
    media_type=st.sampled_from([None, "html", "markdown", "text"]),
)
def test_any_text_and_question_give_a_score_within_bounds(
    source: str, question: str, media_type: MediaType | None
) -> None:
    """Whatever is scored, the total is 0-100, every place is within the source, and JSON brings it back."""
    result = judge(source, question, media_type=media_type)
    assert 0 <= result.score <= 100
    places = [(found.start, found.end) for row in result.criteria for found in row.evidence]
    places += [(item.start, item.end) for item in result.recommendations]
    assert all(
        start is None or (end is not None and 0 <= start < end <= len(source)) for start, end in places
    )
    assert AeoScore.model_validate_json(result.model_dump_json()) == result
