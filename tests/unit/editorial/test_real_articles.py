"""Articles as they really are: each kind of fault by the smallest input that shows it."""

import base64
import quopri
from datetime import date
from pathlib import Path

import pytest

from contentworker.editorial import MediaType
from contentworker.editorial.aeo.questions import infer_question
from contentworker.editorial.aeo.scoring import score
from contentworker.editorial.detector.judging import judge
from contentworker.editorial.detector.model import shipped
from contentworker.editorial.document import Document, parse
from contentworker.editorial.parsing.tree import OTHER_BITS, hints
from contentworker.editorial.settings import ContentSettings
from contentworker.errors import ContentError

SETTINGS = ContentSettings()
PAGES = Path(__file__).parents[2] / "data" / "pages"
PROSE = "The committee met on Monday and agreed to publish the findings of the survey in the spring of next "
PROSE += "year. "


def read(source: str | bytes, media_type: MediaType | None = None) -> Document:
    return parse(source, media_type=media_type, settings=SETTINGS)


def page(name: str) -> Document:
    return read((PAGES / name).read_bytes())


def texts(document: Document) -> list[str]:
    return [sentence.text for sentence in document.sentences]


def left_out(document: Document) -> dict[str, str]:
    return {part.text: part.reason for part in document.excluded}


def test_menus_comments_and_cookie_boxes_in_divs_are_left_out() -> None:
    """The article's sentences only; the rest is kept, with the reason why it is no article."""
    document = page("01-nav-in-div.html")
    assert set(texts(document)) == {PROSE.strip()}
    assert [heading.text for heading in document.headings] == ["Findings of the survey"]
    reasons = left_out(document)
    assert reasons["Home"] == "navigation"
    assert reasons["Great post! I loved this a lot."] == "comments"
    assert reasons["We use cookies to improve your experience on our site."] == "subscription"


def test_another_story_does_not_give_the_question() -> None:
    """The question comes from the article's own title, though a related story's heading asks one."""
    document = page("02-related-article.html")
    assert infer_question(document) == "Findings of the survey"
    assert "Farmers paint their cows." not in texts(document)


@pytest.mark.parametrize(
    ("name", "author"), [("03-author-is-url.html", "Jane Doe"), ("05-author-entity.html", "O'Neil Doe")]
)
def test_an_author_is_a_name(name: str, author: str) -> None:
    """JSON-LD is trusted before a link, which is no name; entities are decoded."""
    found = page(name).metadata.author
    assert found is not None
    assert (found.text, found.origin) == (author, "json-ld")


@pytest.mark.parametrize(
    "author", ["null", "undefined", "https://www.facebook.com/example", "@example", "   "]
)
def test_what_is_no_name_is_no_author(author: str) -> None:
    """What systems write where a name is missing, and addresses."""
    head = f'<html><head><meta name="author" content="{author}"></head>'
    assert read(f"{head}<body><p>{PROSE}</p></body></html>").metadata.author is None


@pytest.mark.parametrize(
    ("head", "body", "author"),
    [
        pytest.param("Jane Doe. London Agency", "", "Jane Doe", id="agency"),
        pytest.param("Analysis by Jane Doe and John Roe", "", "Jane Doe, John Roe", id="by"),
        pytest.param("Jane Doe, Berlin", "", "Jane Doe", id="place"),
        pytest.param("Jane Doe Example News", "", "Jane Doe", id="site"),
        pytest.param("jdadmin", "", None, id="account"),
        pytest.param(
            "News Desk Staff", '<p>By <a href="/authors/jane-doe">Jane Doe</a></p>', "Jane Doe", id="desk"
        ),
        pytest.param(
            "Example News", '<p>By <a href="/authors/jane-doe">Jane Doe</a></p>', "Jane Doe", id="link"
        ),
        pytest.param("Example Press", "<p>Read it.</p>", "Example Press", id="nobody else"),
        pytest.param("Example News", "<p>Read it.</p>", None, id="nobody but the site"),
        pytest.param("News Desk Staff", "", None, id="nobody but a desk"),
        pytest.param("Senior Court Reporter", "", None, id="job"),
        pytest.param("Jane Doe and John Roe, Example Times", "", "Jane Doe, John Roe", id="affiliation"),
        pytest.param("Doe, Jane", "", "Jane Doe", id="last name first"),
        pytest.param("Jane Doe, MD, PhD", "", "Jane Doe", id="degrees"),
        pytest.param("Max Roe", '<a rel="author">Jane Doe</a>', "Jane Doe", id="who is shown"),
        pytest.param("", "<p>Publié le 3 mai 2024 par Jeanne Dupont</p>", "Jeanne Dupont", id="after a date"),
        pytest.param("", "<p>Von Jana am 3. Mai 2024 | 2 Meinungen</p>", "Jana", id="first name"),
        pytest.param("", "<p>A film by Jane Doe</p><p>Cows by Max Roe: now</p>", None, id="no byline"),
        pytest.param("", "<p>\u00a9 2024 by Jane Doe</p>", None, id="copyright"),
        pytest.param("", '<a rel="author" href="/">My Notes</a>', None, id="front page"),
        pytest.param("", '<p class="auteur">Jeanne Dupont</p>', "Jeanne Dupont", id="other languages"),
        pytest.param("", "<p>By Jane Doe December 3, 2024</p>", "Jane Doe", id="date"),
    ],
)
def test_an_author_is_a_person_if_one_is_named(head: str, body: str, author: str | None) -> None:
    """Jobs, places and the site are cut off. An agency counts only if nobody else is named."""
    source = (
        '<html><head><title>How cows sleep</title><meta property="og:site_name" content="Example News">'
        f'<meta name="author" content="{head}"></head><body><article><h1>How cows sleep</h1>{body}'
        f"<p>{PROSE * 3}</p></article></body></html>"
    )
    found = read(source).metadata.author
    assert (found and found.text) == author


