"""Reads a text as the guard compares it: a sequence of what carries meaning, each in one form.

"The U.S. bought 1,000 km² for $5 million in order to help" and "The United States purchased 1000 km² for five
million dollars to assist" read the same. Nothing here judges; `differences` does.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from itertools import zip_longest
from typing import NamedTuple

from contentworker.editorial.parsing.sentences import sentence_spans
from contentworker.editorial.rewriting.meaning.equivalents import Equivalents
from contentworker.editorial.rewriting.meaning.quantities import Item, with_quantities

__all__ = ["Token", "abbreviated", "acronyms_of", "ends_open", "names_of", "plain", "read"]

_QUOTES = str.maketrans(
    {
        **dict.fromkeys("\u2018\u2019\u201a\u201b\u2032\u00b4`", "'"),
        **dict.fromkeys("\u201c\u201d\u201e\u201f\u00ab\u00bb\u2033", '"'),
        **dict.fromkeys("\u2010\u2011\u2212", "-"),
        **dict.fromkeys("\u00a0\u202f\u2009", " "),
        **dict.fromkeys("\u2013\u2014", "\u2013"),
        "\u00ad": None,
        "\u200b": None,
    }
)
_LINK = r"(?:https?://|www\.)[^\s<>()\"']+|(?<![\w.+-])[\w.+-]++@[\w-]+(?:\.[\w-]+)+"
_ITEM = re.compile(
    rf"""(?P<link>{_LINK})
    |(?P<quote>(?<!\w)"[^"]+"(?!\w)|(?<![\w'])'(?=\S)(?:[^']|(?<=\w)'(?=\w)){{1,600}}(?<=\S)'(?!\w))
    |(?P<dotted>(?<!\w)(?:[^\W\d_]\.){{2,}})
    |(?P<number>(?<![\w.,])(?:\.\d+|\d{{1,3}}(?:[ ]\d{{3}})+(?!\d)
        |\d{{4}}-\d{{1,2}}-\d{{1,2}}(?!\w)|\d+(?:[.,:/]\d+)*))
    |(?P<word>[^\W\d_]+(?:'[^\W\d_]+)*|\d+)
    |(?P<sign>[$€£¥%°²³&+]|\S)""",
    re.VERBOSE | re.IGNORECASE,
)
_PUNCTUATION = {
    ",": ",", ";": ";", ":": ":", "\u2013": ",", "(": ",", ")": ",", "[": ",", "]": ",", "…": ".",
}  # fmt: skip
_APART = re.compile(r"(?<=\w) (?='s\b)")
"""A blank as tokenisers leave it: "NATO 's"."""
_RANGE = re.compile(r"(?<=\d)\u2013(?=\d)")
_ROMAN = re.compile(r"(?=[IVXL]{2})(?:XL|L?X{0,3})(?:IX|IV|V?I{0,3})")
LONGEST_OBJECT = 8
_ACRONYM = re.compile(r"(?<![\w.])[A-Z]{2,6}(?!\w)")
_ENDS = re.compile(r"[.!?…][\"')\]]*$")
_I = frozenset({"i"})


class Token(NamedTuple):
    """One thing that carries meaning."""

    key: str
    """What is compared: a stem, or the name of a group of expressions that say the same."""
    form: str = ""
    """Ending of a word: "", s, ed (also irregular), en (a participle that is no past), ing."""
    text: str = ""
    """The words as they are in the text, to show to people."""
    gap: tuple[str, ...] = ()
    """Function words and marks between the token before and this one, in lower case."""
    is_name: bool = False


def plain(text: str) -> str:
    """The text with one kind of quotation mark, dash and blank, and no typographic characters."""
    words = unicodedata.normalize("NFKC", text.translate(_QUOTES)).translate(_QUOTES).split()
    return _APART.sub("", " ".join(words).replace(" - ", " \u2013 "))


def acronyms_of(texts: Iterable[str]) -> set[str]:
    """The words in capitals."""
    return {acronym for text in texts for acronym in _ACRONYM.findall(text)}


def abbreviated(text: str, acronyms: Iterable[str]) -> str:
    """The text with an acronym for each name in full: "WHO" for "World Health Organization (WHO)"."""
    for acronym in acronyms:
        words = [rf"{letter}[^\W\d_]{{2,}}" for letter in acronym]
        full = r"(?:[ -](?:of|the|and|for|de)\b)*[ -]".join(words)
        is_short = len(acronym) == 2  # noqa: PLR2004
        may_be_chance = is_short and re.search(rf"\b{acronym}\b", text)
        behind = rf" ?\({acronym}\)" if may_be_chance else rf"(?: ?\({acronym}\))?"
        text = re.sub(rf"\b{full}\b{behind}", acronym, text, flags=re.IGNORECASE)
        text = re.sub(rf"\b{acronym}\b ?\({full}\)", acronym, text, flags=re.IGNORECASE)
    return text


def names_of(texts: Iterable[str], language: str) -> set[str]:
    """The words to take for names wherever they stand, in lower case.

    They have a capital inside of a sentence, and nowhere stand without: not "Committee" beside "committee".
    """
    names: set[str] = set()
    lower: set[str] = set()
    for text in texts:
        for start, end in sentence_spans(text, language):
            words = [match[0] for match in _ITEM.finditer(text, start, end) if match.lastgroup == "word"]
            names |= {word.lower().removesuffix("'s") for word in words[1:] if word[0].isupper()}
            lower |= {word for word in words if word.islower()}
    return names - lower - {"i", "i'm", "i've", "i'll", "i'd"}


def read(text: str, language: str, lists: Equivalents, names: set[str]) -> list[Token]:
    """The tokens of a plain text. `names` are the words to take for names, in lower case."""
    text = _RANGE.sub(" to ", text)
    starts = [start for start, _ in sentence_spans(text, language)][1:]
    items: list[Item] = []
    sentence: list[Item] = []
    for match in _ITEM.finditer(text):
        if starts and match.start() >= starts[0]:
            items += [*_sentence(sentence, lists), Item("mark", ".")]
            sentence = []
            while starts and starts[0] <= match.start():
                starts.pop(0)
        sentence += _read_item(match, lists, names)
    return [
        *_tokens(
            _one_for_all(_particles(_manners([*items, *_sentence(sentence, lists)]), lists), lists), lists
        )
    ]


def _sentence(items: Sequence[Item], lists: Equivalents) -> list[Item]:
    return with_quantities(_contractions(_initials(items), lists), lists)


def _read_item(match: re.Match[str], lists: Equivalents, names: set[str]) -> Iterator[Item]:
    kind, found = match.lastgroup or "sign", match[0]
    if kind == "quote":
        yield Item("quote", " ".join(re.findall(r"[\w%$€£-]+(?:'\w+)*", found)).lower())
    elif kind == "link":
        yield Item("link", found.rstrip(".,;:!?"))
    elif kind == "number" or found.isdigit():
        yield Item("number", found)
    elif kind == "dotted":
        bare = found.replace(".", "")
        yield _word(bare if bare[0].isupper() else bare.lower(), lists, names)
    elif kind == "word":
        for part in lists.parts(found):
            yield _word(part, lists, names)
    elif found == "&":
        yield Item("word", "and", found)
    elif found in _PUNCTUATION:
        yield Item("mark", _PUNCTUATION[found])
    elif found not in "-.!'\"":
        yield Item("sign", found)


def _initials(items: Sequence[Item]) -> list[Item]:
    """As in "J. K." as one name, as "J.K." is."""
    found: list[Item] = []
    for item in items:
        is_initial = item.kind in ("word", "name") and len(item.surface) == 1 and item.surface.isupper()
        before = found[-1] if found else Item("mark", "")
        if is_initial and item.text not in ("a", "i") and before.kind == "name" and len(before.surface) <= 2:  # noqa: PLR2004
            found[-1] = Item("name", before.text.upper() + item.surface, before.surface + item.surface)
        else:
            found.append(
                Item("name", item.surface, item.surface)
                if is_initial and item.text not in ("a", "i")
                else item
            )
    return found


def _contractions(items: Sequence[Item], lists: Equivalents) -> list[Item]:
    """As in "He'd gone" is "he had gone", and "he'd go" is "he would go"."""
    found: list[Item] = []
    for number, item in enumerate(items):
        if item.text == "'d":
            after = items[number + 1] if number + 1 < len(items) else item
            word = "had" if lists.stem(after.text)[1] in ("ed", "en") else "would"
            found.append(Item("word", word, word))
        else:
            found.append(item)
    return found


def _roman(word: str) -> int:
    """The value of a Roman numeral of two letters or more, such as XIV; 0 for another word."""
    if not _ROMAN.fullmatch(word):
        return 0
    values = ["IVXLC".index(letter) for letter in word]
    amounts = [(1, 5, 10, 50, 100)[value] for value in values]
    return sum(-amount if amount < max(amounts[at:]) else amount for at, amount in enumerate(amounts))


def _word(word: str, lists: Equivalents, names: set[str]) -> Item:
    lower = word.lower()
    if len(word) > 1 and word.isupper() and (value := _roman(word)):
        return Item("number", str(value), word)
    if len(word) > 1 and word.isupper():
        return Item("name", word, word)
    if lower in names and lower not in lists.free and word[0].isupper():
        return Item("name", lower, word)
    return Item("word", lists.spelled(lower), word)


def _one_for_all(items: Sequence[Item], lists: Equivalents) -> list[Item]:
    """Put the first expression of each group for all, and leave out fillers."""
    found: list[Item] = []
    position = 0
    while position < len(items):
        is_too = items[position].text == "too" and items[position + 1 : position + 2] in (
            [],
            [Item("mark", ".")],
        )
        if is_too or _is_interjection(items, position, lists):
            position += 1
            continue
        size, key, words = lists.longest(items, position)
        item = items[position]
        if size == 1 and item.text in lists.manners and _says_how(items, position, lists):
            size = 0
        if not size:
            if item.text == "few" and found and found[-1].text == "a":
                # "A few" are some, "few" are not many.
                found.pop()
                item = Item("group", "a_few", "a_few")
            found.append(item)
            position += 1
            continue
        if key == "few" and size == 1 and found and found[-1].text == "a":
            found.pop()
            key = "a_few"
        if key:
            slice_ = items[position : position + size]
            if item.kind == "name":
                found.append(Item("name", key, item.surface))
            else:
                found.append(Item("group", key, _changed(slice_, words, lists) or key))
            # "Is not able to" is "can" and "not".
            found += [item for item in slice_[1:2] if item.text == "not" and "not" not in words.split()]
        position += size
    return found


def _says_how(items: Sequence[Item], position: int, lists: Equivalents) -> bool:
    """Whether an adverb stands behind what it is about: "he spoke clearly to them"."""
    if not position or items[position - 1].kind == "mark":
        return False
    then = items[position + 1] if position + 1 < len(items) else Item("mark", ".")
    return then.kind == "mark" or then.text in lists.adjuncts


def _changed(items: Sequence[Item], words: str, lists: Equivalents) -> str:
    """The word of an expression that shows its form: the first one that stands in another than is listed."""
    listed = words.lower().split()
    if lists.stem(listed[0])[1] == "=":
        return items[0].surface
    if items[0].surface.lower() != listed[0]:
        return items[0].surface
    return items[-1].surface if items[-1].surface.lower() != listed[-1] else ""


def _is_interjection(items: Sequence[Item], position: int, lists: Equivalents) -> bool:
    """As in "Well, …" at the beginning of a sentence."""
    return (
        items[position].text in lists.interjections
        and items[position + 1 : position + 2] == [Item("mark", ",")]
        and (not position or items[position - 1] == Item("mark", "."))
    )


def _particles(items: list[Item], lists: Equivalents) -> list[Item]:
    """As in "turn the tap off" as "turn off the tap": each particle right behind its verb."""
    for at, item in enumerate(items):
        known = lists.particles.get(lists.stem(item.text)[0]) if item.kind == "word" else None
        if not known or (items[at + 1 : at + 2] and items[at + 1].text in known):
            continue
        for place in range(at + 2, min(len(items), at + LONGEST_OBJECT)):
            if items[place].kind == "mark":
                break
            then = items[place + 1] if place + 1 < len(items) else Item("mark", ".")
            # "On the table" is no particle.
            is_last = (
                then.kind == "mark" or then.text in lists.adjuncts | lists.free | lists.spans - lists.articles
            )
            if items[place].text in known and is_last and then.text not in lists.articles:
                items.insert(at + 1, items.pop(place))
                break
    return items


def _manners(items: Sequence[Item]) -> list[Item]:
    found: list[Item] = []
    position = 0
    while position < len(items):
        manner = _manner(items, position)
        found.append(Item("word", manner, manner) if manner else items[position])
        position += 4 if manner else 1
    return found


def _manner(items: Sequence[Item], position: int) -> str:
    """The adverb for "in a careful way" or "on a regular basis", if that stands here."""
    words = [item.text for item in items[position : position + 4] if item.kind == "word"]
    if len(words) != 4 or words[0] not in ("in", "on") or words[1] not in ("a", "an"):  # noqa: PLR2004
        return ""
    if words[3] not in (("manner", "way", "fashion") if words[0] == "in" else ("basis",)):
        return ""
    adjective = words[2]
    if adjective.endswith("ly"):
        return adjective
    if adjective.endswith("y"):
        return f"{adjective[:-1]}ily"
    return f"{adjective[:-1]}y" if adjective.endswith("le") else f"{adjective}ly"


def ends_open(text: str, lists: Equivalents) -> bool:
    """Whether a text ends with a function word, such as "of"."""
    last = text[-40:].rsplit(maxsplit=1)[-1:]
    return bool(last) and last[0].strip(".,;:!?\"')]").lower() in lists.free - lists.concessive - {"am"}


def _tokens(items: Sequence[Item], lists: Equivalents) -> Iterator[Token]:
    gap: list[str] = []
    is_negated = False
    for item, after in zip_longest(items, items[1:]):
        is_negated = is_negated or item.text == "not"
        if item.kind == "mark":
            gap.append(item.text)
            is_negated = False
        elif item.text == "between" and after is not None and after.kind == "number":
            gap.append(item.text)  # "between 5 and 10" and "5 to 10"
        elif item.text == "any" and is_negated:
            continue
        elif item.kind in ("word", "group") and item.text in lists.free:
            gap.append(item.text)
        else:
            key, form = item.text, ""
            if item.kind == "word":
                key, form = lists.stem(item.text)
            elif item.kind == "group":
                form = lists.stem(item.surface.lower())[1] if item.surface != key else ""
            elif item.kind != "name":
                key = f"{item.kind}:{item.text}"
            yield Token(key, form, item.surface or item.text, tuple(gap), item.kind == "name")
            gap = []
