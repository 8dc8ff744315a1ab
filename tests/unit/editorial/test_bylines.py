"""Bylines and dates as systems of blogs and newspapers write them, each in its smallest page."""

import pytest

from contentworker.editorial.document import Document, parse
from contentworker.editorial.settings import ContentSettings

PROSE = "".join(
    f"<p>The committee met on Monday, and it agreed to publish part {part} of the survey in spring.</p>"
    for part in range(6)
)
JANE = "Jane Doe"
LD = '<script type="application/ld+json">'


def page(above: str = "", below: str = "", head: str = "") -> Document:
    """A post of a blog, with lines above and below its text."""
    source = f"""<!doctype html><html lang="de">
<head><title>Ein Titel - Beispielblog</title>{head}</head><body>
<div id="header"><a href="/">Beispielblog</a></div><div id="menu"><ul><li><a href="/a">Start</a></ul></div>
<div id="content"><div class="post hentry"><h2 class="entry-title">Ein Titel</h2>{above}
<div class="entry-content">{PROSE}</div>{below}</div></div>
<div id="sidebar"><ul><li><a href="/c">Archiv</a></ul></div>
<div id="footer"><p>Impressum</p></div></body></html>"""
    return parse(source, media_type="html", settings=ContentSettings())


@pytest.mark.parametrize(
    ("byline", "author"),
    [
        pytest.param("<small>3. Mai 2010 von Jane Doe</small>", JANE, id="WordPress, Kubrick"),
        pytest.param(
            '<span class="meta-prep meta-prep-author">Veröffentlicht am</span> 3. Mai 2010 von '
            '<span class="author vcard"><a class="url fn n" href="/author/jane/">jane</a></span>',
            "jane",
            id="WordPress, Twenty Ten",
        ),
        pytest.param('<p>3. Mai | <a href="/?author=1">Jane Doe</a></p>', JANE, id="WordPress, by number"),
        pytest.param(
            '<p>3. Mai | <a href="/x" title="Alle Beiträge von Jane Doe anzeigen">Jane Doe</a></p>',
            JANE,
            id="a link to all posts",
        ),
        pytest.param("<p>Eingestellt von Jane Doe um 10:00</p>", JANE, id="Blogger"),
        pytest.param("<div>Gepostet von: Jane Doe | 12:34 Uhr</div>", JANE, id="posted"),
        pytest.param("<p>Geschrieben von jane am 3. Mai 2010</p>", "jane", id="an account"),
        pytest.param(
            "<span class='createby'>Geschrieben von: Jane Doe</span><span>Montag, 3. Mai</span>",
            JANE,
            id="Joomla",
        ),
        pytest.param("<span>Gespeichert von Jane Doe am 3. Mai 2010</span>", JANE, id="Drupal"),
        pytest.param('<p>mardi 3 mai, par <a href="spip.php?auteur1">Jane Doe</a></p>', JANE, id="SPIP"),
        pytest.param("<p>Pubblicato da Jane Doe il 3 maggio 2010</p>", JANE, id="Italian"),
        pytest.param("<p>Geplaatst door Jane Doe op 3 mei 2010</p>", JANE, id="Dutch"),
        pytest.param("<p>Postado por Jane Doe em 3 de maio de 2010</p>", JANE, id="Portuguese"),
        pytest.param("<p>Av Jane Doe 3 maj 2010</p>", JANE, id="Swedish"),
        pytest.param('<ul><li><span class="user-name">Jane Doe</span></ul>', JANE, id="user name"),
        pytest.param('<p class="signature">Jane Doe</p>', JANE, id="signature"),
        pytest.param("<h4>By Jane Doe</h4>", JANE, id="heading"),
        pytest.param("<dl><dt>Autor</dt><dd>Jane Doe</dd></dl>", JANE, id="label"),
        pytest.param("<div><div>Written by</div><div>Jane Doe</div></div>", JANE, id="label of words"),
        pytest.param("<p>3. Mai 2010 · Jane Doe</p>", JANE, id="beside a date"),
        pytest.param("<p>New York, 3. Mai 2010</p>", None, id="a place beside a date"),
        pytest.param("<p>Jane Doe<br>03.05.2010, 12:00 Uhr</p>", JANE, id="no sign beside a date"),
        pytest.param(f"<p>Jane Doe {' ' * 90} | 3. Mai 2010</p>", JANE, id="white space beside a date"),
        pytest.param("<p>Autor/in: Jane Doe</p>", JANE, id="both genders"),
        pytest.param("<ul><li><b>Autorin/Autor</b> Jane Doe</li></ul>", JANE, id="label without a colon"),
        pytest.param("<p>Kategorie: Karten | Autor: jane</p>", "jane", id="label behind another"),
        pytest.param("<p>Foto: Max Roe, Text: Jane Doe</p>", JANE, id="text behind a picture"),
        pytest.param("<p>Text und Fotos: Jane Doe</p>", JANE, id="text and pictures"),
        pytest.param("<p>Foto: Jane Doe</p>", None, id="a picture"),
        pytest.param("<p>Автор: Анна Иванова</p>", "Анна Иванова", id="Russian"),
        pytest.param("<p>Von unserer Redakteurin Jane Doe</p>", JANE, id="one of ours"),
        pytest.param("<p>By Jane Doe\nExample Archive</p>", JANE, id="line below"),
        pytest.param(
            f"<p>Karten im Mai<br>\nvon Jane Doe<br>\n{'Sie trafen sich. ' * 9}</p>", JANE, id="in the text"
        ),
        pytest.param('<p class="author">Reuters, Leeds, 3. Mai 2010</p>', "Reuters", id="agency, place"),
        pytest.param('<a rel="author" href="/j"><img src="j" alt="Jane Doe"></a>', JANE, id="picture"),
        pytest.param('<a rel="author">View all posts by Jane Doe</a>', JANE, id="all posts"),
        pytest.param('<p class="author">AFP/Jane Doe</p>', JANE, id="agency before a name"),
        pytest.param('<p class="author">Prof. Dr. Jane Doe</p>', "Prof. Dr. Jane Doe", id="titles"),
        pytest.param('<p class="author">Jane v. Doe</p>', "Jane v. Doe", id="particle"),
        pytest.param('<p class="author">Jane D.</p>', "Jane D.", id="initial"),
        pytest.param('<p class="author">Jane Doe, Köln</p>', JANE, id="place"),
        pytest.param('<p class="author">Jane Doe og Max Roe</p>', "Jane Doe, Max Roe", id="Danish"),
        pytest.param('<p class="author">Am 3. Mai 2010 von jane</p>', "jane", id="date before"),
        pytest.param('<div class="postedby">You Might Like</div>', None, id="no name"),
        pytest.param("<p>Von Berlin nach Köln sind es viele Kilometer.</p>", None, id="no byline"),
    ],
)
def test_a_byline_above_the_text(byline: str, author: str | None) -> None:
    """What stands between title and text, in many languages."""
    found = page(byline).metadata.author
    assert (found and found.text) == author


