"""Load as clients offer it: so many uploads and questions a second, whatever becomes of the ones before."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Self

import httpx2

from scripts.faults.corpus import Source
from scripts.faults.stack import Stack

REQUEST_SECONDS = 30.0
PATIENCE_SECONDS = 150.0  # of a client that wants its document accepted
AGAIN_SECONDS = 0.5


@dataclass
class Request:
    """One HTTP request; times are monotonic. A status with a problem other than its own words: it broke off."""

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

    @property
    def truncated(self) -> bool:
        """An answer that began well and broke off."""
        return self.status in (200, 202) and bool(self.problem)


@dataclass(frozen=True)
class Accepted:
    document_id: str
    job_id: str
    at: float


@dataclass
class Load:
    """A client of the API, and everything it was answered."""

    stack: Stack
    callback_url: str | None = None
    requests: list[Request] = field(default_factory=list)
    accepted: dict[int, Accepted] = field(default_factory=dict)  # by number of the source
    sources: dict[int, Source] = field(default_factory=dict)

    async def __aenter__(self) -> Self:
        headers = {"Authorization": f"Bearer {self.stack.key}"}
        self.client = httpx2.AsyncClient(base_url=self.stack.url, headers=headers, timeout=REQUEST_SECONDS)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.client.aclose()

    async def send(self, kind: str, method: str, path: str, **options: Any) -> tuple[Request, bytes]:
        """One request, noted down, with the body that came back."""
        request = Request(kind, time.monotonic())
        self.requests.append(request)
        body = b""
        try:
            async with self.client.stream(method, path, **options) as response:
                request.status = response.status_code
                after = response.headers.get("retry-after")
                request.retry_after = float(after) if after else None
                body = await response.aread()
            if request.status >= 300:
                request.problem = body.decode()[:300]
        except httpx2.TransportError as error:
            request.problem = f"{type(error).__name__}: {error}"
        request.ended = time.monotonic()
        return request, body

    async def upload(self, source: Source, again: str = "") -> None:
        """Sends the document under one key until it is accepted; `again` makes it another key."""
        self.sources[source.number] = source
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline:
            request, sent = await self.send(
                "upload",
                "POST",
                "/v1/documents",
                files={"file": (source.filename, source.content)},
                data={"callback_url": self.callback_url} if self.callback_url else {},
                headers={"Idempotency-Key": f"{source.name}{again}"},
            )
            if request.ok:
                body = json.loads(sent)
                self.accepted[source.number] = Accepted(body["document"]["id"], body["job"]["id"], request.ended)
                return
            await asyncio.sleep(AGAIN_SECONDS)

    async def upload_all(self, sources: Sequence[Source], a_second: float) -> None:
        """Starts one upload after the other at that rate, however long each takes; ends when all have ended."""
        async with asyncio.TaskGroup() as group:
            for source in sources:
                group.create_task(self.upload(source))
                await asyncio.sleep(1 / a_second)

    async def ask(self, source: Source, stream: bool = False) -> None:
        """A question about the document, sent once. A stream that does not reach its end is no answer."""
        request, body = await self.send(
            "query", "POST", "/v1/query", json={"question": source.question, "stream": stream}
        )
        if request.ok and stream and b"event: done" not in body:
            request.problem = "the stream broke off"

    async def look(self, source: Source) -> None:
        """How far the document is."""
        if source.number in self.accepted:
            await self.send("status", "GET", f"/v1/documents/{self.accepted[source.number].document_id}/status")

    async def ask_on(self, a_second: float, stream: bool = False) -> None:
        """Asks about what was accepted, and about what was not yet, until cancelled."""
        async with asyncio.TaskGroup() as group:
            while True:
                await asyncio.sleep(1 / a_second)
                if self.sources:
                    known = list(self.sources.values())
                    chosen = known[len(self.requests) % len(known)]
                    group.create_task(self.ask(chosen, stream))
                    group.create_task(self.look(chosen))

    @asynccontextmanager
    async def asking(self, a_second: float = 5, stream: bool = False) -> AsyncIterator[None]:
        """Asks and looks while the block runs."""
        task = asyncio.create_task(self.ask_on(a_second, stream))
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    def finished(self, *kinds: str, since: float = 0.0) -> list[Request]:
        return [each for each in self.requests if each.kind in kinds and each.ended and each.started >= since]
