"""What the chunk step hands to the next two: pages with their chunks, one JSON line a page, in parts.

They are in the store, not in Postgres, so that a version becomes visible in one transaction; they are written and
read a page at a time, so that memory does not grow with the document. A part that is finished is a checkpoint.
"""

import json
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from footnote.errors import DocumentRejected, Unavailable
from footnote.formats import ParsedPage
from footnote.ingest.chunking import TextChunk
from footnote.ingest.report import Tally
from footnote.models import Artifact, Version
from footnote.runtime import Runtime
from footnote.text import clean


@dataclass(frozen=True)
class Extracted:
    """A page's number and stored text, and its chunks in order."""

    number: int
    text: str
    chunks: list[TextChunk]
    words: list[list[float]] | None  # positions of the words on a page read from its picture, as `Scan` has them
    outline: list[Any] | None = None  # as `ParsedPage` has it


class ArtifactsMissing(Unavailable):
    """The output of an earlier step was removed: that step must run again."""

    def __init__(self, step: str, message: str) -> None:
        super().__init__("internal_error", message)
        self.step = step


def key(job_id: str, token: int, number: int) -> str:
    """The token keeps a worker that lost its lease from writing over its successor's part."""
    return f"artifacts/{job_id}-{token}-{number}.jsonl"


async def last_part(rt: Runtime, version_id: str) -> tuple[int, Tally]:
    """The number of the last part of a version, 0 if it has none yet, and the tally up to its end."""
    async with rt.transaction() as session:
        last = select(Artifact).where(Artifact.version_id == version_id).order_by(Artifact.number.desc()).limit(1)
        part = await session.scalar(last)
    return (part.number, Tally(**part.tally)) if part else (0, Tally())


async def begun(session: AsyncSession, version_id: str) -> bool:
    return await session.scalar(select(Artifact.number).where(Artifact.version_id == version_id).limit(1)) is not None


async def add_part(session: AsyncSession, version: Version, number: int, key: str, tally: Tally) -> None:
    row = {"version_id": version.id, "number": number, "tenant_id": version.tenant_id}
    await session.execute(insert(Artifact).values(**row, key=key, tally=tally.counts()))


@asynccontextmanager
async def of_version(rt: Runtime, version: Version) -> AsyncIterator[list[Path]]:
    """Local copies of a version's parts, in order. Raises ArtifactsMissing."""
    async with rt.transaction() as session:
        parts = select(Artifact.key).where(Artifact.version_id == version.id).order_by(Artifact.number)
        keys = (await session.scalars(parts)).all()
    gone = ArtifactsMissing("chunk", "The pages and chunks between the steps are gone from the store.")
    if not keys and version.pages != 0:  # not counted yet, if the worker died before anything was stored
        raise gone
    async with AsyncExitStack() as copies:
        try:
            paths = [await copies.enter_async_context(rt.store.local_copy(each)) for each in keys]
        except DocumentRejected as error:
            if error.code != "object_missing":
                raise
            raise gone from error
        yield paths


def extracted(page: ParsedPage, chunks: Sequence[TextChunk]) -> Extracted:
    """The page as it is read back: with headings that are safe to store, as its text is."""
    safe = [replace(chunk, heading=tuple(clean(name) for name in chunk.heading)) for chunk in chunks]
    words = [list(word) for word in page.scan.words] if page.scan else None
    return Extracted(page.number, page.text, safe, words, [list(each) for each in page.outline])


def dump(page: Extracted) -> bytes:
    anchors = [[chunk.char_start, chunk.char_end, chunk.heading, chunk.columns] for chunk in page.chunks]
    head = {"number": page.number, "text": page.text, "chunks": anchors, "words": page.words}
    head["outline"] = page.outline
    line = json.dumps(head, ensure_ascii=False)
    return line.encode() + b"\n"


def _load(line: bytes) -> Extracted:
    page = json.loads(line)
    number, text = page["number"], page["text"]
    return Extracted(
        number,
        text,
        # Parts from before an upgrade have neither columns nor words nor an outline.
        [
            TextChunk(number, start, end, tuple(heading), text[start:end], *columns)
            for start, end, heading, *columns in page["chunks"]
        ],
        page.get("words"),
        page.get("outline"),
    )


def read(paths: Sequence[Path]) -> Iterator[Extracted]:
    for path in paths:
        with path.open("rb") as file:
            for line in file:
                yield _load(line)
