"""The client over the API on a port, while a worker works; and over scripted answers."""

import asyncio
import inspect
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from operator import attrgetter
from typing import Any

import httpx2
import pytest

from api.app import create_app
from footnote.client import AsyncFootnote, Footnote
from footnote.runtime import open_runtime
from footnote.tenancy import keys
from tests import driving
from tests.api.test_disconnect import listening
from tests.conftest import new_database, settings_of
from tests.fakes import FakeEmbedder

URL = "http://footnote"


class Client:
    """Either client, called in the same way: `await client("documents.get", id)`. Iterators give lists."""

    def __init__(self, own: Footnote | AsyncFootnote) -> None:
        self.own = own

    async def __call__(self, name: str, /, *given: Any, **named: Any) -> Any:
        method = attrgetter(name)(self.own)
        if isinstance(self.own, AsyncFootnote):
            made = method(*given, **named)
            return [each async for each in made] if inspect.isasyncgen(made) else await made
        return await asyncio.to_thread(_whole, method, *given, **named)


def _whole(method: Callable[..., Any], *given: Any, **named: Any) -> Any:
    made = method(*given, **named)
    return [*made] if inspect.isgenerator(made) else made


@pytest.fixture(scope="module")
async def access(
    migrated_url: str, redis_url: str, tmp_path_factory: pytest.TempPathFactory, anyio_backend: str
) -> AsyncIterator[tuple[str, str, str]]:
    """The address, a key, and a key of another tenant."""
    async with new_database(migrated_url) as url:
        settings = settings_of(url, redis_url, tmp_path_factory.mktemp("client"))
        async with open_runtime(settings, pool_size=8) as opened:
            rt = replace(opened, embedder=FakeEmbedder())
            tenants = [await driving.new_tenant(rt) for _ in range(2)]
            async with rt.transaction() as session:
                made = [(await keys.create(session, each, "client"))[1] for each in tenants]
            async with listening(create_app(runtime=rt)) as (_, port), driving.working(rt, 0.1):
                yield f"http://127.0.0.1:{port}", made[0], made[1]


@pytest.fixture(params=[Footnote, AsyncFootnote], ids=["blocking", "awaited"])
async def client(access: tuple[str, str, str], request: pytest.FixtureRequest) -> AsyncIterator[Client]:
    own = request.param(access[0], access[1])
    yield Client(own)
    closed = own.close()
    if closed:
        await closed


Reply = httpx2.Response | Exception


class Scripted:
    """Answers in turn, and then always with the last; remembers what was sent, and the pauses that were wanted."""

    def __init__(self, *replies: Reply) -> None:
        self.replies, self.sent, self.pauses = list(replies), list[httpx2.Request](), list[float]()

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        request.read()
        self.sent.append(request)
        reply = self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]
        if isinstance(reply, Exception):
            raise reply
        return httpx2.Response(reply.status_code, headers=reply.headers, content=reply.content, request=request)

    async def answer(self, request: httpx2.Request) -> httpx2.Response:
        await request.aread()
        return self(request)


Script = Callable[..., tuple[Client, Scripted]]


@pytest.fixture(params=["blocking", "awaited"])
def script(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Script:
    """A client of a server that gives these replies."""

    def make(*replies: Reply, **settings: Any) -> tuple[Client, Scripted]:
        server = Scripted(*replies)

        async def sleep(_transport: Any, seconds: float) -> None:
            server.pauses.append(seconds)

        monkeypatch.setattr("footnote.client.transports.pause", server.pauses.append)
        # Not anyio's own: what an earlier test left in the loop would spin.
        monkeypatch.setattr("footnote.client.transports.AwaitedTransport.sleep", sleep)
        if request.param == "blocking":
            http = httpx2.Client(transport=httpx2.MockTransport(server))
            return Client(Footnote(URL, "fn_key", http=http, **settings)), server
        awaited = httpx2.AsyncClient(transport=httpx2.MockTransport(server.answer))
        return Client(AsyncFootnote(URL, "fn_key", http=awaited, **settings)), server

    return make
