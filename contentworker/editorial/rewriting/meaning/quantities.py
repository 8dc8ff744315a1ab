"""Numbers, units, currencies, dates and times of a text, each in one form."""

import re
import tomllib
from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from contentworker.editorial.rewriting.meaning.equivalents import Equivalents

__all__ = ["UNITS", "Item", "with_quantities"]

UNITS: dict[str, str] = {
    spelling: unit
    for unit, spellings in tomllib.loads(Path(__file__).with_name("units.toml").read_text("utf-8")).items()
    for spelling in spellings.split()
}
"""What each spelling of a unit counts as."""

_CURRENCIES = frozenset("$€£¥")
_CODES = {"USD": "$", "EUR": "€", "GBP": "£", "JPY": "¥", "CHF": "CHF"}
_OF = ("of", "de", "del")
_SHARES = {"50": "1/2", "25": "1/4", "75": "3/4"}
_PARTS = {
    **dict.fromkeys(("half", "halves"), 2), **dict.fromkeys(("third", "thirds"), 3),
    **dict.fromkeys(("quarter", "quarters"), 4), **dict.fromkeys(("fifth", "fifths"), 5),
    **dict.fromkeys(("tenth", "tenths"), 10),
}  # fmt: skip
_MOST_DIGITS = 4
"""Of a day, a year or an hour."""
_ISO = re.compile(r"(\d{4})-(\d{1,2})-(\d{1,2})")
_SLASHED = re.compile(r"(\d{1,2})[/.](\d{1,2})[/.](\d{4})")
_TIME = re.compile(r"(\d{1,2})[:.](\d{2})")
_ORDINAL_ENDINGS = frozenset({"st", "nd", "rd", "th"})
_LARGE = {"hundred": 2, "thousand": 3, "million": 6, "billion": 9, "trillion": 12, "k": 3, "bn": 9, "m": 6}
_MONTHS_OF_31 = 31
_MONTHS = 12
_CENTURY = 100
_WITH_TIME = frozenset({"km", "mi", "m", "kB", "MB"})
"""Units that are given by the hour or second."""
_FIRST_YEAR, _LAST_YEAR = 1000, 2200


class Item(NamedTuple):
    """A word, a quantity, a quotation, a link or a mark."""

    kind: str
    text: str
    surface: str = ""


def with_quantities(items: Sequence[Item], lists: "Equivalents") -> list[Item]:
    """The items of one sentence, with numbers as values, units after them, and dates as one item each."""
    found: list[Item] = []
    position = 0
    while position < len(items):
        for reader in (_fraction, _decade, _date, _currency, _ordinal, _number):
            size, read = reader(items, position, lists)
            if size:
                found += read
                position += size
                break
        else:
            found.append(items[position])
            position += 1
    return _units_once(found)


def _units_once(items: Sequence[Item]) -> list[Item]:
    """As in "5% and 7%" as "5 and 7%"."""
    found = list(items)
    for at in range(len(items) - 4, -1, -1):
        first, unit, between, second, same = items[at : at + 5] if at + 5 <= len(items) else (None,) * 5
        if first and unit and between and second and same:
            is_same = first.kind == second.kind == "number" and unit.kind == "unit" and unit[:2] == same[:2]
            if is_same and between.text in ("and", "to", "or", ","):
                del found[at + 1]
    return found


_Read = tuple[int, list[Item]]
_NOTHING: _Read = (0, [])


def _text(items: Sequence[Item], position: int) -> str:
    return items[position].text.lower() if position < len(items) and items[position].kind != "quote" else ""


def _short_number(text: str) -> int:
    """A number of at most four digits; 0 for anything else. Python reads none of thousands of digits."""
    return int(text) if text.isdigit() and len(text) <= _MOST_DIGITS else 0


def _day(items: Sequence[Item], position: int, lists: "Equivalents") -> tuple[int, int]:
    """How many items name a day of a month, and which."""
    text = _text(items, position)
    if 1 <= (day := _short_number(text)) <= _MONTHS_OF_31:
        return (2 if _text(items, position + 1) in _ORDINAL_ENDINGS else 1), day
    return (1, lists.ordinals[text]) if text in lists.ordinals else (0, 0)


def _year(items: Sequence[Item], position: int) -> tuple[int, str]:
    skipped = 0
    while _text(items, position + skipped) in (",", "año", *_OF) and skipped < 2:  # noqa: PLR2004 ("del año")
        skipped += 1
    text = _text(items, position + skipped)
    if _FIRST_YEAR <= _short_number(text) <= _LAST_YEAR:
        return skipped + 1, text
    return 0, "-"


def _date(items: Sequence[Item], position: int, lists: "Equivalents") -> _Read:
    if figures := _date_in_figures(items[position]):
        return 1, [figures]
    start = position
    size, day = _day(items, position, lists)
    if size and (several := _two_days(items, position, size, day, lists))[0]:
        return several
    if size:
        position += size
        position += _text(items, position) in _OF
    month = lists.months.get(_text(items, position))
    if month is None or (not size and not items[position].surface[:1].isupper()):
        return _NOTHING
    position += 1
    if not day:
        size, day = _day(items, position, lists)
        position += size
    size, year = _year(items, position)
    return (position + size - start, [_as_date(year, month, day)]) if day or size else _NOTHING


