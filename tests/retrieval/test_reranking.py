"""Search and answers with a reranker: what it changes, and that nothing depends on it."""

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import httpx2
import pytest
from prometheus_client import REGISTRY

from api.app import create_app
from footnote.database.redis_client import Shared
from footnote.providers import open_reranker
from footnote.providers.guarded import GuardedReranker, guard_reranker
from footnote.retrieval import Query, SearchResult, reranking, search
from footnote.runtime import Runtime
from tests import driving, metrics
from tests.api.test_documents import frames
from tests.api.test_errors import problem
from tests.conftest import Person, stored_once
from tests.fakes import FakeGenerator, FakeServer
from tests.providers.test_rerankers import answering, rows, texts_of

pytestmark = pytest.mark.anyio
NOTES = 8


@pytest.fixture
async def server() -> AsyncIterator[FakeServer]:
    async with FakeServer().listening() as fake:
        answering(fake, score=number_of)
        yield fake


def number_of(text: str) -> float:
    """The reranker of these tests likes the note with the highest number best."""
    return float(text.split("number ")[1].split()[0]) / 10


Open = Callable[..., Runtime]


@pytest.fixture
async def opened(rt: Runtime, server: FakeServer) -> AsyncIterator[Open]:
    """The Runtime with a reranker as settings make it."""
    made: list[GuardedReranker] = []

    def another(rt: Runtime = rt, shape: str = "cohere", **options: Any) -> Runtime:
        given = {"reranker": shape, "rerank_url": f"http://127.0.0.1:{server.port}", "rerank_seconds": 20.0}
        settings = rt.settings.model_copy(update=given | options)
        reranker = guard_reranker(open_reranker(settings), Shared(rt.redis), settings)
        assert isinstance(reranker, GuardedReranker)
        made.append(reranker)
        return replace(rt, settings=settings, reranker=reranker)

    yield another
    assert rt.redis is not None
    for reranker in made:
        await reranker.close()
        await rt.redis.delete(reranker.endpoint.key)


async def add_notes(rt: Runtime) -> str:
    """The tenant that has them."""
    tenant_id = await driving.new_tenant(rt)
    for number in range(NOTES):
        words = "siren " * (NOTES - number)  # the first has the most of it
        await driving.ready(rt, tenant_id, f"# Watch\n\nThe note number {number} is on the {words}.", f"{number}_n.md")
    return tenant_id


engine, tenant = stored_once(add_notes)


@pytest.fixture
def ours(tenant: str) -> str:
    """Alice has the notes."""
    return tenant


async def numbers(rt: Runtime, tenant_id: str, **more: Any) -> tuple[list[int], SearchResult]:
    found = await search(rt.for_tenant(tenant_id), Query("siren", **{"mode": "keyword", **more}))
    return [round(number_of(hit.text) * 10) for hit in found.hits], found


@asynccontextmanager
async def asking(rt: Runtime, person: Person) -> AsyncIterator[httpx2.AsyncClient]:
    """A client of the API over this Runtime."""
    app = create_app(runtime=rt)
    transport = httpx2.ASGITransport(app, raise_app_exceptions=False)
    async with (
        app.router.lifespan_context(app),
        httpx2.AsyncClient(transport=transport, base_url="http://footnote", headers=person.client.headers) as client,
    ):
        yield client


# -- what it changes -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", ["cohere", "tei"])
@pytest.mark.parametrize("mode", ["hybrid", "vector", "keyword"])
async def test_hits_come_in_the_rerankers_order(
    rt: Runtime, tenant: str, opened: Open, server: FakeServer, shape: str, mode: str
) -> None:
    answering(server, shape, number_of)
    fused, plain = await numbers(rt, tenant, mode=mode)
    assert (plain.reranked, plain.rerank_failure, plain.timings) == (None, None, {})
    assert fused != sorted(fused, reverse=True)
    order, found = await numbers(opened(shape=shape), tenant, mode=mode)
    assert order == [7, 6, 5, 4, 3, 2, 1, 0]
    assert (found.reranked, found.rerank_failure) == (True, None)
    assert found.timings["rerank"] > 0
    assert [hit.rerank_score for hit in found.hits] == [number / 10 for number in order]
    assert [hit.fused_rank for hit in found.hits] == [fused.index(number) + 1 for number in order]
    assert {hit.chunk_id: hit.score for hit in found.hits} == {hit.chunk_id: hit.score for hit in plain.hits}


