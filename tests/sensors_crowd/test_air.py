"""What reaches the sensors: bytes that scapy reads as we meant them, as loud as the stated model says."""

from __future__ import annotations

from pathlib import Path
from time import process_time

import numpy as np
import pytest
from scapy.layers.dot11 import (
    Dot11,
    Dot11AssoReq,
    Dot11Auth,
    Dot11Beacon,
    Dot11Elt,
    Dot11QoS,
    Dot11ReassoReq,
    RadioTap,
)  # fmt: skip

from engine.plan import Plan
from sensors.air import (
    BEACON_DB,
    BEACON_EVERY_MS,
    BODY_LOSS_DB,
    DETECTED,
    FAINTEST_DBM,
    FLOOR_LOSS_DB,
    JITTER_DB,
    MOST_SENSORS,
    Air,
    bssid_of,
)
from sensors.airframes import BROADCAST, CHANNELS, ROUTER, SENT, SIGNAL, SSID, beacon, frame, lead, megahertz
from sensors.crowd import Crowd
from sensors.frames import Kind, read
from sensors.phones import Emissions, Phones, octets
from sensors.walkers import Bodies

PHONE, AP, OLD_AP = bytes.fromhex("9a1122334455"), bssid_of("g00"), bssid_of("g01")
TO_DS, POWER_SAVE, PROTECTED = 0x01, 0x10, 0x40
RADIO_HEADER = len(lead(0, 1)) + 1


def colons(address: bytes) -> str:
    return address.hex(":")


def decoded(kind, *, channel=36, dbm=-61, sequence=1234, at_ms=1_790_000_000_123):
    raw = lead(at_ms, channel) + SIGNAL[dbm + 128] + frame(kind, AP, PHONE, sequence, leaves=OLD_AP)
    return RadioTap(raw)


def signal_of(raw: bytes) -> int:
    return int.from_bytes(raw[RADIO_HEADER - 1 : RADIO_HEADER], signed=True)


def sequence_of(raw: bytes) -> int:
    return int.from_bytes(raw[RADIO_HEADER + 22 : RADIO_HEADER + 24], "little") >> 4


def crowded(mall, seed=2, minutes=8):
    """(sensor, raw, at_ms) of a crowd's first minutes."""
    crowd = Crowd(mall, seed, members=30, others=60, opens_ms=0)
    phones, air = Phones(30, 60, seed), Air(mall, crowd.people, seed)
    for now_ms in range(0, minutes * 60_000, 1_000):
        phones.follow(crowd.step(now_ms))
        yield from air.hear(phones.due(now_ms), crowd.bodies)


def standing(xy_m, *, level=0, count=1, kind=Kind.QOS_DATA, power_db=0.0, heading=0.0):
    """Emissions of *count* people at one place."""
    person = np.arange(count)
    emissions = Emissions(
        person,
        np.full(count, 5_000),
        np.full(count, kind),
        np.full(count, int.from_bytes(PHONE, "big"), np.uint64),
        person % 4_096,
        np.full(count, power_db),
    )
    return emissions, Bodies(np.full(count, level), np.tile(np.array(xy_m, float), (count, 1)), np.full(count, heading))


@pytest.mark.parametrize("kind", SENT)
def test_scapy_reads_every_template_as_we_meant_it(kind):
    packet = decoded(kind)
    header = packet[Dot11]
    assert (header.type, header.subtype) == (kind >> 4, kind & 0xF)
    assert (header.addr2, header.SC >> 4, header.SC & 0xF) == (colons(PHONE), 1234, 0)
    probe = kind == Kind.PROBE_REQUEST
    assert header.addr1 == colons(BROADCAST if probe else AP)
    assert header.addr3 == colons(BROADCAST if probe else ROUTER if kind >= Kind.NULL else AP)
    flags = {Kind.NULL: TO_DS | POWER_SAVE, Kind.QOS_NULL: TO_DS, Kind.QOS_DATA: TO_DS | PROTECTED}
    assert int(header.FCfield) == flags.get(kind, 0)


@pytest.mark.parametrize("channel", CHANNELS)
@pytest.mark.parametrize("dbm", [-88, -61, -20])
def test_scapy_reads_the_radio_header_as_we_meant_it(channel, dbm):
    packet = decoded(Kind.QOS_NULL, channel=channel, dbm=dbm)
    assert (packet.dBm_AntSignal, packet.ChannelFrequency) == (dbm, megahertz(channel))
    assert (packet.mac_timestamp, packet.Rate, int(packet.Flags)) == (1_790_000_000_123_000, 6.0, 0)
    assert packet.ChannelFlags == ("OFDM+2GHz" if channel <= 13 else "OFDM+5GHz")
    assert packet.notdecoded == b""


