"""SpreadsheetML: the rows of a worksheet as they stream, and what its cells refer to."""

import re
import zipfile
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from footnote.formats import _xml, _zip
from footnote.formats._number_formats import BUILT_IN, formatted
from footnote.formats._sheet_rows import Merged, Row
from footnote.formats._xml import child_of, children_of, local_name

_COLUMNS = 16_384
_TRUE = {"1", "true"}
_MERGED = re.compile(rb"mergeCell\s+ref=[\"']([A-Z]{1,3})(\d{1,7}):([A-Z]{1,3})(\d{1,7})[\"']")
_ESCAPED = re.compile("_x([0-9A-Fa-f]{4})_")


class Shown:
    """What cells refer to: the texts they share, and the format codes of their styles."""

    def __init__(self, archive: zipfile.ZipFile, texts: str | None, styles: str | None, base_1904: bool) -> None:
        self.texts = [_text(item) for item in _xml.stream(archive, texts, "si")] if texts else []
        self.codes = _codes(_xml.read(archive, styles)) if styles else []
        self.base_1904 = base_1904

    def text(self, index: str) -> str:
        return self.texts[int(index)] if index.isdecimal() and int(index) < len(self.texts) else ""

    def code(self, style: str) -> str:
        return self.codes[int(style)] if style.isdecimal() and int(style) < len(self.codes) else ""


def _codes(styles: Any) -> list[str]:
    formats = child_of(styles, "numFmts")
    own = {each.get("numFmtId"): each.get("formatCode", "") for each in ([] if formats is None else formats)}
    known = {str(number): code for number, code in BUILT_IN.items()} | own
    cells = child_of(styles, "cellXfs")
    return [known.get(each.get("numFmtId"), "") for each in ([] if cells is None else cells)]


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


def rows(archive: zipfile.ZipFile, part: str, shown: Shown) -> Iterator[Row]:
    """The rows of a worksheet that hold something."""
    merged = Merged(_merged(archive, part))
    number = 0
    for element in _xml.stream(archive, part, "row"):
        given = element.get("r", "")
        number = int(given) if given.isdecimal() else number + 1
        row = merged.row(number, _cells(element, shown))
        if row:
            yield row


def _merged(archive: zipfile.ZipFile, part: str) -> dict[tuple[int, int], tuple[int, int]]:
    """Merged cells. They are listed behind the rows they apply to, so that a worksheet is read twice."""
    found = {}
    with archive.open(_zip.member(archive, part)) as stream:
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


def _cells(row: Any, shown: Shown) -> Iterator[tuple[int, str, bool]]:
    column = -1
    for cell in row:
        letters = cell.get("r", "").rstrip("0123456789").encode()
        column = _column(letters) if letters.isupper() else column + 1
        if 0 <= column < _COLUMNS:
            yield column, *_value(cell, shown)


def _value(cell: Any, shown: Shown) -> tuple[str, bool]:
    """What a cell shows, and whether it is a number, a date or a time."""
    kind = cell.get("t", "n")
    if kind == "inlineStr":
        item = child_of(cell, "is")
        return ("" if item is None else _text(item)), False
    text = next((child.text for child in cell if local_name(child) == "v"), "") or ""
    if kind == "s":
        return shown.text(text), False
    if kind == "b":
        return "TRUE" if text in _TRUE else "FALSE" if text else "", False
    if kind == "e" or not text:
        return "", False
    if kind == "n":
        try:
            return formatted(float(text), shown.code(cell.get("s", "")), shown.base_1904), True
        except (ValueError, OverflowError):
            return "", False
    return " ".join(text.split()), kind == "d"
