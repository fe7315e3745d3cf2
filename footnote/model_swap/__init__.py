"""Swaps the embedding model of a collection while searches and uploads continue (ADR 69).

A swap is `backfilling` until all chunks also have a vector of the other model, then `ready`. It can be `switched`, then
`rolled_back`, repeatedly, until the vectors of one model are being deleted (`dropping`) and finally `dropped`.
"""

from dataclasses import dataclass
from typing import Literal

from sqlalchemy import ColumnElement, exists, func, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from footnote import collections
from footnote.collections import revisions
from footnote.database.driver import driver
from footnote.database.ids import new_id
from footnote.database.tenant_scope import scoped, tenant_of
from footnote.embeddings import vector_lengths
from footnote.errors import Conflict
from footnote.jobs import tasks
from footnote.model_swap import estimates
from footnote.model_swap.estimates import ModelEstimate
from footnote.models import BackgroundTask, Chunk, ChunkVector, Collection, EmbeddingSpace, ModelSwap
from footnote.providers import Embedder
from footnote.runtime import Runtime
from footnote.tenancy import audit_log, tallies
from footnote.tenancy.tallies import DocumentTally

State = Literal["backfilling", "ready", "switched", "rolled_back", "dropping", "dropped"]
KIND: tasks.Kind = "model.swap"
MOST_LISTED = 20


@dataclass(frozen=True)
class SwapDetails:
    """A swap with both models, and what its task has done: chunks with both vectors or, at the end, with one again.

    `waiting_for` says why the task waits, if it does.
    """

    swap: ModelSwap
    collection: str
    old: EmbeddingSpace
    new: EmbeddingSpace
    done: int
    total: int
    waiting_for: str | None


async def get(session: AsyncSession, name_or_id: str) -> SwapDetails | None:
    """The swap of the collection that is running, else the last one, if any. Raises NotFound."""
    collection = await collections.find(session, name_or_id)
    found = await _details(session, ModelSwap.collection_id == collection.id, most=1)
    return found[0] if found else None


async def running(session: AsyncSession) -> list[SwapDetails]:
    """All swaps of the tenant that have not ended, newest first; a few at most. None of a deleted collection."""
    goes_on = ModelSwap.ended_at.is_(None) & Collection.deleted_at.is_(None)
    return await _details(session, goes_on, most=MOST_LISTED)


_OLD, _NEW = aliased(EmbeddingSpace), aliased(EmbeddingSpace)
_IN_FULL = (
    select(ModelSwap, Collection.name, _OLD, _NEW, BackgroundTask)
    .join(Collection, Collection.id == ModelSwap.collection_id)
    .join(_OLD, _OLD.id == ModelSwap.from_space_id)
    .join(_NEW, _NEW.id == ModelSwap.to_space_id)
    .join(BackgroundTask, (BackgroundTask.kind == KIND) & (BackgroundTask.subject_id == ModelSwap.id))
    .order_by(ModelSwap.id.desc())
    .execution_options(populate_existing=True)  # what statements of the driver wrote is seen
)


async def _details(session: AsyncSession, chosen: ColumnElement[bool], *, most: int) -> list[SwapDetails]:
    """Of the newest."""
    mine = _IN_FULL.where(ModelSwap.tenant_id == tenant_of(session), chosen)
    return [_detailed(*row) for row in await session.execute(mine.limit(most))]


def _detailed(
    swap: ModelSwap, name: str, old: EmbeddingSpace, new: EmbeddingSpace, task: BackgroundTask
) -> SwapDetails:
    total = max(task.progress_total, 0)
    done = min(task.progress_done, total) if swap.state in ("backfilling", "dropping") else total
    return SwapDetails(swap, name, old, new, done, total, task.waiting_for)


async def _of(session: AsyncSession, swap: ModelSwap) -> SwapDetails:
    return (await _details(session, ModelSwap.id == swap.id, most=1))[0]


# -- begun ---------------------------------------------------------------------------------------------------


