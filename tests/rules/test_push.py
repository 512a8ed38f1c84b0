"""Web Push against a real push service: what it gets, what it may answer, and what becomes of the coupon's row."""

from __future__ import annotations

import base64

import pytest
import sqlalchemy as sa

from engine.clock import Pace
from engine.events import VisitEnded, id_of
from engine.identity import Identity, Newcomer
from engine.keys import Keys
from rules.channels import Channels
from rules.outbox import SHOWN_WITHIN_MS, Outbox
from rules.parcel import PAUSES_MS, Address, topic_of
from rules.push import NoService, Push
from rules.sending import Senders
from rules.switches import Switch
from rules.tables import coupon, outbox, subscription
from tests.pushing import push_service

NOON_MS = 1_795_233_600_000
MINUTE_MS = 60_000
PATIENCE_S = 30
ALL = ("presence", "personal_offers", "inbox", "web_push")


class Post:
    """A mall whose only push service is a local one; time is turned by hand, and senders are waited for."""

    def __init__(self, ledger, coupons, service) -> None:
        self.ledger, self.coupons, self.service = ledger, coupons, service
        self.now_ms, self.quiet_until = NOON_MS, None
        self.identity = Identity(ledger, Keys(b"m" * 32), "demo", bytes)
        self.channels = Channels(ledger, b"c" * 32, lambda n: b"n" * n)
        keys = Keys(b"m" * 32)
        self.push = Push(keys.push, "mailto:it@mall.test", Pace(NOON_MS, NOON_MS, 1.0), (service.url,))
        self.outbox = Outbox(ledger, coupons, self.identity, self.channels, quiet=lambda _: self.quiet_until)
        self.senders = Senders(self.outbox, {"web_push": self.push}, lambda: self.now_ms, lambda: 7)
        self.browser = service.browser("phone")

    def join(self, *consents, language="en", subscribed=True) -> int:
        with self.ledger.write() as tx:
            who = Newcomer(f"m{language}", "Ana", consents=consents or ALL, language=language)
            (member,) = self.identity.join(tx, [who], NOON_MS, place="form")
            if subscribed:
                self.channels.subscribe(tx, member, "web_push", self.browser.address, NOON_MS)
        return member

    def give(self, new) -> str:
        with self.ledger.write() as tx:
            return self.coupons.issue(tx, new)

    def turn(self, length_ms: int = 0) -> None:
        """Let time go by, and everything that is due be sent and reported."""
        self.now_ms += length_ms
        while self.senders.round():
            assert self.senders.wait_until_idle(PATIENCE_S)

    def state(self, channel="web_push") -> str | None:
        with self.ledger.read() as tx:
            return tx.execute(sa.select(outbox.c.state).where(outbox.c.channel == channel)).scalar()

    def close(self) -> None:
        self.senders.close()


@pytest.fixture
def post(ledger, coupons):
    with push_service() as service:
        post = Post(ledger, coupons, service)
        yield post
        post.close()


@pytest.fixture
def sent(post, a_coffee):
    """A coffee coupon, in the inbox, not shown there in time, and so pushed."""

    def send(**different):
        member = post.join()
        post.give(a_coffee(member=member, **different))
        post.turn()
        post.turn(SHOWN_WITHIN_MS)
        return post.service.heard

    return send


# -- what a push service gets -------------------------------------------------------------------------


def test_the_browser_reads_a_declarative_message_that_says_what_but_not_where(post, sent, a_coffee):
    (message,) = sent()
    body = post.browser.open(message.body)
    assert (body["web_push"], body["mutable"]) == (8030, True)
    assert body["notification"] == {
        "title": "Coffee 10 % off", "lang": "en",
        "body": "It is in your wallet. Show it at the till before it runs out.",
        "tag": topic_of("visit-1"), "navigate": "https://mall.test/wallet", "data": {"coupon": a_coffee().id},
    }  # fmt: skip
    assert not {"cafe", "luna", "zone", "L1"} & set(str(body).lower().replace("-", " ").split())
    assert message.headers["content-encoding"] == "aes128gcm" and len(message.body) < 3_000


def test_it_is_in_the_members_language(post, a_coffee):
    member = post.join(language="zh-Hans")
    post.give(a_coffee(member=member))
    post.turn()
    post.turn(SHOWN_WITHIN_MS)
    notification = post.browser.open(post.service.heard[0].body)["notification"]
    assert (notification["title"], notification["lang"]) == ("咖啡九折", "zh-Hans")