@pytest.mark.parametrize(
    ("language", "line", "day"),
    [
        pytest.param("en", "<time>April 3, 2024</time>", "2024-04-03", id="time without datetime"),
        pytest.param("en-US", "<p>Posted 4/3/2024</p>", "2024-04-03", id="month first"),
        pytest.param("en-GB", "<p>Posted 3/4/2024</p>", "2024-04-03", id="day first"),
        pytest.param("fr", "<p>Publié le 03/04/2024</p>", "2024-04-03", id="french"),
        pytest.param(
            "en", "<p>Updated May 9, 2024</p><p>Published April 3, 2024</p>", "2024-04-03", id="published"
        ),
        pytest.param(
            "en", '<span itemprop="datePublished" content="2024-04-03">x</span>', "2024-04-03", id="microdata"
        ),
        pytest.param(
            "en", '<meta name="date" content="Wed Apr 03 12:45:00 EDT 2024">', "2024-04-03", id="java"
        ),
        pytest.param("de", "<p>von Jana Doe, 03.04.24</p>", "2024-04-03", id="short year"),
        pytest.param(
            "fr",
            '<time datetime="2024-05-01">1 mai</time><p>Publié le 3 avril 2024</p>',
            "2024-04-03",
            id="a label before a time without one",
        ),
        pytest.param(
            "en",
            '<meta property="article:published_time" content="2024-04-04T01:30:00Z">'
            '<link rel="canonical" href="https://news.example/2024/04/03/cows">',
            "2024-04-03",
            id="the local day of an address",
        ),
        pytest.param(
            "en",
            '<meta property="article:published_time" content="2024-04-04T01:30:00Z">'
            "<p>Thursday, April 4, 2024</p><p>April 3, 2024 at 7:30 p.m.</p>",
            "2024-04-03",
            id="the local day beside the text",
        ),
        pytest.param(
            "en",
            '<link rel="canonical" href="https://news.example/2024/04/09/cows"><p>April 3, 2024</p>',
            "2024-04-03",
            id="an address last",
        ),
    ],
)
def test_the_date_of_publication_is_read(language: str, line: str, day: str) -> None:
    """In the order of the page's language, and before the date of a change."""
    article = f"<article><h1>Cows</h1>{line}<p>{PROSE * 3}</p></article>"
    source = f'<html lang="{language}"><body>{article}</body></html>'
    published = read(source).metadata.published
    assert published is not None
    assert published.value.isoformat() == day


@pytest.mark.parametrize(
    ("name", "author"),
    [("Jane Doe", "Jane Doe"), ("The Planet", None), ("PLANET", None), ("Leeds Times", None)],
)
def test_a_blog_may_have_the_name_of_its_author(name: str, author: str | None) -> None:
    """The name of a site is no author, unless it is like a person's and is given as the author."""
    head = f'<meta property="og:site_name" content="{name}"><meta name="author" content="{name}">'
    found = read(f"<html><head>{head}</head><body><h1>On cows</h1><p>{PROSE * 3}</p></body></html>").metadata
    assert (found.author and found.author.text) == author


def test_the_preview_of_a_page_names_its_author() -> None:
    """As WordPress writes it, in the language of the site."""
    head = "".join(
        f'<meta name="twitter:{key}" content="{value}">'
        for key, value in (
            ("label1", "Verfasst von"), ("data1", "Jane Doe"), ("label2", "Lesezeit"), ("data2", "3 Minuten"),
        )
    )  # fmt: skip
    found = read(f"<html><head>{head}</head><body><h1>On cows</h1><p>{PROSE * 3}</p></body></html>").metadata
    assert found.author is not None
    assert (found.author.text, found.author.origin) == ("Jane Doe", "twitter:data1")


