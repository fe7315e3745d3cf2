"""Tools, resources and prompts of the MCP server, called by the SDK's own client in this process, in both eras."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from mcp import Client, MCPError
from sqlalchemy import text
from starlette.requests import Request

from api.mcp import pages
from api.mcp.server import server
from footnote.citations import links
from footnote.runtime import Runtime
from footnote.tenancy import keys
from footnote.tenancy.keys import Principal
from tests import SAMPLES, driving
from tests.conftest import stored_once
from tests.fakes import FakeGenerator

pytestmark = pytest.mark.anyio
ERAS = ["legacy", "2026-07-28"]
READS = ["search", "fetch", "ask", "list_documents", "list_collections", "document_status"]
LAMP = "The lamp of Fairhaven burns colza oil since 1902."


async def make_library(rt: Runtime) -> tuple[str, dict[str, str]]:
    """A tenant, and the ids of its documents: a PDF of four pages, a short text and a long one."""
    tenant_id = await driving.new_tenant(rt)
    long = "".join(f"Line {number} tells of pump {number}.\n" for number in range(2000))
    made = {
        "handbook": await driving.ready(rt, tenant_id, (SAMPLES / "handbook.pdf").read_bytes(), "handbook.pdf"),
        "long": await driving.ready(rt, tenant_id, long, "long.txt", collection="pumps"),
        "lamp": await driving.ready(rt, tenant_id, LAMP, "lamp.txt", metadata={"kind": "lamp", "pages": "many"}),
    }
    return tenant_id, made


engine, stored = stored_once(make_library)


@asynccontextmanager
async def speaking(rt: Runtime, tenant_id: str, era: str, *scopes: str) -> AsyncIterator[Client]:
    """The SDK's client, for a key of the tenant with these scopes."""
    async with rt.transaction() as session:
        key = (await keys.create(session, tenant_id, "assistant", scopes or keys.SCOPES))[0]
    caller = Principal(tenant_id, key.id, frozenset(key.scopes))
    state = {"rt": rt.for_tenant(tenant_id).as_actor(key.id), "principal": caller, "headers": {}}
    request = Request({"type": "http", "method": "POST", "path": "/mcp", "headers": [], "state": state})
    links.base.set("https://docs.example.com")
    async with Client(server(lambda _ctx: request), mode=era) as client:
        yield client


async def called(client: Client, name: str, **arguments: Any) -> Any:
    """What the tool gives, which stands in its text, too."""
    result = await client.call_tool(name, arguments)
    assert not result.is_error, result.content
    assert json.loads(said(result)) == result.structured_content
    return result.structured_content


def said(result: Any) -> str:
    [block] = result.content
    return str(block.text)


@pytest.mark.parametrize("era", ERAS)
async def test_each_tool(rt: Runtime, stored: Any, era: str) -> None:
    tenant_id, ids = stored
    assert isinstance(rt.generator, FakeGenerator)
    rt.generator.pieces = ["Colza oil [1", ': "burns colza oil"]. ', "It shines far. " * 30]
    steps: list[tuple[float, float | None, str | None]] = []

    async def told(progress: float, total: float | None, message: str | None) -> None:
        steps.append((progress, total, message))

    async with speaking(rt, tenant_id, era) as client:
        listed = await client.list_tools()
        names = [tool.name for tool in listed.tools]
        assert names == [*READS[:5], "add_text", "add_url", READS[5]]
        for tool in listed.tools:
            assert all((tool.title, tool.description, tool.output_schema))
            assert tool.input_schema["additionalProperties"] is False
            assert "$ref" not in json.dumps(tool.input_schema) + json.dumps(tool.output_schema)
            assert tool.annotations is not None
            assert tool.annotations.read_only_hint is not tool.name.startswith("add_")
            assert (tool.annotations.destructive_hint, bool(tool.annotations.open_world_hint)) == (
                False,
                tool.name == "add_url",
            )
        if era != "legacy":
            assert (listed.ttl_ms, listed.cache_scope) == (60_000, "private")

        [hit, *_] = (await called(client, "search", query="Which oil does the lamp burn?"))["results"]
        assert (hit["id"], hit["title"], hit["page"]) == (f"{ids['lamp']}:1", "lamp.txt, page 1", 1)
        assert hit["url"] == f"https://docs.example.com/d/{ids['lamp']}/p/1?v=1&from=0&to={len(LAMP)}"
        page = await called(client, "fetch", id=hit["id"])
        assert page["text"][hit["char_start"] : hit["char_end"]] == hit["text"] == LAMP
        ours = {"document_id": ids["lamp"], "page": 1, "pages": 1, "collection": "default"}
        assert page["metadata"] == {"kind": "lamp"} | ours
        none = await called(client, "search", query="oil", collections=["pumps"], filter=None, top_k=1)
        assert [each["document_id"] for each in none["results"]] == [ids["long"]]

        result = await client.call_tool("ask", {"question": "Which oil does the lamp burn?"}, progress_callback=told)
        answer = result.structured_content
        [footnote] = answer["citations"]
        assert (footnote["quote"], footnote["verified"], footnote["document_id"]) == (
            "burns colza oil",
            True,
            ids["lamp"],
        )
        assert footnote["url"].startswith(f"https://docs.example.com/d/{ids['lamp']}/p/1?v=1&from=")
        assert (answer["answer_status"], bool(answer["unsupported"])) == ("partial", True)
        assert [number for number, _, _ in steps] == list(range(1, len(steps) + 1))
        assert {total for _, total, _ in steps} == {None}
        assert "passages" in str(steps[0][2])
        assert sum("characters" in str(message) for _, _, message in steps) == 2, "each 200 of 500 characters"

        documents = await called(client, "list_documents", limit=2)
        assert [each["id"] for each in documents["documents"]] == [ids["lamp"], ids["long"]]
        rest = await called(client, "list_documents", status="ready", cursor=documents["next_cursor"])
        assert [(each["id"], each["pages"]) for each in rest["documents"]] == [(ids["handbook"], 4)]
        assert rest["next_cursor"] is None
        where = {"type": "eq", "key": "kind", "value": "lamp"}
        assert len((await called(client, "list_documents", filter=where))["documents"]) == 1
        found = await called(client, "list_collections")
        assert {(each["name"], each["documents"]) for each in found["collections"]} == {("pumps", 1), ("default", 2)}

        added = await called(client, "add_text", text="A buoy.", filename="buoy.md", external_id="b", metadata={"n": 1})
        assert added["status"] == "queued"
        assert await called(client, "add_text", text="A buoy.", external_id="b") == added, "the same, not a second one"
        fetched = await called(client, "add_url", url="https://example.com/a.pdf", collection="default")
        status = await called(client, "document_status", document_id=fetched["document_id"])
        assert (status["status"], status["step"], status["progress"]["done"]) == ("queued", "chunk", 0)


