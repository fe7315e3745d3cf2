"""Moves beside uploads of new versions, steps at work, deletions of documents and collections, and other moves."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import func, select

from footnote import documents, ingest, jobs
from footnote.documents import deletion, moving
from footnote.errors import Conflict, NotFound
from footnote.ingest import upsert
from footnote.models import AuditEvent, Collection, Document, Job
from footnote.operations import consistency
from footnote.runtime import Runtime
from tests import driving
from tests.documents.moves import collection_of, counted, found, is_right, made, moved, words_of
from tests.documents.test_deletion import embedded, nothing_left
from tests.documents.test_deletion_races import quick, until_somebody_waits
from tests.driving import paragraphs

pytestmark = pytest.mark.anyio
COLLECTIONS = ("default", "there", "third")


@pytest.fixture
def rt(committing_rt: Runtime) -> Runtime:
    return committing_rt


@pytest.fixture
async def tenant(rt: Runtime) -> str:
    tenant = await driving.new_tenant(rt)
    for name in COLLECTIONS:
        await made(rt, tenant, name)
    return tenant


async def beside_a_move(rt: Runtime, tenant: str, document_id: str, other: Callable[[], Awaitable[Any]]) -> Any:
    """What the other did, begun while a move of the document to `there` has not been committed."""
    acting = rt.for_tenant(tenant)
    async with acting.transaction() as session:
        await moving.move(session, acting, document_id, "there")
        begun = asyncio.ensure_future(other())
        await until_somebody_waits(rt)
        assert not begun.done()
    return await begun


async def test_a_worker_in_the_middle_of_storing_is_not_waited_for_and_stores_nothing(
    rt: Runtime, tenant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    rt = quick(rt)
    document = await driving.ready(rt, tenant, paragraphs(3), external_id="e")
    newer = (await driving.accept(rt, tenant, paragraphs(9, "lens"), external_id="e")).details
    await embedded(rt, newer.job.id)
    inserted, goes_on = asyncio.Event(), asyncio.Event()
    insert = upsert._insert_rows

    async def slow(*arguments: Any) -> Any:
        counts = await insert(*arguments)
        inserted.set()
        await goes_on.wait()
        return counts

    monkeypatch.setattr(upsert, "_insert_rows", slow)
    storing = asyncio.create_task(ingest.run_step(rt, newer.job.id, "upsert"))
    await inserted.wait()
    await asyncio.wait_for(moved(rt, tenant, document), 60)
    goes_on.set()
    assert not await storing
    monkeypatch.undo()
    assert await found(rt, tenant, "lamp1 shines", "there") == {document}
    assert (await driving.run(rt, newer.job.id)).state == "succeeded"
    assert await found(rt, tenant, "lens1 shines", "there") == {document}
    assert await counted(rt, tenant, "there") == (1, 1, 9)
    await is_right(rt)


async def test_a_version_that_becomes_visible_first_is_moved(
    rt: Runtime, tenant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The worker holds the document; the move waits, and moves what the worker has stored."""
    accepted = (await driving.accept(rt, tenant, paragraphs(3))).details
    await embedded(rt, accepted.job.id)
    held, goes_on = asyncio.Event(), asyncio.Event()
    finish = jobs.finish_step

    async def slow(*arguments: Any) -> None:
        held.set()
        await goes_on.wait()
        await finish(*arguments)

    monkeypatch.setattr(jobs, "finish_step", slow)
    storing = asyncio.create_task(ingest.run_step(rt, accepted.job.id, "upsert"))
    await held.wait()
    move = asyncio.create_task(moved(rt, tenant, accepted.document.id))
    await until_somebody_waits(rt)
    goes_on.set()
    await storing
    await move
    assert (await driving.job_of(rt, accepted.job.id)).state == "succeeded"
    assert await found(rt, tenant, "lamp1 shines", "there") == {accepted.document.id}
    assert await counted(rt, tenant, "default") == (0, 0, 0)
    await is_right(rt)


async def test_an_upload_of_a_new_version_meanwhile_becomes_a_document_of_its_own(rt: Runtime, tenant: str) -> None:
    document = await driving.ready(rt, tenant, paragraphs(3), external_id="e")

    async def uploads() -> str:
        return await driving.ready(rt, tenant, paragraphs(2, "lens"), external_id="e")

    other = await beside_a_move(rt, tenant, document, uploads)
    assert other != document
    assert [await collection_of(rt, each) for each in (document, other)] == ["there", "default"]
    await is_right(rt)


