"""Webhooks: payload, signature (Standard Webhooks), SSRF guard, one delivery attempt.

Deliveries are rows written in the transaction that ends a job; the dispatcher sends them to workers when due.
"""

import asyncio
import ipaddress
import json
import random
import socket
from collections.abc import Iterable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import httpcore2
from sqlalchemy import func, or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from standardwebhooks.webhooks import Webhook

from footnote.errors import Invalid
from footnote.ids import new_id
from footnote.models import Job, Tenant, Version, WebhookDelivery
from footnote.runtime import Runtime
from footnote.settings import Settings
from footnote.telemetry import log

# Seconds until the next attempt; with jitter they sum up to a little over 24 hours.
SCHEDULE = (5, 30, 120, 600, 1800, 3600, 7200, 14400, 28800, 32400)
CLAIM_SECONDS = 60
PORTS_DENIED = frozenset({0, 21, 22, 23, 25, 110, 143, 465, 587, 993, 995, 3306, 5432, 6379, 11211})

# What `is_global` does not catch: multicast, and IPv6 addresses that carry an IPv4 one to a translator or tunnel.
NETWORKS_DENIED = tuple(
    ipaddress.ip_network(network)
    for network in (
        "224.0.0.0/4",
        "2002::/16",
        # Global unicast is 2000::/3: everything below and above is an embedded IPv4 address or of local scope.
        "::/3",
        "4000::/2",
        "8000::/1",
    )
)


# -- the outbox ----------------------------------------------------------------------------------------------


async def enqueue(session: AsyncSession, tenant_id: str, job_id: str, event: str) -> None:
    """Queues the job's callback, if it asked for one; at most once per event."""
    job = await session.get_one(Job, job_id, populate_existing=True)
    if job.callback_url is None:
        return
    version = await session.get_one(Version, job.version_id, populate_existing=True)
    delivery_id = new_id("whd")
    await session.execute(
        insert(WebhookDelivery)
        .values(
            id=delivery_id,
            tenant_id=tenant_id,
            job_id=job_id,
            event=event,
            url=job.callback_url,
            payload=json.dumps(_payload(event, job, version)),
        )
        .on_conflict_do_nothing(index_elements=["job_id", "event"])
    )


def _payload(event: str, job: Job, version: Version) -> dict[str, Any]:
    error = {"code": job.error_code, "message": job.error_message} if event == "document.failed" else None
    return {
        "type": event,
        "timestamp": datetime.now(UTC).isoformat(),
        "data": {
            "document_id": job.document_id,
            "job_id": job.id,
            "version": version.number,
            "filename": version.filename,
            "pages": version.pages,
            "chunks": version.chunks,
            "error": error,
        },
    }


async def take_due(session: AsyncSession, room: int) -> Sequence[str]:
    """Ids of deliveries to send now, marked so that they are not sent again for a minute."""
    due = (
        (WebhookDelivery.state == "pending")
        & (WebhookDelivery.next_attempt_at <= func.now())
        & or_(
            WebhookDelivery.dispatched_at.is_(None),
            WebhookDelivery.dispatched_at < func.now() - func.make_interval(0, 0, 0, 0, 0, 0, CLAIM_SECONDS),
        )
    )
    chosen = select(WebhookDelivery.id).where(due).order_by(WebhookDelivery.next_attempt_at).limit(room)
    taken = await session.scalars(
        update(WebhookDelivery)
        .where(WebhookDelivery.id.in_(chosen), due)
        .values(dispatched_at=func.now())
        .returning(WebhookDelivery.id)
    )
    return taken.all()


async def deliver(rt: Runtime, delivery_id: str) -> None:
    """One attempt: claims the delivery, sends it, writes how it went."""
    async with rt.transaction() as session:
        claimed = await session.execute(
            update(WebhookDelivery)
            .where(
                WebhookDelivery.id == delivery_id,
                WebhookDelivery.state == "pending",
                WebhookDelivery.next_attempt_at <= func.now(),
            )
            .values(
                attempts=WebhookDelivery.attempts + 1,
                # Due again should this worker die before it has written how it went.
                next_attempt_at=func.now() + func.make_interval(0, 0, 0, 0, 0, 0, CLAIM_SECONDS),
            )
            .returning(WebhookDelivery)
        )
        delivery = claimed.scalar_one_or_none()
        if delivery is None:
            return
        secret = (await session.get_one(Tenant, delivery.tenant_id)).webhook_secret
    status, problem = await _send(rt.settings, delivery, secret)
    async with rt.transaction() as session:
        await session.execute(
            update(WebhookDelivery)
            .where(WebhookDelivery.id == delivery_id, WebhookDelivery.attempts == delivery.attempts)
            .values(**_outcome(delivery.attempts, status, problem))
        )
    log.info("webhook attempted", delivery_id=delivery_id, status=status, error=problem, attempt=delivery.attempts)