async def test_a_long_document_is_read_from_id_to_id(rt: Runtime, stored: Any, monkeypatch: Any) -> None:
    tenant_id, ids = stored
    async with speaking(rt, tenant_id, ERAS[1]) as client:

        async def read(start: str) -> tuple[list[str], str]:
            names: list[str] = []
            whole, more = "", start
            while more:
                part = await called(client, "fetch", id=more)
                assert len(part["text"]) <= pages.MOST_CHARACTERS
                names, whole, more = [*names, more], whole + part["text"], part["metadata"].get("next")
            return names, whole

        names, whole = await read(ids["long"])
        assert names == [ids["long"], f"{ids['long']}:1:50000"]
        async with rt.transaction() as session:
            of_page = await session.scalar(text("SELECT max(text) FROM page WHERE length(text) > 50000"))
        assert whole == of_page
        beginning = await called(client, "fetch", id=ids["handbook"])
        monkeypatch.setattr(pages, "MOST_CHARACTERS", len(beginning["text"]) - 5)
        names, _ = await read(ids["handbook"])
        assert names == [ids["handbook"], f"{ids['handbook']}:4"], "whole pages"
        monkeypatch.undo()
        assert "next" not in beginning["metadata"]


REFUSED: list[tuple[str, dict[str, Any], str]] = [
    ("search", {}, "The argument `query` is missing."),
    ("search", {"query": 5}, "The argument `query` must be a string of 1 to 8192 characters."),
    ("search", {"query": " "}, "The argument `query` must hold a word."),
    ("search", {"query": "x", "top_k": 51}, "The argument `top_k` must be an integer from 1 to 50."),
    ("search", {"query": "x", "k": 5}, "The argument `k`: There is no such argument; did you mean `top_k`?"),
    ("search", {"query": "x", "collections": "a"}, "The argument `collections` must be a list of at most 100 strings."),
    ("search", {"query": "x", "collections": ["no"]}, "There is no collection 'no'."),
    ("search", {"query": "x", "filter": {"type": "like"}}, "filter.type must be one of eq,"),
    ("fetch", {"id": "https://example.com"}, "There is no page or document with the id 'https://example.com'."),
    ("fetch", {"id": "doc_" + 26 * "0"}, "There is no document 'doc_"),
    ("list_documents", {"status": "done"}, "The argument `status` must be one of queued, running, waiting, ready,"),
    ("list_documents", {"cursor": "2"}, "The argument `cursor` is not one of this list."),
    ("add_url", {"url": "http://127.0.0.1/"}, "The argument `url` is refused: 127.0.0.1 is not a public address."),
    ("add_text", {"text": "x", "metadata": "y"}, "The argument `metadata` must be a JSON object."),
    ("add_text", {"text": "words", "filename": "a.pdf"}, "The name ends in .pdf, but the content is plain text."),
    ("document_status", {"document_id": "doc_x"}, "There is no document 'doc_x'."),
]


