"""Rows whose cells bars divide: of Markdown, and of all formats whose tables have cells."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from footnote.extracts.table_row import LONGEST_LINE, PERIOD, TableCell, TableRow, is_sentence
from footnote.extracts.values import unit_line

_LONGEST_NAME, _LONGEST_CAPTION = 60, 200
_DELIMITED = re.compile(r"[,;\t]\S[^,;\t]*[,;\t]\S")  # the first row of a text file whose rows name their columns
_NAMED = re.compile(rf"([^:|]{{1,{_LONGEST_NAME}}}): (\S.*)")


@dataclass
class BarredRows:
    """Reads rows of cells. A cell names its column itself, or is below its name."""

    names: tuple[str, ...] = ()
    under: dict[tuple[str, int], str] = field(default_factory=dict)  # names below names, by their place after these
    caption: str = ""
    rows: int = 0

    def read(self, line: str, start: int) -> TableRow | None:
        if "|" not in line or len(line) > LONGEST_LINE * 2:
            if words := " ".join(line[:LONGEST_LINE].split()):
                self.names, self.rows, self.under = (), 0, {}
                is_title = len(words) <= _LONGEST_CAPTION and not is_sentence(words) and not _DELIMITED.search(words)
                self.caption = words if is_title else ""
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
        if any(re.search(r"\d", text) and not PERIOD.fullmatch(text) for text in texts):
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
    """For each cell the name that it or the nearest before it has, and how many cells it is after that."""
    places: list[tuple[str, int]] = []
    for text in texts:
        named = _NAMED.fullmatch(text)
        last, behind = places[-1] if places else ("", -1)
        places.append((named[1], 0) if named else (last, behind + 1))
    return places
