"""The OpenAPI document, and which errors it describes: each error that a test sees must be in it."""

import re
from functools import cache
from typing import Any

from api.app import create_app
from api.description import DescribedApi, failures
from footnote.settings import Settings

Json = dict[str, Any]


@cache
def _api() -> DescribedApi:
    return create_app(Settings(_env_file=None))


def document() -> Json:
    return _api().openapi()


@cache
def surface() -> Json:
    """The document of what OpenAI's clients ask."""
    return _api().openai_surface()


def documented_codes(method: str, path: str, status: int) -> set[str] | None:
    """The codes that the operation at a path says it can answer with; None if there is no such operation."""
    found = [
        (template.count("{"), methods[method.lower()])
        for template, methods in document()["paths"].items()
        if method.lower() in methods and re.fullmatch(re.sub(r"\\{\w+\\}", "[^/]+", re.escape(template)), path)
    ]
    if not found:
        return None
    _, operation = min(found, key=lambda each: each[0])
    return codes_of(operation["responses"].get(str(status), {"description": ""}))


def codes_of(answer: Json) -> set[str]:
    if "$ref" in answer:
        answer = document()["components"]["responses"][answer["$ref"].rpartition("/")[2]]
    return set(failures.codes_of(answer))
