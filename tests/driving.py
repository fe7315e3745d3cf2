"""Runs documents through the pipeline step by step, as a worker does, without broker or worker."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

from sqlalchemy import select, text, update
from sqlalchemy.exc import NoResultFound

from footnote import collections, documents, ingest, jobs
from footnote.database.ids import new_id
from footnote.documents import Accepted, deletion, files, objects
from footnote.documents.uploads import Upload, receive
from footnote.embeddings import vector_index
from footnote.formats.sniffing import sniff
from footnote.jobs import Claim, tasks
from footnote.models import Artifact, BackgroundTask, Chunk, Document, EmbeddingSpace, Job, JobStep, Page, Version
from footnote.runtime import Runtime
from footnote.storage import writing
from footnote.tenancy import tenants
from worker.background_tasks import run_next

HEAD_BYTES = 8192
VECTORS = text(
    " UNION ".join(
        f"SELECT tenant_id, space_id, text_sha256, CAST(embedding AS text) AS vector FROM {table}"
        for table in ("chunk", "chunk_vector", "embedding")
    )
)


async def new_tenant(rt: Runtime) -> str:
    async with rt.operator.transaction() as session:
        return (await tenants.create(session, new_id("name"))).id


async def put(rt: Runtime, tenant_id: str, content: bytes, filename: str) -> Upload:
    """Writes the bytes to the store, as an upload does."""
    key = documents.new_key(tenant_id)
    async with rt.transaction() as session:
        await objects.reserve(session, key)
    async with writing(rt.store, key) as out:
        await out.write(content)
    return Upload(filename, sniff(content[:HEAD_BYTES], filename), hashlib.sha256(content).digest(), len(content), key)


async def accept(
    rt: Runtime, tenant_id: str, content: bytes | str, filename: str = "notes.txt", **options: Any
) -> Accepted:
    upload = await put(rt, tenant_id, content.encode() if isinstance(content, str) else content, filename)
    async with rt.for_tenant(tenant_id).transaction() as session:
        return await documents.accept(session, rt, upload, **options)


async def file(rt: Runtime, tenant_id: str, content: bytes | str, filename: str = "notes.txt", **options: Any) -> str:
    """A file that is no document yet; its id."""

    async def pieces() -> AsyncIterator[bytes]:
        yield content.encode() if isinstance(content, str) else content

    acting, key = rt.for_tenant(tenant_id), documents.new_key(tenant_id)
    async with objects.reserved(acting, key):
        upload = await receive(rt, key, filename, pieces(), any_type=True)
        async with acting.transaction() as session:
            return (await files.create(session, rt, upload, **{"purpose": "assistants"} | options)).id


async def attach(rt: Runtime, tenant_id: str, file_id: str, collection: str, **options: Any) -> Accepted:
    """A document of the file in the collection, which is made if it is not there."""
    async with rt.for_tenant(tenant_id).transaction() as session:
        collection_id = (await collections.obtain(session, collection, rt.settings)).id
        return await files.attach(session, rt, file_id, collection_id, **options)


async def run(rt: Runtime, job_id: str) -> Job:
    """Runs the steps that remain, as a message does; ends when a step says that no more is to be done."""
    step = (await job_of(rt, job_id)).step
    for name in jobs.STEPS[jobs.STEPS.index(step) :]:
        if not await ingest.run_job(rt, job_id, name):
            break
    return await job_of(rt, job_id)


async def ready(rt: Runtime, tenant_id: str, content: bytes | str, filename: str = "notes.txt", **options: Any) -> str:
    """Accepts and ingests a document. Returns its id."""
    accepted = await accept(rt, tenant_id, content, filename, **options)
    job = await run(rt, accepted.details.job.id)
    assert job.state == "succeeded", (job.error_code, job.error_message)
    return accepted.details.document.id


async def index(rt: Runtime) -> None:
    """Makes the vector indexes, which come with thousands of chunks only."""
    async with rt.operator.transaction() as session:
        for space in await session.scalars(select(EmbeddingSpace)):
            await vector_index.make(session, space)


async def claim(rt: Runtime, job_id: str, step: str = "chunk", lease_seconds: float = 30) -> Claim:
    async with rt.transaction() as session:
        claimed = await jobs.claim(session, job_id, step, lease_seconds)
    assert claimed is not None
    return claimed


async def job_of(rt: Runtime, job_id: str) -> Job:
    async with rt.sessions() as session:
        return await session.get_one(Job, job_id)


async def document_of(rt: Runtime, document_id: str) -> Document:
    async with rt.sessions() as session:
        return await session.get_one(Document, document_id)


async def version_of(rt: Runtime, version_id: str) -> Version:
    async with rt.sessions() as session:
        return await session.get_one(Version, version_id)


async def artifacts_of(rt: Runtime, version_id: str) -> Sequence[str]:
    """Keys of the parts that the chunk step stored."""
    async with rt.sessions() as session:
        keys = select(Artifact.key).where(Artifact.version_id == version_id).order_by(Artifact.number)
        return (await session.scalars(keys)).all()


async def step_states(rt: Runtime, job_id: str) -> dict[str, str]:
    async with rt.sessions() as session:
        found = await session.execute(select(JobStep.name, JobStep.state).where(JobStep.job_id == job_id))
        return dict(found.all())


async def set_job(rt: Runtime, job_id: str, **values: Any) -> None:
    """Changes columns of a job: for instance, to let time pass."""
    async with rt.transaction() as session:
        await session.execute(update(Job).where(Job.id == job_id).values(**values))


async def chunks_of(rt: Runtime, document_id: str) -> Sequence[Chunk]:
    async with rt.sessions() as session:
        query = select(Chunk).where(Chunk.document_id == document_id).order_by(Chunk.position)
        return (await session.scalars(query)).all()


async def vectors_of_texts(rt: Runtime) -> dict[tuple[str, int, bytes], str]:
    """The vector of each text, by tenant, space and hash, wherever it is. The same text has the same in each place."""
    async with rt.sessions() as session:
        rows = (await session.execute(VECTORS)).all()
    found = {(row.tenant_id, row.space_id, row.text_sha256): row.vector for row in rows}
    assert len(found) == len(rows)
    return found


async def pages_of(rt: Runtime, document_id: str) -> dict[tuple[str, int], str]:
    """Texts of the stored pages, by version and page number."""
    async with rt.sessions() as session:
        query = select(Page).join(Version, Version.id == Page.version_id).where(Version.document_id == document_id)
        return {(page.version_id, page.number): page.text for page in await session.scalars(query)}


def paragraphs(count: int, topic: str = "lamp") -> str:
    """Text that the settings of the tests cut into `count` chunks, one for each paragraph."""
    return "\n\n".join(f"Paragraph {n} of the {topic}. " + f"{topic}{n} shines. " * 17 for n in range(count))


async def remove_collection(rt: Runtime, tenant_id: str, name_or_id: str) -> BackgroundTask:
    """Deletes a collection as a background process does; its task, completed."""
    begun = await deletion.begin_collection(rt.for_tenant(tenant_id), name_or_id)
    return await tasks.finish(rt.operator, begun.id, deletion.remove_next)


async def work_off(rt: Runtime) -> None:
    """Works on the background tasks that are due until none is."""
    while await run_next(rt.operator):
        pass


async def work(rt: Runtime) -> None:
    """Works on what is due in the background, then ingests all there is."""
    await work_off(rt)
    async with rt.sessions() as session:
        unfinished = (await session.scalars(select(Job.id).where(Job.state.in_(("queued", "waiting"))))).all()
    for job_id in unfinished:
        with suppress(NoResultFound):
            await run(rt, job_id)


@asynccontextmanager
async def working(rt: Runtime, pause: float = 0.02) -> AsyncIterator[None]:
    """Works while a client polls; with the pause in seconds between two looks at what there is."""
    ended = asyncio.Event()

    async def work_on() -> None:
        while not ended.is_set():
            await work(rt)
            await asyncio.sleep(pause)

    worker = asyncio.create_task(work_on())
    try:
        yield
    finally:
        ended.set()
        await worker
