"""Workbooks (.xlsx): a page per sheet, each row with the names of its columns, values as the sheet shows them.

The parts are read as they stream: number formats are what makes 0.125 read 12.5 %, and a cell at the far end of an
otherwise empty sheet costs nothing.
"""

import zipfile
from collections.abc import Iterator
from pathlib import Path

from footnote.formats import Block, _opc, _sheets, _xml, _zip
from footnote.formats._spreadsheetml import Shown, rows
from footnote.formats._xml import child_of, reference_of, value_of

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
    from footnote.formats import xls

    yield from xls.read(path)


def _workbook(archive: zipfile.ZipFile, main: str) -> Iterator[Block]:
    workbook = _opc.expect(_xml.read(archive, main), "workbook")
    related = _opc.related(archive, main)
    base_1904 = value_of(child_of(workbook, "workbookPr"), "date1904") in {"1", "true"}
    shown = Shown(archive, related.get("sharedStrings"), related.get("styles"), base_1904)
    parts = _opc.relations(archive, main)
    done = set()
    sheets = child_of(workbook, "sheets")
    for number, sheet in enumerate(() if sheets is None else sheets, start=1):
        kind, part = parts.get(reference_of(sheet), ("", ""))
        yield Block("", number)
        if kind == "worksheet" and part not in done:
            done.add(part)
            yield from _sheets.blocks(rows(archive, part, shown), number, value_of(sheet, "name"))
