"""The pipeline: exact anchors, work done once, failures with their reasons, versions that switch whole."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import delete, func, select, text, update

from footnote import ingest, jobs, retrieval
from footnote.database.leases import LeaseLost
from footnote.errors import CODES, DocumentRejected, FootnoteError, ProviderRejected, RateLimited, Unavailable
from footnote.formats import ParsedPage
from footnote.ingest import artifacts
from footnote.ingest.artifacts import ArtifactsMissing
from footnote.ingest.chunking import TextChunk
from footnote.jobs.heartbeat import Heartbeat
from footnote.models import Artifact, Embedding, Job, WebhookDelivery
from footnote.runtime import Runtime
from tests import SAMPLES, driving
from tests.driving import chunks_of, claim, document_of, job_of, pages_of, paragraphs, set_job
from tests.fakes import FakeEmbedder

pytestmark = pytest.mark.anyio

GOOD = ["handbook.pdf", "boats.docx", "visitors.html", "weather.md", "log_utf8.txt", "log_utf16.txt", "log_cp1252.txt"]
GOOD += ["year.pptx", "stores.xlsx", "boats.xls", "stores.ods", "keeper.epub", "letter.rtf"]


@pytest.fixture
async def tenant(rt: Runtime) -> str:
    return await driving.new_tenant(rt)


def fake(rt: Runtime) -> FakeEmbedder:
    assert isinstance(rt.embedder, FakeEmbedder)
    return rt.embedder


def asked_for(rt: Runtime) -> Counter[str]:
    """How often the provider has embedded each text."""
    return Counter(each for batch in fake(rt).seen for each in batch)


async def due(rt: Runtime, job_id: str) -> None:
    await set_job(rt, job_id, next_attempt_at=func.now())


class Failing:
    """Lets `good` calls to the provider through, then raises."""

    def __init__(self, good: int, error: Exception) -> None:
        self.good, self.error, self.times = good, error, 0

    def __call__(self, texts: Sequence[str]) -> None:
        if self.good == 0:
            self.times += 1
            raise self.error
        self.good -= 1


# -- to the end ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", GOOD)
async def test_every_chunk_is_exactly_the_stored_page_at_its_anchors(rt: Runtime, tenant: str, name: str) -> None:
    document_id = await driving.ready(rt, tenant, (SAMPLES / name).read_bytes(), name)
    document, found = await document_of(rt, document_id), await chunks_of(rt, document_id)
    pages = await pages_of(rt, document_id)
    version = await driving.version_of(rt, document.active_version_id or "")
    assert found
    assert [chunk.position for chunk in found] == list(range(len(found)))
    assert (version.chunks, version.pages) == (len(found), len(pages))
    assert await driving.artifacts_of(rt, version.id) == []
    for chunk in found:
        assert chunk.page_start == chunk.page_end
        page = pages[chunk.version_id, chunk.page_start]
        assert page[chunk.char_start : chunk.char_end] == chunk.text
        assert chunk.text.strip() == chunk.text != ""


async def test_the_step_of_a_finished_job_leaves_counts_and_no_artifact(rt: Runtime, tenant: str) -> None:
    document_id = await driving.ready(rt, tenant, paragraphs(5))
    async with rt.sessions() as session:
        steps = await jobs.steps(session, (await document_of(rt, document_id)).job_id)
    assert [(step.name, step.state, step.attempts) for step in steps] == [(name, "succeeded", 1) for name in jobs.STEPS]
    assert steps[0].counts["chunks"] == steps[1].counts["embedded"] == steps[2].counts["chunks"] == 5
    left = Path(rt.settings.storage_location.removeprefix("file://")).glob("artifacts/*/*")
    assert list(left) == []


async def test_a_step_that_is_run_twice_doubles_nothing(rt: Runtime, tenant: str) -> None:
    accepted = await driving.accept(rt, tenant, paragraphs(6))
    job_id, document_id = accepted.details.job.id, accepted.details.document.id
    for step in jobs.STEPS:
        assert await ingest.run_step(rt, job_id, step)
        assert not await ingest.run_step(rt, job_id, step), "a doubled message"
    assert len(await chunks_of(rt, document_id)) == 6
    assert set(asked_for(rt).values()) == {1}


@pytest.mark.parametrize("step", ["chunk", "embed", "upsert"])
async def test_a_step_that_died_and_is_run_again_ends_as_if_once(rt: Runtime, tenant: str, step: str) -> None:
    accepted = await driving.accept(rt, tenant, paragraphs(6))
    job_id = accepted.details.job.id
    for name in jobs.STEPS[: jobs.STEPS.index(step)]:
        assert await ingest.run_step(rt, job_id, name)
    held = await claim(rt, job_id, step)
    before = asked_for(rt)
    with pytest.raises(LeaseLost):
        await fenced(rt, step, held)
    assert (await document_of(rt, accepted.details.document.id)).active_version_id is None
    assert await chunks_of(rt, accepted.details.document.id) == []
    assert await pages_of(rt, accepted.details.document.id) == {}
    version = await driving.version_of(rt, held.version_id)
    assert bool(await driving.artifacts_of(rt, version.id)) is (step != "chunk")
    await set_job(rt, job_id, state="queued", next_attempt_at=func.now())
    assert (await driving.run(rt, job_id)).state == "succeeded"
    assert len(await chunks_of(rt, accepted.details.document.id)) == 6
    assert not before or asked_for(rt) == before


async def fenced(rt: Runtime, step: str, held: jobs.Claim) -> None:
    """The step's own work, by a worker whose lease was taken away meanwhile."""
    await set_job(rt, held.job_id, token=held.token + 1)
    rt = rt.for_tenant(held.tenant_id)
    await ingest._STEPS[step](rt, held, Heartbeat(rt, held))