async def test_errors_are_results_in_a_sentence(rt: Runtime, stored: Any, monkeypatch: Any) -> None:
    async with speaking(rt, stored[0], ERAS[1]) as client:
        for name, arguments, sentence in REFUSED:
            result = await client.call_tool(name, arguments)
            assert (result.is_error, result.structured_content) == (True, None)
            assert said(result).startswith(sentence), result.content
        monkeypatch.setattr("footnote.retrieval.search", None)
        result = await client.call_tool("search", {"query": "oil"})
        assert (result.is_error, said(result)) == (True, "An unexpected error; the server's log has the details.")


@pytest.mark.parametrize("era", ERAS)
async def test_resources_and_prompts(rt: Runtime, stored: Any, era: str) -> None:
    tenant_id, ids = stored
    async with speaking(rt, tenant_id, era) as client:
        waiting = await called(client, "add_text", text="Not ready.")
        listed = await client.list_resources()
        assert [each.uri for each in listed.resources] == [
            f"footnote://documents/{ids[name]}" for name in ("lamp", "long", "handbook")
        ]
        last = listed.resources[-1]
        assert (last.name, last.mime_type) == ("handbook.pdf", "application/pdf")
        assert last.size == (SAMPLES / "handbook.pdf").stat().st_size
        templates = (await client.list_resource_templates()).resource_templates
        assert [each.uri_template for each in templates] == [
            "footnote://documents/{document_id}",
            "footnote://documents/{document_id}/pages/{page}",
        ]
        [shown] = (await client.read_resource(last.uri)).contents
        about = json.loads(shown.model_dump()["text"])
        assert (about["status"], about["pages_uris"]) == ("ready", [f"{last.uri}/pages/1", f"{last.uri}/pages/4"])
        [page] = (await client.read_resource(about["pages_uris"][1])).contents
        assert (page.mime_type, bool(page.model_dump()["text"])) == ("text/plain", True)
        unknown = ["footnote://documents", f"{last.uri}/pages/5", "footnote://documents/doc_" + 26 * "0", "file:///a"]
        said = {await refusal(client.read_resource(uri)) for uri in [*unknown, f"{last.uri}/pages/0"]}
        said.add(await refusal(client.read_resource(f"footnote://documents/{waiting['document_id']}/pages/1")))
        assert said == {(-32602, "There is no such resource.")}
        assert (await refusal(client.list_resources(cursor="x")))[0] == -32602

        assert [each.name for each in (await client.list_prompts()).prompts] == ["cited_answer", "compare"]
        made = await client.get_prompt("cited_answer", {"question": "Why {x}?", "collection": "pumps"})
        assert "in the collection 'pumps': Why {x}?" in str(made.messages[0].content)
        assert (await refusal(client.get_prompt("compare", {"question": "Why?"})))[1].endswith(
            "`document_a` is missing."
        )


async def refusal(asked: Any) -> tuple[int, str]:
    with pytest.raises(MCPError) as refused:
        await asked
    return refused.value.code, refused.value.message


@pytest.mark.parametrize("era", ERAS)
async def test_another_tenant_and_a_key_without_the_scope(rt: Runtime, stored: Any, era: str) -> None:
    tenant_id, ids = stored
    async with speaking(rt, await driving.new_tenant(rt), era) as client:
        assert (await called(client, "search", query="Which oil does the lamp burn?"))["results"] == []
        assert (await called(client, "list_documents"))["documents"] == []
        assert (await client.list_resources()).resources == []
        for name, argument in (("fetch", "id"), ("document_status", "document_id")):
            theirs, never = [
                await client.call_tool(name, {argument: each}) for each in (ids["lamp"], "doc_" + 26 * "0")
            ]
            assert said(theirs).replace(ids["lamp"], "doc_" + 26 * "0") == said(never)
        uri = f"footnote://documents/{ids['lamp']}"
        assert await refusal(client.read_resource(uri)) == (-32602, "There is no such resource.")
    async with speaking(rt, tenant_id, era, "read") as client:
        assert [tool.name for tool in (await client.list_tools()).tools] == READS
        assert await refusal(client.call_tool("add_text", {"text": "x"})) == (-32602, "Unknown tool: 'add_text'.")
        assert (await refusal(client.call_tool("nothing", {})))[1] == "Unknown tool: 'nothing'."
    async with speaking(rt, tenant_id, era, "write") as client:
        assert [tool.name for tool in (await client.list_tools()).tools] == ["add_text", "add_url"]
        assert (await client.list_resources()).resources == []
        assert await refusal(client.read_resource(uri)) == (-32602, "There is no such resource.")


async def test_a_key_that_asks_too_often_is_told_when_it_may(rt: Runtime, stored: Any, monkeypatch: Any) -> None:
    tenant_id, _ = stored
    monkeypatch.setitem(rt.settings.__dict__, "queries_per_minute", 1)
    async with speaking(rt, tenant_id, ERAS[1]) as client:
        await called(client, "search", query="oil")
        result = await client.call_tool("search", {"query": "oil"})
        assert result.is_error
        assert said(result) == "Too many requests; try again in 60 s."
        await called(client, "list_documents")
