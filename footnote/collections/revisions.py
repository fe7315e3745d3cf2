"""Revisions of collections: while the number of a collection stays the same, so does what a question finds in it."""

from collections.abc import Iterable, Mapping

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from footnote.database.driver import driver
from footnote.database.tenant_scope import scoped, tenant_of
from footnote.models import Collection, CollectionRevision

# Found through the tenant's view: row-level security would keep the index on collections from being used, and each
# change would read all answers of the tenant.
_DROP = """
WITH dropped AS (
    DELETE FROM cached_answer WHERE tenant_id = $1 AND id = ANY(ARRAY(
        SELECT id FROM cached_answer_of_tenant WHERE collection_ids @> ARRAY[CAST($2 AS text)]))
    RETURNING id
)
SELECT count(*) FROM dropped
"""
# A statement of its own: it may wait for an answer that is being stored, which the next one then sees.
_RAISE = """
INSERT INTO collection_revision (collection_id, tenant_id, revision) VALUES ($2, $1, 1)
ON CONFLICT (collection_id) DO UPDATE SET revision = collection_revision.revision + 1
"""


async def changed(session: AsyncSession, collection_ids: Iterable[str]) -> int:
    """Drops the cached answers that were found in any of the collections; how many.

    Call it last in a transaction: other changes of the same collection wait from here to its end. An answer that is
    stored at the same time either comes first, and is dropped here, or sees this change, and is not stored.
    """
    tenant_id, connection = tenant_of(session), await driver(session)
    dropped = 0
    for collection_id in sorted(set(collection_ids)):
        await connection.execute(_RAISE, tenant_id, collection_id)
        dropped += await connection.fetchval(_DROP, tenant_id, collection_id)
    return dropped


async def hold(session: AsyncSession, expected: Mapping[str, int]) -> bool:
    """Whether the collections are still at these revisions; if so, they stay there until the transaction ends."""
    ids = sorted(expected)
    # A row that is not there could not be held. A collection may be gone since it was looked into.
    known = select(CollectionRevision.collection_id).where(CollectionRevision.collection_id.in_(ids))
    new = scoped(session, Collection).where(Collection.id.in_(ids), Collection.id.not_in(known))
    new = new.order_by(Collection.id).with_for_update(read=True, key_share=True)
    columns = new.with_only_columns(Collection.id, Collection.tenant_id)
    added = insert(CollectionRevision).from_select(["collection_id", "tenant_id"], columns, include_defaults=False)
    await session.execute(added.on_conflict_do_nothing())
    held = select(CollectionRevision).where(CollectionRevision.collection_id.in_(ids))
    held = held.order_by(CollectionRevision.collection_id).with_for_update(read=True)
    return {row.collection_id: row.revision for row in await session.scalars(held)} == dict(expected)
