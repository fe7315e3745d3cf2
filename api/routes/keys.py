"""API keys, and tokens for them."""

from typing import Annotated

from fastapi import APIRouter, Path

from api.deps import Admin, Anyone, RuntimeDep, again_while_busy
from api.paging import KeyCursor, Limit, page
from api.schemas.common import PageOf
from api.schemas.fields import Plain
from api.schemas.keys import KeyIn, KeyOut, NewKeyOut
from api.schemas.tokens import TokenIn, TokenOut
from footnote.tenancy import access_tokens, keys
from footnote.tenancy.keys import Budget

router = APIRouter(prefix="/v1", tags=["keys"])


@router.post("/keys", status_code=201)
@again_while_busy
async def create_api_key(body: KeyIn, rt: RuntimeDep, caller: Admin) -> NewKeyOut:
    """Create an API key. Its `secret` is shown only in this answer.

    The new key cannot do more than the key that creates it.
    """
    async with rt.transaction() as session:
        key, secret = await keys.make(
            session,
            caller,
            body.name,
            body.scopes,
            most=rt.settings.rates,
            expires_at=body.expires_at,
            rates=body.rates,
            budget=Budget(body.budget.usd, body.budget.tokens),
        )
        await session.refresh(key)
    return NewKeyOut.model_validate({**NewKeyOut.fields_of(key), "secret": secret})


@router.get("/keys")
async def list_api_keys(rt: RuntimeDep, caller: Admin, limit: Limit = 50, cursor: KeyCursor = None) -> PageOf[KeyOut]:
    """List API keys, newest first, with those that are revoked or expired."""
    async with rt.transaction() as session:
        found = await keys.list_keys(session, limit=limit + 1, before=cursor)
    return page(found, limit, KeyOut.of)


@router.delete("/keys/{key_id}")
@again_while_busy
async def revoke_api_key(key_id: Annotated[Plain, Path(max_length=64)], rt: RuntimeDep, caller: Admin) -> KeyOut:
    """Revoke an API key. It is refused everywhere from now on. You can repeat the request."""
    async with rt.transaction() as session:
        return KeyOut.of(await keys.revoke(session, key_id))


@router.post("/tokens", status_code=201)
@again_while_busy
async def create_access_token(rt: RuntimeDep, caller: Anyone, body: TokenIn | None = None) -> TokenOut:
    """Create a token for the key that you send: with the same scopes or fewer, valid for a short time.

    Use it where a key must not be stored, such as in a browser. It never outlives the key. A token cannot create
    tokens.
    """
    seconds = rt.settings.token_seconds
    async with rt.operator.transaction() as session:
        made, scopes, ends = await access_tokens.issue(session, caller, body.scopes if body else None, seconds)
    return TokenOut.model_validate({"access_token": made, "scopes": scopes, "expires_at": ends})
