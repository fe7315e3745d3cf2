"""Retrieval against a plain BM25 and exact cosines computed here, over chunks that came through the pipeline."""

import math
import random
import re
from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession

from footnote import filters, retrieval
from footnote.database.driver import driver, positional
from footnote.errors import TimedOut
from footnote.models import Chunk
from footnote.retrieval import Hit, Query, fusion
from footnote.retrieval.scope import Scope, limits, scope_of
from footnote.runtime import Runtime
from tests import driving
from tests.conftest import stored_once

pytestmark = pytest.mark.anyio
_VOCABULARY = (
    "lamp oil lens mercury siren boat keeper tower rock gull storm barometer fog signal flag rope anchor harbour tide "
    "swell lantern prism granite cistern stove flour oatmeal log watch relief petrel compressor pressure tank gauge "
    "valve pump wire relay fuse battery chart compass bell buoy beacon gallery stair door window roof paint brush"
)
WORDS = _VOCABULARY.split()
LEXEMES = "to_tsvector('english', :all) || array_to_tsvector(identifiers(:all))"
QUESTIONS = [
    "How does the siren keep its pressure?",
    "lamp",
    "granite tower and the cistern",
    "Which keepers watched the barometer in the storm?",
    "ERR_CONN_42",
    "unheard words beside a single prism",
    "oatmeal oatmeal flour",
    " ".join(WORDS),
]


@dataclass
class Stored:
    """A chunk as it lies in Postgres."""

    key: tuple[str, int]
    document_id: str
    collection_id: str
    lexemes: Counter[str]
    words: int
    vector: "np.ndarray[Any, Any]"


async def make_corpus(rt: Runtime) -> tuple[str, list[Stored]]:
    """Five documents of random words in two collections; and a stranger's."""
    chance = random.Random(5)
    tenant_id = await driving.new_tenant(rt)
    weights = [1 / (rank + 1) for rank in range(len(WORDS))]
    for number in range(5):
        paragraphs = []
        for _ in range(16):
            words = chance.choices(WORDS, weights, k=chance.randint(18, 55))
            paragraphs.append(" ".join(words).capitalize() + ".")
        paragraphs.append(f"Code {number}: ERR_CONN_4{number} at v2.{number}.1 of the relay unit.")
        collection = "even" if number % 2 == 0 else "odd"
        await driving.ready(rt, tenant_id, "\n\n".join(paragraphs), f"d{number}.txt", collection=collection)
    await driving.ready(rt, await driving.new_tenant(rt), "The siren, the lamp, the prism and granite.", "foreign.txt")
    await driving.index(rt)
    return tenant_id, await _stored(rt, tenant_id)


engine, corpus = stored_once(make_corpus)


async def _stored(rt: Runtime, tenant_id: str) -> list[Stored]:
    found = []
    async with rt.transaction() as session:
        rows = await session.execute(select(Chunk).where(Chunk.tenant_id == tenant_id))
        for chunk in rows.scalars().all():
            lexemes = await session.execute(
                text(f"SELECT lexeme, coalesce(cardinality(positions), 1) AS tf FROM unnest({LEXEMES})"),
                {"all": f"{chunk.context}\n{chunk.text}"},
            )
            found.append(
                Stored(
                    (chunk.version_id, chunk.position),
                    chunk.document_id,
                    chunk.collection_id,
                    Counter({row.lexeme: row.tf for row in lexemes}),
                    len(chunk.text.split()),
                    np.asarray(chunk.embedding, np.float64),
                )
            )
    return found


async def bm25(rt: Runtime, chunks: list[Stored], question: str) -> dict[tuple[str, int], float]:
    """The score of every chunk that holds any of the question's lexemes."""
    async with rt.transaction() as session:
        query = text(f"SELECT lexeme FROM unnest({LEXEMES})")
        wanted = set((await session.scalars(query, {"all": question})).all())
    holding = [chunk for chunk in chunks if wanted & set(chunk.lexemes)]
    average = sum(chunk.words for chunk in chunks) / len(chunks)
    scores: dict[tuple[str, int], float] = {}
    for chunk in holding:
        score = 0.0
        for lexeme in wanted & set(chunk.lexemes):
            df = sum(lexeme in each.lexemes for each in chunks)
            idf = math.log(1 + (len(chunks) - df + 0.5) / (df + 0.5))
            tf = chunk.lexemes[lexeme]
            score += idf * tf * 2.8 / (tf + 1.8 * (0.25 + 0.75 * chunk.words / average))
        scores[chunk.key] = score
    return scores


