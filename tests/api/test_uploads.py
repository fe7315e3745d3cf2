"""Uploads: what is taken, what is refused, and that a refusal leaves nothing behind."""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from sqlalchemy import func, select

from footnote.documents import objects, uploads
from footnote.errors import DatabaseUnavailable
from footnote.models import Document, Job, Version
from footnote.runtime import Runtime
from tests.conftest import Person

pytestmark = pytest.mark.anyio
TEXT = b"The lamp is lit half an hour before sunset."
PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 8
BOUNDARY = "x-boundary-x"
MULTIPART = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}


def part(name: str, content: bytes, *, disposition: bytes | None = None) -> bytes:
    shown = disposition if disposition is not None else f'form-data; name="{name}"'.encode()
    return b"--" + BOUNDARY.encode() + b"\r\nContent-Disposition: " + shown + b"\r\n\r\n" + content + b"\r\n"


def file_part(content: bytes = TEXT, filename: bytes = b"notes.txt") -> bytes:
    return part("file", content, disposition=b'form-data; name="file"; filename="' + filename + b'"')


END = b"--" + BOUNDARY.encode() + b"--\r\n"


async def pieces(body: bytes, size: int = 7) -> AsyncIterator[bytes]:
    for start in range(0, len(body), size):
        yield body[start : start + size]


def stored(rt: Runtime) -> list[Path]:
    directory = Path(rt.settings.storage_location.removeprefix("file://"))
    return [path for path in directory.rglob("*") if path.is_file()]


async def settled(rt: Runtime) -> list[Path]:
    """What stays in the store once unowned objects are swept away."""
    while await objects.sweep(rt):
        pass
    return stored(rt)


async def counted(rt: Runtime) -> int:
    async with rt.transaction() as session:
        return sum([await session.scalar(select(func.count()).select_from(t)) or 0 for t in (Document, Version, Job)])


async def refused(rt: Runtime, answer: httpx2.Response, status: int, code: str) -> dict[str, Any]:
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert await settled(rt) == []
    assert await counted(rt) == 0
    body: dict[str, Any] = answer.json()
    return body


# -- taken ---------------------------------------------------------------------------------------------------


async def test_an_upload_is_answered_with_the_document_and_its_job(rt: Runtime, alice: Person) -> None:
    answer = await alice.client.post(
        "/v1/documents",
        files={"file": ("notes.txt", TEXT)},
        data={"metadata": '{"year": 1874}', "external_id": "n-1", "collection": "lights"},
    )
    assert answer.status_code == 202
    body = answer.json()
    assert set(body) == {"document", "job", "deduplicated"}
    assert answer.headers["location"] == f"/v1/jobs/{body['job']['id']}"
    document = body["document"]
    assert document["id"].startswith("doc_")
    assert body["job"]["id"].startswith("job_")
    expected = {
        "collection": "lights",
        "external_id": "n-1",
        "filename": "notes.txt",
        "media_type": "text/plain",
        "status": "queued",
        "version": 1,
        "pages": None,
        "chunks": None,
        "bytes": len(TEXT),
        "sha256": hashlib.sha256(TEXT).hexdigest(),
        "metadata": {"year": 1874},
        "error": None,
        "job_id": body["job"]["id"],
    }
    assert {name: document[name] for name in expected} == expected
    assert body["deduplicated"] is False
    assert [path.read_bytes() for path in await settled(rt)] == [TEXT]


async def test_the_same_bytes_again_keep_one_object(rt: Runtime, alice: Person) -> None:
    first = (await alice.client.post("/v1/documents", files={"file": ("a.txt", TEXT)})).json()
    again = (await alice.client.post("/v1/documents", files={"file": ("b.txt", TEXT)})).json()
    assert again["deduplicated"] is True
    assert again["document"]["id"] == first["document"]["id"]
    assert len(await settled(rt)) == 1


async def test_the_body_may_come_in_any_pieces_and_order(rt: Runtime, alice: Person) -> None:
    body = file_part() + part("metadata", b'{"k": "v"}') + part("external_id", b"e") + END
    for size in (1, 3, 64, 10_000):
        answer = await alice.client.post("/v1/documents", content=pieces(body, size), headers=MULTIPART)
        assert answer.status_code == 202, answer.text
        assert answer.json()["document"]["metadata"] == {"k": "v"}
        assert answer.json()["document"]["sha256"] == hashlib.sha256(TEXT).hexdigest()
    assert [path.read_bytes() for path in await settled(rt)] == [TEXT]


