"""The real worker and dispatcher, killed and stopped in the middle of a step."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, TypeVar

import httpx2
import pytest
from celery.concurrency import get_implementation
from sqlalchemy import func

from api.app import create_app
from api.schemas.jobs import waiting_for
from footnote import jobs
from footnote.answering import Question, batch_runs, question_batches
from footnote.embeddings import relatedness
from footnote.embeddings.vector_lengths import PROBE
from footnote.ingest.embed import CALLS
from footnote.jobs import scheduling
from footnote.models import Job, QueryBatch, QueryBatchItem
from footnote.retrieval import Query
from footnote.runtime import Runtime, open_runtime
from footnote.telemetry import traces
from footnote.tenancy import keys
from tests import ROOT, SAMPLES, driving, metrics
from tests.collecting import Collected, Collector, collecting
from tests.conftest import new_database
from tests.driving import chunks_of, job_of, pages_of, paragraphs
from tests.hostile import pdfs
from tests.local_stack.stack_under_test import free_port
from tests.overhearing import overheard
from tests.parsers import parsers_of, servers_of
from tests.programs import Program, Reply, serving, settings_from, vectors
from worker.loop import STOP_SECONDS, refuse_other_pools

Value = TypeVar("Value")

pytestmark = [pytest.mark.anyio, pytest.mark.worker]

LEASE_SECONDS = 8  # long enough for a heart to beat on a busy machine
CANARY = "sk-canary-worker-0123456789abcdef"  # the provider's key
DONE = 'footnote_steps_total{{lane="small",outcome="done",step="{}"}}'
HEARD = "worker: Warm shutdown (MainProcess)"  # Celery's answer to a SIGTERM


# The dispatcher measures a model by these texts, at any time after its space was opened.
MEASURING = frozenset(text for pair in relatedness.PAIRS for text in pair)


@dataclass
class Provider:
    """An embedding server that can be told to keep its callers waiting."""

    texts: Counter[str] = field(default_factory=Counter)
    open: threading.Event = field(default_factory=threading.Event)
    waiting: int = 0
    refusal: Reply | None = None  # of the next call

    def answer(self, texts: list[str], _port: int) -> Reply:
        if not MEASURING.isdisjoint(texts):  # in the background, whenever it comes: no test waits for it
            return vectors(texts)
        self.waiting += 1
        self.open.wait(60)
        self.waiting -= 1
        refusal, self.refusal = self.refusal, None
        if refusal is not None:
            return refusal
        self.texts.update(texts)
        return vectors(texts)


@dataclass
class System:
    rt: Runtime
    provider: Provider
    worker: Program
    dispatcher: Program
    tenant: str
    ports: tuple[int, int]  # of the metrics of both
    collector: Collector  # of their traces

    async def until(self, job_id: str, condition: Callable[[Job], bool], seconds: float = 300) -> Job:
        deadline = time.monotonic() + seconds
        while True:
            job = await job_of(self.rt, job_id)
            if condition(job):
                return job
            tail = self.worker.log.read_text()[-3000:]
            assert time.monotonic() < deadline, (job.state, job.step, job.attempts, job.error_message, tail)
            await asyncio.sleep(0.05)


@pytest.fixture(scope="module")
async def system(
    migrated_url: str, redis_url: str, tmp_path_factory: pytest.TempPathFactory, anyio_backend: str
) -> AsyncIterator[System]:
    directory = tmp_path_factory.mktemp("worker")
    provider = Provider()
    provider.open.set()
    async with AsyncExitStack() as stack:
        url = await stack.enter_async_context(new_database(migrated_url))
        port = stack.enter_context(serving(provider.answer))
        collector = stack.enter_context(collecting())
        given = {
            "DATABASE_URL": url,
            "REDIS_URL": redis_url,
            "STORAGE_URL": f"file://{directory}/objects",
            "FOOTNOTE_EMBEDDER": "openai",
            "OPENAI_API_KEY": CANARY,
            "OPENAI_BASE_URL": f"http://127.0.0.1:{port}/v1",
            "FOOTNOTE_LEASE_SECONDS": str(LEASE_SECONDS),
            "FOOTNOTE_HEARTBEAT_SECONDS": "1",
            "FOOTNOTE_WORKER_CONCURRENCY": "1",
            "FOOTNOTE_EMBEDDING_BATCH": "4",
            "FOOTNOTE_YIELD_SECONDS": "0.2",
            "FOOTNOTE_CHUNK_SIZE": "400",
            "FOOTNOTE_CHUNK_OVERLAP": "50",
            "FOOTNOTE_GENERATOR": "extractive",
            "FOOTNOTE_WEBHOOK_ALLOW_PRIVATE": "true",
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
            "OTEL_BSP_SCHEDULE_DELAY": "500",
        }
        environment = {**os.environ, **given, "NO_PROXY": "127.0.0.1", "TMPDIR": str(directory)}
        ports = free_port(), free_port()
        own = [environment | {"FOOTNOTE_METRICS_PORT": str(port)} for port in ports]
        worker = Program("worker", own[0], directory / "worker.log")
        dispatcher = Program("worker.background", own[1], directory / "dispatcher.log")
        try:
            worker.start()
            dispatcher.start()
            settings = settings_from(given)
            async with open_runtime(settings, pool_size=2) as rt:
                yield System(rt, provider, worker, dispatcher, await driving.new_tenant(rt), ports, collector)
        finally:
            provider.open.set()
            worker.kill()
            dispatcher.kill()


@pytest.fixture(autouse=True)
async def running(system: System) -> AsyncIterator[None]:
    """Every test begins with a worker and a provider that answers."""
    system.provider.open.set()
    system.provider.texts.clear()
    if not system.worker.running():
        system.worker.start()
    yield
    system.provider.open.set()


async def held_up(system: System, topic: str) -> str:
    """A job of 19 chunks whose second batch the provider keeps waiting."""
    accepted = await driving.accept(system.rt, system.tenant, paragraphs(19, topic))
    system.provider.open.clear()
    await eventually(lambda: system.provider.waiting > 0)
    return accepted.details.job.id


async def eventually(condition: Callable[[], Value | None], seconds: float = 300) -> Value:
    """The first true value of the condition."""
    async with asyncio.timeout(seconds):
        while not (value := condition()):
            await asyncio.sleep(0.02)
    return value


def counters(system: System) -> set[str]:
    """Files in which the processes of the worker count."""
    return {path.name for path in system.worker.log.parent.glob("footnote-metrics-*/*.db")}


async def check_whole(system: System, job: Job, chunks: int = 19) -> None:
    found = await chunks_of(system.rt, job.document_id)
    pages = await pages_of(system.rt, job.document_id)
    assert [chunk.position for chunk in found] == list(range(chunks))
    for chunk in found:
        assert pages[chunk.version_id, chunk.page_start][chunk.char_start : chunk.char_end] == chunk.text


async def test_a_pool_process_starts_its_fork_server_before_its_first_document(system: System) -> None:
    # While a worker starts, its children may be others, which end soon.
    await eventually(lambda: any(servers_of(child) for child in system.worker.children()))


async def test_an_accepted_document_becomes_ready_by_itself(system: System) -> None:
    accepted = await driving.accept(system.rt, system.tenant, (SAMPLES / "handbook.pdf").read_bytes(), "handbook.pdf")
    job = await system.until(accepted.details.job.id, lambda job: job.state == "succeeded")
    found = await chunks_of(system.rt, job.document_id)
    await check_whole(system, job, len(found))
    assert system.provider.texts.total() == len(found) + 1, "and a word, before the space of the model was opened"


async def test_worker_and_dispatcher_count_what_happens_to_a_document(system: System) -> None:
    await eventually(lambda: all(metrics.listens(port) for port in system.ports))
    before = [metrics.at(port) for port in system.ports]
    accepted = await driving.accept(system.rt, system.tenant, "A counted lamp.")
    await system.until(accepted.details.job.id, lambda job: job.state == "succeeded")
    await eventually(lambda: metrics.moved(before[0], metrics.at(system.ports[0])).get(DONE.format("upsert")))
    worker, dispatcher = (metrics.moved(*each) for each in zip(before, map(metrics.at, system.ports), strict=True))
    expected = {DONE.format(step): 1.0 for step in jobs.STEPS} | {
        "footnote_chunks_embedded_total": 1.0,
    }
    assert worker.items() >= expected.items()
    for name in ('calls_total{outcome="answered",provider="openai"}', 'wait_seconds_count{provider="openai"}'):
        assert worker[f"footnote_provider_{name}"] >= 1, "one more where the document opens the model's space"
    assert dispatcher['footnote_jobs_sent_total{lane="small"}'] == 1
    assert dispatcher["footnote_refills_total"] >= 1
    now = metrics.at(system.ports[1])
    assert (now['footnote_jobs{lane="small",state="running"}'], now["footnote_database_up"]) == (0, 1)
    assert min(now["footnote_memory_bytes"], metrics.at(system.ports[0])["footnote_memory_bytes"]) > 20 * 1024**2


async def uploaded(system: System, text: str) -> tuple[str, str]:
    """Over the API, which sends spans, too: the ids of the job and of the trace."""
    async with system.rt.operator.transaction() as session:
        secret = (await keys.create(session, system.tenant, "traced"))[1]
    app = create_app(runtime=system.rt)
    transport = httpx2.ASGITransport(app, raise_app_exceptions=False)
    known = len(system.collector.spans)
    with traces.exporting("api", system.rt.settings):
        client = httpx2.AsyncClient(transport=transport, base_url="http://footnote")
        async with app.router.lifespan_context(app), client:
            body = {"text": text, "filename": "canary.txt", "callback_url": f"{system.collector.url}/hook"}
            headers = {"Authorization": f"Bearer {secret}"}
            accepted = await client.post("/v1/documents/text", json=body, headers=headers)
            assert accepted.status_code == 202, accepted.text
    (request,) = (span for span in system.collector.spans[known:] if span.program == "api")
    assert (request.name, request.parent) == ("POST /v1/documents/text", "")
    return accepted.json()["job"]["id"], request.trace


async def traced(system: System, trace: str) -> list[Collected]:
    """The spans of the trace once its webhook was sent."""
    await eventually(lambda: any(span.name == "webhook" for span in system.collector.of_trace(trace)))
    await eventually(lambda: any(span.name == "upsert" for span in system.collector.of_trace(trace)))
    found = system.collector.of_trace(trace)
    assert [span.text for span in found if "canary" in span.text] == []
    return found


def below(spans: list[Collected], name: str) -> set[str]:
    """The names of the spans directly below those of the name."""
    above = {span.id for span in spans if span.name == name}
    return {span.name for span in spans if span.parent in above}


async def test_a_trace_leads_from_the_upload_to_the_webhook(system: System) -> None:
    job_id, trace = await uploaded(system, "A traced canary.")
    await system.until(job_id, lambda job: job.state == "succeeded")
    spans = await traced(system, trace)
    assert below(spans, "POST /v1/documents/text") == {"chunk", "embed", "upsert", "webhook"}
    assert below(spans, "embed") == {"provider"}
    assert {span.program for span in spans} == {"api", "worker", "dispatcher"}
    assert {span.about["job_id"] for span in spans if span.program == "worker" and span.name != "provider"} == {job_id}


async def test_messages_and_events_hold_no_secret_and_no_text(system: System) -> None:
    """All that passes through Redis while a step fails and others succeed; Flower has nothing else to show."""
    assert system.rt.redis is not None
    async with overheard(system.rt.redis) as passed:
        system.provider.refusal = Reply(json.dumps({"error": {"message": f"Wrong key: {CANARY}"}}).encode(), 401)
        accepted = await driving.accept(system.rt, system.tenant, "A refused canary in a coal mine.")
        failed = await system.until(accepted.details.job.id, lambda job: job.state == "failed")
        named: dict[str, Any] = {"filename": "canary.txt", "metadata": {"canary": "canary"}, "collection": "canary"}
        accepted = await driving.accept(system.rt, system.tenant, "Another canary sings.", **named)
        await system.until(accepted.details.job.id, lambda job: job.state == "succeeded")
        await eventually(lambda: sum("task-succeeded" in each for each in passed) >= 2)
    assert failed.error_code == "provider_rejected"
    assert any("LPUSH ingest" in each and failed.id in each for each in passed), "messages"
    assert any("PUBLISH" in each and "task-received" in each and failed.id in each for each in passed), "events"
    assert [each for each in passed if "canary" in each] == []
    written = system.worker.log.read_text() + system.dispatcher.log.read_text()
    exported = [str(metrics.at(port)) for port in system.ports]
    assert [each for each in (written, *exported) if "canary" in each] == []


async def test_a_pool_process_killed_in_a_step_costs_the_batches_in_flight_and_no_chunk(system: System) -> None:
    job_id = await held_up(system, "pool")
    (child,) = await eventually(system.worker.children)
    embedded, files = metrics.at(system.ports[0])["footnote_chunks_embedded_total"], counters(system)
    os.kill(child, signal.SIGSTOP)  # so that it does not renew its lease
    await driving.set_job(system.rt, job_id, lease_until=func.now() + timedelta(hours=1))
    os.kill(child, signal.SIGKILL)
    job = await system.until(job_id, lambda job: job.state == "waiting")
    assert job.attempts == 1, "noticed by its parent, and counted"
    system.provider.open.set()
    job = await system.until(job_id, lambda job: job.state == "succeeded")
    await check_whole(system, job)
    assert len(system.provider.texts) == 19 + (PROBE in system.provider.texts)
    assert system.provider.texts.total() <= 19 + 4 * CALLS, "at most the batches in flight were asked for again"
    assert system.worker.running()
    now = metrics.at(system.ports[0])
    assert now["footnote_chunks_embedded_total"] > embedded, "what the killed one had counted is not lost"
    assert counters(system) == files, "its successor counts on in its files"


async def test_a_worker_killed_whole_leaves_no_process_and_its_successor_goes_on_with_job_and_trace(
    system: System,
) -> None:
    system.provider.open.clear()
    job_id, trace = await uploaded(system, paragraphs(19, "canary"))
    await eventually(lambda: system.provider.waiting > 0)
    # Spans are sent once a second; what a killed process had not sent is lost.
    await eventually(lambda: any(span.name == "chunk" for span in system.collector.of_trace(trace)))
    (child,) = await eventually(system.worker.children)
    system.worker.kill()
    await eventually(lambda: not Path(f"/proc/{child}").exists())
    system.provider.open.set()
    await system.until(job_id, lambda job: job.state == "waiting")
    system.worker.start()
    job = await system.until(job_id, lambda job: job.state == "succeeded")
    await check_whole(system, job)
    # Beside them, words by which the gate's threshold for the model is measured.
    asked = sum(count for text, count in system.provider.texts.items() if "canary" in text)
    assert asked <= 19 + 4 * CALLS, "what was in flight was asked for again, at most"
    spans = await traced(system, trace)
    assert below(spans, "POST /v1/documents/text") == {"chunk", "embed", "upsert", "webhook"}
    assert below(spans, "embed") == {"provider"}


async def ask_to_stop(system: System) -> None:
    """Until the worker has read the signal."""
    before = system.worker.log.read_text().count(HEARD)
    system.worker.signal(signal.SIGTERM)
    await eventually(lambda: system.worker.log.read_text().count(HEARD) > before)


async def ended(system: System) -> None:
    """Waits for a worker that was asked to stop. On an idle machine it ends within STOP_SECONDS."""
    await asyncio.to_thread(system.worker.wait, 3 * STOP_SECONDS)


async def test_a_worker_asked_to_stop_gives_its_step_back_in_time_and_uncounted(system: System) -> None:
    job_id = await held_up(system, "stop")
    await ask_to_stop(system)
    await ask_to_stop(system)
    await ended(system)
    job = await job_of(system.rt, job_id)
    assert (job.state, job.attempts) == ("queued", 0)
    system.provider.open.set()
    system.worker.start()
    job = await system.until(job_id, lambda job: job.state == "succeeded")
    await check_whole(system, job)


async def test_a_worker_asked_to_stop_lets_a_batch_end_and_it_is_not_paid_for_twice(system: System) -> None:
    job_id = await held_up(system, "batch")
    await ask_to_stop(system)
    await ask_to_stop(system)
    system.provider.open.set()
    await ended(system)
    job = await job_of(system.rt, job_id)
    assert (job.state, job.step, job.attempts) == ("queued", "embed", 0)
    assert job.progress_done in range(4, 4 * CALLS + 1, 4), "the batches in flight ended"
    system.worker.start()
    job = await system.until(job_id, lambda job: job.state == "succeeded")
    await check_whole(system, job)
    assert len(system.provider.texts) == 19 + (PROBE in system.provider.texts)
    assert set(system.provider.texts.values()) == {1}


async def test_a_worker_asked_to_stop_gives_up_a_parser_that_takes_long(system: System) -> None:
    content = pdfs.stream(
        pdfs.text(b"The lamp is lit at dusk. " * 200)
    )  # half a minute of parsing, however fast the machine
    pdf = pdfs.document(content, kids=b"[" + b"3 0 R " * 19_000 + b"]", count=19_000)
    accepted = await driving.accept(system.rt, system.tenant, pdf, "handbook.pdf")
    (parser,) = await eventually(lambda: [pid for child in system.worker.children() for pid in parsers_of(child)])
    os.kill(parser, signal.SIGSTOP)
    await ask_to_stop(system)
    await ask_to_stop(system)
    await ended(system)
    assert not Path(f"/proc/{parser}").exists()
    job = await job_of(system.rt, accepted.details.job.id)
    assert (job.state, job.step, job.attempts) == ("queued", "chunk", 0)
    async with system.rt.for_tenant(system.tenant).transaction() as session:
        await jobs.cancel(session, job.id)


async def test_a_pause_keeps_what_waits_and_ends_the_step_that_runs_at_a_checkpoint(system: System) -> None:
    job_id = await held_up(system, "paused")
    async with system.rt.transaction() as session:
        await scheduling.pause(session)
    waiting = (await driving.accept(system.rt, system.tenant, paragraphs(2, "later"))).details.job.id
    await asyncio.sleep(float(system.worker.environment["FOOTNOTE_YIELD_SECONDS"]))
    system.provider.open.set()
    job = await system.until(job_id, lambda job: job.state == "queued" and job.progress_done > 0)
    assert (job.step, job.attempts, waiting_for(job)) == ("embed", 0, "the end of the pause")
    assert system.provider.waiting == 0
    assert (await job_of(system.rt, waiting)).state == "queued"
    async with system.rt.transaction() as session:
        await scheduling.resume(session)
    for each in (job_id, waiting):
        await system.until(each, lambda job: job.state == "succeeded")
    assert system.provider.texts.total() == 19 + 2


async def test_a_small_document_passes_a_large_one(system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    chunks = jobs.LARGE_CHUNKS + 1
    system.provider.open.clear()
    with monkeypatch.context() as patch:
        patch.setattr(jobs, "LARGE_BYTES", 1)
        large = (await driving.accept(system.rt, system.tenant, paragraphs(chunks, "large"))).details.job.id
    await eventually(lambda: system.provider.waiting > 0)
    small = (await driving.accept(system.rt, system.tenant, paragraphs(2, "small"))).details.job.id
    await asyncio.sleep(scheduling.WAITING_SECONDS)
    system.provider.open.set()
    passed = await system.until(small, lambda job: job.state == "succeeded")
    job = await system.until(large, lambda job: job.state == "succeeded")
    assert passed.finished_at is not None
    assert job.finished_at is not None
    assert passed.finished_at < job.finished_at
    await check_whole(system, job, chunks)
    assert system.provider.texts.total() == chunks + 2, "nothing was embedded twice"
    async with system.rt.sessions() as session:
        tried = {step.name: step.attempts for step in await jobs.steps(session, large)}
    assert tried == {"chunk": 1, "embed": 2, "upsert": 1}


async def test_a_dispatcher_that_was_away_sends_what_waited(system: System) -> None:
    system.dispatcher.kill()
    accepted = await driving.accept(system.rt, system.tenant, paragraphs(3, "later"))
    system.dispatcher.start()
    job = await system.until(accepted.details.job.id, lambda job: job.state == "succeeded")
    await check_whole(system, job, 3)


async def test_questions_of_a_batch_survive_a_killed_process_and_none_is_answered_twice(system: System) -> None:
    accepted = await driving.accept(system.rt, system.tenant, "The zircon lamp was lit by Agnes Tolmie in 1874.")
    await system.until(accepted.details.job.id, lambda job: job.state == "succeeded")
    # The first three need no provider; the others wait for it.
    modes: list[Any] = ["keyword"] * 3 + ["hybrid"] * 5
    asked = [Query(f"Who lit the zircon lamp, question {n}?", mode=mode) for n, mode in enumerate(modes)]
    system.provider.open.clear()
    async with system.rt.for_tenant(system.tenant).transaction() as session:
        items = [batch_runs.stored(Question(query), None) for query in asked]
        batch_id = (await question_batches.create(session, items, None)).id

    async def until(condition: Callable[[QueryBatch], bool]) -> list[QueryBatchItem]:
        async with asyncio.timeout(300):
            while True:
                async with system.rt.for_tenant(system.tenant).transaction() as session:
                    found = await question_batches.get(session, batch_id)
                    if condition(found):
                        return list(await question_batches.items_of(session, found, limit=100, start=0))
                await asyncio.sleep(0.05)

    first = await until(lambda found: found.ended == 3 and system.provider.waiting > 0)
    (child,) = await eventually(system.worker.children)
    os.kill(child, signal.SIGKILL)
    system.provider.open.set()
    last = await until(lambda found: found.state == "completed")
    assert [each.answer for each in last[:3]] == [each.answer for each in first[:3]], "what was answered stays"
    assert len({each.answer["id"] for each in last if each.answer}) == 8


def test_pools_that_ignore_time_limits_are_refused(system: System) -> None:
    command = [sys.executable, "-m", "celery", "-A", "worker.app", "worker", "--pool=threads"]
    ended = subprocess.run(
        command, cwd=ROOT, env=system.worker.environment, capture_output=True, text=True, timeout=120
    )
    assert ended.returncode != 0
    assert "prefork" in ended.stderr
    with pytest.raises(SystemExit, match="prefork"):
        refuse_other_pools(SimpleNamespace(pool_cls=get_implementation("solo")))
