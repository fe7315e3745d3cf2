"""What only real commits show: races, a concurrent reader, a Postgres that goes away, an interrupted step."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from io import BytesIO
from typing import Any

import asyncpg
import pytest
from pypdf import PdfWriter
from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import async_sessionmaker

from footnote import ingest, jobs
from footnote.database.engine import database_unavailable, open_engine
from footnote.errors import Busy, DatabaseUnavailable
from footnote.jobs import recovery
from footnote.models import Chunk, Job
from footnote.runtime import Runtime
from footnote.settings import Settings
from footnote.storage import LocalWriter
from tests import SAMPLES, driving
from tests.driving import chunks_of, job_of, paragraphs, set_job
from tests.fakes import FakeEmbedder
from tests.parsers import parsers_of

pytestmark = pytest.mark.anyio


@pytest.fixture
async def tenant(committing_rt: Runtime) -> str:
    return await driving.new_tenant(committing_rt)


def fake(rt: Runtime) -> FakeEmbedder:
    assert isinstance(rt.embedder, FakeEmbedder)
    return rt.embedder


async def until(condition: Callable[[], Awaitable[bool]], seconds: float = 60) -> None:
    async with asyncio.timeout(seconds):
        while not await condition():
            await asyncio.sleep(0.01)


async def end_other_backends(rt: Runtime) -> int:
    """Ends every connection to the database but the one that asks, as a crash of Postgres does."""
    assert rt.settings.database_url
    connection = await asyncpg.connect(rt.settings.database_url)
    try:
        ended = await connection.fetch(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
        )
        return len(ended)
    finally:
        await connection.close()


# -- versions under load -------------------------------------------------------------------------------------


async def test_a_reader_sees_the_old_version_or_the_new_never_a_mix_or_nothing(
    committing_rt: Runtime, tenant: str
) -> None:
    rt = committing_rt
    document_id = await driving.ready(rt, tenant, paragraphs(60, "old"), external_id="e")
    new = await driving.accept(rt, tenant, paragraphs(90, "new"), external_id="e")
    for step in ("chunk", "embed"):
        assert await ingest.run_step(rt, new.details.job.id, step)
    seen: set[tuple[int, int]] = set()
    reads = 0
    done = asyncio.create_task(ingest.run_step(rt, new.details.job.id, "upsert"))
    over = False
    while not over:
        over = done.done() and reads >= 3  # what is read after the end counts, too
        async with rt.sessions() as session:
            query = select(func.count(), func.count(Chunk.version_id.distinct())).filter_by(document_id=document_id)
            count, versions = (await session.execute(query)).one()
            seen.add((count, versions))
        reads += 1
    assert await done
    assert seen <= {(60, 1), (90, 1)}
    assert (90, 1) in seen
    assert reads > 3


async def test_an_upload_of_a_new_version_and_the_upsert_of_the_old_do_not_lock_each_other_out(
    committing_rt: Runtime, tenant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both write the document's and the job's rows; in different orders they would deadlock."""
    rt = committing_rt
    old = await driving.accept(rt, tenant, paragraphs(3, "old"), external_id="e")
    for step in ("chunk", "embed"):
        assert await ingest.run_step(rt, old.details.job.id, step)
    locked, go_on = asyncio.Event(), asyncio.Event()
    supersede = jobs.end_unfinished

    async def slow(*arguments: object) -> object:
        locked.set()
        await go_on.wait()
        return await supersede(*arguments)  # type: ignore[arg-type]

    failed: list[object] = []
    monkeypatch.setattr(jobs, "end_unfinished", slow)
    monkeypatch.setattr(ingest, "_record_failure", lambda *arguments: failed.append(arguments[-1]))
    upload = asyncio.create_task(driving.accept(rt, tenant, paragraphs(4, "new"), external_id="e"))
    await locked.wait()
    upsert = asyncio.create_task(ingest.run_step(rt, old.details.job.id, "upsert"))

    async def upsert_waits() -> bool:
        async with rt.sessions() as session:
            return bool(await session.scalar(text("SELECT count(*) FROM pg_locks WHERE NOT granted")))

    await until(upsert_waits)
    go_on.set()
    new = await upload
    assert not await upsert, "overtaken"
    assert failed == []
    assert (await job_of(rt, old.details.job.id)).state == "cancelled"
    assert (await driving.run(rt, new.details.job.id)).state == "succeeded"
    assert len(await chunks_of(rt, new.details.document.id)) == 4


async def test_documents_worked_on_at_once_all_arrive_in_a_new_embedding_space(
    committing_rt: Runtime, tenant: str
) -> None:
    rt = committing_rt
    made = [await driving.accept(rt, tenant, paragraphs(5, f"topic{n}")) for n in range(6)]
    ended = await asyncio.gather(*(driving.run(rt, each.details.job.id) for each in made))
    assert [job.state for job in ended] == ["succeeded"] * 6
    assert [len(await chunks_of(rt, each.details.document.id)) for each in made] == [5] * 6


