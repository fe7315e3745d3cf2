"""What parsers say, and the pages that are made of it."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from footnote.errors import DocumentRejected
from footnote.text import clean

PAGE_CHARACTERS = 64 * 1024 * 1024
MOST_PAGES = 20_000
# A heading path is stored with every chunk below it.
HEADING_CHARACTERS = 200
HEADING_DEPTH = 8


@dataclass(frozen=True)
class Block:
    """A piece of a document's text, in reading order.

    `page` counts from 1 and never decreases; a format without pages has one. `heading` is the path of
    headings above the block, outermost first.
    """

    text: str
    page: int = 1
    heading: tuple[str, ...] = ()


@dataclass(frozen=True)
class Section:
    """The characters `start:end` of a page's text that stand under one heading path."""

    start: int
    end: int
    heading: tuple[str, ...] = ()


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
class Page:
    """A page's stored text, the sections that tile it, and the encodings that were guessed to read it."""

    number: int
    text: str
    sections: list[Section] = field(default_factory=list)
    scan: Scan | None = None
    guesses: tuple[Guess, ...] = ()


class _PageText:
    """Collects the blocks of one page."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.length = 0
        self._pieces: list[str] = []
        self._starts: list[tuple[int, tuple[str, ...]]] = []

    def add(self, text: str, heading: tuple[str, ...]) -> None:
        text = clean(text).strip("\n")
        if not text:
            return
        heading = tuple(name[:HEADING_CHARACTERS] for name in heading[:HEADING_DEPTH])
        separator = "\n\n" if self._pieces else ""
        if not self._starts or self._starts[-1][1] != heading:
            self._starts.append((self.length + len(separator), heading))
        self._pieces.append(separator + text)
        self.length += len(separator) + len(text)
        if self.length > PAGE_CHARACTERS:
            raise DocumentRejected("too_large", f"The text has more than {PAGE_CHARACTERS:,} characters on one page.")

    def page(self) -> Page:
        ends = [start for start, _ in self._starts[1:]] + [self.length]
        sections = [Section(start, end, path) for (start, path), end in zip(self._starts, ends, strict=False)]
        return Page(self.number, "".join(self._pieces), sections)


def paginate(blocks: Iterable[Block]) -> Iterator[Page]:
    """Pages as they are stored: clean text, a blank line between blocks, neighbours of one heading merged.

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
        current.add(block.text, block.heading)
    if current is not None:
        yield current.page()
