"""From how probable each block is to which ones make the article."""

import re
from collections import Counter
from itertools import compress
from operator import or_

from contentworker.editorial.parsing.blocks import Block
from contentworker.editorial.parsing.dates import read_date
from contentworker.editorial.parsing.features import ENDS
from contentworker.editorial.parsing.tree import HINT_BITS, OTHER_BITS, Tree

__all__ = ["captions", "choose", "hints_around", "is_byline", "is_linked", "named_captions"]

# Chosen by cross-validation: of a paragraph a loss is worse, of a short line noise.
_SMALLEST_SHARE = 0.3
_SMALLEST_SHARE_OF_SHORT = 0.6
_SHORT_BLOCK = 120
_LONGEST_FIGURE = 600
_SMALLEST_SHARE_OF_PROSE = 0.8
_SMALLEST_SHARE_BETWEEN = 0.1
_SMALLEST_SHARE_AFTER = 0.05
_SHORTEST_SENTENCE = 60
_LONGEST_CAPTION = 400
_LONGEST_BYLINE = 80
_BY = re.compile(r"(?:by|von|par|por)\s", re.IGNORECASE)
_CREDIT = re.compile(
    r"\A\s*©\s*\D|\b(?:photos?|images?|pictures?|fotos?)\W{0,3}©[^.]{1,60}\Z"
    r"|\((?:[^()]*\b(?:photos?|images?|pictures?|courtesy|credits?|foto|bild|crédit|getty|reuters|afp)\b[^()]*)\)\s*\Z",
    re.IGNORECASE,
)
# A sentence that asks readers to do something, and what leads to other stories, in four languages.
_CALL = re.compile(
    r"(?:\A|[.!?…]\s+)(?:please\s+)?(?:follow|subscribe|sign\s+up|share\s+(?:it|this)|(?:like|join|tell)\s+us"
    r"|let\s+us\s+know|e-?mail\s|click\s+here"
    r"|have\s+your\s+say|folge|abonnier|teile[nt]?\s|schreib|klick|suivez|abonnez|partagez|cliquez|s[ií]gu[ea]"
    r"|suscr[ií]b|comp[aá]rt|ha(?:z|ga)\s+clic)",
    re.IGNORECASE,
)
_NETWORK = re.compile(
    r"(?<!\w)@\w|\w@\w|facebook|twitter|instagram|linkedin|telegram|whatsapp|youtube", re.IGNORECASE
)
_LEADS_AWAY = re.compile(
    r"\W*(?:don['\u2019]t\s+miss|read\s+(?:more|also|next)|also\s+read|see\s+also|related\b|lesen\s+sie|mehr\s+zum"
    r"|siehe\s+auch|auch\s+interessant|(?:à\s+)?lire\s+aussi|voir\s+aussi|le[ae]\s+también|ver\s+también"
    r"|te\s+puede\s+interesar)",
    re.IGNORECASE,
)
_LONGEST_CALL = 250
_LONGEST_NOTE = 60
_SMALLEST_LINKED_SHARE = 0.3
_LEAST_CERTAINTY = 0.6
_LINKED_SHARE = 0.7
_LONGEST_INTRODUCTION = 40
_INTRODUCES = (":", "...", "…")
_LISTS = frozenset({"ul", "ol", "dl", "table"})
_QUOTES = frozenset({"blockquote", "table"})


def choose(
    blocks: list[Block], tree: Tree, shares: list[float], is_prose_of_root: list[bool]
) -> tuple[list[bool], bool]:
    """Which blocks to keep, given how probable each is; and whether that is certain."""
    sizes = [len(block.text.strip()) for block in blocks]
    is_caption = captions(blocks, tree)
    kept = [
        share > (_SMALLEST_SHARE if size >= _SHORT_BLOCK else _SMALLEST_SHARE_OF_SHORT) and not caption
        for share, size, caption in zip(shares, sizes, is_caption, strict=True)
    ]
    is_named = named_captions(blocks, tree)
    is_own = _own(blocks, tree, [*map(or_, is_caption, is_named)])
    is_prose = [own and of_root for own, of_root in zip(is_own, is_prose_of_root, strict=True)]
    _add_prose(blocks, tree, shares, kept, is_own)
    _fill(blocks, tree, shares, kept, is_own)
    _drop_bylines(blocks, kept)
    _drop_calls(blocks, tree, kept)
    _drop_headings(blocks, tree, kept, is_caption)
    prose = sum(compress(sizes, is_prose))
    if prose and sum(compress(sizes, kept)) < _SMALLEST_SHARE_OF_PROSE * prose:
        # A page of a kind that the trees do not know: what its containers say is the better guess.
        kept = [*map(or_, kept, is_prose)]
        _drop_bylines(blocks, kept)
        _drop_calls(blocks, tree, kept)
        return kept, False
    certainty = sum(abs(2 * share - 1) * size for share, size in zip(shares, sizes, strict=True))
    return kept, certainty > _LEAST_CERTAINTY * sum(sizes)


