"""How objects of the API become objects of Python."""

from collections.abc import Callable
from datetime import datetime
from types import NoneType
from typing import Any, Self, dataclass_transform, get_args, get_origin, get_type_hints

Json = dict[str, Any]
Reader = Callable[[Any], Any]


@dataclass_transform(kw_only_default=True, frozen_default=True)
class Shape:
    """An object of the API: for type checkers a frozen dataclass. Fifty real ones would make the import slow.

    `raw` is its JSON as it arrived, with fields that this version does not know.
    """

    raw: Json

    def __init__(self, **values: Any) -> None:
        fields = set(_readers(type(self)))
        if wrong := (values.keys() - fields) | (fields - values.keys() - vars(type(self)).keys()):
            raise TypeError(f"{type(self).__name__}: unknown or missing: {', '.join(sorted(wrong))}")
        self.__dict__.update(values, raw={})

    @classmethod
    def read(cls, raw: Json) -> Self:
        """A field that the server does not send has its default, or is None."""
        shape = cls.__new__(cls)
        for name, read in _readers(cls).items():
            shape.__dict__[name] = read(raw[name]) if name in raw else vars(cls).get(name)
        shape.__dict__["raw"] = raw
        return shape

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"{type(self).__name__} cannot be changed.")

    def __repr__(self) -> str:
        fields = (f"{name}={getattr(self, name)!r}" for name in _readers(type(self)))
        return f"{type(self).__name__}({', '.join(fields)})"

    def __eq__(self, other: object) -> bool:
        same = type(other) is type(self)
        return same and all(getattr(self, name) == getattr(other, name) for name in _readers(type(self)))


_KNOWN: dict[type[Shape], dict[str, Reader]] = {}


def _readers(shape: type[Shape]) -> dict[str, Reader]:
    """By field; made when the first object of the class is."""
    if shape not in _KNOWN:
        hints = get_type_hints(shape)
        _KNOWN[shape] = {name: _reader(hints[name]) for name in shape.__annotations__}
    return _KNOWN[shape]


def _reader(hint: Any) -> Reader:
    """How a value of this type is read."""
    kinds = [each for each in get_args(hint) if each is not NoneType]
    if NoneType in get_args(hint):
        hint, kinds = kinds[0], list(get_args(kinds[0]))
    if get_origin(hint) is tuple:
        read = _reader(kinds[0])
        return lambda value: tuple(read(each) for each in value or ())
    if hint is datetime:
        return lambda value: value and datetime.fromisoformat(value)
    if isinstance(hint, type) and issubclass(hint, Shape):
        return lambda value: value and hint.read(value)
    return lambda value: value
