"""How many damaged rewrites the guard lets through, and how many harmless ones it refuses.

    python benchmarks/guard.py [--json] [--seed N]

Both sets are made by program from the sentences and paragraphs of the articles in `examples/` and of the
questions' articles in `tests/data/aeo`, at least 500 of each, always the same for a seed. The damage is done
by means that know nothing of the guard's word lists: figures are changed digit by digit, names come from
other articles, sentences from elsewhere in the same article.
"""

import argparse
import json
import random
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from contentworker.editorial.document import parse  # noqa: E402 -- needs the path above
from contentworker.editorial.rewriting.guard import refusals  # noqa: E402 -- needs the path above
from contentworker.editorial.settings import ContentSettings  # noqa: E402 -- needs the path above

EACH = 75
"""Samples of a kind, where the articles have as many."""
EXAMPLES = ("why-is-the-sky-blue.md", "how-leap-years-work.html", "thoughts-on-tea.txt")


class Sample(NamedTuple):
    """An original and what was made of it."""

    kind: str
    original: str
    rewritten: str
    is_paragraph: bool = False


class Article(NamedTuple):
    """Sentences, and paragraphs of two sentences or more, in plain text."""

    sentences: list[str]
    paragraphs: list[list[str]]


def articles() -> list[Article]:
    """What the samples are made of."""
    sources = [(ROOT / "examples" / name).read_text("utf-8") for name in EXAMPLES]
    questions = json.loads((ROOT / "tests/data/aeo/natural_questions.json").read_text("utf-8"))
    sources += [passage["text"] for passage in questions["passages"]]
    return [article for source in sources if (article := _article(source)).sentences]


def _article(source: str) -> Article:
    document = parse(source, settings=ContentSettings())
    if document.language != "en":
        return Article([], [])
    passages = [[s.text for s in passage.sentences if s.kind == "paragraph"] for passage in document.passages]
    sentences = [
        text for passage in passages for text in passage if 8 <= len(text.split()) <= 40 and text[0].isupper()
    ]
    return Article(sentences, [passage[:5] for passage in passages if len(passage) >= 3])


def damaged(found: list[Article], random_: random.Random) -> Iterator[Sample]:
    """At least 500 rewrites that say something else than the original."""
    makers: dict[str, Callable[[str, random.Random], str | None]] = {
        "number": _other_number,
        "unit": _other_unit,
        "link": _other_link,
        "negation": _negated,
    }
    texts = [text for article in found for text in article.sentences]
    for kind, maker in makers.items():
        made = [
            Sample(kind, _with_link(text) if kind == "link" else text, changed)
            for text in random_.sample(texts, len(texts))
            if (changed := maker(_with_link(text) if kind == "link" else text, random_))
        ]
        yield from made[:EACH]
    yield from _names_swapped(found, random_)
    yield from _paragraphs_damaged(found, random_)
    for text in random_.sample(texts, min(EACH, len(texts))):
        words = text.rstrip(".").split()
        tail = " ".join(words[-4:])
        yield Sample("loop", text, f"{' '.join(words)}, {tail}, {tail}.")
        yield Sample("language", text, random_.choice(OTHER_LANGUAGES))
        yield Sample("chatty", text, f"Here is the rewritten sentence: {text}")


OTHER_LANGUAGES = (
    "Der Himmel ist blau, weil die Luft das blaue Licht stärker streut.",  # codespell:ignore
    "Ein Schaltjahr hat einen Tag mehr, damit der Kalender mit den Jahreszeiten Schritt hält.",
    "El té verde se calienta poco después de la cosecha para que conserve su color.",
    "Le thé vert est chauffé peu après la récolte pour que son goût ne change pas.",
)


def _other_number(text: str, random_: random.Random) -> str | None:
    digits = [match.start() for match in re.finditer(r"\d", text)]
    if not digits:
        return None
    place = random_.choice(digits)
    other = random_.choice([digit for digit in "123456789" if digit != text[place]])
    return text[:place] + other + text[place + 1 :]


