"""Office Math as a line of text: x_i^2, (a + b)/c, √(x)."""

from typing import Any

from footnote.formats.office._xml import child_of, children_of, local_name, value_of

_SKIPPED = {"rPr", "ctrlPr"}


def formula(element: Any) -> str:
    name = local_name(element)
    if name == "t":
        return element.text or ""
    if name in _STRUCTURES:
        return _STRUCTURES[name](element)
    if name in _SKIPPED or name.endswith("Pr"):
        return ""
    return "".join(map(formula, element))


def _part(element: Any, name: str) -> str:
    found = child_of(element, name)
    return "" if found is None else formula(found).strip()


def _bound(text: str) -> str:
    """Text that stands as one operand."""
    return text if len(text) < 2 or text.isdecimal() else f"({text})"


def _scripts(element: Any) -> str:
    sub, sup = _part(element, "sub"), _part(element, "sup")
    return _part(element, "e") + (f"_{_bound(sub)}" if sub else "") + (f"^{_bound(sup)}" if sup else "")


def _fraction(element: Any) -> str:
    return f"{_bound(_part(element, 'num'))}/{_bound(_part(element, 'den'))}"


def _root(element: Any) -> str:
    return f"{_part(element, 'deg')}√({_part(element, 'e')})"


def _sum(element: Any) -> str:
    sign = value_of(child_of(element, "naryPr", "chr")) or "∫"
    sub, sup = _part(element, "sub"), _part(element, "sup")
    return sign + (f"_{_bound(sub)}" if sub else "") + (f"^{_bound(sup)}" if sup else "") + f" {_part(element, 'e')}"


def _brackets(element: Any) -> str:
    properties = child_of(element, "dPr")
    begin, end = (_sign(properties, name, usual) for name, usual in (("begChr", "("), ("endChr", ")")))
    return begin + ", ".join(map(formula, children_of(element, "e"))) + end


def _sign(properties: Any, name: str, usual: str) -> str:
    found = None if properties is None else child_of(properties, name)
    return usual if found is None else value_of(found)


def _matrix(element: Any) -> str:
    return "; ".join(", ".join(map(formula, children_of(row, "e"))) for row in children_of(element, "mr"))


_STRUCTURES = {
    "sSub": _scripts, "sSup": _scripts, "sSubSup": _scripts, "sPre": _scripts, "f": _fraction, "rad": _root,
    "nary": _sum, "d": _brackets, "m": _matrix,
}  # fmt: skip
