"""The operators and functions that formulas are worked out with."""

import math
from collections.abc import Callable, Iterator
from decimal import ROUND_DOWN, ROUND_HALF_UP, ROUND_UP, Decimal, InvalidOperation
from fnmatch import fnmatchcase
from itertools import chain
from statistics import median
from typing import Any

from footnote.formats.office._formulas import Failed, FormulaScope, Node, UnsupportedFormula, Value
from footnote.formats.office._number_formats import plain

Cells = list[list[Value]]
Argument = Value | Cells

_LONGEST = 32_767  # characters of a cell's text
_NAMES_WITHIN = 16  # names of names


class Evaluator:
    """Works out one formula."""

    def __init__(self, scope: FormulaScope) -> None:
        self._scope = scope
        self._depth = 0

    def scalar(self, node: Node) -> Value:
        return _single(self.value(node))

    def value(self, node: Node) -> Argument:
        match node:
            case ("value", value):
                return value  # type: ignore[no-any-return]
            case ("area", area):
                return self._scope.read(area)
            case ("name", name):
                return self._named(name)
            case ("sign", sign, operand):
                return -number(self.scalar(operand)) if sign == "-" else self.scalar(operand)
            case ("percent", operand):
                return number(self.scalar(operand)) / 100
            case ("operation", *_):
                return self._operation(node)
            case ("call", name, arguments):
                return self._call(name, arguments)
        raise UnsupportedFormula

    def _operation(self, node: Node) -> Value:
        """Without recursion to the left, where long sums grow."""
        following = []
        while node[0] == "operation":
            following.append(node)
            node = node[2]
        value = self.scalar(node)
        for _, sign, _, right in reversed(following):
            value = _operate(sign, value, self.scalar(right))
        return value

    def _named(self, name: str) -> Argument:
        self._depth += 1
        if name not in self._scope.names or self._depth > _NAMES_WITHIN:
            raise UnsupportedFormula
        value = self.value(self._scope.names[name])
        self._depth -= 1
        return value

    def _call(self, name: str, arguments: list[Node]) -> Argument:
        if name in {"IF", "IFERROR", "IFNA"} and arguments:
            return self._choose(name, arguments)
        if name not in _FUNCTIONS:
            raise UnsupportedFormula
        try:
            return _FUNCTIONS[name](*map(self.value, arguments))
        except (TypeError, IndexError) as error:
            raise UnsupportedFormula from error  # other arguments than are known here
        except (ValueError, OverflowError, ZeroDivisionError, InvalidOperation) as error:
            raise Failed from error

    def _choose(self, name: str, arguments: list[Node]) -> Argument:
        """The functions of whose arguments only one counts: the others may well fail."""
        if name == "IF":
            place = 1 if truth(self.scalar(arguments[0])) else 2
            return self.value(arguments[place]) if place < len(arguments) else place == 1
        try:
            return self.value(arguments[0])
        except Failed:
            return self.value(arguments[1]) if len(arguments) > 1 else None


def _single(value: Argument) -> Value:
    if not isinstance(value, list):
        return value
    if len(value) == 1 and len(value[0]) == 1:
        return value[0][0]
    raise UnsupportedFormula


def number(value: Argument) -> float:
    """A value as a number, as operators take it."""
    value = _single(value)
    if isinstance(value, str):
        text = value.strip()
        try:
            return float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
        except ValueError:
            raise Failed from None
    return float(value or 0)


def text(value: Argument) -> str:
    value = _single(value)
    if isinstance(value, bool):
        return str(value).upper()
    if isinstance(value, float):
        return plain(value)
    return value or ""


def truth(value: Argument) -> bool:
    value = _single(value)
    if isinstance(value, str):
        if value.upper() not in {"TRUE", "FALSE"}:
            raise Failed
        return value.upper() == "TRUE"
    return bool(value)


def _operate(sign: str, left: Value, right: Value) -> Value:
    if sign == "&":
        return (text(left) + text(right))[:_LONGEST]
    if sign in _COMPARISONS:
        return _COMPARISONS[sign](*_comparable(left, right))
    try:
        result: float | complex = _ARITHMETIC[sign](number(left), number(right))
    except (ZeroDivisionError, OverflowError, ValueError) as error:
        raise Failed from error
    if isinstance(result, complex) or not math.isfinite(result):
        raise Failed
    return result


_ARITHMETIC: dict[str, Callable[[float, float], Any]] = {
    "+": lambda left, right: left + right,
    "-": lambda left, right: left - right,
    "*": lambda left, right: left * right,
    "/": lambda left, right: left / right,
    "^": lambda left, right: left**right,
}
_COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "=": lambda left, right: left == right,
    "<>": lambda left, right: left != right,
    "<": lambda left, right: left < right,
    ">": lambda left, right: left > right,
    "<=": lambda left, right: left <= right,
    ">=": lambda left, right: left >= right,
}