def test_requests_name_the_network_and_a_reassociation_also_the_access_point_it_leaves():
    for kind, layer in ((Kind.ASSOC_REQUEST, Dot11AssoReq), (Kind.REASSOC_REQUEST, Dot11ReassoReq)):
        request = decoded(kind)[layer]
        assert request[Dot11Elt].info == SSID.encode()
    assert decoded(Kind.REASSOC_REQUEST)[Dot11ReassoReq].current_AP == colons(OLD_AP)


def test_authentication_is_the_first_message_of_open_system():
    auth = decoded(Kind.AUTH)[Dot11Auth]
    assert (auth.algo, auth.seqnum, auth.status) == (0, 1, 0)


def test_elements_end_exactly_where_the_frame_ends():
    for kind in (Kind.ASSOC_REQUEST, Kind.REASSOC_REQUEST, Kind.PROBE_REQUEST):
        element = decoded(kind)[Dot11Elt]
        while element.payload:
            element = element.payload
            assert isinstance(element, Dot11Elt)
            assert len(element.info) == element.len
    assert decoded(Kind.QOS_NULL).haslayer(Dot11QoS)


def test_every_frame_parses_with_the_signal_that_the_radio_computed(mall):
    air = Air(mall, 400, 3)
    emissions, bodies = standing((21.0, 12.0), count=400, power_db=2.5)
    mean_dbm = air.mean_dbm(bodies.level, bodies.xy_m)[0] + 2.5
    heard = list(air.hear(emissions, bodies))
    assert len(heard) > 1_000
    for sensor, raw, _ in heard[::7]:
        signal = RadioTap(raw).dBm_AntSignal
        assert mean_dbm[sensor] - BODY_LOSS_DB - 5 * JITTER_DB - 1 <= signal <= mean_dbm[sensor] + 5 * JITTER_DB + 1


def test_the_sensors_own_parser_reads_the_same_as_scapy(mall):
    for _, raw, _ in list(crowded(mall, minutes=6))[::5]:
        ours, packet = read(raw), RadioTap(raw)
        assert ours.rssi_dbm == packet.dBm_AntSignal
        assert colons(ours.transmitter) == packet.addr2
        assert ours.sequence == packet.SC >> 4
        assert ours.channel in CHANNELS


def test_the_same_seed_gives_the_same_bytes(mall):
    once, again, other = list(crowded(mall, 2)), list(crowded(mall, 2)), list(crowded(mall, 3))
    assert len(once) > 500
    assert once == again
    assert once != other


def test_nothing_fainter_than_a_receiver_can_hear(mall):
    signals = [signal_of(raw) for _, raw, _ in crowded(mall)]
    assert FAINTEST_DBM <= min(signals) < -80
    assert max(signals) <= -20


def test_at_most_the_ten_strongest_sensors_hear_one_frame(mall):
    air = Air(mall, 200, 3)
    emissions, bodies = standing((30.0, 18.0), count=200, power_db=25.0)
    by_frame = np.zeros(200, int)
    for _, raw, _ in air.hear(emissions, bodies):
        by_frame[sequence_of(raw)] += 1
    assert by_frame.max() <= MOST_SENSORS < len(mall.sensors)


def test_a_sensor_misses_a_quarter_even_of_what_is_near(mall):
    air = Air(mall, 2_000, 3)
    heard = sum(sensor == 0 for sensor, _, _ in air.hear(*standing((10.0, 9.0), count=2_000)))
    assert abs(heard / 2_000 - DETECTED) < 0.03


def test_signal_falls_thirty_decibels_for_ten_times_the_distance(mall):
    # Over many shadowings, so that only distance is left.
    near, far = (
        np.mean([Air(mall, 1, seed).mean_dbm(np.array([0]), np.array([[x_m, 9.0]]))[0, 0] for seed in range(300)])
        for x_m in (13.0, 40.0)
    )
    assert near - far == pytest.approx(30.0, abs=1.5)


def test_another_level_costs_what_the_model_says(mall):
    here, above = (
        np.mean([Air(mall, 1, seed).mean_dbm(np.array([level]), np.array([[14.0, 9.0]]))[0, 0] for seed in range(300)])
        for level in (0, 1)
    )
    assert here - above == pytest.approx(FLOOR_LOSS_DB, abs=1.5)


def test_shadowing_is_the_same_each_time_one_stands_there(mall):
    air = Air(mall, 1, 3)
    place = np.array([0]), np.array([[33.0, 17.0]])
    assert (air.mean_dbm(*place) == air.mean_dbm(*place)).all()


def test_a_body_dims_what_is_behind_it(mall):
    def mean_signal(heading):
        emissions, bodies = standing((20.0, 9.0), count=3_000, heading=heading)
        signals = [signal_of(raw) for to, raw, _ in Air(mall, 3_000, 3).hear(emissions, bodies) if to == 0]
        return np.mean(signals)

    assert mean_signal(np.pi) - mean_signal(0.0) == pytest.approx(BODY_LOSS_DB, abs=0.5)


