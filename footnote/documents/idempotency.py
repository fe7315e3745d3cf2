"""Requests that are done once however often they are sent: `Idempotency-Key`.

As in the IETF draft "The Idempotency-Key HTTP Header Field": the same key and request give the same reply for a day,
another request under the same key is refused, and so is the same one while the first is in flight.
"""

import hashlib
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any

from sqlalchemy import Boolean, and_, any_, cast, delete, or_, update
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.ext.asyncio import AsyncSession

from footnote.database import leases
from footnote.database.clock import from_now
from footnote.database.driver import driver
from footnote.database.ids import new_id
from footnote.database.tenant_scope import tenant_of
from footnote.errors import Conflict, Invalid
from footnote.models import IdempotencyKey
from footnote.runtime import Runtime

STORED_SECONDS = 24 * 3600.0
HELD_SECONDS = 15.0  # a request whose process died frees its key after this long


@dataclass(frozen=True)
class Once:
    """A key that one request holds, with the reply of an earlier request if there is one."""

    tenant_id: str
    key: str
    holder: str
    fingerprint: bytes | None = None
    reply: dict[str, Any] | None = None

    def replay(self, request: Any) -> dict[str, Any] | None:
        """The earlier reply, if the key was used for exactly this request. Raises Invalid if for another."""
        if self.reply is not None and self.fingerprint != fingerprint_of(request):
            raise Invalid("idempotency_key_reused", "The Idempotency-Key was used for another request.")
        return self.reply


def fingerprint_of(request: Any) -> bytes:
    """SHA-256 of the request, which is given as a value that JSON can represent."""
    return hashlib.sha256(json.dumps(request, sort_keys=True, default=str).encode()).digest()


@asynccontextmanager
async def once(rt: Runtime, key: str) -> AsyncIterator[Once]:
    """Holds the key while the block does the request, and frees it when the block raises.

    The block ends with `finish` in the transaction that does the work. Raises Conflict while another request
    holds the key, or if the document made with it was deleted since.
    """
    async with rt.transaction() as session:
        taken = await _take(session, key)
    renewal = update(IdempotencyKey).where(_held_by(taken)).values(held_until=from_now(HELD_SECONDS))
    free = partial(rt.execute, delete(IdempotencyKey).where(_held_by(taken)))
    async with leases.held(rt, renewal, HELD_SECONDS / 3, if_raised=free):
        yield taken


def _held_by(taken: Once) -> Any:
    return and_(
        IdempotencyKey.tenant_id == taken.tenant_id,
        IdempotencyKey.key == taken.key,
        IdempotencyKey.holder == taken.holder,
        IdempotencyKey.fingerprint.is_(None),
    )


# Not waited for on disk: if a crash of Postgres loses it, `finish` finds nothing and the work is rolled back.
_TAKE = """
    INSERT INTO idempotency_key AS used (tenant_id, key, holder, held_until) VALUES ($1, $2, $3, now() + $4)
    ON CONFLICT (tenant_id, key) DO UPDATE
    SET holder = excluded.holder, held_until = excluded.held_until, created_at = now(),
        fingerprint = NULL, reply = NULL, document_id = NULL
    WHERE used.fingerprint IS NULL AND used.held_until < now() OR used.created_at < now() - $5::interval
    RETURNING set_config('synchronous_commit', 'off', true)
    """
_FINISH = """
    UPDATE idempotency_key SET fingerprint = $4, reply = $5, document_id = $6
    WHERE tenant_id = $1 AND key = $2 AND holder = $3 AND fingerprint IS NULL
    RETURNING key
    """


async def _take(session: AsyncSession, key: str) -> Once:
    tenant_id = tenant_of(session)
    mine = Once(tenant_id, key, new_id("req"))
    held, stored = timedelta(seconds=HELD_SECONDS), timedelta(seconds=STORED_SECONDS)
    if await (await driver(session)).fetchval(_TAKE, tenant_id, key, mine.holder, held, stored):
        return mine
    used = await session.get_one(IdempotencyKey, (tenant_id, key))
    if used.fingerprint is None:
        raise Conflict("request_in_flight", "An earlier request with this key is still running.")
    if used.reply is None:
        raise Conflict("document_deleted", "The document of this request has been deleted.")
    return Once(tenant_id, key, used.holder, used.fingerprint, used.reply)


async def finish(
    session: AsyncSession, taken: Once, request: Any, reply: dict[str, Any], document_id: str | None
) -> None:
    """Stores the reply if the key is still held; else raises Conflict, which rolls the caller's work back."""
    stored = fingerprint_of(request), json.dumps(reply), document_id
    connection = await driver(session)
    if not await connection.fetchval(_FINISH, taken.tenant_id, taken.key, taken.holder, *stored):
        raise Conflict("request_in_flight", "A later request with this key has taken over.")


async def redact_documents(session: AsyncSession, document_ids: Sequence[str]) -> None:
    """Removes the replies that show the documents; their keys stay used, so that a resent request repeats nothing."""
    of_batch = IdempotencyKey.document_id.is_(None)  # first, in the words of the index's condition
    each = [{"data": [{"document": {"id": document_id}}]} for document_id in document_ids]
    in_batch = of_batch & IdempotencyKey.reply.op("@>", return_type=Boolean)(any_(cast(each, ARRAY(JSONB))))
    shown = or_(IdempotencyKey.document_id.in_(document_ids), in_batch)
    own = IdempotencyKey.tenant_id == tenant_of(session)
    await session.execute(update(IdempotencyKey).where(own, shown).values(reply=None))


async def purge(session: AsyncSession) -> None:
    """Removes keys older than a day."""
    await session.execute(delete(IdempotencyKey).where(IdempotencyKey.created_at < from_now(-STORED_SECONDS)))
