"""Executes one part of a swap's task: computes some second vectors, completes the backfill, or deletes some vectors.

It may be killed at any time and repeated: each part checks what is stored.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from footnote import jobs, model_swap
from footnote.database.driver import driver
from footnote.embeddings import checkpoint, relatedness, second_index, second_vectors, vector_lengths
from footnote.embeddings.batches import embedded_text, groups
from footnote.embeddings.checkpoint import NewVectors
from footnote.errors import Forbidden
from footnote.jobs import scheduling, tasks
from footnote.jobs.tasks import Later
from footnote.models import BackgroundTask, Collection, EmbeddingSpace, ModelSwap
from footnote.runtime import Runtime
from footnote.tenancy import quotas, usage

WINDOW = 100  # documents that are looked through at once
REMOVED = 500  # chunks per batch while the vectors of a model are deleted
GIVES_WAY_SECONDS = 0.5  # after each call, while documents wait for a worker
LOOK_SECONDS = 60.0  # between two looks at a swap that waits for a person
BUDGET_SECONDS = 300.0  # between two looks at a budget that is used up
SOON = 1.0  # until documents that others had locked are tried again


async def do_part(rt: Runtime, task: BackgroundTask) -> int | None:
    """The chunks that got a vector or lost one; None when the swap is over. Raises Later."""
    rt = rt.for_tenant(task.tenant_id)
    current = await _current(rt, task)
    if current is None:
        await _give_up(rt, task)
        return None
    swap, collection = current
    if swap.state == "dropping":
        return await _drop(rt, task, swap)
    return await _fill(rt, swap, collection)


async def _current(rt: Runtime, task: BackgroundTask) -> tuple[ModelSwap, Collection] | None:
    """The swap, which begins to drop the former model when its time is over; None if the collection is deleted."""
    async with rt.transaction() as session:
        swap = await session.get(ModelSwap, task.subject_id)
        collection = await session.get(Collection, swap.collection_id) if swap else None
        if swap is None or collection is None or collection.deleted_at is not None:
            return None
        of_swap, is_over = ModelSwap.id == swap.id, ModelSwap.drop_after < func.now()
        overdue = select(ModelSwap.id).where(of_swap, ModelSwap.state == "switched", is_over)
        if await session.scalar(overdue):
            await session.get_one(Collection, collection.id, with_for_update={"key_share": True})
            if await session.scalar(overdue.with_for_update()):  # it was not rolled back at this moment
                await model_swap.begin_to_drop(session, swap)
        return swap, collection


async def _give_up(rt: Runtime, task: BackgroundTask) -> None:
    """The collection is deleted, and its chunks go with its documents."""
    if not await second_index.drop(rt.operator, task.subject_id):
        raise Later(SOON)
    async with rt.transaction() as session:
        await tasks.complete(session, task.id, {"documents": task.progress_done})


# -- second vectors ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Incomplete:
    """Chunks without a second vector, all in the same space, as rows; and where the next look begins."""

    rows: Sequence[Mapping[str, Any]]
    after_document: str | None  # None: no further document is left


async def _fill(rt: Runtime, swap: ModelSwap, collection: Collection) -> int:
    found = await _next_incomplete(rt, swap, collection, dropping=False)
    if not found.rows and found.after_document is None:
        await _look_again(rt, swap, collection)
    return await _give(rt, swap, collection, found)


async def _look_again(rt: Runtime, swap: ModelSwap, collection: Collection) -> None:
    """After the last document: whether all have both vectors. Raises Later: nothing is left to do for now."""
    async with rt.transaction() as session:
        missing = await model_swap.missing_vectors(session, collection)
    if missing:  # documents that were held by others
        await _remember(rt, swap, "")
        raise Later(SOON)
    if swap.state == "backfilling":
        await _make_ready(rt, swap)
    raise Later(LOOK_SECONDS)


async def _make_ready(rt: Runtime, swap: ModelSwap) -> None:
    """Before the first search in the space: what its cosines are worth, and its index."""
    async with rt.operator.transaction() as session:
        space = await session.get_one(EmbeddingSpace, swap.to_space_id)
    await relatedness.measure(rt.operator, space)
    if not await second_index.build(rt.operator, space):
        raise Later(SOON)
    async with rt.transaction() as session:
        await (await driver(session)).execute(_READY, swap.id)


async def _next_incomplete(rt: Runtime, swap: ModelSwap, collection: Collection, *, dropping: bool) -> _Incomplete:
    async with rt.transaction() as session:
        after = (await session.get_one(ModelSwap, swap.id, populate_existing=True)).after_document
        connection = await driver(session)
        window = await connection.fetch(_WINDOW, rt.tenant, collection.id, after, WINDOW)
        only = collection.standby_space_id if dropping else None
        most = rt.settings.embedding_batch
        rows = await connection.fetch(
            _WITHOUT_SECOND_VECTOR, [each["active_version_id"] for each in window], only, most
        )
    if len(rows) == most:
        before_last = [each["id"] for each in window if each["id"] < rows[-1]["document_id"]]
        return _Incomplete(rows, before_last[-1] if before_last else after)
    return _Incomplete(rows, window[-1]["id"] if window else None)


async def _give(rt: Runtime, swap: ModelSwap, collection: Collection, found: _Incomplete) -> int:
    """Gives the chunks their vectors in the space that they lack; how many got one."""
    given = 0
    for space_id in sorted({row["space_id"] for row in found.rows}):
        rows = [row for row in found.rows if row["space_id"] == space_id]
        other = collection.space_id if space_id == collection.standby_space_id else collection.standby_space_id
        given += await _give_in(rt, swap, collection, rows, other or 0)
    if found.after_document is not None:
        await _remember(rt, swap, found.after_document)
    return given


async def _give_in(
    rt: Runtime, swap: ModelSwap, collection: Collection, rows: Sequence[Mapping[str, Any]], space_id: int
) -> int:
    texts = {row["text_sha256"]: embedded_text(row["context"], row["text"]) for row in rows}
    async with rt.transaction() as session:
        space = await session.get_one(EmbeddingSpace, space_id)
        known = await checkpoint.known(session, space_id, list(texts))
    embedder = vector_lengths.embedder_of(rt, space)
    given = await _store(rt, swap, space, [row for row in rows if row["text_sha256"] in known]) if known else 0
    for group in groups(embedder, {key: each for key, each in texts.items() if key not in known}):
        await _may_go_on(rt)
        asked = [texts[key] for key in group]
        answer = await vector_lengths.in_space(rt, embedder, space, asked, collection.name)
        mine = [row for row in rows if row["text_sha256"] in set(group)]
        given += await _store(rt, swap, space, mine, _Paid(group, answer, usage.of_embedding(embedder, answer)))
        await _give_way(rt)
    return given


@dataclass(frozen=True)
class _Paid:
    """An answer of the provider, and the hashes of its texts."""

    hashes: Sequence[bytes]
    answer: Any
    spent: usage.UsageEntry


async def _store(
    rt: Runtime, swap: ModelSwap, space: EmbeddingSpace, rows: Sequence[Mapping[str, Any]], paid: _Paid | None = None
) -> int:
    """The vectors of the chunks and what was spent, in one transaction: nothing is paid twice.

    Documents that others hold at this moment are passed over: this waits for none of them.
    """
    async with rt.transaction() as session:
        connection = await driver(session)
        ids = sorted({row["document_id"] for row in rows})
        held = {row["id"]: row["active_version_id"] for row in await connection.fetch(_HOLD, ids, swap.collection_id)}
        made = []
        if paid is not None:
            made = [NewVectors(paid.hashes, paid.answer.vectors, paid.answer.split)]
            kept = {row["text_sha256"] for row in rows if row["document_id"] in held}
            await connection.execute(_SPENT, swap.id, paid.answer.tokens, len(kept))
            await usage.record(session, rt.settings, swap.key_id, paid.spent)
        return await second_vectors.add(session, list(held.values()), space.id, *made)


async def _may_go_on(rt: Runtime) -> None:
    """Raises Later in a pause, and where the tenant's budget is used up."""
    async with rt.transaction() as session:
        if await scheduling.paused(session) is not None:
            raise Later(SOON, jobs.PAUSE_ENDS)
        try:
            await quotas.check_left(session, rt.settings, adding=False)
        except Forbidden as error:
            raise Later(BUDGET_SECONDS, f"the budget: {error.message}") from error