def _other_unit(text: str, _random: random.Random) -> str | None:
    swaps = {
        "%": " km",
        "km": "miles",
        "years": "months",
        "days": "hours",
        "degrees": "percent",
        "minutes": "hours",
        "metres": "feet",
        "meters": "feet",
        "miles": "km",
        "hours": "minutes",
        "months": "years",
        "feet": "metres",
    }
    for unit, other in swaps.items():
        pattern = rf"(\d\s?){re.escape(unit)}(?!\w)"
        if re.search(pattern, text):
            return re.sub(pattern, rf"\g<1>{other}", text, count=1)
    return None


def _with_link(text: str) -> str:
    return f"{text.rstrip('.')} (https://example.org/{len(text)})."


def _other_link(text: str, random_: random.Random) -> str:
    return random_.choice(
        [
            re.sub(r"example\.org/\d+", "example.com/offer", text),
            re.sub(r" \(https://[^)]*\)", "", text),
            text.replace("https://example.org/", "https://example.org/a"),
        ]
    )


def _negated(text: str, _random: random.Random) -> str | None:
    changed = re.sub(r"\b(is|are|was|were|can|will|has|have)\b(?! not)", r"\1 not", text, count=1)
    return changed if changed != text else None


def _names_swapped(found: list[Article], random_: random.Random) -> Iterator[Sample]:
    pattern = re.compile(r"(?<=[a-z,] )[A-Z][a-z]{3,}\b")
    per_article = [
        [name for text in article.sentences for name in pattern.findall(text)] for article in found
    ]
    count = 0
    for index, article in enumerate(found):
        others = [name for number, names in enumerate(per_article) if number != index for name in names]
        for text in article.sentences:
            names = pattern.findall(text)
            if names and others and count < EACH:
                old = random_.choice(names)
                new = random_.choice(others)
                if new not in text:
                    count += 1
                    yield Sample("name", text, text.replace(old, new))


def _paragraphs_damaged(found: list[Article], random_: random.Random) -> Iterator[Sample]:
    both = [(article, paragraph) for article in found for paragraph in article.paragraphs]
    for article, paragraph in random_.sample(both, min(EACH, len(both))):
        gone = random_.randrange(len(paragraph))
        kept = [text for number, text in enumerate(paragraph) if number != gone]
        yield Sample("sentence dropped", " ".join(paragraph), " ".join(kept), is_paragraph=True)
        strangers = [text for other in found if other is not article for text in other.sentences]
        added = [*paragraph, random_.choice(strangers)]
        yield Sample("sentence added", " ".join(paragraph), " ".join(added), is_paragraph=True)


SAME: tuple[tuple[str, str], ...] = (
    (r"\bis not\b", "isn't"),
    (r"\bdo not\b", "don't"),
    (r"\bdoes not\b", "doesn't"),
    (r"\bcannot\b", "can't"),
    (r"\bit is\b", "it's"),
    (r"\bIt is\b", "It's"),
    (r"\bthat is\b", "that's"),
    (r"\bhowever\b", "but"),
    (r"\bHowever,\b", "Still,"),
    (r"\bin order to\b", "to"),
    (r"\bbecause\b", "since"),
    (r"\bBecause\b", "Since"),
    (r"\balso\b", "too"),
    (r"\bbig\b", "large"),
    (r"\bshows\b", "makes clear"),
    (r"\busually\b", "generally"),
    (r"\babout\b", "around"),
    (r"\bmany\b", "a lot of"),
    (r"\bneeds\b", "requires"),
    (r"\bbegins\b", "starts"),
    (r"\bbegan\b", "started"),
    (r"\bmade\b", "created"),
    (r"\bused\b", "employed"),
    (r"\bmain\b", "chief"),
    (r"\bknown\b", "called"),
    (r"\bwhich\b", "that"),
    (r"\bhelp\b", "aid"),
    (r"\bgroup\b", "set"),
    (r"\bcalled\b", "named"),
    (r"\bwas released\b", "came out"),
    (r"\bfirst\b", "initially"),
    (r"\bin the United\b", "within the United"),
    (r"\bsuch as\b", "like"),
    (r"\bdue to\b", "because of"),
)
"""What an editor may do to a sentence without changing what it says."""


