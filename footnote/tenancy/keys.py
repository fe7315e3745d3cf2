"""API keys: `fn_<prefix>_<secret>`, 256 random bits, stored as a hash and looked up by the prefix.

Each request looks its key up, by an index and from no cache: a revoked key is refused from that moment on.
"""

import hashlib
import hmac
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import exists, func, or_, select, text, update
from sqlalchemy.ext.asyncio import AsyncSession

from footnote.database.ids import new_id
from footnote.database.paging import newest_first
from footnote.database.tenant_scope import scoped
from footnote.errors import Forbidden, Invalid, NotFound, Unauthenticated
from footnote.models import ApiKey, Tenant
from footnote.settings import RouteClass
from footnote.tenancy import audit_log, usage

SCOPES = ("read", "write", "admin")
USE_NOTED = timedelta(minutes=1)  # when a key was used last is written this often at most
_PREFIX_BYTES = 6


@dataclass(frozen=True)
class Budget:
    """What may be spent in a calendar month, in UTC; None: no limit."""

    usd: Decimal | None = None
    tokens: int | None = None

    def __bool__(self) -> bool:
        return self.usd is not None or self.tokens is not None


@dataclass(frozen=True)
class Principal:
    """The caller of a request, and what it may do."""

    tenant_id: str
    key_id: str  # of a person who comes without a key: `oidc_...`
    scopes: frozenset[str]
    expires_at: datetime | None = None  # what bounds the keys that it makes
    rates: Mapping[str, int] = field(default_factory=dict)  # requests a minute, where not as configured
    budget: Budget = Budget()
    by_token: bool = False  # which makes no further tokens

    def may(self, scope: str) -> bool:
        return scope in self.scopes or "admin" in self.scopes


async def create(
    session: AsyncSession,
    tenant_id: str,
    name: str,
    scopes: Sequence[str] = SCOPES,
    *,
    expires_at: datetime | None = None,
    rates: Mapping[RouteClass, int] | None = None,
    budget: Budget = Budget(),
) -> tuple[ApiKey, str]:
    """The key's row and its text; the text is not stored and cannot be shown again."""
    prefix, secret = secrets.token_hex(_PREFIX_BYTES), secrets.token_urlsafe(32)
    key = ApiKey(
        id=new_id("key"),
        tenant_id=tenant_id,
        name=name,
        prefix=prefix,
        secret_sha256=_digest(secret),
        scopes=list(scopes),
        expires_at=expires_at,
        rates=dict(rates or {}),
        budget_usd=budget.usd,
        budget_tokens=budget.tokens,
    )
    session.add(key)
    await session.flush()
    await audit_log.note_for(session, tenant_id, "key.created", key.id, scopes=key.scopes)
    return key, f"fn_{prefix}_{secret}"


async def make(
    session: AsyncSession,
    maker: Principal,
    name: str,
    scopes: Sequence[str],
    *,
    most: Mapping[RouteClass, int],
    expires_at: datetime | None = None,
    rates: Mapping[RouteClass, int] | None = None,
    budget: Budget = Budget(),
) -> tuple[ApiKey, str]:
    """What `create` does, for a caller: the new key may do nothing that its maker may not, nor for longer.

    Nor faster: `most` are the configured rates, 0 for no limit. Raises Forbidden, and Invalid for an end that is past.
    """
    if beyond := [scope for scope in scopes if not maker.may(scope)]:
        raise Forbidden("missing_scope", f"The API key lacks the scope {beyond[0]!r}, and cannot give it away.")
    if maker.budget or maker.rates:
        raise Forbidden("limited_key", "A key with a budget or with limits of its own makes no others.")
    if faster := [name for name, rate in (rates or {}).items() if most[name] and not 0 < rate <= most[name]]:
        what = f"{most[faster[0]]} requests of the class {faster[0]!r} a minute"
        raise Forbidden("limited_key", f"A key may make {what} at most.")
    if expires_at is not None and expires_at <= (await session.execute(select(func.now()))).scalar_one():
        raise Invalid("invalid_request", "`expires_at` must be in the future.")
    ends = min((end for end in (expires_at, maker.expires_at) if end), default=None)
    chosen = sorted(set(scopes), key=SCOPES.index)
    return await create(session, maker.tenant_id, name, chosen, expires_at=ends, rates=rates, budget=budget)


