"""Reads the little that Sojourn needs from a captured 802.11 frame: who sent it, how, and how strongly it was heard.

Only headers are read, never a payload. Headers stay in clear under every kind of Wi-Fi encryption.
"""

from __future__ import annotations

import struct
from enum import IntEnum
from typing import NamedTuple

# Link types of capture files and sockets that carry Wi-Fi frames.
PLAIN, PRISM, RADIOTAP = 105, 119, 127


class Kind(IntEnum):
    """What a frame is: type << 4 | subtype. Control extensions have a subtype of their own: 0x160 | extension."""

    ASSOC_REQUEST = 0x00
    ASSOC_RESPONSE = 0x01
    REASSOC_REQUEST = 0x02
    REASSOC_RESPONSE = 0x03
    PROBE_REQUEST = 0x04
    PROBE_RESPONSE = 0x05
    TIMING_ADVERTISEMENT = 0x06
    BEACON = 0x08
    ATIM = 0x09
    DISASSOC = 0x0A
    AUTH = 0x0B
    DEAUTH = 0x0C
    ACTION = 0x0D
    ACTION_NO_ACK = 0x0E
    TRIGGER = 0x12
    TACK = 0x13
    BEAMFORMING_POLL = 0x14
    NDP_ANNOUNCEMENT = 0x15
    CONTROL_WRAPPER = 0x17
    BLOCK_ACK_REQUEST = 0x18
    BLOCK_ACK = 0x19
    PS_POLL = 0x1A
    RTS = 0x1B
    CTS = 0x1C
    ACK = 0x1D
    CF_END = 0x1E
    CF_END_ACK = 0x1F
    DATA = 0x20
    DATA_CF_ACK = 0x21
    DATA_CF_POLL = 0x22
    DATA_CF_ACK_POLL = 0x23
    NULL = 0x24
    CF_ACK = 0x25
    CF_POLL = 0x26
    CF_ACK_POLL = 0x27
    QOS_DATA = 0x28
    QOS_DATA_CF_ACK = 0x29
    QOS_DATA_CF_POLL = 0x2A
    QOS_DATA_CF_ACK_POLL = 0x2B
    QOS_NULL = 0x2C
    QOS_CF_POLL = 0x2E
    QOS_CF_ACK_POLL = 0x2F
    DMG_BEACON = 0x30


class Frame(NamedTuple):
    """One frame as heard.

    subtype      as in Kind; a subtype that Kind does not name is reserved
    transmitter  six octets; None where the frame names nobody (acknowledgements) or was cut before the name
    bssid        six octets of the access point it goes to or comes from; None where there is none
    to_ds, from_ds  False except in data frames, as are those bits elsewhere
    sequence     0..4095; 0 where the frame has none
    rssi_dbm     None where the receiver told no signal in dBm; combined over antennas where it told both
    channel      Wi-Fi channel number, 0 unknown. 6 GHz channels share their numbers with the other bands
    """

    subtype: int
    transmitter: bytes | None
    bssid: bytes | None
    to_ds: bool
    from_ds: bool
    retry: bool
    sequence: int
    rssi_dbm: int | None
    channel: int


class Undecodable(Exception):
    """Bytes that are no readable frame; *reason* is one of a small, countable set."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


# -- the 802.11 header ----------------------------------------------------------------------------

_MANAGEMENT, _NAMING_CONTROL, _DATA, _NAMELESS = range(4)
_NAMING = {
    Kind.TRIGGER,
    Kind.TACK,
    Kind.BEAMFORMING_POLL,
    Kind.NDP_ANNOUNCEMENT,
    Kind.BLOCK_ACK_REQUEST,
    Kind.BLOCK_ACK,
    Kind.PS_POLL,
    Kind.RTS,
    Kind.CF_END,
    Kind.CF_END_ACK,
}


def _meaning(first_octet: int) -> tuple[int, int] | None:
    """(subtype, form of header) of a frame control's first octet; None for another protocol version."""
    if first_octet & 0x03:
        return None
    subtype = (first_octet & 0x0C) << 2 | first_octet >> 4
    forms = (_MANAGEMENT, _NAMING_CONTROL if subtype in _NAMING else _NAMELESS, _DATA, _NAMELESS)
    return subtype, forms[subtype >> 4]


