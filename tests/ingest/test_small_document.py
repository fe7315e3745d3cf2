"""A small document in one run: what it costs, and that whatever cuts in at any seam loses and doubles nothing."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from typing import Any

import pytest
from asyncpg import Connection
from sqlalchemy import event, func, select, text

from footnote import ingest, jobs
from footnote.documents import deletion
from footnote.embeddings import vector_lengths
from footnote.errors import Busy, ProviderRejected, RateLimited, Unavailable
from footnote.formats.sandbox.parent import read_pages
from footnote.ingest import chunk
from footnote.ingest import small_document as steps
from footnote.jobs import one_run, recovery, scheduling
from footnote.models import Collection, Embedding, Job, UsageOfDay
from footnote.runtime import Runtime
from tests import driving
from tests.driving import artifacts_of, chunks_of, document_of, job_of, paragraphs, set_job, step_states
from tests.fakes import FakeEmbedder

pytestmark = pytest.mark.anyio

# The beginning of what stands between two steps, in their order, and the step that the cursor is at.
SEAMS: dict[str, tuple[Any, str, str]] = {
    "claimed": (steps, "_read", "chunk"),
    "read": (steps._Found, "go_on", "chunk"),
    "moved": (steps._Found, "embed", "embed"),
    "embedded": (steps._Found, "show", "embed"),
    "stored": (one_run, "complete", "embed"),
}
CHUNKS = 6


class Killed(BaseException):
    """The process dies here: nothing that follows runs."""


@pytest.fixture
def rt(committing_rt: Runtime) -> Runtime:
    return committing_rt


@pytest.fixture
async def tenant(rt: Runtime) -> str:
    return await driving.new_tenant(rt)


def fake(rt: Runtime) -> FakeEmbedder:
    assert isinstance(rt.embedder, FakeEmbedder)
    return rt.embedder


def asked(rt: Runtime) -> list[str]:
    return [text for batch in fake(rt).seen for text in batch]


async def accepted(rt: Runtime, tenant: str, topic: str = "lamp", **options: Any) -> str:
    return (await driving.accept(rt, tenant, paragraphs(CHUNKS, topic), **options)).details.job.id


@pytest.fixture
def cut_in(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, Callable[[], Awaitable[object]]], None]:
    """Has something done once, at a seam."""

    def at(seam: str, action: Callable[[], Awaitable[object]]) -> None:
        owner, name, _ = SEAMS[seam]
        inner = getattr(owner, name)

        async def cut(*arguments: Any, **named: Any) -> Any:
            monkeypatch.setattr(owner, name, inner)
            await action()
            return await inner(*arguments, **named)

        monkeypatch.setattr(owner, name, cut)

    return at


CutIn = Callable[[str, Callable[[], Awaitable[object]]], None]


async def ended(rt: Runtime, job_id: str) -> Job:
    """The job at its end, whatever it has to wait for."""
    for _ in range(6):
        await set_job(rt, job_id, next_attempt_at=func.now())
        job = await driving.run(rt, job_id)
        if job.state in jobs.TERMINAL:
            return job
    raise AssertionError(job.error_message)


async def check_whole(rt: Runtime, job: Job) -> None:
    """Everything is there once; what was paid for is counted once; nothing is left in the store."""
    assert job.state == "succeeded", job.error_message
    found = await chunks_of(rt, job.document_id)
    assert [each.position for each in found] == list(range(CHUNKS))
    assert {each.version_id for each in found} == {(await document_of(rt, job.document_id)).active_version_id}
    assert len(await driving.pages_of(rt, job.document_id)) == 1
    assert await artifacts_of(rt, job.version_id) == []
    assert set((await step_states(rt, job.id)).values()) == {"succeeded"}
    assert len(await driving.vectors_of_texts(rt)) == len(set(asked(rt)))
    async with rt.sessions() as session:
        assert await session.scalar(select(func.count()).select_from(Embedding)) == 0, "the chunks have them"


async def tokens_counted(rt: Runtime) -> int:
    async with rt.sessions() as session:
        return int(await session.scalar(select(func.sum(UsageOfDay.prompt_tokens)).filter_by(kind="embedding")) or 0)


# -- what it costs -------------------------------------------------------------------------------------------


@asynccontextmanager
async def counted(rt: Runtime, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[dict[str, int]]:
    """Statements and transactions within the block, of the driver and of SQLAlchemy."""
    counts = {"statements": 0, "transactions": 0}

    def count(name: str) -> None:
        counts[name] += 1

    with monkeypatch.context() as patch:
        for name in ("execute", "fetch", "fetchrow", "fetchval"):
            inner = getattr(Connection, name)

            async def said(self: Any, query: str, *values: Any, inner: Any = inner, **named: Any) -> Any:
                count("statements")
                if query.startswith(("BEGIN", "SAVEPOINT")):
                    count("transactions")
                return await inner(self, query, *values, **named)

            patch.setattr(Connection, name, said)
        engine = rt.sessions.kw["bind"].sync_engine
        orm, begun = lambda *_: count("statements"), lambda *_: count("transactions")
        event.listen(engine, "before_cursor_execute", orm)
        event.listen(engine, "begin", begun)
        try:
            yield counts
        finally:
            event.remove(engine, "before_cursor_execute", orm)
            event.remove(engine, "begin", begun)


async def test_it_takes_three_transactions_few_statements_and_no_artifact(
    rt: Runtime, tenant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await ended(rt, await accepted(rt, tenant, "first"))
    job_id = await accepted(rt, tenant, "second")
    monkeypatch.setattr(fake(rt), "max_texts", CHUNKS)
    written: list[str] = []
    monkeypatch.setattr(rt.store, "open_writer", written.append)
    async with counted(rt, monkeypatch) as counts:
        assert not await ingest.run_job(rt, job_id, "chunk"), "no message must follow"
    assert written == []
    assert counts["transactions"] == 3
    assert counts["statements"] <= 15 + 2 * 3, "with BEGIN and COMMIT"
    async with rt.sessions() as session:
        history = await jobs.steps(session, job_id)
    assert [(step.name, step.attempts, step.counts["chunks"]) for step in history] == [
        (name, 1, CHUNKS) for name in jobs.STEPS
    ]
    assert [step.counts.get("embedded") for step in history] == [None, CHUNKS, None]
    times = [time for step in history for time in (step.started_at, step.finished_at)]
    assert None not in times
    assert times == sorted(times, key=str)


async def test_the_vocabulary_learns_once_a_document(rt: Runtime, tenant: str) -> None:
    learned = text("SELECT pg_stat_get_xact_function_calls('learn_words(text, text, regconfig, text[])'::regprocedure)")
    job_id = await accepted(rt, tenant, "first")
    async with rt.transaction() as session:
        await session.execute(text("SELECT set_config('track_functions', 'pl', false)"))
        before = await session.scalar(learned) or 0
    await ended(rt, job_id)
    async with rt.transaction() as session:
        assert await session.scalar(learned) == before + 1, "not once a chunk"
        await session.execute(text("SELECT set_config('track_functions', 'none', false)"))


async def test_more_than_a_batch_is_read_once_and_goes_step_by_step(
    rt: Runtime, tenant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[object] = []

    def reading(path: Any, *arguments: Any, **options: Any) -> Any:
        read.append(path)
        return read_pages(path, *arguments, **options)

    for module in (steps, chunk):
        monkeypatch.setattr(module, "read_pages", reading)
    accept = await driving.accept(rt, tenant, paragraphs(rt.settings.embedding_batch + 1))
    job_id = accept.details.job.id
    assert await ingest.run_job(rt, job_id, "chunk"), "the next step comes by a message"
    assert len(read) == 1
    assert ((await job_of(rt, job_id)).step, asked(rt)) == ("embed", [])
    assert len(await artifacts_of(rt, accept.details.version.id)) == 1
    assert (await ended(rt, job_id)).state == "succeeded"
    assert len(await chunks_of(rt, accept.details.document.id)) == rt.settings.embedding_batch + 1


# -- killed, cancelled, deleted, overtaken, paused -----------------------------------------------------------


@pytest.mark.parametrize("seam", SEAMS)
async def test_a_worker_that_dies_there_loses_and_doubles_nothing(
    rt: Runtime, tenant: str, cut_in: CutIn, seam: str
) -> None:
    job_id = await accepted(rt, tenant)

    async def die() -> None:
        raise Killed

    cut_in(seam, die)
    with pytest.raises(Killed):
        await ingest.run_job(rt, job_id, "chunk")
    job = await job_of(rt, job_id)
    assert (job.state, job.step, job.attempts) == ("running", SEAMS[seam][2], 1)
    assert await chunks_of(rt, job.document_id) == []
    await set_job(rt, job_id, lease_until=func.now() - timedelta(seconds=1))
    async with rt.transaction() as session:
        assert await recovery.requeue_expired(session, rt.settings) == ([job_id], [])
    await check_whole(rt, await ended(rt, job_id))
    assert len(asked(rt)) <= 2 * CHUNKS, "the batch in flight was asked for again, at most"
    assert seam in ("embedded", "stored") or len(asked(rt)) == CHUNKS


async def test_a_document_that_kills_its_worker_while_it_is_embedded_is_given_up(
    rt: Runtime, tenant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each crash counts, though a run in memory stores nothing from which the next one could go on."""
    job_id, crashes = await accepted(rt, tenant), 0

    def die(_texts: object) -> None:
        raise Killed

    fake(rt).before = die
    for _ in range(20):
        with suppress(Killed):
            await driving.run(rt, job_id)
        job = await job_of(rt, job_id)
        crashes += job.state == "running"
        await set_job(rt, job_id, lease_until=func.now() - timedelta(seconds=1))
        async with rt.transaction() as session:
            _, poison = await recovery.requeue_expired(session, rt.settings)
        if poison:
            break
        await set_job(rt, job_id, next_attempt_at=func.now())
    assert [(each.job_id, each.step) for each in poison] == [(job_id, "embed")]
    assert crashes == rt.settings.max_attempts, "the one in memory is counted, too"