def captions(blocks: list[Block], tree: Tree) -> list[bool]:
    """Whether each block is the caption of a figure: what its tags say, which few sites use otherwise."""
    chars = _chars(blocks, tree)
    in_figure = [False] * len(tree.parents)
    for node in range(1, len(in_figure)):
        tag = tree.tags[node]
        # A quotation or a table is a figure, too, and its text is the article's. So is what is too long.
        is_figure = tag == "figure" and chars[node] <= _LONGEST_FIGURE
        in_figure[node] = (in_figure[tree.parents[node]] or is_figure) and tag not in _QUOTES
    return [
        tag == "figcaption" or in_figure[node] or _is_credited(block)
        for block, tag, node in zip(blocks, tree.block_tags, tree.block_nodes, strict=True)
    ]


def _is_credited(block: Block) -> bool:
    """Whether a line ends with who took the picture."""
    return (
        (block.text.rstrip().endswith(")") or "©" in block.text)
        and len(block.text) < _LONGEST_CAPTION
        and bool(_CREDIT.search(block.text))
    )


def named_captions(blocks: list[Block], tree: Tree) -> list[bool]:
    """Whether each block has the name of a caption and no other: enough to say why one is left out."""
    return [
        bool((mask := own | tree.masks[node]) & HINT_BITS["caption"])
        and not mask & OTHER_BITS
        and not is_linked(blocks, tree, index)
        for index, (own, node) in enumerate(zip(tree.block_hints, tree.block_nodes, strict=True))
    ]


def is_linked(blocks: list[Block], tree: Tree, index: int) -> bool:
    """Whether a block is a link, but for a few words."""
    return tree.block_links[index] > _LINKED_SHARE * len(blocks[index].text.strip())


def _chars(blocks: list[Block], tree: Tree) -> list[int]:
    """How much text is in each container."""
    chars = [0] * len(tree.parents)
    for block, node in zip(blocks, tree.block_nodes, strict=True):
        chars[node] += len(block.text)
    for node in range(len(chars) - 1, 0, -1):
        chars[tree.parents[node]] += chars[node]
    return chars


def hints_around(blocks: list[Block], tree: Tree, *, most: float) -> list[int]:
    """The hints of each container and those above, but of none with more than this share of the page's text.

    What holds most of a page may be called "with-sidebar".
    """
    chars = _chars(blocks, tree)
    hints = [0] * len(chars)
    for node in range(1, len(hints)):
        own = tree.masks[node] if chars[node] < most * chars[0] else 0
        if tree.tags[node] == "footer" and tree.tags[tree.parents[node]] != "blockquote":
            own |= HINT_BITS["foot"]
        hints[node] = hints[tree.parents[node]] | own
    return hints


def _own(blocks: list[Block], tree: Tree, is_caption: list[bool]) -> list[bool]:
    """Whether nothing says that a block is not the article's: no name around it, no repetition."""
    hints = hints_around(blocks, tree, most=0.5)
    texts = [block.text.strip() for block in blocks]
    number_of = Counter(texts)
    return [
        not (hints[node] | own) & OTHER_BITS and not caption and number_of[text] == 1
        for node, own, caption, text in zip(
            tree.block_nodes, tree.block_hints, is_caption, texts, strict=True
        )
    ]


def _fill(blocks: list[Block], tree: Tree, shares: list[float], kept: list[bool], is_own: list[bool]) -> None:
    """Keep what stands between two blocks of the article, beside one of them, in a list or in a callout.

    The trees saw few lists and tables that are no menus.
    """
    parents, nodes = tree.parents, tree.block_nodes
    in_list = [False] * len(parents)
    for node in range(1, len(parents)):
        is_list = tree.tags[node] in _LISTS or tree.in_callout[node]
        in_list[node] = in_list[parents[node]] or is_list
    last = -1
    for index in [index for index, keep in enumerate(kept) if keep]:
        around = (
            {nodes[last], nodes[index], parents[nodes[last]], parents[nodes[index]]} if last >= 0 else set()
        )
        for between in range(last + 1, index) if around else ():
            node = nodes[between]
            kept[between] = is_own[between] and (
                in_list[node]
                or (
                    shares[between] > _SMALLEST_SHARE_BETWEEN
                    and (node in around or parents[node] in around)
                    and not is_linked(blocks, tree, between)
                )
            )
        last = index


