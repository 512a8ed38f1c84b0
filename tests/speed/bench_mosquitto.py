"""The engine's whole intake behind a real broker: what it sustains, without loss, and where the time goes."""

from __future__ import annotations

import pstats
import random
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from cProfile import Profile
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic

import msgspec
import psutil
import sqlalchemy as sa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from engine import tables
from engine.batches import Border
from engine.broker import Subscriber
from engine.clock import Pace, system_clock
from engine.embedded import beside
from engine.events import PresenceEvent
from engine.identity import PRESENCE, Identity
from engine.ingest import Ingest
from engine.keys import Keys
from engine.ledger import Ledger, open_ledger
from engine.presence import Presence
from engine.tuning import Tuning
from tests.servers import MOSQUITTO, free_port, installed, listens
from tests.speed.benchmark import Figure, benchmark
from tests.speed.crowd import NOON_MS, ROOT, Heard, demo_mall, heard

WARM, MEASURED = 10, 20
# The engine's clock: after all that is sent, as everything is sent faster than it happened.
NOW_MS = NOON_MS + 120_000
# Nothing came for so long: what is missing then is lost.
LOST_AFTER_S = 20.0

# What share of the engine's intake each part takes: the functions that make it up.
PARTS = {
    "mosquitto_decoding_share": [("batches.py", "take")],
    "mosquitto_presence_share": [("presence.py", "absorb"), ("presence.py", "expire")],
    "mosquitto_snapshot_share": [("presence.py", "snapshot"), ("ledger.py", "keep")],
    "mosquitto_events_share": [("ledger.py", "append")],
    "mosquitto_waiting_share": [("broker.py", "take")],
}


@benchmark(
    runs=3,
    mosquitto_observations_per_s=Figure("observations/s"),
    mosquitto_observations_per_core_s=Figure("observations/s of ingest's processor time"),
    mosquitto_lost_observations=Figure("observations", at_most=0),
    mosquitto_ingest_share=Figure("share of one core"),
    mosquitto_client_share=Figure("share of one core"),
    **{name: Figure("share of ingest") for name in PARTS},
)
def through_mosquitto(share: float) -> dict[str, float]:
    """A sensors' uplink sends through Mosquitto at QoS 1; ingest makes events of it, into an SQLite ledger: 50,000
    members, 67 sensors, everything on this machine, as fast as it goes."""
    members = max(int(50_000 * share), 100)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory()))
        url = stack.enter_context(_mosquitto(folder))
        ingest, crowd = stack.enter_context(_engine(url, folder, members))
        publisher = stack.enter_context(_publisher(url, crowd, folder))
        _take(ingest, publisher, sum(crowd.rows[:WARM]))
        profile = Profile()
        began_s, began = monotonic(), _processor_s()
        profile.enable()
        rows = sum(crowd.rows[WARM:])
        missing = _take(ingest, publisher, rows)
        profile.disable()
        took_s, spent = monotonic() - began_s, _processor_s()
        assert ingest.presence.late == 0 and not ingest.border.refused and not ingest.border.gaps()
    ours, theirs = (after - before for before, after in zip(began, spent, strict=True))
    return {
        "mosquitto_observations_per_s": (rows - missing) / took_s,
        "mosquitto_observations_per_core_s": (rows - missing) / ours,
        "mosquitto_lost_observations": missing,
        "mosquitto_ingest_share": ours / took_s,
        "mosquitto_client_share": theirs / took_s,
        **_shares(profile),
    }


@contextmanager
def _mosquitto(folder: Path) -> Iterator[str]:
    server, port = installed("mosquitto", "/usr/sbin"), free_port()
    (folder / "mosquitto.conf").write_text(MOSQUITTO.format(port=port))
    command = [server, "-c", str(folder / "mosquitto.conf")]
    with beside(command, log=folder / "mosquitto.log", answers=lambda: listens(port)):
        yield f"mqtt://127.0.0.1:{port}"


