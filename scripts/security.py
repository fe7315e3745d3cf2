"""`make security`: what no well-meaning client sends, thrown at every route of the running product.

Naughty strings in every place of every route that takes one, bodies that are hardly JSON, broken request heads, and
Schemathesis over the OpenAPI document. Right is whatever is no 5xx, says what is wrong as problem+json, and leaves the
API and the worker as they were.
"""

import argparse
import asyncio
import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx2

from scripts.faults.report import Report
from scripts.faults.stack import Stack, until
from scripts.naughty import BODIES, HEADS, STRINGS

AT_ONCE = 4
REQUEST_SECONDS = 60.0
METHODS = ("get", "post", "put", "patch", "delete")
CHECKS = "not_a_server_error,content_type_conformance,response_schema_conformance,status_code_conformance"
EVENTS = "/events"  # streams that last as long as somebody listens
# What is asked beside the naughty string, so that it is looked at at all.
BESIDE = {
    "question": "What burns?",
    "query": "lamp",
    "name": "n",
    "text": "x",
    "filename": "f.txt",
    "url": "https://x.example/",
}

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


def requests(described: Json) -> Iterator[tuple[str, str, Json]]:
    """Method, address and the other arguments of each request: every string in every place, one at a time."""
    components = described["components"]["schemas"]
    for method, path, operation in operations(described):
        places = [each for each in operation.get("parameters", []) if each["in"] in ("path", "query")]
        content = operation.get("requestBody", {}).get("content", {})
        for text in STRINGS:
            for place in places:
                yield method, _address(path, places, place, text), {}
            if schema := content.get("application/json", {}).get("schema"):
                for one in fields(schema, components):
                    yield method, _address(path, places), {"content": _body(_nested(one, text))}
            for name in (
                ("collection", "metadata", "external_id", "callback_url") if "multipart/form-data" in content else ()
            ):
                parts = {"file": (_plain(text) or "f.txt", b"The lamp burns."), name: (None, _bytes(text))}
                yield method, _address(path, places), {"files": parts}
        if "application/json" in content:
            for body in BODIES:
                yield method, _address(path, places), {"content": body}


def fields(schema: Json, components: dict[str, Json], depth: int = 0) -> Iterator[tuple[str, ...]]:
    """Paths to whatever may be a string in an object's schema, three objects deep."""
    schema = _resolved(schema, components)
    properties = schema.get("properties")
    if not isinstance(properties, dict) or depth > 2:
        return
    for name, inner in properties.items():
        for one in _choices(_resolved(inner, components), components):
            if one.get("type") == "string":
                yield (name,)
            elif one.get("type") == "array":
                yield name, "[]"
            elif one.get("type") == "object" or "properties" in one:
                yield from ((name, *path) for path in fields(one, components, depth + 1))


def _resolved(schema: Json, components: dict[str, Json]) -> Json:
    name = schema.get("$ref")
    return components[name.rsplit("/", 1)[1]] if isinstance(name, str) else schema


def _choices(schema: Json, components: dict[str, Json]) -> Iterator[Json]:
    alternatives = schema.get("anyOf") or schema.get("oneOf") or [schema]
    assert isinstance(alternatives, list)
    return (_resolved(each, components) for each in alternatives)


def _address(path: str, places: list[Json], naughty: Json | None = None, text: str = "") -> str:
    query = ""
    for place in places:
        value = quote(_bytes(text), safe="") if place is naughty else "x"
        if place["in"] == "path":
            path = path.replace(f"{{{place['name']}}}", value or "%20")
        elif place is naughty:
            query = f"?{place['name']}={value}"
    return path + query


def _nested(place: tuple[str, ...], text: str) -> Json:
    inner: Any = text
    for name in reversed(place):
        inner = [inner] if name == "[]" else {name: inner}
    nested: Json = inner
    return BESIDE | nested if len(place) == 1 else nested


def _body(body: Json) -> bytes:
    return json.dumps(body).encode()  # halves of characters as escapes, which is valid JSON


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _plain(text: str) -> str:
    return text.encode("utf-8", "replace").decode().replace("\r", "").replace("\n", "")


async def throw(client: httpx2.AsyncClient, described: Json, seen: Seen) -> None:
    waiting = requests(described)

    async def some() -> None:
        for method, address, given in waiting:  # shared: each request is taken once
            headers = {"content-type": "application/json"} if "content" in given else {}
            try:
                response = await client.request(method, address, headers=headers, **given)
            except httpx2.RemoteProtocolError:
                seen.statuses[0] += 1  # the connection was closed: nobody has to answer everything
                continue
            seen.look(f"{method} {address[:150]} {str(given)[:150]}", response)

    async with asyncio.TaskGroup() as group:
        for _ in range(AT_ONCE):
            group.create_task(some())


async def heads(port: int, key: str, seen: Seen) -> None:
    """Raw requests: each is answered with less than 500, or the connection is closed."""
    for head in HEADS:
        for path in ("/v1/documents", "/healthz"):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            authorised = b"" if head.startswith(b"Authorization") else f"Authorization: Bearer {key}\r\n".encode()
            writer.write(
                f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n".encode() + authorised + head + b"\r\n\r\n"
            )
            try:
                async with asyncio.timeout(REQUEST_SECONDS):
                    line = await reader.readline()
            except ConnectionError:
                line = b""
            writer.close()
            status = int(line.split()[1]) if line.startswith(b"HTTP/") else 0
            seen.statuses[status] += 1
            if status >= 500:
                seen.wrong.append(f"{status}: {path} with {head[:80]!r}")


def schemathesis(stack: Stack, seconds: int) -> tuple[int, str]:
    """Its exit code and what it says."""
    command = [str(Path(sys.executable).with_name("st")), "run", f"{stack.url}/openapi.json"]
    options = [
        "--checks",
        CHECKS,
        "--max-time",
        str(seconds),
        "--workers",
        "2",
        "--request-timeout",
        "60",
        "--continue-on-failure",
    ]
    left_out = ["--exclude-path-regex", f"{EVENTS}$", "--no-color"]
    key = ["--header", f"Authorization: Bearer {stack.key}"]
    ended = subprocess.run(
        [*command, *options, *left_out, *key],
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
            alive = (await client.get("/readyz")).status_code
        after = stack.worker()
        unharmed = alive == 200 and after is not None and worker[0] == after[0]
    report.exactly("answers of 5xx, or without problem+json", 0, len(seen.wrong))
    if seconds:
        report.exactly("Schemathesis", "no failures", "no failures" if code == 0 else f"exit code {code}")
    report.exactly("the worker and the API are the same and well", "yes", "yes" if unharmed else "no")
    counted = ", ".join(f"{status or 'closed'}: {count}" for status, count in sorted(seen.statuses.items()))
    return report, "\n".join([f"{sum(seen.statuses.values())} requests: {counted}", *seen.wrong[:200], told])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m scripts.security", description=__doc__)
    parser.add_argument("--seconds", type=int, default=300, help="of Schemathesis; 0: without it")
    parser.add_argument("--keep-logs", type=Path, help="copy the product's logs to this directory")
    given = parser.parse_args()
    result, details = asyncio.run(run(given.seconds, given.keep_logs))
    print(details, result, sep="\n")
    sys.exit(0 if result.met else 1)
