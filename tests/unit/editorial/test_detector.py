"""The detector: what it answers, what it abstains from, and what does not change its mind."""

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contentworker.editorial.detector import Detection, judging, scoring
from contentworker.editorial.detector import model as model_file
from contentworker.editorial.detector.cleaning import LOOK_ALIKES, clean
from contentworker.editorial.detector.expiry import HEADER
from contentworker.editorial.detector.judging import FEWEST_WORDS, MOST_WORDS, judge
from contentworker.editorial.detector.result import Verdict
from contentworker.editorial.detector.scoring import probabilities
from contentworker.editorial.document import parse
from contentworker.editorial.notifications import MAX_VALUE_CHARACTERS
from contentworker.editorial.settings import ContentSettings
from contentworker.errors import ConfigError
from tests.support import ROOT

SETTINGS = ContentSettings()
SAMPLE: list[dict[str, Any]] = json.loads((ROOT / "tests" / "data" / "detector.json").read_text("utf-8"))
TEXTS = [row["text"] for row in SAMPLE]
IDS = [f"{row['source']}-{row['generator']}-{place}" for place, row in enumerate(SAMPLE)]
PROSE = TEXTS[0]


@cache
def detect(source: str, **options: Any) -> Detection:
    document = parse(source, settings=SETTINGS, **options)
    return judge(document, model=model_file.shipped(), settings=SETTINGS)


def probability(source: str, **options: Any) -> float:
    found = detect(source, **options).probability
    assert found is not None
    return found


@pytest.mark.parametrize("row", SAMPLE, ids=IDS)
def test_the_probability_is_the_recorded_one(row: dict[str, Any]) -> None:
    """A text has the same probability on every machine, within 1e-6, alone or among others."""
    assert probability(row["text"], media_type="text") == pytest.approx(row["probability"], abs=1e-6)


def test_a_batch_is_judged_as_each_alone() -> None:
    """What else is judged at the same time changes nothing."""
    cleaned = [clean(text) for text in TEXTS]
    model = model_file.shipped()
    alone = [probabilities([text], model)[0] for text in cleaned]
    assert probabilities(cleaned, model) == pytest.approx(alone, abs=1e-9)


def test_no_human_text_of_the_sample_is_called_a_models() -> None:
    """Some of the models' texts of the sample get `ai`, none of the human ones does."""
    verdicts = [(row["machine"], detect(row["text"], media_type="text").verdict) for row in SAMPLE]
    assert (False, "ai") not in verdicts
    assert (True, "ai") in verdicts


def with_zero_widths(text: str) -> str:
    return "\u200b".join(text[place : place + 7] for place in range(0, len(text), 7))


def with_look_alikes(text: str) -> str:
    other = {chr(latin): cyrillic for cyrillic, latin in LOOK_ALIKES.items() if 0x400 <= cyrillic < 0x500}
    return "".join(
        chr(other[letter]) if letter in other and place % 2 else letter for place, letter in enumerate(text)
    )


def with_wide_spaces(text: str) -> str:
    return text.replace(" ", "  ").replace(".  ", ".\u00a0\t ")


@pytest.mark.parametrize(
    ("disguise", "bound"),
    [
        pytest.param(with_zero_widths, 0.01, id="zero-width"),
        pytest.param(with_look_alikes, 0.01, id="homoglyphs"),
        pytest.param(with_wide_spaces, 0.01, id="white-space"),
        pytest.param(lambda text: text.replace("'", "\u2019"), 0.01, id="curly-quotes"),
        pytest.param(str.upper, 0.35, id="upper-case"),
        pytest.param(str.lower, 0.1, id="lower-case"),
    ],
)
def test_disguises_change_little(disguise: Any, bound: float) -> None:
    """What a reader does not see moves no probability by more than 0.01; case by no more than 0.35."""
    moved = [
        abs(probability(disguise(text), media_type="text") - probability(text, media_type="text"))
        for text in TEXTS
    ]
    assert max(moved) <= bound


