"""Word documents (.docx): paragraphs, lists and tables in order, headings by style or outline level."""

import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from footnote.formats import Block, _opc, _xml, _zip
from footnote.formats._wordml import Styles, all_text, blocks, table_text, text_of
from footnote.formats._xml import child_of, local_name
from footnote.formats.sniffing import DOCX

MEDIA_TYPES: dict[str, tuple[str, ...]] = {DOCX: (".docx", ".docm", ".dotx", ".dotm")}
MEMBERS = ("word/",)


def parse(path: Path) -> Iterator[Block]:
    with _zip.opened(path) as archive:
        main = _opc.main_part(archive, "word/document.xml")
        body = child_of(_opc.expect(_read(archive, main), "document"), "body")
        related = _opc.related(archive, main)
        styles = Styles(_read(archive, related["styles"]) if "styles" in related else ())
        yield from _sections(() if body is None else body, styles)
        for kind in ("footnotes", "endnotes"):
            if kind in related:
                notes = map(all_text, _read(archive, related[kind]))
                yield Block("\n".join(filter(None, notes)), heading=(kind.capitalize(),))


def _read(archive: zipfile.ZipFile, name: str) -> Any:
    """A part's XML, by python-docx's parser, which resolves no entities."""
    from docx.oxml import parse_xml

    with _xml.limits():
        return parse_xml(_zip.read(archive, name))


def _sections(body: Any, styles: Styles) -> Iterator[Block]:
    """A block per paragraph or table; list items and code lines that follow each other share one."""
    path: list[tuple[int, str]] = []
    lines: list[str] = []
    shared = ""
    for element in blocks(body):
        level, kind = (None, "table") if local_name(element) == "tbl" else styles.level_and_kind(element)
        text = table_text(element) if kind == "table" else text_of(element)
        if not text.strip():
            continue
        if lines and not (kind and kind == shared and level is None):
            yield Block("\n".join(lines), heading=tuple(title for _, title in path))
            lines = []
        shared = kind if kind != "table" else ""
        if level is not None:
            path = [above for above in path if above[0] < level] + [(level, " ".join(text.split()))]
        lines.append(f"- {text}" if kind == "item" and level is None else text)
    yield Block("\n".join(lines), heading=tuple(title for _, title in path))
