"""Objects are named by a version or swept away, even if a process dies, freezes or refuses in between."""

import asyncio
import os
import subprocess
import sys
import threading
from collections import Counter
from dataclasses import dataclass, replace
from itertools import chain

import pytest
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from footnote import documents, ingest
from footnote.database import reserved_names
from footnote.documents import objects
from footnote.documents.uploads import Upload
from footnote.errors import DatabaseUnavailable, Unavailable
from footnote.models import Document, UnownedObject
from footnote.operations.consistency import audit
from footnote.runtime import Runtime
from footnote.storage import LocalStore, LocalWriter, writing
from tests import driving
from tests.stored import given_more_time, hold_often, in_store, named, set_unowned, settled

pytestmark = pytest.mark.anyio


class Crash(Exception): ...


@pytest.fixture
async def tenant(committing_rt: Runtime) -> str:
    return await driving.new_tenant(committing_rt)


async def unowned(rt: Runtime) -> dict[str, bool]:
    """The noted keys, and whether it is too late to adopt them."""
    async with rt.sessions() as session:
        return dict((await session.execute(select(UnownedObject.key, UnownedObject.deleting))).all())


async def write(rt: Runtime, key: str, content: bytes = b"Some text.") -> None:
    async with writing(rt.store, key) as out:
        await out.write(content)


async def accept(rt: Runtime, tenant: str, upload: Upload) -> str:
    async with rt.for_tenant(tenant).transaction() as session:
        return (await documents.accept(session, rt, upload)).details.document.id


async def documents_of(rt: Runtime) -> int:
    async with rt.sessions() as session:
        return (await session.scalars(select(func.count()).select_from(Document))).one()


# -- reserved ------------------------------------------------------------------------------------------------


async def test_an_object_is_noted_before_its_first_byte_and_kept_once_adopted(
    committing_rt: Runtime, tenant: str
) -> None:
    rt = committing_rt
    key = documents.new_key(tenant)
    async with objects.reserved(rt, key):
        assert await unowned(rt) == {key: False}
        assert await in_store(rt) == set()
        await write(rt, key)
        async with rt.transaction() as session:
            await objects.adopt(session, key)
    assert await unowned(rt) == {}
    assert await settled(rt) == {key}


async def test_an_object_is_given_up_when_its_writer_raises(committing_rt: Runtime, tenant: str) -> None:
    rt = committing_rt
    key = documents.new_key(tenant)

    async def write_and_crash() -> None:
        async with objects.reserved(rt, key):
            await write(rt, key)
            raise Crash

    with pytest.raises(Crash):
        await write_and_crash()
    assert await in_store(rt) == {key}
    assert await objects.sweep(rt) == 1, "at once, not in a minute"
    assert await in_store(rt) == set()
    assert await unowned(rt) == {}


async def test_an_object_that_was_adopted_stays_even_if_the_answer_to_the_commit_was_lost(
    committing_rt: Runtime, tenant: str
) -> None:
    rt = committing_rt
    upload = await driving.put(rt, tenant, b"x", "a.txt")
    key = documents.new_key(tenant)

    async def accept_unanswered() -> None:
        async with objects.reserved(rt, key):
            await write(rt, key)
            await accept(rt, tenant, replace(upload, object_key=key))
            raise DatabaseUnavailable

    with pytest.raises(DatabaseUnavailable):
        await accept_unanswered()
    assert await settled(rt) == {key} == await named(rt)


async def test_giving_up_waits_for_an_adoption_that_is_still_being_committed(
    committing_rt: Runtime, tenant: str
) -> None:
    """The writer's connection was cut at its commit, and Postgres is not done with it yet."""
    rt = committing_rt
    upload = await driving.put(rt, tenant, b"x", "a.txt")
    commit, late = asyncio.Event(), asyncio.Event()

    async def adopt() -> None:
        async with rt.for_tenant(tenant).transaction() as session:
            await documents.accept(session, rt, upload)
            late.set()
            await commit.wait()

    adopting = asyncio.create_task(adopt())
    await late.wait()
    giving_up = asyncio.create_task(objects._let_go(rt, upload.object_key or ""))
    done, _ = await asyncio.wait({giving_up}, timeout=0.2)
    assert not done
    commit.set()
    await asyncio.gather(adopting, giving_up)
    assert await settled(rt) == {upload.object_key} == await named(rt)


