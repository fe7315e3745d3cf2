"""Formulas of spreadsheets, by the grammar that SpreadsheetML has in common with OpenFormula: parsed, never executed.

A formula becomes a tree of tuples, which `evaluate` works out over cells that it asks for. What is not known here, and
whatever takes too long, is `Unsupported`; what a spreadsheet would show as an error is `Failed`.
"""

import re
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

Value = float | str | bool | None
Node = tuple[Any, ...]

_LONGEST = 8_192  # characters, as Excel has it
_DEEPEST = 64
_COLUMNS, _ROWS = 16_384, 1_048_576
_TOKEN = re.compile(
    r"\s*(?:(?P<text>\"(?:[^\"]|\"\")*\")"
    r"|(?P<cell>(?:(?:'(?:[^']|'')+'|[^\W\d][\w.]*)!)?\$?[A-Za-z]{1,3}\$?[0-9]{1,7}(?![\w.(]))"
    r"|(?P<columns>(?:(?:'(?:[^']|'')+'|[^\W\d][\w.]*)!)?\$?[A-Za-z]{1,3}:\$?[A-Za-z]{1,3}(?![\w.(]))"
    r"|(?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)"
    r"|(?P<function>[^\W\d][\w.]*)\("
    r"|(?P<name>[^\W\d][\w.]*)"
    r"|(?P<sign><>|<=|>=|[-+*/^&=<>(),:;%]))"
)
_CELL = re.compile(r"(?:(?P<sheet>.*)!)?(?P<fixed>\$?)(?P<column>[A-Za-z]{1,3})(?P<still>\$?)(?P<row>\d*)")
_STRENGTH = {"=": 1, "<>": 1, "<": 1, ">": 1, "<=": 1, ">=": 1, "&": 2, "+": 3, "-": 3, "*": 4, "/": 4, "^": 5}


class UnsupportedFormula(Exception):
    """A formula that is not worked out here."""


class Failed(Exception):
    """A formula whose value is an error, such as `#DIV/0!`."""


class Area(NamedTuple):
    """Cells from the first row (from 1) and column (from 0) to the last; without a sheet, of the one of the formula."""

    sheet: str
    top: int
    left: int
    bottom: int
    right: int


class _Token(NamedTuple):
    kind: str
    text: str


def parse(formula: str) -> Node:
    """The tree of a formula, without its leading equals sign. Raises Unsupported."""
    parser = _Parser(_tokens(formula))
    tree = parser.expression(0, 0)
    if parser.kind != "end":
        raise UnsupportedFormula
    return tree


def areas(tree: Node, names: dict[str, Node]) -> Iterator[Area]:
    """The cells that a formula refers to, by themselves or by names."""
    waiting, seen = [tree], set[str]()
    while waiting:
        node = waiting.pop()
        if node[0] == "area":
            yield node[1]
        elif node[0] == "name":
            if node[1] in names and node[1] not in seen:
                waiting.append(names[node[1]])
            seen.add(node[1])
        else:
            for child in node[1:]:
                waiting += child if isinstance(child, list) else [child] if isinstance(child, tuple) else []


def moved(formula: str, rows: int, columns: int) -> str:
    """A formula as it reads in a cell this number of rows further down and columns further right."""
    if len(formula) > _LONGEST:
        return formula
    pieces, end = [], 0
    for match in _TOKEN.finditer(formula):
        if match.lastgroup == "cell":
            start = match.start("cell")
            pieces += [formula[end:start], _moved(match["cell"], rows, columns)]
            end = match.end()
    return "".join([*pieces, formula[end:]])


def _moved(reference: str, rows: int, columns: int) -> str:
    match = _CELL.fullmatch(reference)
    assert match is not None
    sheet = "" if match["sheet"] is None else f"{match['sheet']}!"
    column = match["column"] if match["fixed"] else letters(number_of(match["column"]) + columns)
    row = match["row"] if match["still"] else str(int(match["row"]) + rows)
    return f"{sheet}{match['fixed']}{column}{match['still']}{row}"


def number_of(letters: str) -> int:
    """The number, from 0, of a column named in letters."""
    number = 0
    for letter in letters.upper():
        number = number * 26 + ord(letter) - 64
    return number - 1


def letters(number: int) -> str:
    name = ""
    while number >= 0:
        number, letter = divmod(number, 26)
        name, number = chr(65 + letter) + name, number - 1
    return name


