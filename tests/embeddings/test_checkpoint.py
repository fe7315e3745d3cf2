"""Embeddings that nothing uses any more are deleted, and only those, without a lock on all of a tenant's."""

import asyncio

import pytest
from sqlalchemy import func, select

from footnote.embeddings import checkpoint
from footnote.models import Embedding
from footnote.runtime import Runtime
from tests import driving
from tests.driving import paragraphs

pytestmark = pytest.mark.anyio


async def stored(rt: Runtime) -> int:
    async with rt.transaction() as session:
        return await session.scalar(select(func.count()).select_from(Embedding)) or 0


async def test_two_documents_of_a_tenant_do_not_wait_for_each_other(committing_rt: Runtime) -> None:
    rt, tenant = committing_rt, await driving.new_tenant(committing_rt)
    ids = [await driving.ready(rt, tenant, paragraphs(3, topic)) for topic in ("wick", "flame")]
    bound = rt.for_tenant(tenant)
    async with asyncio.timeout(60), bound.transaction() as first:
        assert await checkpoint.delete_unused(first, ids[:1]) == (3, 0)
        async with bound.transaction() as second:
            assert await checkpoint.delete_unused(second, ids[1:]) == (3, 0)
    assert await stored(rt) == 0


async def test_what_another_document_or_tenant_uses_stays(rt: Runtime, ours: str) -> None:
    theirs = await driving.new_tenant(rt)
    first = await driving.ready(rt, ours, paragraphs(3, "wick"), external_id="a")
    second = await driving.ready(rt, ours, f"{paragraphs(2, 'wick')}\n\n{paragraphs(1, 'flame')}", external_id="b")
    await driving.ready(rt, theirs, paragraphs(3, "wick"))
    assert await stored(rt) == 3 + 1 + 3
    async with rt.for_tenant(ours).transaction() as session:
        assert await checkpoint.delete_unused(session, [first]) == (1, 0), "the one that the second lacks"
    async with rt.for_tenant(ours).transaction() as session:
        assert await checkpoint.delete_unused(session, [first, second]) == (3, 0)
    assert await stored(rt) == 3, "another tenant's"
