"""Bytes to text, as browsers read them: https://html.spec.whatwg.org/multipage/parsing.html#encoding-sniffing-algorithm."""

import codecs
import re
from base64 import b64decode
from quopri import decodestring
from typing import Literal, NamedTuple

__all__ = ["Decoded", "EncodingSource", "decode", "page_of_archive"]

EncodingSource = Literal["bom", "given", "declared", "content", "fallback"]
"""How an encoding was found: by a byte order mark, by the caller, by the page's own declaration, by what the
bytes look like, or by nothing, so that windows-1252 was taken, as browsers do."""

_MARKS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))
_DECLARED = re.compile(
    rb"""<meta[^<>]*?\scharset\s*=\s*["']?\s*([\w.:-]+)|<meta[^<>]*?\scontent\s*=\s*["'][^"'<>]*?charset\s*=\s*([\w.:-]+)"""
    rb"""|\A\s*<\?xml[^<>]*?\sencoding\s*=\s*["']([\w.:-]+)""",
    re.IGNORECASE,
)
_DECLARATION_BYTES = 8_192
_PATTERN_BYTES = 4_096
# The standard reads these labels as a superset of what they name, or as what people mean by them.
_READ_AS = {
    "ascii": "cp1252", "iso8859-1": "cp1252", "iso8859-9": "cp1254",
    "iso8859-11": "cp874", "tis-620": "cp874",
    "gb2312": "gb18030", "gbk": "gb18030", "shift_jis": "cp932", "euc_kr": "cp949", "big5": "big5hkscs",
    "utf-16": "utf-8", "utf-16-le": "utf-8", "utf-16-be": "utf-8", "utf-7": "utf-8",
}  # fmt: skip
_LARGEST_BROKEN_SHARE = 0.1
_SMALLEST_NUL_SHARE = 0.3
_FEWEST_UNITS = 8


class Decoded(NamedTuple):
    """A text with the encoding it was read in (Python's name for it), and how that was found."""

    text: str
    encoding: str
    source: EncodingSource


def decode(data: bytes, given: str | None = None) -> Decoded:
    """Decode any bytes. What is invalid in the encoding becomes U+FFFD.

    Args:
        data: The bytes of an article, as a file or a server has them.
            Of a page that Chrome saved as one file (MHTML), its HTML.
        given: The encoding that the server declared, for example in its Content-Type; an unknown one is
            ignored, as browsers do.
    """
    page = _page_of_archive(data)
    if page:
        data, given = page.body, page.charset or given
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            return Decoded(data.decode(encoding, "replace"), encoding, "bom")
    if known := _known(given):
        return Decoded(data.decode(known, "replace"), known, "given")
    if known := _utf_16(data[:_PATTERN_BYTES]):
        return Decoded(data.decode(known, "replace"), known, "content")
    declared = _DECLARED.search(data[:_DECLARATION_BYTES]) if data.lstrip()[:1] == b"<" else None
    if declared and (known := _known(next(filter(None, declared.groups())).decode("ascii", "replace"))):
        return Decoded(data.decode(known, "replace"), known, "declared")
    text = data.decode("utf-8", "replace")
    broken = text.count("\ufffd")
    # A few broken characters in UTF-8 are an accident; text of another encoding is broken at each accent.
    if not broken or broken <= _LARGEST_BROKEN_SHARE * sum(not character.isascii() for character in text):
        return Decoded(text, "utf-8", "content")
    return Decoded(data.decode("cp1252", "replace"), "cp1252", "fallback")


def page_of_archive(text: str) -> Decoded | None:
    """The first page of MHTML that was read as text; None if the text is anything else."""
    if not _ARCHIVE.match(text[:_HEADERS_BYTES].encode("utf-8", "replace")):
        return None
    page = _page_of_archive(text.encode("utf-8", "replace"))
    if page is None:
        return None
    # What is not written in ASCII was decoded together with the headers.
    return decode(page.body, (page.charset if page.is_ascii else None) or "utf-8")


_HEADER = rb"(?:[\w-]++:[^\n]*+\n|[ \t]++[^\n]*+\n)"
_ARCHIVE = re.compile(rb"\A" + _HEADER + rb"{0,30}?Content-Type:\s*+multipart/related;", re.IGNORECASE)
_BOUNDARY = re.compile(rb"boundary=\"?([^\"\s;]{1,200})")
_HEADERS_BYTES = 8_192


class _Page(NamedTuple):
    body: bytes
    charset: str | None
    is_ascii: bool
    """Whether all of the body is written in ASCII, as quoted-printable or base64."""


def _page_of_archive(data: bytes) -> _Page | None:
    """The first page in MHTML with the encoding that it has there."""
    head = data[:_HEADERS_BYTES]
    if not (_ARCHIVE.match(head) and (boundary := _BOUNDARY.search(head))):
        return None
    for part in data.split(b"--" + boundary[1])[1:]:
        headers, _, body = part.replace(b"\r\n", b"\n").lstrip(b"\n").partition(b"\n\n")
        kind = headers.lower()
        if b"text/html" not in kind:
            continue
        charset = re.search(rb"charset=\"?([\w.:-]+)", kind)
        is_ascii = True
        if b"quoted-printable" in kind:
            body = decodestring(body)
        elif b"base64" in kind:
            # A body that was cut off is read as far as it goes: one letter alone is no byte.
            letters = re.sub(rb"[^A-Za-z0-9+/]", b"", body)
            letters = letters[: len(letters) - (len(letters) % 4 == 1)]
            body = b64decode(letters + b"=" * (-len(letters) % 4))
        else:
            is_ascii = False
        return _Page(body, charset[1].decode("ascii") if charset else None, is_ascii)
    return None


def _known(label: str | None) -> str | None:
    try:
        name = codecs.lookup((label or "").strip()).name
        b"".decode(name)
    except (LookupError, ValueError):  # no encoding, or one from bytes to bytes
        return None
    return _READ_AS.get(name, name)


def _utf_16(sample: bytes) -> str | None:
    """UTF-16 without a mark: every other byte of Latin text is zero."""
    half = len(sample) // 2
    if half < _FEWEST_UNITS or b"\0" not in sample:
        return None
    even, odd = sample[::2].count(0) / half, sample[1::2].count(0) / half
    if odd >= _SMALLEST_NUL_SHARE and even < odd / 10:
        return "utf-16-le"
    return "utf-16-be" if even >= _SMALLEST_NUL_SHARE and odd < even / 10 else None
