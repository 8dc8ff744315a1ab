"""The author of an article chooses its shape: twice of it is twice the work, whatever it is made of.

What Python does is counted: calls of functions, of generators and of C, the same on every machine. What a
regular expression or the standard library does inside of one call cannot be counted. For those shapes it is
processor time that is looked at, and only a time that no linear code comes near is an error.
"""

import sys
import time
from collections.abc import Callable
from datetime import date
from functools import partial
from types import FrameType
from typing import Any

import pytest

from contentworker.editorial import MediaType, notifications
from contentworker.editorial.aeo.scoring import score
from contentworker.editorial.detector import judging
from contentworker.editorial.detector.cleaning import clean
from contentworker.editorial.detector.judging import judge
from contentworker.editorial.detector.model import shipped
from contentworker.editorial.detector.scoring import features_of
from contentworker.editorial.document import parse
from contentworker.editorial.parsing.sources import detect_media_type
from contentworker.editorial.rewriting.editing import rewrite
from contentworker.editorial.rewriting.guard import is_unchanged, refusals
from contentworker.editorial.rewriting.model import Completion, Model
from contentworker.editorial.settings import ContentSettings, LlmSettings

SETTINGS = ContentSettings()
PROVIDER = LlmSettings(base_url="http://127.0.0.1:1/v1", model="m", max_sentences=5)
SENTENCE = "The committee met on Monday and agreed to publish the findings of the survey in spring. "
QUOTED = f"He said, “{SENTENCE.strip()} {SENTENCE.strip()}”\n\n"
PAGE = "<html><body class=nav>"
QUESTION = "What did the committee publish?"

SHAPES: dict[str, tuple[MediaType, str]] = {
    "pre": ("html", "<pre>x"),
    "code in Markdown": ("markdown", "<code>x "),
    "quotations": ("text", QUOTED),
    "quotations in HTML": ("html", f"<p>{QUOTED}</p>"),
    "questions after links": ("markdown", "[a](http://b.example) Why is that?\n\n"),
    "sentences after links": ("html", f"<a href='http://b.example/'>a</a> {SENTENCE}"),
    "dashes": ("text", "— "),
    "dashes in a row": ("markdown", "—"),
    "dashes between blanks": ("text", " - "),
    "headings after paragraphs": ("text", f"{SENTENCE}\n\nA short line\n\n"),
    "nested containers": ("html", "<div>x"),
    "nested menus": ("html", "<nav><div>x"),
    "unclosed tags": ("html", "<a href='x"),
    "unclosed comments": ("html", "<!-- x"),
    "lists": ("html", "<ul><li>One of them is here now."),
    "table": ("html", "<tr><td>x"),
    "headings": ("html", "<h2>Why?</h2>"),
    "entities": ("html", "&amp;&#1"),
    "menu tags": ("html", "<nav><b>x</nav>"),
    "JSON-LD": ("html", "<script type=application/ld+json>{</script>"),
    "brackets": ("markdown", "["),
    "emphasis": ("markdown", "*a **b "),
    "backticks": ("markdown", "`` ` "),
    "quotes in Markdown": ("markdown", "> > a\n"),
    "list in Markdown": ("markdown", "- a\n"),
    "table in Markdown": ("markdown", "| a | b |\n|---|---|\n"),
    "link references": ("markdown", "[a]: b\n"),
    "question marks": ("text", "? "),
    "dots": ("text", ". . "),
    "sentences by lines": ("text", "A b c.\n"),
    "one word": ("text", "x"),
    "digits": ("text", "1.2,"),
    "exclamations": ("text", "Amazing!! "),
    "quotation marks": ("text", "“a "),
    "no blanks": ("text", "漢字。"),
    "teasers": ("html", f"{PAGE}<div class=teaser><h2><a href=/>x</a></h2><p>{SENTENCE}</div>"),
    "nested links": ("html", f"{PAGE}<div><a href=/>x</a>"),
    "articles": ("html", f"{PAGE}<article><h2>x</h2><p>{SENTENCE}</article>"),
    "nested articles": ("html", f"{PAGE}<article><div class=comment>x"),
    "hidden": ("html", f"{PAGE}<p hidden>x<span aria-hidden=true>y"),
    "bylines": ("html", f"{PAGE}<span class=author>By Jane Doe"),
    "shortcodes": ("markdown", "[a b=c [a b="),
    "subtitles": ("text", "1\n00:00:01,000 --> 00:00:02,000\nx\n\n"),
    "reviews": ("html", "<a href=#cmnt1>[a]</a><div><a href=#cmnt_ref1>x"),
    "keys": ("markdown", "---\na: b\n"),
    "titles": ("html", "<title>a | b</title><h1>a</h1>"),
}


def whole_way(source: str, media_type: MediaType) -> None:
    """Everything that is done with an article."""
    detect_media_type(source)
    document = parse(source, media_type=media_type, settings=SETTINGS)
    score(document, today=date(2026, 1, 1), settings=SETTINGS)
    found = score(document, questions=(QUESTION,), today=date(2026, 1, 1), settings=SETTINGS)
    judge(document, model=shipped(), settings=SETTINGS)
    rewrite(
        document,
        found.recommendations,
        model=Model(PROVIDER),
        mode="restructure",
        settings=PROVIDER,
        complete=lambda *_: Completion("Another text.", 1, 1),
    )


