"""reStructuredText. The text stays the source text; only its section titles and tables are looked for."""

import re
from collections.abc import Callable, Iterator
from itertools import accumulate
from pathlib import Path

from footnote.formats import Block, Headings
from footnote.formats.plain.txt import decode, read_bytes
from footnote.text import clean

MEDIA_TYPES: dict[str, tuple[str, ...]] = {"text/x-rst": (".rst", ".rest")}


# Tables in reStructuredText: where they stand, and which of their lines name the columns.

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
    """The line after the table that starts at a line, and its header; the next line where none starts."""
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
    """The number of the first line from `start` on that is wanted, or after the last one."""
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


# A title, underlined and perhaps overlined with one punctuation character, at the margin.
_TITLE = re.compile(
    r"^(?:(?P<over>([!-/:-@\[-`{-~])\2+)[ \t]*\n[ \t]*)?(?P<title>\S.*)\n(?P<under>([!-/:-@\[-`{-~])\5+)[ \t]*$", re.M
)
_ROLE = re.compile(r"(?::[\w.:+-]+:)?`+([^`<]*?)\s*(?:<[^`>]*>)?`+_*")
_SHORTEST = 3


def parse(path: Path) -> Iterator[Block]:
    text = clean(decode(read_bytes(path)))
    headings = Headings()
    styles: list[tuple[str, bool]] = []
    start = 0
    for position, title, style in _titles(text):
        yield from _blocks(text[start:position], headings.path)
        if style not in styles:
            # Only their order says which character stands for which level.
            styles.append(style)
        level = styles.index(style)
        headings.begin(level, title)
        start = position
    yield from _blocks(text[start:], headings.path)


def _blocks(text: str, heading: tuple[str, ...]) -> Iterator[Block]:
    start = 0
    for begin, end, columns in tables(text):
        yield Block(text[start:begin], heading=heading)
        yield Block(text[begin:end], heading=heading, columns=columns)
        start = end
    yield Block(text[start:], heading=heading)


def _titles(text: str) -> Iterator[tuple[int, str, tuple[str, bool]]]:
    """Offset, words and style (character, overlined) of every section title."""
    for match in _TITLE.finditer(text):
        title, under, over = match["title"].rstrip(), match["under"], match["over"]
        if over and over != under:
            continue
        if len(under) < max(_SHORTEST, len(title)) or not any(map(str.isalnum, title)):
            continue
        before = text[: match.start()]
        if before.strip() and not over and not before.endswith("\n\n"):
            continue
        words = " ".join(_ROLE.sub(r"\1", title).replace("*", "").split())
        yield match.start(), words, (under[0], bool(over))
