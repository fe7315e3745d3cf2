"""Uploads without a form, as text, and several at once."""

from typing import Any

import pytest

from footnote.models import Document
from footnote.runtime import Runtime
from tests import driving
from tests.api.test_uploads import PNG, TEXT, counted, settled
from tests.conftest import Person

pytestmark = pytest.mark.anyio


def many(*files: tuple[str, bytes]) -> list[tuple[str, tuple[str, bytes]]]:
    return [("file", file) for file in files]


async def document(rt: Runtime, accepted: dict[str, Any]) -> Document:
    return await driving.document_of(rt, accepted["document"]["id"])


async def test_a_bare_body_is_a_document_known_by_its_name(rt: Runtime, alice: Person) -> None:
    query = {"collection": "notes", "metadata": '{"year": 2020}'}
    first = await alice.client.put("/v1/uploads/lamp%20notes.txt", content=TEXT, params=query)
    assert first.status_code == 202, first.text
    stored = await document(rt, first.json())
    assert (stored.filename, stored.external_id, stored.attributes) == (
        "lamp notes.txt",
        "lamp notes.txt",
        {"year": 2020},
    )
    assert [path.read_bytes() for path in await settled(rt)] == [TEXT]
    again = await alice.client.put("/v1/uploads/lamp%20notes.txt", content=TEXT + b" Or not.", params=query)
    assert (again.json()["document"]["id"], again.json()["document"]["version"]) == (stored.id, 2)


@pytest.mark.parametrize(
    ("path", "content", "status", "code"),
    [
        ("a.txt?metadata=[1]", TEXT, 422, "invalid_request"),
        ("a.txt?metadata=%7B", TEXT, 422, "invalid_request"),
        ("a.txt?collection=", TEXT, 422, "invalid_request"),
        ("a.txt", b"", 422, "empty_file"),
        ("a.pdf", TEXT, 422, "type_mismatch"),
        ("a.png", PNG, 415, "unsupported_type"),
    ],
)
async def test_bad_bare_bodies(rt: Runtime, alice: Person, path: str, content: bytes, status: int, code: str) -> None:
    answer = await alice.client.put(f"/v1/uploads/{path}", content=content)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert (await settled(rt), await counted(rt)) == ([], 0)


async def test_a_text_is_a_document(rt: Runtime, alice: Person) -> None:
    body = {"text": "# Lamps\n\nThe lamp is lit at dusk. 💡", "filename": "lamps.md", "external_id": "l"}
    answer = await alice.client.post("/v1/documents/text", json=body)
    assert answer.status_code == 202, answer.text
    assert answer.headers["location"] == f"/v1/jobs/{answer.json()['job']['id']}"
    assert answer.json()["document"]["media_type"] == "text/markdown"
    job = await driving.run(rt, answer.json()["job"]["id"])
    (chunk,) = await driving.chunks_of(rt, job.document_id)
    assert (chunk.heading, chunk.text) == ("Lamps", "# Lamps\n\nThe lamp is lit at dusk. 💡")


@pytest.mark.parametrize(
    "body",
    [{}, {"text": ""}, {"text": "a", "filename": ""}, {"text": "a", "metadata": [1]}, {"text": "a", "colour": 1}],
)
async def test_bad_texts(rt: Runtime, alice: Person, body: dict[str, Any]) -> None:
    answer = await alice.client.post("/v1/documents/text", json=body)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")
    assert await counted(rt) == 0


async def test_a_long_text_is_accepted_and_an_endless_one_is_not(rt: Runtime, alice: Person) -> None:
    long = await alice.client.post("/v1/documents/text", json={"text": "lamp " * 400_000})
    assert long.status_code == 202
    endless = await alice.client.post("/v1/documents/text", json={"text": "lamp " * 1_000_000})
    assert (endless.status_code, endless.json()["code"]) == (413, "too_large")


async def test_each_file_of_a_batch_is_accepted_or_rejected_on_its_own(rt: Runtime, alice: Person) -> None:
    files = many(("a.txt", TEXT), ("b.png", PNG), ("c.txt", b""), ("../d.md", b"# D\n\nText."), ("again.txt", TEXT))
    answer = await alice.client.post("/v1/documents/batch", files=files, data={"collection": "mixed"})
    assert answer.status_code == 202, answer.text
    results = answer.json()["data"]
    assert [each["filename"] for each in results] == ["a.txt", "b.png", "c.txt", "d.md", "again.txt"]
    assert [each["error"] and each["error"]["code"] for each in results] == [
        None, "unsupported_type", "empty_file", None, None,
    ]  # fmt: skip
    assert results[1]["error"]["status"] == 415
    assert (results[4]["deduplicated"], results[4]["document"]["id"]) == (True, results[0]["document"]["id"])
    assert {each["document"]["collection"] for each in results if each["document"]} == {"mixed"}
    assert len(await settled(rt)) == 2


@pytest.mark.parametrize(
    ("files", "data", "code"),
    [
        ([], {"collection": "a"}, "missing_file"),
        (many(*[(f"{n}.txt", b"x") for n in range(101)]), {}, "too_many_files"),
        (many(("a.txt", TEXT)), {"colour": "red"}, "invalid_request"),
        (many(("a.txt", TEXT)), {"callback_url": "ftp://example.org/"}, "url_not_allowed"),
    ],
)
async def test_a_bad_batch_leaves_nothing(
    rt: Runtime, alice: Person, files: list[Any], data: dict[str, str], code: str
) -> None:
    answer = await alice.client.post("/v1/documents/batch", files=files or {"x": (None, b"y")}, data=data)
    assert (answer.status_code, answer.json()["code"]) == (422, code)
    assert (await settled(rt), await counted(rt)) == ([], 0)


async def test_a_batch_is_done_once_under_its_key(rt: Runtime, alice: Person) -> None:
    files, key = many(("a.txt", TEXT), ("b.png", PNG)), {"Idempotency-Key": "k1"}
    first = await alice.client.post("/v1/documents/batch", files=files, headers=key)
    again = await alice.client.post("/v1/documents/batch", files=files, headers=key)
    assert again.json() == first.json()
    assert again.headers["idempotent-replayed"] == "true"
    other = await alice.client.post("/v1/documents/batch", files=many(("a.txt", b"other")), headers=key)
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")
    gone = first.json()["data"][0]["document"]["id"]
    assert (await alice.client.delete(f"/v1/documents/{gone}")).status_code == 200
    late = await alice.client.post("/v1/documents/batch", files=files, headers=key)
    assert (late.status_code, late.json()["code"]) == (409, "document_deleted")
