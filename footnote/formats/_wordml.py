"""WordprocessingML: paragraphs, tables and what styles make of them."""

import re
from collections.abc import Iterator
from typing import Any

from footnote.formats._xml import child_of, local_name, value_of

_ONE_PER_LINE = re.compile(r"code|list|preformatted|toc", re.I)
_SKIPPED = {"del", "moveFrom", "pPr", "rPr", "tblPr", "Fallback", "instrText", "delText", "sdtPr"}
_CHARACTERS = {"tab": "\t", "br": "\n", "cr": "\n", "noBreakHyphen": "-"}


def _style_level(name: str, outline: str) -> int | None:
    if name == "title":
        return 0
    number = name.removeprefix("heading ")
    if number.isdigit():
        return int(number)
    return int(outline) + 1 if outline.isdigit() and int(outline) < 9 else None


class Styles:
    """What paragraph styles say of the paragraphs that have them."""

    def __init__(self, element: Any) -> None:
        self._styles = {value_of(style, "styleId"): style for style in element if local_name(style) == "style"}
        self._known: dict[str, tuple[int | None, str]] = {}

    def level_and_kind(self, paragraph: Any) -> tuple[int | None, str]:
        """Heading level from 1, 0 for a title, None for text; and `item`, `line` or nothing."""
        own = child_of(paragraph, "pPr")
        if own is None:
            return None, ""
        style_id = value_of(child_of(own, "pStyle"))
        if style_id not in self._known:
            self._known[style_id] = self._inherited(style_id)
        level, kind = self._known[style_id]
        outline = value_of(child_of(own, "outlineLvl"))
        if outline.isdigit():
            level = int(outline) + 1 if int(outline) < 9 else None
        number = value_of(child_of(own, "numPr", "numId"))
        if number:
            kind = "" if number == "0" else "item"
        return level, kind

    def _inherited(self, style_id: str) -> tuple[int | None, str]:
        level: int | None = None
        kind = ""
        seen: set[str] = set()
        while style_id in self._styles and style_id not in seen:
            seen.add(style_id)
            style = self._styles[style_id]
            name = value_of(child_of(style, "name")).lower()
            if level is None:
                level = _style_level(name, value_of(child_of(style, "pPr", "outlineLvl")))
            if not kind and (child_of(style, "pPr", "numPr") is not None or name.startswith("list")):
                kind = "item"
            elif not kind and _ONE_PER_LINE.search(name):
                kind = "line"
            style_id = value_of(child_of(style, "basedOn"))
        return level, kind


def blocks(parent: Any) -> Iterator[Any]:
    """Paragraphs and tables in order, also those inside content controls and other wrappers."""
    for child in parent:
        name = local_name(child)
        if name in {"p", "tbl"}:
            yield child
        elif name and name not in _SKIPPED:
            yield from blocks(child)


def text_of(element: Any) -> str:
    return "".join(_runs(element))


def _runs(element: Any) -> Iterator[str]:
    """Pieces of a paragraph's text as finally accepted: insertions in, deletions out, a text box once."""
    for child in element:
        name = local_name(child)
        if name == "t":
            yield child.text or ""
        elif name in _CHARACTERS:
            yield _CHARACTERS[name]
        elif name == "txbxContent":
            yield "\n" + "\n".join(filter(None, map(text_of, blocks(child)))) + "\n"
        elif name and name not in _SKIPPED:
            yield from _runs(child)


def all_text(element: Any) -> str:
    """All text inside on one line per paragraph."""
    pieces = (table_text(block) if local_name(block) == "tbl" else text_of(block) for block in blocks(element))
    return "\n".join(piece for piece in pieces if piece.strip())


def table_text(table: Any) -> str:
    """A line per row, cells parted by bars; a layout table's only cell stays as it is."""
    rows = []
    for row in (child for child in _named(table, "tr")):
        cells = [all_text(cell).strip() for cell in _named(row, "tc")]
        if len(cells) > 1:
            cells = [cell.replace("\n", " ") for cell in cells]
        if any(cells):
            rows.append(" | ".join(cells))
    return "\n".join(rows)


def _named(parent: Any, name: str) -> Iterator[Any]:
    """Children of a name, also those inside content controls."""
    for child in parent:
        if local_name(child) == name:
            yield child
        elif local_name(child) in {"sdt", "sdtContent", "ins", "customXml"}:
            yield from _named(child, name)
