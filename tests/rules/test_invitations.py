"""Who brought a member: links that cannot be forged, one credit at a time, and what shops learn of it."""

from __future__ import annotations

import threading
from secrets import token_bytes

import pytest
from fastapi.testclient import TestClient

from engine.events import VisitEnded, VisitStarted, id_of
from engine.identity import Newcomer
from engine.live import LiveState, open_live
from rules.arrivals import JUST_MS, MOST_TOLD
from rules.invitations import CREDIT_MS, MOST_LINKS, Invitations, credited
from rules.times import DAY_MS
from tests.tilling import NOON_MS, Site

KEY = "a-key-that-only-one-page-has-drawn-{}"


@pytest.fixture
def invitations(ledger):
    return Invitations(ledger, {"cafe-luna": "cafe", "grill-9": "restaurant"}, token_bytes)


def linked(ledger, invitations, shop="cafe-luna", clerk="", at_ms=0):
    with ledger.write() as tx:
        return invitations.make(tx, shop, clerk, at_ms).id


def credit(ledger, invitations, member, link, at_ms=0):
    with ledger.write() as tx:
        return invitations.credit(tx, member, link, at_ms)


def whose(ledger, member, at_ms=0):
    with ledger.read() as tx:
        found = credited(tx, member, at_ms)
    return found and (found.shop, found.category, found.clerk)


# -- the rule -----------------------------------------------------------------------------------------


def test_a_link_carries_shop_category_and_clerk(ledger, invitations):
    credit(ledger, invitations, 1, linked(ledger, invitations, clerk="Kim"))
    assert whose(ledger, 1) == ("cafe-luna", "cafe", "Kim")


def test_the_first_credit_stands(ledger, invitations):
    first, second = linked(ledger, invitations), linked(ledger, invitations, "grill-9")
    assert credit(ledger, invitations, 1, first)
    assert not credit(ledger, invitations, 1, second, CREDIT_MS - 1)
    assert whose(ledger, 1, CREDIT_MS - 1) == ("cafe-luna", "cafe", "")


def test_after_its_time_another_may_be_credited(ledger, invitations):
    first, second = linked(ledger, invitations), linked(ledger, invitations, "grill-9")
    credit(ledger, invitations, 1, first)
    assert whose(ledger, 1, CREDIT_MS) is None
    assert credit(ledger, invitations, 1, second, CREDIT_MS)
    assert whose(ledger, 1, CREDIT_MS) == ("grill-9", "restaurant", "")


def test_what_nobody_was_given_credits_nobody(ledger, invitations):
    linked(ledger, invitations)
    assert not credit(ledger, invitations, 1, "a" * 24)


def test_a_revoked_link_credits_nobody_more_and_takes_nothing_back(ledger, invitations):
    link = linked(ledger, invitations)
    credit(ledger, invitations, 1, link)
    with ledger.write() as tx:
        assert invitations.revoke(tx, link, 1, "cafe-luna")
    assert not credit(ledger, invitations, 2, link)
    assert whose(ledger, 1) == ("cafe-luna", "cafe", "")


def test_a_shop_revokes_its_own_links_alone(ledger, invitations):
    link = linked(ledger, invitations)
    with ledger.write() as tx:
        assert not invitations.revoke(tx, link, 1, "grill-9")


def test_of_links_opened_at_once_one_counts(ledger, invitations):
    links = [linked(ledger, invitations, clerk=f"clerk {n}") for n in range(8)]
    start, won = threading.Barrier(len(links)), []

    def open_it(link):
        start.wait()
        if credit(ledger, invitations, 1, link):
            won.append(link)

    threads = [threading.Thread(target=open_it, args=(link,)) for link in links]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1


# -- newcomers ----------------------------------------------------------------------------------------


def make_link(http, site, clerk="Kim", shop="cafe-luna"):
    return http.post("/v1/invitations", headers=site.as_("shop", shop), json={"clerk": clerk}).json()


def join(http, link, *, key=KEY, **different):
    body = {"name": "Bo", "language": "en", "consents": ["presence", "personal_offers", "inbox"]} | different
    return http.post(f"/v1/invited/{link['id']}/members", json=body, headers={"Idempotency-Key": key})


