"""Collections: documents that share a language, a chunking and an embedding space.

A change of language or chunking only marks documents for re-ingestion; `documents.reingestion` executes it. A
collection that is being deleted is no longer visible.
"""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import Select, func, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from footnote.collections import chunking_settings, metadata, revisions
from footnote.collections.chunking_settings import Chunking
from footnote.database.driver import driver
from footnote.database.ids import new_id
from footnote.database.rows import RowReader
from footnote.database.tenant_scope import scoped, tenant_of
from footnote.embeddings import vector_lengths
from footnote.errors import Conflict, Invalid, NotFound, ProviderRejected
from footnote.models import Collection, EmbeddingSpace
from footnote.models.documents import ALIVE
from footnote.providers import Embedder
from footnote.runtime import Runtime
from footnote.settings import Settings
from footnote.tenancy import audit_log, tallies
from footnote.tenancy.tallies import DocumentTally
from footnote.text import languages

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")


@dataclass(frozen=True)
class CollectionDetails:
    """A collection with the dimensions of its vectors, if any are known, and what is in it.

    `reingesting` counts the documents of which queries still see what was made by an earlier chunking or language, or
    with vectors of an earlier length.
    """

    collection: Collection
    dimensions: int | None
    documents: int
    chunks: int
    reingesting: int

    @property
    def model(self) -> tuple[str, str] | None:
        """Its provider and model; None: as configured, if none was chosen and there are no documents."""
        provider, model = self.collection.embedding_provider, self.collection.embedding_model
        settled = self.collection.embedding_chosen or self.documents
        return (provider, model) if provider and model and settled else None


# -- found ---------------------------------------------------------------------------------------------------


def _visible(session: AsyncSession) -> Select[Collection]:
    return scoped(session, Collection).where(Collection.deleted_at.is_(None))


def _named(session: AsyncSession, name_or_id: str) -> Select[Collection]:
    column = Collection.id if name_or_id.startswith("col_") else Collection.name
    return _visible(session).where(column == name_or_id)


async def find(session: AsyncSession, name_or_id: str, *, to_change: bool = False) -> Collection:
    """`to_change`: locked against other changes until the transaction ends. Raises NotFound."""
    query = _named(session, name_or_id)
    found = await session.scalar(query.with_for_update(key_share=True) if to_change else query)
    if found is None:
        raise unknown(name_or_id)
    return found


def unknown(name_or_id: str) -> NotFound:
    return NotFound("collection_not_found", f"There is no collection {name_or_id!r}.")


_ROWS = RowReader(Collection, "c")
_OBTAIN = f"""
    WITH c AS MATERIALIZED (
        SELECT * FROM collection WHERE tenant_id = $1 AND {{}} = $2 AND deleted_at IS NULL FOR KEY SHARE
    )
    SELECT c.space_id IS NOT NULL AND {vector_lengths.NOTHING_EMBEDDED},
           CASE WHEN $3 <> '' THEN pg_advisory_xact_lock(hashtextextended(c.id || ':' || $3, 0)) END,
           {_ROWS.columns}
    FROM c
    """  # noqa: S608  constants


async def obtain(session: AsyncSession, name_or_id: str, settings: Settings, *, alone: str = "") -> Collection:
    """The collection; a new name makes a new one as configured. It is not deleted before the transaction ends.

    Nor does another transaction obtain it that wants to be `alone` with the same thing. The object is in no session.
    """
    by_id = name_or_id.startswith("col_")
    if not by_id:
        _check_name(name_or_id)
    # As strong a lock as a new document takes, only earlier.
    asked = _OBTAIN.format("id" if by_id else "name"), tenant_of(session), name_or_id, alone
    connection = await driver(session)
    while (row := await connection.fetchrow(*asked)) is None:  # more than once only if it is deleted at this moment
        if by_id:
            raise unknown(name_or_id)
        await _make(session, name_or_id, settings)
    unbound, _, *values = row
    if unbound:
        bound = await session.get_one(Collection, values[0])
        await vector_lengths.unbind_if_empty(session, bound)
        return bound
    return _ROWS.read(values)


