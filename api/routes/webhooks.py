"""Webhook endpoints, which receive a tenant's events, and the log of what was sent to them.

An endpoint is notified of every document, so all of this needs the scope `admin`.
"""

from typing import Annotated

from fastapi import APIRouter, Path, Query, Response

from api.deps import Admin, RuntimeDep, again_while_busy
from api.paging import DeliveryCursor, EndpointCursor, Limit, page
from api.schemas.common import PageOf
from api.schemas.fields import OLD_STATE, Plain
from api.schemas.webhooks import (
    DeliveryOut,
    DeliveryStatus,
    DeliveryWithAttemptsOut,
    EndpointDeletionOut,
    EndpointIn,
    EndpointOut,
    EndpointPatch,
    EndpointSecretOut,
    RedeliverIn,
    RedeliverOut,
)
from footnote.outbound import guard
from footnote.runtime import Runtime
from footnote.webhooks import endpoints, history, sending

router = APIRouter(prefix="/v1/webhook_endpoints", tags=["webhooks"])
EndpointId = Annotated[Plain, Path(max_length=64)]
DeliveryId = Annotated[Plain, Path(max_length=64)]


@router.post("", status_code=201)
@again_while_busy
async def create_webhook_endpoint(
    body: EndpointIn, response: Response, rt: RuntimeDep, caller: Admin
) -> EndpointSecretOut:
    """Register an address that is notified of your tenant's events. Its secret is shown here and when you rotate it."""
    guard.check_url(body.url, allow_private=rt.settings.webhook_allow_private)
    async with rt.transaction() as session:
        made = await endpoints.create(session, body.url, body.events, body.description)
    response.headers["Location"] = f"/v1/webhook_endpoints/{made.id}"
    return EndpointSecretOut.model_validate(made)


@router.get("")
async def list_webhook_endpoints(
    rt: RuntimeDep, caller: Admin, limit: Limit = 50, cursor: EndpointCursor = None
) -> PageOf[EndpointOut]:
    """List webhook endpoints, newest first."""
    async with rt.transaction() as session:
        found = await endpoints.list_endpoints(session, limit=limit + 1, before=cursor)
    return page(found, limit, EndpointOut.model_validate)


@router.get("/{endpoint_id}")
async def get_webhook_endpoint(endpoint_id: EndpointId, rt: RuntimeDep, caller: Admin) -> EndpointOut:
    """Get a webhook endpoint."""
    async with rt.transaction() as session:
        return EndpointOut.model_validate(await endpoints.get(session, endpoint_id))


@router.patch("/{endpoint_id}")
@again_while_busy
async def update_webhook_endpoint(
    endpoint_id: EndpointId, body: EndpointPatch, rt: RuntimeDep, caller: Admin
) -> EndpointOut:
    """Change the fields that you send.

    Waiting deliveries go to the new URL. They fail if you disable the endpoint.
    """
    given = body.model_dump(exclude_unset=True)
    if "url" in given:
        guard.check_url(given["url"], allow_private=rt.settings.webhook_allow_private)
    async with rt.transaction() as session:
        return EndpointOut.model_validate(await endpoints.change(session, endpoint_id, given))


@router.delete("/{endpoint_id}")
@again_while_busy
async def delete_webhook_endpoint(endpoint_id: EndpointId, rt: RuntimeDep, caller: Admin) -> EndpointDeletionOut:
    """Delete a webhook endpoint with its deliveries, sent or not."""
    async with rt.transaction() as session:
        removed = await endpoints.remove(session, endpoint_id)
    return EndpointDeletionOut(webhook_endpoint_id=endpoint_id, deliveries=removed)


@router.post("/{endpoint_id}/rotate")
@again_while_busy
async def rotate_webhook_secret(endpoint_id: EndpointId, rt: RuntimeDep, caller: Admin) -> EndpointSecretOut:
    """Create a new secret. For 24 hours the previous one also signs; older ones no longer do."""
    async with rt.transaction() as session:
        return EndpointSecretOut.model_validate(await endpoints.rotate(session, endpoint_id))


@router.post("/{endpoint_id}/test")
async def test_webhook_endpoint(endpoint_id: EndpointId, rt: RuntimeDep, caller: Admin) -> DeliveryWithAttemptsOut:
    """Send `endpoint.test` once, now, also to a disabled endpoint. The answer has the result."""
    async with rt.transaction() as session:
        endpoint = await endpoints.get(session, endpoint_id)
        (due,) = await sending.claim(session, rt.settings, [await endpoints.queue_test(session, endpoint)])
    await sending.deliver(rt, due)
    return await _delivery(rt, endpoint_id, due.id)


@router.get("/{endpoint_id}/deliveries")
async def list_webhook_deliveries(
    endpoint_id: EndpointId,
    rt: RuntimeDep,
    caller: Admin,
    status: Annotated[DeliveryStatus | None, Query(description="Only deliveries with this status.")] = None,
    state: Annotated[DeliveryStatus | None, Query(deprecated=True, description=OLD_STATE.description)] = None,
    limit: Limit = 50,
    cursor: DeliveryCursor = None,
) -> PageOf[DeliveryOut]:
    """List deliveries, newest first: those that were sent and those that wait."""
    async with rt.transaction() as session:
        endpoint = await endpoints.get(session, endpoint_id)
        found = await history.list_deliveries(session, endpoint, limit=limit + 1, before=cursor, state=status or state)
    return page(found, limit, DeliveryOut.model_validate)


@router.get("/{endpoint_id}/deliveries/{delivery_id}")
async def get_webhook_delivery(
    endpoint_id: EndpointId, delivery_id: DeliveryId, rt: RuntimeDep, caller: Admin
) -> DeliveryWithAttemptsOut:
    """Get a delivery with its payload and every attempt."""
    return await _delivery(rt, endpoint_id, delivery_id)


@router.post("/{endpoint_id}/deliveries/{delivery_id}/redeliver", status_code=202)
@again_while_busy
async def redeliver_webhook(
    endpoint_id: EndpointId, delivery_id: DeliveryId, rt: RuntimeDep, caller: Admin
) -> DeliveryOut:
    """Send a delivery again with the same id, regardless of its status. It gets all attempts of a new one."""
    async with rt.transaction() as session:
        again = await history.redeliver(session, endpoint_id, delivery_id)
    return DeliveryOut.model_validate(again)


@router.post("/{endpoint_id}/redeliver", status_code=202)
@again_while_busy
async def redeliver_failed_webhooks(
    endpoint_id: EndpointId, body: RedeliverIn, rt: RuntimeDep, caller: Admin
) -> RedeliverOut:
    """Send again the deliveries that were queued since a time and failed."""
    async with rt.transaction() as session:
        number = await history.redeliver_failed(session, endpoint_id, body.since)
    return RedeliverOut(redelivered=number)


async def _delivery(rt: Runtime, endpoint_id: str, delivery_id: str) -> DeliveryWithAttemptsOut:
    async with rt.transaction() as session:
        endpoint = await endpoints.get(session, endpoint_id)
        found = await history.get(session, endpoint, delivery_id)
        return DeliveryWithAttemptsOut.of(found, await history.attempts(session, found))
