"""Files, batches of them, and documents made from them, which share their bytes; when collections expire.

The tables are new, and the columns have constant defaults: nothing is rewritten. Indexes are built beside the work, and
the reference is checked without a lock on either table. All of it may be run again after an interruption.

Revision ID: 0039
Revises: 0038
"""

from importlib import import_module

from alembic import op

from footnote.settings import Settings
from migrations import wall

revision: str = "0039"
down_revision: str | None = "0038"
branch_labels: None = None
depends_on: None = None

REFERENCE = "fk_document_file_id_file"
TABLES = (
    """
CREATE TABLE IF NOT EXISTS file (
    id varchar(40) NOT NULL, tenant_id varchar(40) NOT NULL, filename text NOT NULL, media_type text NOT NULL,
    sha256 bytea NOT NULL, bytes bigint NOT NULL, purpose text NOT NULL, object_key text NOT NULL,
    expires_at timestamptz, deleted_at timestamptz, created_at timestamptz DEFAULT now() NOT NULL,
    CONSTRAINT pk_file PRIMARY KEY (id),
    CONSTRAINT uq_file_object_key UNIQUE (object_key),
    CONSTRAINT fk_file_tenant_id_tenant FOREIGN KEY (tenant_id) REFERENCES tenant (id) ON DELETE CASCADE
)
""",
    "CREATE INDEX IF NOT EXISTS ix_file_listed ON file (tenant_id, id DESC NULLS LAST)",
    "CREATE INDEX IF NOT EXISTS ix_file_expires_at ON file (expires_at) WHERE expires_at IS NOT NULL",
    """
CREATE TABLE IF NOT EXISTS file_batch (
    id varchar(40) NOT NULL, tenant_id varchar(40) NOT NULL, collection_id varchar(40) NOT NULL, key_id text NOT NULL,
    cancelled_at timestamptz, created_at timestamptz DEFAULT now() NOT NULL,
    CONSTRAINT pk_file_batch PRIMARY KEY (id),
    CONSTRAINT fk_file_batch_tenant_id_tenant FOREIGN KEY (tenant_id) REFERENCES tenant (id) ON DELETE CASCADE,
    CONSTRAINT fk_file_batch_collection_id_collection FOREIGN KEY (collection_id) REFERENCES collection (id)
        ON DELETE CASCADE
)
""",
    "CREATE INDEX IF NOT EXISTS ix_file_batch_collection_id ON file_batch (collection_id)",
    """
CREATE TABLE IF NOT EXISTS file_batch_item (
    batch_id varchar(40) NOT NULL, position integer NOT NULL, tenant_id varchar(40) NOT NULL,
    file_id varchar(40) NOT NULL, attributes jsonb, chunking jsonb, document_id varchar(40), error jsonb,
    CONSTRAINT pk_file_batch_item PRIMARY KEY (batch_id, position),
    CONSTRAINT fk_file_batch_item_batch_id_file_batch FOREIGN KEY (batch_id) REFERENCES file_batch (id)
        ON DELETE CASCADE,
    CONSTRAINT fk_file_batch_item_tenant_id_tenant FOREIGN KEY (tenant_id) REFERENCES tenant (id) ON DELETE CASCADE,
    CONSTRAINT fk_file_batch_item_document_id_document FOREIGN KEY (document_id) REFERENCES document (id)
        ON DELETE CASCADE
)
""",
    "CREATE INDEX IF NOT EXISTS ix_file_batch_item_document_id ON file_batch_item (document_id) "
    "WHERE document_id IS NOT NULL",
    "CREATE INDEX IF NOT EXISTS ix_file_batch_item_open ON file_batch_item (batch_id) WHERE document_id IS NULL",
    "ALTER TABLE collection ADD COLUMN IF NOT EXISTS title text, ADD COLUMN IF NOT EXISTS expires_after_days integer, "
    "ADD COLUMN IF NOT EXISTS last_active_at timestamptz",
    "CREATE INDEX IF NOT EXISTS ix_collection_expires_after_days ON collection (last_active_at) "
    "WHERE expires_after_days IS NOT NULL",
    "ALTER TABLE document ADD COLUMN IF NOT EXISTS file_id varchar(40), ADD COLUMN IF NOT EXISTS chunking jsonb",
    "ALTER TABLE version ADD COLUMN IF NOT EXISTS shared boolean DEFAULT false NOT NULL",
    f"ALTER TABLE document DROP CONSTRAINT IF EXISTS {REFERENCE}",
    f"ALTER TABLE document ADD CONSTRAINT {REFERENCE} FOREIGN KEY (file_id) REFERENCES file (id) NOT VALID",
)

