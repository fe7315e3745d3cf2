"""Generated rows must be what an upload would have left, as far as searches and lists look."""

from dataclasses import replace

import asyncpg
import pytest

from benchmarks import rows, scale
from benchmarks.rows import Batch, Given, clustered
from footnote import documents, retrieval
from footnote.runtime import Runtime

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("mode", ["vector", "keyword", "hybrid"])
async def test_generated_documents_are_found_and_listed(committing_rt: Runtime, mode: retrieval.Mode):
    texts, vectors = scale.texts(0, 40), clustered(40, 1)
    connection = await asyncpg.connect(committing_rt.settings.database_url)
    await rows.prepare(connection)
    await rows.load(connection, Batch(0, vectors[:20], texts[:20], per_document=10))
    await rows.load(connection, Batch(20, vectors[20:], texts[20:], per_document=10))
    await connection.execute(rows.VECTOR_INDEX)
    await connection.close()
    rt = replace(committing_rt, embedder=Given(vectors, texts)).for_tenant(rows.TENANT)
    for place in (3, 37):
        hits = (await retrieval.search(rt, retrieval.Query(texts[place], mode=mode))).hits
        assert (hits[0].document_id, hits[0].position) == (f"doc_{place // 10}", place % 10)
    async with rt.transaction() as session:
        listed = await documents.list_documents(session, limit=10)
    assert [each.document.id for each in listed] == ["doc_3", "doc_2", "doc_1", "doc_0"]


def test_texts_and_vectors_are_the_same_every_time_and_differ_between_places():
    assert scale.texts(0, 10) == scale.texts(0, 10) != scale.texts(10, 10)
    assert (clustered(5, 1) == clustered(5, 1)).all()
    assert (clustered(5, 1) != clustered(5, 2)).any()


async def test_a_text_that_was_not_given_has_a_vector_of_its_own():
    given = Given(clustered(2, 1), ["a", "b"])
    first = (await given.embed(["a", "new"])).vectors
    again = (await given.embed(["new", "other"])).vectors
    assert (first[0] == clustered(2, 1)[0]).all()
    assert (first[1] == again[0]).all()
    assert (again[0] != again[1]).any()


def test_a_table_of_growth_has_a_column_for_each_size():
    columns = [scale.Column(10, {"hybrid": "1; 2 (3)", "build x: s": "4"}), scale.Column(1000, {"hybrid": "5; 6 (7)"})]
    head, hybrid, build = scale.rendered(columns)
    assert head == ["", "10 chunks", "1,000 chunks", "goal"]
    assert hybrid[:3] == ["hybrid: server CPU ms; ms (95 %)", "1; 2 (3)", "5; 6 (7)"]
    assert "<= 60" in hybrid[3]
    assert build == ["build x: s", "4", "", ""]
