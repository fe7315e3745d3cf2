"""DrawingML: the text of shapes, tables, diagrams and charts."""

import re
from collections.abc import Iterator
from typing import Any

from footnote.formats.office import _tables
from footnote.formats.office._package import TRUE, child_of, children_of, descendants_of, local_name, value_of

_CHARACTERS = {"br": "\n", "tab": "\t"}
# Text that PowerPoint fills in itself, and other parts that are not text.
_SKIPPED = {"pPr", "rPr", "endParaRPr", "Fallback"}
_DEPTH = "  "


def text_of(body: Any) -> str:
    """A line per paragraph of a text body, indented by its level."""
    if body is None:
        return ""
    lines = []
    for paragraph in children_of(body, "p"):
        text = "".join(_runs(paragraph)).rstrip()
        level = value_of(child_of(paragraph, "pPr"), "lvl")
        lines.append(_DEPTH * int(level) + text if text and level in set("12345678") else text)
    return "\n".join(lines).strip("\n")


def _runs(element: Any) -> Iterator[str]:
    for child in element:
        name = local_name(child)
        if name == "t":
            yield child.text or ""
        elif name in _CHARACTERS:
            yield _CHARACTERS[name]
        elif name == "fld" and value_of(child, "type") == "slidenum":
            continue
        elif name and name not in _SKIPPED:
            yield from _runs(child)


def table_text(table: Any) -> tuple[str, str]:
    """The text of a table, and the header that its rows lack."""
    grid = _tables.Grid()
    for row in children_of(table, "tr"):
        grid.begin_row()
        for cell in children_of(row, "tc"):
            if value_of(cell, "hMerge") not in TRUE and value_of(cell, "vMerge") not in TRUE:
                grid.add(text_of(child_of(cell, "txBody")), span(cell, "gridSpan"), span(cell, "rowSpan"))
    headed = value_of(child_of(table, "tblPr"), "firstRow") in TRUE
    return _tables.table_text(grid.rows, int(headed))


def span(element: Any, name: str = "val") -> int:
    """How many rows or columns a cell covers."""
    count = value_of(element, name)
    return int(count) if count.isdecimal() and 0 < int(count) < 1000 else 1


def diagram_text(model: Any) -> str:
    """The text of a SmartArt diagram's points, in the order of its data."""
    return "\n".join(filter(None, map(text_of, descendants_of(model, "t"))))


def chart_text(space: Any) -> str:
    """A chart as a table: its title, then a line per category with the values of all series and their names."""
    chart = child_of(space, "chart")
    if chart is None:
        return ""
    names, columns = [], []
    categories: dict[int, str] = {}
    for series in descendants_of(chart, "ser"):
        names.append(" ".join(_cached(child_of(series, "tx")).values()))
        categories = _cached(child_of(series, "cat")) | _cached(child_of(series, "xVal")) | categories
        columns.append(_cached(child_of(series, "val")) or _cached(child_of(series, "yVal")))
    lines = [text_of(child_of(chart, "title", "tx", "rich"))]
    for index in sorted({*categories, *(index for column in columns for index in column)}):
        cells = [categories.get(index, "")]
        for name, column in zip(names, columns, strict=True):
            if index in column:
                cells.append(f"{name}: {column[index]}" if name else column[index])
        lines.append(" | ".join(filter(None, cells)))
    return "\n".join(filter(None, lines))


def _cached(source: Any) -> dict[int, str]:
    """The values that the program saved with a reference into a sheet, by their index."""
    if source is None:
        return {}
    points = {}
    for point in descendants_of(source, "pt"):
        index, value = value_of(point, "idx"), child_of(point, "v")
        if index.isdigit() and value is not None and value.text:
            points[int(index)] = _number(value.text)
    return points


def _number(text: str) -> str:
    """A number as it is read, without the noise of its binary form; other text as it is."""
    try:
        return f"{float(text):.11g}" if not text.isdigit() else text
    except ValueError:
        return text


# What the author of a document says that a picture shows.

# Names of files, and what programs write by themselves, say nothing.
_FILE = re.compile(r"\S*[\\/]\S*|.*[\\/].*\.\w{2,4}|.*\.(?:png|jpe?g|gif|bmp|emf|wmf|tiff?|svg|pict?|webp)", re.I)
_GENERATED = re.compile(r"\s*Description automatically generated.*", re.S)


def described(alternative: str) -> str:
    """An alternative text in brackets, or nothing."""
    words = " ".join(_GENERATED.sub("", alternative).split())
    return f"[{words}]" if words and not _FILE.fullmatch(words) else ""