def test_an_organisation_that_json_ld_names_is_no_person() -> None:
    """The person whom the byline names wrote it."""
    data = '{"@type": "NewsArticle", "author": {"@type": "Organization", "name": "Sky"}}'
    source = (
        f'<html><head><script type="application/ld+json">{data}</script></head><body><h1>How cows sleep</h1>'
        f"{{}}<p>{PROSE * 3}</p></body></html>"
    )
    organisation, person = (
        read(source.replace("{}", byline)).metadata.author for byline in ("", '<a rel="author">Jane Doe</a>')
    )
    assert organisation is not None
    assert person is not None
    assert (organisation.text, person.text) == ("Sky", "Jane Doe")


@pytest.mark.parametrize("around", ["{}", "<html><head><title>A letter</title></head><body>{}</body></html>"])
def test_text_that_stands_in_pre_as_a_whole_is_read(around: str) -> None:
    """Archives of mail, RFCs, poems: an empty line ends a paragraph. A program stays code."""
    letter = f"Dear all,\n\nthe cows &amp; the\nsheep sleep. {PROSE}\n\n<b>{PROSE}</b>"
    document = read(around.format(f"<pre>{letter}</pre>"), "html")
    assert texts(document) == ["Dear all,", "the cows & the sheep sleep.", PROSE.strip(), PROSE.strip()]
    second = document.sentences[1]
    assert document.source[second.start : second.end] == "the cows &amp; the\nsheep sleep."
    program = "def add(a, b=0):\n    return {a: [b], b: [a]}\n\n" * 20
    assert texts(read(around.format(f"<pre>{program}</pre>"), "html")) == []


def test_a_line_that_leads_to_other_stories_goes_with_them() -> None:
    """So does a line that ends with who took the picture."""
    document = read(
        '<html><body><div class="menu"><a href="/">Home</a></div><div class="article-body"><h1>Cows</h1>'
        f"<p>{PROSE * 2}</p><p>The herd at night, photos © Example, 2018</p><p>{PROSE * 2}It is so.</p>"
        '<p>You may also like...</p><ul class="related"><li><a href="/a">How sheep sleep at night</a></li>'
        "</ul></div></body></html>"
    )
    assert texts(document) == [PROSE.strip()] * 4 + ["It is so."]


def test_a_call_at_the_end_is_no_text() -> None:
    """To follow, to write, to subscribe, in four languages; and links that lead away between paragraphs."""
    calls = [
        "Follow us on Twitter @example and on Facebook.",
        "Folgen Sie uns auf Instagram.",
        "Suivez-nous sur Twitter !",
        'Get our magazine every month. <a href="/m">Click here</a> for more.',
        "Advert",
    ]
    between = '<p>READ MORE: <a href="/sheep">Sheep sleep in winter, too</a></p>'
    tweet = "<blockquote><p>Cows!</p>&mdash; Jane (@jane)</blockquote>"
    body = f"<h1>On cows</h1><p>{PROSE * 3}</p>{between}<p>He wrote it on Twitter.</p><p>{PROSE}</p>"
    ended = site(body + "".join(f"<p>{call}</p>" for call in calls), "On cows")
    assert set(texts(ended)) == {PROSE.strip(), "He wrote it on Twitter."}
    assert "Cows!" in texts(site(body + tweet, "On cows"))


def test_the_title_lacks_the_name_of_the_site() -> None:
    """As it stands in the head, so that its place is exact; published and modified are told apart."""
    source = (
        '<html><head><title>How cows sleep &#8211; Example News</title><meta property="og:site_name" '
        'content="Example News"><meta property="article:published_time" content="2024-03-03T10:00:00Z">'
        '<meta property="article:modified_time" content="2024-04-01"></head><body>'
        f"<p>{PROSE}</p></body></html>"
    )
    document = read(source)
    assert document.title is not None
    assert document.title.text == source[document.title.start : document.title.end] == "How cows sleep"
    metadata = document.metadata
    assert metadata.published is not None
    assert metadata.modified is not None
    assert (metadata.published.value.isoformat(), metadata.published.name) == (
        "2024-03-03",
        "article:published_time",
    )
    assert metadata.modified.value.isoformat() == "2024-04-01"
    assert metadata.site is not None
    assert metadata.site.text == "Example News"


