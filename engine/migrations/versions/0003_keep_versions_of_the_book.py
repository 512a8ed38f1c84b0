"""Keep versions of the book: who made them, what waits for a second person, what was in force when"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "publication",
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("version", sa.String(), nullable=False),
        sa.Column("author", sa.String(), nullable=False),
        sa.Column("second", sa.String()),
        sa.Column("note", sa.String(), nullable=False),
        sa.Column("fates", sa.JSON(), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_publication")),
    )
    op.create_index(op.f("ix_publication_version"), "publication", ["version"])
    # What ran until now was in force one after the other.
    op.execute(
        "INSERT INTO publication (number, version, author, note, fates, at_ms) "
        "SELECT row_number() OVER (ORDER BY adopted_ms, version), version, 'file', '', '{}', adopted_ms FROM book"
    )
    op.create_table(
        "proposal",
        sa.Column("version", sa.String(), nullable=False),
        sa.Column("on_top_of", sa.Integer(), nullable=False),
        sa.Column("author", sa.String(), nullable=False),
        sa.Column("note", sa.String(), nullable=False),
        sa.Column("fates", sa.JSON(), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("version", name=op.f("pk_proposal")),
    )
    with op.batch_alter_table("book") as book:
        book.alter_column("adopted_ms", new_column_name="made_ms")
        book.add_column(sa.Column("author", sa.String(), nullable=False, server_default="file"))
        book.add_column(sa.Column("note", sa.String(), nullable=False, server_default=""))
        book.add_column(sa.Column("parent", sa.String()))
    with op.batch_alter_table("book") as book:
        book.alter_column("author", server_default=None)
        book.alter_column("note", server_default=None)
