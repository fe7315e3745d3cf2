"""The stream of events: what is told, to whom, and what one who comes back hears."""

import asyncio
import json
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from fastapi import FastAPI
from sqlalchemy import text

from api.routes import events as routes
from footnote.database.engine import connect
from footnote.documents import changes, deletion, moving
from footnote.documents.changes import Changes
from footnote.jobs import scheduling
from footnote.runtime import Runtime
from footnote.tenancy import keys
from tests import driving
from tests.conftest import running_app

pytestmark = pytest.mark.anyio
Event = tuple[str, str, dict[str, Any]]  # id, name, data


@dataclass
class Stream:
    """What a client of the stream has received; it never waits longer than a busy machine takes."""

    ended: bool = False
    status: int = 0
    rest: str = ""
    events: "asyncio.Queue[Event | None]" = field(default_factory=asyncio.Queue)
    last: str = ""

    def receive(self, message: dict[str, Any]) -> None:
        self.status = message.get("status", self.status)
        *frames, self.rest = (self.rest + message.get("body", b"").decode()).split("\n\n")
        for frame in frames:
            lines = dict(line.split(": ", 1) for line in frame.split("\n") if not line.startswith(":"))
            if lines:
                self.events.put_nowait((lines["id"], lines["event"], json.loads(lines["data"])))
        if message["type"] == "http.response.body" and not message.get("more_body"):
            self.events.put_nowait(None)

    async def next(self, name: str, **wanted: Any) -> dict[str, Any]:
        """The next event of that name whose document or data has these values; others are passed over."""
        async with asyncio.timeout(30):
            while (event := await self.events.get()) is not None:
                self.last, data = event[0], event[2]
                about = data.get("document", data)
                if event[1] == name and all(about[each] == value for each, value in wanted.items()):
                    return data
        raise AssertionError("the stream has ended")

    async def end(self) -> None:
        async with asyncio.timeout(30):
            while await self.events.get() is not None:
                pass


@dataclass
class Api:
    app: FastAPI
    rt: Runtime
    tenant_id: str

    @property
    def changes(self) -> Changes:
        found: Changes = self.app.state.changes
        return found

    async def new_key(self, tenant_id: str = "") -> tuple[str, str]:
        async with self.rt.transaction() as session:
            key, secret = await keys.create(session, tenant_id or self.tenant_id, "listening", ["read"])
        return key.id, secret

    @asynccontextmanager
    async def listening(self, secret: str, last: str = "") -> AsyncIterator[Stream]:
        headers = [(b"authorization", f"Bearer {secret}".encode()), (b"host", b"x")]
        headers += [(b"last-event-id", last.encode())] if last else []
        scope = {"type": "http", "method": "GET", "path": "/v1/events", "raw_path": b"/v1/events", "headers": headers}
        scope |= {"query_string": b"", "http_version": "1.1", "scheme": "http", "server": ("x", 80), "root_path": ""}
        stream, left = Stream(last=last), asyncio.Event()

        async def receive() -> dict[str, Any]:
            await left.wait()
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            stream.receive(message)

        running = asyncio.ensure_future(self.app(scope, receive, send))
        try:
            yield stream
        finally:
            left.set()
            async with asyncio.timeout(30):
                await running


@pytest.fixture
async def api(committing_rt: Runtime) -> AsyncIterator[Api]:
    rt = replace(committing_rt, stopping=asyncio.Event())
    async with running_app(rt) as app:
        yield Api(app, rt, await driving.new_tenant(rt))


async def test_each_change_is_told_once_and_to_its_tenant_only(api: Api) -> None:
    rt, (_, secret) = api.rt, await api.new_key()
    theirs = await driving.new_tenant(rt)
    _, foreign = await api.new_key(theirs)
    async with api.listening(secret) as stream, api.listening(foreign) as other:
        assert await stream.next("pause") == {"paused_since": None}
        assert (await stream.next("counts"))["documents"] == 0
        await other.next("counts")
        document_id = await driving.ready(rt, api.tenant_id, "The lamp burns.", "lamp.md")
        told = await stream.next("document", status="ready")
        assert (told["document"]["id"], told["document"]["filename"]) == (document_id, "lamp.md")
        assert (told["job"]["document_id"], told["job"]["status"]) == (document_id, "succeeded")
        assert (await stream.next("counts", ready=1))["documents"] == 1
        async with rt.for_tenant(api.tenant_id).transaction() as session:
            await session.execute(text("""UPDATE document SET metadata = '{"n": 1}'"""))
        assert (await stream.next("document"))["document"]["metadata"] == {"n": 1}
        async with rt.for_tenant(api.tenant_id).transaction() as session:
            await moving.move(session, rt.for_tenant(api.tenant_id), document_id, "there")
        assert (await stream.next("document"))["document"]["collection"] == "there"
        await deletion.remove(rt.for_tenant(api.tenant_id), document_id)
        assert await stream.next("removed") == {"document_id": document_id}
        async with rt.transaction() as session:
            await scheduling.pause(session)
        assert (await stream.next("pause"))["paused_since"] is not None
        await driving.accept(rt, theirs, "of others")
        told = await other.next("document")
        assert told["document"]["waiting_for"] == "the end of the pause"
        async with rt.transaction() as session:
            await scheduling.resume(session)
        assert (await stream.next("pause"))["paused_since"] is None
        names = {event[1] for event in _rest(stream)}
        assert "document" not in names, "nothing of others, and nothing twice"