def _date_in_figures(item: Item) -> Item | None:
    """A date such as 2020-05-31 or 31/05/2020; nothing where day and month cannot be told apart."""
    if match := _ISO.fullmatch(item.text):
        return _as_date(match[1], int(match[2]), int(match[3]))
    if match := _SLASHED.fullmatch(item.text):
        first, second = int(match[1]), int(match[2])
        if first > _MONTHS >= second:
            return _as_date(match[3], second, first)
        if second > _MONTHS >= first:
            return _as_date(match[3], first, second)
    return None


def _two_days(items: Sequence[Item], position: int, size: int, day: int, lists: "Equivalents") -> _Read:
    """As in "4 to 9 September" as two dates."""
    second = position + size + 1
    if _text(items, position + size) not in ("to", "and", ",", "or") or second + 1 >= len(items):
        return _NOTHING
    if items[second].kind != "number" or _text(items, second + 1) not in lists.months:
        return _NOTHING
    more, last = _date(items, second, lists)
    if not more:
        return _NOTHING
    return size + 1 + more, [last[0]._replace(text=f"{last[0].text[:-2]}{day:02}"), items[second - 1], *last]


def _as_date(year: str, month: int, day: int) -> Item:
    return Item("date", f"{year}-{month:02}-{day:02}" if day else f"{year}-{month:02}")


def _fraction(items: Sequence[Item], position: int, lists: "Equivalents") -> _Read:
    """As in "Half of", "a third of", "two thirds of"."""
    if not lists.is_english:
        return _NOTHING
    text, after = _text(items, position), _text(items, position + 1)
    if text == "half":
        return 1, [Item("fraction", "1/2", text)]
    count = 1 if text in ("a", "one") else lists.number_words.get(text, 0)
    if after not in _PARTS or not count or (count == 1 and _text(items, position + 2) != "of"):
        return _NOTHING
    return 2, [Item("fraction", f"{count}/{_PARTS[after]}", after)]


def _currency(items: Sequence[Item], position: int, lists: "Equivalents") -> _Read:
    # "US$5": the country is not looked at.
    prefix = items[position].kind == "name" and items[position].text in ("US", "A", "C")
    item = items[position + prefix] if position + prefix < len(items) else items[position]
    name = item.text if item.kind == "sign" and item.text in _CURRENCIES else _CODES.get(item.text)
    if name is None:
        return _NOTHING
    size, read = _number(items, position + prefix + 1, lists)
    if not size or read[-1].kind == "unit":
        return _NOTHING
    # "€200 to 250" as "200 to 250 €"
    between = position + prefix + 1 + size
    if _text(items, between) in ("to", "and"):
        more, last = _number(items, between + 1, lists)
        if more and len(last) == 1:
            return 1 + prefix + size + 1 + more, [*read, items[between], *last, Item("unit", name)]
    return 1 + prefix + size, [*read, Item("unit", name)]


_DECADES = {
    "twenties": 20, "thirties": 30, "forties": 40, "fifties": 50, "sixties": 60, "seventies": 70,
    "eighties": 80, "nineties": 90,
}  # fmt: skip


def _decade(items: Sequence[Item], position: int, lists: "Equivalents") -> _Read:
    """As in "The 1990s", "the nineties"."""
    text = _text(items, position)
    if text in _DECADES and lists.is_english:
        return 1, [Item("decade", f"19{_DECADES[text]}", text)]
    if (
        text.isdigit()
        and len(text) in (2, 4)
        and text.endswith("0")
        and _text(items, position + 1) in ("s", "'s")
    ):
        return 2, [Item("decade", str(int(text) + 1900 if int(text) < _CENTURY else text), f"{text}s")]
    return _NOTHING


def _ordinal(items: Sequence[Item], position: int, lists: "Equivalents") -> _Read:
    text = _text(items, position)
    if text in lists.ordinals and items[position].kind == "word":
        return 1, [Item("ordinal", str(lists.ordinals[text]), text)]
    if text in lists.number_words and _text(items, position + 1) in lists.ordinals:
        tens, ones = lists.number_words[text], lists.ordinals[_text(items, position + 1)]
        if tens >= 20 and ones < 10:  # noqa: PLR2004 (twenty-first)
            return 2, [Item("ordinal", str(tens + ones), text)]
    if text.isdigit() and _text(items, position + 1) in _ORDINAL_ENDINGS:
        return 2, [Item("ordinal", str(Decimal(text)), text)]
    return _NOTHING


def _value(text: str, decimal_mark: str) -> Decimal | None:
    thousands = "." if decimal_mark == "," else ","
    text = text.replace(" ", "")
    if re.fullmatch(rf"\d{{1,3}}(?:{re.escape(thousands)}\d{{3}})+(?:{re.escape(decimal_mark)}\d+)?", text):
        text = text.replace(thousands, "")
    text = text.replace(decimal_mark, ".") if text.count(decimal_mark) == 1 else text
    try:
        return Decimal(text)
    except InvalidOperation:
        return None


