"""Rows of tables in a text: lines that end in figures, as PDFs have them, and lines whose cells bars divide.

A row knows what stands above it: the years or names of its columns, the section of the table, the lines that introduce
it, the unit of its figures. All of it is read from the text when a question is asked; nothing stored changes.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from footnote.extracts.values import UnitLine, unit_line

_LONGEST_LINE = 1_500  # characters; a longer one is a paragraph
_ABOVE = 4  # lines above a row that may belong to the head of its table
_PROSE = 5  # different words in small letters that make a line of text
_LONGEST_NAME, _LONGEST_CAPTION = 60, 200


@dataclass(frozen=True)
class TableCell:
    """A cell's text as the line has it, and the name of its column, if it is known."""

    text: str
    name: str = ""


@dataclass(frozen=True)
class TableRow:
    """The row at `text[start:end]` with what stands above it.

    `head` is the lines that name the columns, `caption` those that introduce the table, `section` the label above this
    row and its neighbours, `periods` the years of the head: of these a cell without a name may be any. `is_rate`:
    its figures are percentages, although the sign may stand in the first row of the section only. `barred`: bars divide
    its cells, which then include the label.
    """

    start: int
    end: int
    label: str
    cells: tuple[TableCell, ...]
    head: str = ""
    section: str = ""
    caption: str = ""
    unit: UnitLine = field(default_factory=UnitLine)
    periods: tuple[str, ...] = ()
    is_rate: bool = False
    barred: bool = False


def rows(text: str, before: str = "", place: str = "") -> list[TableRow]:
    """The rows in `text`, in order. `before` is what precedes it on its page; `place` has its headings and columns."""
    if "|" not in text and not any(map(_ends_in_figure, text.split("\n"))):
        return []
    lines, bars = _Lines(), _Bars()
    for line in [*place.split(" > ")[1:], *before.split("\n")]:
        bars.read(line, 0)
        if "|" not in line:
            lines.read(line, 0)
    start, found = 0, list[TableRow | None]()
    for line in text.split("\n"):
        found += [bars.read(line, start) if "|" in line else lines.read(line, start)]
        start += len(line) + 1
    return [row for row in found if row is not None]


# Lines that end in figures

_MONTH = r"(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)[a-z]{0,6}\.?"
_PERIOD = re.compile(
    r"(?:19|20)\d\d (?:vs?\.?|versus|to|over|compared (?:to|with)) (?:19|20)\d\d"
    rf"|(?:{_MONTH} \d{{1,2}}, ?)?(?<![\w.,/$-])(?:FY ?|Q[1-4] ?(?:FY ?)?)?(?:19|20)\d\d(?:[/–-]\d\d(?:\d\d)?)?[EAe]?"
    r"(?![\w%-]|[.,/]\d)|(?<!\w)(?:FY ?['’]?\d\d|Q[1-4](?: ?['’]\d\d)?)(?!\w)"
)
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
_NOTE = re.compile(r"\(\w{1,2}\)|\[\w{1,2}\]")
_HEAD_WORD = re.compile(
    r"table|contents|\(\w\)|years?|ended|ending|fiscal|months?|weeks?|three|six|nine|twelve|13|26|39|52|53|\(?quarters?|january|february|march"
    r"|april|may|june|july|august|september|october|november|december|as|of|at|the|for|and|vs?\.?|versus|change"
    r"|percent|increase|decrease|/?\(decrease\)|\(unaudited\)|\d{1,2},|[$%]|actual|estimated?|budget|\(?in|\(?millions\)?",
    re.IGNORECASE,
)
_INTRODUCES = re.compile(r":$|\b(?:follow(?:s|ing)|below|tables?)\b", re.IGNORECASE)
_GOES_ON = frozenset(
    [
        "of",
        "by",
        "to",
        "and",
        "in",
        "for",
        "was",
        "were",
        "than",
        "approximately",
        "from",
        "at",
        "or",
        "totaled",
        "with",
        "on",
        "about",
        "over",
        "under",
        "between",
        "is",
        "are",
        "through",
        "until",
        "during",
        "after",
        "before",
        "since",
        "page",
        "note",
        "item",
        "part",
        "see",
        "no.",
        "section",
        "chapter",
    ]
)