def _rest(stream: Stream) -> list[Event]:
    found = []
    while not stream.events.empty():
        found.append(stream.events.get_nowait())
    return [each for each in found if each is not None]


async def test_one_who_comes_back_hears_what_was_missed(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    _, secret = await api.new_key()
    async with api.listening(secret) as stream:
        await stream.next("counts")
        first = await driving.ready(api.rt, api.tenant_id, "one")
        await stream.next("document", id=first, status="ready")
        last = stream.last
        async with api.listening(secret) as witness:
            await witness.next("counts")
            second = await driving.ready(api.rt, api.tenant_id, "two")
            await witness.next("document", id=second, status="ready")
    async with api.listening(secret, last) as stream:
        await stream.next("document", id=second, status="ready")
    for unknown in ("0123456789ab-1", f"{last.rpartition('-')[0]}-999999", "what"):
        async with api.listening(secret, unknown) as stream:
            assert await stream.next("reset") == {}
            await stream.next("counts", documents=2)
    feed = api.changes._feeds[api.tenant_id]
    feed.held = deque(feed.held, maxlen=1)
    async with api.listening(secret, last) as stream:
        await stream.next("reset")


async def test_the_stream_ends_with_its_key_and_with_the_server(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(routes, "SILENT_SECONDS", 600.0)  # so that only a notification can tell
    key_id, secret = await api.new_key()
    _, another = await api.new_key()
    async with api.listening(secret) as stream, api.listening(another) as other:
        await asyncio.gather(stream.next("counts"), other.next("counts"))
        async with api.rt.for_tenant(api.tenant_id).transaction() as session:
            await keys.revoke(session, key_id)
        await stream.end()
        await driving.accept(api.rt, api.tenant_id, "one")
        await other.next("document")
        api.rt.stopping.set()
        await other.end()


async def test_changes_that_were_not_notified_are_found(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(changes, "LOOK_SECONDS", 0.3)
    monkeypatch.setattr(changes, "_FOLLOW", "SELECT $1::text[], $2::float8")  # so that no trigger notifies
    _, secret = await api.new_key()
    async with api.listening(secret) as stream:
        await stream.next("counts")
        accepted = await driving.accept(api.rt, api.tenant_id, "one")
        await stream.next("document", status="queued")
        await driving.run(api.rt, accepted.details.job.id)
        await stream.next("document", status="ready")


async def test_all_are_told_when_the_connection_was_lost(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(changes, "AGAIN_SECONDS", 0.05)
    _, secret = await api.new_key()
    async with api.listening(secret) as stream:
        await stream.next("counts")
        lost = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE '%followed_tenant%'"
        async with api.rt.transaction() as session:
            await session.execute(text(f"{lost} AND pid <> pg_backend_pid() AND datname = current_database()"))
        await stream.next("reset")
        await driving.accept(api.rt, api.tenant_id, "one")
        await stream.next("document", status="queued")


async def test_a_look_that_fails_ends_no_stream(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(changes, "AGAIN_SECONDS", 0.05)
    _, secret = await api.new_key()
    async with api.listening(secret) as stream:
        await stream.next("counts")
        look = changes._look

        async def failing(session: Any, feed: Any) -> None:
            monkeypatch.setattr(changes, "_look", look)
            raise RuntimeError("a fault of our own")

        monkeypatch.setattr(changes, "_look", failing)
        await driving.accept(api.rt, api.tenant_id, "one")
        await stream.next("reset")
        await stream.next("document", status="queued")


async def test_streams_share_a_connection_and_a_read(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """And while no stream is open, nothing is notified and no connection is open."""
    reads: list[int] = []
    read: Callable[..., Awaitable[None]] = changes._read

    async def counted(session: Any, feed: Any, ids: Any) -> None:
        reads.append(len(ids))
        await read(session, feed, ids)

    monkeypatch.setattr(changes, "_read", counted)
    monkeypatch.setattr(changes, "LINGER_SECONDS", 0.0)
    monkeypatch.setattr(changes, "LOOK_SECONDS", 0.2)
    _, secret = await api.new_key()
    async with api.listening(secret) as one, api.listening(secret) as two, api.listening(secret) as three:
        streams = (one, two, three)
        for each in streams:
            await each.next("counts")
        await driving.accept(api.rt, api.tenant_id, "one")
        ids = {(await each.next("document"))["document"]["id"] for each in streams}
        assert len(ids) == 1
        assert reads == [1]
    filling = api.changes._filling
    assert filling is not None
    async with asyncio.timeout(30):
        await filling
    assert api.changes._feeds == {}


async def test_a_change_is_notified_only_while_the_tenant_is_followed(api: Api) -> None:
    heard: list[str] = []
    connection = await connect(api.rt.settings)
    try:
        await connection.add_listener(changes.CHANNEL, lambda *given: heard.append(str(given[-1])))
        await driving.ready(api.rt, api.tenant_id, "one")
        await connection.execute(changes._FOLLOW, [api.tenant_id], 60.0)
        document_id = await driving.ready(api.rt, api.tenant_id, "two")
        await connection.execute("SELECT 1")
        assert set(heard) == {f"{api.tenant_id} {document_id}"}
        assert len(heard) <= 6, "a heartbeat is no change"
    finally:
        await connection.close()
