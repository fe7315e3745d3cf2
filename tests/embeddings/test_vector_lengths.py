"""Lengths of vectors: no wrong answer spoils a document, a collection or an installation, and real changes are told."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from sqlalchemy import func, select

from footnote import ingest, jobs, retrieval
from footnote.documents import deletion, reingestion
from footnote.embeddings import vector_lengths
from footnote.errors import Conflict, Unavailable
from footnote.models import Collection, EmbeddingSpace, Job
from footnote.providers import Embeddings
from footnote.runtime import Runtime
from tests import driving
from tests.api.test_errors import problem
from tests.conftest import Person
from tests.driving import paragraphs, set_job
from tests.fakes import FakeEmbedder

pytestmark = pytest.mark.anyio


@dataclass
class Answers:
    """What a provider behind an address sends: `odd` lengths first, then its own."""

    length: int = 64
    odd: list[int] = field(default_factory=list)


class Remote(FakeEmbedder):
    """Asked over a network; a new one knows nothing, like a process that was started again."""

    address = "http://fake"  # type: ignore[assignment]

    def __init__(self, answers: Answers, model: str = "remote") -> None:
        super().__init__(model)
        self.answers = answers

    async def embed(self, texts: Sequence[str]) -> Embeddings:
        self.dimensions = self.answers.odd.pop(0) if self.answers.odd else self.answers.length
        return await super().embed(texts)


@pytest.fixture
def answers() -> Answers:
    return Answers()


@pytest.fixture
def rt(rt: Runtime, answers: Answers) -> Runtime:
    return restarted(rt, answers)


def restarted(rt: Runtime, answers: Answers) -> Runtime:
    return replace(rt, embedder=Remote(answers))


@pytest.fixture
async def tenant(rt: Runtime) -> str:
    return await driving.new_tenant(rt)


async def lengths(rt: Runtime) -> list[int]:
    """Of all spaces of the model."""
    async with rt.sessions() as session:
        mine = select(EmbeddingSpace.dimensions).where(EmbeddingSpace.model == "remote")
        return sorted((await session.scalars(mine)).all())


async def dimensions(rt: Runtime, tenant_id: str, name: str = "default") -> int | None:
    async with rt.sessions() as session:
        query = select(EmbeddingSpace.dimensions).join(Collection, Collection.space_id == EmbeddingSpace.id)
        found: int | None = await session.scalar(
            query.where(Collection.tenant_id == tenant_id, Collection.name == name)
        )
        return found


async def tried(rt: Runtime, answers: Answers, job_id: str, times: int) -> Job:
    """The job after so many tries, each by a process of its own."""
    for _ in range(times):
        await set_job(rt, job_id, next_attempt_at=func.now())
        job = await driving.run(restarted(rt, answers), job_id)
    return job


async def search(rt: Runtime, tenant_id: str, **options: Any) -> list[str]:
    found = await retrieval.search(rt.for_tenant(tenant_id), retrieval.Query("lamp1 shines", **options))
    return [hit.document_id for hit in found.hits]


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock of the database stands still within a test's transaction."""
    monkeypatch.setattr(vector_lengths, "SECONDS", 0.0)


# -- one wrong answer ----------------------------------------------------------------------------------------


async def test_after_a_restart_one_wrong_length_is_asked_again(rt: Runtime, answers: Answers, tenant: str) -> None:
    await driving.ready(rt, tenant, paragraphs(2))
    answers.odd = [32]
    await driving.ready(restarted(rt, answers), tenant, paragraphs(2, "lens"))
    assert await lengths(rt) == [64]


@pytest.mark.parametrize("odd", [[32] * 2, [32, 16, 32], [32] * 7])
async def test_wrong_lengths_are_waited_out_while_the_model_may_be_the_same(
    rt: Runtime, answers: Answers, tenant: str, odd: list[int]
) -> None:
    await driving.ready(rt, tenant, paragraphs(2))
    answers.odd = list(odd)
    job_id = (await driving.accept(rt, tenant, paragraphs(2, "lens"))).details.job.id
    job = await tried(rt, answers, job_id, 1)
    assert (job.state, job.error_code) == ("waiting", "provider_bad_response")
    assert f"vectors of {odd[1]} dimensions; those of fake/remote have 64" in (job.error_message or "")
    while job.state == "waiting":
        job = await tried(rt, answers, job_id, 1)
    assert (job.state, answers.odd) == ("succeeded", [])
    assert (await dimensions(rt, tenant), await lengths(rt)) == (64, [64])


async def test_a_right_answer_clears_the_evidence(rt: Runtime, answers: Answers, tenant: str, at_once: None) -> None:
    await driving.ready(rt, tenant, paragraphs(2))
    for number in range(2):
        answers.odd = [32] * 3
        job_id = (await driving.accept(rt, tenant, paragraphs(2, f"lens{number}"))).details.job.id
        assert (await tried(rt, answers, job_id, 3)).state == "succeeded"


