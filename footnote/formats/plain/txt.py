"""Plain text, and the decoding of every text format."""

import codecs
import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

from footnote.errors import DocumentRejected
from footnote.formats import PAGE_CHARACTERS, Block, Guess
from footnote.formats.plain._charsets import codec_of, declared_in, decoded, is_text, wide_without_mark
from footnote.formats.plain._guessing import DOUBLE, guess

MEDIA_TYPES: dict[str, tuple[str, ...]] = {"text/plain": (".txt", ".text", ".log", ".py")}

_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # before UTF-16, whose mark it starts with
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_ESCAPED = (
    (b"\x1b$)C", "iso2022_kr"),
    (b"\x1b$B", "iso2022_jp"),
    (b"\x1b$@", "iso2022_jp"),
    (b"\x1b$A", "iso2022_jp_2"),
)
_SAMPLE = 64 * 1024
_SHORTEST = 1024
_BEYOND_ASCII = re.compile(rb"[\x80-\xff]+")
_BY_CHANCE = 4  # words of two-byte characters may be valid UTF-8 by chance, but hardly as many as this
_DAMAGED = 20  # characters that are read for each one that is not

_guesses: ContextVar[list[Guess]] = ContextVar("guesses")


def read_bytes(path: Path) -> bytes:
    """A whole text file. Raises `too_large` for one that cannot fit a page in any encoding."""
    if path.stat().st_size > 4 * PAGE_CHARACTERS:
        raise DocumentRejected("too_large")
    return path.read_bytes()


@contextmanager
def guesses() -> Iterator[list[Guess]]:
    """Collects the encodings that are guessed meanwhile."""
    found: list[Guess] = []
    token = _guesses.set(found)
    try:
        yield found
    finally:
        _guesses.reset(token)


def decode(data: bytes, declared: str | None = None) -> str:
    """Text from bytes: by byte order mark, UTF-8, the declared encoding, or else what the bytes look like.

    `declared` is a label from outside; without it, one that the text begins with counts. A label that means nothing,
    or does not fit the bytes, is as good as none. Raises `DocumentRejected("bad_encoding")` for bytes that are no text.
    """
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            return data[len(mark) :].decode(encoding, errors="replace")
    wide = wide_without_mark(data[:_SAMPLE])
    if wide:
        return data.decode(wide, errors="replace")
    if not all(map(is_text, _windows(data))):
        raise DocumentRejected("bad_encoding")
    for encoding in _candidates(data, (codec_of(declared) if declared else None) or declared_in(data)):
        text = decoded(data, encoding)
        if _fits(text) or text.encode(encoding, "ignore") == data:  # U+FFFD may be in the file itself
            return text
    guessed = guess(data)
    _guesses.get([]).append(guessed)
    return decoded(data, guessed.encoding)


def _candidates(data: bytes, named: str | None) -> Iterator[str]:
    """Encodings to try before any is guessed; one that is declared after UTF-8, which fits no other text by chance."""
    for mark, encoding in _ESCAPED:
        # Seven-bit encodings are valid UTF-8 too; their escapes give them away.
        if mark in data[:_SAMPLE] or named == encoding:
            yield encoding
    if named in DOUBLE and len(_BEYOND_ASCII.findall(data[:_SAMPLE])) < _BY_CHANCE:
        yield named
    yield "utf-8"
    if named:
        yield named


def _fits(text: str) -> bool:
    """Whether the text was read with few errors for its characters beyond ASCII: some bytes may be damaged."""
    broken = text.count("\ufffd")
    beyond = len(text) - len(text.encode("ascii", "ignore")) - broken
    return broken * _DAMAGED <= beyond


def _windows(data: bytes) -> Iterator[bytes]:
    """The data in pieces: something else may follow a text.

    The holes of NUL that a crash leaves in a log do not count, nor does a short rest: its end mark is a control too.
    """
    yield data[:_SAMPLE]
    for start in range(_SAMPLE, len(data), _SAMPLE):
        piece = data[start : start + _SAMPLE].replace(b"\0", b"")
        if len(piece) >= _SHORTEST:
            yield piece


def parse(path: Path) -> Iterator[Block]:
    yield Block(decode(read_bytes(path)))
