"""Home Assistant's discovery message: a camera as one device, with its last face and figures.

Device-based discovery, by https://www.home-assistant.io/integrations/mqtt/. Templates read the
figures from the status message that the detector publishes anyway.
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

from common import __version__
from common.protocol.face import CONTENT_TYPE
from common.protocol.status import PERIOD
from common.protocol.topics import Topics

NODE = "facepipe"

# A status message, and neither the last will nor the empty one of a service that is gone.
_ONLINE = "value_json is defined and value_json.state == 'online'"
_COUNTER = {"state_class": "total_increasing", "unit_of_measurement": "faces"}
_DIAGNOSTIC = {"entity_category": "diagnostic"}


@dataclasses.dataclass(frozen=True)
class HomeAssistantOptions:
    """Whether and how to show a camera to Home Assistant.

    prefix: root of its discovery topics; topic: root of ours.
    keep: seconds that it keeps a face.
    receipts: whether faces count as stored, or only as sent.
    note: file that remembers which topics hold retained messages.
    lead: the camera whose status becomes offline with the connection of all of them.
    """

    enabled: bool
    prefix: str
    keep: float
    topic: str
    device: str
    camera: str
    receipts: bool
    note: Path
    lead: str

    @property
    def id(self) -> str:
        """Unique among cameras, since names contain no underscore."""
        return f"{NODE}_{self.device}_{self.camera}"


@dataclasses.dataclass(frozen=True)
class HomeAssistantTopics:
    """The topics of a camera's messages for Home Assistant."""

    config: str
    face: str
    status: str
    birth: str  # where Home Assistant announces that it has started

    @classmethod
    def of(cls, options: HomeAssistantOptions) -> HomeAssistantTopics:
        prefix, device, camera = options.prefix, options.device, options.camera
        return cls(
            # With the optional extra level, Home Assistant 2025.1 finds nothing to remove when
            # this is emptied.
            f"{prefix}/device/{options.id}/config",
            f"{prefix}/{NODE}/{device}/{camera}/face",
            Topics(options.topic).status(device, "detector", camera),
            f"{prefix}/status",
        )


def encode_config(options: HomeAssistantOptions, topics: HomeAssistantTopics) -> bytes:
    """The discovery message, as JSON."""
    components = {
        name: {"unique_id": f"{options.id}_{name}", **component}
        for name, component in _components(options, topics).items()
    }
    message = {
        "device": {
            "identifiers": [options.id],
            "name": f"{options.device} {options.camera}",
            "manufacturer": "facepipe",
            "model": "camera",
            "sw_version": __version__,
        },
        "origin": {"name": "facepipe", "sw_version": __version__},
        "components": components,
    }
    return json.dumps(message, separators=(",", ":")).encode()


def _components(
    options: HomeAssistantOptions, topics: HomeAssistantTopics
) -> dict[str, dict[str, Any]]:
    known = _availability(options, topics)
    # After three periods without a message the camera is unavailable, even if its last will has
    # not arrived.
    read = {"state_topic": topics.status, "expire_after": 3 * PERIOD}
    sensor = {"platform": "sensor", **known, **read}
    binary = {"platform": "binary_sensor", **read, **_DIAGNOSTIC}
    return {
        "face": {
            "platform": "image",
            "name": "Last face",
            "image_topic": topics.face,
            "content_type": CONTENT_TYPE,
            **known,
        },
        "last_face": {
            **sensor,
            "name": "Last face at",
            "device_class": "timestamp",
            "value_template": _value("value_json.last_face | default(none)"),
        },
        "captured": {
            **sensor,
            "name": "Captured",
            **_COUNTER,
            "value_template": _value("value_json.captured"),
        },
        "delivered": {
            **sensor,
            "name": "Stored" if options.receipts else "Sent",
            **_COUNTER,
            "value_template": _value(
                "value_json.confirmed" if options.receipts else "value_json.sent"
            ),
        },
        "waiting": {
            **sensor,
            "name": "Waiting",
            "state_class": "measurement",
            "unit_of_measurement": "faces",
            "value_template": _value("value_json.waiting"),
        },
        "rejected": {
            **sensor,
            "name": "Rejected",
            **_COUNTER,
            **_DIAGNOSTIC,
            "value_template": _value("value_json.rejected.values() | sum"),
        },
        "dropped": {
            **sensor,
            "name": "Dropped",
            **_COUNTER,
            **_DIAGNOSTIC,
            "value_template": _value("value_json.dropped.values() | sum"),
        },
        "frames": {
            **sensor,
            "name": "Frames",
            "state_class": "total_increasing",
            "unit_of_measurement": "frames",
            **_DIAGNOSTIC,
            "value_template": _value("value_json.frames"),
        },
        "problem": {
            **binary,
            **known,
            "name": "Problem",
            "device_class": "problem",
            "value_template": _value("'OFF' if value_json.status == 'well' else 'ON'"),
            "json_attributes_topic": topics.status,
            "json_attributes_template": (
                f"{{{{ (value_json.reasons if {_ONLINE} else {{}}) | tojson }}}}"
            ),
        },
        "connected": {
            **binary,
            "name": "Connected",
            "device_class": "connectivity",
            "value_template": f"{{{{ 'ON' if {_ONLINE} else 'OFF' }}}}",
        },
    }


def _availability(options: HomeAssistantOptions, topics: HomeAssistantTopics) -> dict[str, Any]:
    """Available while the camera's status is online, and that of the lead, too."""
    template = f"{{{{ 'online' if {_ONLINE} else 'offline' }}}}"
    if options.camera == options.lead:
        return {"availability_topic": topics.status, "availability_template": template}
    lead = Topics(options.topic).status(options.device, "detector", options.lead)
    return {
        "availability": [
            {"topic": topic, "value_template": template} for topic in (topics.status, lead)
        ],
        "availability_mode": "all",
    }


def _value(expression: str) -> str:
    """A template for `expression` while the camera is online, else "unknown"."""
    return f"{{{{ ({expression}) if {_ONLINE} else none }}}}"
