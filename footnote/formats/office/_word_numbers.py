"""The numbers that Word shows before the paragraphs of lists and before headings: they are counted, not written."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from footnote.formats.office._xml import child_of, children_of, local_name, value_of

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
    """Counts the paragraphs of every list as they come by."""

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
        """What stands before the next paragraph of a list: its number as it is shown, a dash for a bullet."""
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
