"""Tables that are nothing but lines of text, as a PDF has them: where their rows are, and the header above them.

Rows are lines that follow each other with about equally many figures. The header is what is right above the first row,
titles and units included; years that head columns look like a row themselves. A table that continues where the page
ends has its header on the next page, too.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import takewhile

_FIGURE = re.compile(r"[-+±~<>≤≥(]*[$€£¥]?\d[\d.,'’/:%\u2009-]*[%$€£)*†‡]*|[-–—−.…]+|n/?a", re.I)
_YEAR = re.compile(r"(?:FY\s?)?(?:19|20)\d\d(?:[/–-]\d\d(?:\d\d)?)?[*†]?", re.I)
_SENTENCE_END = (".", "!", "?", "。", ";", ",")
_FIGURE_CHARACTERS = 40
_ROWS = 4  # fewer are no table; of rows with one figure more are asked for
_ROWS_OF_ONE = 6
_WORDS = 14
_PROSE = 5  # different words in small letters that make a line of text
_LINE = 160
_BETWEEN = 2  # lines between two rows, as of a label or a cell in several lines
_ABOVE = 3  # lines of a header above the first row
_TOP = 3  # lines above the rows of a table that continues


@dataclass(frozen=True)
class _Line:
    text: str
    figures: int
    words: int
    years: bool
    is_prose: bool

    @property
    def is_short(self) -> bool:
        few = self.words + self.figures <= _WORDS and len(self.text) <= _LINE
        return few and not self.is_sentence and not self.is_prose

    @property
    def is_header(self) -> bool:
        return self.is_short and (self.years or self.figures < 2)

    @property
    def is_sentence(self) -> bool:
        return self.words > 3 and self.text.endswith(_SENTENCE_END)

    @property
    def is_row(self) -> bool:
        return self.figures > 0 and not self.is_prose and (self.is_short or self.figures > self.words)


class Tables:
    """Takes the pieces of a document in order; remembers the table that the last one ended in."""

    def __init__(self) -> None:
        self._columns = ""
        self._figures = 0

    def divide(self, text: str) -> Iterator[tuple[str, str]]:
        """The piece in parts, each with the header of the table whose rows it holds, or nothing."""
        source = text.split("\n")
        lines = list(map(_read, source))
        start, last = 0, len(lines)
        while last and not lines[last - 1].text:
            last -= 1
        open_columns, self_open = self._columns, False
        for first, end, figures in _runs(lines):
            head, columns = _header(lines, start, first, figures)
            if first - start <= _TOP and start == 0 and open_columns and abs(figures - self._figures) <= 1:
                columns = self._continued(lines[head:first], columns, figures)
            if columns:
                yield "\n".join(source[start:head]), ""
                yield "\n".join(source[head:end]), columns
                start = end
                if end >= last - 1:
                    self._columns, self._figures, self_open = columns, figures, True
        if last and not self_open:
            self._columns = ""
        yield "\n".join(source[start:]), ""

    def _continued(self, above: list[_Line], columns: str, figures: int) -> str:
        """The header of a table that began on an earlier page, if this one does not have another."""
        is_whole = any(line.years or line.words + line.figures >= max(figures, 2) for line in above)
        is_said = " ".join(columns.split()) in " ".join(self._columns.split())
        return columns if is_whole and not is_said else self._columns


def _read(line: str) -> _Line:
    words = line.split()
    # Most words are recognised by their letters; of such only `na` is a figure.
    likely = (word for word in words if len(word) <= 2 or not word.isalpha())
    figures = [word for word in likely if len(word) <= _FIGURE_CHARACTERS and _FIGURE.fullmatch(word)]
    # What a line begins with numbers it.
    count = len(figures) - (0 < len(figures) < len(words) and words[0] == figures[0])
    years = len(figures) > 1 and all(map(_YEAR.fullmatch, figures)) and len({*figures}) == len(figures)
    small = [word for word in words if word.isalpha() and word.islower()]
    is_prose = len({*small}) >= _PROSE and len(small) > len(words) / 2
    return _Line(" ".join(words), count, len(words) - len(figures), years, is_prose)


def _runs(lines: list[_Line]) -> Iterator[tuple[int, int, int]]:
    """First line, end and usual number of figures of every run of rows."""
    number = 0
    while number < len(lines):
        if not lines[number].is_row:
            number += 1
            continue
        rows = [number]
        for following in range(number + 1, len(lines)):
            line = lines[following]
            if line.is_row and abs(line.figures - lines[rows[-1]].figures) <= max(1, line.figures // 4):
                rows.append(following)
            elif following - rows[-1] > _BETWEEN or line.is_sentence or not line.text:
                break
        figures = sorted(lines[row].figures for row in rows)[len(rows) // 2]
        if len(rows) >= (_ROWS if figures > 1 else _ROWS_OF_ONE):
            yield number, rows[-1] + 1, figures
        number = rows[-1] + 1


def _header(lines: list[_Line], start: int, first: int, figures: int) -> tuple[int, str]:
    """The line that the header of the rows from `first` on begins with, and its text; none if there is no header."""
    body = first
    while body < len(lines) and (lines[body].years or not lines[body].is_row) and body - first < _ABOVE:
        body += 1
    if not any(line.years for line in lines[first:body]):
        body = first
    above = takewhile(lambda line: line.text and line.is_header, reversed(lines[max(start, first - _ABOVE) : first]))
    head = first - len(list(above))
    found = [line for line in lines[head:body] if line.text]
    named = any(line.years or line.words + line.figures >= max(2, min(figures, 4)) for line in found)
    return (head, "\n".join(line.text for line in found)) if named else (first, "")
