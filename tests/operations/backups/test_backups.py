"""No object of a backup's rows is deleted meanwhile, it is restored whole, and receivers recognise repetitions."""

import asyncio
import fcntl
import os
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import delete, select, text

from footnote import ingest, webhooks
from footnote.documents import deletion
from footnote.documents.objects import sweep
from footnote.errors import Conflict, Invalid
from footnote.local_stack.postgres import Postgres, started
from footnote.models import BackupRun, WebhookDelivery
from footnote.operations.backups import archive, checksums, folders, objects, record, tools
from footnote.operations.backups.following import Following, follow
from footnote.operations.backups.restoring import restore
from footnote.operations.backups.taking import back_up
from footnote.operations.doctor import work
from footnote.runtime import Runtime
from footnote.settings import Settings
from footnote.webhooks import endpoints
from tests import driving
from tests.driving import paragraphs
from tests.operations.backups.making import another, stored

pytestmark = pytest.mark.anyio
GRACE = timedelta(hours=1)


async def until(rt: Runtime) -> datetime:
    async with rt.transaction() as session:
        return (await session.scalars(select(BackupRun.objects_until))).one()


# -- objects wait for a backup -------------------------------------------------------------------------------


async def test_an_object_of_a_recent_backup_outlives_its_document(committing_rt: Runtime, tenant: str) -> None:
    rt = committing_rt
    first, second = [await driving.ready(rt, tenant, paragraphs(2, word)) for word in ("lens", "wick")]
    before = await stored(rt)
    async with record.running(rt, "base", GRACE):
        await deletion.remove(rt.for_tenant(tenant), first)
        assert await until(rt) > datetime.now(UTC) + timedelta(hours=23), "it may take longer than the grace"
    assert await until(rt) < datetime.now(UTC) + GRACE
    while await sweep(rt):
        pass
    assert await stored(rt) == before
    await rt.execute(text("UPDATE backup SET objects_until = now() - interval '1 s'"))
    await deletion.remove(rt.for_tenant(tenant), second)
    await rt.execute(text("UPDATE unowned_object SET delete_at = now() WHERE delete_at < now() + interval '2 s'"))
    await sweep(rt)
    assert len(await stored(rt)) == 1, "what was given up after the grace does not wait"


async def test_a_backup_waits_for_transactions_that_do_not_know_of_it(committing_rt: Runtime, tenant: str) -> None:
    rt = committing_rt
    begun = asyncio.Event()

    async def backing_up() -> None:
        async with record.running(rt, "base", GRACE):
            begun.set()

    async with rt.transaction() as session:
        await session.execute(text("INSERT INTO pause DEFAULT VALUES"))
        waiting = asyncio.create_task(backing_up())
        while not await _runs(rt):
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.2)
        assert not begun.is_set()
    async with asyncio.timeout(30):
        await waiting


async def _runs(rt: Runtime) -> bool:
    async with rt.transaction() as session:
        return await session.scalar(select(BackupRun.id)) is not None


async def test_a_run_that_failed_holds_nothing(committing_rt: Runtime) -> None:
    with pytest.raises(OSError, match="full"):
        async with record.running(committing_rt, "base", GRACE):
            raise OSError("full")
    assert not await _runs(committing_rt)


# -- whose backups -------------------------------------------------------------------------------------------


async def test_backups_of_another_installation_are_left_alone(
    committing_rt: Runtime, tenant: str, tmp_path: Path
) -> None:
    rt = committing_rt
    await driving.ready(rt, tenant, paragraphs(2))
    ours = await back_up(rt.settings, tmp_path)
    known = "UPDATE backup SET id = id || :other"
    await rt.execute(text(known).bindparams(other="x"))  # as in a database that has nothing of these backups
    with pytest.raises(Conflict, match=r"another installation: name another folder\."):
        await another(rt, tmp_path)
    assert folders.backups(tmp_path) == [ours]
    assert list(tmp_path.glob(f"*{folders.PART}")) == []
    with pytest.raises(Conflict, match="another installation"):
        await record.ours(rt, tmp_path)
    beside = replace(rt, settings=rt.settings.model_copy(update={"backup_dir": tmp_path}))
    assert [each.about for each in await work.backups(beside) if each.state == "broken"] == ["folder of the backups"]
    await rt.execute(text("UPDATE backup SET id = rtrim(id, 'x')"))
    assert await record.ours(rt, tmp_path) == [ours]


