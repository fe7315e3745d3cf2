"""Presentations (.pptx): a page per slide with its text, tables, diagrams, charts and notes, under its title.

The parts are read by themselves, one slide at a time: python-pptx loads the whole package first, with every picture.
"""

import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from footnote.formats import Block
from footnote.formats.office import _package
from footnote.formats.office._drawingml import chart_text, diagram_text, table_text, text_of
from footnote.formats.office._package import child_of, children_at, descendants_of, local_name, reference_of, value_of

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
    with _package.opened(path) as archive:
        main = _package.main_part(archive, "ppt/presentation.xml")
        presentation = _package.expect(_package.read_xml(archive, main), "presentation")
        parts = _package.relations(archive, main)
        sections = _sections(presentation)
        deck = _Deck(archive)
        for number, slide in enumerate(children_at(presentation, "sldIdLst"), start=1):
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
        parts = _package.relations(self._archive, part)
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
            return _package.empty_element()
        self._read.add(part)
        return _package.read_xml(self._archive, part)

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
        for child in children_at(frame, "graphic", "graphicData"):
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
    found = []
    for child in children_at(slide, "cSld", "spTree"):
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


# The order in which a slide's shapes are read: column by column, each from its top, where they form columns.

Box = tuple[float, float, float, float]  # left, top, right, bottom

_MOST_SHAPES = 100
_OVERLAP = 0.1  # of a shape's width or height; frames are drawn larger than their text


def placeholder_of(shape: Any) -> Any:
    """The `ph` element of a shape that fills a place of its layout, or None."""
    for child in shape:
        if local_name(child).startswith("nv"):
            return child_of(child, "nvPr", "ph")
    return None


class Layouts:
    """Where the layouts and masters of a presentation put their placeholders."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive
        self._known: dict[str, dict[str, Box]] = {"": {}}

    def places(self, parts: dict[str, tuple[str, str]], kind: str = "slideLayout") -> dict[str, Box]:
        """Boxes by the index and by the type of the placeholder, for the part that has these relations."""
        part = next((target for name, target in parts.values() if name == kind), "")
        if part not in self._known:
            self._known[part] = {}  # should a layout refer to itself
            above = self.places(_package.relations(self._archive, part), "slideMaster")
            own: dict[str, Box] = {}
            for shape in descendants_of(_package.read_xml(self._archive, part), "sp", "graphicFrame"):
                place = placeholder_of(shape)
                if place is not None:
                    index, name = value_of(place, "idx"), value_of(place, "type") or "body"
                    box = _box(shape) or above.get(name)
                    if box:
                        own |= {key: box for key in (index, name) if key and key not in own}
            self._known[part] = above | own
        return self._known[part]


def _box(shape: Any) -> Box | None:
    """A shape's own position, where it has one."""
    for properties in (shape, *shape):
        for frame in properties if properties is shape or local_name(properties).endswith("Pr") else ():
            if local_name(frame) == "xfrm":
                corner, size = child_of(frame, "off"), child_of(frame, "ext")
                try:
                    left, top = float(value_of(corner, "x")), float(value_of(corner, "y"))
                    return left, top, left + float(value_of(size, "cx")), top + float(value_of(size, "cy"))
                except ValueError:
                    return None
    return None


def in_reading_order(shapes: Sequence[Any], places: dict[str, Box]) -> list[Any]:
    """The shapes in reading order; in their own where their positions are not known or too many."""
    boxes = []
    for shape in shapes:
        place = placeholder_of(shape)
        known = {} if place is None else places
        inherited = known.get(value_of(place, "idx")) or known.get(value_of(place, "type") or "body")
        boxes.append(_box(shape) or inherited)
    if len(shapes) > _MOST_SHAPES or None in boxes:
        return list(shapes)
    whole = [box for box in boxes if box]
    return [shapes[index] for index in _ordered(list(range(len(shapes))), whole)]


def _ordered(group: list[int], boxes: list[Box]) -> list[int]:
    """Rows from the top; rows that form columns together are read column by column, from the left."""
    rows = _parted(group, boxes, 1)
    found: list[int] = []
    first = 0
    while first < len(rows):
        for last in range(len(rows), first, -1):
            together = sorted(index for row in rows[first:last] for index in row)
            columns = _parted(together, boxes, 0)
            if len(columns) > 1:
                found += [index for column in columns for index in _ordered(column, boxes)]
                break
        else:
            found += rows[first]
            last = first + 1
        first = last
    return found


def _parted(group: list[int], boxes: list[Box], axis: int) -> list[list[int]]:
    """The group divided wherever no shape reaches across, along x (0) or y (1)."""
    parts: list[list[int]] = []
    end = 0.0
    for index in sorted(group, key=lambda each: (boxes[each][axis], each)):
        start, stop = boxes[index][axis], boxes[index][axis + 2]
        margin = (stop - start) * _OVERLAP
        if not parts or start + margin >= end:
            parts.append([])
            end = stop - margin
        parts[-1].append(index)
        end = max(end, stop - margin)
    return [sorted(part) for part in parts]
