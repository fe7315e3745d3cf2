"""What was stored before an upgrade is stored and usable after it; a downgrade keeps it, too."""

import asyncio
from typing import Any

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import func, select, text

from footnote import collections, ingest
from footnote.documents import deletion
from footnote.errors import Invalid
from footnote.models import (
    Artifact,
    Base,
    Chunk,
    Collection,
    Document,
    Embedding,
    Page,
    PostingBlock,
    Version,
    VocabularyWord,
)
from footnote.operations.consistency import audit
from footnote.runtime import Runtime
from migrations import RELEASED
from tests import ROOT, SAMPLES, driving
from tests.documents.test_deletion import rows
from tests.driving import chunks_of, paragraphs
from tests.fakes import FakeEmbedder
from tests.postings import posted
from tests.stored import named, settled

pytestmark = pytest.mark.anyio

MIGRATIONS = ROOT / "migrations"
TABLES: list[type[Base]] = [Collection, Document, Version, Page, Chunk, Embedding, Artifact]


async def contents(rt: Runtime, *tables: type[Base]) -> dict[str, list[dict[str, Any]]]:
    """All rows, without what the release before did not store."""
    found = {}
    async with rt.sessions() as session:
        for table in tables or TABLES:
            columns = (each for each in table.__table__.columns if each.name not in ("outline", "split"))
            every = await session.execute(select(*columns))
            found[table.__tablename__] = sorted((row._asdict() for row in every), key=repr)
    return found


async def vocabulary(rt: Runtime) -> set[tuple[int, int, int, int, str]]:
    async with rt.sessions() as session:
        rows = await session.execute(select(*VocabularyWord.__table__.columns))
        return {(row.key, row.lexeme_key, row.head_key, row.tail_key, row.word) for row in rows}


async def migrate(rt: Runtime, monkeypatch: pytest.MonkeyPatch, revision: str) -> None:
    monkeypatch.setenv("DATABASE_URL", str(rt.settings.database_url))
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    move = command.upgrade if revision == "head" else command.downgrade
    await asyncio.to_thread(move, config, revision)


async def test_documents_survive_an_upgrade_from_the_last_release(
    committing_rt: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    rt = committing_rt
    tenant = await driving.new_tenant(rt)
    async with rt.for_tenant(tenant).transaction() as session:  # the release before does not detect languages
        await collections.create(session, rt, {"name": "default", "language": "english"})
    first = await driving.ready(rt, tenant, paragraphs(5), external_id="e")
    await driving.ready(rt, tenant, (SAMPLES / "weather.md").read_bytes(), "weather.md")
    begun = await driving.accept(rt, tenant, paragraphs(4, "lens"))
    for step in ("chunk", "embed"):
        assert await ingest.run_step(rt, begun.details.job.id, step)
    await settled(rt)  # what was given up is found by an audit only, once its note is gone
    before, words = await contents(rt), await vocabulary(rt)
    assert words
    assert all(before.values())
    await migrate(rt, monkeypatch, RELEASED)
    await migrate(rt, monkeypatch, "head")
    assert await contents(rt) == before
    assert await vocabulary(rt) >= words
    assert await posted(rt)
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


async def test_postings_are_filled_beside_writers_and_after_an_interruption(
    committing_rt: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    rt = committing_rt
    tenant = await driving.new_tenant(rt)
    held = await driving.ready(rt, tenant, paragraphs(3))
    await driving.ready(rt, tenant, paragraphs(4, "lens"), "lens.txt")
    await migrate(rt, monkeypatch, "0031")
    async with rt.transaction() as session:
        await session.execute(_HOLD, {"id": held})
        begun = asyncio.create_task(migrate(rt, monkeypatch, "head"))
        async with rt.sessions() as other, asyncio.timeout(60):
            while not (waiting := (await other.scalars(_WAITING)).all()):
                await asyncio.sleep(0.01)
            assert await other.scalar(select(func.count(PostingBlock.document_id.distinct()))) == 1, "all but that one"
            await other.execute(text("SELECT pg_cancel_backend(:pid)"), {"pid": waiting[0]})
        with pytest.raises(Exception, match="canceling"):
            await begun
    await migrate(rt, monkeypatch, "head")
    assert await posted(rt)


async def test_scripts_without_spaces_are_indexed_again_beside_writers(
    committing_rt: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    rt = committing_rt
    tenant = await driving.new_tenant(rt)
    held = await driving.ready(rt, tenant, "退货期限是三十天。\n".encode(), "退货.txt")
    await driving.ready(rt, tenant, "電動機の保証期間は二年です。\n".encode(), "warranty.txt")
    await driving.ready(rt, tenant, b"The warranty lasts two years.\n", "plain.txt")
    indexed = (await contents(rt, Chunk))["chunk"]
    await migrate(rt, monkeypatch, "0034")
    async with rt.transaction() as session:  # as the release before indexed them
        await session.execute(
            text("UPDATE chunk SET tsv = to_tsvector(language, text), words = 1 WHERE text ~ '[一-龥]'")
        )
    assert (await contents(rt, Chunk))["chunk"] != indexed
    async with rt.transaction() as session:
        await session.execute(_HOLD, {"id": held})
        begun = asyncio.create_task(migrate(rt, monkeypatch, "head"))
        async with rt.sessions() as other, asyncio.timeout(60):
            while not (await other.scalars(_WAITING)).all():
                await asyncio.sleep(0.01)
            assert await other.scalar(text("SELECT count(*) FROM chunk WHERE words = 1")) == 1, "all but that one"
    await begun
    assert (await contents(rt, Chunk))["chunk"] == indexed
    assert await posted(rt)


_HOLD = text("SELECT FROM document WHERE id = :id FOR UPDATE")
_WAITING = text("SELECT pid FROM pg_locks WHERE NOT granted")


@pytest.mark.parametrize(("revision", "advice"), [("0012", "release before first"), ("9999", "newer")])
async def test_a_database_of_another_release_is_told_what_to_do(
    committing_rt: Runtime, monkeypatch: pytest.MonkeyPatch, revision: str, advice: str
) -> None:
    async with committing_rt.sessions.begin() as session:
        await session.execute(text("UPDATE alembic_version SET version_num = :revision"), {"revision": revision})
    with pytest.raises(Invalid, match=f"{revision}.*{advice}"):
        await migrate(committing_rt, monkeypatch, "head")


async def test_a_migration_gives_way_to_others_while_it_waits(
    committing_rt: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It needs `page` alone for a moment; a long read has it. Reads that come later do not wait behind it."""
    rt = committing_rt
    monkeypatch.setattr("migrations.WAIT_SECONDS", 0.2)
    await migrate(rt, monkeypatch, "0037")
    async with rt.transaction() as reading:
        await reading.execute(text("SELECT FROM page"))
        begun = asyncio.create_task(migrate(rt, monkeypatch, "head"))
        async with rt.sessions() as other, asyncio.timeout(60):
            while not (await other.scalars(_WAITING)).all():
                await asyncio.sleep(0.01)
            await other.execute(text("SELECT FROM page"))
        assert not begun.done()
    await begun
