"""Lexemes of folded text: characters that look the same to a reader are the same to a search.

The column is no longer generated: what is searched is made with the row. Only rows whose lexemes change are written.
The large collections among them are counted again by housekeeping.

Revision ID: 0027
Revises: 0025
"""

from alembic import op

from footnote.text import HYPHENS, INVISIBLE, PARTS, UNSPACED

revision: str = "0027"
down_revision: str | None = "0025"
branch_labels: None = None
depends_on: None = None

_SEARCHED = "context || E'\\n' || text"
# `footnote.text.searched` in SQL, for the rows that are there already.
_BROKEN = f"regexp_replace({_SEARCHED}, '\u00ad[ \t]*\n[ \t]*(?=\\w)', '', 'g')"
_PARTED = f"regexp_replace({_BROKEN}, '([{UNSPACED}])\u200b+(?=[{UNSPACED}])', '\\1 ', 'g')"
_SHOWN = "translate(regexp_replace({}, '[" + INVISIBLE + "]', '', 'g'), '" + HYPHENS + "', '---')"
_FOLDED = "regexp_replace(" + _SHOWN.format(f"normalize({_SHOWN.format(_PARTED)}, NFKC)") + f", '{PARTS}', ' ', 'g')"
_CONVERT = f"""
WITH held AS (
    SELECT version_id, position, language, {_FOLDED} AS folded
    FROM chunk WHERE ({_SEARCHED}) ~ '[^\\x01-\\x7f]'
),
made AS (
    SELECT version_id, position, to_tsvector(language, folded) || array_to_tsvector(identifiers(folded)) AS tsv
    FROM held
),
changed AS (
    UPDATE chunk SET tsv = made.tsv FROM made
    WHERE chunk.version_id = made.version_id AND chunk.position = made.position AND chunk.tsv <> made.tsv
    RETURNING chunk.collection_id
)
DELETE FROM corpus WHERE collection_id IN (SELECT collection_id FROM changed)
"""  # noqa: S608  constants
_VIEW = "CREATE VIEW chunk_of_tenant AS SELECT * FROM chunk WHERE tenant_id = current_setting('footnote.tenant', true)"


def upgrade() -> None:
    op.execute("ALTER TABLE chunk ALTER COLUMN tsv DROP EXPRESSION")
    op.get_bind().exec_driver_sql(_CONVERT)


def downgrade() -> None:
    op.execute("DROP VIEW chunk_of_tenant")
    op.execute("ALTER TABLE chunk DROP COLUMN tsv")  # and its index
    made = f"to_tsvector(language, {_SEARCHED}) || array_to_tsvector(identifiers({_SEARCHED}))"
    op.execute(f"ALTER TABLE chunk ADD COLUMN tsv tsvector GENERATED ALWAYS AS ({made}) STORED NOT NULL")
    op.create_index("ix_chunk_tsv", "chunk", ["tsv"], postgresql_using="gin")
    op.execute(_VIEW)
