"""OpenDocument presentations (.odp): a page per slide with its text, tables and notes, under its title."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from footnote.errors import DocumentRejected
from footnote.formats import Block
from footnote.formats.office import _package, odt
from footnote.formats.office._package import child_of, children_of, local_name, value_of

MEDIA_TYPES: dict[str, tuple[str, ...]] = {
    "application/vnd.oasis.opendocument.presentation": (".odp",),
    "application/vnd.oasis.opendocument.presentation-template": (".otp",),
}
MEMBERS = ()

_TITLE_CHARACTERS = 200  # a title longer than this is text in the wrong place
_MARGINS = {"header", "footer", "date-time"}  # what many slides repeat, in no chunk if there is anything else


def parse(path: Path) -> Iterator[Block]:
    with _package.opened(path) as archive:
        odt.check(archive)
        slides = child_of(_package.read_xml(archive, odt.CONTENT), "body", "presentation")
        if slides is None:
            raise DocumentRejected("type_mismatch")
        for number, slide in enumerate(children_of(slides, "page"), start=1):
            yield Block("", number)
            yield from _slide(slide, number)


def _slide(slide: Any, number: int) -> Iterator[Block]:
    shapes = [shape for shape in slide if local_name(shape) not in {"", "notes"}]
    titles = [shape for shape in shapes if value_of(shape, "class") == "title"]
    title = " ".join(" ".join(map(odt.all_text, titles)).split())
    heading = (title,) if 0 < len(title) <= _TITLE_CHARACTERS else ()
    is_empty = True
    for shape in sorted(shapes, key=lambda shape: (shape not in titles, value_of(shape, "class") in _MARGINS)):
        if value_of(shape, "class") != "page-number":
            aside = value_of(shape, "class") in _MARGINS and not is_empty
            tables = [odt.text_and_columns(block) for block in odt.blocks(shape) if local_name(block) == "table"]
            names = "\n".join(columns for _, columns in tables if columns)
            text = odt.all_text(shape)
            yield Block(text, number, heading, names, aside)
            is_empty = is_empty and not text.strip()
    for notes in children_of(slide, "notes"):
        for shape in notes:
            if value_of(shape, "class") == "notes":
                yield Block(odt.all_text(shape), number, (*heading, "Notes"))
