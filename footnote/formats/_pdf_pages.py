"""PDF pages as people see them: as a picture, and where on it a quote stands."""

import io
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from footnote.errors import DocumentRejected

MAX_PIXELS = 16_000_000  # a page may claim any height
_QUALITY = 80
# What stored text and PDFium's may differ in: spaces, and hyphens at line ends with what PDFium writes for them.
_IGNORED = frozenset("-\u00ad\u2010\u2011\ufffe\u200b")


def render(path: Path, number: int, width: int) -> bytes:
    """The page as WebP, `width` pixels wide, less if it is very tall."""
    with _Opened(path, number) as page:
        breadth, height = page.get_size()
        # PDFium rounds up.
        scale = min((width - 0.5) / breadth, (MAX_PIXELS / (breadth * height)) ** 0.5)
        picture = page.render(scale=scale, may_draw_forms=True).to_pil().convert("RGB")
        out = io.BytesIO()
        picture.save(out, "WEBP", quality=_QUALITY)
        return out.getvalue()


def boxes(path: Path, number: int, quote: str, where: float) -> list[list[float]]:
    """Rectangles that cover the quote on the page: left, top, right, bottom as shares of its width and height.

    Of several places the one nearest to `where`, a share of the text, is meant. None if it is not found.
    """
    with _Opened(path, number) as page:
        text_page = page.get_textpage()
        try:
            found = _place(text_page.get_text_range(), quote, where)
            return [] if found is None else [_shares(page, box) for box in _rectangles(text_page, *found)]
        finally:
            text_page.close()


class _Opened:
    """A page of a document, closed in the right order."""

    def __init__(self, path: Path, number: int) -> None:
        import pypdfium2

        try:
            self._document = pypdfium2.PdfDocument(path)
            self._document.init_forms()
            self._page: Any = self._document[number - 1]
        except (pypdfium2.PdfiumError, IndexError) as error:
            raise DocumentRejected("corrupt_file") from error

    def __enter__(self) -> Any:
        return self._page

    def __exit__(self, *_: object) -> None:
        self._page.close()
        self._document.close()


def _place(text: str, quote: str, where: float) -> tuple[int, int] | None:
    """Start and length, in characters of `text`, of the quote; both are compared without what may differ."""
    letters = list(_letters(text))
    plain = "".join(letter for letter, _ in letters)
    wanted = "".join(letter for letter, _ in _letters(quote))
    starts = []
    start = plain.find(wanted) if wanted else -1
    while start >= 0:
        starts.append(start)
        start = plain.find(wanted, start + 1)
    if not starts:
        return None
    nearest = min(starts, key=lambda start: abs(start / len(plain) - where))
    first, last = letters[nearest][1], letters[nearest + len(wanted) - 1][1]
    return first, last - first + 1


def _letters(text: str) -> Iterator[tuple[str, int]]:
    """What counts of a text when it is compared, with its index: accents and ligatures taken apart."""
    for index, character in enumerate(text):
        if character.isspace() or character in _IGNORED or not character.isprintable():
            continue
        for letter in unicodedata.normalize("NFKD", character):
            yield letter, index


def _rectangles(text_page: Any, start: int, length: int) -> Iterator[tuple[float, float, float, float]]:
    """One for each line, in points from the page's lower left corner: left, bottom, right, top."""
    for index in range(text_page.count_rects(start, length)):
        yield text_page.get_rect(index)


def _shares(page: Any, box: tuple[float, float, float, float]) -> list[float]:
    """The box on the page as it is shown, which may be cropped and turned."""
    left, bottom, right, top = page.get_cropbox()
    x0, x1 = (box[0] - left) / (right - left), (box[2] - left) / (right - left)
    y0, y1 = (top - box[3]) / (top - bottom), (top - box[1]) / (top - bottom)
    match page.get_rotation():
        case 90:
            x0, y0, x1, y1 = 1 - y1, x0, 1 - y0, x1
        case 180:
            x0, y0, x1, y1 = 1 - x1, 1 - y1, 1 - x0, 1 - y0
        case 270:
            x0, y0, x1, y1 = y0, 1 - x1, y1, 1 - x0
    return [round(min(1.0, max(0.0, share)), 5) for share in (x0, y0, x1, y1)]