async def estimate(rt: Runtime, name_or_id: str, provider: str, model: str | None, key_id: str) -> ModelEstimate:
    """Estimates a swap to the model. Requests a few vectors from it. Raises as `begin` does."""
    collection, embedder = await _checked(rt, name_or_id, provider, model)
    return (await estimates.of(rt, collection, embedder, key_id))[0]


async def begin(rt: Runtime, name_or_id: str, provider: str, model: str | None, key_id: str) -> SwapDetails:
    """Begins a swap. Raises NotFound, Invalid for an unknown model, what the model refuses with, and Conflict.

    That is `model_swap_running`, or `model_swap_needless`: the collection has the model already, or nothing in it.
    """
    collection, embedder = await _checked(rt, name_or_id, provider, model)
    expected, space = await estimates.of(rt, collection, embedder, key_id)
    async with rt.transaction() as session:
        held = await collections.find(session, collection.id, to_change=True)
        _check_swappable(held, embedder)
        if held.space_id != collection.space_id:
            raise Conflict("model_swap_running")
        held.standby_space_id = space.id
        swap = ModelSwap(
            id=new_id("swp"),
            tenant_id=rt.tenant,
            collection_id=held.id,
            key_id=key_id,
            from_space_id=held.space_id,
            to_space_id=space.id,
            chunks=expected.chunks,
            texts=expected.texts,
            tokens=expected.tokens,
            cost=expected.cost,
        )
        session.add(swap)
        await session.flush()
        await tasks.begin(session, KIND, rt.tenant, swap.id, held.name, expected.chunks)
        about = {"provider": space.provider, "model": space.model}
        await audit_log.note(session, "collection.model_swap_begun", held.id, **about)
        return await _of(session, swap)


async def _checked(rt: Runtime, name_or_id: str, provider: str, model: str | None) -> tuple[Collection, Embedder]:
    async with rt.transaction() as session:
        collection = await collections.find(session, name_or_id)
        embedder = collections.opened(rt, provider, model)
        if await vector_lengths.is_empty(session, collection):
            raise Conflict("model_swap_needless", "Nothing is embedded yet: PATCH the collection with the model.")
    _check_swappable(collection, embedder)
    return collection, embedder


def _check_swappable(collection: Collection, embedder: Embedder) -> None:
    if collection.standby_space_id is not None:
        raise Conflict("model_swap_running")
    if collection.space_id is None:
        raise Conflict(
            "model_swap_needless", "The documents are already being embedded again. Wait until that is complete."
        )
    if (collection.embedding_provider, collection.embedding_model) == (embedder.provider, embedder.model):
        raise Conflict("model_swap_needless", f"The collection has {embedder.provider}/{embedder.model} already.")


# -- switched and rolled back --------------------------------------------------------------------------------

_WITHOUT_SECOND_VECTOR = (
    select(func.count())
    .select_from(Chunk)
    .where(~exists().where(ChunkVector.version_id == Chunk.version_id, ChunkVector.position == Chunk.position))
)
_EXCHANGE = """
WITH swapped AS (
    UPDATE model_swap SET state = $2, drop_after = now() + $3 * interval '1 day',
        switched_at = CASE WHEN $2 = 'switched' THEN now() ELSE switched_at END
    WHERE id = $1 RETURNING collection_id
)
UPDATE collection AS c SET space_id = c.standby_space_id, standby_space_id = c.space_id,
    embedding_provider = s.provider, embedding_model = s.model, embedding_chosen = true
FROM swapped, embedding_space AS s WHERE c.id = swapped.collection_id AND s.id = c.standby_space_id
"""


async def missing_vectors(session: AsyncSession, collection: Collection) -> int:
    """Chunks of the collection that have no second vector (yet)."""
    mine = (Chunk.tenant_id == collection.tenant_id) & (Chunk.collection_id == collection.id)
    return await session.scalar(_WITHOUT_SECOND_VECTOR.where(mine, Chunk.space_id != collection.standby_space_id)) or 0


