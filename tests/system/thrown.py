"""Requests that no well-meaning client sends: naughty strings in every place that the descriptions of routes have."""

import itertools
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote

from tests.system.naughty import BODIES, STRINGS

METHODS = ("get", "post", "put", "patch", "delete")
DEEPEST = 2  # objects within objects
EVENTS = "/events"  # streams that last as long as a client listens
MCP = "/mcp"
# What stands beside the naughty string where an operation insists on it, so that the string is looked at at all.
SAMPLES: dict[str, Any] = {
    "anchor": "last_active_at",
    "attributes": {},
    "bytes": 1,
    "chunk_overlap_tokens": 50,
    "collection": "default",
    "content": "lamp",
    "days": 1,
    "document_id": "doc_unknown",
    "embedding_weight": 1,
    "events": ["query_batch.cancelled"],  # which does not happen here; otherwise every endpoint would get each document
    "file_id": "file-unknown",
    "file_ids": ["file-unknown"],
    "filename": "f.txt",
    "id": "doc_unknown",
    "ids": ["doc_unknown"],
    "input": "What burns?",
    "key": "color",
    "max_chunk_size_tokens": 100,
    "messages": [{"role": "user", "content": "What burns?"}],
    "metadata": {},
    "mime_type": "text/plain",
    "model": "all-MiniLM-L6-v2",
    "name": "n",
    "part_ids": ["part_unknown"],
    "provider": "local",
    "purpose": "assistants",
    "query": "lamp",
    "question": "What burns?",
    "questions": [{"question": "What burns?"}],
    "role": "user",
    "seconds": 3600,
    "sha256": ["ab" * 32],
    "since": "2026-01-01T00:00:00Z",
    "size": 1,
    "title": "t",
    "text": "x",
    "text_weight": 1,
    "type": "eq",
    "url": "https://x.example/",
    "value": "red",
}
# Not required by the schema: it cannot say "this or that".
BESIDES = {"question", "key", "value", "events", "ids", "file_ids"}
ONCE = {"name", "url"}  # of which each request has another: what is there already is refused, or replaced

NUMBERS = itertools.count()
FEW = frozenset(STRINGS[::10])  # for what takes certain words, numbers or times only, and refuses all others alike
CERTAIN = {"enum", "format", "pattern"}

Json = dict[str, Any]


def operations(described: Json) -> Iterator[tuple[str, str, Json]]:
    """Method, path and description of each that answers and ends."""
    for path, methods in described["paths"].items():
        if not path.endswith(EVENTS):
            yield from ((method, path, methods[method]) for method in METHODS if method in methods)


def requests(described: Json, ids: Mapping[str, str]) -> Iterator[tuple[str, str, Json]]:
    """Method, address and the other arguments of each request: every string in every place, one at a time.

    In the other places stand `ids` of what is there, and a body's samples.
    """
    components = described["components"]["schemas"]
    for method, path, operation in operations(described):
        places = [each for each in operation.get("parameters", []) if each["in"] in ("path", "query")]
        content = operation.get("requestBody", {}).get("content", {})
        schema = content.get("application/json", {}).get("schema")
        sample = {"content": _sample(schema, components)} if schema else {}
        for text in STRINGS:
            for place in places:
                if text in FEW or [*values(place["schema"], components, text)]:
                    yield method, address_of(path, ids, place, text), sample
            for body in values(schema, components, text) if schema else ():
                yield method, address_of(path, ids), {"content": _body(body)}
            for parts in _forms(content.get("multipart/form-data", {}).get("schema", {}), text):
                yield method, address_of(path, ids), {"files": parts}
        if schema:
            for raw in BODIES:
                yield method, address_of(path, ids), {"content": raw}


def _forms(schema: Json, text: str) -> Iterator[Json]:
    """Forms with the text as the name of the file, or of its content, and in another field."""
    properties = schema.get("properties", {})
    file = "data" if "data" in properties else "file"
    fields = [name for name in properties if name != file] or [file] * bool(properties)
    for name in fields:
        beside = {each: (None, SAMPLES[each]) for each in schema["required"] if each not in (name, file)}
        yield beside | {name: (None, _bytes(text)), file: (_plain(text) or "f.txt", b"The lamp burns.")}


