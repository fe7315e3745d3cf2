"""Views of a tenant's own rows, for what row-level security would take the indexes from.

Postgres lets an operator see no row before the policy has passed it, unless the operator is known to leak nothing, and
none of full text, vectors and jsonb is: on the table they cannot be index conditions. These views are their owner's,
whom no policy binds, and name the tenant themselves. They are no security barriers, so that conditions reach the
indexes: only somebody who writes SQL of their own could learn from that. Who changes a table makes its view anew.

Revision ID: 0022
Revises: 0021
"""

from alembic import op

revision: str = "0022"
down_revision: str | None = "0021"
branch_labels: None = None
depends_on: None = None


VIEWED = ("chunk", "document", "version")


def upgrade() -> None:
    for table in VIEWED:
        op.execute(
            f"CREATE VIEW {table}_of_tenant AS SELECT * FROM {table} "  # noqa: S608  constants
            "WHERE tenant_id = current_setting('footnote.tenant', true)"
        )


def downgrade() -> None:
    for table in VIEWED:
        op.execute(f"DROP VIEW {table}_of_tenant")