async def _make(session: AsyncSession, name: str, settings: Settings) -> None:
    """Makes a collection as configured, unless another transaction is faster."""
    row = {"id": new_id("col"), "tenant_id": tenant_of(session), "name": name}
    made = insert(Collection).values(**row, chunking=asdict(chunking_settings.default(settings, "characters")))
    made = made.on_conflict_do_nothing(index_elements=["tenant_id", "name"], index_where=ALIVE)
    if await session.scalar(made.returning(Collection.id)):
        await audit_log.note(session, "collection.created", row["id"])


async def would_be(session: AsyncSession, name_or_id: str, settings: Settings) -> Collection:
    """The collection, or the one that `obtain` would make of a new name; nothing is written."""
    tenant_id = tenant_of(session)
    found = await session.scalar(_named(session, name_or_id))
    if found is None and name_or_id.startswith("col_"):
        raise unknown(name_or_id)
    if found is None:
        _check_name(name_or_id)
        chunking = asdict(chunking_settings.default(settings, "characters"))
        found = Collection(tenant_id=tenant_id, name=name_or_id, chunking=chunking)
    elif found.space_id is not None and await vector_lengths.is_empty(session, found):
        chosen = {"embedding_provider": found.embedding_provider, "embedding_model": found.embedding_model}
        chosen = chosen if found.embedding_chosen else {}
        found = Collection(tenant_id=tenant_id, name=found.name, chunking=found.chunking, **chosen)
    return found


def _check_name(name: str) -> None:
    if name.startswith("col_") or not NAME.fullmatch(name):
        raise Invalid(
            "bad_collection_name",
            "A collection name has 1 to 63 letters, digits, dots, dashes and underscores, and is no id.",
        )


# Documents that are not reviewed yet are compared with their collection. Of the others, those that differ have a job
# that has not ended: a few for each collection are re-ingested at a time, and of the uploads that wait some are looked
# at, as only those count that replace a document. OFFSET 0: each is looked up by its key, else Postgres may read all.
_REINGESTING = text(
    """
    WITH chosen AS MATERIALIZED (
        SELECT * FROM collection WHERE tenant_id = :tenant AND id = ANY(:ids)
    ), unfinished AS MATERIALIZED (
        SELECT job.id, document_id, reingestion FROM job
        WHERE tenant_id = :tenant AND reingestion AND state IN ('queued', 'running', 'waiting')
        UNION ALL
        (SELECT job.id, document_id, reingestion FROM job
         WHERE tenant_id = :tenant AND NOT reingestion AND state IN ('queued', 'running', 'waiting') LIMIT :uploads)
    ), differing AS (
        SELECT c.id AS collection_id
        FROM chosen c CROSS JOIN LATERAL (
            SELECT FROM document d JOIN job ON job.id = d.job_id LEFT JOIN version v ON v.id = d.active_version_id
            WHERE d.tenant_id = :tenant AND d.collection_id = c.id AND d.id > c.review_after
              AND job.state NOT IN ('failed', 'cancelled')
              AND (v.chunking <> coalesce(d.chunking, c.chunking) OR v.language <> c.language
                   OR job.reingestion AND job.state <> 'succeeded'
                   OR c.standby_space_id IS NULL AND c.space_id IS DISTINCT FROM
                   (SELECT space_id FROM chunk WHERE chunk.document_id = d.id LIMIT 1))
            OFFSET 0
        ) AS not_reviewed
        WHERE c.review_after IS NOT NULL
        UNION ALL
        SELECT c.id
        FROM unfinished CROSS JOIN LATERAL (
            SELECT * FROM document WHERE id = unfinished.document_id AND job_id = unfinished.id OFFSET 0
        ) AS d
        JOIN chosen c ON c.id = d.collection_id AND (d.id > c.review_after) IS NOT TRUE
        LEFT JOIN LATERAL (SELECT * FROM version WHERE id = d.active_version_id OFFSET 0) AS v ON true
        WHERE v.chunking <> coalesce(d.chunking, c.chunking) OR v.language <> c.language OR unfinished.reingestion
    )
    SELECT collection_id, count(*) FROM differing GROUP BY collection_id
    """
)
_UPLOADS_LOOKED_AT = 200


