"""Retrieval: a vector leg and a keyword leg over the chunks in scope, fused in one SQL statement."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy.ext.asyncio import AsyncSession

from footnote import cache, collections
from footnote.errors import Conflict
from footnote.filters import Filter
from footnote.models import Collection, EmbeddingSpace, chunk_id
from footnote.retrieval import keyword_leg, vector_leg
from footnote.retrieval.fusion import FUSED, HITS
from footnote.retrieval.scope import Scope, scope_of
from footnote.runtime import Runtime

Mode = Literal["hybrid", "vector", "keyword"]


@dataclass(frozen=True)
class Query:
    """What to look for, and where."""

    tenant_id: str
    text: str
    collections: Sequence[str] | None = None
    document_ids: Sequence[str] | None = None
    filter: Filter | None = None
    mode: Mode = "hybrid"
    top_k: int = 10


@dataclass(frozen=True)
class Hit:
    """A chunk that was found. `text` is `page.text[char_start:char_end]` of the page `page_start`.

    `score` is the fused one; `similarity` is the cosine, `coverage` the share of the question's weight in lexemes
    that the chunk holds, both 0 to 1, None when their leg did not find the chunk.
    """

    chunk_id: str
    document_id: str
    version_id: str
    filename: str
    version: int
    position: int
    page_start: int
    page_end: int
    char_start: int
    char_end: int
    heading: str
    text: str
    score: float
    metadata: dict[str, Any]
    similarity: float | None
    coverage: float | None


async def search(rt: Runtime, query: Query) -> list[Hit]:
    """The best hits, best first. Raises NotFound for an unknown collection, Conflict after a change of model.

    No session is held while the provider embeds the question.
    """
    async with rt.transaction() as session:
        chosen = await collections.chosen(session, query.tenant_id, query.collections)
        filled = [each for each in chosen if each.space_id is not None]
        if not filled or not query.text.strip():
            return []
        space = await cache.find_space(session, rt.embedder.provider, rt.embedder.model)
        searchable = [each for each in filled if space is not None and each.space_id == space.id]
        if not searchable or (query.collections is not None and len(searchable) < len(filled)):
            for collection in filled:
                await collections.check_embedder(session, collection, rt.embedder)
    assert space is not None
    vector = None
    if query.mode != "keyword":
        vector = (await rt.embedder.embed([query.text])).vectors[0]
        if len(vector) != space.dimensions:
            raise Conflict("embedding_model_changed", f"The model now makes vectors of {len(vector)} dimensions.")
    async with rt.transaction() as session:
        return await _run(session, query, searchable, space, vector)


async def _run(
    session: AsyncSession, query: Query, chosen: Sequence[Collection], space: EmbeddingSpace, vector: Any
) -> list[Hit]:
    scope = scope_of(query.tenant_id, [each.id for each in chosen], query.document_ids, query.filter)
    large = await _is_large(session, scope)
    legs = []
    if vector is not None:
        legs.append(vector_leg.leg(scope, space, vector, large=large))
    if query.mode != "vector":
        legs.append(keyword_leg.leg(scope, query.text, {each.language for each in chosen}, large=large))
    statement = "WITH " + ",".join(legs) + FUSED[query.mode] + HITS
    return [_hit(row) for row in (await scope.run(session, statement, top_k=query.top_k)).mappings()]


async def _is_large(session: AsyncSession, scope: Scope) -> bool:
    beyond = f"SELECT 1 FROM chunk c WHERE {scope.condition} OFFSET :exact LIMIT 1"
    return (await scope.run(session, beyond, exact=vector_leg.EXACT_CHUNKS)).first() is not None


def _hit(row: Any) -> Hit:
    values = dict(row)
    values["chunk_id"] = chunk_id(values["version_id"], values["position"])
    return Hit(**values)