async def test_the_first_answer_of_an_installation_opens_no_space(rt: Runtime, answers: Answers, tenant: str) -> None:
    answers.odd = [32]
    job_id = (await driving.accept(rt, tenant, paragraphs(3))).details.job.id
    job = await tried(rt, answers, job_id, 1)
    assert (job.state, job.error_code, await lengths(rt)) == ("waiting", "provider_bad_response", [])
    assert (await tried(rt, answers, job_id, 1)).state == "succeeded"
    assert (await dimensions(rt, tenant), await lengths(rt)) == (64, [64])


async def test_a_wrong_length_in_the_middle_of_a_document_does_not_spoil_it(
    rt: Runtime, answers: Answers, tenant: str
) -> None:
    answers.odd = [64, 64, 32, 32]  # a batch and a second look; then twice the third call
    job_id = (await driving.accept(rt, tenant, paragraphs(9))).details.job.id
    assert (await tried(rt, answers, job_id, 1)).state == "waiting"
    assert (await tried(rt, answers, job_id, 1)).state == "succeeded"
    assert await lengths(rt) == [64]


async def test_a_question_is_not_answered_by_a_wrong_vector(rt: Runtime, answers: Answers, tenant: str) -> None:
    document_id = await driving.ready(rt, tenant, paragraphs(2))
    answers.odd = [32]
    assert (await search(rt, tenant))[0] == document_id
    answers.odd = [32, 32]
    with pytest.raises(Unavailable, match="provider_bad_response"):
        await search(rt, tenant)
    assert (await search(rt, tenant))[0] == document_id


# -- a model that was exchanged ------------------------------------------------------------------------------


async def test_a_change_for_good_is_told_with_what_to_do_and_doing_it_works(
    rt: Runtime, answers: Answers, alice: Person, at_once: None
) -> None:
    tenant = alice.tenant_id
    ids = {await driving.ready(rt, tenant, paragraphs(3, topic)) for topic in ("lamp", "lens")}
    answers.length = 32
    new = await driving.accept(rt, tenant, paragraphs(3, "tide"))
    job = await tried(rt, answers, new.details.job.id, 4)
    assert (job.state, job.error_code) == ("failed", "embedding_model_changed")
    given = {"embedding": {"provider": "fake", "model": "remote"}}
    told = problem(await alice.client.post("/v1/search", json={"query": "lamp1"}), 409, "embedding_model_changed")
    for said in (job.error_message or "", told["detail"]):
        assert "'default' has vectors of 64 dimensions; fake/remote makes 32 now" in said
        assert 'PATCH /v1/collections/default with {"embedding": {"provider": "fake", "model": "remote"}}' in said
    assert (await alice.client.post("/v1/search", json={"query": "lamp1", "mode": "keyword"})).json()["data"]

    changed = await alice.client.patch("/v1/collections/default", json=given)
    assert changed.status_code == 200
    assert changed.json()["counts"]["reingesting"] == 2
    words = (await alice.client.post("/v1/search", json={"query": "lamp1"})).json()["data"]
    assert words[0]["document_id"] in ids, "found by its words until it is embedded again"
    await reingestion.review(rt)
    async with rt.for_tenant(tenant).transaction() as session:
        await jobs.retry(session, job.id)
        unfinished = (await session.scalars(select(Job.id).where(Job.state.in_(jobs.UNFINISHED)))).all()
    for job_id in unfinished:
        assert (await driving.run(rt, job_id)).state == "succeeded"
    assert set(await search(rt, tenant, mode="vector")) == ids | {new.details.document.id}
    shown = (await alice.client.get("/v1/collections/default")).json()
    assert (shown["embedding"]["dimensions"], shown["counts"]["reingesting"]) == (32, 0)
    assert (await alice.client.patch("/v1/collections/default", json=given)).status_code == 200
    await reingestion.review(rt)
    async with rt.sessions() as session:
        assert not await session.scalar(select(func.count()).where(Job.state.in_(jobs.UNFINISHED))), "nothing changed"


async def test_a_search_over_all_collections_goes_on_where_one_has_changed(
    rt: Runtime, answers: Answers, tenant: str, at_once: None
) -> None:
    old = await driving.ready(rt, tenant, paragraphs(2), collection="old")
    answers.length = 32
    for _ in range(4):
        with pytest.raises((Unavailable, Conflict)):
            await search(rt, tenant)
    new = await driving.ready(rt, tenant, paragraphs(2) + "\n\nNew.", collection="new")
    assert await dimensions(rt, tenant, "new") == 32
    assert set(await search(rt, tenant)) == {old, new}
    assert set(await search(rt, tenant, mode="vector")) == {new}
    with pytest.raises(Conflict, match="Collection 'old'"):
        await search(rt, tenant, collections=["old", "new"])


