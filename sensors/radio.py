"""Live frames from an interface in monitor mode.

scapy opens the socket and its kernel filter; frames.read does the reading, as scapy's own would be a thousand times
slower. Nothing is sent, and nothing of a frame beyond its headers leaves the kernel.
"""

from __future__ import annotations

import select
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import structlog
from scapy.arch.linux import L2ListenSocket
from scapy.error import Scapy_Exception
from scapy.supersocket import SuperSocket

from sensors.frames import PLAIN, PRISM, RADIOTAP

log = structlog.get_logger()

INTERFACES = Path("/sys/class/net")
# What Linux calls the type of an interface whose frames come as they were on the air.
LINKTYPE_OF_HARDWARE = {801: PLAIN, 802: PRISM, 803: RADIOTAP}
# What an Agent would count; acknowledgements, the most of all frames, never leave the kernel. Beacons do: those of the
# mall's own access points say how signals fade.
KERNEL_FILTER = (
    "(type data and dir tods) or "
    "(type mgt and (subtype assoc-req or subtype reassoc-req or subtype auth or subtype probe-req or subtype beacon))"
)
# Long enough for any radio header and the 802.11 header behind it; a payload is none of our business.
SNAP_BYTES = 256
# Cards leave monitor mode without a word. On a mall's channel ten seconds are never silent.
SILENT_S = 10.0
IDLE_S = 0.5

Heard = tuple[bytes, int, int]  # frame, when in ms since the epoch, link type


class CannotListen(Exception):
    """There is nothing to hear with; the message is one line and says what to do."""


def listen(interface: str, stopping: threading.Event, *, idle: Callable[[], object] = bool) -> Iterator[Heard]:
    """What the interface hears until *stopping* is set. Raises CannotListen.

    idle  called every half second in which nothing is heard: heartbeats must go on
    """
    source, linktype = open_interface(interface)
    with closing(source):
        yield from heard_by(source, linktype, stopping, idle=idle)


def open_interface(interface: str) -> tuple[SuperSocket, int]:
    """A socket that hears raw frames, and their link type. Raises CannotListen."""
    try:
        hardware = int((INTERFACES / interface / "type").read_text())
    except OSError:
        there = ", ".join(sorted(path.name for path in INTERFACES.glob("*"))) or "none"
        raise CannotListen(f"there is no interface {interface!r} (there are: {there})") from None
    if hardware not in LINKTYPE_OF_HARDWARE:
        way_out = f"ip link set {interface} down; iw dev {interface} set type monitor; ip link set {interface} up"
        raise CannotListen(f"{interface} is not in monitor mode: {way_out}")
    try:
        try:
            source = L2ListenSocket(iface=interface, promisc=False, filter=KERNEL_FILTER)
        except Scapy_Exception as problem:
            # Without libpcap there is no filter; the agent then drops the rest itself.
            log.warning("no-kernel-filter", interface=interface, why=str(problem))
            source = L2ListenSocket(iface=interface, promisc=False)
    except PermissionError:
        raise CannotListen(f"hearing raw frames on {interface} needs the capability CAP_NET_RAW") from None
    except OSError as problem:
        raise CannotListen(f"cannot listen on {interface}: {problem.strerror or problem}") from problem
    return source, LINKTYPE_OF_HARDWARE[hardware]


def heard_by(
    source: SuperSocket,
    linktype: int,
    stopping: threading.Event,
    *,
    idle: Callable[[], object] = bool,
    idle_s: float = IDLE_S,
    silent_s: float = SILENT_S,
) -> Iterator[Heard]:
    """The frames of an open socket, stamped by the kernel where it does; each long silence is logged once."""
    last_s, silent = time.monotonic(), False
    while not stopping.is_set():
        ready, _, _ = select.select([source], [], [], idle_s)
        if not ready:
            if not silent and time.monotonic() - last_s >= silent_s:
                silent = True
                log.warning("radio-silent", for_s=silent_s, hint="has the card left monitor mode, or its channel?")
            idle()
            continue
        _, raw, stamp_s = source.recv_raw(SNAP_BYTES)
        last_s, silent = time.monotonic(), False
        if raw:
            yield raw, int((time.time() if stamp_s is None else stamp_s) * 1_000), linktype
