"""The tables of the ledger that presence owns; other rooms hang theirs on the same metadata.

Instants are whole milliseconds since the Unix epoch in BIGINT columns; a column named *_real_ms is wall
time even where the rest runs on a paced clock.
"""

from __future__ import annotations

import sqlalchemy as sa

metadata = sa.MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)

# SQLite gives row numbers only to INTEGER keys; PostgreSQL should have 64 bits.
Number = sa.BigInteger().with_variant(sa.Integer, "sqlite")

event = sa.Table(
    "event",
    metadata,
    sa.Column("seq", Number, primary_key=True, autoincrement=True),
    sa.Column("id", sa.String(24), nullable=False, unique=True),
    sa.Column("kind", sa.String(32), nullable=False),
    sa.Column("at_ms", sa.BigInteger, nullable=False),
    # When the newest message behind this event reached the engine: what latency is measured from.
    sa.Column("heard_real_ms", sa.BigInteger, nullable=False),
    sa.Column("member", Number, nullable=False),
    sa.Column("visit", sa.String(24), nullable=False),
    sa.Column("body", sa.LargeBinary, nullable=False),
    sa.Index("ix_event_member_at_ms", "member", "at_ms"),
    sa.Index("ix_event_kind", "kind", "seq"),
)

cursor = sa.Table(
    "cursor",
    metadata,
    sa.Column("name", sa.String(32), primary_key=True),
    sa.Column("seq", Number, nullable=False),
)

snapshot = sa.Table(
    "snapshot",
    metadata,
    sa.Column("name", sa.String(32), primary_key=True),
    sa.Column("at_ms", sa.BigInteger, nullable=False),
    sa.Column("blob", sa.LargeBinary, nullable=False),
)

member = sa.Table(
    "member",
    metadata,
    sa.Column("id", Number, primary_key=True, autoincrement=True),
    sa.Column("login", sa.String(128), nullable=False, unique=True),
    sa.Column("name", sa.String(128), nullable=False),
    sa.Column("birthday", sa.String(5)),  # MM-DD: the year is nobody's business
    sa.Column("language", sa.String(16), nullable=False),
    sa.Column("home_km", sa.Float),
    sa.Column("created_ms", sa.BigInteger, nullable=False),
)

consent = sa.Table(
    "consent",
    metadata,
    sa.Column("seq", Number, primary_key=True, autoincrement=True),
    sa.Column("member", Number, sa.ForeignKey("member.id"), nullable=False, index=True),
    sa.Column("purpose", sa.String(32), nullable=False),
    sa.Column("granted", sa.Boolean, nullable=False),
    sa.Column("at_ms", sa.BigInteger, nullable=False),
    sa.Column("text_version", sa.String(32), nullable=False),
    sa.Column("language", sa.String(16), nullable=False),
    sa.Column("place", sa.String(64), nullable=False),  # the page or form where it was given
)

binding = sa.Table(
    "binding",
    metadata,
    sa.Column("id", Number, primary_key=True, autoincrement=True),
    sa.Column("member", Number, sa.ForeignKey("member.id"), nullable=False, index=True),
    sa.Column("address_sealed", sa.LargeBinary, nullable=False),
    # Keyed digest, so that a login finds its binding without opening every sealed address.
    sa.Column("address_digest", sa.LargeBinary(16), nullable=False),
    sa.Column("ssid", sa.String(64), nullable=False),
    sa.Column("source", sa.String(64), nullable=False),
    sa.Column("bound_ms", sa.BigInteger, nullable=False),
    sa.Column("associated_ms", sa.BigInteger, nullable=False),
    sa.Column("expires_ms", sa.BigInteger, nullable=False),
    sa.Column("ended_ms", sa.BigInteger),
    sa.Index(
        "uq_binding_address_live",
        "address_digest",
        unique=True,
        sqlite_where=sa.text("ended_ms IS NULL"),
        postgresql_where=sa.text("ended_ms IS NULL"),
    ),
)

epoch = sa.Table(
    "epoch",
    metadata,
    sa.Column("number", Number, primary_key=True, autoincrement=False),
    sa.Column("from_ms", sa.BigInteger, nullable=False),
    sa.Column("until_ms", sa.BigInteger, nullable=False),
    sa.Column("key_sealed", sa.LargeBinary, nullable=False),
)

handle = sa.Table(
    "handle",
    metadata,
    sa.Column("epoch", Number, sa.ForeignKey("epoch.number"), primary_key=True),
    sa.Column("handle", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("binding", Number, sa.ForeignKey("binding.id"), nullable=False),
    sa.UniqueConstraint("epoch", "binding"),
)
