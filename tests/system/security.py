"""`make security`: sends what no well-meaning client sends to every route of the running product.

Naughty strings in every place of every route that takes one, bodies that are hardly JSON, broken request heads, and
Schemathesis over the OpenAPI document. Right is whatever is no 5xx, says what is wrong as problem+json, and leaves the
API and the worker as they were.
"""

import argparse
import asyncio
import itertools
import json
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx2

from tests.system.faults.report import Report
from tests.system.faults.stack import Stack, until
from tests.system.naughty import BODIES, HEADS, STRINGS

AT_ONCE = 4
REQUEST_SECONDS = 60.0
METHODS = ("get", "post", "put", "patch", "delete")
CHECKS = "not_a_server_error,content_type_conformance,response_schema_conformance,status_code_conformance"
JSON = {"content-type": "application/json"}
DEEPEST = 2  # objects within objects
ENDS_IT_ALL = "revoke_api_key"  # of the very key that asks; everything after that would be 401
EVENTS = "/events"  # streams that last as long as a client listens
# What stands beside the naughty string where an operation insists on it, so that the string is looked at at all.
SAMPLES: dict[str, Any] = {
    "content": "lamp",
    "events": ["query_batch.cancelled"],  # which does not happen here; otherwise every endpoint would get each document
    "filename": "f.txt",
    "ids": ["doc_unknown"],
    "key": "color",
    "metadata": {},
    "model": "all-MiniLM-L6-v2",
    "name": "n",
    "provider": "local",
    "query": "lamp",
    "question": "What burns?",
    "questions": [{"question": "What burns?"}],
    "role": "user",
    "sha256": ["ab" * 32],
    "since": "2026-01-01T00:00:00Z",
    "size": 1,
    "title": "t",
    "text": "x",
    "type": "eq",
    "url": "https://x.example/",
    "value": "red",
}
BESIDES = {"question", "key", "value", "events", "ids"}  # not required by the schema: it cannot say "this or that"
ONCE = {"name", "url"}  # of which each request has another: what is there already is refused, or replaced

NUMBERS = itertools.count()
FEW = frozenset(STRINGS[::10])  # for what takes certain words, numbers or times only, and refuses all others alike
CERTAIN = {"enum", "format", "pattern"}

Json = dict[str, Any]


@dataclass
class Seen:
    """Answers by status, and those that were wrong: the request in short, and why."""

    statuses: Counter[int] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)

    def look(self, asked: str, response: httpx2.Response) -> None:
        self.statuses[response.status_code] += 1
        kind = response.headers.get("content-type", "")
        if response.status_code >= 500:
            self.wrong.append(f"{response.status_code}: {asked}: {response.text[:200]}")
        elif response.status_code >= 400 and not kind.startswith("application/problem+json"):
            self.wrong.append(f"{response.status_code} as {kind!r}: {asked}")


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
                    yield method, _address(path, ids, place, text), sample
            for body in values(schema, components, text) if schema else ():
                yield method, _address(path, ids), {"content": _body(body)}
            for name in (
                ("collection", "metadata", "external_id", "callback_url") if "multipart/form-data" in content else ()
            ):
                parts = {"file": (_plain(text) or "f.txt", b"The lamp burns."), name: (None, _bytes(text))}
                yield method, _address(path, ids), {"files": parts}
        if schema:
            for raw in BODIES:
                yield method, _address(path, ids), {"content": raw}


def samples(described: Json, ids: Mapping[str, str]) -> Iterator[tuple[str, str, Json]]:
    """Of each operation that takes JSON a request that is in order, or its naughty strings would reach nothing."""
    for method, path, operation in operations(described):
        if of_json := operation.get("requestBody", {}).get("content", {}).get("application/json"):
            sample = _sample(of_json["schema"], described["components"]["schemas"])
            yield method, _address(path, ids), {"content": sample}


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
            yield from ([value] for value in values(one["items"], components, text, depth))
        elif kind == "object" and not properties:
            yield from ({"question": text}, {text: "x"})
        elif kind == "object" and depth <= DEEPEST:
            for name, inner in properties.items():
                for value in values(inner, components, text, depth + 1):
                    yield _beside(one, name) | {name: value}


def _beside(schema: Json, name: str) -> Json:
    """What an object needs beside the field of that name."""
    wanted = set(schema.get("required", ())) | BESIDES & schema.get("properties", {}).keys()
    wanted -= {"messages": {"question"}, "where": {"ids"}}.get(name, set())
    return {each: f"{SAMPLES[each]}{next(NUMBERS)}" if each in ONCE else SAMPLES[each] for each in sorted(wanted)}


def _choices(schema: Json, components: dict[str, Json]) -> Iterator[Json]:
    for each in schema.get("anyOf") or schema.get("oneOf") or [schema]:
        name = each.get("$ref")
        yield components[name.rsplit("/", 1)[1]] if isinstance(name, str) else each


def _address(path: str, ids: Mapping[str, str], naughty: Json | None = None, text: str = "") -> str:
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