def test_hidden_text_is_not_read() -> None:
    """`hidden`, `display:none`, `visibility:hidden` and `aria-hidden`, in blocks and inside of them."""
    document = page("06-hidden-p.html")
    assert texts(document) == ["Shown text."]
    assert set(left_out(document).values()) == {"hidden"}
    source = (
        '<p>Seen <span style="visibility: hidden">not <span>this</span></span>too.</p><ul><li hidden>No.'
        "<li>Yes.</ul><p hidden>No.<p>Then <b aria-hidden=true>no</p><p>End.</p>"
    )
    assert texts(read(source)) == ["Seen too.", "Yes.", "Then", "End."]


@pytest.mark.parametrize(
    "source",
    [
        pytest.param((PAGES / "07-small-first.md").read_text("utf-8"), id="inline"),
        pytest.param(
            '<p align="center"><img src="a.png"></p>\n\n# Title\n\nSome **bold** text.\n', id="block"
        ),
        pytest.param("<!-- markdownlint-disable -->\n\n# Title\n\nText.\n", id="comment"),
    ],
)
def test_markdown_that_begins_with_a_tag_is_markdown(source: str) -> None:
    """Release notes and readmes often do."""
    document = read(source)
    assert document.media_type == "markdown"
    assert document.headings


def test_front_matter_is_no_prose() -> None:
    """TOML, YAML with blocks and lists, JSON, and the headers of a mail."""
    toml = page("08-toml-front-matter.md")
    yaml = page("13-yaml-block.md")
    json = read(
        '{\n  "title": "My post",\n  "authors": ["Jane Doe"]\n}\n\nText here.\n\n## More\n', "markdown"
    )
    mail = read("From: Jane Doe <jane@example.org>\nTo: all@example.org\nSubject: My post\n\nText here.\n")
    for document, title in (
        (toml, "My post"),
        (yaml, "A folded title"),
        (json, "My post"),
        (mail, "My post"),
    ):
        assert document.title is not None
        assert document.title.text == title
        assert document.metadata.author is not None
        assert document.metadata.author.text == "Jane Doe"
        assert "Jane" not in " ".join(texts(document))
    assert toml.metadata.published is not None
    assert toml.metadata.published.value.isoformat() == "2024-03-03"
    assert toml.source[toml.metadata.published.start : toml.metadata.published.end] == "date = 2024-03-03"


def test_soft_hyphens_do_not_cut_words() -> None:
    """As a character or as an entity; the place in the source still holds them."""
    document = page("10-soft-hyphen.html")
    assert texts(document) == ["Die Donaudampfschifffahrt ist lang."]
    assert document.sentences[0].tokens[1] == "donaudampfschifffahrt"
    (sentence,) = read("Donau\u00addampf\u00adschiff.\n").sentences
    assert (sentence.text, sentence.end - sentence.start) == ("Donaudampfschiff.", 19)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(
            (PAGES / "11-abbreviations.txt").read_text("utf-8"),
            [
                "Gov. Doe met Sen. Roe on Mt. Example.",
                "Im 20. Jahrhundert galt nach Abs. 3 ein Betrag von 5 Mio. Euro.",
            ],
            id="mixed",
        ),
        pytest.param(
            "Der 1. Platz ging nach § 5 Abs. 2 an Köln. Es war 1990. "
            "Die Mauer ist nicht mehr da und das ist gut.",
            [
                "Der 1. Platz ging nach § 5 Abs. 2 an Köln.",
                "Es war 1990.",
                "Die Mauer ist nicht mehr da und das ist gut.",
            ],
            id="de",
        ),
        pytest.param(
            "He changed his mind about modern art. Then he said no. See No. 5 of the list. "
            "I am 20. She is 21.",
            [
                "He changed his mind about modern art.",
                "Then he said no.",
                "See No. 5 of the list.",
                "I am 20.",
                "She is 21.",
            ],
            id="en",
        ),
        pytest.param(
            "M. Dupont et Mme. Durand sont dans la rue. Ils lisent l'art. 5 de la loi.",
            ["M. Dupont et Mme. Durand sont dans la rue.", "Ils lisent l'art. 5 de la loi."],
            id="fr",
        ),
        pytest.param(
            "La Sra. López vive en la calle. El art. 5 de la ley está en la pág. 3 del libro.",
            ["La Sra. López vive en la calle.", "El art. 5 de la ley está en la pág. 3 del libro."],
            id="es",
        ),
    ],
)
def test_abbreviations_and_ordinals_end_no_sentence(text: str, expected: list[str]) -> None:
    """In English, German, French and Spanish; words that only look like them do."""
    assert texts(read(text)) == expected


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        pytest.param(
            'First with <em>one</em> tag.\n\nSecond [gallery ids="1,2"] has a shortcode, [sic].\n\n'
            "<strong>Third</strong>.",
            ["First with one tag.", "Second has a shortcode, [sic].", "Third."],
            id="classic-wordpress",
        ),
        pytest.param(
            '<p>Text<sup><a href="#cmnt1" id="cmnt_ref1">[a]</a></sup> goes on.</p><div><p>'
            '<a href="#cmnt_ref1" id="cmnt1">[a]</a>Please fix.</p><p>Soon.</p></div><p>End.</p>',
            ["Text goes on.", "End."],
            id="google-docs",
        ),
        pytest.param(
            "<p class=MsoNormal>Text<span class=MsoCommentReference><a class=msocomanchor href='#_msocom_1'>"
            "[JD1]</a></span> goes on.</p><div style='mso-element:comment-list'>"
            "<p class=MsoCommentText>Fix.</p></div>",
            ["Text goes on."],
            id="word",
        ),
        pytest.param(
            "## Why\n\n> [!NOTE]\n> Mind the gap.\n\n- [ ] Open.\n- [x] Done.\n\nText[^1] goes on.\n\n"
            "[^1]: The note says so.\n\n:::tip\nTip.\n:::\n\n{{< youtube abc >}}\n",
            ["Mind the gap.", "Open.", "Done.", "Text goes on.", "The note says so.", "Tip."],
            id="markdown",
        ),
        pytest.param(
            'import Chart from "./chart"\nimport { a } from "b";\n\n# Why\n\nText goes on.\n\n'
            "<Chart x={1} />\n",
            ["Text goes on."],
            id="mdx",
        ),
        pytest.param(
            "1\n00:00:01,000 --> 00:00:04,000\nHello <i>there</i>, this is\n\n"
            "2\n00:00:05,000 --> 00:00:06,000\na test. And\n\n"
            "3\n00:00:07,000 --> 00:00:08,000\nmore to come.\n",
            ["Hello there, this is a test.", "And more to come."],
            id="subtitles",
        ),
    ],
)
def test_marks_of_other_programs_are_no_text(source: str, expected: list[str]) -> None:
    """Shortcodes, reviewers' comments, callouts, tasks, footnote marks, modules, times of subtitles."""
    assert texts(read(source)) == expected


