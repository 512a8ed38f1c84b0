"""From frames in the air to batches on the wire, and nothing of anybody who did not opt in."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sensors import agent as agent_module
from sensors.agent import Agent
from sensors.consent import ConsentFilter
from sensors.frames import PLAIN, Kind
from sensors.wire import Batch, Health, pack, read_batch

ANA, BEN, STRANGER = (bytes([2, 0, 0, 0, 0, last]) for last in range(3))
NEIGHBOUR = bytes.fromhex("02bbbbbbbbbb")


@pytest.fixture
def agent(epoch_of, list_of) -> Agent:
    consent = ConsentFilter("demo")
    consent.take(list_of(epoch_of(1, {ANA: 41, BEN: 42})), 0)
    return Agent("s1", consent, boot=3)


def test_a_second_of_one_member_is_one_row(agent, in_the_air):
    for at_ms, dbm in ((1_000, -60), (1_400, -75), (1_900, -62)):
        agent.hear(in_the_air(ANA, dbm=dbm), at_ms)
    assert agent.gather(2_000) == Batch(
        sensor="s1", boot=3, seq=1, epoch=1, t0_ms=1_900, handle=[41], dt_ms=[0], rssi_dbm=[-62], channel=[6]
    )


def test_rows_come_in_the_order_they_were_heard(agent, in_the_air):
    agent.hear(in_the_air(BEN), 1_500)
    agent.hear(in_the_air(ANA), 1_200)
    batch = agent.gather(2_000)
    assert (batch.t0_ms, batch.handle, batch.dt_ms) == (1_200, [41, 42], [0, 300])


def test_two_channels_are_two_rows(agent, in_the_air):
    agent.hear(in_the_air(ANA, channel=1, dbm=-50), 1_000)
    agent.hear(in_the_air(ANA, channel=6, dbm=-70), 1_100)
    batch = agent.gather(2_000)
    assert list(zip(batch.channel, batch.rssi_dbm, strict=True)) == [(1, -50), (6, -70)]


def test_a_second_in_which_nobody_was_heard_is_no_batch(agent, in_the_air):
    agent.hear(in_the_air(STRANGER), 1_000)
    assert agent.gather(2_000) is None


def test_batches_are_numbered_without_gaps(agent, in_the_air):
    seqs = []
    for second in (1, 3, 4):
        agent.hear(in_the_air(ANA), second * 1_000)
        seqs.append(agent.gather(second * 1_000 + 999).seq)
        assert agent.gather(second * 1_000 + 1_999) is None
    assert seqs == [1, 2, 3]


@pytest.mark.parametrize("kind", [Kind.DATA, Kind.QOS_DATA, Kind.NULL, Kind.QOS_NULL, Kind.AUTH, Kind.PROBE_REQUEST])
def test_what_a_phone_sends_counts(agent, in_the_air, kind):
    agent.hear(in_the_air(ANA, kind=kind), 1_000)
    assert agent.gather(2_000).handle == [41]


@pytest.mark.parametrize("kind", [Kind.BEACON, Kind.PROBE_RESPONSE, Kind.ASSOC_RESPONSE, Kind.DEAUTH, Kind.RTS])
def test_what_an_access_point_may_send_does_not_count(agent, in_the_air, kind):
    agent.hear(in_the_air(ANA, kind=kind), 1_000)
    assert agent.gather(2_000) is None


@pytest.mark.parametrize("direction", [0, 2, 3])
def test_data_that_does_not_go_to_an_access_point_does_not_count(agent, in_the_air, direction):
    agent.hear(in_the_air(ANA, direction=direction), 1_000)
    assert agent.gather(2_000) is None


def test_with_own_access_points_named_the_neighbours_do_not_count(epoch_of, list_of, in_the_air):
    consent = ConsentFilter("demo")
    consent.take(list_of(epoch_of(1, {ANA: 41, BEN: 42})), 0)
    choosy = Agent("s1", consent, boot=1, bssids=frozenset({bytes.fromhex("02aaaaaaaaaa")}))
    choosy.hear(in_the_air(ANA, bssid=NEIGHBOUR), 1_000)
    assert choosy.gather(2_000) is None
    choosy.hear(in_the_air(ANA), 2_000)
    choosy.hear(in_the_air(BEN, kind=Kind.PROBE_REQUEST, bssid=b"\xff" * 6), 2_000)
    assert choosy.gather(3_000).handle == [41, 42]


def test_a_retry_of_the_same_frame_is_not_heard_twice(agent, in_the_air):
    agent.hear(in_the_air(ANA, sequence=9, dbm=-60), 1_000)
    agent.hear(in_the_air(ANA, sequence=9, dbm=-90, retry=True), 1_020)
    batch = agent.gather(2_000)
    assert (batch.t0_ms, batch.rssi_dbm) == (1_000, [-60])


def test_a_retry_whose_first_try_was_missed_is_heard(agent, in_the_air):
    agent.hear(in_the_air(ANA, sequence=8), 1_000)
    agent.hear(in_the_air(ANA, sequence=9, retry=True), 1_020)
    assert agent.gather(2_000).t0_ms == 1_020


def test_a_sequence_number_that_came_round_again_is_a_new_frame(agent, in_the_air):
    agent.hear(in_the_air(ANA, sequence=9), 1_000)
    agent.hear(in_the_air(ANA, sequence=9, retry=True), 1_000 + agent_module.RETRY_MS + 1)
    assert agent.gather(2_000).t0_ms == 1_000 + agent_module.RETRY_MS + 1


@pytest.mark.parametrize("dbm", [None, 0, 12, -121])
def test_without_a_believable_signal_there_is_no_observation(agent, in_the_air, dbm):
    agent.hear(in_the_air(ANA, dbm=dbm), 1_000)
    assert (agent.gather(2_000), agent.health(2_000).without_signal) == (None, 1)


def test_more_than_a_minute_goes_into_more_than_one_batch(agent, in_the_air):
    for channel, at_ms in ((1, 1_000), (2, 61_000), (3, 61_001)):
        agent.hear(in_the_air(ANA, channel=channel), at_ms)
    first, second, third = (agent.gather(62_000) for _ in range(3))
    assert (first.channel, first.dt_ms) == ([1, 2], [0, 60_000])
    assert (second.channel, second.t0_ms) == ([3], 61_001)
    assert third is None


def test_two_epochs_never_share_a_batch(epoch_of, list_of, in_the_air):
    consent = ConsentFilter("demo")
    consent.take(list_of(epoch_of(1, {ANA: 41}, until_ms=1_500), epoch_of(2, {ANA: 51}, from_ms=1_500)), 0)
    changing = Agent("s1", consent, boot=1)
    for at_ms in (1_499, 1_500):
        changing.hear(in_the_air(ANA), at_ms)
    batches = [changing.gather(2_000), changing.gather(2_000)]
    assert [(batch.epoch, batch.handle) for batch in batches] == [(1, [41]), (2, [51])]


def test_a_crowd_larger_than_a_batch_loses_nobody_and_fits_the_wire(epoch_of, list_of, in_the_air):
    crowd = {b"\x02\x00" + n.to_bytes(4, "big"): 2**53 - 1 - n for n in range(agent_module.MOST_ROWS + 5)}
    consent = ConsentFilter("demo")
    consent.take(list_of(epoch_of(1, crowd)), 0)
    stadium = Agent("s1", consent, boot=2**53 - 1)
    for address in crowd:
        stadium.hear(in_the_air(address, dbm=-119, channel=200), 60_000)
    batches = [read_batch(pack(stadium.gather(60_000))) for _ in range(2)]
    assert sorted(handle for batch in batches for handle in batch.columns().handle) == sorted(crowd.values())


def test_the_heartbeat_counts_what_became_of_each_frame(agent, in_the_air):
    agent.hear(in_the_air(ANA), 1_000)
    agent.hear(in_the_air(ANA, dbm=None), 1_100)
    agent.hear(in_the_air(STRANGER), 1_200)
    agent.hear(in_the_air(STRANGER), 1_300)
    agent.hear(b"noise", 1_400)
    agent.gather(2_000)
    assert agent.health(2_000) == Health(
        sensor="s1",
        boot=3,
        at_ms=2_000,
        status="online",
        frames=5,
        published=1,
        dropped_by_consent=2,
        undecodable=1,
        without_signal=1,
        list_version=1,
    )


def test_without_a_list_an_agent_publishes_nothing_and_says_why(in_the_air):
    deaf = Agent("s1", ConsentFilter("demo"), boot=1)
    deaf.hear(in_the_air(ANA), 1_000)
    assert deaf.gather(2_000) is None
    assert (deaf.health(2_000).status, deaf.health(2_000).why) == ("refusing", "no-allow-list")


def test_an_expired_list_silences_the_agent(agent, in_the_air):
    day_ms = 24 * 3_600_000
    agent.hear(in_the_air(ANA), day_ms)
    assert agent.gather(day_ms) is None
    assert (agent.health(day_ms).status, agent.health(day_ms).why) == ("refusing", "allow-list-expired")


# A prefix that no number of the messages holds by chance.
addresses = st.binary(min_size=3, max_size=3).map(b"\x02\xfe\xed".__add__)
kinds = st.sampled_from(list(Kind))


@settings(max_examples=200, deadline=None)
@given(
    members=st.dictionaries(addresses, st.integers(1, 2**53 - 1), max_size=5),
    passers_by=st.sets(addresses, min_size=1, max_size=5),
    noise=st.lists(st.binary(max_size=60), max_size=5),
    data=st.data(),
)
def test_nothing_of_a_non_member_is_ever_published(epoch_of, list_of, in_the_air, members, passers_by, noise, data):
    consent = ConsentFilter("demo")
    consent.take(list_of(epoch_of(1, members)), 0)
    agent = Agent("s1", consent, boot=1)
    there = sorted({*members, *passers_by})
    for at_ms in range(data.draw(st.integers(1, 30))):
        raw = in_the_air(
            data.draw(st.sampled_from(there)),
            kind=data.draw(kinds),
            dbm=data.draw(st.sampled_from([None, -50, -70])),
            direction=data.draw(st.integers(0, 3)),
            retry=data.draw(st.booleans()),
        )
        agent.hear(raw, at_ms)
    for raw in noise:
        agent.hear(raw, 40, PLAIN)
    published = [message for message in (agent.gather(1_000), agent.gather(1_000), agent.health(1_000)) if message]
    heard = {handle for message in published if isinstance(message, Batch) for handle in message.handle}
    assert heard <= set(members.values())
    for message in published:
        for payload in (pack(message), msgspec.json.encode(message)):
            for address in there:
                assert address not in payload
                assert address.hex().encode() not in payload
                assert address.hex(":").encode() not in payload


# -- the access points beside other sensors -------------------------------------------------------

BESIDE_S1, BESIDE_S2 = bytes.fromhex("06aaaaaaaa01"), bytes.fromhex("06aaaaaaaa02")


@pytest.fixture
def neighbour(epoch_of, list_of) -> Agent:
    consent = ConsentFilter("demo")
    allow = list_of(epoch_of(1, {ANA: 41}))
    consent.take(msgspec.structs.replace(allow, beacons={BESIDE_S1: "s1", BESIDE_S2: "s2"}), 0)
    return Agent("s1", consent, boot=3)


def test_beacons_beside_other_sensors_are_told_once_by_the_sensors_name(neighbour, in_the_air):
    for dbm in (-70, -62, -71):
        neighbour.hear(in_the_air(BESIDE_S2, kind=Kind.BEACON, direction=0, dbm=dbm), 1_000)
    assert [neighbour.health(at_ms).hears for at_ms in (10_000, 20_000)] == [{"s2": -70}, {}]
    assert neighbour.gather(2_000) is None, "a sensor is no member"


def test_own_beacons_and_those_of_strangers_are_told_to_nobody(neighbour, in_the_air):
    for address in (BESIDE_S1, STRANGER, ANA):
        neighbour.hear(in_the_air(address, kind=Kind.BEACON, direction=0), 1_000)
    neighbour.hear(in_the_air(BESIDE_S2, kind=Kind.BEACON, direction=0, dbm=None), 1_000)
    assert neighbour.health(10_000).hears == {}
