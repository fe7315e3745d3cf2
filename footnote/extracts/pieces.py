"""Passages cut into what can be quoted: sentences, lines that stand alone, and lists with their lead-in."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from footnote.extracts import Passage
from footnote.extracts.question import meaning
from footnote.text.sentences import spans

LONGEST = 1_200  # characters of a piece: a sentence that is longer is a table without rows, or no sentence
MOST_ITEMS = 30
SHORT_LINE = 0.6  # of the passage's long lines; a line that is shorter, and ends without a mark, stands alone

_BULLET = re.compile(r"[ \t]*(?:[-*•·▪–#>]+|\(?\d{1,2}[.)]|\(?[a-z][.)])[ \t]")
_IN_NAMES = re.compile(r"[_.\-]+")  # that join words in names of files
_MARKS = (".", "!", "?", "。", "！", "？", ":", "…", ";")
_CONTINUED = (",", ";", "-", "–", "—", "(", "&", "/")


@dataclass(frozen=True)
class Piece:
    """`text` is `passage.text[start:end]`.

    `words` are its stems, of a list those of its lead-in; `around` those of the sentence and the heading before it, or
    of the list's items. `label` is the heading that it stands under.
    """

    text: str
    marker: int
    start: int
    end: int
    words: frozenset[str]
    title: frozenset[str]
    around: frozenset[str]
    is_list: bool = False
    is_line: bool = False  # a title, an item or the like: no sentence
    is_entry: bool = False  # a line, and what is said under it
    label: str = ""


def pieces(passages: Sequence[Passage]) -> list[Piece]:
    """In the order of the passages."""
    return [piece for passage in passages for piece in _pieces(passage)]


def _pieces(passage: Passage) -> Iterator[Piece]:
    text = passage.text
    title = meaning(_IN_NAMES.sub(" ", passage.title))
    label = passage.title.rpartition(" > ")[2] if " > " in passage.title else ""
    places = [line for start, end in spans(text) for line in _lines(text, start, end)]
    known = [meaning(text[start:end]) for start, end in places]
    heading = nothing = frozenset[str]()
    for number, (start, end) in enumerate(places):
        line = _is_line(text[start:end])
        around = (known[number - 1] if number else nothing) | heading
        for begin, stop in _bounded(text, start, end):
            words = known[number] if (begin, stop) == (start, end) else meaning(text[begin:stop])
            yield Piece(text[begin:stop], passage.marker, begin, stop, words, title, around, is_line=line, label=label)
        if line and not _BULLET.match(text, start):
            heading, label = known[number], text[start:end]
            if number + 1 < len(places) and places[number + 1][1] - start <= LONGEST:
                stop = places[number + 1][1]
                words = known[number] | known[number + 1]
                yield Piece(
                    text[start:stop], passage.marker, start, stop, words, title, nothing, is_entry=True, label=""
                )
    for first, last in _lists(text, places):
        start, end = places[first][0], places[last][1]
        items = nothing.union(*known[first + 1 : last + 1])
        yield Piece(text[start:end], passage.marker, start, end, known[first], title, items, is_list=True, label=label)


def _is_line(text: str) -> bool:
    return len(text) < 100 and not text.rstrip("\"'”’»)]*_`").endswith(_MARKS)


def _lines(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """The lines of `text[start:end]` that stand alone, such as titles, and what is between them."""
    lines = text[start:end].split("\n")
    if len(lines) == 1:
        yield start, end
        return
    wide = SHORT_LINE * min(100, max(map(len, lines)))
    begin = at = start
    for number, line in enumerate(lines):
        at += len(line) + 1
        last = number + 1 == len(lines)
        if last or (len(line.rstrip()) < wide and _stands_alone(line, lines[number + 1])):
            piece = text[begin : at - 1]
            if piece.strip():
                left = begin + len(piece) - len(piece.lstrip())
                yield left, left + len(piece.strip())
            begin = at


def _stands_alone(line: str, following: str) -> bool:
    line, following = line.strip(), following.strip()
    return not line.endswith(_CONTINUED) and not following[:1].islower()


def _bounded(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """The place itself; of one that is too long, pieces at ends of lines or words."""
    while end - start > LONGEST:
        cut = max(text.rfind("\n", start + 1, start + LONGEST), text.rfind(" ", start + LONGEST // 2, start + LONGEST))
        cut = cut if cut > start else start + LONGEST
        yield start, cut
        start = cut + 1 if text[cut : cut + 1].isspace() else cut
    if start < end:
        yield start, end


def _lists(text: str, places: Sequence[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """First and last place of each list with its lead-in."""
    at = 0
    while at < len(places):
        last = at
        led = text[places[at][0] : places[at][1]].endswith(":")
        while last + 1 < len(places) and last - at < MOST_ITEMS and _is_item(text, places, last + 1, led=led):
            last += 1
        if last - at >= (1 if led else 2) and places[last][1] - places[at][0] <= 2 * LONGEST:
            yield at, last
        at = max(last, at + 1)


def _is_item(text: str, places: Sequence[tuple[int, int]], number: int, *, led: bool) -> bool:
    start, end = places[number]
    begin = text.rfind("\n", 0, start) + 1
    if _BULLET.match(text, begin):
        return True
    alone = begin == start or not text[begin:start].strip()
    gap = text[places[number - 1][1] : start].count("\n")
    return led and alone and gap == 1 and end - start < 100 and text[end - 1] not in ".:"
