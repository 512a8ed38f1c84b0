"""Migrations and declared tables say the same, on each database that is there."""

from __future__ import annotations

import rules.tables  # noqa: F401  (declares the tables of its room)
from engine import schema
from engine.ledger import open_database


def test_migrations_lead_to_exactly_the_declared_tables(empty_url: str) -> None:
    database = open_database(empty_url)
    schema.upgrade(database)
    assert schema.differences(database) == []
    database.dispose()


def test_upgrading_twice_changes_nothing(empty_url: str) -> None:
    database = open_database(empty_url)
    for _ in range(2):
        schema.upgrade(database)
    assert schema.differences(database) == []
    database.dispose()
