"""The OpenAPI document: what FastAPI makes of the routes, with titles, errors and examples. It is what users read."""

import copy
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI
from fastapi.routing import APIRoute

from api.deps import Access, access_of
from api.description import failures, filling, surface, texts

Json = dict[str, Any]


class DescribedApi(FastAPI):
    """FastAPI, but `openapi` gives our document. It takes half a second, once."""

    described_routes: list[APIRoute]
    openai_routes: list[APIRoute]
    _described: Json | None = None

    def openapi(self) -> Json:
        if self._described is None:
            self._described = describe(copy.deepcopy(super().openapi()), self.described_routes)
        return self._described

    def openai_surface(self) -> Json:
        """What OpenAI's clients ask, as a document of its own."""
        return surface.describe(self.version, self.openai_routes)


def describe(document: Json, routes: list[APIRoute]) -> Json:
    """The document itself, completed."""
    access = {route.name: access_of(route) for route in routes}
    components = document["components"]["schemas"]
    document["components"]["securitySchemes"] = texts.SECURITY
    for operation in operations(document):
        _complete(operation, access[operation["operationId"]], components)
    _share_responses(document)
    return document


def _share_responses(document: Json) -> None:
    """Most operations fail in the same few ways: each is written once."""
    shared: dict[str, Json] = {}
    for operation in operations(document):
        for status, answer in operation["responses"].items():
            if answer.get("content", {}).keys() == {failures.PROBLEM}:
                name = next((name for name, other in shared.items() if other == answer), _name(status, answer, shared))
                shared[name] = answer
                operation["responses"][status] = {"$ref": f"#/components/responses/{name}"}
    document["components"]["responses"] = shared


def _name(status: str, answer: Json, others: dict[str, Json]) -> str:
    """`document_not_found`, or the status and a number if there are several codes."""
    codes = failures.codes_of(answer)
    return codes[0] if len(codes) == 1 else f"{status}_{sum(name.startswith(status) for name in others) + 1}"


def operations(document: Json) -> Iterator[Json]:
    return (operation for path in document["paths"].values() for operation in path.values())


def _complete(operation: Json, access: Access | None, components: dict[str, Json]) -> None:
    operation["summary"] = texts.summary(operation["operationId"])
    parameters = operation.get("parameters", [])
    for each in parameters:
        if "description" not in each and each["name"] in texts.PARAMETERS:
            each["description"] = texts.PARAMETERS[each["name"]]
    inputs = {each["name"] for each in parameters} | set(_fields(operation, components))
    groups: list[failures.Failures] = []
    if access is not None:
        groups = [failures.WITH_KEY]
        groups += [failures.WITH_SCOPE] if access.scope else []
        groups += [failures.WITH_COSTS] if access.costs else []
        _say_scope(operation, access.scope)
    succeeds = {status: answer for status, answer in operation["responses"].items() if status.isdecimal()}
    for status, answer in succeeds.items():
        if answer["description"] == "Successful Response":
            answer["description"] = HTTPStatus(int(status)).phrase
        if status in ("201", "202") and operation["operationId"] in texts.LOCATIONS:
            answer["headers"] = {"Location": texts.LOCATIONS[operation["operationId"]]}
    operation["responses"] = _merged(succeeds, failures.responses(operation, inputs, groups))
    filling.add(operation, components)


def _fields(operation: Json, components: dict[str, Json]) -> Iterator[str]:
    """Names of the fields of a body, and of the objects in it: conditions, questions of a batch."""
    for content in operation.get("requestBody", {}).get("content", {}).values():
        yield from _within(content["schema"], components, frozenset())


def _within(schema: Json, components: dict[str, Json], outer: frozenset[str]) -> Iterator[str]:
    name = schema.get("$ref", "").rpartition("/")[2]
    if name in outer:  # it holds others of its kind
        return
    found = components.get(name, schema)
    properties = found.get("properties", {})
    yield from properties
    for each in (*properties.values(), *found.get("anyOf", ()), *filter(None, [found.get("items")])):
        yield from _within(each, components, outer | ({name} - {""}))


def _say_scope(operation: Json, scope: str | None) -> None:
    needed = f"Needs the scope `{scope}`." if scope else "Any API key will do."
    operation["description"] = f"{operation['description']}\n\n{needed}"
    operation["security"] = [{name: [scope] if scope else []} for name in texts.SECURITY]


def _merged(succeeds: Json, fails: Json) -> Json:
    """`/readyz` answers 503 in a form of its own, too."""
    for status, answer in succeeds.items():
        if status in fails:
            answer["content"] |= fails[status]["content"]
            answer["description"] += f"\n{fails[status]['description']}"
    return dict(sorted((fails | succeeds).items()))
