"""Parsing: what is content, and where in the source it stands."""

# ruff: noqa: RUF001 -- punctuation and letters of other scripts are what is tested

import html
import re
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from contentworker.editorial import MediaType
from contentworker.editorial.document import Document, Heading, Sentence, parse
from contentworker.editorial.parsing import markdown
from contentworker.editorial.parsing.sources import detect_media_type
from contentworker.editorial.settings import ContentSettings
from contentworker.errors import ContentError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from contentworker.editorial.ranges import Range

SETTINGS = ContentSettings()
EXAMPLES = sorted(
    path
    for path in (Path(__file__).parents[3] / "examples").iterdir()
    if path.suffix in (".md", ".html", ".txt")
)
# Half a surrogate pair is no text, and many controls are binary: both are refused, see the tests of refusals.
TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc"], include_characters="\n\t\r "), max_size=400)
MARKUP = st.lists(
    st.sampled_from(
        [
            "<p>",
            "</p>",
            "<div>",
            "</div>",
            "<h1>",
            "</h1>",
            "<h2 class='a>b'>",
            "<main>",
            "</main>",
            "<nav>",
            "</nav>",
            "<a href='https://x.org'>",
            "</a>",
            "<br>",
            "<!-- c -->",
            "<!--",
            "-->",
            "<script>",
            "</script>",
            "<title>",
            "</title>",
            "<td>",
            "<li>",
            "<ul>",
            "</ul>",
            "&amp;",
            "&nbsp;",
            "&#8364;",
            "&bogus;",
            "&#99999999999;",
            "<",
            ">",
            '="',
            '<a b="',
            "</",
            "<?x",
            "<!x",
            "\ufeff",
            "“",
            "word",
            " ",
            ". ",
            "Two words. Three",
            "\n\n",
            "# H\n",
            "- i\n",
            "> q\n",
            "| a | b |\n|---|---|\n",
            "`c`",
            "**b**",
            "[l](http://a.b)",
            "![i](u)",
            "---\n",
            "```\n",
            "語。",
            "क्या ",
        ]
    ),
    max_size=60,
).map("".join)


def read(source: str, media_type: MediaType | None = None) -> Document:
    return parse(source, media_type=media_type, settings=SETTINGS)


def without_markup(source: str, media_type: str) -> str:
    """The visible text of a slice of source, by means other than the parser's."""
    if media_type == "html":
        source = html.unescape(
            re.sub(r"<!--.*?-->|</?[a-zA-Z][^>]*>", "", re.sub(r"<br\s*/?>", " ", source), flags=re.DOTALL)
        )
    elif media_type == "markdown":
        source = re.sub(r"\]\([^)]*\)", "", source)
        source = re.sub(r"[*`\[]", "", source)
    return " ".join(source.split())


@pytest.mark.parametrize("path", EXAMPLES, ids=[path.stem for path in EXAMPLES])
def test_every_sentence_of_the_examples_stands_at_its_offsets(path: Path) -> None:
    """The slice at a sentence's offsets is that sentence, markup and entities aside."""
    source = path.read_text("utf-8")
    document = read(source)
    assert document.sentences
    parts: list[Heading | Sentence] = [*document.sentences, *document.headings]
    for part in parts:
        assert without_markup(source[part.start : part.end], document.media_type) == part.text


def test_offsets_reach_through_entities_and_inline_tags() -> None:
    """Entities, inline tags, comments and line breaks inside a sentence belong to its slice."""
    source = (
        "<main><p>Caf&eacute; &amp; <b>bar</b><!-- no --> cost&nbsp;5&nbsp;&euro;.<br>"
        "It&#8217;s <i>cheap</i>!</p></main>"
    )
    first, second = read(source).sentences
    assert first.text == "Café & bar cost 5 €."
    assert (
        source[first.start : first.end] == "Caf&eacute; &amp; <b>bar</b><!-- no --> cost&nbsp;5&nbsp;&euro;."
    )
    assert second.text == "It’s cheap!"
    assert source[second.start : second.end] == "It&#8217;s <i>cheap</i>!"


