"""Word lists by language. A language without a list is not judged by what the list is for."""

import re
from collections.abc import Sequence

from contentworker.editorial.parsing.sentences import tokenize

__all__ = [
    "FILLERS",
    "PROMOTIONAL",
    "PRONOUNS",
    "QUESTION_WORDS",
    "REFERENCE",
    "REFERENCE_WORDS",
    "STATISTIC",
    "Phrases",
    "phrase_at",
]


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


QUESTION_WORDS: dict[str, frozenset[str]] = {
    "en": _words(
        """
        what why how when where who whom whose which is are was were do does did can could should
        will would has have
        """
    ),
    "de": _words(
        """
        was warum wie wann wo wer wem wen wessen welche welcher welches wieso weshalb wieviel ist
        sind kann können
        """
    ),
    "es": _words(
        """
        qué por cómo cuándo dónde quién quiénes cuál cuáles cuánto cuánta cuántos cuántas
        """
    ),
    "fr": _words(
        """
        que quoi pourquoi comment quand où qui quel quelle quels quelles combien est
        """
    ),
}

# An opening with one of these cannot be understood without the passage before it.
PRONOUNS: dict[str, frozenset[str]] = {
    "en": _words(
        """
        it this that these those they them he she his her its their such it's that's he's she's
        they're
        """
    ),
    "de": _words(
        """
        er sie es dies diese dieser dieses diesem diesen jene jener jenes das dabei dadurch deren
        dessen
        """
    ),
    "es": _words(
        """
        él ella ello ellos ellas esto eso aquello este esta estos estas ese esa esos esas
        """
    ),
    "fr": _words(
        """
        il elle ils elles ce cela ceci ça celui celle ceux celles c'est
        """
    ),
}

Phrases = dict[str, tuple[tuple[str, ...], ...]]


def _phrases(text: str) -> Phrases:
    """Phrases by their first word, each as its tokens, longest first; a comma stands between phrases."""
    found: dict[str, list[tuple[str, ...]]] = {}
    for phrase in text.split(","):
        tokens = tuple(tokenize(phrase))
        found.setdefault(tokens[0], []).append(tokens)
    return {first: tuple(sorted(all_of, key=len, reverse=True)) for first, all_of in found.items()}


def phrase_at(tokens: Sequence[str], position: int, phrases: Phrases) -> tuple[str, ...] | None:
    """The longest of the phrases that begins at this token, or None."""
    for phrase in phrases.get(tokens[position], ()):
        if tuple(tokens[position : position + len(phrase)]) == phrase:
            return phrase
    return None


# Openings that put off what the sentence has to say.
FILLERS: dict[str, Phrases] = {
    "en": _phrases(
        """
        in today's, in this article, in this post, in this guide, in this day and age, in the modern
        world, in the digital age, in conclusion, it's important, it's worth, it's no secret, it's
        essential, it's crucial, it is important, it is worth, it is no secret, it is essential, it is
        crucial, it is interesting, many people wonder, some people wonder, many people ask, have you
        ever, let's dive, let's take, let's explore, let us take, before we, as we all know, needless to
        say, when it comes to, there is no doubt, there are many, there are a lot, welcome to, simply
        put, the truth is, the fact is, basically, actually, ultimately, at the end of the day, without
        further ado, so there you have it
        """
    ),
    "de": _phrases(
        """
        in der heutigen, heutzutage, es ist wichtig, es ist bekannt, es ist kein geheimnis, viele
        menschen fragen, viele leute fragen, in diesem artikel, in diesem beitrag, bevor wir, wie wir
        alle, willkommen, wenn es um, grundsätzlich, eigentlich
        """
    ),
    "es": _phrases(
        """
        en el mundo actual, en la actualidad, en este artículo, hoy en día, es
        importante, es bien sabido, muchas personas se preguntan, antes de, como todos sabemos,
        bienvenido, bienvenidos, cuando se trata, básicamente
        """
    ),
}