def harmless(found: list[Article], random_: random.Random) -> Iterator[Sample]:
    """At least 500 rewrites that say the same as the original."""
    texts = [text for article in found for text in article.sentences]
    replaced = [
        Sample("words", text, changed) for text in texts if (changed := _reworded(text, random_)) != text
    ]
    yield from random_.sample(replaced, min(2 * EACH, len(replaced)))
    editors: dict[str, Callable[[str], str | None]] = {
        "punctuation": _punctuated,
        "order": _reordered,
        "trimmed": _trimmed,
        "split": _split,
    }
    for kind, editor in editors.items():
        made = [Sample(kind, text, edited) for text in texts if (edited := editor(text)) and edited != text]
        yield from random_.sample(made, min(2 * EACH, len(made)))
    for text in random_.sample(texts, min(2 * EACH, len(texts))):
        yield Sample("as it was", text, text)


def _reworded(text: str, random_: random.Random) -> str:
    fitting = [(old, new) for old, new in SAME if re.search(old, text)]
    for old, new in random_.sample(fitting, min(2, len(fitting))):
        text = re.sub(old, new, text, count=1)
    return text


def _punctuated(text: str) -> str | None:
    return text.replace(", ", " \u2013 ", 1) if ", " in text else text.replace(" and ", ", and ", 1)


def _reordered(text: str) -> str | None:
    """Move the lead to the end: `In 1905, he wrote it.` becomes `He wrote it in 1905.`."""
    match = re.fullmatch(r"((?:In|On|At|By|After|During|When|If|For) [^,]{4,40}), (\w[^,;:]+)\.", text)
    if not match:
        return None
    lead, rest = match.groups()
    return f"{rest[0].upper()}{rest[1:]} {lead[0].lower()}{lead[1:]}."


def _trimmed(text: str) -> str | None:
    return re.sub(
        r"\b(?:very|really|quite|just|actually|basically|simply|rather|often|also|then) ", "", text, count=1
    )


def _split(text: str) -> str | None:
    """One sentence becomes two at `, and`."""
    match = re.fullmatch(
        r"(.{20,}?), (?:and|but) ((?:it|they|he|she|the|this|that|there|we|you|a) .{15,})", text
    )
    return f"{match[1]}. {match[2][0].upper()}{match[2][1:]}" if match else None


def measure(samples: list[Sample]) -> dict[str, tuple[int, int]]:
    """By kind: how many were refused, of how many."""
    refused: Counter[str] = Counter()
    total: Counter[str] = Counter()
    for sample in samples:
        total[sample.kind] += 1
        refused[sample.kind] += bool(
            refusals(sample.original, sample.rewritten, "en", is_paragraph=sample.is_paragraph)
        )
    return {kind: (refused[kind], total[kind]) for kind in total}


def share(found: dict[str, tuple[int, int]]) -> float:
    """The refused share of all kinds together."""
    return sum(refused for refused, _ in found.values()) / sum(total for _, total in found.values())


def main() -> None:
    """Make both sets, measure, print."""
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--json", action="store_true", help="print JSON")
    options.add_argument("--seed", type=int, default=1, help="of the samples (default: 1)")
    options.add_argument("--show", metavar="KIND", help="print the samples of a kind that went wrong")
    given = options.parse_args()
    found = articles()
    sets = {
        "damaged": list(damaged(found, random.Random(given.seed))),
        "harmless": list(harmless(found, random.Random(given.seed))),
    }
    measured = {name: measure(samples) for name, samples in sets.items()}
    if given.show:
        for name, samples in sets.items():
            for sample in samples:
                broken = refusals(sample.original, sample.rewritten, "en", is_paragraph=sample.is_paragraph)
                if sample.kind == given.show and bool(broken) != (name == "damaged"):
                    print(f"- {sample.original}\n+ {sample.rewritten}\n  {[r.rule for r in broken]}\n")
        return
    if given.json:
        print(
            json.dumps({name: {"refused": share(kinds), "kinds": kinds} for name, kinds in measured.items()})
        )
        return
    for name, kinds in measured.items():
        print(f"{name}: {sum(total for _, total in kinds.values())} rewrites, {share(kinds):.1%} refused")
        for kind, (refused, total) in kinds.items():
            print(f"  {kind:<18} {refused:>4} of {total}")


if __name__ == "__main__":
    main()
