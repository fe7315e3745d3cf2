"""Markdown. The text stays the source text; the parser only finds headings and tables in it."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from footnote.formats import Block, Headings
from footnote.formats.plain.txt import decode, read_bytes
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
    # Inline markup is not needed to find headings and tables, and is most of the parser's work.
    md = MarkdownIt("commonmark").enable("table")
    md.core.ruler.enableOnly(["normalize", "block"])
    lines = text.split("\n")
    headings = Headings()
    start = 0
    tokens = md.parse(text)
    for place, token in enumerate(tokens):
        if not token.map or not (_is_heading(token) or token.type == "table_open"):
            continue
        yield Block("\n".join(lines[start : token.map[0]]), heading=headings.path)
        start = token.map[0]
        if token.type == "table_open":
            start = token.map[1]
            table = lines[token.map[0] : start]
            yield Block("\n".join(table), heading=headings.path, columns=" ".join(table[0].split()).strip("| "))
        else:
            headings.begin(int(token.tag[1:]), _plain(tokens[place + 1].content))
    yield Block("\n".join(lines[start:]), heading=headings.path)


def _is_heading(token: "Token") -> bool:
    """Whether a heading opens that stands outside quotes and lists."""
    return token.type == "heading_open" and token.level == 0


def _plain(source: str) -> str:
    """A heading without its inline markup."""
    source = source[:1000]  # more is no heading, and what follows takes quadratic time
    source = re.sub(r"!?\[([^\]]*)\](?:\([^)]*\)|\[[^\]]*\])", r"\1", source)
    source = re.sub(r"<[^>]+>", "", source)
    return re.sub(r"\s+", " ", re.sub(r"[*`]+|(?<!\w)_+|_+(?!\w)", "", source)).strip()