PROMOTIONAL: dict[str, Phrases] = {
    "en": _phrases(
        """
        best-in-class, world-class, cutting-edge, state-of-the-art, revolutionary, game-changer,
        game-changing, unparalleled, unrivalled, unrivaled, unbeatable, second to none,
        industry-leading, market-leading, next-level, amazing, incredible, stunning, must-have, act now,
        buy now, order now, sign up now, sign up today, don't miss, limited-time, risk-free, money-back,
        guaranteed results, one-stop, seamless, seamlessly, effortless, effortlessly, supercharge,
        skyrocket, unlock the, unlock your, transform your, to the next level, trusted by, our
        award-winning
        """
    ),
    "de": _phrases(
        """
        einzigartig, einzigartige, revolutionär, revolutionäre, weltklasse, unschlagbar, unschlagbare,
        erstklassig, erstklassige, marktführend, marktführende, bahnbrechend, bahnbrechende, jetzt
        kaufen, jetzt bestellen, nur für kurze zeit, garantiert, unvergleichlich, unvergleichliche,
        sensationell, sensationelle
        """
    ),
    "es": _phrases(
        """
        revolucionario, revolucionaria, inigualable, increíble, de clase mundial, líder del mercado,
        compra ahora, no te pierdas, oferta limitada, imbatible, garantizado, espectacular
        """
    ),
}

# The look behind comes after the first digit: a pattern that begins with a digit is searched much faster.
_NUMBER = r"\d(?<![\w.,]\d)\d*+(?:[.,\u00a0\u202f]\d++)*+"
_SYMBOLS = (
    r"%|‰|°\s?[CF]?|[€$£¥]|(?:kg|mg|µg|km²|km/h|km|cm|mm|µm|nm|m²|m³|ml|kWh|MWh|GWh|TWh|kW|MW|GW"
    r"|kcal|kJ|MJ|GB|MB|TB|kB"
    r"|GHz|MHz|kHz|Hz|ms|mph|ft|lb|oz|bar|hPa|kPa|MPa|ppm|dB|EUR|USD|GBP|CHF|W|V|A|K|m|g|l|L|s|h|t)(?!\w)"
)
_UNIT_WORDS = {
    "en": "per ?cent|percentage|million|billion|trillion|thousand|hundred|dozen|times|fold|degrees?"
    "|dollars?|euros?|pounds?"
    "|years?|months?|weeks?|days?|hours?|minutes?|seconds?|people|users|participants|patients"
    "|countries|cases|studies"
    "|miles?|feet|foot|inch(?:es)?|metres?|meters?|kilomet(?:re|er)s?|centimet(?:re|er)s?"
    "|millimet(?:re|er)s?|nanomet(?:re|er)s?"
    "|grams?|kilograms?|tonnes?|tons?|lit(?:re|er)s?|gallons?|cups?|calories|watts?|volts?|points?"
    "|calls?|requests?"
    "|words|pages|bytes|members|jobs|deaths|households|out of|in every",
    "de": "prozent|millionen|milliarden|million|milliarde|tausend|mal|grad|euro|dollar|franken"
    "|jahren?|monaten?|wochen?"
    "|tagen?|stunden?|minuten?|sekunden?|menschen|personen|fälle|länder|kilometern?|metern?"
    "|zentimetern?|millimetern?"
    "|gramm|kilogramm|tonnen?|litern?|kalorien|watt|volt|seiten",
    "es": "por ciento|millón|millones|mil|veces|grados?|euros?|dólares|años?|meses|mes"
    "|semanas?|días?|horas?|minutos?"
    "|segundos?|personas|habitantes|casos|países|kilómetros?|metros?|centímetros?|milímetros?"
    "|gramos?|kilogramos?|kilos?"
    "|toneladas?|litros?|calorías|vatios?",
    "fr": "pour ?cent|millions?|milliards?|mille|fois|degrés?|euros?|dollars?|ans?|années?|mois"
    "|semaines?|jours?|heures?"
    "|minutes?|secondes?|personnes|habitants|pays|kilomètres?|mètres?|centimètres?|grammes?"
    "|kilogrammes?|tonnes?|litres?",
}
# A number alone is often a date or a list mark; with its unit it is a figure that can be quoted.
STATISTIC: dict[str, re.Pattern[str]] = {
    language: re.compile(rf"{_NUMBER}(?:[\s-]?(?:{_SYMBOLS})|[\s-](?i:{words})(?!\w))|[€$£¥]\s?{_NUMBER}")
    for language, words in _UNIT_WORDS.items()
}

REFERENCE = re.compile(
    r"\b(?i:doi:?\s?10\.\d|doi\.org/|arxiv[: ]\s?\d|isbn[: ]|rfc\s?\d{3,5}\b)"
    r"|\([^()]{2,60},\s(?:1[5-9]|20)\d\d[a-z]?\)|\[\d{1,3}\]"
    r"|\b(?i:according to|laut|según|selon|d'après)\s+(?:(?i:the|der|die|das|el|la|los|las|le|les"
    r"|an?|einer|una?)\s+)?[^\W\d_a-z]"
)
# A sentence with none of these words and no bracket holds no reference.
REFERENCE_WORDS = _words("doi arxiv isbn rfc org according laut según selon d'après")
