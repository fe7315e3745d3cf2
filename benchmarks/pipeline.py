"""`make bench`: each figure beside its bare part, measured in turns in one run; medians and their ratio.

Wall times of a shared machine say little, so read the ratios. Everything runs embedded and on loopback.
"""

import asyncio
import hashlib
import itertools
import os
import statistics
import sys
import time
from collections.abc import Awaitable, Callable

import httpx2
from sqlalchemy import select, text

from api.app import create_app
from benchmarks.answers import first_tokens
from benchmarks.running import servers
from footnote import documents, ingest, jobs, retrieval
from footnote.documents import objects
from footnote.documents.uploads import Upload
from footnote.embeddings.batches import embedded_text
from footnote.models import Chunk
from footnote.providers.local import open_embedder
from footnote.runtime import Runtime, open_runtime
from footnote.settings import Settings
from footnote.storage import writing
from footnote.tenancy import keys, tenants

ROUNDS = int(os.environ.get("ROUNDS", "15"))
Work = Callable[[], Awaitable[object]]


def text_of(number: int) -> bytes:
    """A document of its own for each round, so that no embedding is found in the cache."""
    story = " ".join(
        f"Entry {number}-{line}: the lamp burned clear and the wind stood at {line} knots." for line in range(90)
    )
    return story.encode()


async def milliseconds(work: Work) -> float:
    started = time.perf_counter()
    await work()
    return (time.perf_counter() - started) * 1000


async def side_by_side(title: str, bare: tuple[str, Work], whole: tuple[str, Work], rounds: int = ROUNDS) -> None:
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(rounds):
        times[0].append(await milliseconds(bare[1]))
        times[1].append(await milliseconds(whole[1]))
    low, high = statistics.median(times[0]), statistics.median(times[1])
    print(f"{title:12} {bare[0]}: {low:8.1f} ms   {whole[0]}: {high:8.1f} ms   ratio {high / low:.2f}", flush=True)


async def put(rt: Runtime, tenant_id: str, content: bytes) -> str:
    """Accepts a document as the API does; the id of its job."""
    key = documents.new_key(tenant_id)
    async with objects.reserved(rt, key):
        async with writing(rt.store, key) as writer:
            await writer.write(content)
        async with rt.for_tenant(tenant_id).transaction() as session:
            upload = Upload("log.txt", "text/plain", hashlib.sha256(content).digest(), len(content), key)
            return (await documents.accept(session, rt, upload)).details.job.id


async def ingestion(rt: Runtime, tenant_id: str) -> None:
    """The pipeline against the embedding alone of the same texts: what everything else costs."""
    embedder = open_embedder(rt.settings)
    counter = itertools.count(100)  # of the same length each

    async def whole() -> None:
        job_id = await put(rt, tenant_id, text_of(next(counter)))
        await ingest.run_job(rt, job_id, jobs.STEPS[0])

    await whole()
    async with rt.for_tenant(tenant_id).transaction() as session:
        chunks = await session.execute(select(Chunk.context, Chunk.text).order_by(Chunk.position))
        texts = [embedded_text(context, body) for context, body in chunks]
    await embedder.embed(texts)  # loads the model
    await side_by_side("ingestion", ("embedding alone", lambda: embedder.embed(texts)), ("all steps", whole))
    await embedder.close()


async def queries(rt: Runtime, tenant_id: str) -> None:
    """Search against its parts: embedding the question and one trivial statement."""
    question = "How did the lamp burn at 40 knots?"

    async def bare() -> None:
        await rt.embedder.embed([question])
        async with rt.transaction() as session:
            await session.execute(text("SELECT 1"))

    async def whole() -> None:
        await retrieval.search(rt.for_tenant(tenant_id), retrieval.Query(question))

    await side_by_side("search", ("embed + SELECT 1", bare), ("hybrid search", whole), 2 * ROUNDS)


async def http(rt: Runtime, tenant_id: str, key: str) -> None:
    """A document's status against the liveness probe: what authentication and the rows cost."""
    async with rt.for_tenant(tenant_id).transaction() as session:
        document_id = (await documents.list_documents(session, limit=1))[0].document.id
    app = create_app(runtime=rt)
    transport = httpx2.ASGITransport(app)
    headers = {"Authorization": f"Bearer {key}"}
    async with (
        app.router.lifespan_context(app),
        httpx2.AsyncClient(transport=transport, base_url="http://bench", headers=headers) as client,
    ):
        status = f"/v1/documents/{document_id}/status"
        await side_by_side(
            "status",
            ("GET /healthz", lambda: client.get("/healthz")),
            ("GET .../status", lambda: client.get(status)),
            6 * ROUNDS,
        )


async def answers(rt: Runtime, key: str) -> None:
    """The first words of a model's answer against the model's own first token."""
    async with first_tokens(rt, key) as (bare, whole):
        await whole()  # loads the SDK
        await side_by_side("answer", ("model's first token", bare), ("first delta", whole))


async def run(settings: Settings) -> None:
    async with open_runtime(settings) as rt:
        async with rt.transaction() as session:
            tenant = await tenants.create(session, "bench")
            _, key = await keys.create(session, tenant.id, "bench")
        await ingestion(rt, tenant.id)
        await queries(rt, tenant.id)
        await http(rt, tenant.id, key)
        await answers(rt, key)


def main() -> int:
    with servers(embedder="local", generator="extractive") as settings:
        asyncio.run(run(settings))
    return 0


if __name__ == "__main__":
    sys.exit(main())
