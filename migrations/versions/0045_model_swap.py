"""Second vectors of chunks, while the embedding model of their collection is swapped.

The tables are new and the column is empty: nothing is rewritten. The reference is checked without a lock on either
table. All of it may be run again after an interruption.

Revision ID: 0045
Revises: 0044
"""

from alembic import op

from footnote.settings import Settings
from migrations import wall

revision: str = "0045"
down_revision: str | None = "0044"
branch_labels: None = None
depends_on: None = None

REFERENCE = "fk_collection_standby_space_id_embedding_space"
TABLES = (
    """
CREATE TABLE IF NOT EXISTS chunk_vector (
    version_id varchar(40) NOT NULL, position integer NOT NULL, tenant_id varchar(40) NOT NULL,
    collection_id varchar(40) NOT NULL, document_id varchar(40) NOT NULL, space_id smallint NOT NULL,
    text_sha256 bytea NOT NULL, embedding halfvec STORAGE PLAIN NOT NULL,
    CONSTRAINT pk_chunk_vector PRIMARY KEY (version_id, position),
    CONSTRAINT fk_chunk_vector_version_id_version FOREIGN KEY (version_id) REFERENCES version (id) ON DELETE CASCADE,
    CONSTRAINT fk_chunk_vector_tenant_id_tenant FOREIGN KEY (tenant_id) REFERENCES tenant (id) ON DELETE CASCADE,
    CONSTRAINT fk_chunk_vector_space_id_embedding_space FOREIGN KEY (space_id) REFERENCES embedding_space (id)
)
""",
    "CREATE INDEX IF NOT EXISTS ix_chunk_vector_document_id ON chunk_vector (document_id)",
    "CREATE INDEX IF NOT EXISTS ix_chunk_vector_tenant_id_collection_id ON chunk_vector (tenant_id, collection_id)",
    "CREATE INDEX IF NOT EXISTS ix_chunk_vector_tenant_id_space_id_text_sha256 "
    "ON chunk_vector (tenant_id, space_id, text_sha256)",
    "CREATE OR REPLACE VIEW chunk_vector_of_tenant AS SELECT * FROM chunk_vector "
    "WHERE tenant_id = current_setting('footnote.tenant', true)",
    """
CREATE TABLE IF NOT EXISTS model_swap (
    id varchar(40) NOT NULL, tenant_id varchar(40) NOT NULL, collection_id varchar(40) NOT NULL,
    from_space_id smallint NOT NULL, to_space_id smallint NOT NULL, state text NOT NULL DEFAULT 'backfilling',
    key_id text NOT NULL DEFAULT '', after_document varchar(40) NOT NULL DEFAULT '',
    chunks bigint NOT NULL, texts bigint NOT NULL, tokens bigint NOT NULL, cost numeric, tokens_spent bigint NOT NULL
    DEFAULT 0, texts_embedded bigint NOT NULL DEFAULT 0, switched_at timestamptz, drop_after timestamptz,
    ended_at timestamptz, created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT pk_model_swap PRIMARY KEY (id),
    CONSTRAINT fk_model_swap_tenant_id_tenant FOREIGN KEY (tenant_id) REFERENCES tenant (id) ON DELETE CASCADE,
    CONSTRAINT fk_model_swap_collection_id_collection FOREIGN KEY (collection_id) REFERENCES collection (id)
        ON DELETE CASCADE,
    CONSTRAINT fk_model_swap_from_space_id_embedding_space FOREIGN KEY (from_space_id) REFERENCES embedding_space (id),
    CONSTRAINT fk_model_swap_to_space_id_embedding_space FOREIGN KEY (to_space_id) REFERENCES embedding_space (id)
)
""",
    "CREATE UNIQUE INDEX IF NOT EXISTS uq_model_swap_collection_id ON model_swap (collection_id) "
    "WHERE ended_at IS NULL",
    "CREATE INDEX IF NOT EXISTS ix_model_swap_listed ON model_swap (tenant_id, id DESC NULLS LAST)",
    "ALTER TABLE collection ADD COLUMN IF NOT EXISTS standby_space_id smallint",
    f"ALTER TABLE collection DROP CONSTRAINT IF EXISTS {REFERENCE}",
    f"ALTER TABLE collection ADD CONSTRAINT {REFERENCE} FOREIGN KEY (standby_space_id) "
    "REFERENCES embedding_space (id) NOT VALID",
)
# A statement that only moves vectors changes no word: nothing is to be posted again.
CHANGED = (
    "CREATE OR REPLACE TRIGGER changed AFTER UPDATE ON chunk REFERENCING OLD TABLE AS removed "
    "FOR EACH STATEMENT {when} EXECUTE FUNCTION chunk_removed()"
)
UNLESS_MOVING = "WHEN (coalesce(current_setting('footnote.moving_vectors', true), '') <> 'on')"


def upgrade() -> None:
    for statement in (*TABLES, CHANGED.format(when=UNLESS_MOVING)):
        op.execute(statement)
    wall.build(op.get_bind(), Settings().tenant_role)
    with op.get_context().autocommit_block():
        op.execute(f"ALTER TABLE collection VALIDATE CONSTRAINT {REFERENCE}")


def downgrade() -> None:
    """Collections that were switched to another model and not dropped yet are searched by words until PATCH."""
    op.execute(CHANGED.format(when=""))
    op.drop_column("collection", "standby_space_id")
    op.drop_table("model_swap")
    op.execute("DROP VIEW chunk_vector_of_tenant")
    op.drop_table("chunk_vector")
    op.execute("DELETE FROM background_task WHERE kind = 'model.swap'")
