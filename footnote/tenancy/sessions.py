"""Sessions of browsers: a code is traded once for the secret of a cookie, which stands for an API key.

Of both, 256 random bits, only a hash is stored. Each request looks its session up together with the key: when the key
is revoked or has expired, the session has ended.
"""

import secrets
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import delete, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from footnote.database.clock import from_now
from footnote.database.ids import new_id
from footnote.models import BrowserSession, Installation
from footnote.runtime import Runtime
from footnote.tenancy import audit_log, keys
from footnote.tenancy.keys import Principal, Verified

CODE_SECONDS = 60
IDLE_SECONDS = 12 * 3600
LONGEST_SECONDS = 30 * 24 * 3600


async def installation(session: AsyncSession) -> str:
    """The name of this installation, twelve hexadecimal digits: the same in all processes on its database."""
    return (await session.scalars(select(Installation.id).limit(1))).one()


async def issue_code(session: AsyncSession, holder: Principal) -> tuple[str, datetime]:
    """A code and when it ends. Raises Unauthenticated for a holder of a token or a session instead of a key."""
    if holder.by_token:
        raise keys.refusal()
    code = secrets.token_urlsafe(32)
    made = await _store(session, holder, secret_sha256=keys.digest(code), expires_at=from_now(CODE_SECONDS))
    await audit_log.note(session, "session.code_issued", made.id)
    return code, made.expires_at


async def open_for(session: AsyncSession, holder: Principal) -> str:
    """The secret of a new session of a key. Raises Unauthenticated for a holder of a token instead of a key."""
    if holder.by_token:
        raise keys.refusal()
    secret = secrets.token_urlsafe(32)
    made = await _store(session, holder, **_opened(secret))
    await audit_log.note(session, "session.opened", made.id)
    return secret


async def open_by_code(rt: Runtime, code: str) -> str:
    """The secret of a new session. Raises Unauthenticated for a code that is unknown, used or expired."""
    is_the_code = (BrowserSession.secret_sha256 == keys.digest(code)) & BrowserSession.opened_at.is_(None)
    secret = secrets.token_urlsafe(32)
    opening = update(BrowserSession).where(is_the_code, BrowserSession.expires_at > func.now())
    what = (BrowserSession.id, BrowserSession.tenant_id, BrowserSession.key_id)
    async with rt.operator.transaction() as session:
        row = (await session.execute(opening.values(_opened(secret)).returning(*what))).one_or_none()
        if row is None:
            raise keys.refusal()
        await rt.for_tenant(row.tenant_id).as_actor(row.key_id, rt.request_id).narrow(session)
        await audit_log.note(session, "session.opened", row.id)
    return secret


async def _store(session: AsyncSession, holder: Principal, **given: Any) -> BrowserSession:
    made = BrowserSession(id=new_id("ses"), tenant_id=holder.tenant_id, key_id=holder.key_id, **given)
    session.add(made)
    await session.flush()
    await session.refresh(made)
    return made


def _opened(secret: str) -> dict[str, Any]:
    """The columns of an open session."""
    return {
        "secret_sha256": keys.digest(secret),
        "opened_at": func.now(),
        "used_at": func.now(),
        "expires_at": from_now(LONGEST_SECONDS),
    }


async def verify(rt: Runtime, secret: str, *, to_spend: bool = False) -> Verified:
    """The key that the session stands for; like a token, it makes no tokens. Raises Unauthenticated."""
    digest = keys.digest(secret)
    found = await keys.look_up(rt, _BY_SECRET, digest, IDLE_SECONDS, to_spend=to_spend)
    if found is None:
        raise keys.refusal()
    if found.last_used_at is None or found.now - found.last_used_at > keys.USE_NOTED:
        used = update(BrowserSession).where(BrowserSession.secret_sha256 == digest).values(used_at=func.now())
        await rt.operator.execute(used)
        await keys.note_use(rt, found)
    return replace(found, principal=replace(found.principal, by_token=True))


_BY_SECRET = keys.FIND.format(
    proof="s.secret_sha256",
    joined="JOIN browser_session s ON s.key_id = k.id AND s.opened_at IS NOT NULL AND s.expires_at > now() "
    "AND s.used_at > now() - make_interval(secs => CAST($2 AS int))",
    which="s.secret_sha256",
    used="least(k.last_used_at, s.used_at)",
)


async def end(session: AsyncSession, secret: str) -> bool:
    """Ends the session of the secret. Returns whether there was one."""
    ended = delete(BrowserSession).where(BrowserSession.secret_sha256 == keys.digest(secret))
    ended_id = await session.scalar(ended.returning(BrowserSession.id))
    if ended_id is not None:
        await audit_log.note(session, "session.ended", ended_id)
    return ended_id is not None


async def purge(session: AsyncSession) -> None:
    """Removes expired codes and sessions."""
    is_idle = BrowserSession.used_at < from_now(-IDLE_SECONDS)
    await session.execute(delete(BrowserSession).where(or_(BrowserSession.expires_at < func.now(), is_idle)))
