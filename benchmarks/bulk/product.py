"""Footnote as clients see it: uploads, searches and lists over HTTP, and what its processes take meanwhile."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import httpx2

from benchmarks.bulk import footprint
from benchmarks.bulk.floor import CHUNK_OVERLAP, CHUNK_SIZE
from benchmarks.corpus import Document
from benchmarks.provider import MODEL
from benchmarks.running import Stack, started

CLIENTS = 8
UNFINISHED = ("queued", "running", "waiting")
LOOK_SECONDS, CLOSE_LOOK_SECONDS = 0.2, 0.01
LOAD_SECONDS = 3600.0
PAGE = 100

Each = TypeVar("Each")


@dataclass(frozen=True)
class Loaded:
    """Seconds until the last document was ready; seconds of the processor and MiB by what the processes are."""

    documents: int
    chunks: int
    seconds: float
    processor: dict[str, float]
    memory: dict[str, float]

    @property
    def rate(self) -> float:
        """Documents a second."""
        return self.documents / self.seconds


def settings(provider_url: str) -> dict[str, str]:
    """As shipped, but with the provider and the chunks of the floor."""
    return {
        "OPENAI_BASE_URL": provider_url,
        "OPENAI_API_KEY": "none",
        "FOOTNOTE_EMBEDDER": "openai",
        "FOOTNOTE_EMBEDDING_MODEL": MODEL,
        "FOOTNOTE_GENERATOR": "extractive",
        "FOOTNOTE_CHUNK_SIZE": str(CHUNK_SIZE),
        "FOOTNOTE_CHUNK_OVERLAP": str(CHUNK_OVERLAP),
    }


class Product:
    """A running Footnote; each load is a collection of its own."""

    def __init__(self, stack: Stack, client: httpx2.AsyncClient) -> None:
        self.stack, self._client = stack, client

    # -- ingestion -------------------------------------------------------------------------------------------------

    async def ingest(self, collection: str, documents: Sequence[Document]) -> Loaded:
        """Uploads them with CLIENTS at once, and waits until all are ready. Fails if one is not."""
        await self._post("/v1/collections", json={"name": collection})
        before, started = footprint.taken(self.stack.pid), time.perf_counter()

        async def upload(document: Document) -> None:
            await self._upload(collection, document)

        await at_once(CLIENTS, documents, upload)
        async with asyncio.timeout(LOAD_SECONDS):
            while (await self._list(collection=collection, status=UNFINISHED, limit=1))["data"]:  # noqa: ASYNC110  over HTTP
                await asyncio.sleep(LOOK_SECONDS)
        seconds = time.perf_counter() - started
        after = footprint.taken(self.stack.pid)
        chunks = await self._chunks(collection, len(documents))
        return Loaded(len(documents), chunks, seconds, after.since(before), dict(after.memory))

    async def _upload(self, collection: str, document: Document) -> str:
        file = {"file": (document.name, document.text.encode(), "text/markdown")}
        accepted = await self._post("/v1/documents", files=file, data={"collection": collection})
        found: str = accepted["document"]["id"]
        return found

    async def _chunks(self, collection: str, documents: int) -> int:
        """How many there are in the collection, in so many documents that are all ready."""
        page = await self._list(collection=collection, limit=PAGE)
        found = page["data"]
        while page["next_cursor"]:
            page = await self._list(collection=collection, limit=PAGE, cursor=page["next_cursor"])
            found += page["data"]
        ready = [each for each in found if each["status"] == "ready"]
        if len(ready) != documents:
            raise SystemExit(f"Of {documents} documents {len(ready)} are ready.")
        return sum(each["chunks"] for each in ready)

    async def single(self, collection: str, document: Document) -> float:
        """Seconds from the answer to its upload until it is ready, on a system that does nothing else."""
        document_id = await self._upload(collection, document)
        accepted = time.perf_counter()
        while (await self._get(f"/v1/documents/{document_id}/status"))["status"] in UNFINISHED:  # noqa: ASYNC110  over HTTP
            await asyncio.sleep(CLOSE_LOOK_SECONDS)
        return time.perf_counter() - accepted

    # -- requests --------------------------------------------------------------------------------------------------

    async def search(self, collection: str, mode: str, question: str) -> None:
        await self._post("/v1/search", json={"query": question, "mode": mode, "top_k": 10, "collections": [collection]})

    async def list_one(self, _turn: int) -> None:
        await self._list(limit=1)

    async def healthz(self, _turn: int) -> None:
        (await self._client.get("/healthz")).raise_for_status()

    async def _list(self, **params: Any) -> Any:
        return await self._get("/v1/documents", **params)

    async def _get(self, path: str, **params: Any) -> Any:
        return (await self._client.get(path, params=params)).raise_for_status().json()

    async def _post(self, path: str, **body: Any) -> Any:
        response = await self._client.post(path, **body)
        if not response.is_success:
            raise SystemExit(f"POST {path}: {response.text}")
        return response.json()


@asynccontextmanager
async def running(data_dir: Path, provider_url: str, **more: str) -> AsyncIterator[Product]:
    """`more`: further settings."""
    async with started(data_dir, settings(provider_url) | more) as stack:
        limits = httpx2.Limits(max_connections=2 * CLIENTS)
        headers = {"Authorization": f"Bearer {stack.key}"}
        async with httpx2.AsyncClient(
            base_url=stack.url, headers=headers, timeout=600, limits=limits, trust_env=False
        ) as client:
            yield Product(stack, client)


async def at_once(clients: int, work: Sequence[Each], do: Callable[[Each], Awaitable[object]]) -> list[float]:
    """Seconds that each piece of work took, done by so many clients, each taking the next when it has done one."""
    left, seconds = iter(work), []

    async def client(mine: Iterator[Each]) -> None:
        for each in mine:
            started = time.perf_counter()
            await do(each)
            seconds.append(time.perf_counter() - started)

    async with asyncio.TaskGroup() as group:
        for _ in range(clients):
            group.create_task(client(left))
    return seconds
