"""The audit log: who did what to what, written in the transaction of the action.

So there is no action without its entry, and no entry without its action. The transaction knows who acts
(`Runtime.as_actor`). `audit` is something else: it compares the store with the database.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import delete, select, text, tuple_
from sqlalchemy.ext.asyncio import AsyncSession

from footnote.database.clock import from_now
from footnote.database.driver import driver
from footnote.database.rows import affected
from footnote.database.tenant_scope import scoped, tenant_of
from footnote.models import AuditEvent
from footnote.runtime import Runtime

EVERYBODY = ""  # in place of a tenant: what concerns all of them, and only the operator sees
PURGED_AT_ONCE = 5000
_APART = 3600  # seconds: more than a clock is set back between the id of an event and its time

_NOTE = """
    INSERT INTO audit_event (tenant_id, action, object_id, details)
    SELECT $1, $2, object_id, details FROM unnest($3::text[], $4::jsonb[]) AS about(object_id, details)
    """
_PURGES = text("SELECT set_config('footnote.purges_audit_log', 'on', true)")


async def note(session: AsyncSession, action: str, object_id: str, **details: Any) -> None:
    """Records what the caller's transaction does for its tenant. `details` are ids, numbers, and names of settings."""
    await note_each(session, action, {object_id: details})


async def note_each(session: AsyncSession, action: str, objects: Mapping[str, Mapping[str, Any]]) -> None:
    """The same action on several objects: by id, the details of each."""
    await _write(session, tenant_of(session), action, objects)


async def note_for(session: AsyncSession, tenant_id: str, action: str, object_id: str, **details: Any) -> None:
    """Records what a transaction of the operator does to a tenant, or to all of them (`EVERYBODY`)."""
    await _write(session, tenant_id, action, {object_id: details})


async def _write(session: AsyncSession, tenant_id: str, action: str, objects: Mapping[str, Mapping[str, Any]]) -> None:
    if objects:
        details = [json.dumps(each) for each in objects.values()]
        await (await driver(session)).execute(_NOTE, tenant_id, action, list(objects), details)


@dataclass(frozen=True)
class Wanted:
    """Conditions on entries of the log; empty ones match all."""

    actions: Sequence[str] = ()
    actor: str | None = None
    object_id: str | None = None
    since: datetime | None = None
    until: datetime | None = None


async def list_events(
    session: AsyncSession, wanted: Wanted, *, limit: int, cursor: str | None, oldest_first: bool
) -> Sequence[AuditEvent]:
    """`limit` at most, from behind the event `cursor` on."""
    query = scoped(session, AuditEvent).limit(limit)
    if cursor:
        query = query.where(AuditEvent.id > cursor if oldest_first else AuditEvent.id < cursor)
    if wanted.actions:
        query = query.where(AuditEvent.action.in_(wanted.actions))
    if wanted.actor:
        query = query.where(AuditEvent.actor == wanted.actor)
    if wanted.object_id:
        query = query.where(AuditEvent.object_id == wanted.object_id)
    if wanted.since:
        query = query.where(AuditEvent.at >= wanted.since, AuditEvent.id >= _id_at(wanted.since, -_APART))
    if wanted.until:
        query = query.where(AuditEvent.at < wanted.until, AuditEvent.id < _id_at(wanted.until, _APART))
    return (await session.scalars(query.order_by(AuditEvent.id if oldest_first else AuditEvent.id.desc()))).all()


def _id_at(moment: datetime, later: int) -> str:
    """How ids of that time begin, some seconds later: so a list need not read what was before or after."""
    return f"aud_{max(0, int(moment.timestamp()) + later) * 1_000_000:014x}"


async def purge(rt: Runtime) -> None:
    """Removes entries older than configured; some of them in each transaction."""
    if not rt.settings.audit_days:
        return
    old = select(AuditEvent.tenant_id, AuditEvent.id)
    old = old.where(AuditEvent.at < from_now(-rt.settings.audit_days * 24 * 3600.0))
    part = old.order_by(AuditEvent.at).limit(PURGED_AT_ONCE)
    removal = delete(AuditEvent).where(tuple_(AuditEvent.tenant_id, AuditEvent.id).in_(part))
    more = True
    while more:
        async with rt.transaction() as session:
            await session.execute(_PURGES)
            more = await affected(session, removal) == PURGED_AT_ONCE