# -- embedding -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("good", [0, 1, 3, 4])
async def test_after_a_failed_batch_the_provider_is_asked_for_the_missing_texts_only(
    rt: Runtime, tenant: str, good: int
) -> None:
    accepted = await driving.accept(rt, tenant, paragraphs(19))
    job_id = accepted.details.job.id
    fake(rt).before = Failing(good, Unavailable("provider_unavailable"))
    job = await driving.run(rt, job_id)
    assert (job.state, job.step, job.attempts, job.retries) == ("waiting", "embed", 0, 1)
    done = asked_for(rt)
    assert len(fake(rt).seen) == good
    assert set(done.values()) <= {1}
    fake(rt).before = lambda _texts: None
    await due(rt, job_id)
    assert (await driving.run(rt, job_id)).state == "succeeded"
    assert len(asked_for(rt)) == 19
    assert set(asked_for(rt).values()) == {1}, "nothing was embedded twice"


async def test_the_same_text_is_embedded_once_wherever_it_stands(rt: Runtime, tenant: str) -> None:
    twice = "\n\n".join([paragraphs(3), paragraphs(3)])
    document_id = await driving.ready(rt, tenant, twice)
    texts = [chunk.text for chunk in await chunks_of(rt, document_id)]
    assert len(texts) >= 6
    assert set(asked_for(rt).values()) == {1}
    assert len(asked_for(rt)) == len(set(texts))


async def test_tenants_do_not_share_embeddings(rt: Runtime, tenant: str) -> None:
    await driving.ready(rt, tenant, paragraphs(3))
    await driving.ready(rt, await driving.new_tenant(rt), paragraphs(3))
    assert set(asked_for(rt).values()) == {2}


async def test_a_rate_limit_waits_as_long_as_the_provider_says(rt: Runtime, tenant: str) -> None:
    accepted = await driving.accept(rt, tenant, paragraphs(3))
    fake(rt).before = Failing(0, RateLimited("provider_unavailable", "The provider answered 429", retry_after=77))
    job = await driving.run(rt, accepted.details.job.id)
    async with rt.sessions() as session:
        now = (await session.scalars(select(func.now()))).one()
    assert job.next_attempt_at is not None
    assert (job.next_attempt_at - now).total_seconds() == 77
    assert job.waiting_for == "the provider's rate limit: The provider answered 429"


