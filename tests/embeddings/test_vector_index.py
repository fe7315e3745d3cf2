"""When the index of an embedding space is built, and by whom."""

import asyncio
import os

import pytest
from sqlalchemy import text

from footnote.database.engine import connect
from footnote.embeddings import vector_index
from footnote.runtime import Runtime
from footnote.tenancy import tallies
from tests import driving

pytestmark = pytest.mark.anyio

_STATE = """
SELECT i.indexrelid, i.indisvalid FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid
WHERE c.relname LIKE 'ix_chunk_embedding_space_%'
"""


async def state(rt: Runtime) -> list[tuple[int, bool]]:
    """Number and validity of each index."""
    async with rt.transaction() as session:
        return [tuple(row) for row in await session.execute(text(_STATE))]


@pytest.fixture
async def filled(committing_rt: Runtime) -> Runtime:
    """Three chunks are stored and counted."""
    tenant = await driving.new_tenant(committing_rt)
    for word in ("whale", "granite", "siren"):
        await driving.ready(committing_rt, tenant, f"A text about the {word}.")
    async with committing_rt.transaction() as session:
        await tallies.fold(session)
    return committing_rt


async def test_a_space_is_indexed_once_it_has_chunks_enough(filled: Runtime, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vector_index, "WORTHWHILE", 4)
    await vector_index.build_due(filled)
    assert await state(filled) == []
    monkeypatch.setattr(vector_index, "WORTHWHILE", 3)
    await asyncio.gather(*(vector_index.build_due(filled) for _ in range(3)))
    [(number, valid)] = await state(filled)
    assert valid
    await vector_index.build_due(filled)
    assert await state(filled) == [(number, True)], "it is not built again"


async def test_a_build_that_was_interrupted_is_done_again(filled: Runtime, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vector_index, "WORTHWHILE", 3)
    await driving.index(filled)
    [(number, _)] = await state(filled)
    async with filled.transaction() as session:
        broken = text("UPDATE pg_index SET indisvalid = false WHERE indexrelid = :number")
        await session.execute(broken, {"number": number})
    await vector_index.build_due(filled)
    [(again, valid)] = await state(filled)
    assert (valid, again != number) == (True, True)


async def test_one_process_builds_at_a_time(filled: Runtime, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vector_index, "WORTHWHILE", 3)
    other = await connect(filled.settings)
    await other.execute(f"SELECT pg_advisory_lock({vector_index.LOCK})")
    await vector_index.build_due(filled)
    assert await state(filled) == []
    await other.close()
    await vector_index.build_due(filled)
    assert len(await state(filled)) == 1


async def test_a_build_leaves_the_machine_to_searches(committing_rt: Runtime) -> None:
    connection = await connect(committing_rt.settings)
    try:
        await vector_index._yielding(connection)
        assert os.getpriority(os.PRIO_PROCESS, connection.get_server_pid()) >= vector_index.NICE
        workers = int(await connection.fetchval("SHOW max_parallel_maintenance_workers"))
        assert workers < (os.cpu_count() or 1)
    finally:
        connection.terminate()
