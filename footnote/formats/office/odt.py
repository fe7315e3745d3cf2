"""OpenDocument texts (.odt): headings as paths, lists, tables, footnotes at the end."""

import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from footnote.errors import DocumentRejected
from footnote.formats import Block, Headings
from footnote.formats.office import _package, _tables
from footnote.formats.office._package import child_of, children_at, children_of, descendants_of, local_name, value_of

MEDIA_TYPES: dict[str, tuple[str, ...]] = {
    "application/vnd.oasis.opendocument.text": (".odt",),
    "application/vnd.oasis.opendocument.text-template": (".ott",),
    "application/vnd.oasis.opendocument.text-master": (".odm",),
}
MEMBERS = ()

_NOTES = {"footnote": "Footnotes", "endnote": "Endnotes"}


def parse(path: Path) -> Iterator[Block]:
    with _package.opened(path) as archive:
        check(archive)
        content = _package.read_xml(archive, CONTENT)
        text = child_of(content, "body", "text")
        if text is None:
            raise DocumentRejected("type_mismatch")
        titles = _title_styles(content)
        headings = Headings()
        for block in blocks(text):
            found, columns = text_and_columns(block)
            level = _level(block, titles)
            if found and level is not None:
                headings.begin(level, " ".join(found.split()))
            yield Block(found, heading=headings.path, columns=columns)
        for kind, heading in _NOTES.items():
            notes = [note for note in descendants_of(text, "note") if value_of(note, "note-class") == kind]
            bodies = (all_text(body) for note in notes for body in children_of(note, "note-body"))
            yield Block("\n".join(filter(None, bodies)), heading=(heading,))


def _title_styles(content: Any) -> set[str]:
    """Names of the style of titles and of those that the document derived from it."""
    styles = children_at(content, "automatic-styles")
    derived = (each for each in styles if value_of(each, "parent-style-name") == "Title")
    return {"Title", *(value_of(each, "name") for each in derived)}


def _level(block: Any, titles: set[str]) -> int | None:
    """Heading level from 1, 0 for a title, None for text."""
    if local_name(block) == "h":
        level = value_of(block, "outline-level")
        return int(level) if level.isdecimal() and len(level) < 4 else 1
    return 0 if local_name(block) == "p" and value_of(block, "style-name") in titles else None


# OpenDocument: the text of paragraphs, lists and tables.

CONTENT = "content.xml"
_MOST_REPEATED = 16_384  # columns of a sheet
_MOST_SPACES = 100
_SPACE = re.compile(r"[ \t\r\n]+")
_CHARACTERS = {"tab": "\t", "line-break": "\n"}
# What is in the text but is not of it; notes are read after it.
_SKIPPED = {"annotation", "note", "tracked-changes", "ruby-text", "forms", "event-listeners", "title", "desc"}


def check(archive: zipfile.ZipFile) -> None:
    """Raises `encrypted` for a document whose parts are, and `type_mismatch` for what is none."""
    names = archive.namelist()
    if "META-INF/manifest.xml" in names and b"encryption-data" in _package.read_member(
        archive, "META-INF/manifest.xml"
    ):
        raise DocumentRejected("encrypted")
    if CONTENT not in names:
        raise DocumentRejected("type_mismatch")


def repeated(element: Any, attribute: str, most: int = _MOST_REPEATED) -> int:
    """How often an element stands for itself."""
    count = value_of(element, attribute)
    return min(int(count), most) if count.isdecimal() and len(count) < 10 else 1


def text_of(paragraph: Any) -> str:
    """A paragraph's text. Its white space counts as in HTML, but for what is marked as spaces, tabs and line ends."""
    return "".join(_runs(paragraph)).strip()


def _runs(element: Any) -> Iterator[str]:
    yield _SPACE.sub(" ", element.text or "")
    for child in element:
        name = local_name(child)
        if name == "s":
            yield " " * repeated(child, "c", _MOST_SPACES)
        elif name in _CHARACTERS:
            yield _CHARACTERS[name]
        elif name == "text-box":
            yield f"\n{all_text(child)}\n"
        elif name and name not in _SKIPPED:
            yield from _runs(child)
        yield _SPACE.sub(" ", child.tail or "")


def blocks(parent: Any) -> Iterator[Any]:
    """Headings, paragraphs, lists and tables in order, also those in sections and indexes."""
    for child in parent:
        name = local_name(child)
        if name in {"h", "p", "list", "table"}:
            yield child
        elif name and name not in _SKIPPED:
            yield from blocks(child)


def block_text(block: Any) -> str:
    return text_and_columns(block)[0]


def text_and_columns(block: Any) -> tuple[str, str]:
    """A block's text; of a table, the header that its rows lack as well."""
    name = local_name(block)
    if name == "list":
        return "\n".join(_items(block, "")), ""
    return _table(block) if name == "table" else (text_of(block), "")


def all_text(element: Any) -> str:
    """All text inside, a line per paragraph."""
    return "\n".join(filter(None, map(block_text, blocks(element))))


def _items(items: Any, indent: str) -> Iterator[str]:
    """A line per item of a list, those of lists within it further in."""
    for item in items:
        mark = f"{indent}- " if local_name(item) == "list-item" else indent
        for block in blocks(item):
            if local_name(block) == "list":
                yield from _items(block, indent + "  ")
            elif text := block_text(block):
                yield mark + text
                mark = f"{indent}  "


def _table(table: Any) -> tuple[str, str]:
    """The text of a table, and the header that its rows lack."""
    found = list(rows(table))
    headed = sum(local_name(row.getparent()) == "table-header-rows" for row in found)
    grid = _tables.Grid()
    for row in found:
        grid.begin_row()
        for cell in children_of(row, "table-cell"):
            across, down = repeated(cell, "number-columns-spanned"), repeated(cell, "number-rows-spanned")
            grid.add(all_text(cell), across, down)
    return _tables.table_text(grid.rows, headed)


def rows(table: Any) -> Iterator[Any]:
    for child in table:
        if local_name(child) == "table-row":
            yield child
        elif local_name(child) in {"table-header-rows", "table-rows", "table-row-group"}:
            yield from rows(child)
