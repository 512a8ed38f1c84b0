"""What frames.read makes of bytes, held against scapy's reading of the same bytes."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scapy.layers.dot11 import (
    Dot11,
    Dot11AssoReq,
    Dot11Auth,
    Dot11Beacon,
    Dot11Elt,
    Dot11ProbeReq,
    Dot11ProbeResp,
    Dot11QoS,
    Dot11ReassoReq,
    RadioTap,
)

from sensors import captures, frames
from sensors.frames import PLAIN, PRISM, RADIOTAP, Frame, Kind, Undecodable

STATION, ACCESS_POINT, ROUTER = "02:00:00:00:00:01", "02:00:00:00:00:02", "02:00:00:00:00:03"


def octets(address: str) -> bytes:
    return bytes.fromhex(address.replace(":", ""))


def header(*words: int, fields: bytes = b"", version: int = 0) -> bytes:
    """A radiotap header of these present words and fields."""
    length = 4 + 4 * len(words) + len(fields)
    return struct.pack(f"<BBH{len(words)}I", version, 0, length, *words) + fields


NULL_FRAME = bytes(Dot11(type=2, subtype=4, FCfield="to_DS", addr1=ACCESS_POINT, addr2=STATION, addr3=ACCESS_POINT))


def reason(raw: bytes, linktype: int = RADIOTAP) -> str:
    with pytest.raises(Undecodable) as problem:
        frames.read(raw, linktype)
    return problem.value.reason


# -- one fact each --------------------------------------------------------------------------------


def test_a_qos_null_to_the_access_point_reads_whole():
    radio = RadioTap(present="Channel+dBm_AntSignal", ChannelFrequency=2437, dBm_AntSignal=-57)
    dot11 = Dot11(
        type=2, subtype=12, FCfield="to_DS+retry", addr1=ACCESS_POINT, addr2=STATION, addr3=ROUTER, SC=77 << 4
    )
    frame = frames.read(bytes(radio / dot11 / Dot11QoS()))
    assert frame == Frame(
        subtype=Kind.QOS_NULL,
        transmitter=octets(STATION),
        bssid=octets(ACCESS_POINT),
        to_ds=True,
        from_ds=False,
        retry=True,
        sequence=77,
        rssi_dbm=-57,
        channel=6,
    )


def test_a_frame_without_signal_has_none_rather_than_zero():
    assert frames.read(header(0) + NULL_FRAME).rssi_dbm is None


def test_a_frame_without_radio_header_has_neither_signal_nor_channel():
    frame = frames.read(NULL_FRAME, PLAIN)
    assert (frame.transmitter, frame.rssi_dbm, frame.channel) == (octets(STATION), None, 0)


def test_the_signal_of_a_prism_header_has_no_unit_and_is_not_taken():
    prism = struct.pack("<II", 0x44, 144) + bytes(136)
    frame = frames.read(prism + NULL_FRAME, PRISM)
    assert (frame.transmitter, frame.rssi_dbm) == (octets(STATION), None)


def test_a_big_endian_prism_header_is_as_good():
    prism = struct.pack(">II", 0x41, 144) + bytes(136)
    assert frames.read(prism + NULL_FRAME, PRISM).transmitter == octets(STATION)


def test_a_frame_that_failed_its_check_sequence_is_dropped():
    assert reason(header(1 << 1, fields=b"\x40") + NULL_FRAME) == "bad-fcs"


def test_a_check_sequence_is_not_taken_for_an_address():
    rts = bytes(Dot11(type=1, subtype=11, addr1=ACCESS_POINT, addr2=STATION))[:16]
    assert frames.read(header(1 << 1, fields=b"\x00") + rts).transmitter == octets(STATION)
    assert frames.read(header(1 << 1, fields=b"\x10") + rts).transmitter is None


def test_per_antenna_signals_do_not_replace_the_combined_one():
    words = (1 << 5 | 1 << 29 | 1 << 31, 1 << 5 | 1 << 11 | 1 << 29 | 1 << 31, 1 << 5 | 1 << 11)
    fields = struct.pack("<bbBbB", -50, -52, 0, -61, 1)
    assert frames.read(header(*words, fields=fields) + NULL_FRAME).rssi_dbm == -50


def test_a_signal_told_only_per_antenna_is_the_first_antennas():
    words = (1 << 29 | 1 << 31, 1 << 5 | 1 << 11)
    assert frames.read(header(*words, fields=struct.pack("<bB", -52, 0)) + NULL_FRAME).rssi_dbm == -52


def test_what_a_vendor_adds_is_stepped_over():
    words = (1 << 30 | 1 << 31, 0xFFFF | 1 << 29 | 1 << 31, 1 << 5)
    for length in (0, 5, 9):
        vendor = b"\x01\x02\x03\x00" + struct.pack("<H", length) + bytes(length)
        assert frames.read(header(*words, fields=vendor + struct.pack("<b", -44)) + NULL_FRAME).rssi_dbm == -44


def test_a_word_that_goes_on_without_a_namespace_names_fields_nobody_knows():
    words = (1 << 5 | 1 << 31, 0xFFFF)
    assert frames.read(header(*words, fields=struct.pack("<b", -44)) + NULL_FRAME).rssi_dbm == -44


def test_two_chains_that_begin_alike_are_told_apart():
    first = 1 << 29 | 1 << 31
    signal = header(first, 1 << 5, fields=struct.pack("<b4x", -44))
    antenna = header(first, 1 << 11, fields=struct.pack("<b4x", 3))
    assert signal[:8] == antenna[:8]
    seen = [frames.read(radio + NULL_FRAME).rssi_dbm for radio in (signal, antenna, signal, antenna)]
    assert seen == [-44, None, -44, None]


@pytest.mark.parametrize(
    ("mhz", "channel"), [(2412, 1), (2472, 13), (2484, 14), (5180, 36), (5885, 177), (5955, 1), (7115, 233), (900, 0)]
)
def test_a_frequency_is_told_as_its_channel_number(mhz, channel):
    radio = header(1 << 3, fields=struct.pack("<HH", mhz, 0))
    assert frames.read(radio + NULL_FRAME).channel == channel


@pytest.mark.parametrize(
    ("bits", "bssid"), [("", ROUTER), ("to_DS", ACCESS_POINT), ("from_DS", STATION), ("to_DS+from_DS", None)]
)
def test_the_access_point_of_a_data_frame_stands_where_its_direction_says(bits, bssid):
    raw = bytes(Dot11(type=2, FCfield=bits, addr1=ACCESS_POINT, addr2=STATION, addr3=ROUTER, addr4=ROUTER))
    assert frames.read(raw, PLAIN).bssid == (octets(bssid) if bssid else None)


def test_an_acknowledgement_names_nobody():
    frame = frames.read(bytes(Dot11(type=1, subtype=13, addr1=STATION)), PLAIN)
    assert (frame.subtype, frame.transmitter) == (Kind.ACK, None)


def test_a_header_cut_before_its_end_names_nobody_but_still_counts():
    assert frames.read(NULL_FRAME[:20], PLAIN)[:2] == (Kind.NULL, None)


def test_a_control_extension_keeps_its_own_subtype():
    assert frames.read(b"\x64\x05" + bytes(20), PLAIN).subtype == 0x165


@pytest.mark.parametrize(
    ("raw", "linktype", "why"),
    [
        (b"", RADIOTAP, "cut-in-radio-header"),
        (header(0)[:6], RADIOTAP, "cut-in-radio-header"),
        (header(1 << 0, fields=bytes(8))[:12], RADIOTAP, "cut-in-radio-header"),
        (header(1 << 31, 0)[:8], RADIOTAP, "cut-in-radio-header"),
        (header(1 << 0, fields=b""), RADIOTAP, "bad-radio-header"),
        (header(1 << 31), RADIOTAP, "bad-radio-header"),
        (b"\0\0\x04\0" + bytes(40), RADIOTAP, "bad-radio-header"),
        (header(0, version=1) + NULL_FRAME, RADIOTAP, "other-radiotap-version"),
        (header(0), RADIOTAP, "cut-in-frame-control"),
        (b"", PLAIN, "cut-in-frame-control"),
        (b"\x81" + bytes(40), PLAIN, "other-protocol-version"),
        (b"\x83" + bytes(4), PLAIN, "other-protocol-version"),
        (struct.pack("<II", 0x44, 144) + bytes(100), PRISM, "cut-in-radio-header"),
        (NULL_FRAME, 1, "not-wifi"),
    ],
)
def test_what_cannot_be_read_says_why(raw, linktype, why):
    assert reason(raw, linktype) == why


# -- against the reference decoder ----------------------------------------------------------------

BODIES = {
    (0, 0): Dot11AssoReq() / Dot11Elt(ID="SSID", info=b"mall"),
    (0, 2): Dot11ReassoReq() / Dot11Elt(ID="SSID", info=b"mall"),
    (0, 4): Dot11ProbeReq() / Dot11Elt(ID="SSID", info=b""),
    (0, 5): Dot11ProbeResp() / Dot11Elt(ID="SSID", info=b"mall"),
    (0, 8): Dot11Beacon() / Dot11Elt(ID="SSID", info=b"mall"),
    (0, 11): Dot11Auth(seqnum=1),
    (1, 10): b"",
    (1, 11): b"",
    (1, 12): b"",
    (1, 13): b"",
    (2, 0): b"sealed",
    (2, 4): b"",
    (2, 8): Dot11QoS(TID=3) / b"sealed",
    (2, 12): Dot11QoS(),
}
addresses = st.binary(min_size=6, max_size=6).map(lambda raw: raw.hex(":"))
dbm = st.integers(-128, 127)
# Fields that come before the signal shift it; those after it may not. Each as scapy names them.
radio_fields = st.fixed_dictionaries(
    {},
    optional={
        "mac_timestamp": st.integers(0, 2**64 - 1),
        "Flags": st.sampled_from(["", "FCS", "ShortPreamble"]),
        "Rate": st.sampled_from([1, 6, 54]),
        "ChannelFrequency": st.sampled_from([2412, 2484, 5180, 6135, 1]),
        "dBm_AntSignal": dbm,
        "dBm_AntNoise": dbm,
        "Lock_Quality": st.integers(0, 65535),
        "Antenna": st.integers(0, 255),
        "RXFlags": st.just(""),
        "timestamp": st.integers(0, 2**64 - 1),
    },
)
PRESENT = {"mac_timestamp": "TSFT", "ChannelFrequency": "Channel"}


@settings(max_examples=300, deadline=None)
@given(radio_fields, st.sampled_from(sorted(BODIES)), st.lists(addresses, min_size=4, max_size=4), st.data())
def test_what_scapy_builds_reads_as_scapy_reads_it(fields, kind, at, data):
    present = "+".join(PRESENT.get(name, name) for name in fields)
    direction = data.draw(st.sampled_from(["", "to_DS", "from_DS", "to_DS+from_DS"])) if kind[0] == 2 else ""
    bits = "+".join(filter(None, [direction, data.draw(st.sampled_from(["", "retry", "pw_mgt"]))]))
    sequence = data.draw(st.integers(0, 4095))
    dot11 = Dot11(
        type=kind[0],
        subtype=kind[1],
        FCfield=bits,
        addr1=at[0],
        addr2=at[1],
        addr3=at[2],
        addr4=at[3],
        SC=sequence << 4,
    )
    fcs = bytes(4) if fields.get("Flags") == "FCS" else b""
    raw = bytes(RadioTap(present=present, **fields) / dot11 / BODIES[kind]) + fcs
    frame, reference = frames.read(raw), RadioTap(raw)
    told = reference.getlayer(Dot11)
    names = kind not in ((1, 12), (1, 13))
    assert frame.subtype == told.type << 4 | told.subtype
    assert frame.rssi_dbm == (reference.dBm_AntSignal if "dBm_AntSignal" in fields else None)
    assert frame.retry == bool(told.FCfield.retry)
    assert frame.transmitter == (octets(told.addr2) if names else None)
    if kind[0] != 1:
        assert frame.sequence == told.SC >> 4 == sequence
    if kind[0] == 2:
        assert (frame.to_ds, frame.from_ds) == (bool(told.FCfield.to_DS), bool(told.FCfield.from_DS))
    if "ChannelFrequency" in fields:
        assert frame.channel == {2412: 1, 2484: 14, 5180: 36, 6135: 37, 1: 0}[reference.ChannelFrequency]


# -- whatever comes -------------------------------------------------------------------------------

linktypes = st.sampled_from([PLAIN, PRISM, RADIOTAP, 1, 0, -1])


def read_or_refuse(raw: bytes, linktype: int) -> None:
    try:
        frame = frames.read(raw, linktype)
    except Undecodable as problem:
        assert problem.reason in REASONS
    else:
        assert frame.transmitter is None or len(frame.transmitter) == 6
        assert 0 <= frame.sequence < 4096 and 0 <= frame.channel <= 255


REASONS = {
    "not-wifi",
    "bad-fcs",
    "cut-in-radio-header",
    "bad-radio-header",
    "other-radiotap-version",
    "cut-in-frame-control",
    "other-protocol-version",
}


@settings(max_examples=1000, deadline=None)
@given(st.binary(max_size=120), linktypes)
def test_any_bytes_are_read_or_refused_with_a_known_reason(raw, linktype):
    read_or_refuse(raw, linktype)


@settings(max_examples=1000, deadline=None)
@given(st.binary(min_size=4, max_size=40), st.integers(4, 80), st.binary(max_size=40))
def test_any_radiotap_header_is_read_or_refused_with_a_known_reason(words, length, rest):
    read_or_refuse(struct.pack("<BBH", 0, 0, length) + words + rest, RADIOTAP)


@pytest.fixture(scope="module")
def real(shared) -> list[captures.Packet]:
    names = ("aircrack_test1.pcap", "tcpdump_ieee802.11_exthdr.pcap", "aircrack_wpa.cap", "tcpdump_ieee802.11_htc.pcap")
    return [packet for name in names for packet in captures.packets(shared / f"wifi-captures/{name}.gz")]


@settings(max_examples=1000, deadline=None)
@given(st.data())
def test_a_damaged_real_frame_is_read_or_refused_with_a_known_reason(real, data):
    packet = data.draw(st.sampled_from(real))
    raw = bytearray(packet.raw[: data.draw(st.integers(0, len(packet.raw)))])
    for at in data.draw(st.lists(st.integers(0, 63), max_size=6)):
        if at < len(raw):
            raw[at] = data.draw(st.integers(0, 255))
    read_or_refuse(bytes(raw), packet.linktype)


def test_a_flood_of_strange_headers_does_not_fill_the_memory():
    for pad in range(256):
        for rate in range(8):
            raw = bytearray(header(1 << 5, fields=bytes(1 + rate)) + NULL_FRAME)
            raw[1] = pad
            frames.read(bytes(raw))
    assert len(frames._layouts) <= frames._MOST_LAYOUTS
