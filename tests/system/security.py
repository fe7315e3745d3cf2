"""`make security`: sends what no well-meaning client sends to every route of the running product.

Naughty strings in every place of every route that takes one and of every MCP tool, bodies that are hardly JSON, broken
request heads, wrong keys, and Schemathesis over both OpenAPI documents. Right is what is no 5xx, says what is wrong in
the form of its API, and leaves the API and the worker as they were.
"""

import argparse
import asyncio
import itertools
import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2

from tests.system.faults.report import Report
from tests.system.faults.stack import Stack, until
from tests.system.naughty import HEADS
from tests.system.thrown import EVENTS, MCP, SAMPLES, Json, address_of, calls, operations, requests, rpc, samples

AT_ONCE = 4
REQUEST_SECONDS = 60.0
CHECKS = "not_a_server_error,content_type_conformance,response_schema_conformance,status_code_conformance"
JSON = {"content-type": "application/json"}
ENDS_IT_ALL = "revoke_api_key"  # of the very key that asks; everything after that would be 401
BELOW = "/openai/"  # every error has OpenAI's form
SURFACE = Path(__file__).parents[2] / "docs" / "openai-surface.json"
WRONG_KEYS = ("", "Bearer", "Bearer fn_0123456789ab_wrong", "Basic Zm46Zm4=")
OPEN = ("/healthz", "/readyz", "/v1/session")  # which need no key, or say so in another way
REFUSED_SAMPLES = ("invalid_request", "invalid_value", "missing_required_parameter", "invalid_json")
ACCEPTED = "application/json, text/event-stream"
Surfaces = Sequence[tuple[Json, Mapping[str, str]]]  # descriptions of routes, with ids of what is there


@dataclass
class Seen:
    """Answers by status, and those that were wrong: the request in short, and why."""

    statuses: Counter[int] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)

    def look(self, asked: str, response: httpx2.Response) -> None:
        self.statuses[response.status_code] += 1
        if response.status_code >= 500:
            self.wrong.append(f"{response.status_code}: {asked}: {response.text[:200]}")
        elif response.status_code >= 400 and not has_form(response):
            self.wrong.append(f"{response.status_code} as {response.headers.get('content-type')!r}: {asked}")


def has_form(response: httpx2.Response) -> bool:
    """Whether a refusal has the form of its API: a problem, OpenAI's error, or one of JSON-RPC."""
    kind, path = response.headers.get("content-type", ""), response.url.path
    if path.startswith(BELOW):
        told = response.json() if kind == "application/json" else {}
        return told.keys() == {"error"} and told["error"].keys() == {"message", "type", "param", "code"}
    return kind.startswith("application/problem+json") or (path == MCP and "error" in response.json())


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


async def made_on_surface(client: httpx2.AsyncClient) -> dict[str, str]:
    """The same of what OpenAI's clients know."""

    async def post(path: str, **given: Any) -> str:
        answer = await client.post(f"/openai/v1/{path}", **given)
        assert answer.is_success, answer.text
        return str(answer.json()["id"])

    store = await post("vector_stores", json={"name": "thrown at"})
    file = await post("files", files={"file": ("f.txt", b"The lamp burns.")}, data={"purpose": SAMPLES["purpose"]})
    upload = {name: SAMPLES[name] for name in ("bytes", "filename", "mime_type", "purpose")}
    return {
        "vector_store_id": store,
        "file_id": file,
        "batch_id": await post(f"vector_stores/{store}/file_batches", json={"file_ids": [file]}),
        "upload_id": await post("uploads", json=upload),
        "response_id": await post("responses", json={"model": "footnote", "input": SAMPLES["input"]}),
        "model": "footnote",
    }


async def throw(client: httpx2.AsyncClient, surfaces: Surfaces, seen: Seen) -> None:
    """Everything at the routes of each document, with ids of what is there, and at the tools."""
    for described, ids in surfaces:
        for method, address, given in samples(described, ids):
            response = await client.request(method, address, headers=JSON, **given)
            if is_refused_sample(response):
                seen.wrong.append(f"no sample: {method} {address}: {response.text[:300]}")
    waiting = itertools.chain(*(requests(*each) for each in surfaces), calls(await _tools(client)))

    async def some() -> None:
        for method, address, given in waiting:  # shared: each request is taken once
            headers = (JSON if "content" in given else {}) | ({"accept": ACCEPTED} if address == MCP else {})
            try:
                response = await client.request(method, address, headers=headers, **given)
            except httpx2.RemoteProtocolError:
                seen.statuses[0] += 1  # the connection was closed: a server need not answer everything
                continue
            seen.look(f"{method} {address[:150]} {str(given)[:150]}", response)

    async with asyncio.TaskGroup() as group:
        for _ in range(AT_ONCE):
            group.create_task(some())


