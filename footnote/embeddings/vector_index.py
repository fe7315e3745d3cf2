"""The HNSW index of an embedding space: built in the background once its space has enough chunks.

Searches of few chunks are exact and do not use it, but each chunk that is inserted into it costs as much as the rest of
its row, and four times as much as one of an index that is built at once (ADR 56). On a machine that it shares with
Postgres a long build takes what searches leave (ADR 70); a short one is over sooner than it could yield (ADR 74). What
is known of an index is in the row of the space, for operators; whether a search can use it is Postgres' own
decision (ADR 66).
"""

import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TypeAlias

import asyncpg
from sqlalchemy import func, select, text, update
from sqlalchemy.ext.asyncio import AsyncSession

from footnote.database.driver import driver
from footnote.database.engine import connect
from footnote.errors import DatabaseUnavailable
from footnote.models import EmbeddingSpace
from footnote.runtime import Runtime
from footnote.telemetry import log

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"

WORTHWHILE = 4_000  # chunks of a space; from 5,000 in its scope on, a search uses the index
LONGEST_BUILD = 24 * 3600.0  # seconds
RETRY_SECONDS = 3600.0  # after a build that failed: the disk is full, or memory is short
SHORT = 20_000  # chunks that are indexed within seconds, in which searches have half of the machine
NICE = 10  # of a longer build, where searches have 0: with all processors busy it gets a tenth of one
LOCK = 0x766563746F72  # "vector": one process builds at a time

# Chunks are counted where there is no index only. An index whose build was interrupted is there, but not valid.
_LOOK = """
SELECT s.id, s.dimensions, coalesce(i.indisvalid, false) AS valid, held.chunks
FROM embedding_space AS s LEFT JOIN pg_index AS i ON i.indexrelid = to_regclass('ix_chunk_embedding_space_' || s.id),
LATERAL (
    SELECT CASE WHEN NOT coalesce(i.indisvalid, false) THEN (
        SELECT sum(t.chunks) FROM collection AS c, LATERAL (
            SELECT chunks FROM tally WHERE tenant_id = c.tenant_id AND collection_id = c.id
            UNION ALL SELECT chunks FROM tally_change WHERE tenant_id = c.tenant_id AND collection_id = c.id
        ) AS t WHERE c.space_id = s.id
    ) END AS chunks OFFSET 0
) AS held
WHERE CASE WHEN i.indisvalid THEN s.index_state <> 'ready' ELSE
    (s.index_state <> 'failed' OR s.index_since < now() - make_interval(secs => $1)) AND held.chunks >= $2
END
ORDER BY held.chunks NULLS FIRST
"""
# Whether there may soon be chunks enough: while documents are ingested.
_GROWING = """
SELECT EXISTS (SELECT FROM embedding_space WHERE index_state = 'none') AND EXISTS (
    SELECT tenant_id FROM job WHERE state IN ('queued', 'running', 'waiting') AND NOT reingestion ORDER BY 1 LIMIT 1
)
"""
_NOTE = "UPDATE embedding_space SET index_state = $2, index_error = $3, index_since = now() WHERE id = $1"


async def make(session: AsyncSession, space: EmbeddingSpace) -> None:
    """Builds the index at once, in the session's transaction: nothing can be written to `chunk` until it ends."""
    await session.execute(text(create("chunk", space.id, space.dimensions)))
    ready = {"index_state": "ready", "index_since": func.now()}
    await session.execute(update(EmbeddingSpace).where(EmbeddingSpace.id == space.id).values(**ready))


async def build_due(rt: Runtime) -> bool:
    """Builds the indexes that are missing or were interrupted, while chunks are read and written.

    A builder that was killed leaves a complete index, which is noted, or an invalid one, which is built again. Returns
    whether another may be due soon.
    """
    async with rt.transaction() as session:
        looking = await driver(session)
        if not await looking.fetch(_LOOK, RETRY_SECONDS, WORTHWHILE):
            return bool(await looking.fetchval(_GROWING))
    async with building(rt) as connection:
        if connection is not None:
            for space_id, dimensions, valid, chunks in await connection.fetch(_LOOK, RETRY_SECONDS, WORTHWHILE):
                if valid:
                    await connection.execute(_NOTE, space_id, "ready", None)
                else:
                    await _build(connection, space_id, dimensions, chunks)
    return False


