"""Numbers, amounts, percentages, dates and durations in a text, with the words next to them taken into account.

Linear in the length of the text: each pattern is bounded, or takes all it can without going back.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from decimal import Decimal

from footnote.extracts.dates import agree, dated, dates, in_order
from footnote.extracts.units import (
    CURRENCIES,
    NUMBER_WORDS,
    PHRASES,
    SCALES,
    SHORT_SCALES,
    UNITS,
    Kind,
    Unit,
    Value,
)
from footnote.text import UNSPACED

__all__ = ["UnitLine", "Value", "agrees", "dates", "same", "unit_line", "values"]

_ONE = Decimal(1)
_DATED = ("date", "quarter")


@dataclass(frozen=True)
class UnitLine:
    """What a line such as `(in millions of dollars, except per share)` says of the numbers below it."""

    scale: Decimal = _ONE
    unit: Unit | None = None
    text: str = ""


def values(text: str, context: str = "") -> list[Value]:
    """All values in the order of the text. A unit line in `context` (`in millions`) holds for numbers without scale."""
    around = _Surroundings(text, unit_line(context), _comma_is_decimal(text) or _comma_is_decimal(context))
    found = in_order(in_order(dated(text), _words(around)), _figures(around))
    return _ranges(text, found)


def agrees(said: Value, source: Value) -> bool:
    """Whether a text that holds `source` supports `said`: the same, or rounded to what `said` writes.

    The sign may be said in words: `fell by 5 %` for `(5) %`. A date may be said less exactly.
    """
    if source.kind in _DATED or said.kind in _DATED:
        return agree(said, source)
    if not _comparable(said, source):
        return False
    numbers = {source.number, abs(source.number)}
    slack = said.step / 2 if said.step > source.step and _is_rounded(said) else Decimal(0)
    return any(abs(said.number - number) <= slack for number in numbers)


def same(first: Value, second: Value) -> bool:
    """Whether the two can mean the same, each rounded in its own way."""
    return agrees(first, second) or agrees(second, first)


def unit_line(text: str) -> UnitLine:
    """Scale and currency that a text gives for the numbers under it; nothing changed if it gives none."""
    scale = _SCALE_LINE.search(text)
    if scale is None:
        return UnitLine()
    word = next(filter(None, scale.groups()))
    factor = Decimal(1000) if word.startswith("0") else SCALES[_singular(word)]
    line = text[text.rfind("\n", 0, scale.start()) + 1 : (text + "\n").index("\n", scale.end())]
    named = (CURRENCIES.get(each) for each in _CURRENCY.findall(line[:200]))
    return UnitLine(factor, next(filter(None, named), None), scale[0])


# Figures

_THIN = "\u00a0\u202f\u2009"  # spaces that join the parts of a number
_YEAR = re.compile(r"(?:1[5-9]|20|21)\d\d")
_FIGURE = re.compile(rf"\d+(?:[.,'’{_THIN}٬٫]\d+)*")
_SPACED = re.compile(r"(?: \d{3}){1,4}(?:,\d{1,2})?(?=\s?(?:€|EUR\b|[Ee]uros?\b|kr\b|zł|SEK\b|CHF\b|₽|[Mm]illi))")
_GROUPED = re.compile(rf"\d{{1,3}}(?:([.,'’{_THIN}٬])\d{{3}})(?:\1\d{{3}})*|\d{{1,2}}(?:,\d\d)+,\d{{3}}")
_SIGN = re.compile(r"(?<![\w)])[-−–] ?\Z")
_SYMBOL = re.compile(
    r"(?:(?<![A-Za-z])(?:US|HK|CA|AU|CN|[CAR])?[$¥]|[€£₹₩₽]|(?<!\w)(?:USD|EUR|GBP|CHF|JPY|INR|Rs)\.?)\s?\Z"
)
_UNSPACED = "|".join(
    sorted((word for word in (*SCALES, *UNITS, *CURRENCIES) if re.match(f"[{UNSPACED}]", word)), key=len, reverse=True)
)
_SUFFIX = re.compile(rf"[ \u00a0\u202f-]?({_UNSPACED}|[^\W\d_]{{1,16}}|[%％€£¥°℃℉×$][CF]?)")
_IN_WORDS = re.compile(r"\s?\(([^\W\d_]{2,16})\)")  # 3 (three)
_ORDINAL = re.compile(r"(?:st|nd|rd|th)\b")
_PHRASE = re.compile(rf"\s(?:{'|'.join(PHRASES)})\b")
_COMMA = re.compile(
    rf"(?<![\d.,])\d{{1,3}}(?:[.{_THIN}]\d{{3}})*,\d{{1,2}}(?![\d,])|(?<![\d.,])\d{{1,3}}(?:\.\d{{3}}){{2,6}}(?![\d.])"
)
_POINT = re.compile(r"(?<![\d.,])\d{1,3}(?:,\d{3})*\.\d{1,2}(?![\d.])|(?<![\d.,])\d{1,3}(?:,\d{3})+(?![\d,])")
_SCALE_LINE = re.compile(
    r"\b[Ii]n\s(?:[A-Z€$£¥]{1,3}\s)?([Tt]housands?|[Mm]illions?|[Bb]illions?|000s?|Tsd|Mio|Mrd|Tausend|Millionen|Milliarden)\b"
    r"|\(\s?(?:[A-Z€$£¥]{1,3}\s?|[Dd]ollars\s)?(?:in\s)?([Tt]housands|[Mm]illions|[Bb]illions|000s?|Tsd|Mio|Mrd)\b"
    r"|\b([Tt]housands|[Mm]illions|[Bb]illions)\s(?:of|d['’e]|de)\s?(?:U\.?S\.?\s)?(?:[Dd]ollars|[Ee]uros|[Pp]ounds|[Yy]en|USD|EUR|\$|€)"
    r"|(?:[$€£¥]|USD|EUR|GBP)\s?(?:in\s)?([Tt]housands|[Mm]illions|[Bb]illions|000s?)\b"
    r"|\b[Ee]n\s(milliers|millions|milliards|miles|millones)\b"
)
_CURRENCY = re.compile(r"[A-Z]{0,2}[$¥]|[€£₹₩₽]|\b[A-Z]{3}\b|\b[Dd]ollars\b|\b[Ee]uros?\b|\b[Yy]en\b")
# Below `in millions`, these are not in millions.
_UNSCALED = re.compile(
    r"per[ -](?:\w+ )?share|percent|%|ratio|number of|employees|headcount|shares? price", re.IGNORECASE
)


@dataclass(frozen=True)
class _Surroundings:
    """A text whose numbers are read, and what holds for all of them."""

    text: str
    line: UnitLine
    comma_is_decimal: bool

    def scaled_here(self, start: int) -> bool:
        """Whether the unit line holds at a place: not where the row says that it is of another kind."""
        if self.line.scale == _ONE:
            return False
        begin = max(self.text.rfind("\n", 0, start) + 1, start - 160)
        return not of_another_kind(self.text[begin:start])


def of_another_kind(label: str) -> bool:
    """Whether the figures of such a row are no amounts: a unit line such as `in millions` does not hold for them."""
    return _UNSCALED.search(label) is not None


def _figures(around: _Surroundings) -> Iterator[Value]:
    text, done = around.text, 0
    for match in _FIGURE.finditer(text):
        start, end = match.span()
        if start < done:
            continue
        if text[end : end + 1] == " " and end - start <= 3 and (spaced := _SPACED.match(text, end)):
            end = spaced.end()
        value = _figure(around, start, end)
        if value is not None:
            done = value.end
            yield value


def _figure(around: _Surroundings, start: int, end: int) -> Value | None:
    """The value at a run of digits and separators; None in a name, a version or a telephone number."""
    text = around.text
    if _in_name(text, start, end):
        return None
    read = _number(text[start:end].replace(" ", _THIN[0]), around.comma_is_decimal)
    if read is None:
        return None
    number, step, written = read
    if (word := _IN_WORDS.match(text, end)) and NUMBER_WORDS.get(word[1].lower()) == number:
        end = word.end()
    bare = Value(start, end, number, step=step)
    if text[start - 1 : start] == "(" and text[end : end + 1] == ")":
        outside = _with_unit(around, replace(bare, start=start - 1, end=end + 1))
        if written or outside.unit or _amid_figures(text, start - 1, end + 1):
            return replace(outside, number=-outside.number)
    value = _with_unit(around, bare)
    sign = _SIGN.search(text, max(0, value.start - 3), value.start)
    return replace(value, start=sign.start(), number=-value.number) if sign else value


def _in_name(text: str, start: int, end: int) -> bool:
    before, behind = text[max(0, start - 2) : start], text[end : end + 2]
    if before and (before[-1].isalpha() or before[-1] == "_") and not _SYMBOL.search(text, max(0, start - 6), start):
        return True
    if len(before) == 2 and before[1] in "-–/.:#" and (before[0].isalnum() or before[1] == "#"):
        return not (
            before[1] in "-–/" and (before[0].isdecimal() or before[0] in "xX%") and _is_range(text, start, end)
        )
    return (
        len(behind) == 2 and behind[0] in "-_/:" and (behind[1].isupper() or behind[0] in "_:") and behind[1].isalnum()
    )


_RANGE_BEFORE = re.compile(r"(?<![\w.-])\d[\d.,]{0,12}[xX%]?[-–/]\Z")


def _is_range(text: str, start: int, end: int) -> bool:
    """Whether the number ends a range such as 2x-20x or 5-10, and not a telephone number or a name."""
    return bool(_RANGE_BEFORE.search(text, max(0, start - 15), start)) and text[end : end + 1] not in ("-", "–", "/")


def _number(figures: str, comma_is_decimal: bool) -> tuple[Decimal, Decimal, bool] | None:
    """The number, what its last digit counts, and whether it is written with separators; None for 1.2.3."""
    grouped = _GROUPED.match(figures)
    rest = figures[grouped.end() :] if grouped else ""
    if grouped and grouped[1] in (".", ",") and grouped.end() == len(figures) and figures.count(grouped[1]) == 1:
        # One mark and three digits: 6,021 or 6.021
        decimal = "," if comma_is_decimal else "."
        grouped = None if grouped[1] == decimal or figures.startswith("0") else grouped
    if grouped:
        digits, mark = re.sub(r"\D", "", grouped[0]), grouped[1] or ","
        if rest and (rest[0] == mark or rest[0] not in ".,٫" or not rest[1:].isdecimal()):
            return None
        return *_decimal(digits, rest[1:]), True
    parts = re.split(r"[.,٫]", figures)
    if len(parts) > 2 or not all(part.isdecimal() for part in parts):
        return None
    return *_decimal(parts[0], parts[1] if len(parts) == 2 else ""), len(parts) == 2


def _decimal(whole: str, fraction: str) -> tuple[Decimal, Decimal]:
    return Decimal(f"{whole[:40]}.{fraction[:20] or '0'}"), Decimal(1).scaleb(-len(fraction[:20]))


def _with_unit(around: _Surroundings, value: Value) -> Value:
    """With the currency before it and the scale and unit after it, or those of the unit line."""
    text, end = around.text, value.end
    symbol = _SYMBOL.search(text, max(0, value.start - 6), value.start)
    unit = CURRENCIES.get(symbol[0].strip().rstrip(".")) if symbol else None
    start = symbol.start() if symbol else value.start
    scale, end = _scale(text, end, money=unit is not None)
    behind, stop = _unit(text, end + (text[end : end + 2] == ". "))  # 2 Mrd. Euro
    if behind is not None and (unit is None or behind.kind == "factor"):
        unit, end = behind, stop
    kind: Kind = unit.kind if unit else "ordinal" if _ORDINAL.match(text, end) else "number"
    if kind == "number" and scale is None and _YEAR.fullmatch(text, start, end):
        return replace(value, kind="year")
    if scale is None and kind in ("number", "money") and around.scaled_here(start):
        scale, unit = around.line.scale, unit or around.line.unit
        kind = unit.kind if unit else kind
    factor = (scale or _ONE) * (unit.factor if unit else _ONE)
    return Value(start, end, value.number * factor, unit.name if unit else None, kind, value.step * factor, factor)


def _scale(text: str, end: int, *, money: bool) -> tuple[Decimal | None, int]:
    match = _SUFFIX.match(text, end)
    word = match[1] if match else ""
    scale = SCALES.get(word) or SCALES.get(word.lower() if len(word) > 2 else "")
    joined = match is not None and match.start(1) == end
    if (
        match is None
        or scale is None
        or (word in SHORT_SCALES and not (money or (joined and word in ("k", "K", "M", "B"))))
    ):
        return None, end
    stop = match.end()
    further = _SUFFIX.match(text, stop)  # mil millones, thousand million
    if further and further[1] in SCALES and further[1] not in SHORT_SCALES:
        return scale * SCALES[further[1]], further.end()
    return scale, stop


def _unit(text: str, end: int) -> tuple[Unit | None, int]:
    if phrase := _PHRASE.match(text, end):
        return PHRASES[phrase[0][1:]], phrase.end()
    match = _SUFFIX.match(text, end)
    if match is None:
        return None, end
    word = match[1]
    unit = UNITS.get(word) or UNITS.get(word.lower() if len(word) > 3 else "") or CURRENCIES.get(word)
    if unit is None or (len(word) == 1 and word.isalpha() and text[match.end() : match.end() + 1] in ("'", "’")):
        return None, end
    return unit, match.end()


_FIGURE_BEFORE, _FIGURE_BEHIND = re.compile(r"[\d)%—–$][ \t]{1,8}\$?\Z"), re.compile(r"[ \t]{1,8}[$(]{0,2}[\d—–]")


def _amid_figures(text: str, start: int, end: int) -> bool:
    """Whether parentheses are in a row of figures: there they mean a negative number."""
    return bool(_FIGURE_BEFORE.search(text, max(0, start - 10), start) or _FIGURE_BEHIND.match(text, end))


def _comma_is_decimal(text: str) -> bool:
    """Whether the text writes 1.234,5: by which of the two ways is more frequent."""
    return len(_COMMA.findall(text)) > len(_POINT.findall(text))


# Number words

_NUMBER = rf"(?:{'|'.join(sorted(NUMBER_WORDS, key=len, reverse=True))})"
_WORDS = re.compile(
    rf"(?<![\w-])(?<!\d \()(?<!\d\()"
    rf"(?P<first>{_NUMBER}|(?:one|an?)(?=[ -](?:hundred|thousand|million|billion|dozen)\b))"
    rf"(?:[ -](?P<second>{_NUMBER}|dozen))?(?P<hundred>[ -]hundred)?(?![\w])(?:\s\((?P<figure>\d{{1,9}})\))?",
    re.IGNORECASE,
)


def _words(around: _Surroundings) -> Iterator[Value]:
    for match in _WORDS.finditer(around.text):
        if match["first"].isupper() and len(match["first"]) < 5:  # DOS
            continue
        yield _with_unit(replace(around, line=UnitLine()), Value(*match.span(), Decimal(_spelled_out(match))))


def _spelled_out(match: re.Match[str]) -> int:
    first = NUMBER_WORDS.get(match["first"].lower(), 1)
    second = NUMBER_WORDS.get((match["second"] or "").lower(), 0)
    number = first * 12 if second == 12 else first + second if first >= 20 > second else first
    return number * 100 if match["hundred"] else number


# Values next to each other

_BETWEEN = re.compile(r"\s?(?:[-–—]|to|bis|à|a)\s?")


def _ranges(text: str, found: list[Value]) -> list[Value]:
    """The first of a range gets the unit and scale of the second: `5 to 10 %`."""
    return [
        _like(first, second) if _BETWEEN.fullmatch(text, first.end, second.start) else first
        for first, second in zip(found, [*found[1:], *found[-1:]], strict=True)
    ]


def _like(first: Value, second: Value) -> Value:
    if first.kind != "number" or first.factor != _ONE or second.kind in _DATED:
        return first
    return replace(
        first,
        number=first.number * second.factor,
        unit=second.unit,
        kind=second.kind,
        step=first.step * second.factor,
        factor=second.factor,
    )


def _comparable(said: Value, source: Value) -> bool:
    """Of one unit. A bare number can be an amount, because tables leave the currency out."""
    if said.unit == source.unit:
        return True
    bare = {"number", "year", "money", "measure"}
    return (said.unit is None or source.unit is None) and {said.kind, source.kind} <= bare


def _is_rounded(value: Value) -> bool:
    """Whether the value is one that is written rounded: an amount, a measure, a decimal, one with a scale."""
    return value.unit is not None or value.step != _ONE


def _singular(word: str) -> str:
    return word if word in SCALES else word.lower()
