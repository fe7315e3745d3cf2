"""RTF as paragraphs: groups and what holds in them, encodings, tables, notes."""

import re
from dataclasses import dataclass, replace

from footnote.errors import DocumentRejected
from footnote.formats.markup import _rtf_words as words
from footnote.formats.markup._rtf_words import Definitions, Group, Place
from footnote.formats.plain._charsets import decoded

_DEEPEST = 10_000


@dataclass(frozen=True)
class Paragraph:
    """`level` is that of a heading, 0 for a title; `kind` is `item`, `row`, `note` or nothing.

    A row has its cells, and whether it is marked as a header.
    """

    text: str
    level: int | None
    kind: str
    cells: tuple[str, ...] = ()
    header: bool = False


class Reader:
    """Takes tokens; what they complete is in `finished`."""

    def __init__(self) -> None:
        self.finished: list[Paragraph] = []
        self.outer: list[Group] = []
        self._group = Group()
        self._is_new = self._is_starred = False  # the next word says what the group is for
        self._defined = Definitions()
        self._bytes, self._passing = bytearray(), 0  # not yet decoded; still to be passed over
        self._text: list[str] = []
        self._note: list[str] = []
        self._cells: list[str] = []
        self._is_marked = False  # as an item of a list
        self._is_header = False  # the row

    def take(self, token: re.Match[bytes]) -> None:
        word, number, code, symbol, brace, text = token.groups()
        if code or text:
            self._take_bytes(bytes.fromhex(code.replace(b"\\'", b"").decode()) if code else text)
        if token.lastgroup in {None, "hex", "text"}:
            return
        self._decode()
        self._passing = 0
        if brace:
            self._open_group() if brace == b"{" else self._close_group()
        elif symbol == b"*":
            self._is_starred = True
        elif symbol in words.SYMBOLS:
            self._put(words.SYMBOLS[symbol])
        elif word or symbol in {b"\n", b"\r"}:
            name = word.decode() if word else "par"
            if self._is_new:
                self._set_place(name)
            self._take_word(name, int(number) if number else None)

    def _take_bytes(self, data: bytes) -> None:
        passed = min(self._passing, len(data))
        self._passing -= passed
        self._is_new = False
        if self._group.place in {Place.TEXT, Place.NOTE}:
            self._bytes += data[passed:]
        elif self._group.place == Place.STYLES:
            self._defined.name_style(data)

    def _decode(self) -> None:
        if self._bytes:
            self._put(decoded(bytes(self._bytes), self._group.encoding or self._defined.encoding))
            self._bytes.clear()

    def _put(self, text: str) -> None:
        if not self._group.is_hidden and self._group.place in {Place.TEXT, Place.NOTE}:
            (self._text if self._group.place == Place.TEXT else self._note).append(text)

    def _open_group(self) -> None:
        if len(self.outer) == _DEEPEST:
            raise DocumentRejected("too_complex")
        self.outer.append(self._group)
        self._group = replace(self._group)
        self._is_new, self._is_starred = True, False
        self._defined.begin()

    def _close_group(self) -> None:
        closed, self._is_new = self._group, False
        self._group = self.outer.pop() if self.outer else Group()
        if closed.place == Place.NOTE != self._group.place:
            self._finish("".join(self._note), "note")
            self._note = []

    def _set_place(self, word: str) -> None:
        """What the first word of a group says that its text is."""
        starred, self._is_new, self._is_starred = self._is_starred, False, False
        self._is_marked |= word in words.MARKS and self._group.place == Place.TEXT
        if word in words.SKIPPED or (starred and word not in words.STARRED):
            self._group.place = Place.SKIPPED
        elif self._group.place == Place.TEXT:
            self._group.place = words.PLACES.get(word, Place.TEXT)

    def _take_word(self, word: str, number: int | None) -> None:
        if self._group.place == Place.FONTS:
            self._defined.define_font(word, number or 0)
        elif self._group.place == Place.STYLES:
            self._defined.define_style(word, number or 0)
        elif self._group.place == Place.SKIPPED:
            return
        elif word == "u":
            self._put(chr((number or 0) % 0x10000))
            self._passing = self._group.fallbacks
        elif word in words.CHARACTERS:
            self._put(words.CHARACTERS[word])
        elif word in words.ENDS:
            self._end(word)
        elif word in {"trowd", "trhdr"}:
            self._is_header = word == "trhdr"
        elif word in {"f", "plain"}:
            font = self._defined.default_font if word == "plain" else number or 0
            self._group.encoding = self._defined.fonts.get(font)
            self._group.is_hidden &= word == "f"
        else:
            self._group.format(word, number)
            self._defined.declare(word, number or 0)

    def _end(self, word: str) -> None:
        if word == "cell":
            self._cells.append(" ".join("".join(self._text).split()))
            self._text = []
        elif word == "row":
            self._end_row()
        elif self._group.place == Place.NOTE or self._group.in_table:
            self._put("\n")
        else:
            self.end_paragraph()

    def end_paragraph(self) -> None:
        self._end_row()
        text, self._text = "".join(self._text), []
        level = self._defined.levels.get(self._group.style) if self._group.level is None else self._group.level
        is_item = self._is_marked or self._group.is_item
        self._is_marked = False
        self._finish(text, "item" if is_item and level is None else "", level)

    def _end_row(self) -> None:
        cells, self._cells = self._cells, []
        if any(cells):
            cells = list(map(_whole, cells))
            self.finished.append(Paragraph(" | ".join(cells), None, "row", tuple(cells), self._is_header))

    def _finish(self, text: str, kind: str, level: int | None = None) -> None:
        text = _whole(text).strip()
        if text:
            self.finished.append(Paragraph(text, level, kind))


def _whole(text: str) -> str:
    """Characters beyond the first plane come as two surrogates."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