def _tokens(formula: str) -> Iterator[_Token]:
    if len(formula) > _LONGEST:
        raise UnsupportedFormula
    position, formula = 0, formula.rstrip()
    while position < len(formula):
        match = _TOKEN.match(formula, position)
        if match is None or match.lastgroup is None:
            raise UnsupportedFormula
        position = match.end()
        yield _Token(match.lastgroup, match[match.lastgroup])
    yield _Token("end", "")


class _Parser:
    def __init__(self, tokens: Iterator[_Token]) -> None:
        self._tokens = tokens
        self.kind, self._text = next(tokens)

    def _take(self) -> str:
        text = self._text
        self.kind, self._text = next(self._tokens, _Token("end", ""))
        return text

    def _is(self, *signs: str) -> bool:
        return self.kind == "sign" and self._text in signs

    def expression(self, weakest: int, depth: int) -> Node:
        """Operators that bind more strongly than `weakest`, from left to right."""
        if depth > _DEEPEST:
            raise UnsupportedFormula
        left = self._signed(depth)
        while self.kind == "sign" and _STRENGTH.get(self._text, 0) > weakest:
            sign = self._take()
            left = ("operation", sign, left, self.expression(_STRENGTH[sign], depth + 1))
        return left

    def _signed(self, depth: int) -> Node:
        if depth > _DEEPEST:
            raise UnsupportedFormula
        if self._is("-", "+"):
            return ("sign", self._take(), self._signed(depth + 1))
        node = self._operand(depth)
        while self._is("%"):
            self._take()
            node, depth = ("percent", node), depth + 1
            if depth > _DEEPEST:
                raise UnsupportedFormula
        return node

    def _operand(self, depth: int) -> Node:
        kind, text = self.kind, self._take()
        if kind == "number":
            return ("value", float(text))
        if kind == "text":
            return ("value", text[1:-1].replace('""', '"'))
        if kind in {"cell", "columns"}:
            return ("area", self._area(text))
        if kind == "function":
            return ("call", text.upper().removeprefix("_XLFN.").removeprefix("_XLWS."), self._arguments(depth))
        if kind == "name":
            known = {"TRUE": True, "FALSE": False}
            return ("value", known[text.upper()]) if text.upper() in known else ("name", text.lower())
        if kind == "sign" and text == "(":
            node = self.expression(0, depth + 1)
            if not self._is(")"):
                raise UnsupportedFormula
            self._take()
            return node
        raise UnsupportedFormula

    def _area(self, first: str) -> Area:
        last = first.rpartition("!")[2]
        if ":" in last:
            first, _, last = first.rpartition(":")
        elif self._is(":"):
            self._take()
            if self.kind != "cell" or "!" in self._text:
                raise UnsupportedFormula
            last = self._take()
        return _between(first, last)

    def _arguments(self, depth: int) -> list[Node]:
        found: list[Node] = []
        while not self._is(")"):
            empty = self._is(",", ";")
            found.append(("value", None) if empty else self.expression(0, depth + 1))
            if self._is(",", ";"):
                self._take()
            elif not self._is(")"):
                raise UnsupportedFormula
        self._take()
        return found


def _between(first: str, last: str) -> Area:
    one, two = _CELL.fullmatch(first), _CELL.fullmatch(last)
    if one is None or two is None:
        raise UnsupportedFormula
    sheet = (one["sheet"] or "").removeprefix("'").removesuffix("'").replace("''", "'")
    rows = sorted((int(one["row"] or 1), int(two["row"] or _ROWS)))
    columns = sorted((number_of(one["column"]), number_of(two["column"])))
    if rows[0] < 1 or rows[1] > _ROWS or columns[1] >= _COLUMNS:
        raise UnsupportedFormula
    return Area(sheet, rows[0], columns[0], rows[1], columns[1])


class FormulaScope(NamedTuple):
    """What a formula is worked out with: the values of an area, row by row, and the trees of names."""

    read: Callable[[Area], list[list[Value]]]
    names: dict[str, Node]


def evaluate(tree: Node, scope: FormulaScope) -> Value:
    """The value of a formula. Raises Unsupported or Failed."""
    from footnote.formats.office._formula_functions import Evaluator

    value = Evaluator(scope).scalar(tree)
    return 0.0 if value is None else value
