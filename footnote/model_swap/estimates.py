"""Estimates the cost of a swap: counts the tokens of a random sample, and embeds a part of it."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from footnote.database.driver import driver
from footnote.embeddings import vector_lengths
from footnote.embeddings.batches import embedded_text
from footnote.models import Collection, EmbeddingSpace
from footnote.providers import Embedder
from footnote.runtime import Runtime
from footnote.tenancy import quotas, usage

COUNTED = 5_000  # texts: their mean length is then known to about one in a hundred
EMBEDDED = 32  # texts: what the provider counts for them corrects our own count


@dataclass(frozen=True)
class ModelEstimate:
    """`texts` are the different ones without a vector yet, `tokens` what embedding them takes.

    `cost` is in US dollars, None where no price is known.
    """

    provider: str
    model: str
    dimensions: int
    chunks: int
    texts: int
    tokens: int
    cost: Decimal | None


async def of(
    rt: Runtime, collection: Collection, embedder: Embedder, key_id: str
) -> tuple[ModelEstimate, EmbeddingSpace]:
    """The estimate, and the space of the model, which is opened by the few texts that are embedded.

    Raises what the embedder does, and Forbidden where nothing is left of the tenant's tokens or dollars.
    """
    async with rt.transaction() as session:
        await quotas.check_left(session, rt.settings, adding=False)
        likely = await vector_lengths.likely(session, rt, embedder)
        connection = await driver(session)
        asked = collection.tenant_id, collection.id, likely.id if likely else 0
        counted = await connection.fetchrow(_COUNT, *asked)
        rows = await connection.fetch(_SAMPLE, *asked, COUNTED)
    sample = [embedded_text(row["context"], row["text"]) for row in rows]
    read = await asyncio.to_thread(_tokens, embedder, sample)
    asked_for = sample[: min(EMBEDDED, embedder.max_texts)] or [vector_lengths.PROBE]
    space, answer = await vector_lengths.first(rt, embedder, likely, asked_for)
    await usage.record_apart(rt, key_id, usage.of_embedding(embedder, answer))
    share = answer.tokens / max(1, sum(read[: len(asked_for)]) or answer.tokens)
    tokens = round(sum(read) / max(1, len(read)) * counted["texts"] * share)
    cost = usage.cost(rt.settings, embedder.model, tokens) if embedder.address else Decimal(0)
    about = space.provider, space.model, space.dimensions
    return ModelEstimate(*about, counted["chunks"], counted["texts"], tokens, cost), space


def _tokens(embedder: Embedder, texts: Sequence[str]) -> list[int]:
    """What the model reads of each."""
    counts = [embedder.count_tokens(text) for text in texts]
    return [min(count, embedder.longest_text or count) for count in counts]


_WITHOUT = """
    NOT EXISTS (SELECT FROM embedding e WHERE e.tenant_id = $1 AND e.space_id = $3 AND e.text_sha256 = c.text_sha256)
    AND NOT EXISTS (SELECT FROM chunk o WHERE o.tenant_id = $1 AND o.space_id = $3 AND o.text_sha256 = c.text_sha256)
    AND NOT EXISTS (SELECT FROM chunk_vector v
                    WHERE v.tenant_id = $1 AND v.space_id = $3 AND v.text_sha256 = c.text_sha256)
"""
_COUNT = f"""
SELECT count(*) AS chunks, count(DISTINCT text_sha256) FILTER (WHERE {_WITHOUT}) AS texts
FROM chunk c WHERE tenant_id = $1 AND collection_id = $2
"""  # noqa: S608  constants
# In the order of their hashes, which is random.
_SAMPLE = f"""
SELECT DISTINCT ON (text_sha256) text_sha256, context, text FROM chunk c
WHERE tenant_id = $1 AND collection_id = $2 AND {_WITHOUT} ORDER BY text_sha256 LIMIT $4
"""  # noqa: S608  constants
