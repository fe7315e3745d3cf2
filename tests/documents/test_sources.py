"""Documents from addresses, and from within archives."""

import io
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest
from sqlalchemy import func, select, update

from footnote import documents, jobs
from footnote.documents import deletion, objects, sources
from footnote.documents.uploads import Upload
from footnote.errors import DocumentRejected, Unavailable
from footnote.jobs.heartbeat import Heartbeat
from footnote.models import Document, Job, UnownedObject, Version
from footnote.runtime import Runtime
from tests import driving
from tests.conftest import Person
from tests.driving import paragraphs

pytestmark = pytest.mark.anyio

Answer = tuple[int, dict[str, str], bytes]


@dataclass
class Site:
    """A web server at the network's edge: answers by path, in turn where there are several."""

    url: str
    answers: dict[str, list[Answer]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def add(self, path: str, content: bytes = b"", status: int = 200, **headers: str) -> str:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self.answers.setdefault(path, []).append((status, named, content))
        return self.url + path


@contextmanager
def serving() -> Iterator[Site]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            site.asked.append(self.path)
            answers = site.answers.get(self.path, [(404, {}, b"")])
            status, headers, content = answers.pop(0) if len(answers) > 1 else answers[0]
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *args: Any) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    site = Site(f"http://127.0.0.1:{server.server_port}")
    thread = Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield site
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture(name="site")
def _site() -> Iterator[Site]:
    with serving() as site:
        yield site


@pytest.fixture
def open_rt(rt: Runtime) -> Runtime:
    """May fetch from this machine."""
    return replace(rt, settings=rt.settings.model_copy(update={"fetch_allow_private": True}))


@pytest.fixture
async def tenant(rt: Runtime) -> str:
    return await driving.new_tenant(rt)


async def from_url(rt: Runtime, tenant: str, url: str, **options: Any) -> documents.Accepted:
    promised = Upload("page", "", b"", 0, None, url)
    async with rt.for_tenant(tenant).transaction() as session:
        return await documents.accept(session, rt, promised, **options)


# -- addresses -----------------------------------------------------------------------------------------------


async def test_a_document_is_fetched(open_rt: Runtime, tenant: str, site: Site) -> None:
    site.add("/start", status=302, Location="/files/lamp%20notes.txt")
    site.add("/files/lamp%20notes.txt", paragraphs(3).encode())
    accepted = await from_url(open_rt, tenant, f"{site.url}/start")
    assert accepted.details.document.external_id == f"{site.url}/start"
    job = await driving.run(open_rt, accepted.details.job.id)
    assert job.state == "succeeded"
    version = await driving.version_of(open_rt, job.version_id)
    assert (version.filename, version.media_type, version.bytes) == ("lamp notes.txt", "text/plain", len(paragraphs(3)))
    assert (await driving.document_of(open_rt, job.document_id)).sha256 == version.sha256
    assert len(await driving.chunks_of(open_rt, job.document_id)) == 3
    assert site.asked == ["/start", "/files/lamp%20notes.txt"]


async def test_a_header_may_name_the_file(open_rt: Runtime, tenant: str, site: Site) -> None:
    url = site.add("/get?id=7", b"# Lamps\n\nLit at dusk.", Content_Disposition='attachment; filename="../lamps.md"')
    job = await driving.run(open_rt, (await from_url(open_rt, tenant, url)).details.job.id)
    assert (await driving.version_of(open_rt, job.version_id)).filename == "lamps.md"


async def test_an_address_is_fetched_anew_each_time_but_once_at_a_time(
    open_rt: Runtime, tenant: str, site: Site
) -> None:
    url = site.add("/a.txt", b"The lamp is red.")
    first = await from_url(open_rt, tenant, url)
    meanwhile = await from_url(open_rt, tenant, url)
    assert (meanwhile.deduplicated, meanwhile.details.job.id) == (True, first.details.job.id)
    await driving.run(open_rt, first.details.job.id)
    site.answers["/a.txt"] = [(200, {}, b"The lamp is blue.")]
    again = await from_url(open_rt, tenant, url)
    assert (again.deduplicated, again.details.version.number) == (False, 2)
    assert again.details.document.id == first.details.document.id
    await driving.run(open_rt, again.details.job.id)
    (chunk,) = await driving.chunks_of(open_rt, again.details.document.id)
    assert chunk.text == "The lamp is blue."


