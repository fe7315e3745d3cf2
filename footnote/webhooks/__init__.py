"""Queues the webhooks of an event. `endpoints` has the receivers, `sending` delivers, `history` shows and resends.

Deliveries are rows written in the transaction that ends a job; a loop in the dispatcher's process sends due ones.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import delete, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from footnote.citations import links
from footnote.database.driver import driver
from footnote.database.ids import derived_id
from footnote.database.tenant_scope import tenant_of
from footnote.models import DocumentSequence, Job, JobCallback, Version, WebhookDelivery, WebhookEndpoint

CHANNEL = "footnote_webhooks"  # Postgres NOTIFY channel that wakes the loops that deliver


_SUBSCRIBE = "INSERT INTO job_callback (job_id, url, tenant_id) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING"


@dataclass(frozen=True)
class WebhookTarget:
    """An endpoint of the tenant or, without one, a callback_url."""

    url: str
    endpoint_id: str | None = None


async def subscribe(session: AsyncSession, job: Job, url: str) -> None:
    """Has a webhook sent to `url` when the job ends; at once, if it has succeeded already."""
    connection = await driver(session)
    await connection.execute(_SUBSCRIBE, job.id, url, job.tenant_id)
    if job.state == "succeeded":
        await _enqueue(session, job.id, "document.ready", [WebhookTarget(url)])


async def enqueue(session: AsyncSession, job_ids: Sequence[str], event: str) -> None:
    """Queues the event for the endpoints of the jobs' tenant and for the jobs' callbacks; once per run and target.

    Endpoints get no events of re-ingested documents, which no caller sent.
    """
    asked = select(Job.id, Job.tenant_id, Job.reingestion, JobCallback.url).where(Job.id.in_(job_ids)).order_by(Job.id)
    rows = (await session.execute(asked.outerjoin(JobCallback, JobCallback.job_id == Job.id))).all()
    endpoints = {tenant_id: await listening(session, tenant_id, event) for tenant_id in {row.tenant_id for row in rows}}
    targets: dict[str, list[WebhookTarget]] = {}
    for job_id, tenant_id, reingestion, url in rows:
        of_job = targets.setdefault(job_id, [] if reingestion else list(endpoints[tenant_id]))
        of_job += [WebhookTarget(url)] if url else []
    for job_id, of_job in targets.items():
        await _enqueue(session, job_id, event, of_job)


async def documents_deleted(session: AsyncSession, jobs_of: Mapping[str, Sequence[str]]) -> None:
    """Call it before the jobs of the documents are deleted. Queues the event for every target of a document's jobs, and
    drops old deliveries.
    """
    job_ids = [each for of_document in jobs_of.values() for each in of_document]
    asked = select(Job.document_id, JobCallback.url).join(Job, Job.id == JobCallback.job_id).distinct()
    urls: dict[str, list[WebhookTarget]] = {}
    for document_id, url in await session.execute(asked.where(JobCallback.job_id.in_(job_ids))):
        urls.setdefault(document_id, []).append(WebhookTarget(url))
    endpoints = await listening(session, tenant_of(session), "document.deleted")
    for document_id, of_document in jobs_of.items():
        targets = [*endpoints, *urls.get(document_id, [])]
        await _enqueue(session, max(of_document), "document.deleted", targets)
    over = WebhookDelivery.job_id.in_(job_ids) & (WebhookDelivery.state != "pending")
    await session.execute(delete(WebhookDelivery).where(over))


async def listening(session: AsyncSession, tenant_id: str, event: str) -> list[WebhookTarget]:
    """The tenant's endpoints for the event; they stay until the transaction ends."""
    wanted = WebhookEndpoint.events.overlap(["*", event]) & WebhookEndpoint.disabled_at.is_(None)
    held = select(WebhookEndpoint).where(WebhookEndpoint.tenant_id == tenant_id, wanted).order_by(WebhookEndpoint.id)
    found = await session.scalars(held.with_for_update(read=True, key_share=True))
    return [WebhookTarget(each.url, each.id) for each in found]


async def queue(
    session: AsyncSession,
    tenant_id: str,
    job_id: str,
    run: int,
    event: str,
    targets: Iterable[WebhookTarget],
    data: dict[str, Any],
) -> None:
    """Queues one delivery for each target. A second call for the same run and event does nothing."""
    payload = json.dumps({"type": event, "timestamp": datetime.now(UTC).isoformat(), "data": data})
    about = {"tenant_id": tenant_id, "job_id": job_id, "run": run, "event": event, "payload": payload}
    rows = [about | vars(each) | {"id": delivery_id(job_id, run, event, each)} for each in targets]
    await session.execute(insert(WebhookDelivery).values(rows).on_conflict_do_nothing())
    await wake_sender(session)


def delivery_id(job_id: str, run: int, event: str, target: WebhookTarget) -> str:
    """The id by which receivers recognise a repetition. It depends on what is announced to whom, and on nothing else.

    An installation that was restored from a backup, and ends the job once more, so repeats the id. It sorts by the
    job's creation, then by run.
    """
    number = min(run, 255) << 72 | int.from_bytes(_digest(job_id, str(run), event, target.endpoint_id or target.url))
    return derived_id("whd", job_id, number)


def _digest(*parts: str) -> bytes:
    return hashlib.sha256("\n".join(parts).encode()).digest()[:9]


async def wake_sender(session: AsyncSession) -> None:
    await session.execute(select(func.pg_notify(CHANNEL, "")))


async def _enqueue(session: AsyncSession, job_id: str, event: str, targets: Sequence[WebhookTarget]) -> None:
    if not targets:
        return
    found = select(Job, Version).join(Version, Version.id == Job.version_id).where(Job.id == job_id)
    job, version = (await session.execute(found.execution_options(populate_existing=True))).one()
    data = (
        _data(event, job, version)
        | _links(session, event, job.document_id)
        | {"sequence": await _next_number(session, job)}
    )
    await queue(session, job.tenant_id, job.id, job.run, event, targets, data)


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


def _links(session: AsyncSession, event: str, document_id: str) -> dict[str, Any]:
    """Where people see the document. No request says the server's address: without a setting there is only a path."""
    path = None if event == "document.deleted" else links.reader_path(document_id)
    base = session.info.get("public_url")
    return {"reader_path": path, "reader_url": base + path if base and path else None}


async def _next_number(session: AsyncSession, job: Job) -> int:
    """The number of the document's next event, greater than that of any event before."""
    first = insert(DocumentSequence).values(document_id=job.document_id, tenant_id=job.tenant_id, last=1)
    again = first.on_conflict_do_update(index_elements=["document_id"], set_={"last": DocumentSequence.last + 1})
    return (await session.scalars(again.returning(DocumentSequence.last))).one()
