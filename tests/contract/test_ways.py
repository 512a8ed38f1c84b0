"""Statements reach each database past its driver's cursors, in the order in which they are sent."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

import pytest
import sqlalchemy as sa

from engine import tables
from engine.events import PresenceEvent
from engine.ledger import Ledger, open_ledger
from engine.ways import way

NOTE = "INSERT INTO cursor (name, seq) VALUES ('sent', 7)"


@pytest.fixture
def ledger(ledger_url: str) -> Iterator[Ledger]:
    ledger = open_ledger(ledger_url, PresenceEvent)
    yield ledger
    ledger.close()


def test_a_statement_of_sqlalchemy_comes_after_what_was_sent(ledger: Ledger) -> None:
    with ledger.write() as tx:
        way(tx).send(NOTE)
        assert ledger.cursor(tx, "sent") == 7


def test_a_statement_that_was_first_sent_after_a_failure_can_be_sent_again(ledger: Ledger) -> None:
    with pytest.raises(Exception, match="nowhere"), ledger.write() as tx:
        way(tx).send("INSERT INTO nowhere VALUES (1)")
        way(tx).send(NOTE)
    for name, text in (("sent", NOTE), ("sent again", NOTE.replace("sent", "sent again"))):
        with ledger.write() as tx:
            way(tx).send(text)
            assert ledger.cursor(tx, name) == 7


def test_a_rollback_of_sqlalchemy_forgets_no_statement(ledger: Ledger) -> None:
    for _ in range(3):
        with suppress(ZeroDivisionError), ledger.read() as tx:
            for _ in range(10):  # so often that the driver would keep it, too
                tx.execute(sa.select(tables.cursor.c.seq))
            assert way(tx).send("SELECT 1")() == [(1,)]
            raise ZeroDivisionError


def test_a_table_may_change_between_statements(ledger: Ledger) -> None:
    with ledger.write() as tx:
        for _ in range(10):
            tx.execute(sa.select(tables.cursor.c.seq))
        way(tx).send(NOTE)
        tx.execute(sa.text("ALTER TABLE cursor RENAME TO gone"))
        tx.execute(sa.text("ALTER TABLE gone RENAME TO cursor"))
        way(tx).send(NOTE.replace("sent", "sent again"))
    with ledger.write() as tx:
        way(tx).send(NOTE.replace("sent", "sent later"))
        assert ledger.cursor(tx, "sent again") == 7


def test_more_can_be_sent_and_answered_than_fits_between_two_programs(ledger: Ledger) -> None:
    with ledger.write() as tx:
        asked = "SELECT ?" if ledger.sqlite else "SELECT $1::text"
        sent = [way(tx).send(asked, [f"{number}" * 100_000]) for number in range(100)]
        assert [len(fetch()[0][0]) for fetch in sent] == [100_000] * 10 + [200_000] * 90
