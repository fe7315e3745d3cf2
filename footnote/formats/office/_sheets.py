"""Sheets as lines that can be read on their own: each row of a table with the names of its columns.

    boat | length | crew
    boat: Kittiwake | length: 4.2 m | crew: 2

A sheet is no table: it has titles, notes, forms and tables below each other. Empty rows part it into groups. A group's
first row of several cells names the columns if it looks like names and what stands below does not; rows without such
names are written as they are.
"""

import re
from collections.abc import Iterable, Iterator
from itertools import chain, islice

from footnote.formats import Block
from footnote.formats.office._sheet_rows import Row

_AHEAD = 6  # rows of a block that are looked at before its header is decided on
_CHARACTERS = 64 * 1024  # in a block of text, so that no table is held whole
_TITLE_CHARACTERS = 100
_NAME_CHARACTERS = 80
_YEAR = re.compile(r"\b(19|20)\d\d\b")


def blocks(rows: Iterable[Row], page: int, sheet: str) -> Iterator[Block]:
    """A sheet's rows as text on one page, under its name and the title that stands above a table."""
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


def named(rows: list[Row]) -> list[str]:
    """The lines of one table, its rows with the names of their columns; none where no row seems to name them."""
    titles, found = _head(rows[:_AHEAD])
    begin = titles + len(found)
    names = _names(found)
    return [_line(row, {}) for row in rows[:begin]] + [_line(row, names) for row in rows[begin:]] if found else []


def header(rows: list[Row]) -> str:
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
    """How many lines that fill one cell stand above a table, and the rows below them that name its columns."""
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
    """Whether a number names a column as years and dates do: what stands below it is none."""
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
    """Whether rows behind a gap still belong to the table above: they fill most of its columns and no others."""
    used = set().union(*(row.texts for row in rows))
    return used <= names.keys() and 2 * len(used) > len(names)


def _line(row: Row, names: dict[int, str]) -> str:
    cells = sorted(row.texts.items())
    if len(cells) == 1 and cells[0][0] not in row.numbers:
        return cells[0][1]
    if row.source and not names:
        return row.source
    return " | ".join(f"{names[column]}: {text}" if column in names else text for column, text in cells)
