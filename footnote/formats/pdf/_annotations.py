"""What is on a PDF's page without being part of its text: the values of form fields, stamps, comments."""

from collections.abc import Iterator
from ctypes import byref, c_ushort
from dataclasses import dataclass
from typing import Any

from footnote.formats.pdf._boxes import Box, TextLine
from footnote.formats.pdf._page_text import PageText

# Numbers of FPDF_ANNOT_...: free text, stamp, field of a form, watermark.
_DRAWN = {3, 13, 20, 24}
# Note, and marks that carry one: line, shapes, highlights, caret, ink, attached file.
_COMMENTED = {1, 4, 5, 6, 7, 8, 9, 10, 11, 12, 14, 15, 17}
_HIDDEN = 2 | 32  # flags: hidden, no view
_MOST = 5_000
_UNTICKED = "Off"
_EDGE = 1.0  # points; neighbouring rectangles touch each other
_ABOVE = 3.0  # parts of a rectangle's height


@dataclass(frozen=True)
class Annotation:
    kind: int
    box: Box
    contents: str
    author: str
    value: str


def read(document: Any, index: int, page: Any, text: PageText) -> str:
    """The text of a page with what its annotations draw at the places where they draw it, and their comments below."""
    annotations = sorted(_annotations(page), key=lambda one: (-one.box.top, one.box.left))
    insertions: dict[int, str] = {}
    below: list[str] = []
    for annotation, drawn in _drawn(document, index, page, text, annotations):
        place = _place(text, annotation.box, mark=len(drawn) == 1)
        if place is None:
            below.append(drawn)
        else:
            offset, before, after = place
            insertions[offset] = insertions.get(offset, "") + before + drawn + after
    content = text.read(insertions)
    below += [
        f"Comment ({one.author}): {one.contents}" if one.author else f"Comment: {one.contents}"
        for one in annotations
        if one.kind in _COMMENTED and one.contents and one.contents not in content
    ]
    return "\n".join(filter(None, [content, *below]))


def _annotations(page: Any) -> Iterator[Annotation]:
    import pypdfium2.raw as pdfium

    for number in range(min(pdfium.FPDFPage_GetAnnotCount(page), _MOST)):
        handle = pdfium.FPDFPage_GetAnnot(page, number)
        if not handle:
            continue
        try:
            box, kind = pdfium.FS_RECTF(), pdfium.FPDFAnnot_GetSubtype(handle)
            if pdfium.FPDFAnnot_GetFlags(handle) & _HIDDEN or not pdfium.FPDFAnnot_GetRect(handle, byref(box)):
                continue
            if kind in _DRAWN or kind in _COMMENTED:
                corners = Box(box.left, box.bottom, box.right, box.top)
                yield Annotation(kind, corners, *(_string(handle, key) for key in (b"Contents", b"T", b"V")))
        finally:
            pdfium.FPDFPage_CloseAnnot(handle)


def _string(handle: Any, key: bytes) -> str:
    import pypdfium2.raw as pdfium

    size = pdfium.FPDFAnnot_GetStringValue(handle, key, None, 0)
    buffer = (c_ushort * (size // 2))()
    pdfium.FPDFAnnot_GetStringValue(handle, key, buffer, size)
    return bytes(buffer).decode("utf-16-le", "replace").strip("\0 \r\n").replace("\r\n", "\n").replace("\r", "\n")


def _drawn(
    document: Any, index: int, page: Any, text: PageText, annotations: list[Annotation]
) -> Iterator[tuple[Annotation, str]]:
    """The annotations that draw text, and that text: what is there when they have become part of the page."""
    import pypdfium2.raw as pdfium

    wanted = [annotation for annotation in annotations if annotation.kind in _DRAWN]
    if not wanted or pdfium.FPDFPage_Flatten(page, pdfium.FLAT_NORMALDISPLAY) != pdfium.FLATTEN_SUCCESS:
        return
    flat_page = document[index]
    try:
        flat = PageText(flat_page)
        try:
            for annotation in wanted:
                box = annotation.box
                inner = Box(box.left + _EDGE, box.bottom + _EDGE, box.right - _EDGE, box.top - _EDGE)
                before, after = text.inside(inner), flat.inside(inner)
                drawn = after.removeprefix(before).strip()
                if annotation.value != _UNTICKED and "".join(drawn.split()) in "".join(annotation.value.split()):
                    # Cut off, spaced out letter by letter, or not drawn until the form is opened.
                    drawn = annotation.value
                if drawn:
                    yield annotation, drawn
        finally:
            flat.close()
    finally:
        flat_page.close()


def _place(text: PageText, box: Box, mark: bool) -> tuple[int, str, str] | None:
    """Where in the page's text something drawn in a rectangle belongs, and what goes before and after it.

    Behind the words left of it, else below the line above it, which is where labels stand; a mark such as a tick
    goes with the words that are closest.
    """
    row = [line for line in text.lines if line.first.around(line.last).is_level_with(box)]
    left = [line for line in row if line.first.left < box.left]
    right = [line for line in row if line.first.left >= box.left]
    nearest = min(left, key=lambda line: max(0, box.left - line.last.right), default=None)
    following = min(right, key=lambda line: line.first.left, default=None)
    closer = mark and nearest and following and box.left - nearest.last.right > following.first.left - box.right
    if following and (nearest is None or closer):
        return following.start, "", " "
    if nearest:
        offset = _behind(text, nearest, box)
        return offset, "" if text.text[offset - 1].isspace() else " ", " " if offset < nearest.end else ""
    above = [
        line
        for line in text.lines
        if line.first.left < box.right and line.last.right > box.left and line.last.bottom >= box.top - 1
    ]
    closest = min(above, key=lambda line: line.last.bottom, default=None)
    if closest and closest.last.bottom - box.top < _ABOVE * (box.top - box.bottom):
        return closest.end, "\n", ""
    return None


def _behind(text: PageText, line: TextLine, box: Box) -> int:
    """The offset after the last character of a line that stands left of a rectangle."""
    for offset in range(line.end - 1, line.start, -1):
        character = text.box(offset)
        if (character.left + character.right) / 2 < box.left:
            return offset + 1
    return line.start + 1
