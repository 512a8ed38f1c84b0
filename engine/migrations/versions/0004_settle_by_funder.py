"""Settle by funder, and let tills ask for more than a code."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("coupon", schema=None) as batch_op:
        batch_op.add_column(sa.Column("funder", sa.String(), server_default="mall", nullable=False))
        batch_op.add_column(sa.Column("starts_ms", sa.BigInteger(), server_default="0", nullable=False))
        batch_op.add_column(sa.Column("from_minute", sa.Integer(), nullable=True))
        batch_op.add_column(sa.Column("until_minute", sa.Integer(), nullable=True))
        batch_op.add_column(sa.Column("spend_minor", sa.BigInteger(), server_default="0", nullable=False))

    with op.batch_alter_table("redemption", schema=None) as batch_op:
        batch_op.add_column(sa.Column("funder", sa.String(), server_default="mall", nullable=False))
        batch_op.create_index("redemption_by_funder", ["funder", "at_ms"], unique=False)
