"""Writes documents and chunks directly into the tables: for tests that need thousands, or exact vectors."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from pgvector import HalfVector
from sqlalchemy import func, insert, update

from footnote import collections
from footnote.database.ids import new_id
from footnote.embeddings import checkpoint, vector_index
from footnote.models import Chunk, Collection, Document, Job, Version
from footnote.runtime import Runtime
from footnote.tenancy import tallies


@dataclass(frozen=True)
class Seed:
    """A document to write; one chunk for each vector."""

    metadata: dict[str, Any]
    vectors: Sequence[Any]
    filename: str = "seed.txt"
    media_type: str = "text/plain"
    external_id: str | None = None
    created_at: datetime = datetime(2024, 1, 1, tzinfo=UTC)
    id: str = field(default_factory=lambda: new_id("doc"))


async def sow(rt: Runtime, tenant_id: str, seeds: Sequence[Seed], collection: str = "default") -> None:
    """Writes each document as if it had been ingested: active, with a succeeded job, in the embedder's space."""
    rows: dict[Any, list[dict[str, Any]]] = {Document: [], Version: [], Job: [], Chunk: []}
    async with rt.for_tenant(tenant_id).transaction() as session:
        collection_id = (await collections.obtain(session, collection, rt.settings)).id
    async with rt.transaction() as session:
        target = await session.get_one(Collection, collection_id)
        space = await checkpoint.obtain_space(
            session, rt.embedder.provider, rt.embedder.model, len(seeds[0].vectors[0])
        )
        await vector_index.make(session, space)
        target.space_id, target.embedding_provider, target.embedding_model = space.id, space.provider, space.model
        for seed in seeds:
            owned = {"tenant_id": tenant_id, "document_id": seed.id}
            version_id, job_id = new_id("ver"), new_id("job")
            rows[Document].append(_document(seed, tenant_id, target.id, version_id, job_id))
            rows[Version].append(_version(seed, version_id) | owned)
            rows[Job].append({"id": job_id, "version_id": version_id, "state": "succeeded", "step": "upsert"} | owned)
            place = {"version_id": version_id, "collection_id": target.id, "space_id": space.id} | owned
            rows[Chunk] += [
                _chunk(f"lamp {seed.id} {position}", position, vector) | place
                for position, vector in enumerate(seed.vectors)
            ]
        for table, values in rows.items():
            await session.execute(insert(table), values)
        await tallies.wrong(session, correct=True)  # a trigger saw each document before its version
        lexemes = func.to_tsvector(Chunk.language, Chunk.text)
        await session.execute(update(Chunk).where(Chunk.tenant_id == tenant_id).values(tsv=lexemes))


def _document(seed: Seed, tenant_id: str, collection_id: str, version_id: str, job_id: str) -> dict[str, Any]:
    return {
        "id": seed.id,
        "tenant_id": tenant_id,
        "collection_id": collection_id,
        "external_id": seed.external_id,
        "filename": seed.filename,
        "attributes": seed.metadata,
        "sha256": seed.id.encode(),
        "active_version_id": version_id,
        "job_id": job_id,
        "created_at": seed.created_at,
        "updated_at": seed.created_at,
    }


def _version(seed: Seed, version_id: str) -> dict[str, Any]:
    return {
        "id": version_id,
        "number": 1,
        "filename": seed.filename,
        "media_type": seed.media_type,
        "sha256": seed.id.encode(),
        "bytes": 1,
        "pages": 1,
        "chunks": len(seed.vectors),
    }


def _chunk(text: str, position: int, vector: Any) -> dict[str, Any]:
    return {
        "position": position,
        "language": "english",
        "page_start": 1,
        "page_end": 1,
        "char_start": 0,
        "char_end": len(text),
        "heading": "",
        "context": "",
        "text": text,
        "words": 3,
        "text_sha256": b"",
        "embedding": HalfVector(vector),
        "tsv": "",
    }
