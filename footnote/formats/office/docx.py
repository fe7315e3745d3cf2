"""Word documents (.docx): paragraphs, lists and tables in order, headings by style or outline level, then notes."""

import zipfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from footnote.formats import Block
from footnote.formats.office import _drawingml, _opc, _xml, _zip
from footnote.formats.office._word_numbers import Numbers
from footnote.formats.office._word_styles import Styles
from footnote.formats.office._wordml import Story, blocks
from footnote.formats.office._xml import child_of, value_of
from footnote.formats.sniffing import DOCX

MEDIA_TYPES: dict[str, tuple[str, ...]] = {DOCX: (".docx", ".docm", ".dotx", ".dotm")}
MEMBERS = ("word/",)


def parse(path: Path) -> Iterator[Block]:
    with _zip.opened(path) as archive:
        main = _opc.main_part(archive, "word/document.xml")
        body = child_of(_opc.expect(_read(archive, main), "document"), "body")
        parts = _opc.relations(archive, main)
        related = dict(parts.values())
        numbers = Numbers(_read(archive, related["numbering"]) if "numbering" in related else ())
        styles = Styles(_read(archive, related["styles"]) if "styles" in related else (), numbers)
        story = Story(styles, numbers, partial(_drawn, archive, parts))
        yield from _sections(() if body is None else body, story)
        for kind in ("footnotes", "endnotes"):
            if kind in related:
                yield Block(_notes(_read(archive, related[kind]), story), heading=(kind.capitalize(),))
        if "comments" in related:
            yield Block(_comments(_read(archive, related["comments"]), story), heading=("Comments",))
        margins = [target for kind, target in parts.values() if kind in {"header", "footer"}]
        texts = dict.fromkeys(story.text(_read(archive, part)) for part in margins)
        yield Block("\n".join(text for text in texts if any(map(str.isalpha, text))), heading=("Headers and footers",))


def _read(archive: zipfile.ZipFile, name: str) -> Any:
    """A part's XML, by python-docx's parser, which resolves no entities."""
    from docx.oxml import parse_xml

    with _xml.limits():
        return parse_xml(_zip.read(archive, name))


def _drawn(archive: zipfile.ZipFile, parts: dict[str, tuple[str, str]], relation: str) -> str:
    """The text of a chart or diagram; nothing for any other relation."""
    kind, part = parts.get(relation, ("", ""))
    read = {"chart": _drawingml.chart_text, "diagramData": _drawingml.diagram_text}.get(kind)
    return read(_xml.read(archive, part)) if read else ""


def _sections(body: Any, story: Story) -> Iterator[Block]:
    """A block per paragraph or table; list items and code lines that follow each other share one."""
    path: list[tuple[int, str]] = []
    lines: list[str] = []
    shared = ""
    for element in blocks(body):
        kind, text, columns = story.block(element)
        if not text.strip():
            continue
        if lines and not (kind.kind and kind.kind == shared and kind.level is None):
            yield Block("\n".join(lines), heading=tuple(title for _, title in path))
            lines = []
        shared = kind.kind if kind.kind != "table" else ""
        if kind.level is not None:
            path = [above for above in path if above[0] < kind.level] + [(kind.level, " ".join(text.split()))]
        if columns:
            yield Block(text, heading=tuple(title for _, title in path), columns=columns)
        else:
            lines.append(text)
    yield Block("\n".join(lines), heading=tuple(title for _, title in path))


def _notes(notes: Any, story: Story) -> str:
    """Foot- or endnotes with the marks that refer to them."""
    kind = _xml.local_name(notes).removesuffix("s")
    lines = ((story.marks.get((kind, value_of(note, "id")), ""), story.text(note)) for note in notes)
    return "\n".join(f"{mark} {text}".strip() for mark, text in lines if text)


def _comments(comments: Any, story: Story) -> str:
    lines = ((value_of(comment, "author"), story.text(comment)) for comment in comments)
    return "\n".join(f"{author}: {text}" if author else text for author, text in lines if text)
