"""Vectors of questions, stored in Redis for a while, because questions are repeated."""

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from footnote.embeddings import vector_lengths
from footnote.models import EmbeddingSpace
from footnote.providers import Embedder
from footnote.runtime import Runtime
from footnote.telemetry.metrics import questions_embedded_total

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from redis.asyncio import Redis

PATIENCE_SECONDS = 0.05  # after that the model is asked


@dataclass(frozen=True)
class Vector:
    """`tokens` as the provider counted them, or `estimated`; None if it was not asked."""

    vector: "NDArray[np.float32]"
    tokens: int | None
    estimated: bool = False


async def vector(rt: Runtime, space: EmbeddingSpace, question: str, collection: str) -> Vector:
    """The question in the space of a collection; of a tenant's own earlier questions only.

    Raises what `vector_lengths.in_space` does.
    """
    import numpy as np

    embedder = vector_lengths.embedder_of(rt, space)
    name = _key(rt.tenant, embedder, space, question)
    kept = await _kept(rt, name)
    if kept:
        questions_embedded_total.labels("cache").inc()
        return Vector(np.frombuffer(kept, dtype=np.float32), None)
    asked = embedder.question_prefix + question
    made = await vector_lengths.in_space(rt, embedder, space, [asked], collection)
    questions_embedded_total.labels("model").inc()
    if kept is not None:
        milliseconds = max(1, round(rt.settings.question_cache_seconds * 1000))
        stored = made.vectors[0].tobytes()
        rt.shared.send(lambda redis: redis.set(name, stored, px=milliseconds), PATIENCE_SECONDS)
    return Vector(made.vectors[0], made.tokens, made.estimated)


def _key(tenant_id: str, embedder: Embedder, space: EmbeddingSpace, question: str) -> str:
    identity = "\n".join((embedder.provider, embedder.address or "", embedder.model, str(space.dimensions), question))
    return f"footnote:question:{tenant_id}:{hashlib.sha256(identity.encode()).hexdigest()}"


async def _kept(rt: Runtime, name: str) -> bytes | None:
    """Empty if nothing is stored, None if nothing can be."""
    if not rt.settings.question_cache_seconds:
        return None

    async def get(redis: "Redis") -> bytes:
        found = await redis.get(name)
        return found if isinstance(found, bytes) else b""

    return await rt.shared.ask(get, PATIENCE_SECONDS)
