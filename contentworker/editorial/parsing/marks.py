"""What a page's tags say of its article while it is read: its authors, dates, and values of the head."""

import re

from contentworker.editorial.parsing.blocks import Extract, Span
from contentworker.editorial.parsing.tags import MARKUP, attributes, decode, names_author

__all__ = ["Marks"]

# The page of an author, or of a writer.
_AUTHOR_PAGE = re.compile(
    r"/(?:authors?|autor(?:en|es|in|i)?|auteurs?|writers?|contributors?|editors|staff|journalists?)/[^/?#]"
    r"|[?&]author=\w|\bauteur\d",
    re.IGNORECASE,
)
_AUTHOR_CLASS = re.compile(
    r"author|byline|(?<![a-z])(?:autor|auteur|verfasser|writer|vcard|user-?name|signature|redakt(?:eur|ør))"
    r"|(?:created?|posted|submitted)[-_]?by"
)
# Commenters; and what WordPress writes before an author.
_OTHER_CLASS = re.compile(r"comment|meta-prep")
# The title of a link to all that an author wrote, as blogs write it.
_ALL_BY = re.compile(
    r"\b(?:posts|articles|stories|entries|beiträge|artikel|einträge|entradas|artículos|articoli|berichten)\s+"
    r"(?:by|von|de|par|por|di|van)\s",
    re.IGNORECASE,
)
# "About the author", "Written by", alone: the name follows.
_BEFORE_NAME = re.compile(
    r"(?:(?:über|about|sobre|zum|zur|à\s+propos\s+de)\s+)?(?:(?:den|die|the|el|la|l.)\s*)?"
    r"(?:autor|author|auteur|verfasser)\w*\s*:?|(?:[^\W\d_]+\s+)?(?:by|von|par|por|di|door|av)\s*:?|[\W\d_]+",
    re.IGNORECASE,
)
# Blogger, Drupal and others write the date for machines into an attribute of the visible one.
_DATED = re.compile(
    r"""(?<![\w-])(?:title|content|datetime|data-(?:date|time|datetime|published))\s*=\s*["']([12]\d{3}-\d\d-\d\d[^"'<>]{0,30})["']"""
)
_PICTURE_NAME = re.compile(r"""<img\b[^>]*?\salt\s*=\s*["']([^"'<>]{3,80})""", re.IGNORECASE)
_LONGEST_BYLINE = 600
_LONGEST_NAMES = 8
"""Words of a part of a byline; a sentence has more."""
_FEWEST_WORDS = 4
_MOST_BYLINES = 30


def _is_author_page(target: str) -> bool:
    """Whether an address is that of an author's page."""
    return bool(_AUTHOR_PAGE.search(target))


def _is_sentence(part: str) -> bool:
    words = part.count(" ") + 1
    return words > _LONGEST_NAMES or (words >= _FEWEST_WORDS and part.endswith("."))


class Marks:
    """Notes in an `Extract` what tags say; `bylines` by rank, the most trusted first."""

    def __init__(self, source: str, extract: Extract) -> None:
        self.source = source
        self.extract = extract
        self.bylines: list[tuple[int, str, Span]] = []

    def finish(self) -> None:
        """Put the bylines into the order in which they are trusted."""
        ranked = sorted(self.bylines, key=lambda each: each[0])
        self.extract.bylines = [(origin, span) for _, origin, span in ranked]

    def head(self, name: str, raw: str, start: int, end: int) -> None:
        """Note what `html`, `meta`, `link` and `time` say."""
        given = attributes(raw)
        if name == "html":
            self.extract.language = given.get("lang") or self.extract.language
        elif name == "meta":
            key = (
                given.get("name") or given.get("property") or given.get("itemprop") or given.get("http-equiv")
            )
            self.property((key or "").strip().lower(), given.get("content", ""), start, end)
        elif name == "link":
            if "canonical" in given.get("rel", "").lower().split():
                self.property("canonical", given.get("href", ""), start, end)
        elif name == "time":
            text = given.get("datetime") or self._content(name, end).text
            self.property(given.get("itemprop", "time").lower(), text, start, end)

    def date(self, name: str, raw: str, start: int) -> None:
        """Note the date of an element with `itemprop`."""
        if ("datePublished" in raw or "dateModified" in raw) and "itemprop" in (given := attributes(raw)):
            content = self._content(name, start)
            self.property(given["itemprop"].lower(), given.get("content") or content.text, start, content.end)
        elif ("ublished" in raw or "date" in raw) and (dated := _DATED.search(raw)):
            self.property("time", dated[1], start, start)

    def author(self, name: str, raw: str, start: int, link: str | None) -> None:
        """Note the content of an element that says it holds the author; `link` is where it stands in one."""
        is_linked = name == "a" and bool(
            (link and _is_author_page(link)) or ("title" in raw and _ALL_BY.search(raw))
        )
        if len(self.bylines) >= _MOST_BYLINES or not (is_linked or names_author(raw)):
            return
        if link == "/":
            # A link to the front page has the site's name, though many themes call it the author.
            return
        given = attributes(raw)
        classes = f"{given.get('class', '')} {given.get('id', '')}".lower()
        if "author" in given.get("rel", "").lower().split():
            rank, origin = 0, "rel=author"
        elif "author" in given.get("itemprop", "").lower().split():
            rank, origin = 1, "itemprop=author"
        elif is_linked:
            rank, origin = 2, "link"
        elif _AUTHOR_CLASS.search(classes) and not _OTHER_CLASS.search(classes):
            rank, origin = 3, "class"
        else:
            return
        content = self._content(name, start, names_first=rank > 1)
        if not content.text and rank == 0:
            content = content._replace(text=self._pictured(content, given.get("title", "")))
        if content.text:
            self.bylines.append((rank, origin, content))

    def _content(self, name: str, start: int, *, names_first: bool = False) -> Span:
        """The text of a short element whose content begins here, of a long one nothing.

        With `names_first`, the first part of it that may be a name, if it has sentences, too.
        """
        end = max(start, self.source.find(f"</{name}", start, start + _LONGEST_BYLINE))
        parts = [" ".join(decode(part).split()) for part in MARKUP.split(self.source[start:end])]
        parts = [part for part in parts if part]
        if names_first and len(parts) > 1 and any(map(_is_sentence, parts)):
            parts = [part for part in parts if not _BEFORE_NAME.fullmatch(part)][:1]
        return Span(" ".join(parts), start, end)

    def _pictured(self, content: Span, title: str) -> str:
        """The name that a link with nothing but a picture has."""
        picture = _PICTURE_NAME.search(self.source, content.start, content.end)
        return decode(picture[1]) if picture else title

    def property(self, key: str, value: str, start: int, end: int) -> None:
        """Note a value by its key."""
        value = " ".join(value.split())
        if key and value:
            self.extract.properties.append((key, Span(value, start, end)))