async def list_keys(session: AsyncSession, *, limit: int, before: str | None) -> Sequence[ApiKey]:
    """Keys, newest first, revoked and expired ones among them."""
    found = scoped(session, ApiKey).order_by(newest_first(ApiKey.id)).limit(limit)
    return (await session.scalars(found.where(ApiKey.id < before) if before else found)).all()


async def revoke(session: AsyncSession, key_id: str) -> ApiKey:
    """Ends a key for good; asked again: the same. Raises NotFound."""
    key = await session.scalar(scoped(session, ApiKey).where(ApiKey.id == key_id).with_for_update())
    if key is None:
        raise NotFound("key_not_found", f"There is no key {key_id!r}.")
    if key.revoked_at is None:
        key.revoked_at = (await session.execute(select(func.now()))).scalar_one()
        await audit_log.note(session, "key.revoked", key_id)
    return key


async def verify(session: AsyncSession, presented: str) -> Principal:
    """Raises Unauthenticated, alike for unknown, wrong, expired and revoked keys."""
    kind, _, rest = presented.partition("_")
    prefix, _, secret = rest.partition("_")
    if kind != "fn" or not (prefix.isascii() and prefix.isalnum()) or not secret:
        raise refusal()
    found = (await session.execute(select(ApiKey, func.now()).where(ApiKey.prefix == prefix, GOOD))).one_or_none()
    # Always compare, so that an unknown prefix takes as long as a wrong secret.
    kept = found[0].secret_sha256 if found else bytes(32)
    if not hmac.compare_digest(kept, _digest(secret)) or found is None:
        raise refusal()
    return await principal_of(session, *found)


def refusal() -> Unauthenticated:
    """The one answer, whatever is wrong with a key or a token."""
    return Unauthenticated("invalid_api_key", "The API key is missing, unknown, expired or revoked.")


_ALIVE = exists(select(Tenant.id).where(Tenant.id == ApiKey.tenant_id, Tenant.deleted_at.is_(None)))
GOOD = ApiKey.revoked_at.is_(None) & or_(ApiKey.expires_at.is_(None), ApiKey.expires_at > func.now()) & _ALIVE


async def principal_of(session: AsyncSession, key: ApiKey, now: datetime, **narrower: Any) -> Principal:
    """The caller with the key, or with a token made from it. Records that the key is used."""
    if key.last_used_at is None or now - key.last_used_at > USE_NOTED:
        await _note_use(session, key.id)
    return replace(_named(key), **narrower)


def _named(key: ApiKey) -> Principal:
    budget = Budget(key.budget_usd, key.budget_tokens)
    return Principal(key.tenant_id, key.id, frozenset(key.scopes), key.expires_at, key.rates, budget)


async def _note_use(session: AsyncSession, key_id: str) -> None:
    """Waits neither for other requests that record it, nor for the disk."""
    await session.execute(text("SET LOCAL synchronous_commit = off"))
    free = select(ApiKey.id).where(ApiKey.id == key_id).with_for_update(skip_locked=True)
    note = update(ApiKey).where(ApiKey.id.in_(free)).values(last_used_at=func.now())
    await session.execute(note.execution_options(synchronize_session=False))


async def check_budget(session: AsyncSession, principal: Principal) -> None:
    """Raises Forbidden once this month's use of the key has reached its budget."""
    if not principal.budget:
        return
    spent = await usage.this_month(session, principal.key_id)
    if principal.budget.usd is not None and spent.usd >= principal.budget.usd:
        raise Forbidden("quota_exceeded", f"The API key's budget of {principal.budget.usd} US dollars is used up.")
    if principal.budget.tokens is not None and spent.tokens >= principal.budget.tokens:
        raise Forbidden("quota_exceeded", f"The API key's budget of {principal.budget.tokens} tokens is used up.")


async def check_still(session: AsyncSession, key_id: str) -> None:
    """Checks whether work that a key requested some time ago may still be done; work without a key has no budget.

    Raises Forbidden once its budget is used up, and Unauthenticated once it is revoked; one may have ended meanwhile.
    """
    key = await session.scalar(scoped(session, ApiKey).where(ApiKey.id == key_id))
    if key is not None:
        if key.revoked_at is not None:
            raise refusal()
        await check_budget(session, _named(key))


def _digest(secret: str) -> bytes:
    """SHA-256: a random 256-bit secret needs no slow password hash."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()
