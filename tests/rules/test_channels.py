"""Members choose how they are reached, operators switch channels off, and other services are one URL away."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
import sqlalchemy as sa

from rules.channels import MOST_SUBSCRIPTIONS, Channels
from rules.events import CouponOpened
from rules.messages import Messages
from rules.parcel import JITTER, PAUSES_MS, Address, NoTemplate, Outcome, Parcel, Reach, next_try_ms
from rules.tables import coupon_event, outbox
from tests.pushing import Browser

NOON_MS = 1_795_233_600_000
PHONE = Browser("https://push.mall.test", "phone")


def subscribe(http, site, **different):
    body = {"endpoint": PHONE.endpoint, "keys": PHONE.keys} | different
    return http.post("/v1/wallet/subscriptions", headers=site.as_ana, json=body)


def ways(http, site):
    return http.get("/v1/wallet/channels", headers=site.as_ana).json()


# -- members ------------------------------------------------------------------------------------------


def test_a_wallet_learns_the_key_to_subscribe_with(http, site):
    assert ways(http, site) == {
        "order": ["inbox", "web_push"],
        "reachable": ["inbox"],
        "addresses": [],
        "push_key": site.push.public_key,
    }


def test_a_browser_subscribes_once_however_often_it_says_so(http, site):
    first, second = subscribe(http, site), subscribe(http, site)
    assert first.status_code == 201 and first.json() == second.json()
    assert ways(http, site)["reachable"] == ["inbox", "web_push"]


def test_a_subscription_is_ended_by_its_member_alone(http, site):
    path = f"/v1/wallet/subscriptions/{subscribe(http, site).json()['id']}"
    assert http.delete(path, headers=site.as_("member", 99)).status_code == 404
    assert http.delete(path, headers=site.as_ana).status_code == 204
    assert ways(http, site)["reachable"] == ["inbox"]


def test_a_wallet_cannot_have_us_send_to_whatever_it_likes(http, site):
    answer = subscribe(http, site, endpoint="http://127.0.0.1:6379/")
    assert (answer.status_code, answer.json()["type"]) == (422, "/problems/no-push-service")


def test_a_channel_the_mall_does_not_have_is_refused(http, site):
    answer = subscribe(http, site, channel="messages", endpoint="+8613800000000")
    assert (answer.status_code, answer.json()["type"]) == (409, "/problems/no-such-channel")


def test_a_member_reads_where_messages_go_but_not_what_a_browser_is_known_by(http, site):
    subscribe(http, site)
    with site.ledger.write() as tx:
        id = site.channels.subscribe(tx, site.ana, "messages", Address("+8613800000000", ""), NOON_MS)
    assert ways(http, site)["addresses"] == [{"id": id, "address": "+8613800000000"}]


def test_a_member_says_what_to_try_first(http, site):
    order = http.put("/v1/wallet/channels", headers=site.as_ana, json={"order": ["web_push"]}).json()["order"]
    assert order == ["web_push", "inbox"] == ways(http, site)["order"]


def test_a_coupon_that_was_seen_is_so_written_down_for_its_member_alone(http, site, a_coffee):
    site.deliver(a_coffee(member=site.ana))
    seen = {"coupon": a_coffee(member=site.ana).id, "channel": "inbox"}
    for headers, state in ((site.as_("member", 99), "accepted"), (site.as_ana, "shown")):
        assert http.post("/v1/wallet/shown", headers=headers, json=seen).status_code == 204
        with site.ledger.read() as tx:
            assert tx.execute(sa.select(outbox.c.state)).scalar() == state
    assert len(http.get("/v1/wallet", headers=site.as_ana).json()["coupons"]) == 1


def test_a_coupon_on_the_wallets_screen_was_opened_and_is_told_so_once(http, site, a_coffee):
    new = a_coffee(member=site.ana)
    code = site.deliver(new)
    for _ in range(2):
        http.post("/v1/wallet/shown", headers=site.as_ana, json={"coupon": new.id, "channel": "inbox"})
    with site.ledger.read() as tx:
        told = [one.event for one in site.ledger.since(tx, 0, 100) if isinstance(one.event, CouponOpened)]
        line = sa.select(coupon_event.c.actor).where(coupon_event.c.act == "open")
        assert (len(told), tx.execute(line).scalars().all()) == (1, ["member"])
    assert http.post("/v1/validations", headers=site.as_cafe, json={"code": code}).status_code == 200


def test_the_newest_subscriptions_are_kept(ledger):
    channels = Channels(ledger, b"c" * 32, bytes)
    with ledger.write() as tx:
        for number in range(MOST_SUBSCRIPTIONS + 3):
            channels.subscribe(tx, 1, "web_push", Address(f"https://push.mall.test/{number}", ""), NOON_MS + number)
        kept = {int(reach.address.endpoint.rpartition("/")[2]) for reach in channels.reaches(tx, 1, "web_push")}
    assert kept == set(range(3, MOST_SUBSCRIPTIONS + 3))


# -- retries ------------------------------------------------------------------------------------------


@pytest.fixture
def parcel():
    def make(attempt=1, expires_ms=NOON_MS + 10**9, reaches=()):
        return Parcel(
            "o", "c", "messages", attempt, NOON_MS, expires_ms, "t", {"en": "Coffee", "zh-Hans": "咖啡"}, "en", reaches
        )

    return make


@pytest.mark.parametrize("attempt", [1, 2, 3, 4])
def test_pauses_grow_and_chance_spreads_them(parcel, attempt):
    pause_ms = PAUSES_MS[attempt - 1]
    tries = [next_try_ms(parcel(attempt), Outcome("later"), NOON_MS, chance) for chance in (0, 0.5, 1)]
    assert tries == [NOON_MS + int(pause_ms * (1 + spread)) for spread in (-JITTER, 0, JITTER)]


def test_after_the_last_pause_it_is_given_up(parcel):
    assert next_try_ms(parcel(len(PAUSES_MS) + 1), Outcome("later"), NOON_MS, 0.5) is None


def test_a_try_that_would_come_too_late_is_not_made(parcel):
    for expires_ms, at_ms in ((NOON_MS + 1_000, None), (NOON_MS + 1_001, NOON_MS + 1_000)):
        assert next_try_ms(parcel(expires_ms=expires_ms), Outcome("later"), NOON_MS, 0.5) == at_ms


def test_who_wants_to_be_left_alone_is(parcel):
    assert next_try_ms(parcel(), Outcome("later", after_ms=30_000), NOON_MS, 0.5) == NOON_MS + 30_000


# -- other services -----------------------------------------------------------------------------------


@pytest.fixture
def gateway():
    """Some service that takes JSON over HTTP: (its apprise URL, what it heard, what it answers)."""
    heard: list[tuple[str, dict[str, str]]] = []
    answers: list[int] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            heard.append((self.path, json.loads(self.rfile.read(int(self.headers["Content-Length"])))))
            self.send_response(answers.pop(0) if answers else 200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Nothing: what matters is in heard."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"json://127.0.0.1:{server.server_address[1]}/to/{{address}}", heard, answers
        server.shutdown()
        thread.join()


def to(*addresses: str) -> tuple[Reach, ...]:
    return tuple(Reach(one, Address(one, "https://mall.test")) for one in addresses)


def test_a_message_says_what_and_where_to_look(gateway, parcel):
    url, heard, _ = gateway
    assert Messages(url)(parcel(reaches=to("+8613800000000")), NOON_MS) == Outcome("accepted")
    ((path, body),) = heard
    assert path == "/to/+8613800000000"
    assert (body["title"], body["message"]) == (
        "Coffee",
        "It is in your wallet. Show it at the till before it runs out.\nhttps://mall.test/wallet",
    )


def test_an_address_cannot_lead_elsewhere(gateway, parcel):
    url, heard, _ = gateway
    Messages(url)(parcel(reaches=to("../admin?x=1")), NOON_MS)
    assert [path.startswith("/to/") and "?" not in path for path, _ in heard] == [True]


def test_a_service_that_does_not_take_it_is_asked_again_later(gateway, parcel):
    url, _, answers = gateway
    answers += [500]
    assert Messages(url)(parcel(reaches=to("1")), NOON_MS).kind == "later"


@pytest.mark.parametrize("url", ["json://127.0.0.1/", "nothing://{address}", "{address}"])
def test_a_url_that_nobody_understands_is_told_at_the_start(url):
    with pytest.raises(NoTemplate, match="SOJOURN_MESSAGES_URL"):
        Messages(url)