@pytest.mark.parametrize("message", ["The provider answered 401: bad key", "401: \x00\ud800 bad key"])
async def test_a_permanent_error_fails_at_once_with_the_providers_reason(
    rt: Runtime, tenant: str, message: str
) -> None:
    accepted = await driving.accept(rt, tenant, paragraphs(3), callback_url="http://example.com/hook")
    fake(rt).before = failing = Failing(0, ProviderRejected("provider_rejected", message))
    job = await driving.run(rt, accepted.details.job.id)
    assert (job.state, job.error_code) == ("failed", "provider_rejected")
    assert "401: " in (job.error_message or "")
    assert failing.times == 1
    async with rt.sessions() as session:
        payload = await session.scalar(select(WebhookDelivery.payload).filter_by(job_id=job.id))
    assert json.loads(payload or "")["data"]["error"]["code"] == "provider_rejected"


async def test_with_the_retries_used_up_the_document_fails_with_the_providers_reason(rt: Runtime, tenant: str) -> None:
    rt = replace(rt, settings=rt.settings.model_copy(update={"max_retries": 2}))
    accepted = await driving.accept(rt, tenant, paragraphs(3))
    fake(rt).before = failing = Failing(0, Unavailable("provider_unavailable", "It is down."))
    for _ in range(3):
        job = await driving.run(rt, accepted.details.job.id)
        await due(rt, job.id)
    assert (job.state, job.error_code, job.error_message) == ("failed", "provider_unavailable", "It is down.")
    assert failing.times == 3


async def test_an_unexpected_error_is_tried_three_times_more_and_then_fails_without_details(
    rt: Runtime, tenant: str
) -> None:
    accepted = await driving.accept(rt, tenant, paragraphs(3))
    fake(rt).before = failing = Failing(0, ZeroDivisionError("secret detail"))
    for attempt in range(4):
        job = await driving.run(rt, accepted.details.job.id)
        assert job.state == ("waiting" if attempt < 3 else "failed")
        await due(rt, job.id)
    assert (job.error_code, job.error_message, failing.times) == ("internal_error", CODES["internal_error"], 4)


async def test_a_collection_keeps_to_the_model_it_was_embedded_with(rt: Runtime, tenant: str) -> None:
    waiting = await driving.accept(rt, tenant, paragraphs(3, "waiting"))
    await driving.ready(rt, tenant, paragraphs(3, "done"))
    other = replace(rt, embedder=FakeEmbedder("fake-65"))
    job = await driving.run(other, waiting.details.job.id)
    assert (job.state, job.error_code) == ("failed", "embedding_model_changed")
    assert fake(other).seen == []
    with pytest.raises(FootnoteError, match="embedding_model_changed"):
        await driving.accept(other, tenant, paragraphs(3, "new"))


async def test_of_two_models_racing_for_a_new_collection_the_second_is_refused(rt: Runtime, tenant: str) -> None:
    first = await driving.accept(rt, tenant, paragraphs(2, "first"))
    second = await driving.accept(rt, tenant, paragraphs(2, "second"))
    other = replace(rt, embedder=FakeEmbedder("fake-65"))
    await ingest.run_step(rt, first.details.job.id, "chunk")
    await ingest.run_step(other, second.details.job.id, "chunk")
    held = await claim(other, second.details.job.id, "embed")

    def overtaken(_texts: list[str]) -> None:
        fake(other).before = lambda _texts: None

    fake(other).before = overtaken
    assert await ingest.run_step(rt, first.details.job.id, "embed")
    with pytest.raises(FootnoteError, match="embedding_model_changed"):
        await ingest.embed.run(other, held, Heartbeat(other, held))


