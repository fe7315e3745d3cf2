"""`footnote audit` finds each kind of leftover and loss, puts right what it can, and never cries wolf."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import replace

import pytest
from sqlalchemy import select, text, update
from sqlalchemy.exc import NoResultFound

from footnote import ingest
from footnote.database.clock import from_now
from footnote.documents import deletion, objects
from footnote.errors import Invalid
from footnote.models import Artifact, Document, Version
from footnote.operations import consistency as audits
from footnote.operations.consistency import audit
from footnote.runtime import Runtime
from footnote.storage import PART, LocalStore, S3Store, writing
from tests import ROOT, driving
from tests.driving import chunks_of, document_of, paragraphs, set_job
from tests.storage.test_storage import aws, begin, parts_left, s3, s3_endpoint
from tests.stored import in_store, named, set_unowned, settled

__all__ = ["aws", "s3", "s3_endpoint"]  # fixtures

pytestmark = pytest.mark.anyio

Planted = tuple[str, str]


@pytest.fixture
async def tenant(committing_rt: Runtime) -> str:
    return await driving.new_tenant(committing_rt)


async def found(rt: Runtime, *, fix: bool = False) -> list[Planted]:
    findings = [each async for each in audit(rt, fix=fix)]
    return sorted((each.kind, each.what) for each in findings)


async def write(rt: Runtime, key: str, content: bytes = b"x") -> None:
    async with writing(rt.store, key) as out:
        await out.write(content)


async def some_documents(rt: Runtime, tenant: str) -> str:
    """One that is ready, with a newer version on its way, another one, and one between two steps."""
    document_id = await driving.ready(rt, tenant, paragraphs(5), external_id="e")
    await driving.accept(rt, tenant, paragraphs(2, "newer"), external_id="e")
    await driving.ready(rt, tenant, paragraphs(3, "lens"))
    accepted = await driving.accept(rt, tenant, paragraphs(2, "wick"))
    assert await ingest.run_step(rt, accepted.details.job.id, "chunk")
    return document_id


# -- findings ------------------------------------------------------------------------------------------------


async def test_a_healthy_system_has_none(committing_rt: Runtime, tenant: str) -> None:
    rt = committing_rt
    await some_documents(rt, tenant)
    failed = await driving.accept(rt, tenant, " \n ")
    assert (await driving.run(rt, failed.details.job.id)).error_code == "no_text"
    embedded = await driving.accept(rt, tenant, paragraphs(3, "oil"))
    for step in ("chunk", "embed"):
        assert await ingest.run_step(rt, embedded.details.job.id, step)
    await deletion.remove(rt.for_tenant(tenant), await driving.ready(rt, tenant, "Gone."))
    assert await found(rt) == []
    assert await found(rt, fix=True) == []
    assert await settled(rt) == await named(rt)


async def object_without_row(rt: Runtime, document: Document) -> Planted:
    await write(rt, "objects/t/orphan")
    return "object_without_row", "objects/t/orphan"


async def unfinished_object_without_row(rt: Runtime, document: Document) -> Planted:
    writer = await rt.store.open_writer("artifacts/half.jsonl")
    await writer.write(b"half")
    writer._file.close()  # type: ignore[attr-defined]  # as by a process that died
    return "object_without_row", "artifacts/half.jsonl"


async def artifact_missing(rt: Runtime, document: Document) -> Planted:
    async with rt.sessions() as session:
        key = (await session.scalars(select(Artifact.key).order_by(Artifact.key))).first()
    assert key
    await rt.store.delete(key)
    return "artifact_missing", key


async def object_missing(rt: Runtime, document: Document) -> Planted:
    key = (await driving.version_of(rt, document.active_version_id or "")).object_key
    assert key
    await rt.store.delete(key)
    return "object_missing", key


async def sql(rt: Runtime, statement: str, **values: str) -> None:
    async with rt.transaction() as session:
        await session.execute(text(statement), values)


COPY_VERSION = """
    INSERT INTO version (id, tenant_id, document_id, number, filename, media_type, sha256, bytes)
    SELECT 'ver_left', tenant_id, document_id, 99, filename, media_type, sha256, bytes FROM version WHERE id = :active
