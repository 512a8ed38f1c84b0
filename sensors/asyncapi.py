"""The wire contract as an AsyncAPI 3 document, drawn from the very types and topics that the code uses."""

from __future__ import annotations

import inspect
from typing import Any

import msgspec

from sensors import wire
from sensors.wire import AllowList, Association, Batch, Fixes, Health

_TITLE = "What sensors and the engine tell each other"
_SEAL = (
    "A nonce of {nonce} octets, then AES-256-GCM under the site's sensor key with the topic as associated data. "
    "Inside, MessagePack of the schema named by x-sealed"
)
_PLAIN_TYPES = ["application/msgpack", "application/json"]
_SENSOR = {
    "sensor": {"description": "The sensor's key in the floor plan, or the name of an uplink that several share."}
}
_CONTROLLER = {"sensor": {"description": "The controller's name, one of the engine's setting `controllers`."}}
_SHARD = {"shard": {"description": "Stable by sensor.", "enum": [str(shard) for shard in range(wire.SHARDS)]}}
_SOURCE = {"source": {"description": "Who saw the login: radius, a controller, a portal."}}


def document(site: str) -> dict[str, Any]:
    """The topics of one site with their messages, as plain values ready for JSON or YAML."""
    types = (Batch, Fixes, Health, Association, AllowList)
    references, schemas = msgspec.json.schema_components(types, ref_template="#/components/schemas/{name}")
    of = dict(zip(types, references, strict=True))
    # A topic's own shard stands in the address as a parameter, like its sensor.
    own_shard = f"/{wire.shard_of('{sensor}')}/"
    observations, fixes = (
        topic(site, "{sensor}").replace(own_shard, "/{shard}/") for topic in (wire.observations_topic, wire.fixes_topic)
    )
    return {
        "asyncapi": "3.0.0",
        "info": {"title": f"Sojourn, site {site}: {_TITLE}", "version": str(wire.VERSION)},
        "defaultContentType": _PLAIN_TYPES[0],
        "channels": {
            "observations": _channel(observations, "batch", _SHARD | _SENSOR),
            "fixes": _channel(fixes, "fixes", _SHARD | _CONTROLLER),
            "health": _channel(wire.health_topic(site, "{sensor}"), "health", _SENSOR, retained=True),
            "association": _channel(wire.association_topic(site, "{source}"), "association", _SOURCE),
            "allow": _channel(wire.allow_topic(site), "allow-list", {}, retained=True),
        },
        "operations": {
            "observe": _operation("send", "observations"),
            "place": _operation("send", "fixes"),
            "beat": _operation("send", "health"),
            "associate": _operation("send", "association"),
            "learnWhoOptedIn": _operation("receive", "allow"),
        },
        "components": {
            "messages": {
                "batch": _plain(Batch, of[Batch]),
                "fixes": _plain(Fixes, of[Fixes]),
                "health": _plain(Health, of[Health]),
                "association": _sealed(Association, of[Association], ""),
                "allow-list": _sealed(
                    AllowList, of[AllowList], f", after the engine's Ed25519 signature of {wire.SIGNATURE_BYTES} octets"
                ),
            },
            "schemas": schemas,
        },
    }


def _channel(address: str, message: str, parameters: dict[str, Any], *, retained: bool = False) -> dict[str, Any]:
    return {
        "address": address,
        "parameters": parameters,
        "messages": {message: {"$ref": f"#/components/messages/{message}"}},
        "bindings": {"mqtt": {"qos": 1, "retain": retained, "bindingVersion": "0.2.0"}},
    }


def _operation(action: str, channel: str) -> dict[str, Any]:
    """As a sensor acts: it sends, the engine receives; for the list it is the other way round."""
    return {"action": action, "channel": {"$ref": f"#/channels/{channel}"}, "bindings": {"mqtt": {"qos": 1}}}


def _plain(message: type, schema: dict[str, Any]) -> dict[str, Any]:
    accepted = f"{' or '.join(_PLAIN_TYPES)}, told apart by the first octet; at most {wire.MOST_PAYLOAD_BYTES} octets"
    return _described(message) | {"contentType": _PLAIN_TYPES[0], "payload": schema, "x-accepted": accepted}


def _sealed(message: type, schema: dict[str, Any], signature: str) -> dict[str, Any]:
    payload = {
        "type": "string",
        "format": "binary",
        "description": _SEAL.format(nonce=wire.NONCE_BYTES) + signature + ".",
    }
    return _described(message) | {"contentType": "application/octet-stream", "payload": payload, "x-sealed": schema}


def _described(message: type) -> dict[str, Any]:
    return {"name": message.__name__, "description": inspect.getdoc(message)}
