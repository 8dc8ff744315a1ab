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
_HOURS = 12
_CENTURY = 100
_WRITTEN_PART = re.compile(r"([1-9])/([2-9]|10)")
_MOST_PARTS = 100
"""In "one in ten"."""
_WITH_TIME = frozenset({"km", "mi", "m", "kB", "MB"})
"""Units that are given by the hour or second."""
_FIRST_YEAR, _LAST_YEAR = 1000, 2200
_BASES = {
    "mm": ("m", ".001"), "cm": ("m", ".01"), "km": ("m", "1000"), "mg": ("g", ".001"), "kg": ("g", "1000"),
    "t": ("g", "1000000"), "ml": ("l", ".001"), "s": ("h", "1/3600"), "min": ("h", "1/60"), "wk": ("d", "7"),
    "yr": ("mo", "12"), "10yr": ("mo", "120"), "100yr": ("mo", "1200"), "p": ("£", ".01"),
}  # fmt: skip
"""Units that are an exact number of another one: 90 minutes are an hour and a half."""
_AND_A_PART = {"half": Decimal("0.5"), "quarter": Decimal("0.25")}
_NOONS = {"noon": "12:00", "midday": "12:00", "midnight": "0:00"}
_POWERS = {"square": "2", "sq": "2", "cubic": "3"}
_BEFORE_NOON = frozenset(
    {"at", "until", "from", "by", "before", "after", "to", "and", "of", "around", "till"}
)


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
        for reader in (_time_in_words, _fraction, _decade, _date, _currency, _ordinal, _number):
            size, read = reader(items, position, lists)
            if size:
                found += read
                position += size
                break
        else:
            found.append(items[position])
            position += 1
    return _in_bases(_units_once(found))


