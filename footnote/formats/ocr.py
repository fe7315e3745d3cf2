"""Text recognition: pages that are pictures of text are read by the program `tesseract`, where it is installed."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING

from footnote.formats import Page, Scan
from footnote.formats._tesseract import Line, Tesseract, Word

if TYPE_CHECKING:
    from PIL.Image import Image

INSTALL = (
    "Its pages are pictures of text: install tesseract (Debian: tesseract-ocr, Homebrew: tesseract) where the worker "
    "runs to have them read."
)


@dataclass
class Ocr:
    """Reads the pictures of one document.

    `languages` as tesseract names them, joined by `+`, none if it is switched off; `seconds` a page may take; pages up
    to `after` are known already.
    """

    languages: str
    seconds: float
    after: int = 0
    pictures: int = 0  # met so far
    _words: dict[int, list[Word]] = field(default_factory=dict)

    def read(self, number: int, text: str, picture: Callable[[], "Image | None"]) -> str:
        """The text of a page that is a picture with little or no `text` of its own: whichever is more."""
        if number <= self.after:
            return text
        self.pictures += 1
        if not self._tesseract.program:
            return text
        image = picture()
        lines = self._tesseract.lines(image) if image else []
        found = _joined(lines)
        if _letters(found) <= _letters(text):
            return text
        self._words[number] = [word for line in lines for word in line.words]
        return found

    def mark(self, page: Page) -> Page:
        """The page with the places of its words, if it was read from a picture."""
        words = self._words.pop(page.number, None)
        return replace(page, scan=Scan(self.languages, list(_places(page.text, words)))) if words else page

    def nothing_found(self) -> str | None:
        """What to say of a document without text, if it is about pictures."""
        if not self.pictures or not self.languages:
            return None
        if not self._tesseract.program:
            return f"No text was found in the file. {INSTALL}"
        return "No text was found in the file, nor could any be read in its pictures."

    @cached_property
    def _tesseract(self) -> Tesseract:
        return Tesseract(self.languages, self.seconds)


def _joined(lines: Sequence[Line]) -> str:
    """Lines as text; a word that a hyphen parts at a line's end is one again where it goes on with a small letter."""
    pieces = []
    for line, following in pairwise([*lines, None]):
        assert line is not None
        text = " ".join(word.text for word in line.words)
        if following is None or following.paragraph != line.paragraph:
            end = "\n\n"
        elif text[-2:-1].isalpha() and text.endswith("-") and following.words[0].text[0].islower():
            line.words[-1] = line.words[-1]._replace(text=line.words[-1].text[:-1])
            text, end = text[:-1], ""
        else:
            end = "\n"
        pieces += [text, end]
    return "".join(pieces[:-1])


def _letters(text: str) -> int:
    return sum(map(str.isalnum, text))


def _places(text: str, words: Sequence[Word]) -> Iterator[tuple[int, int, float, float, float, float]]:
    """Where the words are in the page's stored text, which has them in the same order, and where on the page."""
    position = 0
    for word in words:
        start = text.find(word.text, position)
        if start >= 0:
            position = start + len(word.text)
            yield start, position, word.left, word.top, word.right, word.bottom


def boxes(words: Sequence[Sequence[float]], text: str, start: int, end: int) -> list[list[float]]:
    """Rectangles that cover the characters `start:end` of a page that was read so, one for each line of them.

    Between words of one line the page's text has a space; parts of a word that a hyphen divides have nothing.
    """
    found: list[list[float]] = []
    position = 0
    for first, last, *box in words:
        if last <= start or first >= end:
            continue
        between = text[position : int(first)]
        if found and between and "\n" not in between:
            (left, top, right, bottom), one = box, found[-1]
            found[-1] = [min(one[0], left), min(one[1], top), max(one[2], right), max(one[3], bottom)]
        else:
            found.append(box)
        position = int(last)
    return found
