"""Files that were refused at upload are listed with the reason, for every way of uploading."""

from io import BytesIO
from typing import Any

import pytest
from sqlalchemy import update

from footnote.database.clock import from_now
from footnote.documents import refused_uploads
from footnote.models import RefusedUpload
from footnote.runtime import Runtime
from tests.api.test_audit_log import Parts
from tests.api.test_headers import api_with
from tests.conftest import Person

pytestmark = pytest.mark.anyio
PROGRAM = b"\x7fELF" + bytes(range(256)) * 8


async def listed(person: Person, **params: Any) -> list[tuple[str, str]]:
    answer = await person.client.get("/v1/documents/refused", params=params)
    assert answer.status_code == 200, answer.text
    return [(each["filename"], each["code"]) for each in answer.json()["data"]]


async def test_every_way_to_upload(alice: Person, bob: Person, charlie: Person) -> None:
    def file(name: str, content: bytes) -> dict[str, Any]:
        return {"files": {"file": (name, content)}}

    sent = [
        alice.client.post("/v1/documents", **file("empty.txt", b"")),
        alice.client.post("/v1/documents", **file("program.exe", PROGRAM)),
        alice.client.put("/v1/uploads/bare.pdf", content=b"no pdf at all"),
    ]
    answers = [await each for each in sent]
    assert all(each.is_client_error for each in answers)
    batch = await alice.client.post("/v1/documents/batch", files=[("file", ("b.txt", b"")), ("file", ("c.txt", b"c"))])
    assert [("error" in each and each["error"] is not None) for each in batch.json()["data"]] == [True, False]
    codes = [each.json()["code"] for each in answers]
    names = ["empty.txt", "program.exe", "bare.pdf"]
    assert await listed(alice) == [("b.txt", "empty_file"), *reversed(list(zip(names, codes, strict=True)))]
    assert await listed(bob) == await listed(alice), "a reader of the tenant sees them"
    assert await listed(charlie) == []
    page = (await alice.client.get("/v1/documents/refused", params={"limit": 3})).json()
    assert await listed(alice, cursor=page["next_cursor"]) == [("empty.txt", "empty_file")]
    first = page["data"][0]
    assert first["request_id"] == batch.headers["x-request-id"]
    assert first["message"] == batch.json()["data"][0]["error"]["detail"]
    log = (await alice.client.get("/v1/audit", params={"action": "upload.refused"})).json()["data"]
    assert log[0]["details"] == {"code": "empty_file"}
    assert len(log) == 4


async def test_a_file_that_is_too_large_is_named(rt: Runtime, alice: Person) -> None:
    async with api_with(rt, alice, max_upload_bytes=1000) as client:
        for content in (b"a" * 1001, b"a" * 1_000_000):  # over the limit of the file, and of any body
            answer = await client.post("/v1/documents", files={"file": ("large.txt", BytesIO(content))})
            assert (answer.status_code, answer.json()["code"]) == (413, "too_large")
            answer = await client.put("/v1/uploads/large.txt", content=content)
            assert (answer.status_code, answer.json()["code"]) == (413, "too_large")
    assert await listed(alice) == [("large.txt", "too_large")] * 4


async def test_a_direct_upload(rt: Runtime, alice: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(type(rt.store), "parts", property(Parts))
    assert (await alice.client.post("/v1/uploads", json={"filename": "no.txt", "size": 0})).status_code == 422
    wrong = {"filename": "a.txt", "size": 4, "sha256": "0" * 64}
    begun = (await alice.client.post("/v1/uploads", json=wrong)).json()
    done = await alice.client.post(f"/v1/uploads/{begun['upload_id']}/complete")
    assert done.json()["code"] == "checksum_mismatch", done.text
    assert await listed(alice) == [("a.txt", "checksum_mismatch"), ("no.txt", "empty_file")]


async def test_what_is_wrong_with_the_request_or_only_tried_is_not_listed(alice: Person, bob: Person) -> None:
    file = {"file": ("empty.txt", b"")}
    assert (await alice.client.post("/v1/documents/estimate", files=file)).status_code == 422
    assert (await bob.client.post("/v1/documents", files=file)).status_code == 403
    assert (await alice.client.post("/v1/documents", files={"wrong": ("a.txt", b"a")})).status_code == 422
    text = {"file": ("a.txt", b"a")}
    assert (await alice.client.post("/v1/documents", files=text, data={"wrong": "a"})).status_code == 422
    assert await listed(alice) == []


async def test_the_list_is_bounded_in_number_and_age(
    rt: Runtime, alice: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(refused_uploads, "MOST", 3)
    for number in range(5):
        await alice.client.post("/v1/documents", files={"file": (f"{number}.txt", b"")})
    assert [name for name, _ in await listed(alice)] == ["4.txt", "3.txt", "2.txt"]
    async with rt.transaction() as session:
        old = update(RefusedUpload).where(RefusedUpload.filename == "2.txt")
        await session.execute(old.values(created_at=from_now(-refused_uploads.STORED_SECONDS - 60)))
        await refused_uploads.purge(session)
    assert [name for name, _ in await listed(alice)] == ["4.txt", "3.txt"]
