"""The newest documents of a tenant, whatever they are: the list that is asked for most, planned once a connection."""

from sqlalchemy.ext.asyncio import AsyncSession

from footnote import jobs
from footnote.database.driver import Written, driver, positional
from footnote.database.tenant_scope import tenant_of
from footnote.documents.reading import ACCEPTED, DocumentDetails, read_accepted

_SIZES = (2, 21, 51, 101)  # rows that are read: the same for many limits, so that few statements are prepared
# The rows of a page are found before anything is joined to them: see `footnote.database.paging`. The documents of a
# collection that is being deleted are not visible.
_NEWEST = f"""
    WITH page AS MATERIALIZED (
        SELECT document.id FROM document
        WHERE document.tenant_id = :tenant {{older}}
          AND document.collection_id NOT IN (SELECT c.id FROM collection c WHERE c.deleted_at IS NOT NULL)
        ORDER BY document.id DESC NULLS LAST LIMIT :limit
    )
    SELECT collection.name, {ACCEPTED}, {jobs.ROWS.columns}
    FROM page JOIN document ON document.id = page.id
    JOIN version ON version.document_id = document.id AND version.number = document.newest_version
    JOIN job ON job.id = document.job_id
    JOIN collection ON collection.id = document.collection_id
    WHERE document.tenant_id = :tenant
    ORDER BY page.id DESC
    """  # noqa: S608  constants


async def newest(session: AsyncSession, *, limit: int, before: str | None = None) -> list[DocumentDetails]:
    """`limit` at most, older than the id `before`; the objects belong to no session.

    In a transaction with `PLANNED_ONCE`, or it is planned each time.
    """
    given = {"tenant": tenant_of(session), "limit": Written(next((each for each in _SIZES if each >= limit), limit))}
    if before:
        given["before"] = before
    statement = _NEWEST.format(older="AND document.id < :before" if before else "")
    written, values = positional(statement, given)
    rows = await (await driver(session)).fetch(written, *values)
    of_job = -len(jobs.ROWS)
    return [
        DocumentDetails(*read_accepted(row[1:of_job]), jobs.ROWS.read(row[of_job:]), row[0]) for row in rows[:limit]
    ]
