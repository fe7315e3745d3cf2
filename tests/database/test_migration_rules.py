"""Migrations that would stop the work, or break the release before, are refused; those that do not are not."""

import pytest

from scripts.lint_migrations import faults

TABLES = ("job", "chunk", "embedding_space")

REFUSED = [
    "CREATE INDEX ix_job_state ON job (state)",
    "CREATE UNIQUE INDEX IF NOT EXISTS ix ON public.job (id)",
    "ALTER TABLE job ADD COLUMN at timestamptz NOT NULL DEFAULT clock_timestamp()",
    "ALTER TABLE chunk ADD COLUMN words int GENERATED ALWAYS AS (length(text)) STORED",
    "ALTER TABLE job ALTER COLUMN run TYPE bigint",
    "ALTER TABLE job ALTER COLUMN error_code SET NOT NULL",
    "ALTER TABLE job ADD CONSTRAINT fk FOREIGN KEY (space_id) REFERENCES embedding_space (id)",
    "ALTER TABLE job ADD CONSTRAINT uq UNIQUE (run)",
    "UPDATE chunk SET language = 'english'  -- all of them",
    "DELETE FROM job WHERE run = 0",
    "INSERT INTO counted (id) SELECT id FROM chunk",
    "LOCK TABLE chunk",
    "DROP TABLE chunk",
    "ALTER TABLE job DROP COLUMN run",
    "ALTER TABLE job RENAME run TO runs",
]
ALLOWED = [
    "CREATE INDEX CONCURRENTLY IF NOT EXISTS ix_job_state ON job (state)",
    "CREATE TABLE report (id text PRIMARY KEY, job_id varchar(40) REFERENCES job (id))",
    "CREATE INDEX ix_report_job_id ON report (job_id)",
    "INSERT INTO report (id) SELECT id FROM job_of_now",
    "ALTER TABLE job ADD COLUMN note text",
    "ALTER TABLE job ADD COLUMN tries integer NOT NULL DEFAULT 0, ADD COLUMN at timestamptz DEFAULT now()",
    "ALTER TABLE job ADD CONSTRAINT fk FOREIGN KEY (space_id) REFERENCES embedding_space (id) NOT VALID",
    "ALTER TABLE job VALIDATE CONSTRAINT fk",
    "ALTER TABLE job DROP CONSTRAINT IF EXISTS fk",
    "ALTER TABLE job ALTER COLUMN run DROP NOT NULL",
    "UPDATE embedding_space SET dimensions = 3",
]


@pytest.mark.parametrize("statement", REFUSED)
def test_what_stops_the_work_is_refused(statement: str) -> None:
    assert len(list(faults([statement], TABLES, None))) == 1


def test_what_does_not_is_allowed() -> None:
    assert list(faults(ALLOWED, TABLES, None)) == []


def test_what_no_release_uses_any_more_may_be_removed() -> None:
    assert list(faults(["ALTER TABLE job DROP COLUMN run"], TABLES, "0041")) == []