def calls(tools: list[Json]) -> Iterator[tuple[str, str, Json]]:
    """Of each MCP tool a call with every string in every argument, then bodies that are hardly a request."""
    for tool, text in itertools.product(tools, STRINGS):
        for given in values(tool["inputSchema"], {}, text):
            yield "post", MCP, {"content": _body(_call(tool["name"], given))}
        yield "post", MCP, {"content": _body(_call(text, {}))}
        yield "post", MCP, {"content": _body(rpc("resources/read", {"uri": f"footnote://documents/{text}"}))}
        yield "post", MCP, {"content": _body(rpc(text, {}))}
    for raw in BODIES:
        yield "post", MCP, {"content": raw}


def _call(name: str, given: Any) -> Json:
    return rpc("tools/call", {"name": name, "arguments": given})


def rpc(method: str, params: Json) -> Json:
    return {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}


def samples(described: Json, ids: Mapping[str, str]) -> Iterator[tuple[str, str, Json]]:
    """Of each operation that takes JSON a request that is in order, or its naughty strings would reach nothing."""
    for method, path, operation in operations(described):
        if of_json := operation.get("requestBody", {}).get("content", {}).get("application/json"):
            sample = _sample(of_json["schema"], described["components"]["schemas"])
            yield method, address_of(path, ids), {"content": sample}


def _sample(schema: Json, components: dict[str, Json]) -> bytes:
    first, *_ = _choices(schema, components)
    return _body(_beside(first, ""))


def values(schema: Json, components: dict[str, Json], text: str, depth: int = 0) -> Iterator[Any]:
    """Values that the schema takes, as far as it has places for strings; each with the text in another place."""
    for one in _choices(schema, components):
        kind, properties = one.get("type"), one.get("properties", {})
        if kind == "string" or kind is None:
            if text in FEW or not CERTAIN & one.keys():
                yield text
        elif kind == "array":
            yield from ([value] for value in values(one.get("items", {}), components, text, depth))
        elif kind == "object" and not properties:
            yield from ({"question": text}, {text: "x"})
        elif kind == "object" and depth <= DEEPEST:
            for name, inner in properties.items():
                for value in values(inner, components, text, depth + 1):
                    yield _beside(one, name) | {name: value}


def _beside(schema: Json, name: str) -> Json:
    """What an object needs beside the field of that name."""
    wanted = set(schema.get("required", ())) | BESIDES & schema.get("properties", {}).keys()
    missing = max(0, schema.get("minProperties", 0) - len(wanted))
    wanted |= set(sorted(schema.get("properties", ()), reverse=True)[:missing])
    wanted -= {"messages": {"question"}, "where": {"ids"}, "files": {"file_ids"}}.get(name, set())
    return {each: f"{SAMPLES[each]}{next(NUMBERS)}" if each in ONCE else SAMPLES[each] for each in sorted(wanted)}


def _choices(schema: Json, components: dict[str, Json]) -> Iterator[Json]:
    for each in schema.get("anyOf") or schema.get("oneOf") or [schema]:
        name = each.get("$ref")
        yield components[name.rsplit("/", 1)[1]] if isinstance(name, str) else each


def address_of(path: str, ids: Mapping[str, str], naughty: Json | None = None, text: str = "") -> str:
    query, given = "", dict(ids)
    if naughty is not None:
        value = quote(_bytes(text), safe="")
        if naughty["in"] == "path":
            given[naughty["name"]] = value or "%20"
        else:
            query = f"?{naughty['name']}={value}"
    return re.sub(r"\{(\w+)\}", lambda match: given.get(match[1], "1"), path) + query


def _body(body: Any) -> bytes:
    return json.dumps(body).encode()  # halves of characters as escapes, which is valid JSON


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _plain(text: str) -> str:
    return text.encode("utf-8", "replace").decode().replace("\r", "").replace("\n", "")
