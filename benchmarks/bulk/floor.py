"""The floor: split, embed in batches, COPY, HNSW; and search by raw SQL after a call for the question's vector.

What a script does that may lose everything at a crash: no queue, no versions, no tenants, no words to search by.
"""

import asyncio
import base64
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import asyncpg
import httpx2
import numpy as np
from langchain_text_splitters import RecursiveCharacterTextSplitter
from pgvector.asyncpg import register_vector

from benchmarks.bulk.footprint import processor_seconds
from benchmarks.corpus import Document
from benchmarks.provider import DIMENSIONS, MODEL, Vectors

CHUNK_SIZE, CHUNK_OVERLAP = 1000, 200
BATCH, AT_ONCE = 64, 8

Row = tuple[str, int, str]


@dataclass(frozen=True)
class Ingested:
    """Seconds on the clock and of the processor, for so many documents."""

    documents: int
    chunks: int
    seconds: float
    processor: float

    @property
    def rate(self) -> float:
        """Documents a second."""
        return self.documents / self.seconds


async def _connected(database_url: str) -> "asyncpg.Connection[Any]":
    connection: asyncpg.Connection[Any] = await asyncpg.connect(database_url)
    await connection.execute("CREATE EXTENSION IF NOT EXISTS vector")
    await register_vector(connection)
    return connection


async def database(server_url: str, name: str) -> str:
    """The URL of a database on the same server, made if it is not there."""
    admin = await asyncpg.connect(server_url)
    if not await admin.fetchval("SELECT 1 FROM pg_database WHERE datname = $1", name):
        await admin.execute(f"CREATE DATABASE {name}")
    await admin.close()
    start, _, options = server_url.partition("?")
    return f"{start.rpartition('/')[0]}/{name}?{options}"


@asynccontextmanager
async def opened(server_url: str, provider_url: str) -> "AsyncIterator[Floor]":
    """In a database of its own on the server."""
    url = await database(server_url, "floor")
    connections = [await _connected(url) for _ in range(AT_ONCE)]
    async with httpx2.AsyncClient(timeout=60, trust_env=False) as client:
        floor = Floor(connections, client, f"{provider_url}/embeddings")
        yield floor
    await floor.close()


class Floor:
    """A script in one process, with as many connections as it makes calls at once."""

    def __init__(
        self, connections: "Sequence[asyncpg.Connection[Any]]", client: httpx2.AsyncClient, embeddings: str
    ) -> None:
        self.connection, self._connections = connections[0], connections
        self._idle: asyncio.Queue[asyncpg.Connection[Any]] = asyncio.Queue()
        for connection in connections:
            self._idle.put_nowait(connection)
        self._client, self._embeddings = client, embeddings
        self._copying = asyncio.Lock()

    async def ingest(self, documents: Sequence[Document]) -> Ingested:
        """Into a new table. The processor time of the provider is not counted, here or elsewhere."""
        await self._new_table()
        before, started = await self._processor(), time.perf_counter()
        splitter = RecursiveCharacterTextSplitter(chunk_size=CHUNK_SIZE, chunk_overlap=CHUNK_OVERLAP)
        rows = [
            (document.name, place, text)
            for document in documents
            for place, text in enumerate(splitter.split_text(document.text))
        ]
        turn = asyncio.Semaphore(AT_ONCE)

        async def one(batch: Sequence[Row]) -> None:
            async with turn:
                await self._store(batch, await self.embed([text for _, _, text in batch]))

        await asyncio.gather(*(one(rows[start : start + BATCH]) for start in range(0, len(rows), BATCH)))
        seconds = time.perf_counter() - started
        processor = await self._processor() - before
        await self.connection.execute("ANALYZE floor_chunk")
        return Ingested(len(documents), len(rows), seconds, processor)

    async def close(self) -> None:
        """Ends its connections, whose memory is not the product's."""
        for connection in self._connections:
            await connection.close()

    async def _new_table(self) -> None:
        await self.connection.execute(
            f"""
            DROP TABLE IF EXISTS floor_chunk;
            CREATE TABLE floor_chunk (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, document text, place int,
                                      body text, embedding vector({DIMENSIONS}));
            CREATE INDEX ON floor_chunk USING hnsw (embedding vector_cosine_ops);
            """
        )

    async def embed(self, texts: Sequence[str]) -> Vectors:
        asked = {"model": MODEL, "input": texts, "encoding_format": "base64"}
        data = (await self._client.post(self._embeddings, json=asked)).json()["data"]
        return np.stack([np.frombuffer(base64.b64decode(each["embedding"]), np.float32) for each in data])

    async def _store(self, batch: Sequence[Row], vectors: Vectors) -> None:
        records = [(*row, vector) for row, vector in zip(batch, vectors, strict=True)]
        async with self._copying:
            await self.connection.copy_records_to_table(
                "floor_chunk", records=records, columns=["document", "place", "body", "embedding"]
            )

    async def search(self, question: str) -> None:
        [vector] = await self.embed([question])
        connection = await self._idle.get()
        await connection.fetch(
            "SELECT document, body, embedding <=> $1 FROM floor_chunk ORDER BY embedding <=> $1 LIMIT 10", vector
        )
        self._idle.put_nowait(connection)

    async def _processor(self) -> float:
        """Seconds of this process and of its backend."""
        return time.process_time() + processor_seconds(self.connection.get_server_pid())
