"""Rows of tables in a text: lines that end in figures, as PDFs have them, and lines whose cells bars divide.

A row knows what is above it: the years or names of its columns, the section of the table, the lines that introduce
it, the unit of its figures. All of it is read from the text when a question is asked; nothing stored changes.
"""

from collections.abc import Sequence
from dataclasses import replace

from footnote.extracts.barred_rows import BarredRows
from footnote.extracts.figure_rows import FigureRows, ends_in_figure
from footnote.extracts.table_row import TableCell, TableRow


def rows(text: str, before: str = "", place: str = "") -> list[TableRow]:
    """The rows in `text`, in order. `before` is what precedes it on its page; `place` has its headings and columns."""
    has_bars = "|" in text
    if not has_bars and not any(map(ends_in_figure, text.split("\n"))):
        return []
    figures, bars = FigureRows(), BarredRows()
    start, found = -len(before) - 1, list[TableRow | None]()
    for line in place.split(" > ")[1:]:
        figures.read(line, -1)
    for line in f"{before}\n{text}".split("\n"):
        if has_bars:
            found.append(bars.read(line, start))
        if "|" not in line:
            found.append(figures.read(line, start))
        start += len(line) + 1
    return [row for row in found if row is not None and row.start >= 0]


def with_words(row: TableRow, phrases: frozenset[str]) -> TableRow:
    """The row with names for its cells, if its head divides into as many of these phrases and single words.

    A head such as `Nominee For Against Broker Non-Votes` does not say which of its words belong together; the labels
    of other tables may.
    """
    if row.barred or row.periods or len(row.cells) < 2 or any(cell.name for cell in row.cells):
        return row
    names = _divided(row.head.split(), phrases)
    if len(names) - len(row.cells) not in (0, 1):
        return row
    named = names[-len(row.cells) :]
    return replace(row, cells=tuple(TableCell(cell.text, name) for cell, name in zip(row.cells, named, strict=True)))


def _divided(words: Sequence[str], phrases: frozenset[str]) -> list[str]:
    names: list[str] = []
    at = 0
    while at < len(words):
        length = next((n for n in (3, 2) if " ".join(words[at : at + n]).lower() in phrases), 1)
        names.append(" ".join(words[at : at + length]))
        at += length
    return names