def _comparable(left: Value, right: Value) -> tuple[tuple[int, Any], tuple[int, Any]]:
    """Numbers come before texts, these before truth values; small and capital letters are the same."""
    blank: dict[type, Value] = {str: "", bool: False}
    left = blank.get(type(right), 0.0) if left is None else left
    right = blank.get(type(left), 0.0) if right is None else right
    return _ranked(left), _ranked(right)


def _ranked(value: Value) -> tuple[int, Any]:
    if isinstance(value, bool):
        return 2, value
    return (1, value.lower()) if isinstance(value, str) else (0, float(value or 0))


def _each(*arguments: Argument) -> Iterator[Value]:
    for argument in arguments:
        yield from chain.from_iterable(argument) if isinstance(argument, list) else [argument]


def _numbers(*arguments: Argument) -> list[float]:
    """The numbers among the arguments; in cells other things do not count, and as arguments they must be numbers."""
    found: list[float] = []
    for argument in arguments:
        if isinstance(argument, list):
            found += [value for value in _each(argument) if isinstance(value, float)]
        elif argument is not None:
            found.append(number(argument))
    return found


def _average(*arguments: Argument) -> float:
    numbers = _numbers(*arguments)
    return math.fsum(numbers) / len(numbers)


def _rounded(how: str) -> Callable[..., float]:
    def rounded(value: Argument, places: Argument = 0.0) -> float:
        unit = Decimal(1).scaleb(-int(number(places)))
        exact = Decimal(f"{number(value):.15g}") / unit
        return float(exact.quantize(Decimal(1), how) * unit)

    return rounded


def _matches(wanted: Value) -> Callable[[Value], bool]:
    """A criterion such as `">=5"`, `"oil*"` or a plain value."""
    sign, operand = "=", wanted
    if isinstance(wanted, str):
        sign = next((each for each in ("<>", "<=", ">=", "<", ">", "=") if wanted.startswith(each)), "")
        rest = wanted[len(sign) :]
        sign = sign or "="
        try:
            operand = float(rest)
        except ValueError:
            operand = rest
    if isinstance(operand, str) and sign in {"=", "<>"}:
        pattern = operand.lower().replace("[", "[[]")
        return lambda value: (isinstance(value, str) and fnmatchcase(value.lower(), pattern)) == (sign == "=")
    return lambda value: (
        (value is not None and _ranked(value)[0] == _ranked(operand)[0] and bool(_operate(sign, value, operand)))
        or (sign == "<>" and (value is None or _ranked(value)[0] != _ranked(operand)[0]))
    )


def _selected(values: Argument, *criteria: Argument) -> list[Value]:
    """The values at whose places all criteria hold, which come in pairs: cells and what they must match."""
    keep = [True] * len(list(_each(values)))
    for cells, wanted in zip(criteria[::2], criteria[1::2], strict=True):
        matches = _matches(_single(wanted))
        keep = [kept and matches(value) for kept, value in zip(keep, _each(cells), strict=True)]
    return [value for value, kept in zip(_each(values), keep, strict=True) if kept]


def _sum_if(cells: Argument, wanted: Argument, values: Argument = None) -> float:
    return math.fsum(_numbers([_selected(cells if values is None else values, cells, wanted)]))


def _average_if(cells: Argument, wanted: Argument, values: Argument = None) -> float:
    return _average([_selected(cells if values is None else values, cells, wanted)])


def _product_of(*arrays: Argument) -> float:
    rows = zip(*(map(_or_zero, _each(array)) for array in arrays), strict=True)
    return math.fsum(map(math.prod, rows))


def _or_zero(value: Value) -> float:
    return value if isinstance(value, float) else 0.0


def _match(wanted: Argument, cells: Argument, kind: Argument = 1.0) -> float:
    """The place, from 1, of a value; or else, in sorted cells, of the last one that is not beyond it."""
    key, how = _ranked(_single(wanted)), number(kind)
    ranked = [_ranked(value) if value is not None else None for value in _each(cells)]
    if how == 0:
        return float(ranked.index(key) + 1)
    alike = ((place, other) for place, other in enumerate(ranked, 1) if other and other[0] == key[0])
    places = [place for place, other in alike if (other <= key if how > 0 else other >= key)]
    return float(places[-1])


def _look_up(wanted: Argument, table: Argument, column: Argument, nearest: Argument = True) -> Value:
    if not isinstance(table, list):
        raise UnsupportedFormula
    place = _found(wanted, [[row[0]] for row in table], nearest)
    return table[place][int(number(column)) - 1]


