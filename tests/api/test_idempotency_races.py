"""Idempotency-Key while the first request is in flight, its process dies, or Postgres goes away."""

import asyncio
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import httpx2
import pytest
from sqlalchemy import delete, func, select, text, update
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.requests import ClientDisconnect

from footnote.database.clock import from_now
from footnote.documents import idempotency
from footnote.errors import Conflict, DatabaseUnavailable
from footnote.models import Document, IdempotencyKey, Job, Version
from footnote.runtime import Runtime
from tests import driving
from tests.api.test_idempotency import KEY, Api, refused, serving
from tests.api.test_uploads import END, MULTIPART, TEXT, file_part
from tests.conftest import running_app
from tests.fakes import FakeEmbedder
from tests.stored import hold_often, in_store, named, settled

pytestmark = pytest.mark.anyio


@pytest.fixture
async def api(committing_rt: Runtime) -> AsyncIterator[Api]:
    async with serving(committing_rt) as api:
        yield api


# -- in flight ----------------------------------------------------------------------------------------------


@dataclass
class Body:
    """A body that is sent up to its last bytes, which wait."""

    begun: asyncio.Event = field(default_factory=asyncio.Event)
    go_on: asyncio.Event = field(default_factory=asyncio.Event)
    sent: int = 0
    lost: bool = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in (file_part()[:-10], file_part()[-10:] + END):
            self.sent += 1
            yield piece
            self.begun.set()
            await self.go_on.wait()
            if self.lost:
                raise ClientDisconnect


def send(api: Api, body: Body) -> "asyncio.Task[httpx2.Response]":
    return asyncio.create_task(api.client.post("/v1/documents", content=aiter(body), headers=MULTIPART | KEY))


async def in_flight(api: Api) -> tuple[Body, "asyncio.Task[httpx2.Response]"]:
    body = Body()
    task = send(api, body)
    await body.begun.wait()
    while await api.key() is None:
        await asyncio.sleep(0.01)
    return body, task


async def test_while_a_request_is_in_flight_another_is_refused_before_its_body_is_read(api: Api) -> None:
    first, task = await in_flight(api)
    second = Body()
    refused(await asyncio.wait_for(send(api, second), 60), 409, "request_in_flight")
    assert second.sent == 0
    first.go_on.set()
    assert (await task).status_code == 202
    second.go_on.set()
    assert (await send(api, second)).content == (await task).content


async def test_twenty_requests_with_one_key_at_once_make_one_document(api: Api) -> None:
    answers = await asyncio.gather(*(api.post(external_id="e") for _ in range(20)))
    statuses = {answer.status_code for answer in answers}
    assert statuses <= {202, 409}, statuses
    assert len({answer.content for answer in answers if answer.status_code == 202}) == 1
    assert {answer.json()["code"] for answer in answers if answer.status_code == 409} <= {"request_in_flight"}
    assert await api.count(Document, Version, Job) == [1, 1, 1]
    assert (await api.post(external_id="e")).status_code == 202
    assert await settled(api.rt) == await named(api.rt)


async def test_fifty_uploads_of_the_same_bytes_at_once_need_no_key_to_be_one_document(api: Api) -> None:
    content = driving.paragraphs(9).encode()
    posts = (api.client.post("/v1/documents", files={"file": (f"{n}.txt", content)}) for n in range(50))
    answers = [answer.json() for answer in await asyncio.gather(*posts)]
    assert len({answer["document"]["id"] for answer in answers}) == 1
    assert sum(not answer["deduplicated"] for answer in answers) == 1
    assert await api.count(Document, Version, Job) == [1, 1, 1]
    (job_id,) = {answer["job"]["id"] for answer in answers}
    assert (await driving.run(api.rt, job_id)).state == "succeeded"
    embedder = api.rt.embedder
    assert isinstance(embedder, FakeEmbedder)
    assert sum(map(len, embedder.seen)) == 9
    assert await settled(api.rt) == await named(api.rt)
    assert len(await in_store(api.rt)) == 1


@pytest.mark.parametrize("cancelled", [True, False])
async def test_a_request_whose_client_leaves_frees_its_key(api: Api, cancelled: bool) -> None:
    """Uvicorn says that it left; the server's own end cancels."""
    body, task = await in_flight(api)
    body.lost = True
    if cancelled:
        task.cancel()
    body.go_on.set()
    await asyncio.wait({task})
    assert task.cancelled() or task.exception(), "there was no answer"
    assert await api.key() is None
    assert await settled(api.rt) == set()
    assert (await api.post()).status_code == 202


