"""Real captures count as the reference analyser counted them; broken ones end with a reason."""

from __future__ import annotations

import gzip
import json
import os
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from rich.console import Console

from sensors import captures
from sensors.captures import BrokenCapture
from sensors.census import Census, census
from sensors.frames import Kind
from sensors.report import as_json, as_table

ROOT = Path(__file__).resolve().parents[2]
DATA = Path(os.environ.get("SOJOURN_SHARED", ROOT.parent / "shared")) / "data"
FOLDERS = ("wifi-captures", "two-sniffers")


def expected(folder: str) -> dict[str, dict]:
    path = DATA / folder / "expected_tshark.json"
    return json.loads(path.read_text()) if path.exists() else {}


CASES = [(f"{folder}/{name}", told) for folder in FOLDERS for name, told in expected(folder).items()]


@pytest.mark.parametrize(("name", "told"), CASES, ids=[name for name, _ in CASES])
def test_a_capture_counts_as_tshark_counts_it(shared, name, told):
    counted = census(shared / name)
    by_subtype = {f"0x{subtype:04x}": heard.frames for subtype, heard in counted.heard.items()}
    unread = sum(counted.undecodable.values())
    # tshark shows the unit-less RSSI of a PRISM header as dBm, zeros included. We take no signal from it.
    with_signal = 0 if told["encap"] == "ieee-802-11-prism" else told["with_signal_dbm"]
    assert {
        "frames": counted.frames,
        "first_epoch": (counted.first_us or 0) / 1e6,
        "last_epoch": (counted.last_us or 0) / 1e6,
        "by_type_subtype": by_subtype | ({"none": unread} if unread else {}),
        "with_signal_dbm": counted.with_signal,
        "sliced": counted.sliced,
        "retry": counted.retries,
        "distinct_transmitters": counted.transmitters,
        "ap_bssids_from_beacon_or_probe_resp": counted.access_points,
        "probe_requests": by_subtype.get("0x0004", 0),
        "probe_sa_distinct": counted.probers,
        "probe_sa_locally_administered": counted.probers_with_private_address,
        "cut": counted.ended == "cut-in-packet",
    } == {
        **{key: told[key] for key in told if key in COMPARED},
        "first_epoch": pytest.approx(told["first_epoch"], abs=1e-6),
        "last_epoch": pytest.approx(told["last_epoch"], abs=1e-6),
        "with_signal_dbm": with_signal,
        "cut": any("cut short" in warning for warning in told["tshark_warning"]),
    }


COMPARED = {
    "frames",
    "by_type_subtype",
    "sliced",
    "retry",
    "distinct_transmitters",
    "ap_bssids_from_beacon_or_probe_resp",
    "probe_requests",
    "probe_sa_distinct",
    "probe_sa_locally_administered",
}


def test_every_recorded_capture_is_compared(shared):
    recorded = {f"{folder}/{path.name}" for folder in FOLDERS for path in (shared / folder).glob("*cap*.gz")}
    assert recorded == {name for name, _ in CASES}


def ending(path: Path) -> str:
    """Why reading stopped, or nothing."""
    try:
        for _ in captures.packets(path):
            pass
    except BrokenCapture as broken:
        return broken.reason
    return ""


def test_a_plain_file_reads_as_its_gzipped_self(shared, tmp_path):
    zipped = shared / "wifi-captures/wireshark_wpa3-sae.pcapng.gz"
    plain = tmp_path / "plain.pcapng"
    plain.write_bytes(gzip.decompress(zipped.read_bytes()))
    assert list(captures.packets(plain)) == list(captures.packets(zipped))


def test_a_capture_cut_anywhere_but_between_packets_says_so(shared, tmp_path):
    whole = gzip.decompress((shared / "wifi-captures/aircrack_wep.open.system.authentication.cap.gz").read_bytes())
    total = census_bytes(whole, tmp_path).frames
    endings = [census_bytes(whole[:length], tmp_path) for length in range(24, len(whole))]
    between = [counted.frames for counted in endings if not counted.ended]
    assert between == list(range(total))
    assert {counted.ended for counted in endings} == {"", "cut-in-packet"}


