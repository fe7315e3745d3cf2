"""Where a question stands: a point in each embedding space of the collections that are looked into."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from footnote import collections
from footnote.errors import Conflict
from footnote.models import Collection, EmbeddingSpace
from footnote.retrieval import question_vectors
from footnote.runtime import Runtime
from footnote.usage import Spent


@dataclass(frozen=True)
class Point:
    """A vector of `space.dimensions` numbers, comparable within its space only."""

    space: EmbeddingSpace
    vector: Any


def searchable(rt: Runtime, filled: Sequence[Collection], *, named: bool) -> list[Collection]:
    """Those of the collections whose model can be asked.

    Raises Conflict if it is none of them, or if they were `named` and it is not all.
    """
    found, refused = [], None
    for collection in filled:
        try:
            collections.embedder_of(rt, collection)
            found.append(collection)
        except Conflict as error:
            refused = error
    if refused is not None and (named or not found):
        raise refused
    return found


async def of(session: AsyncSession, chosen: Sequence[Collection]) -> list[EmbeddingSpace]:
    ids = {each.space_id for each in chosen}
    spaces = select(EmbeddingSpace).where(EmbeddingSpace.id.in_(ids)).order_by(EmbeddingSpace.id)
    return list((await session.scalars(spaces)).all())


async def points(
    rt: Runtime, tenant_id: str, question: str, spaces: Sequence[EmbeddingSpace]
) -> tuple[list[Point], list[Spent]]:
    """Each model is asked once, if at all; what that took. Raises Conflict if one makes other vectors than it did."""
    models = list(dict.fromkeys((space.provider, space.model) for space in spaces))
    embedders = [rt.embedder_of(*model) for model in models]
    made = await asyncio.gather(*(question_vectors.vector(rt, tenant_id, each, question) for each in embedders))
    spent = [
        Spent("embedding", *model, each.tokens, paid=embedder.address is not None, estimated=each.estimated)
        for model, each, embedder in zip(models, made, embedders, strict=True)
        if each.tokens is not None
    ]
    vectors = {model: each.vector for model, each in zip(models, made, strict=True)}
    found = [Point(space, vectors[space.provider, space.model]) for space in spaces]
    for point in found:
        length = len(point.vector)
        if length != point.space.dimensions:
            raise Conflict("embedding_model_changed", f"The model now makes vectors of {length} dimensions.")
    return found, spent
