"""Plain text, and the decoding of every text format."""

import codecs
from collections.abc import Iterator
from pathlib import Path

from footnote.errors import DocumentRejected
from footnote.formats import PAGE_CHARACTERS, Block
from footnote.formats._text_bytes import is_text, utf16_without_mark

MEDIA_TYPES: dict[str, tuple[str, ...]] = {"text/plain": (".txt", ".text", ".log", ".py")}

_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # before UTF-16, whose mark it starts with
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
# Enough to tell an encoding by; the detector's time grows with what it is given.
_SAMPLE = 64 * 1024
_SHORTEST = 1024


def read_bytes(path: Path) -> bytes:
    """A whole text file. Raises `too_large` for one that cannot fit a page in any encoding."""
    if path.stat().st_size > 4 * PAGE_CHARACTERS:
        raise DocumentRejected("too_large")
    return path.read_bytes()


def decode(data: bytes, declared: str | None = None) -> str:
    """Text from bytes: by byte order mark, UTF-8, the declared encoding, or what the bytes look like.

    Raises `DocumentRejected("bad_encoding")` for bytes that are no text.
    """
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            return data[len(mark) :].decode(encoding, errors="replace")
    unmarked = utf16_without_mark(data[:_SAMPLE])
    if unmarked:
        return data.decode(unmarked, errors="replace")
    if not all(map(is_text, _windows(data))):
        raise DocumentRejected("bad_encoding")
    for encoding in ("iso2022_kr", "iso2022_jp_2"):
        # Seven-bit encodings are valid UTF-8 too; their escapes give them away.
        if b"\x1b$" in data[:_SAMPLE] and (text := _strictly(data, encoding)) is not None:
            return text
    for encoding in filter(None, ("utf-8", declared)):
        if (text := _strictly(data, encoding)) is not None:
            return text
    return data.decode(_guess(data), errors="replace")


def _windows(data: bytes) -> Iterator[bytes]:
    """The data piece by piece, for something else may follow a text.

    The holes of NUL that a crash leaves in a log do not count, nor does a short rest: its end mark is a control too.
    """
    yield data[:_SAMPLE]
    for start in range(_SAMPLE, len(data), _SAMPLE):
        piece = data[start : start + _SAMPLE].replace(b"\0", b"")
        if len(piece) >= _SHORTEST:
            yield piece


def _strictly(data: bytes, encoding: str) -> str | None:
    try:
        return data.decode(encoding)
    except (UnicodeError, LookupError):
        return None


def _guess(data: bytes) -> str:
    """The likeliest legacy encoding; among equally likely ones Western European, then another of Windows."""
    from charset_normalizer import from_bytes

    matches = list(from_bytes(data[:_SAMPLE]))
    if not matches:
        return "cp1252"
    equals = [match for match in matches if match.chaos <= matches[0].chaos]
    best = max(equals, key=lambda match: match.coherence)
    likely = [
        name for match in equals if match.coherence >= best.coherence - 0.05 for name in match.could_be_from_charset
    ]
    if "cp1252" in likely:
        return "cp1252"
    return next((name for name in likely if name.startswith("cp125")), best.encoding)


def parse(path: Path) -> Iterator[Block]:
    yield Block(decode(read_bytes(path)))
