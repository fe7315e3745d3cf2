"""API keys: `fn_<prefix>_<secret>`, 256 random bits, stored as a hash and looked up by the prefix.

Each request looks its key up, by an index and from no cache: a revoked key is refused from that moment on, by every
process. One statement finds all that a request asks about its caller, and needs no transaction.
"""

import hashlib
import hmac
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from footnote.database.ids import new_id
from footnote.database.paging import newest_first
from footnote.database.tenant_scope import scoped, tenant_of
from footnote.errors import Forbidden, Invalid, NotFound, Unauthenticated
from footnote.models import ApiKey, Tenant
from footnote.runtime import Runtime
from footnote.settings import RouteClass
from footnote.tenancy import audit_log, usage
from footnote.tenancy.usage import NOTHING, Month

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
        secret_sha256=digest(secret),
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


async def names(session: AsyncSession, key_id: str) -> tuple[str, str | None]:
    """The tenant's name, and the key's; None for a person who comes without a key."""
    tenant = await session.get_one(Tenant, tenant_of(session))
    name = scoped(session, ApiKey).with_only_columns(ApiKey.name).where(ApiKey.id == key_id)
    return tenant.name, await session.scalar(name)


async def revoke(session: AsyncSession, key_id: str) -> ApiKey:
    """Revokes a key permanently; repeating it changes nothing. Raises NotFound."""
    key = await session.scalar(scoped(session, ApiKey).where(ApiKey.id == key_id).with_for_update())
    if key is None:
        raise NotFound("key_not_found", f"There is no key {key_id!r}.")
    if key.revoked_at is None:
        key.revoked_at = (await session.execute(select(func.now()))).scalar_one()
        await audit_log.note(session, "key.revoked", key_id)
    return key


@dataclass(frozen=True)
class Verified:
    """A caller with a valid key, and what else the same look-up found.

    What was spent since the month began is included only if it was asked for.
    """

    principal: Principal
    quotas: Mapping[str, str]  # the tenant's own
    spent: Month  # by the key
    spent_by_tenant: Month
    secret: bytes = field(repr=False)  # a hash, or what the token must be signed with
    now: datetime  # by the database's clock
    last_used_at: datetime | None  # as noted before


async def verify(rt: Runtime, presented: str, *, to_spend: bool = False) -> Verified:
    """Raises the same Unauthenticated for unknown, wrong, expired and revoked keys. `to_spend`: reads the usage."""
    kind, _, rest = presented.partition("_")
    prefix, _, secret = rest.partition("_")
    if kind != "fn" or not (prefix.isascii() and prefix.isalnum()) or not secret:
        raise refusal()
    found = await look_up(rt, _BY_PREFIX, prefix, to_spend=to_spend)
    # Always compare, so that an unknown prefix takes as long as a wrong secret.
    kept = found.secret if found else bytes(32)
    if not hmac.compare_digest(kept, digest(secret)) or found is None:
        raise refusal()
    await note_use(rt, found)
    return found


def refusal() -> Unauthenticated:
    """The same error for every invalid key or token."""
    return Unauthenticated("invalid_api_key", "The API key is missing, unknown, expired or revoked.")


# The key with all that a request asks about its caller, in one statement. {spent} is asked only of who is limited: to
# plan it takes longer than all the rest.
FIND = """
SELECT k.id, k.tenant_id, {proof} AS secret, k.scopes, k.expires_at, k.rates, k.budget_usd, k.budget_tokens, t.quotas,
       now() AS now, {used} AS last_used_at {{columns}}
FROM api_key k JOIN tenant t ON t.id = k.tenant_id {joined} {{spent}}
WHERE {which} = $1 AND t.deleted_at IS NULL AND k.revoked_at IS NULL AND (k.expires_at IS NULL OR k.expires_at > now())
"""
_SPENT = """
CROSS JOIN LATERAL (
    SELECT coalesce(sum(u.prompt_tokens + u.completion_tokens), 0) AS tokens, coalesce(sum(u.cost), 0) AS usd,
           coalesce(sum(u.prompt_tokens + u.completion_tokens) FILTER (WHERE u.key_id = k.id), 0) AS key_tokens,
           coalesce(sum(u.cost) FILTER (WHERE u.key_id = k.id), 0) AS key_usd
    FROM usage u
    WHERE u.tenant_id = k.tenant_id AND u.day >= date_trunc('month', timezone('UTC', now()))
) AS spent"""
_BY_PREFIX = FIND.format(proof="k.secret_sha256", joined="", which="k.prefix", used="k.last_used_at")


async def look_up(rt: Runtime, statement: str, *which: Any, to_spend: bool) -> Verified | None:
    """The caller that a statement made of FIND finds, if there is one."""
    written = statement.format(columns=", spent.*" if to_spend else "", spent=_SPENT if to_spend else "")
    async with rt.operator.autocommit() as connection:
        row = await connection.fetchrow(written, *which)
    if row is None:
        return None
    budget = Budget(row["budget_usd"], row["budget_tokens"])
    scopes, rates = frozenset(row["scopes"]), row["rates"]
    return Verified(
        Principal(row["tenant_id"], row["id"], scopes, row["expires_at"], rates, budget),
        row["quotas"],
        Month(int(row["key_tokens"]), row["key_usd"]) if to_spend else NOTHING,
        Month(int(row["tokens"]), row["usd"]) if to_spend else NOTHING,
        row["secret"],
        row["now"],
        row["last_used_at"],
    )


async def note_use(rt: Runtime, found: Verified) -> None:
    """Records that the key is used. Waits neither for other requests that record it, nor for the disk."""
    if found.last_used_at is not None and found.now - found.last_used_at <= USE_NOTED:
        return
    async with rt.operator.transaction(synchronous_commit="off") as session:
        free = select(ApiKey.id).where(ApiKey.id == found.principal.key_id).with_for_update(skip_locked=True)
        note = update(ApiKey).where(ApiKey.id.in_(free)).values(last_used_at=func.now())
        await session.execute(note.execution_options(synchronize_session=False))


def check_budget(principal: Principal, spent: Month) -> None:
    """Raises Forbidden once this month's use of the key has reached its budget."""
    budget = principal.budget
    if budget.usd is not None and spent.usd >= budget.usd:
        raise Forbidden("quota_exceeded", f"The API key's budget of {budget.usd} US dollars is used up.")
    if budget.tokens is not None and spent.tokens >= budget.tokens:
        raise Forbidden("quota_exceeded", f"The API key's budget of {budget.tokens} tokens is used up.")


async def check_still(session: AsyncSession, key_id: str) -> None:
    """Checks whether work that a key requested some time ago may still be done; work without a key has no budget.

    Raises Forbidden once its budget is used up, and Unauthenticated once it is revoked; one may have ended meanwhile.
    """
    key = await session.scalar(scoped(session, ApiKey).where(ApiKey.id == key_id))
    if key is not None:
        if key.revoked_at is not None:
            raise refusal()
        budget = Budget(key.budget_usd, key.budget_tokens)
        if budget:
            holder = Principal(key.tenant_id, key.id, frozenset(key.scopes), budget=budget)
            check_budget(holder, await usage.this_month(session, key_id))


def digest(secret: str) -> bytes:
    """SHA-256: a random 256-bit secret needs no slow password hash."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()
