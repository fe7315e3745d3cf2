"""Stores: an object is there whole or not at all, on disk and in S3."""

import asyncio
import os
import resource
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from botocore.exceptions import ClientError

from footnote.errors import DocumentRejected, Invalid, Unavailable
from footnote.settings import Settings
from footnote.storage import PART, UNFINISHED, LocalStore, ObjectWriter, S3Store, S3Writer, Store, open_store, writing

pytestmark = pytest.mark.anyio

MIB = 1024 * 1024


class Crash(Exception): ...


async def write(store: Store, key: str, *pieces: bytes, crash: bool = False) -> None:
    async with writing(store, key) as out:
        for piece in pieces:
            await out.write(piece)
        if crash:
            raise Crash


async def content_of(store: Store, key: str) -> bytes:
    return b"".join([piece async for piece in store.read(key)])


def files(directory: Path) -> list[str]:
    return sorted(str(path.relative_to(directory)) for path in directory.rglob("*") if path.is_file())


@pytest.fixture
def local(tmp_path: Path) -> LocalStore:
    return LocalStore(tmp_path)


# -- on disk -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["plain", "My Documents", "C# files", "why?", "100%", "Überseegrammatik"])
async def test_a_folder_of_any_name_is_found_by_its_url(tmp_path: Path, name: str) -> None:
    settings = Settings(_env_file=None, data_dir=tmp_path / name)
    await write(open_store(settings.storage_location), "objects/t/o", b"x")
    assert files(tmp_path) == [f"{name}/objects/objects/t/o"]


async def test_a_folder_that_was_made_by_an_encoded_name_is_used_on(tmp_path: Path) -> None:
    old = tmp_path / "My%20Documents" / "objects"
    old.mkdir(parents=True)
    (tmp_path / "My Documents").mkdir()
    await write(open_store((tmp_path / "My Documents" / "objects").as_uri()), "objects/t/o", b"x")
    assert files(old) == ["objects/t/o"]


async def test_an_object_appears_whole_when_it_is_committed(local: LocalStore, tmp_path: Path) -> None:
    async with writing(local, "objects/t/o") as out:
        await out.write(b"one ")
        await out.write(b"two")
        with pytest.raises(DocumentRejected, match="object_missing"):
            await content_of(local, "objects/t/o")
    assert await content_of(local, "objects/t/o") == b"one two"
    async with local.local_copy("objects/t/o") as path:
        assert path.read_bytes() == b"one two"
    assert files(tmp_path) == ["objects/t/o"]


async def test_a_writer_that_is_aborted_leaves_nothing(local: LocalStore, tmp_path: Path) -> None:
    with pytest.raises(Crash):
        await write(local, "o", b"x" * MIB, crash=True)
    assert files(tmp_path) == []


async def test_a_writer_that_is_cancelled_leaves_nothing(local: LocalStore, tmp_path: Path) -> None:
    begun = asyncio.Event()

    async def write() -> None:
        async with writing(local, "o") as out:
            await out.write(b"x")
            begun.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(write())
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert files(tmp_path) == []


async def test_a_failed_rewrite_keeps_the_object_as_it_was(local: LocalStore) -> None:
    await write(local, "o", b"old")
    with pytest.raises(Crash):
        await write(local, "o", b"new", crash=True)
    assert await content_of(local, "o") == b"old"


