"""OpenDocument sheets (.ods): a page per sheet, each row with the names of its columns, values as they are shown."""

import zipfile
from collections.abc import Callable, Iterator
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any

from footnote.errors import DocumentRejected
from footnote.formats import Block
from footnote.formats.office import _odf, _sheets, _xml, _zip
from footnote.formats.office._formulas import Value
from footnote.formats.office._odf import repeated
from footnote.formats.office._ods_formulas import formula_of, lacks_value, ods_book, shown
from footnote.formats.office._sheet_formulas import Book
from footnote.formats.office._sheet_rows import Merged, Row
from footnote.formats.office._xml import children_of, local_name, value_of

MEDIA_TYPES: dict[str, tuple[str, ...]] = {
    "application/vnd.oasis.opendocument.spreadsheet": (".ods",),
    "application/vnd.oasis.opendocument.spreadsheet-template": (".ots",),
}
MEMBERS = ()

_COLUMNS = 16_384
_NUMBERS = {"float", "currency", "percentage", "date", "time"}


def parse(path: Path) -> Iterator[Block]:
    with _zip.opened(path) as archive:
        _odf.check(archive)
        book = ods_book(archive)
        for (number, name), rows in groupby(_rows(archive, book), key=lambda found: found[:2]):
            yield Block("", number)
            yield from _sheets.blocks((row for _, _, row in rows if row), number, name)
            yield Block("", number, notes=book.taken())


def _rows(archive: zipfile.ZipFile, book: Book) -> Iterator[tuple[int, str, Row | None]]:
    """Number and name of the sheet with each of its rows, and with None at its end."""
    sheet, number, place = 1, 0, 0
    merged: dict[tuple[int, int], tuple[int, int]] = {}
    merging = Merged(merged)
    is_known = False
    for element in _xml.stream(archive, _odf.CONTENT, "table-row", "table", "spreadsheet"):
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
            # Equal rows that follow each other are stored once; read once, they still part no table.
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
        text = "" if hidden else " ".join(" ".join(map(_odf.text_of, children_of(cell, "p"))).split())
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
