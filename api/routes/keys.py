"""API keys: made, listed, revoked."""

from typing import Annotated

from fastapi import APIRouter, Path, Response

from api.deps import Admin, Cursor, Limit, Plain, RuntimeDep
from api.schemas.common import PageOf
from api.schemas.keys import KeyIn, KeyOut, NewKeyOut
from footnote import keys

router = APIRouter(prefix="/v1/keys", tags=["keys"])


@router.post("", status_code=201, operation_id="keys_create")
async def create(body: KeyIn, response: Response, rt: RuntimeDep, caller: Admin) -> NewKeyOut:
    """The `secret` is shown this once. A key may do nothing that the one that makes it may not."""
    async with rt.transaction() as session:
        key, secret = await keys.make(
            session, caller, body.name, body.scopes, expires_at=body.expires_at, **body.limits()
        )
        await session.refresh(key)
    response.headers["Cache-Control"] = "no-store"
    return NewKeyOut.model_validate({**NewKeyOut.fields_of(key), "secret": secret})


@router.get("", operation_id="keys_list")
async def list_keys(rt: RuntimeDep, caller: Admin, limit: Limit = 50, cursor: Cursor = None) -> PageOf[KeyOut]:
    """Keys, newest first, those revoked or expired among them."""
    async with rt.transaction() as session:
        found = await keys.page_of(session, caller.tenant_id, limit=limit + 1, before=cursor)
    more = found[limit - 1].id if len(found) > limit else None
    return PageOf(data=[KeyOut.of(each) for each in found[:limit]], next_cursor=more)


@router.delete("/{key_id}", operation_id="keys_revoke")
async def revoke(key_id: Annotated[Plain, Path(max_length=64)], rt: RuntimeDep, caller: Admin) -> KeyOut:
    """Ends the key: it is refused from now on, everywhere. Asked again: the same."""
    async with rt.transaction() as session:
        return KeyOut.of(await keys.revoke(session, caller.tenant_id, key_id))