@pytest.mark.parametrize("named", [True, False])
async def test_an_upload_of_the_same_thing_to_the_other_collection_finds_what_was_moved(
    rt: Runtime, tenant: str, named: bool
) -> None:
    given = {"external_id": "e"} if named else {}
    document = await driving.ready(rt, tenant, paragraphs(3), **given)

    async def uploads() -> documents.Accepted:
        return await driving.accept(rt, tenant, paragraphs(3), collection="there", **given)

    accepted = await beside_a_move(rt, tenant, document, uploads)
    assert (accepted.details.document.id, accepted.deduplicated) == (document, True)
    await is_right(rt)


async def test_an_upload_that_is_first_is_not_overtaken(rt: Runtime, tenant: str) -> None:
    document = await driving.ready(rt, tenant, paragraphs(3), external_id="e")
    acting = rt.for_tenant(tenant)
    upload = await driving.put(rt, tenant, b"A lens.", "lens.txt")
    async with acting.transaction() as session:
        await documents.accept(session, rt, upload, collection="there", external_id="e")
        move = asyncio.create_task(moved(rt, tenant, document))
        await until_somebody_waits(rt)
    with pytest.raises(Conflict, match="document_exists"):
        await move
    assert await collection_of(rt, document) == "default"


async def test_a_deletion_takes_it_wherever_it_is(rt: Runtime, tenant: str) -> None:
    document = await driving.ready(rt, tenant, paragraphs(3))
    receipt = await beside_a_move(rt, tenant, document, lambda: deletion.remove(rt.for_tenant(tenant), document))
    assert receipt.counts["chunks"] == 3
    assert await counted(rt, tenant, "there") == await counted(rt, tenant, "default") == (0, 0, 0)
    with pytest.raises(NotFound, match="document_not_found"):
        await moved(rt, tenant, document)
    assert await nothing_left(rt)


async def test_the_collection_that_it_leaves_is_deleted_without_it(rt: Runtime, tenant: str) -> None:
    document = await driving.ready(rt, tenant, paragraphs(3))
    stays = await driving.ready(rt, tenant, paragraphs(2, "lens"), "2.txt")
    await beside_a_move(rt, tenant, document, lambda: driving.remove_collection(rt, tenant, "default"))
    assert await found(rt, tenant, "lamp1 shines", "there") == {document}
    async with rt.sessions() as session:
        assert (await session.scalars(select(Document.id))).all() == [document]
    with pytest.raises(NotFound):
        await moved(rt, tenant, stays)
    await is_right(rt)


async def test_the_collection_that_it_enters_is_deleted_with_it(rt: Runtime, tenant: str) -> None:
    document = await driving.ready(rt, tenant, paragraphs(3))
    await beside_a_move(rt, tenant, document, lambda: driving.remove_collection(rt, tenant, "there"))
    assert await nothing_left(rt)


@pytest.mark.parametrize("leaves", [True, False])
async def test_a_collection_that_is_being_deleted_neither_gives_nor_takes(
    rt: Runtime, tenant: str, leaves: bool
) -> None:
    document = await driving.ready(rt, tenant, paragraphs(3))
    async with rt.sessions() as session:
        there = (await session.scalars(select(Collection.id).where(Collection.name == "there"))).one()
    await deletion.begin_collection(rt.for_tenant(tenant), "default" if leaves else "there")
    with pytest.raises(NotFound, match="document_not_found" if leaves else "collection_not_found"):
        await moved(rt, tenant, document, there)
    await driving.work_off(rt)
    await is_right(rt)


async def test_what_leaves_an_expired_collection_is_not_deleted_with_the_rest(rt: Runtime, tenant: str) -> None:
    """The deletion waits for the move, and does not find it then."""
    document = await driving.ready(rt, tenant, paragraphs(3))
    acting = rt.for_tenant(tenant)
    async with rt.transaction() as session:
        source = (await session.scalars(select(Collection).where(Collection.name == "default"))).one()
        source.expires_after_days, source.last_active_at = 1, func.now() - timedelta(days=1) + timedelta(seconds=2)

    async def expires() -> None:
        await asyncio.sleep(2.5)
        await deletion.empty_expired(acting, source.id)

    await beside_a_move(rt, tenant, document, expires)
    assert await found(rt, tenant, "lamp1 shines", "there") == {document}


