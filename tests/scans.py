"""Scanned documents, and a stand-in for Tesseract."""

import shutil
import sys
from pathlib import Path

import pytest
from PIL import Image, ImageDraw, ImageFont

SIZE = (850, 1100)  # pixels; at 100 a inch, a page
ANCHOR = (80, 100)
LETTER = ImageFont.load_default(32)

# Speaks tesseract's language: lists its data, reads a picture from stdin, writes a table. What else it does is up to
# the test, in terms of `number`, how often it was asked, from 1.
_PROGRAM = """#!{python} -S
import os, signal, sys, time
from pathlib import Path
here = Path({here!r})
if "--list-langs" in sys.argv:
    print("List of available languages in here (2):\\neng\\nosd")
    {listing}
    sys.exit()
picture = sys.stdin.buffer.read()
number = len(list(here.glob("asked-*"))) + 1
(here / f"asked-{{number}}").write_text(repr((os.getpid(), sys.argv[1:], picture[:20])))
def write(*rows):
    print("level page_num block_num par_num line_num word_num left top width height conf text".replace(" ", "\\t"))
    for row in rows:
        print(*row, sep="\\t")
def word(line, text, left=100, confidence=90, paragraph=1):
    return 5, 1, 1, paragraph, line, 1, left, 200 * line, 100, 50, confidence, text
{behaviour}
write(word(1, "The"), word(1, "lamp", 220), word(1, "of", 340), word(1, f"page{{number}}", 460))
"""


class StandIn:
    """A program named tesseract, the first on the PATH."""

    def __init__(self, directory: Path, patch: pytest.MonkeyPatch) -> None:
        self._directory = directory
        self._patch = patch

    def install(self, behaviour: str = "", listing: str = "") -> None:
        self._directory.mkdir(exist_ok=True)
        program = self._directory / "tesseract"
        text = _PROGRAM.format(python=sys.executable, here=str(self._directory), behaviour=behaviour, listing=listing)
        program.write_text(text)
        program.chmod(0o755)
        self._patch.setenv("PATH", f"{self._directory}:/usr/bin:/bin")

    def asked(self) -> int:
        """How many images it has read."""
        return len(list(self._directory.glob("asked-*")))

    def path(self, name: str) -> Path:
        return self._directory / name


def nowhere(patch: pytest.MonkeyPatch, directory: Path) -> None:
    """A PATH without tesseract."""
    directory.mkdir()
    patch.setenv("PATH", str(directory))
    assert shutil.which("tesseract") is None


def drawn(*lines: str) -> Image.Image:
    picture = Image.new("L", SIZE, 255)
    ImageDraw.Draw(picture).multiline_text(ANCHOR, "\n".join(lines), font=LETTER, fill=0, spacing=20)
    return picture


def scan(path: Path, *pages: Image.Image) -> Path:
    """A PDF whose pages are pictures."""
    first, *rest = pages
    first.save(path, "PDF", resolution=100, save_all=True, append_images=rest)
    return path
