"""The published contract names every topic, and its schemas say what the messages are."""

from __future__ import annotations

import json
import re

import msgspec
import numpy as np
import pytest

from sensors import wire
from sensors.asyncapi import document
from sensors.wire import Association, Batch, Fix, Fixes, Health

DOCUMENT = document("demo")


def resolve(reference: dict) -> dict:
    """What a local reference points at."""
    found = DOCUMENT
    for part in reference["$ref"].removeprefix("#/").split("/"):
        found = found[part]
    return found


def references(value) -> list[str]:
    if isinstance(value, dict):
        own = [value["$ref"]] if isinstance(value.get("$ref"), str) else []
        return own + [found for inner in value.values() for found in references(inner)]
    return [found for inner in value for found in references(inner)] if isinstance(value, list) else []


def test_every_reference_leads_somewhere():
    found = references(DOCUMENT)
    assert len(found) >= 12
    for reference in found:
        assert resolve({"$ref": reference})


@pytest.mark.parametrize(
    ("channel", "topic"),
    [
        ("observations", wire.observations_topic("demo", "s1")),
        ("fixes", wire.fixes_topic("demo", "meraki")),
        ("health", wire.health_topic("demo", "s1")),
        ("association", wire.association_topic("demo", "radius")),
        ("allow", wire.allow_topic("demo")),
    ],
)
def test_each_topic_is_an_address_with_its_parameters_filled_in(channel, topic):
    told = DOCUMENT["channels"][channel]
    assert set(re.findall(r"\{(\w+)\}", told["address"])) == set(told["parameters"])
    pattern = re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", told["address"])
    filled = re.fullmatch(pattern, topic)
    assert filled is not None
    for name, value in filled.groupdict().items():
        assert value in told["parameters"][name].get("enum", [value])


EXAMPLES = {
    "batch": Batch("s1", 1, 2, 3, 4, [5], [6], [-7], [8]),
    "fixes": Fixes("meraki", 1, 2, 3, 9, [Fix(5, 4, 2.5, "L1", 1.0, 2.0)]),
    "health": Health("s1", 1, 2, "online"),
    "association": Association("ana", "02:00:00:00:00:01", "Mall", 7, "radius"),
}


@pytest.mark.parametrize("message", [*EXAMPLES, "allow-list"])
def test_an_example_of_each_message_has_the_fields_that_its_schema_asks_for(message, list_of, epoch_of):
    example = EXAMPLES.get(message) or list_of(epoch_of(1, {b"\x02\0\0\0\0\1": 41}))
    told = DOCUMENT["components"]["messages"][message]
    schema = resolve(told.get("x-sealed") or told["payload"])
    fields = json.loads(msgspec.json.encode(example))
    assert set(schema["required"]) <= set(fields) == set(schema["properties"])
    assert schema["additionalProperties"] is False
    kinds = {"string": str, "integer": int, "array": list, "boolean": bool, "object": dict}
    for name, value in fields.items():
        told = schema["properties"][name]
        allowed = [kinds[one["type"]] for one in told.get("anyOf", [told]) if "type" in one]
        assert not allowed or isinstance(value, tuple(allowed))


def test_the_bounds_of_a_column_stand_in_the_schema():
    properties = resolve(DOCUMENT["components"]["messages"]["batch"]["payload"])["properties"]
    listed = {name: properties[name]["anyOf"][0]["items"] for name in ("dt_ms", "rssi_dbm")}
    assert listed["dt_ms"] == {"type": "integer", "minimum": 0, "maximum": 60_000}
    assert listed["rssi_dbm"] == {"type": "integer", "minimum": -127, "maximum": 20}


@pytest.mark.parametrize("column", ["handle", "dt_ms", "rssi_dbm", "channel"])
def test_a_packed_column_is_read_as_its_schema_says(column):
    properties = resolve(DOCUMENT["components"]["messages"]["batch"]["payload"])["properties"]
    octets = next(kind for kind in properties[column]["anyOf"] if kind["type"] == "string")
    sent = wire.packed(EXAMPLES["batch"])
    read = np.frombuffer(getattr(sent, column), octets["x-packed"])
    assert read.tolist() == getattr(EXAMPLES["batch"], column)
    assert "octet" in octets["description"]


def test_what_carries_addresses_or_lists_is_marked_as_sealed():
    messages = DOCUMENT["components"]["messages"]
    assert {name for name, told in messages.items() if "x-sealed" in told} == {"association", "allow-list"}


def test_the_document_is_plain_json():
    assert json.loads(json.dumps(DOCUMENT)) == DOCUMENT
