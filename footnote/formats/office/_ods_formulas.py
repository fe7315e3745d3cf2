"""The formulas of OpenDocument sheets, and the cells that they refer to."""

import re
import zipfile
from collections.abc import Iterator
from datetime import date
from typing import Any

from footnote.formats.office import _odf, _xml
from footnote.formats.office._formulas import Value
from footnote.formats.office._number_formats import plain
from footnote.formats.office._odf import repeated
from footnote.formats.office._sheet_formulas import Book, Cell
from footnote.formats.office._xml import children_of, local_name, value_of

_PREFIX = re.compile(r"^(?:of|oooc|msoxl):=?|^=")
_REFERENCE = re.compile(
    r"\[(?:(?P<sheet>\$?(?:'(?:[^']|'')+'|[^.'\]]*))\.)?(?P<first>[^.:\]]+)(?::[^.\]]*\.?(?P<last>[^.\]]+))?\]"
)
_MOST_REPEATED = 1_000  # equal cells that are held one by one
_DAY_0 = date(1899, 12, 30)
_NUMBERS = {"float", "percentage", "currency"}


def ods_book(archive: zipfile.ZipFile) -> Book:
    return Book(_Names(archive), lambda name: _cells(archive, name), {})


def lacks_value(cell: Any) -> bool:
    """Whether a cell has a formula that no program worked out."""
    if not value_of(cell, "formula"):
        return False
    return not (
        len(cell) or any(value_of(cell, f"{kind}value") for kind in ("", "date-", "time-", "string-", "boolean-"))
    )


def shown(value: Value) -> str:
    if isinstance(value, bool):
        return str(value).upper()
    return plain(value) if isinstance(value, float) else value or ""


class _Names:
    """The names of the sheets, which are read when they are asked for."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive

    def __iter__(self) -> Iterator[str]:
        for table in _xml.stream(self._archive, _odf.CONTENT, "table"):
            if local_name(table.getparent()) == "spreadsheet":
                yield value_of(table, "name")


def _cells(archive: zipfile.ZipFile, name: str) -> Iterator[Cell]:
    number = 0
    for row in _xml.stream(archive, _odf.CONTENT, "table-row"):
        table = next(row.iterancestors("{*}table"), None)
        if table is None or value_of(table, "name") != name or local_name(table.getparent()) != "spreadsheet":
            continue
        number += 1
        column = 0
        for cell in row:
            if local_name(cell) in {"table-cell", "covered-table-cell"}:
                count = repeated(cell, "number-columns-repeated")
                formula = formula_of(value_of(cell, "formula")) if lacks_value(cell) else ""
                value = _typed(cell)
                if formula or value is not None:
                    yield from (
                        (number, each, value, formula) for each in range(column, column + min(count, _MOST_REPEATED))
                    )
                column += count
        number += repeated(row, "number-rows-repeated") - 1


def _typed(cell: Any) -> Value:
    kind, value = value_of(cell, "value-type"), value_of(cell, "value")
    try:
        if kind in _NUMBERS:
            return float(value)
        if kind == "date":
            return float((date.fromisoformat(value_of(cell, "date-value")[:10]) - _DAY_0).days)
    except ValueError:
        return None
    if kind == "boolean":
        return value_of(cell, "boolean-value") == "true"
    return " ".join(" ".join(map(_odf.text_of, children_of(cell, "p"))).split()) or None


def formula_of(written: str) -> str:
    """A formula as other spreadsheets write it: `of:=SUM([.B2:.B4])` is `SUM(B2:B4)`."""
    return _REFERENCE.sub(_reference, _PREFIX.sub("", written))


def _reference(match: re.Match[str]) -> str:
    sheet = (match["sheet"] or "").removeprefix("$")
    cells = f"{match['first']}:{match['last']}" if match["last"] else match["first"]
    return f"{sheet}!{cells}" if sheet else cells
