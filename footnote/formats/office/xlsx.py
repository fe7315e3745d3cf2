"""Workbooks (.xlsx): a page per sheet, each row with the names of its columns, values as the sheet shows them.

The parts are read as they stream: number formats are what makes 0.125 read 12.5 %, and a cell at the far end of an
otherwise empty sheet costs nothing.
"""

import zipfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from footnote.formats import Block
from footnote.formats.office import _opc, _sheets, _xml, _zip
from footnote.formats.office._sheet_formulas import Book
from footnote.formats.office._spreadsheetml import Shown, cells, rows
from footnote.formats.office._xml import child_of, reference_of, value_of

MEDIA_TYPES: dict[str, tuple[str, ...]] = {
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": (".xlsx", ".xlsm", ".xltx", ".xltm"),
    "application/vnd.ms-excel.sheet.binary.macroenabled.12": (".xlsb",),
}
MEMBERS = ("xl/",)


def parse(path: Path) -> Iterator[Block]:
    with _zip.opened(path) as archive:
        main = _opc.main_part(archive, "xl/workbook.xml")
        if not main.endswith(".bin"):
            yield from _workbook(archive, main)
            return
    from footnote.formats.office import xls

    yield from xls.read(path)


def _workbook(archive: zipfile.ZipFile, main: str) -> Iterator[Block]:
    workbook = _opc.expect(_xml.read(archive, main), "workbook")
    related = _opc.related(archive, main)
    base_1904 = value_of(child_of(workbook, "workbookPr"), "date1904") in {"1", "true"}
    shown = Shown(archive, related.get("sharedStrings"), related.get("styles"), base_1904)
    parts = _opc.relations(archive, main)
    sheets = child_of(workbook, "sheets")
    listed = [
        (value_of(sheet, "name"), *parts.get(reference_of(sheet), ("", "")))
        for sheet in ([] if sheets is None else sheets)
    ]
    worksheets = {name: part for name, kind, part in listed if kind == "worksheet"}
    book = Book(worksheets, lambda name: cells(archive, worksheets[name], shown), _names(workbook))
    # Some libraries write 0 for the value of every formula, and ask for all to be worked out.
    shown.stale = value_of(child_of(workbook, "calcPr"), "fullCalcOnLoad") in {"1", "true"}
    done = set()
    for number, (name, kind, part) in enumerate(listed, start=1):
        yield Block("", number)
        if kind == "worksheet" and part not in done:
            done.add(part)
            yield from _sheets.blocks(rows(archive, part, shown, partial(book.show, name)), number, name)
            yield Block("", number, notes=book.taken())


def _names(workbook: Any) -> dict[str, str]:
    """What the names of a workbook stand for."""
    names = child_of(workbook, "definedNames")
    return {value_of(name, "name"): name.text or "" for name in (() if names is None else names)}
