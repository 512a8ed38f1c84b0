"""What `sojourn sensor` does: counts a capture, or hears devices and publishes the members among them."""

from __future__ import annotations

import json
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import structlog
from rich.console import Console

from engine.clock import system_clock
from engine.keys import SensorKeys
from engine.plainly import CannotStart
from sensors import captures, radio, report
from sensors.agent import Agent
from sensors.census import census
from sensors.consent import ConsentFilter
from sensors.uplink import Uplink
from sensors.wire import GATHER_MS, HEARTBEAT_MS, AllowList

log = structlog.get_logger()

# A sensor that has no list yet publishes nothing; a capture would be over before it came.
LIST_WITHIN_S = 30.0


def count(pcap: Path, out: Console, *, as_json: bool) -> None:
    """Say what is in a capture, by kind of frame. Raises CannotStart, once that is said, if it is none at all."""
    counted = census(pcap)
    if as_json:
        print(json.dumps(report.as_json(counted)))
    else:
        out.print(report.as_table(counted, pcap.name))
    if counted.ended == captures.NOT_A_CAPTURE:
        raise CannotStart(f"{pcap} is no capture: name a pcap or pcapng file, gzipped or not")


def publish(*, pcap: Path | None, interface: str | None, name: str, site: str, broker: str, keys: Path) -> None:
    """Hear until a signal, or to the end of the capture. Raises CannotStart or UnusableKeys."""
    sensor_keys = SensorKeys.read(keys)
    stopping, listed = threading.Event(), threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopping.set())
    consent = ConsentFilter(site)

    def take(allow: AllowList) -> None:
        consent.take(allow, system_clock())
        listed.set()

    agent = Agent(name, consent, boot=system_clock())
    try:
        uplink = Uplink(
            broker,
            site,
            name,
            Path(f"{name}.spool"),
            site_key=sensor_keys.site_key,
            verifier=sensor_keys.verifier,
            on_allow=take,
        )
    except (OSError, ValueError) as problem:
        raise CannotStart(str(problem)) from None
    with closing(uplink):
        uplink.start()
        if pcap is not None and not listed.wait(LIST_WITHIN_S):
            raise CannotStart(f"no allow-list from an engine of site {site!r} within {LIST_WITHIN_S:.0f} s: is it up?")
        gathered_ms = reported_ms = 0

        def pass_on() -> None:
            """Send what is due: also while nothing is heard, as time moves by heartbeats."""
            nonlocal gathered_ms, reported_ms
            now_ms = system_clock()
            if now_ms - gathered_ms >= GATHER_MS:
                gathered_ms = now_ms
                _send(agent, uplink, now_ms)
            if now_ms - reported_ms >= HEARTBEAT_MS:
                reported_ms = now_ms
                uplink.report(agent.health(now_ms))

        try:
            for raw, at_ms, linktype in _heard(pcap, interface, stopping, pass_on):
                agent.hear(raw, at_ms, linktype)
                pass_on()
                if stopping.is_set():
                    break
        except radio.CannotListen as problem:
            raise CannotStart(str(problem)) from None
        except captures.BrokenCapture as problem:
            if problem.reason == captures.NOT_A_CAPTURE:
                raise CannotStart(f"{pcap} is no capture: name a pcap or pcapng file, gzipped or not") from None
            log.warning("capture-ends-early", why=problem.reason)
        _send(agent, uplink, system_clock())


def _heard(
    pcap: Path | None, interface: str | None, stopping: threading.Event, idle: Callable[[], None]
) -> Iterator[tuple[bytes, int, int]]:
    """(frame, when in ms, link type). A capture is taken to be heard now: its own time is long past."""
    if pcap is not None:
        for packet in captures.packets(pcap):
            yield packet.raw, system_clock(), packet.linktype
    else:
        assert interface is not None
        yield from radio.listen(interface, stopping, idle=idle)


def _send(agent: Agent, uplink: Uplink, now_ms: int) -> None:
    while (batch := agent.gather(now_ms)) is not None:
        uplink.send(batch)