async def test_a_copy_removes_only_backups_that_it_knows(committing_rt: Runtime, tenant: str, tmp_path: Path) -> None:
    """Two that were restored from one backup and use its folder both know what was made before."""
    rt = committing_rt
    await driving.ready(rt, tenant, paragraphs(2))
    common = await back_up(rt.settings, tmp_path)
    theirs = await another(rt, tmp_path)
    await rt.execute(delete(BackupRun).where(BackupRun.id == theirs.manifest.id))
    mine = await another(rt, tmp_path)
    assert await record.ours(rt, tmp_path) == [common, mine]
    at_once = rt.settings.model_copy(update={"backup_days": 1e-9})
    log = archive.new_folder(tmp_path, "7")
    following = Following(replace(rt, settings=at_once), Postgres.within(tmp_path), tmp_path, log, {})
    await following.tidy()
    assert folders.backups(tmp_path) == [theirs, mine]


async def test_an_installation_knows_its_backups_however_old(committing_rt: Runtime, tmp_path: Path) -> None:
    rt = committing_rt
    made = await back_up(rt.settings, tmp_path)
    await rt.execute(text("UPDATE backup SET started_at = now() - interval '500 days'"))
    with pytest.raises(OSError, match="full"):
        async with record.running(rt, "base", GRACE):
            raise OSError("full")
    assert await record.ours(rt, tmp_path) == [made]
    mine = await another(rt, tmp_path)
    assert await record.ours(rt, tmp_path) == [mine], "the row of the other one is forgotten"


async def test_one_process_at_a_time_follows_into_a_folder(
    committing_rt: Runtime, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tools, "embedded", lambda _: Postgres.within(tmp_path))
    with folders.alone(tmp_path, "following.lock"), pytest.raises(Conflict, match="stores the log in"):
        async with asyncio.timeout(60):
            await follow(committing_rt.settings, tmp_path)


# -- a whole backup ------------------------------------------------------------------------------------------