def test_a_joined_phone_talks_to_an_access_point_of_its_level_on_that_ones_channel(mall):
    air = Air(mall, 90, 2)
    channel_of = dict(zip(map(colons, air.bssids), air.channels.tolist(), strict=True))
    level_of = {colons(bssid_of(sensor.key)): sensor.level for sensor in mall.sensors}
    for level, key in enumerate(("G", "U")):
        for _, raw, _ in air.hear(*standing((31.0, 30.0), level=level)):
            packet = RadioTap(raw)
            assert level_of[packet.addr1] == key
            assert packet.ChannelFrequency == megahertz(channel_of[packet.addr1])


def test_a_phone_that_walks_out_of_reach_reassociates_and_says_from_where(mall):
    air = Air(mall, 1, 2)
    list(air.hear(*standing((10.0, 9.0), kind=Kind.ASSOC_REQUEST)))
    left = air.hear(*standing((50.0, 9.0), count=1))
    packet = RadioTap(next(left)[1])
    assert packet.haslayer(Dot11ReassoReq)
    assert packet.current_AP != packet.addr1
    again = [RadioTap(raw) for _, raw, _ in air.hear(*standing((50.0, 9.0)))]
    assert not any(packet.haslayer(Dot11ReassoReq) for packet in again)


def test_access_points_are_told_apart_and_never_taken_for_a_phone(mall):
    addresses = {bssid_of(sensor.key) for sensor in mall.sensors}
    assert len(addresses) == len(mall.sensors)
    assert not addresses & {octets(address) for address in Phones(400, 1_200, 1).address}


def test_a_full_demo_mall_is_as_loud_as_a_demo_can_bear_and_cheap_to_simulate():
    plan = Plan.read(Path(__file__).parents[2] / "zones.geojson")
    crowd, phones, air = Crowd(plan, 7, opens_ms=0), Phones(400, 1_200, 7), Air(plan, 1_600, 7)

    def minute(number):
        before_s, frames = process_time(), 0
        for now_ms in range(number * 60_000, (number + 1) * 60_000, 1_000):
            phones.follow(crowd.step(now_ms))
            frames += sum(1 for _ in air.hear(phones.due(now_ms), crowd.bodies))
        return frames, process_time() - before_s

    minutes = [minute(number) for number in range(30)][-5:]
    assert crowd.present().size > 500
    assert all(10_000 < frames < 17_000 for frames, _ in minutes)
    # At speed 60 a virtual minute lasts a second; a third of a core is left to the simulation.
    assert min(cost_s for _, cost_s in minutes) < 0.35


# -- access points --------------------------------------------------------------------------------


def test_a_beacon_is_read_by_scapy_as_we_meant_it():
    packet = RadioTap(lead(1, 36) + SIGNAL[-61 + 128] + beacon(AP, 7))
    assert (packet.addr1, packet.addr2, packet.addr3) == ("ff:ff:ff:ff:ff:ff", colons(AP), colons(AP))
    assert (packet[Dot11Beacon].beacon_interval, packet[Dot11Elt].info, packet.SC >> 4) == (100, SSID.encode(), 7)


def test_each_access_point_is_heard_by_others_once_a_minute_and_never_by_its_own_sensor(mall):
    air = Air(mall, 1, 3)
    heard = [(sensor, read(raw, 127).transmitter, at_ms) for sensor, raw, at_ms in air.beacons(0, BEACON_EVERY_MS)]
    senders = {transmitter for _, transmitter, _ in heard}
    assert senders <= set(air.bssids) and len(senders) > len(air.bssids) / 2
    assert all(air.bssids[sensor] != transmitter for sensor, transmitter, _ in heard)
    in_parts = [row for from_ms in range(0, BEACON_EVERY_MS, 1_000) for row in air.beacons(from_ms, from_ms + 1_000)]
    assert {at_ms for *_, at_ms in in_parts} == {at_ms for *_, at_ms in heard}


def test_beacons_are_as_loud_as_stated(mall):
    air = Air(mall, 1, 3)
    level, xy_m = np.array([0]), np.array([[mall.sensors[0].x_m, mall.sensors[0].y_m]])
    expected_dbm = air.mean_dbm(level, xy_m)[0] + BEACON_DB
    loud = {}
    for sensor, raw, _ in air.beacons(0, BEACON_EVERY_MS):
        if read(raw, 127).transmitter == air.bssids[0]:
            loud[sensor] = signal_of(raw)
    assert loud and all(abs(dbm - min(expected_dbm[sensor], -20)) < 5 * JITTER_DB for sensor, dbm in loud.items())
