"""The MCP server over HTTP: who may ask, what is no request of it, and what a client that leaves stops."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace

import httpx2
import pytest
from mcp import Client, StdioServerParameters
from mcp.client.streamable_http import streamable_http_client

from api.app import create_app
from footnote.cli.mcp_relay import Explaining
from footnote.database.redis_client import Shared
from footnote.providers.guarded import guard_generators
from footnote.providers.openai import OpenAIGenerator
from footnote.runtime import Runtime
from footnote.settings import Settings
from footnote.telemetry.exposition import exposition
from footnote.tenancy import keys
from tests import driving
from tests.api.test_disconnect import listening, until
from tests.api.test_errors import problem
from tests.api.test_oidc import FakeIssuer, client_of, issuer, made_keys
from tests.conftest import Person, committing, new_database, settings_of
from tests.fakes import FakeServer

__all__ = ["issuer", "made_keys"]  # fixtures
pytestmark = pytest.mark.anyio
ERAS = ["legacy", "2026-07-28"]
ACCEPT = {"Accept": "application/json, text/event-stream"}
LIST = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
QUESTION = {"question": "Which oil does the lamp burn?"}
CHOICE = {"index": 0, "delta": {"content": 'Colza [1: "burns colza oil"].'}, "finish_reason": "stop"}
CHUNK = {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [CHOICE]}
ANSWER = (
    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"
    f"data: {json.dumps(CHUNK)}\n\ndata: [DONE]\n\n"
).encode()
INFO = {"io.modelcontextprotocol/protocolVersion": ERAS[1], "io.modelcontextprotocol/clientCapabilities": {}}


@dataclass(frozen=True)
class McpApi:
    """An API on a port, keys of it by their scope, and the chat model that it asks."""

    url: str
    keys: dict[str, str]
    model: FakeServer

    def http(self, key: str = "admin", **headers: str) -> httpx2.AsyncClient:
        given = {"Authorization": f"Bearer {self.keys.get(key, key)}", **ACCEPT, **headers}
        return httpx2.AsyncClient(base_url=self.url, headers=given, timeout=60, trust_env=False)


@pytest.fixture(scope="module")
async def api(
    migrated_url: str, redis_url: str, tmp_path_factory: pytest.TempPathFactory, anyio_backend: str
) -> AsyncIterator[McpApi]:
    async with new_database(migrated_url) as url, FakeServer().listening() as model:
        settings = settings_of(url, redis_url, tmp_path_factory.mktemp("mcp"))
        address = {"openai_base_url": f"http://127.0.0.1:{model.port}/v1", "first_token_seconds": 60.0}
        chosen = settings.model_copy(update={**address, "answer_cache_seconds": 0.0})
        async with committing(chosen) as rt:
            tenant_id = await driving.new_tenant(rt)
            await driving.ready(rt, tenant_id, "The lamp of Fairhaven burns colza oil since 1902.", "lamp.txt")
            async with rt.transaction() as session:
                made = {scope: (await keys.create(session, tenant_id, scope, (scope,)))[1] for scope in keys.SCOPES}
                made["none"] = (await keys.create(session, tenant_id, "none", ()))[1]
            generator = guard_generators([OpenAIGenerator(chosen)], Shared(None), chosen, interactive=True)
            async with listening(create_app(runtime=replace(rt, generator=generator))) as (_, port):
                yield McpApi(f"http://127.0.0.1:{port}", made, model)
            await generator.close()


@pytest.mark.parametrize("era", ERAS)
async def test_the_official_client_over_http(api: McpApi, era: str) -> None:
    steps: list[float] = []

    async def told(progress: float, total: float | None, message: str | None) -> None:
        steps.append(progress)

    api.model.raw(ANSWER)
    async with (
        api.http() as http,
        Client(streamable_http_client(f"{api.url}/mcp", http_client=http), mode=era) as client,
    ):
        [tool, *_] = (await client.list_tools()).tools
        assert tool.name == "search"
        answer = await client.call_tool("ask", QUESTION, progress_callback=told)
        [footnote] = answer.structured_content["citations"]
        assert footnote["url"].startswith(f"{api.url}/d/{footnote['document_id']}/p/1?v=1&from=")
        assert (footnote["verified"], steps) == (True, list(range(1, len(steps) + 1)))
        assert len(steps) >= 2
    text = exposition()
    assert 'footnote_mcp_calls_total{outcome="ok",tool="ask"}' in text
    assert 'route="/mcp"' in text


async def test_what_is_no_request_of_mcp(api: McpApi) -> None:
    async with api.http() as http:
        for method in ("GET", "DELETE", "PUT"):
            refused = await http.request(method, "/mcp")
            assert (refused.status_code, refused.headers["allow"]) == (405, "POST")
        large = await http.post("/mcp", content=b'{"a": "' + b"x" * Settings().max_json_bytes + b'"}')
        problem(large, 413, "too_large")
        for body, status in ((b"{", 400), (b"[]", 400), (b'{"jsonrpc": "2.0", "id": 1, "method": "x"}', 200)):
            answer = await http.post("/mcp", content=body, headers={"Content-Type": "application/json"})
            assert answer.status_code == status, answer.text
        new = {"MCP-Protocol-Version": ERAS[1], "Mcp-Method": "tools/list"}
        good = await http.post("/mcp", json=LIST | {"params": {"_meta": INFO}}, headers=new)
        assert good.json()["result"]["ttlMs"] == 60_000
        other = await http.post("/mcp", json=LIST | {"params": {"_meta": INFO}}, headers=new | {"Mcp-Method": "ping"})
        assert (other.status_code, other.json()["error"]["code"]) == (400, -32020)
        never = INFO | {"io.modelcontextprotocol/protocolVersion": "2031-01-01"}
        unknown = await http.post(
            "/mcp", json=LIST | {"params": {"_meta": never}}, headers=new | {"MCP-Protocol-Version": "2031-01-01"}
        )
        assert (unknown.status_code, unknown.json()["error"]["code"]) == (400, -32022)


async def test_origins_keys_and_scopes(api: McpApi) -> None:
    async with api.http() as http:
        for origin, status in (
            *(("http://localhost:3000", 200), ("http://127.0.0.1", 200), ("http://[::1]:1", 200)),
            *(("https://evil.example", 403), ("null", 403), (api.url.replace("127.0.0.1", "rebound.example"), 403)),
            *(("http://localhost.evil.example", 403), ("http://localhost@evil.example", 403), ("http://[", 403)),
        ):
            answer = await http.post("/mcp", json=LIST, headers={"Origin": origin, "Host": "rebound.example"})
            assert answer.status_code == status, origin
    async with api.http("fn_a_wrong") as http:
        refused = await http.post("/mcp", json=LIST)
        problem(refused, 401, "invalid_api_key")
        assert refused.headers["www-authenticate"] == "Bearer"
        assert (await http.post("/mcp", json=LIST, headers={"Origin": "https://evil.example"})).status_code == 403
        assert (await http.get("/.well-known/oauth-protected-resource/mcp")).status_code == 404
    async with api.http("none") as http:
        refused = await http.post("/mcp", json=LIST)
        problem(refused, 403, "missing_scope")
        assert 'error="insufficient_scope"' in refused.headers["www-authenticate"]
    for scope, tools in (("read", 6), ("write", 2), ("admin", 8)):
        async with api.http(scope) as http:
            answer = await http.post("/mcp", json=LIST)
            listed = json.loads(answer.text[answer.text.index("{") :])["result"]["tools"]
            assert len(listed) == tools, scope


@pytest.mark.parametrize("era", ERAS)
async def test_a_closed_stream_stops_the_model(api: McpApi, era: str) -> None:
    api.model.asked.clear()
    api.model.closed.clear()
    api.model.raw(30.0)
    params = {"name": "ask", "arguments": QUESTION, "_meta": INFO | {"progressToken": "t"}}
    new = {"MCP-Protocol-Version": era, "Mcp-Method": "tools/call", "Mcp-Name": "ask"}
    asked = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
    async with (
        api.http(**(new if era != "legacy" else {})) as http,
        http.stream("POST", "/mcp", json=asked) as answer,
    ):
        lines = answer.aiter_lines()  # which closes the stream when it is collected
        async for line in lines:
            if "notifications/progress" in line:
                break
        await until(lambda: api.model.asked)
        assert not api.model.closed.is_set()
    await asyncio.wait_for(api.model.closed.wait(), 20)


async def test_the_command_hands_messages_on(api: McpApi) -> None:
    environment = os.environ | {"FOOTNOTE_API_URL": api.url, "FOOTNOTE_API_KEY": api.keys["read"]}
    command = StdioServerParameters(command=sys.executable, args=["-m", "footnote", "mcp"], env=environment)
    steps: list[float] = []

    async def told(progress: float, total: float | None, message: str | None) -> None:
        steps.append(progress)

    api.model.raw(ANSWER)
    async with Client(command) as client:
        assert len((await client.list_tools()).tools) == 6
        answer = await client.call_tool("ask", QUESTION, progress_callback=told)
        assert answer.structured_content["citations"][0]["verified"] is True
        assert steps[:2] == [1, 2]
    for url, why in (
        (api.url, "The API key is missing, unknown, expired or revoked."),
        ("http://127.0.0.1:1", "cannot be reached"),
    ):
        async with Explaining(trust_env=False) as http:
            refused = await http.post(f"{url}/mcp", json=LIST, headers={"Authorization": "Bearer fn_a_b"})
        assert (refused.is_error, refused.headers["content-type"]) == (True, "application/json")
        assert why in refused.json()["error"]["message"], "which the SDK hands to the program"


async def test_with_an_issuer_clients_learn_where_tokens_come_from(
    rt: Runtime, alice: Person, issuer: FakeIssuer
) -> None:
    async with client_of(rt, issuer, public_url="https://docs.example.com") as client:
        for path in ("/.well-known/oauth-protected-resource/mcp", "/.well-known/oauth-protected-resource"):
            told = await client.get(path)
            assert told.headers["access-control-allow-origin"] == "*"
            assert told.json() == {
                "resource": "https://docs.example.com/mcp",
                "authorization_servers": [issuer.url],
                "scopes_supported": ["read", "write"],
                "bearer_methods_supported": ["header"],
                "resource_name": "Footnote",
            }
        refused = await client.post("/mcp", json=LIST, headers={"Origin": "https://docs.example.com"})
        at = "https://docs.example.com/.well-known/oauth-protected-resource/mcp"
        assert refused.status_code == 401
        assert refused.headers["www-authenticate"] == f'Bearer resource_metadata="{at}", scope="read"'
        for audience, status in (("https://docs.example.com/mcp", 200), ("https://docs.example.com", 401)):
            headers = {"Authorization": f"Bearer {issuer.token(aud=audience)}"}
            assert (await client.get("/v1/documents", headers=headers)).status_code == status
        nothing = {"Authorization": f"Bearer {issuer.token(roles=[])}"}
        refused = await client.post("/mcp", json=LIST, headers=nothing)
        assert (refused.status_code, refused.headers["www-authenticate"].partition(", ")[0]) == (
            403,
            'Bearer error="insufficient_scope"',
        )


async def test_the_setting_takes_it_away(rt: Runtime) -> None:
    app = create_app(runtime=replace(rt, settings=rt.settings.model_copy(update={"mcp": "off"})))
    transport = httpx2.ASGITransport(app, raise_app_exceptions=False)
    async with httpx2.AsyncClient(transport=transport, base_url="http://footnote") as client:
        assert (await client.post("/mcp", json=LIST)).status_code == 404


async def test_the_sdk_is_imported_by_the_first_request_only() -> None:
    code = "import sys, api.app, footnote.cli; sys.exit('mcp' in sys.modules)"
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", code)
    assert await process.wait() == 0