def wallet(http, joined):
    return http.get("/v1/wallet", headers={"Authorization": f"Bearer {joined['wallet_key']}"}).json()


def test_a_link_opens_the_wallet_page_with_its_id_where_no_log_sees_it(http, site):
    link = make_link(http, site)
    assert link["url"] == f"http://mall.test/wallet#invited={link['id']}"


def test_whoever_opens_a_link_is_told_who_invites_and_for_how_long_that_counts(http, site):
    link = make_link(http, site)
    invited = http.get(f"/v1/invited/{link['id']}").json()
    assert (invited["shop"]["name"]["en"], invited["clerk"], invited["credit_days"]) == ("Café Luna", "Kim", 180)
    assert "greeting" in invited["purposes"]


def test_joining_makes_a_member_with_what_they_agreed_to_and_the_credit(http, site):
    mine = wallet(http, join(http, make_link(http, site)).json())
    granted = {one["purpose"] for one in mine["consents"] if one["granted"]}
    assert granted == {"presence", "personal_offers", "inbox"}
    assert (mine["brought_by"]["shop"]["key"], mine["brought_by"]["clerk"]) == ("cafe-luna", "Kim")


def test_nothing_is_agreed_to_that_was_not_said(http, site):
    mine = wallet(http, join(http, make_link(http, site), consents=[]).json())
    assert [one["purpose"] for one in mine["consents"] if one["granted"]] == []


def test_the_same_key_joins_once(http, site):
    link = make_link(http, site)
    assert join(http, link).json() == join(http, link).json()
    assert join(http, link, key=KEY + "2").json() != join(http, link).json()


def test_a_newcomer_cannot_take_anothers_login(http, site):
    joined = join(http, make_link(http, site), login="ana").json()
    assert joined["login"].startswith("wallet-") and joined["member"] != site.ana


def test_a_revoked_link_says_so(http, site):
    link = make_link(http, site)
    assert http.delete(f"/v1/invitations/{link['id']}", headers=site.as_cafe).status_code == 204
    answer = join(http, link)
    assert (answer.status_code, answer.json()["type"]) == (410, "/problems/revoked")


def test_links_outlive_the_keys_of_their_shop(tmp_path, live_client, http, site):
    link = make_link(http, site)
    site.access._secret = b"another" * 5
    assert http.get("/v1/invitations", headers=site.as_cafe).json()[0]["id"] == link["id"]
    assert join(http, link).status_code == 201


def test_a_crowd_of_newcomers_is_slowed_down(http, site):
    link = make_link(http, site)
    statuses = [join(http, link, key=f"{KEY}{n}").status_code for n in range(31)]
    assert (statuses[:30], statuses[30]) == ([201] * 30, 429)


def test_newcomers_may_join_while_live_state_is_away(tmp_path):
    with open_live("embedded://", tmp_path) as client:
        site = Site(tmp_path, LiveState(client, "demo"))
        with site.ledger.write() as tx:
            link = site.invitations.make(tx, "cafe-luna", "", NOON_MS)
    with TestClient(site.app, base_url="http://mall.test") as http:
        assert join(http, {"id": link.id}).status_code == 201
    site.ledger.close()


def test_a_shop_has_only_so_many_links(http, site):
    with site.ledger.write() as tx:
        for _ in range(MOST_LINKS):
            site.invitations.make(tx, "cafe-luna", "", NOON_MS)
    answer = http.post("/v1/invitations", headers=site.as_cafe, json={})
    assert (answer.status_code, answer.json()["type"]) == (409, "/problems/too-many-links")


# -- members ------------------------------------------------------------------------------------------


def follow(http, site, link):
    return http.put("/v1/wallet/brought-by", headers=site.as_ana, json={"invitation": link["id"]})


def test_a_member_nobody_brought_may_follow_a_link(http, site):
    assert http.get("/v1/wallet", headers=site.as_ana).json()["brought_by"] is None
    assert follow(http, site, make_link(http, site)).status_code == 204
    assert http.get("/v1/wallet", headers=site.as_ana).json()["brought_by"]["clerk"] == "Kim"


