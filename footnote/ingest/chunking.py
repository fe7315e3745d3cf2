"""Pages -> chunks with exact anchors, split where the text nearby decides. Pure."""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache, partial
from itertools import accumulate, islice, pairwise, takewhile
from typing import TYPE_CHECKING
from zlib import crc32

from footnote.embeddings.batches import embedded_text
from footnote.formats import COLUMNS_CHARACTERS, ParsedPage, Section
from footnote.text import is_blank

if TYPE_CHECKING:
    from langchain_text_splitters import RecursiveCharacterTextSplitter

# A chunk is one row, one tsvector and one embedding input; each of them fails on unbounded text.
MAX_CHUNK_BYTES = 8_000
# A section below this says too little to be found or cited, and is joined with its neighbours.
_SMALL = 200
# Characters whose breaks are compared at a time: this bounds memory, however long the page is.
_STRETCH = 1 << 18

_SENTENCE_END = re.compile(r"\n|[.!?]\s|[。\uff01\uff1f]")
_SENTENCE_MARKS = tuple(".!?…。\uff01\uff1f")
_AFTER_MARKS = " \t\n\"'”’)]»"
_SPACE = re.compile(r"\s")
# An endless word is split after one character in sixteen, chosen by its code and not by its position.
_SOME = f"[{''.join(re.escape(chr(code)) for code in range(0, 0x10000, 16))}]"
# A text is split after these, the first of them first: paragraphs, lines, sentences, words.
_SEPARATORS = [re.compile(each) for each in (r"\n\n", r"\n", r"[.!?]\s|[。\uff01\uff1f]", r"\s", "[,;，、；]", _SOME)]
# Characters between two bounds where there are more than enough of them; each bound costs time.
_APART = 48


_Heading = tuple[str, ...]


@dataclass(frozen=True)
class TextChunk:
    """A piece of one page: `page.text[char_start:char_end] == text`, without white space at its ends."""

    page: int
    char_start: int
    char_end: int
    heading: tuple[str, ...]
    text: str
    columns: str = ""  # headers of the tables whose rows it holds, where they are not in the text

    def context(self, title: str) -> str:
        """What is indexed in addition to the text: the position in the document, and the names of columns."""
        headings = " > ".join(dict.fromkeys(name for name in (title, *self.heading) if name))
        return "\n".join(filter(None, (headings, self.columns)))