# -- interrupted ---------------------------------------------------------------------------------------------


class Held:
    """A provider that answers the first `good` calls and then waits until it is let go."""

    def __init__(self, rt: Runtime, good: int = 0) -> None:
        self.embedder, self.good = fake(rt), good
        self.reached, self.go_on = asyncio.Event(), asyncio.Event()
        self._embed = self.embedder.embed
        self.embedder.embed = self  # type: ignore[assignment,method-assign]

    async def __call__(self, texts: list[str]) -> object:
        if self.good == 0:
            self.reached.set()
            await self.go_on.wait()
        self.good = max(0, self.good - 1)
        return await self._embed(texts)


def quick(rt: Runtime, lease_seconds: float = 30) -> Runtime:
    """The same Runtime with a heartbeat that beats every 50 ms."""
    faster = {"heartbeat_seconds": 0.05, "lease_seconds": lease_seconds}
    return replace(rt, settings=rt.settings.model_copy(update=faster))


async def in_embedding(rt: Runtime, tenant: str, good: int = 0) -> tuple[str, Held, "asyncio.Task[bool]"]:
    """A job whose embed step is in the middle of a call to the provider."""
    accepted = await driving.accept(rt, tenant, paragraphs(19))
    assert await ingest.run_step(rt, accepted.details.job.id, "chunk")
    held = Held(rt, good)
    task = asyncio.create_task(ingest.run_step(rt, accepted.details.job.id, "embed"))
    await held.reached.wait()
    return accepted.details.job.id, held, task


async def test_a_step_that_takes_long_keeps_its_lease_and_shows_progress(committing_rt: Runtime, tenant: str) -> None:
    rt = quick(committing_rt, lease_seconds=10)
    job_id, held, task = await in_embedding(rt, tenant, good=2)
    first = (await job_of(rt, job_id)).lease_until

    async def renewed() -> bool:
        job = await job_of(rt, job_id)
        assert first is not None
        assert job.lease_until is not None
        return (job.lease_until - first).total_seconds() > 0.6 and job.progress_done == 8

    await until(renewed)
    async with rt.transaction() as session:
        assert await recovery.requeue_expired(session, rt.settings) == ([], [])
    held.go_on.set()
    assert await task
    assert (await driving.run(rt, job_id)).state == "succeeded"


async def test_cancelling_a_running_job_stops_its_step_and_shows_nothing(committing_rt: Runtime, tenant: str) -> None:
    rt = quick(committing_rt)
    job_id, held, task = await in_embedding(rt, tenant)
    async with rt.for_tenant(tenant).transaction() as session:
        await jobs.cancel(session, job_id)
    assert not await asyncio.wait_for(task, 60), "stopped, though the provider never answered"
    assert not held.go_on.is_set()
    job = await job_of(rt, job_id)
    assert job.state == "cancelled"
    assert await chunks_of(rt, job.document_id) == []
    assert not await ingest.run_step(rt, job_id, "upsert")


async def test_a_step_interrupted_by_a_shutdown_is_given_back_and_not_counted(
    committing_rt: Runtime, tenant: str
) -> None:
    rt = committing_rt
    job_id, held, task = await in_embedding(rt, tenant, good=2)
    done = [each for batch in fake(rt).seen for each in batch]
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    job = await job_of(rt, job_id)
    assert (job.state, job.step, job.attempts, job.retries) == ("queued", "embed", 0, 0)
    held.go_on.set()
    assert (await driving.run(rt, job_id)).state == "succeeded"
    assert len(done) == 8
    assert len({each for batch in fake(rt).seen for each in batch}) == sum(map(len, fake(rt).seen)) == 19