@contextmanager
def _engine(url: str, folder: Path, members: int) -> Iterator[tuple[Ingest, Heard]]:
    """Ingest as `sojourn serve` wires it, with so many members bound, and the crowd that they make."""
    noise, plan = random.Random(members).randbytes, demo_mall()
    keys = Keys.read_or_make(folder, noise)
    ledger = open_ledger(f"sqlite:///{folder / 'ledger.sqlite'}", PresenceEvent)
    with ExitStack() as stack:
        stack.callback(ledger.close)
        identity = Identity(ledger, keys, plan.site, noise)
        _opt_in(ledger, keys, members)
        with ledger.write() as tx:
            _, member_of = identity.allow_list(tx, NOW_MS)
        epoch = max(number for number, _ in member_of)
        handle_of = {member: handle for (number, handle), member in member_of.items() if number == epoch}
        handles = tuple(handle_of[member] for member in range(1, members + 1))
        subscriber = Subscriber(url, plan.site)
        stack.callback(subscriber.close)
        ingest = Ingest(
            plan=plan,
            presence=Presence(plan, Tuning()),
            border=Border(plan.sensor_index),
            identity=identity,
            ledger=ledger,
            subscriber=subscriber,
            keys=keys,
            pace=Pace(system_clock(), NOW_MS, 1.0),
        )
        assert subscriber.wait_connected(LOST_AFTER_S)
        ingest.round(0)  # publishes the list
        yield ingest, heard(plan, members, WARM + MEASURED, epoch, handles)


def _opt_in(ledger: Ledger, keys: Keys, members: int) -> None:
    """Members 1, 2, ... with a device each, as if they had come one by one."""
    sealer, nonce = AESGCM(keys.addresses), bytes(12)
    every = range(1, members + 1)
    with ledger.write() as tx:
        tx.execute(
            sa.insert(tables.member),
            [{"id": m, "login": f"m{m}", "name": "M", "language": "en", "created_ms": 0} for m in every],
        )
        said = {"purpose": PRESENCE, "granted": True, "at_ms": 0, "text_version": "1", "language": "en", "place": "x"}
        tx.execute(sa.insert(tables.consent), [{"member": m, **said} for m in every])
        bound = {"ssid": "Mall", "source": "x", "bound_ms": 0, "associated_ms": 0, "expires_ms": 2 * NOW_MS}
        tx.execute(
            sa.insert(tables.binding),
            [
                {
                    "member": m,
                    "address_sealed": nonce + sealer.encrypt(nonce, m.to_bytes(6, "big"), None),
                    "address_digest": m.to_bytes(16, "big"),
                    **bound,
                }
                for m in every
            ],
        )


@contextmanager
def _publisher(url: str, crowd: Heard, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    for number, part in enumerate((crowd.seconds[:WARM], crowd.seconds[WARM:])):
        payloads = [payload for second in part for _, payload in second]
        (folder / f"part-{number}").write_bytes(msgspec.msgpack.encode(payloads))
    command = [sys.executable, "-m", "tests.speed.publisher", url, crowd.plan.site, str(folder)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as process:
        assert process.stdin is not None
        try:
            yield process
        finally:
            process.stdin.close()


def _take(ingest: Ingest, publisher: subprocess.Popen[bytes], rows: int) -> int:
    """Have the next part sent, and take in what comes of it; how many of its rows never came."""
    assert publisher.stdin is not None
    publisher.stdin.write(b"\n")
    publisher.stdin.flush()
    wanted, quiet_s = ingest.observations + rows, monotonic()
    while ingest.observations < wanted and monotonic() - quiet_s < LOST_AFTER_S:
        if ingest.round(0.2):
            quiet_s = monotonic()
    return wanted - ingest.observations


def _processor_s() -> tuple[float, float]:
    """Seconds of processor time that this thread, and all others of this process, have taken: ingest, MQTT clients."""
    process = psutil.Process()
    times = {one.id: one.user_time + one.system_time for one in process.threads()}
    ours = times[threading.get_native_id()]
    return ours, sum(times.values()) - ours


def _shares(profile: Profile) -> dict[str, float]:
    """What of the time in Ingest.round each of PARTS took."""
    spent = {
        (Path(file).name, name): row[3]
        for (file, _, name), row in pstats.Stats(profile).stats.items()  # type: ignore[attr-defined]
    }
    whole = spent["ingest.py", "round"]
    return {part: sum(spent.get(function, 0.0) for function in of) / whole for part, of in PARTS.items()}
