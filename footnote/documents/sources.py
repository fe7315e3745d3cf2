"""Bytes that do not come as an upload: fetched from an address, or found within a container of files."""

from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

from sqlalchemy import select, update

from footnote import documents, jobs
from footnote.documents import deletion, objects
from footnote.documents.uploads import receive
from footnote.errors import DocumentRejected, FootnoteError
from footnote.formats import is_container
from footnote.formats.sandbox.parent import read_files
from footnote.jobs import Claim
from footnote.jobs.heartbeat import Heartbeat
from footnote.models import Document, Version
from footnote.outbound import guard
from footnote.runtime import Runtime

DEEPEST = 3  # containers within each other
MOST_LISTED = 100  # skipped files named in a report


async def fetch(rt: Runtime, claim: Claim, version: Version) -> Version:
    """The version with its bytes, from its `source_url`. Raises DocumentRejected or, for now, Unavailable."""
    key = documents.new_key(claim.tenant_id)
    seconds, allow_private = rt.settings.fetch_timeout_seconds, rt.settings.fetch_allow_private
    async with objects.reserved(rt, key):
        async with guard.get(version.source_url or "", seconds=seconds, allow_private=allow_private) as found:
            upload = await receive(rt, key, found.filename or version.filename, found.pieces)
        values = {"media_type": upload.media_type, "sha256": upload.sha256, "bytes": upload.bytes}
        async with rt.transaction() as session:
            # The document, then the job, as an upload locks them.
            await session.execute(
                update(Document)
                .where(Document.id == claim.document_id)
                .values(sha256=upload.sha256, filename=upload.filename)
            )
            await jobs.renew(session, claim, rt.settings.lease_seconds)
            await objects.adopt(session, key)
            await session.execute(
                update(Version)
                .where(Version.id == version.id)
                .values(object_key=key, filename=upload.filename, **values)
            )
    async with rt.transaction() as session:
        return await session.get_one(Version, version.id)


async def unpack(rt: Runtime, claim: Claim, heartbeat: Heartbeat, version: Version, path: Path) -> dict[str, Any]:
    """Makes each file within the container a document of its own, with this one as its parent; returns the counts.

    A file that cannot be read is skipped and named. Documents of files that this version does not have
    any more are deleted. Safe to run twice: documents that exist already stay as they are.
    """
    async with rt.transaction() as session:
        parent = await session.get_one(Document, claim.document_id)
        depth = len(await documents.ancestors(session, parent))
    made: set[str] = set()
    skipped: list[dict[str, str]] = []
    async with aclosing(read_files(path, version.media_type, rt.settings.parse_limits)) as files:
        async for name, pieces in files:
            try:
                made.add(await _receive(rt, claim, parent, version, depth, name, pieces))
            except FootnoteError as error:
                if error.retryable:
                    raise
                skipped.append({"name": name[:512], "code": error.code})
            heartbeat.done += 1
    await _delete_others(rt, parent, made)
    return {"documents": len(made), "skipped": len(skipped), "skipped_files": skipped[:MOST_LISTED]}


async def _receive(
    rt: Runtime, claim: Claim, parent: Document, version: Version, depth: int, name: str, pieces: AsyncIterator[bytes]
) -> str:
    async with objects.new(rt) as key:
        upload = await receive(rt, key, name, pieces)
        if depth + 1 >= DEEPEST and is_container(upload.media_type):
            raise DocumentRejected("too_complex", "Archives are packed into each other too deeply.")
        async with rt.transaction() as session:
            await jobs.renew(session, claim, rt.settings.lease_seconds, None, None)
            accepted = await documents.accept(
                session,
                rt,
                upload,
                collection=parent.collection_id,
                metadata=parent.attributes,
                external_id=f"{parent.id}/{name}"[:512],
                found_in=version,
                chunking=parent.chunking,
            )
    return accepted.details.document.id


async def _delete_others(rt: Runtime, parent: Document, made: set[str]) -> None:
    async with rt.transaction() as session:
        found = await session.scalars(select(Document.id).where(Document.parent_id == parent.id))
        gone = [document_id for document_id in found if document_id not in made]
    for document_id in gone:
        await deletion.remove(rt, document_id)
