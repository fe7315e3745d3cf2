"""Webhooks: payload, signature (Standard Webhooks), outbox, one delivery attempt.

Deliveries are rows written in the transaction that ends a job; a loop beside the dispatcher sends what is due.
"""

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import delete, func, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from standardwebhooks.webhooks import Webhook

from footnote import outgoing
from footnote.clock import from_now
from footnote.ids import new_id
from footnote.models import Job, JobCallback, Version, WebhookDelivery
from footnote.runtime import Runtime
from footnote.settings import Settings
from footnote.telemetry import log

# Seconds until the next attempt; with jitter they sum up to a little over 24 hours.
SCHEDULE = (5, 30, 120, 600, 1800, 3600, 7200, 14400, 28800, 32400)
CLAIM_SLACK = 45.0  # seconds beyond the longest wait for a receiver after which a claimed delivery is due again
CHANNEL = "footnote_webhooks"  # Postgres NOTIFY channel that wakes whoever delivers


async def subscribe(session: AsyncSession, job: Job, url: str) -> None:
    """Asks for `url` to be told when the job ends; at once, if it has succeeded already."""
    await session.execute(
        insert(JobCallback).values(job_id=job.id, url=url, tenant_id=job.tenant_id).on_conflict_do_nothing()
    )
    if job.state == "succeeded":
        await enqueue(session, [job.id], "document.ready")


async def enqueue(session: AsyncSession, job_ids: Sequence[str], event: str, only: str | None = None) -> None:
    """Queues the event for who asked to be told of these jobs, or `only` one; once per run of a job and receiver."""
    asked = (
        select(JobCallback.url, Job, Version)
        .join(Job, Job.id == JobCallback.job_id)
        .join(Version, Version.id == Job.version_id)
        .where(JobCallback.job_id.in_(job_ids), JobCallback.url == (only or JobCallback.url))
        .execution_options(populate_existing=True)
    )
    told = (await session.execute(asked)).all()
    for url, job, version in told:
        about = (job.tenant_id, job.id, job.run)
        await queue(session, *about, event, url, _data(event, job, version))


async def queue(
    session: AsyncSession, tenant_id: str, job_id: str, run: int, event: str, url: str, data: dict[str, Any]
) -> None:
    """One delivery, however often it is asked for."""
    payload = {"type": event, "timestamp": datetime.now(UTC).isoformat(), "data": data}
    values = {"tenant_id": tenant_id, "job_id": job_id, "run": run, "event": event, "url": url}
    await session.execute(
        insert(WebhookDelivery)
        .values(id=new_id("whd"), payload=json.dumps(payload), **values)
        .on_conflict_do_nothing(index_elements=["job_id", "run", "event", "url"])
    )
    await session.execute(select(func.pg_notify(CHANNEL, "")))


async def document_deleted(session: AsyncSession, job_ids: Sequence[str]) -> None:
    """Before a document's jobs are gone: tells every receiver of any of them, once, and drops what was delivered."""
    asked = select(JobCallback.url, func.max(JobCallback.job_id)).where(JobCallback.job_id.in_(job_ids))
    for url, job_id in (await session.execute(asked.group_by(JobCallback.url))).all():
        await enqueue(session, [job_id], "document.deleted", url)
    over = WebhookDelivery.job_id.in_(job_ids) & (WebhookDelivery.state != "pending")
    await session.execute(delete(WebhookDelivery).where(over))


def _data(event: str, job: Job, version: Version) -> dict[str, Any]:
    error = {"code": job.error_code, "message": job.error_message} if event == "document.failed" else None
    return {
        "document_id": job.document_id,
        "job_id": job.id,
        "version": version.number,
        "filename": version.filename,
        "pages": version.pages,
        "chunks": version.chunks,
        "error": error,
    }


@dataclass(frozen=True)
class Due:
    """A delivery claimed for one attempt, with what it is signed with."""

    id: str
    host: str
    url: str
    payload: str
    attempts: int
    secret: str