async def test_content_that_looks_like_boundaries_is_kept(rt: Runtime, alice: Person) -> None:
    tricky = b"\r\n--x-boundary\r\n--x-boundary-\r\n\r\n--\r--x-boundary-" * 50
    answer = await alice.client.post("/v1/documents", content=pieces(file_part(tricky) + END, 11), headers=MULTIPART)
    assert answer.status_code == 202, answer.text
    assert [path.read_bytes() for path in await settled(rt)] == [tricky]


@pytest.mark.parametrize(
    "metadata",
    [
        {"nul": "a\x00b"},
        {"line separators": "a\u2028b\u0085c\x0bd"},
        {"written escape": "\\u0000 and \\ud800"},
        {"controls": "\x01\x1f", "\x00": 1},
        {"big": 10**300, "small": 5e-324, "list": [{"a": [None, True, "é"]}]},
    ],
)
async def test_odd_but_valid_metadata_is_stored(rt: Runtime, alice: Person, metadata: dict[str, Any]) -> None:
    answer = await alice.client.post(
        "/v1/documents", files={"file": ("a.txt", TEXT)}, data={"metadata": json.dumps(metadata)}
    )
    assert answer.status_code == 202, answer.text
    kept = answer.json()["document"]["metadata"]
    assert len(kept) == len(metadata)
    if "written escape" in metadata:
        assert kept == metadata
    assert "\x00" not in json.dumps(kept, ensure_ascii=False)


@pytest.mark.parametrize("value", ["x" * 70_000, [1e308] * 300, [5e-324] * 300], ids=["text", "large", "small"])
async def test_metadata_is_bounded_as_it_is_kept(rt: Runtime, alice: Person, value: Any) -> None:
    metadata = {"a": value}
    asked = {"text": "The lamp is lit at dusk.", "metadata": metadata}
    answer = await alice.client.post("/v1/documents/text", json=asked)
    assert (answer.status_code, answer.json()["code"]) == (413, "too_large"), "however few bytes were sent"
    assert not await settled(rt)
    asked["metadata"] = {"a": value[:150]}
    accepted = await alice.client.post("/v1/documents/text", json=asked)
    assert accepted.status_code == 202, accepted.text
    changed = await alice.client.patch(
        f"/v1/documents/{accepted.json()['document']['id']}", json={"metadata": {"b": 1}}
    )
    assert changed.status_code == 200, "what was taken can be changed"


async def test_lone_surrogates_in_metadata_are_dropped(rt: Runtime, alice: Person) -> None:
    answer = await alice.client.post(
        "/v1/documents", files={"file": ("a.txt", TEXT)}, data={"metadata": '{"a": "x\\ud800y"}'}
    )
    assert answer.status_code == 202, answer.text
    assert answer.json()["document"]["metadata"] == {"a": "xy"}


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (b"../../etc/passwd.txt", "passwd.txt"),
        (b"C:\\\\Users\\\\me\\\\notes.txt", "notes.txt"),
        (b"/absolute.md", "absolute.md"),
        (b"", "document"),
        (b"..", "document"),
        (b" . ", "document"),
        ("Bericht für Zoë 東京 🌊.txt".encode(), "Bericht für Zoë 東京 🌊.txt"),
        (b"nul\x00byte.txt", "nulbyte.txt"),
        (b"bad\xffutf8.txt", "bad\ufffdutf8.txt"),
        ("right\u202eto-left.txt".encode(), "rightto-left.txt"),
        (b"a" * 3000 + b".txt", "a" * 243 + ".txt"),
    ],
)
async def test_filenames_lose_what_is_dangerous(rt: Runtime, alice: Person, given: bytes, kept: str) -> None:
    answer = await alice.client.post("/v1/documents", content=file_part(filename=given) + END, headers=MULTIPART)
    assert answer.status_code == 202, answer.text
    assert answer.json()["document"]["filename"] == kept
    [path] = await settled(rt)
    assert path.name.startswith("obj_")
    content = await alice.client.get(f"/v1/documents/{answer.json()['document']['id']}/content")
    assert content.status_code == 200
    assert "\n" not in content.headers["content-disposition"]


async def test_an_extended_filename_is_understood(rt: Runtime, alice: Person) -> None:
    disposition = b"form-data; name=\"file\"; filename*=utf-8''%E6%9D%B1%0d%0aX-Evil:%201.txt"
    body = part("file", TEXT, disposition=disposition) + END
    answer = await alice.client.post("/v1/documents", content=body, headers=MULTIPART)
    assert answer.status_code == 202, answer.text
    assert answer.json()["document"]["filename"].isprintable()


# -- refused -------------------------------------------------------------------------------------------------