async def test_what_was_stored_is_restored(
    committing_rt: Runtime, tenant: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A dump, with a job between two steps and a deletion, into a new data directory."""
    rt = committing_rt
    document_id = await driving.ready(rt, tenant, paragraphs(3))
    begun = await driving.accept(rt, tenant, paragraphs(4, "lens"))
    assert await ingest.run_step(rt, begun.details.job.id, "chunk")
    made = await back_up(rt.settings, tmp_path / "backups")
    assert [each.folder for each in folders.backups(tmp_path / "backups")] == [made.folder]
    await deletion.remove(rt.for_tenant(tenant), document_id)

    into = Settings(_env_file=None, data_dir=tmp_path / "r")
    restored = await asyncio.to_thread(restore, into, tmp_path / "backups", None)
    assert restored.is_clean
    assert (restored.documents, restored.unfinished, restored.same) == (2, 1, 1)
    assert restored.data_dir is not None
    server = Postgres.within(restored.data_dir)
    with started(server):
        analyzed = server.sql("SELECT reltuples FROM pg_class WHERE relname = 'chunk'", "footnote")
    assert analyzed == str(restored.chunks)
    with pytest.raises(Conflict, match="exists"):
        restore(into, tmp_path / "backups", None)
    elsewhere = Settings(_env_file=None, data_dir=tmp_path / "s")
    with pytest.raises(Invalid, match="oldest backup"):
        restore(elsewhere, tmp_path / "backups", made.manifest.started_at)
    (made.folder / "database" / "database.dump").write_bytes(b"PGDMP")
    with pytest.raises(Invalid, match="damaged"):
        restore(elsewhere, tmp_path / "backups", None)
    assert list(tmp_path.glob("s*")) == [], "nothing was begun"


async def test_a_damaged_or_newer_backup_keeps_none_from_being_made_and_is_never_passed_over(
    committing_rt: Runtime, tenant: str, tmp_path: Path
) -> None:
    rt, directory, into = committing_rt, tmp_path / "b", Settings(_env_file=None, data_dir=tmp_path / "r")
    await driving.ready(rt, tenant, paragraphs(2))
    first = await back_up(rt.settings, directory)
    (first.folder / folders.MANIFEST).write_text("{}")
    log = directory / folders.WAL / "7-20261130T120000Z"
    log.mkdir(parents=True)
    (log / checksums.NAME).write_text("half a line")
    with pytest.raises(Invalid, match="backup_damaged"):
        restore(into, directory, None)
    await asyncio.sleep(1.1)  # they are named by the second
    second = await back_up(rt.settings, directory)
    assert folders.backups(directory) == [second]
    folders.write_manifest(second.folder, replace(second.manifest, revision="9999", footnote="9.9"))
    list_of = checksums.read(second.folder)
    checksums.replace(second.folder, list_of | {folders.MANIFEST: checksums.sha256(second.folder / folders.MANIFEST)})
    with pytest.raises(Invalid, match=r"newer release .*9999.* restore it with Footnote 9\.9"):
        restore(into, directory, None)
    folders.remove(second)
    assert folders.backups(directory) == []
    assert list(tmp_path.glob("r*")) == [], "nothing was begun"


async def test_one_restore_at_a_time_makes_a_data_directory_and_what_was_killed_is_gone(
    committing_rt: Runtime, tenant: str, tmp_path: Path
) -> None:
    await driving.ready(committing_rt, tenant, paragraphs(2))
    made = await back_up(committing_rt.settings, tmp_path / "b")
    into = Settings(_env_file=None, data_dir=tmp_path / "r")
    killed = tmp_path / "r.restoring" / "pg18"
    killed.mkdir(parents=True)
    other = os.open(killed.parent, os.O_RDONLY)
    fcntl.flock(other, fcntl.LOCK_EX)
    with pytest.raises(Conflict, match="Another restore"):
        restore(into, made.folder, None)
    assert killed.exists()
    os.close(other)
    part = made.folder.parent / folders.WAL / "7-20261130T120000Z" / "objects" / "obj_1.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(b"half of an object")
    restored = await asyncio.to_thread(restore, into, made.folder, None)
    assert restored.is_clean
    assert not killed.parent.exists()
    assert await objects.put_back(committing_rt.store, part.parents[1]) == 0


async def test_only_the_embedded_server_is_followed(committing_rt: Runtime, tmp_path: Path) -> None:
    with pytest.raises(Invalid, match="pgBackRest"):
        await follow(committing_rt.settings, tmp_path)


# -- what receivers see --------------------------------------------------------------------------------------


async def test_a_job_that_ends_once_more_is_announced_under_the_same_id(committing_rt: Runtime, tenant: str) -> None:
    """As in an installation that was restored to a moment before the end of the job."""
    rt = committing_rt.for_tenant(tenant)
    async with rt.transaction() as session:
        await endpoints.create(session, "https://one.example", ["*"], None)
        await endpoints.create(session, "https://two.example", ["*"], None)
    job_id = (await driving.accept(committing_rt, tenant, paragraphs(2))).details.job.id

    async def announced(event: str) -> list[str]:
        async with rt.transaction() as session:
            await webhooks.enqueue(session, [job_id], event)
            ids = list((await session.scalars(select(WebhookDelivery.id).order_by(WebhookDelivery.url))).all())
            await session.rollback()
            return ids

    ready = await announced("document.ready")
    assert await announced("document.ready") == ready
    assert len({*ready, *await announced("document.failed")}) == 4, "one for each event and receiver"
    assert all(each.removeprefix("whd_")[:10] == job_id.removeprefix("job_")[:10] for each in ready)
