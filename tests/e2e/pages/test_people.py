"""People bring people: a code at the till, joining by it in a wallet, and a shop that is told who came."""

from __future__ import annotations

import re

import httpx2
import pytest
from playwright.sync_api import Page, expect

from tests.e2e.pages.conftest import Browse, Site
from tests.e2e.pages.test_details import OUT_OF_CARDS
from tests.e2e.pages.test_pages import DASHBOARDS, LANGUAGES, till, wallet

NO_KEY = "401"  # what a browser logs where nobody is signed in yet


@pytest.fixture
def link(site: Site) -> str:
    """The address in a code of Kim's."""
    key = {"Authorization": f"Bearer {site.shop_key}"}
    made = httpx2.post(f"{site.url}/v1/invitations", json={"clerk": "Kim"}, headers=key).raise_for_status().json()
    return str(made["url"]).replace("/wallet#", "/wallet?lang=en#")


def test_a_code_is_made_at_the_till(site: Site, browse: Browse) -> None:
    page = till(site, browse)
    page.get_by_text("Members you bring").click()
    page.locator("#clerk").fill("Lin")
    page.get_by_role("button", name="New code").click()
    expect(page.locator(".link").first).to_contain_text("Lin")


def join(browse: Browse, link: str, *switches: str) -> Page:
    page = browse(link, may_log=NO_KEY)
    page.locator("#name").fill("Bo")
    for purpose in switches:
        page.locator(f"#join-{purpose}").check()
    page.get_by_role("button", name="Join").click()
    expect(page.locator(".consents")).to_be_visible()
    return page


@pytest.mark.parametrize("language", LANGUAGES)
def test_an_invitation_says_who_invites_and_has_nothing_switched_on(browse: Browse, link: str, language: str) -> None:
    page = browse(link.replace("lang=en", f"lang={language}"), may_log=NO_KEY)
    heading = {"en": "Kim of Café Luna invites you.", "zh-Hans": "月光咖啡的 Kim 邀请您加入。"}[language]
    expect(page.get_by_role("heading", level=1)).to_have_text(heading)
    switches = page.get_by_role("switch")
    expect(switches).to_have_count(4)
    assert [one.is_checked() for one in switches.all()] == [False] * 4


def test_who_joins_has_a_wallet_with_what_they_switched_on_and_sees_who_is_credited(browse: Browse, link: str) -> None:
    page = join(browse, link, "presence", "greeting")
    assert page.locator("#consent-presence").is_checked() and page.locator("#consent-greeting").is_checked()
    assert not page.locator("#consent-personal_offers").is_checked()
    expect(page.locator("#brought")).to_have_text("Brought by Café Luna (Kim)")
    expect(page.locator(".wifi strong")).to_have_text(re.compile("^wallet-[0-9a-f]{24}$"))
    assert "invited" not in page.url


def test_a_second_invitation_is_told_to_change_nothing(browse: Browse, link: str) -> None:
    page = join(browse, link)
    page.evaluate("(hash) => { location.hash = hash; }", link.partition("#")[2])
    expect(page.get_by_role("status", name="Invitation")).to_contain_text("This invitation changes nothing.")


def test_a_revoked_code_says_so(site: Site, browse: Browse, link: str) -> None:
    page = till(site, browse)
    page.get_by_text("Members you bring").click()
    page.locator(".link").first.get_by_role("button", name="Revoke").click()
    with page.expect_response(lambda answer: answer.request.method != "GET") as revoked:
        page.get_by_role("alert").get_by_role("button", name="Revoke").click()
    assert revoked.value.ok
    expect(page.get_by_role("alert")).to_have_count(0)
    late = browse(link, may_log="401|410")
    expect(late.get_by_role("alert")).to_contain_text("taken back")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_joining_keeps_to_wcag_2_2_aa(browse: Browse, link: str, theme: str) -> None:
    page = browse(link, may_log=NO_KEY, theme=theme)
    expect(page.locator(".join")).to_be_visible()
    assert violations(page) == []


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_codes_of_a_till_keep_to_it_too(site: Site, browse: Browse, link: str, theme: str) -> None:
    page = browse(f"{site.url}/till?lang=en#key={site.shop_key}", theme=theme)
    page.get_by_text("Members you bring").click()
    page.locator(".link").first.get_by_role("button", name="Show code").click()
    expect(page.locator(".link .qr")).to_be_visible()
    assert violations(page) == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_nothing_reaches_out_of_its_card_on_the_smallest_phone(
    site: Site, browse: Browse, link: str, language: str
) -> None:
    codes = browse(f"{site.url}/till?lang={language}#key={site.shop_key}")
    codes.locator(".bringing summary").click()
    codes.locator(".link button").first.click()
    expect(codes.locator(".link .qr")).to_be_visible()
    joining = browse(link.replace("lang=en", f"lang={language}"), may_log=NO_KEY)
    expect(joining.locator(".join")).to_be_visible()
    for page in (codes, joining):
        page.set_viewport_size({"width": 320, "height": 844})
        assert page.evaluate(OUT_OF_CARDS) == []
        assert page.evaluate("document.documentElement.scrollWidth") <= 320


