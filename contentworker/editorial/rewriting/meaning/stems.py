"""Stems of English words: what the forms of a word share, and which of its forms it is."""

import re
from collections.abc import Iterable, Sequence

__all__ = ["EnglishStems"]

_VOWEL = re.compile("[aeiouy]")
_SHORTEST_STEM = 3
_LONGEST_WORD = 40
_ENGLISH_BE = {
    **dict.fromkeys(("am", "is", "are"), ("be", "s")), "was": ("be", "pa"), "were": ("be", "pa"),
    "been": ("be", "en"), "being": ("be", "ing"), "has": ("have", "s"), "had": ("have", "ed"),
    "having": ("have", "ing"), "does": ("do", "s"), "did": ("do", "pa"), "done": ("do", "en"),
    "doing": ("do", "ing"),
}  # fmt: skip


class EnglishStems:
    """The stem and the form of each word."""

    def __init__(
        self, verbs: Iterable[Sequence[str]], plurals: Iterable[Sequence[str]], whole: frozenset[str]
    ) -> None:
        """Verbs are base, past and participle; plurals one and many; `whole` words stay as they are."""
        self._whole = whole
        self._known: dict[str, tuple[str, str]] = {}
        forms = dict(_ENGLISH_BE)
        for base, past, participle in verbs:
            names = ("ed", "ed") if past == participle else ("pa", "en")
            if past == base:
                forms[base] = (base, "=")
            for form, name in zip((past, participle), names, strict=True):
                if form != base:
                    forms.setdefault(form, (base, name))
        for one, many in plurals:
            if one != many:
                forms.setdefault(many, (one, "s"))
        self._irregular = forms

    def __call__(self, word: str) -> tuple[str, str]:
        """What the forms of a word share, and which of its forms it is."""
        if len(word) > _LONGEST_WORD:
            return word, ""
        known = self._known.get(word)
        if known is None:
            irregular = self._irregular.get(word)
            base, form = irregular or self._without_ending(word)
            bare = base if base in self._whole else _bare(base)
            # "Noted" is no "not".
            is_hidden = (
                irregular is None
                and bare in self._whole
                and word not in self._whole
                and (bare != base or form in ("ed", "ing"))
            )
            known = (f"{bare}e" if is_hidden else bare), form
            if len(self._known) < 50_000:  # noqa: PLR2004 (an article has mostly the words of the one before)
                self._known[word] = known
        return known

    def _without_ending(self, word: str) -> tuple[str, str]:  # noqa: PLR0911 (one ending each)
        if word in self._whole or len(word) <= _SHORTEST_STEM or not word.isalpha():
            return word, ""
        if word.endswith("men") and len(word) > 5:  # noqa: PLR2004 (policemen)
            return word[:-3] + "man", "s"
        if word.endswith("ies"):
            return word[:-3] + "y", "s"
        if word.endswith(("sses", "shes", "ches", "xes", "zes")):
            return word[:-2], "s"
        if word[-1] == "s" and word[-2] not in "sui":
            return word[:-1], "s"
        if word.endswith("eed"):
            return word[:-1], "ed"
        for ending in ("ing", "ed"):
            base = word.removesuffix(ending)
            if base != word and len(base) >= 2 and _VOWEL.search(base):  # noqa: PLR2004 (us-ing)
                return base, ending
        return word, ""


def _bare(stem: str) -> str:
    """The stem without what its endings change: hop, hope and hopp are one."""
    if len(stem) > _SHORTEST_STEM and stem[-1] == "e":
        stem = stem[:-1]
    if len(stem) > _SHORTEST_STEM and stem[-1] == stem[-2] and stem[-1] not in "aeiou":
        stem = stem[:-1]
    if len(stem) > 2 and stem[-1] == "y":  # noqa: PLR2004
        stem = stem[:-1] + "i"
    return stem
