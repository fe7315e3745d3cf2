"""Running headers and footers: lines at one place of many pages, in which only page numbers change.

They are told by the pages around: a line that stands at the same place of several of them; or, where most pages have
such lines at a place, also another one there, as the title of a short chapter. A number may change only as the pages
do, for the number of an invoice is no page number.
"""

import re
import unicodedata
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Generic, TypeVar

AHEAD = 8  # pages that are read before it is decided on one
_BEHIND = 16
_TWINS = 2  # other pages that must have the line
_NEAR = 0.01  # of the page's height
_MOST = 0.6  # share of the pages around
_FEWEST = 4  # pages of which most is a share
_PAGE_NUMBERS = 1_000  # a larger one beside words is one of something else
_NUMBER = re.compile(r"\d+|\b[ivxlc]+\b|\b[IVXLC]+\b")
_ROMAN = re.compile(r"(XC|XL|L?X{0,3})(IX|IV|V?I{0,3})|C{1,3}(XC|XL|L?X{0,3})(IX|IV|V?I{0,3})")
_VALUES = {"I": 1, "V": 5, "X": 10, "L": 50, "C": 100}

_RIGHT_TO_LEFT = re.compile("[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc]")

T = TypeVar("T")


@dataclass(frozen=True)
class Margin:
    """A line at the top or bottom of a page: which row from the edge, and how far from the bottom, as a share."""

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
    number: int
    item: T
    margins: list[Margin]


def mark(pages: Iterable[tuple[T, list[Margin]]]) -> Iterator[tuple[T, list[str]]]:
    """Each page with its running lines. Holds some pages around the one that is decided on."""
    behind: deque[_Sheet[T]] = deque(maxlen=_BEHIND)
    ahead: deque[_Sheet[T]] = deque()
    source = enumerate(pages)
    more = True
    while more or ahead:
        while more and len(ahead) <= AHEAD:
            number, page = next(source, (0, None))
            if page is None:
                more = False
            else:
                ahead.append(_Sheet(number, *page))
        if ahead:
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
    letters = "".join(unicodedata.normalize("NFKC", text.replace("\u00ad", "")).split())
    return "".join(sorted(letters)) if _RIGHT_TO_LEFT.search(letters) else letters


def _running(sheet: _Sheet[T], around: list[_Sheet[T]]) -> list[str]:
    """The lines of a page that run, from its edges inwards up to the first row that has none."""
    found: list[str] = []
    for at_top in (True, False):
        for row in range(1 + max((line.row for line in sheet.margins if line.at_top == at_top), default=-1)):
            lines = [line for line in sheet.margins if line.at_top == at_top and line.row == row]
            running = [line for line in lines if _runs(line, sheet, around)]
            found += [line.text for line in running]
            if len(running) < len(lines):
                break
    return found


def _runs(line: Margin, sheet: _Sheet[T], around: list[_Sheet[T]]) -> bool:
    there = [
        (other, page.number - sheet.number)
        for page in around
        for other in page.margins
        if other.at_top == line.at_top and abs(other.place - line.place) < _NEAR
    ]
    twins = sum(_is_twin(line, other, distance) for other, distance in there)
    if twins >= _TWINS:
        return True
    most = max(_FEWEST, _MOST * len(around))
    if sum(_counts(line, other, distance) for other, distance in there) >= most:
        return True
    groups = Counter(other.key for other, _ in there)
    return sum(count for count in groups.values() if count > _TWINS) >= most


def _is_twin(line: Margin, other: Margin, distance: int) -> bool:
    """Whether two lines differ in nothing but page numbers."""
    if line.key != other.key:
        return False
    numbers = zip(line.numbers, other.numbers, strict=False)
    return all(one == two or _is_page_number(line, one, two, distance) for one, two in numbers)


def _is_page_number(line: Margin, one: int, two: int, distance: int) -> bool:
    return two - one == distance and (line.is_bare or max(one, two) < _PAGE_NUMBERS)


def _counts(line: Margin, other: Margin, distance: int) -> bool:
    """Whether the first or the last words of two lines are page numbers, whatever else they say."""
    return any(
        one and two and _is_page_number(line, one, two, distance)
        for one, two in ((_at_end(line.text, place), _at_end(other.text, place)) for place in (0, -1))
    )


def _at_end(text: str, place: int) -> int:
    """The number that a line begins or ends with, 0 if with none."""
    word = text.split()[place]
    return _value(word) if _NUMBER.fullmatch(word) else 0


def _value(word: str) -> int:
    if word.isdecimal():
        return int(word[:9])
    roman = word.upper()
    if not _ROMAN.fullmatch(roman):
        return -1
    values = [_VALUES[letter] for letter in roman]
    return sum(-one if one < two else one for one, two in zip(values, [*values[1:], 0], strict=True))
