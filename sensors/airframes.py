"""The 802.11 frames that simulated phones send, as bytes behind a radiotap header.

Every frame is a template with a few fields patched in: building each with a packet library costs a thousand times more.
The tests hold every template against scapy's decoding.
"""

from __future__ import annotations

import struct

from sensors.frames import Kind

SSID = "Sojourn Mall"
BROADCAST = b"\xff" * 6
# Where uplink data goes next: the mall's router, behind every access point.
ROUTER = bytes.fromhex("02534f4a0001")


# All that a simulated phone ever sends.
SENT = (
    Kind.ASSOC_REQUEST,
    Kind.REASSOC_REQUEST,
    Kind.PROBE_REQUEST,
    Kind.AUTH,
    Kind.NULL,
    Kind.QOS_DATA,
    Kind.QOS_NULL,
)


def _element(number: int, body: bytes) -> bytes:
    return bytes((number, len(body))) + body


_TO_DS, _POWER_SAVE, _PROTECTED = 0x01, 0x10, 0x40
_FLAGS = {
    Kind.QOS_DATA: _TO_DS | _PROTECTED,
    Kind.NULL: _TO_DS | _POWER_SAVE,  # "I go to sleep"
    Kind.QOS_NULL: _TO_DS,
}
_DURATION_US = struct.pack("<H", 48)
# Frame control: protocol version 0, then type and subtype, then flags; then the duration.
_HEAD = {kind: bytes(((kind & 0xF) << 4 | (kind >> 4) << 2, _FLAGS.get(kind, 0))) + _DURATION_US for kind in SENT}

_RATES = _element(1, bytes((0x82, 0x84, 0x8B, 0x96, 0x0C, 0x12, 0x18, 0x24)))
_RSN = _element(48, bytes.fromhex("0100000fac040100000fac040100000fac010000"))  # WPA2-Enterprise
_CAPABILITIES_AND_INTERVAL = struct.pack("<HH", 0x0431, 10)
_QOS_CONTROL = b"\x00\x00"
# A CCMP header and a short sealed payload; nobody in Sojourn looks inside.
_SEALED = bytes.fromhex("0100002000000000") + bytes(range(0x5A, 0x7A))
_TAIL = {
    Kind.ASSOC_REQUEST: _CAPABILITIES_AND_INTERVAL + _element(0, SSID.encode()) + _RATES + _RSN,
    Kind.REASSOC_REQUEST: _element(0, SSID.encode()) + _RATES + _RSN,
    Kind.PROBE_REQUEST: _element(0, b"") + _RATES,
    Kind.AUTH: struct.pack("<HHH", 0, 1, 0),  # open system, first of the exchange, success
    Kind.NULL: b"",
    Kind.QOS_DATA: _QOS_CONTROL + _SEALED,
    Kind.QOS_NULL: _QOS_CONTROL,
}


def frame(kind: int, bssid: bytes, address: bytes, sequence: int, *, leaves: bytes = BROADCAST) -> bytes:
    """One 802.11 frame from the phone at *address* to the access point *bssid*, or to all when it probes.

    sequence  0..4095
    leaves    the access point that a reassociation comes from
    """
    to, network = (BROADCAST, BROADCAST) if kind == Kind.PROBE_REQUEST else (bssid, bssid)
    third = ROUTER if kind & 0x20 else network
    if kind == Kind.REASSOC_REQUEST:
        body = _CAPABILITIES_AND_INTERVAL + leaves + _TAIL[Kind.REASSOC_REQUEST]
    else:
        body = _TAIL[Kind(kind)]
    return _HEAD[Kind(kind)] + to + address + third + (sequence << 4).to_bytes(2, "little") + body


# A time stamp that nobody reads, an interval of 102.4 ms, and the network's name.
_BEACON_TAIL = struct.pack("<QHH", 0, 100, 0x0431) + _element(0, SSID.encode()) + _RATES + _RSN


def beacon(bssid: bytes, sequence: int) -> bytes:
    """What the access point *bssid* says of itself ten times a second."""
    return b"\x80\0\0\0" + BROADCAST + bssid + bssid + (sequence << 4).to_bytes(2, "little") + _BEACON_TAIL


# -- radiotap -------------------------------------------------------------------------------------

# Present: TSFT, flags, rate, channel, antenna signal. The signal comes last, so that one emission is packed once and
# only its last radiotap octet differs from sensor to sensor.
_PRESENT = 1 << 0 | 1 << 1 | 1 << 2 | 1 << 3 | 1 << 5
_LEAD = struct.Struct("<BBHIQBBHH")
_LENGTH = _LEAD.size + 1
_6_MBPS = 12
_OFDM, _2_GHZ, _5_GHZ = 0x0040, 0x0080, 0x0100
SIGNAL = [struct.pack("b", dbm) for dbm in range(-128, 1)]  # SIGNAL[dbm + 128], dbm up to 0
# The usual non-overlapping channels; neighbours in the list go to neighbouring access points.
CHANNELS = (1, 36, 6, 44, 11, 40, 48)


def megahertz(channel: int) -> int:
    return 2_407 + 5 * channel if channel <= 13 else 5_000 + 5 * channel


def lead(at_ms: int, channel: int) -> bytes:
    """A radiotap header without its last octet, the signal."""
    band = _2_GHZ if channel <= 13 else _5_GHZ
    return _LEAD.pack(0, 0, _LENGTH, _PRESENT, at_ms * 1_000, 0, _6_MBPS, megahertz(channel), _OFDM | band)
