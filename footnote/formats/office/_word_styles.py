"""What Word's paragraphs are by their styles: headings, items of lists, lines of code."""

import re
from typing import Any, NamedTuple

from footnote.formats.office._word_numbers import Numbers
from footnote.formats.office._xml import child_of, local_name, value_of

_ONE_PER_LINE = re.compile(r"code|list|preformatted|toc", re.I)


class Kind(NamedTuple):
    """What a paragraph is: heading level from 1, 0 for a title, None for text; `item`, `line` or nothing; its list."""

    level: int | None
    kind: str
    number: str = ""
    depth: int = 0


def _style_level(name: str, outline: str) -> int | None:
    if name == "title":
        return 0
    number = name.removeprefix("heading ")
    if number.isdigit():
        return int(number)
    return int(outline) + 1 if outline.isdigit() and int(outline) < 9 else None


class Styles:
    """What paragraph styles say of the paragraphs that have them."""

    def __init__(self, element: Any, numbers: Numbers) -> None:
        self._styles = {value_of(style, "styleId"): style for style in element if local_name(style) == "style"}
        self._numbers = numbers
        self._known: dict[str, Kind] = {}

    def kind_of(self, paragraph: Any) -> Kind:
        own = child_of(paragraph, "pPr")
        if own is None:
            return Kind(None, "")
        style_id = value_of(child_of(own, "pStyle"))
        if style_id not in self._known:
            self._known[style_id] = self._inherited(style_id)
        found = self._known[style_id]
        outline = value_of(child_of(own, "outlineLvl"))
        if outline.isdigit():
            found = found._replace(level=int(outline) + 1 if int(outline) < 9 else None)
        number = value_of(child_of(own, "numPr", "numId"))
        if number:
            found = found._replace(kind="" if number == "0" else "item", number="" if number == "0" else number)
        depth = value_of(child_of(own, "numPr", "ilvl"))
        return found._replace(depth=int(depth)) if depth.isdigit() else found

    def _inherited(self, style_id: str) -> Kind:
        level: int | None = None
        kind, number, depth = "", "", 0
        seen: set[str] = set()
        while style_id in self._styles and style_id not in seen:
            seen.add(style_id)
            style = self._styles[style_id]
            name = value_of(child_of(style, "name")).lower()
            if level is None:
                level = _style_level(name, value_of(child_of(style, "pPr", "outlineLvl")))
            listed = child_of(style, "pPr", "numPr")
            if not kind and (listed is not None or name.startswith("list")):
                kind = "item"
            elif not kind and _ONE_PER_LINE.search(name):
                kind = "line"
            if not number and listed is not None:
                number = value_of(child_of(listed, "numId"))
                own_depth = value_of(child_of(listed, "ilvl"))
                depth = int(own_depth) if own_depth.isdigit() else self._numbers.depth_of(number, style_id)
            style_id = value_of(child_of(style, "basedOn"))
        return Kind(level, kind, number if number != "0" else "", depth)
