"""Idempotency-Key: a repeated request is done once and gets the same reply."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

import httpx2
import pytest
from sqlalchemy import func, select, update

from footnote.database.clock import from_now
from footnote.documents import idempotency, objects
from footnote.models import Document, IdempotencyKey, Job, Version
from footnote.runtime import Runtime
from footnote.tenancy import keys
from tests import driving
from tests.api.test_uploads import END, MULTIPART, PNG, TEXT, file_part, part
from tests.conftest import running_app
from tests.stored import in_store, named, settled

pytestmark = pytest.mark.anyio

KEY = {"Idempotency-Key": "once"}


@dataclass
class Api:
    """The API for one writer of a tenant."""

    rt: Runtime
    tenant_id: str
    client: httpx2.AsyncClient

    async def post(
        self, content: bytes = TEXT, filename: str = "a.txt", key: str = "once", **fields: str
    ) -> httpx2.Response:
        file, headers = {"file": (filename, content)}, {"Idempotency-Key": key}
        return await self.client.post("/v1/documents", files=file, data=fields or None, headers=headers)

    async def count(self, *tables: Any) -> list[int]:
        async with self.rt.sessions() as session:
            return [(await session.scalars(select(func.count()).select_from(table))).one() for table in tables]

    async def key(self) -> IdempotencyKey | None:
        async with self.rt.sessions() as session:
            return await session.get(IdempotencyKey, (self.tenant_id, "once"))

    async def age_key(self, **values: Any) -> None:
        await self.rt.execute(update(IdempotencyKey).values(**values))


@asynccontextmanager
async def serving(rt: Runtime) -> AsyncIterator[Api]:
    tenant_id = await driving.new_tenant(rt)
    async with rt.transaction() as session:
        _, secret = await keys.create(session, tenant_id, "writer")
    headers = {"Authorization": f"Bearer {secret}"}
    async with running_app(rt) as app:
        transport = httpx2.ASGITransport(app, raise_app_exceptions=False)
        async with httpx2.AsyncClient(transport=transport, base_url="http://footnote", headers=headers) as client:
            yield Api(rt, tenant_id, client)


@pytest.fixture
async def api(rt: Runtime) -> AsyncIterator[Api]:
    """For requests one after the other."""
    async with serving(rt) as api:
        yield api


def refused(answer: httpx2.Response, status: int, code: str) -> None:
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text


# -- the same request ----------------------------------------------------------------------------------------


async def test_the_same_request_gets_the_same_reply_whatever_became_of_the_document(api: Api) -> None:
    fields: dict[str, Any] = {"metadata": '{"zeta": 1e2, "a": [1.0, -0.0, 1e22], "é": "\\u00fc"}', "external_id": "e"}
    first = await api.post(**fields)
    assert first.status_code == 202, first.text
    assert "idempotent-replayed" not in first.headers
    await driving.run(api.rt, first.json()["job"]["id"])
    again = await api.post(**fields)
    assert again.status_code == 202
    assert again.content == first.content
    assert again.headers["location"] == first.headers["location"]
    assert again.headers["idempotent-replayed"] == "true"
    assert await api.count(Document, Version, Job) == [1, 1, 1]
    assert await settled(api.rt) == await named(api.rt)


async def test_the_reply_of_a_deduplicated_upload_is_replayed_as_it_was(api: Api) -> None:
    await api.client.post("/v1/documents", files={"file": ("a.txt", TEXT)})
    replies = [await api.post(metadata='{"zeta": 1, "a": 1e2}') for _ in range(2)]
    assert replies[0].json()["deduplicated"]
    assert replies[1].headers["idempotent-replayed"] == "true"
    assert replies[0].content == replies[1].content


@pytest.mark.parametrize(
    "change",
    [
        {"content": TEXT + b"!"},
        {"filename": "b.txt"},
        {"metadata": '{"a": 2}'},
        {"metadata": "{}"},
        {"external_id": "other"},
        {"collection": "other"},
        {"callback_url": "http://127.0.0.1:9/other"},
    ],
)
async def test_another_request_under_the_same_key_is_refused_and_changes_nothing(
    api: Api, change: dict[str, Any]
) -> None:
    asked: dict[str, Any] = {"metadata": '{"a": 1}', "external_id": "e", "callback_url": "http://127.0.0.1:9/"}
    first = await api.post(**asked)
    refused(await api.post(**asked | change), 422, "idempotency_key_reused")
    assert await api.count(Document, Version, Job) == [1, 1, 1]
    assert (await api.post(**asked)).content == first.content
    assert await settled(api.rt) == await named(api.rt)


async def test_the_same_key_at_another_address_is_another_request(api: Api) -> None:
    await api.post()
    batch = await api.client.post("/v1/documents/batch", files={"file": ("a.txt", TEXT)}, headers=KEY)
    refused(batch, 422, "idempotency_key_reused")


async def test_a_batch_is_the_same_only_with_the_same_files_those_it_cannot_take_included(api: Api) -> None:
    good, bad, worse = ("file", ("a.txt", TEXT)), ("file", ("a.png", PNG)), ("file", ("b.png", PNG))
    first = await api.client.post("/v1/documents/batch", files=[good, bad], headers=KEY)
    again = await api.client.post("/v1/documents/batch", files=[good, bad], headers=KEY)
    assert (again.content, again.headers["idempotent-replayed"]) == (first.content, "true")
    for other in ([good], [good, worse], [bad, good]):
        answer = await api.client.post("/v1/documents/batch", files=other, headers=KEY)
        refused(answer, 422, "idempotency_key_reused")


async def test_a_key_of_a_batch_is_used_up_by_the_deletion_of_any_of_its_documents(api: Api) -> None:
    files = [("file", ("a.txt", TEXT)), ("file", ("b.txt", TEXT + b"!"))]
    first = await api.client.post("/v1/documents/batch", files=files, headers=KEY)
    await api.client.delete(f"/v1/documents/{first.json()['data'][1]['document']['id']}")
    refused(await api.client.post("/v1/documents/batch", files=files, headers=KEY), 409, "document_deleted")


async def test_a_key_is_kept_for_a_day(api: Api) -> None:
    first = await api.post()
    await api.age_key(created_at=from_now(-24 * 3600 + 60))
    async with api.rt.transaction() as session:
        await idempotency.purge(session)
    assert (await api.post()).content == first.content
    await api.age_key(created_at=from_now(-24 * 3600 - 1))
    other = await api.post(TEXT + b"!")
    assert other.status_code == 202
    assert "idempotent-replayed" not in other.headers
    assert (await api.post(TEXT + b"!")).content == other.content
    await api.age_key(created_at=from_now(-24 * 3600 - 1))
    async with api.rt.transaction() as session:
        await idempotency.purge(session)
    assert await api.count(IdempotencyKey) == [0]


async def test_a_key_belongs_to_its_tenant(api: Api) -> None:
    async with serving(api.rt) as stranger:
        mine, theirs = await api.post(), await stranger.post(b"Something else.")
        assert (mine.status_code, theirs.status_code) == (202, 202)
        assert theirs.json()["document"]["id"] != mine.json()["document"]["id"]
        assert "idempotent-replayed" not in theirs.headers


async def test_a_key_whose_document_was_deleted_does_not_bring_it_back(api: Api) -> None:
    document = (await api.post(metadata='{"secret": 1}')).json()["document"]
    assert (await api.client.delete(f"/v1/documents/{document['id']}")).status_code == 200
    refused(await api.post(metadata='{"secret": 1}'), 409, "document_deleted")
    assert await api.count(Document) == [0]
    kept = await api.key()
    assert kept is not None
    assert kept.reply is None
    await api.age_key(created_at=from_now(-24 * 3600 - 1))
    assert (await api.post()).status_code == 202


@pytest.mark.parametrize("key", ["", "x" * 256, "a\tb", "a\x7f", "\x01", "schlüssel", "鍵", "a\x85"])
async def test_bad_keys(api: Api, key: str) -> None:
    headers = [(b"idempotency-key", key.encode())]
    answer = await api.client.post("/v1/documents", files={"file": ("a.txt", TEXT)}, headers=headers)
    refused(answer, 422, "invalid_request")
    assert await api.count(Document, IdempotencyKey) == [0, 0]


@pytest.mark.parametrize("key", ["x" * 255, " ~", '"8e03978e-40d5-43dd-bc93-6894a57f9324"', "'; DROP TABLE document"])
async def test_odd_but_good_keys(api: Api, key: str) -> None:
    first, second = [await api.post(key=key) for _ in range(2)]
    assert (first.status_code, second.headers["idempotent-replayed"]) == (202, "true")


FAILURES: dict[str, tuple[bytes, int, str]] = {
    "type": (file_part(PNG, b"a.png") + END, 415, "unsupported_type"),
    "empty": (file_part(b"") + END, 422, "empty_file"),
    "field after the file": (file_part() + part("metadata", b"{") + END, 422, "invalid_request"),
    "collection": (file_part() + part("collection", b"a b") + END, 422, "bad_collection_name"),
    "callback": (file_part() + part("callback_url", b"ftp://h/") + END, 422, "url_not_allowed"),
    "too large": (file_part(b"x" * 4096) + END, 413, "too_large"),
    "cut off": (file_part(), 422, "bad_multipart"),
}


@pytest.mark.parametrize("failure", list(FAILURES))
async def test_a_request_that_fails_frees_its_key_and_leaves_no_object(rt: Runtime, failure: str) -> None:
    small = replace(rt, settings=rt.settings.model_copy(update={"max_upload_bytes": 4000}))
    body, status, code = FAILURES[failure]
    async with serving(small) as api:
        refused(await api.client.post("/v1/documents", content=body, headers=MULTIPART | KEY), status, code)
        assert await api.key() is None
        assert await objects.sweep(api.rt) <= 1
        assert await in_store(api.rt) == set(), "not even for a minute"
        assert (await api.post()).status_code == 202
