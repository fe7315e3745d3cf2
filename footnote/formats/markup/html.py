"""HTML: the text that is seen."""

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING

from footnote.formats import Block, Headings
from footnote.formats.markup._html_article import CELLS, HEADINGS, is_closed, surroundings, walk
from footnote.formats.office import _tables
from footnote.formats.office._drawingml import described
from footnote.formats.plain.txt import decode, read_bytes

if TYPE_CHECKING:
    from selectolax.lexbor import LexborNode

MEDIA_TYPES: dict[str, tuple[str, ...]] = {"text/html": (".html", ".htm", ".xhtml", ".xht")}


# The text of an HTML page: blocks on lines of their own, headings as paths.

_PARAGRAPHS = {
    "address", "article", "aside", "blockquote", "body", "center", "details", "dialog", "div", "dl",
    "fieldset", "figure", "footer", "form", "header", "hgroup", "hr", "main", "menu", "nav", "ol", "p",
    "pre", "search", "section", "table", "ul", *HEADINGS,
}  # fmt: skip
_LINES = {
    "br", "caption", "dd", "dt", "figcaption", "legend", "li", "optgroup", "option", "summary", "tbody",
    "tfoot", "thead", "tr",
}  # fmt: skip
_LISTS = {"ul", "ol", "menu"}
_PREFORMATTED = {"pre", "textarea", "listing", "xmp", "plaintext"}
_STRENGTH = {"": 0, " ": 1, " | ": 2, "\n": 3, "\n\n": 4}
_SPACE = re.compile(r"[ \t\n\r\f]+")


class HtmlTextWriter:
    """Collects the text under one heading, and what must be between it and the next text."""

    def __init__(self) -> None:
        self._out: list[str] = []
        self._gap = ""
        self._mark = ""
        self._row_begun = False
        self._preformatted = 0
        self._lists: list[int] = []  # for each list around, the number of its next item, 0 if none is shown
        self._headings = Headings()
        self._table: int | None = None  # the one whose text is written already

    def take(self) -> Block:
        """The text so far, as a block under the current heading path."""
        block = Block("".join(self._out), heading=self._headings.path)
        self._out, self._gap = [], ""
        return block

    def is_done(self, node: "LexborNode") -> bool:
        """Whether nothing within is to be written."""
        return node.mem_id == self._table or is_closed(node)

    def enter(self, node: "LexborNode") -> Block | None:
        tag = node.tag or ""
        if tag == "-text":
            self._text(node.text_content or "")
            return None
        block = self.take() if tag in HEADINGS else None
        self._separate(tag)
        if tag in _SPECIAL and not is_closed(node):
            _SPECIAL[tag](self, node)
        elif tag in CELLS and self._row_begun:
            self._gap = " | "
        self._preformatted += tag in _PREFORMATTED
        return block

    def leave(self, node: "LexborNode") -> Block | None:
        tag = node.tag or ""
        if tag in HEADINGS:
            level, title = HEADINGS[tag], _SPACE.sub(" ", "".join(self._out)).strip()
            if title:
                self._headings.begin(level, title)
        self._preformatted -= tag in _PREFORMATTED
        if tag == "tr":
            self._gap = "\n"
        elif tag == "li":
            self._mark = ""
        elif tag in _LISTS and self._lists:
            self._lists.pop()
        elif tag == "q":
            self._text("”")
        self._separate(tag)
        return None

    def table(self, node: "LexborNode", text: str) -> None:
        """Writes the text of a table that was entered, instead of what is within it."""
        self._table = node.mem_id
        self._write(text)

    def _heading(self, _: "LexborNode") -> None:
        self._mark = ""

    def _row(self, _: "LexborNode") -> None:
        self._row_begun = False

    def _list(self, node: "LexborNode") -> None:
        start = node.attributes.get("start") or ""
        self._lists.append((int(start) if start.isdecimal() and len(start) < 9 else 1) if node.tag == "ol" else 0)

    def _item(self, _: "LexborNode") -> None:
        if self._lists and self._lists[-1]:
            self._mark = f"{self._lists[-1]}. "
            self._lists[-1] += 1

    def _picture(self, node: "LexborNode") -> None:
        self._text(described(node.attributes.get("alt") or ""))

    def _quotation(self, _: "LexborNode") -> None:
        self._text("“")
        self._gap = ""

    def _separate(self, tag: str) -> None:
        # What opens or closes inside a cell before its text must not separate the cell from its row.
        if self._gap != " | ":
            wanted = "\n\n" if tag in _PARAGRAPHS else "\n" if tag in _LINES else ""
            self._gap = max(self._gap, wanted, key=_STRENGTH.__getitem__)

    def _text(self, text: str) -> None:
        if not self._preformatted:
            text = _SPACE.sub(" ", text)
            if text.startswith(" ") and not self._gap:
                self._gap = " "
            text, ends_in_space = text.strip(" "), text.endswith(" ")
            if not text:
                return
        else:
            ends_in_space = False
        self._write(text)
        self._gap = " " if ends_in_space else ""

    def _write(self, text: str) -> None:
        if self._out:
            self._out.append(self._gap)
        self._out += [self._mark, text]
        self._row_begun = True
        self._gap = self._mark = ""


