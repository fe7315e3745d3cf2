"""Due deliveries are claimed, signed and sent once; each attempt is recorded."""

import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import func, insert, text, update
from sqlalchemy.ext.asyncio import AsyncSession
from standardwebhooks.webhooks import Webhook
from structlog.contextvars import bound_contextvars

from footnote.database.clock import from_now
from footnote.models import WebhookAttempt, WebhookDelivery
from footnote.outbound import guard
from footnote.outbound.guard import Reply
from footnote.runtime import Runtime
from footnote.settings import Settings
from footnote.telemetry import log, traces
from footnote.telemetry.metrics import webhook_attempts_total
from footnote.webhooks import endpoints

# Seconds until the next attempt; with jitter they sum up to a little over 24 hours.
SCHEDULE = (5, 30, 120, 600, 1800, 3600, 7200, 14400, 28800, 32400)
CLAIM_SLACK = 45.0  # seconds beyond the longest wait for a receiver after which a claimed delivery is due again


@dataclass(frozen=True)
class Due:
    """A delivery claimed for one attempt; `tries` counts since it was queued or resent on request."""

    id: str
    tenant_id: str
    endpoint_id: str | None
    lane: str
    event: str
    url: str
    payload: str
    attempts: int
    tries: int
    secrets: list[str]
    traceparent: str | None = None


# The lanes by a loose index scan, then the oldest few of each: the cost does not grow with the backlog. The first of
# every lane goes before the second of any.
_DUE = text(
    """
    WITH RECURSIVE lanes AS (
        (SELECT lane FROM webhook_delivery WHERE state = 'pending' ORDER BY lane LIMIT 1)
        UNION ALL
        SELECT (SELECT lane FROM webhook_delivery WHERE state = 'pending' AND lane > lanes.lane ORDER BY lane LIMIT 1)
        FROM lanes WHERE lanes.lane IS NOT NULL
    ), busy AS (
        SELECT lane, tenant_id FROM unnest(CAST(:lanes AS text[]), CAST(:tenants AS text[])) AS busy(lane, tenant_id)
    ), free AS MATERIALIZED (
        SELECT oldest.* FROM lanes CROSS JOIN LATERAL (
            SELECT id, tenant_id, lane, next_attempt_at FROM webhook_delivery
            WHERE state = 'pending' AND lane = lanes.lane AND next_attempt_at <= now()
            ORDER BY next_attempt_at
            LIMIT greatest(0, :a_lane - (SELECT count(*) FROM busy WHERE busy.lane = lanes.lane))
            FOR UPDATE SKIP LOCKED
        ) AS oldest
    ), placed AS (
        SELECT *, (SELECT count(*) FROM busy WHERE busy.lane = free.lane)
                  + row_number() OVER (PARTITION BY lane ORDER BY next_attempt_at) AS place
        FROM free
    ), shares AS (
        SELECT *, (SELECT count(*) FROM busy WHERE busy.tenant_id = placed.tenant_id)
                  + row_number() OVER (PARTITION BY tenant_id ORDER BY place, next_attempt_at) AS share
        FROM placed
    )
    SELECT id FROM shares WHERE share <= :a_tenant ORDER BY place, next_attempt_at LIMIT :room
    """
)
_CLAIM = text(
    """
    WITH claimed AS (
        UPDATE webhook_delivery
        SET attempts = attempts + 1, next_attempt_at = now() + make_interval(secs => :seconds),
            held_until = now() + make_interval(secs => :seconds)
        WHERE id = ANY(:ids) RETURNING *
    )
    SELECT claimed.id, claimed.tenant_id, endpoint_id, lane, event, coalesce(endpoint.url, claimed.url), payload,
           attempts, attempts - attempts_before,
           CASE WHEN endpoint_id IS NULL THEN ARRAY[webhook_secret]
                WHEN previous_secret_until > now() THEN ARRAY[secret, previous_secret]
                ELSE ARRAY[secret] END,
           (SELECT traceparent FROM job WHERE job.id = claimed.job_id)
    FROM claimed JOIN tenant ON tenant.id = claimed.tenant_id
    LEFT JOIN webhook_endpoint AS endpoint ON endpoint.id = endpoint_id
    """
)


