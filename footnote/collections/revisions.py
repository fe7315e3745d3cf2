"""Revisions of collections: while the number of a collection stays the same, so does what a question finds in it."""

from collections.abc import Iterable, Mapping

from sqlalchemy import select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from footnote.database.rows import affected
from footnote.database.tenant_scope import scoped, tenant_of
from footnote.models import Collection, CollectionRevision

# Found through the tenant's view: row-level security would keep the index on collections from being used, and each
# change would read all answers of the tenant.
_DROP = text(
    """
    DELETE FROM cached_answer WHERE tenant_id = :tenant AND id = ANY(ARRAY(
        SELECT id FROM cached_answer_of_tenant WHERE collection_ids @> CAST(:collections AS text[])))
    """
)


async def changed(session: AsyncSession, collection_ids: Iterable[str]) -> int:
    """Drops the cached answers that were found in any of the collections; how many.

    Call it last in a transaction: other changes of the same collection wait from here to its end. An answer that is
    stored at the same time either comes first, and is dropped here, or sees this change, and is not stored.
    """
    tenant_id = tenant_of(session)
    dropped = 0
    for collection_id in sorted(set(collection_ids)):
        first = insert(CollectionRevision).values(collection_id=collection_id, tenant_id=tenant_id, revision=1)
        following = {"revision": CollectionRevision.revision + 1}
        await session.execute(first.on_conflict_do_update(index_elements=["collection_id"], set_=following))
        dropped += await affected(session, _DROP, {"tenant": tenant_id, "collections": [collection_id]})
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
