"""When collections expire: some days after they were used last. Then their documents are deleted; they stay, empty."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta

from sqlalchemy import ColumnElement, Interval, cast, exists, func, literal, select
from sqlalchemy.ext.asyncio import AsyncSession

from footnote.database.driver import driver
from footnote.database.tenant_scope import tenant_of
from footnote.errors import Invalid
from footnote.models import Collection, Document

# Once a minute at most; one that cannot expire and shows no such time is not written at all. What another transaction
# holds is passed over: that one uses it, too.
_NOTE = """
UPDATE collection SET last_active_at = now() WHERE id IN (
    SELECT id FROM collection
    WHERE tenant_id = $1 AND id = ANY($2::text[]) AND last_active_at < now() - interval '1 minute'
    FOR NO KEY UPDATE SKIP LOCKED
)
"""


async def note_active(session: AsyncSession, collection_ids: Iterable[str]) -> None:
    """Notes that the collections are used: searched, or added to."""
    await (await driver(session)).execute(_NOTE, tenant_of(session), list(collection_ids))


def expires_at(collection: Collection) -> datetime | None:
    if collection.expires_after_days is None or collection.last_active_at is None:
        return None
    return collection.last_active_at + timedelta(days=collection.expires_after_days)


def is_expired(collection: Collection) -> bool:
    moment = expires_at(collection)
    return moment is not None and moment <= datetime.now(UTC)


def check(collection: Collection) -> None:
    """Raises Invalid for a collection that is expired."""
    if is_expired(collection):
        raise is_over()


def is_over() -> Invalid:
    return Invalid("vector_store_expired", "The vector store is expired: change its expires_after, or make another.")


def _expired() -> ColumnElement[bool]:
    a_day = cast(literal("1 day"), Interval)
    return Collection.last_active_at + Collection.expires_after_days * a_day <= func.now()


async def expired(session: AsyncSession) -> Sequence[tuple[str, str]]:
    """Tenant and id of all expired collections that have documents; for the operator."""
    found = select(Collection.tenant_id, Collection.id).where(Collection.expires_after_days.is_not(None), _expired())
    filled = exists().where(Document.tenant_id == Collection.tenant_id, Document.collection_id == Collection.id)
    rows = await session.execute(found.where(Collection.deleted_at.is_(None), filled))
    return [(tenant_id, collection_id) for tenant_id, collection_id in rows]


async def still_expired(session: AsyncSession, collection_id: str) -> bool:
    """Whether it is expired now, and nothing is being added to it; if so, it stays so until the transaction ends."""
    held = select(Collection.id).where(Collection.id == collection_id, _expired()).with_for_update()
    return await session.scalar(held) is not None
