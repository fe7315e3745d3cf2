"""Identifiers as lexemes of their own.

Revision ID: 0010
Revises: 0009
"""

from alembic import op

revision: str = "0010"
down_revision: str | None = "0009"
branch_labels: None = None
depends_on: None = None

# Words that mean something only as they stand, lower-cased: with digits among letters or signs, an underscore, an @, a
# slash, a dot between letters, or six digits. A part of an address or path that is one by itself counts as well.
_IDENTIFIERS = r"""
CREATE FUNCTION identifiers(given text) RETURNS text[] LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $function$
    SELECT coalesce(array_agg(DISTINCT lower(found[1])), '{}')
    FROM (
        SELECT regexp_matches(given, '([[:alnum:]](?:[[:alnum:]_.@:/#+~\-]*[[:alnum:]])?)', 'g')
        UNION ALL
        SELECT regexp_matches(given, '([[:alnum:]](?:[[:alnum:]_.+~\-]*[[:alnum:]])?)', 'g')
    ) AS token(found)
    WHERE length(found[1]) <= 100
      AND found[1] ~ '[0-9].*[^0-9]|[^0-9].*[0-9]|[_@/]|[[:alnum:]]{2}\.[[:alnum:]]{2}|[0-9]{6}'
$function$
"""
_SEARCHED = "context || E'\\n' || text"


def upgrade() -> None:
    op.execute(_IDENTIFIERS)
    _replace_tsv(f"to_tsvector(language, {_SEARCHED}) || array_to_tsvector(identifiers({_SEARCHED}))")


def downgrade() -> None:
    _replace_tsv(f"to_tsvector(language, {_SEARCHED})")
    op.execute("DROP FUNCTION identifiers(text)")


def _replace_tsv(expression: str) -> None:
    op.execute("ALTER TABLE chunk DROP COLUMN tsv")  # and its index
    op.execute(f"ALTER TABLE chunk ADD COLUMN tsv tsvector GENERATED ALWAYS AS ({expression}) STORED NOT NULL")
    op.create_index("ix_chunk_tsv", "chunk", ["tsv"], postgresql_using="gin")