_MEANINGS = [_meaning(octet) for octet in range(256)]
_CONTROL_EXTENSION = 0x16
_TO_DS, _FROM_DS, _RETRY = 0x01, 0x02, 0x08
# Frame control, duration, three addresses, sequence control: what every management and data frame begins with.
_header = struct.Struct("<BBH6s6s6sH").unpack_from
_HEADER_BYTES = 24
_TO_TRANSMITTER_BYTES = 16
_FCS_BYTES = 4
# Calling the class does the same and costs as much again as all the rest of reading a frame's header.
_new = tuple.__new__


def read(raw: bytes, linktype: int = RADIOTAP) -> Frame:
    """Read one captured frame, with its radio header if the link type has one. Raises Undecodable."""
    rssi_dbm, channel, fcs_bytes = None, 0, 0
    if linktype == RADIOTAP:
        # The first eight octets (version, length, which fields) nearly always settle where everything stands.
        layout = _layouts.get(raw[:8])
        if layout is None:
            layout = _find_layout(raw)
        start, flags_at, channel_at, signal_at = layout
        if len(raw) < start:
            raise Undecodable("cut-in-radio-header")
        if flags_at:
            flags = raw[flags_at]
            if flags & _BAD_FCS:
                raise Undecodable("bad-fcs")
            if flags & _FCS_AT_END:
                fcs_bytes = _FCS_BYTES
        if channel_at:
            channel = _CHANNEL_OF_MHZ.get(raw[channel_at] | raw[channel_at + 1] << 8, 0)
        if signal_at:
            rssi_dbm = _SIGNED[raw[signal_at]]
    elif linktype == PLAIN:
        start = 0
    elif linktype == PRISM:
        start = _prism_bytes(raw)
    else:
        raise Undecodable("not-wifi")

    whole = len(raw) - start - fcs_bytes
    if whole < _HEADER_BYTES:
        return _read_short(raw, start, whole, rssi_dbm, channel)
    control, bits, _, first, second, third, sequence = _header(raw, start)
    meaning = _MEANINGS[control]
    if meaning is None:
        raise Undecodable("other-protocol-version")
    subtype, form = meaning
    retry = bits & _RETRY != 0
    if form == _DATA:
        to_ds, from_ds = bits & _TO_DS != 0, bits & _FROM_DS != 0
        bssid = (None if from_ds else first) if to_ds else second if from_ds else third
        return _new(Frame, (subtype, second, bssid, to_ds, from_ds, retry, sequence >> 4, rssi_dbm, channel))
    if form == _MANAGEMENT:
        return _new(Frame, (subtype, second, third, False, False, retry, sequence >> 4, rssi_dbm, channel))
    return _read_short(raw, start, whole, rssi_dbm, channel)


def _read_short(raw: bytes, start: int, whole: int, rssi_dbm: int | None, channel: int) -> Frame:
    """Control frames, and frames whose header was cut. Only some control frames name who sent them."""
    if whole < 2:
        raise Undecodable("cut-in-frame-control")
    meaning = _MEANINGS[raw[start]]
    if meaning is None:
        raise Undecodable("other-protocol-version")
    (subtype, form), bits = meaning, raw[start + 1]
    if subtype == _CONTROL_EXTENSION:
        # Its four bits stand where others have the flags of the distribution system.
        return Frame(subtype << 4 | bits & 0x0F, None, None, False, False, False, 0, rssi_dbm, channel)
    names = form == _NAMING_CONTROL and whole >= _TO_TRANSMITTER_BYTES
    transmitter = raw[start + 10 : start + 16] if names else None
    retry = bits & _RETRY != 0
    return Frame(subtype, transmitter, None, False, False, retry, 0, rssi_dbm, channel)


# -- radio headers --------------------------------------------------------------------------------

_PRISM_CODES = (0x41, 0x44)
_PRISM_LEAD = struct.Struct("<II"), struct.Struct(">II")


def _prism_bytes(raw: bytes) -> int:
    """How long the PRISM header is. Its signal has no stated unit, so none is taken from it."""
    for lead in _PRISM_LEAD:
        if len(raw) >= lead.size:
            code, length = lead.unpack_from(raw)
            if code in _PRISM_CODES:
                if length > len(raw):
                    raise Undecodable("cut-in-radio-header")
                return int(length)
    # Drivers of that age sometimes delivered bare frames under this link type.
    return 0