@pytest.mark.parametrize(
    ("wrap", "media_type"),
    [
        pytest.param("# A heading\n\n{}\n\n- one\n- two\n", "markdown", id="markdown"),
        pytest.param(
            "<html><body><nav><a href='/'>Home</a></nav><h1>A heading</h1><p>{}</p></body></html>",
            "html",
            id="html",
        ),
    ],
)
def test_markup_changes_nothing(wrap: str, media_type: str) -> None:
    """Markdown or HTML around a text moves its probability by at most 0.02."""
    for text in TEXTS:
        plain = " ".join(text.split())
        found = probability(wrap.format(plain), media_type=media_type)
        assert found == pytest.approx(probability(plain, media_type="text"), abs=0.02)


@pytest.mark.parametrize(
    ("quote", "media_type"),
    [
        pytest.param("\n\n> {}\n\n", "markdown", id="block"),
        pytest.param(' Someone wrote: "{}." ', "text", id="inline"),
    ],
)
def test_a_fifth_of_quotation_changes_little(quote: str, media_type: str) -> None:
    """A quotation of the other kind, of a fifth of the words, moves a probability by at most 0.02."""
    human = next(row["text"] for row in SAMPLE if not row["machine"])
    machine = next(row["text"] for row in SAMPLE if row["machine"])
    for row in SAMPLE:
        text = " ".join(row["text"].split())
        words = text.split()
        other = (human if row["machine"] else machine).split()[: len(words) // 5]
        middle = text.find(". ", len(text) // 2) + 1
        quoting = text[:middle] + quote.format(" ".join(other)) + text[middle:]
        before, after = detect(text, media_type="text"), detect(quoting, media_type=media_type)
        assert after.probability == pytest.approx(before.probability, abs=0.02)


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        pytest.param("", "too_short", id="empty"),
        pytest.param(" ".join(PROSE.split()[: FEWEST_WORDS - 5]) + ".", "too_short", id="too-short"),
        pytest.param(
            "Der Himmel ist blau, weil die Luft das blaue Licht stärker streut als das rote. " * 12,
            "language",
            id="german",
        ),
        pytest.param(
            "空が青いのは、空気が青い光をより強く散乱するためです。" * 20, "language", id="japanese"
        ),
        pytest.param(f"He wrote to us about it.\n\n> {PROSE}\n\nThat was all.", "quotation", id="quotation"),
        pytest.param(
            f"{PROSE}\n\n```python\n" + "for item in range(10):\n    print(item)\n" * 120 + "```\n",
            "code",
            id="fenced",
        ),
        pytest.param("def add(a, b):\n    return a + b;\n\nprint(add(1, 2))\n" * 40, "code", id="bare-code"),
    ],
)
def test_abstains_with_its_reason(source: str, reason: str) -> None:
    """What cannot be judged is `abstained` without a probability, and says why."""
    found = detect(source)
    assert (found.verdict, found.probability, found.abstained) == ("abstained", None, reason)


def plain(words: int) -> str:
    """A sentence of so many words of English prose, which no reader counts otherwise."""
    return " ".join(re.findall("[a-z]+", " ".join(TEXTS).lower())[:words]) + "."


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        pytest.param(plain(FEWEST_WORDS - 1), "too_short", id="74-words"),
        pytest.param(plain(FEWEST_WORDS), None, id="75-words"),
        pytest.param(f"{plain(100)}\n\n> {plain(100)}", None, id="half-quoted"),
        pytest.param(f"{plain(100)}\n\n> {plain(101)}", "quotation", id="mostly-quoted"),
        pytest.param(f"{'x' * 399}.\n\n```\n{'y' * 392}\n```\n", "too_short", id="half-code"),
        pytest.param(f"{'x' * 399}.\n\n```\n{'y' * 393}\n```\n", "code", id="mostly-code"),
    ],
)
def test_abstains_at_its_bounds_and_not_before(source: str, expected: str | None) -> None:
    """Fewer than 75 words; more than half quoted; more than half code."""
    assert detect(source, media_type="markdown").abstained == expected


