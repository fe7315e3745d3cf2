"""The formulas of a workbook that no program has worked out: libraries write them without a value.

Sheets are read a second time only if there is such a formula. Those that cannot be worked out are shown as text, and
the document's report counts both kinds.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from functools import cached_property, partial

from footnote.formats.office._formulas import (
    Area,
    Failed,
    FormulaScope,
    Node,
    UnsupportedFormula,
    Value,
    areas,
    evaluate,
    parse,
)

CALCULATED = "formulas_calculated"
SHOWN = "formulas_shown"

_MOST_CELLS = 300_000  # kept in memory
_MOST_READS = 5_000_000  # cells that formulas read, but for those
_FEW = 16  # that are read by a formula of as many

Cell = tuple[int, int, Value, str]  # row from 1, column from 0, value, formula of a cell without one
_Place = tuple[str, int, int]


class _Sheet:
    """The cells of a sheet by row and column."""

    def __init__(self, cells: Iterable[Cell], room: int) -> None:
        self.values: dict[tuple[int, int], Value] = {}
        self.formulas: dict[tuple[int, int], str] = {}
        self.bottom = self.right = 0
        for row, column, value, formula in cells:
            if formula:
                self.formulas[row, column] = formula
            elif value is not None:
                self.values[row, column] = value
            self.bottom, self.right = max(self.bottom, row), max(self.right, column)
            if len(self) > room:
                raise UnsupportedFormula

    def __len__(self) -> int:
        return len(self.values) + len(self.formulas)

    def within(self, area: Area) -> tuple[range, range]:
        """The rows and columns of an area as far as the sheet has cells."""
        rows = range(area.top, min(area.bottom, max(self.bottom, area.top)) + 1)
        return rows, range(area.left, min(area.right, max(self.right, area.left)) + 1)

    def formulas_in(self, area: Area) -> Iterator[tuple[int, int]]:
        """The places of an area that hold a formula without a value."""
        rows, columns = self.within(area)
        if len(rows) * len(columns) > len(self.formulas):
            yield from (place for place in self.formulas if place[0] in rows and place[1] in columns)
        else:
            yield from ((row, column) for row in rows for column in columns if (row, column) in self.formulas)


class Book:
    """`load` gives the cells of a sheet by its name; `names` what the names in formulas stand for."""

    def __init__(self, sheets: Iterable[str], load: Callable[[str], Iterable[Cell]], names: dict[str, str]) -> None:
        self._listed = sheets
        self._load = load
        self._written = names
        self._names: dict[str, Node] = {}
        self._sheets: dict[str, _Sheet | None] = {}
        self._done: dict[_Place, Value | UnsupportedFormula | Failed] = {}
        self._counts: Counter[str] = Counter()
        self._reads = _MOST_READS

    @cached_property
    def _spelled(self) -> dict[str, str]:
        return {name.lower(): name for name in self._listed}

    def show(self, sheet: str, row: int, column: int, written: str = "") -> Value:
        """The value of a formula, or its text: as it is `written` where the sheet is too large to be held."""
        try:
            cells = self._sheet(sheet)
            formula = cells.formulas.get((row, column), "")
        except UnsupportedFormula:
            formula = ""
            self._counts[SHOWN] += 1
            return f"={written}" if written else None
        value = self._value((sheet, row, column)) if formula else UnsupportedFormula()
        if isinstance(value, Exception):
            self._counts[SHOWN] += 1
            return f"={formula}" if formula else None
        self._counts[CALCULATED] += 1
        return value

    def taken(self) -> dict[str, int]:
        """How many formulas were shown in either way since this was asked last."""
        counts, self._counts = dict(self._counts), Counter()
        return counts

    def _sheet(self, name: str) -> _Sheet:
        spelled = self._spelled.get(name.lower())
        if spelled is None:
            raise UnsupportedFormula
        if spelled not in self._sheets:
            if not self._sheets:
                self._names = dict(_parsed(self._written))
            room = _MOST_CELLS - sum(len(sheet) for sheet in self._sheets.values() if sheet)
            try:
                self._sheets[spelled] = _Sheet(self._load(spelled), room)
            except UnsupportedFormula:
                self._sheets[spelled] = None
        sheet = self._sheets[spelled]
        if sheet is None:
            raise UnsupportedFormula
        return sheet

    def _value(self, place: _Place) -> Value | UnsupportedFormula | Failed:
        """Works a formula out, those that it refers to first; without recursion, for columns refer upwards for long."""
        waiting, begun = [place], set[_Place]()
        while waiting:
            current = waiting[-1]
            if current in self._done:
                waiting.pop()
                continue
            try:
                tree = parse(self._sheet(current[0]).formulas[current[1:]])
                needed = [] if current in begun else list(self._needed(current[0], tree))
                if not begun.isdisjoint(needed):
                    raise UnsupportedFormula  # a circle
                begun.add(current)
                if needed:
                    waiting += needed
                    continue
                self._done[current] = evaluate(tree, FormulaScope(partial(self._read, current[0]), self._names))
            except (UnsupportedFormula, Failed) as error:
                self._done[current] = type(error)()  # without its traceback
            except RecursionError:  # names of names
                self._done[current] = UnsupportedFormula()
        return self._done[place]

    def _needed(self, sheet: str, tree: Node) -> Iterator[_Place]:
        """The formulas that are to be worked out first."""
        for area in areas(tree, self._names):
            name = self._spelled.get((area.sheet or sheet).lower(), "")
            cells = self._sheet(name)
            rows, columns = cells.within(area)
            self._count(min(len(rows) * len(columns), len(cells.formulas)))
            yield from ((name, *place) for place in cells.formulas_in(area) if (name, *place) not in self._done)

    def _read(self, sheet: str, area: Area) -> list[list[Value]]:
        name = self._spelled.get((area.sheet or sheet).lower(), "")
        cells = self._sheet(name)
        rows, columns = cells.within(area)
        self._count(len(rows) * len(columns))
        return [[self._at(name, cells, (row, column)) for column in columns] for row in rows]

    def _count(self, cells: int) -> None:
        """Counts what a formula reads. Raises Unsupported where that is more than may still be read."""
        if cells > _FEW:
            if cells > self._reads:
                raise UnsupportedFormula
            self._reads -= cells

    def _at(self, name: str, cells: _Sheet, place: tuple[int, int]) -> Value:
        if place not in cells.formulas:
            return cells.values.get(place)
        value = self._done.get((name, *place), UnsupportedFormula())
        if isinstance(value, Exception):
            raise type(value)
        return value


def _parsed(names: dict[str, str]) -> Iterator[tuple[str, Node]]:
    for name, formula in names.items():
        try:
            yield name.lower(), parse(formula)
        except UnsupportedFormula:
            continue
