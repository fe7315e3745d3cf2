"""Both clients against the running API."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from footnote.client import (
    ApiError,
    AsyncFootnote,
    CitationEvent,
    DeltaEvent,
    DocumentFailedError,
    DoneEvent,
    Footnote,
    InvalidRequestError,
    SourcesEvent,
    UnknownIdError,
)
from footnote.client.langchain import FootnoteRetriever
from tests.client.conftest import Client

pytestmark = pytest.mark.anyio
LAMP = "The zircon lamp was lit by Agnes Tolmie in the year 1874. The zircon lamp burns paraffin oil 🪔."
ASKED, QUOTE = "Who lit the zircon lamp?", "The zircon lamp was lit by Agnes Tolmie in the year 1874."


async def added(client: Client, folder: Path, **options: Any) -> Any:
    """The document of a file, when it is ready."""
    path = folder / "lamp.txt"
    path.write_text(LAMP)
    return await client("wait", await client("add", path, **options), timeout=60)


async def test_a_file_becomes_an_answer_whose_quote_is_on_its_page(client: Client, tmp_path: Path) -> None:
    sent: list[int] = []
    seen: list[str] = []
    path = tmp_path / "lamp.txt"
    path.write_text(LAMP)
    new = await client("add", path, collection="lamps", metadata={"kind": "lamp"}, on_sent=sent.append)
    document = await client("wait", new, timeout=60, on_progress=lambda status: seen.append(status.status))
    assert (document.status, document.pages, document.metadata, seen[-1]) == ("ready", 1, {"kind": "lamp"}, "ready")
    assert sent[-1] == len(LAMP.encode())

    answer = await client("ask", ASKED, collections=["lamps"], filters={"type": "eq", "key": "kind", "value": "lamp"})
    [cited] = answer.citations
    page = await client("page", cited.document_id, cited.page_start, version=cited.version)
    assert answer.answer_status == "supported"
    assert cited.verified
    assert page.text[cited.char_start : cited.char_end] == cited.quote == QUOTE
    assert answer.raw.keys() >= {"id", "timings"}, "what arrived is there as it was"
    assert [each.text for each in await client("pages", document.id)] == [LAMP]

    events = await client("stream", ASKED, collections=["lamps"])
    assert isinstance(events[0], SourcesEvent)
    assert "".join(each.text for each in events if isinstance(each, DeltaEvent)).startswith(QUOTE)
    assert [each.citation.quote for each in events if isinstance(each, CitationEvent)] == [QUOTE]
    assert isinstance(events[-1], DoneEvent)
    assert events[-1].answer.citations == answer.citations

    [hit] = (await client("search", "paraffin", collections=["lamps"], top_k=1, explain=True)).data
    assert (hit.document_id, hit.text, hit.explain is None) == (document.id, LAMP, False)


async def test_documents_are_listed_changed_read_and_deleted(client: Client, tmp_path: Path) -> None:
    document = await added(client, tmp_path, collection="kept", external_id="wiki/1")
    assert [each.id for each in await client("documents.list", collection="kept", external_id="wiki/1")] == [
        document.id
    ]
    assert await client("documents.list", collection="kept", find="nothing like it") == []
    assert (await client("documents.update", document.id, metadata={"a": 1})).metadata == {"a": 1}
    assert (await client("documents.update", document.id, collection="elsewhere")).collection == "elsewhere"
    assert (await client("documents.update", document.id, collection=document.collection)).metadata == {"a": 1}
    assert await client("documents.content", document.id) == LAMP.encode()
    assert [each.text for each in await client("documents.chunks", document.id)] == [LAMP]
    assert [each.name for each in (await client("documents.status", document.id)).steps] == ["chunk", "embed", "upsert"]
    assert (await client("documents.report", document.id)).characters == len(LAMP)
    assert (await client("jobs.get", document.job_id)).status == "succeeded"
    receipt = await client("documents.delete", document.id)
    assert receipt == await client("documents.delete", document.id)
    with pytest.raises(UnknownIdError):
        await client("documents.get", document.id)


async def test_every_kind_of_source_is_added_once(client: Client) -> None:
    key = {"idempotency_key": f"once-{client.own.url}-{type(client.own).__name__}"}
    first = await client("add", text="The fog siren stalls.", filename="fog.txt", collection="sources", **key)
    again = await client("add", text="The fog siren stalls.", filename="fog.txt", collection="sources", **key)
    assert again == first
    content = await client("add", content=b"# Fog\n\nThe fog siren stalls.", filename="fog.md", collection="sources")
    assert (await client("wait", content, timeout=60)).media_type == "text/markdown"
    estimate = await client("estimate", content=b"# Fog\n\nThe fog siren is new.", filename="fog.md")
    assert (estimate.documents, estimate.chunks) == (1, 1)
    for wrong in ({}, {"text": "a", "url": "http://b"}, {"content": b"a"}):
        with pytest.raises(ValueError, match=r"Give one of|need a filename"):
            await client("add", **wrong)


async def test_collections_and_conversations(client: Client, tmp_path: Path) -> None:
    name = f"own-{type(client.own).__name__.lower()}"
    made = await client("collections.create", name, chunking={"size": 200, "overlap": 20})
    assert made == await client("collections.get", name)
    assert (await client("collections.update", name, rename=f"{name}-2")).id == made.id
    await added(client, tmp_path, collection=f"{name}-2")
    conversation = await client("conversations.create", title="Lamps", collections=[f"{name}-2"])
    answers = [await client("ask", ASKED, conversation_id=conversation.id) for _ in range(2)]
    messages = await client("conversations.messages", conversation.id)
    assert [each.role for each in messages] == ["user", "assistant"] * 2
    assert messages[1].citations == answers[0].citations
    assert (await client("conversations.rename", conversation.id, "Oil")).title == "Oil"
    assert conversation.id in [each.id for each in await client("conversations.list")]
    pages = await client("request_pages", "/v1/conversations", page_size=1)
    assert [len(each["data"]) for each in pages][:1] == [1]
    assert (await client("conversations.delete", conversation.id)).messages == 4
    assert (await client("collections.delete", made.id)).collection_id == made.id
    assert made.id not in [each.id for each in await client("collections.list")]


async def test_errors_say_what_is_wrong(client: Client, access: tuple[str, str, str], tmp_path: Path) -> None:
    with pytest.raises(InvalidRequestError) as wrong:
        await client("ask", "Who?", top_k=-1)
    error: ApiError = wrong.value
    assert (error.code, error.field, error.status) == ("invalid_request", "body.top_k", 422)
    assert error.message == "body.top_k: Input should be greater than or equal to 1"
    assert str(error) == f"{error.message} (invalid_request, {error.request_id})"
    assert (error.request_id or "").startswith("req_")
    document = await added(client, tmp_path)
    with Footnote(access[0], access[2]) as other, pytest.raises(UnknownIdError):
        await Client(other)("documents.get", document.id)
    broken = await client("add", content=b"%PDF-1.7\nnothing of a document", filename="broken.pdf")
    with pytest.raises(DocumentFailedError) as failed:
        await client("wait", broken.document.id, timeout=60)
    assert (failed.value.code, failed.value.document_id) == ("corrupt_file", broken.document.id)


async def test_langchain_gets_documents_with_their_places(access: tuple[str, str, str], tmp_path: Path) -> None:
    with Footnote(access[0], access[1]) as blocking:
        async with AsyncFootnote(access[0], access[1]) as awaited:
            await added(Client(awaited), tmp_path, collection="chain", metadata={"kind": "lamp"})
            search: Any = {"search_kwargs": {"collections": ["chain"]}}
            retriever = FootnoteRetriever(client=blocking, **search)
            [document] = await asyncio.to_thread(retriever.invoke, "paraffin", top_k=1)
            assert await retriever.ainvoke("paraffin") == [document]
            assert await FootnoteRetriever(client=blocking, async_client=awaited, **search).ainvoke("oil", top_k=1)
            place = document.metadata
            page = await awaited.page(place["document_id"], place["page"], version=place["version"])
            assert page.text[place["char_start"] : place["char_end"]] == place["quote"] == document.page_content
            assert place["reader_url"].endswith(f"/p/1?v=1&from=0&to={len(LAMP)}")
            assert (place["kind"], place["filename"], document.id) == ("lamp", "lamp.txt", place["chunk_id"])
            assert 0 < place["score"] <= 1
