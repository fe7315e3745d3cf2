"""API keys: made, listed, revoked; and tokens for them."""

from typing import Annotated

from fastapi import APIRouter, Path

from api.deps import Admin, Anyone, Cursor, Limit, Plain, RuntimeDep, again_while_busy
from api.schemas.common import PageOf
from api.schemas.keys import KeyIn, KeyOut, NewKeyOut
from api.schemas.tokens import TokenIn, TokenOut
from footnote.tenancy import access_tokens, keys
from footnote.tenancy.keys import Budget

router = APIRouter(prefix="/v1", tags=["keys"])


@router.post("/keys", status_code=201, operation_id="keys_create")
@again_while_busy
async def create(body: KeyIn, rt: RuntimeDep, caller: Admin) -> NewKeyOut:
    """The `secret` is shown this once. A key may do nothing that the one that makes it may not."""
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


@router.get("/keys", operation_id="keys_list")
async def list_keys(rt: RuntimeDep, caller: Admin, limit: Limit = 50, cursor: Cursor = None) -> PageOf[KeyOut]:
    """Keys, newest first, those revoked or expired among them."""
    async with rt.transaction() as session:
        found = await keys.page_of(session, limit=limit + 1, before=cursor)
    more = found[limit - 1].id if len(found) > limit else None
    return PageOf(data=[KeyOut.of(each) for each in found[:limit]], next_cursor=more)


@router.delete("/keys/{key_id}", operation_id="keys_revoke")
@again_while_busy
async def revoke(key_id: Annotated[Plain, Path(max_length=64)], rt: RuntimeDep, caller: Admin) -> KeyOut:
    """Ends the key: it is refused from now on, everywhere. Asked again: the same."""
    async with rt.transaction() as session:
        return KeyOut.of(await keys.revoke(session, key_id))


@router.post("/tokens", status_code=201, operation_id="tokens_create")
@again_while_busy
async def create_token(rt: RuntimeDep, caller: Anyone, body: TokenIn | None = None) -> TokenOut:
    """A token for the key that asks: with the same scopes or fewer, for a short while, and never longer than the key.

    For what must not hold a key: a browser, a job. Made with a key only, not with a token.
    """
    seconds = rt.settings.token_seconds
    async with rt.operator.transaction() as session:
        made, scopes, ends = await access_tokens.issue(session, caller, body.scopes if body else None, seconds)
    return TokenOut.model_validate({"access_token": made, "scopes": scopes, "expires_at": ends})