@pytest.fixture
def full_disk() -> Iterator[None]:
    """No file may grow beyond 64 kB."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (64 * 1024, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("pieces", [[b"x" * 100_000], [b"x" * 60_000, b"x" * 5_000, b"x" * 2_000]])
async def test_a_full_disk_is_a_store_that_is_away_and_keeps_no_half_file(
    local: LocalStore, tmp_path: Path, full_disk: None, pieces: list[bytes]
) -> None:
    """The second case fits until the buffer is written out, at the commit."""
    with pytest.raises(Unavailable, match="store_unavailable"):
        await write(local, "o", *pieces)
    assert files(tmp_path) == []


async def test_what_is_not_there_is_missing_and_may_be_deleted(local: LocalStore) -> None:
    with pytest.raises(DocumentRejected, match="object_missing"):
        await content_of(local, "nothing")
    with pytest.raises(DocumentRejected, match="object_missing"):
        async with local.local_copy("nothing"):
            raise AssertionError
    await local.delete("nothing")


async def test_the_check_makes_the_directory_and_notices_when_that_fails(tmp_path: Path) -> None:
    await LocalStore(tmp_path / "new").check()
    assert (tmp_path / "new").is_dir()
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(Unavailable, match="store_unavailable"):
        await LocalStore(tmp_path / "file").check()


async def keys_of(store: Store, folder: str) -> list[str]:
    return sorted([key async for key in store.keys(folder)])


async def begin(store: Store, key: str, *pieces: bytes) -> ObjectWriter:
    """A writer that will never end, with nothing of it under way any more."""
    writer = await store.open_writer(key)
    for piece in pieces:
        await writer.write(piece)
    if isinstance(writer, S3Writer):
        await asyncio.gather(*writer._parts)
    return writer


async def test_an_object_exists_from_its_commit_to_its_deletion(local: LocalStore) -> None:
    writer = await begin(local, "objects/t/o", b"x")
    assert not await local.exists("objects/t/o")
    await writer.commit()
    assert await local.exists("objects/t/o")
    assert not await local.exists("objects/t")
    await local.delete("objects/t/o")
    assert not await local.exists("objects/t/o")


async def test_a_small_object_is_written_in_one_thread(local: LocalStore, monkeypatch: pytest.MonkeyPatch) -> None:
    works = []
    to_thread = asyncio.to_thread

    async def noting(work: Any, *given: Any) -> Any:
        works.append(work)
        return await to_thread(work, *given)

    monkeypatch.setattr(asyncio, "to_thread", noting)
    async with writing(local, "objects/t/o") as out:
        await out.write(b"all of it", last=True)
    assert len(works) == 1
    assert b"".join([piece async for piece in local.read("objects/t/o")]) == b"all of it"


async def test_keys_are_those_of_a_folder_with_unfinished_ones_marked(local: LocalStore) -> None:
    assert await keys_of(local, "objects") == []
    for key in ("objects/t/a", "objects/u/b", "artifacts/c", "objects2/d"):
        await write(local, key, b"x")
    writer = await begin(local, "objects/t/e", b"x")
    assert await keys_of(local, "objects") == ["objects/t/a", "objects/t/e" + UNFINISHED, "objects/u/b"]
    assert await keys_of(local, "artifacts") == ["artifacts/c"]
    await writer.abort()
    assert await keys_of(local, "objects") == ["objects/t/a", "objects/u/b"]


async def test_deleting_removes_what_a_writer_that_died_left(local: LocalStore, tmp_path: Path) -> None:
    await write(local, "objects/t/other", b"x")
    writer = await begin(local, "objects/t/o", b"x")
    await local.delete("objects/t/o")
    assert files(tmp_path) == ["objects/t/other"]
    with pytest.raises(Unavailable, match="store_unavailable"):  # it was only frozen
        await writer.commit()
    assert files(tmp_path) == ["objects/t/other"]


def test_a_store_is_opened_by_its_url(tmp_path: Path) -> None:
    local, s3 = open_store(f"file://{tmp_path}"), open_store("s3://bucket/a/b/")
    assert isinstance(local, LocalStore)
    assert isinstance(s3, S3Store)
    assert local.directory == tmp_path
    assert (s3.bucket, s3.prefix) == ("bucket", "a/b")
    assert s3.where("k") == {"Bucket": "bucket", "Key": "a/b/k"}
    with pytest.raises(Invalid, match="bad_setting"):
        open_store("ftp://host/x")


# -- in S3 ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def s3_endpoint() -> Iterator[str]:
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }.items():
        monkeypatch.setenv(name, value)
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "HTTP_PROXY", "http_proxy"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def s3(s3_endpoint: str, aws: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[S3Store]:
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_endpoint)
    store = S3Store(f"bucket-{os.urandom(4).hex()}", "pre/fix")
    store.client.create_bucket(Bucket=store.bucket)
    yield store
    store.client.close()


def parts_left(store: S3Store) -> list[Any]:
    return list(store.client.list_multipart_uploads(Bucket=store.bucket).get("Uploads", []))


def keys(store: S3Store) -> list[str]:
    return [each["Key"] for each in store.client.list_objects_v2(Bucket=store.bucket).get("Contents", [])]


@pytest.mark.s3
@pytest.mark.parametrize("size", [0, 5, PART - 1, PART, 2 * PART + 12_345])
async def test_objects_of_every_size_come_back_as_they_went(s3: S3Store, size: int) -> None:
    content = os.urandom(size)
    await write(s3, "o", *(content[start : start + MIB] for start in range(0, size, MIB)))
    assert await content_of(s3, "o") == content
    async with s3.local_copy("o") as path:
        assert path.read_bytes() == content
    assert not path.exists()
    assert keys(s3) == ["pre/fix/o"]
    assert parts_left(s3) == []
    await s3.delete("o")
    assert keys(s3) == []


@pytest.mark.s3
async def test_an_aborted_upload_leaves_no_parts_and_none_arrives_after_the_abort(
    s3: S3Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []
    send = S3Store._call

    def observed(store: S3Store, method: str, arguments: dict[str, Any]) -> Any:
        try:
            return send(store, method, arguments)
        finally:
            calls.append(method)

    monkeypatch.setattr(S3Store, "_call", observed)
    with pytest.raises(Crash):
        await write(s3, "o", *[bytes(PART)] * 3, crash=True)
    assert calls == ["create_multipart_upload", *["upload_part"] * 3, "abort_multipart_upload"]
    assert (keys(s3), parts_left(s3)) == ([], [])


@pytest.mark.s3
async def test_a_part_that_fails_fails_the_object_and_leaves_nothing(
    s3: S3Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    send = S3Store._call

    def failing(store: S3Store, method: str, arguments: dict[str, Any]) -> Any:
        if arguments.get("PartNumber") == 2:
            raise Unavailable("store_unavailable")
        return send(store, method, arguments)

    monkeypatch.setattr(S3Store, "_call", failing)
    with pytest.raises(Unavailable, match="store_unavailable"):
        await write(s3, "o", bytes(2 * PART + 5))
    assert (keys(s3), parts_left(s3)) == ([], [])


@pytest.mark.s3
async def test_an_unknown_key_is_missing_and_an_unknown_bucket_is_away(s3: S3Store) -> None:
    with pytest.raises(DocumentRejected, match="object_missing"):
        await content_of(s3, "nothing")
    with pytest.raises(DocumentRejected, match="object_missing"):
        async with s3.local_copy("nothing"):
            raise AssertionError
    await s3.delete("nothing")
    await s3.check()
    nowhere = S3Store("no-such-bucket", "")
    with pytest.raises(Unavailable, match="store_unavailable"):
        await write(nowhere, "o", b"x")
    with pytest.raises(Unavailable, match="store_unavailable"):
        await content_of(nowhere, "o")
    with pytest.raises(Unavailable, match="store_unavailable"):
        await nowhere.check()
    nowhere.client.close()


@pytest.mark.s3
async def test_an_object_in_s3_exists_from_its_commit_to_its_deletion(s3: S3Store) -> None:
    writer = await begin(s3, "objects/t/o", bytes(PART))
    assert not await s3.exists("objects/t/o")
    await writer.commit()
    assert await s3.exists("objects/t/o")
    assert not await s3.exists("objects/t")
    await s3.delete("objects/t/o")
    assert not await s3.exists("objects/t/o")
    nowhere = S3Store("no-such-bucket", "")
    with pytest.raises(Unavailable, match="store_unavailable"):
        await keys_of(nowhere, "objects")
    nowhere.client.close()


@pytest.mark.s3
@pytest.mark.parametrize("prefix", ["", "pre/fix"])
async def test_keys_in_s3_are_those_of_a_folder_with_unfinished_ones_marked(s3: S3Store, prefix: str) -> None:
    store = S3Store(s3.bucket, prefix)
    store._opened = s3.client
    for key in ("objects/t/a", "objects/u/b", "artifacts/c", "objects2/d"):
        await write(store, key, b"x")
    store.client.put_object(Bucket=store.bucket, Key="elsewhere/objects/x", Body=b"not ours")
    await begin(store, "objects/t/e", bytes(PART))
    assert await keys_of(store, "objects") == ["objects/t/a", "objects/t/e" + UNFINISHED, "objects/u/b"]
    assert await keys_of(store, "artifacts") == ["artifacts/c"]


@pytest.mark.s3
async def test_a_list_longer_than_a_page_is_whole(s3: S3Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOTO_S3_DEFAULT_MAX_KEYS", "10")
    for number in range(25):
        await write(s3, f"objects/{number:02}", b"x")
    assert len(keys(s3)) == 10
    assert await keys_of(s3, "objects") == [f"objects/{number:02}" for number in range(25)]


@pytest.mark.s3
async def test_what_fails_is_told_even_if_the_abort_fails_too(s3: S3Store, monkeypatch: pytest.MonkeyPatch) -> None:
    send = S3Store._call

    def failing(store: S3Store, method: str, arguments: dict[str, Any]) -> Any:
        if method == "abort_multipart_upload":
            raise Unavailable("store_unavailable")
        return send(store, method, arguments)

    monkeypatch.setattr(S3Store, "_call", failing)
    with pytest.raises(Crash):
        await write(s3, "o", bytes(PART), crash=True)


@pytest.mark.s3
async def test_deleting_in_s3_ends_uploads_that_a_writer_that_died_left(s3: S3Store) -> None:
    writer = await begin(s3, "objects/t/o", bytes(PART))
    await begin(s3, "objects/t/o", bytes(PART))
    await begin(s3, "objects/t/o2", bytes(PART))
    await s3.delete("objects/t/o")
    assert [each["Key"] for each in parts_left(s3)] == ["pre/fix/objects/t/o2"]
    with pytest.raises(Unavailable, match="store_unavailable"):  # it was only frozen
        await writer.commit()
    assert keys(s3) == []


@pytest.mark.s3
@pytest.mark.parametrize(
    ("method", "size"), [("put_object", 5), ("upload_part", PART), ("complete_multipart_upload", PART)]
)
async def test_nothing_arrives_in_s3_after_a_writer_that_was_cancelled(
    s3: S3Store, monkeypatch: pytest.MonkeyPatch, method: str, size: int
) -> None:
    """A request in a thread cannot be stopped: what it makes must be there before the object is given up."""
    loop, sent, go_on, answered = asyncio.get_running_loop(), asyncio.Event(), threading.Event(), threading.Event()
    send = S3Store._call

    def slow(store: S3Store, called: str, arguments: dict[str, Any]) -> Any:
        if called != method:
            return send(store, called, arguments)
        loop.call_soon_threadsafe(sent.set)
        assert go_on.wait(60)
        result = send(store, called, arguments)
        answered.set()
        return result

    monkeypatch.setattr(S3Store, "_call", slow)
    task = asyncio.create_task(write(s3, "o", bytes(size)))
    await sent.wait()
    task.cancel()
    assert not (await asyncio.wait({task}, timeout=0.1))[0]
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    await s3.delete("o")
    assert await asyncio.to_thread(answered.wait, 10)
    assert (keys(s3), parts_left(s3)) == ([], [])


@pytest.mark.s3
async def test_an_address_for_others_names_their_endpoint_and_signs_the_size(s3: S3Store) -> None:
    outside = S3Store(s3.bucket, s3.prefix, "https://files.example.org")
    outside._opened = s3.client
    write = await outside.parts.begin("o")
    first, second = await outside.parts.sign("o", write, [PART, 5], 60)
    assert first.startswith(f"https://files.example.org/{s3.bucket}/pre/fix/o?")
    for number, address in ((1, first), (2, second)):
        asked = dict(parse_qsl(urlsplit(address).query))
        assert (asked["partNumber"], asked["uploadId"], asked["X-Amz-Expires"]) == (str(number), write, "60")
        assert asked["X-Amz-SignedHeaders"] == "content-length;host"


@pytest.mark.s3
async def test_parts_that_are_no_longer_known_are_missing(s3: S3Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """As by a rule of the bucket; the server here answers otherwise."""

    def no_such_upload(**_: Any) -> Any:
        raise ClientError({"Error": {"Code": "NoSuchUpload"}}, "ListParts")

    write = await s3.parts.begin("o")
    monkeypatch.setattr(s3.client, "list_parts", no_such_upload)
    with pytest.raises(DocumentRejected, match="object_missing"):
        await s3.parts.join("o", write, [5])


@pytest.mark.s3
async def test_a_server_that_is_not_there_is_away(aws: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    monkeypatch.setattr("botocore.retries.standard.ExponentialBackoff.delay_amount", lambda *_: 0)
    store = S3Store("bucket", "")
    for attempt in (store.check(), write(store, "o", b"x"), content_of(store, "o"), store.exists("o")):
        with pytest.raises(Unavailable, match="store_unavailable"):
            await attempt
    store.client.close()