@pytest.mark.parametrize(
    ("box", "author"),
    [
        ('<div class="author-box"><h3>Über Jane Doe</h3><p>Jane ist Redakteurin in Köln.</p></div>', JANE),
        ("<div><h4>About the author</h4><p>Jane Doe writes about maps and lives in Leeds.</p></div>", JANE),
        ('<p class="meta">Von Jane am 03.05.2013, 11:51 | <a href="#c">0 Meinungen</a></p>', "Jane"),
        ('<div class="related"><a href="/t">Tweet</a></div><p>Von Jane am 03.05.2013, 11:51</p>', "Jane"),
        ("<p>This entry was posted in Maps and Walks by Jane Doe. Bookmark the permalink.</p>", JANE),
        ("<p>Jane Doe is a senior reporter for the Example Post.</p>", JANE),
        ("<p>Unsere Autorin Jane Doe lebt in Köln.</p>", JANE),
        ("<p>(Reporting by Jane Doe in Leeds; editing by Max Roe)</p>", JANE),
        ("<p>Jane Doe is a city in the north of the county.</p>", None),
        ('<div class="related"><a href="/author/a">Ann Roe</a><a href="/author/b">Bob Roe</a></div>', None),
    ],
)
def test_a_byline_below_the_text(box: str, author: str | None) -> None:
    """Who wrote the text, but nobody who wrote another one."""
    found = page(below=box).metadata.author
    assert (found and found.text) == author


