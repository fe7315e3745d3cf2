"""Documents that are moved to another collection: their counts go with them, and those who follow are told.

A trigger waits for the writers of its table, and holds up the next ones, for a moment.

Revision ID: 0051
Revises: 0050
"""

from alembic import op

revision: str = "0051"
down_revision: str | None = "0050"
branch_labels: None = None
depends_on: None = None

# What files own is counted in a place of its own (0039), which a move does not change.
FUNCTION = """
CREATE OR REPLACE FUNCTION tally_moved() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
    SET search_path FROM CURRENT AS $$
BEGIN
    INSERT INTO tally_change (tenant_id, collection_id, documents, searchable, chunks, bytes)
    SELECT NEW.tenant_id, place, sign, sign * CAST(NEW.active_version_id IS NOT NULL AS int), sign * of.chunks,
           sign * of.bytes
    FROM (
        SELECT coalesce(sum(v.chunks) FILTER (WHERE v.id = NEW.active_version_id), 0) AS chunks,
               coalesce(sum(v.bytes) FILTER (WHERE v.object_key IS NOT NULL), 0) AS bytes
        FROM version v WHERE v.document_id = NEW.id
    ) AS of, (VALUES (OLD.collection_id, -1), (NEW.collection_id, 1)) AS change(place, sign);
    RETURN NULL;
END $$
"""
TOLD = (
    "CREATE OR REPLACE TRIGGER tell AFTER DELETE OR UPDATE OF {columns} ON document FOR EACH ROW "
    "EXECUTE FUNCTION tell_of_document()"
)


def upgrade() -> None:
    op.execute(FUNCTION)
    op.execute(
        "CREATE OR REPLACE TRIGGER tallied_moved AFTER UPDATE OF collection_id ON document FOR EACH ROW "
        "WHEN (OLD.collection_id <> NEW.collection_id) EXECUTE FUNCTION tally_moved()"
    )
    op.execute(TOLD.format(columns="metadata, collection_id"))


def downgrade() -> None:
    op.execute(TOLD.format(columns="metadata"))
    op.execute("DROP TRIGGER IF EXISTS tallied_moved ON document")
    op.execute("DROP FUNCTION IF EXISTS tally_moved")
