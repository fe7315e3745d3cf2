"""The statements that run for every job, for the driver. `leases` has the rules that they follow."""

from footnote.database.rows import RowReader
from footnote.models import Job

ROWS = RowReader(Job)
CREATE = f"""
    WITH new_job AS (
        INSERT INTO job (id, tenant_id, document_id, version_id, request_id, large, reingestion, step, traceparent)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $11) RETURNING *
    ), steps AS (
        INSERT INTO job_step (job_id, tenant_id, name, position)
        SELECT new_job.id, tenant_id, name, number - 1
        FROM new_job, unnest($9::text[]) WITH ORDINALITY AS s(name, number)
    )
    SELECT {ROWS.columns}, pg_notify($10, '') FROM new_job AS job
    """  # noqa: S608  constants

# As `leases.claim`, with the history of the step. A job that crashed or failed before is claimed alone only ($5).
CLAIM = """
WITH claimed AS (
    UPDATE job
    SET state = 'running', token = token + 1, attempts = attempts + 1, holder = $3, next_attempt_at = NULL,
        waiting_for = NULL, lease_until = now() + make_interval(secs => $4), error_code = NULL, error_message = NULL,
        updated_at = now()
    WHERE id = $1 AND step = $2 AND state IN ('queued', 'waiting') AND next_attempt_at <= now()
      AND ($5 OR attempts = 0 AND retries = 0) AND NOT EXISTS (SELECT FROM pause)
    RETURNING id, tenant_id, document_id, version_id, step, token, attempts, progress_done, large, traceparent
), begun AS (
    UPDATE job_step
    SET state = 'running', attempts = job_step.attempts + 1, started_at = coalesce(started_at, now())
    FROM claimed WHERE job_id = claimed.id AND name = claimed.step
    RETURNING counts
)
SELECT id AS job_id, tenant_id, document_id, version_id, step, token, attempts, progress_done AS done,
       coalesce(counts, '{}') AS counts, large, traceparent
FROM claimed LEFT JOIN begun ON true
"""

# `attempts` stays: nothing is stored yet, so a crash after this counts with those before it.
GO_ON = """
WITH moved AS (
    UPDATE job
    SET step = $4, progress_done = 0, progress_total = $5, lease_until = now() + make_interval(secs => $7),
        updated_at = now()
    WHERE id = $1 AND token = $2 AND state = 'running' AND NOT EXISTS (SELECT FROM pause)
    RETURNING id
), ended AS (
    UPDATE job_step SET state = 'succeeded', finished_at = now(), counts = $6
    FROM moved WHERE job_id = moved.id AND name = $3
), begun AS (
    UPDATE job_step SET state = 'running', attempts = attempts + 1, started_at = coalesce(started_at, now())
    FROM moved WHERE job_id = moved.id AND name = $4
)
SELECT EXISTS (SELECT FROM moved) AS moved, EXISTS (SELECT FROM pause) AS paused
"""

# In this order, as every transaction that makes a version visible does: collection, document, job.
HOLD = """
WITH shared AS MATERIALIZED (
    SELECT space_id, standby_space_id, chunking, language FROM collection WHERE id = $1 FOR SHARE
), held AS MATERIALIZED (
    SELECT document.id, document.chunking FROM shared, document WHERE document.id = $2 FOR NO KEY UPDATE OF document
), mine AS MATERIALIZED (
    SELECT job.id FROM held, job
    WHERE job.id = $3 AND job.token = $4 AND job.state = 'running' FOR NO KEY UPDATE OF job
)
SELECT shared.space_id, shared.standby_space_id, coalesce(held.chunking, shared.chunking) = $5
       AND shared.language = CAST(CAST($6 AS text) AS regconfig) AS as_cut,
       mine.id IS NOT NULL AS mine, EXISTS (SELECT FROM pause) AS paused
FROM shared LEFT JOIN held ON true LEFT JOIN mine ON true
"""

# The last two steps at once: both are in one transaction. Returns whether there may be receivers of a webhook.
COMPLETE = """
WITH ended AS (
    UPDATE job
    SET state = 'succeeded', step = 'upsert', finished_at = now(), updated_at = now(), progress_done = $2,
        progress_total = $2, lease_until = NULL, dispatched_at = NULL, error_code = NULL, error_message = NULL
    WHERE id = $1
), embedded AS (
    UPDATE job_step SET state = 'succeeded', finished_at = now(), counts = $3 WHERE job_id = $1 AND name = 'embed'
), stored AS (
    UPDATE job_step
    SET state = 'succeeded', attempts = attempts + 1, started_at = coalesce(started_at, now()),
        finished_at = clock_timestamp(), counts = $4
    WHERE job_id = $1 AND name = 'upsert'
)
SELECT EXISTS (SELECT FROM job_callback WHERE job_id = $1)
    OR EXISTS (SELECT FROM webhook_endpoint WHERE tenant_id = $5 AND disabled_at IS NULL)
"""