async def test_no_parser_outlives_a_chunk_step_that_was_interrupted(
    committing_rt: Runtime, tenant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    rt = committing_rt
    writer, pdf = PdfWriter(), BytesIO()
    for _ in range(500):  # more text than fits into the pipe, so that the parser has to wait
        writer.append(SAMPLES / "handbook.pdf")
    writer.write(pdf)
    accepted = await driving.accept(rt, tenant, pdf.getvalue(), "handbook.pdf")
    reached = asyncio.Event()

    async def stuck(*_: object, **__: object) -> object:
        reached.set()
        return await asyncio.Event().wait()

    monkeypatch.setattr(LocalWriter, "write", stuck)
    task = asyncio.create_task(ingest.run_step(rt, accepted.details.job.id, "chunk"))
    await reached.wait()
    assert parsers_of("self")
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not parsers_of("self")


# -- Postgres away -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("step", jobs.STEPS)
async def test_a_step_whose_connection_is_cut_before_its_end_waits_and_then_ends_once(
    committing_rt: Runtime, tenant: str, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    rt = committing_rt
    accepted = await driving.accept(rt, tenant, paragraphs(20))
    job_id = accepted.details.job.id
    for name in jobs.STEPS[: jobs.STEPS.index(step)]:
        assert await ingest.run_step(rt, job_id, name)
    cut: list[int] = []
    finish = jobs.finish_step

    async def cut_off(*arguments: Any) -> bool:
        if not cut:
            cut.append(await end_other_backends(rt))
        return await finish(*arguments)

    monkeypatch.setattr(jobs, "finish_step", cut_off)
    assert not await ingest.run_step(rt, job_id, step)
    assert cut[0] > 0
    job = await job_of(rt, job_id)
    assert (job.state, job.step, job.error_code, job.attempts) == ("waiting", step, "database_unavailable", 0)
    assert await chunks_of(rt, job.document_id) == []
    await set_job(rt, job_id, next_attempt_at=func.now())
    assert (await driving.run(rt, job_id)).state == "succeeded"
    assert len(await chunks_of(rt, job.document_id)) == 20
    assert len({each for batch in fake(rt).seen for each in batch}) == sum(map(len, fake(rt).seen)) == 20


async def test_a_transaction_whose_backend_is_ended_counts_as_database_away(committing_rt: Runtime) -> None:
    with pytest.raises(Exception) as raised:  # noqa: PT011, PT012  which of several kinds is the point
        async with committing_rt.transaction() as session:
            await session.execute(select(Job.id))
            await end_other_backends(committing_rt)
            await session.execute(select(Job.id))
    assert isinstance(raised.value, DatabaseUnavailable), repr(raised.value)


@contextlib.asynccontextmanager
async def postgres_that_says(code: bytes) -> AsyncIterator[str]:
    """A server that refuses every connection with a SQLSTATE, as one does that is starting up."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        fields = b"SFATAL\0VFATAL\0C" + code + b"\0Mno\0\0"
        with contextlib.closing(writer), contextlib.suppress(ConnectionError):
            await reader.read(8192)
            writer.write(b"E" + (len(fields) + 4).to_bytes(4, "big") + fields)
            await writer.drain()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server:
        yield f"postgresql://postgres@127.0.0.1:{port}/footnote?sslmode=disable"


@pytest.mark.parametrize(
    ("code", "away"),
    [*((code, True) for code in (b"57P03", b"57P01", b"53300", b"28P01", b"3D000")), (b"42501", False)],
)
async def test_a_server_that_starts_up_stops_is_full_or_refuses_us_counts_as_away(code: bytes, away: bool) -> None:
    async with postgres_that_says(code) as url:
        engine = open_engine(Settings(_env_file=None, database_url=url), pool_size=1)
        with pytest.raises(Exception) as raised:  # noqa: PT011  which of several kinds is the point
            async with async_sessionmaker(engine)() as session:
                await session.execute(text("SELECT 1"))
        await engine.dispose()
    assert (database_unavailable(raised.value) or isinstance(raised.value, DatabaseUnavailable)) is away, repr(
        raised.value
    )


@pytest.mark.parametrize("host", ["127.0.0.1:1", "name.invalid", "/nowhere"])
async def test_a_server_that_is_not_there_counts_as_away(host: str) -> None:
    url = f"postgresql://@/x?host={host}" if host[0] == "/" else f"postgresql://{host}/x"
    engine = open_engine(Settings(_env_file=None, database_url=url), pool_size=1)
    with pytest.raises(DatabaseUnavailable):
        async with engine.connect():
            pass
    await engine.dispose()


async def test_a_mistake_of_ours_does_not_count_as_away(committing_rt: Runtime) -> None:
    for statement in ("SELECT nothing", "SELECT 1/0", "INSERT INTO tenant (id) VALUES ('x')"):
        with pytest.raises(Exception) as raised:  # noqa: PT011  which of several kinds is the point
            async with committing_rt.transaction() as session:
                await session.execute(text(statement))
        assert not database_unavailable(raised.value)


async def test_a_deadlock_is_busy(committing_rt: Runtime, tenant: str) -> None:
    other = await driving.new_tenant(committing_rt)
    barrier = asyncio.Barrier(2)

    async def lock_both(first: str, second: str) -> None:
        async with committing_rt.transaction() as session:
            await session.execute(text("SELECT 1 FROM tenant WHERE id = :id FOR UPDATE"), {"id": first})
            await barrier.wait()
            await session.execute(text("SELECT 1 FROM tenant WHERE id = :id FOR UPDATE"), {"id": second})

    ended = await asyncio.gather(lock_both(tenant, other), lock_both(other, tenant), return_exceptions=True)
    (error,) = [each for each in ended if each is not None]
    assert isinstance(error, Busy), repr(error)
