"""How many documents, chunks and bytes collections and tenants have, without counting them.

Triggers on documents, versions and files write each change as a row, so no writer waits for another; `fold` adds the
rows to totals now and then. The totals and the changes that are not folded yet are exact for what a transaction sees.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from footnote.database.rows import affected
from footnote.database.tenant_scope import tenant_of

FILES = "files"  # in place of a collection: the bytes of files, without those that documents made from them show
AT_ONCE = 5_000  # changes folded in one transaction


@dataclass(frozen=True)
class DocumentTally:
    """`searchable` documents have a version that queries see, and `chunks` are of these versions."""

    documents: int = 0
    searchable: int = 0
    chunks: int = 0
    bytes: int = 0


_TOTALS = (
    "CAST(sum(documents) AS bigint), CAST(sum(searchable) AS bigint), CAST(sum(chunks) AS bigint), "
    "CAST(sum(bytes) AS bigint)"
)
_OF_COLLECTIONS = f"""
SELECT collection_id, {_TOTALS} FROM (
    SELECT collection_id, documents, searchable, chunks, bytes FROM tally
    WHERE tenant_id = :tenant AND collection_id = ANY(:ids)
    UNION ALL
    SELECT collection_id, documents, searchable, chunks, bytes FROM tally_change
    WHERE tenant_id = :tenant AND collection_id = ANY(:ids)
) AS each GROUP BY collection_id
"""  # noqa: S608  constants
_OF_TENANTS = f"""
SELECT tenant_id, {_TOTALS} FROM (
    SELECT tenant_id, documents, searchable, chunks, bytes FROM tally
    WHERE collection_id = '' AND (CAST(:tenant AS text) IS NULL OR tenant_id = :tenant)
    UNION ALL
    SELECT tenant_id, documents, searchable, chunks, bytes FROM tally_change
    WHERE CAST(:tenant AS text) IS NULL OR tenant_id = :tenant
) AS each GROUP BY tenant_id
"""  # noqa: S608  constants
# One of its columns, as SQL within a statement that has a tenant and a collection `chosen`.
OF_CHOSEN = """
SELECT CAST(coalesce(sum({column}), 0) AS bigint) FROM (
    SELECT {column} FROM tally WHERE tenant_id = :tenant AND collection_id = chosen.id
    UNION ALL SELECT {column} FROM tally_change WHERE tenant_id = :tenant AND collection_id = chosen.id
) AS each
"""


async def of_collections(session: AsyncSession, collection_ids: Sequence[str]) -> dict[str, DocumentTally]:
    """By id; a collection that never had a document is left out."""
    found = await session.execute(text(_OF_COLLECTIONS), {"tenant": tenant_of(session), "ids": list(collection_ids)})
    return {collection_id: DocumentTally(*counts) for collection_id, *counts in found}


async def of_tenant(session: AsyncSession, tenant_id: str) -> DocumentTally:
    """What the tenant has in all its collections."""
    return (await _of_tenants(session, tenant_id)).get(tenant_id, DocumentTally())


async def of_all_tenants(session: AsyncSession) -> dict[str, DocumentTally]:
    """By tenant; for the operator."""
    return await _of_tenants(session, None)


async def _of_tenants(session: AsyncSession, tenant_id: str | None) -> dict[str, DocumentTally]:
    found = await session.execute(text(_OF_TENANTS), {"tenant": tenant_id})
    return {each: DocumentTally(*counts) for each, *counts in found}


# -- folded and checked ----------------------------------------------------------------------------------------

# Locked in an order, as two processes may fold at the same time.
_FOLD = text(
    """
    WITH folded AS (
        DELETE FROM tally_change WHERE ctid = ANY(ARRAY(
            SELECT ctid FROM tally_change LIMIT :at_once FOR UPDATE SKIP LOCKED))
        RETURNING tenant_id, collection_id, documents, searchable, chunks, bytes
    ), added AS (
        SELECT tenant_id, coalesce(collection_id, '') AS collection_id, sum(documents) AS documents,
               sum(searchable) AS searchable, sum(chunks) AS chunks, sum(bytes) AS bytes
        FROM folded GROUP BY GROUPING SETS ((tenant_id, collection_id), (tenant_id))
    ), totals AS (
        INSERT INTO tally AS t (tenant_id, collection_id, documents, searchable, chunks, bytes)
        SELECT * FROM added ORDER BY tenant_id, collection_id
        ON CONFLICT (tenant_id, collection_id) DO UPDATE
        SET documents = t.documents + excluded.documents, searchable = t.searchable + excluded.searchable,
            chunks = t.chunks + excluded.chunks, bytes = t.bytes + excluded.bytes
    )
    SELECT count(*) FROM folded
    """
)


async def fold(session: AsyncSession) -> bool:
    """Adds changes to the totals. Returns whether there may be more."""
    return (await session.scalar(_FOLD, {"at_once": AT_ONCE}) or 0) == AT_ONCE


_EMPTY = text("DELETE FROM tally WHERE documents = 0 AND searchable = 0 AND chunks = 0 AND bytes = 0")


async def purge(session: AsyncSession) -> int:
    """Removes zero totals, such as those of deleted collections; returns their number."""
    return await affected(session, _EMPTY)


# What the totals and changes miss of what is there. In one statement, so that all of it is seen at one moment.
MISSING = f"""
SELECT tenant_id, collection_id, sum(documents) AS documents, sum(searchable) AS searchable, sum(chunks) AS chunks,
       sum(bytes) AS bytes
FROM (
    SELECT tenant_id, collection_id, 1 AS documents, CAST(active_version_id IS NOT NULL AS int) AS searchable,
           0 AS chunks, 0 AS bytes
    FROM document
    UNION ALL
    SELECT d.tenant_id, d.collection_id, 0, 0,
           CASE WHEN v.id = d.active_version_id THEN coalesce(v.chunks, 0) ELSE 0 END,
           CASE WHEN v.object_key IS NULL THEN 0 ELSE v.bytes END
    FROM version v JOIN document d ON d.id = v.document_id
    UNION ALL
    SELECT tenant_id, '{FILES}', 0, 0, 0, bytes FROM file
    UNION ALL
    SELECT tenant_id, '{FILES}', 0, 0, 0, -bytes FROM version WHERE shared AND object_key IS NOT NULL
    UNION ALL
    SELECT tenant_id, collection_id, -documents, -searchable, -chunks, -bytes FROM tally WHERE collection_id <> ''
    UNION ALL
    SELECT tenant_id, collection_id, -documents, -searchable, -chunks, -bytes FROM tally_change
) AS each GROUP BY tenant_id, collection_id
HAVING sum(documents) <> 0 OR sum(searchable) <> 0 OR sum(chunks) <> 0 OR sum(bytes) <> 0
"""  # noqa: S608  constants
_CORRECT = f"""
INSERT INTO tally_change (tenant_id, collection_id, documents, searchable, chunks, bytes)
{MISSING} RETURNING collection_id
"""


async def wrong(session: AsyncSession, *, correct: bool) -> Sequence[Any]:
    """Ids of the collections with a wrong tally; reads all documents. `correct`: corrects it."""
    # Two at a time would each add what is missing.
    await session.execute(text("SELECT pg_advisory_xact_lock(hashtext('footnote.tally'))"))
    statement = _CORRECT if correct else f"SELECT collection_id FROM ({MISSING}) AS missing"  # noqa: S608  constants
    return (await session.scalars(text(statement))).all()