def test_markdown_offsets_reach_through_marks_links_and_escapes() -> None:
    """Emphasis, code, links, escapes, entities and quote marks do not shift what follows."""
    source = (
        'A *b* &amp; c\\* `x y` [l](http://x.y "l end") ![alt](u) end.\n\n'
        "> Two\n> lines with [r][1] end.\n\n[1]: http://z.z\n"
    )
    first, second = read(source, "markdown").sentences
    assert first.text == "A b & c* x y l end."
    assert source[first.start : first.end].endswith("![alt](u) end.")
    assert second.text == "Two lines with r end."
    assert source[second.start : second.end] == "Two\n> lines with [r][1] end."


def test_cells_of_a_table_row_have_offsets_of_their_own() -> None:
    """Cells that share a line, even with equal text or escaped pipes, are told apart."""
    source = "| a | b |\n|---|---|\n| same | same |\n| x \\| y | &lt; 2 |\n"
    cells = [(cell.text, source[cell.start : cell.end]) for cell in read(source, "markdown").sentences]
    assert cells[2:] == [("same", "same"), ("same", "same"), ("x | y", "x \\| y"), ("< 2", "&lt; 2")]
    assert len({cell.start for cell in read(source, "markdown").sentences}) == 6


def test_scripts_menus_and_hidden_parts_are_no_content() -> None:
    """Scripts, styles, navigation, footers, asides, site headers and hidden containers are left out."""
    source = """<html><head><style>p{}</style><script>var a = "<p>no</p>";</script></head><body>
    <header><p>Site name</p><nav><a href="https://menu.org">Menu</a></nav></header>
    <article><h1>Title</h1><p>Kept text.</p><div hidden><p>Secret</p></div>
    <div style="display: none"><p>Also secret</p></div><aside>Related</aside>
    <svg><title>Icon</title></svg></article>
    <footer>Imprint</footer></body></html>"""
    document = read(source)
    assert [sentence.text for sentence in document.sentences] == ["Kept text."]
    assert document.links == ()


def test_main_content_survives_a_menu_that_never_closes() -> None:
    """An unclosed menu ends where the main content begins."""
    document = read("<nav><ul><li>Menu<main><h1>Title</h1><p>Kept text.</p></main>")
    assert [sentence.text for sentence in document.sentences] == ["Kept text."]


def test_text_of_an_attributed_block_quote_keeps_its_footer() -> None:
    """A footer inside a block quote names the source and is content."""
    document = read(
        "<blockquote><p>One two three four five six.</p><footer>— Ada Lovelace</footer></blockquote>"
    )
    assert document.blockquotes == 1
    assert "Ada Lovelace" in document.sentences[-1].text


def test_headings_make_the_path_of_a_passage() -> None:
    """A passage knows the headings above it, and a later heading of the same level replaces the earlier."""
    document = read("# One\n\n## Two\n\nText a.\n\n### Three\n\nText b.\n\n## Four\n\nText c.\n")
    assert [[heading.text for heading in passage.path] for passage in document.passages] == [
        ["One", "Two"],
        ["One", "Two", "Three"],
        ["One", "Four"],
    ]


