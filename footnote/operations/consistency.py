"""Proof that nothing is lost and nothing is left: the store against the database, and the database in itself."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select, text
from sqlalchemy.orm import InstrumentedAttribute

from footnote.documents import objects
from footnote.models import Artifact, File, Version
from footnote.runtime import Runtime
from footnote.storage import UNFINISHED
from footnote.tenancy import tallies

FOLDERS = ("objects", "artifacts", "pictures")
BATCH = 500
LOOKUPS_AT_ONCE = 16


@dataclass(frozen=True)
class Finding:
    """Something that should not be; `fixed` if the audit was asked to set it right and could."""

    kind: str
    what: str
    fixed: bool = False


_USED_ONE_THAT_IS_GONE = (
    "EXISTS (SELECT FROM {} AS used(id) WHERE NOT EXISTS (SELECT FROM document WHERE document.id = used.id))"
)
_ONE_OF_THEM_IS_GONE = _USED_ONE_THAT_IS_GONE.format("unnest(document_ids)")
# Rows that none of our transactions leaves behind: (table, what is shown, condition).
_LEFTOVERS = {
    "chunk_without_version": (
        "chunk",
        "version_id",
        "NOT EXISTS (SELECT FROM document WHERE active_version_id = chunk.version_id)",
    ),
    "page_without_version": (
        "page",
        "version_id",
        "NOT EXISTS (SELECT FROM document JOIN version ON version.document_id = document.id "
        "WHERE version.id = page.version_id AND document.active_version_id = page.version_id)",
    ),
    "embedding_without_document": (
        "embedding",
        "encode(text_sha256, 'hex')",
        "NOT EXISTS (SELECT FROM document WHERE id = embedding.document_id) "
        "AND NOT EXISTS (SELECT FROM chunk WHERE chunk.tenant_id = embedding.tenant_id "
        "AND chunk.space_id = embedding.space_id AND chunk.text_sha256 = embedding.text_sha256) "
        "AND NOT EXISTS (SELECT FROM chunk_vector WHERE chunk_vector.tenant_id = embedding.tenant_id "
        "AND chunk_vector.space_id = embedding.space_id AND chunk_vector.text_sha256 = embedding.text_sha256)",
    ),
    "second_vector_without_chunk": (
        "chunk_vector",
        "version_id",
        "NOT EXISTS (SELECT FROM chunk JOIN collection ON collection.id = chunk.collection_id "
        "WHERE chunk.version_id = chunk_vector.version_id AND chunk.position = chunk_vector.position "
        "AND chunk.space_id <> chunk_vector.space_id AND collection.standby_space_id IS NOT NULL)",
    ),
    "answer_without_document": ("message", "id", _ONE_OF_THEM_IS_GONE),
    "result_without_document": ("query_batch_item", "batch_id", _ONE_OF_THEM_IS_GONE),
    "response_without_document": ("response", "id", _ONE_OF_THEM_IS_GONE),
    "cached_answer_without_document": (
        "cached_answer",
        "id",
        _USED_ONE_THAT_IS_GONE.format("jsonb_array_elements_text(answer -> 'document_ids')"),
    ),
}

_INCOMPLETE = text(
    """
    SELECT document.id FROM document JOIN version ON version.id = document.active_version_id
    WHERE version.chunks IS DISTINCT FROM (SELECT count(*) FROM chunk WHERE chunk.version_id = version.id)
       OR version.pages IS DISTINCT FROM (SELECT count(*) FROM page WHERE page.version_id = version.id)
    """
)


async def audit(rt: Runtime, *, fix: bool) -> AsyncIterator[Finding]:
    """Everything found; with `fix`, what is left over is removed. Safe while the system works."""
    for part in (_not_named(rt, fix), _not_there(rt, fix), _left_over(rt, fix)):
        async for finding in part:
            yield finding


async def _not_named(rt: Runtime, fix: bool) -> AsyncIterator[Finding]:
    async for keys in _unnamed(rt):
        if fix:
            async with rt.transaction() as session:
                await objects.give_up(session, keys)
        for key in sorted(keys):
            yield Finding("object_without_row", key, fix)
    while fix and await objects.sweep(rt):
        pass


async def _not_there(rt: Runtime, fix: bool) -> AsyncIterator[Finding]:
    async for key in _absent(rt, Artifact.key):
        if fix:  # the job then makes them all again
            async with rt.transaction() as session:
                versions = await session.scalars(select(Artifact.version_id).where(Artifact.key == key))
                await objects.give_up_artifacts(session, versions.all())
        yield Finding("artifact_missing", key, fix)
    async for key in _absent(rt, Version.object_key):
        yield Finding("object_missing", key)
    async for key in _absent(rt, File.object_key):
        yield Finding("file_missing", key)


async def _left_over(rt: Runtime, fix: bool) -> AsyncIterator[Finding]:
    for kind, (table, shown, condition) in _LEFTOVERS.items():
        look = f"SELECT {shown} FROM {table} WHERE {condition}"
        removal = f"DELETE FROM {table} WHERE {condition} RETURNING {shown}"
        async with rt.transaction() as session:
            leftovers = dict.fromkeys(await session.scalars(text(removal if fix else look)))
        for what in leftovers:
            yield Finding(kind, what, fix)
    async with rt.transaction() as session:
        incomplete = (await session.scalars(_INCOMPLETE)).all()
    for document_id in incomplete:
        yield Finding("document_incomplete", document_id)
    async with rt.transaction() as session:
        miscounted = await tallies.wrong(session, correct=fix)
    for collection_id in miscounted:
        yield Finding("tally_wrong", collection_id, fix)


async def _unnamed(rt: Runtime) -> AsyncIterator[set[str]]:
    """Keys in the store that no row names, in batches.

    An object is named before it is written and until it is deleted, so one that is in the store after no row named
    has no owner; one that is in an older list only may just have been deleted.
    """
    for folder in FOLDERS:
        suspects: set[str] = set()
        async for keys in _batches(rt.store.keys(folder)):
            async with rt.transaction() as session:
                suspects |= keys - await objects.named(session, keys)
        if suspects:
            async for keys in _batches(rt.store.keys(folder)):
                yield suspects & keys


async def _batches(keys: AsyncIterator[str]) -> AsyncIterator[set[str]]:
    """The keys of objects, finished or not."""
    batch: set[str] = set()
    async for key in keys:
        batch.add(key.removesuffix(UNFINISHED))
        if len(batch) == BATCH:
            yield batch
            batch = set()
    yield batch


async def _absent(rt: Runtime, column: InstrumentedAttribute[Any]) -> AsyncIterator[str]:
    """Keys that rows name and that are not in the store."""
    room = asyncio.Semaphore(LOOKUPS_AT_ONCE)

    async def absent(key: str) -> bool:
        async with room:
            return not await rt.store.exists(key)

    last = ""
    while True:
        async with rt.transaction() as session:
            page = select(column).where(column > last).order_by(column).limit(BATCH)
            keys = [key for key in await session.scalars(page) if key]
        if not keys:
            return
        last = keys[-1]
        gone = [key for key, is_gone in zip(keys, await asyncio.gather(*map(absent, keys)), strict=True) if is_gone]
        async with rt.transaction() as session:  # those that were marked for deletion in between are rightly missing
            missing = (await session.scalars(select(column).where(column.in_(gone)).distinct())).all()
        for key in missing:
            yield key or ""
