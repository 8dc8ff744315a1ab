"""What the parser finds in public sets of saved pages, beside other programs: tables for docs/articles.md.

    nox -s evaluate-parsing -- --data DIR [--output FILE]

DIR holds clones of the sets, see research/parsing/README.md. The first table is of articles: F1, precision
and recall of 4-word shingles, as article-extraction-benchmark's own `evaluate.py` counts them, and CPU time.
The second says what of a fragment is lost; the third compares metadata with trafilatura's own marks.
"""

import re
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

import click

from contentworker.editorial.document import Document, parse
from contentworker.editorial.parsing.encoding import decode
from contentworker.editorial.settings import ContentSettings
from research.parsing.pages import Page, aeb, article_text, marked, readability, scores, shingle_match, shown

SETTINGS = ContentSettings(max_bytes=50_000_000)
Extract = Callable[[str], str]


def _ours(source: str, *, headings: bool = True, figures: bool = False) -> str:
    document = parse(source, media_type="html", settings=SETTINGS)
    return article_text(document, headings=headings, figures=figures)


def _everything(source: str) -> str:
    return article_text(parse(source, media_type="html", scope="fragment", settings=SETTINGS))


def _trafilatura(source: str) -> str:
    import trafilatura

    return trafilatura.extract(source, include_comments=False) or ""


def _readability_lxml(source: str) -> str:
    from lxml import html
    from readability import Document as Page

    return " ".join(html.fromstring(Page(source).summary()).itertext())


def _resiliparse(source: str) -> str:
    from resiliparse.extract.html2text import extract_plain_text

    return str(extract_plain_text(source, main_content=True, alt_texts=False))


EXTRACTORS: dict[str, Extract] = {
    "**ours**": _ours,
    "ours, sentences only": partial(_ours, headings=False),
    "ours, with its captions and code": partial(_ours, figures=True),
    "all text (ours, as a fragment)": _everything,
    "trafilatura": _trafilatura,
    "readability-lxml": _readability_lxml,
    "resiliparse": _resiliparse,
}


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def articles(pages: Sequence[Page]) -> str:
    """Scores and CPU time of each extractor."""
    texts = [decode(page.source).text for page in pages]
    megabytes = sum(map(len, texts)) / 1e6
    rows = []
    for name, extract in EXTRACTORS.items():
        began = time.process_time()
        found = [_tried(extract, text) for text in texts]
        seconds = time.process_time() - began
        result = scores(shingle_match(page.article, text) for page, text in zip(pages, found, strict=True))
        rows.append([name, *(f"{value:.3f}" for value in result), f"{seconds / megabytes:.3f}"])
    return _table(["", "F1", "precision", "recall", "CPU s/MB"], rows)


def _tried(extract: Extract, source: str) -> str:
    try:
        return extract(source)
    except Exception as error:  # noqa: BLE001 (a peer that fails on a page finds nothing there)
        click.echo(f"{extract}: {type(error).__name__}: {error!s:.80}", err=True)
        return ""


def fragments(pages: Sequence[tuple[str, str, str]]) -> str:
    """Of the articles as fragments: how many letters and digits of their text are found."""
    shares = []
    for name, source, text in pages:
        document = parse(source, media_type="html", settings=SETTINGS)
        found = [article_text(document), document.title.text if document.title else ""]
        # Code is kept, though not judged; what is hidden no reader sees.
        found += [shown(source[part.start : part.end]) for part in document.excluded]
        expected = _letters(text)
        lost = (expected - _letters(" ".join(found))).total()
        shares.append(1 - lost / (expected.total() or 1))
        if lost:
            click.echo(f"{name}: {lost} of {expected.total()} letters lost ({document.scope})", err=True)
    whole = sum(share == 1 for share in shares)
    mean = sum(shares) / len(shares)
    return (
        f"{len(shares)} expected articles as fragments: recall of letters {mean:.4f}, {whole} lose nothing."
    )


def _letters(text: str) -> Counter[str]:
    return Counter(filter(str.isalnum, text))


