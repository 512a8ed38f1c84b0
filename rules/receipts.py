"""What members spent, from the receipts of shops: so that spending is known of those who redeem nothing, too.

A receipt counts once, however often and by whichever way it is told; money in it is whole minor units. Nothing is
kept of a receipt whose buyer is no member, or did not agree to personal offers.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import UTC, datetime
from typing import NamedTuple

import sqlalchemy as sa

from engine import tables as engine_tables
from engine.events import id_of
from engine.ledger import Ledger
from engine.plainly import nearest
from rules.codes import BadCode, Codes, parse
from rules.events import MoneySpent
from rules.lines import Line, NotALine, Report, batches
from rules.standing import OFFERS_CONSENT
from rules.tables import STANDS, coupon, receipt, redemption
from rules.times import DAY_MS, SECOND_MS, Calendar

COLUMNS = ("shop", "receipt", "at", "amount_minor")
MOST_MINOR = 10**12
# Starts with a letter or digit, so that no spreadsheet takes it for a formula; as tills give it.
NUMBER = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._:/#-]{0,63}")
_WHOLE = re.compile(r"-?[0-9]{1,13}")
# Clocks of tills go wrong; a receipt from further ahead is a mistake.
AHEAD_MS = DAY_MS


class Receipt(NamedTuple):
    """One receipt as a shop tells it. member: id or login; code: of a coupon redeemed with it. Either, or neither."""

    line: int
    shop: str
    number: str
    at_ms: int
    amount_minor: int
    member: str
    code: str


class Receipts:
    """Takes receipts in. shops: those of the plan."""

    def __init__(self, ledger: Ledger, codes: Codes, shops: Collection[str], calendar: Callable[[], Calendar]) -> None:
        self._ledger, self._codes, self._shops, self._calendar = ledger, codes, shops, calendar
        self._insert = ledger.insert(receipt).on_conflict_do_nothing().returning(receipt.c.number)

    def take(
        self, lines: Iterable[Line], now_ms: int, *, heard_real_ms: int, only: str | None = None, dry_run: bool = False
    ) -> Report:
        """only: the shop that tells them, where it may tell of no other. The same lines again change nothing."""
        report = Report()
        for batch in batches(lines):
            told = []
            for line in batch:
                try:
                    told.append(self._read(line, now_ms, only))
                except NotALine as problem:
                    report.refuse(line.number, str(problem))
            self._put(told, report, heard_real_ms=heard_real_ms, dry_run=dry_run)
        return report

    def _read(self, line: Line, now_ms: int, only: str | None) -> Receipt:
        if line.says:
            raise NotALine(line.says)
        fields = line.fields
        shop = fields.get("shop") or only or ""
        if only is not None and shop != only:
            raise NotALine(f"'{shop}' is another shop; tell of receipts of {only} only")
        if shop not in self._shops:
            raise NotALine(f"no shop '{shop}' on the plan; {nearest(shop, self._shops)}")
        if not NUMBER.fullmatch(fields["receipt"]):
            raise NotALine(f"'{fields['receipt']}' is no receipt number; use letters, digits and ._:/#-, at most 64")
        amount = fields["amount_minor"]
        if not _WHOLE.fullmatch(amount) or abs(int(amount)) > MOST_MINOR:
            raise NotALine(f"'{amount}' is no amount; write whole minor units, 1250 for 12.50")
        at_ms = self._instant(fields["at"], now_ms)
        member, code = fields.get("member", ""), fields.get("coupon", "")
        return Receipt(line.number, shop, fields["receipt"], at_ms, int(amount), member, code)

    def _instant(self, text: str, now_ms: int) -> int:
        try:
            told = datetime.fromisoformat(text)
        except ValueError:
            raise NotALine(f"'{text}' is no instant; write it like 2026-11-24 12:10") from None
        if told.year < 2000:
            raise NotALine(f"'{text}' is too long ago; write it like 2026-11-24 12:10")
        if told.tzinfo is None:
            minutes, seconds = divmod(told.hour * 3_600 + told.minute * 60 + told.second, 60)
            at_ms = self._calendar().instant_ms(told.date(), minutes) + seconds * SECOND_MS
        else:
            at_ms = int(told.astimezone(UTC).timestamp()) * SECOND_MS
        if at_ms > now_ms + AHEAD_MS:
            raise NotALine(f"'{text}' is still to come; set the till's clock")
        return at_ms

    def _put(self, told: list[Receipt], report: Report, *, heard_real_ms: int, dry_run: bool) -> None:
        with self._ledger.read() if dry_run else self._ledger.write() as tx:
            buyers = _buyers(tx, [one.member for one in told if one.member])
            held = self._held(tx, told)
            consenting = _consenting(tx, {*buyers.values(), *(member for member, _ in held.values())})
            events = []
            for one in told:
                owner, given = held.get(self._digest(one.code) if one.code else b"", (None, None))
                member = owner if owner is not None else buyers.get(one.member, 0)
                if member not in consenting:
                    report.strangers += 1
                elif self._enter(tx, one, member, given, report, dry_run=dry_run):
                    spent = self._coupon_of(tx, one) or given
                    events.append(_moment(one, member, spent))
            if not dry_run:
                self._ledger.append(tx, events, heard_real_ms=heard_real_ms)

    def _enter(
        self, tx: sa.Connection, one: Receipt, member: int, given: str | None, report: Report, *, dry_run: bool
    ) -> bool:
        """Whether the receipt is new; one that says otherwise than before is refused."""
        row = {"shop": one.shop, "number": one.number, "member": member, "coupon": given}
        row |= {"at_ms": one.at_ms, "amount_minor": one.amount_minor}
        if not dry_run and tx.execute(self._insert, row).first() is not None:
            report.changed += 1
            return True
        known = sa.select(receipt.c.member, receipt.c.amount_minor)
        before = tx.execute(known.where(receipt.c.shop == one.shop, receipt.c.number == one.number)).first()
        if before is None:
            report.changed += 1
            return True
        if tuple(before) == (member, one.amount_minor):
            report.unchanged += 1
        else:
            says = f"receipt {one.number} of {one.shop} was told before with another amount or buyer"
            report.refuse(one.line, f"{says}; tell the difference under a number of its own")
        return False

    def _held(self, tx: sa.Connection, told: list[Receipt]) -> dict[bytes, tuple[int, str]]:
        """Digest of a code -> its member and coupon."""
        digests = [self._digest(one.code) for one in told if one.code]
        c = coupon.c
        found = tx.execute(sa.select(c.code_digest, c.member, c.id).where(c.code_digest.in_(digests)))
        return {bytes(digest): (member, id) for digest, member, id in found}

    def _digest(self, code: str) -> bytes:
        try:
            return self._codes.digest(parse(code))
        except BadCode:
            return b""  # nobody's

    @staticmethod
    def _coupon_of(tx: sa.Connection, one: Receipt) -> str | None:
        """The coupon that a till redeemed under that receipt number."""
        r = redemption.c
        found: str | None = tx.execute(
            sa.select(r.coupon).where(r.shop == one.shop, r.receipt == one.number, STANDS).limit(1)
        ).scalar()
        return found


def _buyers(tx: sa.Connection, named: list[str]) -> Mapping[str, int]:
    """Members by login, or by id."""
    m = engine_tables.member.c
    numbers = [int(name) for name in named if name.isdecimal() and len(name) < 16]
    found = {str(id): id for (id,) in tx.execute(sa.select(m.id).where(m.id.in_(numbers)))}
    return found | {login: id for login, id in tx.execute(sa.select(m.login, m.id).where(m.login.in_(named)))}


def _consenting(tx: sa.Connection, members: Collection[int]) -> set[int]:
    """Those who agreed that their spending is used for offers to them."""
    c = engine_tables.consent.c
    wanted = sa.select(c.member, c.granted).where(c.member.in_(members), c.purpose == OFFERS_CONSENT)
    last = {member: granted for member, granted in tx.execute(wanted.order_by(c.seq))}
    return {member for member, granted in last.items() if granted}


def _moment(one: Receipt, member: int, spent: str | None) -> MoneySpent:
    return MoneySpent(
        id=id_of("money.spent", one.shop, one.number),
        at_ms=one.at_ms,
        member=member,
        visit="",
        shop=one.shop,
        receipt=one.number,
        amount_minor=one.amount_minor,
        coupon=spent,
    )
