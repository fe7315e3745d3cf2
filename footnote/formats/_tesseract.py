"""The program `tesseract`: how it is asked, and the lines of words that it finds in a picture."""

import io
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from typing import TYPE_CHECKING, NamedTuple

from footnote.errors import DocumentRejected
from footnote.text import clean

if TYPE_CHECKING:
    from PIL.Image import Image

DPI = 300  # of the pictures it is given
_WORD, _COLUMNS = "5", 12  # of tesseract's table: the level of a word's row, fields in a row
# What photographs and stains are taken for is guessed with less confidence, in percent.
_CONFIDENCE = 40.0


class Word(NamedTuple):
    """A word and where it stands, as shares of the picture's width and height."""

    text: str
    left: float
    top: float
    right: float
    bottom: float


class Line(NamedTuple):
    paragraph: tuple[str, str]
    words: list[Word]


@dataclass
class Tesseract:
    """Asks for the same `languages` each time, as the program names them, and waits `seconds` at most."""

    languages: str
    seconds: float

    @cached_property
    def program(self) -> str | None:
        """Where it is installed; None where it is not, or is not to be asked."""
        return shutil.which("tesseract") if self.languages else None

    def lines(self, picture: "Image") -> list[Line]:
        """What is to be read in a picture; nothing if that takes too long or too much: other pages may be better."""
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


def _read(table: str, width: int, height: int) -> Iterator[Line]:
    """The lines of tesseract's table that are no mere guesses."""
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
            found.append(Word(clean(row[-1]).strip(), *(round(min(1.0, max(0.0, share)), 5) for share in box)))
        if found and confidence / len(found) >= _CONFIDENCE:
            yield Line((block, paragraph), [word for word in found if word.text])