async def cosines(rt: Runtime, chunks: list[Stored], question: str) -> dict[tuple[str, int], float]:
    asked = (await rt.embedder.embed([question])).vectors[0]
    return {chunk.key: float(chunk.vector @ asked / np.linalg.norm(chunk.vector)) for chunk in chunks}


async def found(rt: Runtime, tenant_id: str, question: str, **more: Any) -> list[Hit]:
    return (await retrieval.search(rt.for_tenant(tenant_id), Query(question, **{"top_k": 100, **more}))).hits


def key(hit: Hit) -> tuple[str, int]:
    return hit.version_id, hit.position


def assert_ordered(hits: list[Hit], scores: dict[tuple[str, int], float], tolerance: float) -> None:
    """The hits are exactly the scored chunks, best first but for differences within the tolerance."""
    assert {key(hit) for hit in hits} == set(scores)
    ranked = [scores[key(hit)] for hit in hits]
    best = sorted(ranked, reverse=True)
    assert all(abs(got - expected) <= tolerance for got, expected in zip(ranked, best, strict=True))


async def test_the_corpus_is_large_enough_to_mean_something(corpus: tuple[str, list[Stored]]) -> None:
    assert len(corpus[1]) >= 60


async def test_both_legs_and_their_fusion(rt: Runtime, corpus: tuple[str, list[Stored]]) -> None:
    for question in QUESTIONS:
        await check_legs_and_fusion(rt, *corpus, question)


async def check_legs_and_fusion(rt: Runtime, tenant_id: str, chunks: list[Stored], question: str) -> None:
    keyword = await found(rt, tenant_id, question, mode="keyword")
    scores = await bm25(rt, chunks, question)
    literal = {chunk.key for chunk in chunks if question.lower() in chunk.lexemes and "_" in question}
    most = max(scores.values(), default=1.0)
    by_words = {key: score / most + (key in literal) for key, score in scores.items()}
    assert_ordered(keyword, by_words, 1e-9)
    assert all(hit.coverage is not None and 0 < hit.coverage <= 1 + 1e-9 for hit in keyword)

    vector = await found(rt, tenant_id, question, mode="vector")
    near = await cosines(rt, chunks, question)
    assert_ordered(vector, near, 2e-3)  # the question is in half precision, too
    assert all(abs((hit.similarity or 0) - near[key(hit)]) < 2e-3 for hit in vector)

    hybrid = await found(rt, tenant_id, question)
    exact = {key(hit): hit.similarity or 0 for hit in vector}
    least, width = min(exact.values()), max(exact.values()) - min(exact.values())
    fused = {key: 0.6 * (exact[key] - least) / width + 0.4 * scores.get(key, 0) / most for key in exact}
    for each in literal:
        fused[each] += 1
    assert_ordered(hybrid, fused, 1e-9)
    assert all(abs(hit.score - fused[key(hit)]) < 1e-9 for hit in hybrid)
    assert all((hit.bm25 or 0) == pytest.approx(scores.get(key(hit), 0)) for hit in hybrid)
    assert [hit.chunk_id for hit in await found(rt, tenant_id, question, top_k=5)] == [
        hit.chunk_id for hit in hybrid[:5]
    ]


async def test_an_identifier_finds_its_chunk(rt: Runtime, corpus: tuple[str, list[Stored]]) -> None:
    for question, part in (("ERR_CONN_43", "ERR_CONN_43"), ("err_conn_41?", "ERR_CONN_41"), ("v2.4.1", "v2.4.1")):
        hits = await found(rt, corpus[0], question, mode="keyword", top_k=3)
        assert part in hits[0].text
        hybrid = await found(rt, corpus[0], f"What does {question} mean?", top_k=5)
        assert any(part in hit.text for hit in hybrid)