# -- bad files -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("encrypted.pdf", "encrypted"),
        ("no_text.pdf", "no_text"),
        ("truncated.pdf", "corrupt_file"),
    ],
)
async def test_a_file_that_cannot_be_read_fails_at_once_with_its_reason(
    rt: Runtime, tenant: str, name: str, code: str
) -> None:
    accepted = await driving.accept(rt, tenant, (SAMPLES / name).read_bytes(), name)
    job = await driving.run(rt, accepted.details.job.id)
    assert (job.state, job.step, job.error_code, job.error_message) == ("failed", "chunk", code, CODES[code])
    assert await chunks_of(rt, accepted.details.document.id) == []


async def test_a_file_of_white_space_fails_as_no_text(rt: Runtime, tenant: str) -> None:
    accepted = await driving.accept(rt, tenant, " \n\t\n" * 300)
    assert (await driving.run(rt, accepted.details.job.id)).error_code == "no_text"


async def test_an_object_that_is_gone_fails_as_missing(rt: Runtime, tenant: str) -> None:
    accepted = await driving.accept(rt, tenant, "Some text.")
    await rt.store.delete(accepted.details.version.object_key or "")
    assert (await driving.run(rt, accepted.details.job.id)).error_code == "object_missing"


async def test_text_that_postgres_refuses_never_breaks_a_write(rt: Runtime, tenant: str) -> None:
    late = b"\n" * driving.HEAD_BYTES  # behind what the type is told from
    document_id = await driving.ready(rt, tenant, late + b"The lamp \x00 was \x01 lit at dusk.", "a\x00b\udcff.txt")
    (chunk,) = await chunks_of(rt, document_id)
    assert chunk.text == "The lamp  was  lit at dusk."
    assert (await document_of(rt, document_id)).filename == "ab.txt"


def test_headings_from_a_document_are_made_safe_as_its_text_is() -> None:
    page = ParsedPage(1, "text")
    line = artifacts.dump(artifacts.extracted(page, [TextChunk(1, 0, 4, ("a\x00b", "c\ud800d"), "text")]))
    assert json.loads(line)["chunks"] == [[0, 4, ["ab", "cd"], ""]]


# -- versions ------------------------------------------------------------------------------------------------


async def test_a_new_version_embeds_what_changed_and_nothing_else(rt: Runtime, tenant: str) -> None:
    old = paragraphs(9)
    document_id = await driving.ready(rt, tenant, old, external_id="handbook")
    first = await document_of(rt, document_id)
    before = asked_for(rt)
    changed = old.replace("Paragraph 4 of the lamp", "Paragraph 4 of the lens")
    assert await driving.ready(rt, tenant, changed, external_id="handbook") == document_id
    added = asked_for(rt) - before
    assert len(added) == 1
    assert "of the lens" in next(iter(added))
    second, found = await document_of(rt, document_id), await chunks_of(rt, document_id)
    assert (second.newest_version, len(found)) == (2, 9)
    assert second.active_version_id != first.active_version_id
    assert {chunk.version_id for chunk in found} == {second.active_version_id}
    assert {version for version, _ in await pages_of(rt, document_id)} == {second.active_version_id}


@pytest.mark.parametrize("steps_done", [0, 1, 2])
async def test_a_job_that_a_newer_upload_overtook_cannot_win(rt: Runtime, tenant: str, steps_done: int) -> None:
    old = await driving.accept(rt, tenant, paragraphs(3, "old"), external_id="e")
    for step in jobs.STEPS[:steps_done]:
        await ingest.run_step(rt, old.details.job.id, step)
    held = await claim(rt, old.details.job.id, jobs.STEPS[steps_done])
    new = await driving.accept(rt, tenant, paragraphs(4, "new"), external_id="e")
    job = await job_of(rt, old.details.job.id)
    assert (job.state, job.waiting_for) == ("cancelled", None)
    work = ingest._STEPS[held.step]
    with pytest.raises((LeaseLost, DocumentRejected, ArtifactsMissing)):  # what it works on is gone from the store, too
        await work(rt, held, Heartbeat(rt, held))
    with pytest.raises(LeaseLost):
        async with rt.transaction() as session:
            await jobs.fail(session, held, "internal_error", "Too late.")
    assert (await driving.run(rt, new.details.job.id)).state == "succeeded"
    assert ["new" in chunk.text for chunk in await chunks_of(rt, new.details.document.id)] == [True] * 4
    with pytest.raises(FootnoteError, match="job_superseded"):
        async with rt.for_tenant(tenant).transaction() as session:
            await jobs.retry(session, old.details.job.id)


