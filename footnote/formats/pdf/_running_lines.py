"""Running headers and footers: lines at one place of many pages, in which only page numbers change.

They are recognised by the pages around: a line that is at the same place of several of them; or, where most pages
have such lines at a place, also another one there, as the title of a short chapter. A number may change only as the
pages do, for the number of an invoice is no page number.
"""

import re
import unicodedata
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import count, islice, pairwise, product
from statistics import median_low
from typing import Generic, NamedTuple, TypeVar

from footnote.formats.pdf._bidi import RIGHT_TO_LEFT
from footnote.formats.pdf._boxes import Box, TextLine
from footnote.formats.pdf._page_text import PageText

AHEAD = 8  # pages that are read before it is decided on one
_BEHIND = 16
_TWINS = 2  # other pages that must have the line
_NEAR = 0.01  # of the page's height
_MOST = 0.6  # share of the pages around
_FEWEST = 4  # pages of which most is a share
_PAGE_NUMBERS = 1_000  # a number next to words that exceeds the page by this counts something else
_NUMBER = re.compile(r"\d+|\b[ivxlc]+\b|\b[IVXLC]+\b")
_ROMAN = re.compile(r"(XC|XL|L?X{0,3})(IX|IV|V?I{0,3})|C{1,3}(XC|XL|L?X{0,3})(IX|IV|V?I{0,3})")
_VALUES = {"I": 1, "V": 5, "X": 10, "L": 50, "C": 100}

T = TypeVar("T")


@dataclass(frozen=True)
class Margin:
    """A line at the top or bottom of a page: which row from the edge, and how far from the bottom, as a share."""

    page: int
    text: str
    at_top: bool
    row: int
    place: float

    @cached_property
    def key(self) -> str:
        return " ".join(_NUMBER.sub("#", self.text).split())

    @cached_property
    def numbers(self) -> list[int]:
        return [_value(match) for match in _NUMBER.findall(self.text)]

    @property
    def is_bare(self) -> bool:
        """Whether it is hardly more than a number."""
        return sum(map(str.isalpha, self.key)) <= len("page")


@dataclass(frozen=True)
class _Sheet(Generic[T]):
    item: T
    margins: list[Margin]


def mark(pages: Iterable[tuple[T, list[Margin]]]) -> Iterator[tuple[T, list[str]]]:
    """Each page with its running lines. Holds some pages around the one that is decided on."""
    behind: deque[_Sheet[T]] = deque(maxlen=_BEHIND)
    ahead: deque[_Sheet[T]] = deque()
    source = iter(pages)
    ahead.extend(_Sheet(*page) for page in islice(source, AHEAD))
    while ahead:
        ahead.extend(_Sheet(*page) for page in islice(source, 1))
        sheet = ahead.popleft()
        yield sheet.item, _running(sheet, [*behind, *ahead])
        behind.append(sheet)


def places(lines: list[str], running: list[str]) -> set[int]:
    """Which lines of a page's text are its running lines: of several that read the same, the nearest to an end."""
    found: set[int] = set()
    spelled = list(map(_spelled, lines))
    for text in map(_spelled, running):
        alike = (number for number, line in enumerate(spelled) if text and line == text and number not in found)
        nearest = min(alike, key=lambda number: min(number, len(lines) - 1 - number), default=None)
        found |= set() if nearest is None else {nearest}
    return found


def _spelled(text: str) -> str:
    """A line without what its stored text may differ in: white space, and the order of its runs if it has two."""
    if text.isascii():
        return "".join(text.split())
    letters = "".join(unicodedata.normalize("NFKC", text.replace("\u00ad", "")).split())
    return "".join(sorted(letters)) if RIGHT_TO_LEFT.search(letters) else letters


def _running(sheet: _Sheet[T], around: list[_Sheet[T]]) -> list[str]:
    """The lines of a page that run, from its edges inwards up to the first row that has none."""
    found: list[str] = []
    for at_top in (True, False):
        for row in range(1 + max((line.row for line in sheet.margins if line.at_top == at_top), default=-1)):
            lines = [line for line in sheet.margins if line.at_top == at_top and line.row == row]
            running = [line for line in lines if _runs(line, around)]
            found += [line.text for line in running]
            if len(running) < len(lines):
                break
    return found


def _runs(line: Margin, around: list[_Sheet[T]]) -> bool:
    there = [
        other
        for sheet in around
        for other in sheet.margins
        if other.at_top == line.at_top and abs(other.place - line.place) < _NEAR
    ]
    if sum(_is_twin(line, other) for other in there) >= _TWINS:
        return True
    most = max(_FEWEST, _MOST * len(around))
    if sum(_counts(line, other) for other in there) >= most:
        return True
    if any(other.key == line.key for other in there):
        return False  # its numbers say something
    return sum(sum(_is_twin(other, third) for third in there) > _TWINS for other in there) >= most


def _is_twin(line: Margin, other: Margin) -> bool:
    """Whether two lines differ only in page numbers."""
    if line.key != other.key:
        return False
    numbers = zip(line.numbers, other.numbers, strict=False)
    return all(one == two or _are_page_numbers(line, one, other, two) for one, two in numbers)