@pytest.mark.parametrize("seam", SEAMS)
@pytest.mark.parametrize("event", ["cancelled", "deleted", "overtaken"])
async def test_what_ends_the_job_there_leaves_nothing_of_it(
    rt: Runtime, tenant: str, cut_in: CutIn, seam: str, event: str
) -> None:
    job_id = await accepted(rt, tenant, external_id="e")
    document_id = (await job_of(rt, job_id)).document_id
    later: list[asyncio.Task[Any]] = []

    async def cancel() -> None:
        async with rt.for_tenant(tenant).transaction() as session:
            await jobs.cancel(session, job_id)

    async def end() -> None:
        match event:
            case "cancelled":
                work: Awaitable[Any] = cancel()
            case "deleted":
                work = deletion.remove(rt.for_tenant(tenant), document_id)
            case _:
                work = driving.accept(rt, tenant, paragraphs(CHUNKS, "new"), external_id="e")
        later.append(asyncio.ensure_future(work))
        if seam != "stored":  # there the transaction holds what it waits for: it comes too late
            await asyncio.shield(later[0])  # a heartbeat that finds the lease gone stops the run, and not this

    cut_in(seam, end)
    await ingest.run_job(rt, job_id, "chunk")
    with suppress(Exception):
        await later[0]
    done = seam == "stored"
    found = await chunks_of(rt, document_id)
    assert len(found) == (CHUNKS if done and event != "deleted" else 0)
    if event != "deleted":
        assert (await job_of(rt, job_id)).state == ("succeeded" if done else "cancelled")
        assert not await ingest.run_job(rt, job_id, "chunk")
    if event == "overtaken":
        assert (await ended(rt, (await document_of(rt, document_id)).job_id)).state == "succeeded"
        assert {each.version_id for each in await chunks_of(rt, document_id)} == {
            (await document_of(rt, document_id)).active_version_id
        }