async def test_more_candidates_than_hits_are_asked_about_and_no_more_than_set(
    rt: Runtime, tenant: str, opened: Open, server: FakeServer
) -> None:
    assert (await numbers(rt, tenant, top_k=2))[0] == [0, 1]
    assert (await numbers(opened(), tenant, top_k=2))[0] == [7, 6]
    few = opened(rerank_candidates=3)
    order, found = await numbers(few, tenant, top_k=5)
    assert order == [2, 1, 0, 3, 4]
    assert [hit.rerank_score for hit in found.hits[3:]] == [None, None]
    assert (await numbers(few, tenant, top_k=2))[0] == [2, 1]
    assert [len(texts_of(body)) for body in server.asked] == [8, 3, 3]


async def test_a_copy_is_not_asked_about(rt: Runtime, opened: Open, server: FakeServer) -> None:
    tenant = await driving.new_tenant(rt)
    for name in ("one", "two", "three"):
        await driving.ready(rt, tenant, "The note number 3 is on the siren and how it is fed at noon.", f"{name}.txt")
    assert (await numbers(opened(), tenant))[0] == [3]
    assert [len(texts_of(body)) for body in server.asked] == [1]


async def test_the_texts_are_what_was_embedded_and_not_longer_than_needed(
    rt: Runtime, opened: Open, server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    tenant = await driving.new_tenant(rt)
    await driving.ready(rt, tenant, "# Watch\n\n## Night\n\nThe note number 1 is on the siren.", "the_log.md")
    await numbers(opened(), tenant)
    embedded = [text for batch in rt.embedder.seen for text in batch]  # type: ignore[attr-defined]
    assert texts_of(server.asked[0]) == embedded
    assert embedded[0].startswith("the log > Watch\n\n")
    assert server.asked[0]["query"] == "siren"
    monkeypatch.setattr(reranking, "LONGEST", 49)
    await search(opened().for_tenant(tenant), Query("siren " * 20, mode="keyword"))
    assert texts_of(server.asked[1]) == [embedded[0][:49]]
    assert len(server.asked[1]["query"]) == 49


async def test_diversity_goes_by_the_rerankers_scores(
    rt: Runtime, tenant: str, opened: Open, server: FakeServer
) -> None:
    order, found = await numbers(opened(), tenant, top_k=4, diversity=0.01)
    assert order == [7, 6, 5, 4]
    order, found = await numbers(opened(), tenant, top_k=4, diversity=0.9)
    assert order[0] == 7
    assert order != [7, 6, 5, 4]
    assert found.reranked
    order, _ = await numbers(opened(rerank_candidates=3), tenant, top_k=4, diversity=0.01)
    assert order[:2] == [2, 1]


async def test_what_stands_around_a_reranked_hit(rt: Runtime, tenant: str, opened: Open) -> None:
    _, found = await numbers(opened(), tenant, expand="neighbours")
    assert all(hit.context is not None and hit.text in hit.context.text for hit in found.hits)


async def test_an_answer_is_written_from_the_best_by_the_reranker(
    rt: Runtime, opened: Open, alice: Person, server: FakeServer
) -> None:
    async with asking(opened(), alice) as client:
        body = (await client.post("/v1/query", json={"question": "siren", "mode": "keyword"})).json()
        assert body["reranked"] is True
        assert body["timings"]["rerank"] <= body["timings"]["retrieve"]
        assert [round(number_of(hit["text"]) * 10) for hit in body["hits"]] == [7, 6, 5, 4, 3, 2, 1, 0]
        assert isinstance(rt.generator, FakeGenerator)
        assert "number 7" in rt.generator.requests[0].passages[0].text
        server.json({}, 500)
        answer = await client.post("/v1/query", json={"question": "siren", "mode": "keyword", "stream": True})
        events = dict(frames(answer.text))
        for name in ("sources", "done"):
            assert (events[name]["reranked"], events[name]["rerank_failure"]) == (False, "unavailable")


# -- who asks ------------------------------------------------------------------------------------------------


async def test_a_request_may_do_without_or_insist(rt: Runtime, opened: Open, alice: Person, server: FakeServer) -> None:
    asked: dict[str, Any]
    for path, asked in (("/v1/search", {"query": "siren"}), ("/v1/query", {"question": "siren"})):
        async with asking(opened(), alice) as client:
            for wish, expected in ((None, True), (True, True), (False, None)):
                before = len(server.asked)
                body = (await client.post(path, json=asked | {"rerank": wish})).json()
                assert body.get("reranked") is expected
                assert ("rerank" in body["timings"]) is bool(expected)
                assert len(server.asked) - before == bool(expected)
            problem(await client.post(path, json=asked | {"rerank": "perhaps"}), 422)
        problem(await alice.client.post(path, json=asked | {"rerank": True}), 422, "no_reranker")
        for wish in (None, False):
            answer = await alice.client.post(path, json=asked | {"rerank": wish})
            assert "reranked" not in answer.json(), answer.text


async def test_an_explanation_shows_the_place_before_and_the_score(rt: Runtime, opened: Open, alice: Person) -> None:
    async with asking(opened(), alice) as client:
        answer = await client.post("/v1/search?explain=true", json={"query": "siren", "mode": "keyword"})
    shown = [hit["explain"] for hit in answer.json()["data"]]
    assert [(each["fused_rank"], each["rerank_score"]) for each in shown[:2]] == [(8, 0.7), (7, 0.6)]


async def test_nothing_found_is_nothing_to_rerank(rt: Runtime, tenant: str, opened: Open, server: FakeServer) -> None:
    found = await search(opened().for_tenant(tenant), Query("unheard", mode="keyword"))
    assert (found.hits, found.reranked, server.asked) == ([], None, [])


async def test_a_reranker_sees_nothing_of_another_tenant(
    rt: Runtime, tenant: str, opened: Open, server: FakeServer
) -> None:
    stranger = await driving.new_tenant(rt)
    await driving.ready(rt, stranger, "The note number 99 is on the siren of strangers.", "foreign.txt")
    assert (await numbers(opened(), tenant, top_k=100, mode="hybrid"))[0] == [7, 6, 5, 4, 3, 2, 1, 0]
    assert "99" not in str(server.asked)


async def test_no_connection_is_held_while_the_reranker_thinks(
    committing_rt: Runtime, opened: Open, server: FakeServer
) -> None:
    tenant = await add_notes(committing_rt)
    pool = committing_rt.sessions.kw["bind"].pool
    held: list[int] = []
    rt = opened(committing_rt)
    assert rt.reranker is not None
    ask = rt.reranker.rerank

    async def watched(query: str, texts: Any) -> list[float]:
        held.append(pool.checkedout())
        return await ask(query, texts)

    rt.reranker.rerank = watched  # type: ignore[method-assign]
    order, _ = await numbers(rt, tenant, expand="section")
    assert (order[0], held) == (7, [0])


# -- nothing depends on it -----------------------------------------------------------------------------------

Fail = Callable[[FakeServer], None]
FAILURES: dict[str, tuple[Fail, str]] = {
    "500": (lambda server: server.json({"texts": "number"}, 500), "unavailable"),
    "400": (lambda server: server.json({}, 400), "provider_rejected"),
    "401": (lambda server: server.json({}, 401), "provider_rejected"),
    "429": (lambda server: server.json({}, 429, Retry_After="30"), "rate_limited"),
    "page": (lambda server: server.text("<html></html>"), "bad_response"),
    "too few": (lambda server: server.json(rows("cohere", 0.5)), "bad_response"),
    "doubled": (lambda server: server.json(rows("cohere", *[0.5] * 8, places=[0] * 8)), "bad_response"),
    "out of range": (lambda server: server.json(rows("cohere", *[0.5] * 8, places=[*range(1, 9)])), "bad_response"),
    "NaN": (lambda server: server.json(rows("cohere", *[0.5] * 7, float("nan"))), "bad_response"),
    "reset": (lambda server: server.raw(reset=True), "unavailable"),
}


@pytest.mark.parametrize("name", FAILURES)
async def test_a_reranker_that_fails_costs_the_reranking_only(
    rt: Runtime,
    opened: Open,
    alice: Person,
    server: FakeServer,
    caplog: pytest.LogCaptureFixture,
    name: str,
) -> None:
    fail, reason = FAILURES[name]
    asked = {"query": "siren", "top_k": 5}
    plain = (await alice.client.post("/v1/search", json=asked)).json()["data"]
    fail(server)
    before = counted(reason)
    async with asking(opened(), alice) as client:
        with caplog.at_level("DEBUG"):
            answer = await client.post("/v1/search", json=asked)
    body = answer.json()
    assert answer.status_code == 200
    assert (body["data"], body["reranked"], body["rerank_failure"]) == (plain, False, reason)
    assert len(server.asked) == 1
    assert counted(reason) == before + 1
    assert "not reranked" in caplog.text
    for told in ("siren", "number", "Watch"):
        assert told not in caplog.text


def counted(outcome: str) -> float:
    return REGISTRY.get_sample_value("footnote_rerankings_total", {"outcome": outcome}) or 0.0


async def test_a_search_does_not_wait_for_a_reranker_that_is_late(
    rt: Runtime, tenant: str, opened: Open, server: FakeServer
) -> None:
    plain = await numbers(rt, tenant)
    server.raw(60.0)
    impatient = opened(rerank_seconds=0.2)
    started = time.monotonic()
    for _ in range(5):
        late = await numbers(impatient, tenant)
        assert late[0] == plain[0]
        assert late[1].rerank_failure == "timed_out"
        assert late[1].timings["rerank"] >= 190
    assert time.monotonic() - started < 20  # 5 minutes, were they waited for
    assert (await numbers(impatient, tenant))[1].rerank_failure == "circuit_open"
    assert len(server.asked) <= 5, "fewer where a fifth of a second is too short even to ask"


async def test_an_error_that_nobody_foresaw_stops_no_search(
    rt: Runtime, tenant: str, caplog: pytest.LogCaptureFixture
) -> None:

    class Broken:
        provider, address, model = "broken", None, "m"

        async def rerank(self, query: str, texts: Any) -> list[float]:
            raise LookupError(texts[0])

        async def close(self) -> None: ...

    order, found = await numbers(replace(rt, reranker=Broken()), tenant)
    assert (order, found.reranked, found.rerank_failure) == ((await numbers(rt, tenant))[0], False, "internal")
    assert "LookupError" in caplog.text
    assert "siren" not in caplog.text


async def test_readiness_names_a_reranker_that_fails(
    rt: Runtime, opened: Open, alice: Person, server: FakeServer
) -> None:
    ready = (await alice.client.get("/readyz")).json()
    assert (ready["reranker"], ready["providers"]) == (None, {})
    server.json({}, 500)
    working = opened(rerank_model="m-1")
    async with asking(working, alice) as client:
        assert (await client.get("/readyz")).json()["providers"] == {"cohere/m-1": "ok"}
        for _ in range(5):
            assert (await client.post("/v1/search", json={"query": "siren"})).status_code == 200
        answer = await client.get("/readyz")
        assert (answer.status_code, answer.json()["reranker"]) == (200, "cohere/m-1")
        assert answer.json()["providers"]["cohere/m-1"].startswith("failing, not called before 2")
        told = await metrics.of_the_installation(working)
        assert told['footnote_provider_circuit_open{provider="cohere/m-1"}'] == 1
