"""How objects of the API become objects of Python."""

from collections.abc import Callable
from dataclasses import MISSING, dataclass, field
from dataclasses import fields as fields_of
from datetime import datetime
from functools import cache
from types import NoneType
from typing import Any, Self, get_args, get_origin, get_type_hints

Json = dict[str, Any]
Reader = Callable[[Any], Any]


@dataclass(frozen=True, kw_only=True)
class Shape:
    """An object of the API. `raw` is its JSON as it arrived, with fields that this version does not know."""

    raw: Json = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def read(cls, raw: Json) -> Self:
        """A field that the server does not send has its default, or is None."""
        readers, required = _read_as(cls)  # type: ignore[arg-type]  # mypy 2 finds no hash in `type[Self]`
        sent = {name: read(raw[name]) for name, read in readers.items() if name in raw}
        return cls(raw=raw, **(dict.fromkeys(required) | sent))


@cache
def _read_as(shape: Any) -> tuple[dict[str, Reader], list[str]]:
    """How each field is read, and the fields that have no default."""
    hints, own = get_type_hints(shape), [each for each in fields_of(shape) if each.name != "raw"]
    required = [each.name for each in own if each.default is MISSING and each.default_factory is MISSING]
    return {each.name: _reader(hints[each.name]) for each in own}, required


def _reader(hint: Any) -> Reader:
    """How a value of this type is read."""
    kind, arguments = get_origin(hint), get_args(hint)
    if NoneType in arguments:
        hint = next(each for each in arguments if each is not NoneType)
        kind, arguments = get_origin(hint), get_args(hint)
    if kind is list:
        read = _reader(arguments[0])
        return lambda value: [read(each) for each in value or ()]
    if hint is datetime:
        return lambda value: value and datetime.fromisoformat(value)
    if isinstance(hint, type) and issubclass(hint, Shape):
        return lambda value: value and hint.read(value)
    return lambda value: value
