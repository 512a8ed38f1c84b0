"""Invented members: always the same for one seed, and a few of them born on the day."""

from __future__ import annotations

from datetime import date

import pytest

from sensors.profiles import login_of, profiles


def test_the_same_seed_invents_the_same_members():
    assert profiles(50, 1, "11-22") == profiles(50, 1, "11-22")
    assert profiles(50, 1, "11-22") != profiles(50, 2, "11-22")


@pytest.mark.parametrize("today", ["11-22", "02-29", "01-01"])
def test_four_percent_were_born_on_the_day(today):
    assert sum(profile.birthday == today for profile in profiles(400, 1, today)) == 16


def test_every_birthday_is_a_day_of_the_year():
    for profile in profiles(400, 1, "11-22"):
        month, day = map(int, profile.birthday.split("-"))
        assert date(2_000, month, day)


def test_logins_are_those_of_the_crowd_and_told_apart():
    invented = profiles(400, 1, "11-22")
    assert [profile.login for profile in invented] == [login_of(member) for member in range(400)]
    assert len({profile.login for profile in invented}) == 400


def test_both_languages_and_near_and_far_homes_are_among_them():
    invented = profiles(400, 1, "11-22")
    assert {profile.language for profile in invented} == {"zh-Hans", "en"}
    assert min(profile.home_km for profile in invented) < 3
    assert max(profile.home_km for profile in invented) > 40
