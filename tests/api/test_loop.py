"""The event loop is never blocked for more than 50 ms, and never imports a module, for any request."""

import asyncio
import json
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from footnote.runtime import open_runtime
from footnote.tenancy import keys
from tests import SAMPLES, driving
from tests.local_stack.stack_under_test import free_port
from tests.programs import Program, serving, settings_from, vectors

pytestmark = [pytest.mark.anyio, pytest.mark.worker]

LINES = "".join(f"{n}: pump {n % 97}, {n * 7 % 1000} marks.\n" for n in range(10_000))
MCP_CLIENT: dict[str, Any] = {"protocolVersion": "2026-07-28", "clientCapabilities": {}}
QUESTION = "How many marks has the pump 13?"


@pytest.fixture
async def asked(own_database: str, redis_url: str, tmp_path: Path) -> AsyncIterator[tuple[Any, list[str], Program]]:
    """A client of the API, the ids of a long text and of a PDF that it has, and the program."""
    with serving(lambda texts, _port: vectors(texts)) as provider:
        given = {
            "DATABASE_URL": own_database,
            "REDIS_URL": redis_url,
            "STORAGE_URL": f"file://{tmp_path}/objects",
            "FOOTNOTE_EMBEDDER": "openai",
            "OPENAI_BASE_URL": f"http://127.0.0.1:{provider}/v1",
            "FOOTNOTE_GENERATOR": "extractive",
            "FOOTNOTE_LEAST_EVIDENCE": "0",
            "FOOTNOTE_CHUNK_SIZE": "4000",
        }
        port = free_port()
        environment = {**os.environ, **given, "PORT": str(port), "LOG_LEVEL": "WARNING"}
        api = Program("tests.api.watched_api", environment, tmp_path / "log")
        api.start()
        try:
            async with open_runtime(settings_from(given), pool_size=3) as rt:
                tenant = await driving.new_tenant(rt)
                async with rt.transaction() as session:
                    _, key = await keys.create(session, tenant, "asks")
                pdf = (SAMPLES / "handbook.pdf").read_bytes()
                ids = [await driving.ready(rt, tenant, LINES), await driving.ready(rt, tenant, pdf, "handbook.pdf")]
            headers = {"Authorization": f"Bearer {key}"}
            base = f"http://127.0.0.1:{port}"
            async with httpx2.AsyncClient(base_url=base, headers=headers, timeout=60, trust_env=False) as client:
                await _until_there(client, api)
                yield client, ids, api
        finally:
            api.kill()


def _said(turns: int) -> list[dict[str, str]]:
    return [{"role": ("user", "assistant")[n % 2], "content": f"The pump {n} has marks. " * 5} for n in range(turns)]


async def _until_there(client: httpx2.AsyncClient, api: Program) -> None:
    while True:
        try:
            await client.get("/healthz")
        except httpx2.ConnectError:
            assert api.running(), api.log.read_text()[-3000:]
            await asyncio.sleep(0.05)
        else:
            return


async def test_no_step_of_the_loop_takes_longer_than_50_ms_or_imports_a_module(
    asked: tuple[Any, list[str], Program],
) -> None:
    client, (lines, pdf), api = asked

    async def send(method: str, path: str, expected: tuple[int, ...] = (200, 202), **options: Any) -> None:
        answer = await client.request(method, path, **options)
        assert answer.status_code in expected, (path, answer.text[:1000])

    # First of all what makes or imports something when it is done for the first time.
    await send("POST", "/v1/query", json={"question": QUESTION, "stream": True})
    await send("GET", "/openai/v1/models")
    talk = [
        {"role": "system", "content": "Speak as a sailor. " * 6000},
        *_said(600),
        {"role": "user", "content": QUESTION},
    ]
    for path, asking in (("chat/completions", {"messages": talk}), ("responses", {"input": talk})):
        for stream in (True, False):
            await send("POST", f"/openai/v1/{path}", json={"model": "footnote", "stream": stream, **asking})
    texts = {"model": "footnote", "input": ["word " * 100] * 500, "encoding_format": "float"}
    await send("POST", "/openai/v1/embeddings", json=texts)
    mcp = {"jsonrpc": "2.0", "id": 1, "method": "tools/call"}
    for era in ({}, {"MCP-Protocol-Version": "2026-07-28", "Mcp-Method": "tools/call", "Mcp-Name": "ask"}):
        meta = {f"io.modelcontextprotocol/{name}": value for name, value in MCP_CLIENT.items()}
        called = mcp | {"params": {"name": "ask", "arguments": {"question": QUESTION}, "_meta": meta}}
        await send("POST", "/mcp", json=called, headers={"Accept": "application/json, text/event-stream", **era})
    for path in ("/openapi.json", "/metrics", "/readyz", "/v1/documents?limit=100", "/v1/jobs?limit=100", "/v1/usage"):
        await send("GET", path)
    for path in ("", "/status", "/report", "/content", "/pages/1", "/chunks?limit=100"):
        await send("GET", f"/v1/documents/{lines}{path}")
    await send("GET", f"/v1/documents/{pdf}/pages/1.webp")
    await send("POST", "/v1/documents", files={"file": ("large.txt", b"one more line of text\n" * 2_300_000)})
    await send("POST", "/v1/documents/estimate", files={"file": ("lines.txt", LINES.encode())})
    many = [("file", (f"{number}.txt", f"document {number}".encode())) for number in range(20)]
    await send("POST", "/v1/documents/batch", files=many)
    await send("POST", "/v1/documents/text", json={"text": "word " * 50_000, "filename": "words.txt"})
    search = {"query": QUESTION * 20, "top_k": 100, "diversity": 0.5, "expand": "neighbours"}
    await send("POST", "/v1/search?explain=true", json=search)
    questions = [{"question": f"{QUESTION} {number}", "stream": bool(number % 2)} for number in range(10)]
    await asyncio.gather(*(send("POST", "/v1/query", json=each) for each in questions))
    many_names, many_errors = {f"{n:x}": 1 for n in range(20_000)}, {"query": "", "document_ids": [1] * 80_000}
    for body in (json.dumps(many_names), json.dumps(many_errors), "[" * 200_000):
        await send("POST", "/v1/search", (422,), content=body, headers={"Content-Type": "application/json"})
    assert api.running()
    # A busy machine may keep Redis from answering in time.
    said = [line for line in api.log.read_text().splitlines() if '"doing without Redis"' not in line]
    assert said == []