async def test_a_missing_file(rt: Runtime, alice: Person) -> None:
    for body in (part("collection", b"x") + END, END):
        answer = await alice.client.post("/v1/documents", content=body, headers=MULTIPART)
        await refused(rt, answer, 422, "missing_file")


async def test_two_files(rt: Runtime, alice: Person) -> None:
    for second in (TEXT, b""):
        body = file_part() + file_part(second) + END
        await refused(
            rt, await alice.client.post("/v1/documents", content=body, headers=MULTIPART), 422, "too_many_files"
        )


async def test_an_empty_file(rt: Runtime, alice: Person) -> None:
    answer = await alice.client.post("/v1/documents", files={"file": ("a.txt", b"")})
    await refused(rt, answer, 422, "empty_file")


async def test_types(rt: Runtime, alice: Person) -> None:
    post = alice.client.post
    await refused(rt, await post("/v1/documents", files={"file": ("a.pdf", PNG)}), 422, "type_mismatch")
    await refused(rt, await post("/v1/documents", files={"file": ("a.png", PNG)}), 415, "unsupported_type")
    noise = bytes(range(256)) * 400  # over the bytes that a type is told from
    await refused(rt, await post("/v1/documents", files={"file": ("a.bin", noise)}), 415, "unsupported_type")
    lying = await post("/v1/documents", files={"file": ("a.pdf", PNG, "application/pdf")})
    await refused(rt, lying, 422, "type_mismatch")


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"metadata": "{"}, "metadata"),
        ({"metadata": "[1]"}, "metadata"),
        ({"metadata": '"text"'}, "metadata"),
        ({"metadata": '{"a": NaN}'}, "metadata"),
        ({"metadata": '{"a": -Infinity}'}, "metadata"),
        ({"metadata": '{"a": 1e400}'}, "metadata"),
        ({"metadata": '{"a": ' + "9" * 5000 + "}"}, "metadata"),
        ({"metadata": '{"a":' + "[" * 10_000 + "]" * 10_000 + "}"}, "metadata"),
        ({"metadata": '{"a":' * 900 + "1" + "}" * 900}, "metadata"),
        ({"unknown": "1"}, "unknown"),
        ({"": "1"}, ""),
        ({"external_id": "x" * 513}, "external_id"),
        ({"callback_url": "http://h/" + "x" * 2048}, "callback_url"),
        ({"collection": "x" * 64}, "collection"),
    ],
)
async def test_bad_fields(rt: Runtime, alice: Person, fields: dict[str, str], field: str) -> None:
    answer = await alice.client.post("/v1/documents", files={"file": ("a.txt", TEXT)}, data=fields)
    body = await refused(rt, answer, 422, "invalid_request")
    assert [each["field"] for each in body["errors"]] == [field]


async def test_fields_that_are_not_utf8(rt: Runtime, alice: Person) -> None:
    body = file_part() + part("external_id", b"\xff\xfe") + END
    answer = await alice.client.post("/v1/documents", content=body, headers=MULTIPART)
    await refused(rt, answer, 422, "invalid_request")


async def test_a_field_given_twice(rt: Runtime, alice: Person) -> None:
    body = part("collection", b"a") + part("collection", b"b") + file_part() + END
    answer = await alice.client.post("/v1/documents", content=body, headers=MULTIPART)
    await refused(rt, answer, 422, "invalid_request")


async def test_too_much_beside_the_file(rt: Runtime, alice: Person) -> None:
    many = b"".join(part(f"f{number}", b"") for number in range(40))
    for fields in (many, part("metadata", b" " * 70_000), part("n" * 3000, b"") * 30):
        answer = await alice.client.post("/v1/documents", content=fields + file_part() + END, headers=MULTIPART)
        assert answer.status_code in (413, 422), answer.text
        await refused(rt, answer, answer.status_code, answer.json()["code"])


@pytest.mark.parametrize("name", ["..", "a b", "-a", "é", "a/b", "col_unknown", "a\nb", "' OR 1=1"])
async def test_bad_collections(rt: Runtime, alice: Person, name: str) -> None:
    answer = await alice.client.post("/v1/documents", files={"file": ("a.txt", TEXT)}, data={"collection": name})
    assert answer.status_code == (404 if name.startswith("col_") else 422)
    await refused(rt, answer, answer.status_code, answer.json()["code"])


@pytest.mark.parametrize(
    "url", ["ftp://example.org/", "http://", "javascript:alert(1)", "http://u:p@h/", "http://[", "é"]
)
async def test_bad_callbacks(rt: Runtime, alice: Person, url: str) -> None:
    answer = await alice.client.post("/v1/documents", files={"file": ("a.txt", TEXT)}, data={"callback_url": url})
    await refused(rt, answer, 422, "url_not_allowed")