"""


async def chunk_without_version(rt: Runtime, document: Document) -> Planted:
    await sql(rt, COPY_VERSION, active=document.active_version_id or "")
    await sql(rt, "UPDATE chunk SET version_id = 'ver_left' WHERE document_id <> :id", id=document.id)
    return "chunk_without_version", "ver_left"


async def page_without_version(rt: Runtime, document: Document) -> Planted:
    await sql(rt, COPY_VERSION, active=document.active_version_id or "")
    await sql(
        rt, "INSERT INTO page SELECT 'ver_left', 1, tenant_id, 'left' FROM document WHERE id = :id", id=document.id
    )
    return "page_without_version", "ver_left"


async def embedding_without_document(rt: Runtime, document: Document) -> Planted:
    await sql(
        rt,
        "INSERT INTO embedding (tenant_id, space_id, text_sha256, document_id, embedding) "
        "SELECT tenant_id, space_id, '\\x1234', 'doc_gone', embedding FROM chunk LIMIT 1",
    )
    return "embedding_without_document", "1234"


async def document_incomplete(rt: Runtime, document: Document) -> Planted:
    await sql(rt, "DELETE FROM chunk WHERE document_id = :id AND position = 3", id=document.id)
    return "document_incomplete", document.id


PLANTS = [
    (object_without_row, True),
    (unfinished_object_without_row, True),
    (artifact_missing, True),
    (object_missing, False),
    (chunk_without_version, True),
    (page_without_version, True),
    (embedding_without_document, True),
    (document_incomplete, False),
]


@pytest.mark.parametrize(("plant", "mended"), PLANTS, ids=lambda each: getattr(each, "__name__", ""))
async def test_each_kind_is_found_and_put_right_if_it_can_be(
    committing_rt: Runtime, tenant: str, plant: Callable[[Runtime, Document], Awaitable[Planted]], mended: bool
) -> None:
    rt = committing_rt
    planted = await plant(rt, await document_of(rt, await some_documents(rt, tenant)))
    everything = await found(rt)
    assert planted in everything
    assert {kind for kind, _ in everything} <= {planted[0], "document_incomplete"}
    assert await found(rt) == everything, "looking changes nothing"
    findings = [each async for each in audit(rt, fix=True)]
    assert {each.fixed for each in findings if (each.kind, each.what) == planted} == {mended}
    assert (planted in await found(rt)) is not mended
    assert await settled(rt) <= await named(rt)


async def test_a_job_whose_artifact_was_missing_goes_on_once_that_is_known(committing_rt: Runtime, tenant: str) -> None:
    rt = committing_rt
    accepted = await driving.accept(rt, tenant, paragraphs(5))
    await ingest.run_step(rt, accepted.details.job.id, "chunk")
    kind, _ = await artifact_missing(rt, accepted.details.document)
    assert [each for each, _ in await found(rt, fix=True)] == [kind]
    job = await driving.run(rt, accepted.details.job.id)
    assert (job.state, job.step) == ("waiting", "chunk")
    await set_job(rt, job.id, next_attempt_at=from_now(0))
    assert (await driving.run(rt, job.id)).state == "succeeded"
    assert len(await chunks_of(rt, job.document_id)) == 5
    assert await found(rt) == []


async def test_what_is_being_written_or_waits_for_its_deletion_is_no_finding(
    committing_rt: Runtime, tenant: str
) -> None:
    rt = committing_rt
    async with objects.reserved(rt, "objects/t/new"):
        async with writing(rt.store, "objects/t/new") as out:
            await out.write(b"x")
            assert await found(rt, fix=True) == []
        assert await found(rt, fix=True) == []
    await deletion.remove(rt.for_tenant(tenant), await driving.ready(rt, tenant, "Some text."))
    assert await in_store(rt) != set()
    assert await found(rt) == []
    await rt.store.delete("objects/t/new")
    await set_unowned(rt, delete_at=from_now(0))
    assert await found(rt, fix=True) == [], "nor is one that is noted and not there"


async def test_more_than_a_batch_is_looked_at(
    committing_rt: Runtime, tenant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audits, "BATCH", 3)
    rt = committing_rt
    for number in range(4):
        await driving.ready(rt, tenant, f"Text {number}.")
    assert isinstance(rt.store, LocalStore)
    folder = rt.store.directory / "objects" / "more"
    folder.mkdir()
    for number in range(8):
        (folder / f"{number}").write_bytes(b"")
    lost = sorted(await named(rt))
    for key in lost:
        await rt.store.delete(key)
    expected = [("object_missing", key) for key in lost]
    assert await found(rt, fix=True) == expected + [("object_without_row", f"objects/more/{n}") for n in range(8)]
    assert await found(rt) == expected
    assert await in_store(rt) == set()


async def test_a_key_listed_before_its_writer_ended_or_gave_up_is_no_finding(
    committing_rt: Runtime, tenant: str
) -> None:
    """What happens between the list and the question whose it is."""
    rt = committing_rt

    class Late(LocalStore):
        """Lists what is there, then lets everything happen, then tells."""

        async def keys(self, folder: str) -> AsyncIterator[str]:
            listed = [key async for key in super().keys(folder)]
            if folder == "objects" and happenings:
                await happenings.pop()()
            for key in listed:
                yield key

    assert isinstance(rt.store, LocalStore)
    late = replace(rt, store=Late(rt.store.directory))
    kept = await driving.ready(rt, tenant, "Some text.")
    happenings: list[Callable[[], Awaitable[object]]] = []

    async def given_up() -> None:
        await writer.abort()
        await set_unowned(rt, delete_at=from_now(0))
        await objects.sweep(rt)

    async def finished() -> None:
        await writer.commit()
        async with rt.transaction() as session:
            await objects.adopt(session, "objects/t/new")
            await session.execute(update(Version).values(object_key="objects/t/new"))
            await objects.give_up(session, [old])
        await objects.sweep(rt)

    async def removed() -> None:
        await deletion.remove(rt.for_tenant(tenant), kept)
        await objects.sweep(rt)

    (old,) = await named(rt)
    for happening in (given_up, finished, removed):
        if happening is not removed:
            async with rt.transaction() as session:
                await objects.reserve(session, "objects/t/new")
            writer = await rt.store.open_writer("objects/t/new")
        happenings.append(happening)
        assert await found(late) == [], happening.__name__
        assert happenings == []
    assert await in_store(rt) == set()


# -- while the system works ----------------------------------------------------------------------------------


class Busy:
    """Uploads, versions, refusals, deletions and sweeps, until it is enough."""

    def __init__(self, rt: Runtime, tenant: str) -> None:
        self.rt, self.tenant = rt, tenant
        self.enough = asyncio.Event()

    async def ingest(self, worker: int) -> None:
        for number in range(4):
            content = paragraphs(2 + number, f"topic{number % 3}")
            accepted = await driving.accept(self.rt, self.tenant, content, external_id=f"e{worker % 3}")
            work = [driving.run(self.rt, accepted.details.job.id)]
            if number % 2:
                work.append(deletion.remove(self.rt.for_tenant(self.tenant), accepted.details.document.id))  # type: ignore[arg-type]
            ended = await asyncio.gather(*work, return_exceptions=True)
            unexpected = [each for each in ended if isinstance(each, BaseException)]
            assert all(isinstance(each, NoResultFound) for each in unexpected), "the job may be gone, no more"

    async def refuse(self) -> None:
        while not self.enough.is_set():
            with suppress(Invalid):
                await self.refused(f"objects/t/{os.urandom(8).hex()}")

    async def refused(self, key: str) -> None:
        async with objects.reserved(self.rt, key), writing(self.rt.store, key) as out:
            await out.write(b"x")
            raise Invalid("empty_file")

    async def sweep(self) -> None:
        while not self.enough.is_set():
            await objects.sweep(self.rt)
            await asyncio.sleep(0.02)

    async def audit(self) -> list[list[Planted]]:
        everything: list[list[Planted]] = []
        while not self.enough.is_set():
            everything.append(await found(self.rt, fix=len(everything) % 2 == 1))
        return everything


async def test_a_busy_system_has_none(committing_rt: Runtime, tenant: str) -> None:
    rt = committing_rt
    busy = Busy(rt, tenant)
    others = [asyncio.create_task(each) for each in (busy.refuse(), busy.sweep())]
    auditing = asyncio.create_task(busy.audit())
    await asyncio.gather(*(busy.ingest(number) for number in range(4)))
    busy.enough.set()
    await asyncio.gather(*others)
    audited = await auditing
    assert len(audited) > 3
    assert [each for each in audited if each] == []
    assert await settled(rt) == await named(rt)
    assert await found(rt) == []


# -- as a command --------------------------------------------------------------------------------------------


async def command(rt: Runtime, *options: str) -> tuple[int, list[str], str]:
    given = {"DATABASE_URL": str(rt.settings.database_url), "STORAGE_URL": rt.settings.storage_location}
    ran = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "footnote", "audit", *options],
        cwd=ROOT,
        env=os.environ | given,
        capture_output=True,
        text=True,
        timeout=60,
    )
    return ran.returncode, ran.stdout.splitlines(), ran.stderr


async def test_the_command_tells_what_is_left_by_its_exit_code(committing_rt: Runtime, tenant: str) -> None:
    rt = committing_rt
    document_id = await driving.ready(rt, tenant, paragraphs(5))
    assert await command(rt) == (0, ["0 found, 0 left."], "")
    document = await document_of(rt, document_id)
    planted = [await object_without_row(rt, document), await document_incomplete(rt, document)]
    assert await command(rt) == (1, [*(f"{kind}: {what}" for kind, what in planted), "2 found, 2 left."], "")
    code, lines, _ = await command(rt, "--json", "--fix")
    told = [{"kind": kind, "what": what, "fixed": kind == "object_without_row"} for kind, what in planted]
    assert (code, [json.loads(line) for line in lines]) == (1, told)
    await deletion.remove(rt.for_tenant(tenant), document_id)
    await write(rt, "objects/t/another")
    assert await command(rt, "--fix") == (
        0,
        ["object_without_row: objects/t/another (removed)", "1 found, 0 left."],
        "",
    )


# -- in S3 ---------------------------------------------------------------------------------------------------


@pytest.mark.s3
@pytest.mark.parametrize("prefix", ["", "pre/fix"])
async def test_a_bucket_is_audited_but_for_what_others_keep_in_it(
    committing_rt: Runtime, tenant: str, s3: S3Store, prefix: str
) -> None:
    store = S3Store(s3.bucket, prefix)
    store._opened = s3.client
    rt = replace(committing_rt, store=store)
    kept = await driving.ready(rt, tenant, paragraphs(3))
    lost = await driving.ready(rt, tenant, "Lost.")
    await write(rt, "objects/t/orphan")
    await begin(store, "artifacts/half", bytes(PART))
    async with rt.transaction() as session:
        await objects.reserve(session, "objects/t/new")
    await begin(store, "objects/t/new", bytes(PART))
    foreign = ["readme.txt", "backups/objects/x", f"{prefix}-old/objects/x", f"{prefix}/other/x".lstrip("/")]
    for key in foreign:
        s3.client.put_object(Bucket=s3.bucket, Key=key, Body=b"not ours")
    missing = (await driving.version_of(rt, (await document_of(rt, lost)).active_version_id or "")).object_key
    assert missing
    await store.delete(missing)
    expected = [
        ("object_missing", missing),
        ("object_without_row", "artifacts/half"),
        ("object_without_row", "objects/t/orphan"),
    ]
    assert await found(rt) == expected
    assert await found(rt, fix=True) == expected
    assert await found(rt) == expected[:1]
    assert [each["Key"] for each in parts_left(s3)] == [store.where("objects/t/new")["Key"]]
    (bytes_of_kept,) = [key async for key in store.keys("objects") if not key.endswith(".part")]
    assert bytes_of_kept in await named(rt)
    left = {each["Key"] for each in s3.client.list_objects_v2(Bucket=s3.bucket)["Contents"]}
    assert left == {store.where(bytes_of_kept)["Key"], *foreign}
    assert len(await chunks_of(rt, kept)) == 3
