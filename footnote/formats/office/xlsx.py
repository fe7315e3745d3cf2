"""Workbooks (.xlsx): a page per sheet, each row with the names of its columns, values as the sheet shows them.

The parts are read as they stream: number formats are what makes 0.125 read 12.5 %, and a cell at the far end of an
otherwise empty sheet costs nothing.
"""

import re
import zipfile
from collections.abc import Callable, Iterator
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

from footnote.formats import Block
from footnote.formats.office import _package, _tables
from footnote.formats.office._formulas import Value, moved
from footnote.formats.office._number_formats import BUILT_IN, formatted
from footnote.formats.office._package import (
    TRUE,
    child_of,
    children_at,
    children_of,
    local_name,
    reference_of,
    value_of,
)
from footnote.formats.office._sheet_formulas import Book
from footnote.formats.office._tables import Merged, Row

MEDIA_TYPES: dict[str, tuple[str, ...]] = {
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": (".xlsx", ".xlsm", ".xltx", ".xltm"),
    "application/vnd.ms-excel.sheet.binary.macroenabled.12": (".xlsb",),
}
MEMBERS = ("xl/",)


def parse(path: Path) -> Iterator[Block]:
    with _package.opened(path) as archive:
        main = _package.main_part(archive, "xl/workbook.xml")
        if not main.endswith(".bin"):
            yield from _workbook(archive, main)
            return
    from footnote.formats.office import xls

    yield from xls.read(path)


def _workbook(archive: zipfile.ZipFile, main: str) -> Iterator[Block]:
    workbook = _package.expect(_package.read_xml(archive, main), "workbook")
    related = _package.related(archive, main)
    base_1904 = value_of(child_of(workbook, "workbookPr"), "date1904") in TRUE
    shown = Shown(archive, related.get("sharedStrings"), related.get("styles"), base_1904)
    parts = _package.relations(archive, main)
    sheets = children_at(workbook, "sheets")
    listed = [(value_of(sheet, "name"), *parts.get(reference_of(sheet), ("", ""))) for sheet in sheets]
    worksheets = {name: part for name, kind, part in listed if kind == "worksheet"}
    book = Book(worksheets, lambda name: cells(archive, worksheets[name], shown), _names(workbook))
    # Some libraries write 0 for the value of every formula, and ask for all to be worked out.
    shown.stale = value_of(child_of(workbook, "calcPr"), "fullCalcOnLoad") in TRUE
    done = set()
    for number, (name, kind, part) in enumerate(listed, start=1):
        yield Block("", number)
        if kind == "worksheet" and part not in done:
            done.add(part)
            yield from _tables.blocks(rows(archive, part, shown, partial(book.show, name)), number, name)
            yield Block("", number, notes=book.taken())


def _names(workbook: Any) -> dict[str, str]:
    """The ranges that the names of a workbook refer to."""
    return {value_of(name, "name"): name.text or "" for name in children_at(workbook, "definedNames")}


# SpreadsheetML: the rows of a worksheet as they stream, and what its cells refer to.

WorkOut = Callable[[int, int, str], Value]  # the value of a formula, or its text; by row, column and how it is written

_COLUMNS = 16_384
_MERGED = re.compile(rb"mergeCell\s+ref=[\"']([A-Z]{1,3})(\d{1,7}):([A-Z]{1,3})(\d{1,7})[\"']")
_ESCAPED = re.compile("_x([0-9A-Fa-f]{4})_")


class Shown:
    """What cells refer to: the texts they share, and the format codes of their styles."""

    def __init__(self, archive: zipfile.ZipFile, texts: str | None, styles: str | None, base_1904: bool) -> None:
        self.texts = [_text(item) for item in _package.stream_xml(archive, texts, "si")] if texts else []
        self.codes = _codes(_package.read_xml(archive, styles)) if styles else []
        self.base_1904 = base_1904
        self.stale = False  # formulas whose value is 0 have none yet

    def text(self, index: str) -> str:
        return self.texts[int(index)] if index.isdecimal() and int(index) < len(self.texts) else ""

    def code(self, style: str) -> str:
        return self.codes[int(style)] if style.isdecimal() and int(style) < len(self.codes) else ""


def _codes(styles: Any) -> list[str]:
    own = {each.get("numFmtId"): each.get("formatCode", "") for each in children_at(styles, "numFmts")}
    known = {str(number): code for number, code in BUILT_IN.items()} | own
    return [known.get(each.get("numFmtId"), "") for each in children_at(styles, "cellXfs")]


def _text(item: Any) -> str:
    """The text of a string item, in one run or several, on one line."""
    pieces = []
    for child in item:
        name = local_name(child)
        if name == "t":
            pieces.append(child.text or "")
        elif name == "r":
            pieces += [text.text or "" for text in children_of(child, "t")]
    text = "".join(pieces)
    if "_x" in text:
        text = _ESCAPED.sub(lambda match: chr(int(match.group(1), 16)), text)
    return " ".join(text.split())