def _broken() -> dict[str, tuple[bytes, dict[str, str]]]:
    whole = file_part() + END
    return {
        "not multipart": (TEXT, {"Content-Type": "text/plain"}),
        "json": (b"{}", {"Content-Type": "application/json"}),
        "no type": (whole, {}),
        "no boundary": (whole, {"Content-Type": "multipart/form-data"}),
        "empty boundary": (whole, {"Content-Type": "multipart/form-data; boundary="}),
        "other boundary": (whole, {"Content-Type": "multipart/form-data; boundary=other"}),
        "long boundary": (whole, {"Content-Type": "multipart/form-data; boundary=" + "b" * 300}),
        "odd boundary": (whole, {"Content-Type": 'multipart/form-data; boundary="x\u00e9\u00ff"'}),
        "cut in the file": (file_part()[:-20], MULTIPART),
        "cut in the headers": (file_part()[:40], MULTIPART),
        "cut before the end": (file_part(), MULTIPART),
        "cut in the last boundary": (whole[:-5], MULTIPART),
        "nothing": (b"", MULTIPART),
        "garbage": (b"\r\n\x00\xff" * 100, MULTIPART),
        "many part headers": (whole.replace(b"\r\n\r\n", b"\r\n" + b"X: 1\r\n" * 40 + b"\r\n", 1), MULTIPART),
        "10k filename": (file_part(filename=b"n" * 10_000) + END, MULTIPART),
        "newline in the filename": (file_part(filename=b"a\r\nX-Evil: 1") + END, MULTIPART),
    }


@pytest.mark.parametrize("name", list(_broken()))
async def test_broken_multipart(rt: Runtime, alice: Person, name: str) -> None:
    body, headers = _broken()[name]
    for content in (body, pieces(body)):
        raw = [(key.encode(), value.encode("latin-1")) for key, value in headers.items()]
        answer = await alice.client.post("/v1/documents", content=content, headers=raw)
        if name == "newline in the filename" and answer.status_code == 202:
            assert answer.json()["document"]["filename"].isprintable()
            return
        assert answer.status_code == 422, answer.text
        await refused(rt, answer, 422, answer.json()["code"])


async def test_a_part_without_a_disposition(rt: Runtime, alice: Person) -> None:
    nameless = b"--" + BOUNDARY.encode() + b"\r\nContent-Type: text/plain\r\n\r\nx\r\n"
    answer = await alice.client.post("/v1/documents", content=nameless + file_part() + END, headers=MULTIPART)
    await refused(rt, answer, 422, "invalid_request")


async def test_a_client_that_leaves_in_the_middle(rt: Runtime, alice: Person) -> None:
    sent: list[Any] = []
    messages = [
        {"type": "http.request", "body": file_part()[:-10], "more_body": True},
        {"type": "http.disconnect"},
    ]

    async def receive() -> Any:
        return messages.pop(0)

    async def send(message: Any) -> None:
        sent.append(message)

    headers = [
        (b"content-type", MULTIPART["Content-Type"].encode()),
        (b"authorization", b"Bearer " + alice.key.encode()),
    ]
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "path": "/v1/documents",
        "raw_path": b"/v1/documents",
        "query_string": b"",
        "root_path": "",
        "scheme": "http",
        "headers": headers,
        "client": ("127.0.0.1", 1),
        "server": ("footnote", 80),
    }
    app = alice.client._transport.app  # type: ignore[attr-defined]
    await app(scope, receive, send)
    assert sent == [] or sent[0]["status"] < 500
    assert await settled(rt) == []
    assert await counted(rt) == 0


async def test_an_upload_that_is_cancelled(rt: Runtime, alice: Person) -> None:
    reached = asyncio.Event()

    async def slow() -> AsyncIterator[bytes]:
        yield file_part()[:-10]
        reached.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(alice.client.post("/v1/documents", content=slow(), headers=MULTIPART))
    await asyncio.wait_for(reached.wait(), 60)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await settled(rt) == []


async def test_nothing_is_left_when_the_database_refuses(
    rt: Runtime, alice: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def failing(*_args: Any, **_named: Any) -> None:
        raise DatabaseUnavailable

    monkeypatch.setattr("footnote.documents.accept", failing)
    answer = await alice.client.post("/v1/documents", files={"file": ("a.txt", TEXT)})
    await refused(rt, answer, 503, "database_unavailable")


def test_safe_filenames_stay_short() -> None:
    for given in ("x" * 300, "x" * 300 + "." + "y" * 300, "." * 300, "a." * 300, "\u0301" * 400, "ﷺ" * 400):
        assert 1 <= len(uploads.safe_filename(given)) <= 255
