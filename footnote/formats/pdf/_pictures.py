"""PDF pages as people see them: as a picture, and where on it a quote stands."""

import io
import unicodedata
from collections.abc import Iterable, Iterator
from functools import reduce
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from footnote.errors import DocumentRejected
from footnote.formats.ocr import DPI
from footnote.formats.pdf._boxes import Box
from footnote.formats.pdf._page_text import PageText, halves
from footnote.formats.pdf._second_reader import SecondReader

if TYPE_CHECKING:
    from PIL.Image import Image

MAX_PIXELS = 16_000_000  # a page may claim any height
_QUALITY = 80
# What stored text and PDFium's may differ in: spaces, and hyphens at line ends with what PDFium writes for them.
_IGNORED = frozenset("-\u00ad\u2010\u2011\ufffe\u200b")
_HALVES = frozenset(map(chr, range(0xD800, 0xE000)))  # of characters beyond the first 65,536


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
    """Rectangles that cover the quote on the page, one for each line: left, top, right, bottom as shares of the page.

    Of several places the one nearest to `where` is meant, a share of the text's characters without white space.
    Empty if it is not found.
    """
    with _Opened(path, number) as page:
        text, second = PageText(page), SecondReader(path)
        try:
            content = text.read({})
            if second.read(number - 1, second.suspect_fonts(page, text), content) != content:
                return []  # the stored text is the other reader's, which does not say where it stands
            quoted = _quoted(list(_characters(text)), quote, where)
            lines = [
                [offset for _, _, places in line for offset in places] for _, line in groupby(quoted, itemgetter(1))
            ]
            return [_shares(page, reduce(Box.around, map(text.ink, line))) for line in lines]
        finally:
            text.close()


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


def _characters(text: PageText) -> Iterator[tuple[str, int, range]]:
    """The page's characters as they are read, with the number of their row and the offsets they were read from."""
    for number, row in enumerate(text.rows()):
        for piece in row:
            whole = len(piece.text) == piece.end - piece.start
            for offset, character in enumerate(piece.text, piece.start):
                yield character, number, range(offset, offset + 1) if whole else range(piece.start, piece.end)


def _quoted(characters: list[tuple[str, int, range]], quote: str, where: float) -> list[tuple[str, int, range]]:
    """Those characters that are the quote; both are compared without what may differ."""
    letters = list(_letters(character for character, _, _ in characters))
    plain = "".join(letter for letter, _ in letters)
    wanted = "".join(letter for letter, _ in _letters(halves(quote)))
    starts = []
    start = plain.find(wanted) if wanted else -1
    while start >= 0:
        starts.append(start)
        start = plain.find(wanted, start + 1)
    if not starts:
        return []
    nearest = min(starts, key=lambda start: abs(start / len(plain) - where))
    return [characters[index] for _, index in letters[nearest : nearest + len(wanted)]]


def _letters(text: Iterable[str]) -> Iterator[tuple[str, int]]:
    """What counts of a text when it is compared, with its index: accents and ligatures taken apart."""
    for index, character in enumerate(text):
        if character.isspace() or character in _IGNORED or not (character.isprintable() or character in _HALVES):
            continue
        for letter in unicodedata.normalize("NFKD", character):
            yield letter, index


def _shares(page: Any, box: Box) -> list[float]:
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


# PDF pages that are pictures of text: which those are, and how they are drawn for text recognition.

_LETTERS = 50  # a stamp or a page number on a scan has fewer
_SHARE = 0.5  # of the page under pictures


def is_scan(document: Any, index: int, text: str) -> bool:
    """Whether a page is a picture that may show text: it has one and no text, or is mostly one and has little."""
    import pypdfium2
    from pypdfium2.raw import FPDF_PAGEOBJ_IMAGE

    letters = sum(map(str.isalnum, text))
    if letters >= _LETTERS:
        return False
    try:
        page = document[index]
    except pypdfium2.PdfiumError:
        return False
    try:
        breadth, height = page.get_size()
        needed = _SHARE * breadth * height if letters else 0.0
        for each in page.get_objects(filter=[FPDF_PAGEOBJ_IMAGE]):
            left, bottom, right, top = each.get_bounds()
            needed -= (right - left) * (top - bottom)
            if needed <= 0:
                return True
        return False
    except pypdfium2.PdfiumError:
        return False
    finally:
        page.close()


def picture(document: Any, index: int) -> "Image | None":
    """The page in shades of grey, as text recognition wants it; none of a page that cannot be drawn."""
    import pypdfium2

    page = document[index]
    try:
        breadth, height = page.get_size()
        scale = min(DPI / 72, (MAX_PIXELS / max(breadth * height, 1.0)) ** 0.5)
        image: Image = page.render(scale=scale, grayscale=True, may_draw_forms=False).to_pil()
        return image
    except pypdfium2.PdfiumError:
        return None
    finally:
        page.close()