def test_the_service_can_check_who_sent_it(post, sent):
    (message,) = sent()
    assert message.claims == {
        "sub": "mailto:it@mall.test", "aud": post.service.url, "key": post.push.public_key,
        "exp": message.claims["exp"],
    }  # fmt: skip


def test_keys_come_from_the_sites_secret_and_are_the_same_after_a_restart():
    first, second = Keys(b"m" * 32).push, Keys(b"m" * 32).push
    assert first.private_numbers() == second.private_numbers()
    assert first.private_numbers() != Keys(b"n" * 32).push.private_numbers()


@pytest.mark.parametrize("wait_ms, left_ms", [(None, 40 * MINUTE_MS), (25 * MINUTE_MS, 25 * MINUTE_MS)])
def test_a_message_lives_as_long_as_the_coupon_or_the_wait_for_it(sent, wait_ms, left_ms):
    (message,) = sent(wait_ms=wait_ms)
    assert int(message.headers["ttl"]) == (left_ms - SHOWN_WITHIN_MS) // 1_000


def test_a_later_message_of_the_visit_takes_the_place_of_one_that_waits(post, sent, a_coffee):
    (first,) = sent()
    post.give(a_coffee(rung=1, supersedes=a_coffee().id, issued_ms=post.now_ms))
    post.turn()
    post.turn(SHOWN_WITHIN_MS)
    topics = [message.headers["topic"] for message in post.service.heard]
    assert topics == [first.headers["topic"]] * 2 and len(first.headers["topic"]) <= 32


# -- what it may answer -------------------------------------------------------------------------------


def test_what_was_accepted_is_so_written_down(post, sent):
    sent()
    assert post.state() == "accepted"


@pytest.mark.parametrize("status", [404, 410])
def test_a_subscription_that_is_gone_is_removed(post, sent, status):
    post.service.answers = [(status, {})]
    sent()
    assert post.state() == "failed:unsubscribed"
    with post.ledger.read() as tx:
        assert tx.execute(sa.select(sa.func.count()).select_from(subscription)).scalar() == 0


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_key_stops_the_channel_until_somebody_looks(post, sent, a_coffee, status):
    post.service.answers = [(status, {})]
    sent()
    assert post.state() == "suppressed:switched-off"
    with post.ledger.read() as tx:
        web_push = post.channels.switches.of(tx, "channel", "web_push")
    assert (web_push.is_on, web_push.reason) == (False, f"the push service refuses our key ({status})")
    with post.ledger.write() as tx:
        post.coupons.void(tx, a_coffee().id, post.now_ms, "journey", "x", heard_real_ms=1)
    post.give(a_coffee(step="lunch", issued_ms=post.now_ms))
    post.turn()
    post.turn(SHOWN_WITHIN_MS)
    assert len(post.service.heard) == 1


def test_a_busy_service_is_left_alone_for_as_long_as_it_asks(post, sent):
    post.service.answers = [(429, {"Retry-After": "30"})]
    sent()
    assert post.state() == "queued"
    post.turn(29_999)
    assert len(post.service.heard) == 1
    post.turn(1)
    assert len(post.service.heard) == 2 and post.state() == "accepted"


def test_a_service_in_trouble_is_tried_again_after_1_4_16_and_60_seconds(post, sent):
    post.service.answers = [(503, {})] * 5
    sent()
    for number, pause_ms in enumerate(PAUSES_MS, 1):
        post.turn(pause_ms - 1)
        assert len(post.service.heard) == number
        post.turn(1)
    assert len(post.service.heard) == 5 and post.state() == "failed:http-503"


def test_nothing_is_tried_again_after_its_end(post, sent):
    post.service.answers = [(503, {})] * 2
    sent(expires_ms=NOON_MS + SHOWN_WITHIN_MS + 1_500)
    post.turn(1_000)
    post.turn(10 * MINUTE_MS)
    assert len(post.service.heard) == 2 and post.state() == "failed:http-503"


def test_a_service_that_cannot_be_reached_is_tried_again(post, a_coffee):
    post.browser.endpoint = "http://127.0.0.1:1/push"
    member = post.join()
    post.give(a_coffee(member=member))
    post.turn()
    post.turn(SHOWN_WITHIN_MS)
    assert post.state() == "queued"


