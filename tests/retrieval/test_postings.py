"""Postings say what the chunks hold, at any time, whatever happens to the chunks."""

import asyncio
from typing import Any

import pytest
from sqlalchemy import delete, func, select, text, update

from footnote.documents import deletion
from footnote.models import Chunk, PostingBlock, Version
from footnote.retrieval import Query, candidates, search
from footnote.runtime import Runtime
from tests import driving, seeding
from tests.driving import paragraphs
from tests.postings import posted

pytestmark = pytest.mark.anyio


async def test_a_new_version_replaces_the_postings_and_a_deletion_removes_them(rt: Runtime) -> None:
    tenant = await driving.new_tenant(rt)
    await driving.ready(rt, tenant, paragraphs(3, "lamp"), "other.txt")
    before = await posted(rt)
    await driving.ready(rt, tenant, paragraphs(4, "lens"), external_id="e")
    await driving.ready(rt, tenant, "The ERR_CONN_42 of the siren.", external_id="e")
    assert before < await posted(rt) < before + 20
    document = (await search(rt.for_tenant(tenant), Query("ERR_CONN_42", mode="keyword"))).hits[0].document_id
    await deletion.remove(rt.for_tenant(tenant), document)
    assert await posted(rt) == before


async def test_more_chunks_than_a_block_holds(rt: Runtime) -> None:
    tenant = await driving.new_tenant(rt)
    await seeding.sow(rt, tenant, [seeding.Seed({}, [[1.0, 0.0]] * 600)])
    await posted(rt)
    async with rt.transaction() as session:
        blocks = select(PostingBlock.chunks).where(PostingBlock.tenant_id == tenant)
        assert sorted(await session.scalars(blocks)) == [88, 256, 256]
    hits = (await search(rt.for_tenant(tenant), Query("lamp 599", mode="keyword"))).hits
    assert hits[0].position == 599


async def test_chunks_that_change_or_go_one_by_one(rt: Runtime) -> None:
    tenant = await driving.new_tenant(rt)
    await driving.ready(rt, tenant, paragraphs(12))
    before = await posted(rt)
    lexemes = func.to_tsvector("simple", "quite another text, another one")
    await rt.execute(update(Chunk).where(Chunk.position == 1).values(tsv=lexemes, words=6))
    await posted(rt)
    await rt.execute(delete(Chunk).where(Chunk.position == 0))
    assert 0 < await posted(rt) < before
    await rt.execute(delete(Version))
    assert await posted(rt) == 0


async def test_each_chunk_that_is_removed_finds_its_own_block_only(rt: Runtime) -> None:
    """All blocks of its version would be millions of rows, for a document of 20,000 chunks."""
    tenant = await driving.new_tenant(rt)
    document = await driving.ready(rt, tenant, paragraphs(1))
    async with rt.transaction() as session:
        await session.execute(text(_ONE_BY_ONE))
    await posted(rt)
    async with rt.transaction() as session:
        before = (await session.scalars(text(_BLOCKS_READ))).one()
        await session.execute(delete(Chunk).where(Chunk.document_id == document))
        read = (await session.scalars(text(_BLOCKS_READ))).one() - before
    assert 200 < read < 1000
    assert await posted(rt) == 0


# A block for each of 200 chunks.
_ONE_BY_ONE = """
DO $$ BEGIN FOR place IN 1..200 LOOP
    INSERT INTO chunk SELECT version_id, place, tenant_id, collection_id, document_id, space_id, language, page_start,
           page_end, char_start, char_end, heading, context, text, words, embedding, text_sha256, tsv
    FROM chunk WHERE position = 0;
END LOOP; END $$
"""
_BLOCKS_READ = """
SELECT sum(pg_stat_get_xact_tuples_returned(indexrelid)) FROM pg_index WHERE indrelid = to_regclass('posting_block')
"""


