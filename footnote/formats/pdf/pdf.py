"""PDF: text by PDFium, page by page; pypdf for what PDFium cannot open or read."""

import re
from collections.abc import Iterator
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from footnote.errors import DocumentRejected
from footnote.formats import Block
from footnote.formats.pdf import _annotations, _running_lines
from footnote.formats.pdf._boxes import Box
from footnote.formats.pdf._line_tables import Tables
from footnote.formats.pdf._page_text import PageText
from footnote.formats.pdf._pictures import boxes, is_scan, picture, render
from footnote.formats.pdf._running_lines import Margin, PageTitles, margins
from footnote.formats.pdf._second_reader import SecondReader, page_text

if TYPE_CHECKING:
    from pypdf import PdfReader

    from footnote.formats.ocr import Ocr

__all__ = ["MEDIA_TYPES", "boxes", "parse", "recognise", "recognise_late", "render"]

MEDIA_TYPES: dict[str, tuple[str, ...]] = {"application/pdf": (".pdf",)}

_HEADER = b"%PDF-"
_SPACES = re.compile(r"[ \t]+")


def recognise(head: bytes) -> str | None:
    return "application/pdf" if head.lstrip().startswith(_HEADER) else None


def recognise_late(head: bytes) -> str | None:
    """Readers accept a header anywhere in the first kilobyte."""
    return "application/pdf" if _HEADER in head[:1024] else None


def parse(path: Path, ocr: "Ocr | None" = None) -> Iterator[Block]:
    import pypdfium2

    try:
        document = pypdfium2.PdfDocument(path)
    except pypdfium2.PdfiumError:
        yield from _parse_with_pypdf(path)
        return
    second = SecondReader(path)
    try:
        if len(document) == 0:
            yield from _parse_with_pypdf(path)
            return
        outline = _outline(document)
        titles, tables = PageTitles(), Tables()
        above: tuple[str, ...] = ()
        pages = (_page_text(document, index, second) for index in range(len(document)))
        for index, (content, running) in enumerate(_running_lines.mark(pages)):
            if ocr and is_scan(document, index, content):
                content = ocr.read(index + 1, content, partial(picture, document, index))
            pieces = _pieces(content, running)
            if not outline:
                above = tuple(filter(None, [titles.title("\n".join(text for text, aside in pieces if not aside))]))
            headings = outline.get(index, [])
            for piece, aside in pieces:
                if aside:
                    yield Block(piece, index + 1, above, aside=True)
                    continue
                for text, heading in _divide(piece, above, headings):
                    for part, columns in tables.divide(text):
                        yield Block(part, index + 1, heading, columns)
                    above = heading
                headings = []
    finally:
        second.close()
        document.close()


def _pieces(content: str, running: list[str]) -> list[tuple[str, bool]]:
    """The text of a page in pieces that are running lines or not; undivided if there is nothing else on the page."""
    if not running:
        return [(content, False)]
    lines = content.split("\n")
    apart = _running_lines.places(lines, running)
    if all(number in apart for number, line in enumerate(lines) if line.strip()):
        return [(content, False)]
    pieces = groupby(range(len(lines)), key=lambda number: number in apart)
    return [("\n".join(lines[number] for number in group), aside) for aside, group in pieces]


def _page_text(document: Any, index: int, second: SecondReader) -> tuple[str, list[Margin]]:
    """A page's text and the lines in its margins; none if neither reader can load it: its neighbours may be whole."""
    import pypdfium2

    try:
        page = document[index]
    except pypdfium2.PdfiumError:
        return second.read(index, {"of a page that cannot be loaded"}, ""), []
    try:
        text_page = PageText(page)
        try:
            found = margins(text_page, Box(*page.get_bbox()), index) if page.get_rotation() == 0 else []
            suspect = second.suspect_fonts(page, text_page)
            return second.read(index, suspect, _annotations.read(document, index, page, text_page)), found
        finally:
            text_page.close()
    except pypdfium2.PdfiumError:
        return "", []
    finally:
        page.close()


def _outline(document: Any) -> dict[int, list[tuple[str, ...]]]:
    """Heading paths from the document's outline, by the index of the page they begin on."""
    found: dict[int, list[tuple[str, ...]]] = {}
    above: list[str] = []
    for bookmark in document.get_toc():
        destination = bookmark.get_dest()
        index = destination.get_index() if destination else None
        title = _SPACES.sub(" ", bookmark.get_title()).strip()
        del above[bookmark.level :]
        above.append(title)
        if index is not None and title:
            found.setdefault(index, []).append(tuple(name for name in above if name))
    return found


def _divide(
    text: str, above: tuple[str, ...], headings: list[tuple[str, ...]]
) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Pieces of a page with their heading path, cut where the outline's titles stand.

    `above` is the path the page begins under. A title that is not found takes effect with the next one, or
    from the top of the page when it is the only one.
    """
    start = 0
    for heading in headings:
        words = r"\s+".join(map(re.escape, heading[-1].split()))
        match = re.compile(rf"^[^\w\n]*(?:[\dIVX.]+\s+)?{words}", re.I | re.M).search(text, start)
        if match and match.start() > start:
            yield text[start : match.start()], above
            start = match.start()
        above = heading
    yield text[start:], above


def _parse_with_pypdf(path: Path) -> Iterator[Block]:
    from pypdf import PdfReader
    from pypdf.errors import PyPdfError

    try:
        with PdfReader(path) as reader:
            if reader.is_encrypted and not reader.decrypt(""):
                raise DocumentRejected("encrypted")
            yield from _pypdf_pages(reader)
    except (PyPdfError, OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DocumentRejected("corrupt_file") from error


def _pypdf_pages(reader: "PdfReader") -> Iterator[Block]:
    """The pages; those that cannot be read are empty, for their neighbours may be whole, unless all are so."""
    from pypdf.errors import PyPdfError

    failures: list[Exception] = []
    for index, page in enumerate(reader.pages):
        text = ""
        try:
            text = page_text(page)
        except (PyPdfError, ValueError, KeyError, TypeError, AttributeError, TimeoutError) as error:
            failures.append(error)
        yield Block(text, index + 1)
    if failures and len(failures) == len(reader.pages):
        raise failures[0]