def test_a_pcapng_cut_anywhere_but_between_blocks_says_so(shared, tmp_path):
    whole = gzip.decompress((shared / "wifi-captures/wireshark_wpa2-psk-mfp.pcapng.gz").read_bytes())
    blocks = census_bytes(whole, tmp_path).frames
    endings = [census_bytes(whole[:length], tmp_path).ended for length in range(len(whole) - 400, len(whole))]
    assert blocks == 18
    assert 1 <= endings.count("") <= 6
    assert set(endings) == {"", "cut-in-packet"}


def census_bytes(content: bytes, folder: Path) -> Census:
    path = folder / "some.cap"
    path.write_bytes(content)
    return census(path)


def test_a_gzip_stream_cut_in_the_middle_says_so(shared, tmp_path):
    zipped = (shared / "wifi-captures/wireshark_wpa-test-decode.pcap.gz").read_bytes()
    counted = census_bytes(zipped[: len(zipped) // 2], tmp_path)
    assert (counted.ended, 0 < counted.frames < 4274) == ("cut-in-gzip", True)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x1f",
        b"\x1f\x8b",
        b"GIF89a",
        b"\xd4\xc3\xb2\xa1",
        b"\x0a\x0d\x0d\x0a\0\0",
        gzip.compress(gzip.compress(b"twice", mtime=0), mtime=0),
    ],
)
def test_a_file_that_is_no_capture_says_so(tmp_path, content):
    path = tmp_path / "file"
    path.write_bytes(content)
    assert ending(path) == "not-a-capture"


def test_a_block_of_implausible_length_is_not_allocated(tmp_path):
    section = bytes.fromhex("0a0d0d0a1c0000004d3c2b1a01000000ffffffffffffffff1c000000")
    path = tmp_path / "file"
    path.write_bytes(section + bytes.fromhex("06000000f0ffffff") + bytes(100))
    assert ending(path) == "implausible-length"


def test_a_missing_file_is_the_callers_to_explain(tmp_path):
    with pytest.raises(FileNotFoundError):
        census(tmp_path / "nowhere.pcap")


PCAP = bytes.fromhex("d4c3b2a1020004000000000000000000ffff00007f000000")
PCAPNG = bytes.fromhex(
    "0a0d0d0a1c0000004d3c2b1a01000000ffffffffffffffff1c00000001000000140000007f0000000000000014000000"
)


@settings(max_examples=300, deadline=None)
@example(b"", gzip.compress(PCAP), True)  # zipped twice
@given(st.sampled_from([b"", PCAP, PCAPNG]), st.binary(max_size=300), st.booleans())
def test_no_content_whatever_is_a_traceback(tmp_path_factory, head, tail, zipped):
    path = tmp_path_factory.getbasetemp() / "hostile"
    path.write_bytes(gzip.compress(head + tail) if zipped else head + tail)
    counted = census(path)
    assert counted.frames == sum(h.frames for h in counted.heard.values()) + sum(counted.undecodable.values())


def test_the_report_names_each_kind_of_frame_with_its_signal_range(shared):
    counted = census(shared / "wifi-captures/aircrack_test1.pcap.gz")
    console = Console(width=120)
    with console.capture() as printed:
        console.print(as_table(counted, "aircrack_test1"))
    lines = [line.split() for line in printed.get().splitlines()]
    assert ["qos", "data", "0x0028", "45", "41", "-87", "-63"] in lines
    assert ["all", "readable", "192", "180", "-88", "-56"] in lines


def test_the_report_for_programs_keys_subtypes_as_tshark_does(shared):
    told = as_json(census(shared / "wifi-captures/tcpdump_ieee802.11_rates_oobr.pcap.gz"))
    assert (told["frames"], told["heard"], told["undecodable"]) == (1, {}, {"other-radiotap-version": 1})
    told = as_json(census(shared / "wifi-captures/aircrack_test1.pcap.gz"))
    assert told["heard"][f"0x{Kind.QOS_DATA:04x}"]["frames"] == 45
