"""Who may do what at the cloud broker, in the words of Mosquitto's dynamic security plugin.

Not by an access list: Mosquitto's acl_file lets everybody subscribe to everything, and merely
delivers nothing, so that a device could join `$share/processors/faces` and swallow the faces of
others. What is not named here is denied. (plugins/dynamic-security of Mosquitto 2.0.21.)
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from common.protocol.topics import DOCTOR

CONTROL = "$CONTROL/dynamic-security/v1"
ANSWERS = f"{CONTROL}/response"
STATUS = "faces/status/#"  # of everybody

Json = dict[str, Any]


def _role(name: str, send: Iterable[str] = (), take: Iterable[str] = ()) -> Json:
    """May publish to `send`, receive from `take`, and subscribe to just these."""
    granted = [("publishClientSend", topic) for topic in send]
    for topic in take:
        granted += [("publishClientReceive", topic), ("subscribeLiteral", topic)]
    return {"rolename": name, "acls": [_acl(*one) for one in granted]}


def _acl(kind: str, topic: str) -> Json:
    return {"acltype": kind, "topic": topic, "allow": True}


def _device(name: str) -> Json:
    """A device speaks for itself alone, and hears of its own faces alone."""
    # Of status just the two levels that our services have: below `#` anything could be retained.
    status = f"faces/status/{name}"
    send = (f"faces/from/{name}", f"{status}/detector/+", f"{status}/forwarder/+")
    return _role(name, send, take=(f"faces/receipts/{name}",))


def _processor() -> Json:
    taken = ("faces", "faces/from/+")
    send = ("faces/receipts/#", "faces/stored", "faces/status/cloud/processor/+")
    role = _role("processor", send, take=taken)
    role["acls"] += [_acl("subscribeLiteral", f"$share/processors/{topic}") for topic in taken]
    return role


def _gallery() -> Json:
    """Receives what is stored, the status of everybody and figures of the broker."""
    take = ("faces/stored", "$SYS/broker/heap/current", "$SYS/broker/retained messages/count")
    role = _role("gallery", ("faces/status/cloud/gallery/+",), take=take)
    role["acls"] += _every_status()
    return role


def _services() -> list[Json]:
    return [
        _processor(),
        _gallery(),
        _role("broker", take=("$SYS/broker/uptime",)),  # for its health check
        _device(DOCTOR),  # it sends a test face, as a device would
        _enroll(),
    ]


def _enroll() -> Json:
    """Commands the plugin, and takes away the status of who was revoked."""
    role = _role("enroll", (CONTROL, STATUS), take=(ANSWERS,))
    role["acls"] += _every_status()
    return role


def _every_status() -> list[Json]:
    """To receive it all, by one subscription or by several to parts of it."""
    return [_acl("publishClientReceive", STATUS), _acl("subscribePattern", STATUS)]


def _client(name: str) -> Json:
    return {"username": name, "roles": [{"rolename": name}]}


def configuration(devices: Iterable[str]) -> str:
    """The plugin's file, as its broker reads it when it starts."""
    roles = [*_services(), *(_device(name) for name in devices)]
    denied = ("publishClientSend", "publishClientReceive", "subscribe")
    content = {
        # To end a subscription takes nothing from anybody.
        "defaultACLAccess": dict.fromkeys(denied, False) | {"unsubscribe": True},
        "clients": [_client(role["rolename"]) for role in roles],
        "roles": roles,
    }
    return json.dumps(content, indent=1) + "\n"


def admission(device: str = "") -> list[Json]:
    """Commands that make our own services, and a device, known to a broker that runs.

    The services as well: the broker may have been started before there was one of them.
    """
    roles = [*_services(), *([_device(device)] if device else [])]
    return [command for role in roles for command in _admitted(role)]


def _admitted(role: Json) -> list[Json]:
    return [
        {"command": "createRole", **role},
        {"command": "createClient", **_client(role["rolename"])},
    ]


def status_of(device: str) -> str:
    """A filter for the retained status of all services of a device."""
    return f"faces/status/{device}/#"


def dismissal(name: str) -> list[Json]:
    """Commands that make it unknown; the first ends its connection, too."""
    return [
        {"command": "deleteClient", "username": name},
        {"command": "deleteRole", "rolename": name},
    ]
