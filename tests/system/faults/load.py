"""Load at a fixed rate of uploads and questions a second, whether or not earlier ones have ended."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

import httpx2

from footnote.outbound.retry_after import retry_after
from tests.system.faults.corpus import Source
from tests.system.faults.stack import Stack

REQUEST_SECONDS = 30.0
PATIENCE_SECONDS = 150.0  # of a client that wants its document accepted
AGAIN_SECONDS = 0.5


@dataclass
class Request:
    """One HTTP request; times are monotonic. A status with a broken-off body has a problem all the same."""

    kind: str
    started: float
    ended: float = 0.0
    status: int | None = None
    problem: str = ""
    retry_after: float | None = None

    @property
    def seconds(self) -> float:
        return self.ended - self.started

    @property
    def ok(self) -> bool:
        return self.status in (200, 202) and not self.problem


class Load:
    """A client of the API, and everything it was answered."""

    def __init__(self, stack: Stack, callback_url: str) -> None:
        headers = {"Authorization": f"Bearer {stack.key}"}
        self.client = httpx2.AsyncClient(base_url=stack.url, headers=headers, timeout=REQUEST_SECONDS)
        self.callback_url = callback_url
        self.requests: list[Request] = []
        self.sources: list[Source] = []
        self.accepted: dict[int, str] = {}  # number of the source -> id of the document
        self.slowest_upload = 0.0  # seconds until accepted, all tries together

    async def send(self, kind: str, method: str, path: str, **options: Any) -> tuple[Request, bytes]:
        """One request, noted down, with the body that came back."""
        request, body = Request(kind, time.monotonic()), b""
        self.requests.append(request)
        try:
            async with self.client.stream(method, path, **options) as response:
                request.status = response.status_code
                request.retry_after = retry_after(response.headers)
                body = await response.aread()
            request.problem = "" if request.status < 300 else body.decode()[:300]
        except httpx2.TransportError as error:
            request.problem = f"{type(error).__name__}: {error}"
        request.ended = time.monotonic()
        return request, body

    async def upload(self, source: Source, again: str = "") -> None:
        """Sends the document under one key until it is accepted; `again` makes it another key."""
        self.sources.append(source)
        options = {
            "files": {"file": (source.filename, source.content)},
            "data": {"callback_url": self.callback_url},
            "headers": {"Idempotency-Key": f"{source.name}{again}"},
        }
        started = time.monotonic()
        while time.monotonic() < started + PATIENCE_SECONDS:
            request, body = await self.send("upload", "POST", "/v1/documents", **options)
            if request.ok:
                self.accepted[source.number] = json.loads(body)["document"]["id"]
                self.slowest_upload = max(self.slowest_upload, request.ended - started)
                return
            await asyncio.sleep(AGAIN_SECONDS)

    async def upload_all(self, sources: Sequence[Source], a_second: float) -> None:
        """Starts one upload after the other at that rate, however long each takes; ends when all have ended."""
        async with asyncio.TaskGroup() as group:
            for source in sources:
                group.create_task(self.upload(source))
                await asyncio.sleep(1 / a_second)

    async def delete(self, document_id: str) -> bool:
        """Whether it is gone; to be asked again if not."""
        request, _ = await self.send("delete", "DELETE", f"/v1/documents/{document_id}")
        return request.ok

    async def ask(self, source: Source, stream: bool) -> None:
        """A question about the document and, if it was accepted, a look at its status; each sent once."""
        question = {"question": source.question, "stream": stream}
        request, body = await self.send("query", "POST", "/v1/query", json=question)
        if request.ok and stream and b"event: done" not in body:
            request.problem = "the stream broke off"
        if document_id := self.accepted.get(source.number):
            await self.send("status", "GET", f"/v1/documents/{document_id}/status")

    @asynccontextmanager
    async def asking(self, a_second: float = 5, stream: bool = False) -> AsyncIterator[None]:
        """Asks about what was sent, one document after the other, while the block runs."""

        async def ask_on() -> None:
            async with asyncio.TaskGroup() as group:
                while True:
                    await asyncio.sleep(1 / a_second)
                    if self.sources:
                        group.create_task(self.ask(self.sources[len(self.requests) % len(self.sources)], stream))

        task = asyncio.create_task(ask_on())
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    def answered(self, *kinds: str, since: float = 0.0) -> list[Request]:
        """Requests of these kinds, sent since then, that are over, well or not."""
        return [each for each in self.requests if each.kind in kinds and each.ended and each.started >= since]
