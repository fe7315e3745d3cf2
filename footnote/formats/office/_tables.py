"""Tables and sheets: a line per row, cells separated by bars; in long ones each row with the names of its columns.

A short table stays in one piece when its text is split, and says its names once. Of a long one the rows get apart from
the first, and must say for themselves what they mean.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice
from typing import NamedTuple

from footnote.formats import Block

# The rows of a sheet, with the cells that are merged across them.


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


# A sheet as lines that can be read on their own: each row of a table with the names of its columns.
#
#     boat | length | crew
#     boat: Kittiwake | length: 4.2 m | crew: 2
#
# A sheet is no table: it has titles, notes, forms and tables below each other. Empty rows divide it into groups. The
# first row of a group names the columns if it has several cells, looks like names, and what is below does not.
# Rows without such names are written as they are.

_AHEAD = 6  # rows of a block that are looked at before its header is decided on
_CHARACTERS = 64 * 1024  # in a block of text, so that no table is held whole
_TITLE_CHARACTERS = 100
_NAME_CHARACTERS = 80
_YEAR = re.compile(r"\b(19|20)\d\d\b")


def blocks(rows: Iterable[Row], page: int, sheet: str) -> Iterator[Block]:
    """A sheet's rows as text on one page, under its name and the title that is above a table."""
    above: tuple[str, ...] = (sheet,) if sheet else ()
    heading, names, alone = above, dict[int, str](), ""
    for group in _groups(rows):
        first = list(islice(group, _AHEAD))
        titles, found = _head(first)
        lines = [_line(row, {}) for row in first[: titles + len(found)]]
        if found:
            title = alone if not titles else "" if first[titles - 1].numbers else lines[titles - 1]
            heading = (*above, title) if 0 < len(title) <= _TITLE_CHARACTERS else above
            names = _names(found)
        elif not _continues(first, names):
            heading, names = above, {}
        length = 0
        for row in chain(first[len(lines) :], group):
            lines.append(_line(row, names))
            length += len(lines[-1])
            if length >= _CHARACTERS:
                yield Block("\n".join(lines), page, heading)
                lines, length = [], 0
        yield Block("\n".join(lines), page, heading)
        alone = _line(first[0], {}) if len(first) == 1 and len(first[0].texts) == 1 else ""


def named_rows(rows: list[Row]) -> list[str]:
    """The lines of one table, its rows with the names of their columns; none where no row seems to name them."""
    titles, found = _head(rows[:_AHEAD])
    begin = titles + len(found)
    names = _names(found)
    return [_line(row, {}) for row in rows[:begin]] + [_line(row, names) for row in rows[begin:]] if found else []


def header_of(rows: list[Row]) -> str:
    """The rows that seem to name the columns of a table; nothing where none do."""
    return "\n".join(_line(row, {}) for row in _head(rows[:_AHEAD])[1])


def _groups(rows: Iterable[Row]) -> Iterator[Iterator[Row]]:
    """Runs of rows without an empty one between them; each must be used up before the next."""
    source = iter(rows)
    following: list[Row] = list(islice(source, 1))

    def run() -> Iterator[Row]:
        while following:
            row = following.pop()
            yield row
            following.extend(islice(source, 1))
            if following and following[0].number != row.number + 1:
                return

    while following:
        yield run()


def _head(rows: list[Row]) -> tuple[int, list[Row]]:
    """How many lines that fill one cell are above a table, and the rows below them that name its columns."""
    titles = next((index for index, row in enumerate(rows) if len(row.texts) > 1), len(rows))
    table = rows[titles:]
    for count in (2, 1):
        if len(table) > count and (count == 1 or table[0].spans) and _name(table[:count], table[count:]):
            return titles, table[:count]
    return 0, []


def _name(header: list[Row], below: list[Row]) -> bool:
    """Whether rows look like the names of the columns below them, and those like columns."""
    names = _names(header)
    cells = [names[column] for column in header[-1].texts]
    if len(cells) < 2 or len({*cells}) < len(cells) or any(len(name) > _NAME_CHARACTERS for name in cells):
        return False
    if any(name.endswith(":") for name in cells):
        return False
    full = [row for row in below if len(row.texts) > 1]
    used = [column for row in full for column in row.texts]
    named = {min(used, default=0), *names}  # the first column often has no name
    if not used or sum(column in named for column in used) < 0.8 * len(used):
        return False
    numbers = set().union(*(row.numbers for row in header))
    if min(names) in numbers or not all(_is_period(column, header[-1], full) for column in numbers):
        return False
    if len(cells) == 2:
        # A list of names and values looks the same, but for the kinds of its values.
        return not numbers and len(full) > 1 and all(max(names) in row.numbers for row in full)
    return len(full) > 1 or bool(full[0].numbers)


def _is_period(column: int, header: Row, below: list[Row]) -> bool:
    """Whether a number names a column as years and dates do: what is below it is none."""
    return bool(_YEAR.search(header.texts.get(column, ""))) and not any(
        _YEAR.search(row.texts.get(column, "")) for row in below
    )


def _names(header: list[Row]) -> dict[int, str]:
    """Column names; of two rows, the upper one's are said first. A merged cell names all columns it covers."""
    names: dict[int, str] = {}
    for row in header:
        for first, text in row.texts.items():
            for column in range(first, row.spans.get(first, first) + 1):
                above = names.get(column, text)
                names[column] = text if above == text else f"{above} {text}"
    return names


def _continues(rows: list[Row], names: dict[int, str]) -> bool:
    """Whether rows after a gap still belong to the table above: they fill most of its columns and no others."""
    used = set().union(*(row.texts for row in rows))
    return used <= names.keys() and 2 * len(used) > len(names)


def _line(row: Row, names: dict[int, str]) -> str:
    cells = sorted(row.texts.items())
    if len(cells) == 1 and cells[0][0] not in row.numbers:
        return cells[0][1]
    if row.source and not names:
        return row.source
    return " | ".join(f"{names[column]}: {text}" if column in names else text for column, text in cells)


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


def table_text(rows: Sequence[Sequence[Cell]], headed: int = 0, padded: bool = False) -> tuple[str, str]:
    """The rows' text, and the header of a long table whose rows do not name their columns themselves.

    A layout table's only cell stays as it is. The first `headed` rows are marked as a header; `padded` if cells
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
        named = named_rows(sheet) if headed or _is_data(sheet) else []
        if named:
            return "\n".join(named), ""
        return "\n".join(plain), "\n".join(plain[:headed]) or header_of(sheet)
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
    """Whether most cells below the first row and after the first column are numbers: it is no form, no layout."""
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