def _add_prose(
    blocks: list[Block], tree: Tree, shares: list[float], kept: list[bool], is_own: list[bool]
) -> None:
    """Keep sentences between blocks of the article, and after them those whose names and tags are the same.

    A gallery with texts, or a list of things to buy, is in more parts than the trees know. In the container
    with most of its paragraphs, an article may end with short ones, and anywhere with footnotes.
    """
    kinds = [
        (tree.masks[node], tag, hint)
        for node, tag, hint in zip(tree.block_nodes, tree.block_tags, tree.block_hints, strict=True)
    ]
    places = [index for index, keep in enumerate(kept) if keep]
    known = {kinds[index] for index in places if len(blocks[index].text) > _SHORTEST_SENTENCE}
    homes = Counter(tree.block_nodes[index] for index in places)
    home = homes.most_common(1)[0][0] if homes else 0
    for index in range(places[0], len(blocks)) if places else ():
        text = blocks[index].text.strip()
        kept[index] |= (
            is_own[index]
            and text.endswith(ENDS)
            and 2 * tree.block_links[index] < len(text)
            and (
                (
                    len(text) >= _SHORTEST_SENTENCE
                    and (
                        index < places[-1]
                        or (kinds[index] in known and shares[index] > _SMALLEST_SHARE_AFTER)
                    )
                )
                or 0 < home == tree.block_nodes[index]
                or tree.is_in_callout(index)
            )
        )


def _drop_bylines(blocks: list[Block], kept: list[bool]) -> None:
    """Leave out bylines above the text."""
    for index, block in enumerate(blocks):
        if kept[index] and len(" ".join(block.text.split())) >= _SHORT_BLOCK:
            return
        kept[index] = kept[index] and not is_byline(block)


def is_byline(block: Block) -> bool:
    """Whether a short line has a date or "by", as above a text: "May 3, 2024 | by Jane Doe"."""
    text = " ".join(block.text.split())
    return (
        block.level != 1
        and len(text) < _LONGEST_BYLINE
        and not text.endswith(ENDS)
        and bool(_BY.match(text) or read_date(text))
    )


def _drop_calls(blocks: list[Block], tree: Tree, kept: list[bool]) -> None:
    """Leave out calls to follow, share or write, links that interrupt, and notes at the end: "Advert"."""
    is_end = True
    for index in [index for index in range(len(blocks) - 1, -1, -1) if kept[index]]:
        block = blocks[index]
        text = block.text.strip()
        if block.level or block.kind == "quote":
            is_end = is_end and block.level > 0
            continue
        # Both searches are slow: only where the answer counts.
        begins = _CALL.match(text)
        network = (begins or is_end) and _NETWORK.search(text, 0, _LONGEST_CALL)
        if len(text) > _LONGEST_CALL:
            kept[index] = not (begins and network)
            is_end = False
            continue
        asks = is_end and _CALL.search(text)
        is_note = len(text) < _LONGEST_NOTE and (
            asks or not (text.endswith(ENDS) or block.kind != "paragraph")
        )
        linked = tree.block_links[index]
        if (
            (is_end and (is_note or begins or network or (asks and linked)))
            or (begins and network)
            or (linked > _SMALLEST_LINKED_SHARE * len(text) and _LEADS_AWAY.match(text))
        ):
            kept[index] = False
        else:
            is_end = False


def _drop_headings(blocks: list[Block], tree: Tree, kept: list[bool], is_caption: list[bool]) -> None:
    """Leave out headings of what is left out, "Related", and short lines that stand for one, "Read also:"."""
    is_followed = False
    for index in range(len(blocks) - 1, -1, -1):
        if is_caption[index]:
            continue
        block = blocks[index]
        is_in_list = tree.tags[tree.block_nodes[index]] in _LISTS
        if kept[index] and not is_followed and not block.level and not is_in_list:
            text = block.text.strip()
            kept[index] = not (len(text) < _LONGEST_INTRODUCTION and text.endswith(_INTRODUCES))
        if not block.level or (is_in_list and is_linked(blocks, tree, index)):
            is_followed = kept[index]
        elif not is_followed:
            kept[index] = False
