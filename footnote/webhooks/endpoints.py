"""Registered receivers: created, changed, given another secret, disabled when they no longer answer."""

from collections.abc import Sequence
from typing import Any, Literal

from sqlalchemy import delete, func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from footnote.database import leases
from footnote.database.clock import from_now
from footnote.database.ids import new_id
from footnote.database.rows import affected
from footnote.database.tenant_scope import scoped, tenant_of
from footnote.errors import Conflict, NotFound
from footnote.models import Tenant, WebhookDelivery, WebhookEndpoint
from footnote.settings import Settings
from footnote.telemetry import log
from footnote.tenancy import audit_log
from footnote.tenancy.tenants import new_webhook_secret
from footnote.webhooks import WebhookTarget, queue, wake_sender

Event = Literal[
    "*",
    "document.ready",
    "document.failed",
    "document.cancelled",
    "document.deleted",
    "query_batch.completed",
    "query_batch.cancelled",
]
TEST = "endpoint.test"
MOST = 50  # of a tenant
OVERLAP_SECONDS = 24 * 3600.0  # in which the secret before the newest still signs
DISABLED = "The endpoint was disabled."


async def create(session: AsyncSession, url: str, events: Sequence[str], description: str | None) -> WebhookEndpoint:
    """Raises Conflict when there are too many. The caller has checked the URL."""
    # Requests of a tenant wait for each other here, so that the count is right; foreign keys to it do not wait.
    tenant_id = tenant_of(session)
    await session.execute(select(Tenant.id).where(Tenant.id == tenant_id).with_for_update(key_share=True))
    counted = scoped(session, WebhookEndpoint).with_only_columns(func.count())
    if (await session.scalar(counted) or 0) >= MOST:
        raise Conflict("too_many_webhook_endpoints", f"A tenant may have {MOST} webhook endpoints.")
    endpoint = WebhookEndpoint(
        id=new_id("whe"),
        tenant_id=tenant_id,
        url=url,
        events=list(events),
        description=description,
        secret=new_webhook_secret(),
    )
    session.add(endpoint)
    await session.flush()
    await session.refresh(endpoint)
    await audit_log.note(session, "webhook_endpoint.created", endpoint.id, events=endpoint.events)
    return endpoint


async def get(session: AsyncSession, endpoint_id: str, *, locked: bool = False) -> WebhookEndpoint:
    """Raises NotFound."""
    query = scoped(session, WebhookEndpoint).where(WebhookEndpoint.id == endpoint_id)
    endpoint = await session.scalar(query.with_for_update(key_share=True) if locked else query)
    if endpoint is None:
        raise NotFound("webhook_endpoint_not_found", f"There is no webhook endpoint {endpoint_id!r}.")
    return endpoint


async def list_endpoints(session: AsyncSession, *, limit: int, before: str | None) -> Sequence[WebhookEndpoint]:
    """Newest first, from before the cursor on."""
    query = scoped(session, WebhookEndpoint).order_by(WebhookEndpoint.id.desc()).limit(limit)
    return (await session.scalars(query.where(WebhookEndpoint.id < before) if before else query)).all()


async def change(session: AsyncSession, endpoint_id: str, given: dict[str, Any]) -> WebhookEndpoint:
    """Sets the given fields of url, events, description and enabled. Raises NotFound.

    What is waiting goes to the new URL; it fails when the endpoint is disabled, and can be resent later.
    """
    endpoint = await get(session, endpoint_id, locked=True)
    await audit_log.note(session, "webhook_endpoint.updated", endpoint_id, changed=sorted(given))
    enabled = given.pop("enabled", None)
    for name, value in given.items():
        setattr(endpoint, name, value)
    endpoint.updated_at = func.now()
    if enabled:
        endpoint.disabled_at = endpoint.disabled_reason = endpoint.failing_since = None
    await session.flush()
    if enabled is False and endpoint.disabled_at is None:
        await _disable(session, endpoint_id, "requested")
    await session.refresh(endpoint)
    return endpoint


