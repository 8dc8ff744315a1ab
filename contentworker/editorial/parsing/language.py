"""Which language a text is in, by its script and its commonest words. No model, no library."""

# ruff: noqa: RUF001 -- letters of other scripts are what this module is about

import re
from collections import Counter
from collections.abc import Iterable
from itertools import islice

__all__ = ["STOP_WORDS", "UNKNOWN", "detect_language", "normalize_tag"]

UNKNOWN = "und"

STOP_WORDS: dict[str, frozenset[str]] = {
    language: frozenset(words.split())
    for language, words in {
        "en": """
            a about above after again against all also am an and any are as at be because been before
            being below between both but by can cannot could did do does doing down during each few for
            from further had has have having he her here hers herself him himself his how i if in into is
            it it's its itself just me more most my myself no nor not of off on once only or other ought
            our ours out over own per same she should so some such than that that's the their theirs them
            themselves then there these they this those through to too under until up us very was we were
            what what's when where which while who whom whose why will with would you your yours yourself
        """,
        "de": """
            aber alle als also am an auch auf aus bei beim bin bis bist da damit dann das dass dem den
            denn der des dessen die dies diese diesem diesen dieser dieses doch dort durch ein eine einem
            einen einer eines er es etwa für gibt hat hatte hatten haben hier ich ihm ihn ihr ihre ihrem
            ihren ihrer im in ist ja jede jeder jedes kann kein keine können man mehr mit muss nach nicht
            noch nur ob oder ohne sehr sein seine seinem seinen seiner seit sich sie sind so soll sondern
            sowie über um und uns unter vom von vor wann war waren warum was weil welche welchem welchen
            welcher welches wenn wer wem wen werden wie wieso wird wir wo wurde wurden zu zum zur zwischen
        """,
        "es": """
            a al algo ante antes aunque como con contra cuál cuáles cuando cuándo cuánto cuántos cuánta
            cuántas de del desde donde dónde durante e el él ella ellas ellos en entre era eran es esa ese
            eso esta está están este esto estos fue fueron ha había han hasta hay la las le les lo los más
            me mi muy ni no nos o para pero por porque qué que quien quién quiénes se según ser si sí sin
            sobre son su sus también tan tiene todo todos tras tu un una unas uno unos y ya cómo
        """,
        "fr": """
            à au aux avec ce ces cet cette comme comment dans de des donc dont du elle elles en entre est
            et était été être eu il ils je l la le les leur leurs lui mais même ne nos notre nous on ont
            ou où par pas plus pour pourquoi qu quand que quel quelle quelles quels qui quoi sa sans se
            ses si son sont sous sur tout tous un une vous y combien d'un d'une c'est
        """,
        "it": """
            a ad ai al alla alle anche che chi ci come con cosa cui da dal dalla dei del della delle di
            dove e è ed era essere fra gli ha hanno i il in io la le lo ma nei nel nella non o per perché
            più quale quando quanto quanti quello questa questo se sei si sia sono su sua sul sulla suo
            tra un una uno
        """,
        "pt": """
            a ao aos as até com como da das de dela dele do dos e é ela ele em entre era essa esse esta
            este eu foi há isso isto já mais mas na nas não no nos o onde os ou para pela pelo por porque
            qual quando quanto que quem se sem ser seu sua são também tem um uma você
        """,
        "nl": """
            aan al als bij dan dat de der deze die dit door dus een en er had heb hebben heeft het hij hoe
            hoeveel hun ik in is je kan maar meer men met na naar niet nog of om onder ook op over te tot
            uit van veel voor waar waarom wanneer was wat welke werd wie wordt zijn zo zou
        """,
        "ru": """
            а без бы был была были было быть в во вы где да для до его ее её если есть ещё же за и из или
            им их к как какая какие какой когда который кто ли между мы на над не него нет ни но о об он
            она они оно от по под почему при про с со сколько так также такой там то того тоже только у
            уже чего чем что чтобы эта эти это этого этот я
        """,
        "hi": """
            और का की के को में से पर है हैं था थे थी यह वह ये वे एक ने भी तो ही कि जो क्या कौन कब कहाँ
            कहां क्यों कैसे कितने कितना कितनी किस किसने किसके लिए द्वारा हो गया गई गए इस उस इन अपने तक या
            नहीं साथ बाद किया कर करने
        """,
    }.items()
}

_SCRIPTS = (
    ("ja", re.compile("[\u3040-\u30ff]")),
    ("zh", re.compile("[\u3400-\u4dbf\u4e00-\u9fff]")),
    ("ko", re.compile("[\uac00-\ud7af]")),
    ("hi", re.compile("[\u0900-\u097f]")),
    ("uk", re.compile("[іїєґІЇЄҐ]")),
    ("ru", re.compile("[\u0400-\u04ff]")),
    ("ar", re.compile("[\u0600-\u06ff]")),
    ("el", re.compile("[\u0370-\u03ff]")),
    ("he", re.compile("[\u0590-\u05ff]")),
    ("th", re.compile("[\u0e00-\u0e7f]")),
)
_OTHER_THAN_LATIN = re.compile("[\u0370-\u0fff\u3040-\u9fff\uac00-\ud7af]")
_SAMPLE_CHARACTERS = 4_000
_SAMPLE_TOKENS = 300
_SMALLEST_SCRIPT_SHARE = 0.2
_SMALLEST_STOP_WORD_SHARE = 0.12


def detect_language(text: str, tokens: Iterable[str]) -> str:
    """ISO 639-1 code of a text given with its tokens, or `und` if nothing tells."""
    sample = text[:_SAMPLE_CHARACTERS]
    if not sample.isascii():
        other = _OTHER_THAN_LATIN.findall(sample)
        if other and len(other) > _SMALLEST_SCRIPT_SHARE * sum(map(str.isalpha, sample)):
            joined = "".join(other)
            # One kana in twenty is enough for Japanese: its text is mostly Han.
            return next(
                (name for name, script in _SCRIPTS if len(script.findall(joined)) * 20 > len(other)), UNKNOWN
            )
    counts = Counter(islice(tokens, _SAMPLE_TOKENS))
    total = counts.total()
    if not total:
        return UNKNOWN
    distinct = set(counts)
    hits = {
        language: sum(map(counts.__getitem__, words & distinct)) for language, words in STOP_WORDS.items()
    }
    best = max(hits, key=lambda language: hits[language])
    runner_up = max(count for language, count in hits.items() if language != best)
    if hits[best] <= runner_up or hits[best] < _SMALLEST_STOP_WORD_SHARE * total:
        return UNKNOWN
    return best


def normalize_tag(tag: str | None) -> str:
    """The primary subtag of a BCP 47 tag in lower case ("en-GB" is "en"), or `und`."""
    primary = re.split(r"[-_]", (tag or "").strip().lower(), maxsplit=1)[0]
    return primary if re.fullmatch(r"[a-z]{2,3}", primary) else UNKNOWN
