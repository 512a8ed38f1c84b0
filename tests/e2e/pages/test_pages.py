"""The pages as people use them: in a real browser, on the real server, in both languages."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Page, Playwright, Route, expect

from engine.serve import document
from rules.parcel import Address, Parcel
from rules.push import Push
from tests.conftest import ROOT, absent
from tests.e2e.pages.conftest import NOTHING, Browse, Site, a_browser

DASHBOARDS = ROOT / "dashboards"
LANGUAGES = ("en", "zh-Hans")
# What each page calls itself; one entry per language, so that a page in the wrong one fails.
TITLES = {
    "live": {"en": "Live", "zh-Hans": "实时"},
    "wallet": {"en": "Wallet", "zh-Hans": "卡包"},
    "till": {"en": "Till", "zh-Hans": "收银"},
}


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_entry_page_leads_to_every_other(site: Site, browse: Browse, language: str) -> None:
    page = browse(f"{site.url}/?lang={language}")
    for path in ("live", "wallet", "till"):
        expect(page.locator(f"a[href='/{path}?lang={language}']")).to_be_visible()


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("name", TITLES)
def test_a_page_without_a_key_asks_for_one(site: Site, browse: Browse, name: str, language: str) -> None:
    page = browse(f"{site.url}/{name}?lang={language}", may_log="401")
    expect(page.get_by_role("heading", name=TITLES[name][language])).to_be_visible()
    expect(page.locator("#key")).to_be_visible()


def test_a_wrong_key_is_refused_in_plain_words(site: Site, browse: Browse) -> None:
    page = browse(f"{site.url}/wallet?lang=en", may_log="401")
    page.locator("#key").fill("member.1.nonsense")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_contain_text("No one holds this key")


def test_the_key_does_not_stay_in_the_address(site: Site, browse: Browse) -> None:
    page = browse(f"{site.url}/wallet?lang=en#key={site.member_key}")
    expect(page.locator(".consents")).to_be_visible()
    assert "key" not in page.url


# -- live --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("language", LANGUAGES)
def test_live_shows_every_level_with_its_count(site: Site, browse: Browse, language: str) -> None:
    page = live(site, browse, language)
    plan = page.request.get(f"{site.url}/v1/plan").json()
    expect(page.locator(".levels button")).to_have_count(len(plan["levels"]))
    for level in page.locator(".level-count").all():
        expect(level).to_have_text(re.compile(r"^(\d+|hidden|不显示)$"))


@pytest.mark.parametrize("language", LANGUAGES)
def test_live_names_the_zones_in_the_chosen_language(site: Site, browse: Browse, language: str) -> None:
    page = live(site, browse, language)
    zones = page.request.get(f"{site.url}/v1/plan").json()["zones"]
    shown = "\n".join(page.locator("tbody th").all_inner_texts())
    assert [zone["name"][language] for zone in zones if zone["name"][language] not in shown] == []


def test_live_never_shows_a_count_below_k(site: Site, browse: Browse) -> None:
    page = live(site, browse)
    k = page.request.get(f"{site.url}/v1/live/now").json()["frame"]["k"]
    shown = page.locator("td.members span").all_inner_texts()
    assert shown
    assert all(text == "hidden" or int(text) >= k for text in shown)


def test_a_zone_chosen_in_the_table_turns_the_plan_to_its_level(site: Site, browse: Browse) -> None:
    page = live(site, browse)
    plan = page.request.get(f"{site.url}/v1/plan").json()
    top = max(plan["levels"], key=lambda level: level["ordinal"])
    zone = next(zone for zone in plan["zones"] if zone["level"] == top["key"])
    page.locator(f"tr[data-zone='{zone['key']}'] button").press("Enter")
    expect(page.locator(".levels button[aria-pressed='true'] .level-name")).to_have_text(top["short_name"]["en"])
    assert f"zone={zone['key']}" in page.url


def test_a_zone_chosen_on_the_plan_is_chosen_in_the_table(site: Site, browse: Browse) -> None:
    page = live(site, browse)
    page.locator(".map canvas").first.wait_for()
    box = page.locator(".map").bounding_box()
    assert box is not None
    # Nearly everywhere on a plan is a zone: from the middle outwards, the first click that meets one will do.
    for part in (0.5, 0.42, 0.35, 0.6, 0.7):
        page.mouse.click(box["x"] + box["width"] * part, box["y"] + box["height"] * part)
        if page.locator("tr.chosen").count():
            break
    expect(page.locator("tr.chosen")).to_have_count(1)


def test_the_plan_is_drawn_by_more_than_one_colour(site: Site, browse: Browse) -> None:
    page = live(site, browse)
    page.locator(".map canvas").first.wait_for()
    colours = page.evaluate(
        """() => {
          const seen = new Set();
          for (const canvas of document.querySelectorAll('.map canvas')) {
            const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
            for (let i = 0; i < data.length; i += 4 * 97) seen.add(`${data[i]},${data[i + 1]},${data[i + 2]}`);
          }
          return seen.size;
        }"""
    )
    assert colours > 8


def test_the_picture_goes_stale_when_the_stream_is_cut(site: Site, browse: Browse) -> None:
    page = browse(f"{site.url}/?lang=en", may_log="ERR_INTERNET_DISCONNECTED", own=True)
    page.clock.install()
    page.goto(f"{site.url}/live?lang=en#key={site.operator_key}")
    expect(page.locator(".pill")).to_have_attribute("data-grade", "live")
    page.context.set_offline(True)
    expect(page.locator(".stale-banner")).to_have_attribute("data-cause", "offline")
    page.clock.fast_forward(31_000)
    expect(page.locator(".pill")).to_have_attribute("data-grade", "stale")
    expect(page.locator(".plan")).to_have_class(re.compile(r"\bstale\b"))
    page.context.set_offline(False)
    expect(page.locator(".pill")).not_to_have_attribute("data-grade", "stale")


# -- wallet ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_wallet_says_what_is_allowed(site: Site, browse: Browse, language: str) -> None:
    page = wallet(site, browse, language)
    expect(page.get_by_role("switch")).to_have_count(5)


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_coupon_arrives_in_the_open_wallet(site: Site, browse: Browse, language: str) -> None:
    page = wallet(site, browse, language)
    page.evaluate("window.notReloaded = true")
    coupon = site.give()
    ticket = page.locator(f"article[data-coupon='{coupon.id}']")
    expect(ticket).to_be_visible()
    expect(ticket.locator(".code")).to_contain_text(coupon.code)
    expect(ticket.get_by_role("img")).to_be_visible()
    assert page.evaluate("window.notReloaded")


def test_the_wallet_says_why_a_coupon_came(site: Site, browse: Browse) -> None:
    coupon = site.give()
    page = wallet(site, browse)
    ticket = page.locator(f"article[data-coupon='{coupon.id}']")
    ticket.get_by_text("Why did I get this?").click()
    expect(ticket.locator("details[open] > p")).not_to_be_empty()


def test_a_consent_is_withdrawn_as_easily_as_granted(site: Site, browse: Browse) -> None:
    page = wallet(site, browse)
    switch = page.locator("#consent-personal_offers")
    for turn in (switch.uncheck, switch.check):
        turn()
        turned = switch.is_checked()
        expect(switch).to_be_enabled()
        page.reload()
        expect(switch).to_be_checked(checked=turned)


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_browser_that_allows_no_notifications_says_the_way_out(site: Site, browse: Browse, language: str) -> None:
    page = wallet(site, browse, language, own=True)
    page.locator("#consent-web_push").click()
    said = {"en": "Allow notifications for this page", "zh-Hans": "请在浏览器设置中允许"}[language]
    expect(page.get_by_text(said)).to_be_visible()
    expect(page.locator("#consent-web_push")).not_to_be_checked()


def test_a_push_message_becomes_a_notification(site: Site, browse: Browse) -> None:
    page = wallet(site, browse, own=True)
    page.context.grant_permissions(["notifications"])
    page.evaluate("navigator.serviceWorker.ready")
    devtools, workers = page.context.new_cdp_session(page), []
    devtools.on("ServiceWorker.workerRegistrationUpdated", lambda event: workers.extend(event["registrations"]))
    devtools.send("ServiceWorker.enable")
    for _ in range(1_000):  # each question lets the browser's own news through
        if workers:
            break
        page.evaluate("navigator.serviceWorker.ready")
    address = Address("https://push.mall.test/x", site.url)
    title = {"en": "Coffee 10 % off"}
    parcel = Parcel("o", "0" * 24, "web_push", 1, 0, 0, "topic", title, "en", ())
    message = {"origin": site.url, "registrationId": workers[-1]["registrationId"]}
    devtools.send("ServiceWorker.deliverPushMessage", message | {"data": Push.payload(parcel, address).decode()})
    shown = """async () => {
        const worker = await navigator.serviceWorker.ready;
        const [shown] = await worker.getNotifications();
        return shown && [shown.title, shown.tag, shown.data.navigate];
    }"""
    # Asked by the clock: a browser that draws nothing just now has no animation frames to ask at.
    found = page.wait_for_function(shown, polling=50).json_value()
    assert found == ["Coffee 10 % off", "topic", f"{site.url}/wallet"]


def test_the_wallet_opens_without_a_network_once_it_was_open(site: Site, browse: Browse) -> None:
    page = wallet(site, browse, may_log="ERR_INTERNET_DISCONNECTED", own=True)
    page.evaluate("navigator.serviceWorker.ready")
    page.reload()  # now through the worker, which keeps what it sees
    expect(page.locator(".consents")).to_be_visible()
    page.context.set_offline(True)
    page.reload()
    expect(page.get_by_text("Not connected.")).to_be_visible()


# -- till --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_till_is_green_once_and_red_after(site: Site, browse: Browse, language: str) -> None:
    code = site.give().code
    page = till(site, browse, language, may_log="409")
    page.locator("#code").press_sequentially(code.lower().replace("-", ""))
    expect(page.locator("#code")).to_have_value(code)
    page.locator("#code").press("Enter")
    expect(page.locator("[data-verdict='yes']")).to_be_visible()
    page.locator(".onwards").click()
    page.locator("#code").fill(code)
    page.locator("#code").press("Enter")
    expect(page.locator("[data-verdict='no']")).to_have_attribute("data-reason", "already-redeemed")


def test_a_redemption_can_be_undone_and_the_coupon_spent_again(site: Site, browse: Browse) -> None:
    code = site.give().code
    page = till(site, browse)
    for _ in range(2):
        page.locator("#code").fill(code)
        page.locator("#code").press("Enter")
        page.locator("[data-verdict='yes'] .undo").click()
        expect(page.locator("[data-verdict='undone']")).to_be_visible()
        page.locator(".onwards").click()


def test_a_slip_of_the_finger_shows_before_anything_is_sent(site: Site, browse: Browse) -> None:
    page = till(site, browse, own=True)
    page.on(
        "request", lambda request: pytest.fail("a mistyped code was sent") if "redemptions" in request.url else None
    )
    page.locator("#code").fill("0000-0000-0000-1")
    page.locator("#code").press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("cannot be a code")


def test_an_answer_that_was_lost_is_asked_for_again_and_counts_once(site: Site, browse: Browse) -> None:
    code = site.give().code
    page = till(site, browse, may_log="ERR_INTERNET_DISCONNECTED|ERR_FAILED", own=True)
    keys: list[str] = []
    page.on("request", lambda r: keys.append(r.headers["idempotency-key"]) if r.url.endswith("/redemptions") else None)

    def lose(route: Route) -> None:  # the server hears the question, the till does not hear the answer
        route.fetch()
        route.abort()

    page.route("**/v1/redemptions", lose, times=1)
    page.locator("#code").fill(code)
    page.locator("#code").press("Enter")
    expect(page.locator("[data-verdict='unsure']")).to_be_visible()
    page.locator(".onwards").click()
    expect(page.locator("[data-verdict='yes']")).to_be_visible()
    assert len(keys) == 2 and len(set(keys)) == 1


def test_a_scanned_link_brings_its_code_to_the_till(site: Site, browse: Browse) -> None:
    code = site.give().code
    page = till(site, browse)
    page.goto(f"{site.url}/till?lang=en#code={code}")
    expect(page.locator("#code")).to_have_value(code)
    assert "code" not in page.url


def test_a_refused_camera_leaves_the_field_to_type_in(site: Site, browse: Browse) -> None:
    page = till(site, browse)
    page.get_by_role("button", name="Scan").click()
    expect(page.get_by_role("alert")).to_contain_text("No camera")
    expect(page.locator("#code")).to_be_focused()


def test_the_till_reads_the_code_that_the_wallet_draws(
    site: Site, browse: Browse, driver: Playwright, tmp_path: Path
) -> None:
    site.give()
    drawn = wallet(site, browse).locator(".ticket .qr").first
    film = tmp_path / "camera.y4m"
    film.write_bytes(filmed(drawn.get_attribute("viewBox") or "", drawn.locator("path").get_attribute("d") or ""))
    camera = f"--use-file-for-fake-video-capture={film}"
    with a_browser(driver, "--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream", camera) as browser:
        page = browser.new_page()
        page.goto(f"{site.url}/till?lang=en#key={site.shop_key}")
        page.get_by_role("button", name="Scan").click()
        expect(page.locator("[data-verdict='yes']")).to_be_visible(timeout=20_000)


def filmed(view_box: str, path: str) -> bytes:
    """A second of grey film, 640 by 480, of a QR code drawn as a path of unit squares."""
    side = int(view_box.split()[-1])
    cells = np.full((side, side), 235, np.uint8)
    for x, y in re.findall(r"M(\d+) (\d+)", path):
        cells[int(y), int(x)] = 16
    code = np.kron(cells, np.ones((400 // side, 400 // side), np.uint8))
    picture = np.full((480, 640), 180, np.uint8)
    picture[40 : 40 + len(code), 120 : 120 + len(code)] = code
    colours = bytes([128]) * (640 * 480 // 2)
    return b"YUV4MPEG2 W640 H480 F10:1 Ip A1:1 C420jpeg\n" + (b"FRAME\n" + picture.tobytes() + colours) * 10


def test_the_day_of_a_till_lists_what_it_redeemed(site: Site, browse: Browse) -> None:
    code = site.give().code
    page = till(site, browse)
    page.locator("#code").fill(code)
    page.locator("#code").press("Enter")
    expect(page.locator(".today li").first).to_contain_text(code.replace("-", "")[-4:])


# -- for everybody -----------------------------------------------------------------------------------


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("name", ["", *TITLES])
def test_a_page_keeps_to_wcag_2_2_aa(site: Site, browse: Browse, name: str, theme: str) -> None:
    axe = DASHBOARDS / "node_modules" / "axe-core" / "axe.min.js"
    if not axe.exists():
        absent("axe-core is not installed (npm ci in dashboards)")
    keys = {"live": site.operator_key, "wallet": site.member_key, "till": site.shop_key}
    if name == "wallet":
        site.give()
    page = browse(f"{site.url}/{name}?lang=en#key={keys.get(name, '')}", theme=theme)
    drawn = {"live": ".zones tbody", "wallet": ".ticket .qr", "till": ".today"}
    expect(page.locator(drawn.get(name, ".doors"))).to_be_visible()
    page.emulate_media(reduced_motion="reduce", color_scheme=theme)
    page.evaluate(axe.read_text())
    wanted = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
    found = page.evaluate("(values) => axe.run({ runOnly: { type: 'tag', values } })", wanted)
    assert [(one["id"], [node["target"] for node in one["nodes"]]) for one in found["violations"]] == []


# -- what is built -----------------------------------------------------------------------------------


def test_the_types_are_those_of_the_served_api(tmp_path: Path) -> None:
    """Regenerating changes nothing: `sojourn openapi > dashboards/openapi.json && npm run types` was not forgotten."""
    assert json.loads((DASHBOARDS / "openapi.json").read_text()) == document()
    npx = shutil.which("npx")
    if npx is None or not (DASHBOARDS / "node_modules").is_dir():
        absent("no Node to generate types with")
    options = json.loads((DASHBOARDS / "package.json").read_text())["scripts"]["types"].split()
    made = tmp_path / "api.d.ts"
    options[options.index("--output") + 1] = str(made)
    subprocess.run([npx, "--no-install", *options], cwd=DASHBOARDS, check=True, capture_output=True)
    assert made.read_text() == (DASHBOARDS / "src" / "api.d.ts").read_text()


def test_no_file_of_the_pages_is_long() -> None:
    own = [path for kind in ("*.ts", "*.tsx", "*.css") for path in (DASHBOARDS / "src").rglob(kind)]
    assert {path.name for path in own if len(path.read_text().splitlines()) > 400} <= {"api.d.ts"}


def test_the_lock_file_names_no_registry() -> None:
    assert "resolved" not in (DASHBOARDS / "package-lock.json").read_text()


def live(site: Site, browse: Browse, language: str = "en") -> Page:
    page = browse(f"{site.url}/live?lang={language}#key={site.operator_key}")
    expect(page.locator(".pill")).to_have_attribute("data-grade", "live")
    expect(page.locator(".level-count").first).not_to_be_empty()
    return page


def wallet(site: Site, browse: Browse, language: str = "en", may_log: str = NOTHING, own: bool = False) -> Page:
    page = browse(f"{site.url}/wallet?lang={language}#key={site.member_key}", may_log=may_log, own=own)
    expect(page.locator(".consents")).to_be_visible()
    return page


def till(site: Site, browse: Browse, language: str = "en", may_log: str = NOTHING, own: bool = False) -> Page:
    page = browse(f"{site.url}/till?lang={language}#key={site.shop_key}", may_log=may_log, own=own)
    expect(page.locator("#code")).to_be_visible()
    return page