def test_passages_hold_at_most_120_words() -> None:
    """Long paragraphs are cut between sentences, and a run of words without a full stop anywhere."""
    prose = "Ten words are in this sentence and that is all. " * 40
    words = "word " * 1_000
    chinese = "天空" * 400
    document = read(f"{prose}\n\n{words}\n\n{chinese}", "text")
    assert max(passage.words for passage in document.passages) <= 120
    assert sum(passage.words for passage in document.passages) == document.words


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(
            "Dr. No met Mr. Smith. They left.", ["Dr. No met Mr. Smith.", "They left."], id="titles"
        ),
        pytest.param(
            "It grew by 3.5 % in the U.S. last year. Good.",
            ["It grew by 3.5 % in the U.S. last year.", "Good."],
            id="numbers",
        ),
        pytest.param("He said “Go!” Then he went.", ["He said “Go!”", "Then he went."], id="quotes"),
        pytest.param("Really?! Yes… no.", ["Really?!", "Yes… no."], id="marks"),
        pytest.param(
            "Am 3. Oktober war es so. Ende.", ["Am 3. Oktober war es so.", "Ende."], id="german-dates"
        ),
        pytest.param("天空是蓝色的。为什么？", ["天空是蓝色的。", "为什么？"], id="chinese"),
        pytest.param("आकाश नीला है। क्यों?", ["आकाश नीला है।", "क्यों?"], id="hindi"),
    ],
)
def test_sentences_end_where_a_reader_ends_them(text: str, expected: list[str]) -> None:
    """Abbreviations, decimals and ordinals do not end a sentence; marks of other scripts do."""
    assert [sentence.text for sentence in read(text, "text").sentences] == expected


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        pytest.param("<!doctype html><p>x", "html", id="doctype"),
        pytest.param("  <div>x</div>", "html", id="fragment"),
        pytest.param("---\ntitle: x\n---\ny", "markdown", id="front-matter"),
        pytest.param("# Title\n\nText", "markdown", id="atx-heading"),
        pytest.param("Text with [a link](https://x.org).", "markdown", id="link"),
        pytest.param("Just text, 3 < 4.", "text", id="text"),
        pytest.param("", "text", id="empty"),
    ],
)
def test_media_type_is_detected(source: str, expected: str) -> None:
    """A source says what it is by how it begins or by its marks."""
    assert detect_media_type(source) == expected


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        pytest.param(
            "The sky is blue because of the air in it and the light that it scatters.", "en", id="en"
        ),
        pytest.param(
            "Der Himmel ist blau, weil die Luft das Licht der Sonne streut und es nicht nur rot ist.",
            "de",
            id="de",
        ),
        pytest.param(
            "El cielo es azul porque el aire dispersa la luz del sol y no es sólo roja.", "es", id="es"
        ),
        pytest.param("Небо голубое, потому что воздух рассеивает свет.", "ru", id="ru"),
        pytest.param("天空是蓝色的。", "zh", id="zh"),
        pytest.param("空は青いです。", "ja", id="ja"),
        pytest.param("Lorem ipsum dolor.", "und", id="unknown"),
    ],
)
def test_language_is_read_off_the_text(source: str, expected: str) -> None:
    """Script and function words tell the language."""
    assert read(source, "text").language == expected


def test_declared_language_counts_until_the_text_contradicts_it() -> None:
    """A lang attribute decides for short text; forty words of another language overrule it."""
    german = "Der Himmel ist blau, weil die Luft das Licht der Sonne streut und nicht nur rot ist. "
    assert read('<html lang="fr-CA"><p>Lorem ipsum dolor.</p>').language == "fr"
    assert read(f'<html lang="en"><p>{german}</p>').language == "en"
    assert read(f'<html lang="en"><p>{german * 3}</p>').language == "de"


def test_metadata_is_gathered_from_head_and_structured_data() -> None:
    """Author, dates, description, canonical, robots and JSON-LD types come with their places."""
    source = """<html><head><title>T &amp; U</title>
    <meta name="description" content="About it."><meta name=robots content="noindex, follow">
    <link rel="canonical" href="https://www.example.org/a"><script type="application/ld+json">
    {"@graph": [{"@type": ["Article", "NewsArticle"], "author": {"name": "Ada"},
     "dateModified": "2026-05-03T10:00:00Z"}]}</script>
    <script type="application/ld+json">{"@type": "Oops",}</script></head><body><p>Text.</p></body></html>"""
    metadata = read(source).metadata
    assert metadata.author is not None
    assert metadata.author.text == "Ada"
    assert [found.value.isoformat() for found in metadata.dates] == ["2026-05-03"]
    assert metadata.description is not None
    assert source[metadata.description.start : metadata.description.end].startswith(
        '<meta name="description"'
    )
    assert metadata.canonical is not None
    assert metadata.canonical.text == "https://www.example.org/a"
    assert [span.text for span in metadata.robots] == ["noindex, follow"]
    assert metadata.json_ld_types == ("Article", "NewsArticle")
    assert [error.text for error in metadata.json_ld_errors] == [
        "Expecting property name enclosed in double quotes at line 1, column 18 of the block"
    ] or len(metadata.json_ld_errors) == 1