async def take_due(
    session: AsyncSession,
    settings: Settings,
    room: int,
    busy: Sequence[Due] = (),
    *,
    a_lane: int = 4,
    a_tenant: int = 16,
) -> list[Due]:
    """Claims up to `room` due deliveries; counting the `busy` ones, each lane and tenant has a limit."""
    under_way = {"lanes": [each.lane for each in busy], "tenants": [each.tenant_id for each in busy]}
    limits = {"room": room, "a_lane": a_lane, "a_tenant": a_tenant}
    ids = (await session.scalars(_DUE, under_way | limits)).all()
    return await claim(session, settings, ids)


async def claim(session: AsyncSession, settings: Settings, ids: Sequence[str]) -> list[Due]:
    """Claims deliveries, which the caller holds, for one attempt. If it dies, they are due again soon."""
    seconds = settings.webhook_timeout_seconds + CLAIM_SLACK
    return [Due(*row) for row in await session.execute(_CLAIM, {"ids": list(ids), "seconds": seconds})]


async def deliver(rt: Runtime, due: Due) -> None:
    """One attempt at a claimed delivery: sends it, records the result. After DatabaseUnavailable it is sent again."""
    ids = {"delivery_id": due.id, "endpoint_id": due.endpoint_id, "tenant_id": due.tenant_id}
    span = traces.spanning("webhook", due.traceparent or "", event_type=due.event, delivery_id=due.id)
    with span, bound_contextvars(**ids):  # every line that the attempt logs has them
        started_at, started = datetime.now(UTC), time.monotonic()
        reply = await _send(rt.settings, due)
        latency_ms = round(1000 * (time.monotonic() - started))
        async with rt.transaction() as session:
            await _settle(session, rt.settings, due, reply, {"started_at": started_at, "latency_ms": latency_ms})
        webhook_attempts_total.labels(_in_a_word(reply)).inc()
        outcome = {"status": reply.status, "error": reply.error, "attempt": due.attempts}
        log.info("webhook attempted", event_type=due.event, **outcome)


async def _settle(session: AsyncSession, settings: Settings, due: Due, reply: Reply, when: dict[str, Any]) -> None:
    """Locks the endpoint first, as a change of it does: so they wait for each other without a deadlock."""
    delivered = _delivered(reply)
    gone, last = reply.status == 410, due.tries > len(SCHEDULE)
    final = gone or last or due.event == endpoints.TEST
    if due.endpoint_id and delivered:
        await endpoints.succeeded(session, due.endpoint_id)
    elif due.endpoint_id:
        final |= not await endpoints.failed(session, settings, due.endpoint_id, gone=gone, last=last)
    newest = (WebhookDelivery.id == due.id) & (WebhookDelivery.attempts == due.attempts)
    values = {"response_status": reply.status, "error": reply.error, "held_until": None}
    written = await session.scalar(
        update(WebhookDelivery)
        .where(newest)
        .values(**values, **_outcome(due.tries, reply, delivered=delivered, final=final))
        .returning(WebhookDelivery.id)
    )
    if written:
        answer = {"response_status": reply.status, "error": reply.error, "excerpt": reply.excerpt}
        ids = {"delivery_id": due.id, "number": due.attempts, "tenant_id": due.tenant_id}
        await session.execute(insert(WebhookAttempt).values(**ids, **when, **answer))


def _delivered(reply: Reply) -> bool:
    return reply.status is not None and 200 <= reply.status < 300


def _in_a_word(reply: Reply) -> str:
    return "delivered" if _delivered(reply) else "refused" if reply.status else "failed"


def _outcome(tries: int, reply: Reply, *, delivered: bool, final: bool) -> dict[str, Any]:
    if delivered:
        return {"state": "delivered", "delivered_at": func.now(), "next_attempt_at": None}
    if final:
        return {"state": "failed", "next_attempt_at": None}
    delay = max(SCHEDULE[tries - 1], reply.retry_after or 0.0)
    jitter = random.uniform(1.0, 1.2)  # noqa: S311  spreading, not secrecy
    return {"state": "pending", "next_attempt_at": from_now(delay * jitter)}


def _signed_headers(due: Due, now: datetime) -> dict[str, str]:
    """Signed with each of the secrets, as Standard Webhooks says."""
    return {
        "content-type": "application/json",
        "user-agent": "Footnote-Webhooks/1",
        "webhook-id": due.id,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": " ".join(Webhook(each).sign(due.id, now, due.payload) for each in due.secrets),
    }


async def _send(settings: Settings, due: Due) -> Reply:
    return await guard.post(
        due.url,
        _signed_headers(due, datetime.now(UTC)),
        due.payload.encode(),
        seconds=settings.webhook_timeout_seconds,
        allow_private=settings.webhook_allow_private,
    )
