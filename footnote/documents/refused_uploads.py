"""Files that were refused at upload, and why: for 30 days, and the newest 1,000 of a tenant."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress

from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncSession

from footnote.database.clock import from_now
from footnote.database.ids import new_id
from footnote.database.paging import newest_first
from footnote.database.tenant_scope import scoped, tenant_of
from footnote.errors import DatabaseUnavailable, FootnoteError
from footnote.models import RefusedUpload
from footnote.runtime import Runtime
from footnote.tenancy import audit_log
from footnote.text import clean

MOST = 1_000
STORED_SECONDS = 30 * 24 * 3600.0
# Kinds of errors about a file or about the tenant's quota. Other errors are temporary, or about the key.
ABOUT_THE_FILE = {"invalid", "too_large", "unsupported", "document_rejected", "forbidden"}
ABOUT_THE_REQUEST = {"bad_multipart", "idempotency_key_reused", "invalid_request", "missing_file", "too_many_files"}


@asynccontextmanager
async def recorded(rt: Runtime, filename: str) -> AsyncIterator[None]:
    """If the block refuses the file, records the reason and the key of the request."""
    try:
        yield
    except FootnoteError as error:
        if error.kind in ABOUT_THE_FILE and not error.fields and error.code not in ABOUT_THE_REQUEST:
            with suppress(DatabaseUnavailable):  # the caller's answer matters more
                async with rt.transaction() as session:
                    await _record(session, rt, clean(filename), error)
        raise


async def _record(session: AsyncSession, rt: Runtime, filename: str, error: FootnoteError) -> None:
    tenant_id = tenant_of(session)
    by = {"key_id": rt.actor, "request_id": rt.request_id or None}
    reason = {"code": error.code, "message": error.message}
    refused = RefusedUpload(id=new_id("ref"), tenant_id=tenant_id, filename=filename, **by, **reason)
    session.add(refused)
    await session.flush()
    own = select(RefusedUpload.id).where(RefusedUpload.tenant_id == tenant_id)
    oldest = own.order_by(newest_first(RefusedUpload.id)).offset(MOST).limit(1).scalar_subquery()
    await session.execute(delete(RefusedUpload).where(RefusedUpload.tenant_id == tenant_id, RefusedUpload.id <= oldest))
    await audit_log.note(session, "upload.refused", refused.id, code=error.code)


async def list_refused(session: AsyncSession, *, limit: int, before: str | None = None) -> Sequence[RefusedUpload]:
    """Newest first, `limit` at most, older than the id `before`."""
    found = scoped(session, RefusedUpload).order_by(newest_first(RefusedUpload.id)).limit(limit)
    return (await session.scalars(found.where(RefusedUpload.id < before) if before else found)).all()


async def purge(session: AsyncSession) -> None:
    """Removes old entries."""
    await session.execute(delete(RefusedUpload).where(RefusedUpload.created_at < from_now(-STORED_SECONDS)))
