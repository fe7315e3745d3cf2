"""Deletions at random instants of ingestion by a real worker, among uploads of the same bytes and of new versions."""

import asyncio
import os
import random
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from sqlalchemy import Select, func, select, text

from footnote import jobs
from footnote.documents import deletion
from footnote.models import Document, Job, UnownedObject
from footnote.operations.consistency import audit
from footnote.retrieval import Query, search
from footnote.runtime import Runtime, open_runtime
from tests import driving
from tests.documents.test_deletion import rows
from tests.driving import chunks_of, paragraphs
from tests.programs import Program, serving, settings_from, vectors
from tests.stored import in_store, named

pytestmark = [pytest.mark.anyio, pytest.mark.worker]

DELETIONS, SEED, ACTORS = 12, 7, 4


@dataclass
class System:
    rt: Runtime
    tenant: str
    logs: list[Path]
    dice: random.Random = field(default_factory=lambda: random.Random(SEED))
    gone: set[str] = field(default_factory=set)

    async def none(self, counted: Select[int]) -> None:
        """Waits until nothing is counted any more."""
        try:
            async with asyncio.timeout(90), self.rt.sessions() as session:
                while await session.scalar(counted):
                    await asyncio.sleep(0.05)
        except TimeoutError:
            raise AssertionError([log.read_text()[-3000:] for log in self.logs]) from None

    async def upload(self, external_id: str) -> str:
        """One of a few texts, which have paragraphs in common."""
        topic, length = self.dice.randrange(4), self.dice.randrange(10, 40)
        content = paragraphs(length, f"topic{topic}") + "\n\n" + paragraphs(5, "shared")
        return (await driving.accept(self.rt, self.tenant, content, external_id=external_id)).details.document.id

    async def delete(self, document_id: str) -> None:
        async with asyncio.timeout(60):
            await deletion.remove(self.rt.for_tenant(self.tenant), document_id)
        self.gone.add(document_id)
        hits = (
            await search(self.rt.for_tenant(self.tenant), Query("shared paragraph", mode="keyword", top_k=100))
        ).hits
        assert document_id not in {hit.document_id for hit in hits}

    async def act(self, actor: int) -> None:
        for _ in range(DELETIONS // ACTORS):
            document_id = await self.upload(f"e{actor}")
            await asyncio.sleep(self.dice.uniform(0, 1.5))
            if self.dice.random() < 0.5:
                assert await self.upload(f"e{actor}") == document_id, "a new version, or the same bytes"
                await asyncio.sleep(self.dice.uniform(0, 1.0))
            if self.dice.random() < 0.3:
                await asyncio.gather(self.delete(document_id), self.delete(document_id), self.upload(f"e{actor}"))
            await self.delete(document_id)


@pytest.fixture
async def system(own_database: str, redis_url: str, tmp_path: Path) -> AsyncIterator[System]:
    with serving(lambda texts, _port: vectors(texts)) as port:
        given = {
            "DATABASE_URL": own_database,
            "REDIS_URL": redis_url,
            "STORAGE_URL": f"file://{tmp_path}/objects",
            "FOOTNOTE_EMBEDDER": "openai",
            "OPENAI_BASE_URL": f"http://127.0.0.1:{port}/v1",
            "FOOTNOTE_WORKER_CONCURRENCY": "2",
            "FOOTNOTE_EMBEDDING_BATCH": "4",
            "FOOTNOTE_CHUNK_SIZE": "400",
            "FOOTNOTE_CHUNK_OVERLAP": "50",
            "FOOTNOTE_GENERATOR": "extractive",
            "FOOTNOTE_LOG_FORMAT": "json",
        }
        environment = {**os.environ, **given, "NO_PROXY": "127.0.0.1"}
        programs = [
            Program(module, environment, tmp_path / f"{module}.log") for module in ("worker", "worker.background")
        ]
        try:
            for program in programs:
                program.start()
            async with open_runtime(settings_from(given), pool_size=8) as rt:
                yield System(rt, await driving.new_tenant(rt), [program.log for program in programs])
        finally:
            for program in programs:
                program.kill()


async def test_deletions_at_random_instants_leave_nothing(system: System) -> None:
    rt = system.rt
    await system.upload("kept")
    await asyncio.gather(*(system.act(actor) for actor in range(ACTORS)))
    await system.none(select(func.count()).select_from(Job).where(Job.state.in_(jobs.UNFINISHED)))
    await system.none(select(func.count()).select_from(UnownedObject))
    assert len(system.gone) >= DELETIONS
    assert await in_store(rt) == await named(rt)
    assert [each async for each in audit(rt, fix=False)] == []
    async with rt.sessions() as session:
        left = (await session.scalars(select(Document))).all()
    assert not system.gone & {document.id for document in left}
    for document in left:
        assert document.active_version_id
        assert {chunk.version_id for chunk in await chunks_of(rt, document.id)} == {document.active_version_id}
        await deletion.remove(rt.for_tenant(system.tenant), document.id)
    await system.none(select(func.count()).select_from(UnownedObject))
    assert await rows(rt) == {}
    assert await in_store(rt) == set()
    async with rt.sessions() as session:
        deadlocks = text("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")
        assert await session.scalar(deadlocks) == 0
    errors = [line for log in system.logs for line in log.read_text().splitlines() if '"level": "error"' in line]
    assert errors == []
