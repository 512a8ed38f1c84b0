"""What a page shows first, how it calls things, and that it has room for them on a phone."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from tests.e2e.pages.conftest import Browse, Site
from tests.e2e.pages.test_pages import LANGUAGES, live, till


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_api_is_explained_from_our_own_origin_alone(site: Site, browse: Browse, language: str) -> None:
    page = browse(f"{site.url}/docs?lang={language}")
    expect(page.get_by_role("button", name="POST /v1/redemptions", exact=False).first).to_be_visible()
    assert "default-src 'self'" in page.request.get(page.url).headers["content-security-policy"]


def test_live_opens_on_the_fullest_level(site: Site, browse: Browse) -> None:
    page = live(site, browse)
    expect(page.locator(".levels button[aria-pressed='true'] .level-count")).to_have_text(re.compile(r"^\d+$"))
    counts = [int(text) for text in page.locator(".level-count").all_inner_texts() if text.isdigit()]
    assert abs(int(page.locator("[aria-pressed='true'] .level-count").inner_text()) - max(counts)) <= 2  # they walk on


def test_a_level_is_called_as_the_map_says(site: Site, browse: Browse) -> None:
    page = live(site, browse, "zh-Hans")
    assert sorted(page.locator(".level-name").all_inner_texts()) == ["1F", "2F", "3F"]


# What reaches out of its card, of all that takes part in the layout.
OUT_OF_CARDS = """() => [...document.querySelectorAll('main .card')].flatMap((card) => {
  const { left, right } = card.getBoundingClientRect();
  const laid = [...card.querySelectorAll('*')].filter((one) => !one.closest('svg svg, .unseen, .map'));
  return laid
    .map((one) => [one.outerHTML.slice(0, 80), one.getBoundingClientRect()])
    .filter(([, box]) => box.width > 0 && (box.left < left - 1 || box.right > right + 1))
    .map(([html]) => html);
})"""


@pytest.mark.parametrize("width", [390, 320])
@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("name", ["live", "wallet", "till"])
def test_nothing_on_a_phone_reaches_out_of_its_card(
    site: Site, browse: Browse, name: str, language: str, width: int
) -> None:
    keys = {"live": site.operator_key, "wallet": site.member_key, "till": site.shop_key}
    page = browse(f"{site.url}/{name}?lang={language}#key={keys[name]}")
    page.set_viewport_size({"width": width, "height": 844})
    drawn = {"live": ".zones tbody tr", "wallet": ".consents", "till": ".today"}
    expect(page.locator(drawn[name]).first).to_be_visible()
    assert page.evaluate(OUT_OF_CARDS) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize(("language", "called"), [("en", "Café Luna"), ("zh-Hans", "月光咖啡")])
def test_the_till_calls_the_shop_by_its_name(site: Site, browse: Browse, language: str, called: str) -> None:
    page = browse(f"{site.url}/till?lang={language}#key={site.shop_key}")
    expect(page.locator(".shop")).to_have_text(called)


def test_a_long_day_of_a_till_is_shown_when_asked_for(site: Site, browse: Browse) -> None:
    page = till(site, browse)
    for _ in range(11):
        key = {"Authorization": f"Bearer {site.shop_key}"}
        assert page.request.post(f"{site.url}/v1/redemptions", data={"code": site.give().code}, headers=key).ok
    page.reload()
    expect(page.locator(".today li")).to_have_count(10)
    page.locator(".today .more").click()
    assert page.locator(".today li").count() > 10
    expect(page.locator(".today .more")).to_have_count(0)