def _outcome(attempts: int, status: int | None, problem: str | None) -> dict[str, Any]:
    values: dict[str, Any] = {"response_status": status, "error": problem, "dispatched_at": None}
    if status is not None and 200 <= status < 300:
        return values | {"state": "delivered", "delivered_at": func.now(), "next_attempt_at": None}
    if status == 410 or attempts > len(SCHEDULE):
        return values | {"state": "failed", "next_attempt_at": None}
    delay = SCHEDULE[attempts - 1] * random.uniform(1.0, 1.2)  # noqa: S311  spreading, not secrecy
    return values | {"next_attempt_at": func.now() + func.make_interval(0, 0, 0, 0, 0, 0, delay)}


# -- the wire ------------------------------------------------------------------------------------------------


async def _send(settings: Settings, delivery: WebhookDelivery, secret: str) -> tuple[int | None, str | None]:
    """(status, None) of the receiver's answer, or (None, what went wrong). Redirects are not followed."""
    now = datetime.now(UTC)
    headers = {
        "content-type": "application/json",
        "user-agent": "Footnote-Webhooks/1",
        "webhook-id": delivery.id,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": Webhook(secret).sign(delivery.id, now, delivery.payload),
    }
    seconds = settings.webhook_timeout_seconds
    limits = dict.fromkeys(("connect", "read", "write", "pool"), seconds)
    backend = GuardedBackend(allow_private=settings.webhook_allow_private)
    try:
        check_url(delivery.url, settings)
        async with (
            asyncio.timeout(seconds),
            httpcore2.AsyncConnectionPool(network_backend=backend) as pool,
            pool.stream(
                "POST",
                delivery.url,
                headers=list(headers.items()),
                content=delivery.payload.encode(),
                extensions={"timeout": limits},
            ) as response,
        ):
            return response.status, None  # the body is the receiver's own business: not read
    except (
        httpcore2.NetworkError,
        httpcore2.ProtocolError,
        httpcore2.TimeoutException,
        TimeoutError,
    ) as error:
        return None, f"{type(error).__name__}: {error}"[:500]
    except (Invalid, OSError, UnicodeError) as error:  # UnicodeError: a name that IDNA does not allow
        return None, str(error)[:500]


def check_url(url: str, settings: Settings) -> None:
    """Raises Invalid(url_not_allowed) for what can be refused without resolving the name."""
    refused = Invalid("url_not_allowed", "A callback URL is http(s), without a user, and names a public host.")
    try:
        parts = urlsplit(url)
        host, port = (parts.hostname or "").rstrip("."), parts.port
    except ValueError as error:
        raise refused from error
    if parts.scheme not in ("http", "https") or not host or parts.username or not url.isascii():
        raise refused
    if settings.webhook_allow_private:
        return
    if port in PORTS_DENIED or host == "localhost" or host.endswith((".localhost", ".internal", ".local")):
        raise refused
    try:
        literal = ipaddress.ip_address(host)
    except ValueError:
        return
    if not is_public(literal):
        raise refused


def is_public(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    mapped = getattr(address, "ipv4_mapped", None)
    if mapped is not None:
        return is_public(mapped)
    denied = any(address in network for network in NETWORKS_DENIED if network.version == address.version)
    return address.is_global and not denied


class GuardedBackend(httpcore2.AsyncNetworkBackend):
    """Resolves a name once, checks every address it has, and connects to the first of them that answers.

    So a name cannot change its mind between the check and the connection (DNS rebinding).
    """

    def __init__(self, *, allow_private: bool) -> None:
        self._inner = httpcore2.AnyIOBackend()
        self._allow_private = allow_private

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109  the signature is httpcore's
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        addresses = [ipaddress.ip_address(str(entry[4][0]).partition("%")[0]) for entry in found]
        if not self._allow_private and not all(is_public(address) for address in addresses):
            raise Invalid("url_not_allowed", f"{host} resolves to an address that is not public.")
        share = timeout and timeout / len(addresses)
        for address in addresses[:-1]:
            with suppress(httpcore2.ConnectError, httpcore2.ConnectTimeout):  # there is another to try
                return await self._inner.connect_tcp(str(address), port, share, local_address, socket_options)
        return await self._inner.connect_tcp(str(addresses[-1]), port, share, local_address, socket_options)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
