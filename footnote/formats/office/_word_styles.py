"""What Word's paragraphs are by their styles: headings, items of lists, lines of code."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

from footnote.formats.office._package import child_of, children_of, local_name, value_of

# The numbers that Word shows before the paragraphs of lists and before headings: they are counted, not stored.

_BULLET = "-"
_PLACE = re.compile(r"%([1-9])")
_MOST = 10_000  # what Roman numerals and letters are made for
_ROMAN = (
    (1000, "m"), (900, "cm"), (500, "d"), (400, "cd"), (100, "c"), (90, "xc"), (50, "l"), (40, "xl"), (10, "x"),
    (9, "ix"), (5, "v"), (4, "iv"), (1, "i"),
)  # fmt: skip


@dataclass(frozen=True)
class _Level:
    start: int
    format: str
    text: str
    is_legal: bool
    style: str


class Numbers:
    """Counts the paragraphs of every list in the document's order."""

    def __init__(self, element: Iterable[Any]) -> None:
        self._lists: dict[str, dict[int, _Level]] = {}
        self._instances: dict[str, tuple[str, dict[int, int]]] = {}
        self._counts: dict[str, dict[int, int]] = {}
        self._begun: set[tuple[str, int]] = set()
        links: dict[str, str] = {}
        by_style: dict[str, str] = {}
        for child in element:
            if local_name(child) == "abstractNum":
                name = value_of(child, "abstractNumId")
                self._lists[name] = {_integer(value_of(one, "ilvl")): _level(one) for one in children_of(child, "lvl")}
                links[name] = value_of(child_of(child, "numStyleLink"))
                by_style[value_of(child_of(child, "styleLink"))] = name
            elif local_name(child) == "num":
                overrides = {
                    _integer(value_of(one, "ilvl")): _integer(value_of(child_of(one, "startOverride")))
                    for one in children_of(child, "lvlOverride")
                    if child_of(one, "startOverride") is not None
                }
                name = value_of(child_of(child, "abstractNumId"))
                name = by_style.get(links.get(name, ""), name) if links.get(name) else name
                self._instances[value_of(child, "numId")] = name, overrides

    def depth_of(self, number: str, style: str) -> int:
        """The level of a list that a paragraph style stands for."""
        levels = self._lists.get(self._instances.get(number, ("", {}))[0], {})
        return next((depth for depth, level in levels.items() if level.style and level.style == style), 0)

    def label(self, number: str, depth: int) -> str:
        """What is before the next paragraph of a list: its number as it is shown, a dash for a bullet."""
        name, overrides = self._instances.get(number, ("", {}))
        level = self._lists.get(name, {}).get(depth)
        if level is None:
            return _BULLET
        counts = self._counts.setdefault(name, {})
        if depth in overrides and (number, depth) not in self._begun:
            counts[depth] = overrides[depth] - 1
        self._begun.add((number, depth))
        counts[depth] = counts.get(depth, level.start - 1) + 1
        for deeper in [one for one in counts if one > depth]:
            del counts[deeper]
        if level.format == "bullet":
            return _BULLET

        def shown(match: re.Match[str]) -> str:
            place = int(match[1]) - 1
            other = self._lists[name].get(place, level)
            return _formatted(counts.setdefault(place, other.start), "decimal" if level.is_legal else other.format)

        return _PLACE.sub(shown, level.text).strip()


def _integer(text: str) -> int:
    return int(text) if text.isdecimal() and len(text) < 9 else 0


def _level(element: Any) -> _Level:
    return _Level(
        _integer(value_of(child_of(element, "start"))),
        value_of(child_of(element, "numFmt")),
        value_of(child_of(element, "lvlText")),
        child_of(element, "isLgl") is not None,
        value_of(child_of(element, "pStyle")),
    )


def _formatted(count: int, form: str) -> str:
    if form == "none":
        return ""
    if not 0 < count < _MOST:
        return str(count)
    if form.endswith("Roman"):
        text = "".join(_roman(count))
    elif form.endswith("Letter"):
        text = chr(ord("a") + (count - 1) % 26) * ((count - 1) // 26 + 1)
    elif form == "decimalZero":
        return f"{count:02}"
    else:
        return str(count)
    return text.upper() if form.startswith("upper") else text


def _roman(count: int) -> Iterable[str]:
    for value, letters in _ROMAN:
        times, count = divmod(count, value)
        yield letters * times


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