async def _give_way(rt: Runtime) -> None:
    """Documents of anyone that wait for a worker go first."""
    async with rt.operator.transaction() as session:
        waiting = await session.scalar(_WAITING)
    if waiting:
        await asyncio.sleep(GIVES_WAY_SECONDS)


async def _remember(rt: Runtime, swap: ModelSwap, after_document: str) -> None:
    async with rt.transaction() as session:
        await (await driver(session)).execute(_AFTER, swap.id, after_document)


# -- one of the models goes ----------------------------------------------------------------------------------


async def _drop(rt: Runtime, task: BackgroundTask, swap: ModelSwap) -> int | None:
    """Chunks whose searched vector is the second one get it as their own; the other vectors are deleted."""
    async with rt.transaction() as session:
        collection = await session.get_one(Collection, swap.collection_id)
    found = await _next_incomplete(rt, swap, collection, dropping=True)
    if found.rows:  # they are searched by words so far, and had to keep the vector that goes
        return await _give(rt, swap, collection, found)
    if found.after_document is not None:
        await _remember(rt, swap, found.after_document)
        return 0
    async with rt.transaction(**second_vectors.WITHOUT_WORDS) as session:
        removed = await _remove_some(session, rt, collection, held=True)
    if removed:
        return removed
    if not await second_index.drop(rt.operator, swap.id):
        raise Later(SOON)
    return await _drop_last(rt, task, swap)


