"""HTML: the visible text, blocks on lines of their own, headings as paths."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from footnote.formats import Block, _tables
from footnote.formats._pictures import described
from footnote.formats.txt import decode, read_bytes

if TYPE_CHECKING:
    from selectolax.lexbor import LexborNode

MEDIA_TYPES: dict[str, tuple[str, ...]] = {"text/html": (".html", ".htm", ".xhtml", ".xht")}

_IGNORED = {"head", "script", "style", "noscript", "template", "svg", "iframe", "-comment", "!doctype"}
_HEADINGS = {f"h{level}": level for level in range(1, 7)}
_PARAGRAPHS = {
    "address", "article", "aside", "blockquote", "body", "center", "details", "dialog", "div", "dl",
    "fieldset", "figure", "footer", "form", "header", "hgroup", "hr", "main", "menu", "nav", "ol", "p",
    "pre", "search", "section", "table", "ul", *_HEADINGS,
}  # fmt: skip
_LINES = {
    "br", "caption", "dd", "dt", "figcaption", "legend", "li", "optgroup", "option", "summary", "tbody",
    "tfoot", "thead", "tr",
}  # fmt: skip
_CELLS = {"td", "th"}
_LISTS = {"ul", "ol", "menu"}
_CELL_CHARACTERS = 300  # in a longer one there is more than a value
_TABLE_ROWS = 2
_HIDDEN = re.compile(r"display\s*:\s*none|visibility\s*:\s*hidden", re.I)
_PREFORMATTED = {"pre", "textarea", "listing", "xmp", "plaintext"}
_STRENGTH = {"": 0, " ": 1, " | ": 2, "\n": 3, "\n\n": 4}
_SPACE = re.compile(r"[ \t\n\r\f]+")
_DECLARED = re.compile(rb"<(?:meta|\?xml)[^>]*?(?:charset|encoding)\s*=\s*[\"']?\s*([\w:.-]+)", re.I)
# Browsers read these labels as the superset; files that carry them rely on it.
_SUPERSETS = {
    "iso-8859-1": "cp1252", "latin1": "cp1252", "us-ascii": "cp1252", "iso-8859-9": "cp1254",
    "gb2312": "gb18030", "gbk": "gb18030", "shift_jis": "cp932", "x-sjis": "cp932",
    "euc-kr": "cp949", "ks_c_5601-1987": "cp949",
}  # fmt: skip


def declared_encoding(data: bytes) -> str | None:
    """The encoding a page says it has, as Python's codecs call it."""
    match = _DECLARED.search(data[:4096])
    label = match.group(1).decode("ascii").lower() if match else None
    return _SUPERSETS.get(label, label) if label else None


def parse(path: Path) -> Iterator[Block]:
    data = read_bytes(path)
    yield from blocks(decode(data, declared_encoding(data)))


def blocks(markup: str) -> Iterator[Block]:
    """The visible text of a page, all on page 1."""
    from selectolax.lexbor import LexborHTMLParser

    root = LexborHTMLParser(markup).root
    if root is None:
        return
    writer = _Writer()
    for node, entering in _walk(root, writer.is_closed):
        block = writer.enter(node) if entering else writer.leave(node)
        if block:
            yield block
    yield writer.take()


def _walk(root: "LexborNode", is_closed: Callable[["LexborNode"], bool]) -> Iterator[tuple["LexborNode", bool]]:
    """Every node on the way in and on the way out, without recursion: nesting is the author's to choose.

    What is within a closed node is left out; that is asked when its way in has been seen.
    """
    node, entering = root, True
    while True:
        yield node, entering
        child = node.first_child if entering else None
        if child is not None and not is_closed(node):
            node = child
            continue
        if entering:
            yield node, False
        if node.mem_id == root.mem_id:
            return
        following = node.next
        above = node.parent
        if following is not None:
            node, entering = following, True
        elif above is not None:
            node, entering = above, False
        else:
            return


def _is_closed(node: "LexborNode") -> bool:
    """Whether nothing within is seen."""
    attributes = node.attributes
    return node.tag in _IGNORED or "hidden" in attributes or bool(_HIDDEN.search(attributes.get("style") or ""))


def _table(table: "LexborNode") -> str:
    """The text of a table of data; nothing for one that arranges other tables, headings or longer texts."""
    grid = _tables.Grid()
    title, headed = "", True
    writer = _Writer()
    for node, entering in _walk(table, _is_closed):
        tag = node.tag or ""
        if tag in _HEADINGS or (tag == "table" and node.mem_id != table.mem_id):
            return ""
        if tag == "tr" and entering:
            grid.begin_row()
        elif tag in _CELLS and entering:
            writer.take()
        elif tag in _CELLS:
            text = writer.take().text
            if len(text) > _CELL_CHARACTERS:
                return ""
            grid.add(text, _span(node, "colspan"), _span(node, "rowspan"))
            headed = headed and (tag == "th" or len(grid.rows) > 1)
        elif tag == "caption" and not entering:
            title = writer.take().text
        elif tag != "table":
            writer.enter(node) if entering else writer.leave(node)
    if sum(len(row) > 1 for row in grid.rows) < _TABLE_ROWS:
        return ""
    return "\n".join(filter(None, [title, _tables.text(grid.rows, headed, padded=True)]))


def _span(cell: "LexborNode", name: str) -> int:
    value = cell.attributes.get(name) or ""
    return max(1, int(value)) if value.isdecimal() and len(value) < 4 else 1


class _Writer:
    """Collects the text under one heading, and what must stand between it and the next text."""

    def __init__(self) -> None:
        self._out: list[str] = []
        self._gap = ""
        self._mark = ""
        self._row_begun = False
        self._preformatted = 0
        self._lists: list[int] = []  # for each list around, the number of its next item, 0 if none is shown
        self._path: list[tuple[int, str]] = []
        self._written: int | None = None  # the table whose text is written already

    def take(self) -> Block:
        """The text so far, as a block under the current heading path."""
        block = Block("".join(self._out), heading=tuple(title for _, title in self._path))
        self._out, self._gap = [], ""
        return block

    def is_closed(self, node: "LexborNode") -> bool:
        return node.mem_id == self._written or _is_closed(node)

    def enter(self, node: "LexborNode") -> Block | None:
        tag = node.tag or ""
        if tag == "-text":
            self._text(node.text_content or "")
            return None
        block = self.take() if tag in _HEADINGS else None
        self._separate(tag)
        if tag in _SPECIAL and not _is_closed(node):
            _SPECIAL[tag](self, node)
        elif tag in _CELLS and self._row_begun:
            self._gap = " | "
        self._preformatted += tag in _PREFORMATTED
        return block

    def leave(self, node: "LexborNode") -> Block | None:
        tag = node.tag or ""
        if tag in _HEADINGS:
            level, title = _HEADINGS[tag], _SPACE.sub(" ", "".join(self._out)).strip()
            if title:
                self._path = [above for above in self._path if above[0] < level] + [(level, title)]
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

    def _whole_table(self, node: "LexborNode") -> None:
        text = _table(node)
        if text:
            self._written = node.mem_id
            self._write(text)

    def _separate(self, tag: str) -> None:
        # What opens or closes inside a cell before its text must not part the cell from its row.
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


_SPECIAL: dict[str, Callable[[_Writer, "LexborNode"], None]] = {
    "tr": _Writer._row,
    "li": _Writer._item,
    "img": _Writer._picture,
    "q": _Writer._quotation,
    "table": _Writer._whole_table,
    **dict.fromkeys(_LISTS, _Writer._list),
    **dict.fromkeys(_HEADINGS, _Writer._heading),
}