def metadata(pages: Sequence[tuple[str, dict[str, Any]]]) -> str:
    """Author, date and title against trafilatura's marks, ours and trafilatura's own.

    Authors are counted twice: as marked, and by words, where "Jane Doe, Reuters" is "Jane Doe".
    """
    import trafilatura

    found: dict[tuple[str, str], Counter[str]] = {}
    for source, marks in pages:
        ours = _of_document(parse(source, media_type="html", settings=SETTINGS))
        theirs = trafilatura.extract_metadata(source)
        peer = {"author": theirs.author, "date": theirs.date, "title": theirs.title} if theirs else {}
        for field, expected in marks.items():
            for name, values in (("ours", ours), ("trafilatura", peer)):
                outcome = _outcome(field, str(expected), values.get(field))
                found.setdefault((field, name), Counter())[outcome] += 1
                if field == "author":
                    outcome = _outcome("words", str(expected), values.get(field))
                    found.setdefault(("author by words", name), Counter())[outcome] += 1
    rows = [
        [field, name, str(counts.total()), *(str(counts[each]) for each in ("right", "wrong", "missing"))]
        for (field, name), counts in sorted(found.items())
    ]
    return _table(["", "", "marked", "right", "wrong", "missing"], rows)


def _of_document(document: Document) -> dict[str, str | None]:
    given = document.metadata
    published = given.published or given.modified
    return {
        "author": given.author.text if given.author else None,
        "date": published.value.isoformat() if published else None,
        "title": document.title.text if document.title else None,
    }


def _outcome(field: str, expected: str, value: str | None) -> str:
    if not value:
        return "missing"
    if field == "date":
        return "right" if value == expected[:10] else "wrong"
    if field == "author":
        return "right" if _names(value) == _names(expected) else "wrong"
    if field == "words":
        ours, theirs = _words(value), _words(expected)
        return "right" if ours and (ours <= theirs or theirs <= ours) else "wrong"
    return "right" if " ".join(value.split()) == " ".join(expected.split()) else "wrong"


def _names(text: str) -> set[str]:
    return {" ".join(name.lower().split()) for name in re.split(r"[;,]", text)} - {""}


def _words(text: str) -> set[str]:
    return {word for word in re.findall(r"\w+", text.lower()) if len(word) > 2}


@click.command()
@click.option("--data", type=click.Path(path_type=Path, exists=True, file_okay=False), required=True)
@click.option("--only", multiple=True, type=click.Choice(["aeb", "readability", "trafilatura"]))
@click.option("--output", type=click.Path(path_type=Path, dir_okay=False))
def main(data: Path, only: tuple[str, ...], output: Path | None) -> None:
    """Print the tables; with `--output`, also write them."""
    parts = [f"Measured on {date.today().isoformat()} by research/parsing/evaluate.py."]  # noqa: DTZ011
    sets = {"aeb": "article-extraction-benchmark", "readability": "readability"}
    for name, folder in sets.items():
        if (only and name not in only) or not (data / folder).is_dir():
            continue
        pages = list(aeb(data) if name == "aeb" else readability(data))
        parts += [f"## {folder}, {len(pages)} pages", articles(pages)]
        if name == "readability":
            parts.append(fragments([*_expected(data)]))
    if (not only or "trafilatura" in only) and (data / "trafilatura").is_dir():
        pages_with_marks = list(marked(data))
        parts += ["## Metadata, trafilatura's evaluation set", metadata(pages_with_marks)]
        parts += ["## Metadata, every fourth of these pages", metadata(pages_with_marks[3::4])]
    text = "\n\n".join(parts) + "\n"
    print(text)
    if output:
        output.write_text(text, "utf-8")


def _expected(data: Path) -> Iterable[tuple[str, str, str]]:
    root = data / "readability" / "test" / "test-pages"
    for page in readability(data):
        yield page.name, (root / page.name / "expected.html").read_text("utf-8"), page.article


if __name__ == "__main__":
    main()
