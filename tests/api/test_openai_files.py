"""Files and uploads in parts, as OpenAI's client sends, lists, reads and deletes them."""

import hashlib
import os
import time
from typing import Any

import openai
import pytest
from sqlalchemy import update

from footnote.database.clock import from_now
from footnote.models import DirectUpload, File
from footnote.operations.consistency import audit
from tests import driving
from tests.api.openai_client import refused
from tests.api.openai_surface import Surface, surface
from tests.stored import in_store, named, settled
from worker import housekeeping

__all__ = ["surface"]  # a fixture

pytestmark = pytest.mark.anyio
UNKNOWN = "file-" + 26 * "0"


async def test_a_file_comes_back_as_it_was_sent(surface: Surface) -> None:
    client, before = surface.client, int(time.time())
    sent = await client.files.create(
        file=("notes/Über lamps.txt", b"The lamp was lit."),
        purpose="user_data",
        expires_after={"anchor": "created_at", "seconds": 3600},
    )
    assert (sent.object, sent.bytes, sent.filename, sent.purpose) == ("file", 17, "Über lamps.txt", "user_data")
    assert (sent.status, sent.id[:5]) == ("processed", "file-")
    assert before <= sent.created_at <= before + 60
    assert sent.expires_at == sent.created_at + 3600
    assert await client.files.retrieve(sent.id) == sent
    assert (await client.files.content(sent.id)).content == b"The lamp was lit."
    lasting = await client.files.with_raw_response.create(file=b"Bytes without a name.", purpose="assistants")
    told = lasting.http_response.json()
    assert told.keys() == {"id", "object", "bytes", "created_at", "filename", "purpose", "status"}, (
        "left out when unset"
    )
    assert told["filename"] == "upload"
    deleted = await client.files.delete(sent.id)
    assert (deleted.id, deleted.object, deleted.deleted) == (sent.id, "file", True)
    for look in (client.files.retrieve, client.files.content, client.files.delete):
        with pytest.raises(openai.NotFoundError):
            await look(sent.id)
    await client.files.delete(told["id"])


async def test_what_is_no_file_is_refused_and_leaves_nothing(surface: Surface) -> None:
    client, native = surface.client, surface.native
    wrong: list[tuple[dict[str, Any], str, str | None]] = [
        ({"file": ("a.txt", b""), "purpose": "assistants"}, "empty_file", None),
        ({"file": ("a.txt", b"x"), "purpose": "nothing"}, "invalid_value", "purpose"),
        (
            {"file": b"x", "purpose": "assistants", "expires_after": {"anchor": "created_at", "seconds": 60}},
            "invalid_value",
            "expires_after.seconds",
        ),
    ]
    for given, code, param in wrong:
        with pytest.raises(openai.BadRequestError) as caught:
            await client.files.create(**given)
        assert (caught.value.code, caught.value.param) == (code, param)
    path = "/openai/v1/files"
    refused(await native.post(path, files={"file": ("a.txt", b"x")}), 400, "missing_required_parameter", "purpose")
    missing = await native.post(path, data={"purpose": "assistants"}, files={"other": b"x"})
    refused(missing, 400, "missing_required_parameter", "file")
    refused(await native.post(path, json={}), 400, "bad_multipart")
    refused(await native.get(f"{path}/{UNKNOWN}"), 404, "not_found")
    refused(await native.get(f"{path}/vs_1"), 400, "invalid_value", "file_id")
    for query in ("limit=0", "limit=10001", "order=up"):
        refused(await native.get(f"{path}?{query}"), 400, "invalid_value", query.partition("=")[0])
    # Another type is stored all the same: what is wrong with it is said when it is attached.
    picture = await surface.send(b"\x89PNG\r\n\x1a\n", "a.png", purpose="vision")
    await client.files.delete(picture)
    assert await settled(surface.rt) == await named(surface.rt)


async def test_lists_have_files_and_native_documents_by_their_ids(surface: Surface) -> None:
    client, ids = surface.client, []
    for number in range(5):
        if number % 2:
            ids.append(await surface.send(f"File {number}.", purpose="batch" if number == 1 else "assistants"))
        else:
            document = await driving.ready(surface.rt, surface.ours.tenant, f"Native document {number}.")
            ids.append("file-" + document.removeprefix("doc_"))
    assert [each.id async for each in client.files.list(limit=2)] == ids[::-1], "the pager ends"
    assert [each.id async for each in client.files.list(limit=2, order="asc")] == ids
    page = await client.files.list(limit=3)
    assert (page.has_more, [each.id for each in page.data]) == (True, ids[:1:-1])
    assert [each.id async for each in client.files.list(purpose="batch")] == [ids[1]]
    async for each in client.files.list(limit=1, order="asc"):  # deletes what the next page begins behind
        if each.id in ids[:2]:
            await client.files.delete(each.id)
    assert [each.id async for each in client.files.list()] == ids[:1:-1]
    native = await client.files.retrieve(ids[2])
    assert (native.filename, native.purpose, native.bytes) == ("notes.txt", "assistants", 18)
    assert (await client.files.content(ids[2])).content == b"Native document 2."
    assert (await surface.native.get(f"/v1/documents/doc_{ids[0][5:]}")).status_code == 404, "deleted here, gone there"
    assert (await surface.native.delete(f"/v1/documents/doc_{ids[2][5:]}")).status_code == 200
    with pytest.raises(openai.NotFoundError):
        await client.files.retrieve(ids[2])
    assert [each.id async for each in surface.theirs.client.files.list()] == []
    for file_id in ids[3:]:
        for look in (surface.theirs.client.files.retrieve, surface.theirs.client.files.delete):
            with pytest.raises(openai.NotFoundError) as caught:
                await look(file_id)
            with pytest.raises(openai.NotFoundError) as unknown:
                await look(UNKNOWN)
            assert str(caught.value).replace(file_id, "") == str(unknown.value).replace(UNKNOWN, "")
        await client.files.delete(file_id)