async def _details(session: AsyncSession, query: Select[Collection]) -> list[CollectionDetails]:
    joined = query.outerjoin(EmbeddingSpace, EmbeddingSpace.id == Collection.space_id)
    found = (await session.execute(joined.with_only_columns(Collection, EmbeddingSpace.dimensions))).all()
    ids = [each.id for each, _ in found]
    counts = await tallies.of_collections(session, ids)
    values = {"tenant": tenant_of(session), "ids": ids, "uploads": _UPLOADS_LOOKED_AT}
    reingesting = {row[0]: row[1] for row in await session.execute(_REINGESTING, values)}
    return [
        _with_counts(each, dimensions, counts.get(each.id, DocumentTally()), reingesting.get(each.id, 0))
        for each, dimensions in found
    ]


def _with_counts(
    collection: Collection, dimensions: int | None, tally: DocumentTally, reingesting: int
) -> CollectionDetails:
    known = dimensions if tally.documents else None
    return CollectionDetails(collection, known, tally.documents, tally.chunks, reingesting)


async def get(session: AsyncSession, name_or_id: str) -> CollectionDetails:
    """Raises NotFound."""
    found = await _details(session, _named(session, name_or_id))
    if not found:
        raise unknown(name_or_id)
    return found[0]


async def list_collections(session: AsyncSession, *, limit: int, before: str | None) -> list[CollectionDetails]:
    """Newest first, `limit` at most, older than the id `before`."""
    query = _visible(session).order_by(Collection.id.desc()).limit(limit)
    return await _details(session, query.where(Collection.id < before) if before else query)


# -- their models --------------------------------------------------------------------------------------------


def embedder_of(rt: Runtime, collection: Collection) -> Embedder:
    """What embeds for the collection. Vectors of different models do not compare.

    Raises Conflict(embedding_model_changed) if the model it was embedded with cannot be had any more.
    """
    provider, model = collection.embedding_provider, collection.embedding_model
    if provider is None or model is None:
        return rt.embedder
    try:
        return rt.embedder_of(provider, model)
    except (Invalid, ProviderRejected) as error:
        raise Conflict(
            "embedding_model_changed",
            f"Collection {collection.name!r} has vectors of {provider}/{model}, which is no longer available: "
            f"{error.message} Configure it again, or use another collection.",
        ) from error


def opened(rt: Runtime, provider: str, model: str | None) -> Embedder:
    """A model that is to be a collection's; without a name the configured one or the provider's. Raises Invalid."""
    if model is None and provider == rt.embedder.provider:
        return rt.embedder
    try:
        return rt.embedder_of(provider, model or "")
    except (Invalid, ProviderRejected) as error:
        raise Invalid("unknown_embedding_model", error.message) from error


# -- made and changed ----------------------------------------------------------------------------------------


async def _language(session: AsyncSession, name: str) -> str:
    """A text search configuration of this Postgres. Raises Invalid."""
    known = text("SELECT cfgname FROM pg_ts_config WHERE pg_ts_config_is_visible(oid) ORDER BY 1")
    names = (await session.scalars(known)).all()
    if name not in names:
        raise chunking_settings.bad("language", f"must be one of {', '.join(names)}")
    return name


async def create(session: AsyncSession, rt: Runtime, given: Mapping[str, Any]) -> CollectionDetails:
    """`given` may have name, language, chunking, embedding, metadata, title and expires_after_days.

    Names are unique and short; titles are neither. One without a name is named by its id. Raises Invalid, Conflict.
    """
    made = Collection(id=new_id("col"), tenant_id=tenant_of(session), chunking={})
    made.name = given.get("name") or made.id.replace("col_", "vs_")
    _check_name(made.name)
    made.title, made.expires_after_days = given.get("title"), given.get("expires_after_days")
    if made.title is not None or made.expires_after_days:
        made.last_active_at = func.now()
    made.language = await _language(session, given.get("language", languages.DETECTED))
    made.attributes = metadata.checked(given.get("metadata") or {})
    embedder = _choose_model(rt, made, given.get("embedding"))
    made.chunking = chunking_settings.chosen(rt.settings, embedder, None, given.get("chunking") or {})
    await _write(session, made)
    await audit_log.note(session, "collection.created", made.id)
    return await get(session, made.id)