@pytest.mark.parametrize(
    ("source", "encoding", "found"),
    [
        pytest.param("Das Café öffnet.".encode("cp1252"), "cp1252", "fallback", id="cp1252"),
        pytest.param(
            b"\xff\xfe" + "Das Café öffnet.".encode("utf-16-le"), "utf-16-le", "bom", id="utf-16-bom"
        ),
        pytest.param("Das Café öffnet.".encode("utf-16-be"), "utf-16-be", "content", id="utf-16"),
        pytest.param(
            b'<meta charset="iso-8859-2"><p>' + "Das Café öffnet.".encode("iso-8859-2"),
            "iso8859-2",
            "declared",
            id="meta",
        ),
        pytest.param("Das Café öffnet.".encode(), "utf-8", "content", id="utf-8"),
        pytest.param(("é" * 20 + ". Das Café öffnet.").encode() + b"\xff", "utf-8", "content", id="broken"),
    ],
)
def test_bytes_are_read_as_a_browser_reads_them(source: bytes, encoding: str, found: str) -> None:
    """By mark, declaration or content; the result says which."""
    document = read(source)
    assert (document.encoding, document.encoding_source) == (encoding, found)
    assert "Das Café öffnet." in " ".join(texts(document))


@pytest.mark.parametrize("coding", ["quoted-printable", "base64", "8bit"])
def test_a_page_that_is_saved_as_one_file_is_read(coding: str) -> None:
    """MHTML, as Chrome writes it: the page of it, with places in the page."""
    head = "<!doctype html><html><head><title>On cows</title></head>"
    html = f"{head}<body><p>Bœufs. {PROSE * 3}</p></body></html>"
    body = {
        "quoted-printable": quopri.encodestring(html.encode()),
        "base64": base64.encodebytes(html.encode()),
        "8bit": html.encode(),
    }[coding]
    source = (
        b"From: <Saved by Blink>\r\nSubject: On cows\r\nMIME-Version: 1.0\r\n"
        b'Content-Type: multipart/related;\r\n\ttype="text/html";\r\n\tboundary="----Part----"\r\n\r\n\r\n'
        b"------Part----\r\nContent-Type: text/html\r\n"
        b"Content-Transfer-Encoding: " + coding.encode() + b"\r\n\r\n" + body + b"\r\n------Part------\r\n"
    )
    for given in (source, source.decode()):
        document = read(given)
        assert document.source.strip() == html
        assert document.encoding == "utf-8"
        assert texts(document)[:2] == ["Bœufs.", PROSE.strip()]


