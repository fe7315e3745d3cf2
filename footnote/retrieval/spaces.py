"""The vectors of a question: one in each embedding space of the collections that are looked into."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from footnote import collections
from footnote.embeddings import vector_lengths
from footnote.errors import Conflict
from footnote.models import Collection, EmbeddingSpace
from footnote.retrieval import question_vectors
from footnote.runtime import Runtime
from footnote.telemetry.metrics import timed
from footnote.tenancy.usage import UsageEntry


@dataclass(frozen=True)
class QueryVector:
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


@timed("embed")
async def query_vectors(
    rt: Runtime,
    question: str,
    spaces: Sequence[EmbeddingSpace],
    filled: Sequence[Collection],
    *,
    named: bool,
) -> tuple[list[QueryVector], list[UsageEntry]]:
    """Each model is asked once, if at all; what that took.

    Raises Conflict if one makes other vectors than it did: if it is the only one, or if its collection was `named`.
    Otherwise its collections are searched by words alone.
    """
    names = {collection.space_id: collection.name for collection in filled}
    asked = (question_vectors.vector(rt, space, question, names[space.id]) for space in spaces)
    made = await asyncio.gather(*asked, return_exceptions=True)
    changed = [each for each in made if isinstance(each, BaseException)]
    if changed and (named or len(changed) == len(made) or not all(isinstance(each, Conflict) for each in changed)):
        raise next((each for each in changed if not isinstance(each, Conflict)), changed[0])
    found = [(space, each) for space, each in zip(spaces, made, strict=True) if not isinstance(each, BaseException)]
    spent = [
        UsageEntry(
            "embedding",
            space.provider,
            space.model,
            each.tokens,
            paid=vector_lengths.embedder_of(rt, space).address is not None,
            estimated=each.estimated,
        )
        for space, each in found
        if each.tokens is not None
    ]
    return [QueryVector(space, each.vector) for space, each in found], spent