async def made(client: httpx2.AsyncClient) -> dict[str, str]:
    """One of each that has an id; the ids by the names that paths give them."""

    async def post(path: str, body: Json) -> Json:
        answer = await client.post(path, json=body)
        assert answer.is_success, answer.text
        told: Json = answer.json()
        return told

    accepted = await post("/v1/documents/text", {"text": "The lamp burns."})
    collection = await post("/v1/collections", {"name": "thrown-at"})
    endpoint = await post("/v1/webhook_endpoints", {"url": SAMPLES["url"], "events": SAMPLES["events"]})
    conversation = await post("/v1/conversations", {})
    batch = await post("/v1/query/batch", {"questions": SAMPLES["questions"], "background": True})
    return {
        "document_id": accepted["document"]["id"],
        "collection_id": collection["id"],
        "job_id": accepted["job"]["id"],
        "endpoint_id": endpoint["id"],
        "conversation_id": conversation["id"],
        "query_batch_id": batch["id"],
    }


async def throw(client: httpx2.AsyncClient, described: Json, seen: Seen) -> None:
    ids = await made(client)
    for method, address, given in samples(described, ids):
        response = await client.request(method, address, headers=JSON, **given)
        if response.status_code == 422:
            seen.wrong.append(f"no sample: {method} {address}: {response.text[:300]}")
    waiting = requests(described, ids)

    async def some() -> None:
        for method, address, given in waiting:  # shared: each request is taken once
            try:
                response = await client.request(method, address, headers=JSON if "content" in given else {}, **given)
            except httpx2.RemoteProtocolError:
                seen.statuses[0] += 1  # the connection was closed: a server need not answer everything
                continue
            seen.look(f"{method} {address[:150]} {str(given)[:150]}", response)

    async with asyncio.TaskGroup() as group:
        for _ in range(AT_ONCE):
            group.create_task(some())


async def heads(port: int, key: str, seen: Seen) -> None:
    """Raw requests: each is answered with less than 500, and a problem where it is one, or the connection is closed."""
    for head in HEADS:
        for path in ("/v1/documents", "/healthz"):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            authorised = b"" if head.startswith(b"Authorization") else f"Authorization: Bearer {key}\r\n".encode()
            writer.write(
                f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n".encode() + authorised + head + b"\r\n\r\n"
            )
            try:
                async with asyncio.timeout(REQUEST_SECONDS):
                    told = (await reader.readuntil(b"\r\n\r\n")).lower()
            except (ConnectionError, asyncio.IncompleteReadError):
                told = b""
            writer.close()
            status = int(told.split()[1]) if told else 0
            seen.statuses[status] += 1
            if status >= 500 or (status >= 400 and b"content-type: application/problem+json" not in told):
                seen.wrong.append(f"{status}: {path} with {head[:80]!r}")


def schemathesis(stack: Stack, seconds: int) -> tuple[int, str]:
    """Its exit code and what it says."""
    command = [str(Path(sys.executable).with_name("st")), "run", f"{stack.url}/openapi.json"]
    options = ["--checks", CHECKS, "--max-time", str(seconds), "--workers", "2", "--request-timeout", "60"]
    left_out = ["--exclude-path-regex", f"{EVENTS}$", "--exclude-operation-id", ENDS_IT_ALL]
    key = ["--header", f"Authorization: Bearer {stack.key}"]
    ended = subprocess.run(
        [*command, *options, *left_out, *key, "--continue-on-failure", "--no-color"],
        capture_output=True,
        text=True,
        cwd=stack.data_dir,
        env=os.environ,
        check=False,
    )
    return ended.returncode, ended.stdout + ended.stderr


async def run(seconds: int, keep_logs: Path | None) -> tuple[Report, str]:
    report, seen = Report("security"), Seen()
    async with Stack(keep_logs) as stack:
        await stack.ready()
        worker = await until(lambda: asyncio.to_thread(stack.worker), 60, "the worker is there")
        headers = {"Authorization": f"Bearer {stack.key}"}
        async with httpx2.AsyncClient(base_url=stack.url, headers=headers, timeout=REQUEST_SECONDS) as client:
            described = (await client.get("/openapi.json")).json()
            await throw(client, described, seen)
            await heads(stack.port, stack.key, seen)
            code, told = await asyncio.to_thread(schemathesis, stack, seconds) if seconds else (0, "")
            alive = [(await client.get(path)).status_code for path in ("/readyz", "/v1/keys")]
        after = stack.worker()
        unharmed = alive == [200, 200] and after is not None and worker[0] == after[0]
    report.exactly("answers of 5xx, or without problem+json", 0, len(seen.wrong))
    if seconds:
        report.exactly("Schemathesis", "no failures", "no failures" if code == 0 else f"exit code {code}")
    report.exactly("the worker, the API and its key are the same and well", "yes", "yes" if unharmed else "no")
    counted = ", ".join(f"{status or 'closed'}: {count}" for status, count in sorted(seen.statuses.items()))
    return report, "\n".join([f"{sum(seen.statuses.values())} requests: {counted}", *seen.wrong[:200], told])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.system.security", description=__doc__)
    parser.add_argument("--seconds", type=int, default=300, help="of Schemathesis; 0: without it")
    parser.add_argument("--keep-logs", type=Path, help="copy the product's logs to this directory")
    given = parser.parse_args()
    result, details = asyncio.run(run(given.seconds, given.keep_logs))
    print(details, result, sep="\n")
    sys.exit(0 if result.met else 1)