async def rotate(session: AsyncSession, endpoint_id: str) -> WebhookEndpoint:
    """Gives the endpoint another secret; the previous one also signs for a day. Raises NotFound."""
    endpoint = await get(session, endpoint_id, locked=True)
    endpoint.previous_secret, endpoint.previous_secret_until = endpoint.secret, from_now(OVERLAP_SECONDS)
    endpoint.secret = new_webhook_secret()
    endpoint.updated_at = func.now()
    await session.flush()
    await audit_log.note(session, "webhook_endpoint.secret_rotated", endpoint_id)
    await session.refresh(endpoint)
    return endpoint


async def remove(session: AsyncSession, endpoint_id: str) -> int:
    """Deletes the endpoint with its deliveries, sent or not; returns how many those were. Raises NotFound."""
    endpoint = await get(session, endpoint_id, locked=True)
    deliveries = await affected(session, delete(WebhookDelivery).where(WebhookDelivery.endpoint_id == endpoint.id))
    await session.delete(endpoint)
    await session.flush()
    await audit_log.note(session, "webhook_endpoint.deleted", endpoint_id)
    return deliveries


async def queue_test(session: AsyncSession, endpoint: WebhookEndpoint) -> str:
    """Queues a test delivery, which is sent once, also to a disabled endpoint. Returns its id."""
    test_id = new_id("tst")
    data = {"webhook_endpoint_id": endpoint.id}
    await queue(session, endpoint.tenant_id, test_id, 1, TEST, [WebhookTarget(endpoint.url, endpoint.id)], data)
    return (await session.scalars(select(WebhookDelivery.id).where(WebhookDelivery.job_id == test_id))).one()


# -- after an attempt ------------------------------------------------------------------------------------------


async def succeeded(session: AsyncSession, endpoint_id: str) -> None:
    """Records a success. After a failure, the deliveries that wait for the endpoint are sent now."""
    back = update(WebhookEndpoint).where(WebhookEndpoint.id == endpoint_id, WebhookEndpoint.failing_since.is_not(None))
    if await session.scalar(back.values(failing_since=None).returning(WebhookEndpoint.id)):
        waiting = (WebhookDelivery.endpoint_id == endpoint_id) & (WebhookDelivery.state == "pending")
        free = leases.expired(WebhookDelivery.held_until)
        await session.execute(update(WebhookDelivery).where(waiting, free).values(next_attempt_at=func.now()))
        await wake_sender(session)


async def failed(session: AsyncSession, settings: Settings, endpoint_id: str, *, gone: bool, last: bool) -> bool:
    """Records a failure, and returns whether the endpoint stays enabled.

    It is disabled if it is gone, or if nothing was delivered for days before a `last` attempt.
    """
    patience = from_now(-settings.webhook_disable_days * 24 * 3600.0)
    noted = await session.execute(
        update(WebhookEndpoint)
        .where(WebhookEndpoint.id == endpoint_id, WebhookEndpoint.disabled_at.is_(None))
        .values(failing_since=func.coalesce(WebhookEndpoint.failing_since, func.now()))
        .returning(WebhookEndpoint.tenant_id, (WebhookEndpoint.failing_since < patience).label("for_long"))
    )
    row = noted.one_or_none()
    if row is None:  # deleted, or disabled already
        return False
    if gone or (last and row.for_long):
        reason = "gone" if gone else "failing"
        await _disable(session, endpoint_id, reason)
        await audit_log.note_for(session, row.tenant_id, "webhook_endpoint.disabled", endpoint_id, reason=reason)
        return False
    return True


async def _disable(session: AsyncSession, endpoint_id: str, reason: str) -> None:
    """The caller holds the endpoint."""
    disabled = update(WebhookEndpoint).where(WebhookEndpoint.id == endpoint_id)
    await session.execute(disabled.values(disabled_at=func.now(), disabled_reason=reason))
    waiting = (WebhookDelivery.endpoint_id == endpoint_id) & (WebhookDelivery.state == "pending")
    over = {"state": "failed", "next_attempt_at": None, "error": DISABLED}
    await session.execute(update(WebhookDelivery).where(waiting).values(**over))
    log.warning("webhook endpoint disabled", endpoint_id=endpoint_id, reason=reason)
