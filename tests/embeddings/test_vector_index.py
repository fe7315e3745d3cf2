"""When the index of an embedding space is built, and by whom."""

import asyncio
import os

import pytest
from sqlalchemy import select, text

from footnote.database.engine import connect
from footnote.embeddings import vector_index
from footnote.errors import DatabaseUnavailable
from footnote.models import EmbeddingSpace
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


async def noted(rt: Runtime) -> tuple[str, str | None]:
    """What the row of the space says of its index."""
    async with rt.transaction() as session:
        space = (await session.scalars(select(EmbeddingSpace))).one()
        return space.index_state, space.index_error


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
    assert (await state(filled), await noted(filled)) == ([], ("none", None))
    monkeypatch.setattr(vector_index, "WORTHWHILE", 3)
    await asyncio.gather(*(vector_index.build_due(filled) for _ in range(3)))
    [(number, valid)] = await state(filled)
    assert valid
    assert await noted(filled) == ("ready", None)
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


# What a build waits for at two of its moments: for those who write, before it reads the table, and for those who may
# see what it does not, after that. Here both go on for as long as the test wants.
MOMENTS = {
    "waiting for writers before build": "LOCK TABLE chunk IN ROW EXCLUSIVE MODE",
    "waiting for old snapshots": "SELECT count(*) FROM chunk",
}
_BUILDER = "SELECT pid FROM pg_stat_progress_create_index WHERE datname = current_database() AND phase = $1"


@pytest.mark.parametrize("moment", MOMENTS)
async def test_writers_pass_a_build_and_its_server_process_may_be_killed(
    filled: Runtime, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    monkeypatch.setattr(vector_index, "WORTHWHILE", 3)
    other, looking = await connect(filled.settings), await connect(filled.settings)
    await other.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
    await other.execute(MOMENTS[moment])
    building = asyncio.create_task(vector_index.build_due(filled))
    while (pid := await looking.fetchval(_BUILDER, moment)) is None:
        assert not building.done()
    assert await noted(filled) == ("building", None)
    await driving.ready(filled, await driving.new_tenant(filled), "A text beside the build.")
    await looking.execute("SELECT pg_terminate_backend($1)", pid)
    with pytest.raises(DatabaseUnavailable):
        await building
    assert [valid for _, valid in await state(filled)] == [False]
    await other.close()
    await vector_index.build_due(filled)
    assert [valid for _, valid in await state(filled)] == [True]
    assert await noted(filled) == ("ready", None)
    await looking.close()


async def test_what_a_killed_builder_completed_is_not_built_again(
    filled: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vector_index, "WORTHWHILE", 3)
    await driving.index(filled)
    await filled.execute(text("UPDATE embedding_space SET index_state = 'building'"))
    found = await state(filled)
    await vector_index.build_due(filled)
    assert (await state(filled), await noted(filled)) == (found, ("ready", None))


async def test_a_build_that_fails_leaves_nothing_and_is_tried_again_later(
    filled: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vector_index, "WORTHWHILE", 3)
    wrong, right = (f"UPDATE embedding_space SET dimensions = dimensions {by}" for by in ("- 1", "+ 1"))
    await filled.execute(text(wrong))
    await vector_index.build_due(filled)
    assert await noted(filled) == ("failed", "expected 63 dimensions, not 64")
    assert await state(filled) == []
    await filled.execute(text(right))
    await vector_index.build_due(filled)
    assert await state(filled) == []
    await filled.execute(text("UPDATE embedding_space SET index_since = index_since - interval '1 hour'"))
    await vector_index.build_due(filled)
    assert (await noted(filled))[0] == "ready"


async def test_a_long_build_leaves_the_machine_to_searches(filled: Runtime, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vector_index, "WORTHWHILE", 3)
    lowered: list[int] = []
    monkeypatch.setattr(vector_index, "_lower", lowered.append)
    await vector_index.build_due(filled)
    assert lowered == [], "a short one is soon over"
    async with filled.operator.transaction() as session:
        await session.execute(text(f"DROP INDEX {vector_index.name_of('chunk', 1)}"))
        await session.execute(text("UPDATE embedding_space SET index_state = 'none'"))
    monkeypatch.setattr(vector_index, "SHORT", 2)
    await vector_index.build_due(filled)
    assert len(lowered) == 1


async def test_a_build_takes_one_process_of_low_priority(committing_rt: Runtime) -> None:
    async with vector_index.building(committing_rt) as connection:
        assert connection is not None
        vector_index.yield_to_searches(connection)
        assert os.getpriority(os.PRIO_PROCESS, connection.get_server_pid()) >= vector_index.NICE
        workers = int(await connection.fetchval("SHOW max_parallel_maintenance_workers"))
        assert workers < (os.cpu_count() or 1)


async def test_a_space_without_collections_gets_no_index(filled: Runtime, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vector_index, "WORTHWHILE", 0)
    async with filled.transaction() as session:
        await session.execute(text("UPDATE collection SET space_id = NULL"))
    assert not await vector_index.build_due(filled)
    assert (await state(filled), await noted(filled)) == ([], ("none", None))


async def test_chunks_count_at_once_and_more_are_looked_for_while_documents_are_ingested(
    committing_rt: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    rt, tenant = committing_rt, await driving.new_tenant(committing_rt)
    await driving.ready(rt, tenant, "A text about the whale.")
    assert not await vector_index.build_due(rt), "nothing is ingested"
    await driving.accept(rt, tenant, b"A text about the siren.", "siren.txt")
    assert await vector_index.build_due(rt)
    monkeypatch.setattr(vector_index, "WORTHWHILE", 1)
    await vector_index.build_due(rt)
    assert await noted(rt) == ("ready", None), "though nothing was folded"
    assert not await vector_index.build_due(rt)
