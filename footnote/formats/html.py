"""HTML: the text that is seen."""

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from footnote.formats import Block
from footnote.formats._html_article import surroundings
from footnote.formats._html_tables import table_text
from footnote.formats._html_text import Writer
from footnote.formats._html_tree import is_closed, walk
from footnote.formats.txt import decode, read_bytes

if TYPE_CHECKING:
    from selectolax.lexbor import LexborNode

MEDIA_TYPES: dict[str, tuple[str, ...]] = {"text/html": (".html", ".htm", ".xhtml", ".xht")}

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
    yield from blocks(decode(data, declared_encoding(data)), surroundings)


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
    writer = Writer()

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
