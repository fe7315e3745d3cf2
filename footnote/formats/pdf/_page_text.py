"""The text of a PDF's page as PDFium finds it, corrected by the positions of its characters.

Offsets count UTF-16 units, as PDFium does; what `read` returns is an ordinary string.
"""

import re
import unicodedata
from collections.abc import Iterator
from ctypes import byref, c_double
from functools import cached_property, partial, reduce
from itertools import count, pairwise
from typing import Any, NamedTuple

from footnote.formats.pdf import _bidi, _columns
from footnote.formats.pdf._bidi import Glyph
from footnote.formats.pdf._boxes import Box, TextLine
from footnote.formats.pdf._columns import ColumnWord

# What PDFium puts in place of a hyphen at a line's end and the line end.
_HYPHEN = "\ufffe"
_CUT = re.compile(r"[^\W\d_][-\u2010] ?(?![\s\ufffe])")
# Codes of glyphs that no table translates; where the letters around them are translated, they are mostly spaces.
_UNTRANSLATED = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f]|\r(?!\n)")
_C1 = re.compile("[\x80-\x9f]")  # meant as Windows has them, as quotes and dashes
_DROPPED = re.compile(f"\u00ad\n?|[-\u2010]{_HYPHEN}")
_ASTRAL = re.compile("[\U00010000-\U0010ffff]")
_LINE = re.compile(rf"[^\s{_HYPHEN}](?:[^\r\n{_HYPHEN}]*[^\s{_HYPHEN}])?")
_WORD = re.compile(rf"[^\s{_HYPHEN}]+")
# Accents as characters of their own, and what they are when combined with a letter.
_ACCENTS = dict(
    zip("´`¨ˆ˜¸ˇ˘˙˚˝¯", "\u0301\u0300\u0308\u0302\u0303\u0327\u030c\u0306\u0307\u030a\u030b\u0304", strict=True)
)
_ACCENT = re.compile(f"[{''.join(_ACCENTS)}]")
_DOTLESS = {"ı": "i", "ȷ": "j"}

# Distances in parts of a letter's height.
_BACK = 0.5  # how far a raised figure may reach back over the letter before it
_WORD_GAP = 0.2
_ROW_GAP = 1.0
_SAMPLE = 3  # of as many lines, one looks for columns that are as many lines long
_UPRIGHT = 0.1  # radians
_OVER = 0.5  # parts of an accent's width

_box = partial(tuple.__new__, Box)  # half the time of `Box`, thousands of times a page


class Piece(NamedTuple):
    """Some text of a line and the offsets of what it was read from; of an insertion, start and end are the same."""

    text: str
    start: int
    end: int


