"""The order in which a slide's shapes are read: column by column, each from its top, as far as they part so."""

import zipfile
from collections.abc import Sequence
from typing import Any

from footnote.formats.office import _opc, _xml
from footnote.formats.office._xml import child_of, descendants_of, local_name, value_of

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
            above = self.places(_opc.relations(self._archive, part), "slideMaster")
            own: dict[str, Box] = {}
            for shape in descendants_of(_xml.read(self._archive, part), "sp", "graphicFrame"):
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
    """Rows from the top; as many of them together as part into columns, and those from the left."""
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
    """The group cut wherever no shape reaches across, along x (0) or y (1)."""
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
