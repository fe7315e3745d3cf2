"""The length of a space's vectors: one answer of a provider does not decide it, not even the first.

Answers of another length are counted in the space's row in Postgres: one count for all processes, which survives them
and needs no Redis. A collection is bound to a space while something of it is embedded.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import NoReturn

from sqlalchemy import case, func, select, text, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.sql.elements import ColumnElement

from footnote.database.clock import from_now
from footnote.embeddings import checkpoint
from footnote.errors import Conflict, Unavailable
from footnote.models import Collection, EmbeddingSpace
from footnote.providers import Embedder, Embeddings
from footnote.runtime import Runtime
from footnote.telemetry import log

TIMES = 5  # answers of another length, with none of the right one between them, ...
SECONDS = 10.0  # ... and this long after the first of them: then the model makes vectors of that length
PROBE = "length"  # is embedded to see a length once more, for next to no money


def requested(rt: Runtime, embedder: Embedder) -> int:
    """The length that the embedder requests from its model; 0 for none."""
    return (rt.settings.embedding_dimensions or 0) if embedder is rt.embedder else 0


def embedder_of(rt: Runtime, space: EmbeddingSpace) -> Embedder:
    """The embedder of the space, which asks for the same length as when the space was opened.

    So a collection continues when FOOTNOTE_EMBEDDING_DIMENSIONS is set, changed or removed. Raises Invalid or
    ProviderRejected if there is no such embedder.
    """
    usual = rt.embedder_of(space.provider, space.model)
    if space.requested_dimensions is None or requested(rt, usual) == space.dimensions:
        return usual
    return rt.embedder_of(space.provider, space.model, space.requested_dimensions)


async def likely(session: AsyncSession, rt: Runtime, embedder: Embedder) -> EmbeddingSpace | None:
    """The newest space of the embedder's model with its present settings, if its length is not in doubt."""
    asked_for = requested(rt, embedder)
    query = select(EmbeddingSpace).filter_by(provider=embedder.provider, model=embedder.model)
    query = query.where(func.coalesce(EmbeddingSpace.requested_dimensions, asked_for) == asked_for)
    query = query.where(func.coalesce(_believed(), False).is_(False))
    return await session.scalar(query.order_by(EmbeddingSpace.id.desc()).limit(1))


async def in_space(
    rt: Runtime, embedder: Embedder, space: EmbeddingSpace, texts: Sequence[str], collection: str
) -> Embeddings:
    """The texts' vectors in a collection's space; after a wrong length the provider is asked once more.

    Raises Unavailable if the answers have another length, and Conflict(embedding_model_changed) after TIMES of them
    over SECONDS: then the model must have been replaced.
    """
    answer = await embedder.embed(texts)
    times, spent = 1, answer.tokens
    if answer.dimensions != space.dimensions and embedder.address is not None and not space.other_seen:
        times, answer = 2, await embedder.embed(texts)
        spent += answer.tokens
    if answer.dimensions != space.dimensions:
        if embedder.address is None or await _count_unexpected(rt, space, answer.dimensions, times):
            raise _model_changed(space, answer.dimensions, collection)
        _wrong_length(space, answer.dimensions)
    if space.other_seen:
        await rt.operator.execute(update(EmbeddingSpace).where(EmbeddingSpace.id == space.id).values(other_seen=0))
    return replace(answer, tokens=spent)


async def first(
    rt: Runtime, embedder: Embedder, expected: EmbeddingSpace | None, texts: Sequence[str]
) -> tuple[EmbeddingSpace, Embeddings]:
    """The texts' vectors for a collection without a space, and the space for it.

    That is the `expected` one if the length is the same. A new space is opened for a length that came twice, in
    separate calls. Raises Unavailable if the lengths differ.
    """
    answer = await embedder.embed(texts)
    found, asked_for = answer.dimensions, requested(rt, embedder)
    if expected is not None and found == expected.dimensions:
        return expected, answer
    if embedder.address is not None:
        if expected is not None and found != asked_for and not await _count_unexpected(rt, expected, found, 1):
            _wrong_length(expected, found)
        again = await embedder.embed([PROBE])
        if again.dimensions != found:
            lengths = f"vectors of {found} and of {again.dimensions} dimensions"
            raise Unavailable("provider_bad_response", f"The provider sent {lengths} one after the other.")
        answer = replace(answer, tokens=answer.tokens + again.tokens)
    # In a transaction of its own: making the index waits for writers, and blocks them. Spaces belong to no tenant.
    async with rt.operator.transaction() as session:
        return await checkpoint.obtain_space(session, embedder.provider, embedder.model, found, asked_for), answer


