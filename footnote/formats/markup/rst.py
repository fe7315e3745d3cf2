"""reStructuredText. The text stays the source text; only its section titles and tables are looked for."""

import re
from collections.abc import Iterator
from pathlib import Path

from footnote.formats import Block
from footnote.formats.markup._rst_tables import tables
from footnote.formats.plain.txt import decode, read_bytes
from footnote.text import clean

MEDIA_TYPES: dict[str, tuple[str, ...]] = {"text/x-rst": (".rst", ".rest")}

# A title, underlined and perhaps overlined with one punctuation character, at the margin.
_TITLE = re.compile(
    r"^(?:(?P<over>([!-/:-@\[-`{-~])\2+)[ \t]*\n[ \t]*)?(?P<title>\S.*)\n(?P<under>([!-/:-@\[-`{-~])\5+)[ \t]*$", re.M
)
_ROLE = re.compile(r"(?::[\w.:+-]+:)?`+([^`<]*?)\s*(?:<[^`>]*>)?`+_*")
_SHORTEST = 3


def parse(path: Path) -> Iterator[Block]:
    text = clean(decode(read_bytes(path)))
    above: list[tuple[int, str]] = []
    styles: list[tuple[str, bool]] = []
    start = 0
    for position, title, style in _titles(text):
        yield from _blocks(text[start:position], tuple(name for _, name in above))
        if style not in styles:
            # Which character stands for which level is told by their order alone.
            styles.append(style)
        level = styles.index(style)
        above = [one for one in above if one[0] < level] + [(level, title)]
        start = position
    yield from _blocks(text[start:], tuple(name for _, name in above))


def _blocks(text: str, heading: tuple[str, ...]) -> Iterator[Block]:
    start = 0
    for begin, end, columns in tables(text):
        yield Block(text[start:begin], heading=heading)
        yield Block(text[begin:end], heading=heading, columns=columns)
        start = end
    yield Block(text[start:], heading=heading)


def _titles(text: str) -> Iterator[tuple[int, str, tuple[str, bool]]]:
    """Offset, words and style (character, overlined) of every section title."""
    for match in _TITLE.finditer(text):
        title, under, over = match["title"].rstrip(), match["under"], match["over"]
        if over and over != under:
            continue
        if len(under) < max(_SHORTEST, len(title)) or not any(map(str.isalnum, title)):
            continue
        before = text[: match.start()]
        if before.strip() and not over and not before.endswith("\n\n"):
            continue
        words = " ".join(_ROLE.sub(r"\1", title).replace("*", "").split())
        yield match.start(), words, (under[0], bool(over))
