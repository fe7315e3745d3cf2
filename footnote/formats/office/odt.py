"""OpenDocument texts (.odt): headings as paths, lists, tables, footnotes at the end."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from footnote.errors import DocumentRejected
from footnote.formats import Block
from footnote.formats.office import _odf, _xml, _zip
from footnote.formats.office._xml import child_of, children_of, descendants_of, local_name, value_of

MEDIA_TYPES: dict[str, tuple[str, ...]] = {
    "application/vnd.oasis.opendocument.text": (".odt",),
    "application/vnd.oasis.opendocument.text-template": (".ott",),
    "application/vnd.oasis.opendocument.text-master": (".odm",),
}
MEMBERS = ()

_NOTES = {"footnote": "Footnotes", "endnote": "Endnotes"}


def parse(path: Path) -> Iterator[Block]:
    with _zip.opened(path) as archive:
        _odf.check(archive)
        content = _xml.read(archive, _odf.CONTENT)
        text = child_of(content, "body", "text")
        if text is None:
            raise DocumentRejected("type_mismatch")
        titles = _title_styles(content)
        above: list[tuple[int, str]] = []
        for block in _odf.blocks(text):
            found, columns = _odf.text_and_columns(block)
            level = _level(block, titles)
            if found and level is not None:
                above = [each for each in above if each[0] < level] + [(level, " ".join(found.split()))]
            yield Block(found, heading=tuple(title for _, title in above), columns=columns)
        for kind, heading in _NOTES.items():
            notes = [note for note in descendants_of(text, "note") if value_of(note, "note-class") == kind]
            bodies = (_odf.all_text(body) for note in notes for body in children_of(note, "note-body"))
            yield Block("\n".join(filter(None, bodies)), heading=(heading,))


def _title_styles(content: Any) -> set[str]:
    """Names of the style of titles and of those that the document derived from it."""
    styles = child_of(content, "automatic-styles")
    derived = (each for each in ([] if styles is None else styles) if value_of(each, "parent-style-name") == "Title")
    return {"Title", *(value_of(each, "name") for each in derived)}


def _level(block: Any, titles: set[str]) -> int | None:
    """Heading level from 1, 0 for a title, None for text."""
    if local_name(block) == "h":
        level = value_of(block, "outline-level")
        return int(level) if level.isdecimal() and len(level) < 4 else 1
    return 0 if local_name(block) == "p" and value_of(block, "style-name") in titles else None