@pytest.mark.parametrize("seam", ["claimed", "read", "moved", "embedded"])
async def test_a_pause_there_lets_no_further_step_begin(rt: Runtime, tenant: str, cut_in: CutIn, seam: str) -> None:
    job_id = await accepted(rt, tenant)

    async def pause() -> None:
        async with rt.transaction() as session:
            await scheduling.pause(session)

    cut_in(seam, pause)
    await ingest.run_job(rt, job_id, "chunk")
    job = await job_of(rt, job_id)
    assert (job.state, job.step, job.attempts, job.retries) == ("queued", "embed", 0, 0)
    assert await chunks_of(rt, job.document_id) == []
    assert len(await artifacts_of(rt, job.version_id)) == 1, "what was read is not read again"
    before = len(asked(rt))
    assert before == (CHUNKS if seam in ("moved", "embedded") else 0)
    async with rt.transaction() as session:
        await scheduling.resume(session)
    await check_whole(rt, await ended(rt, job_id))
    assert len(asked(rt)) == CHUNKS, "what was paid for is not paid for again"


@pytest.mark.parametrize("seam", ["claimed", "moved", "embedded"])
async def test_a_worker_that_has_to_go_gives_the_document_back_uncounted(
    rt: Runtime, tenant: str, cut_in: CutIn, seam: str
) -> None:
    job_id = await accepted(rt, tenant)
    there = asyncio.Event()

    async def stay() -> None:
        there.set()
        await asyncio.Event().wait()

    cut_in(seam, stay)
    work = asyncio.create_task(ingest.run_job(rt, job_id, "chunk"))
    await there.wait()
    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await work
    job = await job_of(rt, job_id)
    assert (job.state, job.step, job.attempts, job.retries) == ("queued", "chunk", 0, 0)
    assert set((await step_states(rt, job_id)).values()) == {"pending"}
    await check_whole(rt, await ended(rt, job_id))


