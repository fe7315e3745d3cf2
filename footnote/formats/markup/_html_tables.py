"""Tables of data in HTML, as rows that a reader can follow."""

from itertools import takewhile
from typing import TYPE_CHECKING

from footnote.formats.markup._html_text import Writer
from footnote.formats.markup._html_tree import CELLS, HEADINGS, is_closed, walk
from footnote.formats.office import _tables

if TYPE_CHECKING:
    from selectolax.lexbor import LexborNode

_CELL_CHARACTERS = 300  # in a longer one there is more than a value, if no row of names tells otherwise
_MOST_CHARACTERS = 5_000
_TABLE_ROWS = 2


def table_text(table: "LexborNode") -> tuple[str, str]:
    """The text and header of a table of data; nothing for one that arranges other tables, headings or longer texts."""
    grid = _tables.Grid()
    title = ""
    headers: dict[int, bool] = {}  # whether a row has nothing but names
    writer = Writer()
    for node, entering in walk(table, is_closed):
        tag = node.tag or ""
        if tag in HEADINGS or (tag == "table" and node.mem_id != table.mem_id):
            return "", ""
        if tag == "tr" and entering:
            grid.begin_row()
        elif tag in CELLS and entering:
            writer.take()
        elif tag in CELLS:
            text = writer.take().text
            if len(text) > (_MOST_CHARACTERS if headers.get(1) and len(grid.rows) > 1 else _CELL_CHARACTERS):
                return "", ""
            grid.add(text, _span(node, "colspan"), _span(node, "rowspan"))
            headers[len(grid.rows)] = headers.get(len(grid.rows), True) and tag == "th"
        elif tag == "caption" and not entering:
            title = writer.take().text
        elif tag != "table":
            writer.enter(node) if entering else writer.leave(node)
    if sum(len(row) > 1 for row in grid.rows) < _TABLE_ROWS:
        return "", ""
    headed = sum(1 for _ in takewhile(bool, headers.values()))
    text, columns = _tables.text(grid.rows, headed, padded=True)
    return "\n".join(filter(None, [title, text])), columns


def _span(cell: "LexborNode", name: str) -> int:
    value = cell.attributes.get(name) or ""
    return max(1, int(value)) if value.isdecimal() and len(value) < 4 else 1