async def change(session: AsyncSession, rt: Runtime, name_or_id: str, given: Mapping[str, Any]) -> CollectionDetails:
    """Changes what was given. `metadata` are merged, `texts` replace those that are strings.

    Raises NotFound, Invalid, Conflict.

    After a change of chunking or language, documents are found as they are until each has been re-ingested. Here that
    is only noted, so that the call takes no longer for many documents.
    """
    found = await find(session, name_or_id, to_change=True)
    before = (found.chunking, found.language)
    with session.no_autoflush:  # a name that is taken is refused where it is written
        if "name" in given:
            _check_name(given["name"])
            found.name = given["name"]
        found.title = given.get("title", found.title)
        if "expires_after_days" in given:
            found.expires_after_days = given["expires_after_days"]
            found.last_active_at = found.last_active_at or func.now()
        if "metadata" in given:
            found.attributes = metadata.patched(found.attributes, given["metadata"])
        if "texts" in given:
            found.attributes = metadata.replaced(found.attributes, given["texts"], str)
        if given.get("embedding"):
            await _change_model(session, rt, found, given["embedding"])
        if given.get("chunking") or given.get("embedding"):
            now, chunking = Chunking(**found.chunking), given.get("chunking") or {}
            found.chunking = chunking_settings.chosen(rt.settings, embedder_of(rt, found), now, chunking)
        if "language" in given:
            found.language = await _language(session, given["language"])
    if (found.chunking, found.language) != before:
        found.review_after = ""
    await _write(session, found)
    await audit_log.note(session, "collection.updated", found.id, changed=sorted(given))
    await revisions.changed(session, [found.id])
    return await get(session, found.id)


def _choose_model(rt: Runtime, collection: Collection, given: Mapping[str, str] | None) -> Embedder:
    if given is None:
        return rt.embedder
    embedder = opened(rt, given["provider"], given.get("model"))
    collection.embedding_provider, collection.embedding_model = embedder.provider, embedder.model
    collection.embedding_chosen = True
    return embedder


async def _change_model(session: AsyncSession, rt: Runtime, collection: Collection, given: Mapping[str, str]) -> None:
    """Another model while nothing is embedded; the same one has everything embedded again if its vectors changed."""
    await vector_lengths.unbind_if_empty(session, collection)
    configured = rt.embedder.provider, rt.embedder.model
    provider, model = collection.embedding_provider or configured[0], collection.embedding_model or configured[1]
    embedder = _choose_model(rt, collection, given)
    if collection.space_id is None:
        return
    if collection.standby_space_id is not None:
        raise Conflict("model_swap_running")
    if (embedder.provider, embedder.model) != (provider, model):
        raise Conflict(
            "collection_not_empty",
            f"The collection has documents, which are embedded with {provider}/{model}. "
            f"PUT /v1/collections/{collection.name}/model swaps the model while they are searched.",
        )
    space = await session.get_one(EmbeddingSpace, collection.space_id)
    outdated, other = await vector_lengths.successor(session, rt, space, embedder)
    if outdated:
        collection.space_id, collection.review_after = other.id if other else None, ""


async def _write(session: AsyncSession, collection: Collection) -> None:
    """Raises Conflict for a name that is taken."""
    name = collection.name
    try:
        session.add(collection)
        await session.flush()
    except IntegrityError as error:
        raise Conflict("collection_exists", f"There is a collection {name!r} already.") from error
    await session.refresh(collection)


async def hide(session: AsyncSession, name_or_id: str) -> Collection:
    """Hides the collection from the end of the transaction on; its name is free then. Raises NotFound."""
    found = await find(session, name_or_id, to_change=True)
    found.deleted_at = func.now()
    await session.flush()
    await audit_log.note(session, "collection.deleted", found.id)
    return found