def test_a_member_is_told_that_the_first_credit_stands(http, site):
    follow(http, site, make_link(http, site))
    answer = follow(http, site, make_link(http, site, shop="grill-9"))
    told = answer.json()
    assert (answer.status_code, told["type"], told["shop"]) == (409, "/problems/credited-already", "cafe-luna")
    assert NOON_MS <= told["until_ms"] - CREDIT_MS < NOON_MS + 600_000


def test_following_the_same_link_again_changes_nothing(http, site):
    link = make_link(http, site)
    assert [follow(http, site, link).status_code for _ in range(2)] == [204, 204]


def test_only_whom_a_shop_brought_is_asked_about_greeting(http, site):
    def purposes():
        return {one["purpose"] for one in http.get("/v1/wallet", headers=site.as_ana).json()["consents"]}

    before = purposes()
    follow(http, site, make_link(http, site))
    assert (purposes() - before, before - purposes()) == ({"greeting"}, set())


# -- a member of yours has just come in ---------------------------------------------------------------


def come(site, member, ago_ms=60_000):
    at_ms, visit = NOON_MS - ago_ms, id_of("visit", member)
    with site.ledger.write() as tx:
        came = VisitStarted(id=id_of("came", member), at_ms=at_ms, member=member, visit=visit)
        site.ledger.append(tx, [came], heard_real_ms=1)


def told(http, site, shop="cafe-luna"):
    return http.get("/v1/arrivals", headers=site.as_("shop", shop)).json()


def allow(http, site, purpose="greeting", granted=True):
    http.put(f"/v1/wallet/consents/{purpose}", headers=site.as_ana, json={"granted": granted})


@pytest.fixture
def brought(http, site):
    """Ana was brought by Kim of the café, allows greeting, and has just come in."""
    follow(http, site, make_link(http, site))
    allow(http, site)
    come(site, site.ana)


def test_a_shop_learns_that_its_member_came_and_nothing_more(http, site, brought):
    assert told(http, site) == [{"came_ms": NOON_MS - 60_000, "called": "", "clerk": "Kim"}]


def test_it_learns_the_name_that_the_member_chose_for_it(http, site, brought):
    assert http.put("/v1/wallet/called", headers=site.as_ana, json={"called": "Annie"}).status_code == 204
    assert told(http, site)[0]["called"] == "Annie"


def test_no_other_shop_is_told(http, site, brought):
    assert told(http, site, "grill-9") == []


@pytest.mark.parametrize("purpose", ["greeting", "presence"])
def test_who_takes_a_consent_back_is_not_told_of_any_more(http, site, brought, purpose):
    allow(http, site, purpose, granted=False)
    assert told(http, site) == []


def test_who_never_allowed_it_is_not_told_of(http, site):
    follow(http, site, make_link(http, site))
    come(site, site.ana)
    assert told(http, site) == []


def test_who_came_a_while_ago_has_not_just_come_in(http, site):
    follow(http, site, make_link(http, site))
    allow(http, site)
    come(site, site.ana, ago_ms=JUST_MS + 1)
    assert told(http, site) == []


def test_a_shop_is_told_of_no_more_than_it_could_greet(http, site):
    link = make_link(http, site)["id"]
    with site.ledger.write() as tx:
        people = [Newcomer(f"n{n}", "N", consents=("presence", "greeting")) for n in range(MOST_TOLD + 1)]
        members = site.identity.join(tx, people, NOON_MS, place="form")
    for number, member in enumerate(members):
        credit(site.ledger, site.invitations, member, link, NOON_MS - 60_000)
        come(site, member, ago_ms=60_000 * (number % 10))
    assert len(told(http, site)) == MOST_TOLD


def test_who_has_left_is_not_told_of(http, site, brought):
    visit = id_of("visit", site.ana)
    left = VisitEnded(id="left", at_ms=NOON_MS, member=site.ana, visit=visit, dwell_ms=60_000, cause="silent")
    with site.ledger.write() as tx:
        site.ledger.append(tx, [left], heard_real_ms=1)
    assert told(http, site) == []


# -- what came of it ----------------------------------------------------------------------------------


def redeem(http, site, code, shop="cafe-luna", amount_minor=2_000):
    body = {"code": code, "amount_minor": amount_minor}
    return http.post("/v1/redemptions", headers=site.as_("shop", shop), json=body)