def test_names_of_other_stories_do_not_replace_the_page_s_own_author() -> None:
    """A desk is no author, but neither is who wrote the story in the next box."""
    teasers = '<p><a href="/author/a">Ann Roe</a></p><p><a href="/author/b">Bob Roe</a></p>'
    given = page(below=teasers, head='<meta name="author" content="Beispielblog">').metadata.author
    assert given is None or given.text not in {"Ann Roe", "Bob Roe"}
    assert page(below=teasers, head='<meta name="author" content="Jane Doe">').metadata.author is not None


@pytest.mark.parametrize(
    ("byline", "author"),
    [
        ('<p class="author">By Example Staff</p>', "Example Staff"),
        ('<a rel="author" href="/team">Karten-Team Nord</a>', "Karten-Team Nord"),
        ('<p class="author">von Beispielblog</p>', "Beispielblog"),
        ('<p class="author">Redaktion</p>', None),
        ('<p class="author">Staff reports</p>', None),
        ('<p class="author">By Example Staff</p><p>Von Jane Doe</p>', JANE),
    ],
)
def test_a_desk_or_the_site_in_a_byline(byline: str, author: str | None) -> None:
    """Readers are told who answers for the text, unless a person is named, too."""
    found = page(byline, head='<meta property="og:site_name" content="Beispielblog">').metadata.author
    assert (found and found.text) == author


@pytest.mark.parametrize(
    "head",
    [
        '<meta name="creator" content="Jane Doe">',
        '<meta name="article-author" content="Jane Doe">',
        f'{LD}{{"@type": "Article", "author": {{"name": {{"@value": "Jane Doe"}}}}}}</script>',
        f'{LD}{{"@type": "Article", "author": {{"name": "Jane Doe"}},}}</script>',
    ],
)
def test_an_author_in_the_head(head: str) -> None:
    """Rarer keys, and JSON-LD with one comma too many."""
    found = page(head=head).metadata.author
    assert found is not None
    assert found.text == JANE


@pytest.mark.parametrize(
    "above",
    [
        "<p>um <abbr class='published' title='2010-05-03T10:00:00+02:00'>10:00</abbr></p>",
        '<p><span property="dc:date dc:created" content="2010-05-03T12:00:00+02:00">Montag</span></p>',
        '<span class="post-date" data-date="2010-05-03">gestern</span>',
        "<p>3.Mai 2010</p>",
        "<p>3 мая 2010</p>",
        '<div><div class="month">Mai</div><div class="day">03</div><div class="year">2010</div></div>',
        '<div><span class="day">03</span><span class="month">Mai</span><span class="year">2010</span></div>',
        "<p>Updated June 4, 2012. Published May 3, 2010.</p>",
        "<p>Erstellt am 03.05.2010, geändert am 04.06.2012</p>",
    ],
)
def test_a_date_above_the_text(above: str) -> None:
    """Attributes for machines, boxes for day, month and year, and the first of two dates that counts."""
    found = page(above).metadata.published
    assert found is not None
    assert found.value.isoformat() == "2010-05-03"


@pytest.mark.parametrize(
    "head",
    [
        '<link rel="canonical" href="https://example.com/news/20100503/slug">',
        '<meta property="article:published_time" content="1272880800">',
    ],
)
def test_a_date_in_the_head(head: str) -> None:
    """A date without signs in an address; seconds since 1970."""
    found = page(head=head).metadata.published
    assert found is not None
    assert found.value.isoformat() == "2010-05-03"