async def test_two_moves_at_once_end_in_one_of_both(rt: Runtime, tenant: str) -> None:
    document = await driving.ready(rt, tenant, paragraphs(3))
    await beside_a_move(rt, tenant, document, lambda: moved(rt, tenant, document, "third"))
    assert await collection_of(rt, document) == "third"
    assert await counted(rt, tenant, "third") == (1, 1, 3)
    assert await words_of(rt, tenant, "third") >= {"paragraph", "shines"}
    async with rt.sessions() as session:
        logged = select(AuditEvent.details).where(AuditEvent.action == "document.moved").order_by(AuditEvent.id)
        first, second = await session.scalars(logged)
    assert second["from_collection_id"] == first["collection_id"]
    await is_right(rt)


async def test_moves_to_and_fro_do_not_lock_each_other_out(rt: Runtime, tenant: str) -> None:
    ids = [await driving.ready(rt, tenant, paragraphs(2, f"lamp{n}"), f"{n}.txt") for n in range(6)]
    dice = random.Random(7)
    moves = [(each, dice.choice(COLLECTIONS)) for _ in range(6) for each in ids]
    async with asyncio.timeout(120):
        await asyncio.gather(*(moved(rt, tenant, each, name) for each, name in moves))
    assert sum([(await counted(rt, tenant, name))[0] for name in COLLECTIONS]) == 6
    await is_right(rt)


@dataclass
class Storm:
    """What several people do at random to a few documents."""

    rt: Runtime
    tenant: str
    dice: random.Random = field(default_factory=lambda: random.Random(11))

    async def act(self) -> None:
        for _ in range(12):
            name, key = self.dice.choice(COLLECTIONS), f"e{self.dice.randrange(4)}"
            what = self.dice.choice((self.uploads, self.uploads, self.moves, self.moves, self.deletes, self.cancels))
            with suppress(NotFound, Conflict):
                await what(name, key)

    async def uploads(self, name: str, key: str) -> None:
        text = paragraphs(self.dice.randrange(1, 5), f"topic{self.dice.randrange(3)}")
        await driving.accept(self.rt, self.tenant, text, external_id=key, collection=name)

    async def one(self) -> Document:
        async with self.rt.sessions() as session:
            found = (await session.scalars(select(Document).where(Document.tenant_id == self.tenant))).all()
        if not found:
            raise NotFound("document_not_found", "none")
        return self.dice.choice(found)

    async def moves(self, name: str, _key: str) -> None:
        await moved(self.rt, self.tenant, (await self.one()).id, name)

    async def deletes(self, _name: str, _key: str) -> None:
        await deletion.remove(self.rt.for_tenant(self.tenant), (await self.one()).id)

    async def cancels(self, _name: str, _key: str) -> None:
        job_id = (await self.one()).job_id
        async with self.rt.for_tenant(self.tenant).transaction() as session:
            await jobs.cancel(session, job_id)

    async def ends(self) -> None:
        """All that is unfinished is ingested, also what was put back to its first step."""
        unfinished = select(Job.id).where(Job.state.in_(jobs.UNFINISHED))
        async with asyncio.timeout(120):
            while True:
                async with self.rt.sessions() as session:
                    ids = (await session.scalars(unfinished)).all()
                if not ids:
                    return
                for each in ids:
                    await driving.set_job(self.rt, each, next_attempt_at=func.now())
                    await driving.run(self.rt, each)


async def test_everything_at_once(rt: Runtime, tenant: str) -> None:
    storm = Storm(rt, tenant)
    async with driving.working(rt), asyncio.timeout(300):
        await asyncio.gather(*(storm.act() for _ in range(4)))
    await storm.ends()
    await is_right(rt)
    for name in COLLECTIONS:
        await driving.remove_collection(rt, tenant, name)
    assert await nothing_left(rt)
    assert [each async for each in consistency.audit(rt.operator, fix=False)] == []
