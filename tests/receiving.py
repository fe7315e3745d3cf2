"""A receiver of webhooks on the loopback, and functions that queue, change and attempt deliveries."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import func, select, update

from footnote import webhooks
from footnote.database.ids import new_id
from footnote.models import WebhookDelivery
from footnote.runtime import Runtime
from footnote.webhooks import WebhookTarget as Told
from footnote.webhooks import sending
from tests import driving


@dataclass
class Receiver:
    """Answers each request with the next of `answers`, then always with the last one. None: no answer."""

    answers: list[bytes | None] = field(default_factory=lambda: [b"204 No Content"])
    requests: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)
    port: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook?a=b"

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await self._answer(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the sender gave up
        finally:
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:-2])}
        body = await reader.readexactly(int(headers["content-length"]))
        self.requests.append((head[0], headers, body))
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if answer is not None:
            writer.write(b"HTTP/1.1 " + answer + b"\r\nContent-Length: 2\r\n\r\nok")
            await writer.drain()
        else:
            await reader.read()


@asynccontextmanager
async def listening(*answers: bytes | None) -> AsyncIterator[Receiver]:
    receiver = Receiver(list(answers)) if answers else Receiver()
    server = await asyncio.start_server(receiver, "127.0.0.1", 0)
    receiver.port = server.sockets[0].getsockname()[1]
    async with server:
        yield receiver


async def queued(rt: Runtime, tenant: str, url: str, text: str = "Some text.") -> str:
    """Finishes a job with a webhook. Returns the id of the queued delivery."""
    accepted = await driving.accept(rt, tenant, text, callback_url=url)
    await driving.run(rt, accepted.details.job.id)
    async with rt.sessions() as session:
        query = select(WebhookDelivery.id).where(WebhookDelivery.job_id == accepted.details.job.id)
        return (await session.scalars(query)).one()


async def in_outbox(rt: Runtime, tenant: str, *urls: str) -> list[str]:
    """Queues a delivery for each URL, about no stored document. Returns their ids."""
    async with rt.transaction() as session:
        before = select(WebhookDelivery.id)
        known = set(await session.scalars(before))
        for url in urls:
            about = (tenant, new_id("job"), 1, "document.ready")
            await webhooks.queue(session, *about, [Told(url)], {})
        return sorted(set(await session.scalars(before)) - known)


async def stored(rt: Runtime, delivery_id: str) -> WebhookDelivery:
    async with rt.sessions() as session:
        return await session.get_one(WebhookDelivery, delivery_id)


async def set_delivery(rt: Runtime, delivery_id: str, **values: Any) -> None:
    async with rt.transaction() as session:
        await session.execute(update(WebhookDelivery).where(WebhookDelivery.id == delivery_id).values(**values))


async def seconds_until_next(rt: Runtime, delivery_id: str) -> float:
    async with rt.sessions() as session:
        wait = func.extract("epoch", WebhookDelivery.next_attempt_at - func.now())
        return float((await session.scalars(select(wait).where(WebhookDelivery.id == delivery_id))).one())


async def attempt_due(rt: Runtime) -> int:
    """Attempts every delivery that is due, once. Returns how many there were."""
    async with rt.transaction() as session:
        due = await sending.take_due(session, rt.settings, 9)
    for each in due:
        await sending.deliver(rt, each)
    return len(due)
