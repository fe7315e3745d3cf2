"""Search and questions over HTTP."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, cast

import httpx2
import pytest
from sqlalchemy.ext.asyncio import AsyncConnection

from footnote.errors import RateLimited
from footnote.providers import GenerationRequest, GeneratorEvent, Token
from footnote.retrieval import resolving
from footnote.runtime import Runtime
from footnote.tenancy import usage
from tests import driving
from tests.api.test_documents import frames
from tests.api.test_errors import problem
from tests.conftest import Person, stored_once
from tests.fakes import FakeGenerator

pytestmark = pytest.mark.anyio
MODES = ["hybrid", "vector", "keyword"]
HIT = {
    *("chunk_id", "document_id", "filename", "version", "position", "page_start", "page_end"),
    *("char_start", "char_end", "heading", "text", "score", "metadata", "reader_url"),
}
CITATION = {
    *("marker", "document_id", "filename", "version", "page_start", "page_end", "char_start", "char_end"),
    *("heading", "quote", "verified", "score", "chunk_id", "url", "highlights_url", "reader_path", "reader_url"),
}
ANSWER = {
    *(
        "id",
        "answer",
        "answer_kind",
        "answer_status",
        "not_mentioned",
        "citations",
        "unsupported",
        "hits",
        "usage",
        "timings",
        "model",
        "cached",
        "searched",
    ),
    "truncated",
}


async def make_library(rt: Runtime) -> tuple[str, dict[str, str]]:
    """A tenant, and the ids of its three documents in two collections."""
    tenant_id = await driving.new_tenant(rt)
    texts = {
        "lamp": ("The lamp burns paraffin oil from sunset to sunrise.", "a"),
        "siren": ("The fog siren stalls at 2.1 bar; see ERR_CONN_42 in v2.3.1.", "a"),
        "boat": ("The relief boat Petrel leaves on every second Thursday.", "b"),
    }
    return tenant_id, {
        name: await driving.ready(rt, tenant_id, text, f"{name}.txt", collection=collection, metadata={"name": name})
        for name, (text, collection) in texts.items()
    }


engine, stored = stored_once(make_library)


@pytest.fixture
def ours(stored: tuple[str, dict[str, str]]) -> str:
    return stored[0]


@pytest.fixture
def library(stored: tuple[str, dict[str, str]]) -> dict[str, str]:
    """Ids of the documents by name."""
    return stored[1]


async def search(person: Person, query: str, **more: Any) -> list[dict[str, Any]]:
    answer = await person.client.post("/v1/search", json={"query": query, **more})
    assert answer.status_code == 200, answer.text
    data: list[dict[str, Any]] = answer.json()["data"]
    return data


async def test_an_explanation_on_request(bob: Person, library: dict[str, str]) -> None:
    answer = await bob.client.post("/v1/search?explain=true", json={"query": "What is ERR_CONN_42 of the siren?"})
    best = answer.json()["data"][0]
    assert (best["document_id"], set(best)) == (library["siren"], HIT | {"explain"})
    explained = best["explain"]
    assert (explained["keyword_rank"], explained["exact_matches"], explained["needles"]) == (1, 1, 1)
    assert 0 < explained["coverage"] <= 1
    assert explained["bm25"] > 0
    assert explained["vector_rank"] >= 1
    answer = await bob.client.post("/v1/search?explain=true", json={"query": "siren", "mode": "keyword"})
    assert answer.json()["data"][0]["explain"] | {"bm25": 0, "coverage": 0} == {
        **{
            "vector_rank": None,
            "similarity": None,
            "relatedness": None,
            "keyword_rank": 1,
            "exact_matches": 0,
            "needles": 0,
        },
        **{"bm25": 0, "coverage": 0, "fused_rank": 1, "rerank_score": None},
    }
    problem(await bob.client.post("/v1/search?explain=perhaps", json={"query": "siren"}), 422)


@pytest.mark.parametrize("path", ["/v1/search", "/v1/query"])
async def test_the_text_around_a_hit_on_request(alice: Person, rt: Runtime, path: str) -> None:
    await driving.ready(rt, alice.tenant_id, driving.paragraphs(5), "lamp.txt")
    asked = {"query" if path == "/v1/search" else "question": "Paragraph 2 of the lamp"}
    body = (await alice.client.post(path, json=asked | {"expand": "neighbours", "mode": "keyword"})).json()
    hit = (body.get("data") or body["hits"])[0]
    around = hit["context"]
    assert "Paragraph 1" in around["text"]
    assert around["char_start"] < hit["char_start"] < hit["char_end"] < around["char_end"]
    for wrong in ({"expand": "all"}, {"expand": 3}, {"diversity": 1.1}, {"diversity": "NaN"}):
        problem(await alice.client.post(path, json=asked | wrong), 422)


@pytest.mark.parametrize("mode", MODES)
async def test_the_best_hit_with_all_its_fields(bob: Person, library: dict[str, str], mode: str) -> None:
    for query, name in (("Which oil does the lamp burn?", "lamp"), ("relief boat", "boat"), ("ERR_CONN_42", "siren")):
        hits = await search(bob, query, mode=mode)
        assert set(hits[0]) == HIT
        assert hits[0]["document_id"] == library[name]
        assert hits[0]["metadata"] == {"name": name}
        assert [hit["score"] for hit in hits] == sorted((hit["score"] for hit in hits), reverse=True)
        page = (await bob.client.get(f"/v1/documents/{library[name]}/pages/1")).json()["text"]
        assert page[hits[0]["char_start"] : hits[0]["char_end"]] == hits[0]["text"]


@pytest.mark.parametrize("mode", MODES)
async def test_scope(alice: Person, library: dict[str, str], mode: str) -> None:
    async def ids(**more: Any) -> set[str]:
        return {hit["document_id"] for hit in await search(alice, "the lamp siren boat", mode=mode, **more)}

    assert await ids() == set(library.values())
    assert await ids(collections=["a"]) == {library["lamp"], library["siren"]}
    assert await ids(collections=["b", "a", "b"]) == set(library.values())
    assert await ids(collections=[]) == set()
    assert await ids(document_ids=[library["boat"], "doc_unknown"]) == {library["boat"]}
    assert await ids(document_ids=[]) == set()
    assert await ids(document_ids=[library["boat"]], collections=["a"]) == set()
    assert len(await search(alice, "the lamp siren boat", mode=mode, top_k=1)) == 1
    for path in ("/v1/search", "/v1/query"):
        asked = {"query" if path == "/v1/search" else "question": "x", "collections": ["a", "unknown"]}
        problem(await alice.client.post(path, json=asked), 404, "collection_not_found")


ODD = {
    "operators": "lamp & siren | !boat <-> (oil) :* & | !",
    "quotes": "'lamp' \"siren\" ''' \\' \\\\ $$ ; DROP TABLE chunk; --",
    "backslashes": "\\ \\\\ \\x00 lamp\\",
    "web operators": '"lamp oil" -siren OR boat',
    "8 kB of words": " ".join(f"word{number}" for number in range(1000))[:8192],
    "8 kB of one word": "x" * 8192,
    "8 kB of repetition": ("lamp " * 2000)[:8192],
    "control characters": "la\x00mp \x01\x1f siren",
    "emoji": "🔦 🚢 lamp",
    "only emoji": "🔦",
    "stop words": "the of and to a in",
    "punctuation": "?!.,;:-_()[]{}",
    "other scripts": "ランプ лампа مصباح",
    "right to left": "\u202elamp",
    "template": "{scope} :tenant :query %s %(x)s {0}",
    "numbers": "2.1 1e400 -0 0x1F 192.168.0.1 2026-11-21",
    "paths": "/etc/passwd C:\\lamp http://lamp.example/a?b=c#d user@lamp.example",
    "combining": "e\u0301" * 500,
    "zero width": "la\u200bmp\ufeff",
}


@pytest.mark.parametrize("mode", MODES)
async def test_odd_queries_never_give_a_server_error(alice: Person, library: dict[str, str], mode: str) -> None:
    for query in ODD.values():
        await search(alice, query, mode=mode)
        for stream in (False, True):
            asked = {"question": query, "mode": mode, "stream": stream, "top_k": 100}
            answer = await alice.client.post("/v1/query", json=asked)
            assert answer.status_code == 200, (query, answer.text)
            if stream:
                assert frames(answer.text)[-1][0] == "done"


async def test_an_empty_tenant_finds_nothing(rt: Runtime, charlie: Person) -> None:
    assert await search(charlie, "lamp") == []
    body = (await charlie.client.post("/v1/query", json={"question": "lamp?"})).json()
    assert (body["answer_status"], body["hits"], body["citations"]) == ("not_found", [], [])
    assert isinstance(rt.generator, FakeGenerator)
    assert rt.generator.requests == []


async def test_an_answer(rt: Runtime, bob: Person, library: dict[str, str]) -> None:
    assert isinstance(rt.generator, FakeGenerator)
    rt.generator.pieces = ["Paraffin [1", ': "The lamp burns paraffin oil"', "]."]
    asked = {"question": "Which oil does the lamp burn?", "temperature": 0.1, "max_tokens": 9, "model": "m", "top_k": 3}
    answer = await bob.client.post("/v1/query", json=asked)
    body = answer.json()
    assert set(body) == ANSWER
    assert (body["answer"], body["answer_status"], body["model"]) == ("Paraffin [1].", "supported", "m")
    assert body["usage"] == {"prompt_tokens": 11, "completion_tokens": 7, "cost": None}
    assert all(set(hit) == HIT for hit in body["hits"])
    [citation] = body["citations"]
    assert set(citation) == CITATION
    quote = f"p/1?v=1&from={citation['char_start']}&to={citation['char_end']}"
    assert citation["reader_url"] == f"http://footnote/d/{library['lamp']}/{quote}"
    assert all(hit["reader_url"].startswith(f"http://footnote/d/{hit['document_id']}/p/1?v=1&") for hit in body["hits"])
    page = (await bob.client.get(citation["url"])).json()["text"]
    assert page[citation["char_start"] : citation["char_end"]] == citation["quote"] == "The lamp burns paraffin oil"
    [request] = rt.generator.requests
    assert (request.temperature, request.max_tokens, request.model) == (0.1, 9, "m")


@asynccontextmanager
async def overheard(rt: Runtime) -> AsyncIterator[list[str]]:
    """All that Postgres is sent meanwhile."""
    connection = (await cast(AsyncConnection, rt.sessions.kw["bind"]).get_raw_connection()).driver_connection
    assert connection is not None
    said: list[str] = []

    def note(sent: Any) -> None:
        said.append(sent.query)

    connection.add_query_logger(note)
    yield said
    connection.remove_query_logger(note)
    await asyncio.sleep(0)  # the driver calls soon


async def test_misspelt_words_and_what_was_searched_for(alice: Person, library: dict[str, str]) -> None:
    found = (await alice.client.post("/v1/search", json={"query": "parafin oil"})).json()
    assert found["searched_for"] == [{"word": "parafin", "searched": ["paraffin"]}]
    assert "paraffin" in found["data"][0]["text"]
    answer = (await alice.client.post("/v1/query", json={"question": "teh parafin oil?"})).json()
    assert [each["searched"] for each in answer["searched_for"]] == [["the"], ["paraffin"]]
    response = await alice.client.post("/v1/query", json={"question": "parafin oil?", "stream": True})
    assert frames(response.text)[0][1]["searched_for"] == found["searched_for"]
    assert "searched_for" not in (await alice.client.post("/v1/search", json={"query": "paraffin"})).json()


def transactions(said: list[str]) -> int:
    return sum(each.startswith("SAVEPOINT") for each in said)


@pytest.mark.parametrize(("mode", "most"), [("vector", 2), ("keyword", 4), ("hybrid", 4)])
async def test_a_search_takes_a_look_at_the_key_and_few_statements_in_one_transaction(
    rt: Runtime, alice: Person, library: dict[str, str], monkeypatch: pytest.MonkeyPatch, mode: str, most: int
) -> None:
    """As in a process that counts usage in memory. Before that, a place that it has not looked into is read once."""
    counting = replace(rt, unwritten_usage={})
    monkeypatch.setattr(alice.client._transport.app.state, "runtime", counting)  # type: ignore[attr-defined]
    for number in range(3):
        async with overheard(rt) as said:
            answer = await alice.client.post("/v1/search", json={"query": f"lamp {number}", "mode": mode})
            assert answer.status_code == 200
        if number:  # by then the key's use is recorded, too
            assert transactions(said) == 1
            begins = ("SAVEPOINT", "SELECT set_config", "RELEASE")  # with BEGIN and COMMIT outside of tests
            key, *statements = [each for each in said if not each.startswith(begins)]
            assert "FROM api_key" in key
            assert said[0] == key, "without a transaction"
            assert len(statements) == most
    await usage.write_counted(counting.for_tenant(alice.tenant_id))


@pytest.mark.parametrize("answer_cache_seconds", [0, 60])
async def test_a_question_opens_two_transactions(
    rt: Runtime, alice: Person, library: dict[str, str], monkeypatch: pytest.MonkeyPatch, answer_cache_seconds: int
) -> None:
    """What there is to search, passages, known answers and pages; usage and the new answer. One before them if new."""
    assert isinstance(rt.generator, FakeGenerator)
    rt.generator.pieces = ['Paraffin [1: "The lamp burns paraffin oil"].']
    settings = rt.settings.model_copy(update={"answer_cache_seconds": answer_cache_seconds, "quota_tokens": 10_000})
    monkeypatch.setattr(alice.client._transport.app.state, "runtime", replace(rt, settings=settings))  # type: ignore[attr-defined]
    asked = {"question": "Which oil does the lamp burn?"}
    await alice.client.get("/v1/documents")  # which records that the key is used
    monkeypatch.setattr(resolving, "_remembered", {})
    for cached, expected in ((False, 3), (answer_cache_seconds > 0, 2)):
        async with overheard(rt) as said:
            answer = await alice.client.post("/v1/query", json=asked)
        assert (answer.json()["answer_status"], answer.json()["cached"]) == ("supported", cached)
        assert transactions(said) == expected


async def test_a_place_that_has_changed_is_read_as_it_is(rt: Runtime, alice: Person, library: dict[str, str]) -> None:
    """What a process remembers of a collection only says what to embed."""

    async def found(**more: Any) -> Any:
        return await alice.client.post("/v1/search", json={"query": "lamp", "collections": ["other"], **more})

    problem(await found(), 404, "collection_not_found")
    assert (await alice.client.post("/v1/collections", json={"name": "other"})).status_code == 201
    assert (await found()).json()["data"] == []
    await driving.ready(rt, alice.tenant_id, "A lamp in another place.", collection="other")
    assert [hit["text"] for hit in (await found()).json()["data"]] == ["A lamp in another place."]
    assert (await alice.client.delete("/v1/collections/other")).status_code == 202
    problem(await found(), 404, "collection_not_found")


async def test_a_stream(rt: Runtime, alice: Person, library: dict[str, str]) -> None:
    assert isinstance(rt.generator, FakeGenerator)
    rt.generator.pieces = ["Paraffin\n\n", "event: x\r", 'data: y [1: "The lamp burns paraffin oil"]', "."]
    asked = {"question": "Which oil does the lamp burn?", "stream": True}
    answer = await alice.client.post("/v1/query", json=asked)
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.headers["cache-control"] == "no-cache"
    seen = frames(answer.text)
    names = [name for name, _ in seen]
    assert (names[0], names[-1]) == ("sources", "done")
    assert set(names[1:-1]) == {"delta", "citation"}
    assert names.count("citation") == 1
    done = seen[-1][1]
    assert set(done) == ANSWER
    assert "".join(body["text"] for name, body in seen if name == "delta") == done["answer"]
    assert [body for name, body in seen if name == "citation"] == done["citations"]
    assert set(done["citations"][0]) == CITATION
    assert seen[0][1]["hits"] == done["hits"]


async def test_an_error_before_the_first_byte_is_a_plain_answer(
    rt: Runtime, alice: Person, library: dict[str, str]
) -> None:
    def busy(_texts: list[str]) -> None:
        raise RateLimited("provider_unavailable", retry_after=3)

    rt.embedder.before = busy  # type: ignore[attr-defined]
    for stream in (False, True):
        answer = await alice.client.post("/v1/query", json={"question": "lamp", "stream": stream})
        problem(answer, 503, "provider_unavailable")
        assert answer.headers["retry-after"] == "3"


@pytest.mark.parametrize("error", [RateLimited("provider_unavailable", retry_after=3), RuntimeError("secret")])
async def test_an_error_after_the_first_byte_is_an_event(
    rt: Runtime, alice: Person, library: dict[str, str], monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    async def breaking(_self: Any, request: GenerationRequest) -> AsyncGenerator[GeneratorEvent, None]:
        yield Token("Half an ")
        raise error

    monkeypatch.setattr(FakeGenerator, "generate", breaking)
    asked = {"question": "Which oil does the lamp burn?"}
    answer = await alice.client.post("/v1/query", json={**asked, "stream": True}, headers={"X-Request-ID": "r-1"})
    assert answer.status_code == 200
    seen = frames(answer.text)
    assert [name for name, _ in seen] == ["sources", "delta", "error"]
    assert seen[-1][1]["request_id"] == "r-1"
    assert seen[-1][1]["code"] == ("internal_error" if isinstance(error, RuntimeError) else "provider_unavailable")
    assert seen[-1][1]["retry_after"] > 0
    assert "secret" not in answer.text
    problem(await alice.client.post("/v1/query", json=asked), 500 if isinstance(error, RuntimeError) else 503)


async def test_a_disconnect_stops_the_model(
    rt: Runtime, alice: Person, library: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    closed: list[bool] = []

    async def endless(_self: Any, request: GenerationRequest) -> AsyncGenerator[GeneratorEvent, None]:
        try:
            while True:
                yield Token("word ")
        finally:
            closed.append(True)

    monkeypatch.setattr(FakeGenerator, "generate", endless)
    app: Any = alice.client._transport.app  # type: ignore[attr-defined]
    body = b'{"question": "Which oil does the lamp burn?", "stream": true}'
    messages: list[dict[str, Any]] = [{"type": "http.request", "body": body, "more_body": False}]
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return messages.pop(0) if messages else await asyncio.Future()

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)
        if len(sent) > 5:
            raise OSError("gone")

    request = httpx2.Request("POST", "http://footnote/v1/query", headers=alice.client.headers)
    headers = [(name.lower(), value) for name, value in request.headers.raw] + [(b"content-type", b"application/json")]
    scope = {
        **{"type": "http", "asgi": {"version": "3.0", "spec_version": "2.4"}, "http_version": "1.1"},
        **{"method": "POST", "path": "/v1/query", "raw_path": b"/v1/query", "query_string": b"", "root_path": ""},
        **{"scheme": "http", "headers": headers, "client": ("127.0.0.1", 1), "server": ("footnote", 80)},
    }
    with contextlib.suppress(OSError):
        await app(scope, receive, send)
    assert closed == [True]


async def test_a_collection_of_another_model(rt: Runtime, alice: Person, library: dict[str, str]) -> None:
    rt.embedder.model = "other-64"  # type: ignore[misc]
    answer = await alice.client.post("/v1/search", json={"query": "lamp", "collections": ["a"]})
    problem(answer, 409, "embedding_model_changed")
    for path, body in (("/v1/search", {"query": "lamp"}), ("/v1/query", {"question": "lamp"})):
        problem(await alice.client.post(path, json=body), 409, "embedding_model_changed")