@pytest.mark.parametrize(
    "line",
    [
        pytest.param("Updated 3 May 2026", id="day-first"),
        pytest.param("Last updated: May 3, 2026", id="month-first"),
        pytest.param("Published on 2026-05-03.", id="iso"),
        pytest.param("Aktualisiert am 3. Mai 2026", id="german"),
        pytest.param("Actualizado el 3 de mayo de 2026", id="spanish"),
    ],
)
def test_visible_dates_and_bylines_are_found(line: str) -> None:
    """A reader's date and byline count as much as a machine's."""
    metadata = read(f"<main><h1>T</h1><p>By Ada Lovelace</p><p>{line}</p><p>Text.</p></main>").metadata
    assert metadata.author is not None
    assert metadata.author.text == "Ada Lovelace"
    assert [found.value.isoformat() for found in metadata.dates] == ["2026-05-03"]


def test_quotations_are_attributed_by_who_stands_next_to_them() -> None:
    """A quotation counts as attributed with a verb of speech or a dash and a name beside it."""
    document = read(
        "Ada wrote: “The engine weaves algebraic patterns for us.”\n\n"
        "The words “nothing at all that anyone has said” hang in the air.\n\n"
        "> Five words are enough here.\n> — Charles Babbage\n",
        "markdown",
    )
    assert [quotation.attributed for quotation in document.quotations] == [True, False, True]
    for quotation in document.quotations:
        assert document.source[quotation.start : quotation.end].split()[0].strip("“") in quotation.text


def test_links_know_their_domain() -> None:
    """Domains are lower case and without www; relative and broken links have none."""
    document = read(
        '<p><a href="https://WWW.Example.ORG/a">a</a> <a href="/b">b</a> <a href="http://[x">c</a></p>'
    )
    assert [link.domain for link in document.links] == ["example.org", "", ""]


@pytest.mark.parametrize(
    ("source", "message"),
    [
        pytest.param(
            "x" * 2_000_001, "content: expected at most 2 000 000 bytes, got 2 000 001", id="too-large"
        ),
        pytest.param(
            b"\x01\x02\x03\x04PNG",
            "content: expected text, got binary data (4 control characters)",
            id="controls",
        ),
        pytest.param("a\ud800", "content: expected Unicode text, got half a surrogate at 1", id="surrogate"),
        pytest.param(7, "content: expected a string or bytes, got int", id="number"),
        pytest.param(None, "content: expected a string or bytes, got NoneType", id="none"),
    ],
)
def test_what_cannot_be_read_is_refused_and_says_why(source: object, message: str) -> None:
    """Too large, binary and no text at all are ContentErrors that name the field."""
    with pytest.raises(ContentError) as caught:
        parse(source, settings=SETTINGS)  # type: ignore[arg-type]
    assert str(caught.value) == message


def test_unknown_media_type_is_refused() -> None:
    """A media type that no reader knows is a ContentError that says what is allowed."""
    with pytest.raises(ContentError, match="media_type: expected html, markdown or text, got 'pdf'"):
        parse("x", media_type="pdf", settings=SETTINGS)  # type: ignore[arg-type]


