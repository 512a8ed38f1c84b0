"""Listening on an interface: what is heard comes with its time, and what cannot be is said in one line."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
import time

import pytest
from scapy.supersocket import SimpleSocket
from structlog.testing import capture_logs

from sensors import radio
from sensors.frames import RADIOTAP
from sensors.radio import CannotListen
from tests.conftest import ROOT


@pytest.fixture
def air():
    """(what an interface would say goes in here, the socket that hears it)."""
    near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with near, far:
        yield near, SimpleSocket(far)


def test_frames_come_with_their_time_and_link_type(air):
    speaker, source = air
    stopping = threading.Event()
    for frame in (b"one", b"two"):
        speaker.send(frame)
    before_ms = time.time_ns() // 1_000_000
    heard = radio.heard_by(source, RADIOTAP, stopping)
    (first, first_ms, linktype), (second, second_ms, _) = next(heard), next(heard)
    assert (first, second, linktype) == (b"one", b"two", RADIOTAP)
    assert before_ms <= first_ms <= second_ms <= time.time_ns() // 1_000_000


def test_of_a_long_frame_only_the_headers_are_taken(air):
    speaker, source = air
    speaker.send(bytes(2_000))
    raw, _, _ = next(radio.heard_by(source, RADIOTAP, threading.Event()))
    assert len(raw) == radio.SNAP_BYTES


def test_it_stops_when_told_though_nothing_is_heard(air):
    _, source = air
    stopping = threading.Event()
    assert list(radio.heard_by(source, RADIOTAP, stopping, idle=stopping.set, idle_s=0.01)) == []


def test_a_silence_is_told_once_and_again_after_something_was_heard(air):
    speaker, source = air
    stopping, ticks = threading.Event(), []

    def idle() -> None:
        ticks.append(1)
        if len(ticks) == 5:
            speaker.send(b"frame")
        if len(ticks) == 10:
            stopping.set()

    with capture_logs() as logs:
        heard = list(radio.heard_by(source, RADIOTAP, stopping, idle=idle, idle_s=0.001, silent_s=0.0))
    assert [raw for raw, _, _ in heard] == [b"frame"]
    assert [told["event"] for told in logs] == ["radio-silent", "radio-silent"]


def test_an_interface_that_is_not_there_is_named_with_those_that_are():
    with pytest.raises(CannotListen, match=r"^there is no interface 'mon7' \(there are: .*lo.*\)$"):
        next(radio.listen("mon7", threading.Event()))


def test_an_interface_that_is_not_in_monitor_mode_is_told_how_to_get_there():
    with pytest.raises(CannotListen, match=r"^lo is not in monitor mode: .*iw dev lo set type monitor"):
        next(radio.listen("lo", threading.Event()))


# Loopback passes for a radio here, so that only the privilege is missing.
UNPRIVILEGED = """
import os
from sensors import radio
radio.LINKTYPE_OF_HARDWARE[772] = 127
if os.geteuid() == 0:
    os.setuid(65534)
try:
    radio.open_interface("lo")
except radio.CannotListen as problem:
    print(problem)
"""


def test_without_the_privilege_it_says_which_one_is_missing():
    told = subprocess.run([sys.executable, "-c", UNPRIVILEGED], cwd=ROOT, capture_output=True, text=True, check=True)
    assert told.stdout == "hearing raw frames on lo needs the capability CAP_NET_RAW\n"