async def test_nothing_from_outside_the_scope(
    rt: Runtime, corpus: tuple[str, list[Stored]], monkeypatch: pytest.MonkeyPatch
) -> None:
    for exact, few in ((5000, 5000), (0, 5000), (5000, 0)):
        monkeypatch.setattr("footnote.retrieval.vector_leg.EXACT_CHUNKS", exact)
        monkeypatch.setattr("footnote.retrieval.keyword_leg.FEW", few)
        for mode in ("hybrid", "vector", "keyword"):
            await check_scope(rt, *corpus, mode)


async def check_scope(rt: Runtime, tenant_id: str, chunks: list[Stored], mode: str) -> None:
    question = " ".join(WORDS)
    documents = sorted({chunk.document_id for chunk in chunks})
    whole = {hit.document_id for hit in await found(rt, tenant_id, question, mode=mode)}
    assert whole == set(documents)
    odd = await found(rt, tenant_id, question, mode=mode, collections=["odd"])
    assert len({hit.document_id for hit in odd}) == 2
    one = await found(rt, tenant_id, question, mode=mode, document_ids=documents[:1])
    assert {hit.document_id for hit in one} == set(documents[:1])
    stored = sum(chunk.document_id == documents[0] for chunk in chunks)
    if mode != "keyword":
        assert len(one) == stored, "a filter must not cost hits"
    assert await found(rt, tenant_id, question, mode=mode, collections=["odd"], document_ids=documents[:1]) in ([], one)


async def test_every_hit_is_anchored_in_its_page(rt: Runtime, corpus: tuple[str, list[Stored]]) -> None:
    for hit in await found(rt, corpus[0], "siren pressure lamp"):
        page = (await driving.pages_of(rt, hit.document_id))[hit.version_id, hit.page_start]
        assert page[hit.char_start : hit.char_end] == hit.text


async def test_a_large_scope_goes_through_the_index(
    rt: Runtime, corpus: tuple[str, list[Stored]], monkeypatch: pytest.MonkeyPatch
) -> None:
    tenant_id, _ = corpus
    questions = [question for question in QUESTIONS if question != "ERR_CONN_42"]
    exact = [await found(rt, tenant_id, question, mode="vector") for question in questions]
    assert "ix_chunk_embedding_space" not in await plan(rt, tenant_id, questions[0])
    monkeypatch.setattr("footnote.retrieval.vector_leg.EXACT_CHUNKS", 0)
    assert "ix_chunk_embedding_space" in await plan(rt, tenant_id, questions[0])
    async with rt.transaction() as session:
        await session.execute(text("SET LOCAL enable_seqscan = off"))
        await session.execute(text("SET LOCAL enable_bitmapscan = off"))
        await session.execute(text("SET LOCAL enable_sort = off"))
    for question, expected in zip(questions, exact, strict=True):
        hits = await found(rt, tenant_id, question, mode="vector")
        assert hits[0].chunk_id == expected[0].chunk_id
        assert [hit.similarity for hit in hits] == sorted((hit.similarity or 0 for hit in hits), reverse=True)
        assert len({hit.chunk_id for hit in hits} & {hit.chunk_id for hit in expected}) > 0.9 * len(expected)