@pytest.fixture
def link(http, site):
    """Kim's, by which Ana came a minute before noon."""
    made = make_link(http, site)
    assert credit(site.ledger, site.invitations, site.ana, made["id"], NOON_MS - 60_000)
    return made


def test_a_redemption_is_credited_to_who_brought_the_member(http, site, link, a_coffee):
    redeem(http, site, site.deliver(a_coffee(member=site.ana)))
    (line,) = http.get("/v1/settlement", headers=site.as_cafe).json()["lines"]
    assert (line["credit_shop"], line["credit_clerk"]) == ("cafe-luna", "Kim")


def test_a_coupon_given_before_the_credit_is_nobodys(http, site, a_coffee):
    code = site.deliver(a_coffee(member=site.ana, issued_ms=NOON_MS - 60_000))
    follow(http, site, make_link(http, site))
    redeem(http, site, code)
    (line,) = http.get("/v1/settlement", headers=site.as_cafe).json()["lines"]
    assert (line["credit_shop"], line["credit_clerk"]) == (None, None)


def test_a_shop_does_not_learn_which_other_shop_brought_its_customer_but_the_mall_does(http, site, a_coffee):
    credit(site.ledger, site.invitations, site.ana, make_link(http, site, shop="grill-9")["id"], NOON_MS - 60_000)
    redeem(http, site, site.deliver(a_coffee(member=site.ana)))
    (own,) = http.get("/v1/settlement", headers=site.as_cafe).json()["lines"]
    (all_,) = http.get("/v1/funders/mall/settlement", headers=site.as_("operator", "demo")).json()["lines"]
    assert (own["credit_shop"], all_["credit_shop"], all_["credit_clerk"]) == (None, "grill-9", "Kim")


def test_the_settlement_for_a_spreadsheet_has_the_credit(http, site, link, a_coffee):
    redeem(http, site, site.deliver(a_coffee(member=site.ana)))
    header, line = http.get("/v1/settlement.csv", headers=site.as_cafe).text.splitlines()
    assert (header.split(",")[-2:], line.split(",")[-2:]) == (["credit_shop", "credit_clerk"], ["cafe-luna", "Kim"])


def test_a_month_is_counted_by_clerk(http, site, link, a_coffee):
    join(http, link)
    redeem(http, site, site.deliver(a_coffee(member=site.ana)))
    (line,) = http.get("/v1/credit", headers=site.as_cafe).json()["lines"]
    assert line == {
        "shop": "cafe-luna", "category": "cafe", "clerk": "Kim", "joined": 2, "members": 2,
        "coupons": 1, "redeemed": 1, "amount_minor": 2_000, "cost_minor": 60,
    }  # fmt: skip


def test_figures_of_fewer_than_k_members_are_withheld(http, site, link, a_coffee):
    redeem(http, site, site.deliver(a_coffee(member=site.ana)))
    header, line = http.get("/v1/credit.csv", headers=site.as_cafe).text.splitlines()
    assert header.startswith("month,shop,category,clerk,joined,members,coupons,redeemed")
    assert line == "2026-11,cafe-luna,cafe,Kim,1,1,,,,"


def test_the_mall_sees_the_credit_of_every_shop_and_a_shop_its_own(http, site):
    follow(http, site, make_link(http, site))
    join(http, make_link(http, site, shop="grill-9"))
    operator = site.as_("operator", "demo")
    assert [line["shop"] for line in http.get("/v1/shops/credit", headers=operator).json()["lines"]] == [
        "cafe-luna",
        "grill-9",
    ]
    assert [line["shop"] for line in http.get("/v1/credit", headers=site.as_cafe).json()["lines"]] == ["cafe-luna"]
    assert http.get("/v1/shops/credit", headers=site.as_cafe).status_code == 403


def test_another_month_has_nothing_of_it_before_and_the_members_after(http, site):
    follow(http, site, make_link(http, site))

    def lines(month):
        return http.get("/v1/credit", headers=site.as_cafe, params={"month": month}).json()["lines"]

    assert lines("2026-10") == []
    assert [(line["joined"], line["members"]) for line in lines("2026-12")] == [(0, 1)]
    assert CREDIT_MS == 180 * DAY_MS and lines("2027-07") == []
