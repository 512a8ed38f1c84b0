"""Spares paho work that is rarely needed, for every MQTT 5 packet it reads.

paho 2.2 builds the names and types of all 27 properties anew for every packet, and takes a message's own apart one by
one; together that was more than half of what receiving a message cost the engine. The tables never change, so every
packet may use the same ones; and a message's properties can wait until somebody asks for one.
"""

from __future__ import annotations

from typing import Any

from paho.mqtt.exception import MalformedPacket
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties, VariableByteIntegers

UNREAD = "_unread"
_PATTERN = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
_unpack = Properties.unpack
_TABLES = {"types": _PATTERN.types, "names": _PATTERN.names, "properties": _PATTERN.properties}


def _with_shared_tables(self: Properties, packetType: int) -> None:
    vars(self).update(_TABLES, packetType=packetType)


def _unpack_when_asked(self: Properties, buffer: bytes) -> tuple[Properties, int]:
    if self.packetType != PacketTypes.PUBLISH:
        return _unpack(self, buffer)  # type: ignore[no-any-return, no-untyped-call]
    length, itself = VariableByteIntegers.decode(buffer)  # type: ignore[no-untyped-call]
    if length + itself > len(buffer):
        raise MalformedPacket("properties are longer than their packet")
    vars(self)[UNREAD] = bytes(buffer[: length + itself])
    return self, length + itself


def _ask(self: Properties, name: str) -> Any:
    """Python calls this for an attribute that is not there (yet)."""
    unread = vars(self).pop(UNREAD, None)
    if unread is None:
        raise AttributeError(f"the packet has no property {name!r}")
    _unpack(self, unread)  # type: ignore[no-untyped-call]
    return getattr(self, name)


def share() -> None:
    """From now on, in this process. Calling it again changes nothing."""
    Properties.__init__ = _with_shared_tables  # type: ignore[method-assign]
    Properties.unpack = _unpack_when_asked  # type: ignore[method-assign]
    Properties.__getattr__ = _ask  # type: ignore[attr-defined]
