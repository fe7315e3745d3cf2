"""The text of an HTML page: blocks on lines of their own, headings as paths."""

import re
from collections.abc import Callable
from typing import TYPE_CHECKING

from footnote.formats import Block
from footnote.formats.markup._html_tree import CELLS, HEADINGS, is_closed
from footnote.formats.office._pictures import described

if TYPE_CHECKING:
    from selectolax.lexbor import LexborNode

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


class Writer:
    """Collects the text under one heading, and what must stand between it and the next text."""

    def __init__(self) -> None:
        self._out: list[str] = []
        self._gap = ""
        self._mark = ""
        self._row_begun = False
        self._preformatted = 0
        self._lists: list[int] = []  # for each list around, the number of its next item, 0 if none is shown
        self._path: list[tuple[int, str]] = []
        self._table: int | None = None  # the one whose text is written already

    def take(self) -> Block:
        """The text so far, as a block under the current heading path."""
        block = Block("".join(self._out), heading=tuple(title for _, title in self._path))
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


_SPECIAL: dict[str, Callable[[Writer, "LexborNode"], None]] = {
    "tr": Writer._row,
    "li": Writer._item,
    "img": Writer._picture,
    "q": Writer._quotation,
    **dict.fromkeys(_LISTS, Writer._list),
    **dict.fromkeys(HEADINGS, Writer._heading),
}