@pytest.mark.parametrize("mode", ["vector", "keyword", "hybrid"])
async def test_a_search_of_collections_is_planned_once_and_by_the_indexes(
    rt: Runtime, corpus: tuple[str, list[Stored]], monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    """The plan may be made for a small collection, and used for one of millions of chunks."""
    monkeypatch.setattr("footnote.retrieval.vector_leg.EXACT_CHUNKS", 0)
    monkeypatch.setattr("footnote.retrieval.keyword_leg.POSTINGS", 3)  # so that lexemes are looked up a second time
    plans = []
    for statement, values in await sent_for(rt, corpus[0], "siren pressure lamp", mode=mode):
        async with rt.transaction(**limits(whole=True)) as session:
            connection = await driver(session)
            await connection.execute(f"PREPARE it AS {statement}")
            nothing = ", ".join(["NULL"] * len(values))
            plans.append("\n".join(row[0] for row in await connection.fetch(f"EXPLAIN EXECUTE it({nothing})")))
            await connection.execute("DEALLOCATE it")
    assert len(plans) == (1 if mode == "vector" else 3)
    for planned in plans:
        assert not re.search("Seq Scan|Hash Join|Merge Join|Bitmap", planned), planned
    assert ("ix_chunk_embedding_space" in plans[0]) is (mode != "keyword")


async def test_a_plan_of_a_small_collection_is_not_that_of_one_that_has_grown(
    rt: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A statement is planned for the size that the tables have then, and again once a collection is much larger."""
    sent: list[str] = []

    def note(statement: str, _values: Any) -> tuple[str, list[Any]]:
        sent.append(statement)
        return "SELECT 1", []

    monkeypatch.setattr("footnote.retrieval.scope.positional", note)
    async with rt.transaction() as session:
        for chunks in (0, 20, 60, 70_000, 1_000_000):
            await scope_of("ten", [], None, chunks=chunks).run(session, "SELECT 1")
    assert len(set(sent)) == 4
    assert sent[1] == sent[2]


async def test_only_a_search_of_collections_is_planned_once(rt: Runtime, corpus: tuple[str, list[Stored]]) -> None:
    """A filter, or documents by name, may be anything from none to all of the chunks."""
    assert Query("lamp").is_whole
    assert not Query("lamp", document_ids=[corpus[1][0].document_id]).is_whole
    assert not Query("lamp", filter=filters.parse({"type": "eq", "key": "a", "value": 1})).is_whole
    assert "plan_cache_mode" not in limits(whole=False)


async def plan(rt: Runtime, tenant_id: str, question: str) -> str:
    """Postgres' plan for the search, were a table scan not cheaper for so few rows."""
    [(statement, values)] = await sent_for(rt, tenant_id, question, mode="vector")
    async with rt.transaction() as session:
        connection = await driver(session)
        for setting in ("enable_seqscan", "enable_bitmapscan", "enable_sort"):
            await connection.execute(f"SET LOCAL {setting} = off")
        lines = [row[0] for row in await connection.fetch(f"EXPLAIN {statement}", *values)]
        for setting in ("enable_seqscan", "enable_bitmapscan", "enable_sort"):
            await connection.execute(f"SET LOCAL {setting} = on")
    return "\n".join(lines)


async def sent_for(rt: Runtime, tenant_id: str, question: str, *, mode: str) -> list[tuple[str, list[Any]]]:
    """The statements that find the hits, each with its values."""
    sent: list[tuple[str, list[Any]]] = []
    run = Scope.run

    async def keep(self: Scope, session: AsyncSession, statement: str, **parameters: Any) -> Any:
        sent.append(positional(statement, self.parameters | parameters))
        return await run(self, session, statement, **parameters)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Scope, "run", keep)
        await found(rt, tenant_id, question, mode=mode)
    return sent


async def test_nothing_is_asked_of_the_provider_for_nothing(rt: Runtime, corpus: tuple[str, list[Stored]]) -> None:
    seen = len(rt.embedder.seen)  # type: ignore[attr-defined]
    for question in ("", "  ", "\n"):
        assert await found(rt, corpus[0], question) == []
    await found(rt, corpus[0], "lamp", mode="keyword")
    assert len(rt.embedder.seen) == seen  # type: ignore[attr-defined]


@pytest.mark.parametrize("unknown", ["unheard{}", "UN-{}"])
async def test_what_no_chunk_holds_takes_nothing_from_what_some_hold(
    rt: Runtime, corpus: tuple[str, list[Stored]], unknown: str
) -> None:
    question = " ".join(unknown.format(number) for number in range(90)) + " lamp"
    hits = await found(rt, corpus[0], question, mode="keyword")
    assert hits
    assert all("lamp" in f"{hit.subject} {hit.text}".lower() for hit in hits)


async def test_many_candidates_are_cut_to_the_rarest_lexemes(
    rt: Runtime, corpus: tuple[str, list[Stored]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("footnote.retrieval.bm25.SCORED", 5)
    hits = await found(rt, corpus[0], "The lamp and the oil of ERR_CONN_42", mode="keyword")
    assert "ERR_CONN_42" in hits[0].text
    assert len(hits) < 10
    monkeypatch.setattr("footnote.retrieval.keyword_leg.LEXEMES", 1)
    assert await found(rt, corpus[0], "lamp oil lens", mode="keyword")


# -- small and large scopes --------------------------------------------------------------------------------------------


async def bm25_of(rt: Runtime, tenant_id: str, question: str, **more: Any) -> dict[str, float | None]:
    return {hit.chunk_id: hit.bm25 for hit in await found(rt, tenant_id, question, mode="keyword", **more)}


async def test_a_large_scope_weighs_as_a_small_one(
    rt: Runtime, corpus: tuple[str, list[Stored]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same chunks as whole collections, and as all documents by name: these are asked for block by block."""
    every = sorted({chunk.document_id for chunk in corpus[1]})
    whole = {question: await bm25_of(rt, corpus[0], question) for question in QUESTIONS}
    for question in QUESTIONS:
        named = await bm25_of(rt, corpus[0], question, document_ids=every)
        assert named == pytest.approx(whole[question])
    monkeypatch.setattr("footnote.retrieval.vector_leg.EXACT_CHUNKS", 0)
    for question in QUESTIONS:
        assert await bm25_of(rt, corpus[0], question) == pytest.approx(whole[question])
        named = await bm25_of(rt, corpus[0], question, document_ids=every)
        assert named == pytest.approx(whole[question])


async def test_a_large_part_is_measured_by_its_collections(
    rt: Runtime, corpus: tuple[str, list[Stored]], monkeypatch: pytest.MonkeyPatch
) -> None:
    one = corpus[1][0].document_id
    whole = await bm25_of(rt, corpus[0], "siren pressure lamp")
    small = await bm25_of(rt, corpus[0], "siren pressure lamp", document_ids=[one])
    monkeypatch.setattr("footnote.retrieval.vector_leg.EXACT_CHUNKS", 0)
    large = await bm25_of(rt, corpus[0], "siren pressure lamp", document_ids=[one])
    assert large == pytest.approx({hit: whole[hit] for hit in large})
    assert set(large) == set(small)
    assert small != pytest.approx(large), "few documents count for themselves"


async def test_what_did_not_fetch_a_chunk_weighs_it_all_the_same(
    rt: Runtime, corpus: tuple[str, list[Stored]], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = await bm25_of(rt, corpus[0], "siren pressure lamp")
    monkeypatch.setattr("footnote.retrieval.keyword_leg.POSTINGS", 3)
    fetched = await bm25_of(rt, corpus[0], "siren pressure lamp")
    assert fetched
    assert fetched == pytest.approx({hit: whole[hit] for hit in fetched})


async def test_what_is_in_many_blocks_is_estimated_from_a_fair_sample(
    rt: Runtime, corpus: tuple[str, list[Stored]], monkeypatch: pytest.MonkeyPatch
) -> None:
    exact = await bm25_of(rt, corpus[0], "lamp")
    monkeypatch.setattr("footnote.retrieval.keyword_leg.SAMPLE", 3)
    estimated = await bm25_of(rt, corpus[0], "lamp")
    assert set(estimated) == set(exact)
    assert estimated != exact
    assert all((estimated[hit] or 0) == pytest.approx(exact[hit] or 0, rel=0.5) for hit in exact)


async def test_a_year_is_found_however_the_question_writes_it(rt: Runtime) -> None:
    tenant_id = await driving.new_tenant(rt)
    for year in (2016, 2017, 2018):
        await driving.ready(rt, tenant_id, f"In {year} the keepers bought oil.", f"y{year}.txt")
    hits = await found(rt, tenant_id, "Which oil was bought in FY2017?", mode="keyword")
    assert "2017" in hits[0].text


async def test_a_search_that_takes_too_long_is_ended(
    rt: Runtime, corpus: tuple[str, list[Stored]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("footnote.retrieval.scope.STATEMENT_SECONDS", 0.1)
    monkeypatch.setattr(fusion, "HITS", fusion.HITS.replace("FROM fused f", "FROM pg_sleep(30), fused f"))
    with pytest.raises(TimedOut, match="search_too_slow"):
        await found(rt, corpus[0], "lamp")


async def test_many_identifiers_leave_room_for_words(rt: Runtime, corpus: tuple[str, list[Stored]]) -> None:
    crowd = [f"aa-{number}" for number in range(400)]
    assert await found(rt, corpus[0], " ".join(["lamp", *crowd]), mode="keyword")
