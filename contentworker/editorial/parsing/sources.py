"""What an article comes as: text or bytes that are checked and decoded, and their format."""

import re
from typing import NamedTuple

from contentworker.editorial import MediaType
from contentworker.editorial.parsing.encoding import EncodingSource, decode, page_of_archive
from contentworker.editorial.parsing.plaintext import is_subtitles
from contentworker.errors import ContentError

__all__ = ["Source", "checked_source", "detect_media_type", "text_read"]


class Source(NamedTuple):
    """A text, and for bytes their encoding with how it was found."""

    text: str
    encoding: str | None
    encoding_source: EncodingSource | None


def checked_source(source: object, encoding: str | None, max_bytes: int) -> Source:
    """The text of an article, decoded as browsers do, without a NUL.

    Raises:
        ContentError: not a string or bytes, binary, or larger than `max_bytes`.
    """
    if not isinstance(source, str | bytes):
        raise ContentError("content", f"expected a string or bytes, got {type(source).__name__}")
    try:
        encoded = source.encode() if isinstance(source, str) else source
    except UnicodeEncodeError as error:
        expected = f"expected Unicode text, got half a surrogate at {error.start}"
        raise ContentError("content", expected) from None
    if len(encoded) > max_bytes:
        limit, size = (f"{number:_}".replace("_", " ") for number in (max_bytes, len(encoded)))
        raise ContentError("content", f"expected at most {limit} bytes, got {size}")
    if encoded.startswith(_BINARY_STARTS):
        raise ContentError("content", f"expected text, got binary data (it begins with {encoded[:4]!r})")
    if isinstance(source, str):
        page = page_of_archive(source)
        read = Source(*page) if page else Source(source, None, None)
    else:
        read = Source(*decode(source, encoding))
    # Bytes of UTF-8 beyond ASCII are no control characters.
    ascii_bytes = encoded if read.encoding is None else read.text.encode("ascii", "ignore")
    _refuse_binary(ascii_bytes, len(read.text))
    # PostgreSQL stores no NUL. A character of the same length keeps all offsets.
    return read._replace(text=read.text.replace("\0", "\ufffd"))


def text_read(content: str) -> str:
    """The text that is read of an article that came as text: offsets count its characters."""
    page = page_of_archive(content)
    return page.text if page else content


_BINARY_STARTS = (b"%PDF-", b"PK\x03\x04", b"GIF8", b"\x7fELF", b"\x89PNG", b"\xff\xd8\xff", b"\x1f\x8b")
_CONTROLS = bytes([*range(9), *range(0x0E, 0x1B), *range(0x1C, 0x20), 0x7F])
_LARGEST_CONTROL_SHARE = 0.02


def _refuse_binary(encoded: bytes, characters: int) -> None:
    # In bytes, this is ten times as fast as a search.
    controls = len(encoded) - len(encoded.translate(None, _CONTROLS))
    if controls > 1 and controls > _LARGEST_CONTROL_SHARE * characters:
        raise ContentError("content", f"expected text, got binary data ({controls} control characters)")


_COMMENT_FIRST = re.compile(r"\s*<!--.*?-->", re.DOTALL)
_HTML_START = re.compile(r"\s*(?:<!doctype\s+html|<\?xml|<(?:html|head|body)[\s>])", re.IGNORECASE)
_TAG_START = re.compile(r"\s*<[a-z][a-z0-9-]*[\s/>]", re.IGNORECASE)
_HTML_BLOCK = re.compile(
    r"<(?:html|head|body|main|article|section|div|p|h[1-6]|ul|ol|li|table|blockquote)\b[^<>]*>", re.IGNORECASE
)
_HTML_INLINE = re.compile(
    r"<(a|strong|em|b|i|u|span|code|sub|sup|small|del)\b[^<>]{0,500}>[^<]{1,1000}</\1>", re.IGNORECASE
)
_FRONT_MATTER_START = re.compile(r"\s*(?:---[ \t]*\r?\n(?=[A-Za-z_]+:)|\+\+\+[ \t]*\r?\n)")
_MARKDOWN_SIGN = re.compile(
    r"^(?:\#{1,6}[ \t]+\S|```|~~~|>[ \t]+\S|\|.+\|[ \t]*\r?$|[^\n]+\n(?:===+|---+)[ \t]*\r?$)"
    r"|\]\((?:https?:|/|\#|\./)|\*\*[^*\s][^*\n]*\*\*|\[\^[\w-]{1,30}\]",
    re.MULTILINE,
)
_DETECTION_CHARACTERS = 50_000


def detect_media_type(text: str) -> MediaType:  # noqa: PLR0911 (one sign each)
    """The format of an article, by how it begins and by which marks it has more of."""
    head = text.lstrip("\ufeff")[:_DETECTION_CHARACTERS]
    if _FRONT_MATTER_START.match(head):
        return "markdown"
    if is_subtitles(head):
        return "text"
    begins = 0
    while comment := _COMMENT_FIRST.match(head, begins):
        begins = comment.end()
    if _HTML_START.match(head, begins):
        return "html"
    # Markdown may hold HTML, and release notes and readmes often begin with it.
    blocks = len(_HTML_BLOCK.findall(head))
    signs = sum(1 for _ in _MARKDOWN_SIGN.finditer(head))
    if signs and 2 * signs >= blocks:
        return "markdown"
    if blocks > 1 or _TAG_START.match(head, begins):
        return "html"
    if signs:
        return "markdown"
    return "html" if begins or _HTML_INLINE.search(head) else "text"
