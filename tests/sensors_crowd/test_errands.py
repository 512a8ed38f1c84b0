"""Who spends a coupon has opened it, walked to the shop and queued there; the others let it be."""

from __future__ import annotations

import numpy as np
import pytest

from sensors.crowd import Crowd, Doing
from sensors.errands import Errands, Told
from sensors.habits import MINUTE_MS
from sensors.response import Ignored, Intent

MEMBERS = 120
CAFE_SHOP = "cafe-luna"


class Morning:
    """Twenty minutes in, everybody present gets a coffee coupon; then the crowd lives on."""

    def __init__(self, mall, *, valid_ms=40 * MINUTE_MS, birthdays=()):
        self.crowd = Crowd(mall, 11, members=MEMBERS, others=0, opens_ms=0)
        self.errands = Errands(self.crowd, 11, birthdays=birthdays)
        self.now_ms = -1_000
        self.opened, self.tills, self.left = {}, [], set()
        self.live(20)
        self.told = {int(m): self.tell(int(m), f"coffee-{m}", valid_ms=valid_ms) for m in self.crowd.present()}

    def tell(self, member, coupon, *, shops=(CAFE_SHOP,), valid_ms=40 * MINUTE_MS):
        told = Told(coupon, "coffee", "day-out/coffee", shops, self.now_ms, self.now_ms + valid_ms)
        return self.errands.told(member, told, self.now_ms)

    def live(self, minutes):
        for _ in range(int(minutes * 60)):
            self.now_ms += 1_000
            step = self.crowd.step(self.now_ms)
            self.errands.follow(step)
            self.left |= set(step.left.tolist())
            due = self.errands.due(self.now_ms)
            self.opened |= dict.fromkeys(due.opened, self.now_ms)
            self.tills += [(self.now_ms, visit, self.crowd.zone_under(visit.member)) for visit in due.at_till]
        return self

    @property
    def willing(self):
        return {member for member, answer in self.told.items() if isinstance(answer, Intent)}


@pytest.fixture(scope="module")
def morning(mall):
    return Morning(mall).live(45)


def test_who_pays_stands_in_the_shop(morning):
    assert len(morning.tills) > 10
    assert {morning.crowd.zones[zone].shop for _, _, zone in morning.tills} == {CAFE_SHOP}


def test_who_pays_had_meant_to_and_shows_their_own_coupon(morning):
    for _, visit, _ in morning.tills:
        assert visit.member in morning.willing
        assert (visit.coupon, visit.shop) == (f"coffee-{visit.member}", CAFE_SHOP)


def test_most_who_mean_to_come_do_pay_and_each_pays_once(morning):
    paid = [visit.member for _, visit, _ in morning.tills]
    assert len(set(paid)) == len(paid)
    assert len(paid) >= 0.8 * len(morning.willing)


def test_between_opening_and_paying_there_is_a_queue(morning):
    for paid_ms, visit, _ in morning.tills:
        assert paid_ms - morning.opened[visit.member] >= morning.told[visit.member].queue_ms


def test_a_coupon_is_opened_when_the_model_said(morning):
    for member, opened_ms in morning.opened.items():
        assert 0 <= opened_ms - morning.told[member].open_ms < 1_000


def test_nobody_pays_with_an_expired_coupon(mall):
    morning = Morning(mall, valid_ms=4 * MINUTE_MS).live(15)
    assert all(paid_ms < 24 * MINUTE_MS for paid_ms, _, _ in morning.tills)
    assert len(morning.tills) < len(morning.willing)


def test_nobody_sets_out_for_what_cannot_be_reached_in_time(mall):
    morning = Morning(mall, valid_ms=1_500)
    before = morning.crowd.zone.copy()
    morning.live(0.1)
    assert morning.tills == []
    assert (morning.crowd.zone == before).mean() > 0.95


def test_who_is_away_hears_nothing(mall):
    morning = Morning(mall)
    away = int(np.flatnonzero(morning.crowd.doing == Doing.AWAY)[0])
    assert morning.tell(away, "x") == Ignored("not in the mall")


def test_a_coupon_for_no_shop_of_this_mall_is_let_be(morning):
    here = int(morning.crowd.present()[0])
    assert morning.tell(here, "x", shops=("elsewhere",)) == Ignored("no such shop here")


def test_a_further_coupon_takes_the_place_of_the_last(mall):
    morning = Morning(mall)
    for member in morning.told:
        morning.tell(member, "better")
    morning.live(40)
    assert {visit.coupon for _, visit, _ in morning.tills} == {"better"}


def test_a_better_offer_and_a_birthday_bring_more_people(mall):
    plain, feast = Morning(mall), Morning(mall, birthdays=range(MEMBERS))
    again = [plain.tell(member, "better") for member in plain.told]
    assert sum(isinstance(answer, Intent) for answer in again) > len(plain.willing)
    assert len(feast.willing) > len(plain.willing)


def test_who_pays_goes_home_later(mall):
    morning = Morning(mall)
    planned_ms = morning.crowd.leaves_ms.copy()
    morning.live(35)
    paid = [visit.member for _, visit, _ in morning.tills]
    assert (morning.crowd.leaves_ms[paid] >= planned_ms[paid] + 15 * MINUTE_MS).all()
    unmoved = sorted(set(morning.told) - set(paid) - morning.willing - morning.left)
    assert (morning.crowd.leaves_ms[unmoved] == planned_ms[unmoved]).all()
