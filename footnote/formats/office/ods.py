"""OpenDocument sheets (.ods): a page per sheet, each row with the names of its columns, values as they are shown."""

import re
import zipfile
from collections.abc import Callable, Iterator
from datetime import date
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any

from footnote.errors import DocumentRejected
from footnote.formats import Block
from footnote.formats.office import _package, _tables, odt
from footnote.formats.office._formulas import Value
from footnote.formats.office._number_formats import plain
from footnote.formats.office._package import children_of, local_name, value_of
from footnote.formats.office._sheet_formulas import Book, Cell
from footnote.formats.office._tables import Merged, Row
from footnote.formats.office.odt import repeated

MEDIA_TYPES: dict[str, tuple[str, ...]] = {
    "application/vnd.oasis.opendocument.spreadsheet": (".ods",),
    "application/vnd.oasis.opendocument.spreadsheet-template": (".ots",),
}
MEMBERS = ()


# The formulas of OpenDocument sheets, and the cells that they refer to.

_PREFIX = re.compile(r"^(?:of|oooc|msoxl):=?|^=")
_REFERENCE = re.compile(
    r"\[(?:(?P<sheet>\$?(?:'(?:[^']|'')+'|[^.'\]]*))\.)?(?P<first>[^.:\]]+)(?::[^.\]]*\.?(?P<last>[^.\]]+))?\]"
)
_MOST_REPEATED = 1_000  # equal cells that are held one by one
_DAY_0 = date(1899, 12, 30)
_FLOATS = {"float", "percentage", "currency"}


def ods_book(archive: zipfile.ZipFile) -> Book:
    return Book(_Names(archive), lambda name: _formula_cells(archive, name), {})


def lacks_value(cell: Any) -> bool:
    """Whether a cell has a formula without a calculated value."""
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
        for table in _package.stream_xml(self._archive, odt.CONTENT, "table"):
            if local_name(table.getparent()) == "spreadsheet":
                yield value_of(table, "name")


def _formula_cells(archive: zipfile.ZipFile, name: str) -> Iterator[Cell]:
    number = 0
    for row in _package.stream_xml(archive, odt.CONTENT, "table-row"):
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
        if kind in _FLOATS:
            return float(value)
        if kind == "date":
            return float((date.fromisoformat(value_of(cell, "date-value")[:10]) - _DAY_0).days)
    except ValueError:
        return None
    if kind == "boolean":
        return value_of(cell, "boolean-value") == "true"
    return " ".join(" ".join(map(odt.text_of, children_of(cell, "p"))).split()) or None


def formula_of(written: str) -> str:
    """A formula as other spreadsheets write it: `of:=SUM([.B2:.B4])` is `SUM(B2:B4)`."""
    return _REFERENCE.sub(_reference, _PREFIX.sub("", written))


def _reference(match: re.Match[str]) -> str:
    sheet = (match["sheet"] or "").removeprefix("$")
    cells = f"{match['first']}:{match['last']}" if match["last"] else match["first"]
    return f"{sheet}!{cells}" if sheet else cells


_COLUMNS = 16_384
_NUMBERS = {"float", "currency", "percentage", "date", "time"}


def parse(path: Path) -> Iterator[Block]:
    with _package.opened(path) as archive:
        odt.check(archive)
        book = ods_book(archive)
        for (number, name), rows in groupby(_rows(archive, book), key=lambda found: found[:2]):
            yield Block("", number)
            yield from _tables.blocks((row for _, _, row in rows if row), number, name)
            yield Block("", number, notes=book.taken())


def _rows(archive: zipfile.ZipFile, book: Book) -> Iterator[tuple[int, str, Row | None]]:
    """Number and name of the sheet with each of its rows, and with None at its end."""
    sheet, number, place = 1, 0, 0
    merged: dict[tuple[int, int], tuple[int, int]] = {}
    merging = Merged(merged)
    is_known = False
    for element in _package.stream_xml(archive, odt.CONTENT, "table-row", "table", "spreadsheet"):
        if local_name(element) == "spreadsheet":
            is_known = True
            continue
        table = element if local_name(element) == "table" else next(element.iterancestors("{*}table"), None)
        if table is None or local_name(table.getparent()) != "spreadsheet":
            continue  # a table within a cell, a chart or the record of changes
        name = value_of(table, "name")
        if table is element:
            yield sheet, name, None
            sheet, number, place = sheet + 1, 0, 0
            merged.clear()
            merging = Merged(merged)
        else:
            # Equal rows that follow each other are stored once; read once, they still do not divide a table.
            number += repeated(element, "number-rows-repeated") if _is_empty(element) else 1
            work_out = partial(book.show, name, place + 1)
            yield sheet, name, merging.row(number, _cells(element, number, merged, work_out))
            place += repeated(element, "number-rows-repeated")
    if not is_known:
        raise DocumentRejected("type_mismatch")


def _is_empty(row: Any) -> bool:
    return not any(len(cell) or value_of(cell, "formula") for cell in row)


def _cells(
    row: Any, number: int, merged: dict[tuple[int, int], tuple[int, int]], work_out: Callable[[int, str], Value]
) -> Iterator[tuple[int, str, bool]]:
    column = 0
    for cell in row:
        if local_name(cell) not in {"table-cell", "covered-table-cell"}:
            continue
        hidden = local_name(cell) == "covered-table-cell"
        text = "" if hidden else " ".join(" ".join(map(odt.text_of, children_of(cell, "p"))).split())
        kind = value_of(cell, "value-type")
        if lacks_value(cell):
            value = work_out(column, formula_of(value_of(cell, "formula")))
            text, kind = shown(value), "float" if isinstance(value, float) else ""
        if kind == "date" and text:
            moment = value_of(cell, "date-value").partition(".")[0]
            text = moment.removesuffix("T00:00:00").replace("T", " ") or text
        count = repeated(cell, "number-columns-repeated")
        if text:
            down, across = repeated(cell, "number-rows-spanned"), repeated(cell, "number-columns-spanned")
            if down > 1 or across > 1:
                merged[number, column] = number + down - 1, min(column + across, _COLUMNS) - 1
            for each in range(column, min(column + count, _COLUMNS)):
                yield each, text, kind in _NUMBERS
        column += count