async def test_numbers_of_blocks_are_spread_evenly(rt: Runtime) -> None:
    tenant = await driving.new_tenant(rt)
    await seeding.sow(rt, tenant, [seeding.Seed({}, [[1.0, 0.0]]) for _ in range(400)])
    async with rt.transaction() as session:
        numbers = sorted(await session.scalars(select(PostingBlock.number).where(PostingBlock.tenant_id == tenant)))
    width = 2**32 / 8
    shares = [sum(place * width <= number + 2**31 < (place + 1) * width for number in numbers) for place in range(8)]
    assert all(45 <= share <= 55 for share in shares)


async def test_a_document_that_is_replaced_while_it_is_searched_is_found_as_it_was(
    committing_rt: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All statements of a search see one state: or the old version would be gone, and the new one not looked for."""
    rt = committing_rt
    tenant = await driving.new_tenant(rt)
    await driving.ready(rt, tenant, "The lamp burns paraffin.", "lamp.txt", external_id="e")
    read = candidates._read

    async def late(*given: Any) -> Any:
        await driving.ready(rt, tenant, "The lamp burns gas.", "lamp.txt", external_id="e")
        return await read(*given)

    monkeypatch.setattr(candidates, "_read", late)
    [hit] = (await search(rt.for_tenant(tenant), Query("Which lamp?", mode="keyword"))).hits
    assert (hit.version, hit.text) == (1, "The lamp burns paraffin.")
    monkeypatch.setattr(candidates, "_read", read)
    [hit] = (await search(rt.for_tenant(tenant), Query("Which lamp?", mode="keyword"))).hits
    assert (hit.version, hit.text) == (2, "The lamp burns gas.")


async def test_a_tenant_writes_no_postings_and_sees_no_blocks_of_another(committing_rt: Runtime) -> None:
    rt = committing_rt
    ours, theirs = await driving.new_tenant(rt), await driving.new_tenant(rt)
    await driving.ready(rt, theirs, paragraphs(2))
    async with rt.for_tenant(ours).transaction() as session:
        assert await session.scalar(text("SELECT count(*) FROM posting_block_of_tenant")) == 0
        assert await session.scalar(select(func.count()).select_from(PostingBlock)) == 0
        for table in ("posting", "posting_block"):
            for privilege in ("INSERT", "UPDATE", "DELETE"):
                may = text("SELECT has_table_privilege(:table, :privilege)")
                assert not await session.scalar(may, {"table": table, "privilege": privilege})


async def test_the_same_words_are_posted_at_once_by_several(committing_rt: Runtime) -> None:
    """No transaction waits for another one that has posted the same words and is not committed."""
    rt = committing_rt
    tenants = [await driving.new_tenant(rt)] * 2
    texts = [paragraphs(6), f"{paragraphs(6)}\n\nOne more."]
    async with asyncio.timeout(60):
        await asyncio.gather(
            *(
                driving.ready(rt, tenant, given, f"{number}.txt")
                for number, (tenant, given) in enumerate(zip(tenants, texts, strict=True))
            )
        )
    assert await posted(rt)
    async with rt.transaction() as first, rt.transaction() as second:
        for session, name in ((first, "first"), (second, "second")):
            await session.execute(text("SET LOCAL lock_timeout = '1s'"))
            await session.execute(text(_COPY), {"name": name})
    assert await posted(rt)


_COPY = """
INSERT INTO chunk SELECT version_id, position + CASE :name WHEN 'first' THEN 1000 ELSE 2000 END, tenant_id,
       collection_id, document_id, space_id, language, page_start, page_end, char_start, char_end, heading, context,
       text, words, embedding, text_sha256, tsv FROM chunk WHERE position < 1000
"""


async def test_a_chunk_that_matches_to_the_letter_is_scored_though_others_weigh_more(
    rt: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("footnote.retrieval.bm25.SCORED", 2)
    tenant = await driving.new_tenant(rt)
    for number in range(4):
        await driving.ready(rt, tenant, f"Keeper, siren, barometer and lens {number}.", f"{number}.txt")
    await driving.ready(rt, tenant, "The red signal lamp. " + "Nothing else. " * 20, "phrase.txt")
    hits = (
        await search(rt.for_tenant(tenant), Query('keeper siren barometer lens "signal lamp"', mode="keyword"))
    ).hits
    assert (hits[0].filename, hits[0].exact_matches) == ("phrase.txt", 1)
    assert hits[0].bm25
