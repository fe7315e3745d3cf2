"""The first step: the object's pages and their chunks go to the store, in parts that are checkpoints."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from functools import partial
from pathlib import Path
from time import monotonic
from typing import Any

from sqlalchemy import select, update

from footnote import collections, jobs
from footnote.collections.chunking_settings import Chunking
from footnote.documents import objects, sources
from footnote.errors import DocumentRejected
from footnote.formats import ParsedPage, is_container
from footnote.formats.sandbox.parent import read_pages
from footnote.formats.sniffing import HEAD_BYTES, sniff
from footnote.ingest import artifacts
from footnote.ingest.chunking import TextChunk, split
from footnote.ingest.inputs import version_and_collection
from footnote.ingest.report import Tally
from footnote.jobs import Claim
from footnote.jobs.heartbeat import Heartbeat
from footnote.models import Collection, Document, Version
from footnote.runtime import Runtime
from footnote.storage import writing

PART_PAGES = 500
PART_SECONDS = 10.0


async def run(rt: Runtime, claim: Claim, heartbeat: Heartbeat) -> None:
    """Reads the object from the end of the last part that is in the store already, and writes the rest."""
    version, collection = await _begun(rt, claim)
    if version.source_url and not version.object_key:
        version = await sources.fetch(rt, claim, version)
    async with rt.store.local_copy(version.object_key or "") as path:
        if not version.media_type:
            await _sniff(rt, version, path)
        number, tally = await artifacts.last_part(rt, version.id)
        async with aclosing(read_pages(path, version.media_type, rt.settings.parse_limits, after=tally.pages)) as pages:
            await _write_parts(heartbeat, version, cutter(rt, version.chunking, collection), pages, number, tally)
        within: dict[str, Any] = {}
        if is_container(version.media_type) and not await _unpacked(rt, version):
            within = await sources.unpack(rt, claim, heartbeat, version, path)
    await _finish(rt, claim, heartbeat, tally, within)


async def _sniff(rt: Runtime, version: Version, path: Path) -> None:
    """Finds the type of a file that was stored whatever it is. Raises Invalid or Unsupported, as an upload does."""

    def head() -> bytes:
        with path.open("rb") as file:
            return file.read(HEAD_BYTES)

    # This release may read more types than the one that stored the file.
    version.media_type = sniff(await asyncio.to_thread(head), version.filename)
    await rt.execute(update(Version).where(Version.id == version.id).values(media_type=version.media_type))


async def go_on(rt: Runtime, claim: Claim, heartbeat: Heartbeat, pages: AsyncIterator[ParsedPage]) -> None:
    """Does the step with the pages of a document that is being read already."""
    version, collection = await _begun(rt, claim)
    tally = Tally()
    await _write_parts(heartbeat, version, cutter(rt, version.chunking, collection), pages, 0, tally)
    await _finish(rt, claim, heartbeat, tally, {})


async def _finish(rt: Runtime, claim: Claim, heartbeat: Heartbeat, tally: Tally, within: dict[str, Any]) -> None:
    if not tally.chunks and not within.get("documents"):
        raise DocumentRejected("no_text")
    await heartbeat.stop()
    async with rt.transaction() as session:
        # Locks the job before its version, as every transaction that ends a job does.
        await jobs.renew(session, claim, rt.settings.lease_seconds)
        counted = {"pages": tally.pages, "chunks": tally.chunks}
        await session.execute(update(Version).where(Version.id == claim.version_id).values(**counted))
        await jobs.finish_step(session, claim, tally.counts() | within)


async def _begun(rt: Runtime, claim: Claim) -> tuple[Version, Collection]:
    """The version and its collection. Chunking and language of a version stay as they are from its first part on."""
    version, collection = await version_and_collection(rt, claim)
    async with rt.transaction() as session:
        # Locks the collection first, as re-ingestion does: either re-ingestion finds the version as it is written here,
        # or this transaction finds the new settings.
        held = select(Collection).where(Collection.id == collection.id).with_for_update(read=True)
        collection = (await session.scalars(held)).one()
        await jobs.renew(session, claim, rt.settings.lease_seconds)
        version = await session.get_one(Version, version.id)
        if version.chunking is None or not await artifacts.begun(session, version.id):
            document = await session.get_one(Document, version.document_id)
            version.chunking, version.language = document.chunking or collection.chunking, collection.language
    return version, collection


async def _unpacked(rt: Runtime, version: Version) -> bool:
    """Whether an earlier version of the same bytes made documents of the files within: these have their own jobs."""
    async with rt.transaction() as session:
        active = select(Document.active_version_id).where(Document.id == version.document_id).scalar_subquery()
        seen = select(Version.object_key).where(Version.id == active)
        return await session.scalar(seen) == version.object_key


async def _write_parts(
    heartbeat: Heartbeat,
    version: Version,
    cut: Callable[[ParsedPage], list[TextChunk]],
    pages: AsyncIterator[ParsedPage],
    number: int,
    tally: Tally,
) -> None:
    """Writes the pages into parts after part `number`, and counts them."""
    rt, claim = heartbeat.rt, heartbeat.claim
    heartbeat.done = tally.pages
    page = await anext(pages, None)
    heartbeat.restart_clock()  # skipping what was read before takes time and is no progress
    while page is not None:
        number += 1
        key = artifacts.key(claim.job_id, claim.token, number)
        async with objects.reserved(rt, key):
            page = await _write_part(rt, heartbeat, cut, key, tally, page, pages)
            async with rt.transaction() as session:
                await heartbeat.checkpoint(session)
                await objects.adopt(session, key)
                await artifacts.add_part(session, version, number, key, tally)
        if page is not None:
            await heartbeat.yield_to_others()


def cutter(
    rt: Runtime, settings: dict[str, Any] | None, collection: Collection
) -> Callable[[ParsedPage], list[TextChunk]]:
    """The function that splits a page into chunks, by a version's `chunking`, none longer than the model reads."""
    chunking = Chunking(**(settings or {}))
    if chunking.unit == "characters":
        return partial(split, size=chunking.size, overlap=chunking.overlap, by_headings=chunking.by_headings)
    embedder = collections.embedder_of(rt, collection)
    fits = chunking.within(embedder.longest_text)
    count = embedder.count_tokens
    return partial(split, size=fits.size, overlap=fits.overlap, by_headings=fits.by_headings, count_tokens=count)


async def _write_part(
    rt: Runtime,
    heartbeat: Heartbeat,
    cut: Callable[[ParsedPage], list[TextChunk]],
    key: str,
    tally: Tally,
    page: ParsedPage | None,
    rest: AsyncIterator[ParsedPage],
) -> ParsedPage | None:
    """Writes pages from `page` on until the part is long enough; gives the page after it, if there is one."""
    begun, room = monotonic(), PART_PAGES
    async with writing(rt.store, key) as out:
        while page is not None and room and monotonic() - begun < PART_SECONDS:
            chunks = await asyncio.to_thread(cut, page)
            await out.write(await asyncio.to_thread(artifacts.dump, artifacts.extracted(page, chunks)))
            tally.add(page, chunks)
            heartbeat.done, room = tally.pages, room - 1
            page = await anext(rest, None)
    return page