class _Layout(NamedTuple):
    """Where things stand behind one radiotap header; 0 stands for absent, as no field can stand there."""

    start: int
    flags_at: int
    channel_at: int
    signal_at: int


_FLAGS_BIT, _CHANNEL_BIT, _SIGNAL_BIT = 1, 3, 5
_BAD_FCS, _FCS_AT_END = 0x40, 0x10
# (alignment, size) of the fields by bit, as the radiotap standard numbers them.
_FIELDS = (
    *((8, 8), (1, 1), (1, 1), (2, 4), (2, 2), (1, 1), (1, 1), (2, 2), (2, 2), (2, 2), (1, 1), (1, 1), (1, 1), (1, 1)),
    *((2, 2), (2, 2), (1, 1), (1, 1), (4, 8), (1, 3), (4, 8), (2, 12), (8, 12), (2, 12), (2, 12), (2, 6), (1, 1)),
    (2, 4),
)
_RADIOTAP_NEXT, _VENDOR_NEXT, _MORE_WORDS = 1 << 29, 1 << 30, 1 << 31
_SIGNED = [octet - 256 if octet > 127 else octet for octet in range(256)]
_CHANNEL_OF_MHZ = {
    **{2407 + 5 * channel: channel for channel in range(1, 14)},
    2484: 14,
    **{5000 + 5 * channel: channel for channel in range(7, 178)},
    **{5950 + 5 * channel: channel for channel in range(1, 234)},
}
# One radio uses a handful of layouts; only a hostile capture has more, and it must not fill the memory.
_MOST_LAYOUTS = 1024
_layouts: dict[bytes, _Layout] = {}
# How far the words that name the fields reach, by the first eight octets, where there is more than one word.
_chains: dict[bytes, int] = {}


def _find_layout(raw: bytes) -> _Layout:
    """The layout of a header that the first eight octets do not settle, or that is new. Raises Undecodable."""
    layout = _layouts.get(raw[: _chains.get(raw[:8], 8)])
    if layout is not None:
        return layout
    if len(raw) < 8:
        raise Undecodable("cut-in-radio-header")
    version, length = raw[0], raw[2] | raw[3] << 8
    if version != 0:
        raise Undecodable("other-radiotap-version")
    words: list[int] = []
    at = 4
    while not words or words[-1] & _MORE_WORDS:
        if at + 4 > length:
            raise Undecodable("bad-radio-header")
        if at + 4 > len(raw):
            raise Undecodable("cut-in-radio-header")
        words.append(int.from_bytes(raw[at : at + 4], "little"))
        at += 4
    layout = _walk(raw, words, at, length)
    if any(word & _VENDOR_NEXT for word in words):
        return layout  # what a vendor adds has its length in the data, so the next frame may differ
    if len(_layouts) >= _MOST_LAYOUTS:
        _layouts.clear()
        _chains.clear()
    _layouts[raw[:at]] = layout
    if at > 8:
        _chains[raw[:8]] = at
    return layout


def _walk(raw: bytes, words: list[int], at: int, length: int) -> _Layout:
    """Walk the fields in order; of a field told several times (per antenna) the first is the combined one."""
    found: dict[int, int] = {}
    readable = True
    for word in words:
        if readable:
            for bit, (alignment, size) in enumerate(_FIELDS):
                if word >> bit & 1:
                    at += -at % alignment
                    found.setdefault(bit, at)
                    at += size
            if at > length:
                raise Undecodable("bad-radio-header")
        if word & _VENDOR_NEXT:
            at += -at % 2 + 6
            if at > min(length, len(raw)):
                raise Undecodable("bad-radio-header")
            at += raw[at - 2] | raw[at - 1] << 8
            readable = False
        elif word & _RADIOTAP_NEXT:
            readable = True
        elif readable:
            break  # the next word goes on with fields that no standard has named, of unknown size
    return _Layout(length, *(found.get(bit, 0) for bit in (_FLAGS_BIT, _CHANNEL_BIT, _SIGNAL_BIT)))