def test_a_service_does_not_send_us_elsewhere(post, sent):
    post.service.answers = [(307, {"Location": f"{post.service.url}/elsewhere"})]
    sent()
    assert [message.path for message in post.service.heard] == ["/push/phone"] and post.state() == "queued"


def test_every_browser_of_a_member_gets_it_and_one_is_enough(post, a_coffee):
    member, other = post.join(), post.service.browser("tablet")
    with post.ledger.write() as tx:
        post.channels.subscribe(tx, member, "web_push", other.address, NOON_MS)
    post.service.answers = [(410, {})]
    post.give(a_coffee(member=member))
    post.turn()
    post.turn(SHOWN_WITHIN_MS)
    assert len(post.service.heard) == 2 and post.state() == "accepted"
    with post.ledger.read() as tx:
        assert len(post.channels.reaches(tx, member, "web_push")) == 1


# -- whether it is sent at all ------------------------------------------------------------------------


def test_what_was_shown_in_the_wallet_is_not_pushed(post, a_coffee):
    member = post.join()
    given = post.give(a_coffee(member=member))
    post.turn()
    with post.ledger.write() as tx:
        assert post.outbox.shown(tx, member, given, "inbox", post.now_ms)
    post.turn(SHOWN_WITHIN_MS)
    assert post.service.heard == [] and (post.state("inbox"), post.state()) == ("shown", "suppressed:seen")


def test_a_member_who_wants_it_first_gets_it_at_once(post, a_coffee):
    member = post.join()
    with post.ledger.write() as tx:
        post.channels.prefer(tx, member, ["web_push", "inbox"])
    post.give(a_coffee(member=member))
    post.turn()
    assert len(post.service.heard) == 1


@pytest.mark.parametrize(
    "reason, why",
    [("no-consent", "suppressed:no-consent"), ("not-live", "suppressed:not-live"), ("gone", "suppressed:gone"),
     ("switched-off", "suppressed:switched-off"), ("late", "expired")],
)  # fmt: skip
def test_what_is_no_longer_right_is_not_sent(post, a_coffee, reason, why):
    member = post.join()
    given = post.give(a_coffee(member=member))
    post.turn()
    with post.ledger.write() as tx:
        match reason:
            case "no-consent":
                post.identity.consent(tx, member, "web_push", False, NOON_MS, language="en", place="wallet")
            case "not-live":
                post.coupons.void(tx, given, NOON_MS, "journey", "x", heard_real_ms=1)
            case "gone":
                about = {"at_ms": NOON_MS, "member": member, "visit": "visit-1", "dwell_ms": 5, "cause": "silent"}
                post.ledger.append(tx, [VisitEnded(id=id_of("end"), **about)], heard_real_ms=1)
            case "switched-off":
                off = Switch("channel", "web_push", False, None, "too many complaints", "operator", NOON_MS)
                post.channels.switches.turn(tx, off)
    post.turn(40 * MINUTE_MS if reason == "late" else SHOWN_WITHIN_MS)
    assert post.service.heard == [] and post.state() == why


def test_quiet_hours_hold_it_until_they_end(post, a_coffee):
    member = post.join()
    post.give(a_coffee(member=member))
    post.turn()
    post.quiet_until = NOON_MS + 10 * MINUTE_MS
    post.turn(SHOWN_WITHIN_MS)
    assert post.service.heard == [] and post.state() == "queued"
    post.now_ms, post.quiet_until = NOON_MS + 10 * MINUTE_MS, None
    post.turn()
    assert len(post.service.heard) == 1


def test_quiet_hours_that_outlast_the_coupon_drop_it(post, a_coffee):
    member = post.join()
    post.give(a_coffee(member=member))
    post.turn()
    post.quiet_until = NOON_MS + 60 * MINUTE_MS
    post.turn(SHOWN_WITHIN_MS)
    assert post.state() == "suppressed:quiet"


def test_who_has_no_subscription_gets_no_row(post, a_coffee):
    member = post.join(subscribed=False)
    post.give(a_coffee(member=member))
    post.turn()
    assert (post.state("inbox"), post.state()) == ("accepted", None)


