"""A row of a table as a sentence: its label, the columns with their values and units, the title of the table."""

import re
from collections.abc import Sequence

from footnote.extracts.table_row import TableCell, TableRow
from footnote.extracts.values import of_another_kind

_LONGEST_TITLE = 120
_OWN_UNITS = re.compile(r"\((?!in |\d)(?:[^\W\d]{1,3}|[$€£¥%][^()]{0,12}|[^()\d]{1,12}/[^()\d]{1,12})\)")
_SCALE_NAMES = {1_000: "thousand", 1_000_000: "million", 1_000_000_000: "billion"}


def sentence(row: TableRow, cells: Sequence[TableCell], telling: str = "") -> str:
    """Row label, column, value, unit, table title; where columns are not known, all values under the table's head.

    `telling`: the cell that says which row it is, where the label does not.
    """
    subject = ", ".join(dict.fromkeys(filter(None, (row.section, row.label, telling))))
    is_known = row.periods or row.barred or len(cells) < len(row.cells)
    if is_known and all(cell.name for cell in cells):
        said = "; ".join(f"{cell.name}: {_with_unit(row, cell)}" for cell in cells)
        return f"{subject}, {said}{_title(row)}."
    said = " | ".join(_with_unit(row, cell) for cell in cells)
    return f"{subject}: {said}" + (f" (columns: {row.head})." if row.head and len(cells) > 1 else f"{_title(row)}.")


def is_rate(row: TableRow) -> bool:
    """Whether its figures are percentages."""
    return row.is_rate or re.search(r"percent|%", f"{row.section} {row.label}", re.IGNORECASE) is not None


def _title(row: TableRow) -> str:
    """The last sentence before the table, without its number, its unit and `is as follows`."""
    caption = re.sub(r"^\(\w{1,3}\) |\s?\([^()]*\)\s?(?=:?$)", "", re.split(r"[.!?]\s", row.caption)[-1])
    caption = re.sub(r"(?: (?:is|are|was|were) as follows)?:?$", "", caption).strip()
    return f" ({caption})" if 0 < len(caption) <= _LONGEST_TITLE and caption not in (row.section, row.label) else ""


def _with_unit(row: TableRow, cell: TableCell) -> str:
    text = re.sub(r"(?<=[$€£¥(]) | (?=[%)])", "", cell.text)
    # Where the names of columns have units, the scale of the caption is not that of each column.
    if row.barred or not re.search(r"\d", text) or re.search(r"[%xX]", text) or _OWN_UNITS.search(row.head):
        return text
    if is_rate(row):
        return f"{text}%"
    scale = _SCALE_NAMES.get(int(row.unit.scale))
    return f"{text} {scale}" if scale and not of_another_kind(f"{row.section} {row.label}") else text
