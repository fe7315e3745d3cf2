"""Many requests for the same lock are all answered, and no other request waits for them."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx2
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from footnote import collections
from footnote.runtime import Runtime, open_runtime
from tests import driving
from tests.database.test_liveness import client_of, new_key
from tests.documents.test_deletion_races import until_somebody_waits
from tests.driving import paragraphs
from tests.fakes import FakeEmbedder

pytestmark = pytest.mark.anyio

MANY = 16


@asynccontextmanager
async def small(rt: Runtime, key: str, patience: float = 3.0) -> AsyncIterator[httpx2.AsyncClient]:
    """An API with few connections, which waits for a lock or a connection for `patience` seconds."""
    async with (
        open_runtime(rt.settings, pool_size=4, patience=patience, interactive=True) as few,
        client_of(few, key) as client,
    ):
        yield client


async def upload(client: httpx2.AsyncClient) -> httpx2.Response:
    return await client.post("/v1/documents/text", json={"text": "The same bytes."})


async def same_bytes_are_locked(session: AsyncSession, rt: Runtime) -> None:
    same = hashlib.sha256(b"The same bytes.").hexdigest()
    await collections.obtain(session, "default", rt.settings, alone=same)


async def test_uploads_of_the_same_bytes_wait_for_each_other_without_connections(committing_rt: Runtime) -> None:
    rt = committing_rt
    tenant_id, key = await new_key(rt)
    async with small(rt, key) as client:
        assert (await upload(client)).status_code == 202
        async with rt.for_tenant(tenant_id).transaction() as session:
            await same_bytes_are_locked(session, rt)
            uploads = [asyncio.create_task(upload(client)) for _ in range(MANY)]
            await until_somebody_waits(rt)
            for _ in range(3):  # longer than a lock is waited for at once
                assert (await client.get("/v1/documents")).status_code == 200
                await session.execute(text("SELECT pg_sleep(1.3)"))
            assert not any(each.done() for each in uploads)
        answers = await asyncio.gather(*uploads)
        assert {each.status_code for each in answers} == {202}
        assert len({each.json()["document"]["id"] for each in answers}) == 1


async def test_deletions_that_wait_for_a_shared_text_leave_connections_to_others(committing_rt: Runtime) -> None:
    rt = committing_rt
    tenant_id, key = await new_key(rt)
    assert isinstance(rt.embedder, FakeEmbedder)
    ids = [await driving.ready(rt, tenant_id, paragraphs(1), external_id=f"{number}") for number in range(5)]
    async with small(rt, key) as client:
        async with rt.transaction() as session:
            await session.execute(text("SELECT FROM document FOR KEY SHARE"))
            deletions = [asyncio.create_task(client.delete(f"/v1/documents/{each}")) for each in ids]
            await until_somebody_waits(rt)
            for _ in range(3):
                assert (await client.get("/v1/documents")).status_code == 200
                await session.execute(text("SELECT pg_sleep(1.3)"))
        answers = await asyncio.gather(*deletions)
    assert [each.status_code for each in answers] == [200] * 5
    assert sum(each.json()["counts"]["embeddings"] for each in answers) == 1


async def test_a_crowd_that_uploads_and_deletes_is_served_without_one_error(committing_rt: Runtime) -> None:
    rt = committing_rt
    tenant_id, key = await new_key(rt)
    ids = [
        (await driving.accept(rt, tenant_id, paragraphs(1), external_id=f"{number}")).details.document.id
        for number in range(MANY)
    ]
    async with small(rt, key, patience=30.0) as client:
        asked = [work for each in ids for work in (client.delete(f"/v1/documents/{each}"), upload(client))]
        answers = await asyncio.gather(*asked)
        assert {each.status_code for each in answers} == {200, 202}
        left = (await client.get("/v1/documents")).json()["data"]
    assert len(left) == 1
