"""Rows that are lines of text with figures after a label, as PDFs have them, and the heads above them."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from footnote.extracts.table_row import LONGEST_LINE, PERIOD, TableCell, TableRow, is_prose, is_sentence
from footnote.extracts.values import UnitLine, unit_line

_ABOVE = 4  # lines above a row that may belong to the head of its table

_LENGTH = re.compile(
    r"(?:three|six|nine|twelve) months ended|\d\d weeks ended|(?:quarters?|years?)(?: to date)?(?: ended)?",
    re.IGNORECASE,
)
_MAY_HAVE_PERIOD = re.compile(r"19\d\d|20\d\d|FY|Q[1-4]")
_TOKEN = re.compile(r"\S+")
_FIGURE = re.compile(
    r"[-+−±~<>≤≥(]{0,2}[$€£¥]?\(?\d[\d.,'’/:\u2009]*(?<![,:.])(?:[%xX]|bps|pts|pp)?[)%$€£*†‡]{0,3}"
    r"|[-–—−]+\)?%?|[nN]/?[aAmM]\.?|[$€£¥(%)#]|\(\$|\$\(|\)%"
)
_SIGNS_BEFORE, _SIGNS_BEHIND = frozenset(["$", "€", "£", "¥", "(", "$(", "($"]), frozenset([")", "%", ")%", "€"])
_UNITS_END = re.compile(r"[^()]+\([^()]+\)|[^()]*\w[^()]*\Z")  # names of columns, where each ends in its unit
_NOTE = re.compile(r"\(\w{1,2}\)|\[\w{1,2}\]")
_HEAD_WORD = re.compile(
    r"table|contents|\(\w\)|years?|ended|ending|fiscal|months?|weeks?|three|six|nine|twelve|13|26|39|52|53|\(?quarters?|january|february|march"
    r"|april|may|june|july|august|september|october|november|december|as|of|at|the|for|and|vs?\.?|versus|change"
    r"|percent|increase|decrease|/?\(decrease\)|\(unaudited\)|\d{1,2},|[$%]|actual|estimated?|budget|\(?in|\(?millions\)?",
    re.IGNORECASE,
)
_INTRODUCES = re.compile(r":$|\b(?:follow(?:s|ing)|below|tables?)\b", re.IGNORECASE)
# Behind these a figure at the end of a line is part of a sentence or a name.
_GOES_ON = re.compile(
    r"of|by|to|and|in|for|was|were|than|approximately|from|at|or|totaled|with|on|about|over|under|between|is|are|through"
    r"|until|during|after|before|since|page|note|item|part|see|no\.|section|chapter|act|appendix|article|clause|exhibit"
    r"|figure|flight|form|model|paragraph|rule|table|version|volume"
)


@dataclass
class FigureRows:
    """Reads lines in order and remembers what holds for the figures below."""

    above: list[str] = field(default_factory=list)  # lines since the last row
    head: str = ""
    periods: tuple[str, ...] = ()
    tail: str = ""  # of the head, after its periods
    section: str = ""
    caption: str = ""
    unit: UnitLine = field(default_factory=UnitLine)
    rows: int = 0  # since the head
    is_rate: bool | None = None  # of the section; None before its first row
    rates: list[bool] = field(default_factory=list)  # which columns are percentages

    def read(self, line: str, start: int) -> TableRow | None:
        """The row that a line is, if it is one. Before the text (`start` below 0), rows only describe those below."""
        words = " ".join(line.split()) if len(line) <= LONGEST_LINE else ""
        if not words:
            return None
        figures = _figures(line)
        if _is_head(words, figures):
            self._begin(words)
        elif figures and not _goes_on(line[: figures[0][0]], len(figures)):
            return self._row(line, figures, start)
        else:
            self._note(words)
        return None

    def _begin(self, words: str) -> None:
        """The line that names columns by their periods begins a table."""
        found = list(PERIOD.finditer(words))
        lead = words[: found[0].start()].strip()
        if self.periods and len(found) == 1 and not self.rows and found[0][0] not in self.periods:
            self.head = " ".join([self.head, *self.above, words])  # a head in several lines, one year in each
            self.above, self.periods = [], (*self.periods, found[0][0])
        else:
            more = self.head if self.periods and not self.rows and not self.above else ""
            self._head([*filter(None, (more, *self.above)), words])
            self.periods = _lengthened(self.head, tuple(match[0] for match in found))
        self.tail = words[found[-1].end() :].strip()
        self.section = "" if " " not in lead or _is_of_head(lead) else lead  # a lone word names the labels

    def _head(self, above: Sequence[str]) -> None:
        ends = (at for at in range(len(above), 0, -1) if above[at - 1][-1] in ".:;" or is_prose(above[at - 1]))
        begin = next(ends, 0)
        introducing, names = above[:begin], above[begin:][-_ABOVE:]
        self.head = " ".join(names)
        self.caption = _caption(introducing) or (names[0] if len(names) > 1 and not _is_of_head(names[0]) else "")
        unit = unit_line(" ".join(above))
        self.unit = unit if unit.text or introducing else self.unit
        self.above, self.periods, self.tail, self.section, self.rows = [], (), "", "", 0
        self.is_rate, self.rates = None, []

    def _note(self, words: str) -> None:
        """A line that is no row: a label of rows below, a line of the next head, or text."""
        if is_sentence(words):
            self.above, self.periods, self.tail, self.section, self.rows = [words], (), "", "", 0
        else:
            self.above = [*self.above[-_ABOVE:], words]

    def _row(self, line: str, figures: list[tuple[int, int]], start: int) -> TableRow | None:
        cells = [line[begin:end] for begin, end in figures]
        label = " ".join(line[: figures[0][0]].split()).rstrip(" .…·:")
        if self.above and (not label or label[0].islower()) and not is_sentence(self.above[-1]):
            label = f"{self.above.pop()} {label}".strip()
        if not label:
            return None
        if len(cells) < 2 and is_prose(label):
            self._note(" ".join(line.split()))
            return None
        if len(cells) > 1 and _NOTE.fullmatch(cells[0]) and (len(cells) == len(self.periods) + 1 or "$" in cells[1]):
            cells = cells[1:]
        self._stand_above(len(cells))
        self._note_rates(cells)
        self.rows += 1
        marked = [cell.endswith("%") for cell in cells if any(map(str.isdecimal, cell))]
        self.is_rate = all(marked) if self.is_rate is None else self.is_rate and "$" not in line
        if start < 0:
            return None
        own = unit_line(label)
        return TableRow(
            start + len(line) - len(line.lstrip()),
            start + len(line.rstrip()),
            label,
            tuple(map(TableCell, cells, self._names(cells))),
            self.head,
            self.section,
            self.caption,
            own if own.text else self.unit,
            self.periods,
            self.is_rate or all(marked),
        )

    def _stand_above(self, cells: int) -> None:
        """The lines above a row are the section of the table, more of its head, or the head of a table of words."""
        above, self.above = self.above, []
        if not above:
            return
        wide = [
            line for line in above if len(line.split()) >= max(cells, 2) and line[-1:] != ":" and not is_prose(line)
        ]
        if not self.periods and (wide or not self.rows):
            self._head(above)
        elif self.rows == 0 and wide:
            self.head = " ".join([self.head, *above])
            unit = unit_line(self.head)
            self.unit = unit if unit.text else self.unit
        else:
            labels = (line.rstrip(":") for line in above[-2:] if line[-1:] == ":" or not is_prose(line))
            self.section, self.is_rate = " ".join(labels) or self.section, None

    def _names(self, cells: Sequence[str]) -> tuple[str, ...]:
        """The names of figures; empty where the head does not say which is which."""
        periods, count = self.periods, len(cells)
        rest = count - len(periods)
        spans = [period for period in periods if _is_span(period)]
        if not periods:
            parts = [" ".join(part.split()) for part in _UNITS_END.findall(self.head)]
            if count == len(parts) > 1:
                return tuple(parts)
            words = self.head.split()
            return tuple(words[-count:]) if count > 1 and len(words) - count in (0, 1) else ("",) * count
        if rest == 0:
            return periods
        if rest == len(spans):  # a difference, and the same in percent
            return tuple(name for period in periods for name in [period] * (1 + _is_span(period)))
        if rest == 1 and self.tail:
            return (*periods, self.tail)
        if rest > 0 and self.rates.count(False) == len(periods) and len(self.rates) == count:
            names = iter(periods)
            return tuple("" if rate else next(names) for rate in self.rates)
        return ("",) * count

    def _note_rates(self, cells: Sequence[str]) -> None:
        """Which columns are percentages; the first row of a table may be the only one that says it."""
        rates = [cell.endswith("%") for cell in cells]
        if any(rates) or len(rates) != len(self.rates):
            self.rates = rates


def _lengthened(head: str, periods: tuple[str, ...]) -> tuple[str, ...]:
    """With how long each is, where a head says it for several groups of columns: three months, and six."""
    lengths = _LENGTH.findall(head)
    if len(lengths) < 2 or len(periods) % len(lengths):
        return periods
    each = len(periods) // len(lengths)
    return tuple(f"{lengths[at // each]} {period}" for at, period in enumerate(periods))


def _is_span(period: str) -> bool:
    """Whether a column compares two years."""
    return " " in period and len(re.findall(r"(?:19|20)\d\d", period)) > 1


def _caption(introducing: Sequence[str]) -> str:
    """The lines that introduce a table, if they do: they end in a colon, or name it."""
    if not introducing or not _INTRODUCES.search(introducing[-1]):
        return ""
    is_one = len(introducing) > 1 and introducing[-2][-1] not in ".:;" and is_prose(introducing[-2])
    return " ".join(introducing[-2 if is_one else -1 :])


def _figures(line: str) -> list[tuple[int, int]]:
    """Start and end of the figures that a line ends with; signs that stand apart belong to them."""
    if not ends_in_figure(line):
        return []
    tokens = [(match.start(), match.end()) for match in _TOKEN.finditer(line)]
    first = len(tokens)
    while first and _FIGURE.fullmatch(line, *tokens[first - 1]):
        first -= 1
    while 0 < first < len(tokens) and _is_of_label(line, *tokens[first]):
        first += 1
    found: list[tuple[int, int]] = []
    joins = False
    for start, end in tokens[first:]:
        if joins or (found and line[start:end] in _SIGNS_BEHIND):
            found[-1] = found[-1][0], end
        else:
            found.append((start, end))
        joins = line[start:end] in _SIGNS_BEFORE
    return found if any(line[end - 1].isdecimal() or re.search(r"\d", line[start:end]) for start, end in found) else []


def _is_of_label(line: str, start: int, end: int) -> bool:
    """Whether a figure ends the label: the year in `Balance at December 31, 2018`, the number in `(see Note 13)`."""
    word = line[start:end]
    is_year = line[:start].rstrip().endswith(",") and PERIOD.fullmatch(word)
    return bool(is_year) or (len(word) > 1 and word[-1] == ")" and "(" not in word and "%" not in word)


def ends_in_figure(line: str) -> bool:
    last = line.rsplit(None, 1)[-1:]
    return bool(last) and _FIGURE.fullmatch(last[0]) is not None


def _is_head(words: str, figures: Sequence[tuple[int, int]]) -> bool:
    """Whether a line is the years or dates of columns, perhaps after the name of the table."""
    periods = PERIOD.findall(words) if _MAY_HAVE_PERIOD.search(words) else []
    if not periods:
        return False
    if _is_of_head(PERIOD.sub(" ", words)):
        return True
    return len(figures) == len(periods) > 1 and len({*periods}) == len(periods) and not is_prose(words)


def _is_of_head(words: str) -> bool:
    return all(map(_HEAD_WORD.fullmatch, words.split()))


def _goes_on(label: str, figures: int) -> bool:
    """Whether the words before figures are a sentence and no label."""
    words = label.split()
    last = words[-1].lower().lstrip("(") if len(words) > 1 else ""
    return _GOES_ON.fullmatch(last) is not None or (figures < 2 and is_prose(label))
