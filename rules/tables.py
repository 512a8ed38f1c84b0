"""The ledger's tables for what is given away: coupons, money, delivery; journeys and decisions.

Instants are paced ms since the epoch; columns called *_real_ms are wall time. Amounts are minor units.
Members are not foreign keys: erasing a member leaves the rows that settlement needs, without a person.
"""

from __future__ import annotations

import sqlalchemy as sa

from engine.tables import metadata

# SQLite numbers rows by itself only in a column declared exactly INTEGER.
Serial = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


# -- spending ---------------------------------------------------------------------------------------

coupon = sa.Table(
    "coupon",
    metadata,
    sa.Column("id", sa.String, primary_key=True),  # id_of("coupon", instance, step, rung)
    sa.Column("member", sa.BigInteger, nullable=False),
    sa.Column("visit", sa.String, nullable=False),
    sa.Column("journey", sa.String, nullable=False),
    sa.Column("instance", sa.String, nullable=False),
    sa.Column("step", sa.String, nullable=False),
    sa.Column("rung", sa.Integer, nullable=False),
    sa.Column("offer", sa.String, nullable=False),
    # What the member was promised; an edit of the book must not change a coupon that is already out.
    sa.Column("title", sa.JSON, nullable=False),  # {language: text}
    sa.Column("terms", sa.JSON),  # {language: text} or null
    sa.Column("why", sa.JSON, nullable=False),  # {language: text}
    sa.Column("shops", sa.JSON, nullable=False),  # [shop key]
    sa.Column("cost", sa.BigInteger, nullable=False),
    sa.Column("funder", sa.String, nullable=False, server_default="mall"),  # who pays the cost
    # What a till asks of it besides its code.
    sa.Column("starts_ms", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("from_minute", sa.Integer),  # of the local day; null if all hours are good
    sa.Column("until_minute", sa.Integer),
    sa.Column("spend_minor", sa.BigInteger, nullable=False, server_default="0"),  # the least amount to pay
    sa.Column("reserve", sa.BigInteger, nullable=False),  # what it holds of each budget until it ends
    sa.Column("budgets", sa.JSON, nullable=False),  # [[scope, span]] it holds money of
    sa.Column("state", sa.String, nullable=False),  # rules.life.State
    sa.Column("code_turn", sa.Integer, nullable=False),  # above 0 only after two codes collided
    sa.Column("code_digest", sa.LargeBinary, nullable=False, unique=True),
    sa.Column("code_tail", sa.String, nullable=False),  # last four, for support
    sa.Column("uses", sa.Integer, nullable=False),  # redemptions so far, restored ones included
    sa.Column("issued_ms", sa.BigInteger, nullable=False),
    sa.Column("expires_ms", sa.BigInteger, nullable=False),
    sa.Column("opened_ms", sa.BigInteger),  # when its member first looked at its code
    sa.Column("redeemed_ms", sa.BigInteger),
    sa.Column("ended_ms", sa.BigInteger),  # when it became redeemed, void or expired
    sa.Column("superseded_by", sa.String),  # the coupon that took its place
    sa.Column("cause", sa.String, nullable=False),  # id of the event or deadline it answers
)
# States stand in these statements themselves: SQLite uses a partial index only where it can read its condition.
LIVE = coupon.c.state == sa.literal_column("'issued'")
sa.Index("coupon_one_live_per_member", coupon.c.member, unique=True, sqlite_where=LIVE, postgresql_where=LIVE)
sa.Index("coupon_live_by_expiry", coupon.c.expires_ms, sqlite_where=LIVE, postgresql_where=LIVE)
sa.Index("coupon_by_offer", coupon.c.offer, coupon.c.issued_ms)
sa.Index("coupon_by_member", coupon.c.member, coupon.c.issued_ms)

coupon_event = sa.Table(  # append-only: every change of a coupon
    "coupon_event",
    metadata,
    sa.Column("seq", Serial, primary_key=True),
    sa.Column("coupon", sa.String, nullable=False, index=True),
    sa.Column("act", sa.String, nullable=False),  # rules.life.Act
    sa.Column("at_ms", sa.BigInteger, nullable=False),
    sa.Column("actor", sa.String, nullable=False),  # "journey", "shop:cafe-luna", "clock", ...
    sa.Column("reason", sa.String, nullable=False),
)

redemption = sa.Table(
    "redemption",
    metadata,
    sa.Column("id", sa.String, primary_key=True),  # id_of("redemption", coupon, which use)
    sa.Column("coupon", sa.String, nullable=False),
    sa.Column("offer", sa.String, nullable=False),
    sa.Column("shop", sa.String, nullable=False),
    sa.Column("till", sa.String, nullable=False),
    sa.Column("cost", sa.BigInteger, nullable=False),
    sa.Column("funder", sa.String, nullable=False, server_default="mall"),
    sa.Column("amount_minor", sa.BigInteger),  # what the customer paid, if the till said so
    sa.Column("receipt", sa.String),
    sa.Column("at_ms", sa.BigInteger, nullable=False),
    sa.Column("restored_ms", sa.BigInteger),
)
STANDS = redemption.c.restored_ms.is_(None)
sa.Index("redemption_once", redemption.c.coupon, unique=True, sqlite_where=STANDS, postgresql_where=STANDS)
sa.Index("redemption_by_receipt", redemption.c.shop, redemption.c.receipt)
sa.Index("redemption_by_shop", redemption.c.shop, redemption.c.at_ms)
sa.Index("redemption_by_funder", redemption.c.funder, redemption.c.at_ms)

idempotency = sa.Table(
    "idempotency",
    metadata,
    sa.Column("shop", sa.String, primary_key=True),
    sa.Column("route", sa.String, primary_key=True),
    sa.Column("key", sa.String, primary_key=True),
    sa.Column("body_digest", sa.String, nullable=False),
    sa.Column("status", sa.Integer, nullable=False),
    sa.Column("answer", sa.JSON, nullable=False),
    sa.Column("at_ms", sa.BigInteger, nullable=False, index=True),
)

budget = sa.Table(
    "budget",
    metadata,
    sa.Column("scope", sa.String, primary_key=True),  # "day", "visit", "shop:cafe-luna", "journey:day-out"
    sa.Column("span", sa.String, primary_key=True),  # which one: "2026-11-22", a visit id
    sa.Column("cap", sa.BigInteger, nullable=False),
    sa.Column("reserved", sa.BigInteger, nullable=False),
    sa.Column("spent", sa.BigInteger, nullable=False),
)

outbox = sa.Table(
    "outbox",
    metadata,
    sa.Column("id", sa.String, primary_key=True),  # id_of("outbox", instance, step, rung, channel)
    sa.Column("member", sa.BigInteger, nullable=False),
    sa.Column("coupon", sa.String, nullable=False, index=True),
    sa.Column("instance", sa.String, nullable=False),
    sa.Column("step", sa.String, nullable=False),
    sa.Column("rung", sa.Integer, nullable=False),
    sa.Column("channel", sa.String, nullable=False),
    sa.Column("not_before_ms", sa.BigInteger, nullable=False),  # of a leased row: when the lease ends
    sa.Column("expires_ms", sa.BigInteger, nullable=False),
    # queued, leased, accepted, shown, expired, failed:<reason>, suppressed:<reason>
    sa.Column("state", sa.String, nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False, server_default="0"),  # also tells whose lease it is
    sa.Column("shown_ms", sa.BigInteger),
    sa.Column("heard_real_ms", sa.BigInteger, nullable=False),  # when a sensor heard what caused it
    sa.Column("delivered_ms", sa.BigInteger),
    sa.Column("delivered_real_ms", sa.BigInteger),
    sa.UniqueConstraint("instance", "step", "rung", "channel"),
)
# A lease that ended is due again: whoever held it is gone.
QUEUED = outbox.c.state.in_([sa.literal_column("'queued'"), sa.literal_column("'leased'")])
sa.Index("outbox_due", outbox.c.not_before_ms, sqlite_where=QUEUED, postgresql_where=QUEUED)

subscription = sa.Table(  # where a member can be reached on a channel
    "subscription",
    metadata,
    sa.Column("id", sa.String, primary_key=True),  # id_of("subscription", member, channel, address)
    sa.Column("member", sa.BigInteger, nullable=False, index=True),
    sa.Column("channel", sa.String, nullable=False),
    sa.Column("sealed", sa.LargeBinary, nullable=False),  # JSON of rules.channels.Address, AES-GCM
    sa.Column("created_ms", sa.BigInteger, nullable=False),
)

preference = sa.Table(  # in which order a member wants channels tried
    "preference",
    metadata,
    sa.Column("member", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("channels", sa.JSON, nullable=False),
)

switch = sa.Table(  # what was ever switched off or on: the mall, a journey, an offer, a shop, a channel
    "switch",
    metadata,
    sa.Column("kind", sa.String, primary_key=True),  # rules.off.KINDS
    sa.Column("name", sa.String, primary_key=True),
    sa.Column("is_on", sa.Boolean, nullable=False),
    sa.Column("until_ms", sa.BigInteger),  # off until then; null: until somebody switches it on
    sa.Column("reason", sa.String, nullable=False),
    sa.Column("actor", sa.String, nullable=False),
    sa.Column("at_ms", sa.BigInteger, nullable=False),
)

switch_event = sa.Table(  # append-only: every turn of a switch
    "switch_event",
    metadata,
    sa.Column("seq", Serial, primary_key=True),
    *(sa.Column(column.name, column.type, nullable=column.nullable) for column in switch.c),
)
sa.Index("switch_event_by_switch", switch_event.c.kind, switch_event.c.name, switch_event.c.seq)


# -- members --------------------------------------------------------------------------------------

attribute = sa.Table(  # what the mall knows of a member beside what they told when joining
    "attribute",
    metadata,
    sa.Column("member", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("name", sa.String, primary_key=True),
    sa.Column("value", sa.JSON, nullable=False),  # text or number
    sa.Column("told_ms", sa.BigInteger, nullable=False),
)

former = sa.Table(  # what was known of a member until an import told otherwise; forgotten with the traces
    "former",
    metadata,
    sa.Column("seq", Serial, primary_key=True),
    sa.Column("member", sa.BigInteger, nullable=False, index=True),
    sa.Column("name", sa.String, nullable=False),  # birthday, language, home_km, or an attribute's
    sa.Column("is_attribute", sa.Boolean, nullable=False),
    sa.Column("value", sa.JSON, nullable=False),  # JSON's null where nothing was known
    sa.Column("until_ms", sa.BigInteger, nullable=False, index=True),
)

receipt = sa.Table(  # money that members spent, with a coupon or without; nothing is kept of anybody else
    "receipt",
    metadata,
    sa.Column("shop", sa.String, primary_key=True),
    sa.Column("number", sa.String, primary_key=True),
    sa.Column("member", sa.BigInteger, nullable=False, index=True),
    sa.Column("coupon", sa.String),  # the one redeemed with it, if one was
    sa.Column("at_ms", sa.BigInteger, nullable=False),
    sa.Column("amount_minor", sa.BigInteger, nullable=False),  # below zero for money given back
)


invitation = sa.Table(  # a link by which a shop, or one of its clerks, brings members
    "invitation",
    metadata,
    sa.Column("id", sa.String, primary_key=True),  # drawn, 120 bits: what nobody was shown, nobody guesses
    sa.Column("shop", sa.String, nullable=False, index=True),
    sa.Column("category", sa.String, nullable=False),  # the shop's when the link was made
    sa.Column("clerk", sa.String, nullable=False),  # "" for the shop itself
    sa.Column("made_ms", sa.BigInteger, nullable=False),
    sa.Column("revoked_ms", sa.BigInteger),
)

credit = sa.Table(  # who brought a member, and for how long that counts; one at a time
    "credit",
    metadata,
    sa.Column("member", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("nth", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("invitation", sa.String, nullable=False, index=True),
    sa.Column("from_ms", sa.BigInteger, nullable=False),
    sa.Column("until_ms", sa.BigInteger, nullable=False),
    sa.Column("called", sa.String, nullable=False),  # what the member lets the shop call them; "" for nothing
)


# -- deciding ---------------------------------------------------------------------------------------

book = sa.Table(  # every version ever drafted or published; an instance keeps the one it began under
    "book",
    metadata,
    sa.Column("version", sa.String, primary_key=True),  # digest of the text
    sa.Column("text", sa.Text, nullable=False),
    sa.Column("made_ms", sa.BigInteger, nullable=False),
    sa.Column("author", sa.String, nullable=False),  # "file", "operator:demo", "command line:kim", ...
    sa.Column("note", sa.String, nullable=False),
    sa.Column("parent", sa.String),  # the version it was made from
)

proposal = sa.Table(  # a version that waits for a second person, because it raises what may be spent
    "proposal",
    metadata,
    sa.Column("version", sa.String, primary_key=True),
    sa.Column("on_top_of", sa.Integer, nullable=False),  # the publication it was weighed against
    sa.Column("author", sa.String, nullable=False),
    sa.Column("note", sa.String, nullable=False),
    sa.Column("fates", sa.JSON, nullable=False),
    sa.Column("at_ms", sa.BigInteger, nullable=False),
    sa.Column("withdrawn_by", sa.String),
    sa.Column("withdrawn_ms", sa.BigInteger),  # null while it waits
)
WAITS = proposal.c.withdrawn_ms.is_(None)

publication = sa.Table(  # append-only: which version was in force from when; the highest number is
    "publication",
    metadata,
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("version", sa.String, nullable=False, index=True),
    sa.Column("author", sa.String, nullable=False),
    sa.Column("second", sa.String),  # who agreed, where that was needed
    sa.Column("note", sa.String, nullable=False),
    sa.Column("fates", sa.JSON, nullable=False),  # {journey: {"fate": "move", "steps": {old: new}}} of those running
    sa.Column("at_ms", sa.BigInteger, nullable=False),
)

standing = sa.Table(  # what the visit's events have told of a member, up to the cursor of promote
    "standing",
    metadata,
    sa.Column("member", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("memory", sa.Text, nullable=False),  # JSON of rules.standing.Memory
)

instance = sa.Table(  # one member's run of a journey in one visit
    "instance",
    metadata,
    sa.Column("id", sa.String, primary_key=True),  # id_of("instance", journey, member, visit)
    sa.Column("journey", sa.String, nullable=False),
    sa.Column("version", sa.String, nullable=False),
    sa.Column("member", sa.BigInteger, nullable=False),
    sa.Column("visit", sa.String, nullable=False),
    sa.Column("phase", sa.String, nullable=False),  # seeking, waiting, finished
    sa.Column("step", sa.String, nullable=False),
    sa.Column("rung", sa.Integer, nullable=False),  # -1 while nothing of the step was offered
    sa.Column("outcome", sa.String, nullable=False),
    sa.Column("facts", sa.Text, nullable=False),  # JSON of rules.instance.Instance
    sa.Column("updated_ms", sa.BigInteger, nullable=False),
    sa.UniqueConstraint("journey", "member", "visit"),
)
RUNNING = instance.c.phase != sa.literal_column("'finished'")
sa.Index("instance_running_by_member", instance.c.member, sqlite_where=RUNNING, postgresql_where=RUNNING)
sa.Index("instance_by_visit", instance.c.visit)
sa.Index("instance_by_member", instance.c.member)

# When time alone may move an instance, which has one, the earliest; or when an absence ("away:" and the member) is
# long enough for a journey to begin.
deadline = sa.Table(
    "deadline",
    metadata,
    sa.Column("instance", sa.String, primary_key=True),
    sa.Column("member", sa.BigInteger, nullable=False),
    sa.Column("due_ms", sa.BigInteger, nullable=False, index=True),
)

waiting = sa.Table(  # who was refused for want of room or money, and is asked when there is some again
    "waiting",
    metadata,
    sa.Column("instance", sa.String, primary_key=True),
    sa.Column("member", sa.BigInteger, nullable=False),
    sa.Column("short_of", sa.String, nullable=False),  # "capacity:coffee", "budget:day"
    sa.Column("since_ms", sa.BigInteger, nullable=False),  # the longest waiting is asked first
)
sa.Index("waiting_in_order", waiting.c.short_of, waiting.c.since_ms, waiting.c.instance)

decision = sa.Table(  # every yes or no a person could ask about
    "decision",
    metadata,
    sa.Column("seq", Serial, primary_key=True),  # the order in which they were made
    sa.Column("id", sa.String, nullable=False, unique=True),  # id_of("decision", instance, cause, which)
    sa.Column("at_ms", sa.BigInteger, nullable=False),
    sa.Column("member", sa.BigInteger, nullable=False),
    sa.Column("visit", sa.String, nullable=False),
    sa.Column("journey", sa.String, nullable=False),
    sa.Column("version", sa.String, nullable=False),
    sa.Column("instance", sa.String, nullable=False),
    sa.Column("step", sa.String, nullable=False),
    sa.Column("rung", sa.Integer, nullable=False),
    sa.Column("offer", sa.String),
    sa.Column("verdict", sa.String, nullable=False),  # rules.instance.Note
    sa.Column("reason", sa.String, nullable=False),
    sa.Column("cause", sa.String, nullable=False),  # id of the event, or of the deadline
    sa.Column("propensity", sa.Float),  # where chance had a say in sending: how probable that was
    sa.Column("trace", sa.Text, nullable=False),  # JSON: [[path, held, seen], ...]; empty once it is forgotten
)
TRACED = decision.c.trace != ""
sa.Index("decision_by_member", decision.c.member, decision.c.at_ms)
# Only what is still to be forgotten, so that looking for it passes over nothing.
sa.Index("decision_traced_by_age", decision.c.at_ms, sqlite_where=TRACED, postgresql_where=TRACED)

lookup = sa.Table(  # append-only: who looked at one member's visits and decisions
    "lookup",
    metadata,
    sa.Column("seq", Serial, primary_key=True),
    sa.Column("at_ms", sa.BigInteger, nullable=False),
    sa.Column("actor", sa.String, nullable=False),  # "operator:demo", "command line", ...
    sa.Column("member", sa.BigInteger, nullable=False, index=True),
    sa.Column("about", sa.String, nullable=False),  # "explain 2026-11-24 12:10"
)

exposure = sa.Table(  # what caps count and waits watch; sent, or only as if sent (ghost: holdout)
    "exposure",
    metadata,
    sa.Column("id", sa.String, primary_key=True),  # id_of("exposure", instance, step, rung)
    sa.Column("member", sa.BigInteger, nullable=False),
    sa.Column("visit", sa.String, nullable=False),
    sa.Column("journey", sa.String, nullable=False),
    sa.Column("instance", sa.String, nullable=False),
    sa.Column("step", sa.String, nullable=False),
    sa.Column("rung", sa.Integer, nullable=False),  # above 0: an upgrade
    sa.Column("offer", sa.String, nullable=False),
    sa.Column("coupon", sa.String),  # null for a ghost
    sa.Column("ghost", sa.Boolean, nullable=False),
    sa.Column("visit_bound", sa.Boolean, nullable=False),
    sa.Column("at_ms", sa.BigInteger, nullable=False),
    sa.Column("expires_ms", sa.BigInteger, nullable=False),
    sa.Column("ended_ms", sa.BigInteger),
    sa.Column("outcome", sa.String, nullable=False),  # of rules.standing: redeemed, ...; "" while it is out
    sa.Column("propensity", sa.Float, nullable=False),  # with what probability it was to be sent
    sa.Column("drawn", sa.Boolean, nullable=False),  # false: chance said not to send it
)
sa.Index("exposure_by_member", exposure.c.member, exposure.c.at_ms)
UNSENT = exposure.c.coupon.is_(None)
sa.Index("exposure_unsent_by_expiry", exposure.c.expires_ms, sqlite_where=UNSENT, postgresql_where=UNSENT)
