"""What editors and wikis write as HTML or Markdown: titles, callouts, tables and footnotes."""

import pytest

from contentworker.editorial.document import Document, parse
from contentworker.editorial.settings import ContentSettings

PROSE = "The committee met on Monday, and it agreed to publish the findings of the survey in spring."
CALLOUT = "Cows sleep four hours a day."
GHOST = (
    '<div class="kg-card kg-callout-card"><div class="kg-callout-emoji">💡</div>'
    f'<div class="kg-callout-text">{CALLOUT}</div></div>'
)
DOCUSAURUS = (
    '<div class="theme-admonition alert alert--success"><div class="admonitionHeading_x">tip</div>'
    f'<div class="admonitionContent_x"><p>{CALLOUT}</p></div></div>'
)

GITHUB = (
    '<div class="markdown-alert markdown-alert-tip"><p class="markdown-alert-title">Tip</p>'
    f"<p>{CALLOUT}</p></div>"
)
SPHINX = f'<div class="admonition note"><p class="admonition-title">Hinweis:</p><p>{CALLOUT}</p></div>'


def read(source: str) -> Document:
    """The document of a fragment or page."""
    return parse(source, settings=ContentSettings())


def texts(document: Document) -> list[str]:
    """What is judged."""
    return [sentence.text for sentence in document.sentences]


@pytest.mark.parametrize(
    "title",
    [
        '<p class="c2 title" id="h.abc"><span class="c5">On cows</span></p>',
        "<p class=MsoTitle>On cows</p>",
    ],
)
def test_the_title_of_an_export_is_its_title(title: str) -> None:
    """Google Docs and Word write it as a paragraph, though the first heading of a part is an h1."""
    document = read(f"<html><body>{title}<p>{PROSE}</p><h1>Sleep</h1><p>{PROSE}</p></body></html>")
    assert document.title is not None
    assert document.title.text == "On cows"
    assert [heading.text for heading in document.headings] == ["On cows", "Sleep"]


@pytest.mark.parametrize("callout", [GHOST, DOCUSAURUS, GITHUB, SPHINX])
def test_a_callout_is_part_of_the_article_but_not_its_label(callout: str) -> None:
    """In a page, too, though its names speak of alerts. The label is a word or an emoji."""
    paragraphs = "".join(f"<p>{PROSE[:-1]} of {year}.</p>" for year in range(2010, 2016))
    menu = '<nav class="menu"><a href="/">Home</a><a href="/b">Blog</a></nav><div class="alert">Sale!</div>'
    page = (
        f"<html><head><title>On cows</title></head><body>{menu}<main><article><h1>On cows</h1>{paragraphs}"
        f"{callout}{paragraphs.replace('20', '19')}</article></main><footer>Example</footer></body></html>"
    )
    assert [text for text in texts(read(page)) if "committee" not in text] == [CALLOUT]
    assert texts(read(f"<h1>On cows</h1><p>{PROSE}</p>{callout}")) == [PROSE, CALLOUT]


def test_a_short_text_is_no_label_outside_of_a_callout_nor_with_more_words_in_it() -> None:
    short = '<p>Tip</p><div class="callout"><p>Tip of the day</p><h4>Note</h4></div>'
    document = read(f"<h1>On cows</h1><p>{PROSE}</p>{short}")
    assert texts(document) == [PROSE, "Tip", "Tip of the day"]
    assert [heading.text for heading in document.headings] == ["On cows", "Note"]


def test_a_callout_in_markdown_loses_its_marks() -> None:
    """Docusaurus: with a title in brackets, without empty lines, and without a title."""
    source = f"# On cows\n\n{PROSE}\n\n:::tip[My tip]\n\n{CALLOUT}\n\n:::\n\n:::note\nOf milk.\n:::\n"
    assert texts(read(source)) == [PROSE, CALLOUT, "Of milk."]


def test_a_table_of_confluence_has_cells() -> None:
    """Each cell holds a paragraph, but is no running text."""
    cells = "".join(
        f'<tr><t{kind} class="confluenceT{kind}"><p>{text}</p></t{kind}></tr>'
        for kind, text in (("h", "Animal"), ("d", "Cow"), ("d", "Cows sleep four hours a day."))
    )
    document = read(
        f'<h1>On cows</h1><p>{PROSE}</p><table class="confluenceTable">{cells}</table><p>{PROSE}</p>'
    )
    assert [sentence.kind for sentence in document.sentences] == [
        "paragraph",
        "cell",
        "cell",
        "cell",
        "paragraph",
    ]
    layout = read(f"<h1>On cows</h1><table><tr><td><p>{PROSE}</p></td></tr></table>")
    assert [sentence.kind for sentence in layout.sentences] == ["paragraph"]


def test_macros_of_confluence_are_no_text_but_its_links_are() -> None:
    """The storage format: parameters and code are left out; the text of a link is in CDATA."""
    macro = '<ac:structured-macro ac:name="code"><ac:parameter ac:name="language">py</ac:parameter>'
    code = "<ac:plain-text-body><![CDATA[if a > b: c()</p>]]></ac:plain-text-body></ac:structured-macro>"
    link = "<ac:link><ac:plain-text-link-body><![CDATA[the other page]]></ac:plain-text-link-body></ac:link>"
    document = read(f"<h1>On cows</h1>{macro}{code}<p>{PROSE} See {link}.</p>")
    assert texts(document) == [PROSE, "See the other page."]
    assert [part.reason for part in document.excluded] == ["markup", "code"]


def test_footnotes_of_substack_are_part_of_the_article_in_whole_pages() -> None:
    """They stand behind the article, in containers of their own."""
    mark = '<a class="footnote-number" href="#footnote-anchor-1">1</a>'
    footnote = (
        f'<div class="footnote" data-component-name="FootnoteToDOM">{mark}'
        f'<div class="footnote-content"><p>{CALLOUT}</p></div></div>'
    )
    body = "".join(f"<p>{PROSE[:-1]} of {year}.</p>" for year in range(2010, 2022))
    page = (
        "<html><head><title>On cows</title></head><body><article><h1>On cows</h1>"
        f'<div class="body markup">{body}</div>{footnote}</article>'
        '<div class="subscribe-footer"><p>Subscribe to Cows.</p></div></body></html>'
    )
    assert texts(read(page))[-1] == CALLOUT


def test_marks_of_footnotes_are_no_text() -> None:
    """Substack, GitHub and Pandoc: a number in a link, before and behind; the footnote itself stays."""
    document = read(
        '<h1>On cows</h1><p>Cows sleep.<a class="footnote-anchor" href="#footnote-1">1</a> They dream, too.'
        '<sup><a href="#fn2" class="footnote-ref">[2]</a></sup></p><div class="footnote">'
        '<a href="#footnote-anchor-1" class="footnote-number">1</a><div><p>See the report.</p></div></div>'
        '<p><a class="footnotes" href="#more">More notes</a> follow.</p>'
    )
    assert texts(document)[:3] == ["Cows sleep.", "They dream, too.", "See the report."]
    assert "More notes" in texts(document)[-1]
