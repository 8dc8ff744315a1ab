"""Marks inside a block of text that are no text of the article: shortcodes, footnote marks, soft hyphens."""

import re

from contentworker.editorial import MediaType
from contentworker.editorial.parsing.blocks import Block
from contentworker.editorial.parsing.language import phrases
from contentworker.editorial.parsing.tree import Tree

__all__ = ["cleaned", "is_label"]

_SOFT_HYPHEN = "\u00ad"
_VALUE = r"""(?:"[^"\]]{0,300}+"|'[^'\]]{0,300}+'|“[^”\]]{0,300}+”|[^\s"'\]]{1,300}+)"""
# WordPress: [gallery ids="1,2"], [/caption], [embed]. Hugo: {{< figure >}}. Jekyll: {% include %}.
# "[sic]" and "[1]" stay: a shortcode has an attribute, is a closing one, or has a name of WordPress itself.
_SHORTCODE = re.compile(
    rf"\[/?(?:caption|gallery|embed|video|audio|playlist|wp_caption|contact-form-7)\]|\[/[a-z][\w-]{{0,40}}+\]"
    rf"|\[[a-z][\w-]{{0,40}}+(?:\s++[\w-]{{1,40}}+={_VALUE}){{1,30}}+\s*+/?\]"
    r"|\{\{[<%][^{}]{0,1000}+\}\}|\{%[^{}%]{0,1000}+%\}"
)
_MARKDOWN = re.compile(
    # Footnotes, [!NOTE] of GitHub and Obsidian, the containers ::: of Docusaurus and !!! of MkDocs.
    r"\[\^[^\]\s]{1,60}+\](?::[ \t]*)?|\A\s*\[![A-Za-z]{2,20}+\][+-]?[ \t]*"
    r"|^[ \t]*:{3,}[^\n]*$|\A!!!\s+\w+(?:[ \t]+\"[^\"\n]{0,200}\")?",
    re.MULTILINE,
)
_CALLOUT = re.compile(r"\A\s*\[![A-Za-z]{2,20}\]")
_TASK = re.compile(r"\A\s*\[[ xX]\]\s+")
# MDX begins with modules: import Chart from "./chart", export const meta = {…}.
_MODULE = re.compile(
    r"\A\s*(?:import\s+(?:[\w*{}\s,$]{1,500}\sfrom\s+)?[\"'][^\"'\n]{1,300}[\"'];?|export\s+(?:const|default|function|let)\b.*)(?:\s*import\b.*)?\s*\Z",
    re.DOTALL,
)


def cleaned(block: Block, media_type: MediaType) -> Block | None:
    """The block without marks that are no text; the same block if it has none, None if nothing is left."""
    text = block.text
    spans: list[tuple[int, int]] = []
    if media_type != "text" and ("[" in text or "{" in text):
        spans = [match.span() for match in _SHORTCODE.finditer(text)]
    if media_type == "markdown":
        if ("import" in text or "export" in text) and block.kind == "paragraph" and _MODULE.match(text):
            return None
        if "[" in text or ":::" in text or text.startswith("!!!"):
            spans += [match.span() for match in _MARKDOWN.finditer(text)]
            if block.kind == "item" and (task := _TASK.match(text)):
                spans.append(task.span())
    if _SOFT_HYPHEN in text:
        spans += [(index, index + 1) for index, character in enumerate(text) if character == _SOFT_HYPHEN]
    if not spans:
        return block
    result = block.without(_joined(spans))
    if block.kind == "quote" and _CALLOUT.match(text):
        result.kind = "paragraph"  # a note of the author, not a quotation
    return result if result.text and not result.text.isspace() else None


_LABELS = frozenset(label for labels in phrases("callout_labels").values() for label in labels)
_LONGEST_LABEL = 25
_NO_WORDS = re.compile(r"\W+")


def is_label(block: Block, index: int, tree: Tree | None) -> bool:
    """Whether a block only names the kind of the callout around it, by a word ("Tip") or an emoji."""
    if tree is None or block.kind == "heading" or len(block.text) > _LONGEST_LABEL:
        return False
    text = _NO_WORDS.sub(" ", block.text).strip().lower()
    return (not text or text in _LABELS) and tree.is_in_callout(index)


def _joined(spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """The spans in order, each place once."""
    joined: list[tuple[int, int]] = []
    for start, end in sorted(spans):
        if joined and start < joined[-1][1]:
            joined[-1] = joined[-1][0], max(end, joined[-1][1])
        else:
            joined.append((start, end))
    return joined
