"""Many questions answered in the background: made, claimed, kept item by item, cancelled; and what stands still.

The protocol is that of `jobs`: a message is a doorbell, whoever answers it claims the row, which raises a fencing
token, and may write only while it holds the newest. Each item is ended in a transaction of its own, once.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, CursorResult, Update, and_, case, delete, exists, func, select, text, update
from sqlalchemy.ext.asyncio import AsyncSession

from footnote import webhooks
from footnote.database.clock import from_now
from footnote.database.ids import new_id
from footnote.database.tenant_scope import scoped, tenant_of
from footnote.documents import derived_answers
from footnote.errors import CODES, Conflict, FootnoteError, NotFound
from footnote.jobs import LONGEST_WAIT, UNFINISHED, LeaseLost, wake_dispatcher
from footnote.models import Pause, QueryBatch, QueryBatchItem
from footnote.settings import Settings
from footnote.text import clean

AT_ONCE = 2  # batches that are being worked on or sent, at most
MOST_RETRIES = 8  # some ten minutes without an answer; then a temporary error is an item's end
KEPT_SECONDS = 7 * 24 * 3600.0
_UNCLAIMED = ("queued", "waiting")


@dataclass(frozen=True)
class Claim:
    """The right to answer questions of a batch, until the lease runs out."""

    batch_id: str
    tenant_id: str
    token: int

    @property
    def fence(self) -> ColumnElement[bool]:
        return and_(QueryBatch.id == self.batch_id, QueryBatch.token == self.token, QueryBatch.state == "running")

    def renewal(self, lease_seconds: float) -> Update:
        return update(QueryBatch).where(self.fence).values(lease_until=from_now(lease_seconds))


@dataclass(frozen=True)
class Ended:
    """How an item ended: an answer, with the documents it can have been made from, or an error."""

    answer: dict[str, Any] | None = None
    error: dict[str, Any] | None = None
    document_ids: Sequence[str] = ()


def told_of(error: FootnoteError) -> dict[str, Any]:
    return {"kind": error.kind, "code": error.code, "message": clean(error.message), "fields": error.fields}


# -- made and asked about ------------------------------------------------------------------------------------


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
            error=told_of(item) if isinstance(item, FootnoteError) else None,
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
    """How many items ended in an error."""
    failed = select(func.count()).where(
        QueryBatchItem.tenant_id == batch.tenant_id, QueryBatchItem.batch_id == batch.id
    )
    failed = failed.where(QueryBatchItem.error.is_not(None))
    return await session.scalar(failed) or 0


async def cancel(session: AsyncSession, batch_id: str) -> QueryBatch:
    """Ends an unfinished batch; what was answered stays. Raises NotFound, Conflict."""
    batch = await get(session, batch_id)
    if not await _end(session, batch.id, "cancelled"):
        raise Conflict("query_batch_finished", f"The batch is {batch.state}; only an unfinished one can be cancelled.")
    await session.refresh(batch)
    return batch


async def purge(session: AsyncSession) -> None:
    """Removes batches that ended a week ago."""
    await session.execute(delete(QueryBatch).where(QueryBatch.finished_at < from_now(-KEPT_SECONDS)))


# -- worked on -----------------------------------------------------------------------------------------------


async def claim(session: AsyncSession, batch_id: str, lease_seconds: float, holder: str | None = None) -> Claim | None:
    """Takes the batch if it is due; None for every late, doubled or early message, and in a pause."""
    due = QueryBatch.state.in_(_UNCLAIMED) & (QueryBatch.next_attempt_at <= func.now()) & ~exists(select(Pause))
    running = {"state": "running", "token": QueryBatch.token + 1, "attempts": QueryBatch.attempts + 1}
    claimed = await session.execute(
        update(QueryBatch)
        .where(QueryBatch.id == batch_id, due)
        .values(**running, holder=holder, lease_until=from_now(lease_seconds), next_attempt_at=None, waiting_for=None)
        .returning(QueryBatch.tenant_id, QueryBatch.token)
    )
    row = claimed.one_or_none()
    return Claim(batch_id, row.tenant_id, row.token) if row else None


async def pending(session: AsyncSession, claim: Claim) -> Sequence[tuple[int, dict[str, Any]]]:
    """Position and request of the items that have not ended, in order."""
    query = select(QueryBatchItem.position, QueryBatchItem.request).order_by(QueryBatchItem.position)
    query = query.where(
        QueryBatchItem.tenant_id == claim.tenant_id, QueryBatchItem.batch_id == claim.batch_id, _PENDING
    )
    return [(row.position, row.request) for row in await session.execute(query)]


_PENDING = QueryBatchItem.answer.is_(None) & QueryBatchItem.error.is_(None)


async def keep(session: AsyncSession, claim: Claim, position: int, ended: Ended, lease_seconds: float) -> None:
    """Ends an item, and with the last one the batch. Raises LeaseLost: then the item is another's to end."""
    again = {"attempts": 1} | ({} if ended.error else {"retries": 0})
    moved = await session.execute(
        claim.renewal(lease_seconds)
        .values(ended=QueryBatch.ended + 1, **again)
        .returning(QueryBatch.ended, QueryBatch.total)
    )
    row = moved.one_or_none()
    if row is None:
        raise LeaseLost(claim.batch_id)
    item = (QueryBatchItem.batch_id == claim.batch_id) & (QueryBatchItem.position == position)
    written = await session.execute(update(QueryBatchItem).where(item, _PENDING).values(**vars(ended)))
    assert isinstance(written, CursorResult)
    assert written.rowcount == 1, "only the holder ends items, each once"
    if not await derived_answers.all_there(session, ended.document_ids):
        await session.execute(derived_answers.emptied_items(item))
    if row.ended == row.total:
        await _end(session, claim.batch_id, "completed")