def test_only_quotations_of_twenty_words_are_left_out() -> None:
    """One of nineteen words is judged, and both are warned of."""
    for quoted, judged in ((19, 119), (20, 100)):
        found = detect(f"{plain(100)} “{plain(quoted)[:-1].capitalize()}”.", media_type="text")
        assert found.words_judged == judged
        assert found.warnings == (
            (
                "Quotations of 20 words and more were left out; shorter ones were judged, "
                "and someone else may have written them."
            ),
        )


def test_list_items_are_judged_if_they_are_sentences() -> None:
    """Items of five words with a full stop are; shorter ones, ones without, and cells are not."""
    items = "- One two three four five.\n- One two three four.\n- One two three four five six\n"
    cells = "| One two three four five. |\n|---|\n| One two three four five. |\n"
    found = detect(f"{plain(100)}\n\n{items}\n{cells}", media_type="markdown")
    assert (found.words, found.words_judged) == (105, 105)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(f"{'x' * 69}. {'y' * 29}", f"{'x' * 69}.", id="less-than-30-%"),
        pytest.param(f"{'x' * 68}. {'y' * 31}", f"{'x' * 68}. {'y' * 31}", id="more"),
        pytest.param("Sure, here is a text: It rained.", "It rained.", id="preamble"),
        pytest.param("a  b\u200b \u201cc\u201d \u2013 d\u2026", 'a b "c" -- d...', id="marks"),
    ],
)
def test_cleaning(text: str, expected: str) -> None:
    """Half a sentence at the end goes, unless it is much of the text; so does what a model says before."""
    assert clean(text) == expected


def test_the_verdict_at_its_thresholds() -> None:
    """`ai` from `ai_from` on, `no_sign` below it; there is nothing between them."""
    document, model = parse(PROSE, media_type="text", settings=SETTINGS), model_file.shipped()
    p = judge(document, model=model, settings=SETTINGS).probability
    assert p is not None
    for ai_from, expected in ((p, "ai"), (p + 1e-6, "no_sign")):
        other = replace(model, ai_from=ai_from)
        assert judge(document, model=other, settings=SETTINGS).verdict == expected


def test_short_texts_count_less(monkeypatch: pytest.MonkeyPatch) -> None:
    """Below 100 words the log odds are drawn to those of three models' articles in five, in proportion."""
    assert scoring.trust_in(np.array([0, 50, 99, 100, 500])).tolist() == [0, 0.5, 0.99, 1, 1]
    assert scoring.to_probability(np.array([scoring.PRIOR_LOG_ODDS])) == pytest.approx(0.6)
    features = scoring.features_of([clean(plain(80))], model_file.shipped())
    assert features.words.tolist() == [80]
    counted = scoring.score(features, model_file.shipped()).log_odds - scoring.PRIOR_LOG_ODDS
    monkeypatch.setattr(scoring, "FULL_TRUST_WORDS", 80)
    trusted = scoring.score(features, model_file.shipped()).log_odds - scoring.PRIOR_LOG_ODDS
    assert abs(trusted[0]) > 0.1
    assert counted == pytest.approx(0.8 * trusted)


def test_five_windows_from_the_first_sentence_to_the_last() -> None:
    """200 words each from 0, 700, 1,400, 2,100 and 2,800 of 3,000 are judged; up to 1,000 words, all are."""
    source = " ".join(
        f"The old mill by this river turns round number{'x' * (n % 7)} today." for n in range(300)
    )
    sentences = list(parse(source, media_type="text", settings=SETTINGS).sentences)
    assert {sentence.words for sentence in sentences} == {10}
    chosen = {sentences.index(sentence) for sentence in judging._windows(sentences, 3_000)}
    assert chosen == {start + step for start in (0, 70, 140, 210, 280) for step in range(20)}
    assert judging._windows(sentences[:100], 1_000) == sentences[:100]
    assert len(judging._windows(sentences[:101], 1_010)) < 101


