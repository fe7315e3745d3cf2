"""pypdf, asked for single pages from which PDFium reads less than is drawn, as where a font is not embedded."""

import re
import time
from collections import Counter
from ctypes import c_void_p, cast, create_string_buffer
from pathlib import Path
from typing import TYPE_CHECKING, Any

from footnote.formats.pdf._page_text import PageText

if TYPE_CHECKING:
    from pypdf import PageObject, PdfReader

_LOOKED_AT = 64  # objects of a page, evenly chosen
_PER_FONT = 3  # of them, objects whose text is asked for
_MOST_OBJECTS = 50_000  # of a page that pypdf is asked for, which reads them all
_IN_VAIN = 3  # answers without gain until a font is not asked about again
_SECONDS = 3.0  # of the processor for a page
_GAIN = 1.1  # how many times as much makes another reading the better one
_UNREADABLE = 0.3  # parts of a page's characters
# Replacement characters, codes for private use, controls; glyphs by number, as pypdf names what it cannot translate.
_GARBAGE = re.compile(r"[\ufffd\ue000-\uf8ff\x00-\x08\x0e-\x1f]|/[A-Za-z]{1,3}\d{1,5}(?!\d)")
# pypdf leaves the hyphens at line ends; a lower-case letter after one continues a word.
_HYPHENATED = re.compile(r"(?<=\w)[-\u00ad]\n(?=[a-z])")


class SecondReader:
    """Reads pages of one document with pypdf, but only those that may gain by it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._reader: PdfReader | None = None
        self._in_vain: Counter[str] = Counter()

    def close(self) -> None:
        if self._reader:
            self._reader.close()

    def suspect_fonts(self, page: Any, text: PageText) -> set[str]:
        """The names of fonts in which more seems to be drawn than `text` holds; none for most pages."""
        fonts, count = _fonts(page)
        if not fonts or count > _MOST_OBJECTS:
            return set()
        letters = sum(map(str.isalnum, text.text))
        garbage = text.untranslated + _garbage(text.text)
        shown = sum(len(objects) for _, _, objects in fonts) * max(1, count // _LOOKED_AT)
        if garbage > _UNREADABLE * (len("".join(text.text.split())) + text.untranslated) or letters < shown / 2:
            return {name for name, _, _ in fonts}
        return {
            name for name, embedded, objects in fonts if not embedded and not any(map(text.shows, objects[:_PER_FONT]))
        }

    def read(self, index: int, suspect_fonts: set[str], content: str) -> str:
        """The text of a page: `content`, or what pypdf reads if fonts are suspect and it reads more."""
        asked = {name for name in suspect_fonts if self._in_vain[name] < _IN_VAIN}
        if not asked:
            return content
        found = self._text(index)
        if _garbage(found) > _UNREADABLE * len(found) or len(_contents(found)) <= _GAIN * len(_contents(content)):
            self._in_vain.update(asked)
            return content
        known = "".join(found.split())
        return "\n".join([found, *(line for line in content.split("\n") if "".join(line.split()) not in known)])

    def _text(self, index: int) -> str:
        from pypdf import PdfReader

        try:
            if self._reader is None:
                self._reader = PdfReader(self._path)
                if self._reader.is_encrypted:
                    self._reader.decrypt("")
            return page_text(self._reader.pages[index])
        except Exception:  # if it fails for any reason, the page stays as PDFium read it
            return ""


def page_text(page: "PageObject") -> str:
    """A page's text as pypdf reads it, words joined and vertical lines whole. Raises TimeoutError."""
    drawn: list[tuple[str, float, float]] = []
    until = time.process_time() + _SECONDS

    def watch(*_: object) -> None:
        if time.process_time() > until:
            raise TimeoutError

    def remember(text: str, _: object, matrix: list[float], *__: object) -> None:
        if text.strip():
            drawn.append((text.strip(), matrix[4], matrix[5]))

    text = page.extract_text(visitor_operand_before=watch, visitor_text=remember)
    lines = text.split("\n")
    if drawn and sum(len(line.strip()) == 1 for line in lines) > len(lines) / 2:
        text = _vertical(drawn)
    return _HYPHENATED.sub("", text)


def _vertical(drawn: list[tuple[str, float, float]]) -> str:
    """Text whose characters are drawn one below the other: a line for each column, in the order they are drawn."""
    pieces: list[str] = []
    x, y = drawn[0][1:]
    for text, left, bottom in drawn:
        below = len(text) == 1 and abs(left - x) < 1 and bottom < y
        pieces += [text] if below or not pieces else ["\n", text]
        x, y = left, bottom
    return "".join(pieces)


def _fonts(page: Any) -> tuple[list[tuple[str, bool, list[Any]]], int]:
    """The fonts of the objects looked at: name, whether it is embedded, and objects; and how many objects there are."""
    import pypdfium2.raw as pdfium

    found: dict[int | None, tuple[str, bool, list[Any]]] = {}
    count: int = pdfium.FPDFPage_CountObjects(page)
    objects = [pdfium.FPDFPage_GetObject(page, number) for number in range(0, count, max(1, count // _LOOKED_AT))]
    for one in objects:  # grows as forms are met
        kind = pdfium.FPDFPageObj_GetType(one)
        if kind == pdfium.FPDF_PAGEOBJ_FORM:
            room = max(0, 2 * _LOOKED_AT - len(objects))
            inner = range(min(room, pdfium.FPDFFormObj_CountObjects(one)))
            objects += [pdfium.FPDFFormObj_GetObject(one, number) for number in inner]
        elif kind == pdfium.FPDF_PAGEOBJ_TEXT and (font := pdfium.FPDFTextObj_GetFont(one)):
            address = cast(font, c_void_p).value
            if address not in found:
                name = create_string_buffer(128)
                pdfium.FPDFFont_GetBaseFontName(font, name, len(name))
                embedded = bool(pdfium.FPDFFont_GetIsEmbedded(font))
                found[address] = (name.value.decode("utf-8", "replace"), embedded, [])
            found[address][2].append(one)
    return list(found.values()), count


def _garbage(text: str) -> int:
    return sum(map(len, _GARBAGE.findall(text)))


def _contents(text: str) -> set[str]:
    """What a text holds, by three letters each; what is printed over itself to look bold counts once."""
    letters = "".join(filter(str.isalnum, text))
    return {letters[start : start + 3] for start in range(len(letters))}
