"""The first step: the object's pages and their chunks go to the store, in parts that are checkpoints."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path
from time import monotonic
from typing import Any

from sqlalchemy import update

from footnote import artifacts, jobs, objects, sources
from footnote.chunking import split
from footnote.errors import DocumentRejected
from footnote.formats import Page, is_container
from footnote.formats.parent import read_pages
from footnote.heartbeat import Heartbeat
from footnote.ingest.subject import subject
from footnote.jobs import Claim
from footnote.models import Collection, Version
from footnote.reports import Tally
from footnote.runtime import Runtime
from footnote.storage import writing

PART_PAGES = 500
PART_SECONDS = 10.0


async def run(rt: Runtime, claim: Claim, heartbeat: Heartbeat) -> None:
    """Reads the object from behind the last part that is in the store already, writes the rest."""
    version, collection = await subject(rt, claim)
    if version.source_url and not version.object_key:
        version = await sources.fetch(rt, claim, version)
    async with rt.store.local_copy(version.object_key or "") as path:
        tally = await _write_parts(rt, claim, heartbeat, version, collection, path)
        within: dict[str, Any] = {}
        if is_container(version.media_type):
            within = await sources.unpack(rt, claim, heartbeat, version, path)
    if not tally.chunks and not within.get("documents"):
        raise DocumentRejected("no_text")
    await heartbeat.stop()
    async with rt.transaction() as session:
        # The job before its version, as whoever ends it locks them.
        await jobs.renew(session, claim, rt.settings.lease_seconds)
        counted = {"pages": tally.pages, "chunks": tally.chunks}
        await session.execute(update(Version).where(Version.id == version.id).values(**counted))
        await jobs.finish_step(session, claim, tally.counts() | within)


async def _write_parts(
    rt: Runtime, claim: Claim, heartbeat: Heartbeat, version: Version, collection: Collection, path: Path
) -> Tally:
    number, tally = await artifacts.last_part(rt, version.id)
    heartbeat.done = tally.pages
    limits = rt.settings.parse_limits
    async with aclosing(read_pages(path, version.media_type, limits, after=tally.pages)) as pages:
        page = await anext(pages, None)
        heartbeat.begin_turn()  # passing over what was read before takes time, and gets nobody further
        while page is not None:
            number += 1
            key = artifacts.key(claim.job_id, claim.token, number)
            async with objects.reserved(rt, key):
                page = await _write_part(rt, heartbeat, collection, key, tally, page, pages)
                async with rt.transaction() as session:
                    await heartbeat.checkpoint(session)
                    await objects.adopt(session, key)
                    await artifacts.add_part(session, version, number, key, tally)
            if page is not None:
                await heartbeat.give_way()
    return tally


async def _write_part(
    rt: Runtime,
    heartbeat: Heartbeat,
    collection: Collection,
    key: str,
    tally: Tally,
    page: Page | None,
    rest: AsyncIterator[Page],
) -> Page | None:
    """Writes pages from `page` on until the part is long enough; the page behind it, if there is one."""
    begun, room = monotonic(), PART_PAGES
    async with writing(rt.store, key) as out:
        while page is not None and room and monotonic() - begun < PART_SECONDS:
            chunks = await asyncio.to_thread(split, page, size=collection.chunk_size, overlap=collection.chunk_overlap)
            await out.write(await asyncio.to_thread(artifacts.dump, page, chunks))
            tally.add(page, chunks)
            heartbeat.done, room = tally.pages, room - 1
            page = await anext(rest, None)
    return page
