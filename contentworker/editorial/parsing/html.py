"""HTML to blocks: how often and in which way a source is read."""

import re
from collections.abc import Iterable

from contentworker.editorial.parsing.blocks import Block, Extract, Reason
from contentworker.editorial.parsing.reader import read_once
from contentworker.editorial.parsing.tags import MARKUP

__all__ = ["read_html"]

_MOST_WORDS_WITHOUT_ARTICLE = 100
"""Words around a hidden article: a menu, a footer."""
_FEWEST_HIDDEN_WORDS = 100
_FEWEST_WORDS_IN_PRE = 25
_SHORTEST_PART = 100
"""Characters of a part that is read again."""
_SMALLEST_PRE_SHARE = 2 / 3
_SIGNS_OF_CODE = re.compile(r"[{}()\[\];=<>]")
_LARGEST_SIGN_SHARE = 0.04
"""Largest share of characters that are signs of code: prose has 1 or 2 %, programs 8 % and more."""


def read_html(source: str, *, whole_page: bool = True) -> Extract:
    """Read any string as HTML. Malformed markup is read as far as it goes and never raises.

    Of a whole page, menus are left out. Of a fragment only what no reader sees is, and code. A page that
    hides all of its text shows it by a script, and is read as if it did. So is text that stands in `pre`.
    """
    extract = read_once(source, whole_page=whole_page)
    if whole_page and _hides_all(source, extract):
        extract = read_once(source, whole_page=whole_page, shows_hidden=True)
    if _may_be(extract, "code"):
        with_pre = read_once(source, whole_page=whole_page, reads_pre=True)
        if _is_text_in_pre(with_pre):
            extract = with_pre
    return extract


def _hides_all(source: str, extract: Extract) -> bool:
    """Whether an article may be hidden, and none is shown."""
    hidden = [part for part in extract.skipped if part.reason == "hidden"]
    if not hidden or _words(extract.blocks) > _MOST_WORDS_WITHOUT_ARTICLE:
        return False
    words = (len(MARKUP.sub(" ", source[part.start : part.end]).split()) for part in hidden)
    return any(number > _FEWEST_HIDDEN_WORDS for number in words)


def _may_be(extract: Extract, reason: Reason) -> bool:
    """Whether a part that was left out for this reason is long enough to hold an article."""
    return any(part.reason == reason and part.end - part.start > _SHORTEST_PART for part in extract.skipped)


def _words(blocks: Iterable[Block]) -> int:
    return sum(len(block.text.split()) for block in blocks)


def _is_text_in_pre(extract: Extract) -> bool:
    """Whether most text of a page stands in `pre`, as in archives of mail, RFCs and poems, and is no code."""
    blocks, tree = extract.blocks, extract.tree
    if tree is None:
        return False
    texts = [block for block, node in zip(blocks, tree.block_nodes, strict=True) if tree.tags[node] == "pre"]
    if _words(texts) < max(_FEWEST_WORDS_IN_PRE, _SMALLEST_PRE_SHARE * _words(blocks)):
        return False
    signs = sum(len(_SIGNS_OF_CODE.findall(block.text)) for block in texts)
    return signs <= _LARGEST_SIGN_SHARE * sum(len("".join(block.text.split())) for block in texts)
