"""Removes ended jobs with their steps after some time; the newest job of each document is kept."""

from datetime import timedelta

from footnote.database.driver import driver
from footnote.runtime import Runtime

AT_ONCE = 500

# A job is over when it is old and there is a newer one. Either has become true within the window, so that a look reads
# the jobs of some days and not those of all documents. Jobs with a callback stay: it is notified of the deletion, too.
_PURGE = """
WITH past AS (
    SELECT old.id FROM job AS old
    WHERE old.finished_at BETWEEN now() - $1::interval - $2::interval AND now() - $1::interval
      AND EXISTS (SELECT FROM job AS newer WHERE newer.document_id = old.document_id AND newer.id > old.id)
    UNION
    SELECT old.id FROM job AS newer
    JOIN job AS old ON old.document_id = newer.document_id AND old.id < newer.id
    WHERE newer.finished_at > now() - $2::interval AND old.finished_at < now() - $1::interval
), chosen AS (
    SELECT job.id FROM job JOIN past ON past.id = job.id
    WHERE state NOT IN ('queued', 'running', 'waiting')
      AND NOT EXISTS (SELECT FROM job_callback WHERE job_id = job.id)
    LIMIT $3 FOR UPDATE OF job SKIP LOCKED
), gone AS (DELETE FROM job WHERE id IN (SELECT id FROM chosen) RETURNING id)
SELECT count(*) FROM gone
"""
WINDOW = timedelta(days=3)


async def purge(rt: Runtime) -> None:
    """Removes jobs that ended longer ago than configured, some in each transaction."""
    days = timedelta(days=rt.settings.job_days)
    more = bool(days)
    while more:
        async with rt.transaction() as session:
            more = await (await driver(session)).fetchval(_PURGE, days, WINDOW, AT_ONCE) == AT_ONCE
