"""What ingesting a file would take, found by doing it without storing anything: the same parser, chunks and texts."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

from footnote import collections
from footnote.documents import new_key, objects
from footnote.documents.sources import DEEPEST
from footnote.documents.uploads import Upload, receive
from footnote.embeddings import checkpoint, vector_lengths
from footnote.errors import DocumentRejected, FootnoteError
from footnote.formats import ParsedPage, is_container
from footnote.formats.sandbox.parent import read_files, read_pages
from footnote.ingest.chunk import cutter
from footnote.ingest.chunking import TextChunk, embedding_text
from footnote.ingest.inputs import title
from footnote.models import EmbeddingSpace
from footnote.providers import Embedder
from footnote.runtime import Runtime
from footnote.tenancy import usage

AT_ONCE = 2  # files that one process reads at once
LOOKED_UP = 500  # texts at once
_room = asyncio.Semaphore(AT_ONCE)


@dataclass
class Estimate:
    """`tokens` of all chunks, `new_tokens` of those that have no vector yet and would be paid for.

    `documents` counts the file and the files within it that can be read; `cost` is in US dollars, None where no price
    is known.
    """

    provider: str
    model: str
    documents: int = 0
    pages: int = 0
    chunks: int = 0
    tokens: int = 0
    new_tokens: int = 0
    cost: Decimal | None = None


async def estimate(rt: Runtime, upload: Upload, collection: str) -> Estimate:
    """Reads the upload, which must be reserved, and deletes it.

    Raises what its ingestion would fail with, DocumentRejected, and what `collections.would_be` raises.
    """
    async with rt.transaction() as session:
        target = await collections.would_be(session, collection, rt.settings)
        embedder = collections.embedder_of(rt, target)
        space = await session.get(EmbeddingSpace, target.space_id) if target.space_id else None
        space = space or await vector_lengths.likely(session, rt, embedder)
    reading = _Reading(rt, embedder, space, cutter(rt, target.chunking, target))
    async with _room:
        await reading.file(upload)
        await reading.look_up()
    if not reading.found.chunks and reading.found.documents == 1:
        raise DocumentRejected("no_text")
    tokens = reading.found.new_tokens
    reading.found.cost = usage.cost(rt.settings, embedder.model, tokens) if embedder.address else Decimal(0)
    return reading.found


@dataclass
class _Reading:
    rt: Runtime
    embedder: Embedder
    space: EmbeddingSpace | None
    cut: Callable[[ParsedPage], list[TextChunk]]
    seen: set[bytes] = field(default_factory=set)  # hashes of texts
    waiting: dict[bytes, int] = field(default_factory=dict)  # tokens of texts that may have a vector

    def __post_init__(self) -> None:
        self.found = Estimate(self.embedder.provider, self.embedder.model)

    async def file(self, upload: Upload, depth: int = 0) -> None:
        key = upload.object_key or ""
        if depth >= DEEPEST and is_container(upload.media_type):
            raise DocumentRejected("too_complex", "Archives are packed into each other too deeply.")
        self.found.documents += 1
        limits = self.rt.settings.parse_limits
        async with self.rt.store.local_copy(key) as path:
            async with aclosing(read_pages(path, upload.media_type, limits)) as pages:
                async for page in pages:
                    await asyncio.to_thread(self._page, upload.filename, page)
                    if len(self.waiting) >= LOOKED_UP:
                        await self.look_up()
            if is_container(upload.media_type):
                await self._files_within(path, upload.media_type, depth)
        await objects.discard(self.rt, key)

    async def _files_within(self, path: Path, media_type: str, depth: int) -> None:
        async with aclosing(read_files(path, media_type, self.rt.settings.parse_limits)) as files:
            async for name, pieces in files:
                key = new_key(self.rt.tenant)
                try:
                    async with objects.reserved(self.rt, key):
                        await self.file(await receive(self.rt, key, name, pieces), depth + 1)
                except FootnoteError as error:  # one that is skipped
                    if error.retryable:
                        raise

    def _page(self, filename: str, page: ParsedPage) -> None:
        chunks = self.cut(page)
        self.found.pages += 1
        self.found.chunks += len(chunks)
        for key, tokens in self._counted(filename, chunks):
            self.found.tokens += tokens
            if key not in self.seen:
                self.seen.add(key)
                self.waiting[key] = tokens

    def _counted(self, filename: str, chunks: Sequence[TextChunk]) -> list[tuple[bytes, int]]:
        """For each chunk the hash of what is embedded, and the tokens that the model reads of it."""
        texts = [embedding_text(title(filename), each) for each in chunks]
        counts = [self.embedder.count_tokens(text) for text in texts]
        longest = self.embedder.longest_text
        return [
            (checkpoint.text_hash(text), min(count, longest or count))
            for text, count in zip(texts, counts, strict=True)
        ]

    async def look_up(self) -> None:
        known: dict[bytes, bool] = {}
        if self.space is not None:
            async with self.rt.transaction() as session:
                known = await checkpoint.known(session, self.space.id, list(self.waiting))
        self.found.new_tokens += sum(tokens for key, tokens in self.waiting.items() if key not in known)
        self.waiting.clear()
