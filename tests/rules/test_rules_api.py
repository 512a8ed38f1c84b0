"""Wallet and till over HTTP: typed, refused with reasons, and alive without a reload."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest
from fastapi.testclient import TestClient

from engine.live import LiveState, open_live
from rules import api
from rules.book import Redeem
from rules.codes import Codes
from rules.reading import parse_book
from rules.standing import CLOSED
from tests.tilling import MALL, NOON_MS, Site

# -- the wallet ---------------------------------------------------------------------------------------


def test_a_wallet_is_for_its_member_alone(http, site):
    assert http.get("/v1/wallet").status_code == 401
    assert http.get("/v1/wallet", headers=site.as_cafe).status_code == 403


def test_a_new_wallet_shows_the_member_and_what_was_consented_to(http, site):
    wallet = http.get("/v1/wallet", headers=site.as_ana).json()
    assert (wallet["member"], wallet["name"], wallet["coupons"]) == (site.ana, "Ana", [])
    granted = {consent["purpose"]: consent["granted"] for consent in wallet["consents"]}
    assert granted == {"presence": True, "personal_offers": True, "inbox": True, "web_push": False}


def test_a_member_who_is_gone_has_no_wallet(http, site):
    assert http.get("/v1/wallet", headers=site.as_("member", 99)).status_code == 404


def test_a_delivered_coupon_is_shown_with_code_place_and_reason(http, site, a_coffee):
    code = site.deliver(a_coffee(member=site.ana))
    (held,) = http.get("/v1/wallet", headers=site.as_ana).json()["coupons"]
    assert (held["code"], held["url"], held["state"]) == (code, f"http://mall.test/till#code={code}", "issued")
    assert held["shops"] == [
        {
            "key": "cafe-luna",
            "name": {"en": "Café Luna", "zh-Hans": "月光咖啡"},
            "level": {"en": "L1", "zh-Hans": "1F"},
        }
    ]
    assert held["why"]["en"] == "You have been here for 12 minutes."


def test_a_coupon_on_its_way_is_not_shown_yet(http, site, a_coffee):
    with site.ledger.write() as tx:
        site.coupons.issue(tx, a_coffee(member=site.ana))
    assert http.get("/v1/wallet", headers=site.as_ana).json()["coupons"] == []


def test_a_superseded_coupon_is_shown_as_such_below_the_better_one(http, site, a_coffee):
    weak = a_coffee(member=site.ana)
    site.deliver(weak)
    site.deliver(a_coffee(member=site.ana, rung=1, supersedes=weak.id, issued_ms=NOON_MS))
    coupons = http.get("/v1/wallet", headers=site.as_ana).json()["coupons"]
    assert sorted(held["state"] for held in coupons) == ["issued", "superseded"]


def test_a_coupon_of_a_shop_that_left_the_plan_is_still_named(http, site, a_coffee):
    site.deliver(a_coffee(member=site.ana, shops=("city-cab",)))
    (held,) = http.get("/v1/wallet", headers=site.as_ana).json()["coupons"]
    assert held["shops"] == [{"key": "city-cab", "name": {"en": "city-cab"}, "level": None}]


def test_a_consent_is_withdrawn_as_easily_as_granted(http, site):
    put = http.put("/v1/wallet/consents/presence", headers=site.as_ana, json={"granted": False})
    wallet = http.get("/v1/wallet", headers=site.as_ana).json()
    assert put.json() == next(consent for consent in wallet["consents"] if consent["purpose"] == "presence")
    assert (put.json()["granted"], site.consents_changed) == (False, 1)


def test_there_are_no_other_purposes(http, site):
    put = http.put("/v1/wallet/consents/everything", headers=site.as_ana, json={"granted": True})
    assert (put.status_code, put.json()["type"], site.consents_changed) == (404, "/problems/not-found", 0)


# -- the till -----------------------------------------------------------------------------------------


def redeem(http, site, code, *, key=None, **more):
    headers = site.as_cafe | ({"Idempotency-Key": key} if key else {})
    return http.post("/v1/redemptions", headers=headers, json={"code": code, **more})


def test_a_till_redeems_a_code(http, site, a_coffee):
    answer = redeem(http, site, site.deliver(a_coffee(member=site.ana)), amount_minor=2_400, receipt="R-17")
    body = answer.json()
    assert answer.status_code == 200 and set(body) == {
        "redemption", "coupon", "offer", "title", "shop", "redeemed_ms", "undo_until_ms",
    }  # fmt: skip
    assert (body["offer"], body["shop"]) == ("coffee", "cafe-luna")


def test_only_a_shop_redeems(http, site):
    assert http.post("/v1/redemptions", json={"code": "x"}).status_code == 401
    assert http.post("/v1/redemptions", headers=site.as_ana, json={"code": "x"}).status_code == 403


def test_a_refusal_is_a_problem_document(http, site, a_coffee):
    code = site.deliver(a_coffee(member=site.ana))
    redeem(http, site, code)
    answer = redeem(http, site, code)
    assert (answer.status_code, answer.headers["content-type"]) == (409, "application/problem+json")
    assert answer.json()["type"] == "/problems/already-redeemed" and answer.json()["redeemed_ms"] >= NOON_MS


def test_a_refusal_does_not_repeat_the_code(http, site):
    code = Codes(b"x" * 32, b"y" * 32).of("another")
    assert code not in redeem(http, site, code).text


def test_validating_changes_nothing(http, site, a_coffee):
    code = site.deliver(a_coffee(member=site.ana))
    ask = lambda: http.post("/v1/validations", headers=site.as_cafe, json={"code": code})  # noqa: E731
    assert (ask().status_code, ask().json()["offer"], redeem(http, site, code).status_code) == (200, "coffee", 200)


def test_a_repeated_request_gets_the_same_answer_and_is_told_so(http, site, a_coffee):
    code = site.deliver(a_coffee(member=site.ana))
    first, second = redeem(http, site, code, key="k1"), redeem(http, site, code, key="k1")
    assert first.json() == second.json() and second.status_code == 200
    assert ("idempotent-replayed" in first.headers, second.headers["idempotent-replayed"]) == (False, "true")


def test_a_key_used_for_something_else_is_refused(http, site, a_coffee):
    code = site.deliver(a_coffee(member=site.ana))
    redeem(http, site, code, key="k1")
    answer = redeem(http, site, code, key="k1", receipt="R-18")
    assert (answer.status_code, answer.json()["type"]) == (409, "/problems/idempotency-mismatch")


def test_a_redemption_is_undone(http, site, a_coffee):
    code = site.deliver(a_coffee(member=site.ana))
    undo = f"/v1/redemptions/{redeem(http, site, code).json()['redemption']}/restore"
    assert http.post(undo, headers=site.as_cafe).json()["state"] == "issued"
    assert http.post(undo, headers=site.as_cafe).json()["type"] == "/problems/already-restored"
    assert redeem(http, site, code).status_code == 200


def test_a_till_that_asks_too_often_is_told_when_to_ask_again(http, site):
    for _ in range(api.MOST_ASKED):
        assert redeem(http, site, "nothing").status_code == 404
    answer = redeem(http, site, "nothing")
    assert (answer.status_code, answer.json()["type"]) == (429, "/problems/too-many-requests")
    assert 1 <= int(answer.headers["retry-after"]) <= 10


def test_one_shop_does_not_slow_down_another(http, site):
    for _ in range(api.MOST_ASKED + 1):
        redeem(http, site, "nothing")
    answer = http.post("/v1/redemptions", headers=site.as_("shop", "grill-9"), json={"code": "nothing"})
    assert answer.status_code == 404


def test_a_till_learns_what_the_member_could_use(http, site, a_coffee):
    code = site.deliver(a_coffee(member=site.ana))
    answer = http.post("/v1/qualifications", headers=site.as_cafe, json={"code": code}).json()
    assert [(one["offer"], one["usable"]) for one in answer["coupons"]] == [("coffee", True)]
    assert code not in str(answer)


def test_unknown_and_foreign_codes_look_alike(http, site):
    foreign, unknown = Codes(b"x" * 32, b"y" * 32).of("theirs"), site.codes.of("nobody's")
    for path in ("/v1/qualifications", "/v1/validations", "/v1/redemptions"):
        first, second = (http.post(path, headers=site.as_cafe, json={"code": code}) for code in (foreign, unknown))
        assert (first.status_code, first.json()) == (second.status_code, second.json()) and first.status_code == 404


def test_a_stranger_cannot_tell_a_good_code_from_a_bad_one(http, site, a_coffee):
    good, bad = site.deliver(a_coffee(member=site.ana)), site.codes.of("nobody's")
    for path in ("/v1/qualifications", "/v1/validations", "/v1/redemptions"):
        assert http.post(path, json={"code": good}).json() == http.post(path, json={"code": bad}).json()


def test_a_condition_that_fails_says_which(http, site, a_coffee):
    code = site.deliver(a_coffee(member=site.ana, redeem=Redeem(spend_minor=30_000)))
    answer = redeem(http, site, code, amount_minor=100)
    assert (answer.status_code, answer.json()["type"]) == (422, "/problems/condition-failed")
    assert answer.json()["path"] == "offers/coffee/redeem/spend"
    assert redeem(http, site, code, amount_minor=30_000).status_code == 200


def test_a_till_works_while_the_live_state_is_away(tmp_path, a_coffee):
    with open_live("redis://127.0.0.1:1/0", tmp_path) as away:
        site = Site(tmp_path, LiveState(away, "demo"))
        with TestClient(site.app) as http:
            assert redeem(http, site, site.deliver(a_coffee(member=site.ana))).status_code == 200
        site.ledger.close()


@pytest.mark.parametrize(
    "body", [{}, {"code": "x" * 65}, {"code": "x", "amount_minor": -1}, {"code": "x", "receipt": "=1"}]
)
def test_what_is_not_as_documented_is_refused(http, site, body):
    answer = http.post("/v1/redemptions", headers=site.as_cafe, json=body)
    assert (answer.status_code, answer.json()["type"]) == (422, "/problems/malformed-request")


# -- settlement ---------------------------------------------------------------------------------------


def test_a_shop_settles_what_stands_of_its_day(http, site, a_coffee):
    site.deliver(a_coffee(member=site.ana))
    first = redeem(http, site, site.codes.of(a_coffee(member=site.ana).id), amount_minor=2_400).json()["redemption"]
    other = site.deliver(a_coffee(member=site.ana, step="lunch", cost=120))
    second = redeem(http, site, other, amount_minor=5_000).json()["redemption"]
    http.post(f"/v1/redemptions/{first}/restore", headers=site.as_cafe)
    settled = http.get("/v1/settlement", headers=site.as_cafe).json()
    assert (settled["day"], settled["redeemed"], settled["restored"]) == ("2026-11-21", 1, 1)
    assert (settled["amount_minor"], settled["cost_minor"]) == (5_000, 120)
    stands = {line["redemption"]: line["restored_ms"] is None for line in settled["lines"]}
    assert stands == {first: False, second: True}


def test_days_are_local(http, site, a_coffee):
    redeem(http, site, site.deliver(a_coffee(member=site.ana)))
    counts = [
        http.get("/v1/settlement", headers=site.as_cafe, params={"day": day}).json()["redeemed"]
        for day in ("2026-11-20", "2026-11-21", "2026-11-22")
    ]
    assert counts == [0, 1, 0]


def test_a_shop_settles_its_own_redemptions_alone(http, site, a_coffee):
    redeem(http, site, site.deliver(a_coffee(member=site.ana)))
    assert http.get("/v1/settlement", headers=site.as_("shop", "grill-9")).json()["lines"] == []


def test_a_settlement_opens_in_a_spreadsheet(http, site, a_coffee):
    done = redeem(http, site, site.deliver(a_coffee(member=site.ana)), receipt="R-17", amount_minor=2_400).json()
    answer = http.get("/v1/settlement.csv", headers=site.as_cafe)
    assert answer.headers["content-type"].startswith("text/csv")
    header, line = answer.text.splitlines()
    row = dict(zip(header.split(","), line.split(","), strict=True))
    assert (row["redemption"], row["receipt"], row["amount_minor"]) == (done["redemption"], "R-17", "2400")
    assert row["local_time"].startswith("2026-11-21 12:0")


def test_a_funder_settles_what_all_shops_gave_on_its_behalf(http, site, a_coffee):
    code = site.deliver(a_coffee(member=site.ana, funder="bean-brand", shops=("cafe-luna", "grill-9")))
    http.post("/v1/redemptions", headers=site.as_("shop", "grill-9"), json={"code": code})
    redeem(http, site, site.deliver(a_coffee(member=site.ana, step="lunch", cost=120)))
    operator = site.as_("operator", "demo")
    brand, mall = (http.get(f"/v1/funders/{who}/settlement", headers=operator).json() for who in ("bean-brand", "mall"))
    assert [(line["shop"], line["cost_minor"]) for line in brand["lines"]] == [("grill-9", 60)]
    assert (mall["redeemed"], mall["cost_minor"]) == (1, 120)
    header, line = http.get("/v1/funders/bean-brand/settlement.csv", headers=operator).text.splitlines()
    row = dict(zip(header.split(","), line.split(","), strict=True))
    assert (row["funder"], row["shop"], row["cost_minor"], row["state"]) == ("bean-brand", "grill-9", "60", "redeemed")


def test_what_a_funder_pays_is_for_operators(http, site):
    assert http.get("/v1/funders/mall/settlement", headers=site.as_cafe).status_code == 403


# -- the stream ---------------------------------------------------------------------------------------


@contextmanager
def wallet_page(browser, site) -> Iterator[Iterator[dict]]:
    """The wallets an open page is shown, one after the other."""
    with browser.stream("GET", "/v1/wallet/stream", headers=site.as_ana) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        yield (json.loads(line[len("data: ") :]) for line in answer.iter_lines() if line.startswith("data: "))


def test_an_open_page_shows_the_wallet_at_once(site, browser):
    with wallet_page(browser, site) as shown:
        assert next(shown)["name"] == "Ana"


def test_a_coupon_appears_on_an_open_page_by_itself(site, browser, a_coffee):
    with wallet_page(browser, site) as shown:
        assert next(shown)["coupons"] == []
        code = site.deliver(a_coffee(member=site.ana))
        assert [held["code"] for held in next(shown)["coupons"]] == [code]


def test_a_withdrawn_consent_appears_on_the_members_other_pages(site, browser):
    with wallet_page(browser, site) as shown:
        next(shown)
        browser.put("/v1/wallet/consents/inbox", headers=site.as_ana, json={"granted": False})
        assert {consent["purpose"]: consent["granted"] for consent in next(shown)["consents"]}["inbox"] is False


def test_a_stranger_gets_no_stream(site, browser):
    assert browser.get("/v1/wallet/stream").status_code == 401


def test_a_hundred_open_pages_are_all_told(site, browser, a_coffee):
    with ExitStack() as open_pages:
        pages = [open_pages.enter_context(wallet_page(browser, site)) for _ in range(100)]
        for page in pages:
            next(page)
        site.deliver(a_coffee(member=site.ana))
        assert {len(next(page)["coupons"]) for page in pages} == {1}


def test_a_page_that_closes_is_noticed(site, browser):
    with wallet_page(browser, site) as shown:
        next(shown)
        assert site.inbox.open_pages == 1
    # The server sees the end of the connection before it answers a request made after it, or soon after.
    for _ in range(100):
        if browser.get("/v1/wallet", headers=site.as_ana).is_success and site.inbox.open_pages == 0:
            break
    assert site.inbox.open_pages == 0


# -- the description ----------------------------------------------------------------------------------


def test_every_route_says_who_it_refuses_and_how(site):
    for path, methods in site.app.openapi()["paths"].items():
        needs = "404" if path.startswith("/v1/invited/") else "401"  # those are for who has no key yet
        for method in methods.values():
            assert list(method["responses"][needs]["content"]) == ["application/problem+json"], path


def test_the_wallet_is_described_for_the_pages(site):
    description = site.app.openapi()
    body = description["paths"]["/v1/wallet"]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
    assert body == {"$ref": "#/components/schemas/Wallet"}
    assert description["components"]["schemas"]["HeldCoupon"]["properties"]["state"]["enum"] == [
        "issued", "redeemed", "void", "expired", "superseded",
    ]  # fmt: skip


def test_another_timezone_of_the_book_reaches_wallets_tills_and_settlements_at_once(http, site):
    site.book = parse_book(site.book.text.replace("Asia/Shanghai", "Europe/Berlin"), MALL)
    assert http.get("/v1/wallet", headers=site.as_ana).json()["timezone"] == "Europe/Berlin"
    assert http.get("/v1/settlement", headers=site.as_cafe).json()["timezone"] == "Europe/Berlin"


def test_a_wallet_says_that_a_shop_closed_early(http, site, a_coffee):
    new = a_coffee(member=site.ana)
    site.deliver(new)
    with site.ledger.write() as tx:
        site.coupons.void(tx, new.id, NOON_MS, "shop:cafe-luna", CLOSED, heard_real_ms=5)
    (held,) = http.get("/v1/wallet", headers=site.as_ana).json()["coupons"]
    assert (held["state"], held["closed"]) == ("void", True)
