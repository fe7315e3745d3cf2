"""Generated documents, written straight into the product's tables: as many as no upload could bring in an hour.

What a bulk load leaves out (pages, objects in the store) is read by no search and no list.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any

import asyncpg
import numpy as np
from numpy.typing import NDArray
from pgvector import HalfVector
from pgvector.asyncpg import register_vector

from benchmarks.provider import DIMENSIONS
from footnote.providers import Embeddings
from footnote.runtime import Runtime
from footnote.tenancy import tallies

Vectors = NDArray[np.float32]
TENANT, COLLECTION, SPACE = "ten_b", "col_b", 1
CHUNKING = '{"size": 1000, "overlap": 200}'
# Embeddings of texts lie near a surface of far fewer dimensions than they have numbers.
INTRINSIC = 40
CLUSTERS = 300
_BATCH = 10_000
# As the product makes it with the first document of a model.
VECTOR_INDEX = f"""
    CREATE INDEX ix_chunk_embedding_space_{SPACE} ON chunk
    USING hnsw ((embedding::halfvec({DIMENSIONS})) halfvec_cosine_ops)
    WITH (m = 16, ef_construction = 64) WHERE space_id = {SPACE}
    """


class Given:
    """An embedder of texts whose vectors were made beforehand; of others, vectors of their own."""

    provider, model, address = "bench", "bench", None
    max_texts = max_tokens = 1_000_000
    longest_text = None
    question_prefix = ""

    def __init__(self, vectors: Vectors, texts: Sequence[str] | None = None) -> None:
        """`texts` are those that the vectors belong to; without them, the numbers from 0."""
        self._vectors = dict(zip(texts or map(str, count()), vectors, strict=False))
        self._others = count(1_000_000)

    def count_tokens(self, text: str) -> int:
        return len(text)

    async def embed(self, texts: Sequence[str]) -> Embeddings:
        for each in texts:
            if each not in self._vectors:
                self._vectors[each] = clustered(1, next(self._others))[0]
        return Embeddings(np.stack([self._vectors[each] for each in texts]), len(texts))

    async def close(self) -> None: ...


def clustered(count: int, seed: int) -> Vectors:
    """Unit vectors of shape (count, DIMENSIONS): the same clusters for any seed, other points."""
    shape = np.random.default_rng(0)
    centres = shape.normal(size=(CLUSTERS, INTRINSIC))
    spread = shape.normal(size=(INTRINSIC, DIMENSIONS))
    points = np.random.default_rng(seed)
    inner = centres[points.integers(CLUSTERS, size=count)] + points.normal(size=(count, INTRINSIC)) * 0.7
    vectors = inner @ spread + points.normal(size=(count, DIMENSIONS))
    unit: Vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    return unit


async def prepare(connection: "asyncpg.Connection[Any]") -> None:
    """A tenant with an empty collection, and the table that chunks are copied to first. VECTOR_INDEX is not there."""
    await register_vector(connection)
    await connection.execute(
        f"""
        INSERT INTO tenant (id, name, webhook_secret) VALUES ('{TENANT}', 'bench', 'x');
        INSERT INTO embedding_space (id, provider, model, dimensions)
            VALUES ({SPACE}, 'bench', 'bench', {DIMENSIONS});
        INSERT INTO collection (id, tenant_id, name, space_id, chunking, embedding_provider, embedding_model)
            VALUES ('{COLLECTION}', '{TENANT}', 'default', {SPACE}, '{CHUNKING}', 'bench', 'bench');
        CREATE UNLOGGED TABLE given (place int, body text, embedding halfvec({DIMENSIONS}));
        """
    )


async def count_rows(rt: Runtime) -> None:
    """Counts what was written straight into the tables, and adds up the changes of counts as the dispatcher does.

    A search is planned by the number of its chunks.
    """
    async with rt.operator.transaction() as session:
        await tallies.wrong(session, correct=True)
        while await tallies.fold(session):
            pass


@dataclass(frozen=True)
class Batch:
    """Chunks whose places count from `first`, and how many of them a document has.

    `metadata` is SQL for a document's, in terms of `place`, the document's number.
    """

    first: int
    vectors: Vectors
    texts: Sequence[str]
    per_document: int = 1
    language: str = "english"
    metadata: str = "'{}'::jsonb"


async def load(connection: "asyncpg.Connection[Any]", batch: Batch) -> None:
    """Documents as if they had been ingested: active, embedded, with a job that has succeeded."""
    await connection.execute("TRUNCATE given")
    for start in range(0, len(batch.vectors), _BATCH):
        part = slice(start, start + _BATCH)
        places = range(batch.first + start, batch.first + len(batch.vectors))
        records = zip(places, batch.texts[part], map(HalfVector, batch.vectors[part]), strict=False)
        await connection.copy_records_to_table("given", records=records)
    await connection.execute(_insert(batch))


def _insert(batch: Batch) -> str:
    document = f"place / {batch.per_document}"
    numbers = f"(SELECT DISTINCT {document} AS place FROM given) AS document"
    return f"""
        INSERT INTO document (id, tenant_id, collection_id, filename, metadata, sha256, active_version_id, job_id)
            SELECT 'doc_' || place, '{TENANT}', '{COLLECTION}', 'f', {batch.metadata}, '', 'ver_' || place,
                   'job_' || place FROM {numbers};
        INSERT INTO version (id, tenant_id, document_id, number, filename, media_type, sha256, bytes, pages, chunks)
            SELECT 'ver_' || place, '{TENANT}', 'doc_' || place, 1, 'f', 'text/plain', '', 1, 1, {batch.per_document}
            FROM {numbers};
        INSERT INTO job (id, tenant_id, document_id, version_id, state, step)
            SELECT 'job_' || place, '{TENANT}', 'doc_' || place, 'ver_' || place, 'succeeded', 'upsert' FROM {numbers};
        INSERT INTO chunk (version_id, position, tenant_id, collection_id, document_id, space_id, language, page_start,
                           page_end, char_start, char_end, heading, context, text, words, text_sha256, embedding, tsv)
            SELECT 'ver_' || {document}, place % {batch.per_document}, '{TENANT}', '{COLLECTION}', 'doc_' || {document},
                   {SPACE}, '{batch.language}', 1, 1, 0, length(body), '', '', body,
                   array_length(string_to_array(body, ' '), 1), sha256(convert_to(body, 'UTF8')), embedding,
                   to_tsvector('{batch.language}', body) FROM given;
        """
