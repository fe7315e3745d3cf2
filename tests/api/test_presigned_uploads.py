"""Direct uploads: bytes go to a real S3 server past the API; nothing half, nothing altered, nothing left behind."""

import asyncio
import hashlib
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import httpx2
import pytest
from sqlalchemy import delete, func, select, update

from footnote import documents
from footnote.documents import deletion, objects, presigned_uploads, uploads
from footnote.errors import Unavailable
from footnote.models import DirectUpload, Document, IdempotencyKey, Job, UnownedObject, Version
from footnote.operations.consistency import audit
from footnote.runtime import Runtime
from footnote.storage import S3Store
from tests import driving
from tests.api.test_idempotency import Api, refused, serving
from tests.api.test_uploads import PNG, TEXT
from tests.conftest import Person
from tests.storage.test_storage import aws, keys, parts_left, s3, s3_endpoint
from tests.stored import given_more_time, hold_often, named, set_unowned

__all__ = ["aws", "s3", "s3_endpoint"]  # fixtures
pytestmark = pytest.mark.anyio

MIB = 1024 * 1024
LONG = b"The lamp is lit. " * (12 * MIB // 17)
Answer = httpx2.Response


@pytest.fixture
async def api(committing_rt: Runtime, s3: S3Store) -> AsyncIterator[Api]:
    async with serving(replace(committing_rt, store=s3)) as api:
        yield api


async def begin(api: Api, content: bytes = TEXT, filename: str = "notes.txt", **fields: Any) -> dict[str, Any]:
    body = {"filename": filename, "size": len(content), **fields}
    answer = await api.client.post("/v1/uploads", json=body)
    assert answer.status_code == 201, answer.text
    begun: dict[str, Any] = answer.json()
    return begun


async def put(part: dict[str, Any], content: bytes) -> Answer:
    """As a client without an API key does, over HTTP."""
    async with httpx2.AsyncClient(trust_env=False) as client:
        return await client.put(part["url"], content=content)


async def send(begun: dict[str, Any], content: bytes, *numbers: int) -> None:
    """The parts of these numbers, or all of them."""
    for part in begun["parts"]:
        if not numbers or part["number"] in numbers:
            piece = content[part["offset"] : part["offset"] + part["size"]]
            assert (await put(part, piece)).status_code == 200


async def complete(api: Api, begun: dict[str, Any]) -> Answer:
    return await api.client.post(f"/v1/uploads/{begun['upload_id']}/complete")


async def abort(api: Api, begun: dict[str, Any]) -> Answer:
    return await api.client.delete(f"/v1/uploads/{begun['upload_id']}")


async def uploaded(api: Api, content: bytes = TEXT, filename: str = "notes.txt", **fields: Any) -> Answer:
    begun = await begin(api, content, filename, **fields)
    await send(begun, content)
    return await complete(api, begun)


def in_bucket(store: S3Store) -> set[str]:
    """The keys of all objects, and those of unfinished ones with `.part` behind them."""
    found = keys(store) + [each["Key"] + ".part" for each in parts_left(store)]
    return {key.removeprefix("pre/fix/") for key in found}


async def settled(api: Api, store: S3Store) -> set[str]:
    """The objects that remain after all unowned ones have expired and were swept."""
    await set_unowned(api.rt, delete_at=func.now())
    while await objects.sweep(api.rt):
        pass
    assert await api.count(DirectUpload, UnownedObject) == [0, 0]
    return in_bucket(store)


async def found(api: Api, *, fix: bool = False) -> list[str]:
    return [each.kind async for each in audit(api.rt, fix=fix)]


# -- taken ---------------------------------------------------------------------------------------------------


@pytest.mark.s3
async def test_a_file_that_is_sent_to_its_address_is_answered_like_any_upload(api: Api, s3: S3Store) -> None:
    fields = {"metadata": {"year": 1874}, "external_id": "n-1", "collection": "lights"}
    begun = await begin(api, TEXT, "../notes.txt", **fields)
    assert set(begun) == {"upload_id", "expires_at", "method", "parts"}
    assert begun["upload_id"].startswith("upl_")
    assert begun["method"] == "PUT"
    [part] = begun["parts"]
    assert {name: part[name] for name in ("number", "offset", "size")} == {"number": 1, "offset": 0, "size": len(TEXT)}
    assert (await put(part, TEXT)).status_code == 200
    assert keys(s3) == [], "nothing is there before it is completed"
    answer = await complete(api, begun)
    assert answer.status_code == 202, answer.text
    body = answer.json()
    assert set(body) == {"document", "job", "deduplicated"}
    assert answer.headers["location"] == f"/v1/jobs/{body['job']['id']}"
    expected = {
        "filename": "notes.txt",
        "media_type": "text/plain",
        "status": "queued",
        "version": 1,
        "bytes": len(TEXT),
        "sha256": hashlib.sha256(TEXT).hexdigest(),
        **fields,
    }
    assert {name: body["document"][name] for name in expected} == expected
    assert body["deduplicated"] is False
    assert await settled(api, s3) == await named(api.rt)
    assert (await driving.run(api.rt, body["job"]["id"])).state == "succeeded"
    assert await settled(api, s3) == await named(api.rt)
    assert await found(api) == []


@pytest.mark.s3
async def test_parts_may_come_in_any_order_and_make_one_file(
    api: Api, s3: S3Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(presigned_uploads, "PART_BYTES", 5 * MIB)
    begun = await begin(api, LONG)
    assert [part["number"] for part in begun["parts"]] == [1, 2, 3]
    assert [part["offset"] for part in begun["parts"]] == [0, 5 * MIB, 10 * MIB]
    assert sum(part["size"] for part in begun["parts"]) == len(LONG)
    refused(await complete(api, begun), 409, "upload_incomplete")
    await send(begun, LONG, 3)
    await send(begun, LONG, 1)
    monkeypatch.undo()  # as by a process that cuts in other sizes by now
    answer = await complete(api, begun)
    refused(answer, 409, "upload_incomplete")
    assert "1 of 3 parts are not there yet: 2." in answer.json()["detail"]
    assert (await put(begun["parts"][1], LONG[: 5 * MIB])).status_code == 200
    await send(begun, LONG, 2)  # the last one counts
    body = (await complete(api, begun)).json()
    assert body["document"]["sha256"] == hashlib.sha256(LONG).hexdigest()
    content = await api.client.get(f"/v1/documents/{body['document']['id']}/content")
    assert content.content == LONG
    assert await settled(api, s3) == await named(api.rt)


@pytest.mark.s3
async def test_a_huge_file_has_at_most_a_thousand_parts(api: Api, s3: S3Store) -> None:
    size = 3 * 1024**4 + 1
    rt = replace(api.rt, settings=api.rt.settings.model_copy(update={"max_upload_bytes": size}))
    upload, parts = await presigned_uploads.begin(
        rt.for_tenant(api.tenant_id), "a.txt", size, None, {"collection": "default"}
    )
    assert len(parts) == presigned_uploads.MOST_PARTS
    assert sum(part.size for part in parts) == upload.bytes == size
    assert max(part.size for part in parts) < 5 * 1024**3, "S3 takes no larger one"
    assert await settled(api, s3) == set()


@pytest.mark.s3
async def test_the_same_bytes_give_the_document_that_has_them(api: Api, s3: S3Store) -> None:
    first = (await api.post()).json()
    answer = await uploaded(api)
    assert answer.status_code == 202
    assert answer.json()["deduplicated"] is True
    assert answer.json()["document"]["id"] == first["document"]["id"]
    assert await api.count(Document, Version, Job) == [1, 1, 1]
    assert await settled(api, s3) == await named(api.rt)
    assert len(in_bucket(s3)) == 1


@pytest.mark.s3
async def test_other_bytes_under_a_known_external_id_are_a_new_version(api: Api, s3: S3Store) -> None:
    first = (await uploaded(api, external_id="e")).json()
    await driving.run(api.rt, first["job"]["id"])
    second = (await uploaded(api, TEXT + b" At dusk.", external_id="e")).json()
    assert second["document"]["id"] == first["document"]["id"]
    assert second["document"]["version"] == 2
    assert (await driving.run(api.rt, second["job"]["id"])).state == "succeeded"
    assert await settled(api, s3) == await named(api.rt)


# -- once ----------------------------------------------------------------------------------------------------


@pytest.mark.s3
async def test_completed_twice_it_is_answered_the_same(api: Api, s3: S3Store) -> None:
    begun = await begin(api)
    await send(begun, TEXT)
    first = await complete(api, begun)
    await driving.run(api.rt, first.json()["job"]["id"])
    again = await complete(api, begun)
    assert (again.status_code, again.content) == (202, first.content)
    assert again.headers["location"] == first.headers["location"]
    assert again.headers["idempotent-replayed"] == "true"
    assert await settled(api, s3) == await named(api.rt)
    assert (await complete(api, begun)).content == first.content
    refused(await abort(api, begun), 404, "upload_not_found")
    assert await settled(api, s3) == await named(api.rt) != set()
    await deletion.remove(api.rt.for_tenant(api.tenant_id), first.json()["document"]["id"])
    refused(await complete(api, begun), 409, "document_deleted")
    assert await settled(api, s3) == set()


@pytest.mark.s3
async def test_completed_in_parallel_it_is_done_once(api: Api, s3: S3Store, monkeypatch: pytest.MonkeyPatch) -> None:
    begun = await begin(api)
    await send(begun, TEXT)
    reached, go_on = asyncio.Event(), asyncio.Event()
    inspect_stored = uploads.inspect_stored

    async def waiting(*given: Any) -> Any:
        reached.set()
        await go_on.wait()
        return await inspect_stored(*given)

    monkeypatch.setattr(presigned_uploads, "inspect_stored", waiting)
    first = asyncio.create_task(complete(api, begun))
    await reached.wait()
    for answer in await asyncio.gather(*(complete(api, begun) for _ in range(3))):
        refused(answer, 409, "request_in_flight")
    go_on.set()
    assert (await first).status_code == 202
    assert (await complete(api, begun)).content == (await first).content
    assert await api.count(Document, Version, Job) == [1, 1, 1]
    assert await settled(api, s3) == await named(api.rt)


@pytest.mark.s3
async def test_an_address_is_of_no_use_after_the_end(api: Api, s3: S3Store) -> None:
    begun, other = await begin(api), await begin(api)
    await send(begun, TEXT)
    body = (await complete(api, begun)).json()
    assert (await put(begun["parts"][0], TEXT[::-1])).status_code >= 400
    content = await api.client.get(f"/v1/documents/{body['document']['id']}/content")
    assert content.content == TEXT
    assert (await abort(api, other)).status_code == 204
    await objects.sweep(api.rt)
    assert (await put(other["parts"][0], TEXT)).status_code >= 400
    assert in_bucket(s3) == await named(api.rt)


# -- refused -------------------------------------------------------------------------------------------------


@pytest.mark.s3
@pytest.mark.parametrize(
    ("given", "status", "code"),
    [
        ({"size": 0}, 422, "empty_file"),
        ({"size": -1}, 422, "invalid_request"),
        ({"size": 1024 * MIB + 1}, 413, "too_large"),
        ({"size": 10**30}, 413, "too_large"),
        ({"filename": ""}, 422, "invalid_request"),
        ({"sha256": "12"}, 422, "invalid_request"),
        ({"unknown": 1}, 422, "invalid_request"),
        ({"metadata": [1]}, 422, "invalid_request"),
        ({"metadata": {"a": "x" * 70_000}}, 413, "too_large"),
        ({"collection": ".."}, 422, "bad_collection_name"),
        ({"collection": "col_unknown"}, 404, "collection_not_found"),
        ({"callback_url": "ftp://example.org/"}, 422, "url_not_allowed"),
    ],
)
async def test_what_would_be_refused_at_the_end_is_refused_at_the_beginning(
    api: Api, s3: S3Store, given: dict[str, Any], status: int, code: str
) -> None:
    answer = await api.client.post("/v1/uploads", json={"filename": "a.txt", "size": 5} | given)
    refused(answer, status, code)
    assert await settled(api, s3) == set()


@pytest.mark.s3
@pytest.mark.parametrize(
    ("content", "filename", "fields", "status", "code"),
    [
        (TEXT + b"!", "a.txt", {"size": len(TEXT)}, 422, "size_mismatch"),
        (TEXT[:-1], "a.txt", {"size": len(TEXT)}, 422, "size_mismatch"),
        (TEXT, "a.txt", {"sha256": "0" * 64}, 422, "checksum_mismatch"),
        (PNG, "a.pdf", {}, 422, "type_mismatch"),
        (PNG, "a.png", {}, 415, "unsupported_type"),
    ],
)
async def test_bytes_that_are_refused_are_gone(
    api: Api, s3: S3Store, content: bytes, filename: str, fields: dict[str, Any], status: int, code: str
) -> None:
    begun = await begin(api, content, filename, **fields)
    assert (await put(begun["parts"][0], content)).status_code == 200  # this server does not check what is signed
    refused(await complete(api, begun), status, code)
    assert await objects.sweep(api.rt) == 1, "at once, not in an hour"
    assert in_bucket(s3) == set()
    refused(await complete(api, begun), 404, "upload_not_found")
    assert await api.count(Document, DirectUpload, UnownedObject, IdempotencyKey) == [0, 0, 0, 0]


@pytest.mark.s3
async def test_a_declared_hash_that_is_right_is_no_hindrance(api: Api) -> None:
    assert (await uploaded(api, sha256=hashlib.sha256(TEXT).hexdigest().upper())).status_code == 202


@pytest.mark.s3
async def test_a_size_over_a_limit_that_was_lowered_since(api: Api, s3: S3Store) -> None:
    begun = await begin(api)
    await send(begun, TEXT)
    lowered = api.rt.settings.model_copy(update={"max_upload_bytes": len(TEXT) - 1})
    async with serving(replace(api.rt, settings=lowered)) as other:
        other.client.headers["Authorization"] = api.client.headers["Authorization"]
        refused(await complete(other, begun), 413, "too_large")
    assert await settled(api, s3) == set()


@pytest.mark.s3
async def test_an_aborted_upload_is_deleted(api: Api, s3: S3Store) -> None:
    begun = await begin(api)
    await send(begun, TEXT)
    assert (await abort(api, begun)).status_code == 204
    refused(await complete(api, begun), 404, "upload_not_found")
    refused(await abort(api, begun), 404, "upload_not_found")
    assert await objects.sweep(api.rt) == 1
    assert in_bucket(s3) == set()
    assert await api.count(DirectUpload, UnownedObject) == [0, 0]


@pytest.mark.s3
async def test_an_abort_while_it_is_being_completed_wins(
    api: Api, s3: S3Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = await begin(api)
    await send(begun, TEXT)
    inspect_stored = uploads.inspect_stored

    async def aborted(*given: Any) -> Any:
        seen = await inspect_stored(*given)
        assert (await abort(api, begun)).status_code == 204
        return seen

    monkeypatch.setattr(presigned_uploads, "inspect_stored", aborted)
    refused(await complete(api, begun), 503, "store_unavailable")
    refused(await complete(api, begun), 404, "upload_not_found")
    assert await api.count(Document) == [0]
    assert await settled(api, s3) == set()


@pytest.mark.s3
async def test_an_expired_upload_is_unknown_and_deleted(api: Api, s3: S3Store) -> None:
    begun = await begin(api)
    await send(begun, TEXT)
    await api.rt.execute(update(DirectUpload).values(expires_at=func.now()))
    for answer in (await complete(api, begun), await abort(api, begun)):
        refused(answer, 404, "upload_not_found")
    assert await objects.sweep(api.rt) == 0, "a completion that began in time may be under way"
    assert await settled(api, s3) == set()


@pytest.mark.s3
async def test_it_stays_for_an_hour_and_no_longer(api: Api) -> None:
    begun = await begin(api)
    async with api.rt.sessions() as session:
        left = select(func.extract("epoch", UnownedObject.delete_at - func.now()))
        assert 3600 < (await session.scalars(left)).one() <= 3660
        expires_at = (await session.scalars(select(DirectUpload.expires_at))).one()
    assert begun["expires_at"] == expires_at.isoformat().replace("+00:00", "Z")
    assert "X-Amz-Expires=3600" in begun["parts"][0]["url"]


async def test_a_store_on_disk_says_where_to_send_it_instead(alice: Person) -> None:
    answer = await alice.client.post("/v1/uploads", json={"filename": "a.txt", "size": 5})
    refused(answer, 409, "direct_upload_unavailable")
    assert "PUT /v1/uploads/{filename}" in answer.json()["detail"]


@pytest.mark.s3
async def test_another_tenants_upload_is_an_unknown_one(api: Api, s3: S3Store) -> None:
    begun = await begin(api)
    await send(begun, TEXT)
    async with serving(api.rt) as theirs:
        for answer in (await complete(theirs, begun), await abort(theirs, begun)):
            refused(answer, 404, "upload_not_found")
    assert (await complete(api, begun)).status_code == 202


# -- killed, frozen, away ------------------------------------------------------------------------------------

KILLED = """
import asyncio, os, signal, sys
from footnote.documents import presigned_uploads
from footnote.runtime import open_runtime
from footnote.settings import Settings

async def main():
    async with open_runtime(Settings(), pool_size=3) as rt:
        tenant_id, upload_id = sys.argv[1:]
        async with presigned_uploads.arrived(rt.for_tenant(tenant_id), upload_id):
            os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(main())
"""


@pytest.mark.s3
@pytest.mark.parametrize("again", [True, False])
async def test_killed_before_its_commit_it_can_be_completed_again_or_is_swept_away(
    api: Api, s3: S3Store, again: bool
) -> None:
    begun = await begin(api)
    await send(begun, TEXT)
    given = {"DATABASE_URL": str(api.rt.settings.database_url), "STORAGE_URL": f"s3://{s3.bucket}/{s3.prefix}"}
    program = [sys.executable, "-c", KILLED, api.tenant_id, begun["upload_id"]]
    ended = await asyncio.to_thread(subprocess.run, program, env=os.environ | given, timeout=30)
    assert ended.returncode == -9
    assert len(in_bucket(s3)) == 1
    assert parts_left(s3) == []
    assert await found(api) == []
    if again:
        assert (await complete(api, begun)).status_code == 202
    assert await settled(api, s3) == await named(api.rt)
    assert len(in_bucket(s3)) == again
    assert await found(api) == []


@pytest.mark.s3
async def test_an_answer_that_postgres_could_not_commit_may_be_asked_for_again(
    api: Api, s3: S3Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = await begin(api)
    await send(begun, TEXT)
    accept = documents.accept

    async def unlucky(*given: Any, **named: Any) -> Any:
        await accept(*given, **named)
        raise Unavailable("database_unavailable")

    monkeypatch.setattr(documents, "accept", unlucky)
    refused(await complete(api, begun), 503, "database_unavailable")
    monkeypatch.setattr(documents, "accept", accept)
    assert await objects.sweep(api.rt) == 0
    assert (await complete(api, begun)).status_code == 202
    assert await settled(api, s3) == await named(api.rt)


async def failing_sign(*_: Any) -> Any:
    raise Unavailable("store_unavailable")


@pytest.mark.s3
async def test_a_beginning_that_fails_leaves_nothing(api: Api, s3: S3Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s3.parts, "sign", failing_sign)
    answer = await api.client.post("/v1/uploads", json={"filename": "a.txt", "size": 5})
    refused(answer, 503, "store_unavailable")
    assert len(parts_left(s3)) == 1
    assert await objects.sweep(api.rt) == 1
    assert in_bucket(s3) == set()


@pytest.mark.s3
async def test_a_long_look_at_the_bytes_is_not_overtaken_by_the_sweep(
    api: Api, s3: S3Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    hold_often(monkeypatch)
    begun = await begin(api)
    await send(begun, TEXT)
    inspect_stored = uploads.inspect_stored

    async def slow(rt: Runtime, key: str, filename: str) -> Any:
        for _ in range(3):
            await given_more_time(rt, key)
            assert await objects.sweep(rt) == 0
        return await inspect_stored(rt, key, filename)

    monkeypatch.setattr(presigned_uploads, "inspect_stored", slow)
    assert (await complete(api, begun)).status_code == 202
    assert await settled(api, s3) == await named(api.rt)


@pytest.mark.s3
async def test_the_audit_knows_one_in_progress_from_one_that_was_left(api: Api, s3: S3Store) -> None:
    begun = await begin(api)
    assert await found(api, fix=True) == []
    await send(begun, TEXT)
    assert await found(api, fix=True) == []
    assert len(in_bucket(s3)) == 1
    await api.rt.execute(delete(UnownedObject))
    assert await found(api) == ["object_without_row"]
    assert await found(api, fix=True) == ["object_without_row"]
    assert in_bucket(s3) == set()