@dataclass
class _Lines:
    """Reads lines in order and remembers what holds for the figures below."""

    above: list[str] = field(default_factory=list)  # lines since the last row
    head: str = ""
    periods: tuple[str, ...] = ()
    tail: str = ""  # of the head, behind its periods
    section: str = ""
    caption: str = ""
    unit: UnitLine = field(default_factory=UnitLine)
    rows: int = 0  # since the head
    is_rate: bool | None = None  # of the section; None before its first row
    rates: list[bool] = field(default_factory=list)  # which columns are percentages

    def read(self, line: str, start: int) -> TableRow | None:
        words = " ".join(line.split()) if len(line) <= _LONGEST_LINE else ""
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
        found = list(_PERIOD.finditer(words))
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
        ends = (at for at in range(len(above), 0, -1) if above[at - 1][-1] in ".:;" or _is_prose(above[at - 1]))
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
        if _is_sentence(words):
            self.above, self.periods, self.tail, self.section, self.rows = [words], (), "", "", 0
        else:
            self.above = [*self.above[-_ABOVE:], words]

    def _row(self, line: str, figures: list[tuple[int, int]], start: int) -> TableRow | None:
        cells = [line[begin:end] for begin, end in figures]
        label = " ".join(line[: figures[0][0]].split()).rstrip(" .…·:")
        if self.above and (not label or label[0].islower()) and not _is_sentence(self.above[-1]):
            label = f"{self.above.pop()} {label}".strip()
        if not label:
            return None
        if len(cells) < 2 and _is_prose(label):
            self._note(" ".join(line.split()))
            return None
        if len(cells) > 1 and _NOTE.fullmatch(cells[0]) and (len(cells) == len(self.periods) + 1 or "$" in cells[1]):
            cells = cells[1:]
        self._stand_above(len(cells))
        self._note_rates(cells)
        self.rows += 1
        marked = [cell.endswith("%") for cell in cells if any(map(str.isdecimal, cell))]
        self.is_rate = all(marked) if self.is_rate is None else self.is_rate and "$" not in line
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
            line for line in above if len(line.split()) >= max(cells, 2) and line[-1:] != ":" and not _is_prose(line)
        ]
        if not self.periods and (wide or not self.rows):
            self._head(above)
        elif self.rows == 0 and wide:
            self.head = " ".join([self.head, *above])
            unit = unit_line(self.head)
            self.unit = unit if unit.text else self.unit
        else:
            labels = (line.rstrip(":") for line in above[-2:] if line[-1:] == ":" or not _is_prose(line))
            self.section, self.is_rate = " ".join(labels) or self.section, None

    def _names(self, cells: Sequence[str]) -> tuple[str, ...]:
        """The names of figures; empty where the head does not tell which is which."""
        periods, count = self.periods, len(cells)
        rest = count - len(periods)
        spans = [period for period in periods if _is_span(period)]
        if not periods:
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
    is_one = len(introducing) > 1 and introducing[-2][-1] not in ".:;" and _is_prose(introducing[-2])
    return " ".join(introducing[-2 if is_one else -1 :])


def _figures(line: str) -> list[tuple[int, int]]:
    """Start and end of the figures that a line ends with; signs that stand apart belong to them."""
    if not _ends_in_figure(line):
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
    is_year = line[:start].rstrip().endswith(",") and _PERIOD.fullmatch(word)
    return bool(is_year) or (len(word) > 1 and word[-1] == ")" and "(" not in word and "%" not in word)


def _ends_in_figure(line: str) -> bool:
    last = line.rsplit(None, 1)[-1:]
    return bool(last) and _FIGURE.fullmatch(last[0]) is not None


def _is_head(words: str, figures: Sequence[tuple[int, int]]) -> bool:
    """Whether a line is the years or dates of columns, perhaps behind the name of the table."""
    periods = _PERIOD.findall(words) if _MAY_HAVE_PERIOD.search(words) else []
    if not periods:
        return False
    if _is_of_head(_PERIOD.sub(" ", words)):
        return True
    return len(figures) == len(periods) > 1 and len({*periods}) == len(periods) and not _is_prose(words)


def _is_of_head(words: str) -> bool:
    return all(map(_HEAD_WORD.fullmatch, words.split()))


def _is_prose(words: str) -> bool:
    small = _small(words)
    return len(small) >= _PROSE and len(small) > len(words.split()) / 2


def _small(words: str) -> set[str]:
    return {word for word in re.findall(r"[^\W\d_]+", words) if word.islower()}