def test_a_member_without_the_inbox_is_reached_by_push_at_once_and_keeps_the_coupon(post, a_coffee):
    member = post.join("presence", "personal_offers", "web_push")
    post.give(a_coffee(member=member))
    post.turn()
    assert (post.state("inbox"), post.state(), len(post.service.heard)) == ("suppressed:no-consent", "accepted", 1)
    with post.ledger.read() as tx:
        assert tx.execute(sa.select(coupon.c.state)).scalar() == "issued"


def test_a_coupon_that_no_channel_could_carry_is_taken_back(post, a_coffee):
    member = post.join("presence", "personal_offers", "web_push")
    post.service.answers = [(410, {})]
    post.give(a_coffee(member=member))
    post.turn()
    with post.ledger.read() as tx:
        assert tx.execute(sa.select(coupon.c.state)).scalar() == "void"


# -- what must not happen -----------------------------------------------------------------------------


def test_a_service_that_hangs_holds_up_nobody(post, a_coffee):
    member = post.join()
    post.give(a_coffee(member=member))
    post.turn()
    post.service.open.clear()
    post.now_ms += SHOWN_WITHIN_MS
    assert post.senders.round() == 1  # it returns while the service has the message and says nothing
    assert post.service.asked.acquire(timeout=PATIENCE_S)
    assert post.state() == "leased"
    with post.ledger.write() as tx:
        (bo,) = post.identity.join(tx, [Newcomer("bo", "Bo", consents=ALL)], NOON_MS, place="form")
    post.give(a_coffee(member=bo, issued_ms=post.now_ms))
    assert post.senders.round() == 1
    with post.ledger.read() as tx:
        states = sa.select(outbox.c.state).where(outbox.c.channel == "inbox")
        assert set(tx.execute(states).scalars()) == {"accepted"}
    post.service.open.set()
    assert post.senders.wait_until_idle(PATIENCE_S) and post.state() == "accepted"


def test_a_lease_nobody_reported_on_is_tried_again_and_the_late_report_counts_for_nothing(post, a_coffee):
    member = post.join()
    post.give(a_coffee(member=member))
    post.turn()
    post.now_ms += SHOWN_WITHIN_MS
    _, (lost,) = post.outbox.round(post.now_ms, 7, 1)
    assert post.outbox.round(post.now_ms + MINUTE_MS - 1, 7, 1) == (0, [])
    _, (again,) = post.outbox.round(post.now_ms + MINUTE_MS, 7, 1)
    assert (lost.attempt, again.attempt, lost.topic) == (1, 2, again.topic)
    outcome = post.push(again, post.now_ms)
    assert post.outbox.report(lost, outcome, post.now_ms, 7) == "not-leased"
    assert post.outbox.report(again, outcome, post.now_ms, 7) == "accepted"


@pytest.mark.parametrize(
    "endpoint",
    ["http://127.0.0.1:6379/", "https://127.0.0.1/", "https://evil.test/fcm.googleapis.com", "file:///etc/passwd",
     "https://fcm.googleapis.com.evil.test/x", "https://x@fcm.googleapis.com/x", "https://fcm.googleapis.com:6379/",
     "http://fcm.googleapis.com/x", "https://notfcm.googleapis.com/x", "https://[::1", "nothing"],
)  # fmt: skip
def test_we_send_to_push_services_alone(endpoint):
    push = Push(Keys(b"m" * 32).push, "mailto:it@mall.test", Pace(0, 0, 1.0), ("fcm.googleapis.com",))
    point = base64.urlsafe_b64encode(b"\4" + b"\1" * 64).decode()
    with pytest.raises(NoService, match=r"address of a push service|no push subscription"):
        push.check(Address(endpoint, "https://mall.test", point, "AAAAAAAAAAAAAAAAAAAAAA"))


def test_keys_that_nothing_can_be_encrypted_for_are_refused(post):
    for key in ("", "AAAA", base64.urlsafe_b64encode(b"\4" + b"\1" * 64).decode()):
        with pytest.raises(NoService, match="toJSON"):
            post.push.check(Address(post.browser.endpoint, "https://mall.test", key, "AAAAAAAAAAAAAAAAAAAAAA"))
    post.push.check(post.browser.address)


def test_addresses_are_sealed_at_rest(post):
    post.join()
    with post.ledger.read() as tx:
        row = tx.execute(sa.select(subscription)).one()
    assert b"push" not in row.sealed and "127.0.0.1" not in repr(row)
