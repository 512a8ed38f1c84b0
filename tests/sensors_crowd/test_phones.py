"""Phones keep one address on the mall's network, throw every other away, and sleep most of the time."""

from __future__ import annotations

from collections import defaultdict
from itertools import pairwise

import numpy as np
import pytest

from sensors.airframes import SSID
from sensors.crowd import Crowd
from sensors.frames import Kind
from sensors.habits import DAY_MS, HOUR_MS, MINUTE_MS
from sensors.phones import Addresses, Phones, octets
from sensors.profiles import login_of

MEMBERS, OTHERS = 40, 80
LOCAL, GROUP = 0x02, 0x01
WOKEN_MS = 10 * MINUTE_MS


class Hour:
    """An hour of phones, or less: what was sent, and the logins, in order."""

    def __init__(self, mall, *, from_ms=0, for_ms=HOUR_MS):
        self.crowd = Crowd(mall, 5, members=MEMBERS, others=OTHERS, opens_ms=0)
        self.phones = Phones(MEMBERS, OTHERS, 5)
        self.logins, self.absent, sent = [], [], []
        for now_ms in range(from_ms, from_ms + for_ms, 1_000):
            self.logins += self.phones.follow(self.crowd.step(now_ms))
            emissions = self.phones.due(now_ms)
            self.absent += emissions.person[self.crowd.bodies.level[emissions.person] < 0].tolist()
            sent.append(emissions)
        self.person, self.at_ms, self.kind, self.address, self.sequence, self.power_db = (
            np.concatenate(column) for column in zip(*sent, strict=True)
        )
        self.probes = self.kind == Kind.PROBE_REQUEST

    def on_network(self):
        """Per person, the instants and rows of what was sent to an access point."""
        rows = defaultdict(list)
        for row in np.flatnonzero(~self.probes):
            rows[int(self.person[row])].append(int(row))
        return rows


@pytest.fixture(scope="module")
def hour(mall):
    return Hour(mall)


def test_a_member_who_comes_in_logs_in_with_the_address_that_then_speaks(hour):
    assert len(hour.logins) > 15
    rows = hour.on_network()
    for login in hour.logins:
        member = next(member for member in range(MEMBERS) if login_of(member) == login.login)
        assert {octets(address).hex(":") for address in hour.address[rows[member]]} == {login.address}
        assert hour.at_ms[rows[member][0]] >= login.at_ms
        assert (login.ssid, login.secured) == (SSID, True)


def test_joining_is_authentication_then_association_then_talk(hour):
    for rows in hour.on_network().values():
        kinds = hour.kind[rows].tolist()
        assert kinds[:2] == [Kind.AUTH, Kind.ASSOC_REQUEST]
        assert not {Kind.AUTH, Kind.ASSOC_REQUEST} & set(kinds[2:])


def test_a_phone_asleep_is_silent_for_one_to_five_minutes(hour):
    gaps_ms = [after - before for rows in hour.on_network().values() for before, after in pairwise(hour.at_ms[rows])]
    asleep_ms = [gap_ms for gap_ms in gaps_ms if gap_ms > 5_000]
    assert len(asleep_ms) > 500
    assert min(asleep_ms) >= 60_000
    assert max(asleep_ms) <= 300_000


def test_a_phone_says_that_it_goes_to_sleep(hour):
    for rows in hour.on_network().values():
        for before, after in pairwise(rows):
            if hour.at_ms[after] - hour.at_ms[before] > 5_000:
                assert hour.kind[before] in (Kind.NULL, Kind.QOS_NULL)


def test_a_probe_comes_from_an_address_that_nobody_uses_again(hour):
    thrown_away = hour.address[hour.probes].tolist()
    assert len(thrown_away) > 500
    assert len(set(thrown_away)) == len(thrown_away)
    assert not set(thrown_away) & set(hour.address[~hour.probes].tolist())


def test_thrown_away_addresses_are_private_and_unicast(hour):
    assert {octets(address)[0] & (LOCAL | GROUP) for address in hour.address[hour.probes]} == {LOCAL}


def test_a_few_of_the_joined_phones_use_their_universal_address(hour):
    local = [bool(octets(address)[0] & LOCAL) for address in hour.phones.address[hour.phones.joined]]
    assert 0.8 < sum(local) / len(local) < 1.0


def test_all_members_join_and_about_half_of_the_others(hour):
    assert hour.phones.joined[:MEMBERS].all()
    assert 0.3 < hour.phones.joined[MEMBERS:].mean() < 0.6


def test_who_is_away_sends_nothing(hour):
    assert hour.absent == []


def test_emissions_are_in_order_of_time(hour):
    assert (np.diff(hour.at_ms) >= 0).all()


def test_sequence_numbers_on_the_network_rise_by_one(hour):
    for rows in hour.on_network().values():
        assert set((np.diff(hour.sequence[rows]) % 4_096).tolist()) == {1}


def test_an_opened_coupon_lights_the_screen_within_seconds(mall):
    hour = Hour(mall, for_ms=WOKEN_MS)
    member = int(hour.crowd.present()[0])
    hour.phones.wake(member, WOKEN_MS)
    emissions = hour.phones.due(WOKEN_MS + 30_000)
    at_ms = emissions.at_ms[(emissions.person == member) & (emissions.kind != Kind.PROBE_REQUEST)]
    assert at_ms[0] < WOKEN_MS + 5_000
    assert at_ms.size >= 5


def test_a_member_keeps_the_address_over_days_and_restarts(mall, hour):
    tomorrow = Hour(mall, from_ms=DAY_MS, for_ms=20 * MINUTE_MS)
    both = {login.login for login in hour.logins} & {login.login for login in tomorrow.logins}
    assert len(both) > 5
    address_of = {login.login: login.address for login in hour.logins}
    assert all(login.address == address_of[login.login] for login in tomorrow.logins if login.login in both)


def test_phones_offsets_spread_by_five_decibels():
    assert 4.5 < Phones(0, 2_000, 1).power_db.std() < 5.5


def test_a_hundred_thousand_private_addresses_are_all_different():
    addresses = Addresses(np.random.default_rng(1)).take(100_000)
    assert len(set(addresses.tolist())) == 100_000
    assert all(octets(address)[0] & (LOCAL | GROUP) == LOCAL for address in addresses[:1_000])