def test_a_broken_page_in_one_file_is_no_crash() -> None:
    """Base64 that was cut off: what is there is read."""
    body = base64.b64encode(f"<html><body><p>{PROSE * 3}</p></body></html>".encode())[:-7]
    source = (
        b"MIME-Version: 1.0\nContent-Type: multipart/related; boundary=B\n\n"
        b"--B\nContent-Type: text/html\nContent-Transfer-Encoding: base64\n\n" + body + b"\n--B--\n"
    )
    assert texts(read(source))[0] == PROSE.strip()


def test_a_nul_is_read_and_pictures_are_refused() -> None:
    """A NUL becomes U+FFFD, so that all places stay; what is no text at all is refused."""
    assert texts(read("One.\0 Two.")) == ["One.\ufffd Two."]
    for binary in (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\1\0", b"%PDF-1.7\n%\xe2\xe3", b"PK\x03\x04\x14\0"):
        with pytest.raises(ContentError, match="expected text, got binary data"):
            read(binary)


def test_a_fragment_loses_nothing() -> None:
    """A CMS has the article alone: not even what looks like a menu is left out."""
    source = (
        f'<h2>Why</h2><nav class="toc"><ul><li><a href="#a">First part</a></li></ul></nav><p>{PROSE}</p>'
        '<aside class="related"><p>Aside.</p></aside><footer class="comments"><p>Foot.</p></footer>'
    )
    document = read(source)
    assert document.scope == "fragment"
    assert texts(document) == ["First part", PROSE.strip(), "Aside.", "Foot."]
    assert parse(source, scope="whole_page", settings=SETTINGS).scope == "whole_page"
    with pytest.raises(ContentError, match="scope: expected whole_page or fragment, got 'page'"):
        parse(source, scope="page", settings=SETTINGS)  # type: ignore[arg-type]


MENU = '<div class="nav"><ul><li><a href="/">Home</a></li><li><a href="/world">World</a></li></ul></div>'
FOOT = (
    '<div class="footer"><p>Copyright Example News. All rights reserved.</p><a href="/legal">Legal</a></div>'
)
TEASERS = "".join(
    f'<div class="teaser"><h2><a href="/{number}">Story {number} about the town</a></h2><p>The council '
    f'talked about the plan. <a href="/{number}">More</a></p></div>'
    for number in range(10)
)
TWO_POSTS = f"<article><h2>On cows</h2><p>{PROSE * 6}</p></article>"
TWO_POSTS += f"<article><h2>On sheep</h2><p>{PROSE * 5}</p></article>"


def site(body: str, title: str = "Example News") -> Document:
    return read(f"<html><head><title>{title}</title></head><body>{MENU}{body}{FOOT}</body></html>")


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(
            '<div class="login-form"><h1>Log in</h1><label>E-mail</label><a href="/p">Lost?</a></div>',
            id="login",
        ),
        pytest.param('<noscript>Please enable JavaScript.</noscript><div id="root"></div>', id="script"),
        pytest.param(f"<main><h1>Latest</h1>{TEASERS}</main>", id="listing"),
        pytest.param(
            "<h1>Photos</h1>" + "<figure><figcaption>A photo: Doe</figcaption></figure>" * 9, id="gallery"
        ),
        pytest.param(
            '<div class="cookie-banner"><p>We use cookies to improve your experience.</p></div>', id="cookies"
        ),
        pytest.param(
            "<div class='login-wall'><h1>Log in to continue</h1><p>You have reached your limit of articles. "
            "Log in or create an account to read on. It takes a minute, and you can cancel at any time."
            "</p></div>",
            id="login-in-words",
        ),
        pytest.param(
            "<div><h1>JavaScript is disabled</h1><p>You need to enable JavaScript to run this app. Please "
            "enable it in the settings of your browser, load the page again, and add this site to the list "
            "of those that may run scripts.</p></div>",
            id="script-in-words",
        ),
        pytest.param(
            "<h1>Photos</h1>"
            + "".join(
                f'<div class="gallery-item"><img src="a.png"><p class="caption">Photo {number}: people walk '
                "along the river in the light of the evening, after a day of rain.</p></div>"
                for number in range(9)
            ),
            id="gallery-in-divs",
        ),
        pytest.param(
            "<h1>Results for: bridge</h1>"
            + "".join(
                f'<div><h3><a href="https://b.example/{number}">Bridge {number}</a></h3><cite>b.example'
                f"</cite><p>Bridge {number} carries a road across the river and was built long ago.</p></div>"
                for number in range(9)
            ),
            id="search",
        ),
        pytest.param(
            "<h1>404</h1><p>We could not find the page that you were looking for. It may have moved, or the "
            "address may be wrong. Try the search, or go to the front page of this site.</p>",
            id="error",
        ),
        pytest.param(
            "<main><h1>Sign in</h1><form><label>Email</label><input type='password'></form><p>New here? "
            "Create an account to read unlimited stories, follow topics and get our news every morning. "
            "It takes a minute, and you can cancel at any time.</p></main>",
            id="login-without-names",
        ),
        pytest.param(
            "<main><h1>Alte Brücke wird neu gebaut</h1><div><h2>Weiterlesen mit Plus</h2><p>Sie haben Ihren "
            "letzten freien Artikel in diesem Monat gelesen. Testen Sie jetzt unser Angebot für nur 1 Euro "
            "im ersten Monat. Jederzeit kündbar, alle Artikel, auch als App.</p></div></main>",
            id="german-paywall",
        ),
        pytest.param(
            "<div><h1>Confidentialité</h1><p>Nous et nos 842 partenaires stockons des informations sur votre "
            "appareil, comme les cookies, et traitons des données personnelles pour afficher des contenus "
            "personnalisés. Vous pouvez accepter ou refuser.</p></div>",
            id="french-consent",
        ),
        pytest.param(
            "<main><h1>Página no encontrada</h1><p>Lo sentimos, la página que buscas no existe o se ha "
            "movido. Comprueba la dirección o usa el buscador. También puedes volver a la página de "
            "inicio.</p></main>",
            id="spanish-error",
        ),
        pytest.param(
            "<ul>"
            + "".join(
                f'<li><a href="/{number}">The story of bridge {number} is told</a><span>The council met '
                f"on day {number} and talked about the river for long.</span></li>"
                for number in range(6)
            )
            + "</ul>",
            id="listing-in-items",
        ),
    ],
)
def test_a_page_without_an_article_says_so(body: str) -> None:
    """And nothing of it is judged as anybody's text."""
    document = site(body)
    assert (document.state, document.is_certain, document.words) == ("no_article", False, 0)
    result = score(document, today=date(2026, 1, 1), settings=SETTINGS)
    assert (result.found, result.confidence) == ("no_article", "low")
    assert judge(document, model=shipped(), settings=SETTINGS).abstained == "no_article"


