"""A row of a table, with what is above it, and kinds of lines of text."""

import re
from dataclasses import dataclass, field

from footnote.extracts.values import UnitLine

LONGEST_LINE = 1_500  # characters; a longer one is a paragraph
# What a column may be of: a year, a day, a quarter, or two years that are compared.
_MONTH = r"(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)[a-z]{0,6}\.?"
PERIOD = re.compile(
    r"(?:19|20)\d\d (?:vs?\.?|versus|to|over|compared (?:to|with)) (?:19|20)\d\d"
    rf"|(?:{_MONTH} \d{{1,2}}, ?)?(?<![\w.,/$-])(?:FY ?|Q[1-4] ?(?:FY ?)?)?(?:19|20)\d\d(?:[/–-]\d\d(?:\d\d)?)?[EAe]?"
    r"(?![\w%-]|[.,/]\d)|(?<!\w)(?:FY ?['’]?\d\d|Q[1-4](?: ?['’]\d\d)?)(?!\w)"
)
_PROSE = 5  # different words in small letters that make a line of text


@dataclass(frozen=True)
class TableCell:
    """A cell's text as the line has it, and the name of its column, if it is known."""

    text: str
    name: str = ""


@dataclass(frozen=True)
class TableRow:
    """The row at `text[start:end]` with what is above it.

    `head` is the lines that name the columns, `caption` those that introduce the table, `section` the label above this
    row and its neighbours, `periods` the years of the head: of these a cell without a name may be any. `is_rate`:
    its figures are percentages, although the sign may be in the first row of the section only. `barred`: bars divide
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


def is_prose(words: str) -> bool:
    small = _small(words)
    return len(small) >= _PROSE and len(small) > len(words.split()) / 2


def _small(words: str) -> set[str]:
    return {word for word in re.findall(r"[^\W\d_]+", words) if word.islower()}


def is_sentence(words: str) -> bool:
    return words.endswith((".", "!", "?")) and len(_small(words)) > 2