async def successor(
    session: AsyncSession, rt: Runtime, space: EmbeddingSpace, embedder: Embedder
) -> tuple[bool, EmbeddingSpace | None]:
    """Whether the model makes vectors of another length now, as configured or as seen; and their space, if any."""
    asked_for = requested(rt, embedder)
    seen = await session.scalar(select(_believed()).where(EmbeddingSpace.id == space.id))
    length = asked_for or (space.other_dimensions if seen else None)
    outdated = asked_for != space.dimensions if asked_for else bool(seen or space.requested_dimensions)
    query = select(EmbeddingSpace).filter_by(provider=space.provider, model=space.model, dimensions=length)
    return outdated, await session.scalar(query) if outdated else None


def _believed() -> ColumnElement[bool]:
    return (EmbeddingSpace.other_seen >= TIMES) & (EmbeddingSpace.other_since <= from_now(-SECONDS))


async def _count_unexpected(rt: Runtime, space: EmbeddingSpace, found: int, times: int) -> bool:
    """Counts an unexpected length, seen `times` in a row; whether that is often enough to believe it."""
    same = (EmbeddingSpace.other_dimensions == found) & (EmbeddingSpace.other_seen > 0)
    noted = {
        "other_dimensions": found,
        "other_seen": case((same, EmbeddingSpace.other_seen + times), else_=times),
        "other_since": case((same, EmbeddingSpace.other_since), else_=func.now()),
    }
    async with rt.operator.transaction() as session:
        written = update(EmbeddingSpace).where(EmbeddingSpace.id == space.id).values(**noted)
        return bool(await session.scalar(written.returning(_believed())))


def _wrong_length(space: EmbeddingSpace, found: int) -> NoReturn:
    name = f"{space.provider}/{space.model}"
    log.warning("vectors of a wrong length", provider=name, dimensions=found, expected=space.dimensions)
    message = f"The provider sent vectors of {found} dimensions; those of {name} have {space.dimensions}."
    raise Unavailable("provider_bad_response", message)


def _model_changed(space: EmbeddingSpace, found: int, collection: str) -> Conflict:
    given = f'{{"embedding": {{"provider": "{space.provider}", "model": "{space.model}"}}}}'
    return Conflict(
        "embedding_model_changed",
        f"Collection {collection!r} has vectors of {space.dimensions} dimensions; {space.provider}/{space.model} makes "
        f"{found} now. Undo that (FOOTNOTE_EMBEDDING_DIMENSIONS={space.dimensions}, if the model can), or have the "
        f"documents embedded again: PATCH /v1/collections/{collection} with {given}, then "
        "`footnote jobs retry --all --code embedding_model_changed` for those that failed.",
    )


# -- bound to a space ----------------------------------------------------------------------------------------

# Nothing of the collection `c` is embedded: it has no chunks, and no job is about to insert some.
NOTHING_EMBEDDED = """
    NOT EXISTS (SELECT FROM chunk WHERE chunk.tenant_id = c.tenant_id AND chunk.collection_id = c.id)
    AND NOT EXISTS (SELECT FROM job JOIN document d ON d.id = job.document_id AND d.job_id = job.id
                    WHERE job.tenant_id = c.tenant_id AND d.collection_id = c.id
                      AND job.step = 'upsert' AND job.state IN ('queued', 'running', 'waiting'))
"""
_IS_EMPTY = text(f"SELECT {NOTHING_EMBEDDED} FROM collection c WHERE c.id = :id")  # noqa: S608  constants
_LOCK = text("SELECT FROM collection WHERE id = :id FOR NO KEY UPDATE")
_UNBIND = text(
    f"""
    UPDATE collection c SET space_id = NULL,
        embedding_provider = CASE WHEN embedding_chosen THEN embedding_provider END,
        embedding_model = CASE WHEN embedding_chosen THEN embedding_model END
    WHERE c.id = :id AND c.space_id IS NOT NULL AND c.standby_space_id IS NULL AND {NOTHING_EMBEDDED}
    """  # noqa: S608  constants
)


async def is_empty(session: AsyncSession, collection: Collection) -> bool:
    """Whether nothing of the collection is embedded (any more)."""
    return bool(await session.scalar(_IS_EMPTY, {"id": collection.id}))


async def unbind_if_empty(session: AsyncSession, collection: Collection) -> None:
    """Removes the space of a collection of which nothing is embedded, and its model if that was not chosen.

    Call it before something is embedded for the collection: then code that empties one need not do it.
    """
    if collection.space_id is None or not await is_empty(session, collection):
        return
    # Locked before it is decided: a document is made visible under a shared lock, with its chunks.
    await session.execute(_LOCK, {"id": collection.id})
    await session.execute(_UNBIND, {"id": collection.id})
    await session.refresh(collection)
