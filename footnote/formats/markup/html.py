"""HTML: the text that is seen."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from footnote.formats import Block
from footnote.formats.markup._html_article import surroundings
from footnote.formats.markup._html_tables import table_text
from footnote.formats.markup._html_text import Writer
from footnote.formats.markup._html_tree import is_closed, walk
from footnote.formats.plain.txt import decode, read_bytes

if TYPE_CHECKING:
    from selectolax.lexbor import LexborNode

MEDIA_TYPES: dict[str, tuple[str, ...]] = {"text/html": (".html", ".htm", ".xhtml", ".xht")}


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
