"""What a page holds instead of one article: teasers, a notice, a gallery, or several articles."""

import re
from bisect import bisect_right
from collections.abc import Iterable

from contentworker.editorial.parsing.blocks import Block, Extract, Link
from contentworker.editorial.parsing.choosing import hints_around, is_linked
from contentworker.editorial.parsing.language import any_of
from contentworker.editorial.parsing.tree import HINT_BITS, Tree

__all__ = ["are_several_posts", "full_articles", "is_listing", "is_notice", "words_of"]

_FEWEST_TEASERS = 4
_MOST_TEASER_WORDS = 60
_SHORTEST_HEAD = 15
_SMALLEST_LINKED_SHARE = 0.15
_FEWEST_ARTICLE_WORDS = 60
_MOST_WORDS_OF_NOTICE = 150
_MOST_BLOCKS_OF_NOTICE = 5
_FEWEST_SIGNS = 2
_MOST_WORDS_PER_SIGN = 25
_WHOLE_SHARE = 0.95
_MOST_WORDS_OF_GALLERY = 300
_LONGEST_CAPTION = 300
_LONGEST_MEAN_WORD = 12
_NOTICE = re.compile(r"javascript|\b404\b", re.IGNORECASE)
_SIGN = re.compile(rf"\b(?:{any_of('notices')})\b", re.IGNORECASE)


def words_of(blocks: list[Block], chosen: Iterable[int]) -> int:
    """About how many words of prose these blocks have, in any script."""
    texts = (blocks[index].text for index in chosen if not blocks[index].level)
    return sum(max(len(words := text.split()), sum(map(len, words)) // _LONGEST_MEAN_WORD) for text in texts)


def is_listing(extract: Extract, tree: Tree, kept: list[bool], *, is_titled: bool) -> bool:
    """Whether what is kept are teasers: most of it beside links to stories, a little each.

    Teasers lead to one site. A letter that comments on what others wrote leads to many. If the page has its
    title, only headings count: a digest is one text.
    """
    blocks = extract.blocks
    heads: list[int] = []
    under: dict[bool, list[int]] = {True: [], False: []}
    heading = -1
    for index, block in enumerate(blocks):
        if block.level:
            heading = index if is_linked(blocks, tree, index) else -1
        elif is_linked(blocks, tree, index) and len(block.text.strip()) > _SHORTEST_HEAD and not is_titled:
            heading = index
        elif kept[index]:
            # A link between two paragraphs is no heading of all that follows.
            is_teaser = (
                heading >= 0
                and (blocks[heading].level > 0 or heading == index - 1)
                and _are_together(tree, heading, index)
            )
            if not is_titled and _begins_with_link(extract, tree, index):
                is_teaser, heading = True, index
            if is_teaser and heading not in heads[-1:]:
                heads.append(heading)
            under[is_teaser].append(index)
    teased = words_of(blocks, under[True])
    return (
        len(heads) >= _FEWEST_TEASERS
        and teased >= words_of(blocks, under[False])
        and teased < _MOST_TEASER_WORDS * len(heads)
        and 2 * len({link.domain if (link := _link_in(extract, head)) else "" for head in heads}) < len(heads)
    )


def _begins_with_link(extract: Extract, tree: Tree, index: int) -> bool:
    """Whether a block is a linked headline and some words."""
    block = extract.blocks[index]
    if tree.block_links[index] < max(_SHORTEST_HEAD, _SMALLEST_LINKED_SHARE * len(block.text)):
        return False
    link = _link_in(extract, index)
    before = len(block.text) - len(block.text.lstrip())
    return link is not None and link.start <= block.source_span(before, before + 1)[0]


def _link_in(extract: Extract, index: int) -> Link | None:
    """The first link that ends after the beginning of a block."""
    place = bisect_right(extract.links, extract.blocks[index].sources[0][0], key=lambda link: link.end)
    return extract.links[place] if place < len(extract.links) else None


def are_several_posts(extract: Extract, tree: Tree, kept: list[bool]) -> bool:
    """Whether most of what is kept is the full text of posts, under headings that link to each."""
    blocks = extract.blocks
    posts: list[list[int]] = []
    rest: list[int] = []
    under = rest
    for index, block in enumerate(blocks):
        if block.level:
            link = _link_in(extract, index) if is_linked(blocks, tree, index) else None
            under = rest
            if link and not link.target.startswith("#"):
                under = []
                posts.append(under)
        elif kept[index]:
            under.append(index)
    full = [post for post in posts if words_of(blocks, post) >= _FEWEST_ARTICLE_WORDS]
    return len(full) > 1 and words_of(blocks, rest) < _FEWEST_ARTICLE_WORDS


def is_notice(blocks: list[Block], tree: Tree, own: list[int], title: str, *, is_titled: bool) -> bool:
    """Whether what is kept is a gallery, a login, a request for consent, money or JavaScript, or an error.

    A notice is short, the more so if the page has its title (`is_titled`), and names, or words that many of
    them have, give it away.
    """
    asked, shown = HINT_BITS["subscribe"], HINT_BITS["caption"]
    hints = hints_around(blocks, tree, most=_WHOLE_SHARE)
    size = words_of(blocks, own)
    if size < (_FEWEST_ARTICLE_WORDS if is_titled else _MOST_WORDS_OF_NOTICE):
        if 2 * words_of(blocks, (i for i in own if hints[tree.block_nodes[i]] & asked)) > size:
            return True
        if len(own) <= _MOST_BLOCKS_OF_NOTICE and _NOTICE.search(
            " ".join(
                [title, *(block.text for index, block in enumerate(blocks) if block.level or index in own)]
            )
        ):
            return True
    if size < _MOST_WORDS_OF_NOTICE:
        signs = {match.lower() for i in own for match in _SIGN.findall(blocks[i].text)}
        if len(signs) >= max(_FEWEST_SIGNS, size / _MOST_WORDS_PER_SIGN):
            return True
    names = [tree.block_hints[i] | tree.masks[tree.block_nodes[i]] for i in range(len(blocks))]
    captions_of = (i for i in own if names[i] & shown and len(blocks[i].text) < _LONGEST_CAPTION)
    return size < _MOST_WORDS_OF_GALLERY and 2 * words_of(blocks, captions_of) > size


def _are_together(tree: Tree, first: int, second: int) -> bool:
    """Whether two blocks share their container, or their containers stand side by side."""
    nodes = tree.block_nodes[first], tree.block_nodes[second]
    return nodes[0] == nodes[1] or tree.parents[nodes[0]] == tree.parents[nodes[1]]


def full_articles(blocks: list[Block], tree: Tree) -> dict[int, list[int]]:
    """The blocks of each outermost `article` that has a heading and the prose of one, and is no comment."""
    outermost = [0] * len(tree.parents)
    hints = [0] * len(tree.parents)
    for node in range(1, len(outermost)):
        parent = tree.parents[node]
        outermost[node] = outermost[parent] or (node if tree.tags[node] == "article" else 0)
        hints[node] = hints[parent] | tree.masks[node]
    members: dict[int, list[int]] = {}
    for index, node in enumerate(tree.block_nodes):
        article = outermost[node]
        if article and not hints[article] & (HINT_BITS["comment"] | HINT_BITS["related"]):
            members.setdefault(article, []).append(index)
    return {
        article: indexes
        for article, indexes in members.items()
        if any(blocks[index].level for index in indexes)
        and words_of(blocks, (index for index in indexes if not is_linked(blocks, tree, index)))
        >= _FEWEST_ARTICLE_WORDS
    }
