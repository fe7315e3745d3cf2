"""Webhook endpoints: registered receivers of a tenant's events, and the log of what was sent to them.

Whoever registers one hears of every document: all of it is for administrators.
"""

from typing import Annotated

from fastapi import APIRouter, Path, Query, Response

from api.deps import Admin, Cursor, Limit, Plain, RuntimeDep, again_while_busy
from api.schemas.common import PageOf
from api.schemas.webhooks import (
    DeliveryOut,
    DeliveryState,
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


@router.post("", status_code=201, operation_id="webhook_endpoints_create")
@again_while_busy
async def create(body: EndpointIn, response: Response, rt: RuntimeDep, caller: Admin) -> EndpointSecretOut:
    """Registers a receiver of the tenant's events. The secret is shown here and when it is rotated, and never again."""
    guard.check_url(body.url, allow_private=rt.settings.webhook_allow_private)
    async with rt.transaction() as session:
        made = await endpoints.create(session, body.url, body.events, body.description)
    response.headers["Location"] = f"/v1/webhook_endpoints/{made.id}"
    return EndpointSecretOut.model_validate(made)


@router.get("", operation_id="webhook_endpoints_list")
async def list_endpoints(
    rt: RuntimeDep, caller: Admin, limit: Limit = 50, cursor: Cursor = None
) -> PageOf[EndpointOut]:
    """Endpoints, newest first."""
    async with rt.transaction() as session:
        found = await endpoints.list_endpoints(session, limit=limit + 1, before=cursor)
    more = found[limit - 1].id if len(found) > limit else None
    return PageOf(data=[EndpointOut.model_validate(each) for each in found[:limit]], next_cursor=more)


@router.get("/{endpoint_id}", operation_id="webhook_endpoints_get")
async def get(endpoint_id: EndpointId, rt: RuntimeDep, caller: Admin) -> EndpointOut:
    async with rt.transaction() as session:
        return EndpointOut.model_validate(await endpoints.get(session, endpoint_id))


@router.patch("/{endpoint_id}", operation_id="webhook_endpoints_update")
@again_while_busy
async def update(endpoint_id: EndpointId, body: EndpointPatch, rt: RuntimeDep, caller: Admin) -> EndpointOut:
    """Changes what is given. What is waiting goes to the new URL; it fails when the endpoint is disabled."""
    given = body.model_dump(exclude_unset=True)
    if "url" in given:
        guard.check_url(given["url"], allow_private=rt.settings.webhook_allow_private)
    async with rt.transaction() as session:
        return EndpointOut.model_validate(await endpoints.change(session, endpoint_id, given))


@router.delete("/{endpoint_id}", operation_id="webhook_endpoints_delete")
@again_while_busy
async def delete(endpoint_id: EndpointId, rt: RuntimeDep, caller: Admin) -> EndpointDeletionOut:
    """Removes the endpoint with its deliveries, sent or not."""
    async with rt.transaction() as session:
        removed = await endpoints.remove(session, endpoint_id)
    return EndpointDeletionOut(webhook_endpoint_id=endpoint_id, deliveries=removed)


@router.post("/{endpoint_id}/rotate", operation_id="webhook_endpoints_rotate")
@again_while_busy
async def rotate(endpoint_id: EndpointId, rt: RuntimeDep, caller: Admin) -> EndpointSecretOut:
    """Another secret. For 24 hours the one before signs, too; one before that no longer does."""
    async with rt.transaction() as session:
        return EndpointSecretOut.model_validate(await endpoints.rotate(session, endpoint_id))


@router.post("/{endpoint_id}/test", operation_id="webhook_endpoints_test")
async def test(endpoint_id: EndpointId, rt: RuntimeDep, caller: Admin) -> DeliveryWithAttemptsOut:
    """Sends `endpoint.test` now, once, also to a disabled endpoint; the answer says how that went."""
    async with rt.transaction() as session:
        endpoint = await endpoints.get(session, endpoint_id)
        (due,) = await sending.claim(session, rt.settings, [await endpoints.queue_test(session, endpoint)])
    await sending.deliver(rt, due)
    return await _delivery(rt, endpoint_id, due.id)


@router.get("/{endpoint_id}/deliveries", operation_id="webhook_deliveries_list")
async def deliveries(
    endpoint_id: EndpointId,
    rt: RuntimeDep,
    caller: Admin,
    state: Annotated[DeliveryState | None, Query()] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> PageOf[DeliveryOut]:
    """What was sent or is to be, newest first."""
    async with rt.transaction() as session:
        endpoint = await endpoints.get(session, endpoint_id)
        found = await history.list_deliveries(session, endpoint, limit=limit + 1, before=cursor, state=state)
    more = found[limit - 1].id if len(found) > limit else None
    return PageOf(data=[DeliveryOut.model_validate(each) for each in found[:limit]], next_cursor=more)


@router.get("/{endpoint_id}/deliveries/{delivery_id}", operation_id="webhook_deliveries_get")
async def delivery(
    endpoint_id: EndpointId, delivery_id: DeliveryId, rt: RuntimeDep, caller: Admin
) -> DeliveryWithAttemptsOut:
    """With what is sent, and every attempt."""
    return await _delivery(rt, endpoint_id, delivery_id)


@router.post(
    "/{endpoint_id}/deliveries/{delivery_id}/redeliver", status_code=202, operation_id="webhook_deliveries_redeliver"
)
@again_while_busy
async def redeliver(endpoint_id: EndpointId, delivery_id: DeliveryId, rt: RuntimeDep, caller: Admin) -> DeliveryOut:
    """Sends it once more under the same id, whatever became of it, and tries as long as with a new one."""
    async with rt.transaction() as session:
        again = await history.redeliver(session, endpoint_id, delivery_id)
    return DeliveryOut.model_validate(again)


@router.post("/{endpoint_id}/redeliver", status_code=202, operation_id="webhook_endpoints_redeliver")
@again_while_busy
async def redeliver_failed(endpoint_id: EndpointId, body: RedeliverIn, rt: RuntimeDep, caller: Admin) -> RedeliverOut:
    """Sends again what was queued since then and failed."""
    async with rt.transaction() as session:
        number = await history.redeliver_failed(session, endpoint_id, body.since)
    return RedeliverOut(redelivered=number)


async def _delivery(rt: Runtime, endpoint_id: str, delivery_id: str) -> DeliveryWithAttemptsOut:
    async with rt.transaction() as session:
        endpoint = await endpoints.get(session, endpoint_id)
        found = await history.get(session, endpoint, delivery_id)
        return DeliveryWithAttemptsOut.of(found, await history.attempts(session, found))
