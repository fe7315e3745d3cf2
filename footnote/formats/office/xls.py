"""Workbooks in the old form (.xls), and in the binary one that .xlsx has a variant of: read by calamine, which does not
keep number formats but for dates."""

import math
from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from footnote.errors import DocumentRejected
from footnote.formats import Block
from footnote.formats.office import _package, _tables
from footnote.formats.office._number_formats import plain
from footnote.formats.office._tables import Merged, Row

if TYPE_CHECKING:
    from python_calamine import CalamineSheet

MEDIA_TYPES: dict[str, tuple[str, ...]] = {_package.XLS: (".xls", ".xlt")}

Value = int | float | str | bool | time | date | datetime | timedelta


def recognise(head: bytes) -> str | None:
    """An old Office file whose directory begins with a workbook; others may have one embedded."""
    found = _package.ole2_streams(head) if head.startswith(_package.OLE2_MAGIC) else []
    return _package.XLS if found and found[0] in _package.WORKBOOKS else None


def parse(path: Path) -> Iterator[Block]:
    with path.open("rb") as file:
        if file.read(len(_package.OLE2_MAGIC)) != _package.OLE2_MAGIC:
            raise DocumentRejected("type_mismatch")
    yield from read(path)


def read(path: Path) -> Iterator[Block]:
    """The sheets of a workbook in any form that calamine knows."""
    from python_calamine import CalamineError, CalamineWorkbook, PasswordError

    try:
        with CalamineWorkbook.from_path(path) as workbook:
            for index, name in enumerate(workbook.sheet_names):
                yield Block("", index + 1)
                yield from _tables.blocks(_rows(workbook.get_sheet_by_index(index)), index + 1, name)
    except PasswordError as error:
        raise DocumentRejected("encrypted") from error
    except (CalamineError, OSError) as error:
        _package.refuse_ole2(path, _package.WORKBOOKS)
        raise DocumentRejected("corrupt_file") from error


def _rows(sheet: "CalamineSheet") -> Iterator[Row]:
    merged = Merged(dict(sheet.merged_cell_ranges or ()))
    _, left = sheet.start or (0, 0)
    for number, values in enumerate(sheet.iter_rows()):
        row = merged.row(number, _cells(values, left))
        if row:
            yield row


def _cells(values: list[Value], left: int) -> Iterator[tuple[int, str, bool]]:
    for column, value in enumerate(values, start=left):
        yield column, _shown(value), not isinstance(value, (str, bool))


def _shown(value: Value) -> str:
    match value:
        case bool():
            return str(value).upper()
        case int() | float():
            return plain(value) if math.isfinite(value) else ""
        case datetime() if value.time() == time():
            return value.date().isoformat()
        case datetime():
            return value.isoformat(" ", "seconds")
        case time():
            return value.isoformat("seconds")
        case timedelta():
            minutes, seconds = divmod(round(value.total_seconds()), 60)
            return f"{minutes // 60}:{minutes % 60:02}:{seconds:02}"
    return " ".join(str(value).split())
