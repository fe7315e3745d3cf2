"""Numbers, dates and times as a spreadsheet shows them: by the format codes of ECMA-376, part 1, section 18.8.31."""

import re
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from functools import lru_cache

BUILT_IN = {
    1: "0", 2: "0.00", 3: "#,##0", 4: "#,##0.00", 5: "#,##0", 6: "#,##0", 7: "#,##0.00", 8: "#,##0.00", 9: "0%",
    10: "0.00%", 11: "0.00E+00", 14: "yyyy-mm-dd", 15: "d-mmm-yy", 16: "d-mmm", 17: "mmm-yy", 18: "h:mm", 19: "h:mm:ss",
    20: "h:mm", 21: "h:mm:ss", 22: "yyyy-mm-dd h:mm", 37: "#,##0;(#,##0)", 38: "#,##0;(#,##0)",
    39: "#,##0.00;(#,##0.00)", 40: "#,##0.00;(#,##0.00)", 41: "#,##0", 42: "#,##0", 43: "#,##0.00", 44: "#,##0.00",
    45: "mm:ss", 46: "[h]:mm:ss", 47: "mm:ss", 48: "##0.0E+0",
    **dict.fromkeys((*range(27, 32), 36, *range(50, 55), 57, 58), "yyyy-mm-dd"),
    **dict.fromkeys(range(32, 36), "h:mm:ss"),
}  # fmt: skip

_TOKEN = re.compile(
    r'"(?P<quoted>[^"]*)"?|\\(?P<escaped>.)|[_*].|\[\$(?P<currency>[^\]-]*)[^\]]*\]|\[(?P<elapsed>[hms]+)\]'
    r"|\[(?P<bracket>[^\]]*)\]|(?P<general>General)|AM/PM|A/P|(?P<exponent>E[+-]0+)|(?P<date>[ymdhs])[ymdhs]*"
    r"|(?P<digits>[0#?][0#?,.]*|\.[0#?]+)|(?P<percent>%)|(?P<fraction>/)|(?P<literal>.)",
    re.I | re.S,
)
_COLOURS = {"black", "blue", "cyan", "green", "magenta", "red", "white", "yellow"}
_MOST_DAYS = 2_958_465  # the last day of the year 9999


@dataclass
class _Section:
    """One of the parts of a code that semicolons separate."""

    pieces: list[str] = field(default_factory=list)  # literals and, at the places of `digits`, runs of 0, # and ?
    digits: list[int] = field(default_factory=list)
    dates: str = ""
    elapsed: str = ""
    percent: bool = False
    exponent: bool = False
    general: bool = False


def plain(value: float) -> str:
    """A number without a format, with the eleven digits a cell shows."""
    if value == int(value) and abs(value) < 1e15:
        return str(int(value))
    return f"{value:.11g}"


def formatted(value: float, code: str, base_1904: bool = False) -> str:
    """What a cell shows for a finite number; dates as ISO 8601, months and years alone in words."""
    if code in {"", "General"}:
        return plain(value)
    sections = _sections(code)
    index = 1 if value < 0 and len(sections) > 1 else 2 if value == 0 and len(sections) > 2 else 0
    section = sections[index]
    if section.dates or section.elapsed:
        return _moment(value, section, base_1904) or plain(value)
    if section.general or (not section.digits and index == 0):
        return plain(value)
    pieces = list(section.pieces)
    if len(section.digits) == 1:
        pieces[section.digits[0]] = _number(abs(value), pieces[section.digits[0]], section)
    elif section.digits:
        if {*"".join(pieces[position] for position in section.digits)} - {*"0#?"}:
            return plain(value)
        _fill(pieces, section.digits, abs(value))
    text = "".join(pieces).strip()
    return f"-{text}" if value < 0 and not {"-", "("} & set(text) and re.search("[1-9]", text) else text


@lru_cache(maxsize=4096)
def _sections(code: str) -> list[_Section]:
    sections = [_Section()]
    for match in _TOKEN.finditer(code):
        section, kind = sections[-1], match.lastgroup
        text = match.group(kind) if kind else ""
        if kind == "literal" and text == ";":
            sections.append(_Section())
        elif kind in {"quoted", "escaped", "currency", "literal"}:
            section.pieces.append(text)
        elif kind == "digits":
            section.digits.append(len(section.pieces))
            section.pieces.append(text)
        elif kind == "date":
            section.dates += match.group().lower()
        elif kind == "elapsed":
            section.elapsed = text.lower()[0]
        elif kind == "percent":
            section.percent = True
            section.pieces.append("%")
        elif kind == "exponent":
            section.exponent = True
        elif kind in {"general", "fraction"} or (kind == "bracket" and text.lower() not in _COLOURS):
            section.general = True  # also for conditions, which we do not weigh
    return sections


def _number(value: float, digits: str, section: _Section) -> str:
    whole, _, fraction = digits.partition(".")
    places = min(sum(map(fraction.count, "0#?")), 15)
    if section.exponent:
        return f"{value:.{places}E}"
    exact = Decimal(f"{value:.15g}") * (100 if section.percent else 1)
    exact /= 1000 ** (len(digits) - len(digits.rstrip(",")))
    if exact.adjusted() > 25:
        return plain(value)
    exact = exact.quantize(Decimal(1).scaleb(-places), ROUND_HALF_UP)
    if exact == 0 and "0" not in digits:
        return ""
    text = f"{exact:,.{places}f}" if "," in whole.rstrip(",") else f"{exact:.{places}f}"
    for _ in range(len(fraction) - len(fraction.rstrip("#?,"))):
        text = text.removesuffix("0")
    text = text.removesuffix(".")
    return text.zfill(len(text) + whole.count("0") - len(text.partition(".")[0]))


def _fill(pieces: list[str], digits: list[int], value: float) -> None:
    """The digits of a whole number put into the runs of a code such as 000-00-0000, from its end."""
    left = str(round(value)).zfill(sum(pieces[position].count("0") for position in digits))
    for position in reversed(digits[1:]):
        cut = max(len(left) - len(pieces[position]), 0)
        left, pieces[position] = left[:cut], left[cut:]
    pieces[digits[0]] = left


def _moment(value: float, section: _Section, base_1904: bool) -> str:
    """A date, a time or both, as far as the code shows them."""
    if not 0 <= value <= _MOST_DAYS:
        return ""
    seconds = round(value * 86_400)
    if section.elapsed:
        minutes, rest = divmod(seconds, 60)
        with_seconds = "s" in section.dates or section.elapsed == "s"
        return f"{minutes // 60}:{minutes % 60:02}" + (f":{rest:02}" if with_seconds else "")
    # Day 60 is 29 February 1900, which there never was: the days before it are counted from one later.
    base = datetime(1904, 1, 1) if base_1904 else datetime(1899, 12, 30 if value >= 60 else 31)  # noqa: DTZ001  a cell has no zone
    try:
        return shown(base + timedelta(seconds=seconds), section.dates)
    except OverflowError:
        return ""


def shown(moment: datetime, parts: str) -> str:
    """The parts of a moment that a code shows: letters of `ymdhs`; an `m` next to hours or seconds is minutes."""
    clock = "%H:%M:%S" if "s" in parts else "%H:%M" if "h" in parts else ""
    year, day = "y" in parts, "d" in parts
    month = "m" in parts and (not clock or year or day)
    calendar = "%Y-%m-%d" if day else "%B %Y" if year and month else "%Y" if year else "%B" if month else ""
    return moment.strftime(" ".join(filter(None, (calendar, clock))))