def test_what_drove_it_is_in_the_text() -> None:
    """The sentences stand where their offsets say, and speak for the verdict in the end."""
    source = f"# Heading\n\n{PROSE}\n"
    found = detect(source)
    assert found.sentences
    assert found.style
    for sentence in found.sentences:
        place = " ".join(source[sentence.start : sentence.end].split())
        assert place.startswith(sentence.text.rstrip("…"))
    for shares in ([each.share for each in found.sentences], [each.share for each in found.style]):
        assert len(shares) == 5
        assert shares == sorted(shares, key=abs, reverse=True)
    assert min(each.share for each in found.sentences) < 0 < max(each.share for each in found.sentences)


def test_a_verdict_says_that_it_is_not_enough() -> None:
    """The type itself carries that a verdict alone rejects nothing, and cannot say otherwise."""
    found = detect(PROSE)
    assert found.sufficient_to_reject is False
    assert Detection.model_validate_json(found.model_dump_json()) == found
    with pytest.raises(ValueError, match="sufficient_to_reject"):
        Detection.model_validate({**found.model_dump(), "sufficient_to_reject": True})


def test_no_sign_says_that_it_says_nothing_about_the_author() -> None:
    """In the type and beside the verdict; no verdict, field or meaning calls a text a person's."""
    for source in (TEXTS[0], TEXTS[-1], "Three short words."):
        found = detect(source)
        assert found.meaning == judging._meaning(found.verdict, model_file.shipped())
        assert len(found.meaning) <= MAX_VALUE_CHARACTERS, "a notification leaves longer values out"
    assert "nothing about who wrote" in judging.MEANINGS["no_sign"]
    assert "says nothing about who wrote the article" in " ".join(str(Detection.__doc__).split())
    assert "human" not in {*Detection.model_fields, *get_args(Verdict)}


@pytest.mark.parametrize(
    ("verdict", "abstained", "expected"),
    [
        pytest.param("human", None, "no_sign", id="human"),
        pytest.param("uncertain", None, "no_sign", id="between-the-thresholds"),
        pytest.param("uncertain", "too_short", "abstained", id="abstained"),
        pytest.param("ai", None, "ai", id="ai"),
    ],
)
def test_a_record_with_the_old_verdicts_is_still_read(
    verdict: str, abstained: str | None, expected: str
) -> None:
    """A run that began before the upgrade is decided by what it holds."""
    old = detect(PROSE).model_dump(exclude={"meaning"})
    old |= {"verdict": verdict, "abstained": abstained, "human_below": 0.3}
    found = Detection.model_validate(old)
    assert (found.verdict, found.abstained) == (expected, abstained)


def test_a_long_text_is_judged_in_windows() -> None:
    """About a thousand words of it are judged, and the answer says so."""
    paragraph = " ".join(" ".join(TEXTS).split())
    found = detect("\n\n".join([paragraph] * 5))
    assert MOST_WORDS * 0.8 <= found.words_judged <= MOST_WORDS * 1.3
    assert found.words > 15_000
    assert found.warnings[0] == (
        f"Of {found.words} words {found.words_judged} were judged, in 5 evenly spaced windows; the text "
        "between them was not looked at."
    )


def resaved(path: Path, change: str = "", **header: Any) -> None:
    """The shipped model with something changed, its checksum right."""
    with np.load(model_file.SHIPPED) as file:
        arrays = dict(file)
    known = json.loads(arrays.pop(HEADER))
    if change:
        arrays[change] = arrays[change][:-1]
    model_file.save(path, {**known, **header}, arrays)


def rewritten(change: Callable[[bytes], bytes]) -> Callable[[Path], None]:
    """The shipped model with other bytes, under its old checksum."""

    def write(path: Path) -> None:
        shutil.copy(f"{model_file.SHIPPED}.sha256", f"{path}.sha256")
        path.write_bytes(change(model_file.SHIPPED.read_bytes()))

    return write


def with_code(path: Path) -> None:
    """A pickle in an `.npz`, its checksum right: what loading must not execute."""
    model_file.save(path, {}, {"letters": np.array([{"an": "object"}], dtype=object)})