async def test_an_object_that_is_given_up_while_it_is_reserved_is_swept_at_once(
    committing_rt: Runtime, tenant: str
) -> None:
    rt = committing_rt
    first = await driving.accept(rt, tenant, "Some text.")
    again = await driving.accept(rt, tenant, "Some text.")
    assert again.deduplicated
    assert len(await in_store(rt)) == 2
    assert await objects.sweep(rt) == 1
    assert await in_store(rt) == {first.details.version.object_key}


async def test_an_upload_that_takes_longer_than_its_reservation_keeps_its_object(
    committing_rt: Runtime, tenant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    hold_often(monkeypatch)
    rt = committing_rt
    key = documents.new_key(tenant)
    upload = await driving.put(rt, tenant, b"x" * 8, "a.txt")
    async with objects.reserved(rt, key):
        async with writing(rt.store, key) as out:
            for _ in range(3):
                await out.write(b"x")
                await given_more_time(rt, key)
                assert await objects.sweep(rt) == 0
        await accept(rt, tenant, replace(upload, object_key=key))
    assert await settled(rt) == {key} == await named(rt)


WRITER = """
import asyncio, os, signal
from footnote.documents import objects
from footnote.runtime import open_runtime
from footnote.settings import Settings
from footnote.storage import writing

async def main():
    async with open_runtime(Settings(), pool_size=3) as rt:
        async with objects.reserved(rt, "objects/t/whole"), objects.reserved(rt, "objects/t/half"):
            async with writing(rt.store, "objects/t/whole") as out:
                await out.write(b"whole")
            async with writing(rt.store, "objects/t/half") as out:
                await out.write(b"half")
                os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(main())
"""


async def test_what_a_killed_process_wrote_is_swept_when_its_time_is_over(committing_rt: Runtime) -> None:
    rt = committing_rt
    given = {"DATABASE_URL": str(rt.settings.database_url), "STORAGE_URL": rt.settings.storage_location}
    ended = await asyncio.to_thread(subprocess.run, [sys.executable, "-c", WRITER], env=given, timeout=30)
    assert ended.returncode == -9
    assert await in_store(rt) == {"objects/t/whole", "objects/t/half.part"}
    assert await objects.sweep(rt) == 0, "it could still be alive"
    assert await settled(rt) == set()
    assert await unowned(rt) == {}


async def test_uploads_in_quick_succession_share_reservations(
    committing_rt: Runtime, tenant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reserved_names, "QUICK_SECONDS", 3600.0)
    rt, counts = committing_rt.for_tenant(tenant), []
    reserve = objects.reserve

    async def counting(session: AsyncSession, *keys: str) -> None:
        counts.append(len(keys))
        await reserve(session, *keys)

    monkeypatch.setattr(objects, "reserve", counting)
    for number in range(40):
        async with objects.new(rt) as key:
            assert key.startswith(f"objects/{tenant}/")
            assert (await unowned(rt))[key] is False, "it is recorded before its first byte"
            await write(rt, key)
            await accept(rt, tenant, Upload(f"{number}", "text/plain", str(number).encode(), 1, key))
    assert counts == [1, 2, 4, 8, 16, 16]
    assert await documents_of(rt) == 40
    assert len(await unowned(rt)) == sum(counts) - 40
    assert await settled(rt) == await named(rt)
    assert await unowned(rt) == {}


async def test_a_tenant_gets_no_object_that_was_reserved_for_another(committing_rt: Runtime, tenant: str) -> None:
    other = await driving.new_tenant(committing_rt)
    for _ in range(5):
        for each in (tenant, other):
            async with objects.new(committing_rt.for_tenant(each)) as key:
                assert key.startswith(f"objects/{each}/")


UPLOADER = """
import asyncio, os, signal, sys
from footnote.documents import objects
from footnote.runtime import open_runtime
from footnote.settings import Settings
from footnote.storage import writing

async def main():
    async with open_runtime(Settings(), pool_size=3) as rt:
        for number in range(4):
            async with objects.new(rt.for_tenant(sys.argv[1])) as key, writing(rt.store, key) as out:
                await out.write(b"half")
                if number == 3:
                    os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(main())
"""


async def test_what_was_reserved_ahead_by_a_killed_process_is_swept(committing_rt: Runtime, tenant: str) -> None:
    rt = committing_rt
    given = {"DATABASE_URL": str(rt.settings.database_url), "STORAGE_URL": rt.settings.storage_location}
    ended = await asyncio.to_thread(subprocess.run, [sys.executable, "-c", UPLOADER, tenant], env=given, timeout=60)
    assert ended.returncode == -9
    assert len(await in_store(rt)) == 4
    assert {key.removesuffix(".part") for key in await in_store(rt)} <= (await unowned(rt)).keys()
    assert [each async for each in audit(rt, fix=False)] == []
    assert await settled(rt) == set()
    assert await unowned(rt) == {}


async def test_an_upload_that_is_cancelled_gives_its_object_up_when_its_thread_has_ended(
    committing_rt: Runtime, tenant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A thread cannot be cancelled: what it writes after a sweep would stay in the store, unrecorded."""
    rt = committing_rt.for_tenant(tenant)
    syncing, slow_disk = threading.Event(), threading.Event()

    def fsync(_: int) -> None:
        syncing.set()
        slow_disk.wait(30)

    async def upload() -> None:
        async with objects.new(rt) as key, writing(rt.store, key) as out:
            await out.write(b"x", last=True)

    monkeypatch.setattr(os, "fsync", fsync)
    uploading = asyncio.create_task(upload())
    await asyncio.to_thread(syncing.wait, 30)
    uploading.cancel()
    done, _ = await asyncio.wait({uploading}, timeout=0.2)
    assert not done
    assert await objects.sweep(rt) == 0
    slow_disk.set()
    with pytest.raises(asyncio.CancelledError):
        await uploading
    assert await objects.sweep(rt) == 1
    assert await settled(rt) == set()


# -- too late ------------------------------------------------------------------------------------------------


async def test_a_writer_that_froze_for_too_long_is_refused_and_its_document_never_made(
    committing_rt: Runtime, tenant: str
) -> None:
    rt = committing_rt
    upload = await driving.put(rt, tenant, b"x", "a.txt")
    await set_unowned(rt, upload.object_key, delete_at=func.now())
    assert await objects.sweep(rt) == 1
    with pytest.raises(Unavailable, match="store_unavailable"):
        await accept(rt, tenant, upload)
    assert await documents_of(rt) == 0


@pytest.mark.parametrize("froze", ["before it opened the file", "before the last byte", "before the commit"])
async def test_what_a_writer_writes_that_was_swept_in_its_sleep_is_swept_too(
    committing_rt: Runtime, tenant: str, froze: str
) -> None:
    rt = committing_rt
    key = documents.new_key(tenant)

    async def sleep(now: str) -> None:
        if now == froze:
            await set_unowned(rt, key, delete_at=func.now())
            assert await objects.sweep(rt) == 1

    async def write_asleep() -> None:
        async with objects.reserved(rt, key):
            await sleep("before it opened the file")
            async with writing(rt.store, key) as out:
                await out.write(b"x")
                await sleep("before the last byte")
            await sleep("before the commit")
            async with rt.transaction() as session:
                await objects.adopt(session, key)

    with pytest.raises(Unavailable, match="store_unavailable"):
        await write_asleep()
    assert await settled(rt) == set()
    assert await unowned(rt) == {}


async def test_an_object_is_adopted_or_swept_never_both(
    committing_rt: Runtime, tenant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(objects, "SWEPT_AT_ONCE", 1)
    rt = committing_rt
    keys = [(await driving.put(rt, tenant, b"x", "a.txt")).object_key or "" for _ in range(40)]
    await set_unowned(rt, delete_at=func.now())

    async def adopt(key: str) -> bool:
        try:
            async with rt.transaction() as session:
                await objects.adopt(session, key)
                await asyncio.sleep(0)
        except Unavailable:
            return False
        return True

    adopted = (adopt(key) for key in reversed(keys))
    swept = (objects.sweep(rt) for _ in keys)
    outcomes = await asyncio.gather(*chain.from_iterable(zip(adopted, swept, strict=True)))
    kept = {key for key, outcome in zip(reversed(keys), outcomes[::2], strict=True) if outcome}
    assert 0 < len(kept) < 40, "both happened"
    assert await settled(rt) == kept


# -- swept ---------------------------------------------------------------------------------------------------


@dataclass
class Refusing(LocalStore):
    """Counts what it is asked to delete, and refuses some."""

    def __init__(self, store: LocalStore) -> None:
        super().__init__(store.directory)
        self.asked: Counter[str] = Counter()
        self.refused: set[str] = set()

    async def delete(self, key: str) -> None:
        self.asked[key] += 1
        if key in self.refused:
            raise Unavailable("store_unavailable")
        await super().delete(key)


@pytest.fixture
def refusing(committing_rt: Runtime) -> Runtime:
    assert isinstance(committing_rt.store, LocalStore)
    return replace(committing_rt, store=Refusing(committing_rt.store))


def store_of(rt: Runtime) -> Refusing:
    assert isinstance(rt.store, Refusing)
    return rt.store


async def given_up(rt: Runtime, count: int) -> list[str]:
    keys = [f"objects/t/{number}" for number in range(count)]
    for key in keys:
        await write(rt, key)
    async with rt.transaction() as session:
        await objects.give_up(session, [*keys, None])
    return keys


async def test_several_sweepers_at_once_share_the_work(refusing: Runtime) -> None:
    rt = refusing
    keys = await given_up(rt, 2 * objects.SWEPT_AT_ONCE + 50)

    async def sweep_all() -> int:
        swept = 0
        while some := await objects.sweep(rt):
            swept += some
        return swept

    assert sum(await asyncio.gather(*(sweep_all() for _ in range(3)))) == len(keys)
    assert store_of(rt).asked == dict.fromkeys(keys, 1)
    assert await in_store(rt) == set()
    assert await unowned(rt) == {}


async def test_what_the_store_will_not_delete_is_tried_again_and_meanwhile_cannot_be_adopted(
    refusing: Runtime,
) -> None:
    rt = refusing
    key, other = await given_up(rt, 2)
    store_of(rt).refused = {key}
    assert await objects.sweep(rt) == 1
    assert await unowned(rt) == {key: True}
    assert await in_store(rt) == {key}
    with pytest.raises(Unavailable, match="store_unavailable"):
        async with rt.transaction() as session:
            await objects.adopt(session, key)
    store_of(rt).refused = set()
    assert await objects.sweep(rt) == 0, "not before a minute has passed"
    assert await settled(rt) == set()
    assert await unowned(rt) == {}
    assert store_of(rt).asked == {key: 2, other: 1}


async def test_an_object_that_is_given_up_in_a_transaction_that_fails_stays(committing_rt: Runtime) -> None:
    rt = committing_rt
    await write(rt, "objects/t/o")

    async def give_up_and_crash() -> None:
        async with rt.transaction() as session:
            await objects.give_up(session, ["objects/t/o"])
            raise Crash

    with pytest.raises(Crash):
        await give_up_and_crash()
    assert await settled(rt) == {"objects/t/o"}


# -- by the pipeline -----------------------------------------------------------------------------------------


async def test_a_chunk_step_that_is_overtaken_or_killed_leaves_no_artifact(
    committing_rt: Runtime, tenant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    rt = committing_rt
    accepted = await driving.accept(rt, tenant, "Some text.")
    reached = asyncio.Event()
    commit = LocalWriter.commit

    async def committed(writer: LocalWriter) -> None:
        await commit(writer)
        reached.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(LocalWriter, "commit", committed)
    step = asyncio.create_task(ingest.run_step(rt, accepted.details.job.id, "chunk"))
    await reached.wait()
    monkeypatch.undo()
    assert len(await in_store(rt)) == 2
    step.cancel()
    with pytest.raises(asyncio.CancelledError):
        await step
    assert await objects.sweep(rt) == 1
    assert await in_store(rt) == await named(rt)
    assert (await driving.run(rt, accepted.details.job.id)).state == "succeeded"
    assert await settled(rt) == await named(rt) == {accepted.details.version.object_key}
