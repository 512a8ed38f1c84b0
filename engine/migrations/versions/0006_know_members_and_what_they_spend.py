"""Know members, what they spend, and what chance had a say in"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "attribute",
        sa.Column("member", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("value", sa.JSON(), nullable=False),
        sa.Column("told_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("member", "name", name=op.f("pk_attribute")),
    )
    op.create_table(
        "receipt",
        sa.Column("shop", sa.String(), nullable=False),
        sa.Column("number", sa.String(), nullable=False),
        sa.Column("member", sa.BigInteger(), nullable=False),
        sa.Column("coupon", sa.String(), nullable=True),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.Column("amount_minor", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("shop", "number", name=op.f("pk_receipt")),
    )
    op.create_index(op.f("ix_receipt_member"), "receipt", ["member"])
    op.create_index("redemption_by_receipt", "redemption", ["shop", "receipt"])
    op.create_index("coupon_by_offer", "coupon", ["offer", "issued_ms"])
    op.add_column("decision", sa.Column("propensity", sa.Float(), nullable=True))
    with op.batch_alter_table("exposure") as exposure:
        exposure.add_column(sa.Column("propensity", sa.Float(), nullable=False, server_default="1"))
        exposure.add_column(sa.Column("drawn", sa.Boolean(), nullable=False, server_default=sa.true()))
    with op.batch_alter_table("exposure") as exposure:
        exposure.alter_column("propensity", server_default=None)
        exposure.alter_column("drawn", server_default=None)