def _goes_on(label: str, figures: int) -> bool:
    """Whether the words before figures are a sentence and no label."""
    words = label.split()
    return (len(words) > 1 and words[-1].lower().lstrip("(") in _GOES_ON) or (figures < 2 and _is_prose(label))


def _is_sentence(words: str) -> bool:
    return words.endswith((".", "!", "?")) and len(_small(words)) > 2


# Lines whose cells bars divide

_NAMED = re.compile(rf"([^:|]{{1,{_LONGEST_NAME}}}): (\S.*)")


@dataclass
class _Bars:
    """Reads rows of cells. A cell names its column itself, or stands below its name."""

    names: tuple[str, ...] = ()
    under: dict[tuple[str, int], str] = field(default_factory=dict)  # names below names, by their place behind these
    caption: str = ""
    rows: int = 0

    def read(self, line: str, start: int) -> TableRow | None:
        if "|" not in line or len(line) > _LONGEST_LINE * 2:
            if words := " ".join(line[:_LONGEST_LINE].split()):
                self.names, self.rows, self.under = (), 0, {}
                self.caption = "" if _is_sentence(words) or len(words) > _LONGEST_CAPTION else words
            return None
        texts = _cells(line)
        if not any(set(text) - set(":- ") for text in texts):  # the rule of a Markdown table
            return None
        cells = self._named(texts)
        self.rows += 1
        if self._is_head(texts, cells):
            return None
        label = next((cell.text for cell in cells if cell.text), "")
        return TableRow(
            start + len(line) - len(line.lstrip()),
            start + len(line.rstrip()),
            label,
            tuple(cell for cell in cells if cell.text),
            " | ".join(filter(None, self.names)),
            caption=self.caption,
            unit=unit_line(f"{label} {self.caption}"),
            barred=True,
        )

    def _is_head(self, texts: Sequence[str], cells: Sequence[TableCell]) -> bool:
        """Whether the row names columns: the first one without figures, or one that names the parts of a column."""
        if any(re.search(r"\d", text) and not _PERIOD.fullmatch(text) for text in texts):
            return False
        own = any(_NAMED.fullmatch(text) for text in texts)
        if self.rows == 1 and not own:
            self.names = tuple(texts)
            return True
        if own and self.rows <= 2 and not all(map(_NAMED.fullmatch, filter(None, texts))):
            self.under = dict(zip(_places(texts), (cell.text for cell in cells), strict=True))
            return True
        return False

    def _named(self, texts: Sequence[str]) -> list[TableCell]:
        cells = []
        for number, (text, place) in enumerate(zip(texts, _places(texts), strict=True)):
            own = _NAMED.fullmatch(text)
            name = own[1] if own else self.names[number] if len(self.names) == len(texts) else ""
            below = self.under.get(place, "")
            cells.append(TableCell(own[2] if own else text, " ".join(filter(None, (name, below)))))
        return cells


def _cells(line: str) -> list[str]:
    line = line.strip()
    if line.startswith("|") and line.endswith("|") and len(line) > 1:
        line = line[1:-1]
    return [cell.strip() for cell in line.split("|")]


def _places(texts: Sequence[str]) -> list[tuple[str, int]]:
    """For each cell the name that it or the nearest before it has, and how many cells it stands behind that."""
    places: list[tuple[str, int]] = []
    for text in texts:
        named = _NAMED.fullmatch(text)
        last, behind = places[-1] if places else ("", -1)
        places.append((named[1], 0) if named else (last, behind + 1))
    return places


def with_words(row: TableRow, phrases: frozenset[str]) -> TableRow:
    """The row with names for its cells, if its head divides into as many of these phrases and single words.

    A head such as `Nominee For Against Broker Non-Votes` does not say which of its words belong together; the labels
    of other tables may.
    """
    if row.barred or row.periods or len(row.cells) < 2 or any(cell.name for cell in row.cells):
        return row
    names = _divided(row.head.split(), phrases)
    if len(names) - len(row.cells) not in (0, 1):
        return row
    named = names[-len(row.cells) :]
    return replace(row, cells=tuple(TableCell(cell.text, name) for cell, name in zip(row.cells, named, strict=True)))


def _divided(words: Sequence[str], phrases: frozenset[str]) -> list[str]:
    names: list[str] = []
    at = 0
    while at < len(words):
        length = next((n for n in (3, 2) if " ".join(words[at : at + n]).lower() in phrases), 1)
        names.append(" ".join(words[at : at + length]))
        at += length
    return names
