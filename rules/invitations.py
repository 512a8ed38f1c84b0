"""Who brought a member: links that shops and their clerks invite by, and the credit they earn.

A link is a row, not a signature: what was never drawn cannot be forged, one can be revoked, and a shop may change its
key without its posters going stale. The first credit stands for CREDIT_MS; until then no other link changes it.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from typing import Any

import sqlalchemy as sa
from pydantic import BaseModel, Field

from engine.ledger import Ledger
from engine.problems import Problem
from rules.tables import coupon, credit, invitation
from rules.times import DAY_MS

# Long enough that whoever brings a regular earns by it, short enough that a shop which still cares may win them anew.
CREDIT_MS = 180 * DAY_MS
LINK_BYTES = 15  # 120 bits, 24 characters
# More clerks than any shop has at once.
MOST_LINKS = 200

_who = (invitation.c.shop, invitation.c.category, invitation.c.clerk)
_terms = (credit.c.invitation, credit.c.from_ms, credit.c.until_ms, credit.c.called)


def earned(of: sa.ColumnCollection[str, sa.ColumnElement[Any]]) -> sa.ColumnElement[bool]:
    """A coupon belongs to the credit it was given under, and so does its redemption, however late that is.

    of  columns of credits: member, from_ms, until_ms
    """
    given_ms = coupon.c.issued_ms
    return sa.and_(of["member"] == coupon.c.member, of["from_ms"] <= given_ms, of["until_ms"] > given_ms)


class Invitation(BaseModel):
    """A link that a shop, or one of its clerks, invites by."""

    id: str
    shop: str
    category: str = Field(description="The kind of the shop's zone when the link was made")
    clerk: str = Field(description="Empty for the shop itself")
    made_ms: int
    revoked_ms: int | None = Field(description="Since when nobody joins by it; those who did stay credited")


class Credited(BaseModel):
    """Who brought a member, and for how long that counts."""

    invitation: str
    shop: str
    category: str
    clerk: str = Field(description="Empty for the shop itself")
    from_ms: int
    until_ms: int
    called: str = Field(description="What the member lets that shop call them; empty for nothing")


class Invitations:
    """Every method works inside the transaction it is given.

    categories  shop -> the kind of its zone
    noise       secrets.token_bytes, or a seeded source in tests
    """

    def __init__(self, ledger: Ledger, categories: Mapping[str, str], noise: Callable[[int], bytes]) -> None:
        self._ledger, self._categories, self._noise = ledger, categories, noise

    def make(self, tx: sa.Connection, shop: str, clerk: str, at_ms: int) -> Invitation:
        """A new link of *shop*; of the shop itself where clerk is "". Raises Problem where it has too many."""
        live = sa.select(sa.func.count()).where(invitation.c.shop == shop, invitation.c.revoked_ms.is_(None))
        if tx.execute(live).scalar_one() >= MOST_LINKS:
            detail = f"A shop has at most {MOST_LINKS} links at once. Revoke those that nobody uses."
            raise Problem("too-many-links", 409, "Too many links", detail)
        drawn = base64.b32encode(self._noise(LINK_BYTES)).decode().lower()
        made = Invitation(
            id=drawn, shop=shop, category=self._categories.get(shop, ""), clerk=clerk, made_ms=at_ms, revoked_ms=None
        )
        tx.execute(sa.insert(invitation).values(made.model_dump()))
        return made

    def all(self, tx: sa.Connection, shop: str | None = None) -> list[Invitation]:
        """Those of *shop*, or of every shop; the newest first, revoked ones last."""
        i = invitation.c
        chosen = sa.select(invitation) if shop is None else sa.select(invitation).where(i.shop == shop)
        order = chosen.order_by(i.revoked_ms.is_not(None), i.made_ms.desc(), i.id)
        return [Invitation(**row) for row in tx.execute(order).mappings()]

    def revoke(self, tx: sa.Connection, link: str, at_ms: int, shop: str | None = None) -> bool:
        """Nobody joins by it any more; False if there is no such link (of *shop*, where given) or it was revoked."""
        i = invitation.c
        mine = [] if shop is None else [i.shop == shop]
        live = sa.update(invitation).where(i.id == link, i.revoked_ms.is_(None), *mine)
        return tx.execute(live.values(revoked_ms=at_ms)).rowcount > 0

    def good(self, tx: sa.Connection, link: str) -> Invitation:
        """The link, if one may join by it. Raises Problem."""
        row = tx.execute(sa.select(invitation).where(invitation.c.id == link)).mappings().first()
        if row is None:
            raise Problem("not-found", 404, "No such invitation", "Scan the code again, or ask for a new one.")
        if row["revoked_ms"] is not None:
            raise Problem("revoked", 410, "No longer good", "This invitation was taken back. Ask for a new one.")
        return Invitation(**row)

    def credit(self, tx: sa.Connection, member: int, link: str, at_ms: int) -> bool:
        """Credit whoever's link it is, from now on; False where an earlier credit still stands, or it is revoked.

        One statement decides: of two links opened at once one counts.
        """
        c = credit.c
        earlier = sa.select(c.nth, c.until_ms).where(c.member == member).subquery()
        nth = sa.func.coalesce(sa.func.max(earlier.c.nth) + 1, 0)
        stands_until_ms = sa.func.coalesce(sa.func.max(earlier.c.until_ms), 0)
        good = sa.exists().where(invitation.c.id == link, invitation.c.revoked_ms.is_(None))
        values = {
            c.member: sa.literal(member, sa.BigInteger),
            c.nth: nth,
            c.invitation: sa.literal(link, sa.String),
            c.from_ms: sa.literal(at_ms, sa.BigInteger),
            c.until_ms: sa.literal(at_ms + CREDIT_MS, sa.BigInteger),
            c.called: sa.literal("", sa.String),
        }
        row = sa.select(*values.values()).select_from(earlier).having(sa.and_(stands_until_ms <= at_ms, good))
        insert = self._ledger.insert(credit).from_select(list(values), row)
        once = insert.on_conflict_do_nothing(index_elements=["member", "nth"]).returning(c.nth)
        return tx.execute(once).first() is not None

    def call(self, tx: sa.Connection, member: int, name: str, at_ms: int) -> bool:
        """What the shop that brought *member* may call them; False where nobody's credit stands."""
        c = credit.c
        standing = sa.update(credit).where(c.member == member, c.from_ms <= at_ms, c.until_ms > at_ms)
        return tx.execute(standing.values(called=name)).rowcount > 0


def credited(tx: sa.Connection, member: int, at_ms: int) -> Credited | None:
    """Who is credited with *member* at that instant."""
    c = credit.c
    joined = sa.select(*_terms, *_who).join(invitation, invitation.c.id == c.invitation)
    row = tx.execute(joined.where(c.member == member, c.from_ms <= at_ms, c.until_ms > at_ms)).mappings().first()
    return None if row is None else Credited(**row)
