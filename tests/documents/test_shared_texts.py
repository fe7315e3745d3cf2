"""Documents of one tenant that share texts, stored and deleted at the same time: no vector is lost, none is left."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import numpy as np
import pytest
from sqlalchemy import func, text

from footnote import ingest
from footnote.collections import revisions
from footnote.documents import deletion
from footnote.embeddings.checkpoint import text_hash
from footnote.ingest import upsert
from footnote.runtime import Runtime
from tests import driving
from tests.documents.test_deletion import embedded, nothing_left
from tests.documents.test_deletion_races import until_somebody_waits
from tests.driving import chunks_of, job_of, paragraphs
from tests.fakes import FakeEmbedder

pytestmark = pytest.mark.anyio

LEFT_OVER = text("SELECT count(*) FROM embedding")


@pytest.fixture
async def tenant(committing_rt: Runtime) -> str:
    return await driving.new_tenant(committing_rt)


async def as_it_should_be(rt: Runtime) -> bool:
    """Every text has one vector, in its chunks only, which is that of the text."""
    assert isinstance(rt.embedder, FakeEmbedder)
    asked = [each for call in rt.embedder.seen for each in call]
    wanted = dict(zip(map(text_hash, asked), (await FakeEmbedder().embed(asked)).vectors, strict=True))
    stored = await driving.vectors_of_texts(rt)
    async with rt.sessions() as session:
        left = await session.scalar(LEFT_OVER)
    right = (np.allclose(json.loads(vector), wanted[key], atol=1e-3) for (*_, key), vector in stored.items())
    return left == 0 and all(right)


async def to_upsert(rt: Runtime, tenant: str, content: str, **options: Any) -> str:
    """The id of a job of which only the last step is left."""
    accepted = await driving.accept(rt, tenant, content, **options)
    await embedded(rt, accepted.details.job.id)
    return accepted.details.job.id


class Stopped:
    """The first call of a function waits at its end, or its beginning, until it may go on."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, module: Any, name: str, *, before: bool = False) -> None:
        self.there, self.go_on = asyncio.Event(), asyncio.Event()
        inner: Callable[..., Awaitable[Any]] = getattr(module, name)

        async def stopped(*arguments: Any) -> Any:
            done = None if before else await inner(*arguments)
            if not self.there.is_set():
                self.there.set()
                await self.go_on.wait()
            return await inner(*arguments) if before else done

        monkeypatch.setattr(module, name, stopped)


async def test_two_workers_store_documents_of_one_tenant_at_the_same_time(
    committing_rt: Runtime, tenant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also if they share texts, and both have a version before: the second commits while the first is open."""
    rt = committing_rt
    for name in "ab":
        await driving.ready(rt, tenant, paragraphs(3, f"old{name}"), external_id=name, collection=name)
    shared = paragraphs(3, "shared")
    first = await to_upsert(rt, tenant, shared + "\n\n" + paragraphs(2, "a"), external_id="a", collection="a")
    second = await to_upsert(rt, tenant, shared + "\n\n" + paragraphs(2, "b"), external_id="b", collection="b")
    held = Stopped(monkeypatch, revisions, "changed", before=True)
    storing = asyncio.create_task(ingest.run_step(rt, first, "upsert"))
    await held.there.wait()
    assert await asyncio.wait_for(ingest.run_step(rt, second, "upsert"), 20)
    assert (await job_of(rt, second)).state == "succeeded"
    assert (await job_of(rt, first)).state == "running"
    held.go_on.set()
    assert await storing
    assert await as_it_should_be(rt)


async def test_a_vector_that_is_removed_while_a_version_with_its_text_is_stored_is_made_again(
    committing_rt: Runtime, tenant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    rt = committing_rt
    going = await driving.ready(rt, tenant, paragraphs(4), collection="going")
    job_id = await to_upsert(rt, tenant, paragraphs(4), collection="staying")
    inserted = Stopped(monkeypatch, upsert, "_insert_rows")
    storing = asyncio.create_task(ingest.run_step(rt, job_id, "upsert"))
    await inserted.there.wait()
    await deletion.remove(rt.for_tenant(tenant), going)
    inserted.go_on.set()
    assert not await storing
    assert (await job_of(rt, job_id)).step == "embed"
    await driving.set_job(rt, job_id, next_attempt_at=func.now())
    job = await driving.run(rt, job_id)
    assert (job.state, len(await chunks_of(rt, job.document_id))) == ("succeeded", 4)
    assert await as_it_should_be(rt)


@pytest.mark.parametrize("aborted", [False, True])
async def test_a_deletion_waits_for_a_version_that_is_about_to_use_its_texts(
    committing_rt: Runtime, tenant: str, monkeypatch: pytest.MonkeyPatch, aborted: bool
) -> None:
    rt = committing_rt
    going = await driving.ready(rt, tenant, paragraphs(4), collection="going")
    job_id = await to_upsert(rt, tenant, paragraphs(4), collection="staying")
    held = Stopped(monkeypatch, revisions, "changed", before=True)
    storing = asyncio.create_task(ingest.run_step(rt, job_id, "upsert"))
    await held.there.wait()
    removal = asyncio.create_task(deletion.remove(rt.for_tenant(tenant), going))
    await until_somebody_waits(rt)
    if aborted:
        storing.cancel()
        await asyncio.wait({storing})
    held.go_on.set()
    receipt = await removal
    assert aborted or await storing
    assert receipt.counts["embeddings"] == (4 if aborted else 0)
    assert await as_it_should_be(rt)


async def test_shared_texts_changed_and_deleted_at_random_moments_keep_their_vectors(
    committing_rt: Runtime, tenant: str
) -> None:
    """Each document moves on to its neighbour's texts: in no order of locks but one could they all get them."""
    rt = committing_rt
    texts = [paragraphs(2, f"text{number}") for number in range(3)]
    for number in range(3):
        await driving.ready(rt, tenant, texts[number], external_id=str(number))
    moved = [await to_upsert(rt, tenant, texts[number - 1], external_id=str(number)) for number in range(3)]
    jobs_ended = await asyncio.gather(*(driving.run(rt, each) for each in moved))
    for job in jobs_ended:
        while job.state != "succeeded":
            assert job.state == "waiting", job.error_message
            await driving.set_job(rt, job.id, next_attempt_at=func.now())
            job = await driving.run(rt, job.id)
    assert await as_it_should_be(rt)
    await asyncio.gather(*(deletion.remove(rt.for_tenant(tenant), job.document_id) for job in jobs_ended))
    assert await nothing_left(rt)