# As in 0033. What files own and what versions share of it is counted in a place of its own, "files": so the bytes of a
# tenant are counted once, and those of a collection are all that its documents show.
FUNCTIONS = (
    """
CREATE OR REPLACE FUNCTION tally_document() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
    SET search_path FROM CURRENT AS $$
DECLARE
    was varchar := OLD.active_version_id;
    now_is varchar := NEW.active_version_id;
    change bigint := CASE TG_OP WHEN 'INSERT' THEN 1 WHEN 'DELETE' THEN -1 ELSE 0 END;
    gone bigint := 0;
    shared_gone bigint := 0;
BEGIN
    IF TG_OP = 'DELETE' THEN
        SELECT coalesce(sum(v.bytes), 0), coalesce(sum(v.bytes) FILTER (WHERE v.shared), 0) INTO gone, shared_gone
        FROM version v WHERE v.document_id = OLD.id AND v.object_key IS NOT NULL;
    END IF;
    INSERT INTO tally_change (tenant_id, collection_id, documents, searchable, chunks, bytes)
    SELECT coalesce(NEW.tenant_id, OLD.tenant_id), coalesce(NEW.collection_id, OLD.collection_id), change,
           CAST(now_is IS NOT NULL AS int) - CAST(was IS NOT NULL AS int),
           coalesce((SELECT chunks FROM version WHERE id = now_is), 0)
           - coalesce((SELECT chunks FROM version WHERE id = was), 0), -gone
    UNION ALL SELECT OLD.tenant_id, 'files', 0, 0, 0, shared_gone WHERE shared_gone <> 0;
    RETURN coalesce(NEW, OLD);
END $$
""",
    """
CREATE OR REPLACE FUNCTION tally_version() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
    SET search_path FROM CURRENT AS $$
DECLARE
    has bigint := CASE WHEN NEW.object_key IS NOT NULL THEN NEW.bytes ELSE 0 END;
    had bigint := CASE WHEN OLD.object_key IS NOT NULL THEN OLD.bytes ELSE 0 END;
    shares bigint := CASE WHEN NEW.shared THEN has ELSE 0 END;
    shared bigint := CASE WHEN OLD.shared THEN had ELSE 0 END;
BEGIN
    INSERT INTO tally_change (tenant_id, collection_id, documents, searchable, chunks, bytes)
    SELECT d.tenant_id, change.place, 0, 0, 0, change.bytes
    FROM document d, LATERAL (VALUES (d.collection_id, has - had), ('files', shared - shares)) AS change(place, bytes)
    WHERE d.id = coalesce(NEW.document_id, OLD.document_id) AND change.bytes <> 0;
    RETURN NULL;
END $$
""",
    """
CREATE OR REPLACE FUNCTION tally_file() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
    SET search_path FROM CURRENT AS $$
BEGIN
    INSERT INTO tally_change (tenant_id, collection_id, documents, searchable, chunks, bytes)
    SELECT coalesce(NEW.tenant_id, OLD.tenant_id), 'files', 0, 0, 0, coalesce(NEW.bytes, -OLD.bytes);
    RETURN NULL;
END $$
""",
)
TRIGGERS = (
    "CREATE OR REPLACE TRIGGER tallied_again AFTER UPDATE OF object_key, bytes, shared ON version FOR EACH ROW WHEN "
    "((OLD.object_key, OLD.bytes, OLD.shared) IS DISTINCT FROM (NEW.object_key, NEW.bytes, NEW.shared)) "
    "EXECUTE FUNCTION tally_version()",
    "CREATE OR REPLACE TRIGGER tallied AFTER INSERT OR DELETE ON file FOR EACH ROW EXECUTE FUNCTION tally_file()",
)
INDEXES = {
    "uq_document_collection_id_file_id": "UNIQUE INDEX CONCURRENTLY {} ON document (collection_id, file_id)",
    "ix_document_file_id": "INDEX CONCURRENTLY {} ON document (file_id)",
}


def upgrade() -> None:
    for statement in (*TABLES, *FUNCTIONS, *TRIGGERS):
        op.execute(statement)
    wall.build(op.get_bind(), Settings().tenant_role)
    with op.get_context().autocommit_block():
        for name, index in INDEXES.items():
            op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {name}")  # which an interrupted migration left unfinished
            op.execute(f"CREATE {index.format(name)} WHERE file_id IS NOT NULL")
        op.execute(f"ALTER TABLE document VALIDATE CONSTRAINT {REFERENCE}")


def downgrade() -> None:
    """Documents that were made from files stay. Those that share an object lose it with the first that is deleted."""
    op.drop_table("file_batch_item")
    op.drop_table("file_batch")
    op.drop_index("ix_collection_expires_after_days", "collection")
    for name in ("title", "expires_after_days", "last_active_at"):
        op.drop_column("collection", name)
    op.execute("UPDATE version SET shared = false WHERE shared")  # before the triggers go, which count that
    op.drop_constraint(REFERENCE, "document")
    op.execute("DELETE FROM file")
    op.drop_table("file")
    op.execute("DROP FUNCTION tally_file")
    before = import_module("migrations.versions.0033_bounded_reads")
    for statement in (*before.FUNCTIONS, *before.TRIGGERS):
        op.execute(statement)
    for name in INDEXES:
        op.drop_index(name, "document")
    op.drop_column("document", "file_id")
    op.drop_column("document", "chunking")
    op.drop_column("version", "shared")
