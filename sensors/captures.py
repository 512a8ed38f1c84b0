"""Capture files as packets: pcap and pcapng, gzipped or not, whole or broken."""

from __future__ import annotations

import gzip
import logging
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any, NamedTuple

from scapy.error import Scapy_Exception
from scapy.utils import RawPcapNgReader, RawPcapReader

# A file that is not what it claims is told by how the reading ends, once, and not also on the log.
logging.getLogger("scapy.runtime").setLevel(logging.ERROR)

NOT_A_CAPTURE = "not-a-capture"
_GZIP, _PCAPNG = b"\x1f\x8b", b"\x0a\x0d\x0d\x0a"
# In both byte orders, in microseconds and in nanoseconds.
_PCAP = {bytes.fromhex(magic) for magic in ("a1b2c3d4", "d4c3b2a1", "a1b23c4d", "4d3cb2a1")}
# Longer than any block an honest writer makes; a hostile length must not become an allocation.
_MOST_BLOCK_BYTES = 16 * 1024 * 1024
# The upper bits of a pcap file's link type tell of check sequences, not of the link.
_LINKTYPE_MASK = 0xFFFF


class Packet(NamedTuple):
    """t_us since the epoch, UTC (0 where the file has no time); *raw* may be shorter than it was on the air."""

    t_us: int
    linktype: int
    original_length: int
    raw: bytes


class BrokenCapture(Exception):
    """The file cannot be read on; *reason* is one of a small, countable set."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class _Tape:
    """What scapy reads from. It notes where the file ends in the middle of something, which scapy takes for its end."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._may_end = False
        self.broken = ""

    def may_end(self) -> None:
        """Here a record begins: a file that ends here is whole."""
        self._may_end = True

    def read(self, size: int) -> bytes:
        may_end, self._may_end = self._may_end, False
        if size > _MOST_BLOCK_BYTES:
            self.broken = self.broken or "implausible-length"
            return b""
        try:
            data = self._file.read(size)
        except (EOFError, OSError, zlib.error):
            self.broken = self.broken or "cut-in-gzip"
            return b""
        if len(data) < size and (data or not may_end):
            self.broken = self.broken or "cut-in-packet"
        return data


class _Records(RawPcapReader):
    f: Any

    def _read_packet(self, *args: Any, **kwargs: Any) -> Any:
        self.f.may_end()
        return super()._read_packet(*args, **kwargs)


class _Blocks(RawPcapNgReader):
    f: Any

    def _read_block(self, *args: Any, **kwargs: Any) -> Any:
        self.f.may_end()
        return super()._read_block(*args, **kwargs)


def packets(path: Path) -> Iterator[Packet]:
    """The packets of a capture file, in its order.

    Raises OSError if there is no such file, and BrokenCapture, after the last whole packet, if it is cut or hostile.
    """
    with path.open("rb") as plain:
        zipped = plain.read(2) == _GZIP
        plain.seek(0)
        with gzip.GzipFile(fileobj=plain) if zipped else plain as file:
            yield from _packets(file)


def _packets(file: Any) -> Iterator[Packet]:
    tape = _Tape(file)
    try:
        magic = file.peek(4)[:4]
        # Not left to the reader: what it does not know it takes for gzip, and would wind our tape back.
        if magic != _PCAPNG and magic not in _PCAP:
            raise BrokenCapture(NOT_A_CAPTURE)
        blocks = magic == _PCAPNG
        open_as: Callable[[Any], Any] = _Blocks if blocks else _Records
        reader = open_as(tape)
    except (Scapy_Exception, EOFError, OSError, zlib.error) as problem:
        raise BrokenCapture(NOT_A_CAPTURE) from problem
    for raw, about in reader:
        if tape.broken:
            break
        if blocks:
            t_us = 0 if about.tshigh is None else (about.tshigh << 32 | about.tslow) * 1_000_000 // about.tsresol
            yield Packet(t_us, about.linktype, about.wirelen, raw)
        else:
            t_us = about.sec * 1_000_000 + (about.usec // 1000 if reader.nano else about.usec)
            yield Packet(t_us, reader.linktype & _LINKTYPE_MASK, about.wirelen, raw)
    if tape.broken:
        raise BrokenCapture(tape.broken)
    if tape.read(1):
        raise BrokenCapture("bad-block")