async def test_a_file_is_made_once_for_an_idempotency_key(surface: Surface) -> None:
    async def send(content: bytes) -> openai.types.FileObject:
        given: Any = {"extra_headers": {"Idempotency-Key": "k"}}
        return await surface.client.files.create(file=("a.txt", content), purpose="assistants", **given)

    first = await send(b"Once.")
    assert await send(b"Once.") == first
    with pytest.raises(openai.BadRequestError) as caught:
        await send(b"Twice.")
    assert caught.value.code == "idempotency_key_reused"
    await surface.client.files.delete(first.id)
    with pytest.raises(openai.ConflictError) as conflict:
        await send(b"Once.")
    assert conflict.value.response.headers["x-should-retry"] == "false"


async def test_a_file_whose_time_is_over_is_deleted(surface: Surface) -> None:
    kept, over = [await surface.send(f"{word}.") for word in ("Kept", "Over")]
    async with surface.rt.transaction() as session:
        ended = update(File).where(File.id == over.replace("file-", "file_"))
        await session.execute(ended.values(expires_at=from_now(-1)))
    await housekeeping._expire(surface.rt.operator)
    assert [each.id async for each in surface.client.files.list()] == [kept]
    await surface.client.files.delete(kept)


# -- in parts ------------------------------------------------------------------------------------------------


async def test_a_file_is_sent_in_parts(surface: Surface) -> None:
    client, content = surface.client, os.urandom(300_000)
    done = await client.uploads.upload_file_chunked(
        file=content,
        filename="a.bin",
        bytes=len(content),
        mime_type="text/plain",
        purpose="assistants",
        part_size=1 << 17,
    )
    assert (done.object, done.status, done.bytes, done.filename) == ("upload", "completed", len(content), "a.bin")
    assert done.expires_at - done.created_at == 3600
    assert done.file
    assert (await client.files.content(done.file.id)).content == content
    assert await settled(surface.rt) == await named(surface.rt), "no part is left"

    begun = await client.uploads.create(bytes=6, filename="b.txt", mime_type="text/plain", purpose="batch")
    assert (begun.status, begun.file, begun.purpose) == ("pending", None, "batch")
    parts = [await client.uploads.parts.create(begun.id, data=each) for each in (b"def", b"abc", b"xyz")]
    assert {(each.object, each.upload_id) for each in parts} == {("upload.part", begun.id)}
    ids = [parts[1].id, parts[0].id]
    mistakes: list[tuple[dict[str, Any], str]] = [
        ({"part_ids": ids[:1]}, "size_mismatch"),
        ({"part_ids": [*ids, "part_1"]}, "unknown_part"),
        ({"part_ids": ids, "md5": 32 * "0"}, "checksum_mismatch"),
    ]
    for given, code in mistakes:
        with pytest.raises(openai.BadRequestError) as caught:
            await client.uploads.complete(begun.id, **given)
        assert caught.value.code == code
    with pytest.raises(openai.NotFoundError):
        await surface.theirs.client.uploads.cancel(begun.id)
    md5 = hashlib.md5(b"abcdef", usedforsecurity=False).hexdigest()
    whole = await client.uploads.complete(begun.id, part_ids=ids, md5=md5)
    assert whole.file
    assert (await client.files.content(whole.file.id)).content == b"abcdef", "in the order of the ids"
    assert await client.uploads.complete(begun.id, part_ids=ids, md5=md5) == whole, "a lost answer"
    with pytest.raises(openai.BadRequestError):
        await client.uploads.parts.create(begun.id, data=b"late")
    assert await settled(surface.rt) == await named(surface.rt)
    for upload in (done, whole):
        assert upload.file
        await client.files.delete(upload.file.id)


async def test_an_upload_that_is_cancelled_or_expired_takes_nothing_more(surface: Surface) -> None:
    client, rt = surface.client, surface.rt
    for status in ("cancelled", "expired"):
        begun = await client.uploads.create(bytes=3, filename="a.txt", mime_type="text/plain", purpose="assistants")
        part = await client.uploads.parts.create(begun.id, data=b"abc")
        if status == "cancelled":
            assert (await client.uploads.cancel(begun.id)).status == status
        else:
            async with rt.transaction() as session:
                over = update(DirectUpload).where(DirectUpload.id == begun.id)
                await session.execute(over.values(expires_at=from_now(-1)))
        for attempt in (
            client.uploads.parts.create(begun.id, data=b"abc"),
            client.uploads.complete(begun.id, part_ids=[part.id]),
            client.uploads.cancel(begun.id),
        ):
            with pytest.raises(openai.BadRequestError) as caught:
                await attempt
            assert caught.value.code == f"upload_{status}"
        native = await surface.native.post(f"/v1/uploads/{begun.id}/complete")
        assert native.status_code in (404, 409), "it is no direct upload"
    for mistake in ({"bytes": 0}, {"purpose": "x"}, {"bytes": rt.settings.max_upload_bytes + 1}):
        given: Any = {"bytes": 3, "filename": "a", "mime_type": "text/plain", "purpose": "assistants"} | mistake
        with pytest.raises(openai.APIStatusError) as refusal:
            await client.uploads.create(**given)
        assert refusal.value.status_code in (400, 413)
    assert await settled(rt) == await named(rt) == await in_store(rt)
    assert [each async for each in audit(rt, fix=False)] == []
