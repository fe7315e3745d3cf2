"""Text recognition: pages that are pictures of text are read by the program `tesseract`, where it is installed."""

import io
import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import groupby, pairwise
from typing import TYPE_CHECKING, NamedTuple

from footnote.errors import DocumentRejected
from footnote.formats import ParsedPage, Scan
from footnote.text import clean

if TYPE_CHECKING:
    from PIL.Image import Image

# The program `tesseract`: how it is called, and the lines of words that it finds in a picture.

DPI = 300  # of the pictures it is given
_WORD, _COLUMNS = "5", 12  # of tesseract's table: the level of a word's row, fields in a row
# What photographs and stains are taken for is guessed with less confidence, in percent.
_CONFIDENCE = 40.0


class OcrWord(NamedTuple):
    """A word and where it stands, as shares of the picture's width and height."""

    text: str
    left: float
    top: float
    right: float
    bottom: float


class OcrLine(NamedTuple):
    paragraph: tuple[str, str]
    words: list[OcrWord]


@dataclass
class Tesseract:
    """Calls the program with `languages`, as it names them, and waits `seconds` at most."""

    languages: str
    seconds: float

    @cached_property
    def program(self) -> str | None:
        """Its path; None if it is not installed, or switched off."""
        return shutil.which("tesseract") if self.languages else None

    def lines(self, picture: "Image") -> list[OcrLine]:
        """The lines read in a picture; none if that takes too much time or memory: other pages may be better."""
        layout = self._layout
        content = io.BytesIO()
        picture.save(content, "PPM")
        asked = ["stdin", "stdout", "-l", self.languages, "--psm", layout, "--dpi", str(DPI)]
        try:
            table = self._run(*asked, "-c", "tessedit_create_tsv=1", content=content.getvalue())
        except (OSError, subprocess.SubprocessError):
            return []
        return list(_read(table.decode(errors="replace"), *picture.size))

    @cached_property
    def _layout(self) -> str:
        """How to look at a page: turned as its letters are, if there is data for that; raises for missing languages."""
        try:
            listed = self._run("--list-langs")
        except (OSError, subprocess.SubprocessError) as error:
            raise DocumentRejected("ocr_unusable") from error
        installed = {line.strip() for line in listed.decode(errors="replace").splitlines()}
        missing = [language for language in self.languages.split("+") if language not in installed]
        if missing:
            raise DocumentRejected(
                "ocr_unusable",
                f"Text recognition has no data for {' and '.join(missing)}: install it where the worker runs (Debian: "
                f"tesseract-ocr-{missing[0].replace('_', '-')}), or change FOOTNOTE_OCR_LANGUAGES.",
            )
        return "1" if "osd" in installed else "3"

    def _run(self, *arguments: str, content: bytes = b"") -> bytes:
        """What tesseract writes. It inherits our limits of time and memory."""
        assert self.program
        ended = subprocess.run(  # noqa: S603 - the program is ours to choose, its arguments are checked settings
            [self.program, *arguments],
            input=content,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=self.seconds,
            check=False,
        )
        if ended.returncode == -signal.SIGKILL:
            # From outside, as when memory is short: that says nothing about the page, so we go the same way.
            os.kill(os.getpid(), signal.SIGKILL)
        ended.check_returncode()
        return ended.stdout


def _read(table: str, width: int, height: int) -> Iterator[OcrLine]:
    """The lines of tesseract's table that are confident enough."""
    rows = [row.split("\t", _COLUMNS - 1) for row in table.splitlines()]
    words = [row for row in rows if len(row) == _COLUMNS and row[0] == _WORD and row[-1].strip()]
    for (block, paragraph, _), line in groupby(words, key=lambda row: (row[2], row[3], row[4])):
        found, confidence = [], 0.0
        for row in line:
            try:
                left, top, breadth, tall, sure = map(float, row[6:11])
            except ValueError:
                continue  # not what tesseract writes
            confidence += sure
            box = (left / width, top / height, (left + breadth) / width, (top + tall) / height)
            found.append(OcrWord(clean(row[-1]).strip(), *(round(min(1.0, max(0.0, share)), 5) for share in box)))
        if found and confidence / len(found) >= _CONFIDENCE:
            yield OcrLine((block, paragraph), [word for word in found if word.text])


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
    _words: dict[int, list[OcrWord]] = field(default_factory=dict)

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

    def mark(self, page: ParsedPage) -> ParsedPage:
        """The page with the places of its words, if it was read from a picture."""
        words = self._words.pop(page.number, None)
        return replace(page, scan=Scan(self.languages, list(_places(page.text, words)))) if words else page

    def nothing_found(self) -> str | None:
        """The message for a document without text, if the reason is its pictures."""
        if not self.pictures or not self.languages:
            return None
        if not self._tesseract.program:
            return f"No text was found in the file. {INSTALL}"
        return "No text was found in the file, nor could any be read in its pictures."

    @cached_property
    def _tesseract(self) -> Tesseract:
        return Tesseract(self.languages, self.seconds)


def _joined(lines: Sequence[OcrLine]) -> str:
    """Lines as text; a word that a hyphen splits at a line's end is joined if it continues with a small letter."""
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


def _places(text: str, words: Sequence[OcrWord]) -> Iterator[tuple[int, int, float, float, float, float]]:
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