# -- what a member reads and sets ---------------------------------------------------------------------


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_member_reads_why_in_plain_words(site: Site, browse: Browse, language: str) -> None:
    site.give()
    page = wallet(site, browse, language)
    page.locator(".ticket summary").first.click()
    said = {"en": "You had been here for 12 min.", "zh-Hans": "您已到店 12 分钟。"}[language]
    expect(page.locator(".looked li")).to_have_text([said])


def test_a_member_says_where_messages_go_and_takes_it_back(site: Site, browse: Browse) -> None:
    page = wallet(site, browse)
    page.locator("#address").fill("+86 138 0000 0000")
    page.locator(".line", has=page.locator("#address")).get_by_role("button", name="Save").click()
    expect(page.locator(".addresses li")).to_have_text(["+86 138 0000 0000"])
    expect(page.locator("#address-hint")).to_contain_text("Nothing is sent to it until you switch on")
    page.get_by_role("button", name="Forget +86 138 0000 0000").click()
    expect(page.locator(".addresses li")).to_have_count(0)


def test_a_member_says_what_to_try_first(site: Site, browse: Browse) -> None:
    page = wallet(site, browse)
    expect(page.locator(".order strong")).to_have_text(["Coupons in this wallet", "Notifications", "Messages"])
    page.get_by_role("button", name="Try earlier: Notifications").click()
    expect(page.locator(".order strong")).to_have_text(["Notifications", "Coupons in this wallet", "Messages"])
    page.get_by_role("button", name="Try earlier: Coupons in this wallet").click()
    expect(page.locator(".order strong").first).to_have_text("Coupons in this wallet")


def test_a_coupon_from_an_amount_on_asks_for_it_before_any_verdict(site: Site, browse: Browse) -> None:
    code = site.give(spend_minor=5_000).code
    page = till(site, browse, may_log="422")
    page.locator("#code").fill(code)
    page.locator("#code").press("Enter")
    expect(page.get_by_role("heading", name="How much is it?")).to_be_visible()
    expect(page.locator("#amount")).to_be_focused()
    page.locator("#amount").fill("62.50")
    page.locator("#amount").press("Enter")
    expect(page.locator("[data-verdict='yes']")).to_be_visible()


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_what_is_opened_in_a_wallet_keeps_to_wcag_2_2_aa(site: Site, browse: Browse, theme: str) -> None:
    site.give()
    page = browse(f"{site.url}/wallet?lang=en#key={site.member_key}", theme=theme)
    page.locator(".ticket summary").first.click()
    expect(page.locator(".looked li")).to_have_count(1)
    expect(page.locator(".order li")).to_have_count(3)
    assert violations(page) == []


def violations(page: Page) -> list[tuple[str, list[str]]]:
    """What axe has against the page."""
    page.emulate_media(reduced_motion="reduce")
    page.evaluate((DASHBOARDS / "node_modules" / "axe-core" / "axe.min.js").read_text())
    wanted = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
    found = page.evaluate("(values) => axe.run({ runOnly: { type: 'tag', values } })", wanted)
    return [(one["id"], [node["target"] for node in one["nodes"]]) for one in found["violations"]]
