"""PDF pages that are pictures of text: which those are, and how they are drawn for text recognition."""

from typing import TYPE_CHECKING, Any

from footnote.formats._tesseract import DPI
from footnote.formats.pdf._pages import MAX_PIXELS

if TYPE_CHECKING:
    from PIL.Image import Image

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