def without_checksum(path: Path) -> None:
    shutil.copy(model_file.SHIPPED, path)


@pytest.mark.parametrize(
    ("write", "message"),
    [
        pytest.param(lambda path: None, "cannot be read: No such file", id="missing"),
        pytest.param(
            without_checksum, r"cannot be read: No such file .*model\.npz\.sha256", id="no-checksum"
        ),
        pytest.param(rewritten(lambda content: b""), "damaged", id="empty"),
        pytest.param(
            rewritten(lambda content: content[:1_000_000] + b"?" + content[1_000_001:]),
            "damaged",
            id="one-byte",
        ),
        pytest.param(rewritten(lambda content: content[:-100]), "damaged", id="cut"),
        pytest.param(with_code, "not a model of the detector", id="pickle"),
        pytest.param(lambda path: resaved(path, features=1), "features of version 1", id="older"),
        pytest.param(lambda path: resaved(path, features=3), "features of version 3", id="newer"),
        pytest.param(lambda path: resaved(path, "letters"), "does not fit", id="fewer-buckets"),
        pytest.param(lambda path: resaved(path, "typical"), "does not fit", id="fewer-features"),
    ],
)
def test_a_wrong_model_file_is_one_clear_error(
    tmp_path: Path, write: Callable[[Path], None], message: str
) -> None:
    """A missing, damaged, hostile or other model is a ConfigError that names the file and what is wrong."""
    write(tmp_path / "model.npz")
    with pytest.raises(ConfigError, match=rf"^model\.npz: .*{message}"):
        model_file.load(tmp_path / "model.npz")


def test_a_saved_model_is_the_same_again(tmp_path: Path) -> None:
    """Saving what was loaded gives the shipped bytes and checksum; so does training with the same data."""
    resaved(tmp_path / "model.npz")
    for suffix in ("", ".sha256"):
        assert (
            Path(f"{tmp_path}/model.npz{suffix}").read_bytes()
            == Path(f"{model_file.SHIPPED}{suffix}").read_bytes()
        )


def test_the_model_file_is_small() -> None:
    """At most 3 MB."""
    assert model_file.SHIPPED.stat().st_size <= 3_000_000


@settings(deadline=None)
@given(
    st.text(st.characters(exclude_categories=("Cc", "Cs")), max_size=400),
    st.sampled_from(["html", "markdown", "text"]),
    st.integers(0, 3),
)
def test_nothing_crashes(text: str, media_type: str, times: int) -> None:
    """Any text gives an answer: a verdict, or an abstention with its reason."""
    source = (text + "\n" + PROSE) * times + text
    found = detect(source, media_type=media_type)
    assert (found.probability is None) == (found.abstained is not None)
    assert all(0 <= sentence.start < sentence.end <= len(source) for sentence in found.sentences)


MACHINE = next(row["text"] for row in reversed(SAMPLE) if row["source"] == "articles-2026-12")
PERSON = next(row["text"] for row in SAMPLE if row["source"] == "state_union")


def test_a_models_passage_in_a_persons_article_is_said_where() -> None:
    """Two authors in one article: the passages that read like a model's lie in what the model wrote."""
    for first, second in ((PERSON, MACHINE), (MACHINE, PERSON)):
        source = f"{first}\n\n{second}"
        found = detect(source, media_type="text")
        assert len(found.passages) == 1
        (passage,) = found.passages
        begin = source.index(MACHINE)
        inside = min(passage.end, begin + len(MACHINE)) - max(passage.start, begin)
        assert inside > 0.8 * (passage.end - passage.start)
        assert any("two authors may be mixed" in warning for warning in found.warnings)


def test_an_article_of_one_author_has_no_passages_of_another() -> None:
    """A model's article reads like a model's throughout, and so it has none that differ."""
    for source in (f"{PERSON}\n\n{PERSON}", f"{MACHINE}\n\n{MACHINE}", plain(399)):
        assert detect(source, media_type="text").passages == ()