async def postpone(session: AsyncSession, claim: Claim, error: FootnoteError) -> None:
    """After a temporary error: waits, longer each time, or as long as the other side asked for. Raises LeaseLost."""
    retries = await session.scalar(select(QueryBatch.retries).where(claim.fence)) or 0
    backoff = min(LONGEST_WAIT, 2.0**retries) * random.uniform(0.5, 1.0)  # noqa: S311  spreading, not secrecy
    await _let_go(
        session,
        claim,
        state="waiting",
        retries=retries + error.is_failure,
        next_attempt_at=from_now(max(error.retry_after or 0.0, backoff)),
        waiting_for=clean(f"{error.waits_for}: {error.message}"),
    )


async def patient(session: AsyncSession, claim: Claim) -> bool:
    """Whether a temporary error is still waited out."""
    return (await session.scalar(select(QueryBatch.retries).where(claim.fence)) or 0) < MOST_RETRIES


async def release(session: AsyncSession, claim: Claim) -> None:
    """Gives the batch back unharmed (its turn is over, or the worker shuts down): due at once, not counted."""
    await _let_go(session, claim, state="queued", next_attempt_at=func.now())
    await wake_dispatcher(session)


async def _let_go(session: AsyncSession, claim: Claim, **values: Any) -> None:
    free: dict[str, Any] = {"attempts": QueryBatch.attempts - 1, "lease_until": None, "dispatched_at": None}
    done = await session.execute(update(QueryBatch).where(claim.fence).values(**free, **values))
    assert isinstance(done, CursorResult)
    if done.rowcount != 1:
        raise LeaseLost(claim.batch_id)


async def _end(session: AsyncSession, batch_id: str, state: str) -> bool:
    """Ends an unfinished batch, and tells of it; False if it had ended."""
    nothing_due: dict[str, Any] = {"lease_until": None, "next_attempt_at": None, "waiting_for": None}
    ended = await session.execute(
        update(QueryBatch)
        .where(QueryBatch.id == batch_id, QueryBatch.state.in_(UNFINISHED))
        .values(state=state, token=QueryBatch.token + 1, finished_at=func.now(), **nothing_due)
        .returning(QueryBatch)
        .execution_options(populate_existing=True)
    )
    batch = ended.scalar_one_or_none()
    if batch is None:
        return False
    event = f"query_batch.{state}"
    receivers = await webhooks.listening(session, batch.tenant_id, event)
    receivers += [webhooks.Receiver(batch.callback_url)] if batch.callback_url else []
    if receivers:
        counts = {"total": batch.total, "ended": batch.ended, "failed": await failures(session, batch)}
        data = {"query_batch_id": batch.id, "status": state, **counts}
        await webhooks.queue(session, batch.tenant_id, batch.id, 1, event, receivers, data)
    return True


