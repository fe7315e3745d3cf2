"""Document formats: each module in the packages below is one, unless its name begins with `_`.

A format module defines

- `MEDIA_TYPES`: media type -> file extensions, the usual one first;
- `parse(path) -> Iterator[Block]`, which imports its heavy libraries itself, so that listing types is cheap;
- if its pages can be shown: `render(path, number, width)` and `boxes(path, number, quote, where)`; its `parse`
  also takes an `Ocr`, which reads scanned pages;
- for a binary format, `recognise(head) -> str | None`: the media type if a file with this beginning has the format;
  `recognise_late` does the same if other bytes may come first;
- for a format that is stored in a zip archive, `MEMBERS`: beginnings of member names that no other format has, in lower
  case. If the archive declares a media type, as OpenDocument does, it is used and `MEMBERS` may be empty;
- for a container of files, `unpack(path) -> Iterator[tuple[str, Iterator[bytes]]]`: their names and bytes in pieces.
"""

import importlib
import pkgutil
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from types import ModuleType

from footnote.errors import DocumentRejected
from footnote.text import clean

PAGE_CHARACTERS = 64 * 1024 * 1024
MOST_PAGES = 20_000
# A heading path is stored with every chunk below it.
HEADING_CHARACTERS = 200
HEADING_DEPTH = 8
# So are the column names of a table, with every chunk of its rows.
COLUMNS_CHARACTERS = 500


@dataclass(frozen=True)
class Block:
    """A piece of a document's text, in reading order.

    `page` counts from 1 and never decreases; a format without pages has one. `heading` is the path of
    headings above the block, outermost first. `columns` is the header of the table whose rows the block holds, where
    the rows do not name their columns themselves. An `aside` (navigation, a running header) is stored on the page but
    is in no chunk. `notes` counts what the document's report should say of the block.
    """

    text: str
    page: int = 1
    heading: tuple[str, ...] = ()
    columns: str = ""
    aside: bool = False
    notes: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Section:
    """The characters `start:end` of a page's text that come from blocks of one heading, table header and kind."""

    start: int
    end: int
    heading: tuple[str, ...] = ()
    columns: str = ""
    aside: bool = False


@dataclass(frozen=True)
class Scan:
    """How a page's text was read from its picture: in which languages (`eng+deu`), and where its words stand.

    A word: start and end in the text; left, top, right and bottom as shares of the page's width and height.
    """

    languages: str
    words: list[tuple[int, int, float, float, float, float]]


@dataclass(frozen=True)
class Guess:
    """The encoding of a text that named none, or a wrong one; a `confidence` of 1 would be certainty."""

    encoding: str
    confidence: float


@dataclass(frozen=True)
class ParsedPage:
    """A page's stored text and the sections that tile it.

    `guesses`: the encodings that were guessed to read it; `notes`: the sums of its blocks' notes.
    """

    number: int
    text: str
    sections: list[Section] = field(default_factory=list)
    scan: Scan | None = None
    guesses: tuple[Guess, ...] = ()
    notes: Mapping[str, int] = field(default_factory=dict)

    @property
    def outline(self) -> list[tuple[int, int, tuple[str, ...]]]:
        """Start, end and headings of what is under headings, neighbours under the same ones together."""
        found: list[tuple[int, int, tuple[str, ...]]] = []
        for each in self.sections:
            heading = tuple(clean(name) for name in each.heading)
            if found and found[-1][1:] == (each.start, heading):
                found[-1] = found[-1][0], each.end, heading
            elif heading:
                found.append((each.start, each.end, heading))
        return found


class Headings:
    """The headings above what comes next in a document, by their levels."""

    def __init__(self) -> None:
        self._above: list[tuple[int, str]] = []

    @property
    def path(self) -> tuple[str, ...]:
        """Outermost first."""
        return tuple(title for _, title in self._above)

    def begin(self, level: int, title: str) -> None:
        """A heading, which ends those of its own level and of deeper ones."""
        self._above = [above for above in self._above if above[0] < level] + [(level, title)]


class _PageText:
    """Collects the blocks of one page."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.length = 0
        self._pieces: list[str] = []
        self._sections: list[Section] = []  # each ends where the next one starts
        self._notes: Counter[str] = Counter()

    def add(self, block: Block) -> None:
        self._notes.update(block.notes)
        text = clean(block.text).strip("\n")
        if not text:
            return
        heading = tuple(name[:HEADING_CHARACTERS] for name in block.heading[:HEADING_DEPTH])
        separator = "\n\n" if self._pieces else ""
        start = self.length + len(separator)
        columns = clean(block.columns)[:COLUMNS_CHARACTERS]
        section = Section(start, start + len(text), heading, columns, block.aside)
        last = self._sections[-1] if self._sections else None
        if last is None or replace(section, start=last.start, end=last.end) != last:
            self._sections.append(section)
        self._pieces.append(separator + text)
        self.length += len(separator) + len(text)
        if self.length > PAGE_CHARACTERS:
            raise DocumentRejected("too_large", f"The text has more than {PAGE_CHARACTERS:,} characters on one page.")

    def page(self) -> ParsedPage:
        ends = [section.start for section in self._sections[1:]] + [self.length]
        sections = [replace(section, end=end) for section, end in zip(self._sections, ends, strict=False)]
        return ParsedPage(self.number, "".join(self._pieces), sections, notes=dict(self._notes))


def paginate(blocks: Iterable[Block]) -> Iterator[ParsedPage]:
    """Pages as they are stored: clean text, a blank line between blocks, neighbours of one kind merged.

    Streams, holding one page; pages without text come too, so that numbers stay whole. Raises
    `DocumentRejected("too_large")` for a page over `PAGE_CHARACTERS`.
    """
    current: _PageText | None = None
    for block in blocks:
        if block.page > MOST_PAGES:
            raise DocumentRejected("too_large", f"The document has more than {MOST_PAGES:,} pages.")
        current = current or _PageText(1)
        while current.number < block.page:
            yield current.page()
            current = _PageText(current.number + 1)
        current.add(block)
    if current is not None:
        yield current.page()


@cache
def modules() -> tuple[ModuleType, ...]:
    """The format modules, by name."""
    rooms = [f"{__name__}.{room}" for room in ("markup", "office", "pdf", "plain")]
    found = [
        (each.name, f"{room}.{each.name}")
        for room in rooms
        for each in pkgutil.iter_modules(importlib.import_module(room).__path__)
        if not each.name.startswith("_")
    ]
    return tuple(importlib.import_module(path) for _, path in sorted(found))


def module_for(media_type: str) -> ModuleType:
    """The module for a media type. Raises `KeyError` if there is none."""
    for module in modules():
        if media_type in module.MEDIA_TYPES:
            return module
    raise KeyError(media_type)


@cache
def supported() -> dict[str, tuple[str, ...]]:
    """Every media type that can be read, and its file extensions."""
    return {kind: extensions for module in modules() for kind, extensions in module.MEDIA_TYPES.items()}


def has_pictures(media_type: str) -> bool:
    """Whether its pages can be shown as images, with quotes marked on them."""
    return hasattr(module_for(media_type), "render")


def is_container(media_type: str) -> bool:
    """Whether it contains files that become documents of their own."""
    return hasattr(module_for(media_type), "unpack")
