"""A mall whose ledger, rule book, coupons and tills are real, with a clock that the test turns by hand.

Presence is told as the engine would tell it; everything from there on is the program itself.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa

from engine.events import (
    ConsentChanged,
    Moment,
    PresenceEvent,
    VisitEnded,
    VisitResumed,
    VisitSilent,
    VisitStarted,
    ZoneEntered,
    ZoneLeft,
    id_of,
)
from engine.ledger import Ledger, open_ledger
from engine.plan import Plan
from engine.tables import consent, member
from rules import tables
from rules.book import Book, Mall
from rules.codes import Codes
from rules.coupons import Coupons
from rules.decide import held_out
from rules.events import CouponEvent
from rules.moving import Fate
from rules.promote import Promotion
from rules.reading import parse_book
from rules.redemption import Till
from rules.switches import Switch, Switches
from rules.versions import Versions
from tests.servers import sqlite_ledger_url

ROOT = Path(__file__).resolve().parent.parent
ZONE = ZoneInfo("Asia/Shanghai")
CONSENTS = ("presence", "personal_offers", "inbox")


def _fate(fate: str | dict[str, str]) -> Fate:
    return Fate(fate=fate) if isinstance(fate, str) else Fate(fate="move", steps=fate)


def instant_ms(hour: str, day: str = "2026-11-21") -> int:
    """A local hour of a Saturday in Shanghai, or of another *day*."""
    return int(datetime.fromisoformat(f"{day}T{hour}").replace(tzinfo=ZONE).timestamp()) * 1_000


class Story:
    """Members are known by name; hours are local."""

    def __init__(self, ledger: Ledger, book: Book, mall: Mall, opens: str = "09:00") -> None:
        self.ledger, self.book, self.mall = ledger, book, mall
        self.now_ms = instant_ms(opens)
        self.codes = Codes(b"k" * 32, b"p" * 32)
        self.till = Till(ledger, self.codes, lambda: self.promotion.book.calendar)
        self.members: dict[str, int] = {}
        self._visits: dict[str, tuple[str, int]] = {}
        self._inside: dict[str, tuple[str, int]] = {}
        self._last = self._consents = 0
        self.restart()

    def restart(self, book: Book | None = None) -> None:
        """The process begins anew; all it knows is in the ledger."""
        self.book = book or self.book
        coupons = Coupons(self.ledger, self.codes)
        self.promotion = Promotion(
            self.ledger, self.book, coupons, self.mall, lambda: self.now_ms, real_clock=lambda: 7
        )

    def publish(
        self, text: str, *, author: str = "ana", two_people: bool = False, **fates: str | dict[str, str]
    ) -> None:
        """Another version is put in force, as an operator does it; fates: journey (with _ for -) -> its fate."""
        versions = Versions(self.ledger, self.mall, two_people=two_people)
        meant = {key.replace("_", "-"): _fate(fate) for key, fate in fates.items()}
        with self.ledger.write() as tx:
            version = versions.draft(tx, text, author=author, note="", parent=None, now_ms=self.now_ms)
            versions.publish(tx, version, author=author, note="", fates=meant, now_ms=self.now_ms)
        self.hear()
        self.promotion.due(self.now_ms)

    def switch(
        self, kind: str, name: str, on: bool = False, *, until_ms: int | None = None, actor: str = "operator:kim"
    ) -> None:
        """Somebody stops something, or lets it go on."""
        with self.ledger.write() as tx:
            turned = Switch(kind, name, on, until_ms, "burst pipe", actor, self.now_ms)
            Switches(self.ledger).turn(tx, turned)
        self.hear()
        self.promotion.due(self.now_ms)
        self.hear()

    # -- time -------------------------------------------------------------------------------------

    def at(self, hour: str, day: str = "2026-11-21") -> Story:
        """Turn the clock to *hour*, doing what falls due on the way when it does."""
        return self.turn(instant_ms(hour, day) - self.now_ms)

    def turn(self, length_ms: int) -> Story:
        until_ms = self.now_ms + length_ms
        while self.now_ms < until_ms:
            before_ms, self.now_ms = self.now_ms, max(self.now_ms, min(self.next_due_ms(), until_ms))
            assert self.promotion.due(self.now_ms) or self.now_ms > before_ms, "a deadline that nothing clears"
            self.hear()
        return self

    def next_due_ms(self) -> int:
        soonest = sa.union_all(
            sa.select(tables.deadline.c.due_ms), sa.select(tables.coupon.c.expires_ms).where(tables.LIVE)
        ).subquery()
        (row,) = self._rows(sa.select(sa.func.min(soonest.c[0]).label("at_ms")))
        return row["at_ms"] or 2**53

    # -- members ----------------------------------------------------------------------------------

    def join(
        self,
        name: str,
        *,
        birthday: str | None = None,
        home_km: float | None = 3.0,
        consents: tuple[str, ...] = CONSENTS,
        holdout: bool = False,
    ) -> int:
        """Somebody opts in; chance puts them in the holdout or not, and here the test says which."""
        self._last += 1
        while held_out(self._last, self.book.limits) != holdout:
            self._last += 1
        row = {"id": self._last, "login": name, "name": name, "birthday": birthday, "home_km": home_km}
        with self.ledger.write() as tx:
            tx.execute(sa.insert(member).values(row | {"language": "en", "created_ms": 0}))
        self.members[name] = self._last
        for purpose in consents:
            self.consent(name, purpose, True)
        return self._last

    def consent(self, name: str, purpose: str, granted: bool) -> None:
        row = {"member": self.members[name], "purpose": purpose, "granted": granted, "at_ms": self.now_ms}
        facts = {"purpose": purpose, "granted": granted, "visit": "", "member": row["member"], "at_ms": self.now_ms}
        with self.ledger.write() as tx:
            tx.execute(sa.insert(consent).values(row | {"text_version": "1", "language": "en", "place": "test"}))
            self._consents += 1
            said = ConsentChanged(id=id_of("consent.changed", self._consents), **facts)
            self.ledger.append(tx, [said], heard_real_ms=5)
        self.hear()

    # -- presence ---------------------------------------------------------------------------------

    def arrives(self, name: str) -> None:
        if name not in self.members:
            self.join(name)
        self._visits[name] = id_of("visit", name, self.now_ms), self.now_ms
        self.tell(name, VisitStarted)

    def enters(self, name: str, zone: str) -> None:
        self.leaves(name)
        self._inside[name] = zone, self.now_ms
        self.tell(name, ZoneEntered, zone=zone, confidence=0.9, confirmed_ms=self.now_ms)

    def leaves(self, name: str) -> None:
        if name in self._inside:
            zone, since_ms = self._inside.pop(name)
            self.tell(name, ZoneLeft, zone=zone, dwell_ms=self.now_ms - since_ms, cause="heard-elsewhere")

    def falls_silent(self, name: str) -> None:
        self.tell(name, VisitSilent, last_ms=self.now_ms)

    def is_heard_again(self, name: str) -> None:
        self.tell(name, VisitResumed)

    def goes_home(self, name: str) -> None:
        self._inside.pop(name, None)
        self.tell(name, VisitEnded, dwell_ms=self.now_ms - self._visits[name][1], cause="silent")

    def tell(self, name: str, kind: type[Moment], *, at_ms: int | None = None, **facts: object) -> None:
        """Append an event and let the rules hear it."""
        at_ms = self.now_ms if at_ms is None else at_ms
        visit = self._visits[name][0]
        identity = id_of(kind.__struct_config__.tag, visit, at_ms, *facts.values())
        event = kind(id=identity, at_ms=at_ms, member=self.members[name], visit=visit, **facts)
        with self.ledger.write() as tx:
            self.ledger.append(tx, [event], heard_real_ms=5)
        self.hear()

    def hear(self) -> None:
        """All that was told, and what the rules themselves told by hearing it."""
        heard = -1
        while self.promotion.seen != heard:
            heard = self.promotion.seen
            self.promotion.round()

    # -- coupons ----------------------------------------------------------------------------------

    def redeems(self, name: str, shop: str) -> str:
        """Spend the live coupon at *shop*; which offer it was."""
        (coupon,) = self.coupons(name, "issued")
        with self.ledger.write() as tx:
            spent = self.till.redeem(tx, shop, self.codes.of(coupon["id"]), self.now_ms, heard_real_ms=6)
        self.hear()
        return spent.offer

    def wallet(self, name: str) -> list[str]:
        """The offers that are good now."""
        return [coupon["offer"] for coupon in self.coupons(name, "issued") if coupon["expires_ms"] > self.now_ms]

    def given(self, name: str) -> list[str]:
        """Every offer ever given, oldest first."""
        return [coupon["offer"] for coupon in self.coupons(name)]

    def states(self, name: str) -> list[tuple[str, str]]:
        return [(coupon["offer"], coupon["state"]) for coupon in self.coupons(name)]

    def coupons(self, name: str, *states: str) -> list[sa.RowMapping]:
        c = tables.coupon.c
        rows = self._rows(sa.select(tables.coupon).where(c.member == self.members[name]).order_by(c.issued_ms))
        return [row for row in rows if not states or row["state"] in states]

    def ghosts(self, name: str) -> list[str]:
        """What a held-out member would have been given."""
        e = tables.exposure.c
        rows = self._rows(sa.select(e.offer).where(e.member == self.members[name], e.ghost).order_by(e.at_ms))
        return [row["offer"] for row in rows]

    # -- reasons ----------------------------------------------------------------------------------

    def decisions(self, name: str, step: str | None = None) -> list[tuple[str, str]]:
        """(verdict, reason) of each decision, in order."""
        return [(row["verdict"], row["reason"]) for row in self.decided(name) if step is None or row["step"] == step]

    def decided(self, name: str) -> list[sa.RowMapping]:
        d = tables.decision.c
        chosen = sa.select(tables.decision).where(d.member == self.members[name])
        return self._rows(chosen.order_by(d.seq))

    def trace(self, name: str) -> dict[str, str]:
        """What the last decision saw: path -> seen."""
        return {path: seen for path, _held, seen in json.loads(self.decided(name)[-1]["trace"])}

    def _rows(self, chosen: sa.Select[tuple[object, ...]]) -> list[sa.RowMapping]:
        with self.ledger.read() as tx:
            return list(tx.execute(chosen).mappings())


@pytest.fixture(scope="session")
def demo_mall() -> Mall:
    return Mall.of(Plan.read(ROOT / "zones.geojson"))


@pytest.fixture
def open_story(tmp_path: Path, demo_mall: Mall) -> Iterator[Callable[..., Story]]:
    """Opens a story by the text of a book; without one, by the demo mall's own."""
    ledgers: list[Ledger] = []

    def begin(text: str = "", *, opens: str = "09:00") -> Story:
        text = text or (ROOT / "rules" / "book.yaml").read_text(encoding="utf-8")
        ledgers.append(open_ledger(sqlite_ledger_url(tmp_path / f"{len(ledgers)}.db"), PresenceEvent | CouponEvent))
        return Story(ledgers[-1], parse_book(text, demo_mall), demo_mall, opens)

    yield begin
    for ledger in ledgers:
        ledger.close()
