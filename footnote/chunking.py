"""Pages -> chunks with exact anchors. Pure."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING

from footnote.formats import Page, Section

if TYPE_CHECKING:
    from langchain_text_splitters import RecursiveCharacterTextSplitter

# A chunk is one row, one tsvector and one embedding input; each of them breaks on unbounded text.
MAX_CHUNK_BYTES = 8_000
# Below this a chunk says too little to be found or cited, and is packed with its neighbours.
_SMALL = 200

_SENTENCE_END = re.compile(r"\n|[.!?]\s|[。\uff01\uff1f]")
_SPACE = re.compile(r"\s")
_SEPARATORS = [r"\n\n", r"\n", r"\. ", "。", r"\s", ""]


@dataclass(frozen=True)
class Chunk:
    """A piece of one page: `page.text[char_start:char_end] == text`, without white space at its ends."""

    page: int
    char_start: int
    char_end: int
    heading: tuple[str, ...]
    text: str


def split(page: Page, *, size: int, overlap: int) -> list[Chunk]:
    """The page's chunks, in order, each at most `size` characters and `MAX_CHUNK_BYTES` bytes long.

    Every character but white space is in at least one chunk. A chunk starts with up to `overlap` characters
    of the one before it, never across a heading. It holds a whole section where that fits, and several small
    neighbours under the heading of the first.
    """
    chunks = []
    for section in _packed(page, size):
        for start, end in _spans(page.text, section.start, section.end, size, min(overlap, size // 2)):
            text = page.text[start:end]
            chunks.append(Chunk(page.number, start, end, section.heading, text))
    return chunks


def embedding_text(title: str, chunk: Chunk) -> str:
    """What is embedded for a chunk: a line that places it in its document, then its text."""
    names = dict.fromkeys(name for name in (title, *chunk.heading) if name)
    return f"{' > '.join(names)}\n\n{chunk.text}" if names else chunk.text


def _packed(page: Page, size: int) -> list[Section]:
    """The page's sections; a small one is joined to its neighbour while both fit one chunk."""
    packed: list[Section] = []
    for section in page.sections or [Section(0, len(page.text))]:
        last = packed[-1] if packed else None
        if (
            last is not None
            and section.end - last.start <= size
            and min(last.end - last.start, section.end - section.start) < _SMALL
            and _related(last.heading, section.heading)
        ):
            packed[-1] = Section(last.start, section.end, last.heading)
        else:
            packed.append(section)
    return packed


def _related(first: tuple[str, ...], second: tuple[str, ...]) -> bool:
    """Sections of one parent, or one that stands directly under the other."""
    return first[:-1] == second[:-1] or second[: len(first)] == first


def _spans(text: str, start: int, end: int, size: int, overlap: int) -> Iterator[tuple[int, int]]:
    """Start and end of the chunks that cover `text[start:end]`, stripped of white space."""
    cuts = [start]
    for piece in _pieces(text[start:end], size, overlap):
        if len(cuts) > 1 and cuts[-1] + len(piece) - cuts[-2] <= size:
            cuts[-1] += len(piece)
        else:
            cuts.append(cuts[-1] + len(piece))
    begin = start - 1
    for first, last in pairwise(cuts):
        # No chunk repeats the whole one before it, nor grows over the size by its overlap.
        earliest = max(start, begin + 1, first - overlap, last - size)
        begin = _overlap_start(text, earliest, first)
        body = text[begin:last]
        begin += len(body) - len(body.lstrip())
        stop = begin + len(body.strip())
        if first >= stop or text[first:stop].isspace():
            continue
        if len(text[begin:stop].encode()) > MAX_CHUNK_BYTES:
            narrow = MAX_CHUNK_BYTES // 4
            for begin, narrow_stop in _spans(text, first, stop, narrow, min(overlap, narrow // 8)):
                yield begin, narrow_stop
        else:
            yield begin, stop


def _pieces(text: str, size: int, overlap: int) -> Iterator[str]:
    """Pieces that make up the text exactly; all but a single one leave room for the overlap in front."""
    if len(text) <= size:
        yield text
        return
    room = size - overlap
    splitter = _splitter(room)
    # The splitter takes a word longer than a chunk apart letter by letter, which is slow; it is cut up front.
    position = 0
    for word in re.finditer(rf"(?<![^\s。])[^\s。]{{{room + 1},}}", text):
        yield from splitter.split_text(text[position : word.start()])
        for cut in range(word.start(), word.end(), room):
            yield text[cut : min(cut + room, word.end())]
        position = word.end()
    yield from splitter.split_text(text[position:])


@lru_cache(maxsize=16)
def _splitter(size: int) -> "RecursiveCharacterTextSplitter":
    from langchain_text_splitters import RecursiveCharacterTextSplitter

    # Without overlap and stripping, the pieces tile the text, and their places follow from their lengths.
    return RecursiveCharacterTextSplitter(
        separators=_SEPARATORS,
        is_separator_regex=True,
        keep_separator="end",
        chunk_size=size,
        chunk_overlap=0,
        strip_whitespace=False,
    )


def _overlap_start(text: str, earliest: int, first: int) -> int:
    """Where a chunk whose own text begins at `first` starts: at a sentence, a word, or else `earliest`."""
    if earliest >= first:
        return first
    for boundary in (_SENTENCE_END, _SPACE):
        match = boundary.search(text, earliest, first)
        if match and match.end() < first:
            return match.end()
    return first if match else earliest
