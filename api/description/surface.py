"""The OpenAPI document of the routes for OpenAI's clients."""

import copy
from typing import Any

from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute

from api.deps import access_of
from api.description import texts
from api.openai.schemas.common import RefusalOut

INTRODUCTION = """\
Point a program that was written for OpenAI's API at `/openai/v1` of this server, with a Footnote key as its API key.
A vector store is a collection, a file of it a document. Members beyond OpenAI's are anchors: page, characters and quote
of a citation, and whether the quote was found on the page.

Every error is `{"error": {"message", "type", "param", "code"}}`. Members of a body that are unknown are ignored.
"""
_REFUSAL = {
    "description": "An error",
    "content": {"application/json": {"schema": {"$ref": f"#/components/schemas/{RefusalOut.__name__}"}}},
}


def describe(version: str, routes: list[APIRoute]) -> dict[str, Any]:
    generated = get_openapi(
        title="Footnote for OpenAI's clients",
        version=version,
        description=INTRODUCTION,
        routes=routes,
        separate_input_output_schemas=False,
    )
    document = copy.deepcopy(generated)
    components = document.setdefault("components", {})
    schema = RefusalOut.model_json_schema(ref_template="#/components/schemas/{model}")
    components["schemas"] = {**components.get("schemas", {}), **schema.pop("$defs"), RefusalOut.__name__: schema}
    components["securitySchemes"] = {"bearer": texts.SECURITY["bearer"]}
    access = {route.name: access_of(route) for route in routes}
    for operation in (each for methods in document["paths"].values() for each in methods.values()):
        granted = access[operation["operationId"]]
        operation["summary"] = texts.summary(operation["operationId"])
        operation["security"] = [{"bearer": [granted.scope] if granted and granted.scope else []}]
        operation["responses"].pop("422", None)
        operation["responses"]["default"] = _REFUSAL
    for unused in ("HTTPValidationError", "ValidationError"):
        components["schemas"].pop(unused, None)
    return document