def test_several_articles_on_one_page_are_told() -> None:
    """Unless one of them has the title of the page: then that is the article."""
    assert (site(TWO_POSTS).state, site(TWO_POSTS).is_certain) == ("several_articles", False)
    linked = "".join(f'<div><h2><a href="/{n}">Post {n}</a></h2><p>{PROSE * n}</p></div>' for n in (4, 5, 6))
    assert site(f"<div>{linked}</div>").state == "several_articles"
    document = site(TWO_POSTS, "On cows")
    assert document.state == "article"
    assert (document.words, len(document.headings)) == (len(PROSE.split()) * 6, 1)


def test_what_stands_around_an_article_adds_no_links_lists_or_tables() -> None:
    """They are counted within the article only; metadata is read everywhere."""
    aside = '<aside class="related"><ul><li><a href="https://other.org">Other</a></li></ul></aside>'
    source = f'<h1>On cows</h1><div class="byline">By Jane Doe, May 3, 2024</div><p>{PROSE * 3}</p>'
    document = site(
        f'{source}<p>See <a href="https://source.org">the study</a>. {PROSE}</p>{aside}', "On cows"
    )
    assert [link.domain for link in document.links] == ["source.org"]
    assert (document.lists, document.tables) == (0, 0)
    assert document.metadata.author is not None
    assert document.metadata.author.text == "Jane Doe"
    assert document.metadata.published is not None
    assert document.metadata.published.value.isoformat() == "2024-05-03"


def test_what_a_script_reveals_is_read() -> None:
    """A page that hides all of its text shows it by a script; a page with text hides what it hides."""
    hidden = f"<div hidden><h1>On cows</h1><p>{PROSE * 6}</p></div>"
    assert len(texts(site(hidden, "On cows"))) == 6
    assert len(texts(site(f"<h1>On sheep</h1><p>{'They graze. ' * 60}</p>{hidden}", "On sheep"))) == 60


def test_an_article_ends_with_short_lines() -> None:
    """A list and a short sentence in the container of its paragraphs, though few words say so."""
    end = (
        "<h2>Why now</h2><ul><li>The barn leaks</li><li>The money is there</li></ul><p>More will follow.</p>"
    )
    document = site(f'<h1>On cows</h1><div class="entry">{f"<p>{PROSE}</p>" * 4}{end}</div>', "On cows")
    assert texts(document)[-3:] == ["The barn leaks", "The money is there", "More will follow."]


