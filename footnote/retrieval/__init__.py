"""Retrieval: a vector leg and a keyword leg over the chunks in scope, fused in one SQL statement, then shaped."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from sqlalchemy.ext.asyncio import AsyncSession

from footnote import cache, collections
from footnote.errors import Conflict
from footnote.filters import Filter
from footnote.models import Collection, EmbeddingSpace, chunk_id
from footnote.retrieval import expansion, keyword_leg, shaping, vector_leg
from footnote.retrieval.expansion import Context, Expand
from footnote.retrieval.fusion import FUSED, HITS
from footnote.retrieval.scope import scope_of
from footnote.runtime import Runtime

Mode = Literal["hybrid", "vector", "keyword"]

CANDIDATES = 3  # looked at for each hit that is wanted
DEPTH = 100  # of each leg, at least


@dataclass(frozen=True)
class Query:
    """What to look for, and where. `diversity` from 0 to 1 prefers hits that are unlike each other."""

    tenant_id: str
    text: str
    collections: Sequence[str] | None = None
    document_ids: Sequence[str] | None = None
    filter: Filter | None = None
    mode: Mode = "hybrid"
    top_k: int = 10
    diversity: float = 0.0
    expand: Expand = "none"

    @property
    def candidates(self) -> int:
        return CANDIDATES * self.top_k


@dataclass(frozen=True)
class Hit:
    """A chunk that was found. `text` is `page.text[char_start:char_end]` of the page `page_start`.

    `score` is the fused one; `similarity` is the cosine, `coverage` the share of the question's weight in lexemes
    that the chunk holds, both 0 to 1; `needles` counts the rare identifiers and quoted phrases in it. What a leg says
    is None when it did not find the chunk.
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
    vector_rank: int | None
    keyword_rank: int | None
    bm25: float | None
    needles: int | None
    embedding: str | None = field(repr=False, compare=False)  # only where hits are to be unlike each other
    context: Context | None = None

    @property
    def key(self) -> tuple[str, int]:
        return self.version_id, self.position


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
        found = await _candidates(session, query, searchable, space, vector)
        hits = _shaped(query, found)
        if query.expand != "none" and hits:
            around = await expansion.around(session, query.tenant_id, [each.key for each in hits], query.expand)
            hits = [replace(each, context=around.get(each.key)) for each in hits]
    return hits


async def _candidates(
    session: AsyncSession, query: Query, chosen: Sequence[Collection], space: EmbeddingSpace, vector: Any
) -> list[Hit]:
    scope = scope_of(query.tenant_id, [each.id for each in chosen], query.document_ids, query.filter)
    scope.parameters["depth"] = max(DEPTH, query.candidates)
    large = await scope.exceeds(session, vector_leg.EXACT_CHUNKS)
    legs = []
    if vector is not None:
        legs.append(vector_leg.leg(scope, space, vector, large=large))
    if query.mode != "vector":
        languages = {each.language for each in chosen}
        legs.append(keyword_leg.leg(scope, query.text, languages, large=large, beside_vector=vector is not None))
    statement = "WITH " + ",".join(legs) + FUSED[query.mode] + HITS
    rows = await scope.run(session, statement, candidates=query.candidates, diverse=query.diversity > 0)
    return [Hit(chunk_id=chunk_id(row["version_id"], row["position"]), **row) for row in rows.mappings()]


def _shaped(query: Query, found: Sequence[Hit]) -> list[Hit]:
    most = len(found) if query.diversity else query.top_k
    hits = [found[place] for place in shaping.distinct([each.text for each in found], most)]
    if not query.diversity or not hits:
        return hits
    embeddings, scores = [each.embedding or "" for each in hits], [each.score for each in hits]
    order = shaping.diverse(embeddings, scores, query.diversity, query.top_k)
    return [hits[place] for place in order]
