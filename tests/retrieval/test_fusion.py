"""The hybrid score, of legs whose findings are written down."""

from dataclasses import replace

import numpy as np
import pytest
from pgvector import HalfVector
from pgvector.sqlalchemy import HALFVEC
from sqlalchemy import bindparam, select, text

from footnote.models import EmbeddingSpace
from footnote.retrieval.fusion import MEANING, fused
from footnote.retrieval.spaces import QueryVector
from footnote.runtime import Runtime
from tests import driving, seeding
from tests.fakes import FakeEmbedder
from tests.seeding import Seed

pytestmark = pytest.mark.anyio

# Both legs as far as fusion reads them: words were found in every chunk, and nothing is near in meaning.
LEGS = """
WITH vector AS (SELECT version_id, position, space_id, 0.0::float AS similarity, 1 AS rank FROM chunk WHERE false),
keyword AS (
    SELECT version_id, position, 1 AS rank, 1 AS bm25_share, 0 AS exact_share, 1 AS coverage, 1 AS bm25,
           0 AS exact_matches
    FROM chunk WHERE tenant_id = :tenant
)"""

SCORES = """
SELECT s.model, f.score
FROM fused f JOIN chunk c USING (version_id, position) JOIN embedding_space s ON s.id = c.space_id
"""


async def test_a_chunk_whose_cosine_is_unknown_counts_by_its_words_alone(rt: Runtime) -> None:
    """As one has in a space that came to be after the question was embedded. A cosine without any other to compare
    it with is the best of its space.
    """
    tenant_id = await driving.new_tenant(rt)
    vectors = {model: np.array([1.0, 0.0]) for model in ("first", "second", "later")}
    for model, vector in vectors.items():
        await seeding.sow(replace(rt, embedder=FakeEmbedder(model)), tenant_id, [Seed({}, [vector])], model)
    async with rt.for_tenant(tenant_id).transaction() as session:
        spaces = (await session.scalars(select(EmbeddingSpace).where(EmbeddingSpace.model.in_(vectors)))).all()
        query_vectors = [QueryVector(space, vectors[space.model]) for space in spaces if space.model != "later"]
        named = {f"vector_{each.space.id}": HalfVector(each.vector) for each in query_vectors}
        statement = text(LEGS + fused("hybrid", query_vectors) + SCORES)
        bound = statement.bindparams(*(bindparam(name, type_=HALFVEC()) for name in named))
        found = await session.execute(bound, {"tenant": tenant_id, "depth": 9, "candidates": 9} | named)
        scores = {row.model: row.score for row in found}
    assert scores == pytest.approx({"first": 1.0, "second": 1.0, "later": 1 - MEANING})