@pytest.mark.parametrize(
    ("status", "code"), [(404, "fetch_refused"), (401, "fetch_refused"), (410, "fetch_refused"), (204, "fetch_refused")]
)
async def test_an_address_that_refuses_fails_at_once(
    open_rt: Runtime, tenant: str, site: Site, status: int, code: str
) -> None:
    url = site.add("/a.txt", status=status)
    job = await driving.run(open_rt, (await from_url(open_rt, tenant, url)).details.job.id)
    assert (job.state, job.error_code) == ("failed", code)
    assert str(status) in (job.error_message or "")


async def test_an_address_that_is_away_is_asked_again(open_rt: Runtime, tenant: str, site: Site) -> None:
    url = site.add("/a.txt", status=503, Retry_After="77")
    site.add("/a.txt", b"Here it is.")
    job = await driving.run(open_rt, (await from_url(open_rt, tenant, url)).details.job.id)
    assert (job.state, job.error_code) == ("waiting", "fetch_failed")
    async with open_rt.transaction() as session:
        assert await session.scalar(select(func.extract("epoch", Job.next_attempt_at - func.now()))) == 77
        await session.execute(update(Job).values(next_attempt_at=func.now()))
    assert (await driving.run(open_rt, job.id)).state == "succeeded"


async def test_redirects_end(open_rt: Runtime, tenant: str, site: Site) -> None:
    url = site.add("/round", status=302, Location="/round")
    job = await driving.run(open_rt, (await from_url(open_rt, tenant, url)).details.job.id)
    assert (job.state, job.error_code, len(site.asked)) == ("failed", "fetch_refused", 6)


@pytest.mark.parametrize("content", [b"", b"\x89PNG\r\n\x1a\n" + bytes(100), b"x" * 3000])
async def test_what_could_not_be_uploaded_cannot_be_fetched(
    open_rt: Runtime, tenant: str, site: Site, content: bytes
) -> None:
    small = replace(open_rt, settings=open_rt.settings.model_copy(update={"max_upload_bytes": 2000}))
    url = site.add("/a.txt", content)
    job = await driving.run(small, (await from_url(small, tenant, url)).details.job.id)
    assert (job.state, job.error_code) in [
        ("failed", "empty_file"), ("failed", "type_mismatch"), ("failed", "too_large"),
    ]  # fmt: skip
    while await objects.sweep(small):
        pass
    async with small.transaction() as session:
        assert await session.scalar(select(func.count()).select_from(UnownedObject)) == 0


async def test_private_addresses_are_not_fetched(rt: Runtime, alice: Person, tenant: str, site: Site) -> None:
    url = site.add("/a.txt", b"secret")
    refused = await alice.client.post("/v1/documents/url", json={"url": url})
    assert (refused.status_code, refused.json()["code"]) == (422, "url_not_allowed")
    job = await driving.run(rt, (await from_url(rt, tenant, url)).details.job.id)
    assert (job.state, job.error_code, site.asked) == ("failed", "url_not_allowed", [])


async def test_a_redirect_to_a_private_address_is_not_followed(monkeypatch: pytest.MonkeyPatch, site: Site) -> None:
    from footnote.outbound import guard

    url = site.add("/a", status=302, Location="http://10.0.0.1/b")
    checked = []
    real = guard.check_url

    def check(url: str, *, allow_private: bool) -> None:
        checked.append(url)
        real(url, allow_private=allow_private or len(checked) == 1)

    class Open(guard.GuardedBackend):
        def __init__(self, *, allow_private: bool) -> None:
            super().__init__(allow_private=True)

    monkeypatch.setattr(guard, "check_url", check)
    monkeypatch.setattr(guard, "GuardedBackend", Open)
    with pytest.raises(Exception, match="url_not_allowed"):
        async with guard.get(url, seconds=5, allow_private=False):
            raise AssertionError
    assert checked == [url, "http://10.0.0.1/b"]


