"""Forget traces by age, and keep looks at members on record"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "lookup",
        sa.Column("seq", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.Column("actor", sa.String(), nullable=False),
        sa.Column("member", sa.BigInteger(), nullable=False),
        sa.Column("about", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_lookup")),
    )
    op.create_index(op.f("ix_lookup_member"), "lookup", ["member"])
    op.create_index("instance_by_member", "instance", ["member"])
    op.drop_index("decision_by_age", "decision")
    traced = sa.text("trace != ''")
    op.create_index("decision_traced_by_age", "decision", ["at_ms"], sqlite_where=traced, postgresql_where=traced)
