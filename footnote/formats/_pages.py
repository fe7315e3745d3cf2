"""What parsers say, and the pages that are made of it."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

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
    is in no chunk. `notes` counts what the document's report should tell of the block.
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
class Page:
    """A page's stored text and the sections that tile it.

    `guesses`: the encodings that were guessed to read it; `notes`: the sums of its blocks' notes.
    """

    number: int
    text: str
    sections: list[Section] = field(default_factory=list)
    scan: Scan | None = None
    guesses: tuple[Guess, ...] = ()
    notes: Mapping[str, int] = field(default_factory=dict)


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

    def page(self) -> Page:
        ends = [section.start for section in self._sections[1:]] + [self.length]
        sections = [replace(section, end=end) for section, end in zip(self._sections, ends, strict=False)]
        return Page(self.number, "".join(self._pieces), sections, notes=dict(self._notes))


def paginate(blocks: Iterable[Block]) -> Iterator[Page]:
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