async def test_a_silent_address_times_out(site: Site) -> None:
    import asyncio

    from footnote.outbound import guard

    async def silence(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()  # until the one who asked gives up
        writer.close()

    quiet = await asyncio.start_server(silence, "127.0.0.1", 0)
    async with quiet:
        port = quiet.sockets[0].getsockname()[1]
        with pytest.raises(Exception, match="took too long"):
            async with guard.get(f"http://127.0.0.1:{port}/", seconds=0.2, allow_private=True):
                raise AssertionError


async def test_the_route_takes_an_address(alice: Person) -> None:
    body = {"url": "https://example.com/reports/2020.pdf", "metadata": {"year": 2020}}
    answer = await alice.client.post("/v1/documents/url", json=body)
    assert answer.status_code == 202, answer.text
    document = answer.json()["document"]
    assert (document["filename"], document["source_url"], document["status"]) == ("2020.pdf", body["url"], "queued")


async def test_an_address_is_cleaned_before_it_is_kept(alice: Person) -> None:
    answer = await alice.client.post("/v1/documents/url", json={"url": "https://example.com/a\x00.txt"})
    assert answer.status_code == 202, answer.text
    assert answer.json()["document"]["source_url"] == "https://example.com/a.txt"


# -- archives ------------------------------------------------------------------------------------------------


def archive(*files: tuple[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as out:
        for name, content in files:
            out.writestr(name, content)
    return packed.getvalue()


async def children(rt: Runtime, parent_id: str) -> dict[str, Document]:
    async with rt.sessions() as session:
        found = await session.scalars(select(Document).where(Document.parent_id == parent_id))
        return {(each.external_id or "").partition("/")[2]: each for each in found}


async def unpacked(rt: Runtime, tenant: str, content: bytes, **options: Any) -> Job:
    accepted = await driving.accept(rt, tenant, content, "files.zip", **options)
    return await driving.run(rt, accepted.details.job.id)


async def test_files_in_an_archive_become_documents(rt: Runtime, tenant: str) -> None:
    packed = archive(
        ("docs/lamp.txt", b"The lamp is lit."),
        ("docs/naïve.md", b"# Naive\n\nText."),
        ("photo.png", b"\x89PNG\r\n\x1a\n" + bytes(50)),
        ("empty.txt", b""),
        ("__MACOSX/._lamp.txt", b"clutter"),
        ("docs/.DS_Store", b"clutter"),
    )
    job = await unpacked(rt, tenant, packed, metadata={"year": 2020})
    assert job.state == "succeeded"
    found = await children(rt, job.document_id)
    assert set(found) == {"docs/lamp.txt", "docs/naïve.md"}
    assert [each.attributes for each in found.values()] == [{"year": 2020}] * 2
    for each in found.values():
        assert (await driving.run(rt, each.job_id)).state == "succeeded"
    (chunk,) = await driving.chunks_of(rt, found["docs/lamp.txt"].id)
    assert chunk.text == "The lamp is lit."
    async with rt.sessions() as session:
        (chunked, *_) = await jobs.steps(session, job.id)
    assert chunked.counts["documents"] == 2
    assert chunked.counts["skipped_files"] == [
        {"name": "photo.png", "code": "unsupported_type"}, {"name": "empty.txt", "code": "empty_file"},
    ]  # fmt: skip


async def test_unpacking_twice_makes_nothing_twice(rt: Runtime, tenant: str) -> None:
    packed = archive(("a.txt", b"One."), ("b.txt", b"Two."))
    accepted = await driving.accept(rt, tenant, packed, "files.zip")
    held = await driving.claim(rt, accepted.details.job.id)
    async with rt.transaction() as session:
        version = await session.get_one(Version, held.version_id)
    async with rt.store.local_copy(version.object_key or "") as path:
        await sources.unpack(
            rt.for_tenant(tenant), held, Heartbeat(rt, held), version, path
        )  # and dies before it commits
    first = await children(rt, accepted.details.document.id)
    await driving.set_job(rt, held.job_id, state="queued", next_attempt_at=func.now())
    assert (await driving.run(rt, held.job_id)).state == "succeeded"
    again = await children(rt, accepted.details.document.id)
    assert {name: each.id for name, each in again.items()} == {name: each.id for name, each in first.items()}


async def test_a_new_version_of_an_archive_updates_adds_and_removes(rt: Runtime, tenant: str) -> None:
    first = await unpacked(rt, tenant, archive(("a.txt", b"A."), ("b.txt", b"B."), ("c.txt", b"C.")), external_id="z")
    before = await children(rt, first.document_id)
    second = await unpacked(
        rt, tenant, archive(("a.txt", b"A."), ("b.txt", b"B two."), ("d.txt", b"D.")), external_id="z"
    )
    after = await children(rt, second.document_id)
    assert {name: each.newest_version for name, each in after.items()} == {"a.txt": 1, "b.txt": 2, "d.txt": 1}
    assert after["b.txt"].id == before["b.txt"].id


async def test_archives_within_archives_end(rt: Runtime, tenant: str) -> None:
    packed = archive(("deep.txt", b"Deep."))
    for level in range(4):
        packed = archive((f"level{level}.zip", packed), (f"text{level}.txt", b"Text."))
    job = await unpacked(rt, tenant, packed)
    texts, left = [], [job.id]
    while left:
        done = await driving.run(rt, left.pop())
        assert done.state == "succeeded"
        within = await children(rt, done.document_id)
        texts += [name for name in within if name.endswith(".txt")]
        left += [each.job_id for each in within.values()]
    assert texts == ["text3.txt", "text2.txt", "text1.txt"]


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (archive(("photo.png", b"\x89PNG\r\n\x1a\n")), "no_text"),
        (archive(("a.txt", b"text"))[:-30], "corrupt_file"),
        (archive(*((f"{n}.txt", b"x") for n in range(1001))), "archive_too_large"),
        (archive(("bomb.txt", bytes(50_000_000))), "archive_too_large"),
        (archive(("../../etc/passwd.txt", b"x")), "corrupt_file"),
    ],
    ids=["nothing to read", "truncated", "too many", "bomb", "traversal"],
)
async def test_bad_archives(rt: Runtime, tenant: str, content: bytes, code: str) -> None:
    job = await unpacked(rt, tenant, content)
    assert (job.state, job.error_code) == ("failed", code)
    assert await children(rt, job.document_id) == {}


async def test_an_archive_is_deleted_with_what_was_in_it(rt: Runtime, tenant: str) -> None:
    inner = archive(("deep.txt", b"Deep."))
    job = await unpacked(rt, tenant, archive(("a.txt", b"A."), ("inner.zip", inner)))
    found = await children(rt, job.document_id)
    for each in found.values():
        await driving.run(rt, each.job_id)
    (deep,) = (await children(rt, found["inner.zip"].id)).values()
    await driving.run(rt, deep.job_id)
    receipt = await deletion.remove(rt.for_tenant(tenant), job.document_id)
    assert {name: receipt.counts[name] for name in ("documents", "chunks", "objects", "embeddings")} == {
        "documents": 4, "chunks": 2, "objects": 4, "embeddings": 2,
    }  # fmt: skip
    async with rt.sessions() as session:
        assert await session.scalar(select(func.count()).select_from(Document)) == 0


async def test_a_store_that_is_away_stops_the_unpacking_and_is_waited_for(
    rt: Runtime, tenant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    accepted = await driving.accept(rt, tenant, archive(("a.txt", b"A."), ("b.txt", b"B.")), "files.zip")
    real: Callable[..., Any] = rt.store.open_writer
    opened: list[str] = []

    async def failing(key: str) -> Any:
        opened.append(key)
        if len(opened) == 2:
            raise Unavailable("store_unavailable", "Away.")
        return await real(key)

    monkeypatch.setattr(rt.store, "open_writer", failing)
    job = await driving.run(rt, accepted.details.job.id)
    assert (job.state, job.error_code) == ("waiting", "store_unavailable")
    await driving.set_job(rt, job.id, next_attempt_at=func.now())
    assert (await driving.run(rt, job.id)).state == "succeeded"
    assert set(await children(rt, job.document_id)) == {"a.txt", "b.txt"}


def test_an_encrypted_archive_says_so(tmp_path: Any) -> None:
    from footnote.formats.plain import archive as format_module

    packed = bytearray(archive(("a.txt", b"secret")))
    packed[6] |= 1
    central = packed.index(b"PK\x01\x02")
    packed[central + 8] |= 1
    path = tmp_path / "a.zip"
    path.write_bytes(packed)
    with pytest.raises(DocumentRejected, match="encrypted"):
        list(format_module.unpack(path))
