"""The detector: what it answers, what it abstains from, and what does not change its mind."""

import hashlib
import json
import struct
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contentworker.editorial.detector import Detection
from contentworker.editorial.detector import model as model_file
from contentworker.editorial.detector.cleaning import LOOK_ALIKES, clean
from contentworker.editorial.detector.judging import FEWEST_WORDS, MOST_WORDS, judge
from contentworker.editorial.detector.scoring import probabilities
from contentworker.editorial.document import parse
from contentworker.editorial.settings import ContentSettings
from contentworker.errors import ConfigError
from tests.support import ROOT

SETTINGS = ContentSettings()
SAMPLE: list[dict[str, Any]] = json.loads((ROOT / "tests" / "data" / "detector.json").read_text("utf-8"))
TEXTS = [row["text"] for row in SAMPLE]
IDS = [f"{row['source']}-{row['generator']}-{place}" for place, row in enumerate(SAMPLE)]
PROSE = TEXTS[0]


def detect(source: str, **options: Any) -> Detection:
    document = parse(source, settings=SETTINGS, **options)
    return judge(document, model=model_file.shipped(), settings=SETTINGS)


def probability(source: str, **options: Any) -> float:
    found = detect(source, **options).probability
    assert found is not None
    return found


@pytest.mark.parametrize("row", SAMPLE, ids=IDS)
def test_the_probability_is_the_recorded_one(row: dict[str, Any]) -> None:
    """The same text has the same probability on every machine, within 1e-6, alone or among others."""
    assert probability(row["text"], media_type="text") == pytest.approx(row["probability"], abs=1e-6)


def test_a_batch_is_judged_as_each_alone() -> None:
    """What else is judged at the same time changes nothing."""
    cleaned = [clean(text) for text in TEXTS]
    model = model_file.shipped()
    alone = [probabilities([text], model)[0] for text in cleaned]
    assert probabilities(cleaned, model) == pytest.approx(alone, abs=1e-9)


def test_no_human_text_of_the_sample_is_called_a_models() -> None:
    """Most of the models' texts of the sample get `ai`, none of the human ones does."""
    verdicts = [(row["machine"], detect(row["text"], media_type="text").verdict) for row in SAMPLE]
    assert (False, "ai") not in verdicts
    assert verdicts.count((True, "ai")) > verdicts.count((True, "human"))


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
        pytest.param(str.upper, 0.25, id="upper-case"),
        pytest.param(str.lower, 0.25, id="lower-case"),
    ],
)
def test_disguises_change_little(disguise: Any, bound: float) -> None:
    """What a reader does not see moves no probability by more than 0.01; case by no more than 0.25."""
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
        pytest.param(' Somebody wrote: "{}." ', "text", id="inline"),
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
    """What cannot be judged is `uncertain` without a probability, and says why."""
    found = detect(source)
    assert (found.verdict, found.probability, found.abstained) == ("uncertain", None, reason)


def test_what_drove_it_is_in_the_text() -> None:
    """The sentences stand where their offsets say, and speak for the verdict in the end."""
    source = f"# Heading\n\n{PROSE}\n"
    found = detect(source)
    assert found.sentences
    assert found.style
    for sentence in found.sentences:
        place = " ".join(source[sentence.start : sentence.end].split())
        assert place.startswith(sentence.text.rstrip("…"))


def test_a_verdict_says_that_it_is_not_enough() -> None:
    """The type itself carries that a verdict alone rejects nothing, and cannot say otherwise."""
    found = detect(PROSE)
    assert found.sufficient_to_reject is False
    assert Detection.model_validate_json(found.model_dump_json()) == found
    with pytest.raises(ValueError, match="sufficient_to_reject"):
        Detection.model_validate({**found.model_dump(), "sufficient_to_reject": True})


def test_two_megabytes_are_judged_in_windows() -> None:
    """Of a very long text about a thousand words are judged, from its start to its end, and that is said."""
    paragraph = " ".join(" ".join(TEXTS).split())
    source = "\n\n".join([paragraph] * (1_900_000 // len(paragraph)))
    found = detect(source)
    assert MOST_WORDS * 0.8 <= found.words_judged <= MOST_WORDS * 1.3
    assert found.words > 100_000
    assert "evenly spaced windows" in found.warnings[0]


def changed(**changes: Any) -> bytes:
    """The shipped model with another header, its checksum right."""
    body = model_file.SHIPPED.read_bytes()[40:]
    (size,) = struct.unpack_from("<I", body)
    head = json.dumps({**json.loads(body[4 : 4 + size]), **changes}).encode()
    body = struct.pack("<I", len(head)) + head + body[4 + size :]
    return b"CWDETECT" + hashlib.sha256(body).digest() + body


def flipped() -> bytes:
    content = bytearray(model_file.SHIPPED.read_bytes())
    content[len(content) // 2] ^= 1
    return bytes(content)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(None, "cannot be read", id="missing"),
        pytest.param(lambda: b"", "is no model", id="empty"),
        pytest.param(lambda: b"\x80\x04K\x01.", "is no model", id="pickle"),
        pytest.param(flipped, "damaged", id="one-bit"),
        pytest.param(lambda: model_file.SHIPPED.read_bytes()[:-100], "damaged", id="cut"),
        pytest.param(
            lambda: changed(features=model_file.FEATURES_VERSION + 1), "features of version", id="newer"
        ),
    ],
)
def test_a_wrong_model_file_is_one_clear_error(tmp_path: Path, content: Any, message: str) -> None:
    """A missing, damaged or newer model is a ConfigError that names the file and what is wrong."""
    path = tmp_path / "model.bin"
    if content:
        path.write_bytes(content())
    with pytest.raises(ConfigError, match=message) as caught:
        model_file.load(path)
    assert str(caught.value).startswith("model.bin: ")


def test_the_model_file_is_small() -> None:
    """At most 3 MB."""
    assert model_file.SHIPPED.stat().st_size <= 3_000_000


@settings(max_examples=150, deadline=None)
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