def _in_bases(items: Sequence[Item]) -> list[Item]:
    """As in "5 to 10 km" as "5000 to 10000 m"."""
    found = list(items)
    for at, item in enumerate(found):
        if item.kind != "unit" or item.text not in _BASES:
            continue
        unit, times = _BASES[item.text]
        found[at] = item._replace(text=unit)
        places = [at - 1, at - 3] if at > 2 and found[at - 2].text in ("to", "and", "or", ",") else [at - 1]  # noqa: PLR2004
        for place in places:
            number = found[place]
            if (
                number.kind != "number"
                or number.text.count(".") > 1
                or not number.text.replace(".", "").isdigit()
            ):
                break
            value = Decimal(number.text)
            value = value / Decimal(times[2:]) if times.startswith("1/") else value * Decimal(times)
            found[place] = Item("number", f"{round(value, 9).normalize():f}", f"{number.surface} {item.text}")
    return found


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
        if first > _MONTHS >= second or first == second <= _MONTHS:
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
    """As in "half of", "a third of", "two thirds of", "one in ten", "half an hour", "half a million"."""
    if not lists.is_english:
        return _NOTHING
    size, count, parts = _parts(items, position, lists)
    if not size:
        return _NOTHING
    shown = _text(items, position + size - 1)
    after = position + size + (_text(items, position + size) == "of")
    after += _text(items, after) in ("a", "an")
    unit = _text(items, after)
    if count == 1 and unit in ("million", "billion", "dozen") and 100 % parts == 0:
        number = Decimal(12 if unit == "dozen" else 10 ** _LARGE[unit]) / parts
        return after + 1 - position, [Item("number", f"{number.normalize():f}", f"{shown} {unit}")]
    if unit in UNITS and (after > position + size or size == 1) and count < parts and 100 % parts == 0:
        value = f"{(Decimal(count) / parts).normalize():f}"
        return after + 1 - position, [Item("number", value, f"{shown} {unit}"), Item("unit", UNITS[unit])]
    if 100 % parts == 0:
        return size, [Item("number", str(100 * count // parts), shown), Item("unit", "%")]
    return size, [Item("fraction", f"{count}/{parts}", shown)]


def _parts(items: Sequence[Item], position: int, lists: "Equivalents") -> tuple[int, int, int]:
    """How many items name a part of a whole, how many parts it has, and of how many."""
    text, after = _text(items, position), _text(items, position + 1)
    if text == "half":
        return 1, 1, 2
    written = _WRITTEN_PART.fullmatch(text)
    if written and items[position].kind == "number":
        return 1, int(written[1]), int(written[2])
    count = 1 if text in ("a", "one") else lists.number_words.get(text, 0) or _short_number(text)
    if not count:
        return 0, 0, 0
    if after in _PARTS:
        is_part = count > 1 or _text(items, position + 2) == "of"
        return (2, count, _PARTS[after]) if is_part else (0, 0, 0)
    size = 2 if after == "in" else 3 if (after, _text(items, position + 2)) == ("out", "of") else 0
    whole = _text(items, position + size) if size and text != "a" else ""
    many = lists.number_words.get(whole, 0) or _short_number(whole)
    is_share = count < many <= _MOST_PARTS and (after == "out" or count == 1)
    return (size + 1, count, many) if is_share else (0, 0, 0)


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
        if text.endswith("00") and len(text) == 4 and text < "2000":  # noqa: PLR2004
            return 2, [
                Item("ordinal", str(int(text[:2]) + 1), f"{text}s"),
                Item("word", "century", "century"),
            ]
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
    more, part = _and_a_part(items, position)
    position, value = position + more, value + part
    after_currency = start > 0 and items[start - 1].text in _CURRENCIES
    while (large := _text(items, position)) in _LARGE and items[position].kind == "word":
        counted = _text(items, position + 1)
        if large == "m" and not (
            after_currency or counted == "people" or (counted.endswith("s") and counted not in UNITS)
        ):
            break  # metres
        value = value.scaleb(_LARGE[large])
        position += 1
    return _with_unit(items, start, position, value)


def _and_a_part(items: Sequence[Item], position: int) -> tuple[int, Decimal]:
    """How many items are "and a half", and their value."""
    words = [_text(items, position + ahead) for ahead in range(3)]
    if words[:2] == ["and", "a"] and words[2] in _AND_A_PART:
        return 3, _AND_A_PART[words[2]]
    return 0, Decimal(0)


def _with_unit(items: Sequence[Item], start: int, position: int, value: Decimal) -> _Read:
    """The number that the items from `start` to `position` are, and the unit behind it."""
    text = f"{value.normalize():f}"
    shown = " ".join(each.surface or each.text for each in items[start:position])
    unit, second, third = (_text(items, position + ahead) for ahead in range(3))
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
        if second in ("2", "3") and name in ("m", "km", "cm"):
            size, name = 2, f"{name}{second}"
    elif unit in _POWERS and second in UNITS:
        size, name = 2, f"{UNITS[second]}{_POWERS[unit]}"
    more, part = _and_a_part(items, position + size) if size == 1 else (0, Decimal(0))
    if more:
        size, text = size + more, f"{(value + part).normalize():f}"
    if name == "x":
        return position + size - start, [Item("number", f"{text}x", shown)]
    read = [Item("number", text, shown)]
    return position + size - start, [*read, Item("unit", name)] if size else read


def _time(items: Sequence[Item], position: int, lists: "Equivalents") -> _Read | None:
    """A time of day: "3 pm", "15:00", "23.45" after "at", "nine o'clock", "12 noon"."""
    item, after = items[position], _text(items, position + 1)
    number = item.text if item.kind == "number" else str(lists.number_words.get(item.text, ""))
    if number.isdigit() and after == "oclock":
        return 2, [Item("time", f"{number}:00")]
    if number == "12" and after in _NOONS:
        return 2, [Item("time", _NOONS[after])]
    if item.text in _NOONS and _text(items, position - 1) in _BEFORE_NOON and position:
        return 1, [Item("time", _NOONS[item.text])]
    if number.isdigit() and len(number) <= _MOST_DIGITS and after in ("am", "pm"):
        return _clock(items, position, int(number), "00")
    match = _TIME.fullmatch(item.text) if item.kind == "number" else None
    if match and (":" in item.text or after in ("am", "pm") or _is_clock(items, position)):
        return _clock(items, position, int(match[1]), match[2])
    return None


def _is_clock(items: Sequence[Item], position: int) -> bool:
    before = _text(items, position - 1) if position else ""
    return before == "at" or (before in ("from", "until", "till") and _text(items, position + 1) not in UNITS)


def _clock(items: Sequence[Item], position: int, hours: int, minutes: str) -> _Read:
    half = _text(items, position + 1)
    if half in ("am", "pm"):
        hours = hours % 12 + 12 * (half == "pm")
        return 2, [Item("time", f"{hours}:{minutes}")]
    return 1, [Item("time", f"{hours}:{minutes}")]


def _time_in_words(  # noqa: PLR0911 (one wording each)
    items: Sequence[Item], position: int, lists: "Equivalents"
) -> _Read:
    """As in "half past five", "a quarter to six"; "an hour and a half", "twice"."""
    text = _text(items, position)
    if (
        text in ("twice", "double")
        and lists.is_english
        and (text == "twice" or _text(items, position + 1) == "the")
    ):
        return (1 if text == "twice" else 2), [Item("number", "2x", text)]
    if text == "a" and _text(items, position + 1) == "fortnight":
        return 2, [Item("number", "14", "fortnight"), Item("unit", "d")]
    if text in ("a", "an", "one"):
        more, part = _and_a_part(items, position + 1) if text == "one" else (0, Decimal(0))
        if more:
            size, read = _with_unit(items, position, position + 1 + more, 1 + part)
            return size, read
        unit, (size, part) = _text(items, position + 1), _and_a_part(items, position + 2)
        if size and unit in UNITS:
            return 2 + size, [Item("number", f"{1 + part}", unit), Item("unit", UNITS[unit])]
        if unit != "quarter":
            return _NOTHING
    start, position = position, position + (text == "a")
    text, side = _text(items, position), _text(items, position + 1)
    word = _text(items, position + 2)
    hour = lists.number_words.get(word, 0) or (1 if word == "one" else _short_number(word))
    minutes = {"half": 30, "quarter": 15}.get(text)
    if (
        minutes is None
        or side not in ("past", "to")
        or not 1 <= hour <= _HOURS
        or (text == "half") > (side == "past")
    ):
        return _NOTHING
    if side == "to":
        hour, minutes = (hour - 1) or _HOURS, 60 - minutes
    return position + 3 - start, [Item("time", f"{hour}:{minutes}")]


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