# -- errors --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "error",
    [
        RateLimited("provider_unavailable", retry_after=9),
        Unavailable("provider_unavailable"),
        ProviderRejected("provider_rejected", "bad key"),
        ZeroDivisionError(),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_a_provider_that_refuses_is_asked_again_for_the_rest_and_nothing_is_read_twice(
    rt: Runtime, tenant: str, error: Exception
) -> None:
    job_id = await accepted(rt, tenant)
    good = 4  # texts of the first call

    def refuse(_texts: object) -> None:
        if fake(rt).seen:
            raise error

    fake(rt).before = refuse
    assert not await ingest.run_job(rt, job_id, "chunk")
    job = await job_of(rt, job_id)
    state = "failed" if isinstance(error, ProviderRejected) else "waiting"
    assert (job.state, job.step) == (state, "embed")
    assert len(await artifacts_of(rt, job.version_id)) == 1
    assert (len(asked(rt)), await tokens_counted(rt)) == (good, sum(map(fake(rt).count_tokens, asked(rt))))
    fake(rt).before = lambda _texts: None
    if state == "failed":
        async with rt.for_tenant(tenant).transaction() as session:
            await jobs.retry(session, job_id)
    await check_whole(rt, await ended(rt, job_id))
    assert len(asked(rt)) == len(set(asked(rt))) == CHUNKS
    assert await tokens_counted(rt) == sum(map(fake(rt).count_tokens, asked(rt)))


async def test_after_a_conflict_at_the_end_the_vectors_are_there_and_counted_once(
    rt: Runtime, tenant: str, cut_in: CutIn
) -> None:
    job_id = await accepted(rt, tenant)

    async def conflict() -> None:
        raise Busy

    cut_in("stored", conflict)
    assert not await ingest.run_job(rt, job_id, "chunk")
    job = await job_of(rt, job_id)
    assert (job.state, job.step, job.attempts, job.retries) == ("waiting", "embed", 0, 0)
    await check_whole(rt, await ended(rt, job_id))
    assert len(asked(rt)) == CHUNKS
    assert await tokens_counted(rt) == sum(map(fake(rt).count_tokens, asked(rt)))


async def test_a_store_that_is_away_as_well_costs_a_second_reading(
    rt: Runtime, tenant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    job_id = await accepted(rt, tenant)

    async def away(_key: str) -> None:
        raise Unavailable("store_unavailable", "Away.")

    def refuse(_texts: object) -> None:
        raise Unavailable("provider_unavailable")

    fake(rt).before = refuse
    with monkeypatch.context() as patch:
        patch.setattr(rt.store, "open_writer", away)
        assert not await ingest.run_job(rt, job_id, "chunk")
    job = await job_of(rt, job_id)
    assert (job.state, job.step, job.error_code) == ("waiting", "embed", "provider_unavailable")
    fake(rt).before = lambda _texts: None
    await check_whole(rt, await ended(rt, job_id))


# -- what others change meanwhile ----------------------------------------------------------------------------


async def test_texts_that_another_document_shares_and_takes_with_it_are_embedded_again(
    rt: Runtime, tenant: str, cut_in: CutIn
) -> None:
    going = await driving.ready(rt, tenant, paragraphs(CHUNKS), collection="going")
    job_id = await accepted(rt, tenant, collection="staying")
    cut_in("embedded", lambda: deletion.remove(rt.for_tenant(tenant), going))
    assert not await ingest.run_job(rt, job_id, "chunk")
    assert (await job_of(rt, job_id)).state == "waiting"
    job = await ended(rt, job_id)
    assert job.state == "succeeded"
    assert len(await chunks_of(rt, job.document_id)) == CHUNKS
    assert len(await driving.vectors_of_texts(rt)) == CHUNKS


async def test_a_deletion_of_a_document_with_the_same_texts_waits_and_leaves_them(
    rt: Runtime, tenant: str, cut_in: CutIn
) -> None:
    going = await driving.ready(rt, tenant, paragraphs(CHUNKS), collection="going")
    job_id = await accepted(rt, tenant, collection="staying")
    removals: list[asyncio.Task[Any]] = []

    async def begin_removal() -> None:
        removals.append(asyncio.create_task(deletion.remove(rt.for_tenant(tenant), going)))
        await asyncio.wait(removals, timeout=0.5)
        assert not removals[0].done()

    cut_in("stored", begin_removal)
    assert not await ingest.run_job(rt, job_id, "chunk")
    assert (await removals[0]).counts["embeddings"] == 0
    await check_whole(rt, await job_of(rt, job_id))


@pytest.mark.parametrize("seam", ["read", "moved", "embedded"])
async def test_a_collection_that_is_cut_in_another_way_meanwhile_has_the_document_cut_again(
    rt: Runtime, tenant: str, cut_in: CutIn, seam: str
) -> None:
    job_id = await accepted(rt, tenant)
    document_id = (await job_of(rt, job_id)).document_id

    async def change() -> None:
        async with rt.for_tenant(tenant).transaction() as session:
            collection = (await session.scalars(select(Collection).with_for_update())).one()
            collection.chunking = {**collection.chunking, "size": 200}

    cut_in(seam, change)
    await ingest.run_job(rt, job_id, "chunk")
    assert await chunks_of(rt, document_id) == []
    job = await ended(rt, job_id)
    version = await driving.version_of(rt, job.version_id)
    assert version.chunking is not None
    assert (job.state, version.chunking["size"]) == ("succeeded", 200)
    assert max(len(each.text) for each in await chunks_of(rt, document_id)) <= 200


async def test_a_collection_is_not_unbound_while_its_first_document_becomes_visible(
    rt: Runtime, tenant: str, cut_in: CutIn
) -> None:
    """The one that would unbind it finds nothing embedded, waits for the lock, and must then see the chunks."""
    going = await driving.ready(rt, tenant, paragraphs(CHUNKS, "going"))
    job_id = await accepted(rt, tenant)
    unbinding: list[asyncio.Task[None]] = []

    async def unbind() -> None:
        async with rt.for_tenant(tenant).transaction() as session:
            await vector_lengths.unbind_if_empty(session, (await session.scalars(select(Collection))).one())

    async def begin() -> None:
        unbinding.append(asyncio.create_task(unbind()))
        await asyncio.wait(unbinding, timeout=0.5)
        assert not unbinding[0].done(), "it waits"

    async def empty() -> None:
        await deletion.remove(rt.for_tenant(tenant), going)
        cut_in("stored", begin)

    cut_in("moved", empty)
    assert not await ingest.run_job(rt, job_id, "chunk")
    await unbinding[0]
    await check_collection(rt, job_id)


async def check_collection(rt: Runtime, job_id: str) -> None:
    assert (await job_of(rt, job_id)).state == "succeeded"
    async with rt.sessions() as session:
        assert (await session.scalars(select(Collection))).one().space_id is not None


async def test_two_first_documents_of_a_collection_do_not_wait_for_each_other_in_a_circle(
    rt: Runtime, tenant: str
) -> None:
    ids = [await accepted(rt, tenant, f"topic{number}") for number in range(6)]
    await ingest.run_jobs(rt, ids)
    for job_id in ids:
        assert (await ended(rt, job_id)).state == "succeeded"