_SPECIAL: dict[str, Callable[[HtmlTextWriter, "LexborNode"], None]] = {
    "tr": HtmlTextWriter._row,
    "li": HtmlTextWriter._item,
    "img": HtmlTextWriter._picture,
    "q": HtmlTextWriter._quotation,
    **dict.fromkeys(_LISTS, HtmlTextWriter._list),
    **dict.fromkeys(HEADINGS, HtmlTextWriter._heading),
}


# Tables of data in HTML, as rows that a reader can follow.

_CELL_CHARACTERS = 300  # in a longer one there is more than a value, if no row of names says otherwise
_MOST_CHARACTERS = 5_000
_TABLE_ROWS = 2


def table_text(table: "LexborNode") -> tuple[str, str]:
    """The text and header of a table of data; nothing for one that arranges other tables, headings or longer texts."""
    grid = _tables.Grid()
    title = ""
    headers: dict[int, bool] = {}  # whether a row has nothing but names
    writer = HtmlTextWriter()
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
    text, columns = _tables.table_text(grid.rows, headed, padded=True)
    return "\n".join(filter(None, [title, text])), columns


def _span(cell: "LexborNode", name: str) -> int:
    value = cell.attributes.get(name) or ""
    return max(1, int(value)) if value.isdecimal() and len(value) < 4 else 1


def parse(path: Path) -> Iterator[Block]:
    yield from blocks(decode(read_bytes(path)), surroundings)


def blocks(markup: str, around: "Callable[[LexborNode], set[int]]" = lambda _: set()) -> Iterator[Block]:
    """The visible text of a page, all on page 1; the parts that are `around` its article follow it, as asides."""
    from selectolax.lexbor import LexborHTMLParser

    root = LexborHTMLParser(markup).root
    if root is None:
        return
    apart: list[LexborNode] = []
    yield from _blocks(root, around(root), apart)
    for node in apart:
        for block in _blocks(node, set(), apart):
            yield replace(block, aside=True)


def _blocks(root: "LexborNode", left_out: set[int], apart: "list[LexborNode]") -> Iterator[Block]:
    """The text within a node, without the nodes that are left out; those come to lie `apart`."""
    writer = HtmlTextWriter()

    def is_done(node: "LexborNode") -> bool:
        return node.mem_id in left_out or writer.is_done(node)

    for node, entering in walk(root, is_done):
        block = writer.enter(node) if entering else writer.leave(node)
        if block:
            yield block
        if not entering or is_closed(node):
            continue
        if node.mem_id in left_out:
            apart.append(node)
        elif node.tag == "table":
            text, columns = table_text(node)
            if text and columns:
                yield writer.take()
                writer.table(node, text)
                yield replace(writer.take(), columns=columns)
            elif text:
                writer.table(node, text)
    yield writer.take()
