"""Webhooks: payload, signature (Standard Webhooks), outbox, one delivery attempt.

Deliveries are rows written in the transaction that ends a job; the dispatcher sends them to workers when due.
"""

import json
import random
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import delete, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from standardwebhooks.webhooks import Webhook

from footnote import outgoing
from footnote.clock import from_now
from footnote.ids import new_id
from footnote.models import Job, JobCallback, Tenant, Version, WebhookDelivery
from footnote.runtime import Runtime
from footnote.settings import Settings
from footnote.telemetry import log

# Seconds until the next attempt; with jitter they sum up to a little over 24 hours.
SCHEDULE = (5, 30, 120, 600, 1800, 3600, 7200, 14400, 28800, 32400)
CLAIM_SECONDS = 60


async def subscribe(session: AsyncSession, job: Job, url: str) -> None:
    """Asks for `url` to be told when the job ends; at once, if it has succeeded already."""
    await session.execute(
        insert(JobCallback).values(job_id=job.id, url=url, tenant_id=job.tenant_id).on_conflict_do_nothing()
    )
    if job.state == "succeeded":
        await enqueue(session, [job.id], "document.ready")


async def enqueue(session: AsyncSession, job_ids: Sequence[str], event: str) -> None:
    """Queues the event for whoever asked to be told of these jobs; once per run of a job and receiver."""
    asked = (
        select(JobCallback.url, Job, Version)
        .join(Job, Job.id == JobCallback.job_id)
        .join(Version, Version.id == Job.version_id)
        .where(JobCallback.job_id.in_(job_ids))
        .execution_options(populate_existing=True)
    )
    for url, job, version in (await session.execute(asked)).all():
        await session.execute(
            insert(WebhookDelivery)
            .values(
                id=new_id("whd"),
                tenant_id=job.tenant_id,
                job_id=job.id,
                run=job.run,
                event=event,
                url=url,
                payload=json.dumps(_payload(event, job, version)),
            )
            .on_conflict_do_nothing(index_elements=["job_id", "run", "event", "url"])
        )


async def document_deleted(session: AsyncSession, job_ids: Sequence[str]) -> None:
    """Before a document's jobs are gone: tells every receiver of any of them, once, and drops what was delivered."""
    asked = select(JobCallback.url, func.max(JobCallback.job_id)).where(JobCallback.job_id.in_(job_ids))
    for _, job_id in (await session.execute(asked.group_by(JobCallback.url))).all():
        await enqueue(session, [job_id], "document.deleted")
    over = WebhookDelivery.job_id.in_(job_ids) & (WebhookDelivery.state != "pending")
    await session.execute(delete(WebhookDelivery).where(over))


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
            WebhookDelivery.dispatched_at < from_now(-CLAIM_SECONDS),
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
                next_attempt_at=from_now(CLAIM_SECONDS),
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
    return values | {"next_attempt_at": from_now(delay)}


async def _send(settings: Settings, delivery: WebhookDelivery, secret: str) -> tuple[int | None, str | None]:
    """One signed request: (status, None) or (None, what went wrong)."""
    now = datetime.now(UTC)
    headers = {
        "content-type": "application/json",
        "user-agent": "Footnote-Webhooks/1",
        "webhook-id": delivery.id,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": Webhook(secret).sign(delivery.id, now, delivery.payload),
    }
    return await outgoing.post(
        delivery.url,
        headers,
        delivery.payload.encode(),
        seconds=settings.webhook_timeout_seconds,
        allow_private=settings.webhook_allow_private,
    )