async def _drop_last(rt: Runtime, task: BackgroundTask, swap: ModelSwap) -> int | None:
    """What came meanwhile and the end, while no version can become visible."""
    removed = 0
    async with rt.transaction(**second_vectors.WITHOUT_WORDS) as session:
        collection = await session.get_one(Collection, swap.collection_id, with_for_update={"key_share": True})
        while rest := await _remove_some(session, rt, collection, held=False):
            removed += rest
        if await model_swap.uses(session, collection, collection.standby_space_id):
            await (await driver(session)).execute(_AFTER, swap.id, "")
            return removed  # a chunk that came meanwhile lacks the vector that stays
        open_ = await session.get_one(ModelSwap, swap.id, populate_existing=True)
        await model_swap.end(session, task.id, open_, task.progress_done + removed)
    return None


async def _remove_some(session: AsyncSession, rt: Runtime, collection: Collection, *, held: bool) -> int:
    """`held`: only of documents that can be locked now."""
    connection = await driver(session)
    found = await connection.fetch(_SECOND, rt.tenant, collection.id, REMOVED)
    if held:
        ids = sorted({row["document_id"] for row in found})
        mine = {row["id"] for row in await connection.fetch(_HOLD, ids, collection.id)}
        if found and not mine:
            raise Later(SOON)
        found = [row for row in found if row["document_id"] in mine]
    keys = [row["version_id"] for row in found], [row["position"] for row in found]
    await connection.execute(_MOVE, *keys, collection.space_id)
    await connection.execute(_REMOVE, *keys)
    return len(found)


_WAITING = text("SELECT EXISTS (SELECT FROM job WHERE state IN ('queued', 'waiting') AND next_attempt_at <= now())")
_READY = "UPDATE model_swap SET state = 'ready' WHERE id = $1 AND state = 'backfilling'"
_AFTER = "UPDATE model_swap SET after_document = $2 WHERE id = $1"
_SPENT = """
UPDATE model_swap SET tokens_spent = tokens_spent + $2, texts_embedded = texts_embedded + $3 WHERE id = $1
"""
_WINDOW = """
SELECT id, active_version_id FROM document
WHERE tenant_id = $1 AND collection_id = $2 AND id > $3 AND active_version_id IS NOT NULL ORDER BY id LIMIT $4
"""
_WITHOUT_SECOND_VECTOR = """
SELECT c.document_id, c.space_id, c.text_sha256, c.context, c.text
FROM unnest(CAST($1 AS text[])) WITH ORDINALITY AS v(id, place), LATERAL (
    SELECT * FROM chunk c WHERE c.version_id = v.id AND ($2::smallint IS NULL OR c.space_id = $2)
      AND NOT EXISTS (SELECT FROM chunk_vector s WHERE s.version_id = c.version_id AND s.position = c.position)
    ORDER BY c.position LIMIT $3
) AS c
ORDER BY v.place, c.position LIMIT $3
"""
# Shared: as long as it lasts, no other version becomes visible, and the document is not deleted or moved.
_HOLD = """
SELECT id, active_version_id FROM document
WHERE id = ANY($1::text[]) AND collection_id = $2 AND active_version_id IS NOT NULL
ORDER BY id FOR SHARE SKIP LOCKED
"""
_SECOND = """
SELECT version_id, position, document_id, text_sha256 FROM chunk_vector
WHERE tenant_id = $1 AND collection_id = $2 LIMIT $3
"""
_KEYS = "unnest(CAST($1 AS text[]), CAST($2 AS int[])) AS k(version_id, position)"
_MOVE = f"""
UPDATE chunk AS c SET space_id = s.space_id, embedding = s.embedding, split = s.split
FROM {_KEYS}, chunk_vector AS s
WHERE c.version_id = k.version_id AND c.position = k.position AND c.space_id <> $3
  AND s.version_id = k.version_id AND s.position = k.position AND s.space_id = $3
"""  # noqa: S608  constants
_REMOVE = f"""
DELETE FROM chunk_vector AS s USING {_KEYS} WHERE s.version_id = k.version_id AND s.position = k.position
"""  # noqa: S608  constants
