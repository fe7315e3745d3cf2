"""The network, blocking and awaited: all that the two clients do not share."""

from collections.abc import AsyncGenerator, Coroutine, Generator
from contextlib import closing
from time import sleep as pause
from typing import Any, Protocol, TypeVar

import httpx2

from footnote.client.methods import iterate_now, run_now

T = TypeVar("T")


class Transport(Protocol):
    @property
    def http(self) -> httpx2.Client | httpx2.AsyncClient:
        """Builds requests."""

    async def request(self, request: httpx2.Request) -> httpx2.Response:
        """The whole response."""

    async def opened(self, request: httpx2.Request) -> httpx2.Response:
        """A response whose events follow, or a complete one that is no success."""

    def events(self, response: httpx2.Response) -> AsyncGenerator[httpx2.ServerSentEvent, None]:
        """Events of any size: the sources of an answer may be large."""

    async def sleep(self, seconds: float) -> None: ...

    async def close(self) -> None: ...

    def finish(self, coroutine: Coroutine[Any, Any, T]) -> Any:
        """What a method returns."""

    def iterate(self, items: AsyncGenerator[T, None]) -> Any:
        """What a method that lists returns."""


class BlockingTransport:
    def __init__(self, http: httpx2.Client, *, owned: bool) -> None:
        self.http: httpx2.Client = http
        self._owned = owned

    async def request(self, request: httpx2.Request) -> httpx2.Response:
        return self.http.send(request)

    async def opened(self, request: httpx2.Request) -> httpx2.Response:
        response = self.http.send(request, stream=True)
        if not response.is_success:
            response.read()
        return response

    async def events(self, response: httpx2.Response) -> AsyncGenerator[httpx2.ServerSentEvent, None]:
        with closing(response):
            for event in httpx2.EventSource(response, max_event_size=None):
                yield event

    async def sleep(self, seconds: float) -> None:
        pause(seconds)  # noqa: ASYNC251  no event loop runs this

    async def close(self) -> None:
        if self._owned:
            self.http.close()

    def finish(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return run_now(coroutine)

    def iterate(self, items: AsyncGenerator[T, None]) -> Generator[T, None, None]:
        return iterate_now(items)


class AwaitedTransport:
    def __init__(self, http: httpx2.AsyncClient, *, owned: bool) -> None:
        self.http: httpx2.AsyncClient = http
        self._owned = owned

    async def request(self, request: httpx2.Request) -> httpx2.Response:
        return await self.http.send(request)

    async def opened(self, request: httpx2.Request) -> httpx2.Response:
        response = await self.http.send(request, stream=True)
        if not response.is_success:
            await response.aread()
        return response

    async def events(self, response: httpx2.Response) -> AsyncGenerator[httpx2.ServerSentEvent, None]:
        try:
            async for event in httpx2.EventSource(response, max_event_size=None):
                yield event
        finally:
            await response.aclose()

    async def sleep(self, seconds: float) -> None:
        import anyio

        await anyio.sleep(seconds)

    async def close(self) -> None:
        if self._owned:
            await self.http.aclose()

    def finish(self, coroutine: Coroutine[Any, Any, T]) -> Coroutine[Any, Any, T]:
        return coroutine

    def iterate(self, items: AsyncGenerator[T, None]) -> AsyncGenerator[T, None]:
        return items
