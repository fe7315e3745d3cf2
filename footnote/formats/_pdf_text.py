"""The text of a PDF's page as PDFium finds it, mended by where its characters stand on the page.

Offsets count UTF-16 units, as PDFium does; what `read` returns is an ordinary string.
"""

import re
import unicodedata
from ctypes import byref
from functools import cached_property
from itertools import pairwise
from typing import Any

from footnote.formats._pdf_boxes import Box, Line

# What PDFium puts in place of a hyphen at a line's end and the line end.
_HYPHEN = "\ufffe"
# Codes of glyphs that no table translates; where the letters around them are translated, they are mostly spaces.
_UNTRANSLATED = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f]|\r(?!\n)")
_C1 = re.compile("[\x80-\x9f]")  # meant as Windows has them, as quotes and dashes
_SOFT_HYPHEN = re.compile("\u00ad\n?")
_ASTRAL = re.compile("[\U00010000-\U0010ffff]")
_LINE = re.compile(rf"[^\s{_HYPHEN}](?:[^\r\n{_HYPHEN}]*[^\s{_HYPHEN}])?")
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
_UPRIGHT = 0.1  # radians
_OVER = 0.5  # parts of an accent's width


class PageText:
    """The characters of an open page and their places."""

    def __init__(self, page: Any) -> None:
        import pypdfium2.raw as pdfium

        self._pdfium = pdfium
        self._handle = page.get_textpage()
        self._edges = Box(*page.get_bbox())
        self._rectangle = pdfium.FS_RECTF()
        self._pointer = byref(self._rectangle)
        text: str = self._handle.get_text_range(errors="replace")
        if _ASTRAL.search(text):
            text = _ASTRAL.sub(_surrogates, text)
        self.text = _UNTRANSLATED.sub(" ", text)
        # PDFium leaves a character out of the text now and then.
        self._whole = len(self.text) == self._handle.count_chars()

    def close(self) -> None:
        self._handle.close()

    @cached_property
    def lines(self) -> list[Line]:
        """The lines that stand on the page at least in part; what is outside nobody sees."""
        found = []
        for match in _LINE.finditer(self.text):
            first, last = self.box(match.start()), self.box(match.end() - 1)
            if not (first.apart(self._edges) and first.around(last).apart(self._edges)):
                found.append(Line(match.start(), match.end(), first, last))
        return found

    def box(self, offset: int) -> Box:
        """The box of a character, as high as its font; the whole page if that is not known."""
        if not self._pdfium.FPDFText_GetLooseCharBox(self._handle, self._index(offset), self._pointer):
            return self._edges
        found = self._rectangle
        return Box(found.left, found.bottom, found.right, found.top)

    def _index(self, offset: int) -> int:
        """PDFium's number of a character."""
        return offset if self._whole else self._pdfium.FPDFText_GetCharIndexFromTextIndex(self._handle, offset)

    def inside(self, box: Box) -> str:
        """The text within a rectangle."""
        text: str = self._handle.get_text_bounded(box.left, box.bottom, box.right, box.top)
        return text.replace("\r\n", "\n")

    def read(self, insertions: dict[int, str]) -> str:
        """The page's text with more text at some offsets: rows whole, accents on their letters, words joined."""
        pieces = []
        for line, following in pairwise([*self.lines, None]):
            assert line is not None
            pieces.append(self._line(line, insertions))
            if following:
                pieces.append(self._between(line, following))
        text = _SOFT_HYPHEN.sub("", "".join(pieces))
        text = _C1.sub(lambda match: match[0].encode("latin-1").decode("cp1252", "replace"), text)
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")

    def _between(self, line: Line, following: Line) -> str:
        """What parts two of PDFium's lines: nothing or a space where both stand on one row, as raised figures do.

        A hyphen at the end of a line parts a word that goes on with a small letter, and else belongs to it.
        """
        if _HYPHEN in self.text[line.end : following.start]:
            return "" if self.text[following.start].islower() else "-\n"
        last, first = line.last, following.first
        height = max(last.top - last.bottom, first.top - first.bottom)
        gap = first.left - last.right
        if not last.beside(first) or not -_BACK * height < gap < _ROW_GAP * height:
            return "\n"
        if not self._upright(line.end - 1) or not self._upright(following.start):
            return "\n"
        return " " if gap > _WORD_GAP * height else ""

    def _upright(self, offset: int) -> bool:
        angle: float = self._pdfium.FPDFText_GetCharAngle(self._handle, self._index(offset))
        return abs(angle) < _UPRIGHT

    def _line(self, line: Line, insertions: dict[int, str]) -> str:
        """A line's text with its accents composed and its insertions made."""
        edits = [(offset, offset, insertions[offset]) for offset in insertions if line.start <= offset <= line.end]
        for match in _ACCENT.finditer(self.text, line.start, line.end):
            edits += filter(None, [self._composed(match.start(), line)])
        pieces, position = [], line.start
        for start, end, text in sorted(edits):
            if start >= position:
                pieces += [self.text[position:start], text]
                position = end
        return "".join([*pieces, self.text[position : line.end]])

    def _composed(self, offset: int, line: Line) -> tuple[int, int, str] | None:
        """An accent and the letter it stands over, as one character; nothing if it stands by itself."""
        accent = self.box(offset)
        for letter in (offset - 1, offset + 1, offset - 2, offset + 2):
            if not line.start <= letter < line.end or self.text[letter].isspace():
                continue
            base = _DOTLESS.get(self.text[letter], self.text[letter])
            whole = unicodedata.normalize("NFC", base + _ACCENTS[self.text[offset]])
            under = self.box(letter)
            shared = min(accent.right, under.right) - max(accent.left, under.left)
            if len(whole) == 1 and shared > _OVER * (accent.right - accent.left):
                return min(offset, letter), max(offset, letter) + 1, whole
        return None


def _surrogates(match: re.Match[str]) -> str:
    return "".join(map(chr, memoryview(match[0].encode("utf-16-le")).cast("H")))
