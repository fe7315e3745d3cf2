"""Vectors of questions, kept in Redis for a while: many a question is asked again."""

import asyncio
import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from redis.exceptions import RedisError

from footnote.providers import Embedder
from footnote.runtime import Runtime
from footnote.telemetry import questions_embedded_total

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

PATIENCE_SECONDS = 0.05  # longer, and the model is asked; somebody waits


@dataclass(frozen=True)
class Vector:
    """`tokens` as the provider counted them, or `estimated`; None if it was not asked."""

    vector: "NDArray[np.float32]"
    tokens: int | None
    estimated: bool = False


async def vector(rt: Runtime, tenant_id: str, embedder: Embedder, question: str) -> Vector:
    """The question as the embedder has it; of a tenant's own earlier questions only. Raises what the embedder does."""
    import numpy as np

    name = _key(rt, tenant_id, embedder, question)
    kept = await _kept(rt, name)
    if kept:
        questions_embedded_total.labels("cache").inc()
        return Vector(np.frombuffer(kept, dtype=np.float32), None)
    made = await embedder.embed([question])
    questions_embedded_total.labels("model").inc()
    if kept is not None:
        await _keep(rt, name, made.vectors[0].tobytes())
    return Vector(made.vectors[0], made.tokens, made.estimated)


def _key(rt: Runtime, tenant_id: str, embedder: Embedder, question: str) -> str:
    length = str(rt.settings.embedding_dimensions or "")
    told = "\n".join((embedder.provider, embedder.address or "", embedder.model, length, question))
    return f"footnote:question:{tenant_id}:{hashlib.sha256(told.encode()).hexdigest()}"


async def _kept(rt: Runtime, name: str) -> bytes | None:
    """Empty if nothing is kept, None if nothing can be."""
    if rt.redis is None or not rt.settings.question_cache_seconds:
        return None
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            found = await rt.redis.get(name)
    except (RedisError, OSError, TimeoutError):
        return None
    return found if isinstance(found, bytes) else b""


async def _keep(rt: Runtime, name: str, made: bytes) -> None:
    assert rt.redis is not None
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            await rt.redis.set(name, made, px=max(1, round(rt.settings.question_cache_seconds * 1000)))
    except (RedisError, OSError, TimeoutError):
        return
