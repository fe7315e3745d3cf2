"""The rows of a sheet, with the cells that are merged across them."""

from collections.abc import Iterable
from dataclasses import dataclass, field


@dataclass
class Row:
    """The cells of a row that hold something, by their column from 0."""

    number: int
    texts: dict[int, str]
    numbers: set[int] = field(default_factory=set)  # columns whose cells are numbers, dates or times
    spans: dict[int, int] = field(default_factory=dict)  # first column -> last, of cells merged across
    source: str = ""  # the row as a text file has it


class Merged:
    """Cells merged with others: first row and column -> last row and column."""

    def __init__(self, ranges: dict[tuple[int, int], tuple[int, int]]) -> None:
        self._ranges = ranges
        self._carried: dict[int, tuple[int, str]] = {}  # column -> last row and text of a cell merged downwards

    def row(self, number: int, cells: Iterable[tuple[int, str, bool]]) -> Row | None:
        """The row of these cells (column, text, whether it is a number), if it has text.

        A cell merged downwards counts in every row it covers. To be asked for row by row.
        """
        row = Row(number, {})
        for column, text, is_number in cells:
            if not text:
                continue
            row.texts[column] = text
            if is_number:
                row.numbers.add(column)
            last_row, last_column = self._ranges.get((number, column), (number, column))
            if last_row > number:
                self._carried[column] = last_row, text
            if last_column > column:
                row.spans[column] = last_column
        if not row.texts:
            return None
        self._carried = {column: each for column, each in self._carried.items() if each[0] >= number}
        for column, (_, text) in self._carried.items():
            row.texts.setdefault(column, text)
        return row
