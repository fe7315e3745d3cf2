"""Collections: documents that share a chunking, a language and an embedding space."""

import re
from collections.abc import Sequence

from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from footnote.errors import Conflict, Invalid, NotFound
from footnote.ids import new_id
from footnote.models import Collection, EmbeddingSpace
from footnote.providers import Embedder
from footnote.settings import Settings
from footnote.tenants import scoped

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")


async def find(session: AsyncSession, tenant_id: str, name_or_id: str) -> Collection:
    """Raises NotFound."""
    column = Collection.id if name_or_id.startswith("col_") else Collection.name
    found = await session.scalar(scoped(Collection, tenant_id).where(column == name_or_id))
    if found is None:
        raise NotFound("collection_not_found", f"There is no collection {name_or_id!r}.")
    return found


async def obtain(session: AsyncSession, tenant_id: str, name_or_id: str, settings: Settings) -> Collection:
    """The collection; a new name makes a new one with the configured chunking."""
    if not name_or_id.startswith("col_"):
        if not NAME.fullmatch(name_or_id):
            raise Invalid(
                "bad_collection_name",
                "A collection name has 1 to 63 letters, digits, dots, dashes and underscores.",
            )
        await session.execute(
            insert(Collection)
            .values(
                id=new_id("col"),
                tenant_id=tenant_id,
                name=name_or_id,
                chunk_size=settings.chunk_size,
                chunk_overlap=settings.chunk_overlap,
            )
            .on_conflict_do_nothing(index_elements=["tenant_id", "name"])
        )
    return await find(session, tenant_id, name_or_id)


async def chosen(session: AsyncSession, tenant_id: str, names_or_ids: Sequence[str] | None) -> list[Collection]:
    """The named collections, or all of the tenant's. Raises NotFound."""
    if names_or_ids is None:
        return list((await session.scalars(scoped(Collection, tenant_id))).all())
    return [await find(session, tenant_id, name) for name in dict.fromkeys(names_or_ids)]


async def check_embedder(session: AsyncSession, collection: Collection, embedder: Embedder) -> None:
    """Vectors of different models do not compare. Raises Conflict(embedding_model_changed)."""
    if collection.space_id is None:
        return
    space = await session.get_one(EmbeddingSpace, collection.space_id)
    if (space.provider, space.model) != (embedder.provider, embedder.model):
        raise Conflict(
            "embedding_model_changed",
            f"Collection {collection.name!r} was embedded with {space.provider}/{space.model} "
            f"({space.dimensions} dimensions), but {embedder.provider}/{embedder.model} is configured now. "
            "Configure the former again, or use another collection.",
        )
