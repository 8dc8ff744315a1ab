"""Words that carry a fact: negations, comparisons, numbers, units. Languages not named go without."""

import re

__all__ = ["CHATTY", "COMPARISONS", "NEGATIONS", "NUMBER_WORDS", "UNITS"]

NEGATIONS: dict[str, frozenset[str]] = {
    language: frozenset(words.split())
    for language, words in {
        "en": "not no never none nobody nothing neither nor without cannot hardly barely nowhere",
        "de": "nicht nichts nie niemals niemand kein keine keinen keinem keiner keines ohne weder kaum",
        "es": "no nunca jamás nadie nada ningún ninguna ninguno sin tampoco",
        "fr": "ne n jamais aucun aucune rien personne sans ni",
        "it": "non mai nessuno nessuna niente nulla senza né",
        "nl": "niet niets nooit niemand geen zonder",
        "pt": "não nunca jamais ninguém nada nenhum nenhuma sem",
    }.items()
}

_UP, _DOWN, _THAN, _BEFORE, _AFTER = "more", "less", "than", "before", "after"
_KINDS = (_UP, _DOWN, _THAN, _BEFORE, _AFTER)
_COMPARED = {
    "en": (
        "more most greater greatest higher highest larger largest bigger biggest better best "
        "above over increase "
        "increases increased rise rises rose faster longer older",
        "less least fewer fewest lower lowest smaller smallest worse worst below under decrease "
        "decreases decreased "
        "fall falls fell slower shorter younger",
        "than",
        "before until",
        "after",
    ),
    "de": (
        "mehr meisten größer höher besser beste über länger schneller älter",
        "weniger wenigsten kleiner niedriger schlechter unter kürzer langsamer jünger",  # codespell:ignore
        "als",  # codespell:ignore
        "vor bevor bis",  # codespell:ignore
        "nach nachdem seit",
    ),
    "es": (
        "más mayor mayores mejor mejores",
        "menos menor menores peor peores",
        "",
        "antes hasta",
        "después desde",
    ),
    "fr": (
        "plus meilleur meilleure mieux supérieur",
        "moins pire inférieur",
        "",
        "avant jusqu",
        "après depuis",
    ),
}
COMPARISONS: dict[str, dict[str, str]] = {
    language: {word: kind for kind, words in zip(_KINDS, lists, strict=True) for word in words.split()}
    for language, lists in _COMPARED.items()
}

# Not one: it is an article, a pronoun, and "one of".
_NUMBERS = {
    "en": "two three four five six seven eight nine ten eleven twelve",
    "de": "zwei drei vier fünf sechs sieben acht neun zehn elf zwölf",
    "es": "dos tres cuatro cinco seis siete ocho nueve diez once doce",
    "fr": "deux trois quatre cinq six sept huit neuf dix onze douze",
}
_MORE_NUMBERS = {
    "en": {
        "twice": "2 x",
        "double": "2 x",
        "doubled": "2 x",
        "half": "0.5",
        "halved": "0.5",
        "hundred": "100",
    },
    "de": {"doppelt": "2 x", "halb": "0.5", "halbe": "0.5", "hundert": "100"},
}
NUMBER_WORDS: dict[str, dict[str, str]] = {
    language: {
        **{word: str(value) for value, word in enumerate(words.split(), 2)},
        **_MORE_NUMBERS.get(language, {}),
    }
    for language, words in _NUMBERS.items()
}

# Each spelling after a figure, and what it counts as: writing "48 percent" for "48 %" is no change.
_UNITS = """
    %=% percent=% prozent=% °c=°C °f=°F °=° k=k
    mm=mm cm=cm m=m metre=m metres=m meter=m meters=m km=km kilometre=km kilometres=km kilometer=km
    kilometers=km
    mi=mi mile=mi miles=mi ft=ft foot=ft feet=ft inch=in inches=in yd=yd yard=yd yards=yd
    mg=mg g=g gram=g grams=g kg=kg kilogram=kg kilograms=kg lb=lb lbs=lb pound=lb pounds=lb t=t ton=ton
    tons=ton
    tonne=t tonnes=t oz=oz ounce=oz ounces=oz ml=ml l=l litre=l litres=l liter=l liters=l gallon=gal
    gallons=gal
    ms=ms s=s sec=s second=s seconds=s min=min minute=min minutes=min h=h hour=h hours=h
    day=d days=d week=wk weeks=wk month=mo months=mo year=yr years=yr decade=10yr decades=10yr century=100yr
    centuries=100yr thousand=k million=M millions=M billion=G billions=G tausend=k millionen=M milliarden=G
    mil=k millones=M hz=Hz khz=kHz mhz=MHz ghz=GHz w=W kw=kW mw=MW kwh=kWh v=V
    kb=kB mb=MB gb=GB tb=TB bytes=B byte=B bit=bit bits=bit km/h=km/h mph=mph
    €=€ $=$ £=£ euro=€ euros=€ dollar=$ dollars=$ cent=ct cents=ct degrees=° degree=°
    am=am pm=pm bc=BC ad=AD st=th rd=th th=th x=x times=x
    tag=d tagen=d woche=wk wochen=wk monat=mo monate=mo monaten=mo jahr=yr jahre=yr jahren=yr
    stunde=h stunden=h minuten=min sekunden=s grad=° mal=x
    día=d días=d semana=wk semanas=wk mes=mo meses=mo año=yr años=yr hora=h horas=h minutos=min
"""
UNITS: dict[str, str] = {
    spelling: meaning for spelling, _, meaning in (item.partition("=") for item in _UNITS.split())
}

CHATTY = re.compile(
    r"\s*(?:here(?:'s| is| are)\b|sure\b|certainly\b|of course\b|okay\b|ok[,.!]|absolutely\b|great\b[!,]"
    r"|i (?:have|can|cannot|can't|am|'m) |i'm |as an ai\b|as a language model\b|the rewritten\b|rewritten\b"
    r"|rewrite\s*:|revised\b|edited\b|note\s*:|hier \w+\b|gerne\b|aquí\b|claro\b|voici\b|bien sûr\b)",
    re.IGNORECASE,
)
