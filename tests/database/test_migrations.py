"""What was written before an upgrade is as good after it; the way back keeps it too."""

import asyncio
from typing import Any

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import select

from footnote import ingest
from footnote.documents import deletion
from footnote.models import Artifact, Base, Chunk, Collection, Document, Embedding, Page, Version
from footnote.operations.consistency import audit
from footnote.runtime import Runtime
from tests import ROOT, SAMPLES, driving
from tests.documents.test_deletion import rows
from tests.driving import chunks_of, paragraphs
from tests.fakes import FakeEmbedder
from tests.stored import named, settled

pytestmark = pytest.mark.anyio

MIGRATIONS = ROOT / "migrations"
# What older revisions have no place for is made anew by the upgrade, or begins as it does in a new row.
LASTING: list[tuple[type[Base], list[str]]] = [
    (Collection, []),
    (Document, []),
    (Version, ["source_url"]),
    (Page, []),
    (Chunk, []),
    (Embedding, []),
    (Artifact, ["tally"]),
]


async def contents(rt: Runtime) -> dict[str, list[dict[str, Any]]]:
    found = {}
    async with rt.sessions() as session:
        for table, but in LASTING:
            columns = [column for column in table.__table__.columns if column.name not in but]
            every = await session.execute(select(*columns))
            found[table.__tablename__] = sorted((row._asdict() for row in every), key=repr)
    return found


async def migrate(rt: Runtime, monkeypatch: pytest.MonkeyPatch, revision: str) -> None:
    monkeypatch.setenv("DATABASE_URL", str(rt.settings.database_url))
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    move = command.upgrade if revision == "head" else command.downgrade
    await asyncio.to_thread(move, config, revision)


async def test_documents_survive_the_way_to_the_first_revision_and_back(
    committing_rt: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    rt = committing_rt
    tenant = await driving.new_tenant(rt)
    first = await driving.ready(rt, tenant, paragraphs(5), external_id="e")
    await driving.ready(rt, tenant, (SAMPLES / "weather.md").read_bytes(), "weather.md")
    begun = await driving.accept(rt, tenant, paragraphs(4, "lens"))
    assert await ingest.run_step(rt, begun.details.job.id, "chunk")
    await settled(rt)  # what was given up is found by an audit only, once its note is gone
    before = await contents(rt)
    assert all(before.values())
    await migrate(rt, monkeypatch, "0001")
    await migrate(rt, monkeypatch, "head")
    assert await contents(rt) == before
    assert [each async for each in audit(rt, fix=False)] == []

    assert (await driving.run(rt, begun.details.job.id)).state == "succeeded"
    assert isinstance(rt.embedder, FakeEmbedder)
    rt.embedder.seen.clear()
    await driving.ready(rt, tenant, f"{paragraphs(5)}\n\n{paragraphs(1, 'wick')}", external_id="e")
    assert [len(batch) for batch in rt.embedder.seen] == [1], "what was embedded is known"
    assert len(await chunks_of(rt, first)) == 6
    assert await settled(rt) == await named(rt)
    async with rt.sessions() as session:
        everything = (await session.scalars(select(Document.id))).all()
    for document_id in everything:
        await deletion.remove(rt.for_tenant(tenant), document_id)
    assert (await settled(rt), await rows(rt)) == (set(), {})