def _look_across(wanted: Argument, table: Argument, row: Argument, nearest: Argument = True) -> Value:
    return _look_up(
        wanted, list(map(list, zip(*table, strict=True))) if isinstance(table, list) else table, row, nearest
    )


def _found(wanted: Argument, cells: Cells, nearest: Argument) -> int:
    try:
        return int(_match(wanted, cells, 1.0 if truth(nearest) else 0.0)) - 1
    except (ValueError, IndexError):
        raise Failed from None


def _index(cells: Argument, row: Argument, column: Argument = None) -> Value:
    if not isinstance(cells, list):
        raise UnsupportedFormula
    down, across = int(number(row)), 1 if column is None else int(number(column))
    if column is None and len(cells) == 1:
        down, across = 1, down
    if down < 1 or across < 1:
        raise UnsupportedFormula
    return cells[down - 1][across - 1]


def _subtotal(kind: Argument, *arguments: Argument) -> Argument:
    names = {1: "AVERAGE", 2: "COUNT", 3: "COUNTA", 4: "MAX", 5: "MIN", 6: "PRODUCT", 9: "SUM"}
    return _FUNCTIONS[names.get(int(number(kind)) % 100, "")](*arguments)


def _joined(mark: Argument, skip: Argument, *arguments: Argument) -> str:
    pieces = map(text, _each(*arguments))
    return text(mark).join(piece for piece in pieces if piece or not truth(skip))[:_LONGEST]


_FUNCTIONS: dict[str, Callable[..., Argument]] = {
    "SUM": lambda *cells: math.fsum(_numbers(*cells)),
    "AVERAGE": _average,
    "MIN": lambda *cells: min(_numbers(*cells), default=0.0),
    "MAX": lambda *cells: max(_numbers(*cells), default=0.0),
    "MEDIAN": lambda *cells: median(_numbers(*cells)),
    "PRODUCT": lambda *cells: math.prod(_numbers(*cells)),
    "COUNT": lambda *cells: float(sum(isinstance(value, float) for value in _each(*cells))),
    "COUNTA": lambda *cells: float(sum(value is not None for value in _each(*cells))),
    "COUNTBLANK": lambda cells: float(sum(value in {None, ""} for value in _each(cells))),
    "SUMIF": _sum_if,
    "AVERAGEIF": _average_if,
    "COUNTIF": lambda cells, wanted: float(len(_selected(cells, cells, wanted))),
    "SUMIFS": lambda values, *criteria: math.fsum(_numbers([_selected(values, *criteria)])),
    "AVERAGEIFS": lambda values, *criteria: _average([_selected(values, *criteria)]),
    "COUNTIFS": lambda cells, *rest: float(len(_selected(cells, cells, *rest))),
    "SUMPRODUCT": _product_of,
    "SUBTOTAL": _subtotal,
    "ROUND": _rounded(ROUND_HALF_UP),
    "ROUNDUP": _rounded(ROUND_UP),
    "ROUNDDOWN": _rounded(ROUND_DOWN),
    "TRUNC": _rounded(ROUND_DOWN),
    "INT": lambda value: float(math.floor(number(value))),
    "ABS": lambda value: abs(number(value)),
    "MOD": lambda value, by: number(value) - number(by) * math.floor(number(value) / number(by)),
    "SQRT": lambda value: math.sqrt(number(value)),
    "POWER": lambda value, by: _operate("^", number(value), number(by)),
    "AND": lambda *cells: all(truth(value) for value in _each(*cells) if value is not None),
    "OR": lambda *cells: any(truth(value) for value in _each(*cells) if value is not None),
    "NOT": lambda value: not truth(value),
    "ISBLANK": lambda value: _single(value) is None,
    "ISNUMBER": lambda value: isinstance(_single(value), float),
    "ISTEXT": lambda value: isinstance(_single(value), str),
    "CONCATENATE": lambda *cells: "".join(map(text, cells))[:_LONGEST],
    "CONCAT": lambda *cells: "".join(map(text, _each(*cells)))[:_LONGEST],
    "TEXTJOIN": _joined,
    "LEFT": lambda value, count=1.0: text(value)[: int(number(count))],
    "RIGHT": lambda value, count=1.0: text(value)[max(0, len(text(value)) - int(number(count))) :],
    "MID": lambda value, start, count: text(value)[int(number(start)) - 1 :][: int(number(count))],
    "LEN": lambda value: float(len(text(value))),
    "UPPER": lambda value: text(value).upper(),
    "LOWER": lambda value: text(value).lower(),
    "TRIM": lambda value: " ".join(text(value).split()),
    "VLOOKUP": _look_up,
    "HLOOKUP": _look_across,
    "INDEX": _index,
    "MATCH": _match,
}