async def test_a_key_held_by_a_process_that_died_is_free_after_a_minute(api: Api) -> None:
    async with api.rt.for_tenant(api.tenant_id).transaction() as session:
        await idempotency._take(session, "once")
    await api.age_key(held_until=from_now(1))
    refused(await api.post(), 409, "request_in_flight")
    await api.age_key(held_until=from_now(-0.001))
    answer = await api.post()
    assert answer.status_code == 202
    assert (await api.post()).content == answer.content


async def test_a_request_that_takes_longer_than_a_minute_holds_its_key(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    hold_often(monkeypatch)
    body, task = await in_flight(api)
    for _ in range(3):
        await api.age_key(held_until=from_now(-1))
        over = select(IdempotencyKey.key).where(IdempotencyKey.held_until < func.now())
        async with api.rt.sessions() as session, asyncio.timeout(30):
            while await session.scalar(over):
                await asyncio.sleep(0.01)
        refused(await api.post(), 409, "request_in_flight")
    body.go_on.set()
    assert (await task).status_code == 202


async def test_a_request_that_lost_its_key_to_another_is_rolled_back(api: Api) -> None:
    body, task = await in_flight(api)
    await api.age_key(held_until=from_now(-1))
    other = await api.post(b"Another one's text.")
    assert other.status_code == 202
    body.go_on.set()
    refused(await task, 409, "request_in_flight")
    assert await api.count(Document, Job) == [1, 1]
    assert (await api.post(b"Another one's text.")).content == other.content
    assert await settled(api.rt) == await named(api.rt)


async def test_a_request_whose_key_was_lost_by_a_crash_of_postgres_is_rolled_back(api: Api) -> None:
    """The disk is not waited for when a key is taken."""
    body, task = await in_flight(api)
    await api.rt.execute(delete(IdempotencyKey))
    body.go_on.set()
    refused(await task, 409, "request_in_flight")
    assert await api.count(Document, Job) == [0, 0]
    assert await settled(api.rt) == set()
    assert (await api.post()).status_code == 202


async def test_a_key_that_was_freed_and_taken_anew_is_not_freed_by_the_one_before(committing_rt: Runtime) -> None:
    rt = committing_rt
    tenant = await driving.new_tenant(rt)

    async def hold(then: Awaitable[object]) -> None:
        async with idempotency.once(rt.for_tenant(tenant), "once"):
            await rt.execute(update(IdempotencyKey).values(held_until=from_now(-1)))
            await then
            raise DatabaseUnavailable

    async def take() -> None:
        async with rt.for_tenant(tenant).transaction() as session:
            await idempotency._take(session, "once")

    with pytest.raises(DatabaseUnavailable):
        await hold(take())
    with pytest.raises(Conflict, match="request_in_flight"):
        await take()


# -- the database away ---------------------------------------------------------------------------------------


class Lossy(Runtime):
    """Says that Postgres is away at the end of each transaction that wrote a document, `before` the commit or after."""

    before: bool

    @asynccontextmanager
    async def transaction(self, **settings: str) -> AsyncIterator[AsyncSession]:
        async with super().transaction(**settings) as session:
            yield session
            lost = await session.scalar(
                text("SELECT EXISTS (SELECT FROM document WHERE xmin = pg_current_xact_id()::xid)")
            )
            if lost and self.before:
                raise DatabaseUnavailable
        if lost:
            raise DatabaseUnavailable


@pytest.mark.parametrize("before", [True, False])
async def test_a_commit_without_an_answer_is_made_good_by_the_same_request(api: Api, before: bool) -> None:
    lossy = type("", (Lossy,), {"before": before})(**vars(api.rt))
    async with running_app(lossy) as app:
        transport = httpx2.ASGITransport(app, raise_app_exceptions=False)
        async with httpx2.AsyncClient(
            transport=transport, base_url="http://footnote", headers=api.client.headers
        ) as client:
            answer = await client.post("/v1/documents", files={"file": ("a.txt", TEXT)}, headers=KEY)
    refused(answer, 503, "database_unavailable")
    assert await api.count(Document) == [0 if before else 1]
    again = await api.post()
    assert again.status_code == 202
    assert ("idempotent-replayed" in again.headers) is not before
    assert not again.json()["deduplicated"]
    assert await api.count(Document, Version, Job) == [1, 1, 1]
    assert await settled(api.rt) == await named(api.rt)
    assert len(await in_store(api.rt)) == 1