class PageText:
    """The characters of an open page and their places."""

    def __init__(self, page: Any) -> None:
        import pypdfium2.raw as pdfium

        self._pdfium = pdfium
        self._handle = page.get_textpage()
        self._raw = self._handle.raw  # without the conversion that each call would make
        self._edges = Box(*page.get_bbox())
        self._loose_box = pdfium.FPDFText_GetLooseCharBox
        rectangle = pdfium.FS_RECTF()
        self._pointer = byref(rectangle)
        self._found = memoryview(rectangle).cast("B").cast("f")  # all four edges at once
        self._words_from: dict[int, list[tuple[int, int, Box]]] = {}  # of each line, by its start
        text: str = self._handle.get_text_range(errors="replace")
        text = halves(text)
        self.untranslated = len(_UNTRANSLATED.findall(text))
        text = _C1.sub(lambda match: match[0].encode("latin-1").decode("cp1252", "replace"), text)
        self.text = _UNTRANSLATED.sub(" ", text)
        # PDFium leaves a character out of the text now and then.
        self._whole = len(self.text) == self._handle.count_chars()

    def close(self) -> None:
        self._handle.close()

    @cached_property
    def lines(self) -> list[TextLine]:
        """The lines that are on the page at least in part; what is outside is invisible."""
        found = []
        for match in _LINE.finditer(self.text):
            first, last = self.box(match.start()), self.box(match.end() - 1)
            if not (first.apart(self._edges) and first.around(last).apart(self._edges)):
                found.append(TextLine(match.start(), match.end(), first, last))
        return self._column_by_column(list(self._whole_rows(found)))

    def _column_by_column(self, lines: list[TextLine]) -> list[TextLine]:
        looked_at = (
            line for index, line in enumerate(lines) if index % _SAMPLE == 0 or not line.first.is_level_with(line.last)
        )
        if not any(map(self._has_gutter, looked_at)) and not self._alternate(lines):
            return lines
        mirrored = _bidi.is_right_to_left(self.text)
        numbers = count()
        pieces = [
            [
                ColumnWord(self.text[start:end], next(numbers), start, end, box.mirrored() if mirrored else box)
                for start, end, box in self._words(line)
            ]
            for line in lines
        ]
        return [
            TextLine(piece[0].start, piece[-1].end, self.box(piece[0].start), self.box(piece[-1].end - 1))
            for piece in _columns.in_reading_order(pieces)
        ]

    def _words(self, line: TextLine) -> list[tuple[int, int, Box]]:
        """Start and end of each word, and its box, which is as high as its first letter."""
        if line.start not in self._words_from:
            self._words_from[line.start] = list(self._boxed(line))
        return self._words_from[line.start]

    def _boxed(self, line: TextLine) -> Iterator[tuple[int, int, Box]]:
        for start, end in (match.span() for match in _WORD.finditer(self.text, line.start, line.end)):
            first, last = self.box(start), self.box(end - 1)
            yield start, end, Box(min(first.left, last.left), first.bottom, max(first.right, last.right), first.top)

    def _has_gutter(self, line: TextLine) -> bool:
        """Whether words of a line are so far apart that they may be of two columns, with prose on both sides."""
        if not _may_be_prose(self.text[line.start : line.end]):
            return False
        words = sorted((box, self.text[start:end]) for start, end, box in self._words(line))
        return any(
            b.left - a.right > _columns.GUTTER * (a.top - a.bottom)
            and all(_may_be_prose(" ".join(word for _, word in side)) for side in (words[:number], words[number:]))
            for number, ((a, _), (b, _)) in enumerate(pairwise(words), start=1)
        )

    def _alternate(self, lines: list[TextLine]) -> bool:
        """Whether lines of prose are drawn in turns on the left and on the right."""
        turns = (two for two in pairwise(lines) if two[1].first.left > two[0].last.right)
        prose = (all(_may_be_prose(self.text[line.start : line.end]) for line in two) for two in turns)
        return sum(prose) >= _columns.ROWS - 1

    def _whole_rows(self, lines: list[TextLine]) -> Iterator[TextLine]:
        """Lines with the pieces of a right-to-left row as one, for PDFium breaks it where it is drawn run by run."""
        if not _bidi.RIGHT_TO_LEFT.search(self.text):
            yield from lines
            return
        row: list[TextLine] = []
        for line, following in pairwise([*lines, None]):
            assert line is not None
            row.append(line)
            if following is None or not _on_row(row, following):
                if _bidi.RIGHT_TO_LEFT.search(self.text, row[0].start, line.end):
                    yield TextLine(row[0].start, line.end, row[0].first, line.last)
                else:
                    yield from row
                row = []

    def box(self, offset: int) -> Box:
        """The box of a character, as high as its font; the whole page if that is not known."""
        index = offset if self._whole else self._index(offset)
        if not self._loose_box(self._raw, index, self._pointer):
            return self._edges
        left, top, right, bottom = self._found
        return _box((left, bottom, right, top))

    def ink(self, offset: int) -> Box:
        """The box of what is drawn of a character."""
        left, right, bottom, top = (c_double() for _ in range(4))
        edges = [byref(edge) for edge in (left, right, bottom, top)]
        if not self._pdfium.FPDFText_GetCharBox(self._handle, self._index(offset), *edges):
            return self.box(offset)
        return Box(left.value, bottom.value, right.value, top.value)

    def _index(self, offset: int) -> int:
        """PDFium's number of a character."""
        return offset if self._whole else self._pdfium.FPDFText_GetCharIndexFromTextIndex(self._handle, offset)

    def shows(self, text_object: Any) -> bool:
        """Whether anything of what a text object of the page draws is in the text."""
        size: int = self._pdfium.FPDFTextObj_GetText(text_object, self._handle, None, 0)
        return size > len("\0".encode("utf-16-le"))

    def inside(self, box: Box) -> str:
        """The text within a rectangle."""
        text: str = self._handle.get_text_bounded(box.left, box.bottom, box.right, box.top)
        return text.replace("\r\n", "\n")

    def read(self, insertions: dict[int, str]) -> str:
        """The page's text with more text at some offsets: rows whole, accents on their letters, words joined."""
        pieces = []
        for line, following in pairwise([*self.lines, None]):
            assert line is not None
            pieces += [piece.text for piece in self._line(line, insertions)]
            if following:
                pieces.append(self._between(line, following))
        text = _DROPPED.sub("", "".join(pieces))
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")

    def rows(self) -> Iterator[list[Piece]]:
        """What `read` puts together, by rows as people see them."""
        row: list[Piece] = []
        for line, following in pairwise([*self.lines, None]):
            assert line is not None
            row += self._line(line, {})
            if following is None or self._ends_row(line, following):
                yield row
                row = []

    def _between(self, line: TextLine, following: TextLine) -> str:
        """What separates two lines: nothing or a space where both are on one row, as raised figures do.

        A hyphen at a line's end splits a word that continues with a small letter; otherwise it is part of the word.
        """
        if self.text.startswith(_HYPHEN, line.end):
            return "" if self.text[following.start].islower() else "-\n"
        if self._ends_row(line, following):
            # At a gutter PDFium saw no line end, and left the hyphen as it is.
            parted = _CUT.match(self.text, line.end - 2) and self.text[following.start].islower()
            return _HYPHEN if parted else "\n"
        height = max(line.last.top - line.last.bottom, following.first.top - following.first.bottom)
        return " " if following.first.left - line.last.right > _WORD_GAP * height else ""

    def _ends_row(self, line: TextLine, following: TextLine) -> bool:
        last, first = line.last, following.first
        height = max(last.top - last.bottom, first.top - first.bottom)
        gap = first.left - last.right
        if not last.is_level_with(first) or not -_BACK * height < gap < _ROW_GAP * height:
            return True
        return not self._upright(line.end - 1) or not self._upright(following.start)

    def _upright(self, offset: int) -> bool:
        angle: float = self._pdfium.FPDFText_GetCharAngle(self._handle, self._index(offset))
        return abs(angle) < _UPRIGHT

    def _line(self, line: TextLine, insertions: dict[int, str]) -> Iterator[Piece]:
        """A line's text as it is read, with its accents composed and its insertions made."""
        edits = [Piece(insertions[offset], offset, offset) for offset in insertions if line.start <= offset <= line.end]
        if _bidi.RIGHT_TO_LEFT.search(self.text, line.start, line.end) and self._upright(line.start):
            yield from self._bidirectional(line, edits)
            return
        for match in _ACCENT.finditer(self.text, line.start, line.end):
            edits += filter(None, [self._composed(match.start(), line)])
        position = line.start
        for edit in sorted(edits, key=lambda edit: (edit.start, edit.end)):
            if edit.start >= position:
                yield Piece(self.text[position : edit.start], position, edit.start)
                yield edit
                position = edit.end
        yield Piece(self.text[position : line.end], position, line.end)

    def _bidirectional(self, line: TextLine, insertions: list[Piece]) -> Iterator[Piece]:
        """The characters of a line that holds right-to-left text, one by one, and insertions after theirs."""
        for glyph in _bidi.logical(self._glyphs(line), *self._direction):
            yield from (piece for piece in insertions if piece.start == glyph.offset)
            yield Piece(glyph.text, glyph.offset, glyph.offset + 1)
        yield from (piece for piece in insertions if piece.start == line.end)

    @cached_property
    def _direction(self) -> tuple[bool, bool]:
        """Whether the page is mostly right-to-left, and whether what is so is drawn backwards."""
        lines = [line for line in self.lines if _bidi.RIGHT_TO_LEFT.search(self.text, line.start, line.end)]
        return _bidi.is_right_to_left(self.text), _bidi.is_backwards(list(map(self._glyphs, lines)))

    def _glyphs(self, line: TextLine) -> list[Glyph]:
        offsets = range(line.start, line.end)
        return [Glyph(self.text[offset], offset, self._origin(offset), self.box(offset)) for offset in offsets]

    def _origin(self, offset: int) -> float:
        x, y = c_double(), c_double()
        self._pdfium.FPDFText_GetCharOrigin(self._handle, self._index(offset), byref(x), byref(y))
        return x.value

    def _composed(self, offset: int, line: TextLine) -> Piece | None:
        """An accent and the letter it is over, as one character; nothing if it stands by itself."""
        accent = self.box(offset)
        for letter in (offset - 1, offset + 1, offset - 2, offset + 2):
            if not line.start <= letter < line.end or self.text[letter].isspace():
                continue
            base = _DOTLESS.get(self.text[letter], self.text[letter])
            whole = unicodedata.normalize("NFC", base + _ACCENTS[self.text[offset]])
            under = self.box(letter)
            shared = min(accent.right, under.right) - max(accent.left, under.left)
            if len(whole) == 1 and shared > _OVER * (accent.right - accent.left):
                return Piece(whole, min(offset, letter), max(offset, letter) + 1)
        return None


def _on_row(row: list[TextLine], line: TextLine) -> bool:
    """Whether a line is on the same row as others, right or left of them and close."""
    one = reduce(Box.around, (box for piece in row for box in (piece.first, piece.last)))
    other = line.first.around(line.last)
    gap = max(other.left - one.right, one.left - other.right)
    return one.is_level_with(other) and gap < _ROW_GAP * max(one.top - one.bottom, other.top - other.bottom)


def _may_be_prose(text: str) -> bool:
    """Whether there are letters rather than figures, and more than one word in scripts that part them."""
    several = len(text.split(None, 1)) > 1 or not text.isascii()
    return several and 2 * sum(map(str.isalpha, text)) > len("".join(text.split()))


def halves(text: str) -> str:
    """The text in UTF-16 units, a character each."""
    return _ASTRAL.sub(lambda match: "".join(map(chr, memoryview(match[0].encode("utf-16-le")).cast("H"))), text)