@dataclass(frozen=True)
class _Ruler:
    """How long a text may be, and how long it is: in characters, or in tokens where something counts them."""

    size: int
    overlap: int
    count_tokens: Callable[[str], int] | None = None

    @property
    def room(self) -> int:
        """The length of a chunk without its overlap, for which half of the allowed overlap is left."""
        return self.size - self.overlap // 2

    @property
    def step(self) -> int:
        """Characters that fit into the room, however wide they are: four bytes, and a token for each byte."""
        widest = MAX_CHUNK_BYTES // 4 * self.room // self.size
        return min(max(1, self.room // 4) if self.count_tokens else self.room, widest)

    def length(self, text: str) -> int:
        return len(text) if self.count_tokens is None else self.width(text)

    def width(self, text: str) -> int:
        """The length of a text, or more if it fills a chunk's bytes before its characters or tokens."""
        if self.count_tokens is None and 4 * self.size <= MAX_CHUNK_BYTES:
            return len(text)
        # Characters are counted first: a whole book need not be encoded only to find that it is too long.
        in_bytes = len(text) if len(text) > MAX_CHUNK_BYTES else len(text.encode())
        filled = -(-in_bytes * self.size // MAX_CHUNK_BYTES)
        if self.count_tokens is None:
            return max(len(text), filled)
        return filled if filled > self.size else max(self.count_tokens(text), filled)

    def reach(self, text: str, earliest: int, stop: int, most: int) -> int:
        """The first position from `earliest` on from which it is at most `most` to `stop`."""
        if self.count_tokens is None:
            return max(earliest, stop - most)
        if self.width(text[earliest:stop]) <= most:  # mostly; to search for it takes ten times as long
            return earliest
        starts = range(earliest, stop)
        return earliest + bisect_left(starts, True, key=lambda start: self.width(text[start:stop]) <= most)


def split(
    page: ParsedPage,
    *,
    size: int,
    overlap: int,
    by_headings: bool = False,
    count_tokens: Callable[[str], int] | None = None,
) -> list[TextChunk]:
    """The page's chunks, in order, each at most `size` long and of `MAX_CHUNK_BYTES` bytes.

    Lengths are in characters, or in tokens as `count_tokens` counts them. Every visible character is in at least
    one chunk, except those of asides. A chunk starts with up to `overlap` of the one before it, never across a heading.
    It holds a whole section where that fits, and several small neighbours under the heading of the first, if not
    `by_headings`. An edit changes the chunks around it and hardly ever more than three.
    """
    chunks = []
    tables = [section for section in page.sections if section.columns]
    ruler = _Ruler(size, min(overlap, size // 2), count_tokens)
    for section in _packed(page, ruler, _same if by_headings else _related):
        for start, end in _spans(page.text, section.start, section.end, ruler):
            columns = _columns(tables, page.text, start, end)
            chunks.append(TextChunk(page.number, start, end, section.heading, page.text[start:end], columns))
    return chunks


def embedding_text(title: str, chunk: TextChunk) -> str:
    """The text that is embedded for a chunk."""
    return embedded_text(chunk.context(title), chunk.text)


def _joined(
    bounds: list[int], strength: Callable[[int], tuple[int, ...]], fits: Callable[[int, int, int], bool]
) -> list[int]:
    """The bounds left when neighbours are joined at their weakest break first, wherever `fits(start, joint, end)`.

    If chunks were filled from the front instead, one longer word would move every bound after it.
    """
    starts, ends = dict(zip(bounds[1:], bounds, strict=False)), dict(pairwise(bounds))
    for joint in sorted(bounds[1:-1], key=strength):
        start, end = starts[joint], ends[joint]
        if fits(start, joint, end):
            starts[end], ends[start] = start, end
            del ends[joint]
    return [*ends, bounds[-1]]


def _strength(text: str, joint: int) -> tuple[int, ...]:
    """How natural the break at `joint` is; among equals, numbers drawn from the text before it."""
    before = text[max(0, joint - 12) : joint]
    if before.endswith("\n\n"):
        kind = 4
    elif before.rstrip(_AFTER_MARKS).endswith(_SENTENCE_MARKS):
        kind = 3
    else:
        kind = 2 if before.endswith("\n") else int(before[-1:].isspace())
    # From few words, which an edit seldom changes; from more only where lines end alike.
    wider = (text[max(0, joint - reach) : joint].encode() for reach in (48, 192))
    return kind, crc32(before.encode()), *map(crc32, wider)


def _packed(page: ParsedPage, ruler: _Ruler, related: Callable[[_Heading, _Heading], bool]) -> list[Section]:
    """The page's sections; small ones are joined to related neighbours, the deepest first, while they fit a chunk."""
    sections = {section.start: section for section in _by_heading(page)}
    bounds = [*sections, len(page.text)]
    large = accumulate((end - start >= _SMALL for start, end in pairwise(bounds)), initial=0)
    large_before = dict(zip(bounds, large, strict=True))

    def strength(joint: int) -> tuple[int, ...]:
        return -len(sections[joint].heading), *_strength(page.text, joint)

    def fits(start: int, joint: int, end: int) -> bool:
        small = min(joint - start, end - joint) < _SMALL or large_before[start] == large_before[end]
        aside = sections[start].aside or sections[joint].aside
        together = small and not aside and related(sections[start].heading, sections[joint].heading)
        # A text with more characters than bytes are allowed need not be copied to be measured.
        return together and end - start <= MAX_CHUNK_BYTES and ruler.length(page.text[start:end]) <= ruler.size

    joined = pairwise(_joined(bounds, strength, fits))
    return [Section(start, end, sections[start].heading) for start, end in joined if not sections[start].aside]


def _by_heading(page: ParsedPage) -> Iterator[Section]:
    """The first of the page's sections of each heading and kind: a table is split with the text around it."""
    last = None
    for section in page.sections or [Section(0, len(page.text))]:
        if last is None or (section.heading, section.aside) != (last.heading, last.aside):
            yield section
        last = section


def _columns(tables: Sequence[Section], text: str, start: int, end: int) -> str:
    """The headers of the tables that have rows in `text[start:end]`, except those that are in that text."""
    first = bisect_right(tables, start, key=lambda table: table.end)
    within = takewhile(lambda table: table.start < end, islice(tables, first, None))
    words = " ".join(text[start:end].split())
    missing = dict.fromkeys(table.columns for table in within if " ".join(table.columns.split()) not in words)
    return "\n".join(missing)[:COLUMNS_CHARACTERS]


def _same(first: _Heading, second: _Heading) -> bool:
    return first == second


def _related(first: _Heading, second: _Heading) -> bool:
    """Sections of one parent, or one directly under the other."""
    return first[:-1] == second[:-1] or second[: len(first)] == first


def _spans(text: str, start: int, end: int, ruler: _Ruler) -> Iterator[tuple[int, int]]:
    """Start and end of the chunks that cover `text[start:end]`, stripped of white space."""
    if is_blank(text[start:end]):
        return
    begin = start - 1
    for first, last in pairwise(_cuts(text, start, end, ruler)):
        # No chunk repeats the whole one before it, nor grows over the limits by its overlap.
        earliest = ruler.reach(text, max(start, begin + 1), first, ruler.overlap)
        earliest = min(first, ruler.reach(text, earliest, last, ruler.size))
        if ruler.width(text[earliest:last]) > ruler.size:
            earliest = max(earliest, first - (MAX_CHUNK_BYTES - len(text[first:last].encode())) // 4)
        begin = _overlap_start(text, earliest, first)
        body = text[begin:last]
        begin += len(body) - len(body.lstrip())
        stop = begin + len(body.strip())
        if first < stop and not is_blank(text[first:stop]):
            yield begin, stop


def _cuts(text: str, start: int, end: int, ruler: _Ruler) -> list[int]:
    """Where the chunks of `text[start:end]` begin without their overlap, and `end`.

    They leave room for half the overlap, unless a scrap would be left over that fits into the whole of it.
    """
    if ruler.width(text[start:end]) <= ruler.size:
        return [start, end]
    strength, room = partial(_strength, text), ruler.room

    def fits(start: int, _joint: int, end: int) -> bool:
        return ruler.width(text[start:end]) <= room

    def scrap_fits(start: int, joint: int, end: int) -> bool:
        scrap = min(ruler.length(text[start:joint]), ruler.length(text[joint:end])) < ruler.size // 5
        return scrap and ruler.width(text[start:end]) <= ruler.size

    cuts = [start]
    while cuts[-1] < end:
        bounds = _bounds(text, cuts[-1], min(end, cuts[-1] + _STRETCH), ruler)
        if bounds[-1] < end:
            del bounds[bounds.index(max(bounds[len(bounds) * 7 // 8 : -1], key=strength)) + 1 :]
        cuts += _joined(_joined(bounds, strength, fits), strength, scrap_fits)[1:]
    return cuts


def _bounds(text: str, start: int, end: int, ruler: _Ruler) -> list[int]:
    """The bounds of the pieces of `text[start:end]` that stay whole: paragraphs, or else lines, sentences, words."""

    @cache  # most pieces stay as they are from one separator to the next
    def width(first: int, last: int) -> int:
        return ruler.width(text[first:last])

    bounds, room = [start], ruler.room
    stretch = text[start:end]
    prose = len(_SENTENCE_END.findall(stretch)) <= 2 * len(stretch) // _APART
    for piece in _splitter(ruler).split_text(stretch) if prose else [stretch]:
        bounds.append(bounds[-1] + len(piece))
    for separator in _SEPARATORS:
        whole, bounds = bounds, [start]
        for first, last in pairwise(whole):
            if width(first, last) >= room:
                bounds += _ends(separator, text, first, last, ruler)
            bounds.append(last)
    whole, bounds = bounds, [start]
    for first, last in pairwise(whole):
        if width(first, last) > room:
            bounds += range(first + ruler.step, last, ruler.step)
        bounds.append(last)
    return bounds


@lru_cache(maxsize=16)
def _splitter(ruler: _Ruler) -> "RecursiveCharacterTextSplitter":
    """Splits into paragraphs, or else lines, sentences. Not into words: that takes seconds for a megabyte."""
    from langchain_text_splitters import RecursiveCharacterTextSplitter

    # Without overlap and stripping, the pieces tile the text, and positions follow from their lengths. Each counts
    # as more than half the room, so that none are merged: `_joined` does that.
    room, least = ruler.room, ruler.room // 2 + 1
    return RecursiveCharacterTextSplitter(
        separators=[each.pattern for each in _SEPARATORS[:3]],
        is_separator_regex=True,
        keep_separator="end",
        chunk_size=room,
        chunk_overlap=0,
        strip_whitespace=False,
        length_function=lambda piece: max(ruler.width(piece), least),
    )


def _ends(separator: re.Pattern[str], text: str, first: int, last: int, ruler: _Ruler) -> list[int]:
    """Where separators end within `text[first:last]`: all of them, or some where they are close to each other.

    The text before them decides which ones where it varies, and their distance where it does not.
    """
    apart = max(1, min(_APART, ruler.room // 5))
    most = 2 * (last - first) // apart
    found = [match.end() for match in islice(separator.finditer(text, first, last), most + 1)]
    if len(found) > most:
        found, at, before = [], first, first
        while match := separator.search(text, at + apart // 2, last):
            at = match.end()
            if at - before >= 2 * apart or crc32(text[max(0, at - 8) : at].encode()) % 2:
                found.append(at)
                before = at
    if found and found[-1] == last:
        del found[-1]
    return found


def _overlap_start(text: str, earliest: int, first: int) -> int:
    """Where a chunk whose own text begins at `first` starts: at a sentence, a word, or else `earliest`."""
    if earliest >= first:
        return first
    for boundary in (_SENTENCE_END, _SPACE):
        match = boundary.search(text, earliest, first)
        if match and match.end() < first:
            return match.end()
    return first if match else earliest