def _number(items: Sequence[Item], position: int, lists: "Equivalents") -> _Read:
    start = position
    if position >= len(items):
        return _NOTHING
    if clock := _time(items, position, lists):
        return clock
    if items[position].kind == "number":
        value = _value(items[position].text, lists.decimal_mark)
        if value is None:
            return 1, [Item("number", items[position].text, items[position].text)]
        position += 1
    else:
        position, value = _in_words(items, position, lists)
        if value is None:
            return _NOTHING
    after_currency = start > 0 and items[start - 1].text in _CURRENCIES
    while (large := _text(items, position)) in _LARGE and items[position].kind == "word":
        if large == "m" and not after_currency:
            break  # metres
        value = value.scaleb(_LARGE[large])
        position += 1
    return _with_unit(items, start, position, value)


def _with_unit(items: Sequence[Item], start: int, position: int, value: Decimal) -> _Read:
    """The number that the items from `start` to `position` are, and the unit behind it."""
    text = f"{value.normalize():f}"
    shown = " ".join(each.surface or each.text for each in items[start:position])
    unit, second, third = (_text(items, position + ahead) for ahead in range(3))
    if unit in ("%", "percent") and text in _SHARES:
        return position + 1 - start, [Item("fraction", _SHARES[text])]
    if unit in ("cent", "cents"):
        return position + 1 - start, [
            Item("number", f"{(value / 100).normalize():f}", shown),
            Item("unit", "$"),
        ]
    size, name = 0, ""
    if unit in ("percentage", "per") and second in ("points", "point", "cent"):
        size, name = 2, "%" if unit == "per" else "percentage points"
    elif unit in ("°", "degree", "degrees") and second in ("c", "f", "celsius", "fahrenheit"):
        size, name = 2, f"°{second[0].upper()}"
    elif unit in UNITS and second in ("per", "/", "an") and third in UNITS and UNITS[unit] in _WITH_TIME:
        of, per = UNITS[unit], UNITS[third]
        size, name = 3, "mph" if (of, per) == ("mi", "h") else f"{of}/{per}"
    elif unit in UNITS and items[position].kind in ("word", "sign", "name"):
        size, name = 1, UNITS[unit]
    read = [Item("number", text, shown)]
    return position + size - start, [*read, Item("unit", name)] if size else read


def _time(items: Sequence[Item], position: int, lists: "Equivalents") -> _Read | None:
    """A time of day: "3 pm", "15:00", "23.45" after "at", "nine o'clock", "12 noon"."""
    item, after = items[position], _text(items, position + 1)
    number = item.text if item.kind == "number" else str(lists.number_words.get(item.text, ""))
    if number.isdigit() and after == "oclock":
        return 2, [Item("time", f"{number}:00")]
    if number == "12" and after in ("noon", "midnight"):
        return 2, [items[position + 1]]
    if number.isdigit() and len(number) <= _MOST_DIGITS and after in ("am", "pm"):
        return _clock(items, position, int(number), "00")
    match = _TIME.fullmatch(item.text) if item.kind == "number" else None
    if match and (":" in item.text or (len(match[1]) == len(match[2]) and _is_clock(items, position))):
        return _clock(items, position, int(match[1]), match[2])
    return None


def _is_clock(items: Sequence[Item], position: int) -> bool:
    return _text(items, position - 1) == "at" if position else False


def _clock(items: Sequence[Item], position: int, hours: int, minutes: str) -> _Read:
    half = _text(items, position + 1)
    if half in ("am", "pm"):
        hours = hours % 12 + 12 * (half == "pm")
        return 2, [Item("time", f"{hours}:{minutes}")]
    return 1, [Item("time", f"{hours}:{minutes}")]


def _in_words(items: Sequence[Item], position: int, lists: "Equivalents") -> tuple[int, Decimal | None]:
    """The position after a number in words, and its value: "two hundred and five"."""
    total, part, is_any = 0, 0, False
    while position < len(items) and items[position].kind == "word":
        text = _text(items, position)
        if text == "one" and _text(items, position + 1) in ("hundred", "thousand", "million", "billion"):
            part += 1
        elif text in lists.number_words:
            part += lists.number_words[text]
        elif text in ("hundred", "thousand", "million", "billion") and is_any:
            if text == "hundred":
                part *= 100
            else:
                total, part = total + part * 10 ** _LARGE[text], 0
        elif (
            text == "and"
            and is_any
            and _text(items, position + 1) in lists.number_words
            and (_text(items, position - 1) in _LARGE)
        ):
            pass
        elif text == "a" and _text(items, position + 1) in (
            "hundred",
            "thousand",
            "million",
            "billion",
            "dozen",
        ):
            part += 1
        elif text == "dozen":
            part = (part or 1) * 12
        else:
            break
        is_any = True
        position += 1
    return position, Decimal(total + part) if is_any else None
