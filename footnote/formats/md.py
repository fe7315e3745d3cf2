"""Markdown. The text stays the source text; the parser only tells where headings are."""

import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from footnote.formats import Block
from footnote.formats.txt import decode, read_bytes
from footnote.text import clean

if TYPE_CHECKING:
    from markdown_it.token import Token

MEDIA_TYPES: dict[str, tuple[str, ...]] = {"text/markdown": (".md", ".markdown", ".mdx")}

# Parsed as Markdown, the closing rule would turn the last line of front matter into a heading.
_FRONT_MATTER = re.compile(r"---[ \t]*\n.*?\n(?:---|\.\.\.)[ \t]*(?:\n|\Z)", re.S)


def parse(path: Path) -> Iterator[Block]:
    from markdown_it import MarkdownIt

    text = clean(decode(read_bytes(path)))
    front = _FRONT_MATTER.match(text)
    if front:
        yield Block(front.group())
        text = text[front.end() :]
    # Inline markup is not needed to find headings, and is most of the parser's work.
    md = MarkdownIt("commonmark").enable("table")
    md.core.ruler.enableOnly(["normalize", "block"])
    lines = text.split("\n")
    path_above: list[tuple[int, str]] = []
    start = 0
    for line, level, title in _headings(md.parse(text)):
        yield Block("\n".join(lines[start:line]), heading=tuple(name for _, name in path_above))
        path_above = [above for above in path_above if above[0] < level] + [(level, _plain(title))]
        start = line
    yield Block("\n".join(lines[start:]), heading=tuple(name for _, name in path_above))


def _headings(tokens: "list[Token]") -> Iterator[tuple[int, int, str]]:
    """First line, level and source of every heading that stands outside quotes and lists."""
    for token, content in pairwise(tokens):
        if token.type == "heading_open" and token.level == 0 and token.map:
            yield token.map[0], int(token.tag[1:]), content.content


def _plain(source: str) -> str:
    """A heading without its inline markup."""
    source = source[:1000]  # more is no heading, and what follows takes quadratic time
    source = re.sub(r"!?\[([^\]]*)\](?:\([^)]*\)|\[[^\]]*\])", r"\1", source)
    source = re.sub(r"<[^>]+>", "", source)
    return re.sub(r"\s+", " ", re.sub(r"[*`]+|(?<!\w)_+|_+(?!\w)", "", source)).strip()