def is_refused_sample(response: httpx2.Response) -> bool:
    told = response.json() if response.status_code in (400, 422) else {}
    return response.status_code == 422 or told.get("error", {}).get("code") in REFUSED_SAMPLES


async def _tools(client: httpx2.AsyncClient) -> list[Json]:
    answer = await client.post(MCP, json=rpc("tools/list", {}), headers={"accept": ACCEPTED})
    told: list[Json] = json.loads(answer.text[answer.text.index("{") :])["result"]["tools"]
    return told


async def without_key(url: str, surfaces: Surfaces, seen: Seen) -> None:
    """Each route and `/mcp` refuse every wrong key in the same words."""
    routes = [
        (method, address_of(path, ids)) for described, ids in surfaces for method, path, _ in operations(described)
    ]
    routes = [each for each in routes if each[1] not in OPEN]
    async with httpx2.AsyncClient(base_url=url, timeout=REQUEST_SECONDS) as client:
        for (method, address), key in itertools.product([*routes, ("post", MCP)], WRONG_KEYS):
            response = await client.request(method, address, headers={"authorization": key} if key else {})
            seen.look(f"{method} {address} with {key!r}", response)
            if response.status_code != 401:
                seen.wrong.append(f"{response.status_code}, not 401: {method} {address} with {key!r}")


async def heads(port: int, key: str, seen: Seen) -> None:
    """Raw requests: each is answered with less than 500, and a problem where it is one, or the connection is closed."""
    for head in HEADS:
        for path in ("/v1/documents", "/healthz", "/openai/v1/models"):
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
            # What is no request has no path, and is always answered with a problem.
            if status >= 500 or (status >= 400 and b"content-type: application/" not in told):
                seen.wrong.append(f"{status}: {path} with {head[:80]!r}")


def schemathesis(stack: Stack, document: str, seconds: int) -> tuple[int, str]:
    """Its exit code and what it says. `document`: an address or a file."""
    command = [str(Path(sys.executable).with_name("st")), "run", document, "--url", stack.url]
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
            native = (await client.get("/openapi.json")).json(), await made(client)
            surfaces = [native, (json.loads(SURFACE.read_text()), await made_on_surface(client))]
            await without_key(stack.url, surfaces, seen)
            await throw(client, surfaces, seen)
            await heads(stack.port, stack.key, seen)
            tested = [
                await asyncio.to_thread(schemathesis, stack, document, seconds // 2)
                for document in (f"{stack.url}/openapi.json", str(SURFACE))
                if seconds
            ]
            alive = [(await client.get(path)).status_code for path in ("/readyz", "/v1/keys")]
        after = stack.worker()
        unharmed = alive == [200, 200] and after is not None and worker[0] == after[0]
    report.exactly("answers of 5xx, without the form of an error, or to a wrong key", 0, len(seen.wrong))
    for code, _ in tested:
        report.exactly("Schemathesis", "no failures", "no failures" if code == 0 else f"exit code {code}")
    report.exactly("the worker, the API and its key are the same and well", "yes", "yes" if unharmed else "no")
    counted = ", ".join(f"{status or 'closed'}: {count}" for status, count in sorted(seen.statuses.items()))
    return report, "\n".join(
        [f"{sum(seen.statuses.values())} requests: {counted}", *seen.wrong[:200], *(said for _, said in tested)]
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.system.security", description=__doc__)
    parser.add_argument("--seconds", type=int, default=300, help="of Schemathesis; 0: without it")
    parser.add_argument("--keep-logs", type=Path, help="copy the product's logs to this directory")
    given = parser.parse_args()
    result, details = asyncio.run(run(given.seconds, given.keep_logs))
    print(details, result, sep="\n")
    sys.exit(0 if result.met else 1)
