"""Deliveries to an endpoint and their attempts: listed, shown, resent, purged."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import delete, func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from footnote.database.clock import from_now
from footnote.database.paging import page_of_each
from footnote.database.tenant_scope import scoped
from footnote.errors import Conflict, NotFound
from footnote.models import WebhookAttempt, WebhookDelivery, WebhookEndpoint
from footnote.webhooks import endpoints, wake_sender

STATES = ("pending", "delivered", "failed")


async def list_deliveries(
    session: AsyncSession, endpoint: WebhookEndpoint, *, limit: int, before: str | None, state: str | None
) -> Sequence[WebhookDelivery]:
    """Newest first, from before the cursor on."""
    ids = scoped(session, WebhookDelivery).with_only_columns(WebhookDelivery.id)
    ids = ids.where(WebhookDelivery.endpoint_id == endpoint.id)
    states = [state] if state else STATES
    in_state = lambda each: ids.where(WebhookDelivery.state == each)  # noqa: E731  named for the line below
    page = page_of_each(in_state, states, WebhookDelivery.id, limit, before)
    query = select(WebhookDelivery).join(page, page.c.id == WebhookDelivery.id)
    return (await session.scalars(query.order_by(WebhookDelivery.id.desc()))).all()


async def get(session: AsyncSession, endpoint: WebhookEndpoint, delivery_id: str) -> WebhookDelivery:
    """Raises NotFound."""
    query = scoped(session, WebhookDelivery).where(WebhookDelivery.endpoint_id == endpoint.id)
    delivery = await session.scalar(query.where(WebhookDelivery.id == delivery_id))
    if delivery is None:
        raise NotFound("webhook_delivery_not_found", f"The endpoint has no delivery {delivery_id!r}.")
    return delivery


async def attempts(session: AsyncSession, delivery: WebhookDelivery) -> Sequence[WebhookAttempt]:
    """Oldest first."""
    query = scoped(session, WebhookAttempt).where(WebhookAttempt.delivery_id == delivery.id)
    return (await session.scalars(query.order_by(WebhookAttempt.number))).all()


_AGAIN: dict[str, Any] = {
    "state": "pending",
    "attempts_before": WebhookDelivery.attempts,
    "next_attempt_at": func.greatest(func.now(), WebhookDelivery.held_until),
    "delivered_at": None,
}


async def redeliver(session: AsyncSession, endpoint_id: str, delivery_id: str) -> WebhookDelivery:
    """Resends a delivery under the same id, whatever its state, on a new schedule. Raises NotFound, Conflict."""
    endpoint = await _enabled(session, endpoint_id)
    delivery = await get(session, endpoint, delivery_id)
    await session.execute(update(WebhookDelivery).where(WebhookDelivery.id == delivery.id).values(_AGAIN))
    await wake_sender(session)
    await session.refresh(delivery)
    return delivery


async def redeliver_failed(session: AsyncSession, endpoint_id: str, since: datetime) -> int:
    """Resends deliveries that were queued since then and failed; returns their number. Raises NotFound, Conflict."""
    endpoint = await _enabled(session, endpoint_id)
    failed = (WebhookDelivery.endpoint_id == endpoint.id) & (WebhookDelivery.state == "failed")
    sent = (WebhookDelivery.created_at >= since) & (WebhookDelivery.event != endpoints.TEST)
    again = update(WebhookDelivery).where(failed, sent).values(_AGAIN).returning(WebhookDelivery.id)
    found = (await session.scalars(again)).all()
    await wake_sender(session)
    return len(found)


async def _enabled(session: AsyncSession, endpoint_id: str) -> WebhookEndpoint:
    endpoint = await endpoints.get(session, endpoint_id, locked=True)
    if endpoint.disabled_at:
        raise Conflict("webhook_endpoint_disabled", "The endpoint is disabled; enable it first.")
    return endpoint


async def purge(session: AsyncSession, days: float) -> None:
    """Removes deliveries that are older, unless they are still to be sent. Rows that others hold are left for later."""
    over = (WebhookDelivery.state != "pending") & (WebhookDelivery.created_at < from_now(-days * 24 * 3600.0))
    old = select(WebhookDelivery.id).where(over).with_for_update(skip_locked=True)
    await session.execute(delete(WebhookDelivery).where(WebhookDelivery.id.in_(old)))
