"""Query parameters: a request may have only those of its route, and each once."""

from collections import Counter
from collections.abc import Iterator
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from fastapi import Request
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from pydantic import BaseModel

from api.errors import MOST_FIELDS
from api.hints import unknown
from api.openai.errors import is_below
from footnote.errors import Invalid
from footnote.text import clean


def check(request: Request) -> None:
    """Raises Invalid for an unknown parameter, which would be ignored, and for a second value, which would be lost.

    OpenAI's clients send parameters that mean nothing here.
    """
    if not request.query_params or is_below(request.url.path):
        return
    route: APIRoute = request.scope["route"]
    known = _known(route)
    problems = []
    for name, times in Counter(name for name, _ in request.query_params.multi_items()).items():
        if name not in known:
            problems.append({"field": _field(name), "message": unknown(name, known, "query parameter")})
        elif times > 1 and not known[name]:
            problems.append({"field": _field(name), "message": "Given more than once; it takes one value."})
    if problems:
        raise Invalid.in_fields(problems[:MOST_FIELDS])


_known_by: dict[Any, dict[str, bool]] = {}


def _known(route: APIRoute) -> dict[str, bool]:
    """By name, whether it may have several values. Found once for each function, since it takes longer than a look."""
    if route.endpoint not in _known_by:
        _known_by[route.endpoint] = dict(_parameters(route.dependant))
    return _known_by[route.endpoint]


def _field(name: str) -> str:
    return clean(f"query.{name[:200]}")


def _parameters(dependant: Dependant) -> Iterator[tuple[str, bool]]:
    for each in dependant.query_params:
        annotation: Any = each.field_info.annotation
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            for name, info in annotation.model_fields.items():
                yield info.alias or name, _is_list(info.annotation)
        else:
            yield each.alias, _is_list(annotation)
    for inner in dependant.dependencies:
        yield from _parameters(inner)


def _is_list(annotation: Any) -> bool:
    origin = get_origin(annotation)
    if origin in (Union, UnionType, Annotated):
        return any(_is_list(each) for each in get_args(annotation))
    return origin is list
