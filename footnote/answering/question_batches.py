"""Batches of questions in the background: create, claim, end item by item, cancel, requeue.

A batch is claimed and fenced as `database.leases` has it. Each item is ended in a transaction of its own, once.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import delete, func, select, text, update
from sqlalchemy.ext.asyncio import AsyncSession

from footnote import webhooks
from footnote.database import leases
from footnote.database.clock import from_now
from footnote.database.ids import new_id
from footnote.database.leases import Lease, LeaseLost
from footnote.database.rows import affected
from footnote.database.tenant_scope import scoped, tenant_of
from footnote.documents import derived_answers
from footnote.errors import CODES, Conflict, FootnoteError, NotFound
from footnote.jobs import NOT_PAUSED, wake_dispatcher
from footnote.models import QueryBatch, QueryBatchItem
from footnote.settings import Settings
from footnote.text import clean

AT_ONCE = 2  # batches that are being worked on or sent, at most
MOST_RETRIES = 8  # some ten minutes without an answer; then a temporary error is an item's end
STORED_SECONDS = 7 * 24 * 3600.0


@dataclass(frozen=True)
class Ended:
    """How an item ended: an answer, with the documents it can have been made from, or an error."""

    answer: dict[str, Any] | None = None
    error: dict[str, Any] | None = None
    document_ids: Sequence[str] = ()


def as_json(error: FootnoteError) -> dict[str, Any]:
    return {"kind": error.kind, "code": error.code, "message": clean(error.message), "fields": error.fields}


# -- created and looked up -------------------------------------------------------------------------------------


async def create(
    session: AsyncSession, items: Sequence[dict[str, Any] | FootnoteError], callback_url: str | None
) -> QueryBatch:
    """A queued batch; an item that is an error has ended already."""
    tenant_id = tenant_of(session)
    refused = sum(isinstance(item, FootnoteError) for item in items)
    batch = QueryBatch(
        id=new_id("bat"), tenant_id=tenant_id, total=len(items), ended=refused, callback_url=callback_url
    )
    session.add(batch)
    await session.flush()
    session.add_all(
        QueryBatchItem(
            batch_id=batch.id,
            tenant_id=tenant_id,
            position=position,
            request=None if isinstance(item, FootnoteError) else item,
            error=as_json(item) if isinstance(item, FootnoteError) else None,
        )
        for position, item in enumerate(items)
    )
    await session.flush()
    if refused == len(items):
        await _end(session, batch.id, "completed")
    await wake_dispatcher(session)
    await session.refresh(batch)
    return batch


async def get(session: AsyncSession, batch_id: str) -> QueryBatch:
    """Raises NotFound."""
    batch = await session.scalar(scoped(session, QueryBatch).where(QueryBatch.id == batch_id))
    if batch is None:
        raise NotFound("query_batch_not_found", f"There is no batch of questions {batch_id!r}.")
    return batch


async def items_of(session: AsyncSession, batch: QueryBatch, *, limit: int, start: int) -> Sequence[QueryBatchItem]:
    """In order, from the position `start` on."""
    query = scoped(session, QueryBatchItem).where(QueryBatchItem.batch_id == batch.id)
    query = query.where(QueryBatchItem.position >= start).order_by(QueryBatchItem.position).limit(limit)
    return (await session.scalars(query)).all()


async def failures(session: AsyncSession, batch: QueryBatch) -> int:
    """The number of items that ended in an error."""
    failed = select(func.count()).where(
        QueryBatchItem.tenant_id == batch.tenant_id, QueryBatchItem.batch_id == batch.id
    )
    failed = failed.where(QueryBatchItem.error.is_not(None))
    return await session.scalar(failed) or 0


async def cancel(session: AsyncSession, batch_id: str) -> QueryBatch:
    """Cancels an unfinished batch; existing answers are kept. Raises NotFound, Conflict."""
    batch = await get(session, batch_id)
    if not await _end(session, batch.id, "cancelled"):
        raise Conflict("query_batch_finished", f"The batch is {batch.state}; only an unfinished one can be cancelled.")
    await session.refresh(batch)
    return batch


async def purge(session: AsyncSession) -> None:
    """Removes batches that ended a week ago."""
    await session.execute(delete(QueryBatch).where(QueryBatch.finished_at < from_now(-STORED_SECONDS)))


# -- worked on -------------------------------------------------------------------------------------------------


async def claim(
    session: AsyncSession, batch_id: str, lease_seconds: float, holder: str | None = None
) -> QueryBatch | None:
    """Claims the batch if it is due; None for a late, duplicate or early message, and in a pause."""
    return await leases.claim(session, QueryBatch, batch_id, lease_seconds, holder, NOT_PAUSED)


async def pending(session: AsyncSession, batch: QueryBatch) -> Sequence[tuple[int, dict[str, Any]]]:
    """Position and request of the items that have not ended, in order."""
    of_batch = (QueryBatchItem.tenant_id == batch.tenant_id) & (QueryBatchItem.batch_id == batch.id)
    query = select(QueryBatchItem.position, QueryBatchItem.request).where(of_batch, _PENDING)
    query = query.order_by(QueryBatchItem.position)
    return [(row.position, row.request) for row in await session.execute(query)]


_PENDING = QueryBatchItem.answer.is_(None) & QueryBatchItem.error.is_(None)


async def store(session: AsyncSession, lease: Lease, position: int, ended: Ended, lease_seconds: float) -> None:
    """Ends an item, and with the last one the batch. Raises LeaseLost: then another worker ends the item."""
    again = {"attempts": 1} | ({} if ended.error else {"retries": 0})
    moved = await session.execute(
        lease.renewal(lease_seconds)
        .values(ended=QueryBatch.ended + 1, **again)
        .returning(QueryBatch.ended, QueryBatch.total)
    )
    row = moved.one_or_none()
    if row is None:
        raise LeaseLost(lease.id)
    item = (QueryBatchItem.batch_id == lease.id) & (QueryBatchItem.position == position)
    written = await affected(session, update(QueryBatchItem).where(item, _PENDING).values(**vars(ended)))
    assert written == 1, "only the holder ends items, each once"
    if not await derived_answers.all_exist(session, ended.document_ids):
        await session.execute(derived_answers.redacted_items(item))
    if row.ended == row.total:
        await _end(session, lease.id, "completed")


async def postpone(session: AsyncSession, lease: Lease, error: FootnoteError) -> None:
    """After a temporary error: waits, longer each time, or as long as the provider asked for. Raises LeaseLost."""
    retries = await _retries(session, lease)
    await leases.put_back(
        session,
        lease,
        after=max(error.retry_after or 0.0, leases.backoff(retries)),
        waiting_for=clean(f"{error.waits_for}: {error.message}"),
        retries=retries + error.is_failure,
    )


async def may_postpone(session: AsyncSession, lease: Lease) -> bool:
    """Whether the batch still waits after a temporary error."""
    return await _retries(session, lease) < MOST_RETRIES


async def _retries(session: AsyncSession, lease: Lease) -> int:
    return await session.scalar(select(QueryBatch.retries).where(lease.fence)) or 0


async def release(session: AsyncSession, lease: Lease) -> None:
    """Gives the batch back because it yields or the worker shuts down: due at once, not counted. Raises LeaseLost."""
    await leases.put_back(session, lease)
    await wake_dispatcher(session)


async def _end(session: AsyncSession, batch_id: str, state: str) -> bool:
    """Ends an unfinished batch, and queues its webhook; False if it had ended."""
    ending = leases.ending(QueryBatch, QueryBatch.id == batch_id, state).returning(QueryBatch)
    batch = await session.scalar(ending.execution_options(populate_existing=True))
    if batch is None:
        return False
    event = f"query_batch.{state}"
    receivers = await webhooks.listening(session, batch.tenant_id, event)
    receivers += [webhooks.WebhookTarget(batch.callback_url)] if batch.callback_url else []
    if receivers:
        counts = {"total": batch.total, "ended": batch.ended, "failed": await failures(session, batch)}
        data = {"query_batch_id": batch.id, "status": state, **counts}
        await webhooks.queue(session, batch.tenant_id, batch.id, 1, event, receivers, data)
    return True


# -- sent, and taken back --------------------------------------------------------------------------------------

# Few batches are unfinished at a time. Tenants are in rotation, by chance where none has more at work: by age, a tenant
# that sends many would be first until the last of them. Of a tenant's batches the one that waits longest is next.
_TAKE_DUE = text(
    """
    WITH unfinished AS (
        SELECT *, state = 'running' OR dispatched_at >= now() - make_interval(secs => :again) AS flies
        FROM query_batch WHERE state IN ('queued', 'running', 'waiting')
    ), in_flight AS (
        SELECT tenant_id, count(*) AS batches FROM unfinished WHERE flies GROUP BY tenant_id
    ), due AS (
        SELECT id, coalesce(batches, 0)
               + row_number() OVER (PARTITION BY tenant_id ORDER BY next_attempt_at, id) AS place
        FROM unfinished LEFT JOIN in_flight USING (tenant_id)
        WHERE flies IS NOT TRUE AND next_attempt_at <= now()
    )
    UPDATE query_batch SET dispatched_at = now()
    FROM (SELECT id FROM due ORDER BY place, random()
          LIMIT greatest(0, :at_once - (SELECT coalesce(sum(batches), 0) FROM in_flight))) AS chosen
    WHERE query_batch.id = chosen.id AND query_batch.state IN ('queued', 'waiting')
    RETURNING query_batch.id
    """
)


async def take_due(session: AsyncSession, again_seconds: float, slots: int) -> Sequence[str]:
    """Ids of due batches, marked as dispatched, as far as there is room: of a worker's slots, one is for documents."""
    room = max(1, min(AT_ONCE, slots - 1))
    return (await session.scalars(_TAKE_DUE, {"again": again_seconds, "at_once": room})).all()


async def requeue_expired(session: AsyncSession, settings: Settings) -> Sequence[str]:
    """Requeues batches of stopped workers; returns their ids. One that killed several ends, its open items fail."""
    again, poison = await leases.take_back(session, QueryBatch, settings.max_attempts)
    ids = [batch.id for batch in (*again, *poison)]
    for batch in poison:
        await _give_up(session, batch.id)
    return ids


async def _give_up(session: AsyncSession, batch_id: str) -> None:
    crashed = {"kind": "internal", "code": "worker_crashed", "message": CODES["worker_crashed"], "fields": []}
    open_items = update(QueryBatchItem).where(QueryBatchItem.batch_id == batch_id, _PENDING)
    await session.execute(open_items.values(error=crashed))
    await session.execute(update(QueryBatch).where(QueryBatch.id == batch_id).values(ended=QueryBatch.total))
    await _end(session, batch_id, "completed")
