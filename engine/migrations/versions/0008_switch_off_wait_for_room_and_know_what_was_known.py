"""Switch off the mall, journeys, offers and shops as channels were; queue for room; know what was known; opened"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

SWITCH = (
    ("is_on", sa.Boolean(), False),
    ("until_ms", sa.BigInteger(), True),
    ("reason", sa.String(), False),
    ("actor", sa.String(), False),
    ("at_ms", sa.BigInteger(), False),
)


def _serial() -> sa.Column[int]:
    return sa.Column("seq", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False)


def _rest() -> list[sa.Column[object]]:
    return [sa.Column(name, type_, nullable=nullable) for name, type_, nullable in SWITCH]


def upgrade() -> None:
    op.create_table(
        "switch",
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        *_rest(),
        sa.PrimaryKeyConstraint("kind", "name", name=op.f("pk_switch")),
    )
    op.create_table(
        "switch_event",
        _serial(),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        *_rest(),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_switch_event")),
    )
    op.create_index("switch_event_by_switch", "switch_event", ["kind", "name", "seq"])
    for table in ("switch", "switch_event"):
        op.execute(
            f"INSERT INTO {table} (kind, name, is_on, until_ms, reason, actor, at_ms)"
            " SELECT 'channel', name, is_on, NULL, reason, actor, at_ms FROM channel ORDER BY at_ms, name"
        )
    op.drop_table("channel")
    op.create_table(
        "waiting",
        sa.Column("instance", sa.String(), nullable=False),
        sa.Column("member", sa.BigInteger(), nullable=False),
        sa.Column("short_of", sa.String(), nullable=False),
        sa.Column("since_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("instance", name=op.f("pk_waiting")),
    )
    op.create_index("waiting_in_order", "waiting", ["short_of", "since_ms", "instance"])
    op.create_table(
        "former",
        _serial(),
        sa.Column("member", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("is_attribute", sa.Boolean(), nullable=False),
        sa.Column("value", sa.JSON(), nullable=False),
        sa.Column("until_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_former")),
    )
    op.create_index(op.f("ix_former_member"), "former", ["member"])
    op.create_index(op.f("ix_former_until_ms"), "former", ["until_ms"])
    op.add_column("proposal", sa.Column("withdrawn_by", sa.String(), nullable=True))
    op.add_column("proposal", sa.Column("withdrawn_ms", sa.BigInteger(), nullable=True))
    op.add_column("coupon", sa.Column("opened_ms", sa.BigInteger(), nullable=True))
    unsent = sa.text("coupon IS NULL")
    op.create_index(
        "exposure_unsent_by_expiry", "exposure", ["expires_ms"], sqlite_where=unsent, postgresql_where=unsent
    )