def test_bytes_and_text_give_the_same_document() -> None:
    """UTF-8 bytes are decoded; offsets are characters of the decoded text."""
    source = "# Café\n\nTrès bien, merci."
    read_bytes = parse(source.encode(), settings=SETTINGS)
    assert (read_bytes.encoding, read_bytes.encoding_source) == ("utf-8", "content")
    assert replace(read_bytes, encoding=None, encoding_source=None) == read(source)


@pytest.mark.parametrize(
    "source",
    [
        pytest.param("<div>" * 20_000, id="open-divs"),
        pytest.param("<b>" * 20_000, id="open-inline"),
        pytest.param("</div>" * 20_000, id="close-divs"),
        pytest.param('<a b=">"' * 20_000, id="quoted-ends"),
        pytest.param("<a" * 50_000, id="no-ends"),
        pytest.param("<!--" * 50_000, id="open-comments"),
        pytest.param("." * 100_000, id="full-stops"),
        pytest.param("a " * 50_000, id="no-full-stop"),
        pytest.param("&" * 100_000, id="ampersands"),
        pytest.param("<p>" + "(" * 100_000, id="brackets"),
    ],
)
def test_hostile_html_is_read_to_its_end(source: str) -> None:
    """Deep nesting and markup that never closes neither raise nor recurse."""
    assert read(source, "html").source == source


def test_a_markdown_block_beyond_any_article_is_read_as_text() -> None:
    """Marks in a block of more than 20 000 characters stay as they are; the next block is read as ever."""
    source = f"{'[*a ' * 10_000}\nand\n\n- Next *one*.\n"
    document = read(source, "markdown")
    assert document.sentences[0].text.startswith("[*a [*a ")
    assert [sentence.text for sentence in document.sentences][-1] == "Next one."
    for sentence in document.sentences[:-1]:
        assert " ".join(source[sentence.start : sentence.end].split()) == sentence.text


def test_marks_in_markdown_beyond_any_article_are_read_as_text(monkeypatch: pytest.MonkeyPatch) -> None:
    """After 100 000 brackets and stars in all the marks of later blocks stay as they are."""
    assert markdown._MOST_MARKS == 100_000
    monkeypatch.setattr(markdown, "_MOST_MARKS", 1_000)  # reading so many takes a second
    marks = "[" * 498  # with the stars around One: 998 in the second block, 1,496 in the third
    one, two = (
        read(f"*One*.\n\n{marks}\n\n{marks}\n\n{more}*Two*.", "markdown").sentences[-1].text
        for more in ("", "*")
    )
    assert (one, two) == ("Two.", "**Two*.")


def test_markdown_of_more_lines_than_any_article_is_read_as_text() -> None:
    """More than 50 000 lines are read as plain text; the front matter still counts."""
    source = "---\ntitle: Log\n---\n" + "It has *one* line.\n\n" * 25_001
    document = read(source, "markdown")
    assert document.title is not None
    assert (document.title.text, document.media_type, len(document.sentences)) == ("Log", "markdown", 25_001)
    last = document.sentences[-1]
    assert source[last.start : last.end] == last.text == "It has *one* line."


@settings(deadline=None)
@given(source=st.one_of(TEXT, MARKUP), media_type=st.sampled_from([None, "html", "markdown", "text"]))
@example("0`a\n。b`", "markdown")  # in a code span a line ends, and a sentence
@example("---\n---", None)  # front matter without a key
@example("+++\n+++", None)
@example("{}\n", "markdown")
def test_offsets_of_any_text_are_in_order_and_in_bounds(source: str, media_type: MediaType | None) -> None:
    """Whatever the text, parsing succeeds and every part lies within the source, in reading order."""
    document = read(source, media_type)
    kinds: list[Sequence[Range]] = [document.sentences, document.headings, document.passages]
    for parts in kinds:
        assert all(0 <= part.start < part.end <= len(source) for part in parts)
        assert all(earlier.end <= later.start for earlier, later in pairwise(parts))
    assert document.words == sum(sentence.words for sentence in document.sentences)
    assert all(passage.words <= 120 for passage in document.passages)