# The hosts by a loose index scan, then the oldest few of each: the cost does not grow with the backlog.
_TAKE_DUE = text(
    """
    WITH RECURSIVE receiver AS (
        (SELECT host FROM webhook_delivery WHERE state = 'pending' ORDER BY host LIMIT 1)
        UNION ALL
        SELECT (SELECT host FROM webhook_delivery WHERE state = 'pending' AND host > receiver.host
                ORDER BY host LIMIT 1)
        FROM receiver WHERE receiver.host IS NOT NULL
    ), due AS MATERIALIZED (
        SELECT oldest.id FROM receiver CROSS JOIN LATERAL (
            SELECT id, next_attempt_at FROM webhook_delivery
            WHERE state = 'pending' AND host = receiver.host AND next_attempt_at <= now()
            ORDER BY next_attempt_at
            LIMIT greatest(0, :a_host - (SELECT count(*) FROM unnest(CAST(:busy AS text[])) AS busy(host)
                                         WHERE busy.host = receiver.host))
            FOR UPDATE SKIP LOCKED
        ) AS oldest
        ORDER BY oldest.next_attempt_at LIMIT :room
    )
    UPDATE webhook_delivery AS delivery
    SET attempts = attempts + 1, next_attempt_at = now() + make_interval(secs => :seconds)
    FROM due, tenant
    WHERE delivery.id = due.id AND tenant.id = delivery.tenant_id
    RETURNING delivery.id, host, url, payload, attempts, webhook_secret
    """
)


async def take_due(
    session: AsyncSession, settings: Settings, room: int, busy: Sequence[str] = (), a_host: int = 4
) -> list[Due]:
    """Claims up to `room` due deliveries, oldest first, but so many that a host never has more than `a_host`.

    `busy` names the host of each delivery under way. Should the caller die, they are due again soon.
    """
    seconds = settings.webhook_timeout_seconds + CLAIM_SLACK
    values = {"room": room, "busy": list(busy), "a_host": a_host, "seconds": seconds}
    return [Due(*row) for row in await session.execute(_TAKE_DUE, values)]


async def deliver(rt: Runtime, due: Due) -> None:
    """One attempt at what was claimed: sends it, writes how it went. Raises DatabaseAway: then it is sent again."""
    status, problem = await _send(rt.settings, due)
    async with rt.transaction() as session:
        await session.execute(
            update(WebhookDelivery)
            .where(WebhookDelivery.id == due.id, WebhookDelivery.attempts == due.attempts)
            .values(**_outcome(due.attempts, status, problem))
        )
    log.info("webhook attempted", delivery_id=due.id, status=status, error=problem, attempt=due.attempts)


def _outcome(attempts: int, status: int | None, problem: str | None) -> dict[str, Any]:
    values: dict[str, Any] = {"response_status": status, "error": problem}
    if status is not None and 200 <= status < 300:
        return values | {"state": "delivered", "delivered_at": func.now(), "next_attempt_at": None}
    if status == 410 or attempts > len(SCHEDULE):
        return values | {"state": "failed", "next_attempt_at": None}
    delay = SCHEDULE[attempts - 1] * random.uniform(1.0, 1.2)  # noqa: S311  spreading, not secrecy
    return values | {"next_attempt_at": from_now(delay)}


async def _send(settings: Settings, due: Due) -> tuple[int | None, str | None]:
    """One signed request: (status, None) or (None, what went wrong)."""
    now = datetime.now(UTC)
    headers = {
        "content-type": "application/json",
        "user-agent": "Footnote-Webhooks/1",
        "webhook-id": due.id,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": Webhook(due.secret).sign(due.id, now, due.payload),
    }
    return await outgoing.post(
        due.url,
        headers,
        due.payload.encode(),
        seconds=settings.webhook_timeout_seconds,
        allow_private=settings.webhook_allow_private,
    )
