"""Tables in reStructuredText: where they stand, and which of their lines name the columns."""

import re
from collections.abc import Callable, Iterator
from itertools import accumulate

_GRID_TOP = re.compile(r"[ \t]*\+[-+]*-\+[ \t]*")
_GRID_BORDER = re.compile(r"[ \t]*\+[=+]*=\+[ \t]*")
_SIMPLE_BORDER = re.compile(r"[ \t]*=+(?:[ \t]+=+)+[ \t]*")
_DIRECTIVE = re.compile(r"([ \t]*)\.\. (?:list|csv)-table::")
_HEADER_ROWS = re.compile(r"[ \t]*:header-rows:[ \t]*(\d{1,2})[ \t]*")
_HEADER = re.compile(r"[ \t]*:header:[ \t]*(.+)")
_ROW = re.compile(r"[ \t]*\*[ \t]+-[ \t]*")
_CELL = re.compile(r"[ \t]*-[ \t]+")


def tables(text: str) -> Iterator[tuple[int, int, str]]:
    """Start, end and header of every table that has a header."""
    lines = text.split("\n")
    starts = list(accumulate((len(line) + 1 for line in lines), initial=0))
    number = 0
    while number < len(lines):
        end, columns = _table(lines, number)
        if columns:
            yield starts[number], starts[end] - 1, columns
        number = end


def _table(lines: list[str], start: int) -> tuple[int, str]:
    """The line behind the table that starts at a line, and its header; the next line where none starts."""
    line = lines[start]
    if _GRID_TOP.fullmatch(line):
        end = _first(lines, start + 1, lambda line: not line.lstrip().startswith(("|", "+")))
        border = start + _first(lines[start:end], 1, _GRID_BORDER.fullmatch)
        return end, _squeezed(lines[start + 1 : border]) if border < end else ""
    if _SIMPLE_BORDER.fullmatch(line):
        return _simple(lines, start)
    directive = _DIRECTIVE.match(line)
    if directive:
        margin = len(directive[1])
        end = _first(lines, start + 1, lambda line: bool(line.strip()) and len(line) - len(line.lstrip()) <= margin)
        return end, _directed(lines[start + 1 : end])
    return start + 1, ""


def _first(lines: list[str], start: int, wanted: Callable[[str], object]) -> int:
    """The number of the first line from `start` on that is wanted, or behind the last one."""
    return next((number for number in range(start, len(lines)) if wanted(lines[number])), len(lines))


def _simple(lines: list[str], start: int) -> tuple[int, str]:
    """A table between borders of equals signs; the one that ends it is followed by a blank line."""
    border = _first(lines, start + 1, _SIMPLE_BORDER.fullmatch)
    last = border
    while last + 1 < len(lines) and lines[last + 1].strip():
        last = _first(lines, last + 1, _SIMPLE_BORDER.fullmatch)
    end = min(last + 1, len(lines))
    return end, _squeezed(lines[start + 1 : border]) if start + 1 < border < last < len(lines) else ""


def _squeezed(lines: list[str]) -> str:
    return "\n".join(" ".join(line.split()) for line in lines).strip("| ")


def _directed(lines: list[str]) -> str:
    """The header of a table that is written as a list of lists, or as CSV."""
    given = next(filter(None, map(_HEADER.fullmatch, lines)), None)
    if given:
        return " ".join(given[1].split())
    count = next((int(found[1]) for found in map(_HEADER_ROWS.fullmatch, lines) if found), 0)
    rows = [number for number, line in enumerate(lines) if _ROW.match(line)]
    if rows:
        ends = [*rows[1:], len(lines)]
        return "\n".join(_items(lines[first:end]) for first, end in list(zip(rows, ends, strict=True))[:count])
    body = _first(lines, 0, lambda line: not line.strip()) + 1
    return "\n".join(" ".join(line.split()) for line in lines[body : body + count])


def _items(lines: list[str]) -> str:
    cells = (_CELL.sub("", _ROW.sub("", line), count=1).strip() for line in lines)
    return " | ".join(filter(None, cells))