def rows(archive: zipfile.ZipFile, part: str, shown: Shown, work_out: WorkOut) -> Iterator[Row]:
    """The rows of a worksheet that hold something. Formulas without a value are worked out."""
    merged = Merged(_merged(archive, part))
    for number, element in _numbered(archive, part):
        row = merged.row(number, _texts(element, number, shown, work_out))
        if row:
            yield row


def cells(archive: zipfile.ZipFile, part: str, shown: Shown) -> Iterator[tuple[int, int, Value, str]]:
    """Row and column of each cell of a worksheet, its value, and the formula of one that lacks a value."""
    shared: dict[str, tuple[str, int, int]] = {}
    for number, row in _numbered(archive, part):
        for column, cell in _placed(row):
            formula = child_of(cell, "f")
            written = _written(cell)
            group = "" if formula is None or value_of(formula, "t") != "shared" else value_of(formula, "si")
            if written and group:
                shared[group] = written, number, column
            if formula is None or not _lacks_value(cell, shown):
                yield number, column, _typed(cell, shown), ""
            elif written or group not in shared:
                yield number, column, None, written
            else:
                first, row_there, column_there = shared[group]
                yield number, column, None, moved(first, number - row_there, column - column_there)


def _numbered(archive: zipfile.ZipFile, part: str) -> Iterator[tuple[int, Any]]:
    number = 0
    for element in _package.stream_xml(archive, part, "row"):
        given = element.get("r", "")
        number = int(given) if given.isdecimal() else number + 1
        yield number, element


def _merged(archive: zipfile.ZipFile, part: str) -> dict[tuple[int, int], tuple[int, int]]:
    """Merged cells. They are listed after the rows they apply to, so that a worksheet is read twice."""
    found = {}
    with archive.open(_package.member(archive, part)) as stream:
        tail = b""
        for piece in iter(lambda: stream.read(1024 * 1024), b""):
            for left, top, right, bottom in _MERGED.findall(tail + piece):
                found[int(top), _column(left)] = int(bottom), min(_column(right), _COLUMNS)
            tail = piece[-64:]
    return found


@lru_cache(maxsize=_COLUMNS)
def _column(letters: bytes) -> int:
    """The number, from 0, of a column named in letters."""
    number = 0
    for letter in letters[:4]:
        number = number * 26 + letter - 64
    return number - 1


def _placed(row: Any) -> Iterator[tuple[int, Any]]:
    column = -1
    for cell in row:
        letters = cell.get("r", "").rstrip("0123456789").encode()
        column = _column(letters) if letters.isupper() else column + 1
        if 0 <= column < _COLUMNS:
            yield column, cell


def _texts(row: Any, number: int, shown: Shown, work_out: WorkOut) -> Iterator[tuple[int, str, bool]]:
    """Columns, what their cells show, and whether it is a number, a date or a time."""
    for column, cell in _placed(row):
        value = work_out(number, column, _written(cell)) if _lacks_value(cell, shown) else _typed(cell, shown)
        is_number = isinstance(value, float) or cell.get("t") == "d"
        yield column, _shown(value, shown, cell.get("s", "")), is_number


def _written(cell: Any) -> str:
    """The formula of a cell; none where it shares that of another."""
    formula = child_of(cell, "f")
    return "" if formula is None else formula.text or ""


def _lacks_value(cell: Any, shown: Shown) -> bool:
    """Whether a cell has a formula without a calculated value."""
    if len(cell) == 0 or child_of(cell, "f") is None:
        return False
    value = child_of(cell, "v")
    if value is None or not value.text:
        return value is None or cell.get("t") != "str"
    return shown.stale and value.text == "0" and cell.get("t", "n") == "n"


def _typed(cell: Any, shown: Shown) -> Value:
    """The value of a cell; none for an error, too."""
    kind = cell.get("t", "n")
    if kind == "inlineStr":
        item = child_of(cell, "is")
        return None if item is None else _text(item)
    text = next((child.text for child in cell if local_name(child) == "v"), "") or ""
    if kind == "s":
        return shown.text(text)
    if kind == "e" or not text:
        return None
    if kind == "b":
        return text in TRUE
    if kind == "n":
        try:
            return float(text)
        except ValueError:
            return None
    return " ".join(text.split())


def _shown(value: Value, shown: Shown, style: str) -> str:
    if isinstance(value, bool):
        return str(value).upper()
    if isinstance(value, float):
        try:
            return formatted(value, shown.code(style), shown.base_1904)
        except (ValueError, OverflowError):
            return ""
    return value or ""