def counted(work: Callable[[], object]) -> int:
    """Calls that it makes: of functions, generators and C."""
    calls = 0

    def count(_: FrameType, event: str, __: Any) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")

    known = sys.getprofile()
    sys.setprofile(count)
    try:
        work()
    finally:
        sys.setprofile(known)
    return calls


@pytest.mark.parametrize("name", SHAPES)
def test_twice_the_length_is_twice_the_work(name: str) -> None:
    """From one size to its double the calls grow by the same as from half of it, and a bit."""
    media_type, unit = SHAPES[name]
    number = max(50, 250 // len(unit))
    texts = [SENTENCE * 3 + "\n\n" + unit * number * factor for factor in (1, 2, 4)]
    whole_way(texts[0], media_type)  # what is made once, and kept
    one, two, four = (counted(partial(whole_way, text, media_type)) for text in texts)
    # Linear: twice. Quadratic: four times.
    assert four - two <= 2.2 * (two - one) + 3_000


def test_marks_without_words_are_not_judged_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Dashes make no word, so that a thousand words never come together. The characters are bounded."""
    sizes = []

    def spy(texts: list[str], model: Any) -> Any:
        sizes.append(sum(map(len, texts)))
        return features_of(texts, model)

    monkeypatch.setattr(judging, "features_of", spy)
    for number in (100_000, 200_000):
        judge(
            parse(SENTENCE * 9 + "— " * number, media_type="text", settings=SETTINGS),
            model=shipped(),
            settings=SETTINGS,
        )
    assert sizes[0] == sizes[1] < 3 * judging.MOST_CHARACTERS


def judged(unit: str, number: int, media_type: MediaType) -> None:
    document = parse(SENTENCE * 3 + "\n\n" + unit * number, media_type=media_type, settings=SETTINGS)
    judge(document, model=shipped(), settings=SETTINGS)


def share_of_code(line: str) -> None:
    document = parse("one line\n" * 5 + line, media_type="text", settings=SETTINGS)
    judging._code_share(document, [])


IN_ONE_CALL: dict[str, Callable[[int], object]] = {
    "open brackets in a name": lambda size: judged(
        f'<meta name=author content="{"<" * size}">{"<a rel=author>" * 9}', 1, "html"
    ),
    "parts of a title": lambda size: judged(f"<title>{'a | ' * (size // 4)}</title>", 1, "html"),
    "comments in a menu": lambda size: judged(f"<html><nav>{'<!-- ' * (size // 5)}", 1, "html"),
    "times beside no article": lambda size: judged("<time datetime=2026-01-01>x</time>", size // 9, "html"),
    "indented lines before a page": lambda size: parse(
        b" \n" * 20 + b"     x\n" * (size // 7) + b"<p>x", settings=SETTINGS
    ),
    "scripts in hidden parts": lambda size: judged(
        f"<html><div hidden>{'<script> word ' * (size // 14)}", 1, "html"
    ),
    "nested labels": lambda size: parse("<div>Tip" * (size // 8), media_type="html", settings=SETTINGS),
    "unclosed pre": lambda size: judged("<pre>x", size // 6, "html"),
    "unclosed code": lambda size: judged("<code>x ", size // 8, "markdown"),
    "brackets of code": lambda size: share_of_code("f(a " * (size // 4)),
    "blanks after a bracket": lambda size: share_of_code(f"f(x){' ' * size}"[: size // 4] + "y"),
    "lines without blanks": lambda size: parse("A.\n" * (size // 3), media_type="text", settings=SETTINGS),
    "combining marks": lambda size: clean("a" + "\u0301\u0316" * (size // 2)),
    "blanks before dashes": lambda size: clean("• " * (size // 2) + "x -- y"),
    "blanks in front matter": lambda size: parse(f"---\ntitle: a{' ' * size}b\n---\n", settings=SETTINGS),
    "escaped pipes": lambda size: parse(
        f"|{'a|' * (size // 80)}\n|{'-|' * (size // 80)}\n|{'a' * 60 + chr(92) + '|b|' * (size // 80)}\n",
        media_type="markdown",
        settings=SETTINGS,
    ),
    "a word that is no address": lambda size: refusals("x" * size, "y", "en"),
    "words to align": lambda size: [
        refusals("x y " * (at // 9), "y x " * (at // 9), "en") for at in (size // 20, size)
    ],
    "marks that open a quotation": lambda size: refusals("'a \"b " * (size // 70), "y", "en"),
    "letters compared": lambda size: is_unchanged("ab" * (size // 2), "ba" * (size // 2)),
}
SIZE = 200_000
MOST_SECONDS = 8.0
"""Processor time for 200,000 characters. Linear code takes a tenth or less, the square up to minutes."""


@pytest.mark.parametrize("name", IN_ONE_CALL)
def test_no_single_call_takes_the_square(name: str) -> None:
    """By the clock of the process, since nothing else sees into a regular expression."""
    IN_ONE_CALL[name](1_000)
    began = time.process_time()
    IN_ONE_CALL[name](SIZE)
    assert time.process_time() - began < MOST_SECONDS


def test_deep_evidence_is_shown() -> None:
    """Names above a value are not repeated without end, and depth is no recursion."""
    evidence: dict[str, Any] = {"score": 1}
    for _ in range(5_000):
        evidence = {"a": evidence}
    assert notifications._lines({"first": 2, **evidence})[0] == "- first: 2"
    assert len(notifications._lines({"a" * 50_000: {str(number): number for number in range(10_000)}})) == 12
