"""The response model says what it does, and does what it says."""

from __future__ import annotations

import numpy as np
import pytest

from sensors.response import MOST, OPENING_MEDIAN_MS, OPENS, RATES, Ignored, Intent, respond, share_tempted

MANY = 6_000


def answers(kind, *, rung=0, birthday=False, seed=1):
    chance = np.random.default_rng(seed).random
    return [respond(kind, rung=rung, birthday=birthday, told_ms=1_000, chance=chance) for _ in range(MANY)]


@pytest.mark.parametrize(
    ("kind", "rung", "birthday"), [("cafe", 0, False), ("cafe", 1, True), ("cinema", 0, False), ("kiosk", 2, False)]
)
def test_the_share_that_means_to_come_is_the_one_in_the_table(kind, rung, birthday):
    come = sum(isinstance(answer, Intent) for answer in answers(kind, rung=rung, birthday=birthday)) / MANY
    assert come == pytest.approx(OPENS * share_tempted(kind, rung=rung, birthday=birthday), abs=0.025)


def test_the_share_that_opens_is_the_one_in_the_table():
    opened = sum(answer.open_ms is not None for answer in answers("fashion")) / MANY
    assert opened == pytest.approx(OPENS, abs=0.02)


def test_a_coupon_is_opened_after_about_a_minute_never_before_it_is_told():
    waits_ms = [answer.open_ms - 1_000 for answer in answers("cafe") if answer.open_ms is not None]
    assert min(waits_ms) >= 0
    assert np.median(waits_ms) == pytest.approx(OPENING_MEDIAN_MS, rel=0.1)


@pytest.mark.parametrize("kind", [*RATES, "kiosk"])
def test_a_better_offer_and_a_birthday_tempt_more_but_never_everyone(kind):
    plain, better, feast = (share_tempted(kind, rung=r, birthday=b) for r, b in ((0, False), (1, False), (1, True)))
    assert plain < better < feast <= MOST < 1
    assert share_tempted(kind, rung=50, birthday=True) == MOST


def test_whoever_does_nothing_has_a_reason():
    assert {answer.because for answer in answers("cafe") if isinstance(answer, Ignored)} == {
        "never opened",
        "not tempted",
    }
