"""Tables within texts: a line per row, cells parted by bars; in long ones each row with the names of its columns.

A short table stays in one piece when its text is split, and says its names once. Of a long one the rows get apart from
the first, and must say for themselves what they tell.
"""

import re
from collections.abc import Sequence
from typing import NamedTuple

from footnote.formats.office import _sheets
from footnote.formats.office._sheet_rows import Row

_BEFORE = {"$", "€", "£", "¥", "(", "$(", "-"}
_BEHIND = {")", "%", ")%"}
_LONG = 800  # characters, about what is split off as one piece
_NUMBER = re.compile(
    r"[-+(]?\s?[$€£¥]?\s?\d[\d.,'\s]*(?:[eE][-+]?\d+)?\s?[%€$£]?\)?|\d{1,4}([-./])\d{1,2}\1\d{1,4}(?:[T ][\d:.Z+-]+)?"
)


class Cell(NamedTuple):
    """A cell's text, in how many columns it stands, and whether it repeats one that reaches down from above."""

    text: str
    columns: int = 1
    repeated: bool = False


def is_number(text: str) -> bool:
    """Whether a cell holds a number, an amount or a date."""
    return bool(_NUMBER.fullmatch(text))


class Grid:
    """Collects the rows of a table whose cells may reach over several rows and columns."""

    def __init__(self) -> None:
        self.rows: list[list[Cell]] = []
        self._column = 0
        self._reaching: dict[int, tuple[int, str]] = {}  # column -> the row it does not reach any more, and its text

    def begin_row(self) -> None:
        self.rows.append([])
        self._column = 0
        self._fill()

    def add(self, text: str, columns: int = 1, rows: int = 1) -> None:
        if not self.rows:
            self.begin_row()
        self.rows[-1].append(Cell(text, columns))
        if rows > 1:
            for column in range(self._column, self._column + columns):
                self._reaching[column] = len(self.rows) - 1 + rows, text
        self._column += columns
        self._fill()

    def _fill(self) -> None:
        while self._reaching.get(self._column, (0, ""))[0] >= len(self.rows):
            self.rows[-1].append(Cell(self._reaching[self._column][1], repeated=True))
            self._column += 1


def text(rows: Sequence[Sequence[Cell]], headed: int = 0, padded: bool = False) -> tuple[str, str]:
    """The rows' text, and the header of a long table whose rows do not name their columns themselves.

    A layout table's only cell stays as it is. So many rows as `headed` says are marked as a header; `padded` if cells
    without text only serve to arrange the others.
    """
    plain = []
    if padded:
        rows = [_joined(row) for row in rows]
    for row in rows:
        cells = [cell.text.strip() if not cell.repeated else "" for cell in row]
        if padded:
            cells = list(filter(None, cells))
        if len(cells) > 1:
            cells = [" ".join(filter(None, cell.split("\n"))) for cell in cells]
        if any(cells):
            plain.append(" | ".join(cells))
    if sum(map(len, plain)) > _LONG:
        sheet = [row for row in (_row(number, cells) for number, cells in enumerate(rows)) if row.texts]
        named = _sheets.named(sheet) if headed or _is_data(sheet) else []
        if named:
            return "\n".join(named), ""
        return "\n".join(plain), "\n".join(plain[:headed]) or _sheets.header(sheet)
    return "\n".join(plain), ""


def _joined(row: Sequence[Cell]) -> list[Cell]:
    """The cells with signs at the numbers they belong to, which reports put into cells of their own."""
    cells: list[Cell] = []
    for cell in row:
        last = cells[-1] if cells else None
        if last and (last.text in _BEFORE or cell.text in _BEHIND) and cell.text and not cell.repeated:
            cells[-1] = Cell(last.text + cell.text, last.columns + cell.columns)
        else:
            cells.append(cell)
    return cells


def _is_data(rows: list[Row]) -> bool:
    """Whether most cells below the first row and behind the first column are numbers: it is no form, no layout."""
    cells = [column in row.numbers for row in rows[1:] for column in row.texts if column]
    return sum(cells) > len(cells) / 2


def _row(number: int, cells: Sequence[Cell]) -> Row:
    row = Row(number, {})
    column = 0
    for cell in cells:
        words = " ".join(cell.text.split())
        if words:
            row.texts[column] = words
            if cell.columns > 1:
                row.spans[column] = column + cell.columns - 1
            if is_number(words):
                row.numbers.add(column)
        column += cell.columns
    return row
