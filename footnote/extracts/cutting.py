"""Passages cut into what can be quoted: sentences, lines that stand alone, and lists with their lead-in."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from footnote.extracts import Passage
from footnote.extracts.question import meaning
from footnote.text.sentences import spans

LONGEST = 1_200  # characters of a piece: a sentence that is longer is a table without rows, or no sentence
LONGEST_LIST = 2 * LONGEST
MOST_ITEMS = 30
FENCE = "```"
LEADING = 2  # places before a lead-in that say what it leads to
BEFORE = 200  # characters before a passage that may
SHORT_LINE = 0.6  # of the passage's long lines; a line that is shorter, and ends without a mark, stands alone

_BULLET = re.compile(r"[ \t]*(?:[-*•·▪–]|\(?\d{1,2}[.)]|\(?[a-z][.)])[ \t]")
_ANNOUNCES = re.compile(r":\Z|\b(?:the following|as follows|folgendes|lo siguiente|ce qui suit)\.\Z", re.IGNORECASE)
_FIGURES = re.compile(r"(?:[ \t][-+(]?[$€£¥]?\d[\d.,'’]*[%)]{0,2}){2,}\Z")  # that a row of a table ends in
_IN_NAMES = re.compile(r"[_.\-]+")  # that join words in names of files
_MARKS = (".", "!", "?", "。", "！", "？", ":", "…", ";")
_CONTINUED = (",", ";", "-", "–", "—", "(", "&", "/")

_NOTHING = frozenset[str]()

Form = Literal["sentence", "line", "entry", "list"]


@dataclass(frozen=True)
class Extract:
    """`text` is `passage.text[start:end]`.

    `words` are its stems, of a list those of its lead-in; `around` those of the sentence and the heading before it, or
    of the list's items; `title` those of the passage's title. `label` is the heading that it is under. A line is a
    title, an item or the like; an entry is a line with what is said under it. `lead` is where the sentence before it
    begins.
    """

    text: str
    marker: int
    start: int
    end: int
    form: Form
    words: frozenset[str]
    around: frozenset[str]
    title: frozenset[str]
    label: str
    lead: int | None = None


def cut(passages: Sequence[Passage]) -> list[Extract]:
    """In the order of the passages; a list, an entry and what they consist of are extracts, each."""
    return [extract for passage in passages for extract in _Cutting(passage).extracts()]


class _Cutting:
    """One passage, cut into places: `(start, end)` of its sentences and of lines that stand alone."""

    def __init__(self, passage: Passage) -> None:
        self.passage, self.text = passage, passage.text
        self.title = meaning(_IN_NAMES.sub(" ", passage.title))
        self.label = passage.title.rpartition(" > ")[2] if " > " in passage.title else ""
        self.places = [line for start, end in spans(self.text) for line in _lines(self.text, start, end)]
        self.known = [meaning(self.text[start:end]) for start, end in self.places]

    def extracts(self) -> Iterator[Extract]:
        heading = _NOTHING
        for number, (start, end) in enumerate(self.places):
            if self._is_head(number):
                heading, self.label = self.known[number], self.text[start:end]
                continue
            is_line = _is_line(self.text[start:end])
            around = self._before(number, 1) | heading
            if self._announces(number) and number + 1 < len(self.places):
                yield from self._entry(number, self._before(number, LEADING) | heading)
                continue
            for begin, stop in _bounded(self.text, start, end):
                lead = self.places[number - 1][0] if number and begin == start else begin
                yield self._extract(begin, stop, "line" if is_line else "sentence", around=around, lead=lead)
            if is_line and self._may_be_heading(start, end):
                heading, self.label = self.known[number], self.text[start:end]
                yield from self._entry(number)
        for first, last in self._lists():
            items = _NOTHING.union(*self.known[first + 1 : last + 1])
            yield self._extract(self.places[first][0], self.places[last][1], "list", self.known[first], items)

    def _may_be_heading(self, start: int, end: int) -> bool:
        """Whether a line may say what stands below it: no item, no code and no row of a table."""
        if _BULLET.match(self.text, start) or self.text.startswith(FENCE, start):
            return False
        return not (_is_row(self.text[start:end]) or _FIGURES.search(self.text, start, end))

    def _is_head(self, number: int) -> bool:
        """Whether it names the columns of the rows below it, and so answers nothing by itself."""
        if not self._has_bars(number) or not self._has_bars(number + 1) or self._has_bars(number - 1):
            return False
        return not any(map(str.isdecimal, self.text[slice(*self.places[number])]))

    def _has_bars(self, number: int) -> bool:
        return 0 <= number < len(self.places) and _is_row(self.text[slice(*self.places[number])])

    def _announces(self, number: int) -> bool:
        return _ANNOUNCES.search(self.text, *self.places[number]) is not None

    def _before(self, number: int, many: int) -> frozenset[str]:
        """The words of the places before one; of the first, those that end what is before the passage."""
        known = _NOTHING.union(*self.known[max(0, number - many) : number])
        return known if number >= many else known | meaning(self.passage.before[-BEFORE:])

    def _extract(
        self,
        start: int,
        end: int,
        form: Form,
        words: frozenset[str] | None = None,
        around: frozenset[str] = _NOTHING,
        lead: int | None = None,
    ) -> Extract:
        text = self.text[start:end]
        words = meaning(text) if words is None else words
        return Extract(text, self.passage.marker, start, end, form, words, around, self.title, self.label, lead)

    def _entry(self, number: int, around: frozenset[str] = _NOTHING) -> Iterator[Extract]:
        """A line and the place below it; what a colon announces, up to the next paragraph."""
        if number + 1 == len(self.places):
            return
        if self._is_head(number + 1) or (self._is_bullet(number + 1) and self._is_bullet(number + 2)):
            return  # the list says all of it
        start, end = self.places[number][0], self.places[number + 1][1]
        announces = self.text[self.places[number][1] - 1] == ":"
        if not announces and self.text[end - 1] == ":":
            return
        if announces:
            end = max(end, self._block_end(self.places[number + 1][0], start + LONGEST))
        if end - start <= LONGEST:
            yield self._extract(start, end, "entry", self.known[number] | self.known[number + 1], around)

    def _is_bullet(self, number: int) -> bool:
        return number < len(self.places) and _BULLET.match(self.text, self.places[number][0]) is not None

    def _block_end(self, start: int, most: int) -> int:
        """Where the block that begins there ends: code at its fence, else the paragraph; -1 if it is longer."""
        if not self.text.startswith(FENCE, start):
            return self.text.find("\n\n", start, most)
        end = self.text.find(f"\n{FENCE}", start, most)
        return end + 1 + len(FENCE) if end >= 0 else self.text.find("\n\n", start, most)

    def _lists(self) -> Iterator[tuple[int, int]]:
        """Numbers of the first and last place of each list, with its lead-in."""
        at = 0
        while at < len(self.places):
            last, led = at, self.text[slice(*self.places[at])].endswith(":")
            while last + 1 < len(self.places) and last - at < MOST_ITEMS and self._is_item(last + 1, led=led):
                last += 1
            length = self.places[last][1] - self.places[at][0]
            if last - at >= (1 if led else 2) and length <= LONGEST_LIST:
                yield at, last
            at = max(last, at + 1)

    def _is_item(self, number: int, *, led: bool) -> bool:
        """A line with a bullet; where a colon leads in, any short line directly under the one before it."""
        start, end = self.places[number]
        begin = self.text.rfind("\n", 0, start) + 1
        if _BULLET.match(self.text, begin):
            return True
        is_own_line = not self.text[begin:start].strip()
        lines = self.text.count("\n", self.places[number - 1][1], start)
        return led and is_own_line and lines == 1 and end - start < 100 and self.text[end - 1] not in ".:"


def _is_line(text: str) -> bool:
    return len(text) < 100 and not text.rstrip("\"'”’»)]*_`").endswith(_MARKS)


def _lines(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """The lines of `text[start:end]` that stand alone, such as titles, and what is between them."""
    lines = text[start:end].split("\n")
    if len(lines) == 1:
        yield start, end
        return
    before = start - text.rfind("\n", 0, start) - 1  # characters on the first line, of the sentence before
    wide = SHORT_LINE * min(100, max(before + len(lines[0]), *map(len, lines)))
    begin = at = start
    for number, line in enumerate(lines):
        at += len(line) + 1
        last = number + 1 == len(lines)
        length = len(line.rstrip()) + (0 if number else before)
        if (
            last
            or _is_row(line)
            or _is_row(lines[number + 1])
            or _FIGURES.search(lines[number + 1])
            or (length < wide and _stands_alone(line, lines[number + 1]))
        ):
            piece = text[begin : at - 1]
            if piece.strip():
                left = begin + len(piece) - len(piece.lstrip())
                yield left, left + len(piece.strip())
            begin = at


def _is_row(line: str) -> bool:
    """Whether bars divide it into the cells of a table."""
    return " | " in line


def _stands_alone(line: str, following: str) -> bool:
    line, following = line.strip(), following.strip()
    return not line.endswith(_CONTINUED) and not following[:1].islower()


def _bounded(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """The place itself; of one that is too long, pieces at ends of lines or words."""
    while end - start > LONGEST:
        last = start + LONGEST
        stop = max(text.rfind("\n", start + 1, last), text.rfind(" ", start + LONGEST // 2, last))
        stop = stop if stop > start else last
        yield start, stop
        start = stop + 1 if text[stop : stop + 1].isspace() else stop
    if start < end:
        yield start, end
