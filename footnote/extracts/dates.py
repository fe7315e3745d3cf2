"""Dates, months, quarters and years in a text, in the ways that European languages, Chinese and Japanese write them."""

import re
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal

from footnote.extracts.units import MONTHS, Value

_MONTH = rf"(?P<month>{'|'.join(sorted(MONTHS, key=len, reverse=True))})"
_YEAR = r"(?:1[5-9]|20|21)\d\d"
_NEAR_YEAR = rf"(?P<year>{_YEAR})(?!\d)"
_DAY = r"(?:0?[1-9]|[12]\d|3[01])"
_NO_WORD_BEFORE, _NO_WORD_BEHIND = r"(?<![\w$€£¥])(?<!\d[.,:/])(?<!\w-)", r"(?![\w%])(?![.,:/-]\d)"
_QUARTERS = {
    word: number
    for number, words in enumerate(
        (
            "first erstes ersten premier primer 1st",
            "second zweites zweiten deuxième segundo 2nd",
            "third drittes dritten troisième tercer 3rd",
            "fourth viertes vierten quatrième cuarto 4th",
        ),
        1,
    )
    for word in words.split()
}


def _date(match: re.Match[str]) -> Value | None:
    part = match.groupdict()
    month, day, year = part["month"] or "0", int(part["day"] or 0) if "day" in part else 0, int(part["year"] or 0)
    number = int(month) if month.isdecimal() else MONTHS[month.lower()]
    if number > 12 >= day > 0:  # 25/12, not 12/25
        number, day = day, number
    if number > 12 or day > 31:
        return None
    if not number:
        return Value(*match.span(), Decimal(year), None, "year")
    return Value(*match.span(), Decimal(year * 10_000 + number * 100 + day), None, "date")


def _year(match: re.Match[str]) -> Value:
    year = match["year"]
    full = int(year) + (2000 if len(year) == 2 else 0)
    return Value(*match.span(), Decimal(full), None, "year")


def _quarter(match: re.Match[str]) -> Value:
    quarter = match["quarter"].lower()
    number = _QUARTERS.get(quarter) or int(quarter)
    return Value(*match.span(), Decimal(int(match["year"] or 0) * 10 + number), None, "quarter")


_Pattern = tuple[re.Pattern[str], Callable[[re.Match[str]], Value | None]]
_PATTERNS: list[_Pattern] = [
    (re.compile(rf"{_NO_WORD_BEFORE}{pattern}{_NO_WORD_BEHIND}", re.IGNORECASE), read)
    for pattern, read in (
        (rf"(?P<year>{_YEAR})(?P<mark>[-/.])(?P<month>\d\d?)(?P=mark)(?P<day>{_DAY})(?:T[\d:]{{5,8}}Z?)?", _date),
        (rf"(?P<month>\d\d?)(?P<mark>[-/])(?P<day>\d\d?)(?P=mark)(?P<year>{_YEAR})", _date),
        (rf"(?P<day>{_DAY})\.[ ]?(?P<month>\d\d?)\.[ ]?(?P<year>{_YEAR})", _date),
        (rf"(?P<day>{_DAY})(?:\.|st|nd|rd|th|er|º)?\s(?:of\s|de\s)?{_MONTH}\.?(?:,?\s(?:del?\s)?{_NEAR_YEAR})?", _date),
        (rf"{_MONTH}\.?\s(?P<day>{_DAY})(?:st|nd|rd|th)?(?:,?\s{_NEAR_YEAR})?", _date),
        (rf"{_MONTH}\.?,?\s(?:de\s)?{_NEAR_YEAR}", _date),
        (rf"Q(?P<quarter>[1-4])(?:[ ,'’/-]{{0,2}}(?:FY ?)?{_NEAR_YEAR})?", _quarter),
        (
            rf"(?P<quarter>{'|'.join(_QUARTERS)})\s(?:fiscal\s)?(?:quarter|Quartal|trimestre)"
            rf"(?:,?\s(?:of\s|de\s)?(?:fiscal\s)?(?:year\s)?{_NEAR_YEAR})?",
            _quarter,
        ),
        (r"FY ?['’]?(?P<year>(?:20|19)?\d\d)", _year),
        (rf"(?P<year>{_YEAR})", _year),
    )
]
_PATTERNS.insert(0, (re.compile(rf"(?P<year>{_YEAR})年(?:(?P<month>\d\d?)月)?(?:(?P<day>{_DAY})日)?"), _date))


def agree(said: Value, source: Value) -> bool:
    """Whether one day, month, quarter or year is the other said less exactly: `May 2023` for `3 May 2023`."""
    if said.kind == "year":
        return str(int(source.number)).startswith(str(int(said.number)))
    if said.kind != source.kind:
        return False
    places = (10_000, 100, 1) if said.kind == "date" else (10, 1)
    return all(part in (0, other) for part, other in zip(_parts(said, places), _parts(source, places), strict=True))


def _parts(value: Value, places: Sequence[int]) -> list[int]:
    parts, rest = [], int(value.number)
    for place in places:
        part, rest = divmod(rest, place)
        parts.append(part)
    return parts


def dates(text: str) -> list[Value]:
    """Dates, months with their year, quarters and years, in the order of the text."""
    return _found(text, _PATTERNS)


def dated(text: str) -> list[Value]:
    """Like `dates`, without years that are written as a bare number."""
    return _found(text, _PATTERNS[:-1])


def _found(text: str, patterns: Sequence[_Pattern]) -> list[Value]:
    found: list[Value] = []
    for pattern, read in patterns:
        made = (value for match in pattern.finditer(text) if (value := read(match)))
        found = in_order(found, made)
    return found


def in_order(taken: Sequence[Value], found: Iterator[Value]) -> list[Value]:
    """`taken`, which is in order, and those of `found` that share no character with it."""
    starts = [value.start for value in taken]

    def is_free(value: Value) -> bool:
        at = bisect_right(starts, value.end - 1)
        return not at or taken[at - 1].end <= value.start

    return sorted([*taken, *filter(is_free, found)], key=lambda value: value.start)
