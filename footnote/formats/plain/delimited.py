"""Tables in text files (.csv, .tsv): each row with the names of its columns, as of a sheet."""

import csv
import re
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from footnote.formats import PAGE_CHARACTERS, Block
from footnote.formats.office import _tables
from footnote.formats.office._tables import Row
from footnote.formats.plain.txt import decode, read_bytes
from footnote.text import clean, is_blank

MEDIA_TYPES: dict[str, tuple[str, ...]] = {
    "text/csv": (".csv",),
    "text/tab-separated-values": (".tsv", ".tab"),
}

_DELIMITERS = "\t;|,"  # where two divide the rows equally well, the comma is the one within numbers and words
_SAMPLE_ROWS = 100
_SAMPLE_CHARACTERS = 64 * 1024
_NAMED = re.compile(r"sep=(.)\n")  # Excel's own way to say it


def parse(path: Path) -> Iterator[Block]:
    text = clean(decode(read_bytes(path)))
    named = _NAMED.match(text)
    if named:
        text = text[named.end() :]
    yield from _tables.blocks(_rows(text, named.group(1) if named else delimiter(text)), 1, "")


def delimiter(text: str) -> str:
    """The character that separates the cells: the one that divides most rows into the same number of several cells."""
    sample = text[:_SAMPLE_CHARACTERS].split("\n")
    if len(text) > _SAMPLE_CHARACTERS:
        del sample[-1]
    best, best_share = ",", 0.0
    for candidate in _DELIMITERS:
        widths = [len(row) for row in islice(_read(sample, candidate, csv.QUOTE_MINIMAL), _SAMPLE_ROWS) if any(row)]
        if not widths:
            continue
        width, count = Counter(widths).most_common(1)[0]
        share = count / len(widths) if width > 1 else 0.0
        if share > best_share:
            best, best_share = candidate, share
    return best


def _rows(text: str, separator: str) -> Iterator[Row]:
    lines = text.split("\n")
    quoting = csv.QUOTE_NONE if _swallows(text, lines, separator) else csv.QUOTE_MINIMAL
    reader = _read(lines, separator, quoting)
    begun = 0
    for number, cells in enumerate(reader):
        texts = {column: " ".join(cell.split()) for column, cell in enumerate(cells) if not is_blank(cell)}
        if texts:
            numbers = {column for column in texts if _tables.is_number(texts[column])}
            source = " ".join(" ".join(lines[begun : reader.line_num]).split())
            yield Row(number, texts, numbers, source=source)
        begun = reader.line_num


def _read(lines: list[str], separator: str, quoting: Any) -> Any:
    """A reader of the standard library over lines without their ends."""
    csv.field_size_limit(PAGE_CHARACTERS)
    return csv.reader((line + "\n" for line in lines), delimiter=separator, quoting=quoting)


def _swallows(text: str, lines: list[str], separator: str) -> bool:
    """Whether a stray quotation mark at the start of a cell makes one cell of all that follows."""
    if text.count('"') % 2 == 0 or text.rstrip().endswith('"'):
        return False
    last: list[str] = []
    for row in _read(lines, separator, csv.QUOTE_MINIMAL):
        last = row or last
    return any("\n" in cell for cell in last[-1:])