@asynccontextmanager
async def building(rt: Runtime) -> AsyncIterator["Connection | None"]:
    """A connection that builds and drops vector indexes; None while another one does.

    It is tried, not waited for: Postgres completes a build only after all statements that began before, also those that
    wait. The lock is held until the connection ends, also while that outlives a process that was killed.
    """
    connection = await connect(rt.settings, statement_seconds=LONGEST_BUILD)
    try:
        alone = await connection.fetchval("SELECT pg_try_advisory_lock($1)", LOCK)
        if alone and _is_near(connection):
            # Postgres builds with two more processes than one: on two processors, nothing else would run.
            spare = max(0, (os.cpu_count() or 1) // 2 - 1)
            await connection.execute(f"SET max_parallel_maintenance_workers = {spare}")
        yield connection if alone else None
    finally:
        connection.terminate()


def yield_to_searches(connection: Connection) -> None:
    """Gives a server on this machine less of it, for all that follows on the connection."""
    if _is_near(connection):
        _lower(connection.get_server_pid())


def _is_near(connection: Connection) -> bool:
    return bool(connection._transport.get_extra_info("socket").family == socket.AF_UNIX)


def _lower(backend: int) -> None:
    with suppress(OSError):  # another user's, or another container's, whose processes have other numbers
        if Path(f"/proc/{backend}/cmdline").read_bytes().startswith(b"postgres:"):
            os.setpriority(os.PRIO_PROCESS, backend, max(NICE, os.getpriority(os.PRIO_PROCESS, backend)))
            # A backend is a session of its own; where Linux groups processes by session, only this counts.
            Path(f"/proc/{backend}/autogroup").write_text(str(NICE))


async def _build(connection: Connection, space_id: int, dimensions: int, chunks: int) -> None:
    log.info("building a vector index", space_id=space_id)
    if chunks > SHORT:
        yield_to_searches(connection)
    await connection.execute(_NOTE, space_id, "building", None)
    remove = f"DROP INDEX CONCURRENTLY IF EXISTS {name_of('chunk', space_id)}"
    try:
        await connection.execute(remove)
        await connection.execute(create("chunk", space_id, dimensions, "CONCURRENTLY"))
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
        if connection.is_closed():
            raise DatabaseUnavailable from error
        log.error("vector index not built", space_id=space_id, error=str(error)[:300])
        await connection.execute(remove)  # what is left of it would slow every insertion
        await connection.execute(_NOTE, space_id, "failed", f"{error}"[:300])
        return
    await connection.execute(_NOTE, space_id, "ready", None)
    log.info("vector index built", space_id=space_id)


async def states(session: AsyncSession) -> dict[str, int]:
    """Embedding spaces by the state of their index, for metrics: none (few chunks), building, ready, failed."""
    counted = select(EmbeddingSpace.index_state, func.count()).group_by(EmbeddingSpace.index_state)
    found: dict[str, int] = dict((await session.execute(counted)).all())
    return found


def name_of(table: str, space_id: int | str) -> str:
    return f"ix_{table}_embedding_space_{space_id}"


def create(table: str, space_id: int, dimensions: int, how: str = "") -> str:
    """A partial index, so that spaces of different lengths share one table."""
    return (
        f"CREATE INDEX {how} IF NOT EXISTS {name_of(table, space_id)} ON {table} "
        f"USING hnsw ((embedding::halfvec({dimensions})) halfvec_cosine_ops) "
        f"WITH (m = 16, ef_construction = 64) WHERE space_id = {space_id}"
    )
