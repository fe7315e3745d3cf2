"""Presentations (.pptx): a page per slide with its text, tables, diagrams, charts and notes, under its title.

The parts are read by themselves, one slide at a time: python-pptx loads the whole package first, with every picture.
"""

import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from footnote.formats import Block
from footnote.formats.office import _opc, _xml, _zip
from footnote.formats.office._drawingml import chart_text, diagram_text, table_text, text_of
from footnote.formats.office._slide_order import Layouts, in_reading_order, placeholder_of
from footnote.formats.office._xml import child_of, descendants_of, local_name, reference_of, value_of

MEDIA_TYPES: dict[str, tuple[str, ...]] = {
    "application/vnd.openxmlformats-officedocument.presentationml.presentation": (
        ".pptx", ".pptm", ".ppsx", ".ppsm", ".potx", ".potm"
    ),
}  # fmt: skip
MEMBERS = ("ppt/",)

Titles = tuple[str, ...]
Parts = dict[str, tuple[str, str]]  # last word of the type, and name, of what a part refers to, by the id

_TITLES = {"title", "ctrTitle"}
_MARGINS = {"dt", "ftr", "hdr"}  # what many slides repeat: read last, and in no chunk if there is anything else
_TITLE_CHARACTERS = 200  # a title longer than this is text in the wrong place


def parse(path: Path) -> Iterator[Block]:
    with _zip.opened(path) as archive:
        main = _opc.main_part(archive, "ppt/presentation.xml")
        presentation = _opc.expect(_xml.read(archive, main), "presentation")
        parts = _opc.relations(archive, main)
        sections = _sections(presentation)
        deck = _Deck(archive)
        slides = child_of(presentation, "sldIdLst")
        for number, slide in enumerate(() if slides is None else slides, start=1):
            _, part = parts.get(reference_of(slide), ("", ""))
            above = sections.get(slide.get("id", ""), "")
            yield Block("", number)
            for block in deck.slide(part, (above,) if above else ()):
                yield replace(block, page=number)


def _sections(presentation: Any) -> dict[str, str]:
    """Names of the sections that slides are grouped in, by the id of the slide."""
    return {
        slide.get("id", ""): " ".join(section.get("name", "").split())
        for section in descendants_of(presentation, "section")
        for slide in descendants_of(section, "sldId")
    }


class _Deck:
    """Reads the parts of a presentation, each of them once, however often it is referred to."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive
        self._layouts = Layouts(archive)
        self._read: set[str] = set()

    def slide(self, part: str, above: Titles) -> Iterator[Block]:
        """The texts of a slide and its notes."""
        parts = _opc.relations(self._archive, part)
        shapes = _shapes(self._root(part))
        titles = [shape for shape in shapes if _place(shape) in _TITLES]
        margins = [shape for shape in shapes if _place(shape) in _MARGINS]
        others = [shape for shape in shapes if _place(shape) not in {*_TITLES, *_MARGINS, "sldNum"}]
        title = " ".join(" ".join(map(_shape_text, titles)).split())
        heading = (*above, title) if 0 < len(title) <= _TITLE_CHARACTERS else above
        is_empty = True
        for shape in (*titles, *in_reading_order(others, self._layouts.places(parts)), *margins):
            for text, columns in self._texts(shape, parts):
                yield Block(text, heading=heading, columns=columns, aside=shape in margins and not is_empty)
                is_empty = is_empty and not text.strip()
        for kind, target in parts.values():
            if kind == "notesSlide":
                for shape in _shapes(self._root(target)):
                    if _place(shape) == "body":
                        yield Block(_shape_text(shape), heading=(*heading, "Notes"))

    def _root(self, part: str) -> Any:
        """A part's root element, which is empty for one that is not there or was read before."""
        if not part or part in self._read:
            return _xml.nothing()
        self._read.add(part)
        return _xml.read(self._archive, part)

    def _texts(self, shape: Any, parts: Parts) -> Iterator[tuple[str, str]]:
        """The texts of a shape, or of all in a group, each with the header that the rows of a table lack."""
        name = local_name(shape)
        if name == "graphicFrame":
            yield self._graphic_text(shape, parts)
        elif name in {"grpSp", "AlternateContent", "Choice"}:
            for child in shape:
                yield from self._texts(child, parts)
        elif name in {"sp", "cxnSp"}:
            yield _shape_text(shape), ""

    def _graphic_text(self, frame: Any, parts: Parts) -> tuple[str, str]:
        data = child_of(frame, "graphic", "graphicData")
        for child in () if data is None else data:
            name = local_name(child)
            if name == "tbl":
                return table_text(child)
            reference, read = {"relIds": ("dm", diagram_text), "chart": ("id", chart_text)}.get(name, ("", None))
            _, part = parts.get(reference_of(child, reference), ("", ""))
            if read:
                return read(self._root(part)), ""
        return "", ""


def _shapes(slide: Any) -> list[Any]:
    """Shapes, frames and groups of a slide; of alternatives the first."""
    tree = child_of(slide, "cSld", "spTree")
    found = []
    for child in () if tree is None else tree:
        if local_name(child) == "AlternateContent":
            child = child_of(child, "Choice") if len(child) else child
            found += [] if child is None else list(child)
        else:
            found.append(child)
    return [shape for shape in found if local_name(shape) in {"sp", "cxnSp", "graphicFrame", "grpSp"}]


def _place(shape: Any) -> str:
    """What the layout has the shape for; `body` when it does not say, nothing for a free shape."""
    place = placeholder_of(shape)
    return "" if place is None else value_of(place, "type") or "body"


def _shape_text(shape: Any) -> str:
    return text_of(child_of(shape, "txBody"))