async def test_a_collection_goes_on_when_another_length_is_configured(
    rt: Runtime, answers: Answers, tenant: str
) -> None:
    natural, short = Remote(answers), Remote(Answers(32))
    before = replace(rt, embedder=natural)
    await driving.ready(before, tenant, paragraphs(2))
    settings = rt.settings.model_copy(update={"embedding_dimensions": 32})
    after = replace(rt, settings=settings, embedder=short)
    after.others["fake", "remote"] = natural  # which asks for no length
    await driving.ready(after, tenant, paragraphs(2, "lens"))
    await driving.ready(after, tenant, paragraphs(2, "buoy"), collection="new")
    assert (await dimensions(rt, tenant), await dimensions(rt, tenant, "new")) == (64, 32)
    assert len(set(await search(after, tenant, mode="vector"))) == 3
    after.others["fake", "remote", 32] = short
    back = replace(rt, embedder=natural)
    await driving.ready(back, tenant, paragraphs(2, "tide"), collection="new")
    assert len(set(await search(back, tenant, mode="vector"))) == 4


# -- nothing embedded ----------------------------------------------------------------------------------------


async def test_an_empty_collection_takes_another_length_and_another_model(
    rt: Runtime, answers: Answers, alice: Person
) -> None:
    tenant = alice.tenant_id
    document_id = await driving.ready(rt, tenant, paragraphs(2))
    await driving.run(rt, (await driving.accept(rt, tenant, " \n" * 300)).details.job.id)  # a failed one stays
    await deletion.remove(rt.for_tenant(tenant), document_id)
    answers.length = 32
    rt.embedder.model = "other"  # type: ignore[misc]
    assert (await alice.client.post("/v1/search", json={"query": "lamp1"})).json()["data"] == []
    document_id = await driving.ready(rt, tenant, paragraphs(2))
    shown = (await alice.client.get("/v1/collections/default")).json()
    assert shown["embedding"] == {"provider": "fake", "model": "other", "dimensions": 32}
    assert await search(rt, tenant) == [document_id] * 2
    for each in (await alice.client.get("/v1/documents")).json()["data"]:
        await alice.client.delete(f"/v1/documents/{each['id']}")
    shown = (await alice.client.get("/v1/collections/default")).json()
    assert shown["embedding"] == {"provider": "fake", "model": "other", "dimensions": None}


async def test_failed_documents_do_not_keep_a_collection_to_a_length(
    rt: Runtime, answers: Answers, tenant: str
) -> None:
    accepted = await driving.accept(rt, tenant, paragraphs(2))
    for step in ("chunk", "embed"):
        await ingest.run_step(rt, accepted.details.job.id, step)
    assert await dimensions(rt, tenant) == 64
    await set_job(rt, accepted.details.job.id, state="failed")
    answers.length = 32
    longer = replace(rt, settings=rt.settings.model_copy(update={"embedding_dimensions": 32}), embedder=Remote(answers))
    await driving.ready(longer, tenant, paragraphs(2, "lens"))
    assert await dimensions(rt, tenant) == 32
    async with rt.for_tenant(tenant).transaction() as session:
        await jobs.retry(session, accepted.details.job.id)
    job = await driving.run(longer, accepted.details.job.id)
    assert (job.state, job.step) == ("waiting", "embed")
    assert (await tried(longer, answers, job.id, 1)).state == "succeeded"


async def test_a_model_that_was_chosen_stays_chosen_when_the_collection_is_empty(rt: Runtime, alice: Person) -> None:
    rt.others["fake", "fake-65"] = FakeEmbedder("fake-65")
    chosen = {"provider": "fake", "model": "fake-65"}
    await alice.client.post("/v1/collections", json={"name": "papers", "embedding": chosen})
    document_id = await driving.ready(rt, alice.tenant_id, paragraphs(2), collection="papers")
    await deletion.remove(rt.for_tenant(alice.tenant_id), document_id)
    await driving.ready(rt, alice.tenant_id, paragraphs(2), collection="papers")
    shown = (await alice.client.get("/v1/collections/papers")).json()
    assert shown["embedding"] == chosen | {"dimensions": 64}


async def test_a_collection_is_not_unbound_under_a_document_that_is_about_to_be_seen(
    rt: Runtime, answers: Answers, tenant: str
) -> None:
    accepted = await driving.accept(rt, tenant, paragraphs(2))
    for step in ("chunk", "embed"):
        await ingest.run_step(rt, accepted.details.job.id, step)
    await driving.accept(rt, tenant, paragraphs(2, "lens"))
    assert await dimensions(rt, tenant) == 64
    assert (await driving.run(rt, accepted.details.job.id)).state == "succeeded"
