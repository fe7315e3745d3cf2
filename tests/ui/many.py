"""Ten thousand documents of a tenant in the database of a running product."""

from sqlalchemy import text

from footnote.runtime import open_runtime
from footnote.settings import Settings
from footnote.tenancy import tallies

COUNT = 10_000
FAILED = 7
_ROWS = (
    """
    INSERT INTO collection (id, tenant_id, name, chunking)
    VALUES ('col_many_{tenant}', '{tenant}', 'many',
            '{{"size": 1200, "overlap": 150, "unit": "characters", "by_headings": true}}')
    """,
    """
    INSERT INTO document (id, tenant_id, collection_id, filename, sha256, job_id, created_at)
    SELECT 'doc_' || lpad(n::text, 26, '0'), '{tenant}', 'col_many_{tenant}', 'report ' || n || '.pdf',
           sha256(n::text::bytea), 'job_' || lpad(n::text, 26, '0'), now() - n * interval '1 hour'
    FROM generate_series(1, {count}) AS n
    """,
    """
    INSERT INTO version (id, tenant_id, document_id, number, filename, media_type, sha256, bytes, pages, chunks)
    SELECT 'ver_' || lpad(n::text, 26, '0'), '{tenant}', 'doc_' || lpad(n::text, 26, '0'), 1, 'report ' || n || '.pdf',
           'application/pdf', sha256(n::text::bytea), 1000, n % 90 + 1, n % 400
    FROM generate_series(1, {count}) AS n
    """,
    """
    INSERT INTO job (id, tenant_id, document_id, version_id, state, step, next_attempt_at, finished_at, error_code,
                     error_message)
    SELECT 'job_' || lpad(n::text, 26, '0'), '{tenant}', 'doc_' || lpad(n::text, 26, '0'),
           'ver_' || lpad(n::text, 26, '0'), CASE WHEN n <= {failed} THEN 'failed' ELSE 'succeeded' END, 'upsert', NULL,
           now(), CASE WHEN n <= {failed} THEN 'encrypted' END,
           CASE WHEN n <= {failed} THEN 'The file is protected by a password.' END
    FROM generate_series(1, {count}) AS n
    """,
)


async def fill(database_url: str, tenant_id: str) -> None:
    settings = Settings(_env_file=None, database_url=database_url)
    async with open_runtime(settings, pool_size=1) as rt, rt.transaction() as session:
        for statement in _ROWS:
            await session.execute(text(statement.format(tenant=tenant_id, count=COUNT, failed=FAILED)))
        await tallies.fold(session)
