"""HTML: the text that is seen."""

from collections.abc import Iterator
from pathlib import Path

from footnote.formats import Block
from footnote.formats._html_tables import table_text
from footnote.formats._html_text import Writer
from footnote.formats._html_tree import is_closed, walk
from footnote.formats.txt import decode, read_bytes

MEDIA_TYPES: dict[str, tuple[str, ...]] = {"text/html": (".html", ".htm", ".xhtml", ".xht")}


def parse(path: Path) -> Iterator[Block]:
    yield from blocks(decode(read_bytes(path)))


def blocks(markup: str) -> Iterator[Block]:
    """The visible text of a page, all on page 1."""
    from selectolax.lexbor import LexborHTMLParser

    root = LexborHTMLParser(markup).root
    if root is None:
        return
    writer = Writer()
    for node, entering in walk(root, writer.is_done):
        block = writer.enter(node) if entering else writer.leave(node)
        if block:
            yield block
        if entering and node.tag == "table" and not is_closed(node):
            text = table_text(node)
            if text:
                writer.table(node, text)
    yield writer.take()