def test_a_plain_page_keeps_what_ends_without_a_mark() -> None:
    """But not the table of properties that programs put into the head of an exported note."""
    table = "<table><tr><th>Status</th><td>Done</td></tr></table>"
    body = f"<article><header><h1>On cows</h1>{table}</header><p>{PROSE}</p><p>Cows sleep</p></article>"
    document = read(f"<html><head><title>On cows</title></head><body>{body}</body></html>")
    assert texts(document) == [PROSE.strip(), "Cows sleep"]
    assert [heading.text for heading in document.headings] == ["On cows"]


def test_captions_are_no_prose() -> None:
    """They are left out with a reason of their own; a quotation in a figure is the article's."""
    document = site(
        f'<h1>On cows</h1><p>{PROSE * 3}</p><figure><img src="a.png"><figcaption>Cows, asleep.</figcaption>'
        f"</figure><figure><blockquote>{PROSE}</blockquote></figure><p>{PROSE * 3}</p>",
        "On cows",
    )
    assert texts(document).count(PROSE.strip()) == 7
    assert "Cows, asleep." not in texts(document)
    assert left_out(document)["Cows, asleep."] == "caption"


def test_lists_and_tables_of_an_article_stay() -> None:
    """Also items that are links, cells that are numbers, and texts of a gallery: it has prose around them."""
    document = site(
        f'<h1>On cows</h1><p>{PROSE * 3}</p><ul><li><a href="https://a.example/">The herd book</a></li>'
        f"<li>Hay</li></ul><p>{PROSE * 3}</p><table><tr><td>1960</td><td>12</td></tr></table>"
        f'<p>{PROSE * 3}</p><div class="related"><ul><li><a href="/sheep">On sheep</a></li></ul></div>',
        "On cows",
    )
    found = texts(document)
    assert {"The herd book", "Hay", "1960", "12"} <= set(found)
    assert "On sheep" not in found


@pytest.mark.parametrize(
    ("names", "is_other"),
    [
        ('class="post type-post format-standard category-news tag-cows relative list-inside"', False),
        ('class="footnotes"', False),
        ('class="articleSidebar"', True),
        ('class="related-posts"', True),
        ('id="category-list"', True),
    ],
)
def test_names_hint_by_their_words(names: str, is_other: bool) -> None:
    """What WordPress and Tailwind write on every article says nothing."""
    assert bool(hints(names) & OTHER_BITS) is is_other


def test_a_digest_is_no_listing() -> None:
    """It comments on what others wrote; teasers lead to one site."""
    digest = "".join(
        f'<h3><a href="https://site-{number}.example/">Story {number}</a></h3><p>{PROSE}</p>'
        for number in range(8)
    )
    assert site(f"<h1>What we read</h1><div>{digest}</div>", "What we read").state == "article"
    listing = digest.replace("https://site-", "https://news.example/")
    assert site(f"<h1>What we read</h1><div>{listing}</div>", "What we read").state == "no_article"


@pytest.mark.parametrize(
    ("byline", "author"),
    [
        ('<div class="author">Jane Doe Dec 12, 2024</div>', "Jane Doe"),
        ('<div class="byline">More stories by Jane Doe | jane@news.example</div>', "Jane Doe"),
        (
            '<a rel="author" href="/j">Jane Doe</a> and <a rel="author" href="/m">Max Roe</a>',
            "Jane Doe, Max Roe",
        ),
        ('<div class="author">Theresa May</div>', "Theresa May"),
        ('<div class="author">read my older notes here</div>', None),
        ('<div class="byline">Photo by Max Roe</div>', None),
    ],
    ids=["date", "mail", "two", "may", "sentence", "picture"],
)
def test_a_byline_names_people(byline: str, author: str | None) -> None:
    """What is called so may hold a date, an address, a photographer, or anything else."""
    found = site(f"<h1>On cows</h1>{byline}<p>{PROSE * 6}</p>", "On cows").metadata.author
    assert (found.text if found else None) == author


def test_another_story_has_another_author_and_date() -> None:
    """Bylines far from the article are not its own, and its own `time` is trusted more than others."""
    others = "".join(
        f'<div class="card"><a href="/{number}">Story {number}</a><span class="author">Max Roe</span>'
        f'<time datetime="2020-01-0{number + 1}">Then</time></div>'
        for number in range(9)
    )
    document = site(
        f'<div class="related">{others}</div><h1>On cows</h1><time datetime="2024-05-03">May</time>'
        f"<p>{PROSE * 20}</p>",
        "On cows",
    )
    assert document.metadata.author is None
    assert document.metadata.published is not None
    assert document.metadata.published.value.isoformat() == "2024-05-03"
