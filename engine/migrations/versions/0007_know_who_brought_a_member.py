"""Know who brought a member, and for how long that counts."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "invitation",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("shop", sa.String(), nullable=False),
        sa.Column("category", sa.String(), nullable=False),
        sa.Column("clerk", sa.String(), nullable=False),
        sa.Column("made_ms", sa.BigInteger(), nullable=False),
        sa.Column("revoked_ms", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_invitation")),
    )
    op.create_index(op.f("ix_invitation_shop"), "invitation", ["shop"])
    op.create_table(
        "credit",
        sa.Column("member", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("nth", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("invitation", sa.String(), nullable=False),
        sa.Column("from_ms", sa.BigInteger(), nullable=False),
        sa.Column("until_ms", sa.BigInteger(), nullable=False),
        sa.Column("called", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("member", "nth", name=op.f("pk_credit")),
    )
    op.create_index(op.f("ix_credit_invitation"), "credit", ["invitation"])