def _are_page_numbers(line: Margin, one: int, other: Margin, two: int) -> bool:
    return two - one == other.page - line.page and (line.is_bare or one - line.page < _PAGE_NUMBERS)


def _counts(line: Margin, other: Margin) -> bool:
    """Whether the first or the last words of two lines are page numbers, whatever else they say."""
    ends = product(_at_ends(line.text), _at_ends(other.text))
    return any(one and two and _are_page_numbers(line, one, other, two) for one, two in ends)


def _at_ends(text: str) -> list[int]:
    """The numbers that a line begins and ends with, 0 where it has none."""
    words = text.split()
    return [_value(word) if _NUMBER.fullmatch(word) else 0 for word in (words[0], words[-1])]


def _value(word: str) -> int:
    if word.isdecimal():
        return int(word[:9])
    roman = word.upper()
    if not _ROMAN.fullmatch(roman):
        return -1
    values = [_VALUES[letter] for letter in roman]
    return sum(-one if one < two else one for one, two in zip(values, [*values[1:], 0], strict=True))


# The lines at the top and bottom of a PDF's page that white space separates from its text: running lines are there.

_DEPTH = 3  # rows
_SHARE = 0.2  # of the page's height, at its top and at its bottom
_GAP = 0.4  # how much more than between lines of text, in parts of a line's height
_LARGE = 1.3  # a line this much higher than most is a title


class _Row(NamedTuple):
    """Lines on the same row, as shares of the page's height from its bottom."""

    bottom: float
    top: float
    texts: list[str]


def margins(text: PageText, page: Box, number: int) -> list[Margin]:
    """The candidates of a page, the outermost first at either edge."""
    rows = _rows(text, page)
    if len(rows) < 2:
        return []
    gaps = [above.bottom - below.top for above, below in pairwise(rows)]
    usual, height = median_low(gaps), median_low([row.top - row.bottom for row in rows])
    wide = [gap > max(usual, 0) + _GAP * height for gap in gaps]
    found = []
    for at_top, ordered, parted in ((True, rows, wide), (False, rows[::-1], wide[::-1])):
        outer = [row for row in ordered[:_DEPTH] if (row.bottom > 1 - _SHARE if at_top else row.top < _SHARE)]
        deepest = max((deep for deep, gap in zip(count(1), parted[: len(outer)], strict=False) if gap), default=0)
        for depth, row in enumerate(outer[:deepest]):
            if row.top - row.bottom > _LARGE * height:
                break
            found += [Margin(number, line, at_top, depth, row.bottom) for line in row.texts]
    return found


def _rows(text: PageText, page: Box) -> list[_Row]:
    """From top to bottom."""
    height = page.top - page.bottom
    rows: list[tuple[Box, list[TextLine]]] = []
    for line in sorted(text.lines, key=lambda line: -line.first.bottom):
        box = line.first.around(line.last)
        if rows and rows[-1][0].is_level_with(box):
            rows[-1] = rows[-1][0].around(box), [*rows[-1][1], line]
        else:
            rows.append((box, [line]))
    return [
        _Row(
            (box.bottom - page.bottom) / height,
            (box.top - page.bottom) / height,
            [text.text[line.start : line.end] for line in lines],
        )
        for box, lines in rows
        if height > 0
    ]


# The title a page opens with, for paged documents that have no outline (statements, slides, reports).

_TOP_LINES = 6
_TITLE_LINES = 2
_RUNNING_PAGES = 2  # a line that opened this many pages before is a running header
_FIGURES = re.compile(r"\d+")
_WORD = re.compile(r"[^\W\d_]{4,}")


class PageTitles:
    """Reads pages in order; remembers what tops many of them, which is no title."""

    def __init__(self) -> None:
        self._seen: Counter[str] = Counter()

    def title(self, text: str) -> str:
        """The first title-like lines at the top of the page that are not running headers, or nothing."""
        top = [" ".join(line.split()) for line in text.lstrip().split("\n", _TOP_LINES)[:_TOP_LINES]]
        keys = [_FIGURES.sub("#", line) for line in top]
        fresh = [line for line, key in zip(top, keys, strict=True) if self._seen[key] < _RUNNING_PAGES]
        self._seen.update(set(keys))
        found: list[str] = []
        for line in fresh:
            if _title_like(line) and len(found) < _TITLE_LINES:
                found.append(line)
            elif found:
                break
        return _joined(found)


def _joined(lines: list[str]) -> str:
    """The title in one line: what a line leaves open goes on in the next one, other lines are titles of their own."""
    title = ""
    for line in lines:
        goes_on = title.rpartition(" ")[2][:1].islower() or line[:1].islower()
        title += f"{' ' if goes_on else ', '}{line}" if title else line
    return title


def _title_like(line: str) -> bool:
    """Short, no sentence, mostly words that begin with a capital."""
    words = _WORD.findall(line)
    capital = sum(word[0].isupper() for word in words)
    letters = sum(map(str.isalpha, line))
    return (
        5 <= len(line) <= 90
        and not line.endswith((".", ",", ";", ":", "-"))
        and letters >= 0.6 * len(line.replace(" ", ""))
        and capital > 0.6 * len(words)
    )