async def test_a_failed_new_version_leaves_the_old_one_in_place(rt: Runtime, tenant: str) -> None:
    document_id = await driving.ready(rt, tenant, paragraphs(3), external_id="e")
    before = [chunk.public_id for chunk in await chunks_of(rt, document_id)]
    bad = await driving.accept(rt, tenant, " \n" * 9, external_id="e")
    assert (await driving.run(rt, bad.details.job.id)).state == "failed"
    assert [chunk.public_id for chunk in await chunks_of(rt, document_id)] == before


async def test_a_stored_vector_that_is_gone_never_makes_half_a_document(rt: Runtime, tenant: str) -> None:
    accepted = await driving.accept(rt, tenant, paragraphs(3))
    for step in ("chunk", "embed"):
        assert await ingest.run_step(rt, accepted.details.job.id, step)
    async with rt.transaction() as session:
        await session.execute(text("DELETE FROM embedding WHERE ctid = (SELECT min(ctid) FROM embedding)"))
    assert not await ingest.run_step(rt, accepted.details.job.id, "upsert")
    assert await chunks_of(rt, accepted.details.document.id) == []
    await due(rt, accepted.details.job.id)
    assert (await driving.run(rt, accepted.details.job.id)).state == "succeeded", "it embeds what is missing"
    assert len(await chunks_of(rt, accepted.details.document.id)) == 3


async def test_vectors_of_another_length_are_refused_before_they_are_stored(rt: Runtime, tenant: str) -> None:
    await driving.ready(rt, tenant, paragraphs(2))
    shorter = FakeEmbedder()
    shorter.dimensions = 32
    changed = replace(rt, embedder=shorter)
    accepted = await driving.accept(changed, tenant, paragraphs(9))
    job = await driving.run(changed, accepted.details.job.id)
    assert (job.state, job.error_code) == ("failed", "embedding_model_changed")
    with pytest.raises(FootnoteError, match="embedding_model_changed"):
        await retrieval.search(changed.for_tenant(tenant), retrieval.Query("anything"))
    async with rt.for_tenant(tenant).transaction() as session:
        await jobs.retry(session, job.id)
    assert (await driving.run(rt, job.id)).state == "succeeded", "with the old setting everything is as before"


async def test_vectors_lost_before_a_middle_batch_are_made_again(
    rt: Runtime, tenant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ingest.upsert, "ROWS", 3)
    accepted = await driving.accept(rt, tenant, paragraphs(12))
    for step in ("chunk", "embed"):
        assert await ingest.run_step(rt, accepted.details.job.id, step)
    async with rt.transaction() as session:
        kept = (await session.scalars(select(Embedding.text_sha256))).all()
        await session.execute(delete(Embedding).where(Embedding.text_sha256.in_(kept[:4])))
    job = await driving.run(rt, accepted.details.job.id)
    assert (job.state, job.step) == ("waiting", "embed")
    async with rt.transaction() as session:
        await session.execute(update(Job).values(next_attempt_at=func.now()))
    assert (await driving.run(rt, job.id)).state == "succeeded"
    assert len(await driving.chunks_of(rt, job.document_id)) == 12


async def test_an_artifact_lost_between_the_steps_is_made_again(rt: Runtime, tenant: str) -> None:
    accepted = await driving.accept(rt, tenant, paragraphs(3))
    assert await ingest.run_step(rt, accepted.details.job.id, "chunk")
    async with rt.transaction() as session:
        await rt.store.delete(await session.scalar(select(Artifact.key)) or "")
    job = await driving.run(rt, accepted.details.job.id)
    assert (job.state, job.step) == ("waiting", "chunk")
    async with rt.transaction() as session:
        await session.execute(update(Job).values(next_attempt_at=func.now()))
    assert (await driving.run(rt, job.id)).state == "succeeded"