# -- sent, and taken back ------------------------------------------------------------------------------------

# Few batches are unfinished at a time. Tenants take turns, by chance where none has more at work: by age, who sends
# many would go first until the last of them. Of a tenant's batches the one that waits longest goes on.
_TAKE_DUE = text(
    """
    WITH unfinished AS (
        SELECT *, state = 'running' OR dispatched_at >= now() - make_interval(secs => :again) AS flies
        FROM query_batch WHERE state IN ('queued', 'running', 'waiting')
    ), flying AS (
        SELECT tenant_id, count(*) AS batches FROM unfinished WHERE flies GROUP BY tenant_id
    ), due AS (
        SELECT id, coalesce(batches, 0)
               + row_number() OVER (PARTITION BY tenant_id ORDER BY next_attempt_at, id) AS place
        FROM unfinished LEFT JOIN flying USING (tenant_id)
        WHERE flies IS NOT TRUE AND next_attempt_at <= now()
    )
    UPDATE query_batch SET dispatched_at = now()
    FROM (SELECT id FROM due ORDER BY place, random()
          LIMIT greatest(0, :at_once - (SELECT coalesce(sum(batches), 0) FROM flying))) AS chosen
    WHERE query_batch.id = chosen.id AND query_batch.state IN ('queued', 'waiting')
    RETURNING query_batch.id
    """
)


async def take_due(session: AsyncSession, again_seconds: float, slots: int) -> Sequence[str]:
    """Ids of due batches, marked as dispatched, as far as there is room: of a worker's slots, one is for documents."""
    room = max(1, min(AT_ONCE, slots - 1))
    return (await session.scalars(_TAKE_DUE, {"again": again_seconds, "at_once": room})).all()


async def forget_dispatched(session: AsyncSession) -> None:
    """The broker lost its messages: every waiting batch may be sent again at once."""
    sent = QueryBatch.state.in_(_UNCLAIMED) & QueryBatch.dispatched_at.is_not(None)
    await session.execute(update(QueryBatch).where(sent).values(dispatched_at=None))


async def reap(session: AsyncSession, settings: Settings) -> Sequence[str]:
    """Takes batches back whose worker went silent; their ids. One that killed several ends, its open items failed."""
    silent = await session.scalars(
        select(QueryBatch)
        .where(QueryBatch.state == "running", QueryBatch.lease_until < func.now())
        .with_for_update(skip_locked=True)
    )
    found = silent.all()
    for batch in found:
        again = from_now(min(30.0, 0.5 * 2**batch.attempts))
        values = {"token": QueryBatch.token + 1, "state": "waiting", "lease_until": None, "dispatched_at": None}
        waits = {"next_attempt_at": again, "waiting_for": "another attempt: the worker stopped answering"}
        await session.execute(update(QueryBatch).where(QueryBatch.id == batch.id).values(**values, **waits))
        if batch.attempts >= settings.max_attempts:
            await _give_up(session, batch.id)
    return [batch.id for batch in found]


async def _give_up(session: AsyncSession, batch_id: str) -> None:
    told = {"kind": "internal", "code": "worker_crashed", "message": CODES["worker_crashed"], "fields": []}
    open_items = update(QueryBatchItem).where(QueryBatchItem.batch_id == batch_id, _PENDING)
    await session.execute(open_items.values(error=told))
    await session.execute(update(QueryBatch).where(QueryBatch.id == batch_id).values(ended=QueryBatch.total))
    await _end(session, batch_id, "completed")


async def holder_died(session: AsyncSession, batch_id: str, message: str) -> None:
    """Ends the lease of who answered the message."""
    held = (QueryBatch.id == batch_id) & (QueryBatch.holder == message) & QueryBatch.state.in_(UNFINISHED)
    over = case((QueryBatch.state == "running", func.now()))
    await session.execute(update(QueryBatch).where(held).values(lease_until=over, dispatched_at=None))
