"""Tallies are what counting would find, whatever happens to documents, and writers do not wait for each other."""

import asyncio
import random

import pytest
from sqlalchemy import text

from footnote import collections, documents, ingest
from footnote.documents import deletion
from footnote.operations.consistency import audit
from footnote.runtime import Runtime
from footnote.tenancy import tallies
from footnote.tenancy.tallies import DocumentTally
from tests import driving

pytestmark = pytest.mark.anyio


async def tally(rt: Runtime, tenant: str) -> DocumentTally:
    async with rt.for_tenant(tenant).transaction() as session:
        return await tallies.of_tenant(session, tenant)


async def of_collection(rt: Runtime, tenant: str, name: str = "default") -> DocumentTally:
    async with rt.for_tenant(tenant).transaction() as session:
        found = await collections.find(session, name)
        return (await tallies.of_collections(session, [found.id])).get(found.id, DocumentTally())


async def fold(rt: Runtime) -> None:
    async with rt.transaction() as session:
        assert await tallies.fold(session) is False


async def wrong(rt: Runtime) -> list[str]:
    async with rt.transaction() as session:
        return list(await tallies.wrong(session, correct=False))


async def test_documents_versions_chunks_and_bytes_are_tallied(rt: Runtime, ours: str) -> None:
    document = (await driving.accept(rt, ours, driving.paragraphs(3), external_id="a")).details
    size = document.version.bytes
    assert await tally(rt, ours) == DocumentTally(1, 0, 0, size)
    await driving.run(rt, document.job.id)
    assert await tally(rt, ours) == await of_collection(rt, ours) == DocumentTally(1, 1, 3, size)
    newer = (await driving.accept(rt, ours, driving.paragraphs(5), external_id="a")).details
    assert await tally(rt, ours) == DocumentTally(1, 1, 3, size + newer.version.bytes), "the former is seen until then"
    await driving.run(rt, newer.job.id)
    assert await tally(rt, ours) == DocumentTally(1, 1, 5, newer.version.bytes)
    await driving.ready(rt, ours, "beside", collection="other")
    assert await of_collection(rt, ours) == DocumentTally(1, 1, 5, newer.version.bytes)
    assert await tally(rt, ours) == DocumentTally(2, 2, 6, newer.version.bytes + len("beside"))
    await deletion.remove(rt.for_tenant(ours), document.document.id)
    assert (await of_collection(rt, ours), await wrong(rt)) == (DocumentTally(), [])


async def test_what_is_folded_counts_as_before(rt: Runtime, ours: str) -> None:
    theirs = await driving.new_tenant(rt)
    kept = await driving.ready(rt, ours, driving.paragraphs(4))
    await driving.ready(rt, theirs, driving.paragraphs(2))
    before = await tally(rt, ours), await of_collection(rt, ours), await tally(rt, theirs)
    await fold(rt)
    await fold(rt)
    assert (await tally(rt, ours), await of_collection(rt, ours), await tally(rt, theirs)) == before
    await deletion.remove(rt.for_tenant(ours), kept)
    assert await tally(rt, ours) == DocumentTally()
    await fold(rt)
    async with rt.transaction() as session:
        assert await tallies.purge(session) == 2, "of the collection and the tenant"
        assert await session.scalar(text("SELECT count(*) FROM tally_change")) == 0
    assert (await tally(rt, ours), await wrong(rt)) == (DocumentTally(), [])


async def test_a_transaction_sees_its_own_changes_and_no_other_tenants(rt: Runtime, ours: str) -> None:
    await driving.accept(rt, await driving.new_tenant(rt), "theirs")
    upload = await driving.put(rt, ours, b"ours", "a.txt")
    async with rt.for_tenant(ours).transaction() as session:
        await documents.accept(session, rt, upload)
        assert await tallies.of_tenant(session, ours) == DocumentTally(1, 0, 0, 4)
        assert set(await tallies.of_all_tenants(session)) == {ours}, "row-level security binds tallies, too"


async def test_a_wrong_tally_is_found_and_set_right(rt: Runtime, ours: str) -> None:
    await driving.ready(rt, ours, driving.paragraphs(3))
    right = await tally(rt, ours)
    async with rt.transaction() as session:
        await session.execute(text("UPDATE tally_change SET documents = documents + 7, bytes = 0"))
    assert await tally(rt, ours) != right
    assert [each.kind async for each in audit(rt, fix=False)] == ["tally_wrong"]
    assert [each.fixed async for each in audit(rt, fix=True)] == [True]
    assert (await tally(rt, ours), [each async for each in audit(rt, fix=False)]) == (right, [])


async def test_uploads_do_not_wait_for_each_other_or_for_the_fold(committing_rt: Runtime) -> None:
    rt, tenant = committing_rt, await driving.new_tenant(committing_rt)
    await driving.accept(rt, tenant, "before")
    uploads = [await driving.put(rt, tenant, f"text {n}".encode(), "a.txt") for n in range(3)]
    bound, beside = (rt.for_tenant(tenant).as_actor(key) for key in ("key_a", "key_b"))  # one key waits for itself
    async with asyncio.timeout(60), bound.transaction() as first:
        await documents.accept(first, rt, uploads[0], collection="a")
        async with beside.transaction() as second:
            await documents.accept(second, rt, uploads[1], collection="b")
            await fold(rt)
            assert (await tallies.of_tenant(second, tenant)).documents == 2
        assert (await tallies.of_tenant(first, tenant)).documents == 3
    assert (await tally(rt, tenant)).documents == 3


async def test_tallies_are_exact_after_changes_at_random_moments(committing_rt: Runtime) -> None:
    rt, tenant, dice = committing_rt, await driving.new_tenant(committing_rt), random.Random(7)

    async def change(name: str) -> None:
        for _ in range(4):
            begun = await driving.accept(rt, tenant, driving.paragraphs(dice.randint(1, 4), name), external_id=name)
            for step in ("chunk", "embed", "upsert")[: dice.randint(1, 3)]:
                await ingest.run_step(rt, begun.details.job.id, step)
            if dice.random() < 0.3:
                await deletion.remove(rt.for_tenant(tenant), begun.details.document.id)

    async def folding() -> None:
        for _ in range(10):
            async with rt.transaction() as session:
                await tallies.fold(session)
            await asyncio.sleep(0)

    async with asyncio.TaskGroup() as group:
        for work in (*(change(name) for name in "abc"), folding(), folding()):
            group.create_task(work)
    assert await wrong(rt) == []
    await fold(rt)
    assert await wrong(rt) == []