async def uses(session: AsyncSession, collection: Collection, space_id: int | None) -> bool:
    """Whether a chunk of the collection has its own vector in the space, not its second one."""
    mine = (Chunk.tenant_id == collection.tenant_id) & (Chunk.collection_id == collection.id)
    return bool(await session.scalar(select(exists().where(mine, Chunk.space_id == space_id))))


async def switch(rt: Runtime, name_or_id: str) -> SwapDetails:
    """From the end of this transaction on, searches use the other model.

    Uploads that are about to become visible wait for it. Raises NotFound, Conflict.
    """
    async with rt.transaction() as session:
        collection, swap = await _held(session, name_or_id)
        if swap.state not in ("ready", "rolled_back"):
            raise _not_in(swap, "switched")
        if missing := await missing_vectors(session, collection):
            message = f"{missing} chunks have no vector of the other model yet. They get one soon; try again later."
            raise Conflict("model_swap_not_ready", message, retry_after=1.0)
        return await _exchanged(session, swap, "switched", rt.settings.space_keep_days)


async def roll_back(rt: Runtime, name_or_id: str) -> SwapDetails:
    """From the end of this transaction on, searches use the former model again. Raises NotFound, Conflict.

    Chunks that could not get a vector of that model since are found by their words until they have one.
    """
    async with rt.transaction() as session:
        _, swap = await _held(session, name_or_id)
        if swap.state != "switched":
            raise _not_in(swap, "rolled back")
        return await _exchanged(session, swap, "rolled_back", None)


async def _exchanged(session: AsyncSession, swap: ModelSwap, state: State, drop_after: float | None) -> SwapDetails:
    """`drop_after` in days. Few statements: on a busy machine each takes a turn of two processes, and all wait here."""
    await (await driver(session)).execute(_EXCHANGE, swap.id, state, drop_after)
    await audit_log.note(session, f"collection.model_swap_{state}", swap.collection_id)
    await tasks.wake(session, KIND, swap.id)
    found = await _of(session, swap)
    await revisions.changed(session, [swap.collection_id])
    return found


async def drop(rt: Runtime, name_or_id: str) -> SwapDetails:
    """Ends the swap: the vectors of the unused model are deleted, in the background.

    Before the switch this cancels it, and after the switch it cannot be rolled back any more. Raises as `switch`.
    """
    async with rt.transaction() as session:
        collection, swap = await _held(session, name_or_id)
        if swap.state != "dropping":
            await begin_to_drop(session, swap)
            await audit_log.note(session, "collection.model_swap_dropped", collection.id)
        return await _of(session, swap)


async def begin_to_drop(session: AsyncSession, swap: ModelSwap) -> None:
    """The caller has locked the collection."""
    held = (await tallies.of_collections(session, [swap.collection_id])).get(swap.collection_id, DocumentTally())
    swap.state, swap.after_document = "dropping", ""
    await session.flush()
    await tasks.wake(session, KIND, swap.id, progress_done=0, progress_total=held.chunks)


async def _held(session: AsyncSession, name_or_id: str) -> tuple[Collection, ModelSwap]:
    """The collection and its running swap, locked. Raises NotFound, and Conflict if none is running."""
    collection = await collections.find(session, name_or_id, to_change=True)
    open_ = scoped(session, ModelSwap).where(ModelSwap.collection_id == collection.id, ModelSwap.ended_at.is_(None))
    swap = await session.scalar(open_.with_for_update())
    if swap is None:
        raise Conflict("no_model_swap", f"There is no model swap of {collection.name!r}.")
    return collection, swap


def _not_in(swap: ModelSwap, wanted: str) -> Conflict:
    return Conflict("model_swap_not_ready", f"The swap is {swap.state.replace('_', ' ')}: it cannot be {wanted} now.")


async def end(session: AsyncSession, task_id: str, swap: ModelSwap, chunks: int) -> None:
    """Ends a swap of which nothing is left, and its task. The caller has locked the collection."""
    collection = await session.get_one(Collection, swap.collection_id)
    collection.standby_space_id = None
    swap.state, swap.ended_at = "dropped", func.now()
    await session.flush()
    await tasks.complete(session, task_id, {"documents": chunks})
